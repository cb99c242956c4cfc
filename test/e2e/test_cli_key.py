"""Goal: -k means the same in every form and from every place, and the start says what it means for clients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rdwire
from clihelp import (
    AT_MOST,
    KEY_VECTORS,
    OTHER,
    PAIR,
    PUBLIC,
    ROLE_OF,
    SECRET,
    Role,
    all_text,
    as_name,
    assert_refused,
    ctl,
    enforces,
    is_open,
    lets_in,
    look,
    names_in,
    place_args,
    place_pair,
    settings,
    signed_answer,
    start_as,
    warned_of,
    warnings,
)
from conftest import Lab

NAMES = ("id", "relay", "hbbs", "hbbr")
SIGNING = ("id", "serve", "hbbs")
RELAYING = ("relay", "hbbr")
KEY_FILES = {SECRET, PUBLIC}
ANSWERS = ("status", "settings")
WORDS_OF_NO_SIGNATURE = ("sign", "encrypt")
DAMAGED_SECRETS = {
    "one sign of padding lost": PAIR[SECRET][:-1],
    "padding lost": PAIR[SECRET][:-2],
    "end lost": PAIR[SECRET][:-4],
    "too much padding": PAIR[SECRET] + "=",
    "within quotes": f'"{PAIR[SECRET]}"',
    "base64url": PAIR[SECRET].replace("+", "-").replace("/", "_"),
    "of two pairs": next(case[SECRET] for case in KEY_VECTORS["bad"] if "does not belong" in case["error"]),
}
PLACES = ("flag", "config", ".env", "environment", "RDSRV_KEY")


def key_from(lab: Lab, name: str, place: str, key: str) -> Role:
    """A role that is told its key at this place."""
    here = lab.directory()
    if place == "flag":
        return start_as(lab, name, here, "-k", key)
    if place == "config":
        (lab.tmp_path / "my.conf").write_text(f"key = {key}\n")
        return start_as(lab, name, here, "--config", lab.tmp_path / "my.conf")
    if place == ".env":
        (here / ".env").write_text(f"KEY={key}\n")
        return start_as(lab, name, here)
    return start_as(lab, name, here, env={"KEY" if place == "environment" else place: key})


def roles_of(server: Role) -> tuple[str, ...]:
    return ("id", "relay") if server.role == "serve" else (server.role,)


def says_open(server: Role) -> bool:
    """Is there a warning that nobody needs a key?"""
    return warned_of(server, "no key is enforced")


def says_unsigned(server: Role) -> bool:
    """Is there a warning that it can't sign, and what that means?"""
    return warned_of(server, *WORDS_OF_NO_SIGNATURE)


def has_key_files(server: Role) -> bool:
    return bool(KEY_FILES & names_in(server.directory))


# --- the key files: -, _, absent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "form", [("-k", "-"), ("-k", "_"), ("-k-",), ("-k=_",), ("--key=-",), ("--key", "_")], ids=" ".join
)
def test_key_files_are_made(lab: Lab, name: str, form: tuple[str, ...]) -> None:
    """- and _ make the key files where there are none, and enforce them, however they are written."""
    server = start_as(lab, name, lab.directory(), *form)
    assert KEY_FILES <= names_in(server.directory) and enforces(lab, server, server.key)
    assert not says_open(server) and not says_unsigned(server)


@pytest.mark.parametrize("name", ["id", "relay", "serve", "hbbs"])
def test_key_files_are_the_default(lab: Lab, name: str) -> None:
    """Without -k all but hbbr make the key files and enforce them."""
    server = start_as(lab, name, lab.directory())
    assert enforces(lab, server, server.key) and server.logged("server key", key=server.key)
    assert not says_open(server) and not says_unsigned(server)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [(), ("-k", "-"), ("-k", "_")], ids=["absent", "-", "_"])
