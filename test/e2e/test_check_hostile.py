"""rdsrv check against what is no RustDesk server, a hostile one, a slow one, and one that can do less than ours."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import time
from pathlib import Path
from typing import Callable, Iterator

import nacl.signing
import pytest

from fakeservers import Answer, FakeServer, FreeHbbs, SlowVoucher, Talk, Voucher, open_websocket
from localcheck import STEP_S
from rdserver import run_rdsrv
from rdwire import encode, encode_body, frame, frame_header, key_text, sign
from rdws import frame_head

KEY = "4Rl3uMhHAa5ZvjWfuU9cKSuTzPJVYg3dmmGyDJbIgOE="
ESCAPES = b"\x1b]0;owned\x07\x1b[31m\r\n\x00\x08\xff\xfe\xe2\x80\xae" * 4
HOSTILE_S = 2  # a step
Start = Callable[[Talk, Answer], FakeServer]


@pytest.fixture
def fake() -> Iterator[Start]:
    servers: list[FakeServer] = []

    def start(talk: Talk, answer: Answer) -> FakeServer:
        servers.append(FakeServer(talk, answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def check(
    server: FakeServer, *args: str, text: bool = False, step_s: int = HOSTILE_S
) -> tuple[dict[str, dict[str, str]], str]:
    """Results by name, and all that was printed. It ends in time and prints nothing that moves a cursor."""
    began = time.monotonic()
    host = f"{server.host}:{server.port}"
    form = [] if text else ["--json"]
    options = ("--host", host, "--key", KEY, "--register", "--verbose", "--timeout", str(step_s))
    done = run_rdsrv("check", *form, *options, *args, cwd=Path("/"))
    took = time.monotonic() - began
    assert took < 2.1 * step_s + 5, f"it took {took:.1f} s"
    assert done.returncode in (0, 1), done.stderr
    said = done.stdout + done.stderr
    assert all(c in "\n\t" or c.isprintable() for c in said), [c for c in said if c not in "\n\t" and not c.isprintable()]
    results = {} if text else {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    return results, said


def garbage(seed: int) -> tuple[Talk, Answer]:
    numbers = random.Random(seed)

    def talk(sock: socket.socket) -> None:
        sock.sendall(numbers.randbytes(numbers.randint(1, 3000)) + ESCAPES)
        sock.recv(4096)

    return talk, lambda payload: numbers.randbytes(numbers.randint(0, 1400))


def hang(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def no_datagram(payload: bytes) -> bytes | None:
    return None


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes(fake: Start, seed: int) -> None:
    results, _ = check(fake(*garbage(seed)))
    for name in ("udp.register", "tcp.secure", "ws.register", "relay.tcp", "punch"):
        assert results[name]["status"] in ("fail", "warn") and results[name]["fix"], results[name]


def test_random_bytes_for_people(fake: Start) -> None:
    _, said = check(fake(*garbage(7)), text=True)
    assert "FAIL" in said and "Begin with" in said


def _websocket_of(first_frame: bytes) -> Talk:
    def talk(sock: socket.socket) -> None:
        first = sock.recv(4096)
        if first.startswith(b"GET "):
            open_websocket(sock, first)
            sock.sendall(first_frame)
        hang(sock)

    return talk


def _http(status: bytes) -> Talk:
    def talk(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 " + status + b"\r\nServer: " + ESCAPES.replace(b"\r\n", b"") + b"\r\n\r\n")

    return talk


def _endless(sock: socket.socket) -> None:
    offer = frame(encode("KeyExchange", keys=[b"x" * 96]))
    for _ in range(20000):
        sock.sendall(offer)


def _trickle(sock: socket.socket) -> None:
    """A frame that never comes to its end: a byte now and then keeps nobody waiting for longer."""
    sock.settimeout(0.2)
    for byte in itertools.chain(frame_header(60), itertools.repeat(0)):
        sock.sendall(bytes([byte]))
        try:
            if not sock.recv(4096):
                return
        except TimeoutError:
            pass


def _late_and_foreign(sock: socket.socket) -> None:
    """Each offer comes late, and is another's: that may be tried again, but not for ever."""
    time.sleep(1.5)
    sock.sendall(frame(encode("KeyExchange", keys=[sign(bytes(32), bytes(32))])))
    hang(sock)


