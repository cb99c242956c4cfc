"""Goal: forged datagrams make the server no weapon, a flood harms nobody else, and an office is no flood."""

from __future__ import annotations

import os
import selectors
import socket
import time
from typing import Any, Callable, Sequence

import pytest

import rdwire
from conftest import Lab
from database import rows
from polling import in_one_of, wait_until
from rdclient import (
    VERSION,
    ConnectedPeer,
    SecurePeer,
    Target,
    TcpPeer,
    UdpPeer,
    WsPeer,
    fresh_id,
    fresh_source,
    fresh_uuid,
)
from rdserver import Server
from rdwire import Message, Result, decode_addr

MORE_ALLOWED = 16
RATE, BURST = 200, 3000
OLD_URL = "https://example.com/rustdesk-1.1.0.exe"
TALKATIVE = (
    *("--serial", "100"),
    *("--rendezvous-servers", ",".join(f"id{i}.example.com" for i in range(20))),
    *("--software-url", "https://example.com/" + "x" * 100 + "/rustdesk-9.9.9.exe"),
)


def heard(sock: socket.socket) -> list[bytes]:
    """What has come to the socket by now."""
    out = []
    sock.setblocking(False)
    try:
        while True:
            out.append(sock.recv(65536))
    except BlockingIOError:
        return out
    finally:
        sock.settimeout(10)


# --- a forged-looking mix -------------------------------------------------------------------------------------------


def mix(target: Target, known: UdpPeer, victim: bytes) -> list[bytes]:
    """Every kind of message, as somebody would send it who wants long answers, or answers at a victim."""
    uuid, pk = os.urandom(16), os.urandom(32)
    answer = {"socket_addr": victim, "id": known.id, "version": VERSION, "relay_server": "relay.example"}
    request = {"id": known.id, "licence_key": target.key, "version": VERSION}
    special: list[tuple[str, dict[str, Any]]] = [
        ("RegisterPeer", {"id": fresh_id(), "serial": 0}),
        ("RegisterPeer", {"id": known.id, "serial": 3}),
        ("RegisterPk", {"id": known.id, "uuid": uuid, "pk": pk}),
        ("RegisterPk", {"id": known.id, "uuid": known.uuid}),
        ("RegisterPk", {"id": "short", "uuid": uuid, "pk": pk}),
        ("RegisterPk", {"id": "not an id", "uuid": b"u", "pk": b"p"}),
        ("RegisterPk", {"id": "new-id-7", "old_id": known.id, "uuid": known.uuid}),
        ("PunchHoleRequest", request),
        ("PunchHoleRequest", {**request, "id": "999999999"}),
        ("PunchHoleRequest", {**request, "udp_port": 40777, "force_relay": True}),
        ("PunchHole", {"socket_addr": victim, "relay_server": "relay.example"}),
        ("PunchHoleSent", answer),
        ("PunchHoleSent", {**answer, "socket_addr": rdwire.encode_addr(known.local)}),
        ("LocalAddr", {**answer, "local_addr": victim}),
        ("RelayResponse", {**answer, "uuid": fresh_uuid()}),
        ("RelayResponse", {"socket_addr": victim, "version": VERSION}),
        ("RequestRelay", {"id": known.id, "uuid": fresh_uuid(), "socket_addr": victim}),
        ("RequestRelay", {"id": "999999999", "uuid": fresh_uuid()}),
        ("TestNatRequest", {}),
        ("TestNatRequest", {"serial": 1}),
        ("SoftwareUpdate", {"url": OLD_URL}),
        ("SoftwareUpdate", {"url": "1.1.0"}),
        ("OnlineRequest", {"id": known.id, "peers": [known.id] * 100}),
        ("KeyExchange", {"keys": [bytes(32), bytes(48)]}),
        ("HealthCheck", {"token": "t"}),
        ("HttpProxyRequest", {"method": "GET", "path": "/"}),
    ]
    return [rdwire.encode(kind) for kind in rdwire.MEMBERS] + [rdwire.encode(kind, **f) for kind, f in special]


def is_nat_test(payload: bytes) -> bool:
    return rdwire.decode(payload).kind == "TestNatRequest"


