"""Goal: a service manager hears the truth: ready, alive, reloading, ending; and its sockets are served, or refused."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from clihelp import WAIT_S, can_connect, free_place
from conftest import Lab
from handover import Manager, handed, tcp, udp
from polling import wait_until
from rdclient import Target, fresh_uuid
from rdconnect import WsConnection
from rdserver import Server
from relaysides import WsSide, assert_talk

WATCHDOG_MS = 600
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    kind = request.param
    manager = Manager(str(tmp_path / "notify") if kind == "path" else f"@rdsrv-test-{os.getpid()}-{time.monotonic_ns()}")
    yield manager
    manager.sock.close()


@pytest.mark.parametrize("role, port", [("id", 0), ("relay", 1), ("serve", 0)])
def test_ready_when_it_listens(manager: Manager, lab: Lab, role: str, port: int) -> None:
    """READY=1 comes when it listens, with a status; RELOADING=1 and READY=1 at a reload; STOPPING=1 at the end."""
    server = lab.prepare(role, env=manager.env).launch()
    assert "STATUS=" in manager.until("READY=1")
    assert manager.heard == manager.heard[-1:]
    assert can_connect(server.host, server.port + port)
    before = time.monotonic_ns() // 1000
    os.kill(server.pid, signal.SIGHUP)
    reloading = dict(line.split("=", 1) for line in manager.next().splitlines())
    assert reloading["RELOADING"] == "1" and before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.next().startswith("READY=1\n")
    server.stop()
    assert manager.rest() == ["STOPPING=1"]


def test_not_ready_if_it_cant_listen(manager: Manager, lab: Lab) -> None:
    """A start that fails never says READY=1."""
    place = free_place()
    with tcp(place, 0):
        server = lab.prepare("id", env=manager.env, hosts=[place.host], port=place.port).launch()
        assert server.exit_code() == 1
    assert not [text for text in manager.rest() if "READY" in text]


def test_status_says_what_it_does(manager: Manager, lab: Lab) -> None:
    """STATUS= follows what happens."""
    server = lab.prepare("serve", env=manager.env).start()
    assert "peers online: 0 of 0; sessions: 0" in manager.until("READY=1")
    lab.registered(server.target())
    assert "peers online: 1 of 1; sessions: 0" in manager.until("STATUS=")
    assert not any("WATCHDOG" in text for text in manager.heard)  # nobody asked


def test_drain_asks_for_time(manager: Manager, lab: Lab) -> None:
    """A drain that lasts tells so, in time for the manager not to kill it."""
    server = lab.prepare("relay", "--drain-timeout", "600", env=manager.env).start()
    one, other = sides(lab, server.target())
    os.kill(server.pid, signal.SIGTERM)
    manager.until("STOPPING=1")
    assert int(manager.until("EXTEND_TIMEOUT_USEC=").split("=")[1]) >= 10_000_000
    manager.until("STATUS=draining, sessions: 1")
    assert_talk(one, other)
    lab.close_clients()
    wait_until(lambda: not server.running, WAIT_S)


def sides(lab: Lab, target: Target) -> tuple[Any, Any]:
    uuid = fresh_uuid()
    one, other = (lab.keep(WsSide(target)).ask(uuid, target.key, [b"early"]) for _ in range(2))
    assert one.recv_payload() == other.recv_payload() == b"early"
    return one, other


@pytest.mark.parametrize("address", ["relative", "", "/" + "x" * 200, "/nobody/is/there", "vsock:2:1234"])
def test_nobody_to_tell(lab: Lab, address: str) -> None:
    """A NOTIFY_SOCKET that leads nowhere keeps nobody from starting."""
    assert lab.server("id", env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"}).running


# --- watchdog -------------------------------------------------------------------------------------------------------


def watched(lab: Lab, manager: Manager, role: str = "serve", **more: str) -> Server:
    env = manager.env | {"WATCHDOG_USEC": str(WATCHDOG_MS * 1000)} | more
    return lab.prepare(role, env=env).start()


def test_watchdog_hears_of_a_loop_that_turns(manager: Manager, lab: Lab) -> None:
    """At least every half of the time; not from one that hangs."""
    server = watched(lab, manager)
    manager.until("READY=1")
    for _ in range(4):
        manager.until("WATCHDOG=1")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not manager.hears("WATCHDOG=1", 3 * WATCHDOG_MS / 1000), 15, "silence")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    manager.until("WATCHDOG=1")


def relay_threads(server: Server) -> list[int]:
    return sorted(int(tid) for tid in os.listdir(f"/proc/{server.pid}/task") if int(tid) != server.pid)


def test_watchdog_knows_when_a_relay_thread_hangs(manager: Manager, lab: Lab) -> None:
    """Its sessions hang then, though the loop turns."""
    server = watched(lab, manager, "relay")
    libc = ctypes.CDLL(None, use_errno=True)
    thread = relay_threads(server)[0]
    manager.until("WATCHDOG=1")
    if libc.ptrace(PTRACE_SEIZE, thread, None, None) != 0:
        pytest.skip("no ptrace here: " + os.strerror(ctypes.get_errno()))
    assert libc.ptrace(PTRACE_INTERRUPT, thread, None, None) == 0
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        wait_until(lambda: not manager.hears("WATCHDOG=1", 3 * WATCHDOG_MS / 1000), 15, "silence")
        assert can_connect(server.host, server.port + 1)
    finally:
        assert libc.ptrace(PTRACE_DETACH, thread, None, None) == 0
    manager.until("WATCHDOG=1")


NO_WATCHDOG = [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "600000x"}]


def test_no_watchdog(manager: Manager, lab: Lab) -> None:
    """One that is another process's, off, or no number, hears nothing, not even when the status is told."""
    for number, more in enumerate(NO_WATCHDOG):
        env = manager.env | {"WATCHDOG_USEC": str(WATCHDOG_MS * 1000)} | more
        server = lab.prepare("serve", env=env, directory=lab.directory(f"{number}")).start()
        lab.registered(server.target())
    for _ in NO_WATCHDOG:
        manager.until("STATUS=peers online: 1 of 1")
    assert not [text for text in manager.heard if "WATCHDOG" in text]


