"""Goal: the test client's own idea of the wire agrees with the known answers in test/vectors, the bad ones included.

These tests need no server. They are what makes every other test here worth something.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import rdwire
from rdwire import WireError

VECTORS = Path(__file__).resolve().parent.parent / "vectors"


def load(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / name).read_text())


MESSAGES = load("messages.json")
ADDRESSES = load("addr_mangle.json")
FRAMES = load("frame.json")["cases"]
KEYFILES = load("keyfile.json")
SIGNED = load("signed_id.json")
CONFIGS = load("config_string.json")["cases"]
CHANNEL = load("secure_channel.json")


def named_fields(case: dict[str, Any]) -> dict[str, Any]:
    """The vector's [number, value] pairs as this client's names and values."""
    out: dict[str, Any] = {}
    for number, value in case["fields"]:
        shape = next(f for f in rdwire.SHAPES[case["message"]] if f.number == number)
        value = bytes.fromhex(value) if shape.type == "bytes" else value
        if shape.repeated:
            out.setdefault(shape.name, []).append(value)
        else:
            out[shape.name] = value
    return out


@pytest.mark.parametrize("case", MESSAGES["cases"], ids=lambda c: c["message"])
def test_messages(case: dict[str, Any]) -> None:
    """Every known message is written so and read back."""
    fields = named_fields(case)
    assert rdwire.NUMBERS[case["message"]] == case["number"]
    assert rdwire.encode(case["message"], **fields).hex() == case["bytes"]
    assert rdwire.decode(bytes.fromhex(case["bytes"])) == rdwire.Message(case["message"], fields)


@pytest.mark.parametrize("payload", MESSAGES["bad"])
def test_bad_messages(payload: str) -> None:
    """Bytes that are no protobuf are refused."""
    with pytest.raises(WireError) as caught:
        rdwire.decode(bytes.fromhex(payload))
    assert not isinstance(caught.value, rdwire.NoKnownMember)


@pytest.mark.parametrize("payload", MESSAGES["of_no_kind"])
def test_messages_of_no_kind(payload: str) -> None:
    """Protobuf without a member that we know is told from bytes that are no protobuf."""
    with pytest.raises(rdwire.NoKnownMember):
        rdwire.decode(bytes.fromhex(payload))


def test_unknown_fields_are_skipped() -> None:
    """Fields of a later version, of every wire type, don't hurt."""
    extra = b"".join((rdwire.tag(60, 0) + b"\x05", rdwire.tag(61, 1) + bytes(8), rdwire.tag(62, 5) + bytes(4)))
    body = rdwire.encode_body("RegisterPeer", id="ridge-042") + extra + rdwire.delimited(63, b"x")
    assert rdwire.decode(rdwire.delimited(6, body) + extra) == rdwire.Message("RegisterPeer", {"id": "ridge-042"})


def test_defaults() -> None:
    """What was not on the wire reads as its default."""
    message = rdwire.decode(rdwire.encode("PunchHoleResponse"))
    assert (message["pk"], message["failure"], message["is_local"], message["other_failure"]) == (b"", 0, False, "")
    assert rdwire.Message("OnlineRequest")["peers"] == []


@pytest.mark.parametrize("case", ADDRESSES["cases"], ids=lambda c: f"{c['ip']}-{c['port']}")
def test_addresses(case: dict[str, Any]) -> None:
    """Addresses become the known bytes, and come back."""
    address = (case["ip"], case["port"])
    raw = bytes.fromhex(case["bytes"])
    assert rdwire.encode_addr(address, case.get("clock_us_low32", 7)) == raw
    assert rdwire.decode_addr(raw) == address


@pytest.mark.parametrize("case", ADDRESSES["bad"], ids=lambda c: f"{len(c['bytes']) // 2} bytes")
def test_bad_addresses(case: dict[str, Any]) -> None:
    """Nothing at all reads as 0.0.0.0:0; lengths that no address has are refused."""
    raw = bytes.fromhex(case["bytes"])
    if "error" not in case:
        assert rdwire.decode_addr(raw) == (case["ip"], case["port"])
        return
    with pytest.raises(WireError):
        rdwire.decode_addr(raw)


