"""Goal: on the relay a WebSocket message and a TCP frame's payload are the same thing, however each is cut and put."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import pytest

import rdwire
import rdws
from conftest import Lab
from polling import wait_until
from rdclient import Target, fresh_uuid
from relaysides import (
    MIXED_PAIRS,
    PAIRS,
    TCP_WS,
    WS_TCP,
    WS_WS,
    Kind,
    Side,
    TcpSide,
    WsSide,
    assert_talk,
    name_of,
    paired,
)

MIB = 1 << 20
SIZES = [0, 1, 2, 63, 64, 125, 126, 127, 16_383, 16_384, 65_535, 65_536, 65_537, 300_000, 0, 5]

any_pair = pytest.mark.parametrize("pair", PAIRS, ids=name_of)
mixed_pair = pytest.mark.parametrize("pair", MIXED_PAIRS, ids=name_of)
ws_pair = pytest.mark.parametrize("pair", [WS_TCP, WS_WS], ids=name_of)  # whose first side is a WebSocket


def assert_sent(send: Callable[[bytes], None], parts: list[bytes], receiver: Side, payloads: list[bytes]) -> None:
    """What is sent in these parts arrives as these messages."""

    def send_all() -> None:
        for part in parts:
            send(part)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_all)
        for payload in payloads:
            assert receiver.recv_payload() == payload, f"{len(payload)} bytes"
        sending.result(10)


# --- messages and frames --------------------------------------------------------------------------------------------


@any_pair
def test_messages_of_all_sizes(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Each payload arrives as one message, empty ones too, both ways."""
    one, other = paired(lab, relay_site, pair)
    payloads = [os.urandom(size) for size in SIZES]
    for sender, receiver in ((one, other), (other, one)):
        assert_sent(sender.send_payload, payloads, receiver, payloads)


