"""Goal: hbbr's loopback console is there only where it is asked for, and does what it says."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from clihelp import WAIT_S, ctl
from conftest import Lab
from rdclient import assert_joined, fresh_uuid
from rdserver import Server

FLAG = ("--loopback-console", "Y")
LISTS = {"blocklist": ("B", "blocklist.txt"), "blacklist": ("b", "blacklist.txt")}
LIMITS = {
    "single-bandwidth": "sb",
    "total-bandwidth": "tb",
    "limit-speed": "ls",
    "downgrade-threshold": "dt",
    "downgrade-start-check": "t",
}


def say(server: Server, line: str) -> str:
    """What the console says to a line."""
    with socket.create_connection(server.target().relay_port, WAIT_S) as sock:
        sock.sendall(line.encode() + b"\n")
        out = b""
        while got := sock.recv(65536):
            out += got
        return out.decode()


def lines(server: Server, name: str) -> list[str]:
    return (Path(server.directory) / name).read_text().splitlines()


def test_no_console_without_the_flag(lab: Lab) -> None:
    """A local client is a client."""
    server = lab.server("relay")
    target, uuid = server.target(), fresh_uuid()
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))


def test_help_names_every_command(lab: Lab) -> None:
    """h lists all commands, each with its short form."""
    told = say(lab.server("relay", *FLAG), "h")
    names = {f"{name}{end}" for name in LISTS for end in ("", "-add", "-remove")} | set(LIMITS) | {"usage"}
    assert {line.split()[0] for line in told.splitlines() if line} == names
    assert all(f"({short})" in told for short in LIMITS.values())


def test_unknown_command(lab: Lab) -> None:
    """Another word gets a pointer to h."""
    assert "h lists them" in say(lab.server("relay", *FLAG), "reboot")


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("shortly", [False, True])
def test_lists(lab: Lab, name: str, shortly: bool) -> None:
    """Addresses are added, looked up, shown and removed, in the file as well."""
    server = lab.server("relay", *FLAG)
    letter, file = LISTS[name]
    words = [letter, f"{letter}a", f"{letter}r"] if shortly else [name, f"{name}-add", f"{name}-remove"]
    show, add, remove = words
    say(server, f"{add} 192.0.2.1|198.51.100.0/24")
    assert lines(server, file) == ["192.0.2.1", "198.51.100.0/24"]
    assert "192.0.2.1" in say(server, show) and "198.51.100.0/24" in say(server, show)
    assert [say(server, f"{show} {ip}").strip() for ip in ("198.51.100.9", "192.0.2.2")] == ["true", "false"]
    say(server, f"{remove} 192.0.2.1")
    assert lines(server, file) == ["198.51.100.0/24"]
    say(server, f"{remove} all")
    assert lines(server, file) == [] and say(server, show).strip() == ""
    assert "here" in say(server, f"{add} here") and lines(server, file) == []


@pytest.mark.parametrize("name", LIMITS)
def test_limits(lab: Lab, name: str) -> None:
    """A limit is shown and set; a bad value is refused in words."""
    server = lab.server("relay", *FLAG)
    value = "0.5" if name == "downgrade-threshold" else "7"
    assert say(server, f"{LIMITS[name]} {value}").strip() == value
    assert say(server, name).strip() == value
    assert ctl(server.directory, "relay", "limits")[name] == value
    assert name in say(server, f"{name} x")
    assert say(server, name).strip() == value


def test_usage_of_nothing(lab: Lab) -> None:
    """Without sessions there are no lines."""
    assert say(lab.server("relay", *FLAG), "u").strip() == ""
