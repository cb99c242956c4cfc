"""Goal: the relay's UDP port tells clients a third address for their NAT tests, and nobody anything else."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Iterator

import pytest

import rdwire
from conftest import Lab
from polling import wait_until
from rdclient import Target, fresh_source
from rdserver import has_ipv6_loopback

NAT_TEST = rdwire.encode("TestNatRequest", serial=3)


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """A client's UDP socket, at an address of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind((fresh_source(), 0))
        yield sock


def assert_told(sock: socket.socket, target: Target) -> None:
    """The next datagram is the answer, from the address that was asked, and names the source port."""
    payload, sender = sock.recvfrom(4096)
    assert sender[:2] == target.relay_port
    message = rdwire.decode(payload)
    assert message.kind == "TestNatResponse" and message["port"] == sock.getsockname()[1]
    assert not message.has("cu")


@pytest.mark.parametrize("role", ["relay", "serve"])
def test_nat_test(lab: Lab, client: socket.socket, role: str) -> None:
    """TestNatRequest is answered with the port that was seen, each time."""
    target = lab.server(role).target()
    for _ in range(3):
        client.sendto(NAT_TEST, target.relay_port)
        assert_told(client, target)


def test_three_addresses_see_one_port(lab: Lab, client: socket.socket) -> None:
    """From one socket to the ID server and to the relay: both see the same port."""
    target = lab.server("serve").target()
    client.sendto(NAT_TEST, target.id_port)
    port = rdwire.decode(client.recv(4096))["port"]
    client.sendto(NAT_TEST, target.relay_port)
    assert rdwire.decode(client.recv(4096))["port"] == port == client.getsockname()[1]


def is_told(sock: socket.socket, target: Target) -> bool:
    """Asks once; what is lost on the way gets no answer."""
    sock.sendto(NAT_TEST, target.relay_port)
    try:
        assert_told(sock, target)
    except TimeoutError:
        return False
    return True


OTHERS = {
    "RegisterPeer": rdwire.encode("RegisterPeer", id="123456789", serial=3),
    "RegisterPk": rdwire.encode("RegisterPk", id="123456789", uuid=b"u" * 16, pk=b"p" * 32),
    "PunchHoleRequest": rdwire.encode("PunchHoleRequest", id="123456789"),
    "RequestRelay": rdwire.encode("RequestRelay", uuid="x", licence_key="x"),
    "OnlineRequest": rdwire.encode("OnlineRequest", peers=["123456789"]),
    "TestNatResponse": rdwire.encode("TestNatResponse", port=7),
    "SoftwareUpdate": rdwire.encode("SoftwareUpdate", url="rustdesk-1.0.0"),
    "a frame": rdwire.frame(NAT_TEST),
    "junk": b"\xff" * 20,
    "unknown": rdwire.delimited(200, b"later"),
    "nothing": b"",
    "oversized": NAT_TEST + bytes(5000),
}


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_answered(relay_site: Target, client: socket.socket, name: str) -> None:
    """Any other datagram gets nothing: the next thing that comes is the answer to the question behind it."""
    for _ in range(3):
        client.sendto(OTHERS[name], relay_site.relay_port)
    client.sendto(NAT_TEST, relay_site.relay_port)
    assert_told(client, relay_site)


def test_answer_is_no_longer_than_a_reflector_may(relay_site: Target, client: socket.socket) -> None:
    """A forged source gets hardly more than was sent in its name."""
    for request in (NAT_TEST, rdwire.encode("TestNatRequest")):
        client.sendto(request, relay_site.relay_port)
        assert len(client.recv(4096)) <= len(request) + 16


def test_flood_from_one_address(relay_site: Target, client: socket.socket) -> None:
    """Who asks without end is answered for a while; others are served."""
    for _ in range(6000):
        client.sendto(NAT_TEST, relay_site.relay_port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(0.2)
        other.bind((fresh_source(), 0))
        wait_until(lambda: is_told(other, relay_site), 20, "another one's answer")
    client.setblocking(False)
    answers = 0
    with suppress(BlockingIOError):
        while client.recv(4096):
            answers += 1
    assert 1 <= answers < 4500


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 here")
def test_nat_test_by_ipv6(lab: Lab) -> None:
    """Over IPv6, too."""
    target = lab.server("relay", hosts=["::1"]).target()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(("::1", 0))
        sock.sendto(NAT_TEST, target.relay_port)
        assert_told(sock, target)