@pytest.mark.parametrize("clock", [None, 0, 1, 65535, 65536, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("address", [("0.0.0.0", 0), ("255.255.255.255", 65535), ("127.1.2.3", 21116), ("9.0.0.0", 1)])
def test_any_clock(address: rdwire.Address, clock: int | None) -> None:
    """An IPv4 address survives whatever the clock says."""
    assert rdwire.decode_addr(rdwire.encode_addr(address, clock)) == address


def test_mapped_address() -> None:
    """An IPv4-mapped IPv6 address is written as IPv4."""
    assert rdwire.encode_addr(("::ffff:1.2.3.4", 21116), 0) == rdwire.encode_addr(("1.2.3.4", 21116), 0)


@pytest.mark.parametrize("case", FRAMES, ids=lambda c: str(c["payload_length"]))
def test_frame_headers(case: dict[str, Any]) -> None:
    """Headers are as short as can be, and read back."""
    header = bytes.fromhex(case["header"])
    assert rdwire.frame_header(case["payload_length"]) == header
    assert rdwire.parse_header(header) == (len(header), case["payload_length"])
    assert all(rdwire.parse_header(header[:i]) is None for i in range(len(header)))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1000, 100_000])
def test_frames_in_any_chunks(step: int) -> None:
    """The same bytes give the same payloads, however they are cut; longer headers than needed are read."""
    payloads = [b"", b"x", os.urandom(62), os.urandom(64), os.urandom(20_000)]
    stream = b"".join(rdwire.frame(p) for p in payloads) + b"".join(rdwire.frame(b"long", n) for n in (2, 3, 4))
    reader, got = rdwire.FrameReader(), []
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
        while (payload := reader.next()) is not None:
            got.append(payload)
    assert got == payloads + [b"long"] * 3 and not reader.rest


@pytest.mark.parametrize("case", KEYFILES["keys"], ids=lambda c: c["public"][:8])
def test_key_files(case: dict[str, Any]) -> None:
    """The secret file gives the public key's text, with white space around it too."""
    assert rdwire.public_of_secret(f" {case['id_ed25519']}\n") == case["id_ed25519.pub"]
    assert rdwire.key_bytes(case["id_ed25519.pub"]).hex() == case["public"]
    assert rdwire.key_text(bytes.fromhex(case["public"])) == case["id_ed25519.pub"]


@pytest.mark.parametrize("case", KEYFILES["bad"], ids=lambda c: c["error"])
def test_bad_key_files(case: dict[str, Any]) -> None:
    """A damaged secret file is refused."""
    with pytest.raises(WireError):
        rdwire.public_of_secret(case["id_ed25519"])


def test_signed_id() -> None:
    """The signed IdPk opens with the server's key and with no other, and signing makes the same bytes."""
    key, signed = rdwire.key_text(bytes.fromhex(SIGNED["server_public"])), bytes.fromhex(SIGNED["signed"])
    assert rdwire.open_id_pk(signed, key) == (SIGNED["id"], bytes.fromhex(SIGNED["device_public"]))
    assert rdwire.sign(bytes.fromhex(SIGNED["server_seed"]), bytes.fromhex(SIGNED["id_pk_message"])) == signed
    for bad in (signed[:-1], signed[:63], b"", bytes(64), signed[:-1] + b"\0"):
        with pytest.raises(WireError):
            rdwire.open_id_pk(bad, key)
    with pytest.raises(WireError):
        rdwire.open_id_pk(signed, KEYFILES["keys"][1]["id_ed25519.pub"])


def test_fingerprint() -> None:
    """A fingerprint is 43 characters of base64 behind its name, and no two keys share one."""
    prints = [rdwire.fingerprint(case["id_ed25519.pub"]) for case in KEYFILES["keys"]]
    assert all(p.startswith("SHA256:") and len(p) == 7 + 43 and "=" not in p for p in prints)
    assert len(set(prints)) == len(prints)


def test_key_exchange_offer() -> None:
    """The offer on the rendezvous port holds one key, signed by the server."""
    keys = rdwire.decode(bytes.fromhex(CHANNEL["offer"]))["keys"]
    assert [rdwire.open_signed(key, KEYFILES["keys"][0]["id_ed25519.pub"]).hex() for key in keys] == [
        CHANNEL["server_box_public"]
    ]


@pytest.mark.parametrize("case", CONFIGS, ids=lambda c: c["host"])
def test_config_strings(case: dict[str, Any]) -> None:
    """Config strings are written so and read back."""
    parts = {name: case[name] for name in ("host", "relay", "api", "key")}
    assert rdwire.config_json(**parts) == case["json"]
    assert rdwire.config_string(case["json"]) == case["config_string"]
    assert rdwire.parse_config_string(case["config_string"]) == parts
