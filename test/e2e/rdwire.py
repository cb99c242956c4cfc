"""The wire as clients know it: protobuf messages, TCP frames, addresses, keys and signatures.

A second implementation, independent of the server's: nothing here is shared with it but the known answers in
test/vectors.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import json
import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Iterator, NamedTuple

import nacl.exceptions
import nacl.public
import nacl.secret
import nacl.signing

Address = tuple[str, int]


class WireError(ValueError):
    """Bytes that are no message, no frame, no address or no key."""


class NoKnownMember(WireError):
    """Well-formed protobuf that holds no message we know."""


# --- Messages: the tables of the protocol, `number name type` -----------------------------------------------------

MEMBERS = {
    "RegisterPeer": (6, "1 id string; 2 serial int32"),
    "RegisterPeerResponse": (7, "2 request_pk bool"),
    "PunchHoleRequest": (
        8,
        "1 id string; 2 nat_type enum; 3 licence_key string; 4 conn_type enum; 5 token string; 6 version string; "
        "7 udp_port int32; 8 force_relay bool; 9 upnp_port int32; 10 socket_addr_v6 bytes; 11 switch_code string",
    ),
    "PunchHole": (
        9,
        "1 socket_addr bytes; 2 relay_server string; 3 nat_type enum; 4 udp_port int32; 5 force_relay bool; "
        "6 upnp_port int32; 7 socket_addr_v6 bytes; 8 control_permissions ControlPermissions; "
        "9 controlled_context ControlledContext",
    ),
    "PunchHoleSent": (
        10,
        "1 socket_addr bytes; 2 id string; 3 relay_server string; 4 nat_type enum; 5 version string; "
        "6 upnp_port int32; 7 socket_addr_v6 bytes",
    ),
    "PunchHoleResponse": (
        11,
        "1 socket_addr bytes; 2 pk bytes; 3 failure enum; 4 relay_server string; 5 nat_type enum; 6 is_local bool; "
        "7 other_failure string; 8 feedback int32; 9 is_udp bool; 10 upnp_port int32; 11 socket_addr_v6 bytes",
    ),
    "FetchLocalAddr": (
        12,
        "1 socket_addr bytes; 2 relay_server string; 3 socket_addr_v6 bytes; "
        "4 control_permissions ControlPermissions; 5 controlled_context ControlledContext",
    ),
    "LocalAddr": (
        13,
        "1 socket_addr bytes; 2 local_addr bytes; 3 relay_server string; 4 id string; 5 version string; "
        "6 socket_addr_v6 bytes",
    ),
    "ConfigUpdate": (14, "1 serial int32; 2 rendezvous_servers repeated string"),
    "RegisterPk": (15, "1 id string; 2 uuid bytes; 3 pk bytes; 4 old_id string; 5 no_register_device bool"),
    "RegisterPkResponse": (16, "1 result enum; 2 keep_alive int32"),
    "SoftwareUpdate": (17, "1 url string"),
    "RequestRelay": (
        18,
        "1 id string; 2 uuid string; 3 socket_addr bytes; 4 relay_server string; 5 secure bool; "
        "6 licence_key string; 7 conn_type enum; 8 token string; 9 control_permissions ControlPermissions; "
        "10 controlled_context ControlledContext; 11 switch_code string",
    ),
    "RelayResponse": (
        19,
        "1 socket_addr bytes; 2 uuid string; 3 relay_server string; 4 id string; 5 pk bytes; "
        "6 refuse_reason string; 7 version string; 9 feedback int32; 10 socket_addr_v6 bytes; 11 upnp_port int32",
    ),
    "TestNatRequest": (20, "1 serial int32"),
    "TestNatResponse": (21, "1 port int32; 2 cu ConfigUpdate"),
    "PeerDiscovery": (22, ""),
    "OnlineRequest": (23, "1 id string; 2 peers repeated string"),
    "OnlineResponse": (24, "1 states bytes"),
    "KeyExchange": (25, "1 keys repeated bytes"),
    "HealthCheck": (26, "1 token string"),
    "HttpProxyRequest": (27, "1 method string; 2 path string; 3 headers repeated HeaderEntry; 4 body bytes"),
    "HttpProxyResponse": (28, "1 status int32; 2 headers repeated HeaderEntry; 3 body bytes; 4 error string"),
}

PARTS = {
    "IdPk": "1 id string; 2 pk bytes",
    "ControlPermissions": "1 permissions uint64",
    "ControlledContext": "1 conn_audit_ref string",
    "HeaderEntry": "1 name string; 2 value string",
    "ConfigUpdate": MEMBERS["ConfigUpdate"][1],
}


class NatType(IntEnum):
    UNKNOWN_NAT = 0
    ASYMMETRIC = 1
    SYMMETRIC = 2


class ConnType(IntEnum):
    DEFAULT_CONN = 0
    FILE_TRANSFER = 1
    PORT_FORWARD = 2
    RDP = 3
    VIEW_CAMERA = 4
    TERMINAL = 5


class Failure(IntEnum):
    ID_NOT_EXIST = 0
    OFFLINE = 2
    LICENSE_MISMATCH = 3
    LICENSE_OVERUSE = 4


class Result(IntEnum):
    OK = 0
    UUID_MISMATCH = 2
    ID_EXISTS = 3
    TOO_FREQUENT = 4
    INVALID_ID_FORMAT = 5
    NOT_SUPPORT = 6
    SERVER_ERROR = 7
    NOT_DEPLOYED = 8


class Field(NamedTuple):
    number: int
    name: str
    type: str
    repeated: bool


def _parse_fields(text: str) -> tuple[Field, ...]:
    rows = [row.split() for row in text.split(";") if row.strip()]
    return tuple(Field(int(row[0]), row[1], row[-1], "repeated" in row[2:-1]) for row in rows)


SHAPES: dict[str, tuple[Field, ...]] = {
    **{name: _parse_fields(text) for name, text in PARTS.items()},
    **{name: _parse_fields(text) for name, (_, text) in MEMBERS.items()},
}
NUMBERS = {name: number for name, (number, _) in MEMBERS.items()}
KINDS = {number: name for name, number in NUMBERS.items()}

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DEFAULTS: dict[str, Any] = {"string": "", "bytes": b"", "int32": 0, "uint64": 0, "bool": False, "enum": 0}
VARINT_TYPES = {"int32", "uint64", "bool", "enum"}


@dataclass
class Message:
    """One message: its kind and the fields that were on the wire; the others read as their defaults."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        if name in self.fields:
            return self.fields[name]
        shape = next(f for f in SHAPES[self.kind] if f.name == name)
        return [] if shape.repeated else DEFAULTS.get(shape.type)

    def has(self, name: str) -> bool:
        """Was the field on the wire?"""
        return name in self.fields


