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
from rdserver import BINARY, clean_env, free_base_port, run_rdsrv

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


@pytest.mark.parametrize("role", ["serve", "id"])
def test_a_server_is_started_as_what_it_was(lab: Lab, role: str) -> None:
    """Both roles in one process are `rdsrv serve`: `rdsrv id` would leave the relay out."""
    server = lab.server(role)
    (server.directory / "id.sock").unlink()
    check = found(server.directory, "service.id", "fail", "no control socket")
    assert f"rdsrv {role} --data-dir {server.directory}" in check["fix"], check


HOLDS = """
import pathlib, socket, sys, time
pathlib.Path("/proc/self/comm").write_text(sys.argv[1])
held = socket.socket()
held.bind((sys.argv[2], int(sys.argv[3])))
held.listen()
print(1, flush=True)
time.sleep(60)
"""
IN_GROUP = """
mount --bind "$1" "/proc/$2/cgroup"
shift 2
exec "$@"
"""


@needs_root
@pytest.mark.parametrize(
    "name, unit, is_main, says",
    [
        ("other", "other.service", True, "systemctl disable --now other.service"),
        ("other", "ssh.service", False, "kill "),
        ("docker-proxy", "docker.service", False, "docker ps --filter publish="),
    ],
)
def test_whose_unit_a_holder_is(lab: Lab, tmp_path: Path, name: str, unit: str, is_main: bool, says: str) -> None:
    """What was started in a session of ssh, or by Docker, is in its control group: neither is to be ended."""
    server = lab.prepare("id", hosts=["127.77.8.10"])
    group = tmp_path / "cgroup"
    group.write_text(f"0::/system.slice/{unit}\n")
    words = ["python3", "-c", HOLDS, name, server.host, str(server.port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        try:
            main = holder.pid if is_main else 1234567
            env = programs_of(tmp_path, systemctl=f"Id={unit}\nLoadState=loaded\nMainPID={main}\n")
            env["RDSRV_PORT"] = str(server.port)
            prefix = ["unshare", "--mount", "sh", "-ec", IN_GROUP, "sh", str(group), str(holder.pid)]
            check = found(server.directory, "service.stale", "fail", f"{name} (pid {holder.pid})", env=env, prefix=prefix)
            assert says in check["fix"] and ("disable" in check["fix"]) == is_main, check["fix"]
        finally:
            holder.kill()


TWINS = """
import fcntl, os, pathlib, subprocess, sys
data, other, rdsrv = sys.argv[1:]
for place in (data, other):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "inode32,mode=0700", "none", place], check=True)
subprocess.run([rdsrv, "keygen", "--data-dir", data], check=True, stdout=subprocess.DEVNULL)
lock = os.path.join(data, "rdsrv-id.lock")
open(lock, "w").close()
wanted = os.stat(lock).st_ino
files = []
while not files or os.fstat(files[-1].fileno()).st_ino < wanted:
    files.append(open(os.path.join(other, str(len(files))), "w"))
assert os.fstat(files[-1].fileno()).st_ino == wanted
fcntl.flock(files[-1], fcntl.LOCK_EX)
args = [rdsrv, "check", "--json", "--data-dir", data, "--only", "service.id"]
sys.exit(subprocess.run(args).returncode)
"""


@needs_root
def test_a_lock_of_the_same_number_on_another_disk(tmp_path: Path) -> None:
    """Inodes have the same numbers on every disk: who locks something there is not our server."""
    places = [tmp_path / "data", tmp_path / "other"]
    for place in places:
        place.mkdir()
    words = ["unshare", "--mount", "/usr/bin/python3", "-c", TWINS, *places, BINARY]
    done = subprocess.run(words, env=clean_env({}), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1, done.stderr
    assert "doesn't run" in done.stdout and "kill" not in done.stdout, done.stdout


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
    env = {"RDSRV_PORT": str(free_base_port(["0.0.0.0", "::"]))}
    healthy(directory, "service.stale", env=env)


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


def programs_of(tmp_path: Path, **texts: str) -> dict[str, str]:
    """An environment whose programs of these names print these texts."""
    for name, text in texts.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        program.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


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
    env = programs_of(tmp_path, systemctl=UNIT, journalctl="rdsrv: can't start\nport 21116 is taken\n")
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
