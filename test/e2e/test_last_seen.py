"""Goal: users see when each peer was last here and what it runs, also of those that have been away since a restart."""

from __future__ import annotations

import datetime
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Callable

import pytest

import database
from clihelp import rdsrv
from conftest import Lab
from polling import away_from_midnight, wait_until
from rdclient import Controller, Device, Target, WsPeer, fresh_id, fresh_source, fresh_uuid
from rdserver import Server

WAIT_S = 10.0
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def one_day() -> None:
    away_from_midnight()


def ctl(server: Server, *words: str) -> dict[str, Any]:
    """What the running ID server answers."""
    done = rdsrv("ctl", "--json", "--data-dir", server.directory, "id", *words, cwd=server.directory)
    return dict(json.loads(done.stdout))


def today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def noted(directory: Path) -> dict[str, tuple[Any, Any]]:
    """Day and version by id, as they are on disk."""
    with closing(sqlite3.connect(f"file:{directory / database.NAME}?mode=ro", uri=True)) as db:
        rows = db.execute("select id, date(seen_day * 86400, 'unixepoch'), version from peer join rdsrv_peer using (guid)")
        return {peer_id: (day, version) for peer_id, day, version in rows}


def wait_noted(server: Server, peer_id: str, version: str | None) -> None:
    """Until the disk has today's day and this version of it."""
    wait_until(lambda: noted(server.directory).get(peer_id) == (today(), version), WAIT_S, f"a note of {peer_id}")


def by_punch(b: Device, a: Controller, version: str) -> None:
    """B says which version it has when it is called."""
    a.punch(b.id)
    hole = b.expect("PunchHole")
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"], version=version))
    a.expect("PunchHoleResponse")


def by_relay_of_punch(b: Device, a: Controller, version: str) -> None:
    a.punch(b.id)
    hole = b.expect("PunchHole")
    b.answer_and_close("RelayResponse", **b.relay_response(hole["socket_addr"], fresh_uuid(), version=version))
    a.expect("RelayResponse")


def by_relay(b: Device, a: Controller, version: str) -> None:
    a.request_relay(b.id, fresh_uuid())
    asked = b.expect("RequestRelay")
    b.answer_and_close("RelayResponse", socket_addr=asked["socket_addr"], version=version)
    a.expect("RelayResponse")


def by_local_addr(b: Device, a: Controller, version: str) -> None:
    a.punch(b.id)
    fetch = b.expect("FetchLocalAddr")
    b.answer_and_close("LocalAddr", **b.local_addr(fetch["socket_addr"], ("10.0.0.5", 5000), version=version))
    a.expect("PunchHoleResponse")


WAYS: list[Callable[[Device, Controller, str], None]] = [by_punch, by_relay_of_punch, by_relay, by_local_addr]


def caller(lab: Lab, target: Target, b: Device, way: Any) -> Controller:
    return lab.controller(target, b.source if way is by_local_addr else fresh_source())


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_version_and_day(lab: Lab, way: Callable[[Device, Controller, str], None]) -> None:
    """Whatever B answers, its version is shown from then on, and the day; both outlast a restart."""
    server = lab.server("id")
    target = server.target()
    b = lab.registered(target)
    before = ctl(server, "peer", b.id)
    assert re.fullmatch(TIME, before["seen"]) and before["version"] == ""
    way(b, caller(lab, target, b, way), "1.4.2")
    wait_until(lambda: ctl(server, "peer", b.id)["version"] == "1.4.2", WAIT_S)
    way(b, caller(lab, target, b, way), "1.4.3-nightly")
    wait_until(lambda: ctl(server, "peer", b.id)["version"] == "1.4.3-nightly", WAIT_S)
    wait_noted(server, b.id, "1.4.3-nightly")
    lab.close_clients()
    server.stop()
    server.restarted()
    after = ctl(server, "peer", b.id)
    assert (after["online"], after["seen"], after["version"]) == (False, today(), "1.4.3-nightly")
    (listed,) = ctl(server, "peers")["peers"]
    assert {**listed, "ok": True} == after
    done = rdsrv("ctl", "-d", server.directory, "id", "peers", cwd=server.directory)
    assert re.search(rf"{b.id} .* {today()} .* 1\.4\.3-nightly", done.stdout)


def test_peer_at_a_connection(lab: Lab) -> None:
    """A peer by WebSocket has its day and version too."""
    server = lab.server("id")
    b = lab.joined(WsPeer, server.target())
    by_relay(b, lab.controller(server.target()), "1.4.2")
    wait_noted(server, b.id, "1.4.2")


def test_stop_at_once(lab: Lab) -> None:
    """What was learnt just before the end is on disk all the same."""
    server = lab.server("id")
    peers = [lab.registered(server.target()) for _ in range(5)]
    by_punch(peers[0], lab.controller(server.target()), "1.4.2")
    lab.close_clients()
    server.stop()
    assert noted(server.directory) == {b.id: (today(), "1.4.2" if b is peers[0] else None) for b in peers}


