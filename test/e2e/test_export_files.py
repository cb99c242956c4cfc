"""Goal: export-conf writes files whole or not at all, loses nothing of anybody's, and tells of each form that it reads
whether it still fits the server."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clientforms import FILES, FORMS, read_form
from clihelp import (
    NOBODY,
    OTHER,
    PAIR,
    PUBLIC,
    Done,
    as_nobody,
    assert_refused,
    called,
    complaint,
    look,
    mode,
    names_in,
    new_dir,
    place_pair,
    rdsrv,
    start_as,
)
from conftest import Lab
from rdserver import RUN_S, clean_env

NAMED = ("--id-server", "id.example")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place_pair(new_dir(tmp_path, "data"))
    return tmp_path / "data"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where files are written."""
    return new_dir(tmp_path, "place")


def export(data: Path, *args: str | Path, named: tuple[str, ...] = NAMED, **options: Any) -> Done:
    return rdsrv("export-conf", "--data-dir", data, *named, *args, cwd=data, **options)


def assert_wrote(done: Done) -> None:
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


# --- one file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_file(data: Path, place: Path, form: str) -> None:
    """-o writes what would go to stdout, with mode 0644, again and again, and leaves nothing beside it."""
    for _ in range(2):
        done = export(data, "--format", form, "-o", place / "x")
        assert_wrote(done)
        assert str(place / "x") in done.stderr and names_in(place) == {"x"} and mode(place / "x") == 0o644
    assert read_form(form, (place / "x").read_bytes(), place).key == PAIR[PUBLIC]


def test_relative_name(data: Path) -> None:
    """A name without a directory is in the working directory."""
    assert_wrote(export(data, "-o", "x.conf"))
    assert (data / "x.conf").read_text().startswith("[server]")


@pytest.mark.parametrize("bits", [0o000, 0o077, 0o022], ids=oct)
def test_mode_whatever_the_umask(data: Path, place: Path, bits: int) -> None:
    before = os.umask(bits)
    try:
        assert_wrote(export(data, "-o", place / "x"))
        assert_wrote(export(data, "-o", place / "y", "--mode", "600"))
    finally:
        os.umask(before)
    assert (mode(place / "x"), mode(place / "y")) == (0o644, 0o600)


def test_mode_of_the_old_file(data: Path, place: Path) -> None:
    """A file that others can't read stays so, unless --mode says otherwise."""
    assert_wrote(export(data, "-o", place / "x", "--mode", "0640"))
    assert_wrote(export(data, "-o", place / "x", "--id-server", "new.example"))
    assert mode(place / "x") == 0o640 and "new.example" in (place / "x").read_text()
    assert_wrote(export(data, "-o", place / "x", "--mode", "644"))
    assert mode(place / "x") == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_owner_of_the_old_file(data: Path, place: Path) -> None:
    assert_wrote(export(data, "-o", place / "x"))
    os.chown(place / "x", NOBODY, NOBODY)
    assert_wrote(export(data, "-o", place / "x"))
    assert (place / "x").stat().st_uid == NOBODY


@pytest.mark.parametrize("text", ["", "0", "8", "999", "1777", "-644", "rw", "044", "644x"])
def test_bad_mode(data: Path, place: Path, text: str) -> None:
    assert_refused(export(data, "-o", place / "x", "--mode", text), 2, "--mode")
    assert not names_in(place)


# --- what is there already --------------------------------------------------------------------------------------------