def test_key_files_are_loaded(lab: Lab, name: str, form: tuple[str, ...]) -> None:
    """Key files that are there are enforced and stay as they are; so by hbbr without -k."""
    place_pair(lab.directory())
    before = look(lab.directory())
    server = start_as(lab, name, lab.directory(), *form)
    assert enforces(lab, server, PAIR[PUBLIC]) and look(lab.directory(), *KEY_FILES) == before
    assert not says_open(server)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", ["-", "_"])
def test_key_files_from_every_place(lab: Lab, place: str, key: str) -> None:
    """- and _ mean the key files wherever they are written, for hbbr too."""
    server = key_from(lab, "hbbr", place, key)
    assert has_key_files(server) and enforces(lab, server, server.key)


# --- a secret key -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROLE_OF)
@pytest.mark.parametrize("place", PLACES)
def test_secret_key(lab: Lab, name: str, place: str) -> None:
    """A secret key's public half is enforced, the secret written to no file and shown nowhere."""
    server = key_from(lab, name, place, PAIR[SECRET])
    (lab.directory() / ".env").unlink(missing_ok=True)
    assert enforces(lab, server, PAIR[PUBLIC]) and server.logged("server key", key=PAIR[PUBLIC])
    told = json.dumps([ctl(server.directory, role, what) for role in roles_of(server) for what in ANSWERS])
    server.stop()
    for text in (told, server.log_text(), all_text(server.directory)):
        assert PAIR[SECRET][:20] not in text
    assert not has_key_files(server) and not says_open(server) and not says_unsigned(server)


@pytest.mark.parametrize("name", SIGNING)
def test_secret_key_signs(lab: Lab, name: str) -> None:
    """The ID server signs with the secret that it was given, whatever key files lie there."""
    place_pair(lab.directory(), OTHER)
    before = look(lab.directory())
    server = start_as(lab, name, lab.directory(), "-k", PAIR[SECRET])
    assert signed_answer(lab, server, PAIR[PUBLIC]) and not lets_in(lab, server, OTHER[PUBLIC])
    assert look(lab.directory(), *KEY_FILES) == before


@pytest.mark.parametrize("name", ROLE_OF)
@pytest.mark.parametrize("place", [p for p in PLACES if p != "config"])
def test_secret_key_is_not_printed(tmp_path: Path, name: str, place: str) -> None:
    """--test-config says that there is a secret key, and not which."""
    (tmp_path / ".env").write_text(f"KEY={PAIR[SECRET]}\n" if place == ".env" else "")
    env = {"KEY" if place == "environment" else place: PAIR[SECRET]} if place in ("environment", "RDSRV_KEY") else {}
    flag = ("-k", PAIR[SECRET]) if place == "flag" else ()
    done = as_name(name, *flag, "--test-config", cwd=tmp_path, env=env)
    assert done.returncode == 0 and PAIR[SECRET][:20] not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["id", "hbbr"])
@pytest.mark.parametrize("damage", DAMAGED_SECRETS)
def test_damaged_secret_key(tmp_path: Path, name: str, damage: str) -> None:
    """A secret that lost something on the way isn't enforced as text for all to see, but refused, unseen."""
    key = DAMAGED_SECRETS[damage]
    for args in (place_args()[:2], ["--test-config"]):
        done = as_name(name, "-k", key, *args, cwd=tmp_path, prefix=AT_MOST)
        assert key[1:13] not in done.stdout + done.stderr
        assert_refused(done, 2, "key")
    assert not names_in(tmp_path)


@pytest.mark.parametrize("place", [".env", "environment"])
def test_damaged_secret_key_in_the_environment(tmp_path: Path, place: str) -> None:
    """The refusal of a damaged secret names where it stands, and doesn't quote it."""
    key = DAMAGED_SECRETS["padding lost"]
    (tmp_path / ".env").write_text(f"\nKEY={key}\n" if place == ".env" else "")
    done = as_name("id", *place_args(), cwd=tmp_path, env={"KEY": key} if place == "environment" else {})
    assert_refused(done, 2, ".env:2" if place == ".env" else "KEY")
    assert key[:12] not in done.stderr


