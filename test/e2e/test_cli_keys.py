"""Goal: keygen's commands: what each prints, leaves on disk and refuses, with its exit code; and rustdesk-utils."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import rdwire
from clihelp import (
    KEY_VECTORS,
    NOBODY,
    OTHER,
    PAIR,
    PUBLIC,
    SECRET,
    Done,
    as_nobody,
    assert_refused,
    called,
    complaint,
    look,
    mode,
    names_in,
    needs_system,
    new_dir,
    place_pair,
    rdsrv,
)
from conftest import Lab
from keyhelp import (
    KEYGEN_LOG,
    KEYRING,
    SERVER_CONF,
    did,
    fresh_pair,
    keygen,
    listed,
    mismatched,
    pair_in,
    ring,
    rotate,
    talk_of,
)
from rdserver import clean_env

DAY_S = 86400
CHANGES = [("--rotate",), ("--next",), ("--retire", "all"), ("--purge-backups",)]
each_change = pytest.mark.parametrize("args", CHANGES, ids=lambda args: args[0])
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A data directory with a pair that all know."""
    directory = new_dir(tmp_path, "data")
    place_pair(directory)
    return directory


def seconds_from_now(text: str) -> float:
    """How far away a time of an answer is."""
    return (datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime.now(timezone.utc)).total_seconds()


# --- wrong use --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("--rotate", "--next"),
        ("--list", "--verify"),
        ("--public", "--fingerprint"),
        ("--retire", "all", "--rotate"),
        ("--import", "-", "--next"),
        ("--rotate", "--grace", "soon"),
        ("--rotate", "--grace", "-1d"),
        ("--rotate", "--grace", "30"),
        ("--rotate", "--grace", "30 d"),
        ("--rotate", "--grace", "99999d"),
        ("--rotate", "--grace", "99999999999999999999d"),
        ("--rotate", "--grace", ""),
        ("--grace", "30d"),
        ("--list", "--grace", "30d"),
        ("--older-than", "30d"),
        ("--purge-backups", "--older-than", "a month"),
        ("--json",),
        ("--rotate", "--json"),
        ("--rotate", "now"),
        ("--retire",),
        ("--no-such-thing",),
    ],
    ids=" ".join,
)
def test_wrong_use(here: Path, args: tuple[str, ...]) -> None:
    """Exit 2, one line, and nothing was touched."""
    before = look(here)
    done = keygen(here, *args)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.strip()
    assert look(here) == before


@pytest.mark.parametrize("command", ["--rotate", "--next", "--list", "--public", "--fingerprint"])
def test_where_there_is_no_pair(tmp_path: Path, command: str) -> None:
    """Exit 1 and a line that says so; none is made."""
    assert_refused(keygen(tmp_path, command), 1, str(tmp_path), "no key pair")
    assert not names_in(tmp_path)


# --- rotate -----------------------------------------------------------------------------------------------------------


def test_rotate(here: Path) -> None:
    """The new public key alone on stdout; on stderr where the old pair is, until when it works, and what to do next."""
    done = keygen(here, "--rotate")
    new = pair_in(here)
    assert (done.returncode, done.stdout) == (0, new + "\n") and new != PAIR[PUBLIC]
    (backup,) = here.glob("id_ed25519.bak.*")
    assert re.fullmatch(r"id_ed25519\.bak\.\d{8}", backup.name) and str(backup) in done.stderr
    assert pair_in(here, backup.name, backup.name.replace("ed25519", "ed25519.pub")) == PAIR[PUBLIC]
    assert rdwire.fingerprint(PAIR[PUBLIC]) in done.stderr
    assert f"rdsrv export-conf --data-dir {here} > server.conf" in done.stderr
    assert (here / KEYGEN_LOG).read_text().count("\n") == 1
    modes = {name: mode(here / name) for name in names_in(here)}
    assert modes == {name: 0o644 if ".pub" in name or name == KEYGEN_LOG else 0o600 for name in modes}


