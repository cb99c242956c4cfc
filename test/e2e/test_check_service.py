"""rdsrv check: whether the roles run, who is in their way, and what mends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import Lab
from localcheck import checks, command_of, found, follow, healthy, one
from rdserver import BINARY, run_rdsrv

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


def test_a_server_that_runs_is_seen_to_run(lab: Lab) -> None:
    server = lab.server("serve")
    got = checks(server.directory, "service")
    assert {name: c["status"] for name, c in got.items()} == {
        "service.self": "ok",
        "service.id": "ok",
        "service.relay": "ok",
        "service.stale": "ok",
        "service.limits": "ok",
    }
    assert str(server.pid) in got["service.id"]["detail"]


def test_every_port_is_listened_at(lab: Lab) -> None:
    server = lab.server("serve", hosts=None)
    got = checks(server.directory, "listen")
    port = server.port
    expected = [(port - 1, "tcp"), (port, "tcp"), (port, "udp"), (port + 1, "tcp"), (port + 1, "udp")]
    expected += [(port + 2, "tcp"), (port + 3, "tcp")]
    assert {name: c["status"] for name, c in got.items()} == {f"listen.{p}/{proto}": "ok" for p, proto in expected}


def test_loopback_alone_is_a_warning(lab: Lab) -> None:
    server = lab.server("id")
    check = found(server.directory, f"listen.{server.port}/udp", "warn", f"on {server.host} only")
    assert "--bind" in check["fix"]


def test_the_health_check_leaves_no_trace(lab: Lab) -> None:
    server = lab.server("serve")
    before = sorted(os.listdir(server.directory))
    healthy(server.directory, "service.self")
    assert not [e for e in server.events if "reserve" in str(e)]
    assert sorted(os.listdir(server.directory)) == before


def test_no_server_at_all(lab: Lab) -> None:
    assert "rdsrv serve --data-dir" in found(lab.directory(), "service.self", "fail", "no server runs")["fix"]


def test_one_role_that_is_killed_is_missed(lab: Lab) -> None:
    """The relay of two processes dies: its socket stays behind, and is told to be harmless."""
    directory = lab.directory()
    lab.server("id", directory=directory)
    relay = lab.server("relay", directory=directory)
    healthy(directory, "service.relay")
    relay.kill()
    got = checks(directory, "service")
    assert got["service.relay"]["status"] == "fail" and "rdsrv relay --data-dir" in got["service.relay"]["fix"]
    assert got["service.id"]["status"] == got["service.self"]["status"] == "ok"
    assert got["service.stale"]["status"] == "ok" and "left its control socket" in got["service.stale"]["detail"]
    relay.restarted()
    healthy(directory, "service.relay")


def test_a_relay_elsewhere_is_not_missed(lab: Lab) -> None:
    server = lab.server("id", "--relay-servers", "relay.example.com")
    assert "relay.example.com" in found(server.directory, "service.relay", "skip", "clients are sent to")["detail"]


def test_a_stopped_server_is_told_to_be_stopped(lab: Lab) -> None:
    server = lab.server("serve")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        check = found(server.directory, "service.id", "fail", "stopped by a signal")
        assert one(server.directory, "service.self")["status"] == "fail"
        follow(check)
        healthy(server.directory, "service.id")
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_port_that_another_program_holds(lab: Lab) -> None:
    server = lab.prepare("id", hosts=["127.77.8.9"])
    bound = f"import socket, time; s = socket.socket(); s.bind(({server.host!r}, {server.port})); s.listen()"
    code = f"{bound}; print(1, flush=True); time.sleep(60)"
    with subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        try:
            env = {"RDSRV_PORT": str(server.port)}
            name = f"listen.{server.port}/tcp"
            found(server.directory, name, "fail", f"python3 (pid {holder.pid})", env=env)
            check = found(server.directory, "service.stale", "fail", f"python3 (pid {holder.pid})", env=env)
            assert f"kill {holder.pid}" in check["fix"]
            subprocess.run(["sh", "-c", f"kill {holder.pid}"], check=True)
            holder.wait(10)
        finally:
            holder.kill()
    server.start()
    healthy(server.directory, "service.stale")
    healthy(server.directory, "service.id")


def test_too_few_descriptors(lab: Lab) -> None:
    server = lab.server("serve", prefix=["prlimit", "--nofile=100:100"])
    check = found(server.directory, "service.limits", "fail", "100 file descriptors")
    command = command_of(check)
    if command.startswith("prlimit"):
        follow(check)
    else:  # this kernel lets nobody raise the limit of what runs
        server.stop()
        server.prefix = ["sh", "-c", f'{command} && exec "$@"', "sh"]
        server.restarted()
    healthy(server.directory, "service.limits")


@needs_root
def test_a_lock_that_root_left_behind(lab: Lab, foreign: Path) -> None:
    """Started once as root by mistake: the service's user can't open the lock any more."""
    directory = foreign / "data"
    foreign.chmod(0o755)
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)
    lock = directory / "rdsrv-id.lock"
    lock.write_text("1\n")
    lock.chmod(0o600)
    check = found(directory, "service.stale", "fail", "belongs to another user")
    follow(check)
    assert lock.stat().st_uid == 65534
    healthy(directory, "service.stale")


def test_a_directory_in_the_sockets_place(lab: Lab) -> None:
    directory = lab.directory()
    (directory / "id.sock").mkdir()
    server = lab.prepare("id", directory=directory)
    env = {"RDSRV_PORT": str(server.port)}
    follow(found(directory, "service.stale", "fail", "is a directory", env=env))
    server.start()
    healthy(directory, "service.stale")


def test_a_silent_socket_doesn_t_hold_the_check_up(lab: Lab) -> None:
    """Somebody listens at the control socket and never answers."""
    directory = lab.directory()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory / "id.sock"))
        sock.listen()
        found(directory, "service.self", "fail", "doesn't answer")


def test_wrong_names_are_wrong_use(lab: Lab) -> None:
    done = run_rdsrv("check", "--data-dir", str(lab.directory()), "--only", "service.nothing", cwd=Path("/"))
    assert done.returncode == 2 and "service.nothing" in done.stderr, BINARY


UNIT = """User=rdsrv
Result=exit-code
ExecMainStatus=1
Id=rdsrv-id.service
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=enabled
"""


def test_a_unit_that_failed(lab: Lab, tmp_path: Path) -> None:
    """systemd knows why it is down, and how to start it."""
    for name, text in (("systemctl", UNIT), ("journalctl", "rdsrv: can't start\nport 21116 is taken\n")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    says = "rdsrv-id.service is failed (exit-code, exit status 1)"
    check = found(lab.directory(), "service.id", "fail", says, env=env)
    assert "can't start | port 21116 is taken" in check["detail"]
    assert check["fix"].endswith("systemctl start rdsrv-id.service")


def test_a_service_manager_that_hangs(lab: Lab, tmp_path: Path) -> None:
    """All of the checks end in time without it."""
    for name in ("systemctl", "journalctl"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexec sleep 600\n")
        program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    got = checks(lab.directory(), "service,files,keys,listen,firewall", env=env)
    assert got["service.id"]["status"] == "fail"
