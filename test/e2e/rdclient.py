"""Clients as the protocol describes them: a controlled one (B), a controlling one (A), both on a relay, and the rest.

Every socket has a timeout; what doesn't come in time fails the test.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import uuid as uuids
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

import rdwire
import rdws
from rdwire import Address, Message, NatType, Result

WAIT_S = 10.0
VERSION = "1.4.2"

_random = random.SystemRandom()
_used_sources: set[str] = set()


def fresh_source(prefix: str = "") -> str:
    """A loopback address that no other client of this process has; it begins with the prefix, if one is given."""
    while True:
        head = [int(part) for part in prefix.split(".") if part] or [127, _random.randint(2, 9)]
        octets = head + [_random.randint(1, 254) for _ in range(4 - len(head))]
        source = ".".join(map(str, octets))
        if source not in _used_sources:
            _used_sources.add(source)
            return source


def fresh_id() -> str:
    """A 9-digit id."""
    return str(_random.randint(100_000_000, 999_999_999))


def fresh_uuid() -> str:
    """A session's uuid."""
    return str(uuids.uuid4())


@dataclass(frozen=True)
class Target:
    """A server as a client is configured for it."""

    host: str
    port: int
    key: str

    @property
    def id_port(self) -> Address:
        return self.host, self.port

    @property
    def nat_port(self) -> Address:
        return self.host, self.port - 1

    @property
    def relay_port(self) -> Address:
        return self.host, self.port + 1

    @property
    def websocket_port(self) -> Address:
        return self.host, self.port + 2

    @property
    def relay_name(self) -> str:
        """The relay as B names it, where nobody named another."""
        return "%s:%d" % self.relay_port


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def parse_relay_name(name: str) -> Address:
    host, _, port = name.rpartition(":")
    return host, int(port)


