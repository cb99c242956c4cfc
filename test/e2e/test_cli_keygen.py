"""Goal: the key pair is made once, by whoever comes first, with the right modes, and nothing ever overwrites it."""

from __future__ import annotations

import base64
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest

import rdwire
from clihelp import (
    KEY_VECTORS,
    OTHER,
    PAIR,
    PUBLIC,
    SECRET,
    Done,
    Role,
    assert_refused,
    look,
    mode,
    names_in,
    place_args,
    place_pair,
    rdsrv,
    warned_of,
)
from conftest import Lab
from polling import away_from_midnight
from rdserver import wait_ready_all

ROLES = ("id", "relay", "serve")
BACKUP = re.compile(r"id_ed25519(\.pub)?\.bak\.\d{8}(\.\d+)?")


def keygen(directory: Path) -> Done:
    return rdsrv("keygen", "--data-dir", directory, cwd=directory)


def renew(directory: Path) -> Done:
    """hbbs -g in this directory."""
    done = rdsrv("-g", "--data-dir", directory, cwd=directory, program="hbbs")
    assert done.returncode == 0, done.stderr
    return done


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def assert_pair(directory: Path, printed: str | None = None) -> None:
    """A pair as protocol.md section 2 describes it."""
    secret, public = (directory / SECRET).read_text(), (directory / PUBLIC).read_text()
    raw = base64.b64decode(secret, validate=True)
    assert len(raw) == 64 and base64.b64encode(raw).decode() == secret
    assert base64.b64encode(raw[32:]).decode() == public == rdwire.public_of_secret(secret)
    assert (mode(directory / SECRET), mode(directory / PUBLIC)) == (0o600, 0o644)
    assert not set("/:") & set(public)
    assert printed is None or printed == public


# --- keygen ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0o000, 0o022, 0o077, 0o177, 0o777], ids=oct)
def test_modes_and_contents_under_any_umask(tmp_path: Path, bits: int) -> None:
    """keygen writes base64 without a newline, 0600 and 0644 under every umask."""
    with umask(bits):
        done = keygen(tmp_path)
    assert done.returncode == 0, done.stderr
    assert_pair(tmp_path, done.stdout.strip())
    assert names_in(tmp_path) == {SECRET, PUBLIC}


def test_only_the_key_on_stdout(tmp_path: Path) -> None:
    """The public key alone stands on stdout, so that scripts can take it; the talk, without the secret, on stderr."""
    done = keygen(tmp_path)
    public = (tmp_path / PUBLIC).read_text()
    assert done.stdout == public + "\n"
    assert rdwire.fingerprint(public) in done.stderr
    assert (tmp_path / SECRET).read_text()[:40] not in done.stderr


def test_second_keygen(tmp_path: Path) -> None:
    """With a pair there, keygen says so, exits 1, prints no key and touches no file."""
    keygen(tmp_path)
    before = look(tmp_path)
    assert_refused(keygen(tmp_path), 1, SECRET)
    assert look(tmp_path) == before


def test_keygen_with_the_secret_only(tmp_path: Path) -> None:
    """A secret alone is a key too: keygen leaves it alone."""
    place_pair(tmp_path)
    (tmp_path / PUBLIC).unlink()
    before = look(tmp_path, SECRET)
    assert_refused(keygen(tmp_path), 1, SECRET)
    assert look(tmp_path, SECRET) == before


def test_new_keys_can_be_file_names(tmp_path: Path) -> None:
    """New keys hold neither / nor :, whichever command makes them."""
    assert keygen(tmp_path).returncode == 0
    keys = {renew(tmp_path).stdout.strip() for _ in range(60)}
    assert len(keys) == 60 and not {key for key in keys if set("/:") & set(key)}


def test_keygen_makes_no_directory(tmp_path: Path) -> None:
    """keygen works in a directory that is there."""
    assert_refused(rdsrv("keygen", "--data-dir", tmp_path / "new", cwd=tmp_path), 1, "new")
    assert not names_in(tmp_path)