def test_command_that_it_names(here: Path) -> None:
    """The export-conf command that a rotation prints works as it stands, once the ID server is known."""
    done = keygen(here, "--rotate")
    (command,) = re.findall(r"rdsrv (export-conf --data-dir \S+) > server\.conf", done.stderr)
    shown = rdsrv(*command.split(), "--id-server", "id.example", cwd=here)
    assert f"\nkey={done.stdout}" in shown.stdout


@pytest.mark.parametrize("grace,seconds", [("", 30 * DAY_S), ("12h", 12 * 3600), ("90m", 5400), ("7d", 7 * DAY_S)])
def test_grace(here: Path, grace: str, seconds: int) -> None:
    """The old key is accepted for so long, 30 days if nothing else is said."""
    rotate(here, *(("--grace", grace) if grace else ()))
    _, old = listed(here)
    assert old["state"] == "retired, still accepted"
    assert seconds - 60 < seconds_from_now(old["accepted_until"]) <= seconds


def test_hbbs_g_grants_the_grace(here: Path) -> None:
    """hbbs -g does what --rotate does."""
    done = rdsrv("-g", "--data-dir", here, cwd=here, program="hbbs")
    assert done.returncode == 0 and done.stdout == pair_in(here) + "\n"
    _, old = listed(here)
    assert old["key"] == PAIR[PUBLIC] and 29 * DAY_S < seconds_from_now(old["accepted_until"]) <= 30 * DAY_S
    assert len((here / KEYGEN_LOG).read_text().splitlines()) == 1


def test_keygen_log(here: Path) -> None:
    """One line for each rotation: when, who, the old and the new fingerprint."""
    keys = [PAIR[PUBLIC]] + [rotate(here)[1] for _ in range(3)]
    lines = (here / KEYGEN_LOG).read_text().splitlines()
    assert len(lines) == 3
    for line, old, new in zip(lines, keys, keys[1:]):
        when, who, *rest = line.split(" ")
        assert abs(seconds_from_now(when[:-2] + ":" + when[-2:])) < 60
        assert re.fullmatch(r"\S+\(uid %d\)" % os.geteuid(), f"{who} {rest[0]}")
        assert rest[1:] == ["old", rdwire.fingerprint(old), "new", rdwire.fingerprint(new)]


@needs_root
def test_keygen_log_names_the_person(here: Path) -> None:
    """Behind sudo stands a person; whatever the environment says is one word."""
    for name, shown in (("alice", "alice(uid"), ("a b\nc", "a(uid")):
        did(here, "--rotate", env={"SUDO_USER": name})
        assert f" {shown} 0) old " in (here / KEYGEN_LOG).read_text().splitlines()[-1] + "\n"
    assert len((here / KEYGEN_LOG).read_text().splitlines()) == 2


def test_server_conf_follows(here: Path) -> None:
    """Our own server.conf follows; an edited one stays, with the new key beside it, and that is said."""
    text = f"[server]\nid_server=id.example\nrelay_server=\nkey={PAIR[PUBLIC]}\n"
    (here / SERVER_CONF).write_text(text)
    talk = talk_of(here, "--rotate")
    assert (here / SERVER_CONF).read_text() == text and "server.conf.new" in talk
    assert (here / "server.conf.new").read_text() == text.replace(PAIR[PUBLIC], pair_in(here))


@pytest.mark.parametrize("name", [SERVER_CONF, KEYGEN_LOG])
def test_linked_files_are_not_followed(here: Path, name: str) -> None:
    """A link in the place of server.conf or keygen.log is not written through; the rotation is whole all the same, and
    says what is missing."""
    victim = here.parent / "victim"
    victim.write_text(f"key={PAIR[PUBLIC]}\n")
    (here / name).symlink_to(victim)
    done = keygen(here, "--rotate")
    assert done.returncode == 0 and done.stdout.strip() == pair_in(here) != PAIR[PUBLIC]
    assert victim.read_text() == f"key={PAIR[PUBLIC]}\n" and "symbolic link" in done.stderr
    assert did(here, "--public") == pair_in(here)