# --- a public key, or any text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNING)
@pytest.mark.parametrize("place", PLACES)
def test_public_key_of_the_files(lab: Lab, name: str, place: str) -> None:
    """The files' own public key as -k: they sign, and nothing is to be warned of."""
    place_pair(lab.directory())
    server = key_from(lab, name, place, PAIR[PUBLIC])
    assert not says_unsigned(server) and not warnings(server)
    assert enforces(lab, server, PAIR[PUBLIC]) and signed_answer(lab, server, PAIR[PUBLIC])


@pytest.mark.parametrize("name", SIGNING)
@pytest.mark.parametrize("key", [PAIR[PUBLIC], "just a text", "x." * 30], ids=["key", "text", "long"])
@pytest.mark.parametrize("files", [False, True], ids=["alone", "beside other files"])
def test_text_that_is_not_the_files_key(lab: Lab, name: str, key: str, files: bool) -> None:
    """Another public key or text is enforced; the start warns that it can't sign and what that means for clients."""
    if files:
        place_pair(lab.directory(), OTHER)
    before = look(lab.directory())
    server = start_as(lab, name, lab.directory(), "-k", key)
    assert enforces(lab, server, key) and signed_answer(lab, server, key) == b""
    assert says_unsigned(server) and not says_open(server)
    assert look(lab.directory(), *KEY_FILES) == before


@pytest.mark.parametrize("name", RELAYING)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("files", [False, True], ids=["alone", "beside other files"])
def test_relay_with_a_public_key(lab: Lab, name: str, place: str, files: bool) -> None:
    """The way to run a relay apart from its ID server: nothing is wrong with it, so no warning; no key file is made."""
    if files:
        place_pair(lab.directory(), OTHER)
    before = look(lab.directory())
    server = key_from(lab, name, place, PAIR[PUBLIC])
    assert server.logged("server key", key=PAIR[PUBLIC], fingerprint=rdwire.fingerprint(PAIR[PUBLIC]))
    assert not warnings(server) and look(lab.directory(), *KEY_FILES) == before
    assert enforces(lab, server, PAIR[PUBLIC]) and not lets_in(lab, server, OTHER[PUBLIC])


@pytest.mark.parametrize("form", ["-k={}", "-k{}", "--key={}"])
def test_key_in_one_word(lab: Lab, form: str) -> None:
    """-k=KEY is what people write: neither the equals sign nor the key's own one is lost."""
    server = start_as(lab, "hbbr", lab.directory(), form.format(PAIR[PUBLIC]))
    assert PAIR[PUBLIC].endswith("=") and enforces(lab, server, PAIR[PUBLIC])


# --- empty, and hbbr --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [("-k", ""), ("-k=",), ("--key=",)], ids=["-k ''", "-k=", "--key="])
@pytest.mark.parametrize("files", [False, True], ids=["without files", "with files"])
def test_empty_key(lab: Lab, name: str, form: tuple[str, ...], files: bool) -> None:
    """An empty key enforces nothing, files or not, and the start warns of that."""
    if files:
        place_pair(lab.directory())
    server = start_as(lab, name, lab.directory(), *form)
    assert is_open(lab, server) and says_open(server)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["config", ".env", "environment", "RDSRV_KEY"])
def test_empty_key_from_every_place(lab: Lab, name: str, place: str) -> None:
    """An empty value is a value: it opens the server, with the same warning."""
    place_pair(lab.directory())
    server = key_from(lab, name, place, "")
    assert is_open(lab, server) and says_open(server)


@pytest.mark.parametrize("name", RELAYING)
def test_open_relay_makes_no_key(lab: Lab, name: str) -> None:
    """A relay that enforces nothing has no use for key files."""
    assert not has_key_files(start_as(lab, name, lab.directory(), "-k", ""))


