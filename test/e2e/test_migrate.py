"""migrate.sh: rdsrv takes over from hbbs's units, with their settings, and goes back."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

import database
from conftest import Lab
from oldhost import Kind, PACKAGES, GUIDES, SCRIPTS, COMPOSE, OldHost, picture, installed
from test_session import punched_by_tcp, relay_agreed


@pytest.fixture
def host(tmp_path: Path) -> OldHost:
    return OldHost(tmp_path / "host")


# --- units of each kind


@pytest.mark.parametrize("kind", [PACKAGES, GUIDES, SCRIPTS], ids=["packages", "guides", "scripts"])
def test_takes_over(host: OldHost, kind: Kind) -> None:
    old = installed(host, kind, "-r relay.example.com:21117 -k _", "-k _")
    (old / "blocklist.txt").write_text("203.0.113.7\n")
    before = picture(old)
    host.migrate()
    assert picture(old) == before
    assert host.settings == {"data-dir": "/var/lib/rdsrv", "relay-servers": "relay.example.com:21117"}
    assert host.active == host.enabled == {"rdsrv"}
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in host.target.iterdir()}
    modes = {"id_ed25519": 0o600, "id_ed25519.pub": 0o644, "blocklist.txt": 0o644, database.NAME: 0o600}
    assert files == modes
    assert stat.S_IMODE(host.target.stat().st_mode) == 0o700
    for name in set(modes) - {database.NAME}:
        assert (host.target / name).read_bytes() == (old / name).read_bytes()
    if os.getuid() == 0:
        assert {(p.stat().st_uid, p.stat().st_gid) for p in (host.target, *host.target.iterdir())} == {(64321, 64322)}


def test_old_ones_are_stopped_before_new_ones_start(host: OldHost) -> None:
    installed(host)
    host.migrate()
    assert host.log == [
        "disable rustdesk-hbbs",
        "disable rustdesk-hbbr",
        "stop rustdesk-hbbs",
        "stop rustdesk-hbbr",
        "enable rdsrv",
        "start rdsrv",
    ]


def test_peers_of_the_log_come_along(host: OldHost) -> None:
    old = installed(host)
    database.leave_log(old / database.NAME)
    before = picture(old)
    host.migrate()
    assert picture(old) == before
    assert set(database.rows(host.target)) == {"inlog", *database.rows(database.VECTOR.parent)}


def test_clients_with_the_old_key_go_on(host: OldHost, lab: Lab) -> None:
    old = installed(host)
    key = (old / "id_ed25519.pub").read_text().strip()
    host.migrate()
    host.own_target()
    server = lab.server("serve", "--config", str(host.conf), directory=host.target)
    assert server.key == key
    assert server.status_of("id")["peers"] == 3
    peer = lab.registered(server.target(key=key), "afterwards")
    target = server.target(key=key)
    punched_by_tcp(lab.controller(target), peer)
    uuid = relay_agreed(lab.controller(target), peer, target.relay_name)
    one, other = lab.relay_side(target), lab.relay_side(target)
    for side in (one, other):
        side.send("RequestRelay", uuid=uuid, licence_key=key)
    one.send_raw(b"hello")
    assert other.recv_exactly(5) == b"hello"
    lab.close_clients()
    server.stop()
    assert "afterwards" not in database.rows(old)


# --- settings


def test_every_flag_and_file(host: OldHost) -> None:
    old = host.data("/srv/rd")
    (old / ".env").write_text("ALWAYS_USE_RELAY=Y\nMASK=192.168.0.0/16\n# x\nSERIAL=3\nDB_URL=./peers.sqlite3\n")
    (old / "rd.ini").write_text("[x]\nsoftware_url = https://example.com/1.4.6\nserial = 4\n")
    shutil.move(old / database.NAME, old / "peers.sqlite3")
    environment = 'Environment=RELAY=r.example.com "LOCAL_IP=10.0.0.1" MASK=1.1.1.0/24\nEnvironmentFile=-/srv/env'
    (host.root / "srv" / "env").write_text("RUST_LOG=warn\nSINGLE_BANDWIDTH=9\n")
    command = "/usr/bin/hbbs -p 31116 --relay-servers=${RELAY},r2.example.com -M 65536 -c rd.ini \\\n  -s '5'"
    host.service("hbbs", command, "/srv/rd", environment)
    host.service("hbbr", "/usr/bin/hbbr -p 31117", "/srv/rd", "EnvironmentFile=/srv/env")
    host.migrate()
    assert host.settings == {
        "data-dir": "/var/lib/rdsrv",
        "port": "31116",
        "relay-servers": "r.example.com,r2.example.com",
        "rmem": "65536",
        "serial": "5",
        "software-url": "https://example.com/1.4.6",
        "always-use-relay": "Y",
        "mask": "192.168.0.0/16",
        "local-ip": "10.0.0.1",
        "log-level": "warn",
        "single-bandwidth": "9",
    }
    assert set(database.rows(host.target)) == set(database.rows(database.VECTOR.parent))


def test_drop_in_of_a_removed_package(host: OldHost) -> None:
    host.data("/var/lib/rustdesk-server")
    place = host.root / "etc" / "systemd" / "system" / "rustdesk-hbbs.service.d"
    place.mkdir(parents=True)
    (place / "override.conf").write_text("[Service]\nExecStart=\nExecStart=/usr/bin/hbbs -r a.example.com\n")
    host.migrate()
    assert host.settings["relay-servers"] == "a.example.com"
    assert host.active == {"rdsrv-id"}


def test_relay_alone(host: OldHost) -> None:
    host.data("/var/lib/rustdesk", peers=False)
    host.service("hbbr", "/usr/bin/hbbr -k _", "/var/lib/rustdesk")
    host.migrate()
    assert host.active == {"rdsrv-relay"}
    assert host.settings == {"data-dir": "/var/lib/rdsrv"}


def test_relay_with_a_key_of_elsewhere(host: OldHost) -> None:
    (host.root / "var/lib/rustdesk").mkdir(parents=True)
    key = "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk="
    host.service("hbbr", f"/usr/bin/hbbr -k {key}", "/var/lib/rustdesk")
    host.migrate()
    assert host.settings["key"] == key
    assert list(host.target.iterdir()) == []


@pytest.mark.parametrize(
    "flags, relay_flags, key",
    [("", "", None), ("-k ''", "-k ''", ""), ("-k text", "-k text", "text"), ("-k PUB", "-k _", None)],
)
def test_key_flags(host: OldHost, flags: str, relay_flags: str, key: str | None) -> None:
    old = host.data("/var/lib/rustdesk")
    flags = flags.replace("PUB", (old / "id_ed25519.pub").read_text().strip())
    host.service("hbbs", f"/usr/bin/hbbs {flags}", "/var/lib/rustdesk")
    host.service("hbbr", f"/usr/bin/hbbr {relay_flags}", "/var/lib/rustdesk")
    done = host.migrate()
    assert host.settings.get("key") == key
    assert ("hbbr asked for no key" in done.stdout) == (flags == relay_flags == "")


# --- again, and back


def test_second_run_changes_nothing(host: OldHost) -> None:
    installed(host, flags="-r a.example.com")
    host.migrate()
    before = picture(host.target), host.conf.read_text(), host.active, host.enabled
    done = host.migrate()
    assert "has taken over already" in done.stderr
    assert (picture(host.target), host.conf.read_text(), host.active, host.enabled) == before


def test_back(host: OldHost) -> None:
    old = installed(host)
    before = picture(old)
    host.migrate()
    mine = picture(host.target)
    done = host.run("--back", "--yes")
    assert done.returncode == 0, done.stderr
    assert host.active == host.enabled == {"rustdesk-hbbs", "rustdesk-hbbr"}
    assert (picture(old), picture(host.target)) == (before, mine)
    assert host.run("--back", "--yes").returncode == 1


def test_forth_after_back_takes_the_newer_peers_and_keeps_the_others(host: OldHost) -> None:
    old = installed(host)
    host.migrate()
    database.change(host.target, "update peer set id = 'mine' where id = (select min(id) from peer)")
    host.run("--back", "--yes")
    database.change(old, "update peer set id = 'theirs' where id = (select min(id) from peer)")
    host.migrate()
    assert "theirs" in database.rows(host.target)
    aside = next(host.target.glob("db_before_*.sqlite3"))
    shutil.move(aside, host.root / database.NAME)
    assert "mine" in database.rows(host.root)
    assert host.settings == {"data-dir": "/var/lib/rdsrv"}


def test_settings_that_are_there_stay(host: OldHost) -> None:
    installed(host, flags="-r a.example.com")
    host.conf.parent.mkdir()
    host.conf.write_text("# mine\nenrol = approve")
    host.migrate()
    assert host.conf.read_text().startswith("# mine\nenrol = approve\n# --- ")
    assert host.settings["relay-servers"] == "a.example.com"


# --- what rdsrv did before


@pytest.mark.parametrize("fails", ["", "rdsrv"])
def test_role_that_rdsrv_has_already_goes_on(host: OldHost, fails: str) -> None:
    host.data("/var/lib/rustdesk")
    host.service("hbbs", "/usr/bin/hbbs", "/var/lib/rustdesk")
    host.unit("rdsrv-relay", "", place="usr/lib", running=True)
    before = {"hbbs", "rdsrv-relay"}
    done = host.run("--yes", start_fails=fails)
    assert "rdsrv.service, also in the place of rdsrv-relay.service" in done.stdout
    assert host.active == host.enabled == (before if fails else {"rdsrv"})
    if not fails:
        assert host.run("--back", "--yes").returncode == 0
        assert host.active == host.enabled == before


def test_second_run_starts_what_the_first_has(host: OldHost) -> None:
    host.data("/var/lib/rustdesk")
    host.service("hbbs", "/usr/bin/hbbs", "/var/lib/rustdesk")
    host.migrate()
    (host.root / "etc/systemd/system/hbbs.service").unlink()
    host.migrate()
    assert host.active == host.enabled == {"rdsrv-id"}


def test_second_run_after_compose_in_another_directory(host: OldHost) -> None:
    old = host.data("/srv/rd/data")
    (old.parent / "compose.yaml").write_text(COMPOSE)
    host.migrate(str(old.parent))
    log = host.log
    assert "has taken over already" in host.migrate().stderr
    assert host.log == [*log, "enable rdsrv", "start rdsrv"]