class Stranger(UdpPeer):
    """An address that never registers; it counts bytes."""

    def play(self, datagrams: Sequence[bytes]) -> list[bytes]:
        """Sends them all, and one question to end with; every answer."""
        self.datagrams = [*datagrams, rdwire.encode("TestNatRequest")]
        for payload in self.datagrams:
            self.send_raw(payload)
        out: list[bytes] = []
        while sum(kind_of(p) == "TestNatResponse" for p in out) < sum(map(is_nat_test, self.datagrams)):
            payload, sender = self.sock.recvfrom(65536)
            assert sender[:2] == self.target.id_port
            out.append(payload)
        return out

    def assert_not_amplified(self, answers: Sequence[bytes]) -> None:
        sent = sum(map(len, self.datagrams))
        got = sum(map(len, answers))
        assert got <= sent + MORE_ALLOWED * len(self.datagrams)


def kind_of(payload: bytes) -> str:
    return rdwire.decode(payload).kind


@pytest.mark.parametrize("args", [(), TALKATIVE], ids=["default", "talkative"])
def test_forged_mix(lab: Lab, args: tuple[str, ...]) -> None:
    """From 40 addresses every kind of message: little comes back, to who asked, and nothing to anybody else."""
    server = lab.server("id", *args, log_level="info")
    target = server.target()
    known, silent = lab.peer(target), lab.peer(target)
    assert known.register_pk() is Result.OK
    before = rows(server.directory)
    strangers = [lab.keep(Stranger(target)) for _ in range(40)]
    for stranger in strangers:
        answers = stranger.play(mix(target, known, rdwire.encode_addr(silent.local)))
        stranger.assert_not_amplified([*answers, *heard(stranger.sock)])
    assert heard(silent.sock) == [] and heard(known.sock) == []
    assert rows(server.directory) == before


@pytest.mark.parametrize("number", range(len(rdwire.MEMBERS) + 26))
def test_no_answer_is_much_longer(lab: Lab, number: int, talkative: Server, known: UdpPeer) -> None:
    """Message by message: what comes back to a stranger for one datagram is at most 16 bytes longer than it."""
    target = talkative.target()
    datagram = mix(target, known, rdwire.encode_addr(known.local))[number]
    stranger = lab.keep(Stranger(target))
    answers = stranger.play([datagram])
    ending = next(p for p in reversed(answers) if kind_of(p) == "TestNatResponse")
    answers.remove(ending)
    assert sum(map(len, answers)) <= len(datagram) + MORE_ALLOWED, [rdwire.decode(p) for p in answers]


@pytest.fixture
def talkative(lab: Lab) -> Server:
    """A server with much to tell."""
    return lab.server("id", *TALKATIVE)


@pytest.fixture
def known(lab: Lab, talkative: Server) -> UdpPeer:
    """A registered peer of that server."""
    b = lab.peer(talkative.target())
    assert b.register_pk() is Result.OK
    return b


def test_config_update_waits_for_registration(lab: Lab, talkative: Server) -> None:
    """ConfigUpdate goes to a registered address only, and cu never to a stranger."""
    b = lab.peer(talkative.target())
    b.send("TestNatRequest", serial=3)
    assert not b.expect("TestNatResponse").has("cu")
    b.send("RegisterPeer", id=b.id, serial=3)
    assert b.expect("RegisterPeerResponse")["request_pk"] is True
    assert b.pending() == []
    assert b.register_pk() is Result.OK
    b.send("RegisterPeer", id=b.id, serial=3)
    assert {b.recv().kind for _ in range(2)} == {"RegisterPeerResponse", "ConfigUpdate"}
    assert b.pending() == []


def test_config_update_goes_by_tcp(lab: Lab, talkative: Server) -> None:
    """Over TCP, where no source is forged, cu comes with the NAT test's answer."""
    connection = lab.connection(talkative.target().id_port)
    connection.send("TestNatRequest", serial=3)
    update = connection.expect("TestNatResponse")["cu"]
    assert update["serial"] == 100 and len(update["rendezvous_servers"]) == 20


def test_software_update_waits_for_registration(lab: Lab, talkative: Server) -> None:
    """The configured URL, longer than the question, never goes to a stranger by UDP; a registered one may be told."""
    b = lab.peer(talkative.target())
    b.send("SoftwareUpdate", url="1.1.0")
    assert not any(message["url"] for message in b.pending())
    assert b.register_pk() is Result.OK
    b.send("SoftwareUpdate", url="1.1.0")
    assert {message["url"] for message in b.pending()} <= {TALKATIVE[-1]}


def test_software_update_goes_by_tcp(lab: Lab, talkative: Server) -> None:
    """Over TCP anybody is told."""
    connection = lab.connection(talkative.target().id_port)
    connection.send("SoftwareUpdate", url="1.1.0")
    assert connection.expect("SoftwareUpdate")["url"] == TALKATIVE[-1]


