"""Shared by the tests of the command line: commands and roles under any name, hosts with a /var/lib and /etc of
their own, and how to read what the program says."""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import pytest

import rdwire
from conftest import Lab
from rdclient import RelaySide, fresh_id, fresh_uuid
from rdserver import BINARY, RUN_S, Server, clean_env, free_base_port, random_loopback, sanitizer_reports

Done = subprocess.CompletedProcess[str]

SECRET, PUBLIC, DATABASE, CLIENT_CONF = "id_ed25519", "id_ed25519.pub", "db_v2.sqlite3", "server.conf"
VECTORS = Path(__file__).resolve().parent.parent / "vectors"
KEY_VECTORS: dict[str, Any] = json.loads((VECTORS / "keyfile.json").read_text())
PAIR, OTHER = KEY_VECTORS["keys"]
SYSTEM_NAMES = ("rdsrv", "rustdesk-server", "rustdesk")
ROLE_OF = {"serve": "serve", "id": "id", "relay": "relay", "hbbs": "id", "hbbr": "relay"}
JSON_LOG = ("--log-format", "json")
NOBODY = 65534
TEXT_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
WAIT_S = 10.0

# What goes before a command that has to end by itself: one that doesn't is ended, with exit code 124.
AT_MOST = ("timeout", "20")
# A shell's words that tell a role to end when it is ready; its exit code is $e then.
RUN_UNTIL_READY = """
log=$(mktemp)
timeout 20 "$0" "$@" 2> "$log" &
while kill -0 $! 2> /dev/null && ! grep -qw ready "$log"; do sleep 0.02; done
kill $! 2> /dev/null
wait $!
e=$?
cat "$log" >&2
rm "$log"
"""
UNTIL_READY = ("sh", "-c", RUN_UNTIL_READY + "exit $e")

_CHOICE = re.compile(r"^\S+( [\w-]+)?: data directory .* \(.*\)$")
_LOG_LINE = re.compile(rf"^({TEXT_TIME} (trace|debug|info|warn) |<[4-7]>)")


# --- running --------------------------------------------------------------------------------------------------------


def _place_for_programs() -> Path:
    """A directory that every user can enter, and that goes when we end."""
    assert BINARY.exists(), f"{BINARY} is not built (RDSRV names another)"
    place = Path(tempfile.mkdtemp(prefix="rdsrv-names-"))
    atexit.register(shutil.rmtree, place, True)
    place.chmod(0o755)
    return place


@functools.cache
def called(name: str) -> Path:
    """A symbolic link of this name to the binary."""
    link = _place_for_programs() / name
    link.symlink_to(BINARY)
    return link


@functools.cache
def copied() -> Path:
    """A copy of the binary that every user can run."""
    copy = _place_for_programs() / "rdsrv"
    shutil.copy(BINARY, copy)
    copy.chmod(0o755)
    return copy


def rdsrv(
    *args: str | Path,
    cwd: Path,
    env: Mapping[str, str] = {},
    program: str = "rdsrv",
    prefix: Sequence[str] = (),
) -> Done:
    """Runs a command that ends by itself."""
    return run([*prefix, str(called(program)), *map(str, args)], cwd, env)


def as_name(name: str, *args: str | Path, cwd: Path, **options: Any) -> Done:
    """Runs one of ROLE_OF, or a command of rdsrv, that must end by itself."""
    return rdsrv(*words_of(name), *args, cwd=cwd, program=program_of(name), **options)


def as_nobody(*args: str | Path, cwd: Path, how: Sequence[str] = AT_MOST) -> Done:
    """Runs a command of rdsrv as a user who owns nothing."""
    other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    return run([*other, *how, str(copied()), *map(str, args)], cwd, {})


def program_of(name: str) -> str:
    return name if name in ("hbbs", "hbbr") else "rdsrv"


