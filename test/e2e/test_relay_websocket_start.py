"""Goal: a WebSocket connection finds the relay, by port or by path, and its first message counts however it comes."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any

import pytest
import websockets
import websockets.exceptions

import rdwire
import rdws
from conftest import Lab
from polling import wait_until
from rdclient import Connection, Target, WsConnection, fresh_uuid
from rdwire import Address
from relaysides import PAIRS, Kind, TcpSide, WsIdSide, WsSide, assert_talk, name_of, paired, request_of

OTHER_KEY = rdwire.key_text(bytes(range(32)))
MIB = 1 << 20


@pytest.fixture(params=[WsSide, WsIdSide], ids=["M+2", "N+2"])
def kind(request: pytest.FixtureRequest) -> type[WsSide]:
    """Both ways to a relay in one process with an ID server."""
    kind: type[WsSide] = request.param
    return kind


def assert_pairs(lab: Lab, target: Target, side: WsSide, uuid: str) -> None:
    """The side has asked for this session, and gets it."""
    assert_talk(side, lab.keep(TcpSide(target)).ask(uuid, target.key))


# --- where ----------------------------------------------------------------------------------------------------------


def test_all_ways_meet(site: Target, lab: Lab) -> None:
    """TCP, port M+2 and port N+2 under /ws/relay lead to one relay."""
    kinds: list[Kind] = [TcpSide, WsSide, WsIdSide]
    for one in kinds:
        for other in kinds:
            paired(lab, site, (one, other))


@pytest.mark.parametrize("path", ["/ws/relay", "/ws/relay/", "/ws/relay?a=b"])
def test_relay_at_the_id_servers_port(site: Target, lab: Lab, path: str) -> None:
    """Under serve, this path at the ID server's WebSocket port is the relay."""
    uuid = fresh_uuid()
    assert_pairs(lab, site, lab.keep(WsIdSide(site, path=path)).ask(uuid, site.key), uuid)


@pytest.mark.parametrize("path", ["/", "/ws/id", "/ws/relays", "/ws", "/relay", "/x/ws/relay", "/ws/id?/ws/relay"])
def test_any_other_path_is_the_id_server(site: Target, lab: Lab, path: str) -> None:
    """Any other path there is the ID server, which knows a NAT test."""
    connection = lab.keep(WsConnection(site, path=path))
    connection.send("TestNatRequest")
    assert connection.expect("TestNatResponse")["port"] == connection.local[1]


@pytest.mark.parametrize("path", ["/", "/ws/id", "/ws/relay", "/a?b", "//"])
def test_any_path_at_the_relays_port(relay_site: Target, lab: Lab, path: str) -> None:
    """At M+2 every path is the relay."""
    uuid = fresh_uuid()
    assert_pairs(lab, relay_site, lab.keep(WsSide(relay_site, path=path)).ask(uuid, relay_site.key), uuid)


def test_id_server_alone_has_no_relay(id_site: Target, lab: Lab) -> None:
    """Without a relay in the process, /ws/relay is a path like any other."""
    connection = lab.keep(WsConnection(id_site, path="/ws/relay"))
    connection.send("TestNatRequest")
    connection.expect("TestNatResponse")


def test_several_ports(lab: Lab) -> None:
    """Each of several WebSocket ports of the ID server has the relay under its path."""
    server = lab.prepare("serve", "--relay-websocket-port", "off")
    server.args += ["--websocket-port", f"{server.port + 2},{server.port + 3}"]
    target = server.start().target()
    for port in (server.port + 2, server.port + 3):
        uuid, address = fresh_uuid(), (server.host, port)
        side = lab.keep(WsSide(target, address=address)).ask(uuid, target.key)
        assert_pairs(lab, target, side, uuid)
        plain = lab.keep(WsConnection(target, address=address))
        plain.send("TestNatRequest")
        plain.expect("TestNatResponse")


# --- the handshake --------------------------------------------------------------------------------------------------