@pytest.mark.parametrize("name", [SECRET, PUBLIC, KEYRING])
def test_linked_keys_are_refused(here: Path, name: str) -> None:
    """A link in the place of a key file or the keyring stops everything."""
    rotate(here)
    (here / name).rename(here.parent / name)
    (here / name).symlink_to(here.parent / name)
    before = look(here.parent, name), names_in(here)
    for args in (("--rotate",), ("--next",), ("--list",), ("--retire", "all")):
        assert_refused(keygen(here, *args), 1, name, "symbolic link")
    assert (look(here.parent, name), names_in(here)) == before


@pytest.mark.parametrize("text", ["", "{", '{"version":1,"retired":[{"public":"x"}]}', '{"version":9}'])
def test_damaged_keyring(here: Path, text: str) -> None:
    """A keyring that can't be read is never written over: each command, and the start, says what to do."""
    (here / KEYRING).write_text(text)
    before = look(here)
    for args in (("--rotate",), ("--next",), ("--list",), ("--retire", "all"), ("--public",)):
        assert_refused(keygen(here, *args), 1, KEYRING)
    done = rdsrv("id", "--data-dir", here, "--bind", "127.0.0.1", "--port", "0", cwd=here)
    assert done.returncode != 0
    assert look(here, SECRET, PUBLIC, KEYRING) == before


# --- import -----------------------------------------------------------------------------------------------------------


def with_stdin(directory: Path, text: bytes, *args: str) -> Done:
    """keygen with this on its standard input."""
    done = subprocess.run(
        [str(called("rdsrv")), "keygen", "--data-dir", str(directory), *args],
        cwd=directory,
        env=clean_env({}),
        input=text,
        capture_output=True,
        timeout=30,
    )
    return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("form", ["{}", "{}\n", " \n{}\r\n\n"], ids=repr)
@pytest.mark.parametrize("pair", [PAIR, OTHER], ids=["one", "other"])
def test_import(tmp_path: Path, form: str, pair: dict[str, str]) -> None:
    """The secret of another host's or hbbs's pair, from a file or stdin: both files are made of it."""
    text = form.format(pair[SECRET])
    file = tmp_path / "from-hbbs"
    file.write_text(text)
    for number, source in enumerate(("file", "stdin")):
        data = new_dir(tmp_path, source)
        done = keygen(data, "--import", file) if source == "file" else with_stdin(data, text.encode(), "--import", "-")
        assert (done.returncode, done.stdout) == (0, pair[PUBLIC] + "\n"), done.stderr
        assert (data / SECRET).read_text() == pair[SECRET] and pair_in(data) == pair[PUBLIC]
        assert (mode(data / SECRET), mode(data / PUBLIC)) == (0o600, 0o644)
        assert names_in(data) == {SECRET, PUBLIC}, number


def test_import_over_a_pair(here: Path) -> None:
    """A pair is replaced only with --rotate, and then it is a rotation."""
    pair, before = fresh_pair(), look(here)
    assert_refused(with_stdin(here, pair[SECRET].encode(), "--import", "-"), 1, "--rotate")
    assert look(here) == before
    done = with_stdin(here, pair[SECRET].encode(), "--import", "-", "--rotate", "--grace", "1d")
    assert (done.returncode, done.stdout) == (0, pair[PUBLIC] + "\n")
    assert pair_in(here) == pair[PUBLIC]
    assert [key["state"] for key in listed(here)] == ["current", "retired, still accepted"]


def test_import_of_the_same_pair(here: Path) -> None:
    """It is in use already: exit 1, and nothing was touched."""
    before = look(here)
    assert_refused(with_stdin(here, PAIR[SECRET].encode(), "--import", "-", "--rotate"), 1, "in use already")
    assert look(here) == before


