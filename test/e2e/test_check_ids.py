"""Goal: ids that a check reserves work as any others, whatever limits and enrolment say, and leave no trace."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

import database
from clihelp import rdsrv
from conftest import Lab
from polling import wait_until
from rdclient import (
    Connection,
    ConnectedPeer,
    RelaySide,
    SecurePeer,
    TcpPeer,
    UdpPeer,
    WsPeer,
    assert_joined,
    assert_passes,
    fresh_source,
    fresh_uuid,
    is_online,
)
from rdserver import Server
from rdwire import Failure, Result

WAIT_S = 10.0
MINUTE_S = 60.0
CLOSED = ("--enrol", "closed")


def ask(server: Server, *words: Any, role: str = "id") -> dict[str, Any]:
    """What the running server answers."""
    text = [str(word) for word in words]
    done = rdsrv("ctl", "--json", "--data-dir", server.directory, role, *text, cwd=server.directory)
    return dict(json.loads(done.stdout))


def reserve(server: Server, n: int = 1) -> list[str]:
    answer = ask(server, "check-reserve", n)
    assert answer["ok"] is True, answer
    assert answer["seconds"] == 60
    assert len(set(answer["ids"])) == n
    return list(answer["ids"])


def release(server: Server, *ids: str) -> int:
    return int(ask(server, "check-release", *ids)["released"])


def refused_punch(lab: Lab, server: Server, peer_id: str) -> Failure:
    a = lab.controller(server.target())
    a.punch(peer_id)
    return Failure(a.expect("PunchHoleResponse")["failure"])


def assert_reached(lab: Lab, b: Any) -> None:
    """A punch request comes to this peer, and its answer, signed with its key, goes back."""
    a = lab.controller(b.target)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


def assert_no_trace(server: Server) -> None:
    """Nobody on file, on the way there or refused; nothing counted."""
    status = ask(server, "status")
    assert (status["peers"], status["online"], status["check_ids"]) == (0, 0, 0)
    assert (status["stores_pending"], status["notes_pending"]) == (0, 0)
    assert ask(server, "peers")["peers"] == []
    assert ask(server, "blocked") == {"ok": True, "ids": [], "refused_registrations": []}
    assert database.rows(server.directory) == {}


# --- the command ------------------------------------------------------------------------------------------------------


def test_ids_are_ids(lab: Lab) -> None:
    """Fresh ones each time, of a form that says what they are, and none of them on file or online."""
    server = lab.server("id")
    ids = reserve(server, 16) + reserve(server)
    assert len(set(ids)) == 17
    assert all(re.fullmatch(r"rdsrv-check-[0-9a-f]+", one) and len(one) <= 32 for one in ids)
    assert ask(server, "status")["check_ids"] == 17
    assert refused_punch(lab, server, ids[0]) is Failure.ID_NOT_EXIST
    assert release(server, *ids) == 17
    assert release(server, *ids) == 0


@pytest.mark.parametrize("words", ["0", "17", "x", "1 2", "1.5", "99999999999999999999", ""])
def test_numbers_that_are_refused(lab: Lab, words: str) -> None:
    """A number out of bounds is refused with the bounds; nothing is reserved."""
    server = lab.server("id")
    answer = ask(server, "check-reserve", *words.split())
    assert answer["ok"] is False
    assert "argument" in answer["error"] or "from 1 to 16" in answer["error"]
    assert ask(server, "status")["check_ids"] == 0


def test_full(lab: Lab) -> None:
    """More than 64 at once are refused as a whole; released ones make room; a release of strangers' ids does nothing."""
    server = lab.server("id")
    ids = [one for _ in range(4) for one in reserve(server, 15)]
    answer = ask(server, "check-reserve", "5")
    assert answer["ok"] is False and "minute" in answer["error"]
    assert ask(server, "status")["check_ids"] == 60
    reserve(server, 4)
    assert ask(server, "check-reserve", "1")["ok"] is False
    assert release(server, ids[0], "123456789", "rdsrv-check-", "\u00e9", ids[1]) == 2
    reserve(server, 2)


def test_relay_knows_no_ids(lab: Lab) -> None:
    assert "no such command" in ask(lab.server("relay"), "check-reserve", "1", role="relay")["error"]


