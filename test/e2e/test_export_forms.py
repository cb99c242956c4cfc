"""Goal: every form of a client's configuration is what clients take, and no value breaks out of it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Iterator

import pytest

from clientforms import FORMS, Conf, client_file, read_form, run_sh
from clihelp import NOBODY, PAIR, PUBLIC, VECTORS, assert_refused, called, new_dir, place_pair, rdsrv, start_as
from conftest import Lab
from rdserver import RUN_S, clean_env, sanitizer_reports

NAMED = ("--id-server", "id.example")
KEY = PAIR[PUBLIC]


def export_bytes(directory: Path, *args: str | Path, env: dict[str, str] = {}) -> subprocess.CompletedProcess[bytes]:
    """export-conf, whatever bytes it writes."""
    command = [str(called("rdsrv")), "export-conf", "--data-dir", str(directory), *map(str, args)]
    done = subprocess.run(command, cwd=directory, env=clean_env(env), capture_output=True, timeout=RUN_S)
    assert not sanitizer_reports(done.stderr.decode()), done.stderr
    return done


def exported(directory: Path, form: str, *args: str | Path, **options: Any) -> Conf:
    """What an independent reader finds in an export."""
    done = export_bytes(directory, "--format", form, *args, **options)
    assert done.returncode == 0, done.stderr
    scratch = directory / f"scratch-{form}"
    scratch.mkdir()
    return read_form(form, done.stdout, scratch)


def assert_holds(conf: Conf, host: str, relay: str, api: str, key: str = KEY) -> None:
    assert conf == Conf(host, relay, None if conf.api is None else api, key)


# --- each form by another reader --------------------------------------------------------------------------------------

VALUES = {
    "bare": ("id.example.com", "", ""),
    "all": ("id.example.com", "relay.example.com", "https://id.example.com"),
    "ports": ("id.example.com:30000", "relay.example.com:31117", "http://id.example.com:8080/x"),
    "ipv4": ("192.0.2.7", "192.0.2.8:31117", ""),
    "ipv6": ("[2001:db8::7]", "[2001:db8::8]:31117", "https://[2001:db8::7]"),
    "not ascii": ("bücher.example", "реле.example", ""),
    "quotes": ("id\u2019\u2018\u201a\u201b.example", "id\u201c\u201d\u201e.example", ""),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VALUES)
def test_round_trip(tmp_path: Path, form: str, name: str) -> None:
    """Host, relay, API server and key come out as they went in."""
    place_pair(tmp_path)
    host, relay, api = VALUES[name]
    args = ("--id-server", host, "--relay-server", relay, "--api-server", api)
    assert_holds(exported(tmp_path, form, *args), host, relay, api)


@pytest.mark.parametrize("form", ["string", "json", "link"])
@pytest.mark.parametrize("n", range(3))
def test_vectors(tmp_path: Path, form: str, n: int) -> None:
    """Byte for byte what clients are known to take."""
    place_pair(tmp_path)
    case = json.loads((VECTORS / "config_string.json").read_text())["cases"][n]
    want = {"string": case["config_string"], "json": case["json"], "link": "rustdesk://config/" + case["config_string"]}
    args = ("--id-server", case["host"], "-r", case["relay"], "--api-server", case["api"], "--format", form)
    assert export_bytes(tmp_path, *args).stdout.decode() == want[form] + "\n"


@pytest.mark.parametrize("form", FORMS)
def test_several_hosts(tmp_path: Path, form: str) -> None:
    """server.conf holds all ID servers and relays in order; the others the first, and a note says what to do."""
    place_pair(tmp_path)
    args = ("--id-server", "a.example, b.tailnet", "-r", "r.example,s.example")
    done = export_bytes(tmp_path, *args, "--format", form)
    notes = [line for line in done.stderr.decode().splitlines() if "note" in line]
    conf = read_form(form, done.stdout, tmp_path)
    if form == "server.conf":
        assert (conf.host, conf.relay) == ("a.example,b.tailnet", "r.example,s.example") and not notes
    else:
        assert (conf.host, conf.relay) == ("a.example", "r.example")
        assert any("ID server" in note and "--id-server" in note for note in notes)


def test_no_place_for_an_api_server(tmp_path: Path) -> None:
    """What server.conf can't hold is said."""
    place_pair(tmp_path)
    done = export_bytes(tmp_path, *NAMED, "--api-server", "https://id.example")
    assert done.returncode == 0 and b"API" in done.stderr and b"https" not in done.stdout


