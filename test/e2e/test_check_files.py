"""rdsrv check: what is wrong with the data directory, the keys, the database and server.conf, and what mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

import database
from conftest import Lab
from keyhelp import answered, rotate
from localcheck import checks, command_of, follow, found, healthy, one
from rdserver import Server, keygen, run_rdsrv

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
KEY = "id_ed25519"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


@pytest.fixture
def private(lab: Lab) -> Server:
    """A server in a directory that is its own."""
    lab.directory().chmod(0o700)
    return lab.server("serve", "--id-server", "desk.example.com")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m,mode=700", "rdsrv-test", str(path)])
    if done.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_healthy_directory(private: Server) -> None:
    got = checks(private.directory, "files", "keys")
    assert {name: c["status"] for name, c in got.items()} == {
        "files.data-dir": "ok",
        "files.keys": "ok",
        "files.database": "ok",
        "files.server-conf": "ok",
        "keys.pair": "ok",
        "keys.grace": "ok",
        "keys.same": "ok",
    }


def test_no_secret_is_ever_told(private: Server) -> None:
    secret = (private.directory / KEY).read_text().strip()
    (private.directory / KEY).chmod(0o644)
    done = run_rdsrv("check", "--data-dir", str(private.directory), "--only", "files,keys", cwd=Path("/"))
    assert secret not in done.stdout + done.stderr and secret[:20] not in done.stdout + done.stderr


def test_a_fresh_directory_lacks_nothing(lab: Lab) -> None:
    lab.directory().chmod(0o700)
    keygen(lab.directory())
    healthy(lab.directory(), "files.data-dir")
    healthy(lab.directory(), "files.database")


def test_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "none here"
    check = found(path, "files.data-dir", "fail", "No such file")
    follow(check)
    healthy(path, "files.data-dir")
    path.rmdir()


@needs_root
def test_a_directory_of_another_user(lab: Lab, foreign: Path) -> None:
    foreign.chmod(0o755)
    directory = foreign / "data"
    directory.mkdir(mode=0o700)
    os.chown(directory, NOBODY, NOBODY)
    lab.server("serve", directory=directory, prefix=AS_NOBODY)
    healthy(directory, "files.data-dir")
    os.chown(directory, 0, 0)
    check = found(directory, "files.data-dir", "fail", "owner root")
    follow(check)
    healthy(directory, "files.data-dir")
    os.chown(directory / KEY, 0, 0)
    follow(found(directory, "files.keys", "fail", "belongs to root"))
    healthy(directory, "files.keys")


@pytest.mark.parametrize("mode, status", [(0o755, "warn"), (0o777, "fail")])
def test_a_directory_that_is_open(private: Server, mode: int, status: str) -> None:
    private.directory.chmod(mode)
    follow(found(private.directory, "files.data-dir", status, f"{mode:04o}"))
    healthy(private.directory, "files.data-dir")


@needs_root
def test_a_full_disk(lab: Lab, small_disk: Path) -> None:
    server = lab.server("serve", directory=small_disk)
    healthy(small_disk, "files.data-dir")
    filler = small_disk / "filler"
    with filler.open("wb") as out, pytest.raises(OSError):
        while True:
            out.write(bytes(1 << 20))
            out.flush()
    check = found(small_disk, "files.data-dir", "fail", "full")
    done = subprocess.run(["sh", "-c", command_of(check)], capture_output=True, text=True)
    assert "filler" in done.stdout.splitlines()[-2] or "filler" in done.stdout.splitlines()[-1], done.stdout
    filler.unlink()
    healthy(small_disk, "files.data-dir")
    server.stop()


@needs_root
def test_a_read_only_directory(lab: Lab, small_disk: Path) -> None:
    keygen(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    follow(found(small_disk, "files.data-dir", "fail", "read-only"))
    healthy(small_disk, "files.data-dir")


@needs_root
def test_a_read_only_mount_of_a_directory(small_disk: Path, tmp_path: Path) -> None:
    """As a container's volume with :ro."""
    seen = tmp_path / "seen"
    seen.mkdir()
    keygen(small_disk)
    subprocess.run(["mount", "--bind", str(small_disk), str(seen)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(seen)], check=True)
        follow(found(seen, "files.data-dir", "fail", "read-only"))
        healthy(seen, "files.data-dir")
    finally:
        subprocess.run(["umount", "-l", str(seen)], check=True)


# --- keys


def test_a_secret_that_others_can_read(private: Server) -> None:
    (private.directory / KEY).chmod(0o644)
    follow(found(private.directory, "files.keys", "fail", "0644"))
    healthy(private.directory, "files.keys")


def test_half_a_pair_without_the_public_half(private: Server) -> None:
    (private.directory / f"{KEY}.pub").unlink()
    follow(found(private.directory, "files.keys", "warn", "is missing"))
    healthy(private.directory, "files.keys")
    healthy(private.directory, "keys.pair")


