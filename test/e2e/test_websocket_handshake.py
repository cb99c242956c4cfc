"""Goal: what is a WebSocket handshake is taken, however it is put and cut; what is none is told so."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

import rdwire
import rdws
from conftest import Lab
from rdconnect import Connection, Target, WsConnection

NAT_TEST = rdwire.encode("TestNatRequest", serial=3)


def ws(lab: Lab, target: Target, **options: Any) -> WsConnection:
    return lab.keep(WsConnection(target, **options))


def assert_works(connection: Connection) -> None:
    connection.send("TestNatRequest", serial=3)
    assert connection.expect("TestNatResponse")["port"] == connection.local[1]


@pytest.mark.parametrize("path", ["/", "/ws/id", "/ws/relay", "/a/b?c=d&e", "/%20", "//", "/" + "x" * 2000])
def test_any_path(id_site: Target, lab: Lab, path: str) -> None:
    """The request's path doesn't matter."""
    assert_works(ws(lab, id_site, path=path))


BROWSER = [
    ("User-Agent", "Mozilla/5.0"),
    ("Origin", "https://rustdesk.example"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Cookie", "a=b; c=d"),
]


def test_extensions_are_not_agreed_to(id_site: Target, lab: Lab) -> None:
    """A browser's headers are no obstacle; no extension is agreed to."""
    connection = ws(lab, id_site, headers=BROWSER)
    assert "sec-websocket-extensions" not in connection.headers
    assert connection.headers["upgrade"].lower() == "websocket"
    assert "upgrade" in connection.headers["connection"].lower()
    assert_works(connection)


def test_head_of_almost_8_kib(id_site: Target, lab: Lab) -> None:
    """Large cookies and proxies' headers pass."""
    headers = [(f"X-Long-{i}", "x" * 1000) for i in range(7)]
    assert_works(ws(lab, id_site, headers=headers))


class Raw(Connection):
    """A TCP connection to N+2 that speaks as it likes."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.websocket_port)
        self.host = "%s:%d" % target.websocket_port

    def status(self) -> int | None:
        """The answer's status, None if there is none; the server must close behind it."""
        data = bytearray()
        with suppress(ConnectionResetError):
            while chunk := self.sock.recv(65536):
                data += chunk
        if not data:
            return None
        head, end, _ = bytes(data).partition(b"\r\n\r\n")
        assert end, data
        return rdws.parse_head(head)[0]


def handshake(raw: Raw, first_line: str = "GET / HTTP/1.1", **changed: str | None) -> bytes:
    """A request with some headers changed, or (None) left out."""
    headers: dict[str, str | None] = {
        "Host": raw.host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": rdws.fresh_key(),
        "Sec-WebSocket-Version": "13",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return rdws.request_of(first_line, [(name, value) for name, value in headers.items() if value is not None])


@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": "WebSocket"},
        {"Upgrade": "WEBSOCKET"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade"},
        {"Connection": "Keep-Alive,upgrade"},
        {"Upgrade": "h2c, websocket"},
    ],
    ids=str,
)
def test_handshake_in_other_words(id_site: Target, lab: Lab, changed: dict[str, str]) -> None:
    """Capitals, and other tokens beside the one that counts, are as good."""
    raw = lab.keep(Raw(id_site))
    raw.send_raw(handshake(raw, **changed))
    assert raw.sock.recv(12) == b"HTTP/1.1 101"