@pytest.mark.parametrize("name", SIGNING)
def test_open_id_server_signs(lab: Lab, name: str) -> None:
    """An ID server that enforces nothing signs all the same, with key files that it makes."""
    server = start_as(lab, name, lab.directory(), "-k", "")
    assert signed_answer(lab, server, server.key) and not says_unsigned(server)


def test_hbbr_alone_is_open(lab: Lab) -> None:
    """hbbr without -k and without key files is open, as hbbr is: it warns, and makes no key files."""
    server = start_as(lab, "hbbr", lab.directory())
    assert is_open(lab, server) and says_open(server) and not has_key_files(server)


def test_hbbr_stops_for_damaged_files(tmp_path: Path) -> None:
    """Damaged key files are not the same as none: hbbr doesn't open itself for them."""
    place_pair(tmp_path)
    (tmp_path / SECRET).write_text("damaged")
    assert_refused(as_name("hbbr", *place_args()[:2], cwd=tmp_path), 1, SECRET)


# --- the relay's own pair ---------------------------------------------------------------------------------------------


def warns_of_its_own_pair(server: Role) -> bool:
    """Does the relay say that it needs the ID server's public key?"""
    return warned_of(server, "-k") and warned_of(server, "public", "ID server")


@pytest.mark.parametrize("name, key", [("relay", None), ("relay", "_"), ("hbbr", "_"), ("hbbr", "-")])
def test_relay_alone(lab: Lab, name: str, key: str | None) -> None:
    """A relay that has just made a pair of its own warns that it needs the ID server's public key if that is apart."""
    server = start_as(lab, name, lab.directory(), *(("-k", key) if key else ()))
    assert enforces(lab, server, server.key) and warns_of_its_own_pair(server)


@pytest.mark.parametrize("name", ["relay", "hbbr"])
def test_relay_beside_its_id_server(lab: Lab, name: str) -> None:
    """A relay that finds the ID server's pair has nothing to warn of."""
    id_server = start_as(lab, "id", lab.directory())
    relay = start_as(lab, name, lab.directory(), "-k", "_")
    assert not warnings(relay) and enforces(lab, relay, id_server.key)


def test_both_roles_need_no_warning(lab: Lab) -> None:
    """serve has both roles on one pair: there is nothing to warn of."""
    assert not warns_of_its_own_pair(start_as(lab, "serve", lab.directory()))


# --- odd texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", [" {} ", "{}\n", "\t{}"], ids=repr)
@pytest.mark.parametrize("name", ["id", "relay"])
def test_white_space_around_a_key(lab: Lab, name: str, around: str) -> None:
    """White space around a pasted key isn't a part of it: no client could be configured with that."""
    server = start_as(lab, name, lab.directory(), "-k", around.format(PAIR[PUBLIC]))
    assert lets_in(lab, server, PAIR[PUBLIC]) and not lets_in(lab, server, "")


@pytest.mark.parametrize("name", ["id", "relay"])
def test_white_space_around_a_secret(lab: Lab, name: str) -> None:
    """A secret pasted with a newline is that secret, not a text to be enforced and logged."""
    server = start_as(lab, name, lab.directory(), "-k", PAIR[SECRET] + "\n")
    assert lets_in(lab, server, PAIR[PUBLIC]) and PAIR[SECRET][:20] not in server.log_text()


def test_last_key_on_the_command_line(tmp_path: Path) -> None:
    """A public key is printed as it is, with the place where it stands."""
    (tmp_path / ".env").write_text(f"KEY={OTHER[PUBLIC]}\n")
    found = settings("id", "-k", PAIR[PUBLIC], cwd=tmp_path)["key"]
    assert found.value == PAIR[PUBLIC] and found.origin in ("-k", "--key")
    found = settings("id", cwd=tmp_path)["key"]
    assert found.value == OTHER[PUBLIC] and found.origin.endswith(".env:1")
