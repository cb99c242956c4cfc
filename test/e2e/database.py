"""Looks into and prepares the peers' database, as another program would."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

NAME = "db_v2.sqlite3"
VECTOR = Path(__file__).resolve().parent.parent / "vectors" / NAME

CRASH = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("pragma journal_mode = wal").fetchone() == ("wal",)
db.execute("insert into peer (guid, id, uuid, pk, info) values (x'01', 'inlog', x'02', x'03', '{}')")
db.commit()
os._exit(0)
"""


def without_tables(path: Path) -> None:
    """Makes a file that is SQLite's, with nothing in it."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript("create table other (x); drop table other;")


def rows(directory: Path) -> dict[str, dict[str, Any]]:
    """All peers on disk by id."""
    with closing(sqlite3.connect(f"file:{directory / NAME}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in db.execute("select * from peer")}


def stored(directory: Path, peer_id: str) -> dict[str, Any] | None:
    """The row on disk of this id."""
    return rows(directory).get(peer_id)


def stored_ip(row: dict[str, Any]) -> str:
    """The IP on file, without the prefix of a mapped address."""
    return json.loads(row["info"])["ip"].removeprefix("::ffff:")


def schema(path: Path) -> list[tuple[Any, ...]]:
    """Every table, index and trigger: type, name, table, SQL."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return sorted(db.execute("select type, name, tbl_name, sql from sqlite_master").fetchall())


def snapshot(directory: Path, to: Path) -> Path:
    """A copy of the database files as they are, to be read without touching them."""
    to.mkdir()
    for path in directory.glob(NAME + "*"):
        shutil.copy(path, to)
    return to


def place_vector(directory: Path) -> None:
    """Puts hbbs's database of three peers into the directory."""
    shutil.copy(VECTOR, directory / NAME)


def change(directory: Path, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(directory / NAME)) as db:
        db.execute(sql, values)
        db.commit()


def forbid(directory: Path, peer_id: str) -> None:
    """Makes the database refuse to store this id."""
    change(
        directory,
        f"create trigger rdsrv_forbid before insert on peer when new.id = '{peer_id}' "
        "begin select raise(abort, 'forbidden'); end",
    )


def leave_log(path: Path) -> None:
    """Adds a peer `inlog` that only the database's log has, as a killed server leaves it."""
    subprocess.run([sys.executable, "-c", CRASH, str(path)], check=True)
    assert path.with_name(path.name + "-wal").stat().st_size > 0