# --- key files that are not right -----------------------------------------------------------------------------------


def assert_all_refuse(directory: Path, *parts: str) -> None:
    """keygen, hbbs -g and every role stop with one line that holds these parts, and touch nothing."""
    before = look(directory, SECRET, PUBLIC)
    assert_refused(keygen(directory), 1, *parts)
    assert_refused(rdsrv("-g", "--data-dir", directory, cwd=directory, program="hbbs"), 1, *parts)
    for role in ROLES:
        assert_refused(rdsrv(role, "--data-dir", directory, *place_args(), cwd=directory), 1, *parts)
    assert look(directory, SECRET, PUBLIC) == before and not [n for n in names_in(directory) if BACKUP.fullmatch(n)]


@pytest.mark.parametrize("case", KEY_VECTORS["bad"], ids=lambda case: case["error"])
@pytest.mark.parametrize("has_public", [False, True], ids=["secret", "pair"])
def test_damaged_secret(tmp_path: Path, case: dict[str, str], has_public: bool) -> None:
    """A damaged secret is named, and no command replaces it."""
    (tmp_path / SECRET).write_text(case[SECRET])
    if has_public:
        (tmp_path / PUBLIC).write_text(PAIR[PUBLIC])
    assert_all_refuse(tmp_path, SECRET)


@pytest.mark.parametrize("case", KEY_VECTORS["bad"], ids=lambda case: case["error"])
def test_damaged_secret_is_not_shown(tmp_path: Path, case: dict[str, str]) -> None:
    """The line that names a damaged secret doesn't quote it."""
    (tmp_path / SECRET).write_text(case[SECRET])
    done = rdsrv("id", "--data-dir", tmp_path, *place_args(), cwd=tmp_path)
    assert done.returncode == 1 and (not case[SECRET] or case[SECRET][:12] not in done.stderr)


@pytest.mark.parametrize("text", [OTHER[PUBLIC], "garbage", "", PAIR[SECRET]], ids=["other", "text", "empty", "secret"])
def test_wrong_public_file(tmp_path: Path, text: str) -> None:
    """A .pub that doesn't belong to the secret is an error: nobody could tell which of the two clients have."""
    place_pair(tmp_path)
    (tmp_path / PUBLIC).write_text(text)
    assert_all_refuse(tmp_path, PUBLIC)


def test_public_file_alone(tmp_path: Path) -> None:
    """With the secret missing no new pair is made: clients have the old key."""
    (tmp_path / PUBLIC).write_text(PAIR[PUBLIC])
    before = look(tmp_path, PUBLIC)
    assert_refused(keygen(tmp_path), 1, SECRET)
    for role in ROLES:
        done = rdsrv(role, "--data-dir", tmp_path, *place_args(), cwd=tmp_path)
        assert_refused(done, 1, SECRET, PUBLIC)
    assert look(tmp_path, PUBLIC) == before and not (tmp_path / SECRET).exists()


@pytest.mark.parametrize("name", [SECRET, PUBLIC])
def test_linked_key_file(tmp_path: Path, name: str) -> None:
    """A key file that is a symbolic link isn't followed."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    place_pair(data)
    (data / name).rename(elsewhere)
    (data / name).symlink_to(elsewhere)
    before = look(tmp_path, "elsewhere")
    assert_all_refuse(data, name)
    assert look(tmp_path, "elsewhere") == before and (data / name).is_symlink()


@pytest.mark.parametrize("name", [SECRET, PUBLIC])
def test_dangling_link_is_not_written_through(tmp_path: Path, name: str) -> None:
    """A link that leads nowhere isn't followed to make a key elsewhere."""
    data = tmp_path / "data"
    data.mkdir()
    (data / name).symlink_to(tmp_path / "elsewhere")
    for done in (keygen(data), rdsrv("id", "--data-dir", data, *place_args(), cwd=data)):
        assert_refused(done, 1, name)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_secret_that_is_no_file(tmp_path: Path, kind: str) -> None:
    """A directory or a pipe in place of the secret stops the start; nothing hangs."""
    (tmp_path / SECRET).mkdir() if kind == "directory" else os.mkfifo(tmp_path / SECRET)
    assert_refused(keygen(tmp_path), 1, SECRET)
    assert_refused(rdsrv("id", "--data-dir", tmp_path, *place_args(), cwd=tmp_path), 1, SECRET)


