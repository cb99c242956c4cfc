"""Goal: many peers and many controllers at the same time are all served, each with what is its own."""

from __future__ import annotations

import selectors
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Sequence

import rdwire
from conftest import Lab
from rdclient import Controller, UdpPeer, fresh_id, fresh_source, online_states, state_bits
from rdwire import Address, decode_addr

PEERS, PUNCHES = 500, 200


class Fleet:
    """Peers that answer every PunchHole with PunchHoleSent, in a thread of their own."""

    def __init__(self, peers: Sequence[UdpPeer]) -> None:
        self.answered_from: dict[Address, tuple[str, Address]] = {}
        self._stop, self._stopped = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stopped, selectors.EVENT_READ)
        for peer in peers:
            self._selector.register(peer.sock, selectors.EVENT_READ, peer)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Fleet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join(10)
        self._selector.close()
        self._stopped.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(10):
                if key.data is None:
                    return
                self._answer(key.data)

    def _answer(self, peer: UdpPeer) -> None:
        hole = peer.expect("PunchHole")
        a = decode_addr(hole["socket_addr"])
        came_from = peer.answer_and_close("PunchHoleSent", **peer.hole_sent(hole["socket_addr"]))
        self.answered_from[a] = (peer.id, came_from)


def test_five_hundred_peers_two_hundred_punches(lab: Lab) -> None:
    """200 A's from 20 addresses ask for 200 of 500 B's at once: each gets the answer of its own B, verified."""
    server = lab.server("id", log_level="info")
    target = server.target()
    peers = lab.peers(target, [fresh_id() for _ in range(PEERS)])
    sources = [fresh_source() for _ in range(20)]
    asked = [(lab.controller(target, sources[i % 20]), peers[i * PEERS // PUNCHES]) for i in range(PUNCHES)]
    with Fleet(peers) as fleet:
        for a, b in asked:
            a.punch(b.id)
        answers = [a.expect("PunchHoleResponse") for a, _ in asked]
    for (a, b), answer in zip(asked, answers):
        assert a.verified(answer) == (b.id, b.pk)
        assert fleet.answered_from[a.local] == (b.id, decode_addr(answer["socket_addr"]))
    ids = [peer.id for peer in peers]
    assert online_states(target, ids) == state_bits([True] * PEERS)


def ask_unknown(a: Controller) -> bool:
    for _ in range(20):
        a.punch("nobody-at-all")
    payloads = [a.recv_answer() for _ in range(20)]
    return payloads == [rdwire.encode("PunchHoleResponse")] * 20


def test_many_connections_at_once(lab: Lab) -> None:
    """200 connections that all talk at the same time all get their answers."""
    target = lab.server("id", log_level="info").target()
    connections = [lab.controller(target) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask_unknown, connections))