# --- sockets by name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["id", "relay", "serve"])
def test_websocket_by_name(lab: Lab, role: str) -> None:
    """A socket called "websocket" is served whatever its port: the role's own, and both roles under serve."""
    place, other = free_place(), free_place()
    server = handed(lab, place, [tcp(other, 0)], role=role, names=["websocket"]).start()
    target = server.target()
    if role != "relay":
        knock = lab.keep(WsConnection(target, path="/ws/id", address=(other.host, other.port)))
        knock.send("TestNatRequest")
        assert knock.expect("TestNatResponse")["port"] == knock.local[1]
    if role != "id":
        uuid = fresh_uuid()
        at = (other.host, other.port)
        one, two = (lab.keep(WsSide(target, address=at)).ask(uuid, target.key, [b"early"]) for _ in range(2))
        assert one.recv_payload() == two.recv_payload() == b"early"


def test_other_names_go_by_port(lab: Lab) -> None:
    """Any other name says nothing; the port does."""
    place = free_place()
    server = handed(lab, place, [udp(place, 0), tcp(place, 0)], role="id", names=["rdsrv.socket", "x" * 300]).start()
    lab.registered(server.target())


def unix_listener(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


class NoSocket(socket.socket):
    """A socket's number, under which there is /dev/null."""

    def __init__(self) -> None:
        super().__init__()
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, self.fileno())
        os.close(null)


def test_sockets_of_no_use(lab: Lab) -> None:
    """A socket of a kind that can't be served is an error that says which, and what would do."""
    place = free_place()
    listener = tcp(place, 3)
    connection = socket.create_connection(listener.getsockname())
    cases = [
        (unix_listener(lab.tmp_path / "listener"), "", "Unix socket"),
        (connection, "", "not a listener"),
        (udp(place, 3), "websocket", "UDP socket"),
        (NoSocket(), "null", "no socket"),
    ]
    for sock, name, says in cases:
        server = handed(lab, free_place(), [tcp(free_place(), 0), sock], names=["websocket", name]).launch()
        assert server.exit_code() == 2
        (line,) = [line for line in server.lines if "can't start" in line]
        assert says in line and "descriptor 4" in line and name in line and "ListenStream=" in line
    listener.close()
