"""Clients as the protocol describes them: a controlled one (B), a controlling one (A), both on a relay, and the rest.

Every socket has a timeout; what doesn't come in time fails the test.
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterable, Sequence

import rdwire
from rdconnect import VERSION as VERSION
from rdconnect import WAIT_S as WAIT_S
from rdconnect import Connection as Connection
from rdconnect import SecureConnection as SecureConnection
from rdconnect import Target as Target
from rdconnect import WsConnection as WsConnection
from rdconnect import family_of as family_of
from rdconnect import fresh_id as fresh_id
from rdconnect import fresh_source as fresh_source
from rdconnect import fresh_uuid as fresh_uuid
from rdconnect import parse_relay_name as parse_relay_name
from rdwire import Address, Message, NatType, Result


class Asking:
    """What A asks the ID server, on whatever connection."""

    target: Target
    send: Any

    def punch(self, peer_id: str | bytes, **fields: Any) -> None:
        request = {"licence_key": self.target.key, "nat_type": NatType.ASYMMETRIC, "version": VERSION, **fields}
        self.send("PunchHoleRequest", id=peer_id, **request)

    def request_relay(self, peer_id: str | bytes, uuid: str, **fields: Any) -> None:
        self.send("RequestRelay", **{"id": peer_id, "uuid": uuid, "secure": True, **fields})

    def verified(self, answer: Message) -> tuple[str, bytes]:
        """Id and key of the device, as the server vouches for it in this answer."""
        return rdwire.open_id_pk(answer["pk"], self.target.key)


class Controller(Asking, Connection):
    """A: asks the ID server for B."""

    def __init__(self, target: Target, source: str | None = None, preamble: bytes = b"") -> None:
        super().__init__(target.id_port, source, preamble=preamble)
        self.target = target


class SecureController(Asking, SecureConnection):
    """A of a logged-in user, who secures the connection."""

    def __init__(self, target: Target, source: str | None = None) -> None:
        super().__init__(target, source)
        self.target = target


class WsController(Asking, WsConnection):
    """A in WebSocket mode."""

    def __init__(self, target: Target, source: str | None = None, **options: Any) -> None:
        super().__init__(target, source, **options)
        self.target = target


class Device:
    """B: who it is, and what it answers, on whatever transport."""

    def __init__(
        self,
        target: Target,
        peer_id: str | bytes | None = None,
        source: str | None = None,
        uuid: bytes | None = None,
        pk: bytes | None = None,
    ) -> None:
        self.target = target
        self.id: Any = fresh_id() if peer_id is None else peer_id
        self.uuid = os.urandom(16) if uuid is None else uuid
        self.pk = os.urandom(32) if pk is None else pk
        self.source = source or (fresh_source() if family_of(target.host) == socket.AF_INET else "::1")

    @property
    def identity(self) -> dict[str, bytes]:
        """What makes another peer of this id the same device."""
        return {"uuid": self.uuid, "pk": self.pk}

    def expect(self, kind: str) -> Message:
        raise NotImplementedError

    def send(self, kind: str, **fields: Any) -> None:
        raise NotImplementedError

    def send_register_pk(self, **fields: Any) -> None:
        self.send("RegisterPk", **{"id": self.id, "uuid": self.uuid, "pk": self.pk, **fields})

    def register_pk(self, **fields: Any) -> Result:
        """One RegisterPk; its result."""
        self.send_register_pk(**fields)
        return Result(self.expect("RegisterPkResponse")["result"])

    # --- answers ---

    def answer(self, kind: str, **fields: Any) -> Connection:
        """Sends an answer on a new connection from this peer's address; the connection is left open."""
        connection = self.answering_connection()
        connection.send(kind, **fields)
        return connection

    def answering_connection(self) -> Connection:
        """A new connection for an answer; in WebSocket mode it is another kind."""
        return Connection(self.target.id_port, self.source)

    def answer_and_close(self, kind: str, **fields: Any) -> Address:
        """Answers and closes, unread, as after PunchHoleSent and LocalAddr; where it came from."""
        connection = self.answer(kind, **fields)
        connection.wait_sent()
        connection.close()
        return connection.local

    def answer_and_wait(self, kind: str, **fields: Any) -> None:
        """Answers, and returns when the server has dealt with it and closed its side too."""
        connection = self.answer(kind, **fields)
        connection.end_sending()
        connection.expect_closed()
        connection.close()

    def hole_sent(self, socket_addr: bytes, **fields: Any) -> dict[str, Any]:
        """The fields of this peer's PunchHoleSent."""
        own = {"id": self.id, "nat_type": NatType.ASYMMETRIC, "version": VERSION}
        return {"socket_addr": socket_addr, **own, "relay_server": self.target.relay_name, **fields}

    def local_addr(self, socket_addr: bytes, local: Address, **fields: Any) -> dict[str, Any]:
        """The fields of this peer's LocalAddr: A's address is encoded anew, as clients do."""
        a = rdwire.encode_addr(rdwire.decode_addr(socket_addr))
        own = {"id": self.id, "version": VERSION, "relay_server": self.target.relay_name}
        return {"socket_addr": a, "local_addr": rdwire.encode_addr(local), **own, **fields}

    def relay_response(self, socket_addr: bytes, uuid: str, **fields: Any) -> dict[str, Any]:
        """The fields of this peer's RelayResponse to a punch."""
        own = {"id": self.id, "version": VERSION, "relay_server": self.target.relay_name}
        return {"socket_addr": socket_addr, "uuid": uuid, **own, **fields}

    def expect_hole(self, kind: str, a: Connection) -> Message:
        """The push that tells of this A."""
        message = self.expect(kind)
        assert rdwire.decode_addr(message["socket_addr"]) == a.local
        return message


