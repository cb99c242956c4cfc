"""Goal: a device changes its id: everything about it stays but the name, and nobody else's id can be taken so."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Lab
from database import change, rows, stored
from rdclient import (
    Connection,
    Device,
    SecurePeer,
    Target,
    TcpPeer,
    UdpPeer,
    WsConnection,
    WsPeer,
    fresh_source,
    is_online,
)
from rdserver import Server
from rdwire import Failure, Result

KEPT = ("guid", "pk", "created_at", "uuid")
any_way = pytest.mark.parametrize("way", ["tcp", "websocket"])


def connect(lab: Lab, target: Target, way: str, source: str) -> Connection:
    if way == "websocket":
        return lab.keep(WsConnection(target, source))
    return lab.connection(target.id_port, source)


def ask(lab: Lab, b: Device, new_id: str, way: str = "tcp", **changed: Any) -> Result:
    """Asks, on a connection of its own, for this id instead of the device's own."""
    source = changed.pop("source", b.source)
    connection = connect(lab, b.target, way, source)
    connection.send("RegisterPk", **{"id": new_id, "old_id": b.id, "uuid": b.uuid, **changed})
    return Result(connection.expect("RegisterPkResponse")["result"])


def punch_failure(lab: Lab, target: Target, peer_id: str) -> Failure:
    a = lab.controller(target)
    a.punch(peer_id)
    return Failure(a.expect("PunchHoleResponse")["failure"])


def assert_renamed(server: Server, before: dict[str, dict[str, Any]], old: str, new: str) -> None:
    """On disk the row has the new id and keeps the rest; no other row was touched."""
    after = rows(server.directory)
    assert old not in after and len(after) == len(before)
    assert {name: after[new][name] for name in KEPT} == {name: before[old][name] for name in KEPT}
    assert {i: row for i, row in after.items() if i != new} == {i: row for i, row in before.items() if i != old}


# --- OK -------------------------------------------------------------------------------------------------------------


@any_way
@pytest.mark.parametrize("new_id", ["desk-7", "Desk_Seven", "a12345", "ABCDEFGHIJKLMNOP", "x-----", "y_____"])
def test_change(lab: Lab, way: str, new_id: str) -> None:
    """OK once it is on disk: the row keeps guid, pk, creation date; the old id is gone."""
    server = lab.server("id")
    b, other = lab.registered(server.target()), lab.registered(server.target())
    before = rows(server.directory)
    assert ask(lab, b, new_id, way) is Result.OK
    assert_renamed(server, before, b.id, new_id)
    assert punch_failure(lab, server.target(), b.id) is Failure.ID_NOT_EXIST
    assert not is_online(server.target(), b.id)
    assert other.register_peer() is False


@any_way
def test_device_goes_on_under_the_new_id(lab: Lab, way: str) -> None:
    """The device registers its new id and is reached and vouched for by it."""
    server = lab.server("id")
    b = lab.registered(server.target())
    assert ask(lab, b, "desk-seven", way) is Result.OK
    b.id = "desk-seven"
    before = rows(server.directory)
    assert b.register_pk() is Result.OK
    assert b.register_peer() is False
    a = lab.controller(server.target())
    a.punch("desk-seven")
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == ("desk-seven", b.pk)
    assert rows(server.directory) == before


@pytest.mark.parametrize("kind", [TcpPeer, SecurePeer, WsPeer])
def test_device_registered_at_a_connection(id_site: Target, lab: Lab, kind: Any) -> None:
    """After the change its registered connection stands for the new id as soon as it registers that."""
    b = lab.joined(kind, id_site)
    old_id = b.id
    assert ask(lab, b, "desk-seven", "websocket" if kind is WsPeer else "tcp") is Result.OK
    b.id = "desk-seven"
    assert b.register_pk() is Result.OK
    assert punch_failure(lab, id_site, old_id) is Failure.ID_NOT_EXIST
    a = lab.controller(id_site)
    a.punch(b.id)
    b.expect_hole("PunchHole", a)


@any_way
def test_asking_again_is_ok(lab: Lab, way: str) -> None:
    """The same uuid asking again for what it already has is OK, and changes nothing."""
    server = lab.server("id")
    b = lab.registered(server.target())
    assert ask(lab, b, "desk-seven", way) is Result.OK
    before = rows(server.directory)
    assert ask(lab, b, "desk-seven", way) is Result.OK
    assert rows(server.directory) == before