def test_days_before_are_kept(lab: Lab) -> None:
    """Who has not been here for long keeps its last day; who comes again has today's."""
    server = lab.server("id")
    here, away = (lab.registered(server.target()) for _ in range(2))
    for b in (here, away):
        wait_noted(server, b.id, None)
    lab.close_clients()
    server.stop()
    database.change(server.directory, "update rdsrv_peer set seen_day = 20000")
    server.restarted()
    assert {ctl(server, "peer", b.id)["seen"] for b in (here, away)} == {"2024-10-04"}
    again = lab.peer(server.target(), here.id, source=here.source, **here.identity)
    assert again.register_peer() is False
    wait_noted(server, here.id, None)
    assert re.fullmatch(TIME, ctl(server, "peer", here.id)["seen"])
    assert ctl(server, "peer", away.id)["seen"] == "2024-10-04"
    assert noted(server.directory)[away.id] == ("2024-10-04", None)


def test_peers_of_hbbs(lab: Lab) -> None:
    """Peers that hbbs has left have neither, until they come."""
    database.place_vector(lab.directory())
    before = {(kind, name, sql) for kind, name, _, sql in database.schema(database.VECTOR)}
    server = lab.server("id")
    listed = ctl(server, "peers")["peers"]
    assert len(listed) == 3 and {(one["seen"], one["version"]) for one in listed} == {("", "")}
    b = lab.registered(server.target())
    wait_noted(server, b.id, None)
    after = {(kind, name, sql) for kind, name, _, sql in database.schema(server.directory / database.NAME)}
    assert {row for row in after if not row[1].startswith(("rdsrv_", "sqlite_autoindex_rdsrv_"))} == before


def test_file_of_the_version_before(lab: Lab) -> None:
    """A file with our tables as they were is taken over: who was banned still is."""
    server = lab.server("id")
    b = lab.registered(server.target())
    assert ctl(server, "ban", b.id)["ok"]
    wait_noted(server, b.id, None)
    server.stop()
    for sql in (
        "create table old (guid blob primary key not null, state integer not null default 0) without rowid",
        "insert into old select guid, state from rdsrv_peer",
        "drop table rdsrv_peer",
        "alter table old rename to rdsrv_peer",
        "update rdsrv_schema set version = 1",
    ):
        database.change(server.directory, sql)
    server.restarted()
    shown = ctl(server, "peer", b.id)
    assert (shown["state"], shown["seen"], shown["version"]) == ("banned", "", "")
    assert ctl(server, "unban", b.id)["ok"]
    again = lab.peer(server.target(), b.id, source=b.source, **b.identity)
    again.register_pk()
    wait_noted(server, b.id, None)


def test_forget_and_change_of_id(lab: Lab) -> None:
    """What is forgotten leaves nothing; a new id keeps what was known of the old one."""
    server = lab.server("id")
    target = server.target()
    b, other = lab.registered(target), lab.registered(target)
    for peer in (b, other):
        by_punch(peer, lab.controller(target), "1.4.2")
        wait_noted(server, peer.id, "1.4.2")
    connection = lab.connection(target.id_port, b.source)
    connection.send("RegisterPk", id="myLaptop_1", old_id=b.id, uuid=b.uuid)
    assert connection.expect("RegisterPkResponse")["result"] == 0
    assert ctl(server, "forget", other.id)["ok"]
    wait_until(lambda: not ctl(server, "peer", other.id)["ok"], WAIT_S)
    assert noted(server.directory) == {"myLaptop_1": (today(), "1.4.2")}
    shown = ctl(server, "peer", "myLaptop_1")
    assert (shown["version"], shown["seen"]) == ("1.4.2", today())
    new = lab.registered(target, other.id)
    assert ctl(server, "peer", new.id)["version"] == ""


@pytest.mark.parametrize("version", ["", "1.4 2", "1.4\n", "\x1b[2J", "1." + "2" * 40])
def test_odd_versions(lab: Lab, version: str) -> None:
    """A version that is no word of plain text changes nothing of what is known."""
    server = lab.server("id")
    b = lab.registered(server.target())
    by_punch(b, lab.controller(server.target()), "1.4.2")
    by_punch(b, lab.controller(server.target()), version)
    assert ctl(server, "peer", b.id)["version"] == "1.4.2"


def test_a_hundred_thousand_peers(lab: Lab) -> None:
    """A long list comes whole, with what is known of each, and nobody is dropped meanwhile."""
    count = 100_000
    server = lab.server("id", log_level="info")
    server.stop()
    with closing(sqlite3.connect(server.directory / database.NAME)) as db:
        rows = [(i.to_bytes(16, "big"), f"{200_000_000 + i}", b"u" * 16, b"k" * 32, "{}") for i in range(count)]
        db.executemany("insert into peer (guid, id, uuid, pk, info) values (?, ?, ?, ?, ?)", rows)
        db.execute("insert into rdsrv_peer (guid, seen_day, version) select guid, 20000, '1.4.' || (guid % 10) from peer")
        db.commit()
    server.restarted()
    b = lab.registered(server.target(), fresh_id())
    listed = ctl(server, "peers")["peers"]
    assert len(listed) == count + 1
    assert {(one["seen"], one["version"][:4]) for one in listed if one["id"] != b.id} == {("2024-10-04", "1.4.")}
    assert b.register_peer() is False
