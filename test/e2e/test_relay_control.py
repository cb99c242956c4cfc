"""Goal: ctl relay shows sessions as they are, and what it is told holds: kicked, limited, blocked, drained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clihelp import WAIT_S, Done, assert_refused, ctl, rdsrv
from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, assert_joined, assert_passes, fresh_source, fresh_uuid
from rdserver import Server

Pair = tuple[RelaySide, RelaySide]
LIMITS = {
    "single-bandwidth": "16",
    "total-bandwidth": "100",
    "limit-speed": "4",
    "downgrade-threshold": "0.5",
    "downgrade-start-check": "60",
    "idle-timeout": "900",
}


def told(server: Server, *words: str) -> Done:
    return rdsrv("ctl", "--data-dir", server.directory, "relay", *words, cwd=server.directory.parent)


def tell(server: Server, *words: str) -> str:
    """What ctl prints; it must do as it is told."""
    done = told(server, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def joined(lab: Lab, server: Server, source: str | None = None, uuid: str = "") -> Pair:
    target, uuid = server.target(), uuid or fresh_uuid()
    one = lab.relay_side(target, source).join(uuid, target.key)
    wait_until(lambda: ctl(server.directory, "relay")["waiting"] == 1, WAIT_S, "the first side")
    pair = one, lab.relay_side(target).join(uuid, target.key)
    assert_joined(*pair)
    return pair


def sessions(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ctl(server.directory, "relay", "sessions")["sessions"]
    return found


def assert_ended(*sides: RelaySide) -> None:
    for side in sides:
        side.recv_end()


def test_no_sessions(lab: Lab) -> None:
    """A relay at rest lists none."""
    assert sessions(lab.server("relay")) == []


def test_sessions(lab: Lab) -> None:
    """Each session is listed with its sides, uuid, transport and bytes, and is gone from the list once it has ended."""
    server, uuid = lab.server("relay"), fresh_uuid()
    one, other = joined(lab, server, fresh_source(), uuid)
    one.send_raw(b"x" * 1000)
    other.recv_exactly(1000)
    wait_until(lambda: sessions(server)[0]["bytes_from_first"] == 1100, WAIT_S, "the bytes")
    (found,) = sessions(server)
    assert found["first"] == "%s:%d" % one.local and found["second"] == "%s:%d" % other.local
    assert found["uuid"] == uuid[:8] and found["transport"] == "tcp-tcp" and found["bytes_from_second"] == 100
    one.close()
    other.close()
    wait_until(lambda: not sessions(server), WAIT_S, "its end")


def test_session_by_number_and_uuid(lab: Lab) -> None:
    """One session is shown by its number or its uuid's short form; of another one there is a clear word."""
    server, uuid = lab.server("relay"), fresh_uuid()
    joined(lab, server, uuid=uuid)
    number = str(sessions(server)[0]["id"])
    for name in (number, uuid[:8]):
        assert f"uuid: {uuid[:8]}" in tell(server, "session", name)
    for command in ("session", "kick"):
        assert_refused(told(server, command, "0"), 1, "session")
        assert_refused(told(server, command), 2, "argument")


def test_usage(lab: Lab) -> None:
    """Usage tells the rates of each session."""
    server = lab.server("relay")
    one, other = joined(lab, server)
    assert_passes(one, other, 300_000)
    one.send_raw(b"x")
    (found,) = ctl(server.directory, "relay", "usage")["sessions"]
    assert {"peak_kbps", "average_kbps", "current_kbps", "megabytes", "seconds"} <= set(found)
    assert found["average_kbps"] > 0


@pytest.mark.parametrize("by", ["id", "uuid"])
def test_kick(lab: Lab, by: str) -> None:
    """A kicked session ends at once on both sides; others go on, and the log says why it ended."""
    server = lab.server("relay")
    kicked, spared = joined(lab, server), joined(lab, server)
    tell(server, "kick", str(sessions(server)[-1][by]))
    assert_ended(*kicked)
    assert_joined(*spared)
    wait_until(lambda: [e for e in server.events if e.get("reason") == "kicked"], WAIT_S, "the log line")


def test_limits_are_shown_and_set(lab: Lab) -> None:
    """Every limit is listed, can be set, and is then an effective setting."""
    server = lab.server("relay")
    assert set(ctl(server.directory, "relay", "limits")) == set(LIMITS) | {"ok"}
    for name, value in LIMITS.items():
        tell(server, "limits", name, value)
    assert ctl(server.directory, "relay", "limits") == {"ok": True, **LIMITS}
    settings = ctl(server.directory, "relay", "settings")["settings"]
    assert {name: settings[name]["value"] for name in LIMITS} == LIMITS


@pytest.mark.parametrize(
    "words", ["single-bandwidth", "single-bandwidth 1x", "limit-speed x", "downgrade-threshold 2", "port 1", "nothing 1"]
)
def test_bad_limits(lab: Lab, words: str) -> None:
    """A limit that there isn't, or a value that it can't have, changes nothing."""
    server = lab.server("relay")
    before = ctl(server.directory, "relay", "limits")
    assert_refused(told(server, "limits", *words.split()), 2)
    assert ctl(server.directory, "relay", "limits") == before


