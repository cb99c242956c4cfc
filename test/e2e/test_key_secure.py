"""Goal: while two keys are accepted, clients with either secure their connections: at once, or after one retry."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import rdwire
from conftest import Lab
from keyhelp import did, holding, mismatched, rotate, secured, tries
from polling import wait_until
from rdclient import Connection, SecurePeer, Target, fresh_source
from rdserver import Server
from rdwire import Result, WireError
from test_proxy_protocol import proxied_site, v1, v2

GRACE_OVER_S = 20.0


@pytest.fixture
def two(lab: Lab) -> tuple[Target, Target]:
    """A server whose key was rotated while it ran, as clients with the old and with the new key know it."""
    return two_of(lab.server("id"))


def two_of(server: Server, *args: str) -> tuple[Target, Target]:
    old, new = rotate(server.directory, *args)
    assert old != new
    return server.target(key=old), server.target(key=new)


def test_from_different_addresses(lab: Lab, two: tuple[Target, Target]) -> None:
    """Each is in after one retry at most, and from then on (nearly) all are at once."""
    old, new = two
    homes = [(target, fresh_source()) for target in (old, new) for _ in range(10)]
    first = [tries(lab, target, home) for target, home in homes]
    assert first == [2] * 10 + [1] * 10
    # Addresses are remembered by a hash: two that have the same may push each other out.
    for _ in range(3):
        again = [tries(lab, target, home) for target, home in homes]
        assert max(again) <= 2 and again.count(1) >= 18


def test_who_was_there_before_the_rotation(lab: Lab) -> None:
    """An address from which a connection was secured before is offered that key, without a retry."""
    server, home = lab.server("id"), fresh_source()
    assert tries(lab, server.target(), home) == 1
    old, new = two_of(server)
    assert [tries(lab, old, home) for _ in range(3)] == [1] * 3
    assert tries(lab, new, fresh_source()) == 1


def test_client_that_gets_the_new_key(lab: Lab, two: tuple[Target, Target]) -> None:
    """A device whose key is replaced needs one retry, once."""
    old, new = two
    home = fresh_source()
    assert tries(lab, old, home) == 2
    assert [tries(lab, new, home) for _ in range(3)] == [2, 1, 1]


def test_behind_one_address(lab: Lab, two: tuple[Target, Target]) -> None:
    """Two devices with different keys behind one address: each is in after one retry at most, in whatever order."""
    old, new = two
    home = fresh_source()
    for target in (old, new, old, old, new, new, old, new):
        assert tries(lab, target, home) <= 2


def test_probes_disturb_nobody(lab: Lab, two: tuple[Target, Target]) -> None:
    """Connections that are closed with the offer unread, plain ones and send-and-close ones say nothing about a key."""
    old, _ = two
    home = fresh_source()
    assert tries(lab, old, home) == 2
    for number in range(30):
        connection = Connection(old.id_port, home)
        if number % 3 == 1:
            connection.sock.recv(1, socket.MSG_PEEK)  # it has come, and stays unread
        if number % 3 == 2:
            connection.send("TestNatRequest")
            connection.expect("TestNatResponse")
        connection.leave()
        assert tries(lab, old, home) == 1


def test_first_come_behind_plain_ones(lab: Lab, two: tuple[Target, Target]) -> None:
    """Plain connections between two tries don't turn the offers so that a client always meets the wrong one."""
    old, _ = two
    home, count = fresh_source(), 0
    for _ in range(4):
        plain = Connection(old.id_port, home)
        plain.send("TestNatRequest")
        plain.expect("TestNatResponse")
        plain.close()
        try:
            secured(lab, old, home, most=1)
            break
        except AssertionError:
            count += 1
    assert count == 1


def test_registration_with_either_key(lab: Lab, two: tuple[Target, Target]) -> None:
    """B that can't use UDP registers secured with either key, and is reached with either."""
    old, new = two
    for target in (old, new):
        home = fresh_source()
        tries(lab, target, home)
        b = lab.connected(SecurePeer, target, source=home)
        assert b.register_pk() is Result.OK
        for key in (old.key, new.key):
            a = lab.controller(holding(target, key))
            a.punch(b.id)
            hole = b.expect_hole("PunchHole", a)
            b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
            assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


@pytest.mark.parametrize("header", [v1, v2], ids=["v1", "v2"])
def test_behind_a_proxy(lab: Lab, header: Any) -> None:
    """Clients whose address a proxy's header tells are told apart by it, though the proxy is one address."""
    server = proxied_site(lab)
    old, new = two_of(server)
    proxy = fresh_source()
    preambles = {target: header((f"198.51.100.{i}", 4000), ("192.0.2.1", 1)) for i, target in enumerate((old, new))}
    assert [tries(lab, target, proxy, preambles[target]) for target in (old, new)] == [2, 1]
    for order in ((old, old, new, new), (new, old, new, old)):
        assert [tries(lab, target, proxy, preambles[target]) for target in order] == [1] * 4


def offered(target: Target, source: str) -> bool:
    """Is the offer signed with this client's key? If not, it has been refused."""
    connection = Connection(target.id_port, source)
    offer = connection.recv_payload() or b""
    connection.leave()
    try:
        rdwire.open_offer(offer, target.key)
    except WireError:
        return False
    return True


def test_after_the_grace(lab: Lab) -> None:
    """When grace ends while the server runs, with no file changed, the old key is offered to nobody any more."""
    server, home = lab.server("id"), fresh_source()
    tries(lab, server.target(), home)
    old, new = two_of(server, "--grace", "10s")
    assert tries(lab, old, home) == 1
    wait_until(lambda: mismatched(lab, old, old.key), GRACE_OVER_S, "the end of the grace")
    wait_until(lambda: all(offered(new, home) for _ in range(3)), GRACE_OVER_S, "the new key's offers alone")
    for source in [home] * 3 + [fresh_source() for _ in range(3)]:
        assert not offered(old, source) and offered(new, source)
    assert not mismatched(lab, new, new.key)


def test_after_it_was_retired(lab: Lab, two: tuple[Target, Target]) -> None:
    """--retire ends the offers as well; a connection that was secured with the old key goes on."""
    old, new = two
    home = fresh_source()
    connection, _ = secured(lab, old, home)
    did(lab.directory(), "--retire", old.key)
    assert all(offered(new, home) for _ in range(4))
    connection.send("TestNatRequest")
    assert connection.expect("TestNatResponse")["port"] == connection.local[1]


def test_next_key_is_offered_last(lab: Lab) -> None:
    """A client that has the next key already is in; those with the current and the old one come before it."""
    server = lab.server("id")
    old, new = two_of(server)
    coming = server.target(key=did(server.directory, "--next"))
    assert [tries(lab, target, fresh_source()) for target in (new, old, coming)] == [1, 2, 3]
