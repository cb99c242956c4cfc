"""Goal: relays that don't bring two sides together leave the rotation and come back, and the administrator sees why."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import rdwire
from clihelp import PAIR, PUBLIC, ctl, needs_system, place_pair, rdsrv
from conftest import Lab
from polling import wait_until
from rdclient import UdpPeer, assert_joined, fresh_source, fresh_uuid
from rdserver import Server, has_ipv6_loopback

KEY = PAIR[PUBLIC]
OTHER_KEY = rdwire.key_text(bytes(range(32)))
PROBED_S = 15.0  # two probes that get no answer
EVERY_SECOND = ("--relay-probe", "1")

Serve = Callable[[socket.socket], None]


class Listener:
    """A TCP port where each connection is dealt with in a thread of its own, and kept open until the end."""

    def __init__(self, serve: Serve = lambda sock: None) -> None:
        self.sock = socket.create_server((fresh_source(), 0))
        self.taken: list[socket.socket] = []
        self._serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def name(self) -> str:
        return "%s:%d" % self.sock.getsockname()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self.taken.append(self.sock.accept()[0])
                threading.Thread(target=self._serve_one, args=(self.taken[-1],), daemon=True).start()

    def _serve_one(self, sock: socket.socket) -> None:
        with suppress(OSError):
            self._serve(sock)

    def close(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)
        for sock in (self.sock, *self.taken):
            sock.close()


@pytest.fixture
def listen(lab: Lab) -> Iterator[Callable[..., Listener]]:
    """Makes listeners, which go when the servers have ended."""
    made: list[Listener] = []

    def make(serve: Serve = lambda sock: None) -> Listener:
        made.append(Listener(serve))
        return made[-1]

    yield make
    lab.end()
    for listener in made:
        listener.close()


def echo(sock: socket.socket) -> None:
    while data := sock.recv(4096):
        sock.sendall(data)


def echo_what_follows(sock: socket.socket) -> None:
    """The first message is for the server, what comes behind it is sent back: each side is paired with itself."""
    reader = rdwire.FrameReader()
    while reader.next() is None:
        reader.feed(sock.recv(4096))
    sock.sendall(bytes(reader.rest))
    echo(sock)


def speak_http(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def speak_ssh(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def refused_name() -> str:
    """A port at which nobody listens."""
    with socket.create_server((fresh_source(), 0)) as sock:
        return "%s:%d" % sock.getsockname()


def relay(lab: Lab, name: str = "relay", key: str = KEY, **options: Any) -> Server:
    return lab.server("relay", "-k", key, directory=lab.directory(name), **options)


def name_of(server: Server) -> str:
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{host}:{server.port + 1}"


def id_server(lab: Lab, names: list[str], *args: str, **options: Any) -> Server:
    """An ID server with the pair whose public key relays are given."""
    place_pair(lab.directory("id"))
    args = ("-r", ",".join(names), *(EVERY_SECOND if "--relay-probe" not in args else ()), *args)
    return lab.server("id", *args, directory=lab.directory("id"), **options)


def health(server: Server, *new_list: str) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in ctl(server.directory, "id", "relays", *new_list)["relays"]}


def wait_for(server: Server, **states: str) -> dict[str, dict[str, Any]]:
    """Waits until the relays are in these states; the health of all."""

    def seen() -> dict[str, dict[str, Any]] | None:
        now = health(server)
        return now if all(now[name]["state"] == state for name, state in states.items()) else None

    return wait_until(seen, PROBED_S, f"{states}, but {health(server)}")


def proposed(lab: Lab, server: Server, b: UdpPeer, count: int = 8) -> set[str]:
    """The relays that so many punches hand out."""
    names = set()
    for _ in range(count):
        a = lab.controller(server.target())
        a.punch(b.id)
        names.add(b.expect_hole("PunchHole", a)["relay_server"])
    return names


def seconds(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def logged(server: Server, event: str, name: str) -> list[dict[str, Any]]:
    return server.logged(event, relay=name)


# --- rotation ---------------------------------------------------------------------------------------------------------


def test_killed_relay_leaves_and_comes_back(lab: Lab) -> None:
    """A relay that is killed isn't handed out any more; started again, it is."""
    one, two = relay(lab, "one"), relay(lab, "two")
    first, second = name_of(one), name_of(two)
    server = id_server(lab, [first, second])
    b = lab.registered(server.target())
    seen = wait_for(server, **{first: "alive", second: "alive"})
    assert all(item["round_trip_ms"] > 0 and item["since"] and not item["why"] for item in seen.values())
    assert proposed(lab, server, b) == {first, second}
    one.kill()
    assert "refused" in wait_for(server, **{first: "dead"})[first]["why"]
    assert proposed(lab, server, b) == {second}
    one.restarted()
    assert wait_for(server, **{first: "alive", second: "alive"})[first]["why"] == ""
    assert proposed(lab, server, b) == {first, second}
    assert [len(logged(server, f"relay is {state}", first)) for state in ("alive", "dead")] == [2, 1]
    assert logged(server, "relay is dead", first)[0]["handed_out"] == "no"
    assert len(logged(server, "relay is alive", second)) == 1 and not logged(server, "relay is dead", second)


