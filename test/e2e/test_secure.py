"""Goal: the secure channel on TCP N as clients know it: offered to all, used by those who want it, in no one's way."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import nacl.public
import nacl.signing
import pytest

import rdwire
from conftest import Lab
from rdclient import (
    VERSION,
    Connection,
    Controller,
    SecureConnection,
    SecureController,
    Target,
    WsConnection,
    WsController,
    fresh_source,
    fresh_uuid,
)
from rdwire import Sealer, WireError, decode_addr

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
CHANNEL = json.loads((VECTORS / "secure_channel.json").read_text())
AT_ONCE_S = 8.0  # nothing that the server waits for is shorter


def vector(name: str) -> bytes:
    return bytes.fromhex(CHANNEL[name])


def offer_at(lab: Lab, target: Target) -> bytes:
    """The whole first frame of a new connection to TCP N."""
    payload = lab.connection(target.id_port).recv_payload()
    assert payload is not None
    return payload


def assert_works(connection: Connection) -> None:
    """The connection answers, sealed or plainly as it is."""
    connection.send("TestNatRequest")
    assert connection.expect("TestNatResponse")["port"] == connection.local[1]


def assert_harmless(lab: Lab, target: Target, bystander: Connection) -> None:
    """Somebody else's connection and new ones are as they were."""
    assert_works(bystander)
    assert_works(lab.keep(SecureConnection(target)))


# --- known answers --------------------------------------------------------------------------------------------------


def test_vector_offer_and_answer() -> None:
    """This client reads the known offer, and its answer is the known one."""
    key = nacl.signing.SigningKey(vector("server_seed")).verify_key
    public = rdwire.open_offer(vector("offer"), rdwire.key_text(bytes(key)))
    assert public == vector("server_box_public")
    answer = rdwire.answer_offer(public, vector("client_box_secret"), vector("symmetric_key"))
    assert answer == vector("answer")


def test_vector_answer_opens() -> None:
    """What the server finds in the known answer is the known symmetric key."""
    own, sealed = rdwire.decode(vector("answer"))["keys"]
    assert own == vector("client_box_public")
    box = nacl.public.Box(nacl.public.PrivateKey(vector("server_box_secret")), nacl.public.PublicKey(own))
    assert box.decrypt(sealed, bytes(24)) == vector("symmetric_key")


def test_vector_frames() -> None:
    """The known frames are sealed so and open again; short payloads between them don't count."""
    out, back = Sealer(vector("symmetric_key")), Sealer(vector("symmetric_key"))
    for case in CHANNEL["frames"]:
        plain, sealed = bytes.fromhex(case["plain"]), bytes.fromhex(case["sealed"])
        assert [out.seal(p) for p in (b"", b"x", plain)] == [b"", b"x", sealed]
        assert [back.open(p) for p in (b"", b"x", sealed)] == [b"", b"x", plain]
        assert out.number == case["sequence"]


def test_vector_frames_out_of_order() -> None:
    """A frame opens under its own number only."""
    with pytest.raises(WireError):
        Sealer(vector("symmetric_key")).open(bytes.fromhex(CHANNEL["frames"][1]["sealed"]))


# --- the offer ------------------------------------------------------------------------------------------------------


def test_offer_is_the_first_frame(id_site: Target, lab: Lab) -> None:
    """A connection to TCP N gets, without a byte sent, one X25519 key signed with the server's key."""
    assert len(rdwire.open_offer(offer_at(lab, id_site), id_site.key)) == 32


def test_no_second_offer(id_site: Target, lab: Lab) -> None:
    """There is one offer a connection and then nothing but answers."""
    connection = lab.connection(id_site.id_port)
    rdwire.open_offer(connection.recv_payload() or b"", id_site.key)
    connection.offer_may_come = False
    assert connection.pending() == []


def test_offer_does_not_verify_with_another_key(id_site: Target, lab: Lab) -> None:
    """To a client with another key the offer's signature doesn't verify."""
    with pytest.raises(WireError):
        rdwire.open_offer(offer_at(lab, id_site), rdwire.key_text(bytes(range(32))))