def test_change_twice_and_back(lab: Lab) -> None:
    """An id may change again, and back to a name it had, if that has the right form."""
    server = lab.server("id")
    b = lab.registered(server.target(), "desk-first")
    before = rows(server.directory)
    for new_id in ("desk-second", "desk-third", "desk-first"):
        assert ask(lab, b, new_id) is Result.OK
        b.id = new_id
    assert rows(server.directory).keys() == {"desk-first"}
    assert {name: rows(server.directory)["desk-first"][name] for name in KEPT} == {
        name: before["desk-first"][name] for name in KEPT
    }


def test_old_id_is_free(id_site: Target, lab: Lab) -> None:
    """Another device may take the old id; it is another device then."""
    b = lab.registered(id_site)
    assert ask(lab, b, "desk-seven") is Result.OK
    heir = lab.registered(id_site, b.id)
    assert b.register_pk() is Result.UUID_MISMATCH
    assert heir.register_peer() is False


def test_offline_device_may_change(lab: Lab) -> None:
    """An id that is on file but not registered changes too."""
    server = lab.server("id")
    b = lab.registered(server.target())
    server.stop()
    server.restarted()
    assert ask(lab, b, "desk-seven") is Result.OK
    assert punch_failure(lab, server.target(), b.id) is Failure.ID_NOT_EXIST
    assert punch_failure(lab, server.target(), "desk-seven") is Failure.OFFLINE


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_change_survives(lab: Lab, end: str) -> None:
    """What was answered OK holds after a stop, and after a power cut."""
    server = lab.server("id")
    b = lab.registered(server.target())
    before = rows(server.directory)
    assert ask(lab, b, "desk-seven") is Result.OK
    getattr(server, end)()
    server.restarted()
    assert_renamed(server, before, b.id, "desk-seven")
    assert punch_failure(lab, server.target(), b.id) is Failure.ID_NOT_EXIST
    assert punch_failure(lab, server.target(), "desk-seven") is Failure.OFFLINE
    assert ask(lab, b, "desk-seven") is Result.OK


# --- refused --------------------------------------------------------------------------------------------------------


@any_way
def test_uuid_mismatch(lab: Lab, way: str) -> None:
    """An old id that isn't on file, or has another uuid."""
    server = lab.server("id")
    b, stranger = lab.registered(server.target()), lab.peer(server.target())
    before = rows(server.directory)
    assert ask(lab, b, "desk-seven", way, uuid=stranger.uuid) is Result.UUID_MISMATCH
    assert ask(lab, b, "desk-seven", way, uuid=b.uuid + b"\0") is Result.UUID_MISMATCH
    assert ask(lab, stranger, "desk-seven", way) is Result.UUID_MISMATCH
    assert rows(server.directory) == before
    assert b.register_peer() is False


def test_old_id_of_nobody_after_the_change(id_site: Target, lab: Lab) -> None:
    """Once changed, the old id can't be changed again to something else."""
    b = lab.registered(id_site)
    assert ask(lab, b, "desk-seven") is Result.OK
    assert ask(lab, b, "desk-eight") is Result.UUID_MISMATCH


FORMS = {
    "five characters": "desk7",
    "seventeen": "abcdefghijklmnopq",
    "digits": "123456789",
    "digit first": "7desk-7",
    "hyphen first": "-desk-7",
    "underscore first": "_desk_7",
    "dot": "desk.seven",
    "space": "desk seven",
    "newline behind": "desk-7\n",
    "zero byte": "desk-\x007",
    "letters of other scripts": "сервер-7",
    "accent": "cafés-7",
    "empty": "",
}


@any_way
@pytest.mark.parametrize("name", FORMS)
def test_invalid_format(lab: Lab, way: str, name: str) -> None:
    """New ids are stricter than others: a letter, then 5 to 15 letters, digits, - or _."""
    server = lab.server("id")
    b = lab.registered(server.target())
    before = rows(server.directory)
    assert ask(lab, b, FORMS[name], way) is Result.INVALID_ID_FORMAT
    assert rows(server.directory) == before
    assert b.register_peer() is False


