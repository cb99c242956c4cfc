"""Goal: on ports where it is due, a trusted proxy's PROXY header, version 1 or 2, says who the client is."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from conftest import Lab
from polling import wait_until
from rdclient import (
    Connection,
    Controller,
    TcpPeer,
    WsConnection,
    WsController,
    WsPeer,
    fresh_source,
)
from rdserver import Server
from rdwire import Address, Result, decode_addr
from test_proxy import CLIENT, CLIENT_V6, OTHERS_TRUSTED, client, ip_on_file, real_ip

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v1(source: Address, to: Address) -> bytes:
    family = "TCP6" if ":" in source[0] else "TCP4"
    return f"PROXY {family} {source[0]} {to[0]} {source[1]} {to[1]}\r\n".encode()


def v2_block(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([0x20 | command, family]) + len(body).to_bytes(2, "big") + body


def v2(source: Address, to: Address, more: bytes = b"") -> bytes:
    addresses = [ipaddress.ip_address(address[0]).packed for address in (source, to)]
    ports = [address[1].to_bytes(2, "big") for address in (source, to)]
    return v2_block(1, 0x21 if ":" in source[0] else 0x11, b"".join(addresses + ports) + more)


def v2_with_tlvs(source: Address, to: Address) -> bytes:
    authority = b"\x02\x00\x0aid.example"
    return v2(source, to, authority + b"\x05\x00\x04uniq" + b"\x04\x00\x64" + bytes(100))


HEADERS = [v1, v2, v2_with_tlvs]
FROM = [(CLIENT, 40_007), (CLIENT_V6, 40_008)]
WAYS = [TcpPeer, WsPeer]
any_header = pytest.mark.parametrize("header", HEADERS, ids=lambda f: f.__name__)
any_source = pytest.mark.parametrize("source", FROM, ids=["IPv4", "IPv6"])
any_way = pytest.mark.parametrize("way", WAYS)


def proxied_site(lab: Lab, *args: str) -> Server:
    """A server that expects PROXY headers on TCP N and N+2."""
    server = lab.prepare("id", *args)
    server.args += ["--proxy-protocol", f"{server.port},{server.port + 2}"]
    return server.start()


def header_to(header: Any, server: Server, source: Address) -> bytes:
    to = "2001:db8::1" if ":" in source[0] else "192.0.2.1"
    return header(source, (to, server.port))


@any_header
@any_source
@any_way
def test_proxy_header(lab: Lab, way: Any, header: Any, source: Address) -> None:
    """The client's address is the one in the header, of either version."""
    server = proxied_site(lab)
    b = lab.joined(way, server.target(), preamble=header_to(header, server, source))
    assert ip_on_file(server, b.id) == source[0]


@any_header
@any_source
def test_a_behind_proxy_protocol(lab: Lab, header: Any, source: Address) -> None:
    """The true port is known here: B is told A's address and port; B's own are told to A."""
    server = proxied_site(lab)
    b = lab.joined(TcpPeer, server.target(), preamble=v1(("198.51.100.4", 41_000), ("192.0.2.1", 1)))
    a = lab.keep(Controller(server.target(), fresh_source(), header_to(header, server, source)))
    a.punch(b.id)
    hole = b.expect("PunchHole")
    assert decode_addr(hole["socket_addr"]) == source
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    answer = a.expect("PunchHoleResponse")
    assert decode_addr(answer["socket_addr"]) == ("198.51.100.4", 41_000)
    assert a.verified(answer) == (b.id, b.pk)


@any_header
def test_a_on_websocket_behind_proxy_protocol(lab: Lab, header: Any) -> None:
    """The same on N+2."""
    server = proxied_site(lab)
    b = lab.joined(WsPeer, server.target(), preamble=LOCAL["v2 LOCAL"])
    preamble = header_to(header, server, FROM[0])
    a = lab.keep(WsController(server.target(), fresh_source(), preamble=preamble))
    a.punch(b.id)
    hole = b.expect("PunchHole")
    assert decode_addr(hole["socket_addr"]) == FROM[0]
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


