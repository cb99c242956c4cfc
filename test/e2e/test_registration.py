"""Goal: registration over UDP by its rules: every result for its reason, and no id taken from its owner."""

from __future__ import annotations

import pytest

from conftest import Lab
from database import forbid, rows, stored, stored_ip
from polling import in_one_of
from rdclient import Target, UdpPeer, fresh_id, fresh_source, is_online
from rdwire import Failure, Result

FREE_OF_LIMITS = ("--limit-exempt", "127.0.0.0/8")


def same_device(peer: UdpPeer, lab: Lab, **changed: object) -> UdpPeer:
    """The same id, uuid and pk from a new socket, but for what is changed."""
    options = {"source": peer.source, "uuid": peer.uuid, "pk": peer.pk, **changed}
    return lab.peer(peer.target, peer.id, **options)


# --- the way in -----------------------------------------------------------------------------------------------------


def test_first_registration(lab: Lab) -> None:
    """RegisterPeer asks for the key, RegisterPk is OK once it is on disk, and then the server is content."""
    server = lab.server("id")
    b = lab.peer(server.target())
    assert b.register_peer() is True
    assert not is_online(server.target(), b.id)
    assert b.register_pk() is Result.OK
    row = stored(server.directory, b.id)
    assert row is not None and (row["uuid"], row["pk"]) == (b.uuid, b.pk)
    assert stored_ip(row) == b.source
    assert is_online(server.target(), b.id)
    assert b.register_peer() is False


def test_unknown_id_is_asked_for_its_key(id_site: Target, lab: Lab) -> None:
    """However often it asks, an unknown id is only asked for its key."""
    b = lab.peer(id_site)
    assert [b.register_peer() for _ in range(5)] == [True] * 5


def test_moved_device(id_site: Target, lab: Lab) -> None:
    """From another IP the key is asked for again; with uuid and pk the device has moved, and the old IP is asked."""
    old = lab.registered(id_site)
    new = same_device(old, lab, source=fresh_source())
    assert new.register_peer() is True
    assert new.register_pk() is Result.OK
    assert new.register_peer() is False
    assert old.register_peer() is True


def test_foreign_register_peer_moves_nothing(id_site: Target, lab: Lab) -> None:
    """Somebody else's RegisterPeer for this id is asked for a key, and pushes still go to the owner."""
    b, foreign = lab.registered(id_site), lab.peer(id_site)
    foreign.id = b.id
    assert foreign.register_peer() is True
    a = lab.controller(id_site)
    a.punch(b.id)
    b.expect_hole("PunchHole", a)
    assert foreign.pending() == []


def test_foreign_register_pk_moves_nothing(lab: Lab) -> None:
    """Somebody else's RegisterPk for this id is a UUID_MISMATCH, pushes still go to the owner, the row stays."""
    server = lab.server("id")
    b, foreign = lab.registered(server.target()), lab.peer(server.target())
    before = stored(server.directory, b.id)
    assert foreign.register_pk(id=b.id) is Result.UUID_MISMATCH
    a = lab.controller(server.target())
    a.punch(b.id)
    b.expect_hole("PunchHole", a)
    assert foreign.pending() == []
    assert stored(server.directory, b.id) == before


def test_no_config_update(id_site: Target, lab: Lab) -> None:
    """Whatever serial a client reports, a server without one sends no ConfigUpdate."""
    b = lab.registered(id_site)
    for serial in (0, 3, 1000):
        b.send("RegisterPeer", id=b.id, serial=serial)
        assert b.expect("RegisterPeerResponse")["request_pk"] is False
    assert b.pending() == []


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["uuid", "pk"])
def test_incomplete_is_not_answered(id_site: Target, lab: Lab, missing: str) -> None:
    """RegisterPk without uuid or pk gets no answer at all, whatever its id."""
    b = lab.peer(id_site)
    for peer_id in (b.id, "short", "not an id"):
        b.send("RegisterPk", **{"id": peer_id, "uuid": b.uuid, "pk": b.pk, missing: b""})
    assert b.pending() == []


@pytest.mark.parametrize("peer_id", ["", "1", "12345", "a b", "日", "\n", b"\xff\xfe"], ids=repr)
def test_short_id(id_site: Target, lab: Lab, peer_id: str | bytes) -> None:
    """Ids under 6 bytes are told to draw another one, whatever else is wrong with them."""
    assert lab.peer(id_site, peer_id).register_pk() is Result.UUID_MISMATCH