# --- as any other id --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enrol", ["open", "approve", "closed"])
def test_udp(lab: Lab, enrol: str) -> None:
    """Asked for its key, registered, content, reached; gone when it is released; the file is as it was."""
    server = lab.server("id", "--enrol", enrol)
    (one,) = reserve(server)
    b = lab.registered(server.target(), one)
    assert is_online(server.target(), one)
    assert_reached(lab, b)
    assert release(server, one) == 1
    assert not is_online(server.target(), one)
    assert refused_punch(lab, server, one) is Failure.ID_NOT_EXIST
    assert b.register_peer() is True
    assert_no_trace(server)


@pytest.mark.parametrize("way", [TcpPeer, SecurePeer, WsPeer])
def test_connections(lab: Lab, way: type[ConnectedPeer]) -> None:
    """At once OK, with keep_alive; offline when the connection closes, and closed when the id is released."""
    server = lab.server("id", *CLOSED)
    (one,) = reserve(server)
    b = lab.connected(way, server.target(), one)
    b.send_register_pk()
    assert b.expect("RegisterPkResponse").fields == {"keep_alive": 30}
    assert_reached(lab, b)
    b.close()
    wait_until(lambda: not is_online(server.target(), one), WAIT_S, "offline")
    assert refused_punch(lab, server, one) is Failure.OFFLINE
    again = lab.keep(way(server.target(), one, source=b.source, **b.identity))
    again.register()
    assert is_online(server.target(), one)
    assert release(server, one) == 1
    again.expect_closed()
    assert_no_trace(server)


def test_it_belongs_to_the_first(lab: Lab) -> None:
    """Another uuid is a mismatch, as is another key from elsewhere; the same device may move."""
    server = lab.server("id", *CLOSED)
    (one,) = reserve(server)
    b = lab.registered(server.target(), one)
    stranger = lab.peer(server.target(), one)
    assert stranger.register_pk() is Result.UUID_MISMATCH
    assert stranger.register_pk(uuid=b.uuid) is Result.UUID_MISMATCH
    assert stranger.register_peer() is True
    assert_reached(lab, b)
    moved = lab.keep(TcpPeer(server.target(), one, source=fresh_source(), **b.identity))
    assert moved.register_pk() is Result.OK
    assert_reached(lab, moved)
    assert release(server, one) == 1
    assert_no_trace(server)


def test_not_reserved_is_no_check(lab: Lab) -> None:
    """An id of that form which nobody has reserved, or not any more, is taken by the ordinary rules."""
    closed = lab.server("id", *CLOSED, directory=lab.directory("closed"))
    assert lab.peer(closed.target(), "rdsrv-check-12345678").register_pk() is Result.NOT_DEPLOYED
    (one,) = reserve(closed)
    release(closed, one)
    assert lab.peer(closed.target(), one).register_pk() is Result.NOT_DEPLOYED
    server = lab.server("id", directory=lab.directory("open"))
    (one,) = reserve(server)
    release(server, one)
    lab.registered(server.target(), one)
    assert set(database.rows(server.directory)) == {one}
    assert [peer["id"] for peer in ask(server, "peers")["peers"]] == [one]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_limits_are_not_eaten(lab: Lab) -> None:
    """A hundred registrations of 16 test ids from an address whose limit is one each of a minute and a day."""
    server = lab.server("id", "--limit-register-minute", "1", "--limit-ids-day", "1")
    ids, source = reserve(server, 16), fresh_source()
    peers = [lab.peer(server.target(), one, source=source) for one in ids]
    for _ in range(7):
        for peer in peers:
            assert peer.register_pk() is Result.OK
    assert lab.peer(server.target(), source=source).register_pk() is Result.OK
    assert lab.peer(server.target(), source=source).register_pk() is Result.TOO_FREQUENT
    release(server, *ids)
    assert len(database.rows(server.directory)) == 1


