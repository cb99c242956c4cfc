"""migrate.sh: whatever ends it, or fails on the way, a server runs afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from oldhost import GUIDES, OldHost, installed


@pytest.fixture
def host(tmp_path: Path) -> OldHost:
    return OldHost(tmp_path / "host")


def hook(host: OldHost, verb: str, unit: str, command: str) -> Path:
    path = host.state / f"on.{verb}.{unit}"
    path.write_text(command)
    return path


def state(host: OldHost) -> str:
    return (host.conf.parent / "migrated-from").read_text()


def test_lost_terminal_leaves_the_old_servers_running(host: OldHost) -> None:
    installed(host, GUIDES)
    host.interrupted("terminal")
    assert host.active == host.enabled == {"hbbs", "hbbr"}
    assert not (host.conf.parent / "migrated-from").exists()


def test_closed_pipe_stops_nothing(host: OldHost) -> None:
    installed(host, GUIDES)
    host.interrupted("pipe")
    assert host.active == host.enabled == {"rdsrv"}


@pytest.mark.parametrize("way", ["back", "forth"])
def test_killed_while_the_old_servers_are_stopped(host: OldHost, way: str) -> None:
    installed(host, GUIDES)
    killer = hook(host, "stop", "hbbr", "kill -9 $PPID")
    assert host.run("--yes").returncode != 0
    assert host.active == set()
    killer.unlink()
    if way == "forth":
        host.migrate()
        assert host.active == host.enabled == {"rdsrv"}
    done = host.run("--back", "--yes")
    assert done.returncode == 0, done.stderr
    assert host.active == host.enabled == {"hbbs", "hbbr"}


def test_no_way_back_where_nothing_ran(host: OldHost) -> None:
    host.data("/var/lib/rustdesk")
    host.migrate()
    done = host.run("--back", "--yes")
    assert done.returncode == 1
    assert "systemctl disable --now rdsrv" in done.stderr
    assert host.active == host.enabled == {"rdsrv"}


def test_relay_started_by_hand_afterwards(host: OldHost) -> None:
    installed(host, GUIDES)
    host.migrate()
    before = state(host)
    hand = host.state / "active.hbbr"
    hand.write_text("active\n")
    assert host.run("--yes", start_fails="rdsrv").returncode == 1
    assert state(host) == before
    hand.write_text("active\n")
    host.migrate()
    assert host.active == {"rdsrv"}
    assert not list(host.target.glob("db_before_*"))
    assert host.run("--back", "--yes").returncode == 0
    assert host.active == host.enabled == {"hbbs", "hbbr"}


def test_rdsrv_goes_on_if_an_old_server_does_not_start(host: OldHost) -> None:
    installed(host, GUIDES)
    host.migrate()
    before = state(host)
    done = host.run("--back", "--yes", start_fails="hbbs")
    assert done.returncode == 1
    assert "hbbs.service did not start" in done.stderr
    assert "start hbbr" in host.log
    assert host.active == host.enabled == {"rdsrv"}
    assert state(host) == before


def test_says_so_if_the_old_servers_do_not_start_again_either(host: OldHost) -> None:
    installed(host, GUIDES)
    hook(host, "start", "rdsrv", "exit 1")
    done = host.run("--yes", start_fails="hbbs")
    assert "hbbs.service did not start" in done.stderr
    assert "hbbr" in host.active
    assert "from\t" in state(host)
