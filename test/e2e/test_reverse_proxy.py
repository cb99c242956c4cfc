"""Goal: behind the reverse proxies of packaging/proxy, as they stand but for names, ports and certificate, clients in
WebSocket mode register and meet on the relay by TLS, and the server sees who they are, whatever they claim."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import pytest

import rdwire
from conftest import Lab
from database import stored, stored_ip
from polling import wait_until
from rdclient import Target, WsConnection, WsController, WsPeer, fresh_id, fresh_source, fresh_uuid
from rdserver import Server, free_base_port, random_loopback
from relaysides import WsSide
from test_proxy import CLIENT, forwarded, real_ip

EXAMPLES = Path(__file__).resolve().parents[2] / "packaging" / "proxy"
NAME = "rustdesk.example.com"
START_S = 20.0
CLAIMS = real_ip(CLIENT) + forwarded(CLIENT)


class Front(NamedTuple):
    """A proxy that runs, and the server behind it."""

    server: Server
    address: tuple[str, int]
    certificate: Path

    @property
    def target(self) -> Target:
        return self.server.target()

    def place(self, path: str) -> dict[str, Any]:
        return {"address": self.address, "path": path}

    def securely(self, sock: socket.socket) -> socket.socket:
        return ssl.create_default_context(cafile=str(self.certificate)).wrap_socket(sock, server_hostname=NAME)


class Tls:
    """Mixed in before a WsConnection: what is sent first begins with TLS, and asks for NAME."""

    front: Front
    sock: socket.socket

    def send_raw(self, data: bytes) -> None:
        if not isinstance(self.sock, ssl.SSLSocket):
            self.sock = self.front.securely(self.sock)
            data = re.sub(rb"\r\nHost: [^\r]*", b"\r\nHost: " + NAME.encode(), data)
        self.sock.sendall(data)


def through(front: Front, kind: type[WsConnection]) -> type[Any]:
    """The same kind of connection, by TLS."""
    return type(kind.__name__ + "ByTls", (Tls, kind), {"front": front})


def controller(front: Front, **options: Any) -> WsController:
    connection: WsController = through(front, WsController)(front.target, **front.place("/ws/id"), **options)
    return connection


def relay_side(front: Front, **options: Any) -> WsSide:
    side: WsSide = through(front, WsSide)(front.target, **front.place("/ws/relay"), **options)
    return side


class Peer(WsPeer):
    """B, which comes by the proxy every time."""

    def __init__(self, front: Front, **options: Any) -> None:
        self.front = front
        super().__init__(front.target, fresh_id(), **options)

    def new_connection(self) -> WsConnection:
        kind = through(self.front, WsConnection)
        connection: WsConnection = kind(self.target, self.source, self.headers, **self.front.place("/ws/id"))
        return connection


# --- the proxies ----------------------------------------------------------------------------------------------------


def certificate(place: Path) -> tuple[Path, Path]:
    """A certificate for NAME that is its own authority, and its key."""
    made, key = place / "certificate.pem", place / "key.pem"
    words = f"req -x509 -newkey ed25519 -nodes -days 2 -subj /CN={NAME} -addext subjectAltName=DNS:{NAME}".split()
    done = subprocess.run(["openssl", *words, "-keyout", str(key), "-out", str(made)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made, key


def changed(text: str, *changes: tuple[str, str]) -> str:
    """The example with these changes, each of which applies."""
    for pattern, to in changes:
        text, count = re.subn(pattern, to.replace("\\", "\\\\"), text, flags=re.MULTILINE)
        assert count > 0, f"the example has no {pattern}"
    return text


def nginx(place: Path, server: Server, address: tuple[str, int], made: Path, key: Path) -> list[str]:
    example = changed(
        (EXAMPLES / "nginx.conf").read_text(),
        (r"listen 443 ssl;", "listen %s:%d ssl;" % address),
        (r"^\s*listen \[::\]:443 ssl;$", ""),
        (r"/etc/letsencrypt/\S*/fullchain.pem", str(made)),
        (r"/etc/letsencrypt/\S*/privkey.pem", str(key)),
        (r"127.0.0.1:21118", "%s:%d" % server.target().websocket_port),
        (r"127.0.0.1:21119", "%s:%d" % server.target().relay_websocket_port),
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {place}/{kind};" for kind in kinds)
    (place / "nginx.conf").write_text(
        f"daemon off;\nuser root;\npid {place}/pid;\nerror_log {place}/log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}\n{example}}}\n"
    )
    return ["nginx", "-p", str(place), "-c", str(place / "nginx.conf"), "-e", f"{place}/log"]


def caddy(place: Path, server: Server, address: tuple[str, int], made: Path, key: Path) -> list[str]:
    site = f"https://{NAME}:{address[1]} {{\n\tbind {address[0]}\n\ttls {made} {key}"
    example = changed(
        (EXAMPLES / "Caddyfile").read_text(),
        (r"^rustdesk.example.com {", site),
        (r"127.0.0.1:21118", "%s:%d" % server.target().websocket_port),
        (r"127.0.0.1:21119", "%s:%d" % server.target().relay_websocket_port),
    )
    (place / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + example)
    return ["caddy", "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"]


def listens(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(address) == 0


@pytest.fixture(params=[nginx, caddy], ids=lambda make: make.__name__)
def front(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Front]:
    make = request.param
    if not shutil.which(make.__name__):
        pytest.skip(f"{make.__name__} is not installed")
    # The proxy comes from 127.0.0.1, its clients from other addresses.
    server = lab.server("serve", "--trusted-proxies", "127.0.0.1/32")
    place = lab.directory("proxy")
    made, key = certificate(place)
    host = random_loopback()
    address = (host, free_base_port([host]))
    log = open(place / "said", "wb")
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place), "XDG_DATA_HOME": str(place)}
    process = subprocess.Popen(make(place, server, address, made, key), stdout=log, stderr=log, env=env)
    try:
        wait_until(lambda: listens(address) or process.poll() is not None, START_S, "the proxy")
        assert process.poll() is None, (place / "said").read_text()
        yield Front(server, address, made)
        lab.close_clients()
    finally:
        process.terminate()
        process.wait(START_S)
        log.close()


# --- what is passed on ----------------------------------------------------------------------------------------------


def on_file(front: Front, peer: WsPeer) -> str:
    row = stored(front.server.directory, peer.id)
    assert row is not None
    return stored_ip(row)


def test_registered_and_relayed(lab: Lab, front: Front) -> None:
    """B registers, A finds and verifies it, both meet on the relay: all by TLS on one port."""
    b = lab.keep(Peer(front, source=fresh_source()))
    b.register()
    a = lab.keep(controller(front, source=fresh_source()))
    uuid = fresh_uuid()
    a.punch(b.id)
    hole = b.expect("PunchHole")
    assert rdwire.decode_addr(hole["socket_addr"])[0] == a.local[0]
    b.answer("RelayResponse", **b.relay_response(hole["socket_addr"], uuid)).close()
    answer = a.expect("RelayResponse")
    assert answer["uuid"] == uuid and a.verified(answer) == (b.id, b.pk)
    one, other = (lab.keep(relay_side(front, source=fresh_source())) for _ in range(2))
    one.ask(uuid, front.target.key)
    other.ask(uuid, front.target.key)
    for sender, receiver in ((one, other), (other, one)):
        for size in (1, 1000, 200_000):
            sender.send_payload(b"x" * size)
            assert receiver.recv_payload() == b"x" * size


def test_who_the_clients_are(lab: Lab, front: Front) -> None:
    """Addresses on file, and in the relay's ledger, are the clients' own; what they claim in headers is not."""
    honest, liar = (lab.keep(Peer(front, source=fresh_source(), headers=headers)) for headers in ([], CLAIMS))
    for peer in (honest, liar):
        peer.register()
        assert on_file(front, peer) == peer.source
    sides = [lab.keep(relay_side(front, source=fresh_source(), headers=CLAIMS)) for _ in range(2)]
    uuid = fresh_uuid()
    for side in sides:
        side.ask(uuid, front.target.key)
    sides[0].send_payload(b"x")
    assert sides[1].recv_payload() == b"x"
    sources = {side.local[0] for side in sides}
    lab.close_clients()
    (line,) = wait_until(lambda: front.server.logged("session ended", uuid=uuid[:8]), 10, "the session's line")
    assert {line[side].rpartition(":")[0] for side in ("first", "second")} == sources


def test_nothing_else_is_passed_on(front: Front) -> None:
    """Other paths are the proxy's, and end with 404."""
    with socket.create_connection(front.address, 10) as plain, front.securely(plain) as sock:
        sock.sendall(f"GET /ws/other HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("file", ["nginx.conf", "Caddyfile", "traefik.yml"])
def test_ports_of_the_examples(file: str) -> None:
    """Every example names the default WebSocket ports, each beside its path's."""
    text = (EXAMPLES / file).read_text()
    lines = " ".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert re.findall(r"127\.0\.0\.1:(\d+)", lines) == ["21118", "21119"]
    assert lines.index("/ws/id") < lines.index("/ws/relay")
