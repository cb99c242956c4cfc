"""Goal: hbbs's loopback console is there only where it is asked for, only for this host, and does what it says."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Callable, Iterator

import pytest

import network
from clihelp import ctl, start_as
from conftest import Lab
from polling import wait_until
from rdclient import Target, WsController, WsPeer, fresh_id, fresh_source, nat_test_tcp
from rdserver import has_ipv6_loopback
from rdwire import Result, encode, frame
from test_proxy_protocol import v1, v2

WAIT_S = 10.0
COMMANDS = {
    "relay-servers": "rs",
    "reload-geo": "rg",
    "ip-blocker": "ib",
    "ip-changes": "ic",
    "punch-requests": "pr",
    "always-use-relay": "aur",
    "test-geo": "tg",
}
FLAG = ("--loopback-console", "Y")


def connected(target: Target) -> socket.socket:
    """A connection to the NAT port."""
    sock = socket.create_connection(target.nat_port, WAIT_S)
    sock.settimeout(WAIT_S)
    return sock


def answer_of(sock: socket.socket) -> bytes:
    """All that comes until the end."""
    out = b""
    with sock, suppress(ConnectionResetError):
        while got := sock.recv(65536):
            out += got
    return out


def say(target: Target, line: str | bytes) -> str:
    """What the console says to a line, or to bytes that are sent as they are."""
    sock = connected(target)
    with suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(line.encode() + b"\n" if isinstance(line, str) else line)
    return answer_of(sock).decode()


def say_all(target: Target, data: bytes) -> bytes:
    """What comes back to bytes behind which nothing will come any more."""
    sock = connected(target)
    with suppress(BrokenPipeError, ConnectionResetError, OSError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    return answer_of(sock)


@pytest.fixture
def site(lab: Lab) -> Target:
    """An ID server with a console."""
    return lab.server("id", *FLAG).target()


# --- without and with -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("--loopback-console", "N")])
def test_without_the_flag(lab: Lab, args: tuple[str, ...]) -> None:
    """Local clients are served as ever, and text is no message."""
    server = lab.server("id", *args)
    target = server.target()
    own, seen = nat_test_tcp(target.nat_port, "127.0.0.1")
    assert own == seen
    for line in (b"h\n", b"aur Y\n"):
        assert say_all(target, line) == b""
    assert not ctl(server.directory, "id", "always-use-relay")["always_use_relay"]


def test_with_the_flag(lab: Lab) -> None:
    """Local clients get no answer on the NAT port any more, and the log says why; the other ports serve them."""
    server = lab.server("id", *FLAG)
    target = server.target()
    assert [e for e in server.events if e["level"] == "warn" and e.get("port") == target.port - 1]
    for message in (encode("TestNatRequest", serial=3), encode("TestNatRequest"), encode("OnlineRequest", peers=["1"])):
        assert say(target, frame(message)) == ""
    wait_until(lambda: server.logged("not a line of text", on="console", reason="malformed"), WAIT_S, "the log line")
    assert nat_test_tcp(target.id_port)[0] > 0
    b = lab.joined(WsPeer, target)
    a = lab.keep(WsController(target, fresh_source()))
    a.punch(b.id)
    b.expect("PunchHole")


def test_only_the_nat_port_has_it(lab: Lab, site: Target) -> None:
    """Text on the main and the WebSocket port is what it was."""
    for port in (site.id_port, site.websocket_port):
        with socket.create_connection(port, WAIT_S) as sock:
            sock.settimeout(WAIT_S)
            sock.sendall(b"h\n")
            sock.shutdown(socket.SHUT_WR)
            assert b"relay-servers" not in answer_of(sock)


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 here")
def test_ipv6_loopback(lab: Lab) -> None:
    """::1 is this host too."""
    assert "ip-blocker" in say(lab.server("id", *FLAG, hosts=["::1"]).target(), "h")


def test_hbbs_s_environment(lab: Lab) -> None:
    """The drop-in has it by the same names."""
    server = start_as(lab, "hbbs", lab.directory(), env={"RDSRV_LOOPBACK_CONSOLE": "y"})
    assert "ip-blocker" in say(server.target(), "h")


# --- strangers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosts() -> Iterator[tuple[network.Host, network.Host]]:
    """The server's host and another."""
    if not network.can_make_hosts():
        pytest.skip("network namespaces can't be made here")
    own, other = network.Host("s"), network.Host("c")
    try:
        own.create()
        other.create()
        network.connect(own, other)
        own.set_up("cable", ["10.213.8.1/24"])
        other.set_up("cable", ["10.213.8.2/24"])
        yield own, other
    finally:
        own.remove()
        other.remove()