# --- Protobuf: writing --------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A base-128 varint; negative numbers as 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def delimited(number: int, content: bytes) -> bytes:
    """One length-delimited field."""
    return tag(number, BYTES) + varint(len(content)) + content


def _write_field(shape: Field, value: Any) -> bytes:
    if shape.type in VARINT_TYPES:
        return tag(shape.number, VARINT) + varint(int(value))
    if isinstance(value, str):
        value = value.encode()
    elif isinstance(value, dict):
        value = encode_body(shape.type, **value)
    return delimited(shape.number, bytes(value))


def encode_body(kind: str, **fields: Any) -> bytes:
    """The fields of one message, by number; defaults are not sent. A string may be given as bytes."""
    known = {f.name for f in SHAPES[kind]}
    if not known.issuperset(fields):
        raise TypeError(f"{kind} has no field {set(fields) - known}")
    out = b""
    for shape in SHAPES[kind]:
        if shape.repeated:
            out += b"".join(_write_field(shape, value) for value in fields.get(shape.name, ()))
        elif isinstance(fields.get(shape.name), dict) or fields.get(shape.name):
            out += _write_field(shape, fields[shape.name])
    return out


def encode(kind: str, **fields: Any) -> bytes:
    """A whole payload: the message as a member of RendezvousMessage."""
    return delimited(NUMBERS[kind], encode_body(kind, **fields))


# --- Protobuf: reading --------------------------------------------------------------------------------------------


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise WireError("varint cut short")
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return value, at + i + 1
    raise WireError("varint over 10 bytes")


def _read_value(data: bytes, at: int, wire_type: int) -> tuple[int | bytes, int]:
    if wire_type == VARINT:
        return _read_varint(data, at)
    if wire_type == BYTES:
        length, at = _read_varint(data, at)
    elif wire_type in (FIXED64, FIXED32):
        length = 8 if wire_type == FIXED64 else 4
    else:
        raise WireError(f"wire type {wire_type}")
    if at + length > len(data):
        raise WireError("field cut short")
    return data[at : at + length], at + length


