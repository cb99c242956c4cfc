"""Goal: what the guide tells people to type works. Each command of rdsrv-guide(7) is taken from the page and run, in
the page's order, against a server of the test's own; those that would change the system are parsed, and what they
name has to be there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest

from clihelp import called, rdsrv
from conftest import Lab
from documents import GUIDE, PACKAGING, REPOSITORY, blocks_of, problems_of_call, words_of
from keyhelp import did, listed
from rdserver import RUN_S, Server, clean_env

# Who would change this machine, or asks what isn't here.
SYSTEM_PROGRAMS = {"systemctl", "systemd-sysusers", "systemd-tmpfiles", "journalctl", "ufw", "firewall-cmd", "docker"}
SYSTEM_PROGRAMS |= {"apt", "dnf", "make", "chown", "rdsrv-migrate", "tar"}
SYSTEM_SCRIPTS = {"packaging/deps.sh"}
TARBALL = "rdsrv-VERSION-linux-ARCH"
UNPACKED = {TARBALL, "/usr/local/", "/usr/local/bin/rdsrv", "/"}  # what test/full does with the tarball
SUDO = '#!/bin/sh\nexec "$@"\n'
PAGE = "rdsrv-guide.7"


class Command(NamedTuple):
    number: int
    line: str

    @property
    def program(self) -> str:
        return [word for word in words_of(self.line) if word != "sudo"][0]

    @property
    def for_the_system(self) -> bool:
        words = set(words_of(self.line))
        return self.program in SYSTEM_PROGRAMS or bool(words & SYSTEM_SCRIPTS) or bool(words & UNPACKED)

    @property
    def starts_a_server(self) -> bool:
        return words_of(self.line)[:2] == ["rdsrv", "serve"]


def commands() -> Iterator[Command]:
    for block in blocks_of(GUIDE):
        if block.kind == "commands":
            yield from (Command(block.number + i, line) for i, line in enumerate(block.lines))


COMMANDS = list(commands())
SYSTEM = [command for command in COMMANDS if command.for_the_system]
OWN = [command for command in COMMANDS if not command.for_the_system]


def of(command: Command) -> str:
    return f"{PAGE}:{command.number}"


# --- those that are run ---------------------------------------------------------------------------------------------


class Desk:
    """A shell whose rdsrv is ours, whose sudo is none, and whose places are in the test's directory."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir()
        (self.bin / "sudo").write_text(SUDO)
        (self.bin / "sudo").chmod(0o755)
        (self.bin / "rdsrv").symlink_to(called("rdsrv"))
        for name in ("media/stick/rustdesk", "root", "home"):
            (directory / name).mkdir(parents=True)
        (directory / "packaging").symlink_to(PACKAGING)

    def placed(self, line: str) -> str:
        """The line with our server and directory in the places of the guide's."""
        line = line.replace("/var/lib/rdsrv", str(self.server.directory)).replace("/media/", f"{self.directory}/media/")
        line = line.replace("/root/", f"{self.directory}/root/").replace("~", str(self.directory / "home"))
        line = re.sub(r"(?<=--host )id\.example\.com", f"{self.server.host}:{self.server.port}", line)
        if "-DATE" in line:
            line = line.replace("-DATE", self.backups()[-1].name.removeprefix("rdsrv-backup"))
        return re.sub(r"\bKEY\b", self.server.key, line)

    def backups(self) -> list[Path]:
        return sorted((self.directory / "root").glob("rdsrv-backup*"))

    def run(self, command: Command) -> subprocess.CompletedProcess[str]:
        env = clean_env({"RDSRV_DATA_DIR": str(self.server.directory), "HOME": str(self.directory / "home")})
        env["PATH"] = f"{self.bin}:{os.environ['PATH']}"
        shell = ["sh", "-euc", self.placed(command.line)]
        return subprocess.run(
            shell, cwd=self.directory, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_S
        )

    def clear(self, command: Command) -> None:
        """A restored directory is one whose server has ended."""
        if command.program == "rm":
            self.server.stop()

    def assert_right(self, command: Command) -> None:
        done = self.run(command)
        # A check tells what this machine lacks, and its exit code too; it must be no wrong use.
        fine = (0, 1) if words_of(command.line.removeprefix("sudo "))[:2] == ["rdsrv", "check"] else (0,)
        assert done.returncode in fine, f"{of(command)}: {command.line}\n{done.stdout}\n{done.stderr}"


def test_commands_of_the_guide(lab: Lab, tmp_path: Path) -> None:
    """From the first export to the restored backup."""
    directory = lab.directory("server")
    desk = Desk(lab.server("serve", "--id-server", "id.example.com", directory=directory), tmp_path)
    export_first(desk)
    for command in OWN:
        desk.clear(command)
        if command.starts_a_server:
            serve_as_told(lab, desk, command)
        else:
            desk.assert_right(command)
    assert_restored(lab, desk)