# --- punch messages over UDP ----------------------------------------------------------------------------------------


def answers_by_udp(b: UdpPeer, socket_addr: bytes) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("PunchHoleSent", b.hole_sent(socket_addr)),
        ("LocalAddr", b.local_addr(socket_addr, ("10.1.2.3", 51000))),
        ("RelayResponse", b.relay_response(socket_addr, fresh_uuid())),
    ]


def test_nobody_waits(id_site: Target, lab: Lab) -> None:
    """B's answers by UDP, known or unknown, yield nothing where no A waits: not to the sender, not to the named."""
    b, victim, stranger = lab.peer(id_site), lab.peer(id_site), lab.peer(id_site)
    assert b.register_pk() is Result.OK
    named = [victim.local, b.local, id_site.id_port, ("203.0.113.9", 1)]
    for sender in (b, stranger):
        for address in named:
            for kind, fields in answers_by_udp(sender, rdwire.encode_addr(address)):
                sender.send(kind, **fields)
        assert sender.pending() == []
    assert heard(victim.sock) == []


def test_connected_but_not_waiting(id_site: Target, lab: Lab) -> None:
    """An A that is connected but asked for nobody, or for another id, hears nothing of forged UDP answers."""
    b, other = lab.registered(id_site), lab.registered(id_site)
    idle, waiting = lab.controller(id_site), lab.controller(id_site)
    assert idle.pending() == []
    waiting.punch(other.id)
    other.expect_hole("PunchHole", waiting)
    for a in (idle, waiting):
        for kind, fields in answers_by_udp(b, rdwire.encode_addr(a.local)):
            b.send(kind, **fields)
    assert b.pending() == []
    assert idle.pending() == [] and waiting.pending() == []


# --- floods ---------------------------------------------------------------------------------------------------------


def nat_test() -> bytes:
    return rdwire.encode("TestNatRequest")


def unknown_peer() -> bytes:
    return rdwire.encode("RegisterPeer", id=fresh_id(), serial=3)


def refused_registration() -> bytes:
    return rdwire.encode("RegisterPk", id="short", uuid=b"u", pk=b"p")


