"""Goal: the whole way once, as two stock clients go it: register, find each other, verify, meet on the relay, talk.

Everything is done with both roles in one process, and with an ID server and a relay of their own in one directory.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import traffic
from conftest import Lab
from rdclient import Controller, RelaySide, Target, UdpPeer, fresh_source, fresh_uuid, parse_relay_name
from rdserver import Server, keygen
from rdwire import Message, NatType, decode_addr

DATA_EACH_WAY = 256 * traffic.MIB
GREETING = b"first bytes of B, sent before anybody listens" * 100


def start_one_process(lab: Lab) -> Server:
    return lab.server("serve")


def start_two_processes(lab: Lab) -> Server:
    id_server = lab.server("id")
    lab.server("relay", hosts=id_server.hosts, port=id_server.port)
    return id_server


@pytest.fixture(params=[start_one_process, start_two_processes], ids=["serve", "id+relay"])
def whole_site(request: pytest.FixtureRequest, lab: Lab) -> Target:
    """An ID server and its relay, with the key that keygen had made before."""
    printed = keygen(lab.directory())
    server: Server = request.param(lab)
    assert server.key == printed
    return server.target(key=printed)


def punched_by_tcp(a: Controller, b: UdpPeer) -> Message:
    """A asks, B answers with PunchHoleSent; A's answer, checked."""
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    assert hole["nat_type"] == NatType.ASYMMETRIC
    came_from = b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    answer = a.expect("PunchHoleResponse")
    assert decode_addr(answer["socket_addr"]) == came_from
    assert (answer["nat_type"], answer["is_udp"], answer["is_local"]) == (NatType.ASYMMETRIC, False, False)
    assert a.verified(answer) == (b.id, b.pk)
    return answer


def found_in_the_lan(a: Controller, b: UdpPeer) -> Message:
    """A asks from B's own IP, B answers with LocalAddr; A's answer, checked."""
    a.punch(b.id)
    fetch = b.expect_hole("FetchLocalAddr", a)
    local = ("192.168.1.77", 50000)
    b.answer_and_close("LocalAddr", **b.local_addr(fetch["socket_addr"], local))
    answer = a.expect("PunchHoleResponse")
    assert (decode_addr(answer["socket_addr"]), answer["is_local"]) == (local, True)
    assert a.verified(answer) == (b.id, b.pk)
    return answer


def sent_to_the_relay(a: Controller, b: UdpPeer) -> Message:
    """A asks, B wants the relay at once; A's answer, checked."""
    uuid = fresh_uuid()
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    connection = b.answer("RelayResponse", **b.relay_response(hole["socket_addr"], uuid))
    answer = a.expect("RelayResponse")
    assert (answer["uuid"], answer["socket_addr"]) == (uuid, b"")
    assert a.verified(answer) == (b.id, b.pk)
    connection.expect_closed()
    connection.close()
    return answer


def relay_agreed(a: Controller, b: UdpPeer, relay_name: str) -> str:
    """A falls back to the relay that B had named, B agrees; the session's uuid."""
    uuid = fresh_uuid()
    a.request_relay(b.id, uuid, relay_server=relay_name)
    request = b.expect_hole("RequestRelay", a)
    assert (request["uuid"], request["relay_server"], request["secure"]) == (uuid, relay_name, True)
    connection = b.answer("RelayResponse", socket_addr=request["socket_addr"], version="1.4.2")
    answer = a.expect("RelayResponse")
    assert (answer["socket_addr"], answer["refuse_reason"]) == (b"", "")
    connection.expect_closed()
    connection.close()
    return uuid


def half_close(a: RelaySide, b: RelaySide) -> None:
    """A ends its sending half; B sees it and still talks; then B closes and A sees the end."""
    last = os.urandom(traffic.MIB)
    a.send_raw(b"last words")
    a.end_sending()
    assert b.recv_exactly(10) == b"last words"
    b.recv_end()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(b.send_raw, last)
        assert a.recv_exactly(len(last)) == last
        sending.result()
    b.close()
    a.recv_end()


def test_two_clients_meet(whole_site: Target, lab: Lab) -> None:
    """A and B register, A finds B in each way there is, both meet on the relay and exchange data to the last byte."""
    b = lab.registered(whole_site)
    a_registered = lab.registered(whole_site)
    assert a_registered.source != b.source

    answer = punched_by_tcp(lab.controller(whole_site, a_registered.source), b)
    assert answer["relay_server"] == whole_site.relay_name
    assert found_in_the_lan(lab.controller(whole_site, b.source), b)["relay_server"] == whole_site.relay_name
    assert sent_to_the_relay(lab.controller(whole_site, fresh_source()), b)["relay_server"] == whole_site.relay_name

    uuid = relay_agreed(lab.controller(whole_site, a_registered.source), b, answer["relay_server"])
    relay = parse_relay_name(answer["relay_server"])
    b_side = lab.keep(RelaySide(relay, b.source))
    b_side.join(uuid, whole_site.key, early=GREETING)
    b_side.send_raw(GREETING)
    a_side = lab.keep(RelaySide(relay, a_registered.source)).join(uuid, whole_site.key)
    assert a_side.recv_exactly(2 * len(GREETING)) == 2 * GREETING

    traffic.exchange(a_side.sock, b_side.sock, DATA_EACH_WAY)
    half_close(a_side, b_side)
