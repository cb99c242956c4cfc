"""Goal: a total limit is kept whatever the sessions want, and what some can't use is for the others."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress

from conftest import Lab
from polling import in_one_of
from rdclient import RelaySide, assert_joined, fresh_source, fresh_uuid
from rdserver import Server

MBIT = (1 << 20) // 8
SETTLED_S, MEASURED_S = 3.0, 4.0
CHUNK = bytes(16384)


def joined(lab: Lab, server: Server, source: str) -> tuple[RelaySide, RelaySide]:
    uuid = fresh_uuid()
    one, other = (lab.relay_side(server.target(), source).join(uuid, server.key) for _ in range(2))
    assert_joined(one, other)
    return one, other


class Load:
    """Sessions that send from their first to their second side, so many bytes a second or (0) all that is taken."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.started = time.monotonic()
        self.sent: dict[socket.socket, int] = {}
        self.got: dict[socket.socket, int] = {}
        self.rates: dict[socket.socket, int] = {}

    def add(self, pair: tuple[RelaySide, RelaySide], rate: int = 0) -> socket.socket:
        sender, receiver = pair[0].sock, pair[1].sock
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        self.sent[sender], self.got[receiver], self.rates[sender] = 0, 0, rate
        for sock, event in ((sender, selectors.EVENT_WRITE), (receiver, selectors.EVENT_READ)):
            sock.setblocking(False)
            self.selector.register(sock, event)
        return receiver

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for key, event in self.selector.select(0.1):
                if event & selectors.EVENT_READ:
                    self.got[key.fileobj] += len(key.fileobj.recv(1 << 20))
                else:
                    self._send(key.fileobj, now)
            if all(self.rates.values()):
                time.sleep(0.002)

    def _send(self, sock: socket.socket, now: float) -> None:
        due = len(CHUNK)
        if self.rates[sock]:
            due = min(due, int((now - self.started) * self.rates[sock]) - self.sent[sock])
        if due > 0:
            self.sent[sock] += sock.send(CHUNK[:due])

    def read_all(self) -> None:
        """What is there now."""
        for sock in self.got:
            with suppress(BlockingIOError):
                while data := sock.recv(1 << 20):
                    self.got[sock] += len(data)

    def measure(self) -> dict[socket.socket, float]:
        """Bytes a second that each receiver gets, once things have settled. It is no more than the relay let through,
        however long this process was held up."""
        self.run(SETTLED_S)
        self.read_all()
        before = dict(self.got)
        start = time.monotonic()
        self.run(MEASURED_S)
        return {sock: (n - before[sock]) / (time.monotonic() - start) for sock, n in self.got.items()}


class TooFast(Exception):
    """No failed assertion, which would be tried again."""


def no_more_than(limit: float, rate: float) -> None:
    if rate > limit:
        raise TooFast(f"{rate} where {limit} is the limit")


def test_rest_of_the_slow_lane(lab: Lab) -> None:
    """A session on the slow lane, below its share, leaves the rest of the total to the greedy one."""
    slow = fresh_source()
    server = lab.prepare("relay", "--total-bandwidth", "16", "--limit-speed", "1", log_level="info")
    (server.directory / "blacklist.txt").write_text(slow + "\n")
    server.start()
    load = Load()
    slow_one = load.add(joined(lab, server, slow))
    greedy = load.add(joined(lab, server, fresh_source()))

    def is_right() -> None:
        rates = load.measure()
        no_more_than(1.1 * MBIT, rates[slow_one])
        no_more_than(1.1 * 15 * MBIT, rates[greedy])
        assert rates[slow_one] > 0.9 * MBIT and rates[greedy] > 0.9 * 15 * MBIT

    in_one_of(5, is_right)


def test_many_that_want_little(lab: Lab) -> None:
    """Forty sessions that want a twentieth of the total each get equal parts, and no more than the total."""
    server = lab.server("relay", "--total-bandwidth", "16", log_level="info")
    load = Load()
    for _ in range(40):
        load.add(joined(lab, server, fresh_source()), 16 * MBIT // 20)

    def is_right() -> None:
        rates = load.measure()
        # Below the limit is what a busy machine makes of it; above it nothing may get.
        no_more_than(1.1 * 16 * MBIT, sum(rates.values()))
        assert 0.6 * 16 * MBIT < sum(rates.values())
        assert all(0.4 * 16 * MBIT / 40 < rate < 1.6 * 16 * MBIT / 40 for rate in rates.values())

    in_one_of(5, is_right)
