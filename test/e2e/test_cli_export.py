"""Goal: what clients are to be configured with is handed out right, from the server that runs, or not at all."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from clihelp import (
    CLIENT_CONF,
    DATABASE,
    OTHER,
    PAIR,
    PUBLIC,
    SECRET,
    VECTORS,
    Done,
    Role,
    assert_refused,
    complaint,
    free_place,
    look,
    mode,
    names_in,
    place_pair,
    rdsrv,
    start_as,
    warned_of,
)
from conftest import Lab

FORMATS = ("server.conf", "string", "json")
IDS = ("id", "serve", "hbbs")
NAMED = ("--id-server", "id.example")


def export(directory: Path, *args: str | Path, **options: Any) -> Done:
    return rdsrv("export-conf", "--data-dir", directory, *args, cwd=directory, **options)


def read_server_conf(text: str) -> dict[str, str]:
    """The file as a program for INI files reads it."""
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes=("#", ";"), interpolation=None, strict=True)
    parser.read_string(text)
    assert parser.sections() == ["server"]
    return dict(parser["server"])


def decode_string(text: str) -> dict[str, str]:
    """The config string as `rustdesk --config` reads it: no padding, URL-safe alphabet, reversed."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    straight = text[::-1].replace("-", "+").replace("_", "/")
    return dict(json.loads(base64.b64decode(straight + "=" * (-len(straight) % 4), validate=True)))


def exported(done: Done, form: str) -> tuple[str, str, str]:
    """Host, relay and key of an export in this format, of which nothing else is on stdout."""
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n")
    if form == "server.conf":
        conf = read_server_conf(done.stdout)
        return conf["id_server"], conf["relay_server"], conf["key"]
    (line,) = done.stdout.splitlines()
    conf = decode_string(line) if form == "string" else json.loads(line)
    assert set(conf) == {"host", "relay", "api", "key"} and conf["api"] == ""
    return conf["host"], conf["relay"], conf["key"]


# --- export-conf without a server that runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_formats(tmp_path: Path, form: str) -> None:
    """Each format holds host, relay and the key of the files."""
    place_pair(tmp_path)
    done = export(tmp_path, *NAMED, "-r", "relay.example:31117", "--format", form)
    assert exported(done, form) == ("id.example", "relay.example:31117", PAIR[PUBLIC])
    assert names_in(tmp_path) == {SECRET, PUBLIC}


def test_default_format(tmp_path: Path) -> None:
    """server.conf is the default."""
    place_pair(tmp_path)
    assert export(tmp_path, *NAMED).stdout == export(tmp_path, *NAMED, "--format=server.conf").stdout


STRINGS = [case for case in json.loads((VECTORS / "config_string.json").read_text())["cases"] if not case["api"]]


@pytest.mark.parametrize("case", STRINGS, ids=lambda case: case["host"])
def test_strings_of_the_vectors(tmp_path: Path, case: dict[str, str]) -> None:
    """The config string and its JSON are, byte for byte, what clients are known to take."""
    place_pair(tmp_path)
    assert case["key"] == PAIR[PUBLIC]
    args = ("--id-server", case["host"], "-r", case["relay"], "--format")
    assert export(tmp_path, *args, "string").stdout == case["config_string"] + "\n"
    assert export(tmp_path, *args, "json").stdout == case["json"] + "\n"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "host, port, want",
    [
        ("id.example", "21116", "id.example"),
        ("id.example", "30000", "id.example:30000"),
        ("id.example:443", "30000", "id.example:443"),
        ("192.0.2.7", "30000", "192.0.2.7:30000"),
        ("[2001:db8::7]", "30000", "[2001:db8::7]:30000"),
        ("[2001:db8::7]:443", "30000", "[2001:db8::7]:443"),
    ],
)
def test_port_in_the_host(tmp_path: Path, form: str, host: str, port: str, want: str) -> None:
    """A port that clients wouldn't guess is part of the host; one that was named stays."""
    place_pair(tmp_path)
    done = export(tmp_path, "--id-server", host, "--port", port, "--format", form)
    assert exported(done, form)[0] == want