REFUSED: dict[str, tuple[dict[str, Any], set[int]]] = {
    "POST": ({"first_line": "POST / HTTP/1.1"}, {400, 405, 426}),
    "HEAD": ({"first_line": "HEAD / HTTP/1.1"}, {400, 405, 426}),
    "HTTP/1.0": ({"first_line": "GET / HTTP/1.0"}, {400, 426, 505}),
    "no version": ({"first_line": "GET /"}, {400}),
    "no upgrade": ({"Upgrade": None}, {400, 426}),
    "plain page": ({"Upgrade": None, "Connection": None, "Sec_WebSocket_Key": None}, {400, 426}),
    "other upgrade": ({"Upgrade": "h2c"}, {400, 426}),
    "no connection": ({"Connection": None}, {400, 426}),
    "connection kept": ({"Connection": "keep-alive"}, {400, 426}),
    "version 8": ({"Sec_WebSocket_Version": "8"}, {400, 426}),
    "version 130": ({"Sec_WebSocket_Version": "130"}, {400, 426}),
    "no version of it": ({"Sec_WebSocket_Version": None}, {400, 426}),
    "no key": ({"Sec_WebSocket_Key": None}, {400}),
    "empty key": ({"Sec_WebSocket_Key": ""}, {400}),
    "short key": ({"Sec_WebSocket_Key": "AAAA"}, {400}),
    "key not base64": ({"Sec_WebSocket_Key": "!" * 22 + "=="}, {400}),
    "key of 17 bytes": ({"Sec_WebSocket_Key": "A" * 24}, {400}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_handshake(id_site: Target, lab: Lab, name: str) -> None:
    """What is no WebSocket handshake gets a status, and the connection ends."""
    changed, statuses = REFUSED[name]
    raw = lab.keep(Raw(id_site))
    raw.send_raw(handshake(raw, **changed))
    assert raw.status() in statuses & {400, 426}
    lab.registered(id_site)


def test_wrong_version_names_the_right_one(id_site: Target, lab: Lab) -> None:
    """426 says which version is spoken (RFC 6455, 4.4)."""
    raw = lab.keep(Raw(id_site))
    raw.send_raw(handshake(raw, Sec_WebSocket_Version="8"))
    data = b""
    while chunk := raw.sock.recv(65536):
        data += chunk
    status, headers = rdws.parse_head(data.partition(b"\r\n\r\n")[0])
    assert (status, headers.get("sec-websocket-version")) == (426, "13")


GARBAGE = {
    "text": b"hello\r\n\r\n",
    "frame": rdwire.frame(NAT_TEST) + b"\r\n\r\n",
    "zeros": bytes(100) + b"\r\n\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303") + random.Random(5).randbytes(240) + b"\r\n\r\n",
    "bare line ends": b"GET / HTTP/1.1\n\n\r\n\r\n",
    "header without a colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "zero in a header": b"GET / HTTP/1.1\r\nHost: \0\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(id_site: Target, lab: Lab, name: str) -> None:
    """Garbage instead of a handshake: 400 or nothing, and the end."""
    raw = lab.keep(Raw(id_site))
    raw.send_raw(GARBAGE[name])
    assert raw.status() in (400, 426, None)
    assert_works(ws(lab, id_site))


@pytest.mark.parametrize("ended", [True, False])
def test_oversized_head(id_site: Target, lab: Lab, ended: bool) -> None:
    """A head over 8 KiB is refused, whether or not its end ever comes."""
    raw = lab.keep(Raw(id_site))
    request = handshake(raw, X_Long="x" * 20_000)
    raw.try_to_send(request if ended else request[:-4])
    assert raw.status() in (400, 426, 431, None)
    assert_works(ws(lab, id_site))


def test_handshake_byte_by_byte(id_site: Target, lab: Lab) -> None:
    """However TCP cuts the handshake and the frames behind it, they count."""
    raw = lab.keep(Raw(id_site))
    raw.send_bytewise(handshake(raw) + rdws.frame(rdws.BINARY, NAT_TEST))
    assert first_message(raw)["port"] == raw.local[1]


def test_pipelined_first_message(id_site: Target, lab: Lab) -> None:
    """A message in the same segment as the handshake is answered."""
    raw = lab.keep(Raw(id_site))
    raw.send_raw(handshake(raw) + rdws.frame(rdws.BINARY, NAT_TEST))
    assert first_message(raw)["port"] == raw.local[1]


def first_message(raw: Raw) -> rdwire.Message:
    """The first message behind the handshake's answer."""
    data = bytearray()
    while (at := data.find(b"\r\n\r\n")) < 0 or (found := rdws.parse_frame(rest := data[at + 4 :])) is None:
        chunk = raw.sock.recv(65536)
        assert chunk, data
        data += chunk
    assert data.startswith(b"HTTP/1.1 101") and not rest
    return rdwire.decode(found.payload)


def test_probe_without_a_byte(lab: Lab) -> None:
    """Connections opened and closed are no abuse here either."""
    server = lab.server("id")
    for _ in range(50):
        Connection(server.target().websocket_port).close()
    assert_works(ws(lab, server.target()))
    assert not [e for e in server.events if e.get("level") in ("error", "warn", "warning") and "reason" in e]


def test_several_ports(lab: Lab) -> None:
    """websocket-port may list several ports; each serves."""
    server = lab.prepare("id")
    extra = server.port + 3
    server.args += ["--websocket-port", f"{server.port + 2},{extra}"]
    server.start()
    for port in (server.port, server.port + 1):
        assert_works(ws(lab, Target(server.host, port, server.key)))
