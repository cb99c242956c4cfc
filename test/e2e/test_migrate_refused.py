"""migrate.sh: nothing is done where the wrong thing would be; nothing is overwritten, and no secret shown."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

import database
from oldhost import PACKAGES, GUIDES, COMPOSE, SUPERVISED, OldHost, picture, installed, untouched, compose_in


@pytest.fixture
def host(tmp_path: Path) -> OldHost:
    return OldHost(tmp_path / "host")


# --- what must not happen


def test_another_key_is_never_overwritten(host: OldHost) -> None:
    installed(host)
    mine = host.data("/var/lib/rdsrv", peers=False)
    before = picture(mine)
    assert "has another key" in untouched(host, "--yes")
    assert picture(mine) == before


def test_damaged_database(host: OldHost) -> None:
    old = installed(host)
    (old / database.NAME).write_bytes(b"x" * 9000)
    assert "can't read the database" in untouched(host, "--yes")


def test_damaged_key(host: OldHost) -> None:
    old = installed(host)
    (old / "id_ed25519").write_text("x")
    assert "id_ed25519" in untouched(host, "--yes")


@pytest.mark.parametrize(
    "flags, why",
    [
        ("-x", "there is no option -x"),
        ("-r $NOBODY", "$NOBODY is set nowhere"),
        ("-p 99999999", "port"),
        ("-k a", "different keys"),
        ("-r 'a", "a quote without end"),
        ("-p", "has no value"),
    ],
)
def test_flags_that_can_not_be_taken_over(host: OldHost, flags: str, why: str) -> None:
    installed(host, flags=flags, relay_flags="-k b" if flags == "-k a" else "")
    assert why in untouched(host, "--yes")


def test_setting_that_contradicts(host: OldHost) -> None:
    installed(host, flags="-r a.example.com")
    host.conf.parent.mkdir()
    host.conf.write_text("relay_servers = b.example.com\n")
    assert "hbbs something else" in untouched(host, "--yes")


def test_several_directories(host: OldHost) -> None:
    host.data("/var/lib/rustdesk")
    host.data("/opt/rustdesk-server/data")
    assert "name one of" in untouched(host, "--yes", code=2)


def test_nothing_there(host: OldHost) -> None:
    assert "name its directory" in untouched(host, "--yes")


def test_no_units_of_ours(host: OldHost) -> None:
    installed(host)
    (host.root / "usr/lib/systemd/system/rdsrv.service").unlink()
    assert "rdsrv.service is not there" in untouched(host, "--yes")


def test_asks_on_a_terminal_only(host: OldHost) -> None:
    installed(host)
    assert "say --yes" in untouched(host, code=2)


@pytest.mark.parametrize("answer, goes_on", [("y\n", True), ("\n", False), ("n\n", False)])
def test_asks(host: OldHost, answer: str, goes_on: bool) -> None:
    installed(host)
    assert host.answer(answer) == (0 if goes_on else 1)
    assert (host.active == {"rdsrv"}) == goes_on
    assert (host.log == []) != goes_on


def test_dry_run(host: OldHost) -> None:
    old = installed(host, flags="-r a.example.com")
    before = picture(old)
    shown = host.run("--dry-run")
    untouched(host, "--dry-run", code=0)
    assert "relay-servers = a.example.com" in shown.stdout
    assert (picture(old), host.conf.exists(), host.active) == (before, False, {"rustdesk-hbbs", "rustdesk-hbbr"})


def test_goes_back_if_rdsrv_does_not_start(host: OldHost) -> None:
    old = installed(host)
    before = picture(old)
    done = host.run("--yes", start_fails="rdsrv")
    assert done.returncode == 1
    assert "going back" in done.stderr
    assert host.active == host.enabled == {"rustdesk-hbbs", "rustdesk-hbbr"}
    assert picture(old) == before
    host.migrate()
    assert host.active == {"rdsrv"}


# --- where the data is


@pytest.mark.parametrize("mounts", [["./data:/data"], ["./data:/data", "./db:/data/db/"]])
def test_database_of_a_container_is_found_by_its_mounts(host: OldHost, mounts: list[str]) -> None:
    old = host.data("/srv/rd/data")
    inside = "/data/peers.sqlite3" if len(mounts) == 1 else "/data/db/peers.sqlite3"
    place = old if len(mounts) == 1 else old.parent / "db"
    place.mkdir(exist_ok=True)
    shutil.move(old / database.NAME, place / "peers.sqlite3")
    text = SUPERVISED.replace("ENCRYPTED_ONLY: 1", f"DB_URL: sqlite://{inside}").split("    volumes:")[0]
    compose_in(host, "/srv/rd", text + "    volumes:\n" + "".join(f"      - {mount}\n" for mount in mounts))
    host.migrate(str(old.parent))
    assert set(database.rows(host.target)) == set(database.rows(database.VECTOR.parent))


def test_database_that_is_not_there(host: OldHost) -> None:
    host.data("/var/lib/rustdesk", peers=False)
    host.service("hbbs", "/usr/bin/hbbs", "/var/lib/rustdesk", "Environment=DB_URL=sqlite:///mnt/peers.sqlite3")
    assert "/mnt/peers.sqlite3, which the DB_URL of hbbs names, is not there" in untouched(host, "--yes")


def test_units_of_another_directory_than_the_named_one(host: OldHost) -> None:
    installed(host, GUIDES, "-r production.example.com")
    other = host.data("/srv/rd/data")
    compose_in(host, "/srv/rd", COMPOSE)
    assert f"hbbs.service runs in {host.root}/var/lib/rustdesk" in untouched(host, "--yes", str(other))
    for name in ("hbbs", "hbbr"):
        (host.state / f"active.{name}").unlink()
        (host.state / f"enabled.{name}").unlink()
    host.migrate(str(other))
    assert host.settings["relay-servers"] == "relay.example.com"
    assert host.log[0] == "compose down"


@pytest.mark.parametrize("directory", ["", "WorkingDirectory=/srv/%p", "WorkingDirectory=/srv/empty"])
def test_stale_directory_of_the_usual_places(host: OldHost, directory: str) -> None:
    host.data("/var/lib/rustdesk")
    (host.root / "srv" / "empty").mkdir(parents=True)
    host.unit("hbbs", f"[Service]\nExecStart=/usr/bin/hbbs\n{directory}\n", running=True)
    assert "name its directory" in untouched(host, "--yes")
    host.migrate(str(host.root / "var" / "lib" / "rustdesk"))


def test_compose_file_that_mounts_another_directory_than_the_named_one(host: OldHost) -> None:
    named = host.data("/srv/rd/data")
    host.data("/srv/rd/data-2")
    compose_in(host, "/srv/rd", COMPOSE.replace("./data", "./data-2"))
    said = untouched(host, "--yes", str(named))
    assert f"mounts {named}-2, not {named}" in said.replace("/./", "/")


def test_units_of_two_kinds(host: OldHost) -> None:
    installed(host, GUIDES)
    old = installed(host, PACKAGES)
    assert "run at the same time: hbbs rustdesk-hbbs" in untouched(host, "--yes")
    for name in ("hbbs", "hbbr"):
        (host.state / f"active.{name}").unlink()
    host.migrate()
    assert host.enabled == {"rdsrv"}
    assert (host.target / "id_ed25519").read_bytes() == (old / "id_ed25519").read_bytes()
    host.run("--back", "--yes")
    assert host.enabled == {"hbbs", "hbbr", "rustdesk-hbbs", "rustdesk-hbbr"}
    assert host.active == {"rustdesk-hbbs", "rustdesk-hbbr"}


def test_unit_that_can_not_be_enabled_is_not_in_use(host: OldHost) -> None:
    installed(host, GUIDES)
    for name in ("hbbs", "hbbr"):
        (host.state / f"active.{name}").unlink()
        (host.state / f"static.{name}").touch()
    other = host.data("/srv/rd/data")
    host.migrate(str(other))
    assert (host.target / "id_ed25519").read_bytes() == (other / "id_ed25519").read_bytes()
    assert host.log == ["enable rdsrv", "start rdsrv"]


def test_unit_with_two_names_is_one(host: OldHost) -> None:
    installed(host, PACKAGES)
    (host.root / "etc/systemd/system/hbbs.service").symlink_to("rustdesk-hbbs.service")
    (host.state / "active.hbbs").write_text("active\n")
    host.migrate()
    assert host.log[:4] == [f"{verb} rustdesk-{name}" for verb in ("disable", "stop") for name in ("hbbs", "hbbr")]


# --- secrets and files


def test_secret_of_a_command_line_is_not_shown(host: OldHost) -> None:
    host.data("/var/lib/rustdesk")
    host.service("hbbs", "/opt/rustdesk/hbbs-1.1.14 -k SECRET", "/var/lib/rustdesk")
    said = untouched(host, "--yes")
    assert "doesn't name hbbs, but /opt/rustdesk/hbbs-1.1.14" in said
    assert "SECRET" not in said


def test_target_that_is_a_link_to_the_old_directory(host: OldHost) -> None:
    old = installed(host, GUIDES)
    host.target.symlink_to(old)
    before = picture(old)
    assert host.run("--yes").returncode == 1
    assert host.log == []
    assert picture(old) == before


def test_settings_keep_their_mode_and_their_link(host: OldHost) -> None:
    installed(host)
    file = host.root / "srv" / "rdsrv.conf"
    file.parent.mkdir()
    file.write_text("enrol = approve\n")
    file.chmod(0o640)
    host.conf.parent.mkdir()
    host.conf.symlink_to("../../srv/rdsrv.conf")
    host.migrate()
    assert host.conf.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert host.settings == {"enrol": "approve", "data-dir": "/var/lib/rdsrv"}


def test_settings_behind_a_lost_mark_are_not_lost(host: OldHost) -> None:
    installed(host)
    host.migrate()
    host.run("--back", "--yes")
    text = host.conf.read_text().replace("# --- end of what was taken over\n", "") + "enrol = approve\n"
    host.conf.write_text(text)
    done = host.run("--yes")
    assert done.returncode == 1
    assert "put that line back" in done.stderr
    assert host.conf.read_text() == text


def test_lists_are_the_relay_s_and_the_key_pair_is_of_one_directory(host: OldHost) -> None:
    old = host.data("/srv/id")
    relay = host.data("/srv/relay", peers=False)
    host.service("hbbs", "/usr/bin/hbbs", "/srv/id")
    host.service("hbbr", "/usr/bin/hbbr", "/srv/relay")
    (old / "id_ed25519.pub").unlink()
    (old / "blocklist.txt").write_text("")
    (relay / "blocklist.txt").write_text("203.0.113.7\n")
    host.migrate()
    assert not (host.target / "id_ed25519.pub").exists()
    assert (host.target / "blocklist.txt").read_text() == "203.0.113.7\n"
