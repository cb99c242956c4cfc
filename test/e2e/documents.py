"""What the documents say, and what the binary says of itself: shared by test_documents.py and test_guide.py.

The binary's own table is asked of the binary: `completions fish` has all options and ctl's commands, `--test-config`
all settings and their defaults.
"""

from __future__ import annotations

import functools
import re
import shlex
import tempfile
from pathlib import Path
from typing import Iterator, NamedTuple

from clihelp import Done, as_name, rdsrv

REPOSITORY = Path(__file__).resolve().parents[2]
MANUAL = REPOSITORY / "man"
PACKAGING = REPOSITORY / "packaging"
GUIDE = MANUAL / "rdsrv-guide.7"
BARE = ("hbbs", "hbbr")
NO_COMMANDS = ("--help", "--version", "-h", "-V")

# Flags of the scripts that export-conf writes, which stand in its page, too.
SCRIPT_FLAGS = {"-n", "-u", "-WhatIf", "-ExecutionPolicy", "-File"}

_HELP_ROW = re.compile(r"^  (?:-(\w), |    )--([a-z-]+)( \S+)? ")
_MACRO = re.compile(r"^[A-Z%][a-z0-9]$")


# --- the binary -----------------------------------------------------------------------------------------------------


class Flag(NamedTuple):
    """An option: its long name, its letter ("" if it has none), whether it takes a value."""

    name: str
    letter: str
    has_value: bool


def _ask(*words: str, name: str = "") -> Done:
    with tempfile.TemporaryDirectory() as directory:
        return as_name(name, *words, cwd=Path(directory)) if name else rdsrv(*words, cwd=Path(directory))


@functools.cache
def commands() -> tuple[str, ...]:
    """The subcommands, as `rdsrv --help` lists them."""
    return tuple(re.findall(r"^  ([a-z-]+)  +\S", _ask("--help").stdout, re.M))


@functools.cache
def settings() -> dict[str, str]:
    """Every setting's default, where nothing is set."""
    text = _ask("serve", "--test-config").stdout
    return {m[1]: m[2].strip() for m in re.finditer(r"^([a-z-]+) += (.*?) +# [^#]*$", text, re.M)}


@functools.cache
def help_of(name: str) -> str:
    return _ask("--help", name=name).stdout


_FISH_ROW = re.compile(
    r"^complete -c rdsrv -n '__rdsrv_command ([a-z-]+)' -l ([a-z-]+)(?: -s (\w))?((?: -[xrF])*)", re.M
)


@functools.cache
def _table() -> dict[str, dict[str, Flag]]:
    """All options of all commands, as the binary writes them for fish; hbbs and hbbr have a few of their own."""
    found: dict[str, dict[str, Flag]] = {command: {} for command in commands()}
    for command, name, letter, value in _FISH_ROW.findall(_ask("completions", "fish").stdout):
        found[command][name] = Flag(name, letter, bool(value))
    for name, role in zip(BARE, ("id", "relay")):
        rows = filter(None, map(_HELP_ROW.match, help_of(name).splitlines()))
        found[name] = found[role] | {m[2]: Flag(m[2], m[1] or "", m[3] is not None) for m in rows}
    return found


@functools.cache
def flags(name: str) -> tuple[Flag, ...]:
    """All options of a subcommand, of hbbs or of hbbr."""
    return tuple(_table()[name].values()) or (Flag("help", "h", False),)


@functools.cache
def flag_words(name: str) -> dict[str, Flag]:
    """By what is written: --port, -p."""
    words = {f"--{flag.name}": flag for flag in flags(name)}
    return words | {f"-{flag.letter}": flag for flag in flags(name) if flag.letter}


@functools.cache
def all_flag_words() -> frozenset[str]:
    return frozenset(word for name in (*commands(), *BARE) for word in flag_words(name))


def ctl_words(role: str) -> set[str]:
    """The commands that ctl has for a role."""
    table = _ask("completions", "fish").stdout
    found = re.search(rf"^complete -c rdsrv -n '__rdsrv_ctl {role}' -a '(.*)'$", table, re.M)
    assert found
    return set(found[1].split())