class UdpPeer(Device):
    """B: registers over UDP from a source address of its own, and answers what the server pushes to it."""

    def __init__(self, target: Target, peer_id: str | bytes | None = None, **options: Any) -> None:
        super().__init__(target, peer_id, **options)
        self.sock = self._new_socket()
        self.local: Address = self.sock.getsockname()[:2]

    def _new_socket(self) -> socket.socket:
        sock = socket.socket(family_of(self.target.host), socket.SOCK_DGRAM)
        sock.settimeout(WAIT_S)
        sock.bind((self.source, 0))
        return sock

    def close(self) -> None:
        self.sock.close()

    # --- datagrams ---

    def send(self, kind: str, **fields: Any) -> None:
        self.send_raw(rdwire.encode(kind, **fields))

    def send_raw(self, payload: bytes) -> None:
        self.sock.sendto(payload, self.target.id_port)

    def recv(self) -> Message:
        """The next datagram, which must come from the address that was spoken to."""
        payload, sender = self.sock.recvfrom(65536)
        assert sender[:2] == self.target.id_port, f"from {sender} instead of {self.target.id_port}"
        return rdwire.decode(payload)

    def expect(self, kind: str) -> Message:
        message = self.recv()
        assert message.kind == kind, f"{message} instead of {kind}"
        return message

    def pending(self) -> list[Message]:
        """Every datagram that had been sent here by now: those before the answer to a question."""
        self.send("TestNatRequest")
        out: list[Message] = []
        while (message := self.recv()).kind != "TestNatResponse":
            out.append(message)
        return out

    # --- registration ---

    def register_peer(self) -> bool:
        """One RegisterPeer; does the server ask for the key?"""
        self.send("RegisterPeer", id=self.id, serial=3)
        return self.expect("RegisterPeerResponse")["request_pk"]

    def register(self) -> UdpPeer:
        """The whole way of an id that the server doesn't know at this address."""
        assert self.register_peer() is True
        assert self.register_pk() is Result.OK
        assert self.register_peer() is False
        return self


class ConnectedPeer(Device):
    """B that registers at a connection, which stays open."""

    def __init__(self, target: Target, peer_id: str | bytes | None = None, **options: Any) -> None:
        super().__init__(target, peer_id, **options)
        self.connection = self.new_connection()

    def new_connection(self) -> Connection:
        raise NotImplementedError

    def send(self, kind: str, **fields: Any) -> None:
        self.connection.send(kind, **fields)

    def expect(self, kind: str) -> Message:
        return self.connection.expect(kind)

    def expect_closed(self) -> None:
        self.connection.expect_closed()

    def pending(self) -> list[Message]:
        return self.connection.pending()

    def register(self) -> ConnectedPeer:
        """RegisterPk, and OK."""
        assert self.register_pk() is Result.OK
        return self

    def close(self) -> None:
        self.connection.close()


