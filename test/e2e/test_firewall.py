"""Goal: the firewall files open what the server listens on, whole or in its smallest set, and nothing else."""

from __future__ import annotations

import errno
import re
import shutil
import socket
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Callable, Iterator

import pytest

import network
from clihelp import WAIT_S, can_connect
from conftest import Lab
from network import Host
from rdclient import UdpPeer
from test_addresses import assert_reached, assert_relayed

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "packaging" / "firewall"
ID_PORT = 21116
API_PORT = 21114
MINIMUM = {("tcp", 21115), ("tcp", 21116), ("tcp", 21117), ("udp", 21116)}
FULL = MINIMUM | {("tcp", 21118), ("tcp", 21119), ("udp", 21117)}
Ports = set[tuple[str, int]]


def ports_of(text: str, protocol: str, dash: str = "-") -> Ports:
    """ "21115-21117,21119" """
    found: Ports = set()
    for part in text.split(","):
        first, _, last = part.strip().partition(dash)
        found |= {(protocol, port) for port in range(int(first), int(last or first) + 1)}
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    place = tmp_path / "stage"
    command = ["make", "-s", "-C", str(ROOT), "install-firewall", f"DESTDIR={place}", "PREFIX=/usr"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place


def test_full_set_is_what_it_listens_on(lab: Lab) -> None:
    """Every socket of both roles at their default ports, no more and no less."""
    server = lab.server("serve")
    listening = {(e["proto"], int(e["addr"].rpartition(":")[2]) - server.port) for e in server.logged("listening")}
    assert {(proto, ID_PORT + offset) for proto, offset in listening} == FULL


# --- ufw ------------------------------------------------------------------------------------------------------------


def test_ufw_profile() -> None:
    """Both sets, as they stand in the file."""
    profiles: dict[str, Ports] = {}
    for name, ports in re.findall(r"^\[(.*)\]\n(?:.+\n)*?ports=(.*)$", (FILES / "rdsrv.ufw").read_text(), re.M):
        profiles[name] = set()
        for part in ports.split("|"):
            numbers, _, protocol = part.partition("/")
            profiles[name] |= ports_of(numbers, protocol, ":")
    assert profiles == {"rdsrv": MINIMUM, "rdsrv-full": FULL}


@pytest.mark.skipif(not shutil.which("ufw") or not network.can_make_hosts(), reason="no ufw here, or no namespaces")
@pytest.mark.parametrize("name, first", [("rdsrv", "21115:21117/tcp"), ("rdsrv-full", "21115:21119/tcp")])
def test_ufw_takes_it(installed: Path, name: str, first: str) -> None:
    """ufw reads the profile, and makes rules of it, also for one interface."""
    mount = f"mount --bind {installed}/etc/ufw/applications.d /etc/ufw/applications.d"

    def ufw(*args: str) -> str:
        command = ["unshare", "--mount", "--net", "sh", "-ec", f'{mount}; exec ufw "$@"', "sh", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and "WARN" not in done.stderr, done.stdout + done.stderr
        return done.stdout

    about = ufw("app", "info", name)
    assert f"Profile: {name}\n" in about and first in about and "udp" in about
    rules = ufw("--dry-run", "allow", "in", "on", "tailscale0", "to", "any", "app", name)
    assert "-i tailscale0" in rules and "21116" in rules


# --- firewalld ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, ports", [("rdsrv", MINIMUM), ("rdsrv-full", FULL)])
def test_firewalld_service(name: str, ports: Ports) -> None:
    root = ElementTree.parse(FILES / f"{name}.xml").getroot()
    assert root.tag == "service" and root.findtext("short") and root.findtext("description")
    found: Ports = set()
    for port in root.iter("port"):
        found |= ports_of(port.attrib["port"], port.attrib["protocol"])
    assert found == ports


@pytest.mark.skipif(not shutil.which("firewall-offline-cmd"), reason="no firewalld here")
@pytest.mark.parametrize("name", ["rdsrv", "rdsrv-full"])
def test_firewalld_takes_it(installed: Path, tmp_path: Path, name: str) -> None:
    """firewalld reads the service, and adds it to a zone."""
    config = tmp_path / "firewalld"
    (config / "services").mkdir(parents=True)
    shutil.copy(installed / f"usr/lib/firewalld/services/{name}.xml", config / "services")
    for option in (f"--info-service={name}", f"--add-service={name}", f"--query-service={name}"):
        command = ["firewall-offline-cmd", f"--system-config={config}", option]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


# --- nftables -------------------------------------------------------------------------------------------------------

WAN, TAILNET = ("203.0.113.1", "203.0.113.2"), ("100.64.0.1", "100.64.0.2")


class Site:
    """A server behind a firewall, and clients who reach it from the internet and through a tailnet."""

    def __init__(self) -> None:
        self.server, self.clients = Host("s"), Host("c")

    def create(self) -> None:
        self.server.create()
        self.clients.create()
        for device, (own, theirs), length in (("wan", WAN, 24), ("tailscale0", TAILNET, 10)):
            network.connect(self.server, self.clients, device)
            self.server.set_up(device, [f"{own}/{length}"])
            self.clients.set_up(device, [f"{theirs}/{length}"])

    def remove(self) -> None:
        self.server.remove()
        self.clients.remove()

    def load(self, installed: Path, which: str) -> None:
        """The example, with one of the three includes."""
        files = installed / "usr/share/rdsrv/firewall"
        text = (files / "nftables.conf").read_text().replace("/usr/share/rdsrv/firewall", str(files))
        lines = [line for line in text.splitlines() if "include" not in line]
        lines.insert(lines.index("\t\ttcp dport 22 accept") + 1, f'include "{files}/rdsrv-{which}.nft"')
        rules = files / "rules"
        rules.write_text("\n".join(lines) + "\n")
        command = [*self.server.prefix, "nft", "-f", str(rules)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def site() -> Iterator[Site]:
    if not shutil.which("nft") or not network.can_make_hosts():
        pytest.skip("no nft here, or no network namespaces")
    site = Site()
    try:
        site.create()
        yield site
    finally:
        site.remove()


def knock(site: Site, host: str, port: int) -> int | None:
    """The error of a connection: 0 if there is one, None if nothing answers."""

    def go() -> int | None:
        with socket.socket() as sock:
            sock.settimeout(0.4)
            error = sock.connect_ex((host, port))
            return None if error == errno.EAGAIN else error

    return site.clients.run(go)


def is_open(site: Site, host: str, port: int) -> bool:
    return knock(site, host, port) == 0


def registers(site: Site, lab: Lab, peer: Callable[[], UdpPeer], expected: bool) -> bool:
    """Does a datagram get through, and its answer? Where it should, there is more time for that."""

    def go() -> bool:
        b = lab.keep(peer())
        b.sock.settimeout(WAIT_S if expected else 0.4)
        try:
            b.send("TestNatRequest")
            return bool(b.sock.recv(1024))
        except TimeoutError:
            return False

    return site.clients.run(go)


@pytest.mark.parametrize("which, wan", [("minimum", MINIMUM), ("full", FULL), ("tailscale0", set())])
def test_nftables(installed: Path, site: Site, lab: Lab, which: str, wan: Ports) -> None:
    """Whole sessions where it is open; elsewhere not a port."""
    site.load(installed, which)
    server = lab.server("serve", hosts=None, port=ID_PORT, prefix=site.server.prefix)
    here = FULL if which == "tailscale0" else wan
    for (host, client), ports in ((WAN, wan), (TAILNET, here)):
        target = server.target(host)
        tcp = {("tcp", port) for port in range(21114, 21121) if is_open(site, host, port)}
        assert tcp == {port for port in ports if port[0] == "tcp"}, host
        # Nobody listens there; clients who try it are not to wait.
        assert knock(site, host, API_PORT) == (errno.ECONNREFUSED if ports else None)
        wanted = ("udp", ID_PORT) in ports
        assert registers(site, lab, lambda: UdpPeer(target, source=client), wanted) == wanted
        if not ports:
            continue

        def session() -> None:
            b = lab.registered(target, source=client)
            assert_reached(b, lab.controller(target, client))
            assert_relayed(target)

        site.clients.run(session)


def test_example_includes_what_is_installed(installed: Path) -> None:
    """Each file that the example names is where it says; one of them is in use."""
    text = (installed / "usr/share/rdsrv/firewall/nftables.conf").read_text()
    named = re.findall(r'^\t\t(# )?include "/(.*)"$', text, re.M)
    assert len(named) == 3 and all((installed / path).exists() for _, path in named)
    assert [off for off, _ in named] == ["", "# ", "# "]


def test_loopback_stays_open(installed: Path, site: Site, lab: Lab) -> None:
    """A relay's probe by its own ID server, and rdsrv check, come from this host."""
    site.load(installed, "tailscale0")
    server = lab.server("serve", hosts=None, port=ID_PORT, prefix=site.server.prefix)
    assert site.server.run(lambda: can_connect("127.0.0.1", ID_PORT)) and server.running
