"""Clients for the tests with machines of their own: each word is what is done with the server at an address.

usage: client.py PUBLIC_KEY_FILE [--host HOST] [--websocket-port PORT] WORD [SECONDS]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable

from conftest import Lab
from rdclient import RelaySide, Target, assert_joined, fresh_uuid, online_states
from rdconnect import WsConnection
from relaysides import PAIRS, WsSide, assert_talk, paired
from test_addresses import assert_reached

PORT = 21116
BULK = 64 * 1024 * 1024
PART = 256 * 1024


def registration(lab: Lab, target: Target) -> None:
    """B registers, A asks for it, B answers."""
    b = lab.registered(target)
    assert_reached(b, lab.controller(target))
    assert online_states(target, [b.id]) == b"\x80"


def session(lab: Lab, target: Target) -> None:
    uuid = fresh_uuid()
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))


def bulk(lab: Lab, target: Target) -> None:
    """So much that it goes through pipes."""
    uuid = fresh_uuid()
    one, other = (lab.relay_side(target).join(uuid, target.key) for _ in range(2))
    assert_joined(one, other)
    part = random.Random(1).randbytes(PART)
    sender = threading.Thread(target=lambda: [one.sock.sendall(part) for _ in range(BULK // PART)], daemon=True)
    sender.start()
    got = bytearray()
    for _ in range(BULK // PART):
        while len(got) < PART:
            data = other.sock.recv(PART)
            assert data, "the session has ended"
            got += data
        assert got[:PART] == part
        del got[:PART]
    sender.join()


def all_transports(lab: Lab, target: Target) -> None:
    for kinds in PAIRS:
        assert_talk(*paired(lab, target, kinds))


def plain(lab: Lab, target: Target, args: Any) -> None:
    registration(lab, target)
    session(lab, target)


def whole(lab: Lab, target: Target, args: Any) -> None:
    plain(lab, target, args)
    bulk(lab, target)
    all_transports(lab, target)
    websocket_id(lab, target, args)


def websocket_id(lab: Lab, target: Target, args: Any) -> None:
    port = args.websocket_port or PORT + 2
    knock = lab.keep(WsConnection(target, path="/ws/id", address=(args.host, port)))
    knock.send("TestNatRequest")
    assert knock.expect("TestNatResponse")["port"] == knock.local[1]


def websocket_relay(lab: Lab, target: Target, args: Any) -> None:
    uuid, at = fresh_uuid(), (args.host, args.websocket_port or PORT + 2)
    one, other = (lab.keep(WsSide(target, address=at)).ask(uuid, target.key, [b"early"]) for _ in range(2))
    assert one.recv_payload() == other.recv_payload() == b"early"


def websocket(lab: Lab, target: Target, args: Any) -> None:
    websocket_id(lab, target, args)
    websocket_relay(lab, target, args)


def hold(lab: Lab, target: Target, args: Any) -> None:
    """A session that goes on for so long, whatever becomes of the server."""
    uuid = fresh_uuid()
    one, other = (RelaySide(target.relay_port).join(uuid, target.key) for _ in range(2))
    assert_joined(one, other)
    print("joined", flush=True)
    end = time.monotonic() + args.seconds
    while time.monotonic() < end:
        one.sock.sendall(b"x")
        assert other.sock.recv(1) == b"x"
        time.sleep(0.1)


def wait(lab: Lab, target: Target, args: Any) -> None:
    """Keeps the server busy a little for so long."""
    end = time.monotonic() + args.seconds
    while time.monotonic() < end:
        plain(lab, target, args)
        lab.close_clients()
        time.sleep(0.2)


def apart(lab: Lab, target: Target, args: Any) -> None:
    """ID server and relay in two processes."""
    whole(lab, target, args)


WORDS: dict[str, Callable[[Lab, Target, Any], None]] = {
    "plain": plain,
    "whole": whole,
    "apart": apart,
    "websocket": websocket,
    "websocket-id": websocket_id,
    "websocket-relay": websocket_relay,
    "hold": hold,
    "wait": wait,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("key", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--websocket-port", type=int, default=0)
    parser.add_argument("word", choices=sorted(WORDS))
    parser.add_argument("seconds", type=float, nargs="?", default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        lab = Lab(Path(place))
        try:
            WORDS[args.word](lab, Target(args.host, PORT, args.key.read_text().strip()), args)
        finally:
            lab.close_clients()


if __name__ == "__main__":
    sys.exit(main())