def test_huge_secret(tmp_path: Path) -> None:
    """A file of megabytes is no key."""
    (tmp_path / SECRET).write_bytes(b"A" * (4 << 20))
    assert_refused(rdsrv("id", "--data-dir", tmp_path, *place_args(), cwd=tmp_path), 1, SECRET)


# --- at a start -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bits", [0o000, 0o077], ids=oct)
def test_first_start_makes_the_pair(lab: Lab, role: str, bits: int) -> None:
    """A first start makes the pair, with the right modes under every umask, and uses it."""
    lab.directory()
    with umask(bits):
        server = lab.server(role)
    assert_pair(server.directory)
    assert server.logged("server key", key=server.key, fingerprint=rdwire.fingerprint(server.key))


@pytest.mark.parametrize("role", ROLES)
def test_start_leaves_the_pair_alone(lab: Lab, role: str) -> None:
    """A start with a pair there uses it and touches neither file."""
    place_pair(lab.directory())
    before = look(lab.directory())
    server = lab.server(role)
    assert server.logged("server key", key=PAIR[PUBLIC])
    assert look(lab.directory(), SECRET, PUBLIC) == before


@pytest.mark.parametrize("role", ROLES)
def test_start_writes_the_public_file_again(lab: Lab, role: str) -> None:
    """With the secret alone a start writes the .pub that belongs to it."""
    place_pair(lab.directory())
    (lab.directory() / PUBLIC).unlink()
    before = look(lab.directory(), SECRET)
    lab.server(role)
    assert (lab.directory() / PUBLIC).read_text() == PAIR[PUBLIC] and mode(lab.directory() / PUBLIC) == 0o644
    assert look(lab.directory(), SECRET) == before


@pytest.mark.parametrize("around", ["{}\n", "\n {}\t\r\n"], ids=repr)
def test_white_space_around_keys(lab: Lab, around: str) -> None:
    """White space around the keys, as editors leave it, is tolerated in both files, and stays."""
    place_pair(lab.directory())
    for name in (SECRET, PUBLIC):
        (lab.directory() / name).write_text(around.format(PAIR[name]))
    before = look(lab.directory())
    server = lab.server("id")
    assert server.logged("server key", key=PAIR[PUBLIC])
    assert look(lab.directory(), SECRET, PUBLIC) == before


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bits", [0o644, 0o640, 0o604], ids=oct)
def test_exposed_secret(lab: Lab, role: str, bits: int) -> None:
    """A secret that others can read is named in a warning with the very chmod that mends it; the mode stays."""
    place_pair(lab.directory())
    (lab.directory() / SECRET).chmod(bits)
    server = lab.server(role)
    assert warned_of(server, "chmod", str(lab.directory() / SECRET))
    assert mode(lab.directory() / SECRET) == bits


def test_private_secret_is_not_warned_of(lab: Lab) -> None:
    """There is no such warning where it isn't needed."""
    place_pair(lab.directory())
    assert not warned_of(lab.server("serve"), "chmod")


@pytest.mark.parametrize("round", range(20))
def test_two_roles_at_once(lab: Lab, round: int) -> None:
    """Two roles that start at once in one empty directory are both ready with the same pair."""
    one = lab.prepare("id")
    other = lab.prepare("relay", hosts=one.hosts, port=one.port)
    for server in (one, other) if round % 2 else (other, one):
        server.launch()
    wait_ready_all([one, other])
    assert_pair(lab.directory())
    assert one.logged("server key", key=one.key) and other.logged("server key", key=one.key)