def test_same_ip_rule_behind_proxy_protocol(lab: Lab) -> None:
    """A and B of one IP behind a TCP proxy: FetchLocalAddr."""
    server = proxied_site(lab)
    b = lab.joined(TcpPeer, server.target(), preamble=v1((CLIENT, 41_000), ("192.0.2.1", 1)))
    a = lab.keep(Controller(server.target(), fresh_source(), v2((CLIENT, 41_001), ("192.0.2.1", 1))))
    a.punch(b.id)
    assert decode_addr(b.expect("FetchLocalAddr")["socket_addr"]) == (CLIENT, 41_001)


LOCAL = {
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n",
    "v1 UNKNOWN with more": b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
    "v2 LOCAL": v2_block(0, 0x00, b""),
    "v2 LOCAL with an address": v2_block(0, 0x11, bytes([203, 0, 113, 7, 192, 0, 2, 1, 1, 1, 2, 2])),
    "v2 UNSPEC": v2_block(1, 0x00, b""),
    "v2 UNSPEC with more": v2_block(1, 0x00, bytes(20)),
}


@pytest.mark.parametrize("name", LOCAL)
@any_way
def test_header_without_an_address(lab: Lab, way: Any, name: str) -> None:
    """LOCAL and UNKNOWN, as health checks send them: the connection's own address counts."""
    server = proxied_site(lab)
    b = lab.joined(way, server.target(), preamble=LOCAL[name])
    assert ip_on_file(server, b.id) == b.source