def export_first(desk: Desk) -> None:
    """What was handed out earlier is on the stick."""
    to = desk.directory / "media/stick/rustdesk/server.conf"
    done = rdsrv("export-conf", "--data-dir", desk.server.directory, "-o", to, cwd=desk.directory)
    assert done.returncode == 0, done.stderr


def serve_as_told(lab: Lab, desk: Desk, command: Command) -> None:
    """The guide's own line, on a free port, starts a server that makes its keys."""
    words = words_of(command.line)
    at = words.index("--data-dir")
    data = desk.directory / words[at + 1]
    assert data.stat().st_mode & 0o777 == 0o700
    server = lab.server("serve", *words[2:at], *words[at + 2 :], directory=data)
    server.stop()
    assert {"id_ed25519", "id_ed25519.pub", "server.conf", "db_v2.sqlite3"} <= {path.name for path in data.iterdir()}
    assert "id_server=id.example.com" in (data / "server.conf").read_text()


def assert_restored(lab: Lab, desk: Desk) -> None:
    """What the backup's commands left starts, with the key that was backed up."""
    backup = (desk.backups()[-1] / "id_ed25519.pub").read_text()
    again = lab.server("serve", "--id-server", "id.example.com", directory=desk.server.directory)
    assert again.key == backup.strip()


def test_a_second_backup_is_not_hidden_in_the_first(lab: Lab, tmp_path: Path) -> None:
    """Of two backups, the older one isn't taken for the newer; if both have one name, the second isn't made."""
    desk = Desk(lab.server("serve", "--id-server", "id.example.com"), tmp_path)
    at = next(i for i, command in enumerate(OWN) if "ctl id backup" in command.line)
    make, move = OWN[at : at + 2]
    for command in (make, move):
        desk.assert_right(command)
    (first,) = desk.backups()
    kept = sorted(path.name for path in first.iterdir())
    assert "id_ed25519" in kept
    desk.assert_right(make)
    assert desk.run(move).returncode != 0 or len(desk.backups()) == 2
    assert sorted(path.name for path in first.iterdir()) == kept


def test_what_ends_a_leaked_keyring(tmp_path: Path) -> None:
    """The guide's two rotations and the retirement leave no key accepted whose secret was in the directory."""
    page = " ".join(GUIDE.read_text().split())
    assert "rotate so twice" in page and ".Ql keygen --retire all" in page
    did(tmp_path)
    did(tmp_path, "--rotate", "--grace", "30d")
    did(tmp_path, "--next")
    leaked = {key["key"] for key in listed(tmp_path)}
    assert len(leaked) == 3
    for args in (("--rotate", "--grace", "0"), ("--rotate", "--grace", "0"), ("--retire", "all")):
        did(tmp_path, *args)
    works = {key["key"] for key in listed(tmp_path) if key["state"] != "retired, refused"}
    assert len(works) == 1 and not works & leaked