def test_what_is_no_relay(lab: Lab, listen: Callable[..., Listener]) -> None:
    """Whatever doesn't bring two sides together is dead, and it is said how far a probe came."""
    stranger = relay(lab, "stranger", OTHER_KEY)
    expected = {
        listen().name: "connected, but no answer",
        listen(lambda sock: sock.close()).name: "another key, or full?",
        listen(echo).name: "no relay",
        listen(echo_what_follows).name: "no relay",
        listen(speak_http).name: "no relay",
        listen(speak_ssh).name: "no relay",
        name_of(stranger): "another key, or full?",
        refused_name(): "refused",
        "relay.invalid:31117": "does not resolve",
    }
    good = name_of(relay(lab))
    server = id_server(lab, [*expected, good])
    wait_for(server, **{name: "dead" for name in expected}, **{good: "alive"})
    as_expected = lambda: all(why in health(server)[name]["why"] for name, why in expected.items())
    wait_until(as_expected, PROBED_S, f"{expected}, but {health(server)}")
    status = server.status()
    assert (status["relays"], status["relays_alive"], status["relays_dead"]) == (len(expected) + 1, 1, len(expected))
    assert proposed(lab, server, lab.registered(server.target())) == {good}
    warned = [event["relay"] for event in server.logged("relay is dead")]
    assert sorted(warned) == sorted(expected)


def test_all_dead_are_handed_out(lab: Lab) -> None:
    """Where no relay is alive, all are handed out: clients may reach what the server can't."""
    names = [refused_name(), refused_name()]
    server = id_server(lab, names)
    wait_for(server, **{name: "dead" for name in names})
    assert proposed(lab, server, lab.registered(server.target())) == set(names)
    wait_until(lambda: len(server.logged("relay is dead")) == 2, PROBED_S, "both in the log")
    assert sorted(event["handed_out"][:3] for event in server.logged("relay is dead")) == ["no", "yes"]


def test_only_relay_is_probed_and_handed_out(lab: Lab) -> None:
    """A single relay is always handed out; whether it is alive is logged and shown."""
    name = refused_name()
    server = id_server(lab, [name])
    wait_for(server, **{name: "dead"})
    assert proposed(lab, server, lab.registered(server.target())) == {name}
    assert len(logged(server, "relay is dead", name)) == 1


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6")
def test_relay_at_an_ipv6_address(lab: Lab) -> None:
    """A relay is probed over IPv6 where that is its address."""
    name = name_of(relay(lab, hosts=["::1"]))
    wait_for(id_server(lab, [name]), **{name: "alive"})


@pytest.mark.parametrize("args", [(), ("--relay-only-issued", "on")], ids=["any", "issued"])
def test_serve_probes_its_own_relay(lab: Lab, args: tuple[str, ...]) -> None:
    """Both roles in one process: the ID server probes the relay beside it, also one that pairs only what it knows."""
    server = lab.prepare("serve", *EVERY_SECOND, *args)
    name = name_of(server)
    server.args += ["-r", name]
    wait_for(server.start(), **{name: "alive"})


def test_relay_without_a_key(lab: Lab) -> None:
    """Where nobody enforces a key, probes pass too."""
    name = name_of(relay(lab, key=""))
    wait_for(id_server(lab, [name], "-k", ""), **{name: "alive"})


# --- manners ----------------------------------------------------------------------------------------------------------


