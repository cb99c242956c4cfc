"""Goal: what holds in our image (protocol.md section 12, the two kinds of images in use): where its data is, what the
old images' variables and secrets do, and that root becomes the image's user; all without containers here."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any, Iterator

import pytest

from clihelp import (
    DATABASE,
    JSON_LOG,
    NOBODY,
    OTHER,
    PAIR,
    PUBLIC,
    ROLE_OF,
    SECRET,
    Role,
    assert_refused,
    copied,
    enforces,
    is_open,
    mode,
    names_in,
    needs_system,
    new_dir,
    place_args,
    place_pair,
    program_of,
    rdsrv,
    settings,
    start,
    warned_of,
)
from conftest import Lab

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
NO_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
NET_BIND_SERVICE = 1 << 10
NAMES = tuple(ROLE_OF)


class Image:
    """The image's data directory and its working directory, where every user may look."""

    def __init__(self, place: Path) -> None:
        self.data, self.here = new_dir(place, "data"), new_dir(place, "here")

    def env(self, **more: str) -> dict[str, str]:
        return {"RDSRV_CONTAINER": str(self.data), **more}

    def start(self, lab: Lab, name: str = "serve", *args: str | Path, prefix: list[str] = [], **more: str) -> Role:
        options: dict[str, Any] = {"program": program_of(name), "env": self.env(**more), "prefix": prefix}
        return start(lab, ROLE_OF[name], self.here, *JSON_LOG, *args, **options)

    def refuses(self, code: int, *parts: str, prefix: list[str] = [], **more: str) -> None:
        done = rdsrv("serve", *place_args(), cwd=self.here, env=self.env(**more), prefix=prefix)
        assert_refused(done, code, *parts)


@pytest.fixture
def image() -> Iterator[Image]:
    with tempfile.TemporaryDirectory(prefix="rdsrv-image-") as name:
        Path(name).chmod(0o755)
        yield Image(Path(name))


def serves_in(server: Role, directory: Path) -> bool:
    return [event["path"] for event in server.logged("data directory")] == [str(directory)]


def why(server: Role) -> str:
    return str(server.logged("data directory")[0]["because"])


# --- where data is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_data_is_in_the_image_s_directory(lab: Lab, image: Image, name: str) -> None:
    """Every role starts in the image's directory, those called by old names, too."""
    server = image.start(lab, name)
    assert serves_in(server, image.data) and not names_in(image.here)
    assert warned_of(server, "go with this container", str(image.data))


@pytest.mark.parametrize("name", NAMES)
def test_data_of_the_plain_image_goes_on(lab: Lab, image: Image, name: str) -> None:
    """If the image's directory is empty and the working directory holds a server, that counts, and the log says so."""
    place_pair(image.here)
    server = image.start(lab, name)
    assert serves_in(server, image.here) and "working directory holds a server" in why(server)
    assert not names_in(image.data)


def test_image_s_directory_goes_first(lab: Lab, image: Image) -> None:
    """With a server in each, the image's counts, and the log warns of the other."""
    place_pair(image.here, OTHER)
    place_pair(image.data)
    server = image.start(lab)
    assert serves_in(server, image.data) and server.logged("server key", key=PAIR[PUBLIC])
    assert warned_of(server, "passed over", str(image.data))


@needs_system
def test_volume_on_the_working_directory(lab: Lab, image: Image) -> None:
    """A fresh volume for the plain image's directory, and none for ours: keys and peers go where they last."""
    here = shlex.quote(str(image.here))
    prefix = ["unshare", "--mount", "sh", "-ec", f'mount --bind {here} {here}; cd {here}; exec "$0" "$@"']
    server = image.start(lab, "hbbs", prefix=prefix)
    assert serves_in(server, image.here) and "mounted" in why(server)
    assert SECRET in names_in(image.here) and not server.logged("keys and peers will go with this container")


def test_named_directory_goes_first(lab: Lab, image: Image) -> None:
    """A directory that is named is taken, in a container as elsewhere."""
    place_pair(image.data)
    named = new_dir(image.here, "named")
    assert serves_in(image.start(lab, "serve", "--data-dir", named), named)


