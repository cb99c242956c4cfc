"""Goal: what a server gives two clients, wherever it runs: B registers, A finds it and both talk over the relay.

usage: session.py HOST PORT KEY [ID]   (PORT: the ID server's; the relay is at the next one)

Proxies and address translation may stand between, so no address that the server tells is compared. The device's
secrets follow from its ID, so that it is the same one at the next call.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from polling import wait_until
from rdclient import Controller, RelaySide, Target, UdpPeer, fresh_id, fresh_uuid
from rdwire import Result

EACH_WAY = 1 << 20
READY_S = 30.0


def listens(target: Target) -> bool:
    """Does the server take connections, those on the relay's port too?"""
    try:
        Controller(target).close()
        RelaySide(target.relay_port).close()
    except OSError:
        return False
    return True


def registered(target: Target, peer_id: str) -> UdpPeer:
    """B. Behind some proxies a first datagram may be lost; clients send it again, as we do."""
    uuid, pk = hashlib.sha256(peer_id.encode()).digest()[:16], hashlib.sha256(b"pk" + peer_id.encode()).digest()
    peer = UdpPeer(target, peer_id, uuid=uuid, pk=pk)

    def tried() -> bool:
        try:
            wants_key = peer.register_peer()
            return not wants_key or peer.register_pk() == Result.OK
        except TimeoutError:
            return False

    wait_until(tried, READY_S, "a registration")
    return peer


def told_of(target: Target, b: UdpPeer) -> str:
    """A asks for B, B wants the relay; the session's uuid, after A has verified B."""
    a, uuid = Controller(target), fresh_uuid()
    a.punch(b.id)
    hole = b.recv()
    assert hole.kind in ("PunchHole", "FetchLocalAddr")  # the latter if both seem to be at one address
    b.answer("RelayResponse", **b.relay_response(hole["socket_addr"], uuid)).close()
    answer = a.expect("RelayResponse")
    assert answer["uuid"] == uuid
    assert a.verified(answer) == (b.id, b.pk)
    a.close()
    return uuid


def talk(target: Target, uuid: str) -> None:
    """Both meet on the relay, and every byte arrives."""
    sides = [RelaySide(target.relay_port).join(uuid, target.key) for _ in range(2)]
    for sender, receiver in (sides, sides[::-1]):
        data = os.urandom(EACH_WAY)
        sender.send_raw(data)
        assert receiver.recv_exactly(len(data)) == data
    for side in sides:
        side.close()


def main(host: str, port: str, key: str, peer_id: str = "") -> None:
    target = Target(host, int(port), key)
    wait_until(lambda: listens(target), READY_S, f"a server at {host}:{port}")
    b = registered(target, peer_id or fresh_id())
    talk(target, told_of(target, b))
    print(f"{b.id} was found and verified, and {EACH_WAY} bytes went each way")


if __name__ == "__main__":
    main(*sys.argv[1:])