@pytest.mark.parametrize("form", FORMATS)
def test_several_relays(tmp_path: Path, form: str) -> None:
    """server.conf takes several relays; the others hold the first one, since clients take one."""
    place_pair(tmp_path)
    done = export(tmp_path, *NAMED, "-r", "r1.example, 0.0.0.0,r2.example:31117", "--format", form)
    relay = exported(done, form)[1]
    assert relay == ("r1.example,r2.example:31117" if form == "server.conf" else "r1.example")


@pytest.mark.parametrize("form", FORMATS)
def test_settings_of_files(tmp_path: Path, form: str) -> None:
    """Without a server that runs, settings come from files and environment, as its own would."""
    place_pair(tmp_path)
    (tmp_path / ".env").write_text("RELAY_SERVERS=relay.example\n")
    env = {"RDSRV_ID_SERVER": "id.example", "PORT": "30000"}
    done = export(tmp_path, "--format", form, env=env)
    assert exported(done, form) == ("id.example:30000", "relay.example", PAIR[PUBLIC])


@pytest.mark.parametrize("form", FORMATS)
def test_no_id_server_is_known(tmp_path: Path, form: str) -> None:
    """Without an ID server's name nothing is handed out: exit 2, and the line says how to name one."""
    place_pair(tmp_path)
    assert_refused(export(tmp_path, "--format", form), 2, "--id-server")


@pytest.mark.parametrize("form", FORMATS)
def test_no_key_is_there(tmp_path: Path, form: str) -> None:
    """Without a key nothing is handed out, and none is made."""
    (tmp_path / DATABASE).touch()
    assert_refused(export(tmp_path, *NAMED, "--format", form), 1, "key")
    assert names_in(tmp_path) == {DATABASE}


@pytest.mark.parametrize(
    "files", [{SECRET: "damaged"}, {**PAIR, PUBLIC: OTHER[PUBLIC]}], ids=["damaged", "of two pairs"]
)
def test_damaged_key(tmp_path: Path, files: dict[str, str]) -> None:
    """A key with which no server would start isn't handed out."""
    for name in {SECRET, PUBLIC} & files.keys():
        (tmp_path / name).write_text(files[name])
    assert_refused(export(tmp_path, *NAMED), 1, "id_ed25519")


@pytest.mark.parametrize("form", ["xml", " ", "JSON ", "qr-code"])
def test_unknown_format(tmp_path: Path, form: str) -> None:
    """Exit 2, and the formats that there are."""
    place_pair(tmp_path)
    assert_refused(export(tmp_path, *NAMED, "--format", form), 2, *FORMATS)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]"])
def test_id_server_that_nobody_reaches(tmp_path: Path, host: str) -> None:
    """A wildcard isn't what clients are to enter."""
    place_pair(tmp_path)
    done = export(tmp_path, "--id-server", host)
    assert (done.returncode, done.stdout) == (2, "") and complaint(done)