class Raw(Connection):
    """A TCP connection to a WebSocket port that writes its handshake by itself."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.request = rdws.request(rdws.fresh_key(), "%s:%d" % address, "/ws/relay")

    def answer(self) -> bytes:
        """All that comes until the end."""
        data = bytearray()
        while chunk := self.sock.recv(65536):
            data += chunk
        return bytes(data)


def port_of(target: Target, kind: type[WsSide]) -> Address:
    return target.websocket_port if kind is WsIdSide else target.relay_websocket_port


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"GET /ws/relay HTTP/1.0\r\n\r\n", b"400"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 9000, b"400"),
    ],
    ids=["plain page", "HTTP/1.0", "text", "oversized"],
)
def test_no_handshake(relay_site: Target, lab: Lab, data: bytes, status: bytes) -> None:
    """What is no WebSocket handshake is told so, and the connection ends."""
    raw = lab.keep(Raw(relay_site.relay_websocket_port))
    raw.try_to_send(data)
    assert raw.answer().startswith(b"HTTP/1.1 " + status)
    paired(lab, relay_site, (WsSide, TcpSide))


def test_tcp_frame_to_the_websocket_port(relay_site: Target, lab: Lab) -> None:
    """A TCP client on the wrong port is not taken for a side."""
    raw = lab.keep(Raw(relay_site.relay_websocket_port))
    raw.send_payload(request_of(fresh_uuid(), relay_site.key))
    raw.end_sending()
    assert b" 101 " not in raw.answer()


def test_all_in_one_segment(site: Target, lab: Lab, kind: type[WsSide]) -> None:
    """The handshake, the request and two messages in one segment: nothing is lost."""
    uuid = fresh_uuid()
    raw = lab.keep(Raw(port_of(site, kind)))
    payloads = [request_of(uuid, site.key), b"early", b"bird"]
    raw.send_raw(raw.request + b"".join(rdws.frame(rdws.BINARY, payload) for payload in payloads))
    other = lab.keep(TcpSide(site)).ask(uuid, site.key)
    assert [other.recv_payload() for _ in range(2)] == payloads[1:]


def test_byte_by_byte(site: Target, lab: Lab, kind: type[WsSide]) -> None:
    """Handshake, request and a message in segments of one byte."""
    uuid = fresh_uuid()
    raw = lab.keep(Raw(port_of(site, kind)))
    frames = b"".join(rdws.frame(rdws.BINARY, payload) for payload in (request_of(uuid, site.key), b"early"))
    raw.send_bytewise(raw.request + frames)
    assert lab.keep(TcpSide(site)).ask(uuid, site.key).recv_payload() == b"early"


# --- the first message ----------------------------------------------------------------------------------------------


def test_request_in_fragments(site: Target, lab: Lab, kind: type[WsSide]) -> None:
    """Fragments of the request, of any size, are one message."""
    for size in (1, 7, 40):
        uuid = fresh_uuid()
        side = lab.keep(kind(site))
        request = request_of(uuid, site.key)
        side.send_fragments([b"", *(request[at : at + size] for at in range(0, len(request), size))])
        assert_pairs(lab, site, side, uuid)


def test_request_in_many_writes(site: Target, lab: Lab, kind: type[WsSide]) -> None:
    """A request whose frame comes in pieces, each by itself: the rest is waited for, and none of it forgotten."""
    uuid = fresh_uuid()
    side = lab.keep(kind(site))
    data = side.wrapped(request_of(uuid, site.key))
    for at in range(0, len(data), 11):
        side.send_raw(data[at : at + 11])
        paired(lab, site, (TcpSide, TcpSide))  # so it has been seen
    assert_pairs(lab, site, side, uuid)


def test_long_request_in_many_writes(site: Target, lab: Lab, kind: type[WsSide]) -> None:
    """A token of 40 KB in it, and messages close behind it."""
    uuid = fresh_uuid()
    side = lab.keep(kind(site))
    payloads = [request_of(uuid, site.key, token="t" * 40_000), b"early", os.urandom(30_000)]
    data = b"".join(map(side.wrapped, payloads))
    for at in range(0, len(data), 9000):
        side.send_raw(data[at : at + 9000])
        paired(lab, site, (TcpSide, TcpSide))
    other = lab.keep(TcpSide(site)).ask(uuid, site.key)
    assert [other.recv_payload() for _ in range(2)] == payloads[1:]
    assert_talk(side, other)


@pytest.mark.parametrize("opcode", [rdws.BINARY, rdws.TEXT], ids=["binary", "text"])
def test_heartbeats_and_pings_before_the_request(relay_site: Target, lab: Lab, opcode: int) -> None:
    """Empty messages, pings and pongs before the request and within it change nothing; pings are answered."""
    uuid = fresh_uuid()
    side = lab.keep(WsSide(relay_site))
    request = request_of(uuid, relay_site.key)
    side.send_payload(b"")
    side.send_fragments([b"", b""])
    side.send_frame(rdws.PONG, b"unasked")
    for content in (b"", b"one"):
        side.send_frame(rdws.PING, content)
        assert side.recv_frame() == rdws.Frame(rdws.PONG, True, content)
    side.send_frame(opcode, request[:10], final=False)
    side.send_frame(rdws.PING, b"two")
    assert side.recv_frame() == rdws.Frame(rdws.PONG, True, b"two")
    side.send_frame(rdws.CONTINUATION, request[10:])
    assert_pairs(lab, relay_site, side, uuid)


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_early_messages(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """What either side sends behind its request, in its segment and later, arrives in order."""
    uuid = fresh_uuid()
    first = lab.keep(pair[0](relay_site))
    payloads = [os.urandom(size) for size in (3000, 0, 5, 40_000, 1)]
    first.ask(uuid, relay_site.key, payloads[:2])
    for payload in payloads[2:]:
        first.send_payload(payload)
    second = lab.keep(pair[1](relay_site)).ask(uuid, relay_site.key, payloads)
    for side in (first, second):
        assert [side.recv_payload() for _ in payloads] == payloads


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_half_a_message_early(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """A message of which half came before the partner did."""
    uuid, payload = fresh_uuid(), os.urandom(20_000)
    first = lab.keep(pair[0](relay_site))
    data = first.wrapped(request_of(uuid, relay_site.key)) + first.wrapped(payload)
    first.send_raw(data[:5000])
    second = lab.keep(pair[1](relay_site)).ask(uuid, relay_site.key)
    first.send_raw(data[5000:])
    assert second.recv_payload() == payload
    assert_talk(first, second)


# --- who is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", OTHER_KEY], ids=["absent", "another"])
def test_wrong_key(site: Target, lab: Lab, kind: type[WsSide], key: str) -> None:
    """The key is enforced here as on TCP, and the refused one takes nobody's place."""
    uuid = fresh_uuid()
    lab.keep(kind(site)).ask(uuid, key).expect_end()
    side = lab.keep(kind(site)).ask(uuid, site.key)
    lab.keep(kind(site)).ask(uuid, key).expect_end()
    assert_pairs(lab, site, side, uuid)