@pytest.mark.parametrize("holds", ["data", "here"])
def test_commands_find_the_same(image: Image, holds: str) -> None:
    """Typed in the container, a command acts on the server that runs there."""
    place_pair(image.data if holds == "data" else image.here)
    done = rdsrv("export-conf", "--id-server", "me.example", cwd=image.here, env=image.env())
    assert done.returncode == 0 and PAIR[PUBLIC] in done.stdout


# --- variables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_relay_variable(image: Image, name: str) -> None:
    """RELAY is relay-servers."""
    found = settings(name, cwd=image.here, env=image.env(RELAY="relay.example:21117"))["relay-servers"]
    assert found.value == "relay.example:21117" and "RELAY" in found.origin


def test_relay_variable_is_the_last_word_of_none(image: Image) -> None:
    """A flag or the setting's own variable goes before RELAY; an empty RELAY says nothing."""
    both = image.env(RELAY="old.example", RELAY_SERVERS="new.example")
    assert settings("serve", cwd=image.here, env=both)["relay-servers"].value == "new.example"
    flag = settings("serve", "-r", "flag.example", cwd=image.here, env=both)
    assert flag["relay-servers"].value == "flag.example"
    empty = settings("serve", cwd=image.here, env=image.env(RELAY="", ENCRYPTED_ONLY="", KEY_PUB=""))
    assert (empty["relay-servers"].value, empty["key"].origin) == ("", "default")


def test_bad_variables(image: Image) -> None:
    """What RELAY and ENCRYPTED_ONLY can't mean is one line that names them."""
    image.refuses(2, "RELAY", "relay-servers", RELAY="no host")
    image.refuses(2, "ENCRYPTED_ONLY", "1 or 0", ENCRYPTED_ONLY="maybe")
    assert not names_in(image.data)


@pytest.mark.parametrize("name", NAMES)
def test_encrypted_only(lab: Lab, image: Image, name: str) -> None:
    """ENCRYPTED_ONLY=1: clients need the key, at hbbr too."""
    place_pair(image.data)
    assert enforces(lab, image.start(lab, name, ENCRYPTED_ONLY="1"), PAIR[PUBLIC])


def test_encrypted_only_off(lab: Lab, image: Image) -> None:
    """ENCRYPTED_ONLY=0 leaves everything as it is: hbbr without a key is open."""
    assert is_open(lab, image.start(lab, "hbbr", ENCRYPTED_ONLY="0"))


def test_hbbr_takes_relay_servers(lab: Lab, image: Image) -> None:
    """Guides write `hbbr -r HOST`."""
    assert serves_in(image.start(lab, "hbbr", "-r", "relay.example"), image.data)


@pytest.mark.parametrize("relay", ["relay.example:21117", "[2001:db8::7]:21117"])
def test_server_conf_of_a_container(lab: Lab, image: Image, relay: str) -> None:
    """Clients can't reach a container's own name: server.conf has the relay's host, and says that it is a guess."""
    server = image.start(lab, "hbbs", "-r", relay)
    conf = (image.data / "server.conf").read_text()
    assert f"id_server={relay.removesuffix(':21117')}:{server.port}" in conf
    assert server.logged("wrote server.conf")[0]["guessed"] != "no"


def test_elsewhere_these_variables_are_others(tmp_path: Path) -> None:
    """Outside the image they mean nothing."""
    env = {"RELAY": "relay.example", "ENCRYPTED_ONLY": "maybe", "KEY_PRIV": "x"}
    found = settings("serve", cwd=tmp_path, env=env)
    assert (found["relay-servers"].value, found["key"].origin) == ("", "default")


# --- keys that are handed over --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_keys_from_variables(lab: Lab, image: Image, name: str) -> None:
    """KEY_PUB and KEY_PRIV become the key files, and a second start with them is as good."""
    server = image.start(lab, name, KEY_PUB=PAIR[PUBLIC] + "\n", KEY_PRIV=" " + PAIR[SECRET])
    assert [(image.data / file).read_text() for file in (PUBLIC, SECRET)] == [PAIR[PUBLIC], PAIR[SECRET]]
    assert mode(image.data / SECRET) == 0o600
    assert server.logged("wrote the key files") and PAIR[SECRET] not in server.log_text()
    server.stop()
    server.restarted()
    assert not server.logged("the key that is handed over is not used")


