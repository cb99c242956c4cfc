"""Goal: what the server must refuse is refused in the way that clients understand; junk ends a connection at most."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

import rdwire
from conftest import Lab
from polling import wait_until
from rdclient import Connection, Target, fresh_id, fresh_source, fresh_uuid
from rdserver import Server
from rdwire import Failure

VECTORS = json.loads((Path(__file__).resolve().parent.parent / "vectors" / "messages.json").read_text())
BAD = [bytes.fromhex(text) for text in VECTORS["bad"]]
OF_NO_KIND = [bytes.fromhex(text) for text in VECTORS["of_no_kind"]]
OTHER_KEY = rdwire.key_text(bytes(range(32)))

JUNK = {
    **{f"bad {p.hex()}": p for p in BAD},
    **{f"of no kind {p.hex()}": p for p in OF_NO_KIND if p},
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4,
    "zeros": bytes(40),
    "random": random.Random(3).randbytes(600),
    "cut short": rdwire.encode("PunchHoleRequest", id="ridge-042", version="1.4.2")[:-3],
    "string for bytes and more": rdwire.delimited(8, rdwire.tag(1, rdwire.BYTES) + b"\x7fshort"),
    "unknown member": rdwire.delimited(200, b"later"),
}


def refusal(a: Connection) -> dict[str, Any]:
    """The fields of a refusal: a PunchHoleResponse without an address."""
    answer = a.expect("PunchHoleResponse")
    assert not answer["socket_addr"] and not answer["pk"]
    return answer.fields


# --- punch requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "wrong", OTHER_KEY], ids=["absent", "text", "another"])
def test_wrong_key(lab: Lab, key: str) -> None:
    """Without the right key nothing is said but that: LICENSE_MISMATCH, for known and unknown ids alike."""
    server = lab.server("id")
    b = lab.registered(server.target())
    for peer_id in (b.id, fresh_id()):
        a = lab.controller(server.target())
        a.punch(peer_id, licence_key=key)
        assert refusal(a) == {"failure": Failure.LICENSE_MISMATCH}
    assert b.pending() == []
    wait_until(server.refusals, 5, "a line with a reason")


def test_key_with_something_behind_it(id_site: Target, lab: Lab) -> None:
    """A key that only begins like the right one is wrong, and so is a part of it."""
    for key in (id_site.key + "=", id_site.key + "x", id_site.key[:-1], id_site.key.swapcase(), "x" + id_site.key):
        a = lab.controller(id_site)
        a.punch(fresh_id(), licence_key=key)
        assert refusal(a) == {"failure": Failure.LICENSE_MISMATCH}


def test_no_key_enforced(lab: Lab) -> None:
    """-k '' enforces nothing, but the key files still sign."""
    target = lab.server("id", "-k", "").target()
    b = lab.registered(target)
    for key in ("", "wrong", target.key):
        a = lab.controller(target)
        a.punch(b.id, licence_key=key)
        hole = b.expect_hole("PunchHole", a)
        b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
        assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


@pytest.mark.parametrize("peer_id", ["999999999", "", "no such host", "x" * 100, "日本"])
def test_unknown_id(id_site: Target, lab: Lab, peer_id: str) -> None:
    """An id neither registered nor on file: ID_NOT_EXIST, which is an empty member."""
    a = lab.controller(id_site)
    a.punch(peer_id)
    assert a.recv_answer() == rdwire.encode("PunchHoleResponse")


def test_ids_are_compared_whole(id_site: Target, lab: Lab) -> None:
    """Neither a part of an id nor another case of it is that id."""
    b = lab.registered(id_site, "Ridge-042")
    for peer_id in ("Ridge-04", "Ridge-0422", "ridge-042", " Ridge-042"):
        a = lab.controller(id_site)
        a.punch(peer_id)
        assert refusal(a) == {}
    assert b.pending() == []


def test_offline_id(lab: Lab) -> None:
    """An id on file that hasn't spoken since the server started: OFFLINE; when it speaks, it is reached."""
    server = lab.server("id")
    b = lab.registered(server.target())
    server.stop()
    server.restarted()
    a = lab.controller(server.target())
    a.punch(b.id)
    assert refusal(a) == {"failure": Failure.OFFLINE}
    assert b.register_peer() is False
    a = lab.controller(server.target())
    a.punch(b.id)
    b.expect_hole("PunchHole", a)