def test_half_a_pair_without_the_secret_half(private: Server) -> None:
    """A backup of this pair lies in the directory: the fix names it."""
    directory = private.directory
    for name in (KEY, f"{KEY}.pub"):
        shutil.copy2(directory / name, directory / name.replace(KEY, f"{KEY}.backup-20260101"))
    (directory / KEY).unlink()
    check = found(directory, "files.keys", "fail", "is missing")
    assert one(directory, "keys.pair")["status"] == "fail"
    follow(check)
    healthy(directory, "files.keys")
    healthy(directory, "keys.pair")


def test_half_a_pair_without_any_backup(private: Server) -> None:
    secret = (private.directory / KEY).read_bytes()
    (private.directory / KEY).unlink()
    assert "from your backup" in found(private.directory, "files.keys", "fail", "is missing")["fix"]
    (private.directory / KEY).write_bytes(secret)
    (private.directory / KEY).chmod(0o600)
    healthy(private.directory, "files.keys")


def test_the_public_half_of_another_pair(private: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    keygen(other)
    shutil.copy(other / f"{KEY}.pub", private.directory / f"{KEY}.pub")
    follow(found(private.directory, "keys.pair", "fail", "does not belong"))
    healthy(private.directory, "keys.pair")


def test_the_secret_half_of_another_pair(private: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    keygen(other)
    secret = (private.directory / KEY).read_bytes()
    shutil.copy(other / KEY, private.directory / KEY)
    check = found(private.directory, "keys.pair", "fail", "does not belong")
    assert f"{KEY} is the wrong one" in check["fix"]
    (private.directory / KEY).write_bytes(secret)
    healthy(private.directory, "keys.pair")


def test_a_damaged_secret(private: Server) -> None:
    secret = (private.directory / KEY).read_bytes()
    (private.directory / KEY).write_bytes(secret[:40])
    assert "restore it from a backup" in found(private.directory, "keys.pair", "fail", "damaged")["fix"]
    (private.directory / KEY).write_bytes(secret)
    healthy(private.directory, "keys.pair")


def test_a_key_that_was_given(lab: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    server = lab.server("serve", "-k", keygen(other))
    keygen(server.directory)
    assert "given by" in healthy(server.directory, "keys.pair")["detail"]


def test_a_relay_with_another_key(lab: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    directory = lab.directory()
    lab.server("id", directory=directory)
    relay = lab.server("relay", "-k", keygen(other), directory=directory)
    assert "-k -" in found(directory, "keys.same", "fail", "another key")["fix"]
    relay.stop()
    lab.server("relay", "-k", "-", directory=directory)
    healthy(directory, "keys.same")


def test_a_relay_that_is_open(lab: Lab) -> None:
    directory = lab.directory()
    lab.server("id", directory=directory)
    relay = lab.server("relay", "-k", "", directory=directory)
    assert "-k _" in found(directory, "keys.same", "warn", "strangers")["fix"]
    relay.stop()
    lab.server("relay", "-k", "_", directory=directory)
    healthy(directory, "keys.same")


@pytest.mark.parametrize("mode", [0o400, 0o700])
def test_modes_that_are_the_owner_s_business(private: Server, mode: int) -> None:
    (private.directory / "id_ed25519").chmod(mode)
    healthy(private.directory, "files.keys")


# --- the database


@pytest.mark.parametrize("killed", [False, True])
def test_a_damaged_database(lab: Lab, killed: bool) -> None:
    """A log that a killed server left mustn't be played into the backup."""
    lab.directory().chmod(0o700)
    database.place_vector(lab.directory())
    server = lab.server("serve")
    server.stop()
    path = server.directory / database.NAME
    backup = path.with_suffix(".backup")
    shutil.copy(path, backup)
    if killed:
        database.leave_log(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = os.urandom(len(data) - len(data) // 2)
    path.write_bytes(data)
    check = found(server.directory, "files.database", "fail", "damaged")
    follow(check)
    shutil.copy(backup, path)
    server.restarted()
    assert "3 peers" in healthy(server.directory, "files.database")["detail"]


def test_a_database_of_something_else(lab: Lab) -> None:
    (lab.directory() / database.NAME).write_text("these are no peers" * 1000)
    found(lab.directory(), "files.database", "fail", "not a database")


@pytest.mark.parametrize("holds", [b"", None])
def test_an_empty_database(lab: Lab, holds: bytes | None) -> None:
    """A start makes the tables; a server that has made them has lost what it writes to."""
    path = lab.directory() / database.NAME
    if holds is None:
        database.without_tables(path)
    else:
        path.write_bytes(holds)
    assert "empty" in healthy(lab.directory(), "files.database")["detail"]
    server = lab.server("serve")
    b = lab.registered(server.target())
    assert "1 peers" in healthy(lab.directory(), "files.database")["detail"]
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.touch(0o600)
    check = found(lab.directory(), "files.database", "fail", "forgotten")
    assert "empty, though" in check["detail"]
    follow(check)
    assert database.stored(lab.directory() / "backup", b.id)


@pytest.mark.parametrize("runs", [False, True])
def test_a_look_at_the_database_leaves_no_trace(lab: Lab, runs: bool) -> None:
    database.place_vector(lab.directory())
    if runs:
        lab.server("serve")
    before = {p.name: p.read_bytes() for p in lab.directory().glob(database.NAME + "*")}
    healthy(lab.directory(), "files.database")
    assert {p.name for p in lab.directory().glob(database.NAME + "*")} == set(before)
    assert (lab.directory() / database.NAME).read_bytes() == before[database.NAME]


# --- server.conf


def test_no_server_conf(private: Server) -> None:
    (private.directory / "server.conf").unlink()
    follow(found(private.directory, "files.server-conf", "warn", "no "))
    healthy(private.directory, "files.server-conf")


def test_a_foreign_server_conf(private: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    conf = private.directory / "server.conf"
    conf.write_text(conf.read_text().replace(private.key, keygen(other)) + "# kept by hand\n")
    follow(found(private.directory, "files.server-conf", "fail", "foreign"))
    healthy(private.directory, "files.server-conf")


def test_a_retired_key_in_server_conf(private: Server) -> None:
    conf = private.directory / "server.conf"
    old = conf.read_text()
    done = run_rdsrv("keygen", "--rotate", "--data-dir", str(private.directory), cwd=private.directory)
    assert done.returncode == 0, done.stderr
    conf.write_text(old)
    follow(found(private.directory, "files.server-conf", "warn", "retired"))
    healthy(private.directory, "files.server-conf")
    conf.write_text(old)
    args = ("keygen", "--retire", "all", "--data-dir", str(private.directory))
    assert run_rdsrv(*args, cwd=private.directory).returncode == 0
    follow(found(private.directory, "files.server-conf", "fail", "refused"))
    healthy(private.directory, "files.server-conf")


def test_a_grace_that_ends_soon(lab: Lab, private: Server) -> None:
    """Somebody still comes with the old key."""
    b = lab.registered(private.target())
    old, _ = rotate(private.directory, "--grace", "2d")
    answered(lab, private.target(), b, old)
    assert run_rdsrv("keygen", "--list", "--data-dir", str(private.directory), cwd=private.directory).returncode == 0
    check = found(private.directory, "keys.grace", "warn", "and 1 address")
    assert "export-conf" in check["fix"]
    args = ("keygen", "--retire", "all", "--data-dir", str(private.directory))
    assert run_rdsrv(*args, cwd=private.directory).returncode == 0
    healthy(private.directory, "keys.grace")


def test_a_grace_that_nobody_uses(private: Server) -> None:
    args = ("keygen", "--rotate", "--grace", "2d", "--data-dir", str(private.directory))
    assert run_rdsrv(*args, cwd=private.directory).returncode == 0
    assert "used by nobody" in healthy(private.directory, "keys.grace")["detail"]


@needs_root
def test_what_a_stranger_may_not_see_is_no_fault(lab: Lab, foreign: Path) -> None:
    """Another user than the service's gets told to come back as root, not to restore backups."""
    foreign.chmod(0o755)
    directory = foreign / "data"
    directory.mkdir(mode=0o755)
    lab.server("serve", directory=directory)
    got = checks(directory, "files.keys,files.database,keys,service.id,service.relay", prefix=AS_NOBODY)
    assert {c["status"] for c in got.values()} <= {"ok", "skip"}, got
    assert "sudo" in got["keys.pair"]["detail"] and "sudo" in got["files.database"]["detail"]
    assert one(directory, "service.self", prefix=AS_NOBODY)["status"] == "fail"


def _entries(directory: Path) -> list[tuple[str, int, int, int]]:
    """All but when they were read."""
    stats = [(entry.name, entry.stat(follow_symlinks=False)) for entry in os.scandir(directory)]
    return sorted((name, st.st_mode, st.st_size, st.st_mtime_ns) for name, st in stats)


@pytest.mark.parametrize("what", ["fifo", "link", "directory"])
def test_what_is_no_database_is_left_alone(what: str, tmp_path: Path) -> None:
    """SQLite would wait for ever at a FIFO."""
    keygen(tmp_path)
    path = tmp_path / "db_v2.sqlite3"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("nowhere/at/all")
    else:
        path.mkdir()
    before = _entries(tmp_path)
    check = found(tmp_path, "files.database", "fail", "leads nowhere" if what == "link" else "is no file")
    assert _entries(tmp_path) == before
    follow(check)
    assert not os.path.lexists(path)


def test_a_fifo_in_the_place_of_a_side_file(tmp_path: Path) -> None:
    keygen(tmp_path)
    database.place_vector(tmp_path)
    os.mkfifo(tmp_path / "db_v2.sqlite3-wal")
    check = found(tmp_path, "files.database", "fail", "db_v2.sqlite3-wal is no file")
    follow(check)
    assert one(tmp_path, "files.database")["status"] == "ok"
