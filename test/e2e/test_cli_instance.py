"""Goal: every command acts on the one server that it is about, wherever it is typed, and says which that is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clihelp import (
    CLIENT_CONF,
    DATABASE,
    NOBODY,
    OTHER,
    PAIR,
    PUBLIC,
    SECRET,
    SYSTEM_NAMES,
    VECTORS,
    WAIT_S,
    Done,
    Role,
    System,
    assert_refused,
    complaint,
    copied,
    ctl,
    names_in,
    needs_system,
    new_dir,
    place_args,
    place_pair,
    rdsrv,
    run,
    start,
)
from conftest import Lab
from polling import wait_until

ROLES = ("id", "relay", "serve")
COMMANDS = {
    "keygen": ("rdsrv", "keygen"),
    "export-conf": ("rdsrv", "export-conf", "--id-server", "id.example"),
    "ctl": ("rdsrv", "ctl", "id", "status", "--json"),
    "hbbs -g": ("hbbs", "-g"),
}


def typed(command: str, *args: str | Path, cwd: Path, system: System | None = None, **options: Any) -> Done:
    """Types one of the commands that don't serve."""
    program, *words = COMMANDS[command]
    prefix = system.prefix if system else ()
    return rdsrv(*words, *args, cwd=cwd, program=program, prefix=prefix, **options)


def says_choice(done: Done, directory: Path | str) -> bool:
    """Does a line of stderr tell that this directory was chosen?"""
    return any("data directory" in line and str(directory) in line for line in done.stderr.splitlines())


def exported_key(done: Done) -> str:
    """The key in an exported server.conf."""
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)["key"]


def serves_in(server: Role, directory: Path | str) -> bool:
    """Does its log say that it works there?"""
    return any("data directory" in line and f'"{directory}"' in line for line in server.lines)


# --- each way -------------------------------------------------------------------------------------------------------


def test_flag_goes_first(tmp_path: Path) -> None:
    """--data-dir goes before RDSRV_DATA_DIR and the working directory."""
    named, elsewhere = new_dir(tmp_path, "named"), new_dir(tmp_path, "elsewhere")
    place_pair(named)
    place_pair(elsewhere, OTHER)
    done = typed("export-conf", "--data-dir", named, cwd=elsewhere, env={"RDSRV_DATA_DIR": str(elsewhere)})
    assert exported_key(done) == PAIR[PUBLIC] and says_choice(done, named)


@pytest.mark.parametrize("form", [("-d", "{}"), ("-d{}",), ("--data-dir={}",)], ids=" ".join)
def test_forms_of_the_flag(tmp_path: Path, form: tuple[str, ...]) -> None:
    """The flag's value may stand behind a space, an equals sign or the letter."""
    place_pair(tmp_path)
    done = typed("export-conf", *(part.format(tmp_path) for part in form), cwd=Path("/"))
    assert exported_key(done) == PAIR[PUBLIC]


def test_environment_goes_second(tmp_path: Path) -> None:
    """RDSRV_DATA_DIR goes before the working directory."""
    named, elsewhere = new_dir(tmp_path, "named"), new_dir(tmp_path, "elsewhere")
    place_pair(named)
    place_pair(elsewhere, OTHER)
    done = typed("export-conf", cwd=elsewhere, env={"RDSRV_DATA_DIR": str(named)})
    assert exported_key(done) == PAIR[PUBLIC] and says_choice(done, named)


@pytest.mark.parametrize("holds", [SECRET, DATABASE])
def test_working_directory_that_holds_a_server(tmp_path: Path, holds: str) -> None:
    """The working directory is chosen if it holds a key or a database."""
    (tmp_path / holds).write_bytes((VECTORS / DATABASE).read_bytes() if holds == DATABASE else PAIR[SECRET].encode())
    done = typed("keygen", cwd=tmp_path)
    assert says_choice(done, tmp_path)
    assert done.returncode == (0 if holds == DATABASE else 1)


@needs_system
@pytest.mark.parametrize("holds", [SECRET, DATABASE])
def test_working_directory_goes_before_the_system(tmp_path: Path, holds: str) -> None:
    """A server in the working directory is preferred to the system's."""
    system, here = System(tmp_path, "rdsrv"), new_dir(tmp_path, "here")
    (here / holds).touch()
    done = typed("keygen", cwd=here, system=system)
    assert says_choice(done, here) and not says_choice(done, "/var/lib")


