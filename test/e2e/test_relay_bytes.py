"""Goal: what goes into a session comes out of it, on any transport, at any pace, and a stalled reader costs nothing."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Sequence

import pytest

import traffic
from conftest import Lab
from polling import wait_until
from rdclient import Target, fresh_uuid
from rdserver import Server, is_sanitized
from relaysides import (
    MIXED_PAIRS,
    PAIRS,
    TCP_TCP,
    TCP_WS,
    Kind,
    Side,
    TcpSide,
    WsIdSide,
    assert_talk,
    name_of,
    paired,
)
from traffic import KIB, MIB, Passed

any_pair = pytest.mark.parametrize("pair", PAIRS, ids=name_of)


def patient(sides: Sequence[Side], seconds: float) -> None:
    """Others may stall: longer waits are no fault."""
    for side in sides:
        side.sock.settimeout(seconds)


def assert_pass(lab: Lab, target: Target, pair: tuple[Kind, Kind], total: int, stalls: int = 0, **options: Any) -> None:
    """So many bytes each way: raw ones where both sides are on TCP, else in messages."""
    one, other = paired(lab, target, pair, **options)
    patient((one, other), 60)
    if pair == TCP_TCP:
        traffic.pass_both_ways(one.sock, other.sock, total, traffic.send_chunks, traffic.receive_chunks, stalls)
    else:
        traffic.pass_both_ways(one, other, total, traffic.send_messages, traffic.receive_messages, stalls)
    assert_talk(one, other)


# --- all that is sent -----------------------------------------------------------------------------------------------


@any_pair
def test_32_mib_each_way(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """32 MiB each way at once, in random chunks or messages, with hashes."""
    assert_pass(lab, relay_site, pair, 32 * MIB)


def test_32_mib_by_the_id_servers_port(site: Target, lab: Lab) -> None:
    """The same through the ID server's WebSocket port."""
    assert_pass(lab, site, (WsIdSide, TcpSide), 32 * MIB)


@any_pair
def test_stalls_on_all_sides(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Senders and readers pause now and then, with small buffers, so that every write is a partial one."""
    assert_pass(lab, relay_site, pair, 6 * MIB, MIB, receive_buffer=8192)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@any_pair
def test_1_gib_each_way(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """1 GiB each way at once, with stalls."""
    assert_pass(lab, relay_site, pair, 1024 * MIB, 128 * MIB)


@any_pair
def test_alternating_sizes(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Bulk, a lone small message, bulk again: each way of moving bytes keeps what the other left, in order."""
    one, other = paired(lab, relay_site, pair)
    for number in range(20):
        payload = bytes([number]) * (2 * MIB if number % 2 else 7)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(one.send_payload, payload)
            assert other.recv_payload() == payload
            sending.result(10)
        other.send_payload(b"got it")
        assert one.recv_payload() == b"got it"


# --- the end --------------------------------------------------------------------------------------------------------


def send_and_end(side: Side, total: int, **options: Any) -> Passed:
    """Sends so much and ends its sending half at once."""
    sent = traffic.send_messages(side, total, **options)
    side.end_sending()
    return sent


@any_pair
@pytest.mark.parametrize("closer", [0, 1], ids=["first", "second"])
def test_half_close(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], closer: int) -> None:
    """What a side sent before it ended its half arrives, then its end; and what the other says then still comes."""
    sides = paired(lab, relay_site, pair)
    done, talking = sides[closer], sides[1 - closer]
    patient(sides, 30)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_and_end, done, 4 * MIB)
        assert traffic.receive_messages(talking, 4 * MIB) == sending.result(30)
        talking.expect_end()
        sending = pool.submit(send_and_end, talking, 4 * MIB)
        assert traffic.receive_messages(done, 4 * MIB) == sending.result(30)
    done.expect_end()


class LastOnes(traffic.Stalls):
    """Who has this reads so many bytes, and goes on when it is told to."""

    def __init__(self, size: int, told: threading.Event) -> None:
        super().__init__(size)
        self._told = told

    def stall(self) -> None:
        assert self._told.wait(30)