def _texts(payload: bytes) -> bytes | None:
    return encode("PunchHoleResponse", other_failure=ESCAPES.decode("latin-1"))


def _refuse_with_escapes(sock: socket.socket) -> None:
    sock.sendall(frame(encode("PunchHoleResponse", other_failure=ESCAPES, relay_server=b"\x1b[2J" * 10)))
    hang(sock)


HOSTILE: dict[str, tuple[Talk, Answer]] = {
    "a frame that says it is huge": (lambda sock: sock.sendall(b"\xff\xff\xff\xff" + bytes(4096)), lambda p: b"\xff" * 1200),
    "closes at once": (lambda sock: None, lambda payload: b""),
    "says nothing": (hang, no_datagram),
    "a byte now and then": (_trickle, no_datagram),
    "offers without end": (_endless, lambda payload: payload),
    "says it all back": (lambda sock: sock.sendall(sock.recv(65536)), lambda payload: payload),
    "HTTP everywhere": (_http(b"200 OK"), _texts),
    "a WebSocket frame of 2^63 bytes": (_websocket_of(b"\x82\x7f" + b"\x7f" + b"\xff" * 7), no_datagram),
    "a masked WebSocket frame": (_websocket_of(b"\x82\x84abcdefgh"), no_datagram),
    "control bytes in texts": (_refuse_with_escapes, _texts),
    "late offers by another": (_late_and_foreign, no_datagram),
    "an offer with two keys": (lambda s: s.sendall(frame(encode("KeyExchange", keys=[b"a" * 96, b"b" * 96]))), _texts),
    "an offer of nothing": (lambda s: s.sendall(frame(encode("KeyExchange", keys=[b""]))), no_datagram),
    "WebSocket pings without end": (_websocket_of((frame_head(9, 4, mask=False) + b"ping") * 5000), no_datagram),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_servers(fake: Start, what: str) -> None:
    """None crashes it, hangs it or makes it print control bytes; all are found out."""
    results, _ = check(fake(*HOSTILE[what]))
    for name in ("udp.register", "tcp.secure", "tcp.register", "ws.register", "punch", "relay.tcp"):
        assert results[name]["status"] != "ok", results[name]
        assert results[name]["detail"] and (results[name]["fix"] or results[name]["status"] == "skip")


def test_what_answers_http_is_told_so(fake: Start) -> None:
    results, _ = check(fake(_http(b"404 Not Found"), no_datagram), "--only", "ws.register", step_s=STEP_S)
    assert "HTTP 404" in results["ws.register"]["detail"]


def test_silence_is_told_with_the_port(fake: Start) -> None:
    server = fake(hang, no_datagram)
    results, _ = check(server, "--only", "udp.register,ws.register")
    assert f"{server.port}" in results["udp.register"]["detail"]
    assert f"ufw allow {server.port}/udp" in results["udp.register"]["fix"]
    assert "does not answer" in results["ws.register"]["detail"]
    assert f"ufw allow {server.port + 2}/tcp" in results["ws.register"]["fix"]


def test_a_server_that_can_do_less_is_no_failure(fake: Start) -> None:
    hbbs = FreeHbbs()
    only = "ws.register,nat,punch.key,tcp.register,tcp.secure"
    results, _ = check(fake(hbbs.talk, hbbs.answer), "--only", only, step_s=STEP_S)
    assert results["ws.register"]["status"] == "skip" and "hbbs doesn't" in results["ws.register"]["detail"]
    assert results["tcp.register"]["status"] == "skip"
    assert results["punch.key"]["status"] == "warn"
    assert results["tcp.secure"]["status"] == "warn" and "no secure channel" in results["tcp.secure"]["detail"]


def changed(data: bytes) -> bytes:
    """One bit of it."""
    return data[:-1] + bytes([data[-1] ^ 1])


SEED = bytes(range(32))
SEED_KEY = key_text(bytes(nacl.signing.SigningKey(SEED).verify_key))
OTHER = "vouches for another device"
VOUCHED: dict[str, tuple[Callable[[str, bytes], bytes], str, str]] = {
    "the device": (lambda id_, pk: sign(SEED, encode_body("IdPk", id=id_, pk=pk)), "ok", "is vouched for"),
    "another id": (lambda id_, pk: sign(SEED, encode_body("IdPk", id=id_ + "1", pk=pk)), "fail", OTHER),
    "another key pair of the device": (lambda id_, pk: sign(SEED, encode_body("IdPk", id=id_, pk=pk[::-1])), "fail", OTHER),
    "no device": (lambda id_, pk: sign(SEED, b"\xff"), "fail", OTHER),
    "the device, by another server": (
        lambda id_, pk: sign(bytes(32), encode_body("IdPk", id=id_, pk=pk)),
        "fail",
        "signed with another key",
    ),
    "the device, changed on the way": (
        lambda id_, pk: changed(sign(SEED, encode_body("IdPk", id=id_, pk=pk))),
        "fail",
        "signed with another key",
    ),
    "too little to hold a signature": (lambda id_, pk: b"\x01" * 63, "fail", "signed with another key"),
    "nothing": (lambda id_, pk: b"", "fail", "not signed"),
}


@pytest.mark.parametrize("whom", VOUCHED)
def test_whom_the_answer_vouches_for(fake: Start, whom: str) -> None:
    vouch, status, detail = VOUCHED[whom]
    voucher = Voucher(vouch)
    voucher.server = fake(voucher.talk, voucher.answer)
    results, _ = check(voucher.server, "--key", SEED_KEY, "--only", "punch", step_s=STEP_S)
    assert (results["punch"]["status"], detail in results["punch"]["detail"]) == (status, True), results["punch"]
    assert bool(results["punch"]["fix"]) == (status == "fail")


def test_a_slow_server_is_no_broken_one(fake: Start) -> None:
    """Repeated questions have several answers, which come when others are awaited."""
    voucher = SlowVoucher(VOUCHED["the device"][0])
    voucher.server = fake(voucher.talk, voucher.answer)
    results, _ = check(voucher.server, "--key", SEED_KEY, "--only", "udp.register,punch,relay.name", step_s=4)
    assert results["udp.register"]["status"] == results["punch"]["status"] == "ok", results
    assert "clients are told relay.invalid" in results["relay.name"]["detail"], results


def test_an_unreachable_host_is_told_in_time(fake: Start) -> None:
    """With the time that steps have by default."""
    server = fake(hang, no_datagram)
    began = time.monotonic()
    done = run_rdsrv("check", "--json", "--host", f"{server.host}:{server.port}", "--key", KEY, cwd=Path("/"))
    assert done.returncode == 1
    assert time.monotonic() - began < 10 + 2


@pytest.mark.slow
def test_silence_has_all_the_time_that_it_is_given(fake: Start) -> None:
    server = fake(hang, no_datagram)
    args = ["--host", f"{server.host}:{server.port}", "--key", KEY, "--only", "tcp.secure", "--timeout", "20"]
    done = run_rdsrv("check", "--json", *args, cwd=Path("/"), within_s=60)
    result = json.loads(done.stdout)["checks"][0]
    assert result["status"] == "warn" and "offers no secure channel" in result["detail"], result
    assert result["ms"] >= 20_000


def test_many_at_once(fake: Start) -> None:
    """Bytes of no meaning, from a seed that is said: whatever they are, it ends well."""
    seed = int(os.environ.get("RDSRV_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    print(f"RDSRV_SEED={seed}")
    check(fake(*garbage(seed)))