def read_fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """All fields of a message as (number, wire type, raw value)."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key >> 3 == 0:
            raise WireError("field number 0")
        value, at = _read_value(data, at, key & 7)
        yield key >> 3, key & 7, value


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _interpret(shape: Field, raw: int | bytes) -> Any:
    if isinstance(raw, int):
        return {"bool": bool(raw), "uint64": raw}.get(shape.type, _signed(raw, 32))
    if shape.type == "string":
        try:
            return raw.decode()
        except UnicodeDecodeError as e:
            raise WireError(f"{shape.name} is not UTF-8") from e
    return raw if shape.type == "bytes" else decode_body(shape.type, raw).fields


def decode_body(kind: str, data: bytes) -> Message:
    """The fields of one message; unknown ones are skipped."""
    message = Message(kind)
    shapes = {f.number: f for f in SHAPES[kind]}
    for number, wire_type, raw in read_fields(data):
        shape = shapes.get(number)
        if shape is None or (wire_type == VARINT) != (shape.type in VARINT_TYPES):
            continue
        value = _interpret(shape, raw)
        if shape.repeated:
            message.fields.setdefault(shape.name, []).append(value)
        else:
            message.fields[shape.name] = value
    return message


def decode(payload: bytes) -> Message:
    """A whole payload. WireError: not protobuf; NoKnownMember: nothing in it that we know."""
    found = None
    for number, wire_type, raw in read_fields(payload):
        if number in KINDS and wire_type == BYTES:
            assert isinstance(raw, bytes)
            found = decode_body(KINDS[number], raw)
    if found is None:
        raise NoKnownMember(payload.hex())
    return found


# --- TCP frames ---------------------------------------------------------------------------------------------------

HEADER_LIMITS = (63, 16_383, 4_194_303, 1_073_741_823)


def frame_header(length: int, header_length: int | None = None) -> bytes:
    """The header of a payload of so many bytes: the shortest, unless a longer one is asked for."""
    shortest = next(i + 1 for i, limit in enumerate(HEADER_LIMITS) if length <= limit)
    size = header_length or shortest
    if size < shortest:
        raise WireError(f"{length} bytes don't fit a header of {size}")
    return (length << 2 | size - 1).to_bytes(size, "little")


def frame(payload: bytes, header_length: int | None = None) -> bytes:
    return frame_header(len(payload), header_length) + payload


def parse_header(data: bytes) -> tuple[int, int] | None:
    """(header length, payload length), or None while the header is incomplete."""
    if not data or len(data) < (data[0] & 3) + 1:
        return None
    size = (data[0] & 3) + 1
    return size, int.from_bytes(data[:size], "little") >> 2


class FrameReader:
    """Bytes in, payloads out, however the bytes are cut. `rest` holds what is not yet a whole frame."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def feed(self, data: bytes) -> None:
        self.rest += data

    def next(self) -> bytes | None:
        """The next whole payload, if there is one."""
        header = parse_header(bytes(self.rest[:4]))
        if header is None or len(self.rest) < sum(header):
            return None
        payload = bytes(self.rest[header[0] : sum(header)])
        del self.rest[: sum(header)]
        return payload


# --- Addresses ----------------------------------------------------------------------------------------------------


def clock_us() -> int:
    """The low 32 bits of the clock in microseconds."""
    return time.time_ns() // 1000 & 0xFFFFFFFF