def test_import_of_a_retired_pair(here: Path) -> None:
    """The way back: it is current again, and the one between is retired."""
    _, between = rotate(here)
    (backup,) = here.glob("id_ed25519.bak.*")
    did(here, "--import", backup, "--rotate")
    assert [(key["key"], key["state"]) for key in listed(here)] == [
        (PAIR[PUBLIC], "current"),
        (between, "retired, still accepted"),
    ]


def test_import_beside_a_lone_public_file(tmp_path: Path) -> None:
    """Whose secret is lost: nothing is overwritten."""
    (tmp_path / PUBLIC).write_text(OTHER[PUBLIC])
    done = with_stdin(tmp_path, PAIR[SECRET].encode(), "--import", "-")
    assert done.returncode == 1 and (tmp_path / PUBLIC).read_text() == OTHER[PUBLIC]
    assert names_in(tmp_path) == {PUBLIC}


BAD = {
    "empty": b"",
    "public key": PAIR[PUBLIC].encode(),
    "32 bytes": base64.b64encode(bytes(32)),
    "raw bytes": bytes(range(64)),
    "twice": (PAIR[SECRET] * 2).encode(),
    "megabytes": b"A" * (4 << 20),
    "PEM": b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    "NUL behind": PAIR[SECRET].encode() + b"\0",
    **{case["error"]: case[SECRET].encode() for case in KEY_VECTORS["bad"]},
}


@pytest.mark.parametrize("name", BAD)
def test_import_of_what_is_no_key(tmp_path: Path, name: str) -> None:
    """Exit 1, a line without the text itself, and nothing was made."""
    done = with_stdin(tmp_path, BAD[name], "--import", "-")
    assert_refused(done, 1, "no secret key")
    assert not names_in(tmp_path)
    assert len(BAD[name]) < 20 or BAD[name][:20].decode("latin-1") not in done.stderr


@pytest.mark.parametrize("source", ["missing", "directory"])
def test_import_of_no_file(tmp_path: Path, source: str) -> None:
    data = new_dir(tmp_path, "data")
    if source == "directory":
        new_dir(tmp_path, source)
    assert_refused(keygen(data, "--import", tmp_path / source), 1, source)
    assert not names_in(data)


# --- next, retire -----------------------------------------------------------------------------------------------------


def test_next(here: Path) -> None:
    """It is made once, told again, and used by the rotation after."""
    first = did(here, "--next")
    assert did(here, "--next") == first and first not in (PAIR[PUBLIC], "")
    assert [(key["key"], key["state"]) for key in listed(here)] == [(PAIR[PUBLIC], "current"), (first, "next")]
    assert f"-k CURRENT,{first}" in talk_of(here, "--next")
    assert pair_in(here) == PAIR[PUBLIC] and mode(here / KEYRING) == 0o600
    export = ("export-conf", "--data-dir", here, "--id-server", "id.example")
    (here / SERVER_CONF).write_text(rdsrv(*export, "--next-key", cwd=here).stdout)
    assert f"\nkey={first}\n" in (here / SERVER_CONF).read_text()
    fit = rdsrv(*export, "--check", SERVER_CONF, cwd=here)  # clients with it are let in already
    assert fit.returncode == 0 and "next key" in fit.stdout, fit
    assert rotate(here) == (PAIR[PUBLIC], first)
    assert "next" not in ring(here) and did(here, "--next") != first


def test_retire(here: Path) -> None:
    """By text, by fingerprint, all; unknown names are an error, and none to retire is none."""
    assert keygen(here, "--retire", "all").returncode == 0
    keys = [PAIR[PUBLIC]] + [rotate(here)[1] for _ in range(3)]
    did(here, "--retire", keys[0])
    did(here, "--retire", rdwire.fingerprint(keys[1]))
    states = {key["key"]: key["state"] for key in listed(here)}
    assert [states[key] for key in keys] == [
        "retired, refused",
        "retired, refused",
        "retired, still accepted",
        "current",
    ]
    before = look(here)
    for name in ("nonsense", OTHER[PUBLIC], keys[3], rdwire.fingerprint(keys[3])):
        assert_refused(keygen(here, "--retire", name), 1, "--list")
    assert look(here) == before
    assert "refused from now on: 1" in keygen(here, "--retire", "all").stderr
    assert "refused from now on: 0" in keygen(here, "--retire", "all").stderr
    assert not [entry for entry in ring(here)["retired"] if "secret" in entry]


