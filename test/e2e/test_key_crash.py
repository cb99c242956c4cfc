"""Goal: wherever a rotation is killed, or the disk fails it, there is a whole pair, every server starts, and the
rotation is finished or undone."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import pytest

import rdwire
from clihelp import PUBLIC, SECRET, called, complaint, names_in, needs_system, place_args, rdsrv
from conftest import Lab
from keyhelp import KEYGEN_LOG, KEYRING, SERVER_CONF, answered, did, keygen, pair_in, ring, rotate
from polling import wait_until
from rdserver import Server, clean_env

CALLS = ("openat", "fchmod", "write", "fsync", "renameat", "renameat2", "unlinkat", "flock")
TEMPORARY = re.compile(r"\.(id_ed25519|keyring\.json)\S*\.tmp")
BACKUP = re.compile(r"(id_ed25519)(\.pub)?(\.bak\.\d{8}(?:\.\d+)?)")
TAKEN_OVER_S = 10.0
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}  # which can't be done under a tracer


def start_and_stop(directory: Path, role: str = "id") -> None:
    server = Server(role, directory)
    try:
        server.start()
    finally:
        server.stop(None)


def traced(*options: str) -> list[str]:
    return ["strace", "-f", "-qq", *options]


@functools.cache
def can_trace() -> bool:
    return bool(shutil.which("strace")) and subprocess.run([*traced("-o", "/dev/null"), "true"]).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace can't trace here")


def prepared(directory: Path) -> Path:
    """A data directory in which an ID server has run once: with a keyring.json and a server.conf of its own."""
    directory.mkdir()
    start_and_stop(directory)
    assert names_in(directory) >= {SECRET, PUBLIC, KEYRING, SERVER_CONF}
    return directory


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield prepared(Path(place) / "data")


@functools.cache
def calls_of_a_rotation(template: Path) -> tuple[str, ...]:
    """The names of CALLS that a rotation makes, in order; before it has the directory to itself, "" in their place."""
    with tempfile.TemporaryDirectory() as place:
        directory, trace = Path(place) / "data", Path(place) / "trace"
        shutil.copytree(template, directory, ignore=shutil.ignore_patterns("*.sock"))
        options = traced("-o", str(trace), "-e", f"trace={','.join(CALLS)}")
        did(directory, "--rotate", prefix=options, env=NO_LEAK_CHECK)
        names = [line.split("(")[0].split()[-1] for line in trace.read_text().splitlines() if "(" in line]
    return tuple(names)


def places(template: Path, call: str) -> range:
    """Which of these calls, counted from one, a rotation makes while it has the directory to itself."""
    names = calls_of_a_rotation(template)
    before = names[: names.index("flock")].count(call)
    return range(before + 1, names.count(call) + 1)


def copy_of(template: Path, tmp_path: Path, name: str) -> Path:
    directory = tmp_path / name
    shutil.copytree(template, directory, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    return directory


def secret_key(directory: Path) -> str:
    """The public key of the secret file alone, which is whole at any time."""
    return rdwire.public_of_secret((directory / SECRET).read_text())


def assert_settled(directory: Path, old: str) -> str:
    """All files fit each other, and the old key is current, or retired and accepted; the key."""
    key = pair_in(directory)
    kept = ring(directory)
    assert "pending" not in kept and "pending_by" not in kept
    assert f"\nkey={key}\n" in (directory / SERVER_CONF).read_text()
    assert not [name for name in names_in(directory) if TEMPORARY.fullmatch(name)]
    retired = [(entry["public"], rdwire.public_of_secret(entry["secret"])) for entry in kept["retired"]]
    log = (directory / KEYGEN_LOG).read_text() if (directory / KEYGEN_LOG).exists() else ""
    if key == old:
        assert (retired, log) == ([], "")
        return key
    assert retired == [(old, old)]
    line = rf"\S+ \S+\(uid \d+\) old {re.escape(rdwire.fingerprint(old))} new {re.escape(rdwire.fingerprint(key))}\n"
    assert re.fullmatch(line, log), log
    for match in filter(None, map(BACKUP.fullmatch, names_in(directory))):
        assert pair_in(directory, SECRET + match[3], PUBLIC + match[3]) == old
    return key


@pytest.mark.parametrize("call", CALLS)
def test_killed_before(template: Path, tmp_path: Path, call: str) -> None:
    """kill -9 just before each system call of a rotation."""
    old, ends = pair_in(template), set()
    for nth in places(template, call):
        directory = copy_of(template, tmp_path, f"{call}-{nth}")
        options = traced("-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={nth}")
        done = keygen(directory, "--rotate", prefix=options, env=NO_LEAK_CHECK)
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), f"{call} {nth}: {done}"
        assert secret_key(directory)
        if (current := secret_key(directory)) == old:
            assert pair_in(directory) == old
        start_and_stop(directory, ("id", "relay", "serve")[nth % 3])
        assert assert_settled(directory, old) == current, f"{call} {nth}"
        ends.add(current == old)
        shutil.rmtree(directory)
    assert places(template, call) and (ends == {True, False} or call in ("renameat2", "flock")), ends


@pytest.mark.parametrize("look", [("--list",), ("--verify",), ("--public",), ("--rotate",), ("--retire", "all")])
def test_whoever_looks_next_ends_it(template: Path, tmp_path: Path, look: tuple[str, ...]) -> None:
    """Not only a start: each of keygen's commands ends a rotation that was killed, before and after the secret."""
    for nth in places(template, "renameat"):
        directory = copy_of(template, tmp_path, str(nth))
        options = traced("-o", "/dev/null", "-e", f"inject=renameat:signal=KILL:when={nth}")
        keygen(directory, "--rotate", prefix=options, env=NO_LEAK_CHECK)
        current = secret_key(directory)
        assert keygen(directory, *look).returncode in (0, 1)
        assert "pending" not in ring(directory)
        assert pair_in(directory) == current or look == ("--rotate",)


@needs_system
@pytest.mark.parametrize("nth", [2, 3, 4])
def test_looked_at_where_nothing_can_be_written(template: Path, tmp_path: Path, nth: int) -> None:
    """On a file system that turned read-only, a whole pair is whole all the same; half a pair is told."""
    directory = copy_of(template, tmp_path, "data")
    options = traced("-o", "/dev/null", "-e", f"inject=renameat:signal=KILL:when={nth}")
    keygen(directory, "--rotate", prefix=options, env=NO_LEAK_CHECK)
    read_only = ("unshare", "--mount", "sh", "-ec", 'mount --bind . .; mount -o remount,ro,bind .; exec "$0" "$@"')
    done = keygen(directory, "--public", prefix=read_only)
    if nth == 3:  # the secret is there, its public half isn't
        assert done.returncode == 1 and "Read-only file system" in complaint(done)
    else:
        assert done.stdout.strip() == secret_key(directory), done.stderr
    assert did(directory, "--public") == secret_key(directory) and "pending" not in ring(directory)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["openat", "write", "fsync", "renameat", "renameat2", "fchmod"])
def test_failing(template: Path, tmp_path: Path, call: str, error: str) -> None:
    """Each system call fails once. Before the new secret is in place: the old pair, as if nothing had been begun, and
    one line. After it: the line says that the new key is in use, and whoever looks next does the rest."""
    old, names = pair_in(template), calls_of_a_rotation(template)
    for nth in places(template, call):
        directory = copy_of(template, tmp_path, f"{call}-{nth}")
        options = traced("-o", "/dev/null", "-e", f"inject={call}:error={error}:when={nth}")
        done = keygen(directory, "--rotate", prefix=options, env=NO_LEAK_CHECK)
        current = secret_key(directory)
        if done.returncode == 0:
            assert done.stdout.strip() == current != old
        else:
            assert done.returncode == 1 and done.stdout in ("", current + "\n"), (nth, done)
            told = "in use already" in done.stderr or "standard output" in done.stderr
            assert told == (current != old) and (told or complaint(done)), (nth, done)
            if current == old:
                assert pair_in(directory) == old and not list(directory.glob("*.bak.*")), (nth, done)
        assert did(directory, "--public") == current
        assert assert_failed_well(directory, old) == current
        shutil.rmtree(directory)
    assert names


def assert_failed_well(directory: Path, old: str) -> str:
    """As after a crash, but that server.conf and the log may have been what failed."""
    key = pair_in(directory)
    kept = ring(directory)
    assert "pending" not in kept
    assert [entry["public"] for entry in kept["retired"]] == ([] if key == old else [old])
    assert not [name for name in names_in(directory) if TEMPORARY.fullmatch(name)]
    return key


@pytest.mark.parametrize("round", range(5))
def test_two_at_once(template: Path, tmp_path: Path, round: int) -> None:
    """Several rotations at the same time: one waits for the other, and none is lost."""
    directory, n = copy_of(template, tmp_path, "data"), 4
    first = pair_in(directory)
    with ThreadPoolExecutor(n) as pool:
        keys = [future.result() for future in [pool.submit(did, directory, "--rotate") for _ in range(n)]]
    assert len({first, *keys}) == n + 1
    retired = [entry["public"] for entry in ring(directory)["retired"]]
    assert {pair_in(directory), *retired} == {first, *keys} and len(retired) == n
    assert len((directory / KEYGEN_LOG).read_text().splitlines()) == n
    assert len(list(directory.glob("id_ed25519.bak.*"))) == len(list(directory.glob("id_ed25519.pub.bak.*"))) == n


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_beside_running_servers(lab: Lab, nth: int) -> None:
    """Servers that run end a rotation that was killed, and go on with the pair that is there then."""
    server = lab.server("id")
    relay = lab.server("relay", hosts=server.hosts, port=server.port)
    b, old = lab.registered(server.target()), server.key
    options = traced("-o", "/dev/null", "-e", f"inject=renameat:signal=KILL:when={nth}")
    done = keygen(server.directory, "--rotate", prefix=options, env=NO_LEAK_CHECK)
    assert done.returncode != 0
    current = secret_key(server.directory)
    assert (current == old) == (nth < 3)
    wait_until(lambda: server.status()["key"] == relay.status()["key"] == current, TAKEN_OVER_S, "the key taken over")
    wait_until(lambda: "pending" not in ring(server.directory), TAKEN_OVER_S, "the rotation's end")
    for key in {old, current}:
        answered(lab, server.target(), b, key)


def test_keygen_that_hangs(lab: Lab) -> None:
    """A keygen that was stopped in the middle holds nobody up that runs, and a start says what it waits for."""
    server = lab.server("id")
    b = lab.registered(server.target())
    command = [*traced("-o", "/dev/null", "-e", "inject=renameat:signal=STOP:when=2"), str(called("rdsrv"))]
    args = ["keygen", "--rotate", "--data-dir", str(server.directory)]
    hanging = subprocess.Popen([*command, *args], env=clean_env(NO_LEAK_CHECK), stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: "pending" in ring(server.directory), 10, "the rotation under way")
        for _ in range(20):
            assert b.register_peer() is False
            answered(lab, server.target(), b, server.key)
        done = rdsrv("relay", "--data-dir", server.directory, *place_args(), cwd=server.directory)
        assert done.returncode == 1 and "another process" in complaint(done)
    finally:
        resume(hanging)
    wait_until(lambda: server.key == server.status()["key"] != "", TAKEN_OVER_S, "the key taken over")


def resume(process: subprocess.Popen[bytes]) -> None:
    """Lets the stopped child of a tracer go on."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGCONT)
    assert process.wait(10) == 0


def test_rotations_one_after_the_other(lab: Lab) -> None:
    """Twenty rotations of a running server: all keys are accepted, and each client gets its own signature."""
    server = lab.server("id")
    b, keys = lab.registered(server.target()), [server.key]
    for _ in range(20):
        keys.append(rotate(server.directory)[1])
    for key in keys:
        answered(lab, server.target(), b, key)