def encode_addr(address: Address, clock: int | None = None) -> bytes:
    """An address as the bytes of socket_addr; IPv4 depends on the clock."""
    ip: Any = ipaddress.ip_address(address[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.version == 6:
        return ip.packed + address[1].to_bytes(2, "little")
    t = clock_us() if clock is None else clock
    mixed = (int.from_bytes(ip.packed, "little") + t) << 49 | t << 17 | (address[1] + (t & 0xFFFF))
    return mixed.to_bytes(16, "little").rstrip(b"\0")


def decode_addr(data: bytes) -> Address:
    """The address in the bytes of a socket_addr."""
    if len(data) == 18:
        return str(ipaddress.IPv6Address(data[:16])), int.from_bytes(data[16:], "little")
    if len(data) > 16:
        raise WireError(f"{len(data)} bytes are no address")
    mixed = int.from_bytes(data, "little")
    t = mixed >> 17 & 0xFFFFFFFF
    ip = (mixed >> 49) - t & 0xFFFFFFFF
    port = (mixed & 0xFFFFFF) - (t & 0xFFFF) & 0xFFFF
    return str(ipaddress.IPv4Address(ip.to_bytes(4, "little"))), port


# --- Keys and signatures ------------------------------------------------------------------------------------------


def _from_base64(text: str, length: int) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except binascii.Error as e:
        raise WireError("not base64") from e
    if len(raw) != length:
        raise WireError(f"{len(raw)} bytes, not {length}")
    return raw


def key_bytes(key: str) -> bytes:
    """The 32 bytes of a public key's text."""
    return _from_base64(key, 32)


def key_text(raw: bytes) -> str:
    """The text that clients are configured with."""
    return base64.b64encode(raw).decode()


def public_of_secret(text: str) -> str:
    """The public key's text of a secret key file's text; WireError if the file is damaged."""
    raw = _from_base64(text, 64)
    if bytes(nacl.signing.SigningKey(raw[:32]).verify_key) != raw[32:]:
        raise WireError("the public half does not belong to the seed")
    return key_text(raw[32:])


def fingerprint(key: str) -> str:
    """`SHA256:` and the unpadded base64 of the SHA-256 of the 32 key bytes."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key_bytes(key)).digest()).decode().rstrip("=")


def open_signed(signed: bytes, key: str) -> bytes:
    """What was signed; WireError if the signature is not by this key."""
    try:
        return nacl.signing.VerifyKey(key_bytes(key)).verify(signed)
    except (nacl.exceptions.BadSignatureError, ValueError) as e:
        raise WireError("bad signature") from e


def sign(seed: bytes, content: bytes) -> bytes:
    """Signed bytes: the signature, then the content."""
    return bytes(nacl.signing.SigningKey(seed).sign(content))


def open_id_pk(signed: bytes, key: str) -> tuple[str, bytes]:
    """Id and public key of the device that the server vouches for."""
    message = decode_body("IdPk", open_signed(signed, key))
    return message["id"], message["pk"]


# --- The secure channel -------------------------------------------------------------------------------------------


def open_offer(payload: bytes, key: str) -> bytes:
    """The server's X25519 key of a whole offer; WireError unless it holds exactly one key, signed by this one."""
    message = decode(payload)
    if message.kind != "KeyExchange" or len(message["keys"]) != 1:
        raise WireError(f"no offer: {message}")
    public = open_signed(message["keys"][0], key)
    if len(public) != 32:
        raise WireError(f"a key of {len(public)} bytes")
    return public


def answer_offer(server_public: bytes, own_secret: bytes, symmetric: bytes) -> bytes:
    """The client's whole answer: its own X25519 key and the symmetric key, sealed under an all-zero nonce."""
    own = nacl.public.PrivateKey(own_secret)
    box = nacl.public.Box(own, nacl.public.PublicKey(server_public))
    sealed = box.encrypt(symmetric, bytes(24)).ciphertext
    return encode("KeyExchange", keys=[bytes(own.public_key), sealed])


class Sealer:
    """One direction of a secure channel: its payloads' numbers count from 1."""

    def __init__(self, symmetric: bytes) -> None:
        self.box = nacl.secret.SecretBox(symmetric)
        self.number = 0

    def _next_nonce(self) -> bytes:
        self.number += 1
        return self.number.to_bytes(8, "little") + bytes(16)

    def seal(self, payload: bytes) -> bytes:
        """As it goes out: payloads of 0 and 1 bytes are left alone and don't count."""
        return payload if len(payload) < 2 else self.box.encrypt(payload, self._next_nonce()).ciphertext

    def open(self, payload: bytes) -> bytes:
        """What had been sealed; WireError if it wasn't with this key and number."""
        if len(payload) < 2:
            return payload
        try:
            return self.box.decrypt(payload, self._next_nonce())
        except (nacl.exceptions.CryptoError, ValueError) as e:
            raise WireError(f"payload {self.number} of {len(payload)} bytes does not open") from e


# --- Config strings -----------------------------------------------------------------------------------------------


def config_json(host: str, relay: str, api: str, key: str) -> str:
    return json.dumps({"host": host, "relay": relay, "api": api, "key": key}, separators=(",", ":"))


def config_string(text: str) -> str:
    """The string that clients import, of its JSON."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")[::-1]


def parse_config_string(text: str) -> dict[str, str]:
    raw = text[::-1].rstrip("=")
    return json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