FOREIGN = {
    "text": "mine\n",
    "more than ours": "[server]\nid_server=id.example\nrelay_server=\nkey=k\n# mine\n",
    "other options": "rendezvous_server = 'x:21116'\n\n[options]\ncustom-rendezvous-server = 'x'\nother = 'y'\n",
    "secret": PAIR["id_ed25519"],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_files_stay(data: Path, place: Path, name: str) -> None:
    """Whatever isn't ours alone is not overwritten, unless it is said to be."""
    (place / "x").write_text(FOREIGN[name])
    before = look(place)
    assert_refused(export(data, "-o", place / "x"), 1, str(place / "x"), "--force")
    assert look(place) == before and names_in(place) == {"x"}
    assert_wrote(export(data, "-o", place / "x", "--force"))
    assert (place / "x").read_text().startswith("[server]")


@pytest.mark.parametrize("old, form", [*zip(FORMS, FORMS), *zip(FORMS, FORMS[1:])])
def test_ours_are_replaced(data: Path, place: Path, old: str, form: str) -> None:
    """A form of ours gives way to the same with other values, and to another."""
    assert_wrote(export(data, "-o", place / "x", "--format", old, "--id-server", "a.example:1", "-r", "r.example"))
    assert_wrote(export(data, "-o", place / "x", "--format", form))
    assert read_form(form, (place / "x").read_bytes(), place).host == "id.example"


def test_empty_file_is_ours(data: Path, place: Path) -> None:
    """A failed `export-conf > server.conf` leaves an empty file."""
    (place / "x").touch()
    assert_wrote(export(data, "-o", place / "x"))


def test_server_conf_of_the_first_start(lab: Lab) -> None:
    """What the first start wrote, with its guess at a name, is ours."""
    start_as(lab, "id", lab.directory()).stop()
    assert_wrote(export(lab.directory(), "-o", lab.directory() / "server.conf"))


@pytest.mark.parametrize("kind", ["directory", "link", "dangling link", "fifo"])
@pytest.mark.parametrize("args", [(), ("--force",)], ids=["plain", "forced"])
def test_what_is_no_file(data: Path, place: Path, kind: str, args: tuple[str, ...]) -> None:
    """Nothing but regular files is replaced, and no link is followed."""
    (place / "victim").write_text("mine")
    match kind:
        case "directory":
            (place / "x").mkdir()
        case "fifo":
            os.mkfifo(place / "x")
        case _:
            (place / "x").symlink_to(place / ("victim" if kind == "link" else "missing"))
    assert_refused(export(data, "-o", place / "x", *args), 1, str(place / "x"))
    assert names_in(place) == {"victim", "x"} and (place / "victim").read_text() == "mine"


def test_no_such_directory(data: Path, place: Path) -> None:
    assert_refused(export(data, "-o", place / "no" / "x"), 1, str(place / "no" / "x"))


@pytest.mark.parametrize("old", [None, "[server]\nid_server=a\nrelay_server=\nkey=k\n"], ids=["new", "old"])
def test_full_disk(data: Path, place: Path, old: str | None) -> None:
    """Where not all of it can be written, what was there stays, and nothing else."""
    if old:
        (place / "x").write_text(old)
    before = look(place)
    full = ("sh", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$0" "$@"')
    assert_refused(export(data, "-o", place / "x", prefix=full), 1, str(place / "x"))
    assert look(place) == before


# --- file systems without modes ---------------------------------------------------------------------------------------

FCHMOD = {"x86_64": 91, "aarch64": 52}.get(platform.machine())


def refuse_fchmod() -> None:
    """From now on this process's fchmod(2) fails as on a FAT stick: a seccomp filter of four instructions."""
    assert FCHMOD is not None
    load, equal, answer = 0x20, 0x15, 0x06
    allow, not_permitted = 0x7FFF0000, 0x00050001
    code = [(load, 0, 0, 0), (equal, 0, 1, FCHMOD), (answer, 0, 0, not_permitted), (answer, 0, 0, allow)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0


@pytest.mark.skipif(FCHMOD is None, reason="the number of fchmod is not known here")
@pytest.mark.parametrize("what", ["-o", "--bundle"])
def test_fat_stick(data: Path, place: Path, what: str) -> None:
    """A mode that is refused is a note; the files are there."""
    command = [str(called("rdsrv")), "export-conf", "-d", str(data), *NAMED, what, str(place / "x")]
    done = subprocess.run(
        command, env=clean_env(), capture_output=True, text=True, timeout=RUN_S, preexec_fn=refuse_fchmod
    )
    assert (done.returncode, done.stdout) == (0, "") and "note" in done.stderr and "mode" in done.stderr
    assert (place / "x").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_directory_that_cannot_be_synced(lab: Lab) -> None:
    """A directory that can be written but not opened can't be synced: a note."""
    with tempfile.TemporaryDirectory(prefix="rdsrv-place-") as name:
        place = Path(name)
        place.chmod(0o755)
        data, stick = new_dir(place, "data"), new_dir(place, "stick")
        place_pair(data)
        for path in (data, stick, *data.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        stick.chmod(0o300)
        done = as_nobody("export-conf", "-d", data, *NAMED, "-o", stick / "x", cwd=place)
        assert_wrote(done)
        assert "note" in done.stderr and "sync" in done.stderr and (stick / "x").exists()


# --- merging ----------------------------------------------------------------------------------------------------------

CLIENTS = {
    "empty": "",
    "usual": "rendezvous_server = 'old:21116'\nnat_type = 1\nserial = 0\n\n[options]\nkey = 'old'\n"
    "custom-rendezvous-server = 'old'\nrelay-server = 'old'\nlocal-ip-addr = '10.0.0.1'\n",
    "no options": "nat_type = 1\nunlock_pin = ''",
    "no end": "nat_type = 1\n[options]\nkey = 'x' # mine",
    "several lines": "a = '''\n[options]\nkey = 1\n'''\nb = [\n  \"]\", # ]\n  { c = 1 },\n]\n"
    "[options]\nd = \"\"\"\nkey = 'x'\n\"\"\"\n",
    "others' tables": "[other]\nkey = 'stays'\n[options]\n\"key\" = \"\"\"\nold\"\"\"\n[options.more]\nx = 1\n"
    "[[list]]\nkey = 2\n",
    "windows": "nat_type = 1\r\n\r\n[options]\r\nkey = 'old' # mine\r\nx = 1979-05-27 07:32:00Z\r\n",
    "mark": "\ufeffnat_type = 1\n[options]\n",
}
OURS = ("custom-rendezvous-server", "relay-server", "api-server", "key")


def load(text: str) -> dict[str, Any]:
    return tomllib.loads(text.removeprefix("\ufeff"))


def others_of(table: dict[str, Any]) -> dict[str, Any]:
    """The table without what is ours."""
    options = {name: value for name, value in table.get("options", {}).items() if name not in OURS}
    rest = {name: value for name, value in table.items() if name not in ("options", "rendezvous_server")}
    return {**rest, "options": options}


@pytest.mark.parametrize("name", CLIENTS)
def test_merge(data: Path, place: Path, name: str) -> None:
    """Ours are in it, and everything else is as it was, comments and line ends included."""
    old = CLIENTS[name]
    (place / "old").write_bytes(old.encode())
    assert_wrote(export(data, "--format", "toml", "--merge", place / "old", "-o", place / "new"))
    assert (place / "old").read_bytes() == old.encode()
    new = (place / "new").read_bytes().decode()
    table = load(new)
    assert [table["options"][ours] for ours in OURS] == ["id.example", "", "", PAIR[PUBLIC]]
    assert table["rendezvous_server"] == "id.example:21116"
    assert others_of(table) == others_of(load(old))
    assert ("# mine" in new) == ("# mine" in old)
    if "\r\n" in old:
        assert "\n" not in new.replace("\r\n", "")


def test_merge_to_stdout(data: Path, place: Path) -> None:
    (place / "old").write_text(CLIENTS["usual"])
    assert_wrote(export(data, "--merge", place / "old", "-o", place / "new"))
    assert export(data, "--merge", place / "old").stdout == (place / "new").read_text()


def test_merge_in_place(data: Path, place: Path) -> None:
    """The file that is merged into may be written to, keeps its mode, and merging again changes nothing."""
    file = place / "RustDesk2.toml"
    file.write_text(CLIENTS["usual"])
    file.chmod(0o600)
    for args in ((), ("--format", "toml")):
        assert_wrote(export(data, "--merge", file, "-o", file, *args))
        assert mode(file) == 0o600 and load(file.read_text())["options"]["local-ip-addr"] == "10.0.0.1"
    before = file.read_bytes()
    assert_wrote(export(data, "--merge", file, "-o", file))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "text, line",
    [
        ("options = { key = 'x' }\n", 1),
        ("a = 1\noptions.key = 'x'\n", 2),
        ("[options]\nkey = 'x'\nkey = 'y'\n", 3),
        ("[options]\n\n[options]\n", 3),
        ("not toml\n", 1),
        ("a = 'x\n", 1),
    ],
)
def test_merge_that_is_refused(data: Path, place: Path, text: str, line: int) -> None:
    """What can't be done safely is refused, with the line."""
    (place / "old").write_text(text)
    assert_refused(export(data, "--merge", place / "old", "-o", place / "old"), 1, str(place / "old"), f"line {line}")
    assert (place / "old").read_text() == text


def test_merge_into_nothing(data: Path, place: Path) -> None:
    assert_refused(export(data, "--merge", place / "missing"), 1, str(place / "missing"))


# --- a bundle ---------------------------------------------------------------------------------------------------------


def test_bundle(data: Path, place: Path) -> None:
    """All forms are there, hold the same, and a README names each file."""
    stick = place / "stick"
    for host in ("id.example", "new.example"):
        assert_wrote(export(data, "--bundle", stick, "-r", "relay.example", "--id-server", host))
        assert names_in(stick) == set(FILES.values())
        for form, name in FILES.items():
            conf = read_form(form, (stick / name).read_bytes(), new_dir(place, f"{host}/{form}"))
            assert (conf.host, conf.relay, conf.key) == (host, "relay.example", PAIR[PUBLIC])
    told = (stick / "README.txt").read_text()
    assert all(name in told for name in FILES.values() if name != "README.txt")


def test_bundle_for_windows(data: Path, place: Path) -> None:
    assert_wrote(export(data, "--bundle", place, "--crlf", "--mode", "600"))
    assert b"\r\n" in (place / "server.conf").read_bytes()
    assert {mode(path) for path in place.iterdir()} == {0o600}


def test_bundle_beside_other_files(data: Path, place: Path) -> None:
    """Where one file isn't ours nothing at all is written; other names don't matter."""
    (place / "install.sh").write_text("mine")
    (place / "notes").write_text("mine")
    before = look(place)
    assert_refused(export(data, "--bundle", place), 1, str(place / "install.sh"), "--force")
    assert look(place) == before
    assert_wrote(export(data, "--bundle", place, "--force"))
    assert names_in(place) == {*FILES.values(), "notes"}


def test_bundle_without_an_installers_name(data: Path, place: Path) -> None:
    """What can't be in a file name is left out with a note; an old one there would be taken for right."""
    long = ("--id-server", ".".join(["a" * 60] * 4))
    done = export(data, "--bundle", place / "x", *long)
    assert_wrote(done)
    assert names_in(place / "x") == {*FILES.values()} - {"installer-name.txt"} and "installer-name.txt" in done.stderr
    assert_wrote(export(data, "--bundle", place / "y"))
    before = look(place / "y")
    done = export(data, "--bundle", place / "y", *long)
    assert done.returncode == 1 and "installer-name.txt" in done.stderr and look(place / "y") == before


def test_bundle_where_none_can_be(data: Path, place: Path) -> None:
    (place / "file").touch()
    assert_refused(export(data, "--bundle", place / "file"), 1, str(place / "file"))
    assert_refused(export(data, "--bundle", place / "no" / "stick"), 1, str(place / "no" / "stick"))


# --- options that don't go together -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("--check", "x", "--format", "json"),
        ("--check", "x", "-o", "y"),
        ("--check", "x", "--bundle", "y"),
        ("--check", "x", "--crlf"),
        ("--check", "x", "--next-key"),
        ("--check", "x", "--force"),
        ("--bundle", "x", "--format", "json"),
        ("--bundle", "x", "-o", "y"),
        ("--bundle", "x", "--merge", "y"),
        ("--merge", "x", "--format", "json"),
        ("--merge", "x", "--crlf"),
        ("--force",),
        ("--mode", "600"),
        ("more",),
    ],
    ids=" ".join,
)
def test_contradictions(data: Path, args: tuple[str, ...]) -> None:
    """Exit 2, one line, and nothing is made."""
    before = look(data)
    done = export(data, *args)
    assert (done.returncode, done.stdout) == (2, "") and complaint(done)
    assert look(data) == before


def test_no_next_key(data: Path) -> None:
    """Where no next key has been made, none is handed out."""
    assert_refused(export(data, "--next-key"), 1, "keygen --next")


# --- reading them back ------------------------------------------------------------------------------------------------


def check(data: Path, file: Path | str, *args: str | Path, **options: Any) -> Done:
    return export(data, "--check", file, *args, **options)


def told(done: Done) -> dict[str, str]:
    """The answer by its lines; the verdict is under ''."""
    assert not re.search(r"(?m)note|export-conf: (?!data directory)", done.stderr), done.stderr
    *lines, verdict = done.stdout.splitlines()
    assert verdict == ("It fits the server." if done.returncode == 0 else "It does not fit the server.")
    return {"": verdict, **{name: value.strip() for name, value in (line.split(":", 1) for line in lines)}}


@pytest.mark.parametrize("form", FORMS)
def test_check(data: Path, place: Path, form: str) -> None:
    """Each form is recognised and fits, also when it comes from a pipe."""
    args = ("-r", "relay.example:31117", "--api-server", "https://id.example")
    file = place / "x"
    assert_wrote(export(data, "--format", form, "-o", file, *args))
    done = check(data, file, *args)
    answer = told(done)
    assert done.returncode == 0 and answer["form"] == form and answer["key"].startswith("the current key (SHA256:")
    with file.open("rb") as stream:
        command = [str(called("rdsrv")), "export-conf", "-d", str(data), *NAMED, *args, "--check", "-"]
        piped = subprocess.run(command, env=clean_env(), stdin=stream, capture_output=True, text=True, timeout=RUN_S)
    assert (piped.returncode, piped.stdout) == (0, done.stdout)


@pytest.mark.parametrize("form", FORMS)
def test_check_of_another_servers(data: Path, place: Path, tmp_path: Path, form: str) -> None:
    """Another server's key, and other hosts, are told, with exit 1."""
    other = new_dir(tmp_path, "other")
    place_pair(other, OTHER)
    assert_wrote(export(other, "--format", form, "-o", place / "key"))
    done = check(data, place / "key")
    answer = told(done)
    assert done.returncode == 1 and re.match(r"a foreign key \(SHA256:.*\); the server's is SHA256:", answer["key"])
    assert "as the server's" in answer["ID server"]

    assert_wrote(export(data, "--format", form, "-o", place / "host", "-r", "relay.example"))
    done = check(data, place / "host", named=("--id-server", "new.example"))
    answer = told(done)
    assert done.returncode == 1 and answer["key"].startswith("the current key")
    assert "another" in answer["ID server"] and "new.example" in answer["ID server"]
    assert "another" in answer["relay server"]


def test_check_of_one_of_several(data: Path, place: Path) -> None:
    """An export for one audience fits the server that has several names."""
    assert_wrote(export(data, "-o", place / "x", named=("--id-server", "b.tailnet")))
    assert check(data, place / "x", named=("--id-server", "a.example,B.tailnet:21116")).returncode == 0


def test_check_without_a_name(data: Path, place: Path) -> None:
    """Where no setting names the server, its key tells."""
    assert_wrote(export(data, "-o", place / "x"))
    done = check(data, place / "x", named=())
    assert done.returncode == 0 and "can't tell" in told(done)["ID server"]


def test_check_beside_a_running_server(lab: Lab) -> None:
    """What fits is what the server that runs has, not the files beside it."""
    place_pair(lab.directory(), OTHER)
    start_as(lab, "id", lab.directory(), *NAMED, "-k", PAIR[PUBLIC])
    file = lab.tmp_path / "x"
    assert_wrote(export(lab.directory(), "-o", file, named=()))
    assert check(lab.directory(), file, named=()).returncode == 0
    lab.servers[0].stop()
    assert "foreign" in told(check(lab.directory(), file, named=()))["key"]


@pytest.mark.parametrize("suffix", [".exe", " (1).exe", ".EXE"])
@pytest.mark.parametrize("host", ["id.example", "id.example:1"])
def test_check_of_an_installer(tmp_path: Path, host: str, suffix: str) -> None:
    """An installer's configuration is in its name, whatever it is called after a second download."""
    rdsrv("keygen", "-d", tmp_path, cwd=tmp_path)
    named = ("--id-server", host)
    name = export(tmp_path, "--format", "exe-name", named=named).stdout.strip().removesuffix(".exe") + suffix
    for path in (name, tmp_path / "downloads" / name):
        done = check(tmp_path, path, named=named)
        assert done.returncode == 0 and told(done)["form"] == "exe-name"


NONE = {
    "empty": b"",
    "zero": b"\0",
    "bytes": b"\xff" * 100,
    "text": b"mine\n",
    "json": b"{",
    "ini": b"[server]x",
    "png": b"\x89PNG\r\n\x1a\n",
    "script": b"#!/bin/sh\n",
    "long": b"x" * ((1 << 20) + 1),
}


@pytest.mark.parametrize("name", NONE)
def test_check_of_what_is_none(data: Path, place: Path, name: str) -> None:
    (place / "x").write_bytes(NONE[name])
    assert_refused(check(data, place / "x"), 1, str(place / "x"))


@pytest.mark.parametrize("form", ["qr", "qr-png", "qr-svg"])
def test_check_of_a_drawing_that_was_changed(data: Path, place: Path, form: str) -> None:
    """What a person reads beside a QR code and what a phone reads in it are the same, or it is refused."""
    assert_wrote(export(data, "--format", form, "-o", place / "x"))
    raw = (place / "x").read_bytes()
    (place / "x").write_bytes(raw.replace(b"id.example", b"id.exampel"))
    assert_refused(check(data, place / "x"), 1, "QR")


def test_check_of_hostile_values(data: Path, place: Path) -> None:
    """What somebody else wrote doesn't reach the terminal as it is."""
    (place / "x").write_text("[server]\nid_server=\x1b[2Jid\nrelay_server=\u202er\nkey=\x1b]0;k\x07\n")
    done = check(data, place / "x")
    assert done.returncode == 1 and "ID server" in done.stdout
    assert not re.search("[\x1b\x07\u202e]", done.stdout + done.stderr)


def test_check_of_a_missing_file(data: Path, place: Path) -> None:
    assert_refused(check(data, place / "missing"), 1, str(place / "missing"))
    assert_refused(check(data, place), 1, str(place))
