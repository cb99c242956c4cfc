"""Starts the real binary, waits until it is ready, keeps its log and stops it.

The path of the binary is the environment's RDSRV, else build/rdsrv of this repository.
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Mapping, Sequence

from polling import wait_until
from rdclient import Target

BINARY = Path(os.environ.get("RDSRV") or Path(__file__).resolve().parents[2] / "build" / "rdsrv").absolute()
PASSED_ON = ("PATH", "HOME", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
SANITIZER_REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "LeakSanitizer", "ThreadSanitizer")
READY_S = 20.0
STOP_S = 15.0
RUN_S = 30.0
LOG_TURNS = 25  # of 10 ms, for the thread that reads a line after it was written
PORTS_BELOW, PORTS_ABOVE = 1, 3
BASE_PORTS = range(22_000, 32_000)  # above the usual ones, below those of outgoing connections
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
WILDCARD = ("0.0.0.0", "::")

_random = random.SystemRandom()


def is_sanitized() -> bool:
    """Was the binary built with a sanitizer, whose own memory grows?"""
    return b"__asan_init" in BINARY.read_bytes()


def clean_env(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """The environment that the binary gets: nothing of ours but what it needs to run."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(extra)


def random_loopback() -> str:
    """An address for a server of its own."""
    return "127.%d.%d.%d" % tuple(_random.randint(10, 250) for _ in range(3))


def _can_bind(host: str, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
        return True


def has_ipv6_loopback() -> bool:
    return socket.has_ipv6 and _can_bind("::1", 0, socket.SOCK_DGRAM)


def _own_base_ports() -> range:
    """What this process chooses from. Tests that run beside it have others: a server on every address
    would else meet a port that was taken after it was seen to be free."""
    width = len(BASE_PORTS) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = BASE_PORTS[number * width : (number + 1) * width]
    return own[PORTS_BELOW : -PORTS_ABOVE]


def free_base_port(hosts: Sequence[str]) -> int:
    """An id port N such that N-1 to N+3 are free for TCP and UDP."""
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    for _ in range(500):
        base = _random.choice(_own_base_ports())
        ports = range(base - PORTS_BELOW, base + PORTS_ABOVE + 1)
        if all(_can_bind(host, port, kind) for host in hosts for port in ports for kind in kinds):
            return base
    raise AssertionError(f"no five free ports in a row on {hosts}")


def _bytes_in(pipe: Path) -> int:
    """How many wait in it; none when it has just been closed, and is another by now or none."""
    try:
        fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return 0
    waiting = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, waiting)
    os.close(fd)
    return waiting[0]


class Crashed(Exception):
    """A command did; no failed assertion, which may be tried again."""


def sanitizer_reports(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(mark in line for mark in SANITIZER_REPORTS)]


