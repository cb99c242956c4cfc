"""Sides of a relayed session on either transport, which speak in messages: what is a frame's payload on TCP is a
message on WebSocket."""

from __future__ import annotations

import os
from typing import Any, Iterable, Sequence

import rdwire
import rdws
from conftest import Lab
from rdclient import RelaySide, Target, WsConnection, fresh_uuid


def request_of(uuid: str, key: str, **fields: Any) -> bytes:
    """The payload with which a side asks for its session."""
    return rdwire.encode("RequestRelay", uuid=uuid, licence_key=key, **fields)


class TcpSide(RelaySide):
    """On TCP, port M."""

    def __init__(self, target: Target, source: str | None = None, **options: Any) -> None:
        super().__init__(target.relay_port, source, **options)

    def wrapped(self, payload: bytes) -> bytes:
        """The payload as this transport has it."""
        return rdwire.frame(payload)

    def ask(self, uuid: str, key: str, early: Iterable[bytes] = (), **fields: Any) -> TcpSide:
        """Asks for the session; early messages go out in the same segment."""
        self.send_raw(b"".join(map(self.wrapped, [request_of(uuid, key, **fields), *early])))
        return self

    def expect_end(self) -> None:
        """The other side's end, and no message before it."""
        payload = self.recv_payload()
        assert payload is None, f"{payload[:100]!r} instead of the end"
        assert not self.reader.rest


class WsSide(WsConnection):
    """On WebSocket, port M+2."""

    def __init__(self, target: Target, source: str | None = None, **options: Any) -> None:
        super().__init__(target, source, **{"address": target.relay_websocket_port, "path": "/ws/relay", **options})

    def wrapped(self, payload: bytes) -> bytes:
        return rdws.frame(rdws.BINARY, payload)

    def ask(self, uuid: str, key: str, early: Iterable[bytes] = (), **fields: Any) -> WsSide:
        self.send_raw(b"".join(map(self.wrapped, [request_of(uuid, key, **fields), *early])))
        return self

    def send_fragments(self, parts: Sequence[bytes]) -> None:
        """One message in several frames."""
        for number, part in enumerate(parts):
            self.send_frame(rdws.CONTINUATION if number else rdws.BINARY, part, number == len(parts) - 1)

    def expect_end(self) -> None:
        payload = self.recv_payload()
        assert payload is None, f"{payload[:100]!r} instead of the end"


class WsIdSide(WsSide):
    """On WebSocket at the ID server's port, told from its clients by the path."""

    def __init__(self, target: Target, source: str | None = None, **options: Any) -> None:
        super().__init__(target, source, **{"address": target.websocket_port, **options})


Side = TcpSide | WsSide
Kind = type[TcpSide] | type[WsSide]

TCP_TCP, TCP_WS, WS_TCP, WS_WS = ((a, b) for a in (TcpSide, WsSide) for b in (TcpSide, WsSide))
PAIRS: list[tuple[Kind, Kind]] = [TCP_TCP, TCP_WS, WS_TCP, WS_WS]
MIXED_PAIRS: list[tuple[Kind, Kind]] = [TCP_WS, WS_TCP]


def name_of(pair: Sequence[Kind]) -> str:
    return "-".join("tcp" if kind is TcpSide else "ws" for kind in pair)


def paired(lab: Lab, target: Target, kinds: Sequence[Kind], uuid: str = "", **options: Any) -> tuple[Side, Side]:
    """Two sides of a session, which was tried."""
    uuid = uuid or fresh_uuid()
    one, other = (lab.keep(kind(target, **options)).ask(uuid, target.key) for kind in kinds)
    assert_talk(one, other)
    return one, other


def assert_talk(one: Side, other: Side) -> None:
    """A message passes each way, as it is."""
    for sender, receiver in ((one, other), (other, one)):
        payload = os.urandom(100)
        sender.send_payload(payload)
        assert receiver.recv_payload() == payload
