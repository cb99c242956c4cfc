"""WebSocket as RFC 6455 has it: the handshake's text and frames, as a client writes and reads them."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import NamedTuple, Sequence

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frame(NamedTuple):
    opcode: int
    final: bool
    payload: bytes


# --- handshake ------------------------------------------------------------------------------------------------------


def fresh_key() -> str:
    return base64.b64encode(os.urandom(16)).decode()


def accept_of(key: str) -> str:
    """What the server must answer to this key."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def request(key: str, host: str, path: str = "/", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The client's half of the handshake."""
    own = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    return request_of(f"GET {path} HTTP/1.1", [*own, *headers])


def request_of(first_line: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers)]
    return "".join(line + "\r\n" for line in [*lines, ""]).encode()


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers (names in small letters) of an answer."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ")
    assert version == "HTTP/1.1", first
    pairs = (line.split(":", 1) for line in lines)
    return int(status), {name.strip().lower(): value.strip() for name, value in pairs}


# --- frames ---------------------------------------------------------------------------------------------------------


def _masked(payload: bytes, mask: bytes) -> bytes:
    stream = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def frame_head(opcode: int, length: int, final: bool = True, mask: bool = True) -> bytes:
    """The first bytes of a frame, up to where its mask would be."""
    if length < 126:
        size, extended = length, b""
    elif length < 1 << 16:
        size, extended = 126, length.to_bytes(2, "big")
    else:
        size, extended = 127, length.to_bytes(8, "big")
    return bytes([final << 7 | opcode, mask << 7 | size]) + extended


def frame(opcode: int, payload: bytes, final: bool = True, mask: bool = True) -> bytes:
    key = os.urandom(4) if mask else b""
    return frame_head(opcode, len(payload), final, mask) + key + (_masked(payload, key) if mask else payload)


def parse_frame(data: bytearray) -> Frame | None:
    """Takes the next whole frame out of the data; None while it is incomplete. A server's frames have no mask."""
    if len(data) < 2:
        return None
    assert not data[1] & 0x80, "a masked frame from a server"
    assert not data[0] & 0x70, "reserved bits"
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(data) < 2 + width:
            return None
        size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
    if len(data) < at + size:
        return None
    found = Frame(data[0] & 0x0F, bool(data[0] & 0x80), bytes(data[at : at + size]))
    del data[: at + size]
    return found
