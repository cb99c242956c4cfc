"""Goal: on the relay's ports, too, a trusted proxy's word on who its clients are counts, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Lab
from polling import wait_until
from rdclient import Connection, WsConnection, fresh_source, fresh_uuid
from rdserver import Server
from rdwire import Address
from relaysides import Kind, Side, TcpSide, WsIdSide, WsSide, assert_talk, request_of
from test_proxy import CLIENT, CLIENT_V6, FORWARDED, OTHERS_TRUSTED, forwarded, proxy, real_ip
from test_proxy_protocol import FROM, HEADERS, LOCAL, header_to, v1, v2

any_header = pytest.mark.parametrize("header", HEADERS, ids=lambda f: f.__name__)
any_source = pytest.mark.parametrize("source", FROM, ids=["IPv4", "IPv6"])
any_way = pytest.mark.parametrize("way", [TcpSide, WsSide, WsIdSide], ids=["M", "M+2", "N+2"])
websocket_way = pytest.mark.parametrize("way", [WsSide, WsIdSide], ids=["M+2", "N+2"])


def proxied_site(lab: Lab, *args: str) -> Server:
    """Both roles, which expect PROXY headers on TCP M, M+2 and N+2."""
    server = lab.prepare("serve", *args)
    server.args += ["--proxy-protocol", f"{server.port + 1},{server.port + 2},{server.port + 3}"]
    return server.start()


def open_to_all(lab: Lab, *args: str) -> Server:
    """Both roles, without PROXY headers."""
    return lab.server("serve", *args)


def ledger_of(server: Server, uuid: str) -> dict[str, Any]:
    """The line of the session that has ended."""
    (line,) = wait_until(lambda: server.logged("session ended", uuid=uuid[:8]), 10, "the session's line")
    return line


def host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def seen(lab: Lab, server: Server, side: Side, preamble: bytes = b"") -> str:
    """The address that the ledger has for a side which hasn't asked yet; the other side may need a preamble."""
    target, uuid = server.target(), fresh_uuid()
    side.ask(uuid, target.key)
    other = TcpSide(target, preamble=preamble)
    assert_talk(side, lab.keep(other).ask(uuid, target.key))
    lab.close_clients()
    line = ledger_of(server, uuid)
    own = "%s:%d" % other.local
    return str(line["second"] if line["first"] == own else line["first"])


# --- HTTP headers ---------------------------------------------------------------------------------------------------


@websocket_way
@pytest.mark.parametrize("name", ["X-Real-IP", "x-real-ip", "X-Forwarded-For"])
@pytest.mark.parametrize("ip", [CLIENT, CLIENT_V6])
def test_header_of_a_trusted_proxy(lab: Lab, way: type[WsSide], name: str, ip: str) -> None:
    """By default loopback is trusted: the client is who the header says."""
    server = open_to_all(lab)
    assert host_of(seen(lab, server, lab.keep(way(server.target(), headers=[(name, ip)])))) == ip


@websocket_way
@pytest.mark.parametrize("name", FORWARDED)
def test_rightmost_untrusted_wins(lab: Lab, way: type[WsSide], name: str) -> None:
    """Of X-Forwarded-For the rightmost address that is no trusted proxy's counts."""
    values, ip = FORWARDED[name]
    server = open_to_all(lab)
    assert host_of(seen(lab, server, lab.keep(way(server.target(), headers=forwarded(*values))))) == ip


@websocket_way
@pytest.mark.parametrize("headers", [real_ip(CLIENT), forwarded(CLIENT), forwarded("10.1.1.1")], ids=str)
def test_untrusted_headers_are_ignored_and_counted(lab: Lab, way: type[WsSide], headers: list[tuple[str, str]]) -> None:
    """From any other address headers change nothing, and are counted."""
    server = open_to_all(lab, *OTHERS_TRUSTED)
    side = lab.keep(way(server.target(), headers=headers))
    assert seen(lab, server, side) == "%s:%d" % side.local
    counters = server.status_of("relay")["counters"]
    assert counters["proxy-untrusted"] == 1


# --- PROXY headers --------------------------------------------------------------------------------------------------


@any_way
@any_header
@any_source
def test_proxy_header(lab: Lab, way: Kind, header: Any, source: Address) -> None:
    """The client's address and port are those of the header, of either version."""
    server = proxied_site(lab)
    side = lab.keep(way(server.target(), preamble=header_to(header, server, source)))
    address = seen(lab, server, side, preamble=LOCAL["v2 LOCAL"])
    assert (host_of(address), int(address.rpartition(":")[2])) == source


@any_way
@any_header
def test_untrusted_proxy_header(lab: Lab, way: Kind, header: Any) -> None:
    """From an address that is no trusted proxy it is ignored and counted."""
    server = proxied_site(lab, *OTHERS_TRUSTED)
    side = lab.keep(way(server.target(), preamble=header_to(header, server, FROM[0])))
    assert seen(lab, server, side) == "%s:%d" % side.local
    role = "id" if way is WsIdSide else "relay"
    assert server.status_of(role)["counters"]["proxy-untrusted"] == 1


@any_way
def test_missing_header(lab: Lab, way: Kind) -> None:
    """A trusted proxy that sends none where it is due is closed: else its client would pass for the proxy."""
    server = proxied_site(lab)
    target = server.target()
    try:
        side = lab.keep(way(target)).ask(fresh_uuid(), target.key)
        side.recv_payload()
    except (AssertionError, OSError):
        return  # refused in the handshake already
    side.expect_end()