def test_same_offer_for_all(id_site: Target, lab: Lab) -> None:
    """The offer is signed once: connections made together get the same bytes."""
    connections = [lab.connection(id_site.id_port) for _ in range(20)]
    assert len({connection.recv_payload() for connection in connections}) == 1


def test_fresh_key_at_each_start(lab: Lab) -> None:
    """After a restart the X25519 key is another one, signed with the same server key."""
    server = lab.server("id")
    first = rdwire.open_offer(offer_at(lab, server.target()), server.key)
    lab.close_clients()
    server.stop()
    server.restarted()
    assert rdwire.open_offer(offer_at(lab, server.target()), server.key) != first


def test_no_offer_on_the_nat_port(id_site: Target, lab: Lab) -> None:
    """TCP N-1 answers at once, without an offer."""
    connection = lab.connection(id_site.nat_port)
    connection.offer_may_come = False
    assert_works(connection)


def test_no_offer_on_websocket(id_site: Target, lab: Lab) -> None:
    """WebSocket N+2 makes no offer."""
    assert_works(lab.keep(WsConnection(id_site)))


def test_no_offer_if_off(lab: Lab) -> None:
    """secure-tcp = off: the first frame is the answer."""
    target = lab.server("id", "--secure-tcp", "off").target()
    connection = lab.connection(target.id_port)
    connection.offer_may_come = False
    assert_works(connection)


def test_offer_signed_with_a_given_key(lab: Lab) -> None:
    """With -k SECRET that pair signs the offer."""
    signer = nacl.signing.SigningKey(os.urandom(32))
    public = rdwire.key_text(bytes(signer.verify_key))
    target = lab.server("id", "-k", rdwire.key_text(bytes(signer) + bytes(signer.verify_key))).target(key=public)
    assert_works(lab.keep(SecureConnection(target)))


# --- secured --------------------------------------------------------------------------------------------------------


def test_both_ways(id_site: Target, lab: Lab) -> None:
    """Many messages each way, each under its own number."""
    connection = lab.keep(SecureConnection(id_site))
    for _ in range(50):
        assert_works(connection)
    assert connection.out.number == connection.back.number == 50


def test_pipelined_behind_the_answer(id_site: Target, lab: Lab) -> None:
    """The answer to the offer and sealed messages in one segment, and cut into single bytes."""
    for cut in (False, True):
        connection = lab.connection(id_site.id_port)
        symmetric = os.urandom(32)
        public = rdwire.open_offer(connection.recv_payload() or b"", id_site.key)
        sealer, opener = Sealer(symmetric), Sealer(symmetric)
        payloads = [rdwire.answer_offer(public, os.urandom(32), symmetric)]
        payloads += [sealer.seal(rdwire.encode("TestNatRequest")) for _ in range(3)]
        data = b"".join(rdwire.frame(payload) for payload in payloads)
        connection.send_bytewise(data) if cut else connection.send_raw(data)
        for _ in range(3):
            message = rdwire.decode(opener.open(connection.recv_payload() or b""))
            assert message["port"] == connection.local[1]


def test_heartbeats_are_plain_and_dont_count(id_site: Target, lab: Lab) -> None:
    """Empty payloads between the messages pass as they are, and the numbers go on as if they weren't there."""
    connection = lab.keep(SecureConnection(id_site))
    for _ in range(3):
        connection.send_payload(b"")
        assert_works(connection)
    assert connection.out.number == 3


def test_single_byte_is_plain(id_site: Target, lab: Lab) -> None:
    """A payload of one byte is not sealed; as no message of one byte exists, it ends the connection and no other."""
    bystander, connection = lab.keep(SecureConnection(id_site)), lab.keep(SecureConnection(id_site))
    connection.send_payload(b"x")
    connection.expect_closed()
    assert_harmless(lab, id_site, bystander)


def test_answer_to_the_offer_may_wait(id_site: Target, lab: Lab) -> None:
    """A client may take its time for the answer; others are served meanwhile."""
    slow = lab.connection(id_site.id_port)
    offer = slow.recv_payload() or b""
    assert_works(lab.keep(SecureConnection(id_site)))
    symmetric = os.urandom(32)
    slow.send_payload(rdwire.answer_offer(rdwire.open_offer(offer, id_site.key), os.urandom(32), symmetric))
    slow.send_payload(Sealer(symmetric).seal(rdwire.encode("TestNatRequest")))
    assert rdwire.decode(Sealer(symmetric).open(slow.recv_payload() or b"")).kind == "TestNatResponse"


