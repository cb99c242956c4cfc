"""Goal: answers and later pushes come from the address that was spoken to, whatever addresses the server has."""

from __future__ import annotations

from typing import Iterator

import pytest

import rdwire
from conftest import Lab
from network import A_HOST, A_HOST_6, B_HOST, B_HOST_6, SERVER_4, SERVER_6, Hosts
from rdclient import (
    Connection,
    Controller,
    RelaySide,
    Target,
    UdpPeer,
    assert_joined,
    fresh_uuid,
    nat_test_tcp,
    nat_test_udp,
)
from rdserver import Server, free_base_port, has_ipv6_loopback, random_loopback
from rdwire import decode_addr

with_ipv6 = pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 here")


def assert_reached(b: UdpPeer, a: Controller) -> None:
    """A's request reaches B, from the address that B spoke to (every receive checks that), and B's answer A."""
    a.punch(b.id)
    hole = b.expect("PunchHole" if a.local[0] != b.local[0] else "FetchLocalAddr")
    assert decode_addr(hole["socket_addr"]) == a.local
    if hole.kind == "PunchHole":
        b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    else:
        b.answer_and_close("LocalAddr", **b.local_addr(hole["socket_addr"], b.local))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


def assert_relayed(target: Target) -> None:
    """Two sides meet on the relay at this address."""
    uuid = fresh_uuid()
    sides = [RelaySide(target.relay_port).join(uuid, target.key) for _ in range(2)]
    assert_joined(*sides)
    for side in sides:
        side.close()


# --- on this host ---------------------------------------------------------------------------------------------------


@pytest.fixture
def everywhere(lab: Lab) -> Server:
    """A server that listens on every address."""
    return lab.server("serve", hosts=None)


def test_wildcard_answers_from_the_address_spoken_to(everywhere: Server, lab: Lab) -> None:
    """Two addresses of one host: registration, NAT test and pushes keep to the one that each peer chose."""
    targets = [everywhere.target("127.0.0.1"), everywhere.target(random_loopback())]
    peers = [lab.registered(target) for target in targets]
    for target in targets:
        own, seen = nat_test_udp(target)
        assert own == seen
        for b in peers:
            assert_reached(b, lab.controller(target))
        assert_relayed(target)


def test_peer_may_change_the_server_s_address(everywhere: Server, lab: Lab) -> None:
    """A peer that registers anew at the server's other address is then reached from that one."""
    b = lab.registered(everywhere.target("127.0.0.1"))
    b.target = everywhere.target(random_loopback())
    assert b.register_peer() is False
    assert_reached(b, lab.controller(everywhere.target("127.0.0.1")))


@with_ipv6
def test_wildcard_has_ipv6_too(everywhere: Server, lab: Lab) -> None:
    """Without --bind both families are served, and meet."""
    target4, target6 = everywhere.target("127.0.0.1"), everywhere.target("::1")
    b4, b6 = lab.registered(target4), lab.registered(target6)
    assert_reached(b6, lab.controller(target6))
    assert_reached(b4, lab.controller(target4))
    assert_reached(b4, lab.controller(target6))
    assert_reached(b6, lab.controller(target4))
    assert_relayed(target6)
    for address in (target6.id_port, target6.nat_port):
        own, seen = nat_test_tcp(address)
        assert own == seen


def test_mapped_address_is_ipv4(everywhere: Server, lab: Lab) -> None:
    """On a dual-stack socket an IPv4 client is an IPv4 client: A's address of 18 bytes would be a fault."""
    target = everywhere.target("127.0.0.1")
    b, a = lab.registered(target), lab.controller(target)
    a.punch(b.id)
    assert len(b.expect("PunchHole")["socket_addr"]) <= 16


