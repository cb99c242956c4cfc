"""Goal: a server that is bound to an interface by name waits for it, and follows its addresses.

The interface is a cable between two hosts of our own that is called tailscale0, with addresses as a tailnet has them.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

import network
from clihelp import WAIT_S
from conftest import Lab
from handover import Manager
from localcheck import checks
from network import Host
from polling import wait_until
from rdclient import RelaySide, UdpPeer, assert_joined, fresh_uuid
from rdserver import Server
from test_addresses import assert_reached, assert_relayed

NAME = "tailscale0"
OWN, OTHER = "100.64.0.1", "100.101.7.9"
OWN_6 = "fd7a:115c:a1e0::1"
CLIENT, CLIENT_2 = "100.64.0.2", "100.64.0.3"
LAN, LAN_CLIENT = "10.213.7.1", "10.213.7.2"
PORT = 21116
ROLES = {"id": 4, "relay": 3, "serve": 7}  # and on how many ports each listens


class Tailnet:
    """Two hosts; the interface comes and goes."""

    def __init__(self) -> None:
        self.server, self.clients = Host("s"), Host("c")

    def create(self) -> None:
        self.server.create()
        self.clients.create()
        # When the first address of a network goes, its others stay.
        self.server.run(lambda: Path("/proc/sys/net/ipv4/conf/all/promote_secondaries").write_text("1"))

    def remove(self) -> None:
        self.server.remove()
        self.clients.remove()

    def join(self, *addresses: str) -> None:
        """The interface is made, then gets the server's addresses, then comes up."""
        network.connect(self.server, self.clients, NAME)
        self.clients.set_up(NAME, [f"{CLIENT}/10", f"{CLIENT_2}/10", "fd7a:115c:a1e0::2/48"])
        self.server.set_up(NAME, [self._with_length(address) for address in addresses])

    def leave(self) -> None:
        self.ip("link", "del", NAME)

    def add(self, address: str) -> None:
        self.server.set_up(NAME, [self._with_length(address)])

    def drop(self, address: str) -> None:
        self.ip("addr", "del", self._with_length(address), "dev", NAME)

    @staticmethod
    def _with_length(address: str) -> str:
        return address + ("/48" if ":" in address else "/10")

    def ip(self, *args: str) -> None:
        subprocess.run(["ip", "-n", self.server.name, *args], check=True, capture_output=True)

    def client(self, fn: Callable[[], object]) -> None:
        self.clients.run(fn)


@pytest.fixture
def tailnet() -> Iterator[Tailnet]:
    if not network.can_make_hosts():
        pytest.skip("network namespaces can't be made here")
    tailnet = Tailnet()
    try:
        tailnet.create()
        yield tailnet
    finally:
        tailnet.remove()


def server_on(lab: Lab, tailnet: Tailnet, role: str = "serve", *more: str, env: dict[str, str] = {}) -> Server:
    return lab.server(role, hosts=[NAME, *more], port=PORT, prefix=tailnet.server.prefix, env=env)


def listens(server: Server, address: str, times: int = 1, role: str = "serve") -> None:
    """Waits until all ports are open there, for the nth time."""
    shown = f"[{address}]:" if ":" in address else f"{address}:"
    opened = lambda: [e for e in server.logged("listening") if e["addr"].startswith(shown)]
    wait_until(lambda: len(opened()) == times * ROLES[role], WAIT_S, f"listening on {address}:\n" + server.log_text())


def waits(server: Server, times: int = 1) -> None:
    event = "waiting for interfaces of bind to have an address"
    wait_until(lambda: len(server.logged(event, interfaces=NAME)) == times, WAIT_S, "waiting\n" + server.log_text())


def whole_session(lab: Lab, tailnet: Tailnet, server: Server, address: str) -> None:
    """A client at the other end registers and is reached, and a session is relayed."""
    target = server.target(address)

    def go() -> None:
        assert_relayed(target)  # first: by TCP, which says it again where the interface isn't quite up
        b = lab.registered(target, source=CLIENT_2)
        assert_reached(b, lab.controller(target, CLIENT))

    tailnet.client(go)


@pytest.mark.parametrize("role", list(ROLES))
def test_interface_that_comes_later(tailnet: Tailnet, lab: Lab, role: str, tmp_path: Path) -> None:
    """A start before the interface is there says what it waits for, in the log and to the service manager."""
    manager = Manager(str(tmp_path / "notify"))
    server = server_on(lab, tailnet, role, env=manager.env)
    assert f"STATUS=waiting for {NAME}" in manager.until("READY=1")
    waits(server)
    assert not server.logged("listening")
    tailnet.join(OWN)
    listens(server, OWN, role=role)
    assert "waiting" not in manager.until("STATUS=")
    assert server.logged("all interfaces of bind have addresses")
    if role == "serve":
        whole_session(lab, tailnet, server, OWN)
    manager.sock.close()


def test_interface_without_an_address(tailnet: Tailnet, lab: Lab) -> None:
    """An interface that is there, and has its address later, of the other family still later."""
    tailnet.join()
    server = server_on(lab, tailnet)
    waits(server)
    tailnet.add(OWN)
    listens(server, OWN)
    tailnet.add(OWN_6)
    listens(server, OWN_6)
    whole_session(lab, tailnet, server, OWN)


def test_check_while_it_waits(tailnet: Tailnet, lab: Lab) -> None:
    """The server is well: what is missing is the interface, and nothing is to be restarted for that."""
    server = server_on(lab, tailnet)
    waits(server)
    results = checks(server.directory, "listen", prefix=tailnet.server.prefix)
    assert len(results) == ROLES["serve"]
    for check in results.values():
        assert check["status"] == "fail" and f"waits for the interface {NAME} of bind" in check["detail"], check
        assert f"bring {NAME} up" in check["fix"] and "kill" not in check["fix"], check
    tailnet.join(OWN)
    listens(server, OWN)
    for check in checks(server.directory, "listen", prefix=tailnet.server.prefix).values():
        assert check["status"] == "ok" and OWN in check["detail"], check