# --- what ends a connection -----------------------------------------------------------------------------------------


def wrong_mac(connection: SecureConnection) -> None:
    sealed = bytearray(connection.out.seal(rdwire.encode("TestNatRequest")))
    sealed[0] ^= 1
    connection.send_raw(rdwire.frame(bytes(sealed)))


def replayed(connection: SecureConnection) -> None:
    sealed = rdwire.frame(connection.out.seal(rdwire.encode("TestNatRequest")))
    connection.send_raw(sealed)
    connection.expect("TestNatResponse")
    connection.send_raw(sealed)


def skipped(connection: SecureConnection) -> None:
    connection.out.number += 1
    connection.send("TestNatRequest")


def in_plain(connection: SecureConnection) -> None:
    connection.send_raw(rdwire.frame(rdwire.encode("TestNatRequest")))


def too_short_to_be_sealed(connection: SecureConnection) -> None:
    connection.send_raw(rdwire.frame(bytes(15)))


def with_another_key(connection: SecureConnection) -> None:
    connection.out = Sealer(os.urandom(32))
    connection.send("TestNatRequest")


def second_exchange(connection: SecureConnection) -> None:
    connection.send("KeyExchange", keys=[bytes(32), bytes(48)])


FAULTS = [wrong_mac, replayed, skipped, in_plain, too_short_to_be_sealed, with_another_key, second_exchange]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_broken_message_ends_the_connection(id_site: Target, lab: Lab, fault: Any) -> None:
    """What doesn't open under the next number ends its connection, and only that."""
    bystander, connection = lab.keep(SecureConnection(id_site)), lab.keep(SecureConnection(id_site))
    fault(connection)
    connection.expect_closed()
    assert_harmless(lab, id_site, bystander)


