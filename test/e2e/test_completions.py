"""Goal: shells complete commands, options and their values, as the binary itself takes them: typed at real shells."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from clihelp import WAIT_S
from rdserver import run_rdsrv

COMMANDS = ["serve", "id", "relay", "keygen", "export-conf", "ctl", "check"]
# What is typed, TABs and all, and what the program is then called with.
TYPED = [
    ("ser\t", "serve"),
    ("keyg\t--rot\t", "keygen --rotate"),
    ("relay --log-level de\t", "relay --log-level debug"),
    ("export-conf --format qr-p\t", "export-conf --format qr-png"),
    ("serve --enrol ap\t", "serve --enrol approve"),
    ("serve --secure-tcp of\t", "serve --secure-tcp off"),
    ("keygen --retire a\t", "keygen --retire all"),
    ("ctl relay us\t", "ctl relay usage"),
    ("ctl id alw\t", "ctl id always-use-relay"),
    ("ctl --data-dir subdir id blo\t", "ctl --data-dir subdir id blocked"),
    ("serve --config one\t", "serve --config one.conf"),
    ("serve -c one\t", "serve -c one.conf"),
    ("id --data-dir subd\t", "id --data-dir subdir"),
    ("copy-db one\t", "copy-db one.conf"),
    ("completions zs\t", "completions zsh"),
]


def script(shell: str, cwd: Path) -> str:
    done = run_rdsrv("completions", shell, cwd=cwd)
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The script of each shell, and files to complete."""
    (tmp_path / "fpath").mkdir()
    (tmp_path / "bash").write_text(script("bash", tmp_path))
    (tmp_path / "fpath" / "_rdsrv").write_text(script("zsh", tmp_path))
    (tmp_path / "fish").write_text(script("fish", tmp_path))
    (tmp_path / "work" / "subdir").mkdir(parents=True)
    (tmp_path / "work" / "one.conf").touch()
    return tmp_path


class Typist:
    """A shell at a terminal, in which rdsrv is a function that shows how it was called."""

    START = {
        "bash": (["bash", "--norc", "--noprofile", "-i"], "source {0}/bash; rdsrv() {{ echo \"GOT<$*>\"; }}"),
        "zsh": (
            ["zsh", "-f", "-i"],
            "fpath=({0}/fpath $fpath); autoload -Uz compinit; compinit -u -D; rdsrv() {{ print -r -- \"GOT<$*>\" }}",
        ),
    }

    def __init__(self, shell: str, place: Path) -> None:
        command, setup = self.START[shell]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(place / "work")
            env = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(place), "LC_ALL": "C"}
            os.execvpe(command[0], command, env)
        self.seen = ""
        self.type(setup.format(place) + "; echo REA''DY\n")
        self.until("READY")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + WAIT_S
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found

    def call(self, typed: str) -> str:
        """What the program is called with after this was typed, and Enter."""
        self.type(f"rdsrv {typed}\n")
        return self.until(r"GOT<([^>\"$]*)>")[1].strip()

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture(params=["bash", "zsh"])
def typist(request: pytest.FixtureRequest, place: Path) -> Iterator[Typist]:
    if not shutil.which(request.param):
        pytest.skip(f"no {request.param} here")
    typist = Typist(request.param, place)
    yield typist
    typist.close()


def test_typed(typist: Typist) -> None:
    """Commands, options, words, files and directories, one after the other in one shell."""
    wrong = []
    for typed, want in TYPED:
        got = typist.call(typed).rstrip("/")
        if got != want:
            wrong.append((typed, got, want))
    assert not wrong


def test_typed_with_an_equals_sign(typist: Typist) -> None:
    assert typist.call("relay --log-format=js\t") == "relay --log-format=json"
    assert typist.call("ctl --data-dir=subdir id bac\t") == "ctl --data-dir=subdir id backup"


# --- fish tells what it would offer -----------------------------------------------------------------------------------


def fish_offers(place: Path, line: str) -> list[str]:
    code = f"source {place}/fish; complete -C {line!r}"
    env = {"PATH": os.environ["PATH"], "HOME": str(place)}
    done = subprocess.run(["fish", "-N", "-c", code], cwd=place / "work", env=env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [row.split("\t")[0] for row in done.stdout.splitlines()]


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
def test_fish(place: Path) -> None:
    wrong = []
    for typed, want in TYPED:
        *before, last = want.split()
        part = typed.rstrip("\t").replace("\t", " ").split()[-1]
        offers = [offer.rstrip("/") for offer in fish_offers(place, " ".join(["rdsrv", *before, part]))]
        if offers != [last]:
            wrong.append((typed, offers, last))
    assert not wrong


# --- nothing is missing -----------------------------------------------------------------------------------------------


def options_in_help(command: str, cwd: Path) -> set[str]:
    return set(re.findall(r"^ +(?:-., )?--([a-z-]+)", run_rdsrv(command, "--help", cwd=cwd).stdout, re.M))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_nothing_is_missing(shell: str, tmp_path: Path) -> None:
    """Every command, and every option that its --help shows, is in the script."""
    text = script(shell, tmp_path)
    for command in COMMANDS:
        assert command in text
        missing = [name for name in options_in_help(command, tmp_path) if not re.search(rf"\b{name}\b", text)]
        assert not missing, command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_internal_words_are_not_offered(shell: str, tmp_path: Path) -> None:
    assert "check-reserve" not in script(shell, tmp_path) and "take-keys" not in script(shell, tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_syntax(shell: str, place: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    path = place / "fpath" / "_rdsrv" if shell == "zsh" else place / shell
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("args", [[], ["tcsh"], ["bash", "zsh"]])
def test_wrong_use(args: list[str], tmp_path: Path) -> None:
    done = run_rdsrv("completions", *args, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and "bash|zsh|fish" in done.stderr