@any_pair
def test_both_end_at_once_with_much_on_its_way(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Both send 8 MiB and end their halves while the last of it, as much as surely fits on the way, is still there: all
    of it arrives."""
    total, last = 8 * MIB, 128 * KIB
    sides = paired(lab, relay_site, pair)
    patient(sides, 30)
    ended = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send_and_end, side, total, largest=last // 2) for side in sides]
        ends = [LastOnes(total - last, ended) for _ in sides]
        getting = [pool.submit(traffic.receive_messages, side, total, end) for side, end in zip(reversed(sides), ends)]
        sent = [each.result(30) for each in sending]
        ended.set()
        assert sent == [each.result(30) for each in getting]
    for side in sides:
        side.expect_end()


def test_end_before_the_partner_comes(relay_site: Target, lab: Lab) -> None:
    """A side that talks, ends its half and waits: its partner gets it all and can answer."""
    uuid = fresh_uuid()
    first = lab.keep(TcpSide(relay_site)).ask(uuid, relay_site.key, [b"early", b"and all"])
    first.end_sending()
    paired(lab, relay_site, TCP_TCP)
    second = lab.keep(TcpSide(relay_site)).ask(uuid, relay_site.key)
    assert [second.recv_payload() for _ in range(2)] == [b"early", b"and all"]
    second.expect_end()
    second.send_payload(b"answer")
    assert first.recv_payload() == b"answer"
    second.close()
    first.expect_end()


# --- a reader that stops --------------------------------------------------------------------------------------------


def stop_and_read(side: Side, total: int, seconds: float, tcp: bool) -> Passed:
    """A reader that reads a little, stops for so long, and reads the rest."""
    stalls = traffic.Stalls(total // 2 + 1, seconds)
    if tcp:
        return traffic.receive_chunks(side.sock, total, stalls)
    return traffic.receive_messages(side, total, stalls)


def assert_others_unhurt(server: Server, one: Side, other: Side, until: Future[Passed]) -> int:
    """While that goes on, another session answers promptly; the most memory that was seen, in KiB."""
    memory, slowest = 0, 0.0
    while not until.done():
        began = time.monotonic()
        assert_talk(one, other)
        slowest = max(slowest, time.monotonic() - began)
        memory = max(memory, server.memory_kib())
    assert slowest < 2
    return memory


@pytest.mark.slow
@pytest.mark.timeout(300)
@any_pair
def test_reader_that_stops_for_10_s(lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Nothing is lost, the relay's memory stays as it is, and another session goes on as if nothing were."""
    server = lab.server("relay", "--relay-threads", "1")
    target, total = server.target(), 96 * MIB
    one, other = paired(lab, target, pair)
    calm = paired(lab, target, TCP_TCP)
    patient((one, other), 60)
    traffic.pass_both_ways(one, other, 8 * MIB, traffic.send_messages, traffic.receive_messages)
    before = server.memory_kib()
    with ThreadPoolExecutor(2) as pool:
        if pair == TCP_TCP:
            sending = pool.submit(traffic.send_chunks, one.sock, total)
        else:
            sending = pool.submit(traffic.send_messages, one, total)
        reading = pool.submit(stop_and_read, other, total, 10.0, pair == TCP_TCP)
        memory = assert_others_unhurt(server, *calm, reading)
        assert reading.result(60) == sending.result(60)
    # Sanitizers keep for a while what was freed.
    assert memory - before < (16 if is_sanitized() else 4) * 1024


@pytest.mark.parametrize("pair", [TCP_TCP, *MIXED_PAIRS], ids=name_of)
def test_many_stalled_readers(lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Sessions whose readers have stopped hold some 256 KiB each and no pipes."""
    server = lab.server("relay", "--relay-threads", "1")
    memory = [server.memory_kib()]
    for _ in range(2):
        stalled = [paired(lab, server.target(), pair, receive_buffer=8192) for _ in range(15)]
        fill([sender for sender, _ in stalled])
        paired(lab, server.target(), TCP_TCP)
        memory.append(server.memory_kib())
    assert memory[2] - memory[0] < 32 * 600
    # What is in a pipe leaves it when its reader has stalled for a while.
    wait_until(lambda: server.bytes_in_pipes() == 0, 10, "no pipes for those who stall")


def fill(sides: Sequence[Side]) -> None:
    """Each sends 12 MiB, more than goes to one who doesn't read, or as much of it as is taken."""
    left = {side: memoryview(side.wrapped(bytes(12 * MIB))) for side in sides}
    for side in sides:
        side.sock.setblocking(False)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.5:
        for side, data in left.items():
            with suppress(BlockingIOError):
                sent = side.sock.send(data[:MIB])
                left[side] = data[sent:]
                quiet_since = time.monotonic() if sent else quiet_since
        time.sleep(0.01)


def test_small_messages_go_at_once(relay_site: Target, lab: Lab) -> None:
    """A lone small message isn't kept back for company: 500 there and back take no 40 ms each."""
    for pair in PAIRS:
        one, other = paired(lab, relay_site, pair)
        began = time.monotonic()
        for _ in range(500):
            one.send_payload(b"?")
            assert other.recv_payload() == b"?"
            other.send_payload(b"!")
            assert one.recv_payload() == b"!"
        assert time.monotonic() - began < 10


def test_urgent_data_is_no_trouble(relay_site: Target, lab: Lab) -> None:
    """A byte of TCP's urgent data between ordinary ones neither ends the session nor takes any of them along."""
    one, other = paired(lab, relay_site, TCP_WS)
    one.sock.send(b"u", socket.MSG_OOB)
    assert_talk(one, other)