def flood(flooder: UdpPeer, other: UdpPeer, payload: Callable[[], bytes], count: int) -> int:
    """Sends so many, never more at once than buffers hold; another address is served all the while. The answers."""
    answered = 0
    for _ in range(count // 50):
        for _ in range(50):
            flooder.send_raw(payload())
        assert other.pending() == []  # by now the server has seen the fifty
        answered += len(heard(flooder.sock))
    return answered


@pytest.mark.parametrize("payload", [nat_test, unknown_peer, refused_registration], ids=lambda f: f.__name__)
def test_flood_from_one_address(lab: Lab, payload: Callable[[], bytes]) -> None:
    """Beyond burst and rate one address gets no answers, counted; another gets all of its own, and so do registered."""
    server = lab.server("id", log_level="info")
    target, count = server.target(), 6000
    b = lab.registered(target)

    def is_bounded() -> float:
        """Not where the two addresses share a place in the table of hashes: another try takes others."""
        flooder, other, started = lab.peer(target), lab.peer(target), time.monotonic()
        answered = flood(flooder, other, payload, count)
        allowed = BURST + RATE * (time.monotonic() - started) + 100
        assert BURST * 0.9 <= answered <= allowed
        return allowed

    allowed = in_one_of(2, is_bounded)
    assert b.register_peer() is False
    lab.registered(target)
    assert sum(server.status()["counters"].values()) >= count - allowed


def test_flood_counts_all_ports_of_an_address(lab: Lab) -> None:
    """Another port of the flooding address doesn't help."""
    target = lab.server("id", log_level="info").target()

    def is_bounded() -> None:
        source, other, started = fresh_source(), lab.peer(target), time.monotonic()
        answered = sum(flood(lab.peer(target, source=source), other, nat_test, 1000) for _ in range(6))
        assert answered <= BURST + RATE * (time.monotonic() - started) + 100

    in_one_of(2, is_bounded)


def test_registered_at_the_flooding_address(lab: Lab) -> None:
    """Who forges an office's address can't take it offline: registered peers there are answered all the same."""
    target = lab.server("id", log_level="info").target()
    b, other = lab.registered(target), lab.peer(target)
    flood(lab.peer(target, source=b.source), other, nat_test, 5000)
    for _ in range(5):
        assert b.register_peer() is False
    a = lab.controller(target)
    a.punch(b.id)
    b.expect_hole("PunchHole", a)


def test_served_again_after_the_flood(lab: Lab) -> None:
    """When it slows down, the address is served again."""
    target = lab.server("id", log_level="info").target()
    flooder, other = lab.peer(target), lab.peer(target)
    flood(flooder, other, nat_test, 5000)

    def answered() -> bool:
        flooder.send("TestNatRequest")
        return bool(other.pending() == [] and heard(flooder.sock))

    wait_until(answered, 5, "an answer again")


# --- an office ------------------------------------------------------------------------------------------------------

OFFICE = 500
BACK_ONLINE_S = 60


@pytest.fixture
def office(lab: Lab) -> tuple[Server, list[dict[str, Any]]]:
    """A server with default limits, just started, and the 500 devices of one address that are on its file."""
    server = lab.server("id", "--limit-exempt", "127.0.0.0/8", log_level="info")
    exempt = server.args[-2:]
    assert exempt[0] == "--limit-exempt"
    source, target = fresh_source(), server.target()
    devices = []
    for at in range(0, OFFICE, 50):
        batch = [UdpPeer(target, source=source) for _ in range(50)]
        answers = first_answers(batch, "RegisterPkResponse", UdpPeer.send_register_pk)
        assert {answer["result"] for answer in answers} == {Result.OK}
        for b in batch:
            devices.append({"peer_id": b.id, "source": source, **b.identity})
            b.close()
    server.stop()
    del server.args[-2:]
    server.restarted()
    return server, devices


def first_answers(peers: Sequence[UdpPeer], kind: str, send: Callable[[UdpPeer], None]) -> list[Message]:
    """All ask at once; those whose datagram got lost ask again after 3 s, as clients do."""
    answers: list[Message] = []
    left, deadline = list(peers), time.monotonic() + BACK_ONLINE_S
    while left:
        assert time.monotonic() < deadline, f"{len(left)} got no answer"
        for b in left:
            send(b)
        left = unanswered(left, kind, answers)
    return answers


def unanswered(peers: Sequence[UdpPeer], kind: str, answers: list[Message]) -> list[UdpPeer]:
    """Collects the answers of at most 3 s; the peers that got none."""
    deadline = time.monotonic() + 3
    with selectors.DefaultSelector() as selector:
        for b in peers:
            selector.register(b.sock, selectors.EVENT_READ, b)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(deadline - time.monotonic()):
                answers.append(key.data.expect(kind))
                selector.unregister(key.fileobj)
        return [key.data for key in selector.get_map().values()]


def send_register_peer(b: UdpPeer) -> None:
    b.send("RegisterPeer", id=b.id, serial=3)


@pytest.mark.parametrize("moved", [False, True])
def test_office_over_udp(lab: Lab, office: tuple[Server, list[dict[str, Any]]], moved: bool) -> None:
    """All 500 confirm with RegisterPk at once, at the address on file or a new one: OK, none TOO_FREQUENT."""
    server, devices = office
    source = {"source": fresh_source()} if moved else {}
    peers = [lab.peer(server.target(), **{**device, **source}) for device in devices]
    answers = first_answers(peers, "RegisterPkResponse", UdpPeer.send_register_pk)
    assert {answer["result"] for answer in answers} == {Result.OK}
    assert server.status()["online"] == OFFICE


def test_office_of_register_peers(lab: Lab, office: tuple[Server, list[dict[str, Any]]]) -> None:
    """All 500 send RegisterPeer at once after the restart: none is asked for its key."""
    server, devices = office
    peers = [lab.peer(server.target(), **device) for device in devices]
    answers = first_answers(peers, "RegisterPeerResponse", send_register_peer)
    assert {answer["request_pk"] for answer in answers} == {False}
    assert server.status()["online"] == OFFICE


@pytest.mark.parametrize("way", [TcpPeer, SecurePeer, WsPeer])
def test_office_at_connections(
    lab: Lab, office: tuple[Server, list[dict[str, Any]]], way: type[ConnectedPeer]
) -> None:
    """All 500 connect and confirm at once: OK, none TOO_FREQUENT, all online and reached."""
    server, devices = office
    peers = [lab.connected(way, server.target(), **device) for device in devices]
    for b in peers:
        b.send_register_pk()
    assert {b.expect("RegisterPkResponse")["result"] for b in peers} == {Result.OK}
    assert server.status()["online"] == OFFICE
    a = lab.controller(server.target())
    a.punch(peers[-1].id)
    assert decode_addr(peers[-1].expect("PunchHole")["socket_addr"]) == a.local
