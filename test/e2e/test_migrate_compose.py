"""migrate.sh: what Compose files say is taken over as Compose reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

import database
from oldhost import COMPOSE, SUPERVISED, OldHost, picture, untouched, compose_in


@pytest.fixture
def host(tmp_path: Path) -> OldHost:
    return OldHost(tmp_path / "host")


# --- Compose files


@pytest.mark.parametrize("named", ["file", "directory", "data", "here"])
def test_compose(host: OldHost, named: str) -> None:
    old = host.data("/srv/rd/data")
    file = old.parent / "docker-compose.yml"
    file.write_text(COMPOSE)
    args = {"file": [str(file)], "directory": [str(file.parent)], "data": [str(old)], "here": []}[named]
    before = picture(old)
    host.migrate(*args, cwd=file.parent)
    assert picture(old) == before
    assert host.log == ["compose down", "enable rdsrv", "start rdsrv"]
    expected = {"data-dir": "/var/lib/rdsrv", "relay-servers": "relay.example.com", "always-use-relay": "Y"}
    assert host.settings == expected
    assert set(database.rows(host.target)) == set(database.rows(database.VECTOR.parent))
    assert host.run("--back", "--yes").returncode == 0
    assert host.log[3:] == ["disable rdsrv", "stop rdsrv", "compose up -d"]


def test_compose_of_the_supervised_image(host: OldHost) -> None:
    old = host.data("/srv/rd/data")
    (old.parent / "compose.yaml").write_text(SUPERVISED)
    host.migrate(str(old.parent))
    assert host.settings == {"data-dir": "/var/lib/rdsrv", "relay-servers": "relay.example.com:21117"}


# --- how Compose reads its files


def test_compose_override(host: OldHost) -> None:
    path = host.data("/srv/rd/data").parent
    compose_in(host, "/srv/rd", COMPOSE, "docker-compose.yml")
    override = "services:\n  hbbs:\n    environment:\n      - MASK=192.168.0.0/16\n"
    compose_in(host, "/srv/rd", override, "docker-compose.override.yml")
    host.migrate(str(path))
    assert host.settings["mask"] == "192.168.0.0/16"
    assert host.log[0] == "compose down"


def test_compose_file_of_another_name(host: OldHost) -> None:
    path = host.data("/srv/rd/data").parent / "rustdesk.yml"
    compose_in(host, "/srv/rd", COMPOSE, path.name)
    host.migrate(str(path))
    assert host.log[0] == f"compose -f {path} down"


def test_compose_with_a_directory_for_each(host: OldHost) -> None:
    old = host.data("/srv/rd/hbbs")
    relay = host.data("/srv/rd/hbbr", peers=False)
    (relay / "blocklist.txt").write_text("203.0.113.7\n")
    one, other = COMPOSE.split("  hbbr:")
    compose_in(host, "/srv/rd", f"{one}  hbbr:{other}".replace("./data", "./hbbr").replace("./hbbr", "./hbbs", 1))
    host.migrate(str(old.parent))
    for path in (old / "id_ed25519", relay / "blocklist.txt"):
        assert (host.target / path.name).read_bytes() == path.read_bytes()


def test_compose_file_that_is_refused(host: OldHost) -> None:
    path = host.data("/srv/rd/data").parent
    compose_in(host, "/srv/rd", f"{COMPOSE}# BROKEN\n")
    said = untouched(host, "--yes", str(path))
    assert "docker compose config" in said
    assert "# BROKEN" in said


def test_compose_file_without_compose(host: OldHost) -> None:
    (host.state / "no-compose").touch()
    path = host.data("/srv/rd/data").parent
    compose_in(host, "/srv/rd", COMPOSE)
    done = host.run("--dry-run", str(path))
    assert "relay-servers = relay.example.com" in done.stdout


def test_compose_volume_with_a_name(host: OldHost) -> None:
    path = compose_in(host, "/srv/rd", COMPOSE.replace("./data", "data"))
    said = untouched(host, "--yes", str(path))
    assert "is in the volume data" in said
    assert "docker volume inspect" in said