def test_unregistered_peer_is_unknown(id_site: Target, lab: Lab) -> None:
    """A RegisterPeer without a key on file makes nobody known."""
    b, a = lab.peer(id_site), lab.controller(id_site)
    assert b.register_peer() is True
    a.punch(b.id)
    assert refusal(a) == {}
    assert b.pending() == []


def test_relay_request_refused(lab: Lab) -> None:
    """RequestRelay to an unknown or offline id is answered with a reason that clients can show."""
    server = lab.server("id")
    b = lab.registered(server.target())
    server.stop()
    server.restarted()
    for peer_id in (b.id, fresh_id(), ""):
        a = lab.controller(server.target())
        a.request_relay(peer_id, fresh_uuid())
        answer = a.expect("RelayResponse")
        assert answer["refuse_reason"] and not answer["socket_addr"] and not answer["pk"]
    assert b.pending() == []
    wait_until(server.refusals, 5, "a line with a reason")


# --- junk -----------------------------------------------------------------------------------------------------------


def oversized_messages() -> dict[str, bytes]:
    """Messages that no client sends: far over every limit."""
    long = "x" * 60_000
    return {
        "RegisterPeer": rdwire.encode("RegisterPeer", id=long),
        "RegisterPk uuid": rdwire.encode("RegisterPk", id="ridge-042", uuid=bytes(60_000), pk=bytes(32)),
        "RegisterPk pk": rdwire.encode("RegisterPk", id="ridge-042", uuid=b"uuid", pk=bytes(60_000)),
        "PunchHoleSent": rdwire.encode("PunchHoleSent", socket_addr=bytes(60_000), id="ridge-042"),
        "LocalAddr": rdwire.encode("LocalAddr", socket_addr=b"\1", local_addr=bytes(60_000), id="ridge-042"),
    }


def test_junk_over_udp_is_ignored(lab: Lab) -> None:
    """No datagram of junk is answered, and the server goes on."""
    server = lab.server("id")
    peer = lab.peer(server.target())
    for payload in [*JUNK.values(), b""]:
        peer.send_raw(payload)
    assert peer.pending() == []
    peer.register()


def test_oversized_over_udp_is_ignored(lab: Lab) -> None:
    """Oversized fields are dropped, never cut to size; a 60 kB datagram of anything hurts nobody."""
    server = lab.server("id")
    peer = lab.peer(server.target())
    for payload in [*oversized_messages().values(), os.urandom(65_000)]:
        peer.send_raw(payload)
        assert all(message["result"] for message in peer.pending() if message.kind == "RegisterPkResponse")
    assert lab.peer(server.target(), "ridge-042").register_peer() is True
    peer.register()


def test_server_messages_over_udp_are_ignored(id_site: Target, lab: Lab) -> None:
    """Messages that only a server sends, sent to the server, are not answered."""
    peer = lab.peer(id_site)
    for kind in FROM_SERVERS:
        peer.send(kind)
    peer.send("RegisterPkResponse", result=4)
    peer.send("RelayResponse", refuse_reason="x")
    assert peer.pending() == []


FROM_SERVERS = ["RegisterPeerResponse", "RegisterPkResponse", "PunchHole", "FetchLocalAddr", "OnlineResponse"]


@pytest.mark.parametrize("kind", [*FROM_SERVERS, "PunchHoleResponse", "TestNatResponse", "PeerDiscovery"])
def test_server_messages_over_tcp_have_no_answer(id_site: Target, lab: Lab, kind: str) -> None:
    """Messages that only a server sends are never answered; whether they end the connection is not said."""
    connection = lab.connection(id_site.id_port)
    connection.send(kind)
    assert connection.pending() == []
    lab.registered(id_site)


