"""Servers that are none, or others: what a check has to live with. Each runs in threads until it is closed."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Callable, Iterator

from rdserver import free_base_port, random_loopback
from rdwire import Address, FrameReader, WireError, decode, encode, encode_addr, frame
from rdws import accept_of, frame_head

Talk = Callable[[socket.socket], None]
Answer = Callable[[bytes], "bytes | None"]


class FakeServer:
    """Listens at all of a server's ports: `talk` has each TCP connection, `answer` each datagram."""

    def __init__(self, talk: Talk, answer: Answer) -> None:
        self.host = random_loopback()
        self.port = free_base_port([self.host])
        self._talk, self._answer = talk, answer
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False
        for port in range(self.port - 2, self.port + 4):
            self._start(self._accept, self._listen(port))
        self.heard_from: Address | None = None
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((self.host, self.port))
        self._sockets.append(self._udp)
        self._start(self._serve_udp, self._udp)

    def _listen(self, port: int) -> socket.socket:
        sock = socket.create_server((self.host, port))
        self._sockets.append(sock)
        return sock

    def _start(self, fn: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=fn, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self._closing:
                sock, _ = listening.accept()
                self._sockets.append(sock)
                self._start(self._converse, sock)

    def _converse(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, WireError), sock:
            self._talk(sock)

    def _serve_udp(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self._closing:
                payload, self.heard_from = sock.recvfrom(65536)
                reply = self._answer(payload) if self.heard_from else None
                if reply is not None:
                    sock.sendto(reply, self.heard_from)

    def tell(self, payload: bytes, to: Address) -> None:
        self._udp.sendto(payload, to)

    def close(self) -> None:
        self._closing = True
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)


def payloads(sock: socket.socket, first: bytes) -> Iterator[bytes]:
    """What a framed client says, from the bytes that are there already on."""
    reader = FrameReader()
    data = first
    while data:
        reader.feed(data)
        while (payload := reader.next()) is not None:
            yield payload
        data = sock.recv(65536)


def open_websocket(sock: socket.socket, head: bytes) -> bytearray:
    """Answers the opening request; what came behind it."""
    while b"\r\n\r\n" not in head:
        head += sock.recv(4096)
    head, _, rest = head.partition(b"\r\n\r\n")
    key = next(
        line.split(b":", 1)[1].strip().decode()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_of(key).encode() + b"\r\n\r\n"
    )
    return bytearray(rest)


def _take_message(data: bytearray) -> bytes | None:
    """Takes a client's short, masked message out of the data."""
    size = data[1] & 0x7F if len(data) > 1 else 0
    at = 4 if size == 126 else 2
    if len(data) < at + 4:
        return None
    size = int.from_bytes(data[2:4], "big") if size == 126 else size
    if len(data) < at + 4 + size:
        return None
    mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
    del data[: at + 4 + size]
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


def messages(sock: socket.socket, data: bytearray) -> Iterator[bytes]:
    """What a client on a WebSocket says."""
    while True:
        while (got := _take_message(data)) is not None:
            yield got
        more = sock.recv(65536)
        if not more:
            return
        data += more


class FreeHbbs:
    """An ID server that is not ours: takes no registrations over connections, and enforces no key."""

    def answer(self, payload: bytes) -> bytes | None:
        got = decode(payload)
        if got.kind == "RegisterPeer":
            return encode("RegisterPeerResponse", request_pk=True)
        if got.kind == "TestNatRequest":
            return encode("TestNatResponse", port=4242)
        return None

    def reply(self, payload: bytes) -> bytes | None:
        got = decode(payload)
        if got.kind == "RegisterPk":
            return encode("RegisterPkResponse", result=6)
        if got.kind == "TestNatRequest":
            return encode("TestNatResponse", port=4242)
        if got.kind == "PunchHoleRequest":
            return encode("PunchHoleResponse", failure=0)
        return None

    def talk(self, sock: socket.socket) -> None:
        first = sock.recv(65536)
        if first.startswith(b"GET "):
            for message in messages(sock, open_websocket(sock, first)):
                reply = self.reply(message)
                if reply is not None:
                    sock.sendall(frame_head(2, len(reply), mask=False) + reply)
            return
        for payload in payloads(sock, first):
            reply = self.reply(payload)
            if reply is not None:
                sock.sendall(frame(reply))


class Voucher:
    """An ID server that does what a punch needs, no more; `vouch` writes the signed pk that A gets, from B's id and key."""

    def __init__(self, vouch: Callable[[str, bytes], bytes]) -> None:
        self.server: FakeServer | None = None
        self._vouch = vouch
        self._device: tuple[str, bytes, Address] | None = None
        self._asking: socket.socket | None = None

    def answer(self, payload: bytes) -> bytes | None:
        got = decode(payload)
        if got.kind == "RegisterPeer":
            return encode("RegisterPeerResponse", request_pk=self._device is None)
        if got.kind == "RegisterPk" and self.server is not None and self.server.heard_from is not None:
            self._device = got["id"], got["pk"], self.server.heard_from
            return encode("RegisterPkResponse", result=0)
        return None

    def talk(self, sock: socket.socket) -> None:
        for payload in payloads(sock, sock.recv(65536)):
            got = decode(payload)
            if got.kind == "PunchHoleRequest" and not got["force_relay"]:
                self._tell_device(sock, got["id"])
            elif got.kind == "PunchHoleSent":
                self._tell_client()
            else:
                return

    def _tell_device(self, sock: socket.socket, id_: str) -> None:
        if self._device is None or self.server is None or id_ != self._device[0]:
            sock.sendall(frame(encode("PunchHoleResponse", failure=0)))
            return
        self._asking = sock
        self.server.tell(encode("PunchHole", socket_addr=encode_addr(sock.getpeername())), self._device[2])

    def _tell_client(self) -> None:
        if self._device is None or self._asking is None:
            return
        id_, pk, address = self._device
        told = encode("PunchHoleResponse", socket_addr=encode_addr(address), pk=self._vouch(id_, pk))
        self._asking.sendall(frame(told))


class SlowVoucher(Voucher):
    """The same, which comes to nothing before it was asked twice, and then answers each time that it was: a device is
    told once more of the client before, too."""

    def __init__(self, vouch: Callable[[str, bytes], bytes]) -> None:
        super().__init__(vouch)
        self._asked = ""
        self._told_of: list[bytes] = []

    def answer(self, payload: bytes) -> bytes | None:
        before, self._asked = self._asked, decode(payload).kind
        if self._asked != before or self.server is None or self.server.heard_from is None:
            return None
        reply = super().answer(payload)
        if reply is not None:
            self.server.tell(reply, self.server.heard_from)
        return reply

    def talk(self, sock: socket.socket) -> None:
        for payload in payloads(sock, sock.recv(65536)):
            got = decode(payload)
            if got.kind == "PunchHoleRequest":
                self._tell_device(sock, got["id"])
            elif got.kind == "PunchHoleSent":
                self._tell_client()
            elif got.kind == "RelayResponse" and self._told_of and got["socket_addr"] == self._told_of[-1]:
                assert self._asking is not None
                self._asking.sendall(frame(encode("RelayResponse", relay_server="relay.invalid")))

    def _tell_device(self, sock: socket.socket, id_: str) -> None:
        if self._device is None or self.server is None or id_ != self._device[0]:
            sock.sendall(frame(encode("PunchHoleResponse", failure=0)))
            return
        self._asking = sock
        self._told_of.append(encode_addr(sock.getpeername()))
        for address in self._told_of:
            self.server.tell(encode("PunchHole", socket_addr=address), self._device[2])
