"""Goal: a list of addresses that changes while the relay runs holds for all who are there, and is never half written."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from clihelp import Done, assert_refused, ctl, rdsrv
from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, assert_joined, fresh_source, fresh_uuid
from rdserver import Server

WAIT_S = 10.0


def told(server: Server, *words: str) -> Done:
    return rdsrv("ctl", "--data-dir", server.directory, "relay", *words, cwd=server.directory.parent)


def list_of(server: Server, name: str = "blocklist.txt") -> Path:
    return server.directory / name


def reload(server: Server) -> None:
    """SIGHUP, and what comes of it."""
    before = len(server.logged("settings reloaded"))
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: len(server.logged("settings reloaded")) > before, WAIT_S, "the reload")


def joined(lab: Lab, server: Server, source: str) -> tuple[RelaySide, RelaySide]:
    uuid = fresh_uuid()
    one, other = (lab.relay_side(server.target(), at).join(uuid, server.key) for at in (source, fresh_source()))
    assert_joined(one, other)
    return one, other


def waiting(lab: Lab, server: Server, source: str) -> RelaySide:
    """A side that waits for its other one."""
    count = server.status()["waiting"]
    side = lab.relay_side(server.target(), source).join(fresh_uuid(), server.key)
    wait_until(lambda: server.status()["waiting"] == count + 1, WAIT_S, "the waiting side")
    return side


def test_blocked_by_reload(lab: Lab) -> None:
    """Whoever is listed ends, in a session or waiting for one or silent; others stay, and come in."""
    server, source, network = lab.server("relay"), fresh_source(), fresh_source("127.11.77")
    ended = [*joined(lab, server, source), *joined(lab, server, network)]
    ended += [waiting(lab, server, source), waiting(lab, server, network), lab.relay_side(server.target(), source)]
    wait_until(lambda: server.status()["handshakes"] == 1, WAIT_S, "the silent one")
    spared, waits = joined(lab, server, fresh_source()), waiting(lab, server, fresh_source())
    list_of(server).write_text(f"{source}\n127.11.77.0/24 # all of it\n")
    reload(server)
    for side in ended:
        side.recv_end()
    assert_joined(*spared)
    assert waits.is_open()

    def are_left() -> bool:
        status = server.status()
        return (status["waiting"], status["handshakes"], status["sessions"]) == (1, 0, 1)

    wait_until(are_left, WAIT_S, "the spared ones alone")
    lab.relay_side(server.target(), network).recv_end()
    list_of(server).unlink()
    reload(server)
    joined(lab, server, network)


def test_slow_lane_and_back(lab: Lab) -> None:
    """A running session is on the slow lane for as long as either of its addresses is listed."""
    server, source = lab.server("relay"), fresh_source()
    joined(lab, server, source)
    joined(lab, server, fresh_source())

    def slow() -> list[bool]:
        return [found["slow"] for found in ctl(server.directory, "relay", "sessions")["sessions"]]

    assert slow() == [False, False]
    assert told(server, "slow", source).returncode == 0
    assert slow() == [False, True]
    list_of(server, "blacklist.txt").write_text("0.0.0.0/0\n")
    reload(server)
    assert slow() == [True, True]
    assert told(server, "unblock", "0.0.0.0/0").returncode == 0
    assert slow() == [False, False]


def test_long_lists(lab: Lab) -> None:
    """A list as long as those of whole countries is taken in one go, again and again, with sessions running."""
    server, source = lab.server("relay", log_level="info"), fresh_source()
    lines = [f"{a}.{b}.{c}.0/24" for a in (20, 21) for b in range(100) for c in range(250)]
    sessions = [joined(lab, server, fresh_source()) for _ in range(300)]
    list_of(server).write_text("\n".join([*lines, source]))
    list_of(server, "blacklist.txt").write_text("\n".join(lines))
    reload(server)
    for _ in range(10):
        reload(server)
    lab.relay_side(server.target(), source).recv_end()
    assert_joined(*sessions[0])


@pytest.mark.parametrize("command", ["block", "unblock"])
@pytest.mark.parametrize("bad", ["there\n", "# \0\n"], ids=["line", "zero byte"])
def test_bad_list_is_left_alone(lab: Lab, command: str, bad: str) -> None:
    """A list with a bad line isn't written anew; the line is named."""
    server, source = lab.server("relay"), fresh_source()
    text = f"{source} # first\n{bad}192.0.2.1\n"
    list_of(server).write_text(text)
    net = source if command == "unblock" else "192.0.2.2"
    assert_refused(told(server, command, net), 1, "blocklist.txt:2")
    assert list_of(server).read_text() == text
    joined(lab, server, source)


def test_full_list_is_left_alone(lab: Lab) -> None:
    """A list isn't made longer than it may be read again."""
    server = lab.server("relay")
    text = "#" * ((4 << 20) - 12) + "\n192.0.2.1\n"
    list_of(server).write_text(text)
    assert_refused(told(server, "block", "192.0.2.2"), 1, "blocklist.txt")
    assert list_of(server).read_text() == text
    reload(server)