def test_other_hosts_are_served(lab: Lab, hosts: tuple[network.Host, network.Host]) -> None:
    """Who comes from elsewhere is a client, also with a PROXY header of its own making, and gets no console."""
    own, other = hosts
    server = lab.server("id", *FLAG, hosts=None, port=21116, prefix=own.prefix)
    target = server.target("10.213.8.1")
    assert other.run(lambda: nat_test_tcp(target.nat_port))[0] > 0
    for line in (b"h\n", b"aur Y\n", v1(("127.0.0.1", 5000), ("127.0.0.1", 21115)) + b"h\n"):
        assert other.run(lambda: say_all(target, line)) == b""
    assert "ip-blocker" in own.run(lambda: say(server.target("127.0.0.1"), "h"))
    assert not ctl(server.directory, "id", "always-use-relay")["always_use_relay"]
    server.stop()


LOCAL, FAR = ("127.0.0.1", 40_000), ("203.0.113.7", 40_000)


@pytest.mark.parametrize("header", [v1, v2, None], ids=["v1", "v2", "none"])
@pytest.mark.parametrize("trusted", ["127.0.0.0/8", "192.0.2.1"])
def test_no_console_behind_a_proxy(lab: Lab, header: Callable[..., bytes] | None, trusted: str) -> None:
    """Where a proxy on this host says whom it speaks for, nobody gets the console: not whom it names, nor itself."""
    server = lab.prepare("id", *FLAG, "--trusted-proxies", trusted)
    server.args += ["--proxy-protocol", str(server.port - 1)]
    server.start()
    target = server.target()
    assert [e for e in server.events if e["level"] == "warn" and "loopback-console" in e["event"]]
    for source in (LOCAL, FAR):
        for line in (b"h\n", b"aur Y\n"):
            assert say_all(target, (header(source, ("127.0.0.1", 21115)) if header else b"") + line) == b""
    before = header(FAR, ("127.0.0.1", 21115)) if header else b""
    served = say_all(target, before + frame(encode("TestNatRequest")))
    assert bool(served) is (header is not None or trusted == "192.0.2.1")
    assert not ctl(server.directory, "id", "always-use-relay")["always_use_relay"]


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"aur\n", b"aur\r\n", b"  aur \t\n", b"aur\nrs\n", b"aur\n" * 50_000])
def test_one_line_one_answer(site: Target, line: bytes) -> None:
    """The first line is answered, then the connection ends; what comes behind it is nobody's."""
    assert say(site, line) == "always-use-relay: N\n"


def test_line_without_its_end(site: Target) -> None:
    """What is sent last, or before a pause, is a line as well."""
    sock = connected(site)
    sock.sendall(b"aur")
    sock.shutdown(socket.SHUT_WR)
    assert answer_of(sock) == b"always-use-relay: N\n"
    sock = connected(site)
    sock.sendall(b"aur")
    before = time.monotonic()
    assert answer_of(sock) == b"always-use-relay: N\n"
    assert time.monotonic() - before < 9


def test_line_in_pieces(site: Target) -> None:
    """However it is cut, it is the same line."""
    sock = connected(site)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in b"always-use-relay N\r\n":
        sock.sendall(bytes([i]))
    assert answer_of(sock) == b"always-use-relay: N\n"


NO_TEXT = [b"\xff\n", b"h\0\n", b"\x1b[2Jh\n", b"x" * 5000, b"x" * 100_000 + b"\n", bytes(3000), b"\xe4\xb8\n"]


@pytest.mark.parametrize("data", NO_TEXT, ids=lambda data: repr(data)[:20])
def test_what_is_no_line(site: Target, data: bytes) -> None:
    """What isn't text, or too long for a line, ends the connection; the console goes on."""
    assert say(site, data) == ""
    assert say(site, "aur") == "always-use-relay: N\n"


@pytest.mark.parametrize("words", ["", "foo", "H", "rsx", "help me", "%s%n", "x" * 4000])
def test_unknown_command(site: Target, words: str) -> None:
    """A line that is no command is told so."""
    answer = say(site, words)
    assert answer.count("\n") == 1 and "h lists" in answer and len(answer) < 100


def test_silent_ones_hold_nobody_up(lab: Lab, site: Target) -> None:
    """Two hundred connections that say nothing, or half a line, keep nobody from an answer; nor the server's end."""
    silent = [connected(site) for _ in range(200)]
    for sock in silent[::2]:
        with suppress(OSError):
            sock.sendall(b"au")
    assert say(site, "aur") == "always-use-relay: N\n"
    lab.registered(site)
    lab.servers[0].stop()
    for sock in silent:
        sock.close()


# --- commands ---------------------------------------------------------------------------------------------------------


def test_help_lists_all(site: Target) -> None:
    """h names every command, long and short, and each is known by both."""
    text = say(site, "h")
    lines = text.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, f"({short})"] for name, short in COMMANDS.items()]
    for names in COMMANDS.items():
        answers = {say(site, name) for name in names}
        assert len(answers) == 1 and "no such command" not in answers.pop()


