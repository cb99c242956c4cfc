"""Goal: no document says what the binary doesn't: every option, subcommand, setting, default and port that manual,
README, units, Docker's files and packaging name is the binary's, and what the binary has is in its page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator

import pytest

import documents
from clihelp import rdsrv
from conftest import Lab
from documents import MANUAL, PACKAGING, REPOSITORY, SCRIPT_FLAGS

API_PORT = 21114
FOLLOWS = {"nat-port": ("port", -1), "relay-port": ("port", 1), "websocket-port": ("port", 2)}
FOLLOWS["relay-websocket-port"] = ("relay-port", 2)
VARIABLES = {"IMAGE", "NAME"}  # of docker-compose.yml; and rdsrv(1)'s word for any setting

PAGES = documents.pages()
COMMAND_PAGES = [page for page in PAGES if re.fullmatch(r"rdsrv-.*\.1", page.name)]
TEXTS = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *PAGES] + sorted(
    path for path in PACKAGING.rglob("*") if path.is_file() and path.suffix not in (".png", ".awk")
)


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def plain(lines: list[str]) -> str:
    """mdoc's text without its macros, roughly."""
    words = [word for line in lines for word in documents.unescaped(line).removeprefix(".").split()]
    return " ".join(w for w in words if not re.fullmatch(r"[A-Z%][a-z0-9]|'?\.?[A-Z][a-z]", w))


# --- options and subcommands ----------------------------------------------------------------------------------------


def test_every_command_has_a_page() -> None:
    """It is named in rdsrv(1), and at the end of its own --help."""
    overview = (MANUAL / "rdsrv.1").read_text()
    for command in documents.commands():
        assert (MANUAL / f"rdsrv-{command}.1").exists() and f"\n.Xr rdsrv-{command} 1" in overview, command
        assert f"rdsrv-{command}(1)" in documents.help_of(command), command
    assert {page.name for page in COMMAND_PAGES} == {f"rdsrv-{command}.1" for command in documents.commands()}


@pytest.mark.parametrize("page", COMMAND_PAGES, ids=name_of)
def test_every_option_is_in_its_page(page: Path) -> None:
    """Long and short, beside each other; and what the page lists as its options are some."""
    command = page.stem.removeprefix("rdsrv-")
    rows = [documents.flags_in(line) for line in page.read_text().splitlines() if line.startswith(".It")]
    named = {option for line in page.read_text().splitlines() for option in documents.flags_in(line)}
    for flag in documents.flags(command):
        assert f"--{flag.name}" in named, f"{page.name} lacks --{flag.name}"
        if flag.letter:
            in_rows = [row for row in rows if f"--{flag.name}" in row]
            assert f"-{flag.letter}" in named, f"{page.name} lacks -{flag.letter}"
            assert not in_rows or any(f"-{flag.letter}" in row for row in in_rows) or is_shared(page, flag.name)
    listed = {option for row in rows for option in row} - SCRIPT_FLAGS
    assert listed <= known_to(page), f"{page.name}: {listed - known_to(page)}"


def is_shared(page: Path, option: str) -> bool:
    """-p is --relay-port of the relay, and stands at --port in the page that it shares."""
    return page.resolve().name == "rdsrv-serve.1" and option == "relay-port"


def known_to(page: Path) -> set[str]:
    """The options of all commands whose page this is."""
    shared = [other for other in COMMAND_PAGES if other.resolve() == page.resolve()]
    return {word for other in shared for word in documents.flag_words(other.stem.removeprefix("rdsrv-"))}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_an_option_that_there_is_not(page: Path) -> None:
    if page.name == "rdsrv-migrate.8":
        script = (PACKAGING / "migrate.sh").read_text()
        known = set(re.findall(r"^#   (--[a-z-]+)", script, re.M)) | documents.all_flag_words()
    else:
        known = documents.all_flag_words() | SCRIPT_FLAGS | {"-g"}
    for number, line in enumerate(page.read_text().splitlines(), 1):
        unknown = set(documents.flags_in(line)) - known
        assert not unknown, f"{page.name}:{number}: {unknown}"


def calls_in_text(path: Path) -> Iterator[str]:
    """Command lines of ours: what Markdown has as code, and what units and Docker's files run."""
    text = path.read_text()
    if path.suffix == ".md":
        yield from (m[1] for m in re.finditer(r"^ {4}(.*)$", text, re.M) if documents.is_call(m[1]))
        yield from (m[1] for m in re.finditer(r"`([^`\n]+)`", text) if documents.is_call(m[1]))
        return
    for line in text.splitlines() if path.suffix in (".service", ".yml", "") else []:
        line = re.sub(r"^(ExecStart=|\s*command: |#\s+(docker compose exec \w+ )?|CMD )", "", line)
        if re.match(r"^(/usr/bin/)?(rdsrv|hbbs|hbbr) -?[a-z-]+", line):
            yield line


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_command_lines(path: Path) -> None:
    """Each subcommand and option in them is one."""
    calls = documents.calls_in_page(path) if path in PAGES else calls_in_text(path)
    problems = [problem for call in calls for problem in documents.problems_of_call(call)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "line",
    ["rdsrv serve --bnd x", "rdsrv srve", "rdsrv keygen --rotate --port 1", "hbbr -R x", "sudo rdsrv ctl id pers"],
)
def test_wrong_command_lines_are_found(line: str) -> None:
    assert documents.problems_of_call(line)


