"""rdsrv check across a network of our own: behind a firewall, with ports that are dropped, with names that mislead."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any, Iterator

import pytest

from conftest import Lab
from localcheck import STEP_S
from network import SERVER_4, Host, Hosts
from polling import in_one_of
from rdserver import Server
from test_check_play import PLAYED, all_fine, played, statuses

PORT = 21116
OPEN = """
table inet guard {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    meta l4proto ipv6-icmp accept
    tcp dport { 21115-21119 } accept
    udp dport 21116 accept
    tcp dport 21114 reject with tcp reset
  }
}
"""


def nft(host: Host, text: str) -> None:
    done = subprocess.run([*host.prefix, "nft", "-f", "-"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def dropped(host: Host, rule: str) -> Iterator[None]:
    """While it lasts, the host drops what the rule says without a word."""
    nft(host, f"table inet fault {{ chain input {{ type filter hook input priority -1; {rule} drop; }}; }}")
    try:
        yield
    finally:
        nft(host, "delete table inet fault")


@pytest.fixture
def server(hosts: Hosts, lab: Lab) -> Iterator[Server]:
    yield lab.server("serve", hosts=None, port=PORT, prefix=hosts.server.prefix)
    lab.close_clients()


def look(hosts: Hosts, server: Server, *args: str, step_s: int = STEP_S) -> dict[str, Any]:
    """A check from the other host; it ends in some three steps, whatever is the matter."""
    began = time.monotonic()
    args = ("--host", SERVER_4[0], "--key", server.key, "--timeout", str(step_s), *args)
    results = played(*args, prefix=tuple(hosts.clients.prefix))
    assert time.monotonic() - began < 3.4 * step_s + 4
    return results


def test_behind_a_firewall_that_lets_the_ports_through(hosts: Hosts, server: Server) -> None:
    nft(hosts.server, OPEN)
    all_fine(look(hosts, server, "--register", "--only", ",".join(PLAYED)))


def failing(results: dict[str, Any]) -> set[str]:
    return {name for name, status in statuses(results).items() if status == "fail"}


@pytest.mark.parametrize(
    "rule, names, fix",
    [
        ("udp dport 21116", {"udp.register", "nat"}, "ufw allow 21116/udp"),
        ("tcp dport 21116", {"tcp.secure", "punch", "nat"}, "ufw allow 21116/tcp"),
        ("tcp dport 21115", {"nat", "online"}, "21115"),
        ("tcp dport 21117", {"relay.tcp", "relay.mixed", "relay.name"}, "ufw allow 21117/tcp"),
        ("tcp dport 21118", {"ws.register"}, "ufw allow 21118/tcp"),
        ("tcp dport 21119", {"relay.ws", "relay.mixed"}, "ufw allow 21119/tcp"),
    ],
)
def test_one_port_that_is_dropped(hosts: Hosts, server: Server, rule: str, names: set[str], fix: str) -> None:
    """Found by what needs that port, and by nothing else; with the port open all is well again."""

    def finds() -> None:
        results = look(hosts, server, "--register", step_s=1)
        assert failing(results) == names, results
        assert all(rule.split()[-1] in results[name]["detail"] + results[name]["fix"] for name in names), results
        assert any(fix in results[name]["fix"] for name in names), results

    with dropped(hosts.server, rule):
        in_one_of(3, finds)
    assert not failing(look(hosts, server, "--register"))


def test_the_api_s_port_is_dropped(hosts: Hosts, server: Server) -> None:
    with dropped(hosts.server, "tcp dport 21114"):
        check = look(hosts, server, "--only", "http.21114", step_s=1)["http.21114"]
    assert check["status"] == "warn" and "not ready" in check["detail"] and "ufw reject 21114/tcp" in check["fix"]
    nft(hosts.server, OPEN)
    assert look(hosts, server, "--only", "http.21114")["http.21114"]["status"] == "ok"


def test_everything_is_dropped(hosts: Hosts, server: Server) -> None:
    with dropped(hosts.server, "ip saddr 10.213.7.0/24"):
        results = look(hosts, server, step_s=1)
    assert {"udp.register", "tcp.secure", "ws.register", "punch", "relay.tcp"} <= failing(results)
    assert all(check["fix"] for check in results.values() if check["status"] == "fail")


def test_a_relay_s_name_that_is_dropped_inside(hosts: Hosts, lab: Lab) -> None:
    """Clients are told an address that this host itself can't come to: it may be hairpin NAT, so it is no failure."""
    server = lab.server("serve", "--relay-servers", "10.213.7.11", hosts=None, port=PORT, prefix=hosts.server.prefix)
    with dropped(hosts.clients, "tcp dport 21117"):
        results = played_here(server)
    assert results["relay.name"]["status"] == "warn" and "hairpin" in results["relay.name"]["fix"], results


def played_here(server: Server) -> dict[str, Any]:
    return played("--data-dir", str(server.directory), "--only", "relay.name", prefix=tuple(server.prefix))