def test_relay_servers(lab: Lab) -> None:
    """rs shows the relays, and sets them: the next peers are told those."""
    server = lab.server("id", *FLAG, "--relay-servers", "r1.example,r2.example:31117")
    target = server.target()
    assert say(target, "rs") == "r1.example\nr2.example:31117\n"
    assert say(target, "relay-servers other.example, r3.example | 127.0.0.0/8=near.example") == (
        "other.example\nr3.example\n"
    )
    b = lab.registered(target)
    for told in ("other.example", "near.example"):
        a = lab.controller(target)
        a.punch(b.id)
        assert b.expect_hole("PunchHole", a)["relay_server"] == told
    assert [one["name"] for one in ctl(server.directory, "id", "relays")["relays"]] == ["other.example", "r3.example"]
    wait_until(lambda: server.logged("setting changed", setting="relay-servers"), WAIT_S, "the log line")
    assert server.logged("setting changed", setting="relay-servers")[0]["from"] == "console"
    assert "relay-servers takes" in say(target, "rs http://x") and say(target, "rs") == "other.example\nr3.example\n"


def test_always_use_relay(lab: Lab, site: Target) -> None:
    """aur shows and sets, networks too."""
    b = lab.registered(site)
    for value, shown, forced in (
        ("Y", "Y", True),
        ("n", "N", False),
        ("127.0.0.0/8, fd00::/8", "127.0.0.0/8, fd00::/8", True),
        ("N", "N", False),
    ):
        assert say(site, f"aur {value}") == f"always-use-relay: {shown}\n"
        assert say(site, "always-use-relay") == f"always-use-relay: {shown}\n"
        a = lab.controller(site)
        a.punch(b.id)
        assert b.expect_hole("PunchHole", a)["force_relay"] is forced
    assert "takes Y or N" in say(site, "aur perhaps") and say(site, "aur") == "always-use-relay: N\n"


def test_punch_requests(lab: Lab, site: Target) -> None:
    """pr counts the attempts, shows ten from where one says, newest first, and clears them."""
    assert say(site, "pr") == "0\n"
    ids = [fresh_id() for _ in range(13)]
    a = lab.controller(site)
    for peer_id in ids:
        a.punch(peer_id)
        a.expect("PunchHoleResponse")
    newest_first = ids[::-1]
    for words, shown in (("pr", newest_first[:10]), ("pr 2", newest_first[2:12]), ("pr 12", ids[:1]), ("pr 13", [])):
        count, *lines = say(site, words).splitlines()
        assert count == "13" and len(lines) == len(shown)
        for line, peer_id in zip(lines, shown):
            assert f"{a.local[0]}:{a.local[1]} -> {peer_id} " in line and line.endswith(": id-unknown")
    assert "Expected" in say(site, "pr x")
    assert say(site, "pr 12 -").splitlines()[0] == "13"
    assert say(site, "pr") == "0\n"
    a.punch(ids[0])
    a.expect("PunchHoleResponse")
    assert say(site, "pr -").splitlines()[0] == "1" and say(site, "punch-requests") == "0\n"


def test_ip_blocker(lab: Lab) -> None:
    """ib counts the addresses that registered, shows them, and lets one that is over its limit start anew."""
    target = lab.server("id", *FLAG, "--limit-register-minute", "3").target()
    assert say(target, "ib") == "0\n"
    source = fresh_source()
    peers = [lab.peer(target, source=source) for _ in range(5)]
    assert [b.register_pk() for b in peers] == [Result.OK] * 3 + [Result.TOO_FREQUENT] * 2
    others = [lab.registered(target).source for _ in range(11)]
    one = f"{source} 3 registrations in a minute, 3 ids in a day"
    assert say(target, f"ib {source}") == f"12\n{one}\n"
    count, *lines = say(target, "ib").splitlines()
    assert count == "12" and [line.split()[0] for line in lines] == others[:0:-1]
    assert say(target, "ib 10").splitlines() == ["12", f"{others[0]} 1 registrations in a minute, 1 ids in a day", one]
    assert peers[4].register_pk() is Result.TOO_FREQUENT
    assert say(target, f"ip-blocker {source} -") == f"12\n{one}\n"
    assert say(target, f"ib {source}") == "11\n"
    assert peers[4].register_pk() is Result.OK
    assert "Expected" in say(target, "ib 999.1.1.1")


@pytest.mark.parametrize(
    "line, words", [("ic", "ctl id peer"), ("ic 123456789 -", "not kept"), ("rg", "no geo data"), ("tg 1.2.3.4", "no geo")]
)
def test_what_is_not_there_is_said_so(site: Target, line: str, words: str) -> None:
    """What this server doesn't keep is told in one line, with what there is instead."""
    answer = say(site, line)
    assert words in answer and answer.count("\n") == 1


def test_hostile_ids_are_shown_harmlessly(lab: Lab, site: Target) -> None:
    """Control characters in an id that somebody asked for reach nobody's terminal."""
    a = lab.controller(site)
    a.punch(b"\x1b[2J\n\xff\"")
    a.expect("PunchHoleResponse")
    answer = say(site, "pr")
    assert answer.count("\n") == 2 and "\x1b" not in answer