@pytest.mark.parametrize("message", ["RegisterPk", "TestNatRequest", "PunchHoleRequest", "KeyExchange"])
def test_another_message(site: Target, lab: Lab, kind: type[WsSide], message: str) -> None:
    """Any first message but RequestRelay ends the connection."""
    side = lab.keep(kind(site))
    side.send(message)
    side.expect_end()


FAULTS = {
    "empty uuid": rdws.frame(rdws.BINARY, rdwire.encode("RequestRelay", licence_key="x")),
    "no message": rdws.frame(rdws.BINARY, b"\xff" * 10),
    "TCP frame within": rdws.frame(rdws.BINARY, rdwire.frame(b"payload")),
    "unmasked": rdws.frame(rdws.BINARY, b"payload", mask=False),
    "opcode 3": rdws.frame(3, b"payload"),
    "continuation of nothing": rdws.frame(rdws.CONTINUATION, b"payload"),
    "long ping": rdws.frame(rdws.PING, bytes(126)),
    "closing frame": rdws.frame(rdws.CLOSE, b"\x03\xe8"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_first_message(relay_site: Target, lab: Lab, name: str) -> None:
    """What is no request ends the connection."""
    side = lab.keep(WsSide(relay_site))
    side.try_to_send(FAULTS[name])
    side.expect_end()


def test_closing_frame_is_answered_before_the_request(relay_site: Target, lab: Lab) -> None:
    """The close handshake works at once, too."""
    side = lab.keep(WsSide(relay_site))
    side.send_frame(rdws.CLOSE, b"\x03\xe8")
    found = side.recv_frame()
    assert found is not None and (found.opcode, found.payload) == (rdws.CLOSE, b"\x03\xe8")
    assert side.recv_frame() is None


def test_who_closes_while_waiting_frees_its_place(relay_site: Target, lab: Lab) -> None:
    """A side that takes its leave by a closing frame while it waits is answered and is nobody's partner any more."""
    server, uuid = lab.servers[0], fresh_uuid()
    gone = lab.keep(WsSide(relay_site)).ask(uuid, relay_site.key)
    wait_until(lambda: server.status()["waiting"] == 1, 10, "it waits")
    gone.send_frame(rdws.CLOSE, b"\x03\xe8")
    gone.expect_end()
    gone.close()
    second = lab.keep(TcpSide(relay_site)).ask(uuid, relay_site.key, [b"second"])
    third = lab.keep(WsSide(relay_site)).ask(uuid, relay_site.key)
    assert third.recv_payload() == b"second"
    assert_talk(second, third)


@pytest.mark.parametrize("fragmented", [False, True], ids=["one frame", "fragments"])
def test_oversized_request(relay_site: Target, lab: Lab, fragmented: bool) -> None:
    """A first message over 64 KiB ends the connection, and soon."""
    side = lab.keep(WsSide(relay_site))
    part = rdws.frame(rdws.CONTINUATION if fragmented else rdws.BINARY, bytes(50_000), final=not fragmented)
    if fragmented:
        side.send_frame(rdws.BINARY, b"x", final=False)
        side.try_to_send(part * 3)
    else:
        side.try_to_send(rdws.frame(rdws.BINARY, bytes(MIB)))
    assert side.recv_payload() is None


# --- by another implementation --------------------------------------------------------------------------------------


def other(address: Address) -> Any:
    return websockets.connect("ws://%s:%d/ws/relay" % address, open_timeout=10, max_size=None)


async def received(connection: Any) -> bytes:
    payload = await asyncio.wait_for(connection.recv(), 10)
    assert isinstance(payload, bytes)
    return payload


async def other_session(target: Target, addresses: tuple[Address, Address]) -> None:
    """Early messages, fragments, text, pings, 8 MiB each way, and the close handshake."""
    uuid = fresh_uuid()
    async with other(addresses[0]) as a, other(addresses[1]) as b:
        await a.send(request_of(uuid, target.key))
        await a.send(b"early")
        request = request_of(uuid, target.key)
        await b.send([request[:1], request[1:9], request[9:]])
        assert await received(b) == b"early"
        await a.send(["text ", "in ", "parts"])
        assert await received(b) == b"text in parts"
        await asyncio.wait_for(await b.ping(), 10)
        payloads = [os.urandom(size) for size in (0, 1, 125, 126, 65_535, 65_536, 3 * MIB, 4 * MIB)]
        for sender, receiver in ((a, b), (b, a)):
            sending = asyncio.create_task(send_all(sender, payloads))
            for payload in payloads:
                assert hashlib.sha256(await received(receiver)).digest() == hashlib.sha256(payload).digest()
            await sending
        await asyncio.wait_for(a.close(1000), 10)
        assert a.close_code == 1000
        with pytest.raises(websockets.exceptions.ConnectionClosedOK):
            await received(b)


async def send_all(connection: Any, payloads: list[bytes]) -> None:
    for payload in payloads:
        await connection.send(payload)


def test_other_implementation(site: Target) -> None:
    """Python's websockets on both sides, at either port, in either order."""
    for addresses in (
        (site.relay_websocket_port, site.relay_websocket_port),
        (site.websocket_port, site.relay_websocket_port),
        (site.relay_websocket_port, site.websocket_port),
    ):
        asyncio.run(other_session(site, addresses))


async def other_side(target: Target, uuid: str) -> None:
    async with other(target.relay_websocket_port) as b:
        await b.send(request_of(uuid, target.key))
        for payload in (b"to TCP", b"", b"x" * 100_000):
            await b.send(payload)
            assert await received(b) == payload


def echo(side: TcpSide) -> None:
    """Sends back every message until the end."""
    while (payload := side.recv_payload()) is not None:
        side.send_payload(payload)


def test_other_implementation_with_tcp(relay_site: Target, lab: Lab) -> None:
    """And with a TCP side, which sends back what it gets."""
    uuid = fresh_uuid()
    tcp = lab.keep(TcpSide(relay_site)).ask(uuid, relay_site.key)

    async def both() -> None:
        echoing = asyncio.get_running_loop().run_in_executor(None, echo, tcp)
        await other_side(relay_site, uuid)
        tcp.end_sending()
        await echoing

    asyncio.run(both())