@with_ipv6
def test_ipv6_alone(lab: Lab) -> None:
    """A server on ::1 alone: the whole way, with addresses of 18 bytes."""
    target = lab.server("serve", hosts=["::1"]).target()
    b, a = lab.registered(target), lab.controller(target)
    a.punch(b.id)
    fetch = b.expect_hole("FetchLocalAddr", a)
    assert fetch["socket_addr"] == rdwire.encode_addr(a.local) and len(fetch["socket_addr"]) == 18
    local = ("fd7a:115c:a1e0::53", 50000)
    b.answer_and_close("LocalAddr", **b.local_addr(fetch["socket_addr"], local))
    answer = a.expect("PunchHoleResponse")
    assert (decode_addr(answer["socket_addr"]), answer["is_local"]) == (local, True)
    a = lab.controller(target)
    a.punch(b.id, force_relay=True)
    hole = b.expect_hole("PunchHole", a)
    came_from = b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert decode_addr(a.expect("PunchHoleResponse")["socket_addr"]) == came_from
    own, seen = nat_test_udp(target)
    assert own == seen
    assert_relayed(target)


def test_several_bind_addresses(lab: Lab) -> None:
    """Several --bind addresses: all are served and keep apart, others are not listened on."""
    server = lab.server("serve", hosts=["random", "random"])
    assert server.hosts is not None
    targets = [server.target(host) for host in server.hosts]
    peers = [lab.registered(target) for target in targets]
    for target in targets:
        for b in peers:
            assert_reached(b, lab.controller(target))
        assert_relayed(target)
    with pytest.raises(ConnectionRefusedError):
        Connection((random_loopback(), server.port))


@with_ipv6
def test_bind_to_both_families(lab: Lab) -> None:
    """An IPv4 and an IPv6 address side by side."""
    host = random_loopback()
    server = lab.server("serve", hosts=[host, "::1"], port=free_base_port([host, "::1"]))
    for target in (server.target(host), server.target("::1")):
        assert_reached(lab.registered(target), lab.controller(target))
        assert_relayed(target)


def test_listeners_are_logged(lab: Lab) -> None:
    """The start logs every listener with role, protocol and address."""
    server = lab.server("serve", hosts=["random", "random"])
    assert server.hosts is not None
    got = {(e["proto"], e["addr"]) for e in server.logged("listening")}
    for host in server.hosts:
        expected = [("udp", 0), ("tcp", 0), ("tcp", -1), ("tcp", 1)]
        assert {(proto, f"{host}:{server.port + add}") for proto, add in expected} <= got


# --- on hosts of our own --------------------------------------------------------------------------------------------

@pytest.fixture
def two_homed(hosts: Hosts, lab: Lab) -> Iterator[Server]:
    """A server with default ports on every address of its own host."""
    server = lab.server("serve", hosts=None, port=21116, prefix=hosts.server.prefix)
    yield server
    lab.close_clients()
    server.stop()


@pytest.mark.parametrize(("own", "a_host", "b_host"), [(SERVER_4, A_HOST, B_HOST), (SERVER_6, A_HOST_6, B_HOST_6)])
def test_host_with_two_addresses(
    hosts: Hosts, two_homed: Server, lab: Lab, own: tuple[str, str], a_host: str, b_host: str
) -> None:
    """Across a network: whichever address a peer registers at, answers, pushes and NAT tests come from that one."""
    for spoken_to in own:
        target = two_homed.target(spoken_to)
        b = hosts.client(lambda: lab.registered(target, source=b_host))
        for asked in own:
            a = hosts.client(lambda: lab.controller(two_homed.target(asked), a_host))
            hosts.client(lambda: assert_reached(b, a))
        port_seen = hosts.client(lambda: nat_test_udp(target, a_host))
        assert port_seen[0] == port_seen[1]
        hosts.client(lambda: assert_relayed(target))


def test_bind_to_an_interface(hosts: Hosts, lab: Lab) -> None:
    """An interface's name stands for all its addresses, and for no other."""
    server = lab.server("serve", hosts=["cable"], port=21116, prefix=hosts.server.prefix)
    for host, b_host, a_host in ((SERVER_4[1], B_HOST, A_HOST), (SERVER_6[0], B_HOST_6, A_HOST_6)):
        target = server.target(host)
        b = hosts.client(lambda: lab.registered(target, source=b_host))
        a = hosts.client(lambda: lab.controller(target, a_host))
        hosts.client(lambda: assert_reached(b, a))
    with pytest.raises(ConnectionRefusedError):
        hosts.server.run(lambda: Connection(("127.0.0.1", 21116)))
    lab.close_clients()
    server.stop()