def test_retired_for_good(lab: Lab, here: Path) -> None:
    """A key that was retired by hand while the clock was ahead is refused by the right clock, too, though its time isn't
    over: its secret is gone."""
    entry = {"public": OTHER[PUBLIC], "retired": 1_700_000_000, "accepted_until": 4_000_000_000}
    (here / KEYRING).write_text(json.dumps({"version": 1, "retired": [entry]}))
    (here / SERVER_CONF).write_text(f"[server]\nid_server=id.example\nkey={OTHER[PUBLIC]}\n")
    assert listed(here)[1]["state"] == "retired, refused"
    fit = rdsrv("export-conf", "--data-dir", here, "--id-server", "id.example", "--check", SERVER_CONF, cwd=here)
    assert fit.returncode == 1 and "refused" in fit.stdout, fit
    server = lab.server("id", directory=here)
    assert mismatched(lab, server.target(), OTHER[PUBLIC]) and not mismatched(lab, server.target(), PAIR[PUBLIC])
    assert server.logged("key refused", reason="key-retired")


# --- list, show -------------------------------------------------------------------------------------------------------


def test_list(here: Path) -> None:
    """Each key with text, fingerprint, state, since, accepted until, and who uses it."""
    _, new = rotate(here, "--grace", "2d")
    coming = did(here, "--next")
    current, following, old = listed(here)
    assert [entry["key"] for entry in (current, following, old)] == [new, coming, PAIR[PUBLIC]]
    for entry in (current, following, old):
        assert entry["fingerprint"] == rdwire.fingerprint(entry["key"])
        assert (entry["last_used"], entry["addresses_in_7_days"]) == ("", 0)
    assert -60 < seconds_from_now(current["since"]) <= 0 and current["accepted_until"] == ""
    assert -60 < seconds_from_now(following["since"]) <= 0
    assert seconds_from_now(old["since"]) < 1 and seconds_from_now(old["accepted_until"]) > DAY_S
    text = did(here, "--list")
    for entry in (current, following, old):
        assert entry["key"] in text and entry["state"] in text
    assert "safe" not in text and not any(secret in text for secret in secrets_of(here))


def secrets_of(directory: Path) -> set[str]:
    """The secret halves that lie in this directory, in part."""
    holds_secrets = re.compile(r"id_ed25519(\.bak.*)?|keyring\.json")
    texts = [path.read_text() for path in directory.iterdir() if holds_secrets.fullmatch(path.name)]
    return {found[:40] for text in texts for found in re.findall(r"[A-Za-z0-9+/]{86}==", text)}


def test_show(here: Path) -> None:
    """--public and --fingerprint: that line alone."""
    assert keygen(here, "--public").stdout == PAIR[PUBLIC] + "\n"
    assert keygen(here, "--fingerprint").stdout == rdwire.fingerprint(PAIR[PUBLIC]) + "\n"


def test_no_secret_is_told(here: Path) -> None:
    """Whatever keygen does, no secret appears in what it says."""
    file = here.parent / "file"
    file.write_text(fresh_pair()[SECRET])
    secrets = {file.read_text()[:40]}
    commands = ["--rotate", "--next", "--rotate", f"--import {file} --rotate", f"--import {file}", "--list"]
    commands += ["--list --json", "--verify", "--verify --json", "--retire all", "--public", "--purge-backups"]
    said = []
    for command in commands:
        said += [text for done in [keygen(here, *command.split())] for text in (done.stdout, done.stderr)]
        secrets |= secrets_of(here)
    assert len(secrets) >= 4 and not [secret for secret in secrets if any(secret in text for text in said)]


# --- purge ------------------------------------------------------------------------------------------------------------


