"""Much random data through a socket, cheaply: one random block, repeated with a counter in it, and its SHA-256."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

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