def assert_stopped(server: Server) -> None:
    """It ends by itself, with exit 0."""
    wait_until(lambda: not server.running, WAIT_S, "its end")
    server.stop()


def lines(server: Server, name: str) -> list[str]:
    path = Path(server.directory) / name
    return path.read_text().split("\n")[:-1] if path.exists() else []


def test_block_and_unblock(lab: Lab) -> None:
    """A blocked address is written down, its sessions end and it comes in no more, until it is unblocked."""
    server, source = lab.server("relay"), fresh_source()
    (Path(server.directory) / "blocklist.txt").write_text("# mine\n192.0.2.0/24")
    pair, spared = joined(lab, server, source), joined(lab, server)
    tell(server, "block", source)
    tell(server, "block", source)
    assert_ended(*pair)
    lab.relay_side(server.target(), source).join(fresh_uuid(), server.key).recv_end()
    assert_joined(*spared)
    assert lines(server, "blocklist.txt") == ["# mine", "192.0.2.0/24", source]
    tell(server, "unblock", source)
    assert lines(server, "blocklist.txt") == ["# mine", "192.0.2.0/24"]
    joined(lab, server, source)


def test_slow(lab: Lab) -> None:
    """An address on the slow lane is written down, and its sessions are marked, those that run included."""
    server, source = lab.server("relay"), fresh_source()
    joined(lab, server, source)
    assert not sessions(server)[0]["slow"]
    tell(server, "slow", source)
    assert lines(server, "blacklist.txt") == [source] and sessions(server)[0]["slow"]
    tell(server, "unblock", source)
    assert lines(server, "blacklist.txt") == []


@pytest.mark.parametrize("command", ["block", "slow", "unblock"])
@pytest.mark.parametrize("net", ["", "here", "192.0.2.1/33", "192.0.2.1 192.0.2.2"])
def test_bad_addresses(lab: Lab, command: str, net: str) -> None:
    """What is no address isn't written down."""
    server = lab.server("relay")
    assert_refused(told(server, command, *net.split()), 2)
    assert not lines(server, "blocklist.txt") and not lines(server, "blacklist.txt")


def test_unblock_what_is_not_listed(lab: Lab) -> None:
    """An address that no list has can't be taken off."""
    assert_refused(told(lab.server("relay"), "unblock", "192.0.2.1"), 1, "blocklist.txt", "blacklist.txt")


def test_reload_of_a_bad_list(lab: Lab) -> None:
    """A bad line is named by its number, and the old list goes on."""
    server, source = lab.server("relay"), fresh_source()
    tell(server, "block", source)
    (Path(server.directory) / "blocklist.txt").write_text(f"{source}\n\nhere # where?\n")
    assert_refused(told(server, "reload"), 1, "blocklist.txt:3", '"here"')
    lab.relay_side(server.target(), source).join(fresh_uuid(), server.key).recv_end()


def test_drain(lab: Lab) -> None:
    """While it drains, the relay takes nobody new and tells so; with its last session the process ends, exit 0."""
    server = lab.server("relay")
    one, other = joined(lab, server)
    waiting = lab.relay_side(server.target()).join(fresh_uuid(), server.key)
    tell(server, "drain")
    waiting.recv_end()
    assert ctl(server.directory, "relay")["draining"] is True
    assert_refused(told(server, "drain"), 1, "already")
    with pytest.raises(OSError):
        lab.relay_side(server.target())
    assert_joined(one, other)
    one.close()
    other.close()
    assert_stopped(server)


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_drain_with_a_deadline(lab: Lab, seconds: str) -> None:
    """After the deadline running sessions are closed."""
    server = lab.server("relay")
    pair = joined(lab, server)
    tell(server, "drain", seconds)
    assert_ended(*pair)
    assert_stopped(server)


def test_drain_takes_a_number(lab: Lab) -> None:
    """A bad number drains nothing."""
    server = lab.server("relay")
    assert_refused(told(server, "drain", "soon"), 2, "seconds")
    assert ctl(server.directory, "relay")["draining"] is False


def test_id_server_goes_on_while_serve_drains(lab: Lab) -> None:
    """Under serve the ID server still answers."""
    server = lab.server("serve")
    pair = joined(lab, server)
    tell(server, "drain")
    lab.registered(server.target())
    for side in pair:
        side.close()
    assert_stopped(server)


def test_json_and_text(lab: Lab) -> None:
    """The list is a table for people and JSON for scripts."""
    server = lab.server("relay")
    joined(lab, server)
    head, row = tell(server, "sessions").splitlines()
    assert re.split(r" +", head.strip())[:5] == ["id", "uuid", "first", "second", "transport"]
    assert "tcp-tcp" in row
    done = rdsrv("ctl", "--json", "--data-dir", server.directory, "relay", "sessions", cwd=server.directory.parent)
    assert json.loads(done.stdout)["ok"] is True
