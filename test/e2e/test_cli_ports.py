"""Goal: a role listens on the ports that follow from -p, on those that are set, and on none that is off."""

from __future__ import annotations

from pathlib import Path

import pytest

from clihelp import ROLE_OF, Place, as_name, assert_refused, can_connect, free_place, names_in, settings, start_as
from conftest import Lab
from rdclient import Target

PORTS = ("port", "nat-port", "relay-port", "websocket-port", "relay-websocket-port")


def ports(role: str, *args: str, cwd: Path, env: dict[str, str] = {}) -> list[str]:
    """The five ports in the order of PORTS."""
    found = settings(role, *args, cwd=cwd, env=env)
    return [found[name].value for name in PORTS]


@pytest.mark.parametrize("role", ["serve", "id", "hbbs"])
@pytest.mark.parametrize(
    "args, want",
    [
        ("", "21116 21115 21117 21118 21119"),
        ("-p 30000", "30000 29999 30001 30002 30003"),
        ("--relay-port 40000", "21116 21115 40000 21118 40002"),
        ("--nat-port 40000", "21116 40000 21117 21118 21119"),
        ("-p 30000 --relay-port 40000 --nat-port 40001", "30000 40001 40000 30002 40002"),
        ("--websocket-port 443", "21116 21115 21117 443 21119"),
        ("--relay-websocket-port 80 -p 30000", "30000 29999 30001 30002 80"),
        ("--nat-port off", "21116 off 21117 21118 21119"),
        ("--websocket-port off --relay-websocket-port off", "21116 21115 21117 off off"),
    ],
)
def test_ports_follow(tmp_path: Path, role: str, args: str, want: str) -> None:
    """The other ports follow port, and the relay's WebSocket port relay-port, unless set or off."""
    assert ports(role, *args.split(), cwd=tmp_path) == want.split()


@pytest.mark.parametrize("role", ["relay", "hbbr"])
def test_p_of_a_relay(tmp_path: Path, role: str) -> None:
    """-p of a relay is its own port, and goes before PORT; the relay's WebSocket port follows."""
    for env in ({}, {"PORT": "30000"}):
        found = ports(role, "-p", "40000", cwd=tmp_path, env=env)
        assert (found[2], found[4]) == ("40000", "40002")


@pytest.mark.parametrize("role", ROLE_OF)
@pytest.mark.parametrize("is_file", [False, True], ids=["environment", ".env"])
def test_port_means_the_id_servers(tmp_path: Path, role: str, is_file: bool) -> None:
    """PORT is the ID server's for every role: hbbr takes the next one."""
    (tmp_path / ".env").write_text("PORT=30000\n" if is_file else "")
    found = ports(role, cwd=tmp_path, env={} if is_file else {"PORT": "30000"})
    assert found == ["30000", "29999", "30001", "30002", "30003"]


def open_ports(place: Place) -> list[int]:
    """Which ports from port - 1 to port + 3 somebody listens on, as differences to port."""
    return [n for n in range(-1, 4) if can_connect(place.host, place.port + n)]


@pytest.mark.parametrize("is_file", [False, True], ids=["environment", ".env"])
def test_hbbs_and_hbbr_by_port(lab: Lab, is_file: bool) -> None:
    """hbbs and hbbr that are told PORT and BIND by the environment alone are a pair that works."""
    here, place = lab.directory(), free_place()
    told = {"PORT": str(place.port), "BIND": place.host}
    (here / ".env").write_text("".join(f"{name}={value}\n" for name, value in told.items()) if is_file else "")
    for name in ("hbbs", "hbbr"):
        start_as(lab, name, here, env={} if is_file else told, bare=True, **place.for_role())
    assert open_ports(place) == [-1, 0, 1, 2, 3]
    lab.registered(Target(*place, ""))


@pytest.mark.parametrize("name", ["hbbr", "relay"])
@pytest.mark.parametrize("flag", ["-p{}", "-p {}", "-p={}", "--relay-port {}"])
def test_relay_listens_on_p(lab: Lab, name: str, flag: str) -> None:
    """-p M of a relay makes it listen on M and M + 2, and nowhere else."""
    place = free_place()
    args = ("--bind", place.host, *flag.format(place.port).split())
    start_as(lab, name, lab.directory(), *args, bare=True, **place.for_role())
    assert open_ports(place) == [0, 2]


def test_hbbr_port(lab: Lab) -> None:
    """hbbr has a flag --port of old, which is its own port."""
    place = free_place()
    args = ("--bind", place.host, "--port", str(place.port))
    start_as(lab, "hbbr", lab.directory(), *args, bare=True, **place.for_role())
    assert open_ports(place) == [0, 2]


def test_ports_that_are_off(lab: Lab) -> None:
    """A port that is off isn't listened on; the others are."""
    off = [word for name in ("nat-port", "websocket-port", "relay-websocket-port") for word in (f"--{name}", "off")]
    server = lab.server("serve", *off)
    assert open_ports(Place(server.host, server.port)) == [0, 1]


def test_set_ports_are_listened_on(lab: Lab) -> None:
    """nat-port and relay-port that are set are where the server listens, instead of those that would follow."""
    place = free_place()
    args = ("--nat-port", str(place.port + 2), "--relay-port", str(place.port + 3), "--websocket-port", "off")
    start_as(lab, "serve", lab.directory(), *args, **place.for_role())
    assert open_ports(place) == [0, 2, 3]


@pytest.mark.parametrize(
    "args, names",
    [
        ("--nat-port 21116", ("port", "nat-port")),
        ("--relay-port 21116", ("port", "relay-port")),
        ("--relay-port 21115", ("nat-port", "relay-port")),
        ("--nat-port 21117", ("nat-port", "relay-port")),
        ("--websocket-port 21116", ("port", "websocket-port")),
        ("--websocket-port 21117", ("websocket-port", "relay-port")),
        ("-p 30000 --nat-port 40000 --relay-port 40000", ("nat-port", "relay-port")),
    ],
)
def test_equal_ports(tmp_path: Path, args: str, names: tuple[str, str]) -> None:
    """Two equal ports of one server are an error that names both, before anything is opened."""
    assert_refused(as_name("serve", *args.split(), "--test-config", cwd=tmp_path), 2, *names)
    assert_refused(as_name("serve", *args.split(), cwd=tmp_path), 2, *names)
    assert not names_in(tmp_path)


def test_two_ports_off_are_not_equal(tmp_path: Path) -> None:
    """off isn't a port number."""
    args = ("--nat-port", "off", "--websocket-port", "off", "--relay-websocket-port", "off")
    assert ports("serve", *args, cwd=tmp_path)[1] == "off"


@pytest.mark.parametrize("args", ["--port 65534", "--port 1", "--relay-port 65534", "--relay-port 65535"])
def test_no_port_follows_out_of_bounds(tmp_path: Path, args: str) -> None:
    """A port from which another one would follow that there isn't is refused, or that one is off."""
    done = as_name("serve", *args.split(), "--test-config", cwd=tmp_path)
    assert done.returncode in (0, 2)
    if done.returncode == 0:
        values = ports("serve", *args.split(), cwd=tmp_path)
        assert all(value == "off" or 0 < int(value) < 65536 for value in values)
