"""Goal: sides that arrive together always meet, and sessions that come and go by the thousand leave nothing behind."""

from __future__ import annotations

import os
import random
from contextlib import suppress

import pytest

import rdws
from conftest import Lab
from elsewhere import meet_from_two_processes
from polling import wait_until
from rdclient import Target, fresh_source, fresh_uuid
from rdserver import Server, is_sanitized
from relaysides import PAIRS, TCP_TCP, Side, TcpSide, WsSide, assert_talk, paired

# How much memory may differ; a sanitizer needs some of its own, but finds every leak itself at the end.
MARGIN_KIB = 32 * 1024 if is_sanitized() else 1024
LEAN = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


def assert_all_meet(lab: Lab, count: int) -> None:
    server = lab.server("relay", log_level="info")
    target, uuids = server.target(), [fresh_uuid() for _ in range(count)]
    met = meet_from_two_processes(target.relay_port, (fresh_source(), fresh_source()), target.key, uuids)
    assert met == (count, count)
    wait_until(lambda: server.status()["sessions_ended"] == count, 20, "all have ended")


def test_2000_pairs_that_arrive_together(lab: Lab) -> None:
    """Both sides of a uuid in the same instant: each of 2,000 pairs meets."""
    assert_all_meet(lab, 2000)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_20000_pairs_that_arrive_together(lab: Lab) -> None:
    """Of 20,000, too: hbbr drops one of them about once in a thousand."""
    assert_all_meet(lab, 20_000)


def test_both_sides_in_one_turn(lab: Lab) -> None:
    """Both requests lie at the relay before it looks: many pairs at once, in any order."""
    target = lab.server("relay", log_level="info").target()
    chance = random.Random(3)
    for _ in range(20):
        uuids = [fresh_uuid() for _ in range(20)]
        sides = [(lab.keep(TcpSide(target)), uuid) for uuid in uuids * 2]
        chance.shuffle(sides)
        for side, uuid in sides:
            side.ask(uuid, target.key, [uuid.encode()])
        for side, uuid in sides:
            assert side.recv_payload() == uuid.encode()
        lab.close_clients()


# --- coming and going -----------------------------------------------------------------------------------------------


def ends_politely(one: Side, other: Side) -> None:
    one.close()
    other.expect_end()
    other.close()


def breaks_off(one: Side, other: Side) -> None:
    one.reset_at_close()
    one.close()
    other.close()


def both_go(one: Side, other: Side) -> None:
    one.close()
    other.close()


def ends_by_halves(one: Side, other: Side) -> None:
    one.end_sending()
    other.expect_end()
    other.send_payload(b"bye")
    other.close()
    assert one.recv_payload() == b"bye"
    one.close()


def goes_in_the_middle(one: Side, other: Side) -> None:
    """Of a frame, with much unread."""
    for side, data in ((one, one.wrapped(bytes(60_000))[:50_000]), (other, other.wrapped(bytes(60_000)))):
        side.sock.setblocking(False)
        with suppress(BlockingIOError):
            side.sock.send(data)  # what fits
    one.close()
    other.close()


def says_farewell(one: Side, other: Side) -> None:
    if isinstance(one, WsSide):
        one.send_frame(rdws.CLOSE, b"\x03\xe8")
    both_go(one, other)


ENDS = [ends_politely, breaks_off, both_go, ends_by_halves, goes_in_the_middle, says_farewell]


class Tide:
    """Sessions of all kinds, which come, talk and go in all ways, and others that never become any."""

    def __init__(self, target: Target) -> None:
        self._target, self._chance = target, random.Random(5)
        self._sources = [fresh_source() for _ in range(8)]

    def run(self, sessions: int) -> None:
        for number in range(sessions):
            source = self._sources[number % len(self._sources)]
            self._session(source, PAIRS[0] if number % 4 else PAIRS[number // 4 % 4])
            if number % 10 == 0:
                self._no_session(source, number // 10)

    def _session(self, source: str, kinds: tuple[type, type]) -> None:
        uuid = fresh_uuid()
        one, other = (kind(self._target, source).ask(uuid, self._target.key, [b"early"]) for kind in kinds)
        assert one.recv_payload() == other.recv_payload() == b"early"
        self._chance.choice(ENDS)(one, other)

    def _no_session(self, source: str, number: int) -> None:
        """A connection that says nothing, half a frame, junk, or waits in vain."""
        side = TcpSide(self._target, source)
        side.try_to_send([b"", b"\x05", b"\xff" * 9, side.wrapped(b"")][number % 4])
        if number % 5 == 0:
            side.ask(fresh_uuid(), self._target.key)
        side.close()


def is_quiet(server: Server) -> bool:
    status = server.status()
    return not (status["sessions"] or status["waiting"] or status["handshakes"])


def assert_nothing_is_left(lab: Lab, sessions: int) -> None:
    """After so many sessions everything is as after the first few hundred."""
    server = lab.server("relay", log_level="info", env=LEAN)
    tide = Tide(server.target())
    tide.run(400)
    wait_until(lambda: is_quiet(server), 30, "all are gone")
    memory, descriptors = server.memory_kib(), server.descriptors()
    tide.run(sessions)
    wait_until(lambda: is_quiet(server), 30, "all are gone")
    assert server.status()["sessions_ended"] == 400 + sessions
    assert server.descriptors() <= descriptors + 4  # a pipe or two
    assert server.memory_kib() < memory + MARGIN_KIB
    assert_talk(*paired(lab, server.target(), TCP_TCP))


def test_2500_sessions_leave_nothing(lab: Lab) -> None:
    """Descriptors, memory and gauges are where they were."""
    assert_nothing_is_left(lab, 2500)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_10000_sessions_leave_nothing(lab: Lab) -> None:
    """After 10,000, too."""
    assert_nothing_is_left(lab, 10_000)


def test_many_sessions_at_the_same_time(lab: Lab) -> None:
    """1,200 sessions at once all talk; when they are gone, their memory can be used again."""
    server = lab.server("relay", log_level="info", env=LEAN)
    target, descriptors = server.target(), server.descriptors()
    memory = []
    for _ in range(3):
        sessions = [paired(lab, target, TCP_TCP) for _ in range(1200)]
        memory.append(server.memory_kib())
        for pair in sessions:
            assert_talk(*pair)
        assert server.status()["sessions"] == 1200
        lab.close_clients()
        wait_until(lambda: is_quiet(server), 30, "all are gone")
    assert memory[2] < memory[0] + MARGIN_KIB
    assert server.descriptors() <= descriptors + 4
