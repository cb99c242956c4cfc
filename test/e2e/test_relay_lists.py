"""Goal: blocklist.txt keeps addresses out, from the start or a reload on, and a bad line is told by its number."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, Target, assert_joined, fresh_source, fresh_uuid
from rdserver import Server, has_ipv6_loopback
from relaysides import TCP_TCP, TCP_WS, WsIdSide, WsSide, assert_talk, paired

LISTS = ("blocklist.txt", "blacklist.txt")
BAD_LINES = ["here", "192.0.2.1/33", "192.0.2", "192.0.2.1 192.0.2.2", "2001:db8::/129", "192.0.2.1/", "\0"]


def write(lab: Lab, text: str, name: str = "blocklist.txt") -> Path:
    path = lab.directory() / name
    path.write_text(text)
    return path


def joined(lab: Lab, target: Target, sources: tuple[str | None, str | None]) -> tuple[RelaySide, RelaySide]:
    uuid = fresh_uuid()
    one, other = (lab.relay_side(target, source).join(uuid, target.key) for source in sources)
    assert_joined(one, other)
    return one, other


def assert_blocked(lab: Lab, target: Target, source: str) -> None:
    """Closed without a word, on TCP and by WebSocket."""
    side = lab.relay_side(target, source)
    side.try_to_send(b"")
    side.recv_end()
    with pytest.raises((AssertionError, OSError)):
        lab.keep(WsSide(target, source))


def hang_up(server: Server, event: str, times: int = 1) -> list[dict[str, Any]]:
    """SIGHUP, and so many of these lines in the log then."""
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: len(server.logged(event)) == times, 10, event)
    return server.logged(event)


def assert_ends(*sides: RelaySide) -> None:
    for side in sides:
        side.recv_end()


# --- at the start ---------------------------------------------------------------------------------------------------


TEXTS = ["{}", "{}\n", "\n# why\n\n{}   # since May\n#", "192.0.2.9\r\n{}\r\n", "\t{} \n"]


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_blocked_from_the_start(lab: Lab, text: str) -> None:
    """A listed address is refused, whatever stands around it; others are not, and the refusal is counted."""
    source = fresh_source()
    write(lab, text.format(source))
    server = lab.server("relay")
    assert_blocked(lab, server.target(), source)
    joined(lab, server.target(), (None, None))
    assert server.counter("blocked") == 2


def test_networks(lab: Lab) -> None:
    """A network means all its addresses, and no other."""
    write(lab, "127.77.0.0/16\n127.66.4.0/22\n127.55.1.1/32\n10.0.0.0/8\n")
    target = lab.server("relay").target()
    for source in ("127.77.0.1", "127.77.255.9", "127.66.4.1", "127.66.7.254", "127.55.1.1"):
        assert_blocked(lab, target, source)
    for source in ("127.76.255.1", "127.78.0.1", "127.66.8.1", "127.66.3.1", "127.55.1.2"):
        joined(lab, target, (source, None))


def test_blocked_at_the_id_servers_port(lab: Lab) -> None:
    """Under serve the list counts for /ws/relay there, too, but not for the ID server."""
    source = fresh_source()
    write(lab, source)
    server = lab.server("serve")
    with pytest.raises((AssertionError, OSError)):
        lab.keep(WsIdSide(server.target(), source))
    lab.registered(server.target(), source=source)


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 here")
@pytest.mark.parametrize(("entry", "blocks"), [("::1", True), ("::/96", True), ("2001:db8::/32", False)])
def test_ipv6(lab: Lab, entry: str, blocks: bool) -> None:
    """IPv6 addresses and networks; an IPv4 one in a list means IPv4."""
    write(lab, f"{entry}\n192.0.2.1\n")
    target = lab.server("relay", hosts=["::1"]).target()
    if blocks:
        lab.relay_side(target).recv_end()
    else:
        joined(lab, target, (None, None))


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("line", BAD_LINES, ids=repr)
def test_bad_line_at_the_start(lab: Lab, name: str, line: str) -> None:
    """A line that is no address or network is an error that names file, line and what is wrong: exit 2."""
    write(lab, f"# mine\n192.0.2.7\n\n{line}\n192.0.2.8\n", name)
    server = lab.prepare("relay").launch()
    wait_until(lambda: not server.running, 10, "its end")
    server.stop(2)
    assert f"{name}:4: " in server.log_text()


@pytest.mark.parametrize("name", LISTS)
def test_oversized_list(lab: Lab, name: str) -> None:
    """A list that is far too long is an error, and not cut."""
    write(lab, "192.0.2.7\n" * 500_000, name)
    server = lab.prepare("relay").launch()
    wait_until(lambda: not server.running, 10, "its end")
    assert server.exit_code() in (1, 2)
    assert name in server.log_text()


# --- when it is read again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [0, 1], ids=["first", "second"])
def test_reload_ends_running_sessions(lab: Lab, listed: int) -> None:
    """A running session ends when either of its sides is blocked; others go on, and so do sessions of its peers."""
    server = lab.server("relay")
    target, source = server.target(), fresh_source()
    sources = (source, None) if listed == 0 else (None, source)
    ended, spared = joined(lab, target, sources), joined(lab, target, (None, None))
    write(lab, f"# new\n{source}\n")
    hang_up(server, "settings reloaded")
    assert_ends(*ended)
    assert_blocked(lab, target, source)
    assert_joined(*spared)
    line = wait_until(lambda: server.logged("session ended"), 10, "the line")[0]
    assert (line["ended_by"], line["reason"]) == ("relay", "blocked")


def test_reload_ends_websocket_sessions(lab: Lab) -> None:
    """On WebSocket, too."""
    server = lab.server("relay")
    target, source, uuid = server.target(), fresh_source(), fresh_uuid()
    one, other = (lab.keep(kind(target, source)).ask(uuid, target.key) for kind in TCP_WS)
    assert_talk(one, other)
    write(lab, source)
    hang_up(server, "settings reloaded")
    one.expect_end()
    other.expect_end()


def test_reload_lets_in_again(lab: Lab) -> None:
    """Who is no longer listed comes in, also when the file is gone."""
    source = fresh_source()
    path = write(lab, source)
    server = lab.server("relay")
    assert_blocked(lab, server.target(), source)
    path.write_text("# nobody\n")
    hang_up(server, "settings reloaded")
    joined(lab, server.target(), (source, None))
    path.write_text(source)
    hang_up(server, "settings reloaded", 2)
    assert_blocked(lab, server.target(), source)
    path.unlink()
    hang_up(server, "settings reloaded", 3)
    joined(lab, server.target(), (source, None))


@pytest.mark.parametrize("name", LISTS)
def test_reload_of_a_bad_list(lab: Lab, name: str) -> None:
    """A bad line on a reload: one error with its number, the old list goes on, and so do the sessions."""
    source, other = fresh_source(), fresh_source()
    write(lab, source)
    server = lab.server("relay")
    target = server.target()
    spared = joined(lab, target, (other, None))
    write(lab, f"{source}\n{other}\nhere\n", name)
    line = hang_up(server, "settings not reloaded: the old ones go on")[0]
    assert f"{name}:3: " in line["why"] and "here" in line["why"]
    assert_joined(*spared)
    assert_blocked(lab, target, source)
    joined(lab, target, (other, None))
    write(lab, source, name)
    hang_up(server, "settings reloaded")


def test_many_reloads_under_traffic(lab: Lab) -> None:
    """Lists that change again and again while sessions come and go: those who aren't listed notice nothing."""
    server = lab.server("relay", log_level="info")
    target, source = server.target(), fresh_source()
    steady = paired(lab, target, TCP_TCP)
    for number in range(30):
        write(lab, f"{source}\n" + "192.0.2.1\n" * (number * 50))
        os.kill(server.pid, signal.SIGHUP)
        assert_talk(*paired(lab, target, TCP_TCP))
        assert_talk(*steady)
    wait_until(lambda: server.logged("settings reloaded"), 10, "a reload")
    assert_blocked(lab, target, source)
