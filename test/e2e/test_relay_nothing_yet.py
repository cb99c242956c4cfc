"""Goal: bytes that are no message yet are the first that a relay's thread ever sees, and change nothing."""

from __future__ import annotations

import pytest

import rdwire
import rdws
from conftest import Lab
from rdclient import Target, WsConnection, fresh_uuid


@pytest.mark.parametrize("first", [rdws.frame(rdws.PING, b""), rdws.frame(rdws.PONG, b"x"), b""], ids=["ping", "pong", "none"])
@pytest.mark.parametrize("cut", [1, 2, 5, 6])
def test_part_of_a_first_frame(lab: Lab, first: bytes, cut: int) -> None:
    """A WebSocket begins with a control frame or nothing, and a part of a frame's head; the rest comes later."""
    target = lab.server("relay", "--relay-threads", "1").target()
    at_relay = Target(target.host, target.port + 1, target.key)  # whose WebSocket port is M+2
    uuid = fresh_uuid()
    one = lab.keep(WsConnection(at_relay))
    one.send("RequestRelay", uuid=uuid, licence_key=target.key)
    frame = rdws.frame(rdws.BINARY, b"abc")
    one.send_raw(first + frame[:cut])
    other = lab.relay_side(target).join(uuid, target.key)
    other.send_payload(b"def")
    assert one.recv_payload() == b"def"
    one.send_raw(frame[cut:])
    assert other.recv_exactly(4) == rdwire.frame(b"abc")