@pytest.mark.parametrize("command", [("export-conf", *NAMED), ("keygen",), ("serve", "--test-config")])
def test_output_that_is_lost(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Where stdout can't be written the exit status says so: a script mustn't take an empty file for good."""
    if command[0] == "export-conf":
        place_pair(tmp_path)
    to_full_disk = ("sh", "-c", 'exec "$0" "$@" >/dev/full')
    done = rdsrv(*command, "--data-dir", tmp_path, cwd=tmp_path, prefix=to_full_disk)
    assert done.returncode == 1 and "standard output" in done.stderr


# --- export-conf beside a server that runs ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", IDS)
def test_running_server_tells(lab: Lab, form: str, name: str) -> None:
    """Host, port, relay and key come from the server that runs, which alone knows the flags that it was given."""
    place_pair(lab.directory(), OTHER)
    server = start_as(lab, name, lab.directory(), *NAMED, "-r", "relay.example", "-k", PAIR[PUBLIC])
    got = exported(export(lab.directory(), "--format", form), form)
    assert got == (f"id.example:{server.port}", "relay.example", PAIR[PUBLIC])


def test_own_flags_go_first(lab: Lab) -> None:
    """What export-conf itself is told goes before what the server has."""
    start_as(lab, "serve", lab.directory(), *NAMED, "-r", "relay.example")
    done = export(lab.directory(), "--id-server", "other.example:30000", "-r", "r.example")
    assert exported(done, "server.conf")[:2] == ("other.example:30000", "r.example")


def test_running_server_goes_before_files(lab: Lab) -> None:
    """What the server has goes before what the environment and files of whoever asks would give."""
    server = start_as(lab, "serve", lab.directory(), *NAMED)
    env = {"PORT": "30000", "RDSRV_ID_SERVER": "wrong.example", "RELAY_SERVERS": "wrong.example"}
    assert exported(export(lab.directory(), env=env), "server.conf")[0] == f"id.example:{server.port}"


@pytest.mark.parametrize("key", [PAIR[SECRET], "just a text", ""], ids=["secret", "text", "empty"])
def test_live_key(lab: Lab, key: str) -> None:
    """Clients get the key that they must show and verify with, whatever the files hold by now; never the secret."""
    place_pair(lab.directory(), OTHER)
    start_as(lab, "id", lab.directory(), *NAMED, "-k", key)
    done = export(lab.directory())
    want = {PAIR[SECRET]: PAIR[PUBLIC], "": OTHER[PUBLIC]}.get(key, key)
    assert exported(done, "server.conf")[2] == want and PAIR[SECRET][:20] not in done.stdout + done.stderr


@pytest.mark.parametrize("form", FORMATS)
def test_guessed_name_is_not_handed_out(lab: Lab, form: str) -> None:
    """The host's own name in server.conf is a guess: export-conf doesn't hand it out as if it were known."""
    start_as(lab, "serve", lab.directory())
    assert_refused(export(lab.directory(), "--format", form), 2, "--id-server")


def test_relay_alone_has_the_key(lab: Lab) -> None:
    """Beside a relay that runs alone, the key is the one that it enforces."""
    start_as(lab, "relay", lab.directory(), "-k", PAIR[PUBLIC])
    assert exported(export(lab.directory(), *NAMED), "server.conf")[2] == PAIR[PUBLIC]


def test_after_a_power_cut(lab: Lab) -> None:
    """The socket that a killed server left behind doesn't hinder: then the files tell."""
    server = start_as(lab, "serve", lab.directory(), *NAMED)
    server.kill()
    assert exported(export(lab.directory(), *NAMED), "server.conf")[2] == server.key


@pytest.mark.parametrize("form", FORMATS)
def test_relay_port_that_does_not_follow(lab: Lab, form: str) -> None:
    """Clients look for an unnamed relay at port + 1: if it isn't there they are told where, or somebody is warned."""
    place = free_place()
    server = start_as(lab, "serve", lab.directory(), *NAMED, "--relay-port", str(place.port + 3), **place.for_role())
    relay = exported(export(lab.directory(), "--format", form), form)[1]
    assert relay == f"id.example:{place.port + 3}" or warned_of(server, "-r")


# --- server.conf ------------------------------------------------------------------------------------------------------


def first_conf(server: Role) -> dict[str, str]:
    return read_server_conf((server.directory / CLIENT_CONF).read_text())


@pytest.mark.parametrize("name", IDS)
def test_server_conf_from_flags(lab: Lab, name: str) -> None:
    """The first start writes server.conf from its flags, with a port that isn't the default in the host."""
    server = start_as(lab, name, lab.directory(), *NAMED, "-r", "r1.example,r2.example:31117")
    want = {"id_server": f"id.example:{server.port}", "relay_server": "r1.example,r2.example:31117", "key": server.key}
    assert first_conf(server) == want
    assert not (lab.directory() / CLIENT_CONF).read_text().startswith("#")
    assert (lab.directory() / CLIENT_CONF).read_text() == export(lab.directory()).stdout


@pytest.mark.parametrize("name", IDS)
def test_server_conf_without_a_name(lab: Lab, name: str) -> None:
    """Without a name it holds the host's, and a comment above that says what to change."""
    server = start_as(lab, name, lab.directory())
    conf = first_conf(server)
    assert conf == {"id_server": f"{socket.gethostname()}:{server.port}", "relay_server": "", "key": server.key}
    comment, _, rest = (lab.directory() / CLIENT_CONF).read_text().partition("[server]")
    assert all(line[0] in "#;" for line in comment.splitlines())
    assert "id_server" in comment and "--id-server" in comment and "#" not in rest
    assert any(CLIENT_CONF in line for line in server.lines)


def test_server_conf_at_the_default_port(lab: Lab) -> None:
    """The default port needs no naming."""
    host, _ = free_place()
    args = (*NAMED, "--bind", host)
    server = start_as(lab, "id", lab.directory(), *args, hosts=[host], port=21116, bare=True)
    assert first_conf(server)["id_server"] == "id.example"


@pytest.mark.parametrize("key", [PAIR[SECRET], PAIR[PUBLIC], ""], ids=["secret", "public", "empty"])
def test_key_in_server_conf(lab: Lab, key: str) -> None:
    """The key in it is what clients need, and never the secret."""
    server = start_as(lab, "serve", lab.directory(), *NAMED, "-k", key)
    assert first_conf(server)["key"] == (PAIR[PUBLIC] if key else server.key)


@pytest.mark.parametrize("name", ["relay", "hbbr"])
def test_relay_writes_none(lab: Lab, name: str) -> None:
    """A relay knows nothing that clients enter."""
    start_as(lab, name, lab.directory(), "-k", "_")
    assert CLIENT_CONF not in names_in(lab.directory())


@pytest.mark.parametrize("text", ["\n", "mine\n", "[server]\nid_server=mine.example\n"], ids=["line", "text", "own"])
def test_server_conf_is_not_overwritten(lab: Lab, text: str) -> None:
    """A file of that name with anything in it is the administrator's, whatever that is."""
    (lab.directory() / CLIENT_CONF).write_text(text)
    before = look(lab.directory(), CLIENT_CONF)
    start_as(lab, "serve", lab.directory(), *NAMED)
    assert look(lab.directory(), CLIENT_CONF) == before


def test_empty_server_conf_is_written(lab: Lab) -> None:
    """An empty one, as a failed `> server.conf` leaves it, is nobody's."""
    (lab.directory() / CLIENT_CONF).touch()
    server = start_as(lab, "serve", lab.directory(), *NAMED)
    assert first_conf(server)["key"] == server.key


def test_later_start_changes_nothing(lab: Lab) -> None:
    """Other flags at a later start don't change it."""
    start_as(lab, "serve", lab.directory()).stop()
    before = look(lab.directory(), CLIENT_CONF)
    start_as(lab, "serve", lab.directory(), *NAMED, "-r", "r.example").stop()
    assert look(lab.directory(), CLIENT_CONF) == before


@pytest.mark.parametrize("to", ["missing", "victim"])
def test_linked_server_conf(lab: Lab, to: str) -> None:
    """Nothing is written through a symbolic link of that name, and the server starts all the same."""
    (lab.tmp_path / "victim").write_text("mine")
    (lab.directory() / CLIENT_CONF).symlink_to(lab.tmp_path / to)
    start_as(lab, "id", lab.directory(), *NAMED)
    assert (lab.tmp_path / "victim").read_text() == "mine" and not (lab.tmp_path / "missing").exists()


@pytest.mark.parametrize("bits", [0o000, 0o022, 0o027, 0o077, 0o177], ids=oct)
def test_modes_of_server_conf(lab: Lab, bits: int) -> None:
    """Under every umask its owner can read and change it, and others can't change it."""
    here, before = lab.directory(), os.umask(bits)
    try:
        server = start_as(lab, "serve", here, *NAMED)
    finally:
        os.umask(before)
    got = mode(server.directory / CLIENT_CONF)
    assert got & 0o600 == 0o600 and not got & 0o133
    assert names_in(lab.directory()) == {
        SECRET,
        PUBLIC,
        DATABASE,
        f"{DATABASE}-wal",
        f"{DATABASE}-shm",
        CLIENT_CONF,
        "keyring.json",
        "rdsrv-id.lock",
        "rdsrv-relay.lock",
        "id.sock",
        "relay.sock",
    }


def test_test_config_writes_none(tmp_path: Path) -> None:
    """--test-config isn't a first start."""
    assert rdsrv("serve", "--data-dir", tmp_path, "--test-config", cwd=tmp_path).returncode == 0
    assert not names_in(tmp_path)
