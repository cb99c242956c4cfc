"""Goal: every session's end is told, once, whatever ends it, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Any

import pytest

from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, assert_joined, fresh_source, fresh_uuid
from rdserver import Server

WAIT_S = 10.0


def joined(lab: Lab, server: Server, uuid: str) -> tuple[RelaySide, RelaySide]:
    one, other = (lab.relay_side(server.target(), fresh_source()).join(uuid, server.key) for _ in range(2))
    assert_joined(one, other)
    return one, other


def told_ends(server: Server) -> dict[str, list[dict[str, Any]]]:
    """The lines of ends, by the short form of their session's uuid."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in server.logged("session ended"):
        found.setdefault(event["uuid"], []).append(event)
    return found


def test_shutdown(lab: Lab) -> None:
    """Sessions that the relay's own end cuts off have their line, with what had passed until then."""
    server, uuids = lab.server("relay", log_level="info"), [fresh_uuid() for _ in range(10)]
    for uuid in uuids:
        joined(lab, server, uuid)
    server.stop()
    found = told_ends(server)
    assert sorted(found) == sorted(uuid[:8] for uuid in uuids)
    for (event,) in found.values():
        assert (event["reason"], event["ended_by"]) == ("shutdown", "relay")
        assert event["bytes_from_first"] == event["bytes_from_second"] == 100


def test_shutdown_in_the_rush(lab: Lab) -> None:
    """Those that have just begun or just ended, too: each that was started ends once."""
    server = lab.server("relay")
    for _ in range(3):
        for _ in range(60):
            uuid = fresh_uuid()
            for _ in range(2):
                lab.relay_side(server.target()).join(uuid, server.key)
            if len(lab.clients) % 8 == 0:
                for side in lab.clients[-4:]:
                    side.close()
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: not server.running, WAIT_S, "its end")
        server.stop()
        started = sorted(event["uuid"] for event in server.logged("session started"))
        assert started and started == sorted(event["uuid"] for event in server.logged("session ended"))
        lab.close_clients()
        server.restarted()


def test_drain_deadline(lab: Lab) -> None:
    """At the deadline of SIGTERM's drain, sessions are cut off and told; a second SIGTERM does it at once."""
    for signals in (1, 2):
        server = lab.server("relay", "--drain-timeout", "1" if signals == 1 else "600", log_level="info")
        joined(lab, server, fresh_uuid())
        begun = time.monotonic()
        for number in range(signals):
            os.kill(server.pid, signal.SIGTERM)
            wait_until(lambda: server.logged("draining: no new sessions, and an end when the running ones are over"), WAIT_S)
        wait_until(lambda: not server.running, WAIT_S, "its end")
        assert signals == 2 or time.monotonic() - begun >= 1.0
        server.stop()
        assert [event["reason"] for event in server.logged("session ended")] == ["shutdown"]


@pytest.mark.slow
def test_slow_reader_who_still_talks(lab: Lab) -> None:
    """What a side sent before it left arrives, however long its reader takes, who says something now and then."""
    server, size = lab.server("relay"), 2 << 20
    target, uuid = server.target(), fresh_uuid()
    gone, reader = lab.relay_side(target), lab.relay_side(target)
    reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    gone.join(uuid, server.key)
    wait_until(lambda: server.status()["waiting"] == 1, WAIT_S, "the first side")
    reader.join(uuid, server.key)
    assert_joined(gone, reader)
    gone.send_raw(bytes(size))
    gone.wait_sent()
    gone.close()
    for _ in range(size // 32768):
        reader.send_raw(b"still here")
        reader.recv_exactly(32768)
        time.sleep(0.25)  # its line is that slow
    reader.recv_end()
    (event,) = wait_until(lambda: server.logged("session ended"), WAIT_S, "the end")
    assert event["ms"] > 15_000 and event["bytes_from_first"] == size + 100