INVALID_IDS: dict[str, str | bytes] = {
    "space": "ridge 042",
    "leading space": " ridge-042",
    "trailing space": "ridge-042 ",
    "tab": "ridge\t042",
    "newline": "ridge-042\n",
    "carriage return": "ridge\r042",
    "zero": "ridge\x00042",
    "escape": "ridge\x1b[31m",
    "delete": "ridge\x7f042",
    "next line (C1)": "ridge\x85042",
    "no-break space": "ridge\xa0042",
    "ideographic space": "ridge\u3000042",
    "lone byte": b"ridge-\xff042",
    "cut short": b"ridge-042\xe6\x97",
    "overlong": b"ridge-\xc0\xaf042",
    "surrogate": b"ridge-\xed\xa0\x80",
    "beyond Unicode": b"ridge-\xf4\x90\x80\x80",
    "101 bytes": "x" * 101,
    "101 bytes in 35 letters": "日" * 33 + "xx",
    "120 bytes": "x" * 120,
}


@pytest.mark.parametrize("name", INVALID_IDS)
def test_invalid_id(lab: Lab, name: str) -> None:
    """Ids with control characters or white space, not in UTF-8, or over 100 bytes are INVALID_ID_FORMAT."""
    server = lab.server("id")
    b = lab.peer(server.target(), INVALID_IDS[name])
    assert b.register_pk() is Result.INVALID_ID_FORMAT
    assert rows(server.directory) == {}


NUMBERS = ["123456", "1234567890"]
NAMES = ["DESKTOP-0A1B2C3", "a.b_c:d/e", "café-1", "сервер-7", "日本", "日本のホスト", "x" * 100]