@pytest.mark.parametrize("form", [form for form in FORMS if form != "server.conf"])
def test_api_server_of_the_settings(lab: Lab, form: str) -> None:
    """api-server comes from the environment; the server that runs goes before it, the flag before both."""
    here = lab.directory()
    place_pair(here)
    assert exported(here, form, *NAMED, env={"RDSRV_API_SERVER": "https://env.example"}).api == "https://env.example"
    start_as(lab, "id", here, *NAMED, "--api-server", "https://run.example")
    (here / f"scratch-{form}").rename(here / "first")
    assert exported(here, form, env={"RDSRV_API_SERVER": "https://env.example"}).api == "https://run.example"
    (here / f"scratch-{form}").rename(here / "second")
    assert exported(here, form, "--api-server", "http://flag.example").api == "http://flag.example"


@pytest.mark.parametrize("port, relay", [("21117", ""), ("21118", "id.example:21118"), ("off", "")])
def test_relay_at_another_port(tmp_path: Path, port: str, relay: str) -> None:
    """Where clients that are told no relay would look in vain, they are told one."""
    place_pair(tmp_path)
    assert exported(tmp_path, "json", *NAMED, "--relay-port", port).relay == relay


def test_crlf(tmp_path: Path) -> None:
    """--crlf is for server.conf, and changes nothing but its line ends."""
    place_pair(tmp_path)
    plain, windows = (export_bytes(tmp_path, *NAMED, *args).stdout for args in ((), ("--crlf",)))
    assert windows.count(b"\r\n") == 4 and windows.replace(b"\r\n", b"\n") == plain
    done = rdsrv("export-conf", "-d", tmp_path, *NAMED, "--crlf", "--format", "json", cwd=tmp_path)
    assert_refused(done, 2, "--crlf")


# --- hostile values ---------------------------------------------------------------------------------------------------

HOSTS = ["a b", "a'b", 'a"b', "a;b", "a$(id)", "a`id`", "a\nb", "a\\b", "a&b", "a|b"]
HOSTS += ["-x", "::1", "[::1", "a:0", "http://a"]


@pytest.mark.parametrize("flag", ["--id-server", "--relay-server", "--api-server"])
@pytest.mark.parametrize("host", HOSTS)
def test_hosts_that_are_none(tmp_path: Path, flag: str, host: str) -> None:
    """What is no host doesn't reach any form: exit 2, nothing on stdout."""
    place_pair(tmp_path)
    value = f"https://{host}" if flag == "--api-server" else host
    named = () if flag == "--id-server" else NAMED
    for form in ("server.conf", "sh", "powershell"):
        done = rdsrv("export-conf", "-d", tmp_path, *named, flag, value, "--format", form, cwd=tmp_path)
        assert_refused(done, 2, flag)


KEYS = {
    "shell": "$(touch gone) `touch gone` ; touch gone & | > gone",
    "quotes": "it's \"quoted\" \\ '' \"\" \\' \\\"",
    "typographic quotes": "\u2018a\u2019 \u201ab\u201b \u201cc\u201d \u201ed",
    "end of a here-document": "END",
    "end of a here-string": "'@",
    "variables": "$HOME ${HOME} %PATH% $env:PATH $($x)",
    "comment": "a # b ; c //d <!-- e --> <# f #>",
    "markup": "</desc><script>&amp;",
    "toml": "''' \"\"\" ] } [options]",
    "ini": "[server] key=x ; y",
}


