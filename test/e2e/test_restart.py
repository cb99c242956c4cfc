"""Goal: what was answered OK survives a SIGKILL, and a data directory of hbbs works as it stands."""

from __future__ import annotations

import selectors
from dataclasses import dataclass, field
from typing import Iterator, Sequence

import pytest

import rdwire
from conftest import Lab
from database import NAME, VECTOR, change, place_vector, rows, schema, snapshot, stored, stored_ip
from rdclient import Target, UdpPeer, fresh_source
from rdserver import Server, has_ipv6_loopback
from rdwire import Failure, Result

SOURCES, IDS_EACH = 40, 25
KILL_AFTER = SOURCES * IDS_EACH // 2

# The three peers of the vector: id, uuid, IP on file.
RIDGE = ("ridge-042", b"machine-0", "198.51.100.23")
DIGITS = ("123456789", b"machine-1", "203.0.113.77")
CREST = ("crest-007", b"machine-2", "2001:db8::23")


# --- SIGKILL in the middle ------------------------------------------------------------------------------------------


@dataclass
class Office:
    """One address that registers many devices, one after the other."""

    peer: UdpPeer
    ids: Iterator[str]
    confirmed: list[str] = field(default_factory=list)

    def register_next(self) -> None:
        """Sends the next device's RegisterPk, if there is one."""
        peer_id = next(self.ids, None)
        if peer_id is not None:
            self.peer.id = peer_id
            self.peer.send("RegisterPk", id=peer_id, uuid=self.peer.uuid, pk=self.peer.pk)

    def take_answer(self) -> None:
        assert self.peer.expect("RegisterPkResponse")["result"] == Result.OK
        self.confirmed.append(self.peer.id)


def make_offices(lab: Lab, target: Target) -> list[Office]:
    def ids(number: int) -> Iterator[str]:
        return (f"{number:03}-device-{i:03}" for i in range(IDS_EACH))

    return [Office(lab.peer(target), ids(number)) for number in range(SOURCES)]


def register_until(offices: Sequence[Office], enough: int) -> None:
    """Lets all offices register at the same time until so many registrations are confirmed."""
    with selectors.DefaultSelector() as selector:
        for office in offices:
            selector.register(office.peer.sock, selectors.EVENT_READ, office)
            office.register_next()
        while sum(len(office.confirmed) for office in offices) < enough:
            ready = selector.select(10)
            assert ready, "no answer for 10 s"
            for key, _ in ready:
                key.data.take_answer()
                key.data.register_next()


def test_killed_in_the_middle_of_a_thousand(lab: Lab) -> None:
    """Every registration that was answered OK is on disk after a SIGKILL, and none is asked for its key again."""
    server = lab.server("id", log_level="info")
    offices = make_offices(lab, server.target())
    register_until(offices, KILL_AFTER)
    server.kill()
    on_disk = rows(snapshot(server.directory, lab.tmp_path / "snapshot"))
    for office in offices:
        for peer_id in office.confirmed:
            row = on_disk[peer_id]
            assert (row["uuid"], row["pk"]) == (office.peer.uuid, office.peer.pk)
            assert stored_ip(row) == office.peer.source
    server.restarted()
    for office in offices:
        again = lab.peer(server.target(), source=office.peer.source)
        for again.id in office.confirmed:
            assert again.register_peer() is False


def test_the_rest_registers_after_a_restart(lab: Lab) -> None:
    """After the SIGKILL the rest of the fleet registers, and guids stay unique."""
    server = lab.server("id", log_level="info")
    offices = make_offices(lab, server.target())
    register_until(offices, KILL_AFTER)
    server.kill()
    server.restarted()
    later = [lab.peer(server.target(), f"later-{i}") for i in range(100)]
    for b in later:
        b.register()
    on_disk = rows(server.directory)
    assert {b.id for b in later} <= set(on_disk)
    guids = [row["guid"] for row in on_disk.values()]
    assert len(set(guids)) == len(guids) and {len(guid) for guid in guids} == {16}


def test_clean_restart(lab: Lab) -> None:
    """After a clean stop the fleet is known, the key is the same, and sessions work without a new RegisterPk."""
    server = lab.server("serve")
    b = lab.registered(server.target())
    key = server.key
    server.stop()
    server.restarted()
    assert server.key == key
    assert b.register_peer() is False
    a = lab.controller(server.target())
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


# --- hbbs's database ------------------------------------------------------------------------------------------------


@pytest.fixture
def inherited(lab: Lab) -> Server:
    """A server, not started yet, whose directory holds hbbs's database of three peers."""
    place_vector(lab.directory())
    return lab.prepare("serve")


def test_inherited_peers_are_known(inherited: Server, lab: Lab) -> None:
    """Peers of hbbs's database are on file: offline, asked for their keys from other IPs, safe from other uuids."""
    target = inherited.start().target()
    for peer_id, _, _ in (RIDGE, DIGITS, CREST):
        a = lab.controller(target)
        a.punch(peer_id)
        assert a.expect("PunchHoleResponse")["failure"] == Failure.OFFLINE
        thief = lab.peer(target, peer_id)
        assert thief.register_peer() is True
        assert thief.register_pk() is Result.UUID_MISMATCH