# --- ctl's commands -------------------------------------------------------------------------------------------------


def ctl_items() -> dict[str, set[str]]:
    """What rdsrv-ctl(1) lists, by section: Of both, Of the ID server, Of the relay."""
    items: dict[str, set[str]] = {}
    section = ""
    for line in (MANUAL / "rdsrv-ctl.1").read_text().splitlines():
        if line.startswith(".Ss "):
            section = line[4:]
        elif line.startswith(".It Cm ") and section:
            items.setdefault(section, set()).update(re.findall(r"(?:Cm|,) ([a-z-]{3,})", line))
    return items


def test_ctl_commands(lab: Lab) -> None:
    """The page has those that completions and help have, and checks' own; each is one of the role's."""
    server = lab.server("serve")
    items = ctl_items()
    for role, section in (("id", "Of the ID server"), ("relay", "Of the relay")):
        named = items["Of both"] | items[section]
        assert {word for word in named if not word.startswith("check-")} == documents.ctl_words(role)
        assert all(re.search(rf"\b{word}\b", documents.help_of("ctl")) for word in documents.ctl_words(role))
        for command in sorted(named, key=lambda word: word == "drain"):
            done = rdsrv("ctl", "--data-dir", server.directory, role, command, cwd=lab.tmp_path)
            assert "there is no such command" not in done.stderr, f"{role} {command}"


# --- settings and defaults ------------------------------------------------------------------------------------------


def settings_page() -> dict[str, list[str]]:
    """rdsrv.conf(5)'s items: each setting with the lines that are about it."""
    items: dict[str, list[str]] = {}
    names: list[str] = []
    section = ""
    for line in (MANUAL / "rdsrv.conf.5").read_text().splitlines():
        if line.startswith(".It Ic "):
            names = [word for word in line[7:].split() if re.fullmatch(r"[a-z-]+", word)]
        elif line.startswith((".Ss", ".Sh")):
            names, section = [], line[4:]
        elif line.startswith(".Ic ") and section == "Accepted, without effect":
            items.setdefault(line[4:].strip(), [])
        for name in names:
            items.setdefault(name, []).append(line)
    return items


def test_every_setting_is_in_its_page() -> None:
    assert settings_page().keys() == documents.settings().keys()


@pytest.mark.parametrize("name", [name for name, value in documents.settings().items() if value and name != "data-dir"])
def test_defaults_in_the_manual(name: str) -> None:
    """rdsrv.conf(5) says the default of each setting that has one."""
    value = documents.settings()[name]
    text = plain(settings_page()[name])
    if name in FOLLOWS:
        other, more = FOLLOWS[name]
        assert int(value) == int(documents.settings()[other]) + more
        value = f"{other} {'+' if more > 0 else '-'} {abs(more)}"
    at = re.escape(value)
    assert re.search(rf"default:? {at}(?![\w.]\w)|(?<![\w.]){at} ?, the default", text), f"{name} = {value}: {text}"


def test_defaults_in_help() -> None:
    """What --help has in parentheses at a line's end is the default."""
    for line in documents.help_of("serve").splitlines():
        row = re.match(r"^  (?:-\w, |    )--([a-z-]+) .*\(([^()]*)\)$", line)
        if row is None:
            continue
        name, said = row[1], row[2]
        value = documents.settings()[name]
        follows = FOLLOWS.get(name, ("", 0))
        accepted = {value, f"{follows[0]} {'+' if follows[1] > 0 else '-'} {abs(follows[1])}"}
        accepted |= {"none", "all", "default", "db_v2.sqlite3 in the data directory"} if not value else set()
        accepted |= {"loopback"} if name == "trusted-proxies" else set()
        assert said in accepted, f"{line}: the default is {value!r}"


def setting_files() -> list[Path]:
    return [path for path in TEXTS if path.suffix == ".conf" and "id-server" in path.read_text()]


