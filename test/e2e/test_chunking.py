"""Goal: the same bytes have the same effects, however TCP cuts them, and with longer headers than needed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Callable

import pytest

import rdwire
from conftest import Lab
from rdclient import VERSION, Connection, RelaySide, Target, UdpPeer, assert_joined, fresh_uuid
from rdwire import decode_addr

Sender = Callable[[Connection, bytes], None]


def whole(connection: Connection, payload: bytes) -> None:
    connection.send_raw(rdwire.frame(payload))


def bytewise(connection: Connection, payload: bytes) -> None:
    connection.send_bytewise(rdwire.frame(payload))


def with_longest_header(connection: Connection, payload: bytes) -> None:
    connection.send_raw(rdwire.frame(payload, 4))


def bytewise_with_longer_header(connection: Connection, payload: bytes) -> None:
    connection.send_bytewise(rdwire.frame(payload, 3))


def in_halves(connection: Connection, payload: bytes) -> None:
    data = rdwire.frame(payload)
    connection.send_raw(data[: len(data) // 2])
    connection.send_raw(data[len(data) // 2 :])


def after_a_heartbeat(connection: Connection, payload: bytes) -> None:
    connection.send_raw(rdwire.frame(b"") + rdwire.frame(payload))


CUTS = [whole, bytewise, with_longest_header, bytewise_with_longer_header, in_halves]
any_cut = pytest.mark.parametrize("send", CUTS, ids=lambda f: f.__name__)
any_cut_on_21116 = pytest.mark.parametrize("send", [*CUTS, after_a_heartbeat], ids=lambda f: f.__name__)


def answer_cut(b: UdpPeer, send: Sender, payload: bytes) -> Connection:
    """B's answer on a new connection, cut so. In many segments, its end must wait for them: closing with the offer
    unread would drop those that are still to go out.
    """
    connection = Connection(b.target.id_port, b.source)
    send(connection, payload)
    connection.end_sending()
    connection.expect_closed()
    connection.close()
    return connection


@any_cut_on_21116
def test_punch(id_site: Target, lab: Lab, send: Sender) -> None:
    """A's request and B's answer in pieces have the effect that they have in one."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    send(a, rdwire.encode("PunchHoleRequest", id=b.id, licence_key=id_site.key, version=VERSION, udp_port=7))
    hole = b.expect_hole("PunchHole", a)
    assert hole["udp_port"] == 7
    connection = answer_cut(b, send, rdwire.encode("PunchHoleSent", **b.hole_sent(hole["socket_addr"])))
    answer = a.expect("PunchHoleResponse")
    assert decode_addr(answer["socket_addr"]) == connection.local
    assert a.verified(answer) == (b.id, b.pk)
    assert a.pending() == []


@any_cut
def test_nat_and_online(id_site: Target, lab: Lab, send: Sender) -> None:
    """The same for the NAT test and the online query."""
    b = lab.registered(id_site)
    for address in (id_site.id_port, id_site.nat_port):
        connection = lab.connection(address)
        send(connection, rdwire.encode("TestNatRequest", serial=3))
        assert connection.expect("TestNatResponse")["port"] == connection.local[1]
    connection = lab.connection(id_site.nat_port)
    send(connection, rdwire.encode("OnlineRequest", peers=["nobody"] * 60 + [b.id]))
    assert connection.expect("OnlineResponse")["states"] == bytes(7) + b"\x08"


@any_cut
def test_junk(id_site: Target, lab: Lab, send: Sender) -> None:
    """Junk ends the connection however it is cut, at the latest with its last byte."""
    connection = lab.connection(id_site.id_port)
    with suppress(OSError):
        send(connection, b"\x32\xff")
    connection.expect_closed()


@any_cut
def test_relay(relay_site: Target, lab: Lab, send: Sender) -> None:
    """Both sides' requests in pieces: they are paired, and not a byte is lost."""
    uuid = fresh_uuid()
    sides: list[RelaySide] = [lab.relay_side(relay_site) for _ in range(2)]
    for side in sides:
        send(side, rdwire.encode("RequestRelay", uuid=uuid, licence_key=relay_site.key))
        side.send_bytewise(b"early")
    assert [side.recv_exactly(5) for side in sides] == [b"early"] * 2
    assert_joined(*sides)


def test_two_frames_in_one_segment(id_site: Target, lab: Lab) -> None:
    """Two requests in one segment get two answers, in order."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    nat = rdwire.frame(rdwire.encode("TestNatRequest"))
    unknown = rdwire.frame(rdwire.encode("PunchHoleRequest", id="nobody-at-all", licence_key=id_site.key))
    a.send_raw(nat + unknown + nat + nat)
    kinds = [message.kind for message in (a.recv() for _ in range(4)) if message]
    assert kinds == ["TestNatResponse", "PunchHoleResponse", "TestNatResponse", "TestNatResponse"]
    assert b.pending() == []


def test_request_in_front_of_junk(id_site: Target, lab: Lab) -> None:
    """A good frame and a bad one in one segment: the good one is answered, then the connection ends."""
    connection = lab.connection(id_site.id_port)
    connection.send_raw(rdwire.frame(rdwire.encode("TestNatRequest")) + rdwire.frame(b"\xff"))
    connection.expect("TestNatResponse")
    connection.expect_closed()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 17])
def test_stream_in_steps(id_site: Target, lab: Lab, step: int) -> None:
    """A stream of many frames with headers of every length, cut in equal steps."""
    connection = lab.connection(id_site.id_port)
    payload = rdwire.encode("TestNatRequest", serial=3)
    stream = b"".join(rdwire.frame(payload, size) for size in (1, 2, 3, 4)) * 3
    for at in range(0, len(stream), step):
        connection.send_raw(stream[at : at + step])
    assert [connection.expect("TestNatResponse")["port"] for _ in range(12)] == [connection.local[1]] * 12


def test_data_behind_the_relay_frame(relay_site: Target, lab: Lab) -> None:
    """What looks like frames behind the relay's first one is data, and passes as it is."""
    uuid = fresh_uuid()
    early = rdwire.frame(rdwire.encode("RequestRelay", uuid=uuid, licence_key=relay_site.key)) + os.urandom(3000)
    first = lab.relay_side(relay_site).join(uuid, relay_site.key, early=early)
    second = lab.relay_side(relay_site).join(uuid, relay_site.key, early=early)
    assert first.recv_exactly(len(early)) == early
    assert second.recv_exactly(len(early)) == early
    assert_joined(first, second)