# --- command lines --------------------------------------------------------------------------------------------------


def words_of(line: str) -> list[str]:
    """A command line's words, up to where another command or a redirection begins."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    ends = [i for i, word in enumerate(words) if word[0:1] in "|>;&" or word.endswith(";")]
    return words[: ends[0] if ends else len(words)]


def problems_of_call(line: str) -> list[str]:
    """What is wrong with the options of a line that begins with the program's name."""
    words = [word for word in words_of(line) if word != "sudo"]
    program, rest = words[0].rsplit("/", 1)[-1], words[1:]
    if program in BARE:
        if rest == ["-g"] and program == "hbbs":
            return []
        return _problems_of_options(program, rest, line)
    if not rest or rest[0] in NO_COMMANDS or rest[0].isupper():
        return []
    if rest[0] not in commands():
        return [f"there is no command {rest[0]!r}: {line}"]
    return _problems_of_options(rest[0], rest[1:], line) + _problems_of_ctl(rest, line)


def _problems_of_ctl(words: list[str], line: str) -> list[str]:
    plain = [word for word in words[1:] if not word.startswith("-")]
    if words[0] != "ctl" or not {"id", "relay"} & set(plain):
        return []
    at = min(plain.index(role) for role in ("id", "relay") if role in plain)
    command = plain[at + 1 : at + 2]
    return [f"ctl has no command {command[0]!r}: {line}"] if set(command) - ctl_words(plain[at]) else []


def _problems_of_options(name: str, words: list[str], line: str) -> list[str]:
    known, problems, skip = flag_words(name), [], False
    for word in words:
        option = word.split("=", 1)[0]
        if skip or not option.startswith("-") or option == "-":
            skip = False
        elif option not in known:
            problems.append(f"{name} has no option {option}: {line}")
        else:
            skip = known[option].has_value and "=" not in word
    return problems


# --- mdoc -----------------------------------------------------------------------------------------------------------


def pages() -> list[Path]:
    return sorted(page for page in MANUAL.iterdir() if page.suffix in (".1", ".5", ".7", ".8"))


def unescaped(line: str) -> str:
    return line.replace("\\&", "").replace("\\e", "\\").replace("\\(dq", '"').replace("\\-", "-")


def flags_in(line: str) -> list[str]:
    """The options that a line's Fl macros name: "-d", "--data-dir"."""
    if not line.startswith(".") or line.startswith('.\\"'):
        return []
    found, is_flag = [], False
    for word in line[1:].split():
        if _MACRO.match(word):
            is_flag = word == "Fl"
        elif is_flag and re.match(r"^-?[A-Za-z]", word):
            found.append(f"-{word}")
    return found


class Block(NamedTuple):
    """A display: what the comment above it says that it is, its first line's number, and its lines."""

    kind: str
    number: int
    lines: list[str]


def blocks_of(page: Path) -> Iterator[Block]:
    """Commands (each .Dl is one) and files; kind "" where no comment says."""
    kind, inside = "", None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if inside is not None:
            if line.startswith(".Ed"):
                yield inside
                inside, kind = None, ""
            else:
                inside.lines.append(unescaped(line))
        elif line.startswith(".Dl "):
            yield Block("commands", number, [unescaped(line[4:])])
        elif line.startswith(".Bd"):
            inside = Block(kind, number + 1, [])
        elif line.startswith('.\\" '):
            kind = line[4:]


def calls_in_page(page: Path) -> Iterator[str]:
    """Command lines of ours in a page: displays, and what .Ql quotes."""
    for block in blocks_of(page):
        yield from (line for line in block.lines if block.kind == "commands" and is_call(line))
    for line in page.read_text().splitlines():
        if line.startswith(".Ql ") and is_call(line[4:]):
            yield re.sub(r" [.,:;)]+$", "", unescaped(line[4:]))


def is_call(text: str) -> bool:
    return re.match(r"^(sudo )?(rdsrv|hbbs|hbbr) [a-z-]", text) is not None
