"""Clients in processes of their own: to be killed, or to arrive together with no lock between them."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Iterator, Sequence

from rdclient import RelaySide, Target
from rdwire import Address
from relaysides import Kind

_spawning = multiprocessing.get_context("spawn")  # so that they inherit none of our sockets
HELD = b"x" * 4096


def _hold(target: Target, way: Kind, uuid: str, busy: bool) -> None:
    """Joins, says one message, and then sends for ever, or is silent."""
    side = way(target).ask(uuid, target.key, [b"here"])
    while busy:
        side.send_payload(HELD)
    os.read(os.pipe()[0], 1)


@contextmanager
def client_process(target: Target, way: Kind, uuid: str, busy: bool) -> Iterator[int]:
    """A client that is one side of a session; its process's id."""
    process = _spawning.Process(target=_hold, args=(target, way, uuid, busy), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield process.pid
    finally:
        process.kill()
        process.join(10)


def _meet(address: Address, source: str, key: str, uuids: Sequence[str]) -> int:
    """Joins one session after the other, each with an early byte, and leaves it with its partner's. How many it met."""
    for number, uuid in enumerate(uuids):
        side = RelaySide(address, source).join(uuid, key, b"!")
        try:
            if side.sock.recv(1) != b"!":
                return number
        except TimeoutError:
            return number
        finally:
            side.close()
    return len(uuids)


def meet_from_two_processes(
    address: Address, sources: tuple[str, str], key: str, uuids: Sequence[str]
) -> tuple[int, int]:
    """Two go through the sessions at the same time. Each begins the next one with its partner's byte, which the relay
    sends to both at once: so they stay in step, and each session's two sides arrive together."""
    with ProcessPoolExecutor(2, mp_context=_spawning) as pool:
        tasks: list[Future[int]] = [pool.submit(_meet, address, source, key, uuids) for source in sources]
        return tasks[0].result(), tasks[1].result()