def run_rdsrv(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] = {},
    argv0: str = "rdsrv",
    prefix: Sequence[str] = (),
    within_s: float = RUN_S,
) -> subprocess.CompletedProcess[str]:
    """Runs a command that ends by itself, with the name argv0 where no prefix goes before it."""
    assert BINARY.exists(), f"{BINARY} is not built (RDSRV names another)"
    command = [*prefix, str(BINARY), *args] if prefix else [argv0, *args]
    done = subprocess.run(
        command,
        executable=None if prefix else str(BINARY),
        cwd=cwd,
        env=clean_env(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=within_s,
    )
    if sanitizer_reports(done.stderr) or -done.returncode in CRASHES:
        raise Crashed(done.stderr)
    return done


def keygen(directory: Path) -> str:
    """Makes a key pair in the directory; the key that was printed."""
    done = run_rdsrv("keygen", "--data-dir", str(directory), cwd=directory)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Server:
    """One process of the binary with its own directory, addresses and ports.

    hosts: the addresses to bind; None: no --bind at all, which means every address.
    """

    def __init__(
        self,
        role: str,
        directory: Path,
        args: Sequence[str] = (),
        env: Mapping[str, str] = {},
        argv0: str | None = None,
        hosts: Sequence[str] | None = ("random",),
        port: int | None = None,
        prefix: Sequence[str] = (),
        log_level: str = "debug",
    ) -> None:
        self.role = role
        self.directory = directory
        self.hosts = None if hosts is None else [random_loopback() if h == "random" else h for h in hosts]
        self.port = port or free_base_port(self.hosts or WILDCARD)
        self.prefix = list(prefix)
        self.argv0 = argv0 or "rdsrv"
        self.env = dict(env)
        self.args = self._common_args(log_level) + list(args)
        self.lines: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._pid: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def _common_args(self, log_level: str) -> list[str]:
        args = ["--data-dir", str(self.directory)]
        if self.hosts is not None:
            args += ["--bind", ",".join(self.hosts)]
        if self.argv0 == "hbbr":
            args += ["--relay-port", str(self.port + 1)]
        else:
            args += ["--port", str(self.port)]
        return args + ["--log-format", "json", "--log-level", log_level]

    # --- life ---

    def launch(self) -> Server:
        """Starts the process without waiting for it."""
        assert BINARY.exists(), f"{BINARY} is not built (RDSRV names another)"
        name = [] if self.argv0 in ("hbbs", "hbbr") else [self.role]
        first = [*self.prefix, str(BINARY)] if self.prefix else [self.argv0]
        self._process = subprocess.Popen(
            first + name + self.args,
            executable=None if self.prefix else str(BINARY),
            cwd=self.directory,
            env=clean_env(self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._pid = self._process.pid
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        return self

    def start(self) -> Server:
        return self.launch().wait_ready()

    def wait_ready(self) -> Server:
        wait_until(lambda: self.is_ready() or self._has_exited(), READY_S, "ready in the log:\n" + self.log_text())
        if self._has_exited() and self._reader is not None:
            self._reader.join(STOP_S)  # its last words
        assert self.is_ready(), f"{self.role} ended with {self._end()} before it was ready:\n{self.log_text()}"
        return self

    def is_ready(self) -> bool:
        roles = {event.get("role") for event in self.logged("ready")}
        return self.role in roles or (self.role == "serve" and roles >= {"id", "relay"})

    @property
    def running(self) -> bool:
        return self._process is not None and not self._has_exited()

    def stop(self, code: int | None = 0) -> None:
        """Ends it with SIGTERM; it must end in time, with this code and without a sanitizer's report."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            got = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.role} did not stop within {STOP_S} s of SIGTERM:\n{self.log_text()}")
        self._closed()
        assert code is None or got == code, f"{self.role} ended with {got}, not {code}:\n{self.log_text()}"

    def exit_code(self) -> int:
        """Of one that ended by itself."""
        assert self._process is not None
        code = self._process.wait(STOP_S)
        self._closed()
        return code

    def kill(self) -> None:
        """Ends it with SIGKILL, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_S)
        self._closed()

    def restarted(self) -> Server:
        """The same again, after stop or kill."""
        assert not self.running
        self.lines, self.events = [], []
        return self.start()

    def _closed(self) -> None:
        assert self._process is not None and self._reader is not None and self._process.stderr is not None
        self._reader.join(STOP_S)
        self._process.stderr.close()
        self._process = None
        reports = sanitizer_reports(self.log_text())
        assert not reports, self.log_text()

    def _has_exited(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _end(self) -> int | None:
        return self._process.returncode if self._process else None

    # --- log ---

    def _read_log(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        for raw in self._process.stderr:
            line = raw.decode(errors="replace").rstrip("\n")
            self.lines.append(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                self.events.append(event)

    def log_text(self, last: int = 400) -> str:
        return "\n".join(self.lines[-last:])

    def logged(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The log's lines of this event whose fields have these values; the first may be on its way here still."""
        want = {"event": event, **fields}
        for _ in range(LOG_TURNS):
            found = [e for e in list(self.events) if want.items() <= e.items()]
            if found:
                break
            time.sleep(0.01)
        return found

    def refusals(self) -> list[dict[str, Any]]:
        return [e for e in list(self.events) if "reason" in e]

    def status(self) -> dict[str, Any]:
        """What the running role says of itself."""
        return self.status_of(self.role)

    def status_of(self, role: str) -> dict[str, Any]:
        """What one of two roles in a process says of itself."""
        done = run_rdsrv("ctl", "--data-dir", str(self.directory), role, "status", "--json", cwd=self.directory)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def counter(self, name: str) -> int:
        return self.status()["counters"].get(name, 0)

    # --- what clients are told ---

    @property
    def pid(self) -> int:
        """The process's id, of the last one after its end."""
        assert self._pid is not None
        return self._pid

    def memory_kib(self) -> int:
        """Its resident memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def descriptors(self) -> int:
        """How many it has open now."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def bytes_in_pipes(self) -> int:
        """How many wait now in pipes of which it has both ends."""
        ends = Path(f"/proc/{self.pid}/fd")
        seen: dict[str, list[Path]] = {}
        for end in ends.iterdir():
            with suppress(FileNotFoundError):
                seen.setdefault(os.readlink(end), []).append(end)
        pipes = [found[0] for name, found in seen.items() if name.startswith("pipe:") and len(found) == 2]
        return sum(map(_bytes_in, pipes))

    @property
    def host(self) -> str:
        return self.hosts[0] if self.hosts else "127.0.0.1"

    @property
    def key(self) -> str:
        return (self.directory / "id_ed25519.pub").read_text().strip()

    def target(self, host: str | None = None, key: str | None = None) -> Target:
        """The server as a client is configured for it."""
        return Target(host or self.host, self.port, self.key if key is None else key)


def wait_ready_all(servers: Sequence[Server]) -> None:
    """Waits for servers that were launched together."""
    deadline = time.monotonic() + READY_S
    for server in servers:
        assert time.monotonic() < deadline
        server.wait_ready()