def test_key_files_stay(lab: Lab, image: Image) -> None:
    """If there are key files, they count, and a warning names their key."""
    place_pair(image.data)
    server = image.start(lab, KEY_PUB=OTHER[PUBLIC], KEY_PRIV=OTHER[SECRET])
    assert (image.data / SECRET).read_text() == PAIR[SECRET] and server.logged("server key", key=PAIR[PUBLIC])
    assert warned_of(server, "handed over is not used", PAIR[PUBLIC])


@pytest.mark.parametrize(
    "given, parts",
    [
        ({"KEY_PUB": PAIR[PUBLIC]}, ("KEY_PUB", "without KEY_PRIV")),
        ({"KEY_PRIV": PAIR[SECRET]}, ("KEY_PRIV", "without KEY_PUB")),
        ({"KEY_PUB": OTHER[PUBLIC], "KEY_PRIV": PAIR[SECRET]}, ("KEY_PUB", "KEY_PRIV", "not a pair")),
        ({"KEY_PUB": "AAAA", "KEY_PRIV": PAIR[SECRET]}, ("KEY_PUB", "public key")),
        ({"KEY_PUB": PAIR[PUBLIC], "KEY_PRIV": PAIR[SECRET][:40]}, ("KEY_PRIV", "secret key")),
        ({"KEY_PUB": PAIR[PUBLIC], "KEY_PRIV": "A" * 5000}, ("KEY_PRIV", "too long")),
    ],
    ids=["public alone", "secret alone", "mismatched", "bad public", "bad secret", "long"],
)
def test_half_a_pair_stops_it(image: Image, given: dict[str, str], parts: tuple[str, ...]) -> None:
    """One half alone, or what is no pair, ends the start, and no key is made."""
    image.refuses(2, *parts, **given)
    assert not names_in(image.data)


def with_secrets(directory: Path) -> list[str]:
    """A mount namespace in which this directory is /run/secrets."""
    put = f"mount -t tmpfs none /run; mkdir /run/secrets; mount --bind {shlex.quote(str(directory))} /run/secrets"
    return ["unshare", "--mount", "sh", "-ec", f'{put}; exec "$0" "$@"']


@needs_system
def test_secrets_go_first(lab: Lab, image: Image, tmp_path: Path) -> None:
    """Docker's secrets go before the variables, and may be readable by root alone."""
    (tmp_path / "key_pub").write_text(PAIR[PUBLIC] + "\n")
    (tmp_path / "key_priv").write_text(PAIR[SECRET] + "\n")
    (tmp_path / "key_priv").chmod(0o400)
    given = {"KEY_PUB": OTHER[PUBLIC], "KEY_PRIV": OTHER[SECRET], "RDSRV_USER": "nobody"}
    server = image.start(lab, prefix=with_secrets(tmp_path), **given)
    assert (image.data / SECRET).read_text() == PAIR[SECRET] and server.logged("server key", key=PAIR[PUBLIC])
    assert (image.data / SECRET).stat().st_uid == NOBODY


@needs_system
def test_one_secret_alone(image: Image, tmp_path: Path) -> None:
    """Half a pair of secrets is refused by the file's name."""
    (tmp_path / "key_priv").write_text(PAIR[SECRET])
    image.refuses(2, "/run/secrets/key_priv", "without KEY_PUB", prefix=with_secrets(tmp_path))


# --- whose it is ----------------------------------------------------------------------------------------------------


def status_of(server: Role) -> dict[str, str]:
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def as_user(uid: int) -> list[str]:
    """What goes before a command that this user is to run, from a place that he may enter."""
    change = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [*change, "sh", "-c", f'exec {shlex.quote(str(copied()))} "$@"']


def owners(directory: Path) -> set[int]:
    return {path.lstat().st_uid for path in (directory, *directory.rglob("*"))}


@needs_root
def test_root_takes_over_the_directory_and_is_root_no_more(lab: Lab, image: Image) -> None:
    """A directory of root's, with keys and more in it, becomes the user's; only low ports are kept of root's rights."""
    place_pair(image.data)
    (new_dir(image.data, "backup/older") / "file").touch()
    server = image.start(lab, RDSRV_USER="nobody")
    assert owners(image.data) == {NOBODY}
    status = status_of(server)
    assert status["Uid"].split() == [str(NOBODY)] * 4
    assert status["Groups"].split() == [str(pwd.getpwnam("nobody").pw_gid)]
    for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(status[kind], 16) & ~NET_BIND_SERVICE == 0
    assert server.logged("took ownership of the data directory", owner=NOBODY)