@any_pair
def test_messages_in_random_pieces(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """However TCP cuts the frames of either transport, the messages are the same."""
    one, other = paired(lab, relay_site, pair)
    chance = random.Random(7)
    payloads = [os.urandom(chance.choice((0, 1, 5, 70, 130, 5000))) for _ in range(150)]
    for sender, receiver in ((one, other), (other, one)):
        data = b"".join(map(sender.wrapped, payloads))
        cuts = sorted(chance.randrange(len(data)) for _ in range(1500))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
        assert_sent(sender.send_raw, pieces, receiver, payloads)


@mixed_pair
def test_one_byte_at_a_time(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Headers and payloads in segments of one byte."""
    one, other = paired(lab, relay_site, pair)
    for size in (0, 5, 200):
        payload = os.urandom(size)
        for sender, receiver in ((one, other), (other, one)):
            sender.send_bytewise(sender.wrapped(payload))
            assert receiver.recv_payload() == payload


@pytest.mark.parametrize("header_length", [2, 3, 4])
@pytest.mark.parametrize("size", [0, 10, 63])
def test_long_headers_of_tcp(relay_site: Target, lab: Lab, header_length: int, size: int) -> None:
    """A longer header than needed means the same; a WebSocket message has none of it."""
    tcp, ws = paired(lab, relay_site, TCP_WS)
    payload = os.urandom(size)
    for _ in range(2):
        tcp.send_raw(rdwire.frame(payload, header_length))
        assert ws.recv_payload() == payload


def test_shortest_headers_to_tcp(relay_site: Target, lab: Lab) -> None:
    """A message becomes one frame with the shortest header, byte for byte."""
    ws, tcp = paired(lab, relay_site, WS_TCP)
    for size in (0, 1, 63, 64, 16_383, 16_384, 100_000):
        payload = os.urandom(size)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(ws.send_payload, payload)
            assert tcp.recv_exactly(len(rdwire.frame(payload))) == rdwire.frame(payload)
            sending.result(10)


@any_pair
@pytest.mark.parametrize("size", [20 * MIB + 17], ids=["20 MiB"])
def test_large_message(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], size: int) -> None:
    """A message above what clients take in one WebSocket frame arrives whole, in frames that they take."""
    one, other = paired(lab, relay_site, pair)
    payload = os.urandom(size)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(one.send_payload, payload)
        if isinstance(other, WsSide):
            parts: list[rdws.Frame] = []
            while not parts or not parts[-1].final:
                found = other.recv_frame()
                assert found is not None and found.opcode == (rdws.CONTINUATION if parts else rdws.BINARY)
                parts.append(found)
            assert max(len(part.payload) for part in parts) <= 16 * MIB
            assert b"".join(part.payload for part in parts) == payload
        else:
            assert other.recv_payload() == payload
        sending.result(10)
    assert_talk(one, other)


def test_frame_too_long_for_a_websocket(relay_site: Target, lab: Lab) -> None:
    """A TCP frame over 64 MiB is more than the other side would take: the session ends, and the log says why."""
    server = lab.servers[0]
    tcp, ws = paired(lab, relay_site, TCP_WS)
    tcp.try_to_send(rdwire.frame_header(64 * MIB + 1) + bytes(1000))
    ws.expect_end()
    wait_until(lambda: server.logged("session ended", reason="too-long"), 10, "the reason")


@ws_pair
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_fragmented_message(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], size: int) -> None:
    """A message in fragments, some of them empty, is one message; several in a row stay apart."""
    ws, other = paired(lab, relay_site, pair)
    assert isinstance(ws, WsSide)
    for length in (3, 2000):
        payload = os.urandom(length)
        parts = [payload[at : at + size] for at in range(0, length, size)]
        ws.send_fragments([b"", *parts, b""])
        ws.send_fragments([b"", b""])
        ws.send_payload(b"alone")
        assert [other.recv_payload() for _ in range(3)] == [payload, b"", b"alone"]


def test_fragments_of_a_large_message_to_tcp(relay_site: Target, lab: Lab) -> None:
    """Fragments of 12 MiB in all reach a TCP side as one frame."""
    ws, tcp = paired(lab, relay_site, WS_TCP)
    assert isinstance(ws, WsSide)
    payload = os.urandom(12 * MIB)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(ws.send_fragments, [payload[at : at + MIB] for at in range(0, 12 * MIB, MIB)])
        assert tcp.recv_payload() == payload
        sending.result(10)
    assert_talk(ws, tcp)


def test_endless_fragments_end_the_session(relay_site: Target, lab: Lab) -> None:
    """Fragments that never end aren't kept for ever."""
    server = lab.servers[0]
    ws, tcp = paired(lab, relay_site, WS_TCP)
    assert isinstance(ws, WsSide)
    part = rdws.frame(rdws.CONTINUATION, bytes(MIB), final=False)
    ws.send_frame(rdws.BINARY, b"x", final=False)
    with pytest.raises(OSError):
        for _ in range(200):
            ws.send_raw(part)
    tcp.expect_end()
    wait_until(lambda: server.logged("session ended", reason="too-long"), 10, "the reason")


def test_many_long_fragments(lab: Lab) -> None:
    """What all sessions hold of long messages is bounded; short ones pass, and long ones once there is room."""
    server = lab.server("relay", "--relay-threads", "1")
    long = [bytes(MIB)] * 15
    unfinished = rdws.frame(rdws.BINARY, b"".join(long), final=False)
    pairs = [paired(lab, server.target(), WS_TCP) for _ in range(8)]
    for ws, _ in pairs[:7]:
        ws.try_to_send(unfinished)
    wait_until(lambda: server.logged("session ended", reason="messages-full"), 10, "the bound")
    ws, tcp = pairs[7]
    assert isinstance(ws, WsSide)
    ws.send_fragments([b"short", b"er"])
    assert tcp.recv_payload() == b"shorter"
    for pair in pairs[:7]:
        for side in pair:
            side.close()
    wait_until(lambda: server.status_of("relay")["sessions"] == 1, 10, "the others' end")
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(ws.send_fragments, long)
        assert tcp.recv_payload() == b"".join(long)
        sending.result(10)


@ws_pair
@pytest.mark.parametrize("content", [b"text", b"\xff\xfe not UTF-8", b""], ids=["UTF-8", "other", "empty"])
def test_text_is_binary(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], content: bytes) -> None:
    """A text message is passed on as a binary one, whole or in fragments."""
    ws, other = paired(lab, relay_site, pair)
    assert isinstance(ws, WsSide)
    ws.send_frame(rdws.TEXT, content)
    ws.send_frame(rdws.TEXT, content, final=False)
    ws.send_frame(rdws.CONTINUATION, b"more")
    assert [other.recv_payload() for _ in range(2)] == [content, content + b"more"]


# --- pings ----------------------------------------------------------------------------------------------------------


@ws_pair
@pytest.mark.parametrize("content", [b"", b"x", bytes(range(125))], ids=len)
def test_ping_between_messages(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], content: bytes) -> None:
    """A ping is answered by the relay with its content; the other side hears nothing of it."""
    ws, other = paired(lab, relay_site, pair)
    assert isinstance(ws, WsSide)
    ws.send_frame(rdws.PING, content)
    assert ws.recv_frame() == rdws.Frame(rdws.PONG, True, content)
    ws.send_frame(rdws.PONG, b"unasked")
    assert_talk(ws, other)