def test_interface_that_gets_its_name_later(tailnet: Tailnet, lab: Lab) -> None:
    """It is the name that counts."""
    tailnet.ip("link", "add", "dummy7", "type", "veth", "peer", "name", "dummy8")
    tailnet.server.set_up("dummy7", [f"{OWN}/10"])
    server = server_on(lab, tailnet)
    waits(server)
    tailnet.ip("link", "set", "dummy7", "down")
    tailnet.ip("link", "set", "dummy7", "name", NAME)
    listens(server, OWN)


def test_address_changes(tailnet: Tailnet, lab: Lab) -> None:
    """The new address is served, the old one isn't any more, and nobody at other addresses notices."""
    tailnet.join(OWN)
    network.connect(tailnet.server, tailnet.clients, "lan")
    tailnet.server.set_up("lan", [f"{LAN}/24"])
    tailnet.clients.set_up("lan", [f"{LAN_CLIENT}/24"])
    server = server_on(lab, tailnet, "serve", LAN)
    at_lan = server.target(LAN)
    kept: list[tuple[UdpPeer, RelaySide, RelaySide]] = []

    def settle() -> None:
        uuid = fresh_uuid()
        one, two = (lab.keep(RelaySide(at_lan.relay_port)).join(uuid, at_lan.key) for _ in range(2))
        kept.append((lab.registered(at_lan, source=LAN_CLIENT), one, two))

    tailnet.client(settle)
    listening_at_lan = len([e for e in server.logged("listening") if e["addr"].startswith(LAN)])
    whole_session(lab, tailnet, server, OWN)
    tailnet.add(OTHER)
    listens(server, OTHER)
    tailnet.drop(OWN)
    gone = "no longer listening: the address is gone"
    wait_until(lambda: len(server.logged(gone)) == ROLES["serve"], WAIT_S, server.log_text())
    whole_session(lab, tailnet, server, OTHER)
    b, one, two = kept[0]
    tailnet.client(lambda: assert_reached(b, lab.controller(at_lan, LAN_CLIENT)))
    assert_joined(one, two)
    assert len([e for e in server.logged("listening") if e["addr"].startswith(LAN)]) == listening_at_lan


def test_interface_vanishes_and_comes_back(tailnet: Tailnet, lab: Lab) -> None:
    """While it is away the server waits; then everything works again, and who was registered is reached as before."""
    tailnet.join(OWN, OWN_6)
    server = server_on(lab, tailnet)
    descriptors = server.descriptors()
    target = server.target(OWN)
    peers: list[UdpPeer] = []
    tailnet.client(lambda: peers.append(lab.registered(target, source=CLIENT_2)))
    for times in (1, 2, 3):
        tailnet.leave()
        waits(server, times)
        assert server.status_of("id")["peers"] >= 1
        tailnet.join(OWN, OWN_6)
        listens(server, OWN, times + 1)
        listens(server, OWN_6, times + 1)
        tailnet.client(lambda: assert_reached(peers[0], lab.controller(target, CLIENT)))
        whole_session(lab, tailnet, server, OWN)
    lab.close_clients()
    wait_until(lambda: server.descriptors() <= descriptors + 4, WAIT_S, "no descriptor is left")


def test_port_taken_for_a_while(tailnet: Tailnet, lab: Lab) -> None:
    """Another program's socket at the new address is named; when it is gone the server takes its place."""
    holder = tailnet.server.run(lambda: _listener("0.0.0.0", PORT - 1))
    server = server_on(lab, tailnet)
    tailnet.join(OWN)
    wait_until(lambda: server.logged("can't listen yet: trying again"), WAIT_S, server.log_text())
    assert str(PORT - 1) in server.logged("can't listen yet: trying again")[0]["why"]
    holder.close()
    listens(server, OWN)
    whole_session(lab, tailnet, server, OWN)


def _listener(host: str, port: int) -> socket.socket:
    sock = socket.socket()
    sock.bind((host, port))
    sock.listen()
    return sock


def test_address_named_beside_its_interface(tailnet: Tailnet, lab: Lab) -> None:
    """An address that is also named by itself stays, whatever becomes of the interface."""
    tailnet.join(OWN)
    server = server_on(lab, tailnet, "serve", OWN)
    listens(server, OWN)
    tailnet.add(OTHER)
    listens(server, OTHER)
    tailnet.drop(OTHER)
    gone = "no longer listening: the address is gone"
    wait_until(lambda: len(server.logged(gone)) == ROLES["serve"], WAIT_S, server.log_text())
    whole_session(lab, tailnet, server, OWN)


def test_many_addresses_over_time(tailnet: Tailnet, lab: Lab) -> None:
    """A hundred addresses one after the other: sockets and memory don't grow."""
    tailnet.join(OWN)
    server = server_on(lab, tailnet, "id")
    listens(server, OWN, role="id")
    descriptors = server.descriptors()
    for number in range(100):
        address = f"100.99.0.{number + 1}"
        tailnet.add(address)
        listens(server, address, role="id")
        tailnet.drop(address)
    gone = "no longer listening: the address is gone"
    wait_until(lambda: len(server.logged(gone)) == 100 * ROLES["id"], WAIT_S, "all are gone")
    wait_until(lambda: server.descriptors() <= descriptors, WAIT_S, "no more descriptors than before")