class HalfRelay:
    """Pairs by uuid as a relay does, for one probe after the other, and notes what came."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.ended = 0
        self._first: tuple[socket.socket, rdwire.FrameReader] | None = None
        self._lock = threading.Lock()

    def serve(self, sock: socket.socket) -> None:
        reader = rdwire.FrameReader()
        while (payload := reader.next()) is None:
            reader.feed(sock.recv(4096))
        with self._lock:
            self.requests.append(rdwire.decode(payload).fields)
            first, self._first = self._first, None if self._first else (sock, reader)
        if first is not None:
            self._carry(sock, bytes(reader.rest), first[0])

    def _carry(self, second: socket.socket, early: bytes, first: socket.socket) -> None:
        first.sendall(early)
        for sock in (first, second):
            while data := sock.recv(4096):
                assert sock is second
                first.sendall(data)
            self.ended += 1


def test_probe_is_a_polite_client(lab: Lab, listen: Callable[..., Listener]) -> None:
    """Two connections with one fresh uuid and the clients' key; both are closed when the bytes have arrived."""
    half = HalfRelay()
    listener = listen(half.serve)
    server = id_server(lab, [listener.name])
    wait_for(server, **{listener.name: "alive"})
    wait_until(lambda: half.ended >= 6, PROBED_S, "three probes")
    uuids = [request["uuid"] for request in half.requests[:6]]
    assert uuids[::2] == uuids[1::2] and len(set(uuids)) == 3
    assert all(uuid.startswith("rdsrv-probe-") and len(uuid) == len(fresh_uuid()) for uuid in uuids)
    assert {request["licence_key"] for request in half.requests} == {KEY}


def test_probes_are_no_sessions_in_the_relay_s_log(lab: Lab) -> None:
    """Probes are counted by themselves, and logged for debugging only; what merely looks like one isn't."""
    station = relay(lab, log_level="info")
    name = name_of(station)
    wait_for(id_server(lab, [name]), **{name: "alive"})
    wait_until(lambda: station.status()["probes"] >= 2, PROBED_S, "probes in the status")
    assert station.status()["sessions_ended"] == 0 and not station.logged("session ended")
    uuid = "rdsrv-probe-" + fresh_uuid()
    sides = [lab.relay_side(station.target(key=KEY)).join(uuid, KEY) for _ in range(2)]
    assert_joined(*sides)
    for side in sides:
        side.close()
    wait_until(lambda: station.logged("session ended"), PROBED_S, "the session's end")
    assert station.status()["sessions_ended"] == 1


def test_probes_leave_no_descriptors(lab: Lab, listen: Callable[..., Listener]) -> None:
    """Probes of all kinds leave nothing open."""
    names = [name_of(relay(lab)), listen(lambda sock: sock.close()).name, refused_name()]
    server = id_server(lab, names, "--log-level", "debug")
    fds = Path(f"/proc/{server.pid}/fd")

    def probes() -> int:
        return len(server.logged("relay probed"))

    def fewest() -> int:
        return min(len(list(fds.iterdir())) for _ in range(20))

    wait_until(lambda: probes() >= 6, PROBED_S, "the first probes")
    before = fewest()
    wait_until(lambda: probes() >= 20, PROBED_S, "more probes")
    wait_until(lambda: fewest() <= before, PROBED_S, f"{before} descriptors, but {fewest()}")


# --- changes while it runs --------------------------------------------------------------------------------------------


def set_relays(server: Server, *names: str) -> dict[str, Any]:
    return health(server, ",".join(names))


def test_list_changes_while_probes_run(lab: Lab, listen: Callable[..., Listener]) -> None:
    """A relay that stays keeps its state, a new one is probed, one that is gone is forgotten with its probe."""
    silent, good, refused = listen(), name_of(relay(lab)), refused_name()
    server = id_server(lab, [silent.name, refused, good])
    before = wait_for(server, **{refused: "dead", good: "alive"})
    wait_until(lambda: silent.taken, PROBED_S, "a probe under way")
    other = name_of(relay(lab, "other"))
    after = set_relays(server, other, refused)
    assert list(after) == [other, refused]
    assert after[refused]["state"] == "dead"
    assert abs(seconds(after[refused]["since"]) - seconds(before[refused]["since"])) <= 1
    wait_for(server, **{other: "alive"})
    assert proposed(lab, server, lab.registered(server.target())) == {other}
    set_relays(server, silent.name)
    assert wait_for(server, **{silent.name: "dead"}).keys() == {silent.name}


def test_first_relay_comes_while_it_runs(lab: Lab) -> None:
    """A server that had no relay to probe begins when it is told one."""
    name = name_of(relay(lab))
    server = id_server(lab, [])
    set_relays(server, name)
    wait_for(server, **{name: "alive"})


def test_list_changes_faster_than_probes(lab: Lab, listen: Callable[..., Listener]) -> None:
    """Lists that come and go while every probe hangs harm nobody."""
    silent = [listen().name for _ in range(3)]
    good = name_of(relay(lab))
    server = id_server(lab, silent)
    for i in range(60):
        set_relays(server, silent[i % 3], silent[(i + 1) % 3], good)
    wait_for(server, **{good: "alive"})


