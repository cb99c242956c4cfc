"""copy-db: a whole copy of a database that is in use, was left by a crash, or is clean; no trace beside it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

import database
from conftest import Lab
from rdserver import run_rdsrv

def contents(directory: Path) -> dict[str, str]:
    """Every file of the directory with its bytes' hash."""
    return {str(p.relative_to(directory)): hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir()}


def copy(old: Path, new: Path) -> str:
    done = run_rdsrv("copy-db", str(old / database.NAME), str(new / database.NAME), cwd=new)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old % data?"
    path.mkdir()
    database.place_vector(path)
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new"
    path.mkdir()
    return path


def test_clean_database(old: Path, new: Path) -> None:
    before = contents(old)
    assert copy(old, new) == "3\n"
    assert contents(old) == before
    assert database.rows(new) == database.rows(database.VECTOR.parent)
    assert [p.name for p in new.iterdir()] == [database.NAME]
    assert stat.S_IMODE((new / database.NAME).stat().st_mode) == 0o600


def test_log_of_a_killed_server(old: Path, new: Path) -> None:
    database.leave_log(old / database.NAME)
    before = contents(old)
    assert copy(old, new) == "4\n"
    assert contents(old) == before
    assert "inlog" in database.rows(new)


def test_journal_mode_delete(old: Path, new: Path) -> None:
    with closing(sqlite3.connect(old / database.NAME)) as db:
        db.execute("pragma journal_mode = delete")
    before = contents(old)
    assert copy(old, new) == "3\n"
    assert contents(old) == before


def test_while_a_server_runs(lab: Lab, new: Path) -> None:
    server = lab.server("id")
    lab.registered(server.target(), "copied1")
    assert copy(server.directory, new) == "1\n"
    lab.registered(server.target(), "copied2")
    assert set(database.rows(server.directory)) == {"copied1", "copied2"}
    assert set(database.rows(new)) == {"copied1"}


def test_nothing_is_overwritten(old: Path, new: Path) -> None:
    (new / database.NAME).write_text("mine")
    done = run_rdsrv("copy-db", str(old / database.NAME), str(new / database.NAME), cwd=new)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert (new / database.NAME).read_text() == "mine"


@pytest.mark.parametrize("what", ["missing", "no database", "damaged", "no peers", "a FIFO", "a FIFO as log"])
def test_what_can_not_be_copied(old: Path, new: Path, what: str) -> None:
    path = old / database.NAME
    if what == "missing":
        path.unlink()
    elif what == "no database":
        path.write_bytes(b"x" * 8192)
    elif what == "damaged":
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    elif what == "no peers":
        database.change(old, "alter table peer rename to other")
    elif what == "a FIFO":
        path.unlink()
        os.mkfifo(path)
    else:
        os.mkfifo(f"{path}-wal")
    done = run_rdsrv("copy-db", str(path), str(new / database.NAME), cwd=new)
    assert done.returncode == 1
    assert done.stderr.startswith(f"rdsrv copy-db: {path}") and done.stderr.count("\n") == 1
    assert list(new.iterdir()) == []


@pytest.mark.parametrize("args", [(), ("a",), ("a", "b", "c"), ("--no", "b")])
def test_wrong_use(new: Path, args: tuple[str, ...]) -> None:
    done = run_rdsrv("copy-db", *args, cwd=new)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: rdsrv copy-db FROM TO\n")


def test_help(new: Path) -> None:
    done = run_rdsrv("copy-db", "--help", cwd=new)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: rdsrv copy-db FROM TO\n")
