"""rdsrv check: names, clock, tailnet and container, each of them wrong for real, and mended."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

import network
from conftest import Lab
from localcheck import checks, command_of, follow, found, healthy, one
from polling import wait_until
from rdclient import UdpPeer
from rdserver import BINARY, Server, clean_env, is_sanitized

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


def told(lab: Lab, *args: str) -> Path:
    """The directory of a server that tells clients this."""
    return lab.server("serve", *args).directory


# --- names


def test_no_id_server_is_named(lab: Lab) -> None:
    assert "id-server" in found(told(lab), "dns.id", "warn", "no setting says")["fix"]


def test_a_name_that_does_not_resolve(lab: Lab) -> None:
    server = lab.server("serve", "--id-server", "desk.invalid", "--relay-servers", "relay.invalid")
    found(server.directory, "dns.id", "fail", "can't be resolved")
    assert "relay.invalid" in found(server.directory, "dns.relay", "fail", "can't be resolved")["fix"]
    server.stop()
    lab.server("serve", "--id-server", "203.0.113.7", "--relay-servers", "203.0.113.8", directory=server.directory)
    assert "public" in healthy(server.directory, "dns.id")["detail"]
    assert "IPv6 only" in healthy(server.directory, "dns.relay")["detail"]


@pytest.mark.parametrize("relay", ["127.0.0.1", "[::1]:21117", "192.0.2.1,127.0.0.1"])
def test_a_relay_at_loopback(lab: Lab, relay: str) -> None:
    server = lab.server("serve", "--relay-servers", relay)
    assert "--relay-servers" in found(server.directory, "dns.relay", "fail", "its own machine")["fix"]
    server.stop()
    lab.server("serve", "--relay-servers", "198.51.100.4", directory=server.directory)
    healthy(server.directory, "dns.relay")


def test_localhost_is_warned_of(lab: Lab) -> None:
    """Debian's /etc/hosts has a host's own name at loopback, which others don't see: no failure."""
    check = found(told(lab, "--id-server", "localhost"), "dns.id", "warn", "/etc/hosts")
    assert "loopback" in check["detail"]


def test_a_relay_at_no_address(lab: Lab) -> None:
    directory = told(lab, "--relay-servers", "0.0.0.0,198.51.100.4")
    found(directory, "dns.relay", "fail", "where a server listens")


def test_relays_by_network(lab: Lab) -> None:
    directory = told(lab, "--relay-servers", "198.51.100.4 | 192.168.0.0/16=192.168.1.5:21117")
    detail = healthy(directory, "dns.relay")["detail"]
    assert "198.51.100.4" in detail and "192.168.1.5 (private)" in detail


def test_names_of_a_server_elsewhere() -> None:
    done = subprocess.run(
        [str(BINARY), "check", "--host", "desk.invalid", "--only", "dns", "--json"],
        capture_output=True,
        text=True,
        env=clean_env(),
        timeout=20,
    )
    assert done.returncode == 1 and "can't be resolved" in done.stdout