@pytest.mark.parametrize("name", JUNK)
def test_junk_over_tcp_ends_the_connection(id_site: Target, lab: Lab, name: str) -> None:
    """A frame that is no message, or none that the protocol names, ends the connection and nothing else."""
    bystander = lab.controller(id_site)
    connection = lab.connection(id_site.id_port)
    connection.send_raw(rdwire.frame(JUNK[name]))
    connection.expect_closed()
    assert bystander.pending() == []


@pytest.mark.parametrize("name", JUNK)
def test_junk_on_the_nat_port_ends_the_connection(id_site: Target, lab: Lab, name: str) -> None:
    """The same on the port of NAT tests and online queries."""
    connection = lab.connection(id_site.nat_port)
    connection.send_raw(rdwire.frame(JUNK[name]))
    connection.expect_closed()
    lab.registered(id_site)


def test_heartbeat_over_tcp(id_site: Target, lab: Lab) -> None:
    """An empty frame is a heartbeat: not junk, and not answered with anything but silence or its like."""
    connection = lab.connection(id_site.id_port)
    connection.send_raw(rdwire.frame(b""))
    connection.send("TestNatRequest")
    payload = connection.recv_answer()
    while payload == b"":
        payload = connection.recv_payload()
    assert payload is not None and rdwire.decode(payload).kind == "TestNatResponse"


@pytest.mark.parametrize("length", [16 << 20, 256 << 20, rdwire.HEADER_LIMITS[-1]])
def test_announced_giants_end_the_connection(site: Target, lab: Lab, length: int) -> None:
    """A header that announces a giant is enough: nobody waits for its payload."""
    for address in (site.id_port, site.nat_port, site.relay_port):
        connection = lab.connection(address)
        connection.send_raw(rdwire.frame_header(length) + b"x")
        connection.expect_closed()


@pytest.mark.parametrize("name", [*oversized_messages(), "PunchHoleRequest", "RequestRelay"])
def test_oversized_over_tcp_ends_the_connection(id_site: Target, lab: Lab, name: str) -> None:
    """Fields over every limit end the connection."""
    long = "x" * 60_000
    more = {
        "PunchHoleRequest": rdwire.encode("PunchHoleRequest", id=long, licence_key=id_site.key),
        "RequestRelay": rdwire.encode("RequestRelay", id="ridge-042", uuid=long),
    }
    connection = lab.connection(id_site.id_port)
    connection.try_to_send(rdwire.frame({**oversized_messages(), **more}[name]))
    connection.expect_closed()
    lab.registered(id_site)


def test_end_in_the_middle_of_a_frame(id_site: Target, lab: Lab) -> None:
    """A connection that ends within a frame, or before one, leaves nothing behind."""
    whole = rdwire.frame(rdwire.encode("PunchHoleRequest", id="ridge-042"))
    for part in (b"", whole[:1], whole[:-1]):
        connection = lab.connection(id_site.id_port, fresh_source())
        connection.send_raw(part)
        connection.end_sending()
        connection.expect_closed()
    lab.registered(id_site)


def test_probe_without_a_byte(lab: Lab) -> None:
    """Clients and health checks connect and close at once: nothing is wrong with that."""
    server = lab.server("serve")
    for address in (server.target().id_port, server.target().nat_port, server.target().relay_port):
        for _ in range(50):
            Connection(address).close()
    lab.registered(server.target())
    assert not [e for e in server.events if e.get("level") in ("error", "warn", "warning") and "reason" in e]


# --- not yet --------------------------------------------------------------------------------------------------------


def test_server_outlives_it_all(lab: Lab) -> None:
    """One server is given all the junk at once, from many connections, and then works as ever."""
    server: Server = lab.server("serve")
    target = server.target()
    connections = [lab.connection(a) for a in (target.id_port, target.nat_port, target.relay_port) for _ in JUNK]
    for connection, payload in zip(connections, list(JUNK.values()) * 3):
        connection.try_to_send(rdwire.frame(payload))
    for connection in connections:
        connection.expect_closed()
    lab.registered(target)
    assert server.running