MALFORMED: dict[str, list[bytes]] = {
    "no key": [],
    "one key": [bytes(range(32))],
    "three keys": [bytes(range(32)), bytes(48), bytes(48)],
    "empty keys": [b"", b""],
    "short public key": [bytes(31), bytes(48)],
    "long public key": [bytes(33), bytes(48)],
    "short sealed key": [bytes(range(32)), bytes(47)],
    "long sealed key": [bytes(range(32)), bytes(49)],
    "unsealable": [bytes(range(32)), bytes(48)],
    "public key zero": [bytes(32), bytes(48)],
    "kilobytes": [bytes(4000), bytes(4000)],
    "the offer's own key twice": [b"\1" + bytes(31), b"\1" + bytes(47)],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_answer_ends_the_connection(id_site: Target, lab: Lab, name: str) -> None:
    """An answer to the offer that holds no sealed key ends its connection, and only that."""
    bystander, connection = lab.keep(SecureConnection(id_site)), lab.connection(id_site.id_port)
    connection.send("KeyExchange", keys=MALFORMED[name])
    connection.expect_closed()
    assert_harmless(lab, id_site, bystander)


def test_sealed_key_of_another_length(id_site: Target, lab: Lab) -> None:
    """A properly sealed key of other than 32 bytes is malformed too."""
    for length in (0, 16, 31, 33, 64):
        connection = lab.connection(id_site.id_port)
        public = rdwire.open_offer(connection.recv_payload() or b"", id_site.key)
        connection.offer_may_come = False
        connection.send_payload(rdwire.answer_offer(public, os.urandom(32), bytes(length)))
        connection.expect_closed()


def test_plain_first_frame_keeps_it_plain(id_site: Target, lab: Lab) -> None:
    """Who begins plainly stays plain; a KeyExchange later ends the connection."""
    connection = lab.connection(id_site.id_port)
    public = rdwire.open_offer(connection.recv_payload() or b"", id_site.key)
    connection.offer_may_come = False
    for _ in range(3):
        assert_works(connection)
    connection.send_payload(rdwire.answer_offer(public, os.urandom(32), os.urandom(32)))
    connection.expect_closed()
    lab.registered(id_site)


@pytest.mark.parametrize("port", ["nat_port", "websocket"])
def test_key_exchange_elsewhere_ends_the_connection(id_site: Target, lab: Lab, port: str) -> None:
    """Where no offer is made, none can be answered."""
    connection = lab.connection(id_site.nat_port) if port == "nat_port" else lab.keep(WsConnection(id_site))
    connection.offer_may_come = False
    connection.send("KeyExchange", keys=[bytes(32), bytes(48)])
    connection.expect_closed()
    lab.registered(id_site)


def test_key_exchange_where_it_is_off(lab: Lab) -> None:
    """secure-tcp = off: an answer to an offer that was not made ends the connection."""
    target = lab.server("id", "--secure-tcp", "off").target()
    connection = lab.connection(target.id_port)
    connection.send("KeyExchange", keys=[bytes(32), bytes(48)])
    connection.expect_closed()
    lab.registered(target)


# --- who never reads the offer --------------------------------------------------------------------------------------


def test_send_and_close_loses_nothing(id_site: Target, lab: Lab) -> None:
    """B's connections send one frame and close with the offer unread, 200 times: every frame counts."""
    b, source = lab.registered(id_site), fresh_source()
    for number in range(200):
        a = Controller(id_site, source)
        a.punch(b.id)
        hole = b.expect_hole("PunchHole", a)
        came_from = b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"], upnp_port=number + 1))
        answer = a.expect("PunchHoleResponse")
        assert (answer["upnp_port"], decode_addr(answer["socket_addr"])) == (number + 1, came_from)
        a.close()


def test_send_and_reset_after_the_offer_arrived(id_site: Target, lab: Lab) -> None:
    """The same with the offer already received but unread, so that closing draws a reset at once: 100 times."""
    b, source = lab.registered(id_site), fresh_source()
    for number in range(100):
        a = Controller(id_site, source)
        a.punch(b.id)
        hole = b.expect_hole("PunchHole", a)
        connection = b.answering_connection()
        assert connection.sock.recv(1, socket.MSG_PEEK)  # it is here, and stays unread
        connection.send("PunchHoleSent", **b.hole_sent(hole["socket_addr"], upnp_port=number + 1))
        connection.wait_sent()
        connection.close()
        assert a.expect("PunchHoleResponse")["upnp_port"] == number + 1
        a.close()


def test_local_addr_send_and_close(id_site: Target, lab: Lab) -> None:
    """LocalAddr by such connections too, 50 times."""
    b = lab.registered(id_site)
    for number in range(50):
        a = Controller(id_site, b.source)
        a.punch(b.id)
        fetch = b.expect_hole("FetchLocalAddr", a)
        local = ("10.1.2.3", 40_000 + number)
        b.answer_and_close("LocalAddr", **b.local_addr(fetch["socket_addr"], local))
        assert decode_addr(a.expect("PunchHoleResponse")["socket_addr"]) == local
        a.close()


def test_probes_are_no_abuse(lab: Lab) -> None:
    """Connections opened and closed without a byte: 300 from one address, by FIN and RST; it is served as before."""
    server = lab.server("id")
    source = fresh_source()
    b = lab.registered(server.target(), source=source)
    for number in range(300):
        connection = Connection(server.target().id_port, source)
        if number % 2:
            connection.reset_at_close()
        connection.close()
    assert_works(lab.connection(server.target().id_port, source))
    assert b.register_peer() is False
    assert not [e for e in server.events if e.get("level") in ("error", "warn", "warning") and "reason" in e]


# --- who secures ----------------------------------------------------------------------------------------------------


def test_punch_of_a_logged_in_user(id_site: Target, lab: Lab) -> None:
    """A secured request with a token of 4 KiB reaches B; the answer comes sealed."""
    b, a = lab.registered(id_site), lab.keep(SecureController(id_site, fresh_source()))
    a.punch(b.id, token="t" * 4096)
    hole = b.expect_hole("PunchHole", a)
    came_from = b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    answer = a.expect("PunchHoleResponse")  # opens, so it was sealed
    assert decode_addr(answer["socket_addr"]) == came_from
    assert a.verified(answer) == (b.id, b.pk)
    assert a.back.number == 1


def test_relay_request_of_a_logged_in_user(id_site: Target, lab: Lab) -> None:
    """RequestRelay with a token, secured: B is asked, and its RelayResponse comes sealed."""
    b, a = lab.registered(id_site), lab.keep(SecureController(id_site, fresh_source()))
    uuid = fresh_uuid()
    a.request_relay(b.id, uuid, relay_server="relay.example", token="t" * 4096)
    request = b.expect("RequestRelay")
    assert (request["uuid"], request["relay_server"], request["secure"]) == (uuid, "relay.example", True)
    assert decode_addr(request["socket_addr"]) == a.local
    connection = lab.keep(b.answer("RelayResponse", socket_addr=request["socket_addr"], version=VERSION))
    assert a.expect("RelayResponse")["refuse_reason"] == "" and a.back.number == 1
    connection.expect_closed()


def test_refusals_are_sealed(id_site: Target, lab: Lab) -> None:
    """Refusals come sealed as well."""
    a = lab.keep(SecureController(id_site, fresh_source()))
    a.punch("999999999")
    assert a.expect("PunchHoleResponse").fields == {}
    a.punch("999999999", licence_key="wrong")
    assert a.expect("PunchHoleResponse")["failure"] == rdwire.Failure.LICENSE_MISMATCH
    a.request_relay("999999999", fresh_uuid())
    assert a.expect("RelayResponse")["refuse_reason"]


@pytest.mark.parametrize("secured", [True, False])
def test_http_proxy_request(id_site: Target, lab: Lab, secured: bool) -> None:
    """HttpProxyRequest is answered at once, with nothing before it: 501 and an error text."""
    connection = lab.keep(SecureConnection(id_site)) if secured else lab.connection(id_site.id_port)
    headers = [{"name": "Content-Type", "value": "application/json"}]
    started = time.monotonic()
    connection.send("HttpProxyRequest", method="POST", path="/api/heartbeat", headers=headers, body=b"{}" * 500)
    answer = connection.expect("HttpProxyResponse")
    assert time.monotonic() - started < AT_ONCE_S
    assert answer["status"] == 501 and answer["error"]


def test_large_http_proxy_request(id_site: Target, lab: Lab) -> None:
    """A body of 30 kB, as the client's hardware report is, is answered like any other."""
    connection = lab.keep(SecureConnection(id_site))
    connection.send("HttpProxyRequest", method="POST", path="/api/sysinfo", body=os.urandom(30_000))
    assert connection.expect("HttpProxyResponse")["status"] == 501


def test_health_check_keeps_the_connection(id_site: Target, lab: Lab) -> None:
    """HealthCheck has no answer, and the connection stays and serves."""
    connection = lab.keep(SecureConnection(id_site))
    connection.send("HealthCheck", token="t" * 100)
    assert connection.pending() == []
    connection.send_payload(b"")
    assert connection.pending() == []
    assert connection.is_open()


@pytest.mark.slow
def test_health_check_for_a_minute(id_site: Target, lab: Lab) -> None:
    """A heartbeat every 30 s; echoed, such a connection is still open after 75 s."""
    connection = lab.keep(SecureConnection(id_site))
    connection.sock.settimeout(5)
    connection.send("HealthCheck", token="token")
    heartbeats, deadline = 0, time.monotonic() + 75
    while time.monotonic() < deadline:
        try:
            payload = connection.recv_payload()
        except TimeoutError:
            continue
        assert payload == b"", f"{payload!r} instead of a heartbeat"
        connection.send_payload(b"")
        heartbeats += 1
    assert heartbeats == 2
    assert_works(connection)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Controller, SecureController, WsController])
def test_a_waits_in_silence(id_site: Target, lab: Lab, kind: type) -> None:
    """A waits 6, 12 and 18 s, as clients before 1.4.1 do: it hears nothing meanwhile, and then the answer."""
    b, a = lab.registered(id_site), lab.keep(kind(id_site, fresh_source()))
    a.recv_payload() if kind is Controller else None
    a.offer_may_come = False
    for seconds in (6, 12, 18):
        a.punch(b.id)
        hole = b.expect_hole("PunchHole", a)
        a.sock.settimeout(seconds)
        with pytest.raises(TimeoutError):
            a.recv_payload()
        assert b.register_peer() is False
    a.sock.settimeout(10)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)