def test_inherited_peer_moves(inherited: Server, lab: Lab) -> None:
    """With its uuid and pk an inherited peer registers from a new IP; with another pk it doesn't."""
    target = inherited.start().target()
    before = rows(inherited.directory)
    for peer_id, uuid, _ in (RIDGE, DIGITS, CREST):
        assert lab.peer(target, peer_id, uuid=uuid).register_pk() is Result.UUID_MISMATCH
        b = lab.peer(target, peer_id, uuid=uuid, pk=before[peer_id]["pk"]).register()
        after = stored(inherited.directory, peer_id)
        assert after is not None and stored_ip(after) == b.source
        assert {**after, "info": None} == {**before[peer_id], "info": None}


@pytest.mark.parametrize("prefix", ["", "::ffff:"], ids=["plain", "mapped"])
def test_inherited_ip_matches(inherited: Server, lab: Lab, prefix: str) -> None:
    """An IPv4 on file matches the peer's IP in both spellings: it isn't asked for its key, and is reached."""
    source = fresh_source()
    change(inherited.directory, "update peer set info = ? where id = ?", f'{{"ip":"{prefix}{source}"}}', RIDGE[0])
    target = inherited.start().target()
    b = lab.peer(target, RIDGE[0], source=source)
    assert b.register_peer() is False
    a = lab.controller(target)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, rows(inherited.directory)[RIDGE[0]]["pk"])


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 here")
def test_inherited_ipv6_matches(lab: Lab) -> None:
    """An IPv6 on file matches the peer's."""
    place_vector(lab.directory())
    change(lab.directory(), "update peer set info = ? where id = ?", '{"ip":"::1"}', CREST[0])
    server = lab.server("id", hosts=["::1"])
    assert lab.peer(server.target(), CREST[0]).register_peer() is False
    assert lab.peer(server.target(), RIDGE[0]).register_peer() is True


@pytest.mark.parametrize("info", ["", "{}", "not json", '{"ip":""}', '{"ip":7}', '{"ip":"nonsense"}', "[" * 100])
def test_strange_info_is_borne(inherited: Server, lab: Lab, info: str) -> None:
    """A row whose info is no IP stops nobody: that peer is asked for its key and then is as good as any."""
    change(inherited.directory, "update peer set info = ? where id = ?", info, RIDGE[0])
    target = inherited.start().target()
    pk = rows(inherited.directory)[RIDGE[0]]["pk"]
    lab.registered(target, RIDGE[0], uuid=RIDGE[1], pk=pk)


def own_schema(items: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """Of a schema, what is hbbs's."""
    return [item for item in items if item[2] == "peer"]


def test_schema_stays_hbbs_s(inherited: Server, lab: Lab) -> None:
    """hbbs could be started on the file again: its table and indexes are as they were, all others are named rdsrv_*."""
    before = schema(VECTOR)
    lab.registered(inherited.start().target())
    inherited.stop()
    after = schema(inherited.directory / NAME)
    assert own_schema(after) == before
    others = [item for item in after if item not in before]
    assert all(table.startswith("rdsrv_") or table.startswith("sqlite_") for _, _, table, _ in others)
    assert set(rows(inherited.directory)) > {RIDGE[0], DIGITS[0], CREST[0]}


def without_white_space(sql: str) -> str:
    return "".join(sql.lower().split())


def test_new_database_is_like_hbbs_s(lab: Lab) -> None:
    """A database that the server made itself has hbbs's columns, keys and indexes."""
    server = lab.server("id")
    lab.registered(server.target())
    server.stop()
    made = {item[1]: item for item in own_schema(schema(server.directory / NAME))}
    expected = {item[1]: item for item in schema(VECTOR)}
    assert set(made) == set(expected)
    change(server.directory, "insert into peer (guid, id, uuid, pk, info) values (x'00', 'by-hbbs', x'01', x'02', '')")
    row = stored(server.directory, "by-hbbs")
    vector_row = next(iter(rows(VECTOR.parent).values()))
    assert row is not None and list(row) == list(vector_row) and row["created_at"]


def test_damaged_database_stops_the_start(lab: Lab) -> None:
    """A file that is no database is an error at start, and isn't touched."""
    path = lab.directory() / NAME
    path.write_bytes(b"this is no database at all, and not an empty file either" * 100)
    server = lab.prepare("id")
    with pytest.raises(AssertionError, match="ended with 1 "):
        server.start()
    assert path.read_bytes().startswith(b"this is no database")
    server.stop(code=1)


def test_pk_on_file_is_needed(lab: Lab) -> None:
    """A row without a pk, as a half-registered peer of old leaves it, is asked for its key."""
    place_vector(lab.directory())
    source = fresh_source()
    change(lab.directory(), "update peer set pk = x'', info = ? where id = ?", f'{{"ip":"{source}"}}', RIDGE[0])
    server = lab.server("id")
    b = lab.peer(server.target(), RIDGE[0], source=source, uuid=RIDGE[1], pk=bytes(range(32)))
    assert b.register_peer() is True
    assert b.register_pk() is rdwire.Result.OK
    assert b.register_peer() is False