def test_unproven_datagrams(lab: Lab) -> None:
    """An address that has used up what unproven datagrams are answered is answered for test ids."""
    server = lab.server("id")
    (one,) = reserve(server)
    b = lab.peer(server.target(), one)
    flood = lab.peer(server.target(), source=b.source)

    def refused() -> int:
        return int(ask(server, "status")["counters"].get("source-too-fast", 0))

    def is_over() -> bool:
        for _ in range(250):
            flood.send("RegisterPeer", id=flood.id, serial=3)
        return refused() > 0

    wait_until(is_over, 30, "the address is over its limit")
    before = refused()
    for _ in range(40):
        for _ in range(60):
            flood.send("RegisterPeer", id=flood.id, serial=3)
        assert b.register_peer() is True
    assert b.register_pk() is Result.OK
    assert refused() > before


# --- in the ledgers ---------------------------------------------------------------------------------------------------


def test_attempts_are_marked(lab: Lab) -> None:
    """Who looks at the last attempts sees which were a check's; keys that it shows are nobody's use of them."""
    server = lab.server("id")
    (one,) = reserve(server)
    b = lab.registered(server.target(), one)
    a = lab.controller(server.target())
    a.punch(one, licence_key="A" * 43 + "=")
    assert a.expect("PunchHoleResponse")["failure"] == Failure.LICENSE_MISMATCH
    assert_reached(lab, b)
    release(server, one)
    assert refused_punch(lab, server, "123456789") is Failure.ID_NOT_EXIST
    stranger, reached, wrong = ask(server, "recent")["attempts"]
    assert (stranger["id"], reached["id"], wrong["id"]) == ("123456789", one, one)
    assert (stranger["check"], reached["check"], wrong["check"]) == (False, True, True)
    assert (reached["verdict"], wrong["verdict"]) == ("answered", "key-wrong")
    counters = ask(server, "status")["counters"]
    assert "key-wrong" not in counters and counters["id-unknown"] == 1
    assert not server.logged("key refused")
    assert [event["level"] for event in server.logged("refused")] == ["debug", "info"]


def test_keys_are_not_in_use(lab: Lab) -> None:
    """What a check shows isn't written down as use of the key; what a client shows is."""
    server = lab.server("id")
    (one,) = reserve(server)
    assert_reached(lab, lab.registered(server.target(), one))
    ask(server, "key-use")
    assert not (server.directory / "key-use-id.json").exists()
    refused_punch(lab, server, "123456789")
    ask(server, "key-use")
    assert (server.directory / "key-use-id.json").exists()


def relay_session(lab: Lab, server: Server, uuid: str, size: int = 1000) -> tuple[RelaySide, RelaySide]:
    one, other = (lab.relay_side(server.target()).join(uuid, server.key) for _ in range(2))
    assert_joined(one, other)
    assert_passes(other, one, size)
    return one, other


def test_relay_sessions_are_marked(lab: Lab) -> None:
    """A check's session is marked while it runs, is counted by itself and is in the log for debugging only."""
    server = lab.server("relay", log_level="info")
    one, other = relay_session(lab, server, "rdsrv-check-" + fresh_uuid(), 128 * 1024)
    (shown,) = ask(server, "sessions", role="relay")["sessions"]
    assert shown["check"] is True
    one.close(), other.close()
    wait_until(lambda: ask(server, "status", role="relay")["checks"] == 1, WAIT_S, "the check in the status")
    status = ask(server, "status", role="relay")
    assert (status["sessions_ended"], status["bytes"], status["probes"]) == (0, 0, 0)
    assert not server.logged("session ended")


@pytest.mark.parametrize(
    ("uuid", "size"),
    [("rdsrv-check-1", 600 * 1024), ("rdsrv-checks-1", 1000), ("4f1c9a52-7a5e-4c0b-9d8e-2f9b1c7d6e30", 1000)],
    ids=["too long", "another", "a client's"],
)
def test_no_check(lab: Lab, uuid: str, size: int) -> None:
    """What moves more than checks do, or isn't called so, is a session as any other."""
    server = lab.server("relay", log_level="info")
    for side in relay_session(lab, server, uuid, size):
        side.close()
    wait_until(lambda: server.logged("session ended"), WAIT_S, "the session's end")
    status = ask(server, "status", role="relay")
    assert (status["sessions_ended"], status["checks"]) == (1, 0)
    assert server.logged("session ended")[0]["of"] == "clients"


