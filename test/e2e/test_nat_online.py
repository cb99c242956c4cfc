"""Goal: the NAT test tells the port that was seen, on every port that has it; the online query tells exact bits."""

from __future__ import annotations

import random

import pytest

from conftest import Lab
from rdclient import Target, fresh_id, fresh_source, nat_test_tcp, nat_test_udp, online_states, state_bits


def test_nat_over_udp(id_site: Target) -> None:
    """TestNatRequest over UDP tells the source port."""
    for _ in range(3):
        own, seen = nat_test_udp(id_site, fresh_source())
        assert own == seen


def test_nat_over_tcp(id_site: Target) -> None:
    """TestNatRequest over TCP tells the source port, on both ports."""
    for address in (id_site.id_port, id_site.nat_port):
        own, seen = nat_test_tcp(address, fresh_source())
        assert own == seen


def test_nat_from_one_local_port(id_site: Target, lab: Lab) -> None:
    """As clients do it: from one local port to both ports; without a NAT both see the same."""
    source, local_port, seen = fresh_source(), 0, []
    for address in (id_site.id_port, id_site.nat_port):
        connection = lab.connection(address, source, local_port)
        local_port = connection.local[1]
        connection.send("TestNatRequest")
        seen.append(connection.expect("TestNatResponse")["port"])
    assert seen == [local_port, local_port]


@pytest.mark.parametrize("serial", [0, 3, 7])
def test_no_empty_config_update(id_site: Target, lab: Lab, serial: int) -> None:
    """A server without a list of its own never sends cu: an empty one would wipe the client's."""
    for address in (id_site.id_port, id_site.nat_port):
        connection = lab.connection(address)
        connection.send("TestNatRequest", serial=serial)
        assert not connection.expect("TestNatResponse").has("cu")


def test_two_datagrams_at_once(id_site: Target, lab: Lab) -> None:
    """Clients send two TestNatRequests at once; both are answered."""
    peer = lab.peer(id_site)
    for _ in range(2):
        peer.send("TestNatRequest")
    assert [peer.expect("TestNatResponse")["port"] for _ in range(2)] == [peer.local[1]] * 2


def test_nat_port_serves_one_exchange(id_site: Target, lab: Lab) -> None:
    """After its answer the NAT port closes the connection."""
    for kind, answer in (("TestNatRequest", "TestNatResponse"), ("OnlineRequest", "OnlineResponse")):
        connection = lab.connection(id_site.nat_port)
        connection.send(kind)
        connection.expect(answer)
        connection.expect_closed()


def test_online_states_of_a_thousand(lab: Lab) -> None:
    """Of 1,000 ids in random order exactly the registered 300 are online, bit by bit."""
    target = lab.server("id", log_level="info").target()
    registered = [f"{i:09}" for i in range(1, 301)]
    lab.peers(target, registered)
    asked = registered + [f"unknown-{i}" for i in range(700)]
    random.shuffle(asked)
    online = set(registered)
    states = online_states(target, asked, own_id="123456789")
    assert len(states) == 125
    assert states == state_bits(peer_id in online for peer_id in asked)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 13, 1001])
def test_states_have_a_byte_for_every_eight(id_site: Target, lab: Lab, count: int) -> None:
    """The answer has ceil(n/8) bytes whatever n is; the last id's bit is where it belongs."""
    b = lab.registered(id_site)
    asked = [fresh_id() for _ in range(count - 1)] + [b.id] * (count > 0)
    assert online_states(id_site, asked) == state_bits(peer_id == b.id for peer_id in asked)


def test_online_query_of_five_thousand(id_site: Target, lab: Lab) -> None:
    """Some thousands of ids are asked for at once; all get their bit."""
    b = lab.registered(id_site)
    asked = [f"{i:010}" for i in range(5000)] + [b.id]
    assert online_states(id_site, asked) == state_bits([False] * 5000 + [True])


def test_odd_ids_keep_their_places(id_site: Target, lab: Lab) -> None:
    """Empty, repeated and strange ids count as one place each."""
    b = lab.registered(id_site, "日本のホスト")
    asked = ["", b.id, "", "not an id", b.id, "x" * 100, "\n", "日本", b.id]
    assert online_states(id_site, asked) == state_bits(peer_id == b.id for peer_id in asked)


def test_known_but_silent_is_offline(lab: Lab) -> None:
    """An id on file that hasn't spoken since the start is offline; with its next RegisterPeer it is online."""
    server = lab.server("id")
    b = lab.registered(server.target())
    server.stop()
    server.restarted()
    assert online_states(server.target(), [b.id]) == b"\x00"
    assert b.register_peer() is False
    assert online_states(server.target(), [b.id]) == b"\x80"