def test_reload(lab: Lab) -> None:
    """SIGHUP takes over relays and how often they are probed; 0 ends it, and all are handed out again."""
    good, refused = name_of(relay(lab)), refused_name()
    conf = lab.tmp_path / "id.conf"
    conf.write_text(f"relay-servers = {good}\nrelay-probe = 1\n")
    place_pair(lab.directory("id"))
    server = lab.server("id", "--config", str(conf), directory=lab.directory("id"))
    b = lab.registered(server.target())
    wait_for(server, **{good: "alive"})
    conf.write_text(f"relay-servers = {refused}, {good}\nrelay-probe = 2\n")
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: len(health(server)) == 2, PROBED_S, "the new list")
    wait_for(server, **{good: "alive", refused: "dead"})
    assert proposed(lab, server, b) == {good}
    conf.write_text(f"relay-servers = {refused}, {good}\nrelay-probe = 0\n")
    os.kill(server.pid, signal.SIGHUP)
    wait_for(server, **{good: "not probed", refused: "not probed"})
    assert proposed(lab, server, b) == {good, refused}


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "3601", "", "3 s"])
def test_bad_interval(tmp_path: Path, value: str) -> None:
    """A value that is no number of seconds is one line and exit 2."""
    done = rdsrv("id", "--data-dir", tmp_path, "--relay-probe", value, cwd=tmp_path)
    assert done.returncode == 2 and "relay-probe" in done.stderr


def test_without_probes(lab: Lab) -> None:
    """relay-probe = 0: nothing is tried; a name that doesn't resolve is warned of at the start, as ever."""
    server = id_server(lab, ["relay.invalid", refused_name()], "--relay-probe", "0")
    assert {item["state"] for item in health(server).values()} == {"not probed"}
    wait_until(lambda: "does not resolve here" in server.log_text(), 40, "the warning")


# --- names ------------------------------------------------------------------------------------------------------------


def with_file(path: Path, place: str) -> list[str]:
    """What goes before a command that is to see this file there."""
    return ["unshare", "--mount", "sh", "-ec", f'mount --bind {path} {place}; exec "$0" "$@"']


@needs_system
def test_all_addresses_of_a_name_are_tried(lab: Lab) -> None:
    """A relay is alive if one of its name's addresses is, whichever comes first."""
    station = relay(lab)
    nobody = [fresh_source() for _ in range(2)]
    hosts = lab.tmp_path / "hosts"
    hosts.write_text(
        f"{nobody[0]} relay.test early.test\n{station.host} early.test relay.test late.test\n"
        f"{nobody[1]} relay.test late.test lost.test\n{nobody[0]} lost.test\n"
    )
    names = [f"{host}.test:{station.port + 1}" for host in ("relay", "early", "late", "lost")]
    server = id_server(lab, names, prefix=with_file(hosts, "/etc/hosts"))
    seen = wait_for(server, **dict.fromkeys(names[:3], "alive"), **{names[3]: "dead"})
    assert "the last of 2 addresses" in seen[names[3]]["why"]


@needs_system
def test_address_that_keeps_silent(lab: Lab) -> None:
    """An address to which no connection comes about doesn't use up the time of the others."""
    station = relay(lab)
    with socket.socket() as full, socket.socket() as only_one:
        full.bind((fresh_source(), station.port + 1))
        full.listen(0)
        only_one.connect(full.getsockname())
        silent = full.getsockname()[0]
        hosts = lab.tmp_path / "hosts"
        hosts.write_text(f"{silent} one.test\n{station.host} one.test two.test\n{silent} two.test\n")
        names = [f"{host}.test:{station.port + 1}" for host in ("one", "two")]
        server = id_server(lab, [*names, f"{silent}:{station.port + 1}"], prefix=with_file(hosts, "/etc/hosts"))
        seen = wait_for(server, **dict.fromkeys(names, "alive"), **{f"{silent}:{station.port + 1}": "dead"})
        assert "timed out" in seen[f"{silent}:{station.port + 1}"]["why"]
        server.stop()


@needs_system
def test_name_server_that_keeps_silent(lab: Lab) -> None:
    """Look-ups that nobody answers end in time, hold up nothing, and don't pile up."""
    place = fresh_source()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((place, 53))
        conf = lab.tmp_path / "resolv.conf"
        conf.write_text(f"nameserver {place}\n")
        good = name_of(relay(lab))
        server = id_server(lab, ["relay.example", good], prefix=with_file(conf, "/etc/resolv.conf"))
        seen = wait_for(server, **{"relay.example": "dead", good: "alive"})
        assert seen["relay.example"]["why"] == "the name does not resolve: no answer in time"
        assert proposed(lab, server, lab.registered(server.target())) == {good}
        server.stop()