def test_log_says_whose_session(lab: Lab) -> None:
    server = lab.server("relay")
    for side in relay_session(lab, server, "rdsrv-check-" + fresh_uuid()):
        side.close()
    (line,) = wait_until(lambda: server.logged("session ended"), WAIT_S, "the session's end")
    assert (line["of"], line["level"]) == ("check", "debug")


# --- a relay that pairs only what was passed on -----------------------------------------------------------------------


def test_only_issued(lab: Lab) -> None:
    """Two sides of a check meet only after its uuid was announced, each of which holds for that uuid."""
    server = lab.server("serve", "--relay-only-issued", "on")
    announced, other = ("rdsrv-check-" + fresh_uuid() for _ in range(2))
    answer = ask(server, "check-issue", announced, role="relay")
    assert answer == {"ok": True, "seconds": 60}
    relay_session(lab, server, announced)
    sides = [lab.relay_side(server.target()).join(other, server.key) for _ in range(2)]
    for side in sides:
        side.recv_end()
    assert ask(server, "status", role="relay")["counters"]["not-issued"] == 2


def test_passed_on_by_the_id_server(lab: Lab) -> None:
    """A check that asks the ID server for the relay needs no other announcement."""
    server = lab.server("serve", "--relay-only-issued", "on")
    (one,) = reserve(server)
    b, uuid = lab.registered(server.target(), one), "rdsrv-check-" + fresh_uuid()
    a = lab.controller(server.target())
    a.request_relay(one, uuid)
    assert b.expect("RequestRelay")["uuid"] == uuid
    relay_session(lab, server, uuid)
    assert ask(server, "recent")["attempts"][0]["check"] is True


@pytest.mark.parametrize("uuid", ["", "x", "rdsrv-check-", "rdsrv-probe-1", "rdsrv-check-" + 117 * "x"])
def test_what_is_not_announced(lab: Lab, uuid: str) -> None:
    """Only sessions that say that they are checks, however the relay is set."""
    server = lab.server("relay")
    assert ask(server, "check-issue", *uuid.split(), role="relay")["ok"] is False
    assert ask(server, "check-issue", "rdsrv-check-" + 116 * "x", role="relay")["ok"] is True


# --- no trace ---------------------------------------------------------------------------------------------------------


def test_restart_forgets(lab: Lab) -> None:
    """After a restart the id is nobody's, and the file has nobody."""
    server = lab.server("id", *CLOSED)
    (one,) = reserve(server)
    b = lab.registered(server.target(), one)
    server.stop()
    assert database.rows(server.directory) == {}
    server.restarted()
    assert b.register_pk() is Result.NOT_DEPLOYED
    assert ask(server, "status")["check_ids"] == 0
    assert refused_punch(lab, server, one) is Failure.ID_NOT_EXIST


def test_not_for_the_administrator(lab: Lab) -> None:
    """Approving, banning and forgetting a test id: there is no such id; its device stays."""
    server = lab.server("id")
    (one,) = reserve(server)
    lab.registered(server.target(), one)
    for command in ("peer", "approve", "ban", "forget"):
        assert ask(server, command, one) == {"ok": False, "error": "there is no such id"}
    assert is_online(server.target(), one)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_its_minute(lab: Lab) -> None:
    """60 s after it was reserved, whenever it registered, the id is gone and its connection closed."""
    server = lab.server("id", *CLOSED)
    udp, tcp, never = reserve(server, 3)
    began = time.monotonic()
    device: UdpPeer = lab.registered(server.target(), udp)
    connected: TcpPeer = lab.joined(TcpPeer, server.target(), tcp)
    connection: Connection = connected.connection
    wait_until(lambda: time.monotonic() - began > MINUTE_S - 5, MINUTE_S, "most of the minute")
    assert device.register_peer() is False
    assert lab.peer(server.target(), never).register_pk() is Result.OK
    connection.sock.settimeout(20)
    while (payload := connection.recv_payload()) is not None:
        assert payload == b""  # a heartbeat
    assert MINUTE_S - 1 < time.monotonic() - began < MINUTE_S + 5
    for one in (udp, tcp, never):
        assert refused_punch(lab, server, one) is Failure.ID_NOT_EXIST
    assert device.register_pk() is Result.NOT_DEPLOYED
    assert release(server, udp, tcp, never) == 0
    assert ask(server, "status")["check_ids"] == 0 and database.rows(server.directory) == {}