class Connection:
    """A framed TCP connection. A preamble goes out before anything else, as a proxy's header does."""

    def __init__(
        self, address: Address, source: str | None = None, source_port: int = 0, preamble: bytes = b""
    ) -> None:
        self.sock = socket.socket(family_of(address[0]), socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_S)
        if source:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((source, source_port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = rdwire.FrameReader()
        self.offer_may_come = True
        self.sock.connect(address)
        self.local: Address = self.sock.getsockname()[:2]
        self.sock.sendall(preamble)

    # --- sending ---

    def send(self, kind: str, **fields: Any) -> None:
        self.send_payload(rdwire.encode(kind, **fields))

    def send_payload(self, payload: bytes) -> None:
        self.send_raw(rdwire.frame(payload))

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def try_to_send(self, data: bytes) -> None:
        """Sends what the server may refuse to take."""
        with suppress(OSError):
            self.sock.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        """Each byte in a segment of its own."""
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def end_sending(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset_at_close(self) -> None:
        """Lets close() end the connection with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self.sock.close()

    # --- receiving ---

    def recv_payload(self) -> bytes | None:
        """The next payload; None at the end of the connection."""
        while (payload := self.reader.next()) is None:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.reader.feed(data)
        return payload

    def recv_answer(self) -> bytes | None:
        """The next payload; one offer of a secure channel is skipped."""
        payload = self.recv_payload()
        skip = self.offer_may_come and payload and rdwire.decode(payload).kind == "KeyExchange"
        self.offer_may_come = False
        return self.recv_payload() if skip else payload

    def recv(self) -> Message | None:
        """The next message; one offer of a secure channel is skipped. None at the end of the connection."""
        payload = self.recv_answer()
        return None if payload is None else rdwire.decode(payload)

    def expect(self, kind: str) -> Message:
        message = self.recv()
        assert message is not None, f"closed instead of {kind}"
        assert message.kind == kind, f"{message} instead of {kind}"
        return message

    def expect_closed(self) -> None:
        """The server ends the connection without another message."""
        message = self.recv()
        assert message is None, f"{message} instead of the end"

    def pending(self) -> list[Message]:
        """Every message that had been sent to this connection by now: those before the answer to a question."""
        with suppress(OSError):
            self.send("TestNatRequest")
        out: list[Message] = []
        while (message := self.recv()) is not None and message.kind != "TestNatResponse":
            out.append(message)
        return out

    def is_open(self) -> bool:
        """Nothing has come and the connection has not ended, so far."""
        self.sock.setblocking(False)
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.sock.settimeout(WAIT_S)

    def recv_exactly(self, count: int) -> bytes:
        """So many raw bytes, as after the pairing on a relay."""
        out = bytearray(self.reader.rest[:count])
        del self.reader.rest[:count]
        while len(out) < count:
            data = self.sock.recv(count - len(out))
            assert data, f"closed after {len(out)} of {count} bytes"
            out += data
        return bytes(out)

    def recv_end(self) -> None:
        """The other side's end, as a closed connection shows it, and nothing before it."""
        assert not self.reader.rest
        try:
            data = self.sock.recv(1)
        except ConnectionResetError:
            return
        assert data == b""


class SecureConnection(Connection):
    """A TCP connection that is secured: every message in it is sealed."""

    def __init__(self, target: Target, source: str | None = None) -> None:
        super().__init__(target.id_port, source)
        self.offer_may_come = False
        offer = super().recv_payload()
        assert offer is not None, "closed instead of the offer"
        symmetric = os.urandom(32)
        super().send_payload(rdwire.answer_offer(rdwire.open_offer(offer, target.key), os.urandom(32), symmetric))
        self.out, self.back = rdwire.Sealer(symmetric), rdwire.Sealer(symmetric)

    def send_payload(self, payload: bytes) -> None:
        super().send_payload(self.out.seal(payload))

    def recv_payload(self) -> bytes | None:
        payload = super().recv_payload()
        return None if payload is None else self.back.open(payload)


class WsConnection(Connection):
    """A WebSocket connection: one binary message is one payload. Pings are answered, and kept in `pings`."""

    def __init__(
        self,
        target: Target,
        source: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        path: str = "/",
        preamble: bytes = b"",
    ) -> None:
        super().__init__(target.websocket_port, source, preamble=preamble)
        self.offer_may_come = False
        self.raw = bytearray()
        self.pings: list[bytes] = []
        self.close_code: int | None = None
        self.key = rdws.fresh_key()
        self.send_raw(rdws.request(self.key, "%s:%d" % target.websocket_port, path, headers))
        self.status, self.headers = self.recv_head()
        assert self.status == 101, f"status {self.status} {self.headers}"
        assert self.headers["sec-websocket-accept"] == rdws.accept_of(self.key)

    def recv_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer to the handshake."""
        while (end := self.raw.find(b"\r\n\r\n")) < 0:
            data = self.sock.recv(65536)
            assert data, f"closed after {bytes(self.raw)!r}"
            self.raw += data
        head = bytes(self.raw[:end])
        del self.raw[: end + 4]
        return rdws.parse_head(head)

    def send_frame(self, opcode: int, payload: bytes, final: bool = True, mask: bool = True) -> None:
        self.send_raw(rdws.frame(opcode, payload, final, mask))

    def send_payload(self, payload: bytes) -> None:
        self.send_frame(rdws.BINARY, payload)

    def recv_frame(self) -> rdws.Frame | None:
        """The next frame, whatever it is; None at the end of the connection."""
        while (found := rdws.parse_frame(self.raw)) is None:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.raw += data
        return found

    def recv_payload(self) -> bytes | None:
        """The next message; None when the server closes."""
        message = b""
        while (found := self.recv_frame()) is not None:
            if found.opcode == rdws.CLOSE:
                self.close_code = int.from_bytes(found.payload[:2], "big") or None
                return None
            if found.opcode == rdws.PING:
                self.pings.append(found.payload)
                self.send_frame(rdws.PONG, found.payload)
            elif found.opcode != rdws.PONG:
                assert found.opcode == (rdws.CONTINUATION if message else rdws.BINARY), found
                message += found.payload
                if found.final:
                    return message
        return None


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
        """Answers and closes at once, unread, as after PunchHoleSent and LocalAddr; where it came from."""
        connection = self.answer(kind, **fields)
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
    """Registers many peers, so many at a time; datagrams that got lost are sent again, as clients do."""
    for at in range(0, len(peers), window):
        batch = list(peers[at : at + window])
        for _ in range(3):
            batch = _register_batch(batch)
        assert not batch, f"{len(batch)} peers got no answer"


def _register_batch(peers: Sequence[UdpPeer]) -> list[UdpPeer]:
    """One try for each; those that got no answer."""
    for peer in peers:
        peer.send_register_pk()
    silent = []
    for peer in peers:
        peer.sock.settimeout(3)
        try:
            assert peer.expect("RegisterPkResponse")["result"] == Result.OK
        except TimeoutError:
            silent.append(peer)
        peer.sock.settimeout(WAIT_S)
    return silent