@needs_root
def test_name_servers_that_are_dead(lab: Lab, tmp_path: Path) -> None:
    """Nobody answers: the check ends in time all the same."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.99.99.99\nnameserver 127.99.99.98\n")
    server = lab.server("serve", "--relay-servers", "a.example.com,b.example.com,c.example.com")
    script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-ec", script, "sh", str(conf)]
    check = one(server.directory, "dns.relay", prefix=prefix)
    assert check["status"] == "fail", check


# --- clock


def test_a_file_of_tomorrow(lab: Lab) -> None:
    server = lab.server("serve")
    path = server.directory / "server.conf"
    tomorrow = time.time() + 86_400
    os.utime(path, (tomorrow, tomorrow))
    check = found(server.directory, "clock", "fail", "server.conf was written 2")
    follow(check)
    assert one(server.directory, "clock")["status"] in ("ok", "warn")


@pytest.mark.parametrize("offset", ["-1d", "-3000d"])
@pytest.mark.skipif(not shutil.which("faketime") or is_sanitized(), reason="no faketime, or a sanitizer")
def test_a_clock_that_is_wrong(lab: Lab, offset: str) -> None:
    server = lab.server("serve")
    check = one(server.directory, "clock", prefix=["faketime", "-f", offset])
    assert check["status"] == "fail" and check["fix"], check
    assert one(server.directory, "clock")["status"] in ("ok", "warn")


# --- tailnet

STATUS = """{"BackendState": "%s", "Self": {"DNSName": "desk.tail1234.ts.net.", "TailscaleIPs": ["100.101.102.103"]}}"""


def test_no_tailnet(lab: Lab) -> None:
    if shutil.which("tailscale"):
        pytest.skip("tailscale is installed here")
    assert one(lab.directory(), "tailscale")["status"] == "skip"


@pytest.mark.parametrize(
    "state, name, status, says",
    [
        ("Running", "desk.tail1234.ts.net", "ok", "clients are told it"),
        ("Running", "100.101.102.103", "ok", "clients are told it"),
        ("Running", "other.tail1234.ts.net", "fail", "is not this machine"),
        ("Running", "desk.example.com", "ok", "other names"),
        ("NeedsLogin", "desk.example.com", "warn", "NeedsLogin"),
    ],
)
def test_a_tailnet(lab: Lab, tmp_path: Path, state: str, name: str, status: str, says: str) -> None:
    program = tmp_path / "tailscale"
    program.write_text(f"#!/bin/sh\necho '{STATUS % state}'\n")
    program.chmod(0o755)
    directory = told(lab, "--id-server", name)
    found(directory, "tailscale", status, says, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def test_a_program_that_hangs(lab: Lab, tmp_path: Path) -> None:
    """It is killed with all that it started, in time."""
    mark = tmp_path / "pid"
    program = tmp_path / "tailscale"
    program.write_text(f"#!/bin/sh\nsleep 600 &\necho $! >{mark}\nwait\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    found(lab.directory(), "tailscale", "warn", "doesn't answer", env={"PATH": path}, step_s=3)
    state = Path(f"/proc/{mark.read_text().strip()}/stat")

    def is_gone() -> bool:
        try:
            return state.read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(is_gone, 10, "the end of what it started")


# --- container

IN_CONTAINER = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs t /run; : >/run/.containerenv; exec "$@"', "sh"]


@pytest.fixture
def routed(hosts: network.Hosts) -> Iterator[network.Hosts]:
    """The clients' host is the server's gateway, as Docker's bridge is."""
    name = hosts.server.name
    subprocess.run(["ip", "-n", name, "route", "add", "default", "via", network.A_HOST], check=True)
    yield hosts


def in_container(server: Server, hosts: network.Hosts, status: str, says: str) -> None:
    found(server.directory, "docker", status, says, prefix=hosts.server.prefix + IN_CONTAINER)


@needs_root
def test_all_peers_behind_the_gateway(lab: Lab, routed: network.Hosts) -> None:
    server = lab.server("serve", hosts=[network.SERVER_4[0]], port=21116, prefix=routed.server.prefix)
    in_container(server, routed, "skip", "no client was seen")
    target = server.target()
    for _ in range(2):
        lab.keep(routed.client(lambda: UdpPeer(target, source=network.A_HOST).register()))
    in_container(server, routed, "warn", f"all clients seen (2) arrive as the gateway {network.A_HOST}")
    lab.keep(routed.client(lambda: UdpPeer(target, source=network.B_HOST).register()))
    in_container(server, routed, "ok", "addresses of their own")


def test_no_container(lab: Lab) -> None:
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        pytest.skip("this is a container")
    got = checks(told(lab), "docker")["docker"]
    assert got["status"] == "skip", got
    assert command_of(got) == ""