def accepts(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(text.replace("/var/lib/rdsrv", str(tmp_path)))
    done = rdsrv("serve", "--config", "a.conf", "--test-config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", setting_files(), ids=name_of)
def test_examples_of_settings(path: Path, tmp_path: Path) -> None:
    """They are accepted, also what is commented out."""
    accepts(re.sub(r"^#(?=[a-z-]+ *=)", "", path.read_text(), flags=re.M), tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_in_pages(page: Path, tmp_path: Path) -> None:
    """Displays of settings are accepted, and so is each `name = value` in the text."""
    shown = [block.lines for block in documents.blocks_of(page) if any(" = " in line for line in block.lines)]
    quoted = [line[4:] for line in page.read_text().splitlines() if re.match(r"^\.Ql [a-z-]+ = ", line)]
    for lines in [*shown, *([quote] for quote in quoted if "CURRENT" not in quote and "name = value" not in quote)]:
        accepts("\n".join(re.sub(r" [.,;:)]+$", "", line) for line in lines), tmp_path)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_variables(path: Path) -> None:
    """RDSRV_NAME is a setting."""
    for word in re.findall(r"\bRDSRV_([A-Z][A-Z_]+)\b", path.read_text()):
        assert word in VARIABLES or word.lower().replace("_", "-") in documents.settings(), f"RDSRV_{word}"


# --- ports ----------------------------------------------------------------------------------------------------------

PORT_LIST = r"(\d{5})(?:[:-](\d{5}))?(?:, ?(\d{5}))?"
SAID = [
    rf"(?P<proto>TCP|UDP)(?: ports?)? (?P<ports>{PORT_LIST}(?:(?: to|,| and) \d{{5}})*)",
    rf"(?P<ports>{PORT_LIST})/(?P<proto>tcp|udp)",
    rf"port (?P<ports>{PORT_LIST}) proto (?P<proto>tcp|udp)",
    rf"(?P<proto>tcp|udp) dport \{{? ?(?P<ports>{PORT_LIST})",
]


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> frozenset[tuple[str, int]]:
    """What a server with the defaults listens on: what its log says, moved to port 21116."""
    lab = Lab(tmp_path_factory.mktemp("ports"))
    try:
        server = lab.server("serve")
        found = {(str(event["proto"]), int(event["addr"].rpartition(":")[2])) for event in server.logged("listening")}
        return frozenset((proto, port - server.port + int(documents.settings()["port"])) for proto, port in found)
    finally:
        lab.end()


def ports_of(text: str) -> set[int]:
    ports = set()
    for first, last in re.findall(r"(\d{5})(?:(?:[:-]| to )(\d{5}))?", text):
        ports |= set(range(int(first), int(last or first) + 1))
    return ports


def said_ports(text: str) -> Iterator[tuple[str, int]]:
    for pattern in SAID:
        for said in re.finditer(pattern, text):
            yield from ((said["proto"].lower(), port) for port in ports_of(said["ports"]) if port // 100 == 211)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_ports(path: Path, listening: frozenset[tuple[str, int]]) -> None:
    """A port that is named with a protocol is listened on; each other number of that kind is one of ours at least."""
    text = path.read_text()
    text = plain(text.splitlines()) if path in PAGES else text
    for proto, port in said_ports(text):
        assert (proto, port) in listening or (proto, port) == ("tcp", API_PORT), f"{proto} {port}"
    known = {port for _, port in listening} | {API_PORT}
    strange = {int(word) for word in re.findall(r"(?<![\d.])(211\d\d)(?![\d.]\d)", text)} - known
    assert not strange, f"{name_of(path)}: {strange}"


@pytest.mark.parametrize("text", ["TCP 21116 and 21120", "21113/tcp", "udp dport 21115", "TCP 21115 to 21121"])
def test_wrong_ports_are_found(text: str, listening: frozenset[tuple[str, int]]) -> None:
    assert set(said_ports(text)) - listening


def rows_of_ports(path: Path) -> set[tuple[str, int]]:
    """A table's: "| TCP and **UDP** 21116 |" in the README, ".It 21116 Ta UDP Ta" in the guide."""
    rows = set()
    for line in path.read_text().splitlines():
        row = re.match(r"\|([^|]*\d{5}[^|]*)\||\.It (\d{5} Ta \w+) Ta", line)
        head = (row[1] or row[2]) if row else ""
        rows |= {(proto.lower(), port) for proto in re.findall("TCP|UDP", head) for port in ports_of(head)}
    return rows


@pytest.mark.parametrize("path", [REPOSITORY / "README.md", documents.GUIDE], ids=name_of)
def test_tables_of_ports(path: Path, listening: frozenset[tuple[str, int]]) -> None:
    """They have every port, with its protocols, and no other."""
    assert rows_of_ports(path) - {("tcp", API_PORT)} == listening


# --- names of files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_files_that_are_named(path: Path) -> None:
    """Units, files of packaging and pages that a document names are there."""
    text = documents.unescaped(path.read_text())
    units = {unit.name for unit in (PACKAGING / "systemd").iterdir()}
    for unit in re.findall(r"(?<![\w/.])rdsrv(?:-\w+)?\.(?:service|socket)\b", text):
        assert unit in units, unit
    for name in re.findall(r"(?<![\w/$)}])(?:packaging|man|test)/[\w./-]*\w", text):
        assert (REPOSITORY / name).exists() or "build" in name, name
    references = re.findall(r"^\.Xr (rdsrv\S*) (\d)", text, re.M) + re.findall(r"\b(rdsrv[\w.-]*)\((\d)\)", text)
    for page, section in references:
        assert (MANUAL / f"{page}.{section}").exists(), f"{page}({section})"
    if path.suffix == ".md":
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / link).exists(), link