MALFORMED = {
    "none": b"\x08\xa2\x01",
    "v1 without an address": b"PROXY TCP4\r\n",
    "v1 of no family": b"PROXY TCP5 203.0.113.7 192.0.2.1 40000 21116\r\n",
    "v1 bad address": b"PROXY TCP4 203.0.113.777 192.0.2.1 40000 21116\r\n",
    "v1 family mixed up": b"PROXY TCP4 2001:db8::7 2001:db8::1 40000 21116\r\n",
    "v1 bad port": b"PROXY TCP4 203.0.113.7 192.0.2.1 400000 21116\r\n",
    "v1 no port": b"PROXY TCP4 203.0.113.7 192.0.2.1\r\n",
    "v1 endless": b"PROXY TCP4 " + b"1" * 200,
    "v1 in small letters": b"proxy tcp4 203.0.113.7 192.0.2.1 40000 21116\r\n",
    "v2 short body": v2_block(1, 0x11, bytes(11)),
    "v2 short body for IPv6": v2_block(1, 0x21, bytes(35)),
    "v2 of version 3": SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
    "v2 unknown command": v2_block(5, 0x11, bytes(12)),
    "v2 wrong signature": b"\r\n\r\n\x00\r\nQUIT\r" + bytes(16),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("above", [0, 2], ids=["TCP N", "WebSocket"])
def test_malformed_proxy_header(lab: Lab, name: str, above: int) -> None:
    """No header, or a bad one, where one is due ends the connection, and no other."""
    server = proxied_site(lab)
    connection = lab.connection((server.host, server.port + above))
    connection.send_raw(MALFORMED[name])
    connection.try_to_send(bytes(20))
    assert_ends_without_answer(connection)
    lab.joined(TcpPeer, server.target(), preamble=header_to(v2, server, FROM[0]))


def assert_ends_without_answer(connection: Connection) -> None:
    """The connection ends soon; at most a refusal of the handshake comes before, never an answer."""
    data = b""
    try:
        while chunk := connection.sock.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    assert not data.startswith(b"HTTP/1.1 101"), data


class WsInPieces(WsConnection):
    """Its first bytes, up to its half of the handshake, go out one by one."""

    def send_raw(self, data: bytes) -> None:
        self.send_bytewise(data)


class WsPieces(WsPeer):
    """B whose connection comes so."""

    def new_connection(self) -> WsConnection:
        return WsInPieces(self.target, self.source, preamble=self.preamble)


@any_header
@pytest.mark.parametrize("above", [0, 2], ids=["TCP N", "WebSocket"])
def test_proxy_header_byte_by_byte(lab: Lab, header: Any, above: int) -> None:
    """The header may come in any pieces, and what follows may come with its end."""
    server = proxied_site(lab)
    data = header_to(header, server, FROM[0])
    b: TcpPeer | WsPeer
    if above:
        b = WsPieces(server.target(), preamble=data)
    else:
        b = TcpPeer(server.target())
        b.connection.send_bytewise(data)
    lab.keep(b).register()
    assert ip_on_file(server, b.id) == CLIENT


def test_limits_behind_proxy_protocol(lab: Lab) -> None:
    """Clients behind one TCP proxy have a count each."""
    server = proxied_site(lab, "--limit-register-minute", "3")
    source = fresh_source()
    for ip in (client(), client()):
        peers = [
            lab.connected(TcpPeer, server.target(), source=source, preamble=header_to(v2, server, (ip, 40_000 + i)))
            for i in range(4)
        ]
        assert [b.register_pk() for b in peers] == [Result.OK] * 3 + [Result.TOO_FREQUENT]


@any_header
@any_way
def test_untrusted_proxy_header(lab: Lab, way: Any, header: Any) -> None:
    """From an address that is no trusted proxy a PROXY header never counts: it is ignored or refused, and counted."""
    server = proxied_site(lab, *OTHERS_TRUSTED)
    try:
        b = lab.connected(way, server.target(), preamble=header_to(header, server, FROM[0]))
        b.send_register_pk()
        answer = b.connection.recv()
    except (AssertionError, OSError):
        answer = None  # refused
    if answer is not None:
        assert ip_on_file(server, b.id) == b.source
    wait_until(lambda: server.counter("proxy-untrusted") >= 1, 5, "counted")


def test_proxy_header_where_none_is_due(lab: Lab) -> None:
    """On a port that isn't named, the header is junk, even from a trusted address."""
    server = lab.server("id")
    connection = lab.connection(server.target().id_port)
    connection.send_raw(header_to(v1, server, FROM[0]))
    connection.expect_closed()
    lab.registered(server.target())


def test_client_headers_behind_proxy_protocol(lab: Lab) -> None:
    """A client behind a TCP proxy can't name another address in an HTTP header: it is no trusted proxy itself."""
    server = proxied_site(lab)
    preamble = header_to(v2, server, FROM[0])
    b = lab.joined(WsPeer, server.target(), headers=real_ip("198.51.100.99"), preamble=preamble)
    assert ip_on_file(server, b.id) == CLIENT


def test_http_proxy_behind_proxy_protocol(lab: Lab) -> None:
    """A trusted HTTP proxy behind a TCP proxy may: the header's word counts."""
    server = proxied_site(lab, "--trusted-proxies", "127.0.0.0/8,10.0.0.0/8")
    preamble = header_to(v2, server, ("10.3.3.3", 40_000))
    b = lab.joined(WsPeer, server.target(), headers=real_ip(CLIENT), preamble=preamble)
    assert ip_on_file(server, b.id) == CLIENT


def test_probe_of_a_proxy_port(lab: Lab) -> None:
    """Opened and closed without a byte, or with LOCAL and nothing more: no abuse."""
    server = proxied_site(lab)
    source = fresh_source()
    for number in range(60):
        preamble = LOCAL["v2 LOCAL"] if number % 2 else b""
        Connection((server.host, server.port + number // 2 % 2 * 2), source, preamble=preamble).close()
    connection = lab.keep(WsConnection(server.target(), source, preamble=LOCAL["v2 LOCAL"]))
    connection.send("TestNatRequest")
    assert connection.expect("TestNatResponse")["port"] == connection.local[1]
    assert not [e for e in server.events if e.get("level") in ("error", "warn", "warning") and "reason" in e]