def words_of(name: str) -> list[str]:
    """What stands behind the program's name so that it is this role or command."""
    return [] if name in ("hbbs", "hbbr") else [name]


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Done:
    """Runs this command line to its end."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_env(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=RUN_S,
    )
    assert not sanitizer_reports(done.stderr), done.stderr
    return done


class Place(NamedTuple):
    """An address, and the middle of five free ports there."""

    host: str
    port: int

    def for_role(self) -> dict[str, Any]:
        """Options for a Role that takes this place."""
        return {"hosts": [self.host], "port": self.port}


def free_place() -> Place:
    host = random_loopback()
    return Place(host, free_base_port([host]))


def place_args() -> list[str]:
    """An address and ports of its own for a role."""
    host, port = free_place()
    return ["--bind", host, "--port", str(port)]


def can_connect(host: str, port: int) -> bool:
    """Does anybody listen there?"""
    with socket.socket() as sock:
        sock.settimeout(WAIT_S)
        return sock.connect_ex((host, port)) == 0


def complaint(done: Done) -> str:
    """The one line that says what is wrong: everything on stderr but ordinary log lines and the chosen directory."""
    lines = [line for line in done.stderr.splitlines() if not (_CHOICE.match(line) or _LOG_LINE.match(line))]
    assert len(lines) == 1, done.stderr
    return lines[0]


def assert_refused(done: Done, code: int, *parts: str) -> None:
    """The command ended with this code, nothing on stdout and one line that holds these parts."""
    assert (done.returncode, done.stdout) == (code, ""), (done.returncode, done.stdout, done.stderr)
    line = complaint(done)
    missing = [part for part in parts if part not in line]
    assert not missing, f"{missing} not in {line!r}"


class Role(Server):
    """A role whose command line is exactly what the test says, but for its address and ports (unless it is bare).

    directory is its working directory. Text logs are understood as well as JSON.
    """

    def __init__(
        self,
        role: str,
        directory: Path,
        *args: str | Path,
        program: str = "rdsrv",
        bare: bool = False,
        **options: Any,
    ) -> None:
        self.program, self.bare = program, bare
        super().__init__(role, directory, [str(arg) for arg in args], **options)

    def _common_args(self, log_level: str) -> list[str]:
        if self.bare:
            return []
        port = ["--relay-port", str(self.port + 1)] if self.program == "hbbr" else ["--port", str(self.port)]
        return [*([] if self.hosts is None else ["--bind", ",".join(self.hosts)]), *port]

    def command(self) -> list[str]:
        name = [] if self.program in ("hbbs", "hbbr") else [self.role]
        return [*self.prefix, str(called(self.program)), *name, *self.args]

    def launch(self) -> Role:
        return self._launch_with([])

    def _launch_with(self, fds: Sequence[int]) -> Role:
        """Starts the process, which inherits these descriptors."""
        self._process = subprocess.Popen(
            self.command(),
            cwd=self.directory,
            env=clean_env(self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=fds,
        )
        self._pid = self._process.pid
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        return self

    def is_ready(self) -> bool:
        return super().is_ready() or any(re.search(rf'\bready role="?{self.role}\b', line) for line in list(self.lines))


def start(lab: Lab, role: str, directory: Path, *args: str | Path, **options: Any) -> Role:
    """A role started in this working directory, ended with the test."""
    server = Role(role, directory, *args, **options)
    lab.servers.append(server)
    server.start()
    return server


def start_as(lab: Lab, name: str, directory: Path, *args: str | Path, **options: Any) -> Role:
    """One of ROLE_OF with a JSON log and this directory as working and data directory."""
    args = (*JSON_LOG, "--data-dir", directory, *args)
    return start(lab, ROLE_OF[name], directory, *args, program=program_of(name), **options)


# --- files ----------------------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """A file as it can be told whether anybody touched it."""

    content: bytes
    mode: int
    mtime_ns: int
    inode: int


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def look(directory: Path, *names: str) -> dict[str, Look]:
    """These files, or all of the directory."""
    paths = [directory / name for name in names] if names else [p for p in directory.iterdir() if p.is_file()]
    return {path.name: _look_at(path) for path in paths if path.exists()}


def _look_at(path: Path) -> Look:
    about = path.stat()
    return Look(path.read_bytes(), stat.S_IMODE(about.st_mode), about.st_mtime_ns, about.st_ino)


def place_pair(directory: Path, pair: Mapping[str, str] = PAIR) -> None:
    """Puts a key pair of the vectors there, with the modes it should have."""
    for name, bits in ((SECRET, 0o600), (PUBLIC, 0o644)):
        (directory / name).write_text(pair[name])
        (directory / name).chmod(bits)


def new_dir(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir(parents=True)
    return path


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


# --- a host of our own ----------------------------------------------------------------------------------------------


class System:
    """What a command sees as /var/lib, in a mount namespace of its own: the host's is never touched.

    The files are under a directory of the test, so they can be looked at afterwards.
    """

    def __init__(self, tmp_path: Path, *names: str) -> None:
        self.var_lib = new_dir(tmp_path, "system/var/lib")
        for name in names:
            self.instance(name)

    def instance(self, name: str, holds: str = SECRET) -> Path:
        """An instance under /var/lib that holds a key pair, or an empty file of that name."""
        path = new_dir(self.var_lib, name)
        if holds == SECRET:
            place_pair(path)
        else:
            (path / holds).touch()
        return path

    @property
    def prefix(self) -> list[str]:
        """What goes before a command that is to run there; it keeps the process id."""
        mount = f"mount --bind {shlex.quote(str(self.var_lib))} /var/lib"
        return ["unshare", "--mount", "sh", "-ec", f'{mount}; exec "$0" "$@"']


@functools.cache
def _can_unshare() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory() as place:
        return subprocess.run([*System(Path(place)).prefix, "true"], capture_output=True).returncode == 0


needs_system = pytest.mark.skipif(not _can_unshare(), reason="mount namespaces can't be made here")


# --- what it says ---------------------------------------------------------------------------------------------------


def ctl(directory: Path, role: str, what: str = "status", *words: str) -> dict[str, Any]:
    """What the running role of this directory answers."""
    done = rdsrv("ctl", "--json", "--data-dir", directory, role, what, *words, cwd=directory.parent)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def warnings(server: Server) -> list[str]:
    """The warnings so far, whole, from JSON or text logs."""
    events = [json.dumps(event, ensure_ascii=False) for event in list(server.events) if event.get("level") == "warn"]
    return events + [line for line in list(server.lines) if re.match(rf"^({TEXT_TIME} warn |<4>)", line)]


def warned_of(server: Server, *parts: str) -> bool:
    """Is there one warning that holds all of this?"""
    return any(all(part in warning for part in parts) for warning in warnings(server))


def all_text(directory: Path) -> str:
    """Everything in the files of this directory, whatever they are."""
    return "\n".join(path.read_bytes().decode("latin-1") for path in directory.iterdir() if path.is_file())


class Setting(NamedTuple):
    """A line of --test-config."""

    value: str
    origin: str


def _settings_in(text: str) -> Iterator[tuple[str, Setting]]:
    for line in text.splitlines():
        match = re.fullmatch(r"(\S+)\s*=\s*(.*?)\s*#\s*(.+)", line)
        assert match, f"no setting with value and origin: {line!r}"
        yield match[1], Setting(match[2], match[3])


def settings(name: str, *args: str | Path, cwd: Path, **options: Any) -> dict[str, Setting]:
    """What --test-config prints for this role and command line."""
    done = as_name(name, *args, "--test-config", cwd=cwd, **options)
    assert done.returncode == 0, done.stderr
    return dict(_settings_in(done.stdout))


# --- what clients find ----------------------------------------------------------------------------------------------


def lets_in(lab: Lab, server: Server, key: str) -> bool:
    """Does this role serve a client that shows this key?"""
    return _relay_lets_in(lab, server, key) if server.role == "relay" else _id_lets_in(lab, server, key)


def _id_lets_in(lab: Lab, server: Server, key: str) -> bool:
    a = lab.controller(server.target(key=key))
    a.punch(fresh_id())
    return bool(a.expect("PunchHoleResponse")["failure"] != rdwire.Failure.LICENSE_MISMATCH)


def _relay_lets_in(lab: Lab, server: Server, key: str) -> bool:
    target, uuid = server.target(key=key), fresh_uuid()
    lab.relay_side(target).join(uuid, key, early=b"x")
    return _received(lab.relay_side(target).join(uuid, key)) == b"x"


def _received(side: RelaySide) -> bytes:
    try:
        return side.sock.recv(1)
    except ConnectionResetError:
        return b""


def enforces(lab: Lab, server: Server, key: str) -> bool:
    """Does this role serve who shows this key, and nobody else?"""
    return lets_in(lab, server, key) and not any(lets_in(lab, server, wrong) for wrong in ("", "wrong", key + "="))


def is_open(lab: Lab, server: Server) -> bool:
    """Does this role serve whoever comes?"""
    return all(lets_in(lab, server, key) for key in ("", "anything", OTHER[PUBLIC]))


def signed_answer(lab: Lab, server: Server, key: str) -> bytes:
    """The signed IdPk of an answer to A, after a look at it with this key; empty if the server signs nothing."""
    b, a = lab.registered(server.target(key=key)), lab.controller(server.target(key=key))
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    answer = a.expect("PunchHoleResponse")
    assert not answer["pk"] or a.verified(answer) == (b.id, b.pk)
    return bytes(answer["pk"])