@pytest.mark.parametrize("name", KEYS)
def test_hostile_keys(lab: Lab, name: str) -> None:
    """A key can be any line of text: it comes out of every form as it is, and nothing else happens."""
    here, key = lab.directory(), KEYS[name]
    start_as(lab, "id", here, *NAMED, "-k", key)
    for form in FORMS:
        assert_holds(exported(here, form), f"id.example:{lab.servers[0].port}", "", "", key)
    assert not list(lab.tmp_path.rglob("gone"))


@pytest.mark.parametrize("shell", ["dash", "bash", "bash --posix"])
@pytest.mark.parametrize("name", KEYS)
def test_hostile_keys_in_each_shell(lab: Lab, name: str, shell: str) -> None:
    """No shell takes part of a key for a command."""
    here = lab.directory()
    start_as(lab, "id", here, *NAMED, "-k", KEYS[name])
    script = here / "install.sh"
    script.write_bytes(export_bytes(here, "--format", "sh").stdout)
    done = run_sh(script, here, shell=shell)
    assert done.returncode == 0, done.stderr
    assert tomllib.loads(client_file(here).read_text())["options"]["key"] == KEYS[name]
    assert not list(lab.tmp_path.rglob("gone"))


# --- installers' names ------------------------------------------------------------------------------------------------


FORBIDDEN = ["--id-server=id.example:1", "--id-server=[::1]", "--relay-server=r:1", "--api-server=http://a", ""]


@pytest.mark.parametrize("flag", FORBIDDEN)
def test_names_that_windows_forbids(tmp_path: Path, flag: str) -> None:
    """Any port, IPv6 address or URL, and the slash of the vectors' key: then the config string is in the name."""
    if flag:
        rdsrv("keygen", "-d", tmp_path, cwd=tmp_path)
    else:
        place_pair(tmp_path)
    done = export_bytes(tmp_path, *NAMED, *filter(None, [flag]), "--format", "exe-name")
    assert done.stdout.startswith(b"rustdesk-licensed-") and b"note" in done.stderr


def test_name_that_can_be_read(tmp_path: Path) -> None:
    """Keys that we make are fit for names: the values stand in it, with a comma to guard the last one."""
    key = rdsrv("keygen", "-d", tmp_path, cwd=tmp_path).stdout.strip()
    done = export_bytes(tmp_path, *NAMED, "--format", "exe-name", "-r", "relay.example")
    assert done.stdout.decode() == f"rustdesk-host=id.example,key={key},relay=relay.example,.exe\n"
    assert b"note" not in done.stderr


def test_name_that_is_too_long(tmp_path: Path) -> None:
    """Nothing is cut: exit 1, and another form is advised."""
    place_pair(tmp_path)
    host = ".".join(["a" * 60] * 4)
    done = rdsrv("export-conf", "-d", tmp_path, "--id-server", host, "--format", "exe-name", cwd=tmp_path)
    assert_refused(done, 1, "255")


# --- QR codes ---------------------------------------------------------------------------------------------------------


def test_png_to_a_terminal(tmp_path: Path) -> None:
    """A terminal gets no PNG but advice; a pipe gets it."""
    place_pair(tmp_path)
    ours, theirs = pty.openpty()
    command = [str(called("rdsrv")), "export-conf", "-d", str(tmp_path), *NAMED, "--format", "qr-png"]
    done = subprocess.run(command, env=clean_env(), stdout=theirs, stderr=subprocess.PIPE, timeout=RUN_S)
    os.close(theirs)
    os.set_blocking(ours, False)
    with pytest.raises(OSError):
        os.read(ours, 1)
    os.close(ours)
    assert done.returncode == 2 and b"-o" in done.stderr


# --- the script for Linux and macOS -----------------------------------------------------------------------------------