@pytest.mark.parametrize("peer_id", NUMBERS + NAMES)
def test_valid_id(lab: Lab, peer_id: str) -> None:
    """Digits and host names of any script, from 6 to 100 bytes, register and are found and vouched for by that name."""
    server = lab.server("id")
    b = lab.registered(server.target(), peer_id)
    assert stored(server.directory, peer_id) is not None
    assert is_online(server.target(), peer_id)
    a = lab.controller(server.target())
    a.punch(peer_id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (peer_id, b.pk)


def test_uuid_mismatch(id_site: Target, lab: Lab) -> None:
    """Another uuid for an id on file is refused, from the same IP too, and with the same pk too."""
    b = lab.registered(id_site)
    assert same_device(b, lab, uuid=b"another").register_pk() is Result.UUID_MISMATCH
    assert same_device(b, lab, uuid=b"another", source=fresh_source()).register_pk() is Result.UUID_MISMATCH
    assert same_device(b, lab, uuid=b.uuid + b"\0").register_pk() is Result.UUID_MISMATCH
    assert b.register_peer() is False


def test_ip_and_pk_both_new(lab: Lab) -> None:
    """The same uuid, but another IP and another pk at once: UUID_MISMATCH, and the row stays."""
    server = lab.server("id")
    b = lab.registered(server.target())
    before = stored(server.directory, b.id)
    assert same_device(b, lab, source=fresh_source(), pk=bytes(32)).register_pk() is Result.UUID_MISMATCH
    assert stored(server.directory, b.id) == before


def test_new_pk_at_the_same_ip(lab: Lab) -> None:
    """The same uuid and IP may bring another pk; it is stored, and the row keeps its guid and date."""
    server = lab.server("id")
    b = lab.registered(server.target())
    before = stored(server.directory, b.id)
    new = same_device(b, lab, pk=bytes(range(32)))
    assert new.register_pk() is Result.OK
    assert before is not None and stored(server.directory, b.id) == {**before, "pk": new.pk}


def test_too_frequent_for_one_id(id_site: Target, lab: Lab) -> None:
    """The fourth try for one id within 6 seconds is TOO_FREQUENT; another id is not."""

    def four() -> UdpPeer:
        b = lab.peer(id_site)
        results = [b.register_pk(pk=bytes([i]) * 32) for i in range(4)]
        assert results == [Result.OK] * 3 + [Result.TOO_FREQUENT]
        return b

    assert in_one_of(3, four).register_pk(id=fresh_id()) is Result.OK


def register_new_ids(b: UdpPeer, count: int) -> list[Result]:
    return [b.register_pk(id=fresh_id()) for _ in range(count)]


@pytest.mark.parametrize(("args", "limit"), [((), 30), (("--limit-register-minute", "5"), 5)], ids=["default", "set"])
def test_too_frequent_within_a_minute(lab: Lab, args: tuple[str, ...], limit: int) -> None:
    """More than 30 (or what is set) RegisterPk from one IP within a minute are TOO_FREQUENT; other IPs are not."""
    target = lab.server("id", *args).target()
    b = lab.peer(target)
    assert register_new_ids(b, limit + 2) == [Result.OK] * limit + [Result.TOO_FREQUENT] * 2
    assert lab.peer(target).register_pk() is Result.OK


def test_refused_tries_count_too(lab: Lab) -> None:
    """Tries for other people's ids count as well: that is what the limit is for."""
    target = lab.server("id", "--limit-register-minute", "5").target()
    owners = [lab.registered(target) for _ in range(5)]
    thief = lab.peer(target)
    assert [thief.register_pk(id=owner.id) for owner in owners] == [Result.UUID_MISMATCH] * 5
    assert thief.register_pk(id=owners[0].id) is Result.TOO_FREQUENT
    assert thief.register_pk() is Result.TOO_FREQUENT


def test_too_many_ids_within_a_day(lab: Lab) -> None:
    """More different ids from one IP than a day allows are TOO_FREQUENT; those it has may change their keys."""
    target = lab.server("id", "--limit-ids-day", "5", "--limit-register-minute", "1000").target()
    b = lab.peer(target)
    assert b.register_pk() is Result.OK
    assert register_new_ids(b, 5) == [Result.OK] * 4 + [Result.TOO_FREQUENT]
    assert b.register_pk(pk=bytes(32)) is Result.OK
    assert lab.peer(target).register_pk() is Result.OK


def test_confirmations_count_for_no_limit(lab: Lab) -> None:
    """A whole office that only confirms what is on file is served, and its IP's count stays as it was."""
    args = ("--limit-register-minute", "21", "--limit-ids-day", "21")
    target = lab.server("id", *args).target()
    source = fresh_source()
    office = [lab.peer(target, source=source) for _ in range(20)]
    assert [b.register_pk() for b in office] == [Result.OK] * 20
    assert [b.register_pk() for b in office] == [Result.OK] * 20
    assert [b.register_pk() for b in office] == [Result.OK] * 20
    assert register_new_ids(office[0], 2) == [Result.OK, Result.TOO_FREQUENT]


def test_exempt_addresses(lab: Lab) -> None:
    """Addresses of an exempt network have no limit by IP; others do."""
    target = lab.server("id", "--limit-register-minute", "3", "--limit-exempt", "127.8.0.0/16,127.9.9.0/24").target()
    for prefix in ("127.8.", "127.9.9."):
        assert register_new_ids(lab.peer(target, source=fresh_source(prefix)), 10) == [Result.OK] * 10
    other = lab.peer(target, source=fresh_source("127.7."))
    assert register_new_ids(other, 4) == [Result.OK] * 3 + [Result.TOO_FREQUENT]


def test_server_error(lab: Lab) -> None:
    """What can't be stored is a SERVER_ERROR and leaves the id unknown; others are stored all the same."""
    server = lab.server("id")
    first = lab.registered(server.target())
    forbid(server.directory, "unlucky-1")
    unlucky = lab.peer(server.target(), "unlucky-1")
    assert unlucky.register_pk() is Result.SERVER_ERROR
    assert unlucky.register_peer() is True
    a = lab.controller(server.target())
    a.punch("unlucky-1")
    assert a.expect("PunchHoleResponse")["failure"] == Failure.ID_NOT_EXIST
    lab.registered(server.target())
    assert first.register_peer() is False


def test_one_unstorable_among_many(lab: Lab) -> None:
    """Registrations that are committed together with one that can't be stored are not lost with it."""
    server = lab.server("id")
    lab.registered(server.target())
    forbid(server.directory, "unlucky-1")
    crowd = [lab.peer(server.target()) for _ in range(40)]
    crowd.insert(20, lab.peer(server.target(), "unlucky-1"))
    for b in crowd:
        b.send("RegisterPk", id=b.id, uuid=b.uuid, pk=b.pk)
    results = {b.id: Result(b.expect("RegisterPkResponse")["result"]) for b in crowd}
    assert results.pop("unlucky-1") is Result.SERVER_ERROR
    assert set(results.values()) == {Result.OK}
    assert set(results) <= set(rows(server.directory))


def test_real_sizes(lab: Lab) -> None:
    """A uuid of 64 bytes and a pk of 32 are stored whole."""
    server = lab.server("id", *FREE_OF_LIMITS)
    b = lab.registered(server.target(), uuid=bytes(range(64)))
    row = stored(server.directory, b.id)
    assert row is not None and row["uuid"] == bytes(range(64))