@needs_system
@pytest.mark.parametrize("name", SYSTEM_NAMES)
@pytest.mark.parametrize("holds", [SECRET, DATABASE])
def test_only_system_directory(tmp_path: Path, name: str, holds: str) -> None:
    """Typed anywhere else, the only system directory that holds a server is chosen; empty ones don't count."""
    system, here = System(tmp_path), new_dir(tmp_path, "here")
    for other in set(SYSTEM_NAMES) - {name}:
        new_dir(system.var_lib, other)
    place = system.instance(name, holds)
    done = typed("keygen", cwd=here, system=system)
    assert says_choice(done, f"/var/lib/{name}")
    assert (place / SECRET).exists() and not names_in(here)


@needs_system
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_finds_the_system_directory(tmp_path: Path, command: str) -> None:
    """No command has a way of its own."""
    system, here = System(tmp_path, "rustdesk"), new_dir(tmp_path, "here")
    done = typed(command, cwd=here, system=system)
    assert says_choice(done, "/var/lib/rustdesk"), done.stderr
    assert not names_in(here)


@needs_system
@pytest.mark.parametrize("role", ROLES)
def test_every_role_finds_the_system_directory(lab: Lab, role: str) -> None:
    """Roles act on the system's server as commands do."""
    system, here = System(lab.tmp_path, "rustdesk-server"), lab.directory("here")
    server = start(lab, role, here, prefix=system.prefix)
    assert serves_in(server, "/var/lib/rustdesk-server") and not names_in(here)
    assert any(PAIR[PUBLIC] in line for line in server.lines)


@needs_system
def test_running_system_server_is_found_from_anywhere(lab: Lab) -> None:
    """ctl and export-conf, typed anywhere, speak with the server that runs."""
    system, here = System(lab.tmp_path), lab.directory("here")
    new_dir(system.var_lib, "rdsrv")
    args = ("--data-dir", "/var/lib/rdsrv", "--id-server", "me.example")
    server = start(lab, "serve", here, *args, prefix=system.prefix)
    done = typed("ctl", cwd=here, system=system)
    assert done.returncode == 0 and json.loads(done.stdout)["pid"] == server.pid
    exported = rdsrv("export-conf", cwd=here, prefix=system.prefix)
    assert f"id_server=me.example:{server.port}" in exported.stdout and not names_in(here)


@needs_system
@pytest.mark.parametrize("holds", [PUBLIC, CLIENT_CONF, "rdsrv-id.lock"])
def test_other_files_make_no_instance(tmp_path: Path, holds: str) -> None:
    """Only a key or a database makes the working directory an instance."""
    system, here = System(tmp_path), new_dir(tmp_path, "here")
    (here / holds).touch()
    assert_refused(typed("keygen", cwd=here, system=system), 1, "--data-dir")
    assert names_in(here) == {holds}


# --- several, none --------------------------------------------------------------------------------------------------