def test_purge_backups(here: Path) -> None:
    """Backups of both halves go, those of a day or all; what only looks like one stays."""
    day = lambda ago: (datetime.now() - timedelta(days=ago)).strftime("%Y%m%d")  # noqa: E731
    rotate(here)
    for ago in (10, 100, 400):
        for name in (SECRET, PUBLIC):
            (here / f"{name}.bak.{day(ago)}").write_text(PAIR[name])
    own = {"id_ed25519.bak.20200101.tar", "id_ed25519.bak", "id_ed25519.backup"}
    for name in own:
        (here / name).write_text("mine")
    assert "removed: 4" in talk_of(here, "--purge-backups", "--older-than", "90d")
    assert len(list(here.glob("id_ed25519*.bak.????????"))) == 4
    assert "removed: 4" in talk_of(here, "--purge-backups")
    assert "removed: 0" in talk_of(here, "--purge-backups")
    assert names_in(here) == {SECRET, PUBLIC, KEYRING, KEYGEN_LOG, *own}
    assert listed(here)[1]["state"] == "retired, still accepted"  # the keyring still has it


# --- verify -----------------------------------------------------------------------------------------------------------


def checks(directory: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code and checks of keygen --verify."""
    done = keygen(directory, "--verify", "--json")
    answer = json.loads(done.stdout)
    found = {check["name"]: check for check in answer["checks"]}
    assert answer["ok"] == (done.returncode == 0) == all(check["status"] == "ok" for check in found.values())
    return done.returncode, found


@pytest.fixture
def kept(here: Path) -> Path:
    """The same, rotated once."""
    rotate(here)
    return here


def backup_of(directory: Path, half: str = SECRET) -> Path:
    (found,) = directory.glob(f"{half}.bak.*")
    return found


def test_verify_what_is_right(kept: Path) -> None:
    code, found = checks(kept)
    names = {"pair", "directory", SECRET, PUBLIC, KEYRING, backup_of(kept).name, backup_of(kept, PUBLIC).name}
    assert code == 0 and found.keys() == names
    assert found["pair"]["detail"] == rdwire.fingerprint(pair_in(kept))
    text = did(kept, "--verify")
    assert all(name in text for name in names)


def spoil_mode(path: Path, bits: int) -> str:
    path.chmod(bits)
    return path.name


FAULTS: dict[str, Any] = {
    "secret for all": lambda d: spoil_mode(d / SECRET, 0o644),
    "secret for a group": lambda d: spoil_mode(d / SECRET, 0o640),
    "public writable": lambda d: spoil_mode(d / PUBLIC, 0o666),
    "keyring for all": lambda d: spoil_mode(d / KEYRING, 0o604),
    "backup for all": lambda d: spoil_mode(backup_of(d), 0o644),
    "public backup writable": lambda d: spoil_mode(backup_of(d, PUBLIC), 0o664),
    "directory writable": lambda d: spoil_mode(d, 0o777) and "directory",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verify_modes(kept: Path, fault: str) -> None:
    """A mode that lets in too many is found, and the command that is named mends it."""
    name = FAULTS[fault](kept)
    code, found = checks(kept)
    assert code == 1 and [check for check in found if found[check]["status"] == "fail"] == [name]
    subprocess.run(found[name]["fix"].split(" "), check=True)
    assert checks(kept)[0] == 0


@pytest.mark.parametrize("mode", [0o400, 0o700])
def test_verify_leaves_the_owner_s_own_bits_to_the_owner(kept: Path, mode: int) -> None:
    (kept / SECRET).chmod(mode)
    assert checks(kept)[0] == 0


@needs_root
@pytest.mark.parametrize("which", [SECRET, PUBLIC, KEYRING, "backup"])
def test_verify_owners(kept: Path, which: str) -> None:
    """So is another owner than the directory's."""
    path = backup_of(kept) if which == "backup" else kept / which
    os.chown(path, NOBODY, -1)
    code, found = checks(kept)
    assert code == 1 and found[path.name]["status"] == "fail" and str(NOBODY) in found[path.name]["detail"]
    subprocess.run(found[path.name]["fix"].split(" "), check=True)
    assert checks(kept)[0] == 0


@pytest.mark.parametrize(
    "spoil,check,part",
    [
        (lambda d: (d / PUBLIC).unlink(), "pair", "missing"),
        (lambda d: (d / PUBLIC).write_text(OTHER[PUBLIC]), "pair", PUBLIC),
        (lambda d: (d / SECRET).write_text("damaged"), "pair", SECRET),
        (lambda d: (d / SECRET).unlink(), "pair", SECRET),
        (lambda d: [(d / name).unlink() for name in (SECRET, PUBLIC)], "pair", "none"),
        (lambda d: (d / KEYRING).write_text("damaged"), "pair", KEYRING),
        (lambda d: backup_of(d).write_text("damaged"), "backup", "base64"),
        (lambda d: backup_of(d).write_text(OTHER[SECRET]), "backup", "does not belong"),
        (lambda d: backup_of(d, PUBLIC).unlink(), "backup", "missing"),
    ],
)
def test_verify_contents(kept: Path, spoil: Any, check: str, part: str) -> None:
    """What is damaged, missing or doesn't belong together is found, and says what to do."""
    backup = backup_of(kept).name
    spoil(kept)
    code, found = checks(kept)
    fault = found[backup if check == "backup" else check]
    assert code == 1 and fault["status"] == "fail" and part in fault["detail"] and fault["fix"]


# --- whose files they are ---------------------------------------------------------------------------------------------


@needs_root
def test_files_belong_to_the_directory_s_owner(here: Path) -> None:
    """What root makes belongs to whoever has the directory: the service goes on reading it."""
    for path in (here, *here.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    (here / SERVER_CONF).write_text(f"key={PAIR[PUBLIC]}\n")
    did(here, "--next")
    rotate(here)
    did(here, "--retire", "all")
    made = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in here.iterdir() if path.name != SERVER_CONF}
    assert len(made) == 7 and set(made.values()) == {(NOBODY, NOBODY)}, made


@needs_root
@each_change
def test_another_user(kept: Path, foreign: Path, args: tuple[str, ...]) -> None:
    """Another user than the files' owner is turned away with one line that names that."""
    place = new_dir(foreign, "data")
    shutil.copytree(kept, place, dirs_exist_ok=True)
    place.chmod(0o777)
    before = look(place)
    assert_refused(as_nobody("keygen", "--data-dir", place, *args, cwd=place), 1, "user root")
    assert look(place) == before


@needs_root
def test_directory_that_cant_be_written(foreign: Path) -> None:
    """The owner of the files who can't write to the directory: one line, and all is as it was."""
    place_pair(foreign)
    for path in foreign.iterdir():
        os.chown(path, NOBODY, NOBODY)
    before = look(foreign)
    for args in (("--rotate",), ("--next",)):
        done = as_nobody("keygen", "--data-dir", foreign, *args, cwd=foreign)
        assert_refused(done, 1, str(foreign), "Permission denied")
    assert look(foreign) == before


def in_namespace(script: str) -> list[str]:
    """A prefix that runs this, and then the command in its place, in mounts of its own."""
    return ["unshare", "--mount", "sh", "-ec", f'{script}; rc=0; "$0" "$@" || rc=$?; cp -a data/. after/; exit $rc']


@needs_system
@each_change
def test_read_only_file_system(kept: Path, args: tuple[str, ...]) -> None:
    """Even for root: one line, and all is as it was."""
    before, after = look(kept), new_dir(kept.parent, "after")
    prefix = in_namespace("mount --bind data data; mount -o remount,ro,bind data")
    done = rdsrv("keygen", "--data-dir", kept, *args, cwd=kept.parent, prefix=prefix)
    assert_refused(done, 1, "Read-only file system")
    assert {name: file.content for name, file in look(after).items()} == {n: f.content for n, f in before.items()}


@needs_system
@pytest.mark.parametrize("free_pages", [*range(0, 30), 40])
def test_full_disk(here: Path, free_pages: int) -> None:
    """A disk with so little left: the old pair and one line, or the new pair, whole."""
    after = new_dir(here.parent, "after")
    shutil.copytree(here, here.parent / "pair")
    fill = f"dd if=/dev/zero of=data/fill bs=4096 2>/dev/null || true; truncate -s -$((4096 * {free_pages})) data/fill"
    prefix = in_namespace(f"mount -t tmpfs -o size=200k tmpfs data; cp -a pair/. data/; {fill}")
    done = rdsrv("keygen", "--rotate", "--data-dir", here, cwd=here.parent, prefix=prefix)
    (after / "fill").unlink()
    key = pair_in(after)
    if done.returncode == 0:
        assert key == done.stdout.strip() != PAIR[PUBLIC]
        assert [entry["state"] for entry in listed(after)] == ["current", "retired, still accepted"]
        return
    assert (done.returncode, done.stdout, key) == (1, "", PAIR[PUBLIC]) and free_pages < 40
    assert "No space left" in complaint(done)
    assert not list(after.glob("*.bak.*")) and not list(after.glob(".*"))
    assert [entry["state"] for entry in listed(after)] == ["current"]


# --- rustdesk-utils ---------------------------------------------------------------------------------------------------


def utils(*args: str, cwd: Path) -> Done:
    return rdsrv(*args, cwd=cwd, program="rustdesk-utils")


def test_genkeypair(tmp_path: Path) -> None:
    """Prints a pair as that program does, and writes nothing."""
    found = set()
    for _ in range(5):
        done = utils("genkeypair", cwd=tmp_path)
        match = re.fullmatch(r"Public Key:  (\S{44})\nSecret Key:  (\S{88})\n", done.stdout)
        assert done.returncode == 0 and match, done.stdout
        assert rdwire.public_of_secret(match[2]) == match[1]
        assert utils("validatekeypair", match[1], match[2], cwd=tmp_path).returncode == 0
        found.add(match[1])
    assert len(found) == 5 and not names_in(tmp_path)


def test_validatekeypair(tmp_path: Path) -> None:
    """Key pair is VALID and exit 0, or what is wrong and exit 1."""
    done = utils("validatekeypair", PAIR[PUBLIC], PAIR[SECRET], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Key pair is VALID\n")
    wrong = [
        (OTHER[PUBLIC], PAIR[SECRET]),
        (PAIR[PUBLIC], PAIR[PUBLIC]),
        (PAIR[SECRET], PAIR[SECRET]),
        ("", PAIR[SECRET]),
        (PAIR[PUBLIC], ""),
        (PAIR[PUBLIC][:-1], PAIR[SECRET]),
        (PAIR[PUBLIC], PAIR[SECRET][:-1]),
        *((PAIR[PUBLIC], case[SECRET]) for case in KEY_VECTORS["bad"]),
    ]
    for public, secret in wrong:
        done = utils("validatekeypair", public, secret, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "") and "INVALID" in done.stderr
        assert len(secret) < 40 or secret[:40] not in done.stderr or secret == PAIR[PUBLIC]


@pytest.mark.parametrize("args", [(), ("genkeypair", "x"), ("validatekeypair",), ("validatekeypair", "x"), ("serve",)])
def test_utils_wrong_use(tmp_path: Path, args: tuple[str, ...]) -> None:
    done = utils(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and "genkeypair" in done.stderr
    assert not names_in(tmp_path)


@pytest.mark.parametrize("args", [("genkeypair",), ("--help",)])
def test_utils_output_that_is_lost(tmp_path: Path, args: tuple[str, ...]) -> None:
    """A pair that nobody gets to see is no success."""
    to_full_disk = ("sh", "-c", 'exec "$0" "$@" >/dev/full')
    done = rdsrv(*args, cwd=tmp_path, program="rustdesk-utils", prefix=to_full_disk)
    assert done.returncode == 1 and done.stderr
