"""Goal: what packaging holds fits the binary: ports of Docker's files and Tailscale's policy are those of its table,
examples of settings are accepted, and the stick for imaging Windows holds what it should and no secret."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Mapping

import pytest

from clihelp import NOBODY, PAIR, PUBLIC, SECRET, Done, called, names_in, new_dir, place_pair, settings
from rdserver import RUN_S, clean_env

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
PORTS = ("nat-port", "port", "relay-port", "websocket-port", "relay-websocket-port")
TAILNET = "rustdesk.tailnet-name.ts.net"
HOST = ("--id-server", "id.example.com")

Ports = set[tuple[str, int]]


def ports_of_the_binary(directory: Path) -> Ports:
    """What serve listens on by default: TCP on each port, and UDP where datagrams come."""
    found = settings("serve", cwd=directory)
    ports = {name: int(found[name].value) for name in PORTS}
    return {("tcp", port) for port in ports.values()} | {("udp", ports["port"]), ("udp", ports["relay-port"])}


def ranges(text: str) -> set[int]:
    """The ports of "21115-21117,21119"."""
    parts = [part.split("-") for part in text.split(",")]
    return {port for part in parts for port in range(int(part[0]), int(part[-1]) + 1)}


# --- Docker ---------------------------------------------------------------------------------------------------------


def test_ports_of_the_image(tmp_path: Path) -> None:
    """EXPOSE names every port, each with its protocol."""
    (line,) = re.findall(r"^EXPOSE (.*)$", (PACKAGING / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    exposed = {(kind, int(port)) for port, kind in (word.split("/") for word in line.split())}
    assert exposed == ports_of_the_binary(tmp_path)


def test_ports_of_the_compose_file(tmp_path: Path) -> None:
    """Every port is published once, under its own number; UDP, too."""
    text = (PACKAGING / "docker" / "docker-compose.yml").read_text()
    published = re.findall(r'^ +- "(\d+):(\d+)(?:/(udp))?"$', text, re.MULTILINE)
    assert all(outside == inside for outside, inside, _ in published)
    found = [(kind or "tcp", int(port)) for port, _, kind in published]
    assert len(found) == len(set(found)) and set(found) == ports_of_the_binary(tmp_path)


# --- Tailscale ------------------------------------------------------------------------------------------------------


def policy() -> dict[str, Any]:
    """The example, without what JSON lacks: comments and commas before a bracket."""
    text = (PACKAGING / "tailscale" / "policy.hujson").read_text()
    text = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
    read: dict[str, Any] = json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
    return read


def test_policy_lets_in_every_port(tmp_path: Path) -> None:
    """The tailnet's policy lets in the server's ports, UDP, too, and no other."""
    let_in: Ports = set()
    for rule in policy()["acls"]:
        for dst in rule["dst"]:
            if dst.startswith("tag:rustdesk:"):
                let_in |= {(rule["proto"], port) for port in ranges(dst.rpartition(":")[2])}
    assert let_in == ports_of_the_binary(tmp_path)
    assert "tag:rustdesk" in policy()["tagOwners"] and all(rule["action"] == "accept" for rule in policy()["acls"])


@pytest.mark.parametrize("name", ["hybrid.conf", "tailnet-only.conf"])
def test_settings_for_a_tailnet(tmp_path: Path, name: str) -> None:
    """The examples are accepted, and hold the tailnet's name."""
    path = PACKAGING / "tailscale" / name
    found = settings("serve", "--config", path, cwd=tmp_path)
    assert TAILNET in found["id-server" if name == "tailnet-only.conf" else "relay-servers"].value
    assert {key for key, at in found.items() if str(path) in at.origin} == set(
        re.findall(r"^([a-z-]+) *=", path.read_text(), re.MULTILINE)
    )


# --- Windows --------------------------------------------------------------------------------------------------------


def stick(directory: Path, *args: str | Path, cwd: Path, env: Mapping[str, str] = {}) -> Done:
    env = clean_env({"RDSRV": str(called("rdsrv")), **env})
    command = ["sh", str(PACKAGING / "windows" / "stick.sh"), str(directory), *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=RUN_S)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = new_dir(tmp_path, "data")
    place_pair(path)
    return path


