"""Much random data through a socket, cheaply: one random block, repeated with a counter in it, and its SHA-256."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import struct
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Iterator, NamedTuple, Protocol

KIB = 1 << 10
MIB = 1 << 20
BLOCK = MIB


class Passed(NamedTuple):
    size: int
    sha256: str


def send_random(sock: socket.socket, total: int) -> Passed:
    """Sends so many bytes (whole blocks); what was sent."""
    block, digest = bytearray(os.urandom(BLOCK)), hashlib.sha256()
    for i in range(total // BLOCK):
        struct.pack_into(">Q", block, 0, i)
        digest.update(block)
        sock.sendall(block)
    return Passed(total // BLOCK * BLOCK, digest.hexdigest())


def receive(sock: socket.socket, total: int) -> Passed:
    """Receives so many bytes, or what comes before the end; what was received."""
    buffer, digest, count = bytearray(BLOCK), hashlib.sha256(), 0
    view = memoryview(buffer)
    while count < total:
        got = sock.recv_into(view[: min(BLOCK, total - count)])
        if not got:
            break
        digest.update(view[:got])
        count += got
    return Passed(count, digest.hexdigest())


def exchange(one: socket.socket, other: socket.socket, total: int) -> None:
    """So many bytes each way at once; what arrives is what was sent."""
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send_random, sock, total) for sock in (one, other)]
        got = [pool.submit(receive, sock, total) for sock in (other, one)]
        for out, back in zip(sent, got):
            assert _result(out) == _result(back)


def _result(future: Future[Passed]) -> Passed:
    return future.result(100)


# --- with random cuts and stalls, and in messages -------------------------------------------------------------------


class Stalls:
    """Now and then the one that has this pauses, for longer than anything is held back elsewhere."""

    def __init__(self, every: int = 0, seconds: float = 0.15) -> None:
        self._every, self._seconds, self._since = every, seconds, 0

    def passed(self, size: int) -> None:
        self._since += size
        if self._every and self._since >= self._every:
            self._since = 0
            self.stall()

    def stall(self) -> None:
        """The pause."""
        time.sleep(self._seconds)


NO_STALLS = Stalls()


def _sizes(total: int, largest: int) -> Iterator[int]:
    """Random sizes, small and large ones, that add up."""
    chance = random.Random(total)
    while total > 0:
        size = min(total, chance.choice((0, 1, 100, 5000, chance.randrange(largest))))
        yield size
        total -= size


def send_chunks(sock: socket.socket, total: int, stalls: Stalls = NO_STALLS) -> Passed:
    """Sends so many bytes in chunks of random sizes."""
    block, digest = memoryview(os.urandom(BLOCK)), hashlib.sha256()
    for number, size in enumerate(_sizes(total, BLOCK // 2)):
        chunk = block[number % 1000 : number % 1000 + size]
        digest.update(chunk)
        sock.sendall(chunk)
        stalls.passed(size)
    return Passed(total, digest.hexdigest())


def receive_chunks(sock: socket.socket, total: int, stalls: Stalls = NO_STALLS) -> Passed:
    """Receives so many bytes in chunks of random sizes, or what comes before the end."""
    chance, digest, count = random.Random(total), hashlib.sha256(), 0
    while count < total:
        got = sock.recv(min(total - count, chance.choice((1, 300, 20_000, 200_000))))
        if not got:
            break
        digest.update(got)
        count += len(got)
        stalls.passed(len(got))
    return Passed(count, digest.hexdigest())


class Messages(Protocol):
    """What sends and receives messages."""

    def send_payload(self, payload: bytes) -> None: ...

    def recv_payload(self) -> bytes | None: ...


def _add(digest: Any, payload: memoryview | bytes) -> None:
    digest.update(len(payload).to_bytes(8, "big"))
    digest.update(payload)


def send_messages(side: Messages, total: int, stalls: Stalls = NO_STALLS, largest: int = BLOCK // 2) -> Passed:
    """Sends so many bytes in messages of random sizes; the hash is of the messages, not just of their bytes."""
    block, digest = os.urandom(BLOCK), hashlib.sha256()
    for number, size in enumerate(_sizes(total, largest)):
        payload = block[number % 1000 : number % 1000 + size]
        _add(digest, payload)
        side.send_payload(payload)
        stalls.passed(size)
    return Passed(total, digest.hexdigest())


def receive_messages(side: Messages, total: int, stalls: Stalls = NO_STALLS) -> Passed:
    """Receives messages of so many bytes in all, or those before the end."""
    digest, count = hashlib.sha256(), 0
    while count < total and (payload := side.recv_payload()) is not None:
        _add(digest, payload)
        count += len(payload)
        stalls.passed(len(payload))
    return Passed(count, digest.hexdigest())


def pass_both_ways(
    one: Any, other: Any, total: int, send: Callable[..., Passed], receive: Callable[..., Passed], stalls: int = 0
) -> None:
    """So many bytes each way at once; what arrives is what was sent. All four parties stall once in so many bytes."""
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, end, total, Stalls(stalls)) for end in (one, other)]
        got = [pool.submit(receive, end, total, Stalls(stalls)) for end in (other, one)]
        for out, back in zip(sent, got):
            assert out.result(900) == back.result(900)