OLD = """# mine
rendezvous_server = 'old.example:21116'
nat_type = 1
serial = 3

[options]
av1-test = 'Y'
custom-rendezvous-server = 'old.example'
key = 'old'
local-ip-addr = '10.0.0.1'

[more]
key = 'stays'
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    place_pair(tmp_path)
    path = tmp_path / "install.sh"
    path.write_bytes(export_bytes(tmp_path, *NAMED, "-r", "relay.example", "--format", "sh").stdout)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    file = client_file(tmp_path / "home")
    file.parent.mkdir(parents=True)
    file.write_text(OLD)
    file.chmod(0o600)
    return tmp_path / "home"


def without_ours(text: str) -> dict[str, Any]:
    table = tomllib.loads(text)
    table.pop("rendezvous_server", None)
    for name in ("custom-rendezvous-server", "relay-server", "api-server", "key"):
        table["options"].pop(name, None)
    return table


def test_script_keeps_other_settings(script: Path, home: Path) -> None:
    """Ours take the place of theirs; other settings, comments and the file's mode stay."""
    done = run_sh(script, home)
    text = client_file(home).read_text()
    assert done.returncode == 0 and "changed" in done.stdout
    assert tomllib.loads(text)["options"]["key"] == KEY and without_ours(text) == without_ours(OLD)
    assert "# mine" in text and client_file(home).stat().st_mode & 0o777 == 0o600
    assert list(client_file(home).parent.iterdir()) == [client_file(home)]


def test_script_twice(script: Path, home: Path) -> None:
    """What is right already is left alone."""
    run_sh(script, home)
    before = client_file(home).stat()
    done = run_sh(script, home)
    after = client_file(home).stat()
    assert done.returncode == 0 and "right already" in done.stdout
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_script_only_looks(script: Path, home: Path, tmp_path: Path) -> None:
    """-n says what would be changed, and changes nothing."""
    done = run_sh(script, home, "-n")
    assert done.returncode == 0 and "would be changed" in done.stdout and client_file(home).read_text() == OLD
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "would be changed" in run_sh(script, empty, "-n").stdout and not list(empty.iterdir())


@pytest.mark.parametrize("text", ["a = '''\nkey = 1\n'''\n", 'a = """\n[options]\n"""\n'])
def test_script_leaves_alone_what_it_cannot_read(script: Path, home: Path, text: str) -> None:
    """Texts of several lines, which the client doesn't write, are no lines of ours."""
    client_file(home).write_text(text)
    done = run_sh(script, home)
    assert done.returncode == 1 and done.stderr and client_file(home).read_text() == text


def test_script_takes_no_other_options(script: Path, home: Path) -> None:
    assert run_sh(script, home, "-x").returncode == 2 and client_file(home).read_text() == OLD


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="rdsrv-homes-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_script_of_root(script: Path, open_place: Path) -> None:
    """Root writes each user's file as that user, whose links lead it nowhere that they couldn't go themselves."""
    roots, homes = new_dir(open_place, "roots"), {name: new_dir(open_place, name) for name in ("root", "good", "bad")}
    for name in ("good", "bad"):
        os.chown(homes[name], NOBODY, NOBODY)
    roots.chmod(0o700)
    (homes["bad"] / ".config").symlink_to(roots)
    people = [("root", 0, "root"), ("nobody", 2000, "good"), ("nobody", 2001, "bad"), ("daemon", 2, "none")]
    lines = "\n".join(f"{user}:x:{uid}:{uid}::{open_place / name}:/bin/sh" for user, uid, name in people)
    programs = new_dir(open_place, "programs")
    stub(programs / "getent", f"cat <<'END'\n{lines}\nEND")
    stub(programs / "systemctl", f'echo "$@" >>{open_place}/service')
    env = {"PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(script)], env=env, capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 1 and "would be" not in done.stdout, done.stderr
    assert not list(roots.iterdir())
    for name in ("root", "good"):
        assert tomllib.loads(client_file(homes[name]).read_text())["options"]["key"] == KEY
        assert client_file(homes[name]).stat().st_uid == homes[name].stat().st_uid
    calls = (open_place / "service").read_text().splitlines()
    assert calls == ["-q is-active rustdesk", "stop rustdesk", "start rustdesk"]


def stub(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_shellcheck(script: Path) -> None:
    """With values in it the script is as clean as without."""
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout

