"""Goal: a role runs once in a directory and answers its owner there, whatever is thrown at its control socket."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from clihelp import (
    AT_MOST,
    DATABASE,
    NOBODY,
    OTHER,
    PAIR,
    PUBLIC,
    SECRET,
    WAIT_S,
    Role,
    as_name,
    as_nobody,
    assert_refused,
    complaint,
    ctl,
    mode,
    names_in,
    place_args,
    place_pair,
    rdsrv,
    start,
    start_as,
)
from conftest import Lab
from polling import wait_until
from rdserver import Server

ROLES = ("id", "relay")
RUNNING = {"id": ("id",), "relay": ("relay",), "serve": ROLES}
CLASHES = [(a, b) for a in RUNNING for b in RUNNING if set(RUNNING[a]) & set(RUNNING[b])]


WRONG_USE = [
    "id bogus",
    "id status now",
    "id peer",
    "id peers somebody",
    "id blocked x",
    "id relays http://x",
    "id backup relative",
    "id status --online",
    "relay peers",
    "relay sessions --online",
    "relay limits bogus 1",
    "relay limits total-bandwidth",
    "relay limits total-bandwidth abc",
    "relay drain abc",
    "relay block bogus",
]


def test_wrong_words(lab: Lab) -> None:
    """Wrong use is wrong use, whoever finds it: one line, exit 2."""
    server = lab.server("serve")
    for words in WRONG_USE:
        done = rdsrv("ctl", "--data-dir", server.directory, *words.split(), cwd=Path("/"))
        assert (done.returncode, done.stdout) == (2, ""), (words, done)
        assert complaint(done)


def test_backup_without_the_secret_says_so(lab: Lab) -> None:
    """A secret key that was given as a setting isn't in the backup, and nothing stands there in its place."""
    place_pair(lab.directory("elsewhere"))
    secret = (lab.directory("elsewhere") / "id_ed25519").read_text()
    server = lab.server("id", "--key", secret)
    to = lab.tmp_path / "backup"
    done = rdsrv("ctl", "--json", "--data-dir", server.directory, "id", "backup", str(to), cwd=Path("/"))
    assert "secret" in json.loads(done.stdout)["warning"]
    assert secret not in (to / "rdsrv.conf").read_text() and "\nkey" not in (to / "rdsrv.conf").read_text()
    again = rdsrv("ctl", "--data-dir", server.directory, "id", "backup", str(to), cwd=Path("/"))
    assert again.returncode == 1 and str(to) in complaint(again)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_backup_where_the_server_may_not_write(lab: Lab, foreign: Path) -> None:
    """root asks for it, but the service writes it: who named another place is told of one that will do."""
    foreign.chmod(0o755)
    data = foreign / "data"
    data.mkdir(mode=0o700)
    os.chown(data, NOBODY, NOBODY)
    lab.server("id", directory=data, prefix=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"])
    told = f"{data}/backup"
    done = rdsrv("ctl", "--data-dir", data, "id", "backup", foreign / "backup", cwd=Path("/"))
    assert_refused(done, 1, str(foreign / "backup"), "Permission denied", told)
    assert rdsrv("ctl", "--data-dir", data, "id", "backup", told, cwd=Path("/")).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_backup_that_is_nowhere(lab: Lab) -> None:
    """A service has a /tmp of its own: what it writes there isn't where root asked for it, and is gone with it."""
    own, data = lab.directory("tmp"), lab.directory()
    prefix = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs own "$1" && shift && exec "$@"', "sh", str(own)]
    lab.server("id", directory=data, prefix=prefix)
    done = rdsrv("ctl", "--data-dir", data, "id", "backup", own / "backup", cwd=Path("/"))
    assert done.returncode == 1 and str(own / "backup") in complaint(done) and f"{data}/backup" in complaint(done)
    done = rdsrv("ctl", "--data-dir", data, "id", "backup", data / "backup", cwd=Path("/"))
    assert done.returncode == 0 and SECRET in names_in(data / "backup")


# --- locks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running, second", CLASHES)
def test_role_runs_once(lab: Lab, running: str, second: str) -> None:
    """A role that runs in a directory isn't started there again, alone or with the other one: one line, exit 1."""
    server = lab.server(running)
    done = rdsrv(second, "--data-dir", server.directory, *place_args(), cwd=lab.tmp_path)
    assert_refused(done, 1, str(server.directory))
    assert {ctl(server.directory, role)["pid"] for role in RUNNING[running]} == {server.pid}


@pytest.mark.parametrize("first, second", [("id", "relay"), ("relay", "id")])
def test_roles_side_by_side(lab: Lab, first: str, second: str) -> None:
    """The two roles share a directory, one process each."""
    one = lab.server(first)
    other = lab.server(second, hosts=one.hosts, port=one.port)
    assert [ctl(lab.directory(), role)["pid"] for role in (first, second)] == [one.pid, other.pid]


@pytest.mark.parametrize("held", ROLES)
def test_refused_serve_leaves_nothing(lab: Lab, held: str) -> None:
    """serve that finds one role's lock taken doesn't keep the other role's."""
    lab.server(held)
    assert rdsrv("serve", "--data-dir", lab.directory(), *place_args(), cwd=lab.tmp_path).returncode == 1
    free = "relay" if held == "id" else "id"
    server = lab.server(free)
    assert ctl(lab.directory(), free)["pid"] == server.pid


@pytest.mark.parametrize("name", ["hbbs", "hbbr"])
def test_old_names_hold_the_same_locks(lab: Lab, name: str) -> None:
    """hbbs is the ID server, and hbbr the relay, of their directory."""
    role = start_as(lab, name, lab.directory()).role
    assert_refused(rdsrv(role, "--data-dir", lab.directory(), *place_args(), cwd=lab.tmp_path), 1, role)
    assert_refused(as_name(name, *place_args()[:2], cwd=lab.directory()), 1, role)


@pytest.mark.parametrize("bits", [0o000, 0o022, 0o077], ids=oct)
def test_modes(lab: Lab, bits: int) -> None:
    """Sockets and locks are their owner's alone under every umask."""
    before = os.umask(bits)
    try:
        server = lab.server("serve")
    finally:
        os.umask(before)
    for role in ROLES:
        assert mode(server.directory / f"{role}.sock") == 0o600
        assert mode(server.directory / f"rdsrv-{role}.lock") & 0o077 == 0


# --- ctl --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_status(lab: Lab, role: str) -> None:
    """The status says who answers: role, process, version, directory and key."""
    place_pair(lab.directory())
    server = lab.server("serve")
    status = ctl(server.directory, role)
    assert (status["role"], status["pid"], status["data_dir"]) == (role, server.pid, str(server.directory))
    assert status["key"] == PAIR[PUBLIC] and status["fingerprint"].startswith("SHA256:")
    assert status["version"] and status["uptime_seconds"] >= 0


def test_status_counts(lab: Lab) -> None:
    """The status shows what goes on: registered peers and waiting sessions."""
    target = lab.server("serve").target()
    lab.registered(target)
    lab.relay_side(target).join("a session", target.key)
    wait_until(lambda: ctl(lab.directory(), "relay")["waiting"] == 1, WAIT_S, "a waiting side")
    status = ctl(lab.directory(), "id")
    assert (status["peers"], status["online"]) == (1, 1)


@pytest.mark.parametrize("role", ROLES)
def test_settings_of_flags(lab: Lab, role: str) -> None:
    """Settings that only the running process's command line and environment hold are no secret to ctl."""
    env = {"RDSRV_LIMIT_IDS_DAY": "77"}
    server = start_as(lab, "serve", lab.directory(), "-r", "r.example", "--id-server", "i.example", env=env)
    got = ctl(lab.directory(), role, "settings")["settings"]
    want = {"relay-servers": "r.example", "id-server": "i.example", "port": str(server.port), "limit-ids-day": "77"}
    assert {name: got[name]["value"] for name in want} == want
    assert got["relay-servers"]["from"] != "default" and "RDSRV_LIMIT_IDS_DAY" in got["limit-ids-day"]["from"]
    assert (got["serial"]["from"], got["relay-port"]["value"]) == ("default", str(server.port + 1))


@pytest.mark.parametrize("role", ROLES)
def test_settings_are_those_of_the_process(lab: Lab, role: str) -> None:
    """ctl tells what the process has, not what a file says by now."""
    conf = lab.tmp_path / "my.conf"
    conf.write_text("serial = 5\n")
    start_as(lab, "serve", lab.directory(), "--config", conf)
    conf.write_text("serial = 6\n")
    assert ctl(lab.directory(), role, "settings")["settings"]["serial"]["value"] == "5"


def test_answers_are_json_alone(lab: Lab) -> None:
    """stdout holds one JSON object and nothing else; the talk is on stderr."""
    server = lab.server("serve")
    for role in ROLES:
        for what in ("status", "settings"):
            done = rdsrv("ctl", "--json", role, what, "-d", server.directory, cwd=lab.tmp_path)
            assert isinstance(json.loads(done.stdout), dict) and str(server.directory) in done.stderr


def test_shorter_questions(lab: Lab) -> None:
    """Without a question, or without a role where one runs, ctl still answers, or says how to ask: never a crash."""
    server = lab.server("id")
    for words in ((), ("id",)):
        done = rdsrv("ctl", "-d", server.directory, *words, cwd=lab.tmp_path)
        assert done.returncode == 0 and json.loads(done.stdout)["pid"] == server.pid or done.returncode == 2


def test_relays_that_no_client_can_reach(lab: Lab) -> None:
    """They aren't handed out, and the answer says so for as long as they stand in the list."""
    server = lab.server("id")

    def relays(*words: str) -> tuple[list[str], bool]:
        answer = ctl(server.directory, "id", "relays", *words)
        return [one["name"] for one in answer["relays"]], "no client can reach" in answer.get("left_out", "")

    for _ in range(2):
        assert relays("0.0.0.0,relay.example") == (["relay.example"], True)
        assert relays() == (["relay.example"], True)
        assert relays("relay.example") == (["relay.example"], False)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("what", ["status", "settings"])
def test_nobody_runs(tmp_path: Path, role: str, what: str) -> None:
    """Nobody to ask: exit 1, one line that names role and directory, and nothing is made."""
    place_pair(tmp_path)
    assert_refused(rdsrv("ctl", role, what, cwd=tmp_path), 1, role, str(tmp_path))
    assert names_in(tmp_path) == {SECRET, PUBLIC}


@pytest.mark.parametrize("running, asked", [("id", "relay"), ("relay", "id")])
def test_other_role_runs(lab: Lab, running: str, asked: str) -> None:
    """The other role doesn't answer for one that doesn't run."""
    lab.server(running)
    assert_refused(rdsrv("ctl", "-d", lab.directory(), asked, "status", cwd=lab.tmp_path), 1, asked)


@pytest.mark.parametrize("role", ROLES)
def test_server_that_hangs(lab: Lab, role: str) -> None:
    """A server that doesn't answer is reported within seconds, in one line."""
    server = lab.server("serve")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        assert_refused(rdsrv("ctl", "-d", lab.directory(), role, "status", cwd=lab.tmp_path), 1, role)
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.skipif(os.geteuid() != 0, reason="other users need root")
def test_other_users_get_no_answer(lab: Lab, shared: Path) -> None:
    """The control socket is for its owner: others are told that they may not, in one line."""
    start_as(lab, "id", shared)
    assert_refused(as_nobody("ctl", "-d", shared, "id", "status", cwd=shared), 1, "id")


@pytest.fixture
def shared(lab: Lab) -> Iterator[Path]:
    """A directory that every user can reach and look into."""
    with tempfile.TemporaryDirectory(prefix="rdsrv-shared-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
        lab.end()


# --- what a power cut leaves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", RUNNING)
def test_start_after_sigkill(lab: Lab, role: str) -> None:
    """The sockets and locks that SIGKILL leaves hinder neither ctl, which says that nobody runs, nor a start."""
    server = lab.server(role)
    server.kill()
    for name in RUNNING[role]:
        assert (server.directory / f"{name}.sock").exists()
        assert_refused(rdsrv("ctl", "-d", server.directory, name, "status", cwd=lab.tmp_path), 1, name)
    server.restarted()
    assert {ctl(server.directory, name)["pid"] for name in RUNNING[role]} == {server.pid}
    assert {mode(server.directory / f"{name}.sock") for name in RUNNING[role]} == {0o600}


def test_many_sigkills(lab: Lab) -> None:
    """Again and again."""
    server = lab.server("serve")
    for _ in range(10):
        server.kill()
        server.restarted()
    assert ctl(server.directory, "relay")["pid"] == server.pid


def test_clean_stop_removes_the_sockets(lab: Lab) -> None:
    """A clean stop leaves no socket behind, and frees the locks."""
    server = lab.server("serve")
    server.stop()
    assert not {"id.sock", "relay.sock"} & names_in(server.directory)
    server.restarted()


def test_locks_name_no_process_that_is_gone(lab: Lab) -> None:
    """A lock is held by a process, not by a file: one with the number of a living process in it hinders nobody."""
    for role in ROLES:
        (lab.directory() / f"rdsrv-{role}.lock").write_text(f"{os.getpid()}\n")
    lab.server("serve")


def test_one_of_two_that_start_at_once(lab: Lab) -> None:
    """Two processes that start at the same moment: one runs, the other one is refused."""
    one, other = (lab.prepare("id") for _ in range(2))
    one.launch()
    other.launch()
    wait_until(lambda: one.running != other.running, WAIT_S, "one to be refused")
    runs, refused = (one, other) if one.running else (other, one)
    refused.stop(code=1)
    runs.wait_ready()
    assert ctl(lab.directory(), "id")["pid"] == runs.pid


# --- garbage ----------------------------------------------------------------------------------------------------------


def speak(path: Path) -> socket.socket:
    """A connection to the control socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    wait_until(lambda: sock.connect_ex(str(path)) == 0, WAIT_S, "room in the queue of the control socket")
    sock.settimeout(WAIT_S)
    return sock


def throw(path: Path, data: bytes) -> bytes:
    """Sends this, ends sending, and returns what comes back until the end."""
    out = b""
    with closing(speak(path)) as sock, suppress(ConnectionResetError, BrokenPipeError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while got := sock.recv(65536):
            out += got
    return out


def connect_and_close(path: Path) -> None:
    """Two hundred times nothing."""
    for _ in range(200):
        speak(path).close()


def half_a_line_and_close(path: Path) -> None:
    for cut in range(1, 7):
        with closing(speak(path)) as sock:
            sock.sendall(b"status\n"[:cut])


def question_and_close(path: Path) -> None:
    """Leaves without hearing the answer."""
    for _ in range(50):
        with closing(speak(path)) as sock:
            sock.sendall(b"settings\n")


GARBAGE: dict[str, Callable[[Path], Any]] = {
    "random": lambda path: throw(path, random.Random(5).randbytes(100_000)),
    "zeros": lambda path: throw(path, bytes(5000)),
    "zeros in a line": lambda path: throw(path, b"sta\0tus\n"),
    "1 MB without a newline": lambda path: throw(path, b"x" * (1 << 20)),
    "1 MB of newlines": lambda path: throw(path, b"\n" * (1 << 20)),
    "10,000 questions": lambda path: throw(path, b"status\n" * 10_000),
    "a long line": lambda path: throw(path, b"status" + b" " * 5000 + b"\n"),
    "another language": lambda path: throw(path, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "formats": lambda path: throw(path, b"%s%n%s%n {0} ${x} `x`\n"),
    "connect and close": connect_and_close,
    "half a line and close": half_a_line_and_close,
    "a question and close": question_and_close,
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(lab: Lab, role: str, name: str) -> None:
    """Garbage harms nobody: the same process answers as before, and serves clients."""
    server = lab.server("serve")
    GARBAGE[name](server.directory / f"{role}.sock")
    assert ctl(server.directory, role)["pid"] == server.pid
    lab.registered(server.target())


@pytest.mark.parametrize("role", ROLES)
def test_unknown_question(lab: Lab, role: str) -> None:
    """What isn't a question is answered with an error, as JSON, or not at all."""
    path = lab.server("serve").directory / f"{role}.sock"
    for line in (b"\n", b"stop\n", b"status now\n", b"\xff\xfe\n"):
        answer = throw(path, line)
        assert not answer or json.loads(answer)["ok"] is False


@pytest.mark.parametrize("count", [1, 100])
def test_idle_and_half_lines_hold_nobody_up(lab: Lab, count: int) -> None:
    """Whoever keeps connections open, silent or in the middle of a line, keeps nobody else from his answer."""
    server = lab.server("serve")
    sockets = [speak(server.directory / "id.sock") for _ in range(count)]
    for sock in sockets[::2]:
        with suppress(OSError):
            sock.sendall(b"stat")
    assert ctl(server.directory, "id")["pid"] == server.pid
    lab.registered(server.target())
    for sock in sockets:
        sock.close()


def test_answers_that_nobody_reads(lab: Lab) -> None:
    """Whoever asks and asks without reading the answers stops neither the loop nor other askers."""
    server = lab.server("serve")
    with closing(speak(server.directory / "id.sock")) as sock:
        sock.setblocking(False)
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            for _ in range(20_000):
                sock.send(b"settings\n" * 10)
        assert ctl(server.directory, "id")["pid"] == server.pid
        lab.registered(server.target())


def test_stop_with_open_control_connections(lab: Lab) -> None:
    """Open control connections don't hold up the end."""
    server = lab.server("serve")
    sockets = [speak(server.directory / f"{role}.sock") for role in ROLES for _ in range(5)]
    server.stop()
    for sock in sockets:
        assert sock.recv(10) == b""
        sock.close()


# --- long paths -------------------------------------------------------------------------------------------------------


def directory_of_length(parent: Path, length: int) -> Path:
    """A new directory below parent whose path has exactly this length."""
    path = parent
    while (rest := length - len(str(path)) - 1) > 0:
        part = rest if rest <= 200 else min(200, rest - 2)
        path = path / ("d" * part)
    path.mkdir(parents=True)
    assert len(str(path)) == length
    return path


@pytest.mark.parametrize("length", [*range(94, 112), 200, 300, 480])
def test_long_paths(lab: Lab, length: int, deep: Path) -> None:
    """A data directory's path may be longer than a socket's address takes, and just as long."""
    data = directory_of_length(deep, length)
    server = start(lab, "serve", lab.tmp_path, "--data-dir", data)
    for role in ROLES:
        assert ctl(data, role)["pid"] == server.pid and mode(data / f"{role}.sock") == 0o600
    done = rdsrv("export-conf", "-d", data, "--id-server", "i.example", cwd=lab.tmp_path)
    assert f"id_server=i.example:{server.port}" in done.stdout
    assert {DATABASE, SECRET} <= names_in(data)
    server.kill()
    start(lab, "serve", lab.tmp_path, "--data-dir", data)


@pytest.mark.parametrize("length", [520, 1000, 3000])
def test_paths_beyond_all_measure(deep: Path, length: int) -> None:
    """Where SQLite can't follow any more, the one line says what is wrong, and isn't cut off before it does."""
    data = directory_of_length(deep, length)
    done = rdsrv("serve", "--data-dir", data, *place_args(), cwd=deep, prefix=AT_MOST)
    assert done.returncode == 1 and re.search("too long|can't open|cannot open|unable", complaint(done))


@pytest.fixture
def deep(lab: Lab) -> Iterator[Path]:
    """A directory with a short path, which goes when the servers have ended."""
    with tempfile.TemporaryDirectory(prefix="rd-") as name:
        yield Path(name)
        lab.end()


# --- others -----------------------------------------------------------------------------------------------------------


def test_sighup_does_not_end_it(lab: Lab) -> None:
    """SIGHUP without a log file has nothing to do, and ends nobody."""
    server = lab.server("serve")
    os.kill(server.pid, signal.SIGHUP)
    assert ctl(server.directory, "id")["pid"] == server.pid and server.running


def test_key_of_the_answer_is_the_live_one(lab: Lab) -> None:
    """The status holds the key that the process has, not what lies in the directory by now."""
    place_pair(lab.directory())
    server: Server = lab.server("serve")
    place_pair(lab.directory(), OTHER)
    assert {ctl(server.directory, role)["key"] for role in ROLES} == {PAIR[PUBLIC]}


def test_link_in_place_of_a_socket(lab: Lab) -> None:
    """A symbolic link where the socket goes isn't followed to somebody else's file."""
    victim = lab.tmp_path / "victim"
    victim.write_text("mine")
    for role in ROLES:
        (lab.directory() / f"{role}.sock").symlink_to(victim)
    server: Role | Server = lab.prepare("serve").launch()
    with suppress(AssertionError):
        server.wait_ready()
    server.stop(code=None)
    assert victim.read_text() == "mine"
