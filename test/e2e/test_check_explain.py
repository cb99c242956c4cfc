"""rdsrv check --explain: what messages of clients and servers mean, found by any part of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clihelp import Done, rdsrv

# The messages that people ask about most, as they have them, and the one that is to come first.
ASKED = {
    "Key mismatch": "Key mismatch",
    "ID does not exist": "ID does not exist",
    "Remote desktop is offline": "Remote desktop is offline",
    "Not ready": "Not ready. Please check your connection",
    "Connecting to the RustDesk network": "Connecting to the RustDesk network...",
    "Failed to secure tcp: deadline has elapsed": "Failed to secure tcp: deadline has elapsed",
    "Failed to secure tcp: invalid public key": "Failed to secure tcp: invalid public key",
    "Failed to connect via rendezvous server": "Failed to connect via rendezvous server",
    "Failed to connect to relay server": "Failed to connect to relay server",
    "deadline has elapsed": "deadline has elapsed",
    "Connection reset by peer": "Connection reset by peer (os error 10054)",
    "10054": "Connection reset by peer (os error 10054)",
    "not support by server yet": "not support by server yet",
    "wss://rd.example.com:21118": "WebSocket connection to wss:// on port 21118 or 21119 failed",
    "21119": "WebSocket connection to wss:// on port 21118 or 21119 failed",
    "UUID_MISMATCH": "UUID_MISMATCH",
    "Malformed private key": "Malformed private key",
    "disk I/O error": "disk I/O error",
    "address already in use": "Address already in use",
    "Found argument '-r' which wasn't expected": "Found argument '-r' which wasn't expected",
}


def explain(tmp_path: Path, *args: str) -> Done:
    return rdsrv("check", "--explain", *args, cwd=tmp_path)


def listed(tmp_path: Path) -> list[str]:
    done = explain(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def entries(done: Done) -> list[list[str]]:
    assert (done.returncode, done.stderr) == (0, "")
    return [entry.split("\n") for entry in done.stdout.rstrip("\n").split("\n\n")]


@pytest.mark.parametrize("asked", ASKED)
def test_a_message_is_explained_in_three_lines(asked: str, tmp_path: Path) -> None:
    for form in (asked, asked.upper(), f'  "{asked}". '):
        means, tell, fix = entries(explain(tmp_path, form))[0]
        assert means.startswith(ASKED[asked] + ": ")
        assert tell.startswith("  How to tell: ") and fix.startswith("  What to do: ")


def test_all_are_listed_and_each_finds_itself(tmp_path: Path) -> None:
    messages = listed(tmp_path)
    assert set(ASKED.values()) <= set(messages)
    assert len(set(messages)) == len(messages) >= 40
    for message in messages:
        assert entries(explain(tmp_path, message))[0][0].startswith(message + ": ")


def test_several_that_fit_come_best_first(tmp_path: Path) -> None:
    firsts = [entry[0] for entry in entries(explain(tmp_path, "deadline has elapsed"))]
    assert firsts[0].startswith("deadline has elapsed: ")
    assert any(first.startswith("Failed to secure tcp: deadline has elapsed: ") for first in firsts[1:])


def test_a_whole_line_of_a_log_and_words_unquoted(tmp_path: Path) -> None:
    line = "2026-01-31T00:00:00.000Z warn  no key is enforced: whoever reaches this server can use it because=x"
    assert entries(explain(tmp_path, line))[0][0].startswith("no key is enforced")
    assert entries(explain(tmp_path, "key", "mismatch"))[0][0].startswith("Key mismatch: ")


def test_json(tmp_path: Path) -> None:
    done = explain(tmp_path, "--json", "key mismatch")
    messages = json.loads(done.stdout)["messages"]
    assert done.returncode == 0 and messages[0]["message"] == "Key mismatch"
    assert set(messages[0]) == {"message", "means", "tell", "fix"}
    everything = json.loads(explain(tmp_path, "--json").stdout)["messages"]
    assert [entry["message"] for entry in everything] == listed(tmp_path)
    none = explain(tmp_path, "--json", "xyzzy")
    assert (none.returncode, json.loads(none.stdout)) == (1, {"messages": []})


@pytest.mark.parametrize("unknown", ["xyzzy", "\x1b[31mred", "..."])
def test_none_that_fits_is_one_line(unknown: str, tmp_path: Path) -> None:
    done = explain(tmp_path, unknown)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and "--explain" in done.stderr and "\x1b" not in done.stderr


def test_what_it_advises_is_there(tmp_path: Path) -> None:
    """Every check, command and option that a text names exists."""
    texts = json.dumps(json.loads(explain(tmp_path, "--json").stdout))
    advised = set(re.findall(r"--only ([a-z0-9]+(?:[.,-]+[a-z0-9]+)*)", texts))
    assert len(advised) > 20
    for names in advised:
        done = rdsrv("check", "--only", names, "--key", "k", cwd=tmp_path)
        assert done.returncode == 2 and "--key goes with --host" in done.stderr, names
    helps = {
        command: rdsrv(command, "--help", cwd=tmp_path).stdout for command in ("keygen", "export-conf", "check", "ctl")
    }
    for command, option in set(re.findall(r"rdsrv (keygen|export-conf|check|ctl) (--[a-z-]+)", texts)):
        assert option in helps[command], (command, option)
    for role, word in set(re.findall(r"rdsrv ctl (id|relay) ([a-z-]+)", texts)):
        assert re.search(rf"\b{word}\b", helps["ctl"]), (role, word)
