"""Goal: wrong use is told in a line and ends with 2; --help and --version are there for every name."""

from __future__ import annotations

from pathlib import Path

import pytest

from clihelp import ROLE_OF, as_name, assert_refused, names_in, rdsrv

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = ("keygen", "export-conf", "ctl")


@pytest.mark.parametrize("name", [*ROLE_OF, *COMMANDS])
@pytest.mark.parametrize(
    "args",
    [
        "--no-such-flag",
        "--no-such-flag=1",
        "-Z",
        "stray --",
        "--data-dir",
        "-d",
        "--",
        "--port2 1",
        "--test-config=yes",
    ],
)
def test_wrong_use(tmp_path: Path, name: str, args: str) -> None:
    """Unknown flags, missing values and stray arguments: exit 2, one line, nothing made."""
    words = {"--": "-- stray"}.get(args, args).split()
    done = as_name(name, *words, *(["more"] if name == "ctl" else []), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1 and not names_in(tmp_path)


@pytest.mark.parametrize("name", ROLE_OF)
@pytest.mark.parametrize("flag", ["-p", "-k", "-b", "-r", "-c", "--log-level", "--log-file"])
def test_missing_value(tmp_path: Path, name: str, flag: str) -> None:
    """A flag at the end without its value is named."""
    assert_refused(as_name(name, flag, cwd=tmp_path), 2, flag.strip("-"))


@pytest.mark.parametrize("name, flag", [("keygen", "-d"), ("hbbs", "-c"), ("keygen", "--import"), ("export-conf", "-o")])
def test_empty_value(tmp_path: Path, name: str, flag: str) -> None:
    """As of a variable that isn't set: it mustn't mean what a lower place, or nobody, says."""
    done = as_name(name, flag, "", cwd=tmp_path)
    assert_refused(done, 2, "empty")
    assert not names_in(tmp_path)


def test_unknown_command(tmp_path: Path) -> None:
    """A command that there isn't is named; nothing is guessed."""
    assert_refused(rdsrv("sevre", cwd=tmp_path), 2, "sevre")
    assert_refused(rdsrv("--port", "20000", cwd=tmp_path), 2, "--port")


@pytest.mark.parametrize("args", [("id",), ("status",), ("id", "stop"), ("web", "status"), ("id", "status", "now")])
def test_wrong_words_for_ctl(tmp_path: Path, args: tuple[str, ...]) -> None:
    """ctl takes a role and a question."""
    done = rdsrv("ctl", "--data-dir", tmp_path, *args, cwd=tmp_path)
    assert done.returncode in (1, 2) and not done.stdout
    assert len([line for line in done.stderr.splitlines() if "data directory" not in line]) == 1


# --- help -------------------------------------------------------------------------------------------------------------


HELPS = [("rdsrv",), ("hbbs",), ("hbbr",), *(("rdsrv", name) for name in ("serve", "id", "relay", *COMMANDS))]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(tmp_path: Path, words: tuple[str, ...], flag: str) -> None:
    """Help goes to stdout, fits a screen and exits 0, wherever --help stands, and makes nothing."""
    done = rdsrv(*words[1:], flag, cwd=tmp_path, program=words[0])
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert 3 <= len(lines) <= 30 and max(map(len, lines)) <= 100 and "usage" in lines[0] + "".join(lines[:4])
    assert not names_in(tmp_path)


@pytest.mark.parametrize("words", [*HELPS, ("rdsrv", "copy-db"), ("rdsrv", "completions")], ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_that_is_lost(tmp_path: Path, words: tuple[str, ...], flag: str) -> None:
    """What can't be printed is no success."""
    to_full_disk = ("sh", "-c", 'exec "$0" "$@" >/dev/full')
    done = rdsrv(*words[1:], flag, cwd=tmp_path, program=words[0], prefix=to_full_disk)
    assert_refused(done, 1, "standard output")


@pytest.mark.parametrize("name", [*ROLE_OF, *COMMANDS])
def test_help_goes_first(tmp_path: Path, name: str) -> None:
    """Who asks for help gets it, whatever else stands there."""
    done = as_name(name, "--data-dir", tmp_path, "--help", cwd=tmp_path)
    assert done.returncode == 0 and "usage" in done.stdout and not names_in(tmp_path)


@pytest.mark.parametrize("name", ["serve", "id", "hbbs"])
def test_help_lists_every_letter(tmp_path: Path, name: str) -> None:
    """The letters that people type are in the help."""
    text = as_name(name, "--help", cwd=tmp_path).stdout
    assert not [flag for flag in ("-d", "-c", "-b", "-p", "-k", "-r", "--test-config") if f"{flag}" not in text]


def test_alone(tmp_path: Path) -> None:
    """rdsrv alone shows what to do next."""
    done = rdsrv(cwd=tmp_path)
    text = done.stdout + done.stderr
    assert "serve" in text and "--data-dir" in text and "--help" in text
    assert len(text.splitlines()) <= 30 and not names_in(tmp_path)


@pytest.mark.parametrize("program", ["rdsrv", "hbbs", "hbbr"])
@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(tmp_path: Path, program: str, flag: str) -> None:
    """--version prints the version on the first line, under any name; test_version.py has the rest."""
    done = rdsrv(flag, cwd=tmp_path, program=program)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("rdsrv " + (REPOSITORY / "VERSION").read_text().strip())