class TcpPeer(ConnectedPeer):
    """B that can't use UDP, and speaks plainly; perhaps behind a proxy, which sends a preamble."""

    def __init__(
        self, target: Target, peer_id: str | bytes | None = None, preamble: bytes = b"", **options: Any
    ) -> None:
        self.preamble = preamble
        super().__init__(target, peer_id, **options)

    def new_connection(self) -> Connection:
        return Connection(self.target.id_port, self.source, preamble=self.preamble)

    def answering_connection(self) -> Connection:
        return self.new_connection()


class SecurePeer(ConnectedPeer):
    """B that can't use UDP, as stock clients register then: secured."""

    def new_connection(self) -> Connection:
        return SecureConnection(self.target, self.source)


class WsPeer(ConnectedPeer):
    """B in WebSocket mode; it answers by WebSocket too."""

    def __init__(
        self,
        target: Target,
        peer_id: str | bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
        preamble: bytes = b"",
        **options: Any,
    ) -> None:
        self.headers, self.preamble = headers, preamble
        super().__init__(target, peer_id, **options)

    def new_connection(self) -> WsConnection:
        return WsConnection(self.target, self.source, self.headers, preamble=self.preamble)

    def answering_connection(self) -> Connection:
        return self.new_connection()


class RelaySide(Connection):
    """One side of a session on the relay."""

    def join(self, uuid: str, key: str, early: bytes = b"", **fields: Any) -> RelaySide:
        """Asks for the session; the early bytes go out in the same segment."""
        self.send_raw(rdwire.frame(rdwire.encode("RequestRelay", uuid=uuid, licence_key=key, **fields)) + early)
        return self


def assert_joined(one: Connection, other: Connection) -> None:
    """Bytes pass both ways."""
    for sender, receiver in ((one, other), (other, one)):
        data = os.urandom(100)
        sender.send_raw(data)
        assert receiver.recv_exactly(len(data)) == data


def assert_passes(sender: Connection, receiver: Connection, size: int) -> None:
    """So many bytes pass, whatever the machine buffers."""
    data = os.urandom(size)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.send_raw, data)
        assert receiver.recv_exactly(size) == data
        sending.result(10)


def nat_test_udp(target: Target, source: str | None = None) -> tuple[int, int]:
    """(own port, port that the server saw) over UDP."""
    peer = UdpPeer(target, source=source)
    try:
        peer.send("TestNatRequest", serial=3)
        return peer.local[1], peer.expect("TestNatResponse")["port"]
    finally:
        peer.close()


def nat_test_tcp(address: Address, source: str | None = None) -> tuple[int, int]:
    """(own port, port that the server saw) over TCP."""
    connection = Connection(address, source)
    try:
        connection.send("TestNatRequest", serial=3)
        return connection.local[1], connection.expect("TestNatResponse")["port"]
    finally:
        connection.close()


def online_states(target: Target, ids: Sequence[str | bytes], own_id: str = "") -> bytes:
    """The raw bits of an online query."""
    connection = Connection(target.nat_port)
    try:
        connection.send("OnlineRequest", id=own_id, peers=ids)
        return connection.expect("OnlineResponse")["states"]
    finally:
        connection.close()


def state_bits(states: Iterable[bool]) -> bytes:
    """The bits as the protocol wants them: the first is the highest of the first byte."""
    flags = list(states)
    out = bytearray((len(flags) + 7) // 8)
    for i, flag in enumerate(flags):
        out[i // 8] |= flag << (7 - i % 8)
    return bytes(out)


def is_online(target: Target, peer_id: str | bytes) -> bool:
    return online_states(target, [peer_id]) == b"\x80"


def register_all(peers: Sequence[UdpPeer], window: int = 50) -> None:
    """Registers many peers, so many at a time that the server's socket has room for all."""
    for at in range(0, len(peers), window):
        batch = peers[at : at + window]
        for peer in batch:
            peer.send_register_pk()
        for peer in batch:
            assert peer.expect("RegisterPkResponse")["result"] == Result.OK