@needs_root
def test_links_are_not_followed(lab: Lab, image: Image, tmp_path: Path) -> None:
    """What a link in the data directory points to keeps its owner."""
    (tmp_path / "others").touch()
    (image.data / "link").symlink_to(tmp_path / "others")
    (image.data / "links").symlink_to(tmp_path)
    image.start(lab, RDSRV_USER="nobody")
    assert (tmp_path / "others").stat().st_uid == 0 and tmp_path.stat().st_uid == 0
    assert (image.data / "link").lstat().st_uid == NOBODY


@needs_root
def test_commands_act_as_the_user(lab: Lab, image: Image) -> None:
    """A command that root types in the container reads what is the user's, without any of root's rights."""
    server = image.start(lab, RDSRV_USER="nobody")
    image.data.chmod(0o700)
    env = image.env(RDSRV_USER="nobody")
    limited = ["setpriv", "--bounding-set=-all,+setuid,+setgid", "--inh-caps=-all"]
    done = rdsrv("ctl", "id", "status", cwd=image.here, env=env, prefix=limited)
    assert done.returncode == 0 and str(server.pid) in done.stdout, done.stderr
    rotated = rdsrv("keygen", "--rotate", cwd=image.here, env=env)
    assert rotated.returncode == 0 and owners(image.data) == {NOBODY}


@needs_root
def test_without_capabilities(lab: Lab, image: Image) -> None:
    """Root without capabilities works in root's directory, and the log says what would be better."""
    server = image.start(lab, prefix=NO_CAPABILITIES, RDSRV_USER="nobody")
    assert int(status_of(server)["CapEff"], 16) == 0 and owners(image.data) == {0}
    assert warned_of(server, "root without capabilities", str(NOBODY))


@needs_root
def test_without_capabilities_in_another_s_directory(image: Image) -> None:
    """Root without capabilities can't use another's directory: one line says which chown helps."""
    shutil.chown(image.data, NOBODY, NOBODY)
    group = pwd.getpwnam("nobody").pw_gid
    image.refuses(1, f"chown -R {NOBODY}:{group}", str(image.data), prefix=NO_CAPABILITIES, RDSRV_USER="nobody")


@needs_root
@pytest.mark.parametrize("file", ["", SECRET, DATABASE])
def test_as_another_user(image: Image, file: str) -> None:
    """Started as a user (Compose's `user:`) whose directory it isn't, or a file in it: one line with the chown."""
    shutil.chown(image.data, NOBODY if file else 0, NOBODY)
    if file:
        (image.data / file).touch(0o600)
    image.refuses(1, f"on the host, run chown -R {NOBODY}:{NOBODY}", prefix=as_user(NOBODY), RDSRV_USER="nobody")


@needs_root
def test_unknown_user(image: Image) -> None:
    """A user that there isn't is named with the setting."""
    image.refuses(2, "RDSRV_USER", "no-such-user", RDSRV_USER="no-such-user")


@needs_root
def test_user_outside_of_containers(lab: Lab, image: Image) -> None:
    """Elsewhere nothing changes its owner: a directory must be the user's already."""
    args = ("--data-dir", image.data, "--user", "nobody")
    done = rdsrv("serve", *args, *place_args(), cwd=image.here)
    assert_refused(done, 1, str(image.data), "chown -R")
    assert owners(image.data) == {0} and "host" not in done.stderr
    shutil.chown(image.data, NOBODY, NOBODY)
    server = start(lab, "serve", image.here, *JSON_LOG, *args)
    assert status_of(server)["Uid"].split() == [str(NOBODY)] * 4 and owners(image.data) == {NOBODY}


@needs_root
def test_user_without_root(lab: Lab, image: Image) -> None:
    """Who isn't root stays who he is."""
    shutil.chown(image.data, NOBODY, NOBODY)
    args = (*JSON_LOG, "--data-dir", image.data, "--user", "no-such-user")
    server = start(lab, "serve", image.here, *args, prefix=as_user(NOBODY))
    assert status_of(server)["Uid"].split() == [str(NOBODY)] * 4