@any_way
def test_id_exists(lab: Lab, way: str) -> None:
    """Another device's id can't be had, online or not."""
    server = lab.server("id")
    b, owner = lab.registered(server.target()), lab.registered(server.target(), "desk-seven")
    before = rows(server.directory)
    assert ask(lab, b, "desk-seven", way) is Result.ID_EXISTS
    assert rows(server.directory) == before
    assert owner.register_peer() is False and b.register_peer() is False


def test_two_ask_for_one_id(lab: Lab) -> None:
    """Many devices ask for one id at once: one gets it."""
    server = lab.server("id")
    peers = [lab.registered(server.target()) for _ in range(10)]
    connections = [connect(lab, server.target(), "tcp", b.source) for b in peers]
    for b, connection in zip(peers, connections):
        connection.send("RegisterPk", id="desk-seven", old_id=b.id, uuid=b.uuid)
    results = [Result(c.expect("RegisterPkResponse")["result"]) for c in connections]
    allowed = {Result.OK, Result.ID_EXISTS, Result.TOO_FREQUENT}
    assert results.count(Result.OK) == 1 and set(results) <= allowed
    winner = peers[results.index(Result.OK)]
    row = stored(server.directory, "desk-seven")
    assert row is not None and row["uuid"] == winner.uuid
    assert len(rows(server.directory)) == 10


@any_way
def test_too_frequent(lab: Lab, way: str) -> None:
    """A change counts as a registration: more than 30 from one IP within a minute are TOO_FREQUENT."""
    server = lab.server("id")
    peers = [lab.registered(server.target()) for _ in range(32)]
    source = fresh_source()
    results = [ask(lab, b, f"desk-{i:03}", way, source=source) for i, b in enumerate(peers)]
    assert results == [Result.OK] * 30 + [Result.TOO_FREQUENT] * 2
    assert set(rows(server.directory)) == {f"desk-{i:03}" for i in range(30)} | {b.id for b in peers[30:]}


def test_refused_changes_count(lab: Lab) -> None:
    """Guessing uuids is held by the same limit."""
    target = lab.server("id", "--limit-register-minute", "5").target()
    peers, source = [lab.registered(target) for _ in range(6)], fresh_source()
    results = [ask(lab, b, "desk-seven", uuid=b"guess", source=source) for b in peers]
    assert results[5] is Result.TOO_FREQUENT
    assert set(results[:3]) == {Result.UUID_MISMATCH}


def test_server_error(lab: Lab) -> None:
    """What can't be stored is a SERVER_ERROR; the old id stays, on disk and in use."""
    server = lab.server("id")
    b = lab.registered(server.target())
    for event in ("insert", "update"):
        sql = f"create trigger rdsrv_{event} before {event} on peer when new.id = 'desk-seven' "
        change(server.directory, sql + "begin select raise(abort, 'forbidden'); end")
    assert ask(lab, b, "desk-seven") is Result.SERVER_ERROR
    assert set(rows(server.directory)) == {b.id}
    assert punch_failure(lab, server.target(), "desk-seven") is Failure.ID_NOT_EXIST
    a = lab.controller(server.target())
    a.punch(b.id)
    b.expect_hole("PunchHole", a)
    assert ask(lab, b, "desk-eight") is Result.OK


def test_not_over_udp(lab: Lab) -> None:
    """Over UDP, where a source can be forged, there is no change of ID: no answer, and nothing changes."""
    server = lab.server("id")
    b = lab.registered(server.target())
    before = rows(server.directory)
    b.send("RegisterPk", id="desk-seven", old_id=b.id, uuid=b.uuid)
    assert b.pending() == []
    assert rows(server.directory) == before
    assert b.register_peer() is False


def test_empty_uuid_changes_nothing(lab: Lab) -> None:
    """Without a uuid nothing is changed, whatever is answered."""
    server = lab.server("id")
    b: UdpPeer = lab.registered(server.target())
    before = rows(server.directory)
    connection = connect(lab, server.target(), "tcp", b.source)
    connection.send("RegisterPk", id="desk-seven", old_id=b.id)
    assert all(message["result"] for message in connection.pending())
    assert rows(server.directory) == before
