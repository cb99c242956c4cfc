"""Goal: --version says what was built, from which commit, with which libraries, and nothing that isn't so."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rdserver import run_rdsrv

ROOT = Path(__file__).resolve().parents[2]
VERSION = (ROOT / "VERSION").read_text().strip()
LIBRARIES = ["OpenSSL", "libevent", "libsodium", "SQLite", "cJSON", "nanopb", "wslay", "qrencode"]
FIRST = re.compile(rf"rdsrv {re.escape(VERSION)}( \(commit [0-9a-f]{{12,40}}(-dirty)?\))?")


def test_lines(tmp_path: Path) -> None:
    """The version, then each library in use with its own."""
    first, *rest = run_rdsrv("--version", cwd=tmp_path).stdout.splitlines()
    assert FIRST.fullmatch(first), first
    assert [line.split()[0] for line in rest] == LIBRARIES
    assert all(re.fullmatch(r"  \w+ +\d+(\.\d+)+[-\w]*", line) for line in rest), rest


def test_every_command_says_the_same(tmp_path: Path) -> None:
    said = {run_rdsrv(*command, "--version", cwd=tmp_path).stdout for command in ([], ["id"], ["keygen"], ["ctl"])}
    assert len(said) == 1


def test_libraries_that_are_in_use(tmp_path: Path) -> None:
    """What is loaded at run time tells for itself."""
    said = dict(line.split() for line in run_rdsrv("--version", cwd=tmp_path).stdout.splitlines()[1:])
    import sqlite3
    import ssl

    assert said["SQLite"] == sqlite3.sqlite_version
    assert said["OpenSSL"] in ssl.OPENSSL_VERSION


# --- the commit -----------------------------------------------------------------------------------------------------


def commit_of(tree: Path, *args: str) -> str:
    """What a build of that tree would say."""
    done = subprocess.run(["make", "-s", "build/gen/commit.h", *args], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r'#define RDSRV_COMMIT "(.*)"\n', (tree / "build/gen/commit.h").read_text())
    assert found
    return found[1]


def git(tree: Path, *args: str) -> str:
    names = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *names, *args], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What is needed of the sources, not in a repository of their own but inside another one."""
    outer = tmp_path / "outer"
    tree = outer / "rdsrv"
    tree.mkdir(parents=True)
    for name in ("Makefile", "VERSION"):
        shutil.copy(ROOT / name, tree)
    for name in ("test/unit/unit.mk", "test/fuzz/fuzz.mk", "test/bench/bench.mk", "packaging/install.mk"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    git(outer, "init", "-q")
    git(outer, "commit", "-q", "--allow-empty", "-m", "somebody else's")
    return tree


def test_tarball_says_no_commit(tree: Path) -> None:
    """Least of all that of a repository in which it was unpacked."""
    assert commit_of(tree) == ""
    assert commit_of(tree, "COMMIT=0123456789ab") == "0123456789ab"


def test_clone_says_its_commit(tree: Path) -> None:
    """And whether something was changed since; a tag is no commit."""
    git(tree, "init", "-q")
    (tree / ".gitignore").write_text("/build/\n")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "all")
    git(tree, "tag", "-m", "x", "v9.9.9")
    head = git(tree, "rev-parse", "HEAD")
    assert commit_of(tree) == head[:12]
    (tree / "VERSION").write_text("9.9.9\n")
    assert commit_of(tree) == head[:12] + "-dirty"


def test_nothing_is_built_anew_for_the_same_commit(tree: Path) -> None:
    commit_of(tree)
    before = (tree / "build/gen/commit.h").stat().st_mtime_ns
    commit_of(tree)
    assert (tree / "build/gen/commit.h").stat().st_mtime_ns == before


# --- the changelog --------------------------------------------------------------------------------------------------

KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_changelog() -> None:
    """Keep a Changelog's form; the first entry with a number is the version that is built."""
    text = (ROOT / "CHANGELOG.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert all(re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d|unreleased)", t) for t in titles)
    assert next(t for t in titles if t != "[Unreleased]").startswith(f"[{VERSION}] - ")
    assert text.startswith("# Changelog\n") and set(re.findall(r"^### (.*)$", text, re.M)) <= KINDS