@needs_system
@pytest.mark.parametrize("names", [("rdsrv", "rustdesk"), ("rustdesk-server", "rustdesk"), SYSTEM_NAMES], ids="+".join)
def test_several_system_directories(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Several instances: exit 2, all of them named and none of the others."""
    system, here = System(tmp_path), new_dir(tmp_path, "here")
    for number, name in enumerate(names):
        system.instance(name, (SECRET, DATABASE)[number % 2])
    done = typed("keygen", cwd=here, system=system)
    assert_refused(done, 2, *(f"/var/lib/{name}" for name in names))
    named = complaint(done).replace(",", " ").replace(";", " ").split()
    assert {word for word in named if word.startswith("/var/lib/")} == {f"/var/lib/{name}" for name in names}
    assert not names_in(here)


@needs_system
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_to_choose(tmp_path: Path, command: str) -> None:
    """With several instances no command guesses."""
    system, here = System(tmp_path, "rdsrv", "rustdesk"), new_dir(tmp_path, "here")
    assert_refused(typed(command, cwd=here, system=system), 2, "/var/lib/rdsrv", "/var/lib/rustdesk", "--data-dir")


@needs_system
@pytest.mark.parametrize("role", ROLES)
def test_every_role_refuses_to_choose(tmp_path: Path, role: str) -> None:
    """With several instances no role starts."""
    system, here = System(tmp_path, "rdsrv", "rustdesk"), new_dir(tmp_path, "here")
    done = rdsrv(role, *place_args(), cwd=here, prefix=system.prefix)
    assert_refused(done, 2, "/var/lib/rdsrv", "/var/lib/rustdesk", "--data-dir")
    assert not names_in(here)


@needs_system
def test_one_of_several_can_be_named(tmp_path: Path) -> None:
    """Naming one of several instances ends the doubt."""
    system, here = System(tmp_path, "rdsrv", "rustdesk"), new_dir(tmp_path, "here")
    done = typed("export-conf", "--data-dir", "/var/lib/rustdesk", cwd=here, system=system)
    assert exported_key(done) == PAIR[PUBLIC] and says_choice(done, "/var/lib/rustdesk")


@needs_system
@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "hbbs -g"])
def test_no_instance_stops_a_command(tmp_path: Path, command: str) -> None:
    """No instance at all: exit 1, and the line says how to name one; nothing is made."""
    system, here = System(tmp_path), new_dir(tmp_path, "here")
    for name in SYSTEM_NAMES:
        new_dir(system.var_lib, name)
    assert_refused(typed(command, cwd=here, system=system), 1, "--data-dir", "RDSRV_DATA_DIR")
    assert not names_in(here) and not any(names_in(system.var_lib / name) for name in SYSTEM_NAMES)


@needs_system
@pytest.mark.parametrize("words", [words[1:] for words in COMMANDS.values() if words[0] == "rdsrv"], ids=lambda w: w[0])
@pytest.mark.parametrize("named", [(), ("--data-dir", "/var/lib/rdsrv")], ids=["found", "named"])
def test_who_forgot_sudo_is_told_so(tmp_path: Path, words: tuple[str, ...], named: tuple[str, ...]) -> None:
    """A service's directory is closed to other users: that isn't to say that no server is there."""
    system = System(tmp_path, "rdsrv")
    system.var_lib.chmod(0o755)
    (system.var_lib / "rdsrv").chmod(0o700)
    prefix = [*system.prefix, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = run([*prefix, str(copied()), *words, *named], Path("/"), {})
    assert_refused(done, 1, "/var/lib/rdsrv", "sudo")
    assert "no server" not in done.stderr


@needs_system
@pytest.mark.parametrize("role", ROLES)
def test_no_instance_and_a_role_takes_the_working_directory(lab: Lab, role: str) -> None:
    """No instance at all: id, relay and serve take the working directory."""
    system, here = System(lab.tmp_path), lab.directory("here")
    new_dir(system.var_lib, "rdsrv")
    server = start(lab, role, here, prefix=system.prefix)
    assert serves_in(server, here) and (here / SECRET).exists()
    assert not names_in(system.var_lib / "rdsrv")


# --- as hbbs and hbbr -----------------------------------------------------------------------------------------------


@needs_system
@pytest.mark.parametrize("program, role", [("hbbs", "id"), ("hbbr", "relay")])
@pytest.mark.parametrize("names", [("rdsrv",), ("rdsrv", "rustdesk")], ids="+".join)
def test_old_names_serve_the_working_directory(lab: Lab, program: str, role: str, names: tuple[str, ...]) -> None:
    """Called as hbbs or hbbr the working directory is served, whatever servers the system has."""
    system, here = System(lab.tmp_path, *names), lab.directory("here")
    server = start(lab, role, here, "-k", "_", program=program, prefix=system.prefix)
    assert serves_in(server, here) and (here / SECRET).exists()
    assert not any(PAIR[PUBLIC] in line for line in server.lines)


@pytest.mark.parametrize("program, role", [("hbbs", "id"), ("hbbr", "relay")])
def test_old_names_take_a_data_dir(lab: Lab, program: str, role: str) -> None:
    """A directory that is named goes before the working directory for hbbs and hbbr too."""
    here, named = lab.directory("here"), lab.directory("named")
    place_pair(named)
    server = start(lab, role, here, "--data-dir", named, program=program)
    assert serves_in(server, named) and not names_in(here)


@needs_system
def test_hbbs_g_renews_the_system_server(tmp_path: Path) -> None:
    """hbbs -g, typed anywhere, renews the pair of the only system server."""
    system, here = System(tmp_path, "rustdesk-server"), new_dir(tmp_path, "here")
    done = typed("hbbs -g", cwd=here, system=system)
    assert done.returncode == 0 and not names_in(here)
    assert (system.var_lib / "rustdesk-server" / PUBLIC).read_text() == done.stdout.strip() != PAIR[PUBLIC]


@needs_system
def test_hbbs_g_where_there_is_no_server(tmp_path: Path) -> None:
    """As hbbs itself would: the pair is made in the working directory."""
    system, here = System(tmp_path), new_dir(tmp_path, "here")
    done = typed("hbbs -g", cwd=here, system=system)
    assert done.returncode == 0 and (here / PUBLIC).read_text() == done.stdout.strip()


# --- the choice, and odd directories --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_say_what_was_chosen(tmp_path: Path, command: str) -> None:
    """Each command says on stderr which directory it acts on."""
    place_pair(tmp_path)
    assert says_choice(typed(command, cwd=tmp_path), tmp_path)


@pytest.mark.parametrize("role", ROLES)
def test_roles_say_what_was_chosen(lab: Lab, role: str) -> None:
    """Each role says on stderr which directory it acts on."""
    assert serves_in(start(lab, role, lab.directory(), "--data-dir", lab.directory()), lab.directory())


def test_two_instances_side_by_side(lab: Lab) -> None:
    """Two servers on one host have keys, locks and sockets of their own, and ctl asks the one that is meant."""
    servers = [lab.server("serve", directory=lab.directory(name)) for name in ("one", "other")]
    assert servers[0].key != servers[1].key
    for server in servers:
        assert {ctl(server.directory, role)["pid"] for role in ("id", "relay")} == {server.pid}
        assert ctl(server.directory, "id")["key"] == server.key


@pytest.mark.parametrize("command", COMMANDS)
def test_missing_directory_stops_a_command(tmp_path: Path, command: str) -> None:
    """A data directory that isn't there: exit 1, one line that names it, and it isn't made."""
    assert_refused(typed(command, "--data-dir", tmp_path / "missing", cwd=tmp_path), 1, "missing")
    assert not names_in(tmp_path)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("is_file", [False, True], ids=["missing", "file"])
def test_missing_directory_stops_a_role(tmp_path: Path, role: str, is_file: bool) -> None:
    """A data directory that is missing or a file: exit 1, one line that names it."""
    place = tmp_path / "place"
    if is_file:
        place.write_text("text")
    assert_refused(rdsrv(role, "--data-dir", place, *place_args(), cwd=tmp_path), 1, "place")
    assert names_in(tmp_path) == ({"place"} if is_file else set())


def test_missing_directory_in_the_environment(tmp_path: Path) -> None:
    """A wrong RDSRV_DATA_DIR isn't passed over for another server."""
    place_pair(tmp_path)
    assert_refused(typed("keygen", cwd=tmp_path, env={"RDSRV_DATA_DIR": str(tmp_path / "missing")}), 1, "missing")


@pytest.mark.parametrize("name", ["with space", "ümläut", "-dash", 'quote"s', "x" * 200])
def test_odd_directory_names(lab: Lab, name: str) -> None:
    """Any printable name of a directory works, for the role and for those who ask it."""
    server = start(lab, "serve", lab.tmp_path, "--data-dir", lab.directory(name))
    assert ctl(lab.directory(name), "relay")["pid"] == server.pid


def test_relative_and_linked_directories(lab: Lab) -> None:
    """A relative path and a symbolic link lead to the same server."""
    data = lab.directory()
    (lab.tmp_path / "link").symlink_to(data)
    server = start(lab, "id", lab.tmp_path, "--data-dir", "data")
    for path in ("link", "data/", "./link/../data"):
        done = rdsrv("ctl", "--json", "--data-dir", path, "id", "status", cwd=lab.tmp_path)
        assert done.returncode == 0 and json.loads(done.stdout)["pid"] == server.pid


def test_hbbs_directory_is_taken_over(lab: Lab) -> None:
    """A directory as hbbs left it is served as it stands."""
    here = lab.directory()
    place_pair(here)
    shutil.copy(VECTORS / DATABASE, here)
    server = start(lab, "id", here, "--data-dir", here, "--log-format", "json")
    wait_until(lambda: server.logged("peers on file"), WAIT_S)
    assert int(server.logged("peers on file")[0]["peers"]) == 3 and server.logged("server key", key=PAIR[PUBLIC])
