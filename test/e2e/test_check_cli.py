"""rdsrv check's command line: wrong use, --help and --list, what is printed for people and as JSON; the manual."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clihelp import rdsrv
from conftest import Lab
from rdserver import BINARY, clean_env

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "man" / "rdsrv-check.1"
NOWHERE = ("--host", "127.0.0.1:9")


def names(cwd: Path) -> list[str]:
    done = rdsrv("check", "--list", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split()[0] for line in done.stdout.splitlines()]


# --- wrong use ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, says",
    [
        (["--only", "natt"], ["--only", "natt", "--list"]),
        (["--only", "nat,relay.xyz"], ["relay.xyz"]),
        (["--skip", "nat,,xyz"], ["--skip", "xyz"]),
        (["--only", "\x1b[31m"], ["--only"]),
        (["--timeout", "0"], ["--timeout", "1 to 20"]),
        (["--timeout", "61"], ["--timeout"]),
        (["--timeout", "soon"], ["--timeout"]),
        (["--timeout", ""], ["--timeout"]),
        (["--key", "abc"], ["--key", "--host"]),
        (["--register"], ["--register", "--host", "elsewhere"]),
        (["--host", ""], ["host"]),
        (["--host", "rd.example.com:0"], ["rd.example.com:0"]),
        (["--host", "rd.example.com:99999"], ["99999"]),
        (["--conf", "nonsense"], ["--conf", "file", "config string"]),
        (["--nonsense"], ["--nonsense"]),
        (["--host"], ["--host"]),
        (["more"], ["more"]),
        ([*NOWHERE, "--only", "files"], ["--only", "elsewhere"]),
        ([*NOWHERE, "--only", "nat", "--skip", "nat", "--json"], ["--skip"]),
        (["--host", "127.0.0.1", "more"], ["more"]),
    ],
)
def test_wrong_use_is_one_line(args: list[str], says: list[str], tmp_path: Path) -> None:
    done = rdsrv("check", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("rdsrv check: ") and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in says), done.stderr
    assert "\x1b" not in done.stderr


def test_a_report_that_can_t_be_written(tmp_path: Path) -> None:
    done = rdsrv("check", *NOWHERE, "--only", "clock", "--report", "nowhere/report", cwd=tmp_path)
    assert done.returncode == 1 and "nowhere/report" in done.stderr and "clock" in done.stdout


def test_a_report_takes_no_other_file_s_place(tmp_path: Path) -> None:
    args = ("check", *NOWHERE, "--only", "clock", "--report", "report")
    assert rdsrv(*args, cwd=tmp_path).returncode == rdsrv(*args, cwd=tmp_path).returncode == 0
    (tmp_path / "report").write_text("a letter")
    done = rdsrv(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "no report" in done.stderr
    assert (tmp_path / "report").read_text() == "a letter"


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], ["--list"], ["--list", "--json"], ["--explain"], [*NOWHERE, "--only", "clock"]],
)
def test_output_that_can_t_be_written(args: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BINARY, "check", *args], cwd=tmp_path, env=clean_env({}), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1 and "standard output" in done.stderr


def test_utils_doctor(tmp_path: Path) -> None:
    done = rdsrv("doctor", "127.0.0.1:9", cwd=tmp_path, program="rustdesk-utils")
    assert done.returncode == 1 and "udp.register" in done.stdout and done.stdout.startswith("127.0.0.1")
    for args in (["doctor"], ["doctor", "a", "b"]):
        done = rdsrv(*args, cwd=tmp_path, program="rustdesk-utils")
        assert done.returncode == 2 and "doctor HOST" in done.stderr and done.stdout == ""


# --- what is printed ------------------------------------------------------------------------------------------------


def test_help_fits_one_screen_and_names_all(tmp_path: Path) -> None:
    done = rdsrv("check", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    for option in "host key conf json only skip timeout verbose register report compare explain list".split():
        assert f"--{option}" in done.stdout
    assert "Exit code" in done.stdout


def test_list(tmp_path: Path) -> None:
    listed = names(tmp_path)
    assert len(set(listed)) == len(listed) >= 35
    assert {"files.keys", "service.self", "listen.PORT/PROTO", "udp.register", "ws.name", "http.21114"} <= set(listed)
    done = rdsrv("check", "--list", "--json", cwd=tmp_path)
    assert [row["name"] for row in json.loads(done.stdout)] == listed


def test_json_form(lab: Lab, tmp_path: Path) -> None:
    server = lab.server("serve")
    done = rdsrv("check", "-d", server.directory, "--only", "relay,nat,clock", "--json", "--timeout", "8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert set(report) == {"ok", "host", "checks"} and report["ok"] is True and isinstance(report["host"], str)
    for check in report["checks"]:
        assert list(check) == ["name", "status", "detail", "fix", "ms"]
        assert check["status"] in ("ok", "warn", "fail", "skip") and type(check["ms"]) is int
        assert "\n" not in check["detail"] + check["fix"]
    listed = names(tmp_path)
    places = [listed.index(check["name"]) for check in report["checks"]]
    assert places == sorted(places) and len(places) >= 7


def test_json_says_what_failed(tmp_path: Path) -> None:
    done = rdsrv("check", *NOWHERE, "--only", "tcp.secure", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["ok"] is False and report["checks"][0]["status"] == "fail"
    assert report["checks"][0]["fix"]


def shown_on_a_terminal(cwd: Path, **env: str) -> str:
    """What a person sees who runs a check in a terminal."""
    main, terminal = pty.openpty()
    try:
        child = subprocess.Popen(
            [BINARY, "check", *NOWHERE, "--only", "clock,tcp.secure"],
            cwd=cwd,
            env=clean_env({"TERM": "xterm"} | env),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.DEVNULL,
        )
        os.close(terminal)
        text = b""
        try:
            while more := os.read(main, 65536):
                text += more
        except OSError:
            pass  # the other end is closed
        assert child.wait(20) == 1
    finally:
        os.close(main)
    return text.decode()


def test_colour_only_for_terminals_that_want_it(tmp_path: Path) -> None:
    assert "\033[1;31mFAIL\033[0m" in shown_on_a_terminal(tmp_path)
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "FAIL" in (text := shown_on_a_terminal(tmp_path, **env)) and "\033" not in text
    assert "\033[" in shown_on_a_terminal(tmp_path, NO_COLOR="")  # empty is unset
    assert "\033" not in rdsrv("check", *NOWHERE, "--only", "clock", cwd=tmp_path).stdout


# --- the manual -----------------------------------------------------------------------------------------------------


def tags(section: str) -> list[str]:
    """The tags of the lists in a section of the page, as a reader sees them."""
    text = re.search(rf"^\.Sh {section}$(.*?)(?=^\.Sh |\Z)", PAGE.read_text(), re.M | re.S)
    assert text, section
    return [tag.replace("\\(aq", "'").replace("\\&", "").replace(" Ns ", "") for tag in re.findall(r"^\.It (.*)$", text[1], re.M)]


def test_the_manual_has_every_name(tmp_path: Path) -> None:
    described = [re.sub(r"^Cm ", "", tag).replace("Ar ", "") for tag in tags("CHECKS")]
    assert described == names(tmp_path)


def test_the_manual_has_every_message(tmp_path: Path) -> None:
    listed = rdsrv("check", "--explain", cwd=tmp_path).stdout.splitlines()
    assert [tag.strip('"') for tag in tags("MESSAGES")] == listed


def test_the_manual_has_every_option(tmp_path: Path) -> None:
    offered = set(re.findall(r"^ .{5}--([a-z-]+)", rdsrv("check", "--help", cwd=tmp_path).stdout, re.M))
    described = {re.search(r"Fl -([a-z-]+)", tag)[1] for tag in tags("OPTIONS") if "Fl -" in tag}  # type: ignore[index]
    assert offered | {"version"} == described  # which --help leaves out everywhere


@pytest.mark.skipif(not shutil.which("mandoc"), reason="no mandoc here")
def test_the_manual_says_what_explain_says(tmp_path: Path) -> None:
    """And nothing is eaten or changed by the page's language."""
    done = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=1000", str(PAGE)], capture_output=True, text=True, check=True)
    page = re.sub(r"\s+", " ", re.sub(r".\x08", "", done.stdout).replace("’", "'"))
    for entry in json.loads(rdsrv("check", "--explain", "--json", cwd=tmp_path).stdout)["messages"]:
        for text in (entry["message"], entry["means"], entry["fix"]):
            assert text in page, text
