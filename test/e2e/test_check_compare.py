"""rdsrv check --report at the server and --compare elsewhere: the likely cause, and files that are no report."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from conftest import Lab
from localcheck import STEP_S
from network import SERVER_4, Hosts
from polling import in_one_of
from rdserver import Server, run_rdsrv
from test_check_network import PORT, dropped
from test_check_play import PLAYED, played

ONLY = ("--only", ",".join(PLAYED))
PATIENT = ("--timeout", str(STEP_S))
QUICK = ("--timeout", "1")  # where something is dropped; a busy machine may need another try
Compare = Callable[..., dict[str, Any]]


def report_of(server: Server, path: Path, *args: str) -> dict[str, Any]:
    """What a check at the server writes for --compare, on top of what it prints."""
    played("--data-dir", str(server.directory), *ONLY, "--report", str(path), *args, prefix=tuple(server.prefix))
    report: dict[str, Any] = json.loads(path.read_text())
    return report


@pytest.fixture
def server(hosts: Hosts, lab: Lab) -> Iterator[Server]:
    yield lab.server("serve", hosts=None, port=PORT, prefix=hosts.server.prefix)
    lab.close_clients()


@pytest.fixture
def report(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    assert report_of(server, path)["ok"] is True
    return path


@pytest.fixture
def compared(hosts: Hosts, server: Server, report: Path) -> Compare:
    def compare(*args: str) -> dict[str, Any]:
        """A check from the other host; the results of its comparison by name."""
        results = played(
            "--host", SERVER_4[0], "--key", server.key, "--register", *(args or ONLY), "--compare", str(report),
            prefix=tuple(hosts.clients.prefix),
        )  # fmt: skip
        return {name: check for name, check in results.items() if name.startswith("compare.")}

    return compare


def test_where_all_works_nothing_is_found(compared: Compare) -> None:
    found = compared()
    assert {name: check["status"] for name, check in found.items()} == {"compare.all": "ok"}
    assert f"{len(PLAYED)} checks" in found["compare.all"]["detail"]


def test_only_and_skip(compared: Compare) -> None:
    """What is left out on one side is not compared, and the comparison itself is not left out."""
    assert "1 checks" in compared("--only", "relay.tcp")["compare.all"]["detail"]
    assert compared(*ONLY, "--skip", "compare") == {}


@pytest.mark.parametrize(
    "rule, name, says",
    [
        ("udp dport 21116", "compare.udp", "UDP 21116"),
        ("tcp dport 21115", "compare.tcp", "21115"),
        ("tcp dport 21117", "compare.tcp", "21117 (relay.tcp)"),
        ("tcp dport { 21118, 21119 }", "compare.tcp", "21118 (ws.register), 21119 (relay.ws)"),
    ],
)
def test_what_a_firewall_drops(hosts: Hosts, compared: Compare, rule: str, name: str, says: str) -> None:

    def finds() -> None:
        found = compared(*ONLY, *QUICK)
        assert set(found) == {name, "compare.all"}, found
        assert found[name]["status"] == "fail" and says in found[name]["detail"] and "open" in found[name]["fix"]

    with dropped(hosts.server, rule):
        in_one_of(3, finds)
    assert set(compared()) == {"compare.all"}


def test_nothing_gets_through(hosts: Hosts, compared: Compare, report: Path) -> None:
    """In one network it is the router that is asked; from elsewhere the way to the server."""
    with dropped(hosts.server, "ip saddr 10.213.7.0/24"):
        assert set(compared(*ONLY, *QUICK)) == {"compare.hairpin", "compare.all"}
        told = json.loads(report.read_text())
        assert SERVER_4[0] in told["addresses"]
        report.write_text(json.dumps(told | {"addresses": ["192.168.77.1"]}))
        found = compared(*ONLY, *QUICK)
    assert set(found) == {"compare.host", "compare.all"}
    for port in range(21115, 21120):
        assert str(port) in found["compare.host"]["fix"]


def test_another_key_is_no_firewall(compared: Compare) -> None:
    found = compared(*ONLY, "--key", "4Rl3uMhHAa5ZvjWfuU9cKSuTzPJVYg3dmmGyDJbIgOE=")
    assert "compare.tcp" not in found and "relay.tcp" in found["compare.other"]["detail"], found


def test_what_fails_at_the_server_itself(hosts: Hosts, server: Server, compared: Compare, report: Path) -> None:

    def finds() -> None:
        report_of(server, report, *QUICK)
        found = compared(*ONLY, *QUICK)
        assert set(found) == {"compare.server", "compare.all"}, found
        assert "relay.tcp" in found["compare.server"]["detail"]

    with dropped(hosts.server, "tcp dport 21117"):
        in_one_of(3, finds)


# --- files ----------------------------------------------------------------------------------------------------------


def refused(path: Path | str, cwd: Path) -> str:
    done = run_rdsrv("check", "--host", "127.0.0.1:9", "--compare", str(path), cwd=cwd)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[]", "{}", '{"checks": []}', '{"checks": [{"name": "nat"}]}', "[" * 100_000, "\0", '"\x1b[31m"'],
)
def test_a_file_that_is_no_report(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert "no report" in (said := refused(path, tmp_path)) and "--report" in said and str(path) in said


def test_a_report_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"report": 2, "ok": true, "host": "x", "checks": []}')
    assert "another version" in refused(path, tmp_path)


def test_a_file_that_is_far_too_long(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(" " * (4 << 20) + " ")
    assert "too long for a report" in refused(path, tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere" in refused("nowhere", tmp_path)
    assert str(tmp_path) in refused(tmp_path, tmp_path)


def test_what_is_written(lab: Lab, tmp_path: Path) -> None:
    """The report holds what --json prints, may be read by others and is replaced as a whole."""
    server = lab.server("serve")
    path = tmp_path / "report.json"
    path.write_text('{"report": 1, "ok": true, "host": "old", "checks": [{"name": "nat", "status": "ok", "detail": "", "fix": "", "ms": 1}]}')
    done = run_rdsrv(
        *("check", "-d", str(server.directory), *PATIENT, "--only", "relay.tcp,nat", "--json", "--report", str(path)),
        cwd=tmp_path,
    )
    printed, written = json.loads(done.stdout), json.loads(path.read_text())
    assert {key: written[key] for key in printed} == printed and written["report"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == ["data", "report.json"]
    # What was printed does as well.
    path.write_text(done.stdout)
    again = run_rdsrv("check", "-d", str(server.directory), *PATIENT, "--only", "nat", "--compare", str(path), cwd=tmp_path)
    assert again.returncode == 0 and "compare.all" in again.stdout


def test_hostile_reports(lab: Lab, tmp_path: Path) -> None:
    """What a report says is shown without its control bytes, and cut where it is too long."""
    server = lab.server("serve")
    path = tmp_path / "report.json"
    evil = {"name": "docker", "status": "warn", "detail": "\x1b[31m" + "x" * 5000, "fix": "\x07" * 5000}
    other = {"name": "\x1b" * 500, "status": "fail", "detail": "", "fix": "\n" * 3000}
    path.write_text(json.dumps({"checks": [evil, other] * 50, "addresses": [1, "\x1b", None]}))
    done = run_rdsrv("check", "-d", str(server.directory), *PATIENT, "--only", "nat", "--compare", str(path), cwd=tmp_path)
    assert done.returncode == 1 and "compare.gateway" in done.stdout and "compare.server" in done.stdout
    assert all(c == "\n" or c.isprintable() for c in done.stdout + done.stderr)