@pytest.mark.parametrize("round", range(5))
def test_hbbs_and_hbbr_at_once(lab: Lab, round: int) -> None:
    """hbbs, and hbbr -k _, which waits a moment for hbbs's key, end up with the same pair."""
    one = Role("id", lab.directory(), "--log-format", "json", program="hbbs")
    args = ("-k", "_", "--log-format", "json")
    other = Role("relay", lab.directory(), *args, program="hbbr", hosts=one.hosts, port=one.port)
    lab.servers += [one, other]
    other.launch()
    one.launch()
    wait_ready_all([one, other])
    assert one.logged("server key", key=one.key) and other.logged("server key", key=one.key)


# --- hbbs -g --------------------------------------------------------------------------------------------------------


def backups(directory: Path) -> dict[str, str]:
    """The backups of the secret by what follows the date."""
    found = {n: BACKUP.fullmatch(n) for n in names_in(directory) if n.startswith(f"{SECRET}.bak")}
    return {(match.group(2) or "") if match else name: (directory / name).read_text() for name, match in found.items()}


def test_hbbs_g_makes_the_pair(tmp_path: Path) -> None:
    """Without a key, hbbs -g makes the pair and prints the public key."""
    done = renew(tmp_path)
    assert_pair(tmp_path, done.stdout.strip())
    assert not backups(tmp_path)


def test_hbbs_g_renews_the_pair(tmp_path: Path) -> None:
    """With a key, hbbs -g keeps the old pair under dated names, never over an older backup, and makes another."""
    away_from_midnight()
    secrets = []
    for _ in range(4):
        done = renew(tmp_path)
        assert_pair(tmp_path, done.stdout.strip())
        secrets.append((tmp_path / SECRET).read_text())
    assert len(set(secrets)) == 4
    assert backups(tmp_path) == {"": secrets[0], ".1": secrets[1], ".2": secrets[2]}


def test_hbbs_g_keeps_modes(tmp_path: Path) -> None:
    """The backups have the modes of what they keep."""
    with umask(0):
        renew(tmp_path)
        renew(tmp_path)
    kept = {name: mode(tmp_path / name) for name in names_in(tmp_path) if BACKUP.fullmatch(name)}
    assert sorted(kept.values()) == [0o600, 0o644]
    assert all(bits == (0o644 if ".pub" in name else 0o600) for name, bits in kept.items())


def test_hbbs_g_keeps_both_halves(tmp_path: Path) -> None:
    """The old public key is kept beside the old secret, under the same date."""
    place_pair(tmp_path)
    renew(tmp_path)
    (secret,) = tmp_path.glob("id_ed25519.bak.*")
    (public,) = tmp_path.glob("id_ed25519.pub.bak.*")
    assert (secret.read_text(), public.read_text()) == (PAIR[SECRET], PAIR[PUBLIC])
    assert secret.name.rpartition(".")[2] == public.name.rpartition(".")[2]


def test_hbbs_g_takes_a_secret_alone(tmp_path: Path) -> None:
    """A secret without its .pub is renewed, and kept, as well."""
    place_pair(tmp_path)
    (tmp_path / PUBLIC).unlink()
    renew(tmp_path)
    assert_pair(tmp_path)
    assert backups(tmp_path) == {"": PAIR[SECRET]}


def test_hbbs_g_does_not_follow_links(tmp_path: Path) -> None:
    """A link where the backup would go isn't written through."""
    data, victim = tmp_path / "data", tmp_path / "victim"
    data.mkdir()
    renew(data)
    renew(data)
    (taken,) = data.glob("id_ed25519.bak.*")
    taken.unlink()
    victim.write_text("mine")
    taken.symlink_to(victim)
    renew(data)
    assert victim.read_text() == "mine"
    assert_pair(data)