@ws_pair
def test_ping_within_a_message(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Between the fragments of a message, too."""
    ws, other = paired(lab, relay_site, pair)
    assert isinstance(ws, WsSide)
    ws.send_frame(rdws.BINARY, b"first, ", final=False)
    for content in (b"one", b"two"):
        ws.send_frame(rdws.PING, content)
        assert ws.recv_frame() == rdws.Frame(rdws.PONG, True, content)
    ws.send_frame(rdws.CONTINUATION, b"", final=False)
    ws.send_frame(rdws.PING, b"three")
    ws.send_frame(rdws.CONTINUATION, b"last")
    assert ws.recv_frame() == rdws.Frame(rdws.PONG, True, b"three")
    assert other.recv_payload() == b"first, last"


@pytest.mark.parametrize("pair", [TCP_WS, WS_WS], ids=name_of)
def test_ping_while_a_message_comes(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Who pings in the middle of a message that comes to it is answered behind it, without asking again."""
    other, ws = paired(lab, relay_site, pair)
    assert isinstance(ws, WsSide)
    data = other.wrapped(os.urandom(50_000))
    other.send_raw(data[:20_000])
    while len(ws.raw) < 10_000:
        ws.raw += ws.sock.recv(65536)
    ws.send_frame(rdws.PING, b"still there?")
    assert_talk_one_way(ws, other)  # so the ping is in, too
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(other.send_raw, data[20_000:])
        found = ws.recv_frame()
        sending.result(10)
    assert found is not None and len(found.payload) == 50_000
    assert ws.recv_frame() == rdws.Frame(rdws.PONG, True, b"still there?")


def assert_talk_one_way(sender: Side, receiver: Side) -> None:
    sender.send_payload(b"by the way")
    assert receiver.recv_payload() == b"by the way"


def send_all_it_takes(side: Side, data: bytes, most: int) -> None:
    """Sends until nothing more is taken for half a second."""
    side.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        for _ in range(most // len(data)):
            side.sock.sendall(data)


def test_pings_of_one_who_reads_nothing(relay_site: Target, lab: Lab) -> None:
    """Answers to one who doesn't read don't pile up behind what it hasn't read."""
    server = lab.servers[0]
    ws, tcp = paired(lab, relay_site, WS_TCP, receive_buffer=4096)
    send_all_it_takes(tcp, bytes(64 * 1024), 64 * MIB)  # each of them an empty message
    before = server.memory_kib()
    ping = rdws.frame(rdws.PING, bytes(125))
    for _ in range(200_000):
        ws.send_raw(ping)
    paired(lab, relay_site, WS_TCP)
    assert server.memory_kib() - before < 4 * 1024  # of 24 MiB of pings


# --- the end --------------------------------------------------------------------------------------------------------


@ws_pair
@pytest.mark.parametrize("content", [b"", b"\x03\xe8", b"\x03\xe9going away"], ids=["none", "1000", "1001"])
def test_close_handshake(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], content: bytes) -> None:
    """A closing frame is answered by one with the same code; what was sent before it has reached the other side, which
    is told of the end, by a closing frame if it speaks WebSocket."""
    ws, other = paired(lab, relay_site, pair)
    assert isinstance(ws, WsSide)
    ws.send_payload(b"last words")
    ws.send_frame(rdws.CLOSE, content)
    assert other.recv_payload() == b"last words"
    found = ws.recv_frame()
    assert found is not None and (found.opcode, found.payload) == (rdws.CLOSE, content[:2])
    if isinstance(other, WsSide):
        end = other.recv_frame()
        assert end is not None and (end.opcode, end.payload) == (rdws.CLOSE, b"\x03\xe8")
        other.send_frame(rdws.CLOSE, b"\x03\xe8")
    other.expect_end()
    other.close()
    assert ws.recv_frame() is None


def test_end_of_tcp_closes_the_websocket(relay_site: Target, lab: Lab) -> None:
    """A TCP side's end reaches a WebSocket as a closing frame behind all messages, and the answer ends the session."""
    server = lab.servers[0]
    tcp, ws = paired(lab, relay_site, TCP_WS)
    assert isinstance(ws, WsSide)
    tcp.send_payload(b"last words")
    tcp.end_sending()
    assert ws.recv_payload() == b"last words"
    ws.send_payload(b"and mine")
    assert tcp.recv_payload() == b"and mine"
    assert ws.recv_payload() is None and ws.close_code == 1000
    ws.send_frame(rdws.CLOSE, b"\x03\xe8")
    tcp.expect_end()
    assert ws.recv_frame() is None
    wait_until(lambda: server.logged("session ended", reason="closed-by-peer"), 10, "the session's end")


@any_pair
def test_half_a_frame_at_the_end(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """A side that goes in the middle of a frame ends the session; what was whole has arrived."""
    one, other = paired(lab, relay_site, pair)
    one.send_raw(one.wrapped(b"whole") + one.wrapped(bytes(200))[:100])
    one.close()
    assert other.recv_payload() == b"whole"
    assert other.recv_payload() is None


# --- what is no frame -----------------------------------------------------------------------------------------------


def changed_head(first: int = 0, second: int = 0) -> bytes:
    data = bytearray(rdws.frame(rdws.BINARY, b"payload"))
    data[0] ^= first
    data[1] ^= second
    return bytes(data)


FAULTS: dict[str, bytes] = {
    "unmasked": rdws.frame(rdws.BINARY, b"payload", mask=False),
    "reserved bit 1": changed_head(0x40),
    "reserved bit 2": changed_head(0x20),
    "reserved bit 3": changed_head(0x10),
    "opcode 3": changed_head(rdws.BINARY ^ 3),
    "opcode 11": changed_head(rdws.BINARY ^ 11),
    "continuation of nothing": rdws.frame(rdws.CONTINUATION, b"payload"),
    "message within a message": rdws.frame(rdws.BINARY, b"a", final=False) + rdws.frame(rdws.BINARY, b"b"),
    "long ping": rdws.frame(rdws.PING, bytes(126)),
    "fragmented ping": rdws.frame(rdws.PING, b"x", final=False),
    "fragmented close": rdws.frame(rdws.CLOSE, b"\x03\xe8", final=False),
    "length over 63 bits": b"\x82\xff" + b"\x80" + bytes(7) + bytes(4) + b"x",
    "a TCP frame": rdwire.frame(b"payload"),
}


@ws_pair
@pytest.mark.parametrize("name", FAULTS)
def test_malformed_frame(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], name: str) -> None:
    """What is no frame ends the session, without a byte of it passed on; others are not concerned."""
    server = lab.servers[0]
    ws, other = paired(lab, relay_site, pair)
    ws.send_payload(b"good")
    ws.try_to_send(FAULTS[name])
    assert other.recv_payload() == b"good"
    assert other.recv_payload() is None
    assert ws.recv_payload() is None
    wait_until(lambda: server.logged("session ended", reason="malformed"), 10, "the reason")
    paired(lab, relay_site, pair)


@ws_pair
def test_length_that_nobody_keeps(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """A frame that announces 2^62 bytes costs no memory, and harms nobody."""
    server = lab.servers[0]
    ws, _ = paired(lab, relay_site, pair)
    before = server.memory_kib()
    ws.try_to_send(b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4) + bytes(1000))
    paired(lab, relay_site, pair)
    assert server.memory_kib() - before < 16 * 1024


def test_random_bytes(relay_site: Target, lab: Lab) -> None:
    """Random bytes on a WebSocket end its session or are messages; the relay stays."""
    chance = random.Random(11)
    for _ in range(60):
        ws, _ = paired(lab, relay_site, WS_TCP)
        data = chance.randbytes(chance.choice((3, 30, 300)))
        ws.try_to_send(data)
        lab.close_clients()
    paired(lab, relay_site, WS_WS)


def test_uuid_is_one_for_both_transports(relay_site: Target, lab: Lab) -> None:
    """Sides that wait are found from either transport; three on one uuid: the third waits for a fourth."""
    uuid = fresh_uuid()
    first = lab.keep(WsSide(relay_site)).ask(uuid, relay_site.key)
    second = lab.keep(TcpSide(relay_site)).ask(uuid, relay_site.key)
    assert_talk(first, second)
    third = lab.keep(TcpSide(relay_site)).ask(uuid, relay_site.key, [b"third"])
    fourth = lab.keep(WsSide(relay_site)).ask(uuid, relay_site.key)
    assert fourth.recv_payload() == b"third"
    assert_talk(third, fourth)
    assert_talk(first, second)
