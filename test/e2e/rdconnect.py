"""Connections as clients make them: framed TCP, secured TCP and WebSocket; addresses, ids and targets of their own.

Every socket has a timeout; what doesn't come in time fails the test.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import struct
import sys
import termios
import uuid as uuids
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import rdwire
import rdws
from polling import wait_until
from rdwire import Address, Message

WAIT_S = 10.0
VERSION = "1.4.2"
ESTABLISHED, SYN_RECV, CLOSE_WAIT = "01", "03", "08"  # as the kernel's table has them

_random = random.SystemRandom()
_used_sources: set[str] = set()
_used_ids: set[str] = set()


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
    """A 9-digit id that no other client of this process has."""
    while (peer_id := str(_random.randint(100_000_000, 999_999_999))) in _used_ids:
        pass
    _used_ids.add(peer_id)
    return peer_id


def fresh_uuid() -> str:
    """A session's uuid."""
    return str(uuids.uuid4())


def _is_there(local: Address) -> bool:
    """Does this host have a connection from there which a program has open or will have?"""
    number = int.from_bytes(socket.inet_aton(local[0]), sys.byteorder)
    remote = f"{number:08X}:{local[1]:04X}"
    found = [line.split()[3] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[2] == remote]
    return bool({ESTABLISHED, SYN_RECV, CLOSE_WAIT}.intersection(found))


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
    def relay_websocket_port(self) -> Address:
        return self.host, self.port + 3

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
    """A framed TCP connection. A preamble goes out before anything else, as a proxy's header does.

    receive_buffer: bytes that the kernel keeps for one who doesn't read; 0: as many as it likes.
    """

    def __init__(
        self,
        address: Address,
        source: str | None = None,
        source_port: int = 0,
        preamble: bytes = b"",
        receive_buffer: int = 0,
    ) -> None:
        self.sock = socket.socket(family_of(address[0]), socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_S)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((source, source_port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = rdwire.FrameReader()
        self.offer_may_come = True
        self.sock.connect(address)
        self.local: Address = self.sock.getsockname()[:2]
        if preamble:
            self.send_raw(preamble)

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

    def wait_sent(self) -> None:
        """Returns when the other side's kernel has all that was sent: a reset can't overtake it then."""
        unsent = lambda: int.from_bytes(fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        wait_until(lambda: unsent() == 0, WAIT_S, "all is there")

    def leave(self) -> None:
        """Closes it, and returns when the other side's server has closed it, too, or its kernel was told of a reset; over
        IPv4. Else a busy kernel may let the next connection's packets overtake that."""
        self.close()
        wait_until(lambda: not _is_there(self.local), WAIT_S, "its end there")

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
    """A WebSocket connection: one binary message is one payload. Pings are answered, and kept in `pings`.

    address: where it goes, if not to the ID server's WebSocket port.
    """

    def __init__(
        self,
        target: Target,
        source: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        path: str = "/",
        preamble: bytes = b"",
        address: Address | None = None,
        receive_buffer: int = 0,
    ) -> None:
        address = address or target.websocket_port
        super().__init__(address, source, preamble=preamble, receive_buffer=receive_buffer)
        self.offer_may_come = False
        self.raw = bytearray()
        self.pings: list[bytes] = []
        self.close_code: int | None = None
        self.key = rdws.fresh_key()
        self.send_raw(rdws.request(self.key, "%s:%d" % address, path, headers))
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
        message: bytes | None = None
        while (found := self.recv_frame()) is not None:
            if found.opcode == rdws.CLOSE:
                self.close_code = int.from_bytes(found.payload[:2], "big") or None
                return None
            if found.opcode == rdws.PING:
                self.pings.append(found.payload)
                self.send_frame(rdws.PONG, found.payload)
            elif found.opcode != rdws.PONG:
                assert found.opcode == (rdws.BINARY if message is None else rdws.CONTINUATION), found
                message = (message or b"") + found.payload
                if found.final:
                    return message
        return None