# --- those that are read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=of)
def test_commands_are_shell(command: Command) -> None:
    done = subprocess.run(["sh", "-n", "-c", command.line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_role_takes_the_place_of_both() -> None:
    """The units end each other: if both are enabled, a reboot may start the other one."""
    lines = [command.line for command in COMMANDS]
    (at,) = [i for i, line in enumerate(lines) if "enable --now rdsrv-relay.service" in line]
    assert lines[at - 1] == "sudo systemctl disable --now rdsrv.service"


def units() -> set[str]:
    return {unit.name for unit in (PACKAGING / "systemd").iterdir()}


def problems_of(command: Command) -> list[str]:
    """Of a command that isn't run: units, files, targets, services and options that aren't there."""
    words = [word for word in words_of(command.line) if word != "sudo"]
    program, plain = words[0], [word for word in words[1:] if not word.startswith("-")]
    if program == "systemctl":
        named = [word for word in plain[1:]]
        return [unit for unit in named if unit not in units()]
    if program == "journalctl":
        return [word for word in plain[:1] if f"{word}.service" not in units()]
    if program == "make":
        rules = (REPOSITORY / "Makefile").read_text() + (PACKAGING / "install.mk").read_text()
        return [word for word in plain if "=" not in word and not re.search(rf"^{word}:", rules, re.M)]
    if program == "docker":
        return problems_of_docker(words)
    if program == "rdsrv-migrate":
        script = (PACKAGING / "migrate.sh").read_text()
        return [word for word in words[1:] if not re.search(rf"^#   {word} ", script, re.M)]
    if program == "ufw":
        return problems_of_ufw(words)
    if program in ("apt", "dnf"):
        known = r"\./build/rdsrv[-_]\*\.(deb|rpm)|dpkg-dev|debhelper|rpm-build"
        return [word for word in plain[1:] if plain[0] != "install" or not re.fullmatch(known, word)]
    if TARBALL in command.line:
        return [] if TARBALL.replace("VERSION", "$version").replace("ARCH", "$arch") in dist_script() else words
    return [word for word in words if word.startswith("packaging/") and not (REPOSITORY / word).exists()]


def dist_script() -> str:
    return (PACKAGING / "dist.sh").read_text()


def problems_of_docker(words: list[str]) -> list[str]:
    compose = (PACKAGING / "docker/docker-compose.yml").read_text()
    if words[1] == "build":
        return [] if (REPOSITORY / words[words.index("-f") + 1]).exists() else words
    services = set(re.findall(r"^  (\w+):$", compose, re.M))
    if words[2] == "exec":
        return [word for word in words[3:4] if word not in services] + problems_of_call(" ".join(words[4:]))
    return [] if words[2] in ("up", "down", "pull") else words


def problems_of_ufw(words: list[str]) -> list[str]:
    """A profile's name is one that packaging has."""
    known = {"allow", "reject", "in", "on", "to", "any", "port", "proto", "tcp", "udp", "tailscale0"}
    profiles = set(re.findall(r"^\[(.+)\]", (PACKAGING / "firewall/rdsrv.ufw").read_text(), re.M))
    strange = [word for word in words[1:] if not re.fullmatch(r"[\d:,]+(/tcp|/udp)?", word)]
    return [word for word in strange if word not in known | profiles]


@pytest.mark.parametrize("command", SYSTEM, ids=of)
def test_commands_for_the_system(command: Command) -> None:
    assert not problems_of(command), command.line


@pytest.mark.parametrize(
    "line",
    [
        "sudo systemctl start rdsrv-both.service",
        "make no-such-target",
        "docker compose exec hbbx rdsrv export-conf",
        "docker compose exec hbbs rdsrv export-cnf",
        "sudo rdsrv-migrate --dry",
        "sudo ufw allow rustdesk",
        "sudo apt install ./rdsrv.deb",
        "sh packaging/deps.sh packaging/no-such.sh",
    ],
)
def test_wrong_commands_are_found(line: str) -> None:
    assert problems_of(Command(0, line))


def test_most_commands_are_run() -> None:
    """The page still marks its commands as this test reads them."""
    assert len(OWN) >= 25 and len(SYSTEM) >= 20
    assert {command.program for command in OWN} <= {"rdsrv", "mkdir", "cp", "cd", "echo", "mv", "rm", "sh"}


# --- files that it shows --------------------------------------------------------------------------------------------


def files() -> list[tuple[str, int, str]]:
    """Kind, line and text."""
    blocks = [block for block in blocks_of(GUIDE) if block.kind != "commands"]
    return [(block.kind, block.number, "\n".join(block.lines) + "\n") for block in blocks]


@pytest.mark.parametrize("kind, number, text", files(), ids=lambda value: str(value)[:20])
def test_files_of_the_guide(kind: str, number: int, text: str, tmp_path: Path) -> None:
    """Settings are accepted as such, rules by nft."""
    if kind in ("file: rdsrv.conf", "file: relay.conf"):
        key = json.loads((REPOSITORY / "test/vectors/keyfile.json").read_text())["keys"][0]["id_ed25519.pub"]
        (tmp_path / "a.conf").write_text(re.sub(r"\bKEY\b", key, text))
        role = "relay" if kind == "file: relay.conf" else "serve"
        done = rdsrv(role, "--config", "a.conf", "--test-config", cwd=tmp_path)
        assert done.returncode == 0, f"{PAGE}:{number}: {done.stderr}"
        for name, value in re.findall(r"^([a-z-]+) *= *(.+)$", text, re.M):
            shown = re.escape(value.replace("KEY", key))
            assert re.search(rf"^{name} += {shown} +# a\.conf:\d+$", done.stdout, re.M), name
    else:
        assert kind == "file: nftables", f"{PAGE}:{number}: no comment says what this display is"
        check_rules(text, tmp_path)


def check_rules(text: str, tmp_path: Path) -> None:
    if not shutil.which("nft") or os.geteuid() != 0:
        pytest.skip("needs nft, and root")
    rules = tmp_path / "rules.nft"
    head = "table inet guide { chain input { type filter hook input priority 0; policy drop;\n"
    rules.write_text(f"{head}{text}}}\n}}\n")
    done = subprocess.run(["unshare", "--net", "nft", "--check", "--file", str(rules)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