def test_stick(tmp_path: Path, data: Path) -> None:
    """It holds all forms, the script for Windows' setup and the provisioning bundle's file, and nothing secret."""
    to = new_dir(tmp_path, "a stick")
    done = stick(to, "--data-dir", data, *HOST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert names_in(to) == {"rustdesk", "windows"}
    assert names_in(to / "rustdesk") >= {"README.txt", "RustDesk2.toml", "install.ps1", "SetupComplete.cmd", "qr.png"}
    conf = (to / "windows/rustdesk/server.conf").read_bytes()
    assert b"id_server=id.example.com\r\n" in conf and PAIR[PUBLIC].encode() in conf
    files = [path for path in to.rglob("*") if path.is_file()]
    assert not any(path.name.startswith(".") for path in files)
    assert not any(PAIR[SECRET][:40].encode() in path.read_bytes() for path in files)


def test_stick_again(tmp_path: Path, data: Path) -> None:
    """After a change it is written anew."""
    to = new_dir(tmp_path, "stick")
    for host in ("old.example.com", "new.example.com"):
        assert stick(to, "--data-dir", data, "--id-server", host, cwd=tmp_path).returncode == 0
    for name in ("rustdesk/server.conf", "windows/rustdesk/server.conf"):
        assert "new.example.com" in (to / name).read_text()


def test_script_for_windows_setup(tmp_path: Path, data: Path) -> None:
    """It has Windows' line ends, jumps only to labels that there are, and runs what lies beside it."""
    to = new_dir(tmp_path, "stick")
    assert stick(to, "--data-dir", data, *HOST, cwd=tmp_path).returncode == 0
    script = (to / "rustdesk" / "SetupComplete.cmd").read_bytes()
    assert script.count(b"\n") == script.count(b"\r\n") > 10
    text = script.decode("ascii")
    assert set(re.findall(r"\bgoto (\w+)", text)) <= set(re.findall(r"^:(\w+)", text, re.MULTILINE))
    assert re.findall(r"(?:from%|rustdesk)\\([\w-]+\.ps1)", text)
    assert set(re.findall(r"\\(\w+\.ps1)", text)) <= names_in(to / "rustdesk")


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_stick_keeps_off_git(tmp_path: Path, data: Path) -> None:
    """In a repository it writes only where that is ignored."""
    to = new_dir(tmp_path, "images")
    subprocess.run(["git", "init", "-q", str(to)], check=True, capture_output=True)
    done = stick(to, "--data-dir", data, *HOST, cwd=tmp_path)
    assert done.returncode == 1 and ".gitignore" in done.stderr and names_in(to) == {".git"}
    (to / ".gitignore").write_text("/rustdesk/\n/windows/rustdesk/\n")
    assert stick(to, "--data-dir", data, *HOST, cwd=tmp_path).returncode == 0
    status = subprocess.run(["git", "-C", str(to), "status", "--porcelain"], capture_output=True, text=True)
    assert status.stdout.split() == ["??", ".gitignore"]


@pytest.mark.skipif(not shutil.which("git") or os.geteuid() != 0, reason="needs git, and root")
def test_stick_keeps_off_another_user_s_git(tmp_path: Path, data: Path) -> None:
    """Root writes the stick; whose the repository is makes no difference."""
    to = new_dir(tmp_path, "images")
    subprocess.run(["git", "init", "-q", str(to)], check=True, capture_output=True)
    for path in (to, *to.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    done = stick(to, "--data-dir", data, *HOST, cwd=tmp_path)
    assert done.returncode == 1 and ".gitignore" in done.stderr and names_in(to) == {".git"}
    (to / ".gitignore").write_text("/rustdesk/\n/windows/rustdesk/\n")
    assert stick(to, "--data-dir", data, *HOST, cwd=tmp_path).returncode == 0


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_stick_and_a_talkative_git(tmp_path: Path, data: Path) -> None:
    """What Git says besides, on stderr, doesn't hide that this is a repository."""
    to = new_dir(tmp_path, "images")
    subprocess.run(["git", "init", "-q", str(to)], check=True, capture_output=True)
    done = stick(to, "--data-dir", data, *HOST, cwd=tmp_path, env={"GIT_TRACE": "1"})
    assert done.returncode == 1 and ".gitignore" in done.stderr and names_in(to) == {".git"}


@pytest.mark.parametrize("says", ["unsafe repository\\n\\tgit config --global --add safe.directory X", "bad config line 1"])
def test_stick_and_a_git_that_fails(tmp_path: Path, data: Path, says: str) -> None:
    """As one before 2.38 at another user's: where it can't tell, that isn't taken for no repository."""
    programs, to = new_dir(tmp_path, "bin"), new_dir(tmp_path, "images")
    (programs / "git").write_text(f"#!/bin/sh\nprintf 'fatal: {says}\\n' >&2\nexit 128\n")
    (programs / "git").chmod(0o755)
    done = stick(to, "--data-dir", data, *HOST, cwd=tmp_path, env={"PATH": f"{programs}:{os.environ['PATH']}"})
    assert done.returncode == 1 and says.split("X")[0].split("\\t")[-1] in done.stderr and not names_in(to)


def test_page_of_windows_writes_what_the_stick_has(tmp_path: Path, data: Path) -> None:
    """The call by SSH gives the same server.conf as stick.sh."""
    to = new_dir(tmp_path, "stick")
    assert stick(to, "--data-dir", data, *HOST, cwd=tmp_path).returncode == 0
    page = (PACKAGING / "windows" / "README.md").read_text()
    (words,) = re.findall(r"^    ssh server sudo rdsrv (.*) >windows/rustdesk/server\.conf$", page, re.M)
    command = [str(called("rdsrv")), *words.split(), "--data-dir", str(data), *HOST]
    done = subprocess.run(command, env=clean_env({}), capture_output=True, timeout=RUN_S)
    assert done.stdout == (to / "windows/rustdesk/server.conf").read_bytes()


@pytest.mark.parametrize("name", [SECRET, f"{SECRET}.bak.20260131", "keyring.json", "db_v2.sqlite3-wal", ".env"])
def test_no_secret_gets_into_an_image(name: str) -> None:
    """What the Dockerfile copies is the source tree as it lies there, with whatever server was tried in it."""
    ignored = (PACKAGING.parent / ".dockerignore").read_text().splitlines()
    assert any(line.startswith("**/") and fnmatch.fnmatch(name, line[3:]) for line in ignored)


@pytest.mark.parametrize("args, code, word", [([], 2, "usage"), (["missing"], 1, "missing")], ids=["none", "missing"])
def test_stick_used_wrongly(tmp_path: Path, args: list[str], code: int, word: str) -> None:
    """One line says what is wrong."""
    command = ["sh", str(PACKAGING / "windows" / "stick.sh"), *args]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == code and word in done.stderr and done.stderr.count("\n") == 1


def test_stick_without_a_server(tmp_path: Path) -> None:
    """What export-conf says is passed on, and nothing is half done."""
    to = new_dir(tmp_path, "stick")
    done = stick(to, "--data-dir", tmp_path / "nowhere", *HOST, cwd=tmp_path)
    assert done.returncode != 0 and "nowhere" in done.stderr
    assert not (to / "windows").exists()