def test_untrusted_without_a_header(lab: Lab) -> None:
    """Who is no proxy needs none."""
    server = proxied_site(lab, *OTHERS_TRUSTED)
    side = lab.keep(TcpSide(server.target()))
    assert seen(lab, server, side) == "%s:%d" % side.local


@any_header
def test_proxy_header_byte_by_byte(lab: Lab, header: Any) -> None:
    """The header, and the request behind it, may come in any pieces."""
    server = proxied_site(lab)
    target, uuid = server.target(), fresh_uuid()
    side = lab.keep(TcpSide(target))
    side.send_bytewise(header_to(header, server, FROM[0]) + side.wrapped(request_of(uuid, target.key)))
    other = lab.keep(TcpSide(target, preamble=LOCAL["v2 LOCAL"])).ask(uuid, target.key)
    assert_talk(side, other)
    lab.close_clients()
    assert CLIENT in str(ledger_of(server, uuid))


def test_proxy_header_in_one_segment_with_the_rest(lab: Lab) -> None:
    """Header, request and early bytes at once."""
    server = proxied_site(lab)
    target, uuid = server.target(), fresh_uuid()
    first = lab.keep(TcpSide(target))
    first.send_raw(header_to(v1, server, FROM[0]) + first.wrapped(request_of(uuid, target.key)) + b"early")
    second = lab.keep(TcpSide(target, preamble=header_to(v2, server, FROM[1]))).ask(uuid, target.key)
    assert second.recv_exactly(5) == b"early"


@pytest.mark.parametrize("way", [TcpSide, WsSide], ids=["M", "M+2"])
def test_proxy_header_where_none_is_due(lab: Lab, way: Kind) -> None:
    """On a port that isn't named it is junk, even from a trusted address."""
    server = open_to_all(lab)
    address = server.target().relay_port if way is TcpSide else server.target().relay_websocket_port
    connection = lab.keep(Connection(address))
    connection.try_to_send(header_to(v1, server, FROM[0]))
    data = b""
    while chunk := connection.sock.recv(1000):
        data += chunk
    assert data == b"" or data.startswith(b"HTTP/1.1 400")


@websocket_way
def test_client_headers_behind_proxy_protocol(lab: Lab, way: type[WsSide]) -> None:
    """A client behind a TCP proxy can't name another address in an HTTP header; a trusted proxy there can."""
    server = proxied_site(lab, "--trusted-proxies", "127.0.0.0/8,10.0.0.0/8")
    for behind, told in ((CLIENT, CLIENT), ("10.3.3.3", "198.51.100.99")):
        preamble = header_to(v2, server, (behind, 40_000))
        side = lab.keep(way(server.target(), headers=real_ip("198.51.100.99"), preamble=preamble))
        assert host_of(seen(lab, server, side, preamble=LOCAL["v2 LOCAL"])) == told


# --- what depends on it ---------------------------------------------------------------------------------------------


@any_way
def test_blocked_behind_a_proxy(lab: Lab, way: Kind) -> None:
    """blocklist.txt means the clients behind a proxy, not the proxy, which others use, too."""
    (lab.directory() / "blocklist.txt").write_text(f"{CLIENT}\n")
    server = proxied_site(lab)
    target, source = server.target(), proxy()
    try:
        blocked = lab.keep(way(target, source, preamble=v1((CLIENT, 1000), ("192.0.2.1", 1))))
        blocked.ask(fresh_uuid(), target.key)
        assert blocked.recv_payload() is None
    except (AssertionError, OSError):
        pass  # refused in the handshake already
    assert server.status_of("relay")["counters"]["blocked"] == 1
    neighbour = lab.keep(way(target, source, preamble=v1(("203.0.113.8", 1000), ("192.0.2.1", 1))))
    assert host_of(seen(lab, server, neighbour, preamble=LOCAL["v2 LOCAL"])) == "203.0.113.8"


def test_waiting_is_counted_by_client(lab: Lab) -> None:
    """1,000 that wait behind one client's address leave no room for its next one, and full room for its neighbours."""
    server = lab.server("relay", log_level="info")
    target, source = server.target(), proxy()
    crowd = [
        lab.keep(WsSide(target, source, headers=real_ip(CLIENT))).ask(fresh_uuid(), target.key) for _ in range(1000)
    ]
    wait_until(lambda: server.status()["waiting"] == 1000, 20, "all wait")
    assert_refused(lab, server, source, CLIENT)
    neighbour = lab.keep(WsSide(target, source, headers=real_ip("203.0.113.8"))).ask(fresh_uuid(), target.key)
    wait_until(lambda: server.status()["waiting"] == 1001, 20, "the neighbour waits")
    assert neighbour.is_open() and crowd[0].is_open()


def assert_refused(lab: Lab, server: Server, source: str, ip: str) -> None:
    """In the handshake or behind it, and counted."""
    before = server.counter("relay-full")
    try:
        side = WsConnection(server.target(), source, real_ip(ip), address=server.target().relay_websocket_port)
        lab.keep(side)
        assert side.recv_payload() is None
    except (AssertionError, OSError):
        pass
    assert server.counter("relay-full") == before + 1


def test_many_through_one_proxy(lab: Lab) -> None:
    """A proxy's own address is no client's: 1,200 clients behind it may wait at the same time."""
    server = lab.server("relay", log_level="info")
    target, source = server.target(), fresh_source("127.2.")
    for number in range(1200):
        ip = "100.64.%d.%d" % divmod(number, 250)
        lab.keep(WsSide(target, source, headers=real_ip(ip))).ask(fresh_uuid(), target.key)
    wait_until(lambda: server.status()["waiting"] == 1200, 20, "all wait")
