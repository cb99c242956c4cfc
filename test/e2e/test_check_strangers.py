"""rdsrv check where less is known than at a healthy server: no rights, no server, a container's, hbbs in its place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from conftest import Lab
from localcheck import checks, found, one
from polling import wait_until
from rdserver import BINARY, Server, clean_env, keygen, run_rdsrv

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
OWN_PIDS = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
HOLDER = """
import socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
open("/proc/self/comm", "w").write("hbbs")
held = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
for one in held:
    one.bind((host, port))
held[0].listen()
print(1, flush=True)
time.sleep(60)
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


@pytest.fixture
def server(lab: Lab) -> Server:
    directory = lab.directory()
    directory.chmod(0o700)
    return lab.server("serve", "--id-server", "127.0.0.1", directory=directory)


def failures(got: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: c["detail"] for name, c in got.items() if c["status"] == "fail"}


ALL = "files,keys,service,listen,firewall,docker,tailscale,udp,tcp,ws.register,nat,online,punch,relay,http"


@pytest.mark.parametrize("finds_it", [False, True])
def test_a_stranger_is_told_to_come_back_as_root(server: Server, finds_it: bool) -> None:
    """Whatever is guessed, ports or key, a wrong guess is no fault of the server."""
    env = {"RDSRV_BIND": server.host, "RDSRV_PORT": str(server.port)} if finds_it else {}
    got = checks(server.directory, ALL, prefix=AS_NOBODY, env=env)
    assert not failures(got), failures(got)
    for name in ("files.data-dir", "keys.pair", "service.self", "service.id", "punch", "relay.tcp"):
        assert got[name]["status"] == "skip" and "sudo rdsrv check" in got[name]["detail"], got[name]
    assert not [c for c in got.values() if "--register" in c["detail"]]
    assert got["udp.register"]["status"] == ("ok" if finds_it else "skip")


def test_a_health_check_that_sees_nothing_does_not_pass(server: Server) -> None:
    check = found(server.directory, "service.self", "fail", "by this user", prefix=AS_NOBODY)
    assert check["fix"].startswith("sudo ")


def test_no_server_anywhere(tmp_path: Path) -> None:
    done = run_rdsrv("check", "--json", "--only", "files,service", cwd=tmp_path)
    assert done.returncode == 1 and "(none)" not in done.stdout
    got = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert "--host" in got["files.data-dir"]["fix"] and "root" not in got["files.data-dir"]["fix"]
    assert "files.data-dir" in got["service.self"]["fix"]


@pytest.fixture
def contained(lab: Lab) -> Iterator[Path]:
    """The data directory of a server that has numbers of processes of its own."""
    server = lab.prepare("serve")
    args = ["serve", "--data-dir", str(server.directory), "--bind", server.host, "--port", str(server.port)]
    with subprocess.Popen([*OWN_PIDS, str(BINARY), *args], env=clean_env({}), stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: one(server.directory, "service.self")["status"] == "ok", 20, "the server answers")
            yield server.directory
        finally:
            process.kill()


@pytest.mark.skipif(not shutil.which("unshare"), reason="there is no unshare")
def test_a_server_in_a_container_is_known_by_this_host_s_number(contained: Path) -> None:
    """There it is process 1, and with the host's network it listens here."""
    got = checks(contained, "service", "listen")
    assert not failures(got), failures(got)
    assert "process 1," not in got["service.id"]["detail"]


def test_a_server_that_does_not_run_is_the_only_cause(tmp_path: Path) -> None:
    """No port is to be opened then, and nothing to be registered."""
    keygen(tmp_path)
    got = checks(tmp_path, "service,udp,nat,punch,relay", env={"RDSRV_BIND": "127.99.88.77"})
    assert "service.id" in got["nat"]["fix"]
    assert not [c for c in got.values() if "--register" in c["detail"]]


@pytest.mark.parametrize("has_public", [False, True])
def test_a_relay_on_a_host_of_its_own_lacks_nothing(lab: Lab, tmp_path: Path, has_public: bool) -> None:
    """It has the ID server's public key, and no ID server."""
    key = keygen(tmp_path)
    relay = lab.prepare("relay", "--key", key)
    if has_public:
        (relay.directory / "id_ed25519.pub").write_text(key)
        (relay.directory / "id_ed25519.pub").chmod(0o644)
    relay.start()
    env = {"RDSRV_BIND": relay.host}
    got = checks(relay.directory, ALL, "dns", "keys", env=env)
    assert not failures(got), failures(got)
    assert got["relay.tcp"]["status"] == got["relay.key"]["status"] == "ok"
    for name in ("udp.register", "tcp.secure", "ws.register", "nat", "punch", "service.id", "dns.id"):
        assert got[name]["status"] == "skip" and "relay" in got[name]["detail"], got[name]
    for name in ("files.server-conf", "keys.pair"):
        assert got[name]["status"] in ("ok", "skip"), got[name]


@pytest.fixture
def hbbs(lab: Lab) -> Iterator[Server]:
    """A server of ours that can't start, for hbbs has its port."""
    server = lab.prepare("id")
    with subprocess.Popen(["python3", "-c", HOLDER, server.host, str(server.port)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        yield server
        holder.kill()


def test_hbbs_in_our_place_is_the_cause(hbbs: Server) -> None:
    env = {"RDSRV_PORT": str(hbbs.port), "RDSRV_BIND": hbbs.host}
    check = found(hbbs.directory, "service.stale", "fail", "hbbs (pid", env=env)
    assert "rdsrv check --host" in check["fix"] and "data directory" in check["fix"]
    args = [BINARY, "check", "--data-dir", hbbs.directory, "--only", "service"]
    done = subprocess.run(args, cwd="/", env=clean_env(env), capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stdout.splitlines()[-2:]
    assert last[0].startswith("Begin with service.stale: ") and last[1].startswith("Then check again"), last


def test_a_single_failure_has_nothing_that_follows(tmp_path: Path) -> None:
    keygen(tmp_path)
    (tmp_path / "id_ed25519").chmod(0o644)
    args = [BINARY, "check", "--data-dir", tmp_path, "--only", "files.keys"]
    done = subprocess.run(args, cwd="/", env=clean_env({}), capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].startswith("Begin with files.keys: ")
    assert one(tmp_path, "files.keys")["status"] == "fail"
