"""Goal: who is gone is found, who is merely quiet stays, and the relay itself leaves without cutting anybody off."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Callable, Iterator

import pytest

import rdws
import traffic
from conftest import Lab
from elsewhere import client_process
from network import A_HOST, B_HOST, SERVER_4, Hosts
from polling import wait_until
from rdclient import Target, fresh_uuid
from rdserver import Server
from relaysides import PAIRS, TCP_TCP, TCP_WS, WS_TCP, Kind, Side, TcpSide, WsIdSide, WsSide, assert_talk, name_of, paired
from traffic import MIB

any_pair = pytest.mark.parametrize("pair", PAIRS, ids=name_of)
# What the relay may take to look at every session once, beside the time that is set.
LOOK_S = 17


def ended(server: Server, timeout: float = 10) -> dict[str, Any]:
    """The only session's line, once it has ended."""
    lines = wait_until(lambda: server.logged("session ended"), timeout, "the session's end")
    assert len(lines) == 1
    return lines[0]


# --- quiet ones -----------------------------------------------------------------------------------------------------


@any_pair
def test_idle_timeout(lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """A session on which nothing moves for so long ends on both sides; the relay ended it."""
    server = lab.server("relay", "--idle-timeout", "2")
    begun = time.monotonic()
    one, other = paired(lab, server.target(), pair)
    quiet = time.monotonic()
    for side in (one, other):
        side.sock.settimeout(2 + LOOK_S)
        assert side.recv_payload() is None
    assert time.monotonic() - begun > 1.9
    assert time.monotonic() - quiet < 2 + LOOK_S
    line = ended(server)
    assert (line["reason"], line["ended_by"]) == ("idle", "relay")


@pytest.mark.parametrize("pair", [TCP_TCP, WS_TCP], ids=name_of)
def test_one_direction_is_enough(lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """A session with a byte now and then, in whichever direction, is not idle."""
    server = lab.server("relay", "--idle-timeout", "5")
    sides = paired(lab, server.target(), pair)
    for number in range(28):
        sender, receiver = sides if number < 14 else reversed(sides)
        sender.send_payload(b"x")
        assert receiver.recv_payload() == b"x"
        time.sleep(0.5)
    assert server.status()["sessions"] == 1


def test_idle_timeout_of_many(lab: Lab) -> None:
    """Quiet ones end, talking ones beside them don't."""
    server = lab.server("relay", "--idle-timeout", "8")
    quiet = [paired(lab, server.target(), TCP_TCP) for _ in range(20)]
    talking = [paired(lab, server.target(), TCP_TCP) for _ in range(20)]
    deadline = time.monotonic() + 8 + LOOK_S + 10
    while server.status()["sessions"] > len(talking) and time.monotonic() < deadline:
        for pair in talking:
            assert_talk(*pair)
        time.sleep(0.2)
    assert server.status()["sessions"] == len(talking)
    for one, _ in quiet:
        one.expect_end()


@pytest.mark.slow
@pytest.mark.timeout(180)
@any_pair
def test_quiet_session_stays(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """By default a session may be silent for longer than hbbr's 30 s and than it takes to find those who are gone."""
    one, other = paired(lab, relay_site, pair)
    time.sleep(100)
    assert_talk(one, other)


@pytest.mark.slow
@pytest.mark.timeout(240)
@any_pair
def test_stalled_reader_stays(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """One that is there, but doesn't read for 100 s, isn't taken for gone: all that was sent to it arrives."""
    one, other = paired(lab, relay_site, pair, receive_buffer=8192)
    for side in (one, other):
        side.sock.settimeout(200)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(traffic.send_messages, one, 64 * MIB)
        time.sleep(100)
        assert not sending.done()
        assert traffic.receive_messages(other, 64 * MIB) == sending.result(60)


# --- those who are gone ---------------------------------------------------------------------------------------------


@pytest.fixture
def across(hosts: Hosts, lab: Lab) -> Iterator[Server]:
    """A relay on another host than its clients, so that they can vanish."""
    server = lab.server("relay", hosts=None, port=21116, prefix=hosts.server.prefix)
    yield server
    lab.close_clients()
    server.stop()


def pair_across(lab: Lab, hosts: Hosts, server: Server, pair: tuple[Kind, Kind], **options: Any) -> list[Side]:
    """A session whose second side is B's, who will vanish."""
    target, uuid = server.target(SERVER_4[0]), fresh_uuid()

    def join(kind: Kind, source: str) -> Side:
        return hosts.client(lambda: lab.keep(kind(target, source, **options)).ask(uuid, target.key))

    first = join(pair[0], A_HOST)
    wait_until(lambda: server.status()["waiting"] == 1, 10, "the first side")
    sides = [first, join(pair[1], B_HOST)]
    wait_until(lambda: server.status()["sessions"] == 1, 10, "the session")
    return sides


def nothing(_: Side, __: Side) -> None:
    """Nothing is on its way."""


def a_talks(a: Side, _: Side) -> None:
    """A few bytes to B are on their way."""
    a.send_payload(b"are you there?")


def a_sends_much(a: Side, _: Side) -> None:
    """As much as goes in is on its way to B."""
    a.sock.settimeout(1)
    with suppress(TimeoutError):
        a.sock.sendall(a.wrapped(bytes(60 * MIB)))


def vanish_and_find(
    lab: Lab,
    hosts: Hosts,
    server: Server,
    pair: tuple[Kind, Kind],
    before: Callable[[Side, Side], None],
    after: Callable[[Side, Side], None],
) -> None:
    a, b = pair_across(lab, hosts, server, pair)
    before(a, b)
    hosts.vanish(B_HOST)
    began = time.monotonic()
    after(a, b)
    line = ended(server, 100)
    assert time.monotonic() - began < 85
    assert (line["ended_by"], line["reason"]) == ("second", "reset")
    a.sock.settimeout(10)
    assert a.recv_payload() is None
    wait_until(lambda: server.status()["sessions"] == 0, 10, "it is gone")


@pytest.mark.slow
@pytest.mark.timeout(240)
@any_pair
@pytest.mark.parametrize("on_its_way", [nothing, a_talks, a_sends_much])
def test_vanished_peer_is_found(
    lab: Lab, hosts: Hosts, across: Server, pair: tuple[Kind, Kind], on_its_way: Callable[[Side, Side], None]
) -> None:
    """B is gone without a word: within about a minute its session ends, and A is told, whatever is on its way to B."""
    vanish_and_find(lab, hosts, across, pair, nothing, on_its_way)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("pair", [TCP_TCP, TCP_WS], ids=name_of)
def test_vanished_reader_is_found(lab: Lab, hosts: Hosts, across: Server, pair: tuple[Kind, Kind]) -> None:
    """The same if B had stopped reading before, so that it took nothing any more."""
    vanish_and_find(lab, hosts, across, pair, a_sends_much, nothing)


@any_pair
@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "sending"])
def test_kill_9(relay_site: Target, lab: Lab, pair: tuple[Kind, Kind], busy: bool) -> None:
    """A client that is killed takes its session with it, at once, and no other."""
    server = lab.servers[0]
    spared, uuid = paired(lab, relay_site, TCP_TCP), fresh_uuid()
    with client_process(relay_site, pair[1], uuid, busy) as pid:
        one = lab.keep(pair[0](relay_site)).ask(uuid, relay_site.key)
        one.sock.settimeout(20)
        assert one.recv_payload() == b"here"
        os.kill(pid, signal.SIGKILL)
        while one.recv_payload() is not None:
            pass
    one.close()
    assert ended(server)["reason"] in ("closed-by-peer", "reset")
    assert_talk(*spared)


def test_kill_9_with_much_on_its_way_to_it(relay_site: Target, lab: Lab) -> None:
    """Killed while it is sent more than it reads: the sender is told by a broken connection."""
    server, uuid = lab.servers[0], fresh_uuid()
    with client_process(relay_site, TcpSide, uuid, False) as pid:
        one = lab.keep(TcpSide(relay_site)).ask(uuid, relay_site.key)
        one.sock.settimeout(20)
        assert one.recv_payload() == b"here"
        a_sends_much(one, one)
        os.kill(pid, signal.SIGKILL)
        one.sock.settimeout(20)
        with pytest.raises(OSError):
            while True:
                one.sock.sendall(bytes(MIB))
    assert ended(server)["ended_by"] in ("first", "second")


# --- the relay's own leave ------------------------------------------------------------------------------------------


def sigterm(server: Server) -> None:
    os.kill(server.pid, signal.SIGTERM)


def wait_for_exit(server: Server, seconds: float) -> None:
    wait_until(lambda: not server.running, seconds, "its end")
    server.stop(0)


def start_draining(server: Server) -> None:
    sigterm(server)
    wait_until(lambda: server.status()["draining"], 10, "it drains")


@any_pair
def test_drain(lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """With drain-timeout, SIGTERM lets running sessions go on, takes nobody new, and the last one's end is the end."""
    server = lab.server("relay", "--drain-timeout", "60")
    target = server.target()
    one, other = paired(lab, target, pair)
    silent, waiting = lab.keep(TcpSide(target)), lab.keep(TcpSide(target)).ask(fresh_uuid(), target.key)
    wait_until(lambda: server.status()["waiting"] == 1, 10, "it waits")
    start_draining(server)
    waiting.expect_end()
    silent.expect_end()
    for kind in (TcpSide, WsSide):
        with pytest.raises(OSError):
            kind(target)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(traffic.send_messages, one, 16 * MIB)
        assert traffic.receive_messages(other, 16 * MIB) == sending.result(30)
    assert_talk(one, other)
    assert server.running
    one.close()
    other.expect_end()
    other.close()
    wait_for_exit(server, 10)
    assert ended(server)["reason"] == "closed-by-peer"


def test_drain_without_sessions(lab: Lab) -> None:
    """Nobody is there: the end at once."""
    server = lab.server("relay", "--drain-timeout", "60")
    sigterm(server)
    wait_for_exit(server, 20)


def test_second_sigterm_ends_the_drain(lab: Lab) -> None:
    """Who insists is obeyed."""
    server = lab.server("relay", "--drain-timeout", "60")
    one, other = paired(lab, server.target(), TCP_WS)
    start_draining(server)
    assert_talk(one, other)
    sigterm(server)
    one.expect_end()
    wait_for_exit(server, 20)


@pytest.mark.parametrize("role", ["relay", "serve"])
def test_no_drain_by_default(lab: Lab, role: str) -> None:
    """Without drain-timeout, SIGTERM is the end at once, for sessions, too."""
    server = lab.server(role)
    one, other = paired(lab, server.target(), TCP_TCP)
    sigterm(server)
    one.expect_end()
    other.expect_end()
    wait_for_exit(server, 20)


def test_drain_under_serve(lab: Lab) -> None:
    """The relay takes nobody new at the ID server's port either, which serves that one's own clients until the end."""
    server = lab.server("serve", "--drain-timeout", "60")
    target = server.target()
    one, other = paired(lab, target, (WsIdSide, TcpSide))
    sigterm(server)
    wait_until(lambda: server.status_of("relay")["draining"], 10, "it drains")
    with pytest.raises((AssertionError, OSError)):
        WsIdSide(target)
    lab.registered(target)
    assert_talk(one, other)
    one.close()
    other.close()
    wait_for_exit(server, 10)


def test_drain_of_many(lab: Lab) -> None:
    """Fifty sessions that end one after the other, and then the relay."""
    server = lab.server("relay", "--drain-timeout", "60")
    sessions = [paired(lab, server.target(), TCP_TCP) for _ in range(50)]
    start_draining(server)
    for pair in sessions:
        assert server.running
        assert_talk(*pair)
        for side in pair:
            side.close()
    wait_for_exit(server, 10)
    assert len(server.logged("session ended")) == 50


def test_ping_during_a_drain(lab: Lab) -> None:
    """A WebSocket side is served as ever."""
    server = lab.server("relay", "--drain-timeout", "60")
    ws, _ = paired(lab, server.target(), WS_TCP)
    assert isinstance(ws, WsSide)
    start_draining(server)
    ws.send_frame(rdws.PING, b"still there?")
    assert ws.recv_frame() == rdws.Frame(rdws.PONG, True, b"still there?")
    sigterm(server)
    wait_for_exit(server, 20)
