"""Goal: strangers who wait in crowds keep nobody else out, and with relay-only-issued nobody but those whom the ID
server has brought together gets a session."""

from __future__ import annotations

import time

import pytest

from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, Target, UdpPeer, WsController, assert_joined, fresh_source, fresh_uuid
from rdserver import Server
from relaysides import PAIRS, Kind, WsIdSide, WsSide, assert_talk, name_of
from test_session import relay_agreed, sent_to_the_relay

WAITING_PER_IP = 1000


def waiting(lab: Lab, target: Target, source: str, count: int) -> list[RelaySide]:
    return [lab.relay_side(target, source).join(fresh_uuid(), target.key) for _ in range(count)]


def wait_for(server: Server, count: int) -> None:
    wait_until(lambda: server.status()["waiting"] == count, 20, f"{count} waiting")


def assert_refused(lab: Lab, target: Target, source: str) -> None:
    side = lab.relay_side(target, source)
    side.try_to_send(b"\0")
    side.recv_end()


def assert_let_in(lab: Lab, target: Target, source: str) -> None:
    uuid = fresh_uuid()
    assert_joined(*(lab.relay_side(target, source).join(uuid, target.key) for _ in range(2)))


# --- crowds ---------------------------------------------------------------------------------------------------------


def test_waiting_per_address(lab: Lab) -> None:
    """1,000 may wait from one address: the next one from there is refused and counted, and nobody else is."""
    server = lab.server("relay", log_level="info")
    target, source = server.target(), fresh_source()
    crowd = waiting(lab, target, source, WAITING_PER_IP)
    wait_for(server, WAITING_PER_IP)
    assert_refused(lab, target, source)
    assert server.counter("relay-full") == 1
    assert [e for e in server.logged("relay connection ended", reason="relay-full") if source in e["from"]]
    for _ in range(3):
        assert_let_in(lab, target, fresh_source())
    assert all(side.is_open() for side in crowd)


def test_room_is_free_again(lab: Lab) -> None:
    """One that leaves, or is paired, makes room for the next from its address."""
    server = lab.server("relay", log_level="info")
    target, source, uuid = server.target(), fresh_source(), fresh_uuid()
    crowd = waiting(lab, target, source, WAITING_PER_IP - 1)
    known = lab.relay_side(target, source).join(uuid, target.key)
    wait_for(server, WAITING_PER_IP)
    assert_refused(lab, target, source)
    crowd[7].close()
    wait_for(server, WAITING_PER_IP - 1)
    waiting(lab, target, source, 1)
    wait_for(server, WAITING_PER_IP)
    assert_joined(known, lab.relay_side(target, fresh_source()).join(uuid, target.key))
    waiting(lab, target, source, 1)
    wait_for(server, WAITING_PER_IP)
    assert_refused(lab, target, source)


def test_paired_ones_dont_count(lab: Lab) -> None:
    """A whole fleet behind one address has its sessions, beside 1,000 that wait."""
    server = lab.server("relay", log_level="info")
    target, source = server.target(), fresh_source()
    for _ in range(600):
        assert_let_in(lab, target, source)
    crowd = waiting(lab, target, source, WAITING_PER_IP)
    wait_for(server, WAITING_PER_IP)
    assert server.status()["sessions"] == 600 and crowd[0].is_open()
    assert_refused(lab, target, source)


def test_silent_ones_count(lab: Lab) -> None:
    """Connections without a message are bounded alike, and don't keep others out."""
    server = lab.server("relay", log_level="info")
    target, source = server.target(), fresh_source()
    crowd = [lab.relay_side(target, source) for _ in range(WAITING_PER_IP)]
    wait_until(lambda: server.status()["handshakes"] == WAITING_PER_IP, 20, "all are in")
    lab.relay_side(target, source).recv_end()
    assert_let_in(lab, target, fresh_source())
    crowd[0].close()
    wait_until(lambda: server.status()["handshakes"] == WAITING_PER_IP - 1, 20, "one is gone")
    waiting(lab, target, source, 1)
    wait_for(server, 1)


def test_crowds_from_several_addresses(lab: Lab) -> None:
    """Three crowds at their limits, and honest ones from other addresses pass between them."""
    server = lab.server("relay", log_level="info")
    target = server.target()
    sources = [fresh_source() for _ in range(3)]
    for source in sources:
        waiting(lab, target, source, WAITING_PER_IP)
    wait_for(server, 3 * WAITING_PER_IP)
    for source in sources:
        assert_refused(lab, target, source)
    for _ in range(10):
        assert_let_in(lab, target, fresh_source())
    lab.close_clients()
    wait_for(server, 0)
    for source in sources:
        assert_let_in(lab, target, source)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["silent", "half a frame", "half a handshake", "waiting"])
def test_who_says_nothing_goes_after_30_s(lab: Lab, kind: str) -> None:
    """No message within 30 s, or no partner: closed, and the log says which of the two."""
    server = lab.server("relay")
    target = server.target()
    side, began = lab.relay_side(target), time.monotonic()
    if kind == "half a handshake":
        side = lab.keep(RelaySide(target.relay_websocket_port))
        side.send_raw(b"GET /ws/relay HTTP/1.1\r\nHost: x\r\n")
    elif kind == "half a frame":
        side.send_raw(b"\x05")
    elif kind == "waiting":
        side.join(fresh_uuid(), target.key)
    assert side.is_open()
    side.sock.settimeout(45)
    side.recv_end()
    assert 28 < time.monotonic() - began < 40
    reason = "partner-missing" if kind == "waiting" else "no-message"
    wait_until(lambda: server.logged("relay connection ended", reason=reason), 10, "the line")


# --- only what the ID server has passed on --------------------------------------------------------------------------


@pytest.fixture
def strict(lab: Lab) -> Server:
    return lab.server("serve", "--relay-only-issued", "on")


def assert_not_issued(lab: Lab, server: Server, uuid: str) -> None:
    """Both who meet under this uuid are closed, and it is counted."""
    target = server.target()
    before = server.status_of("relay")["counters"].get("not-issued", 0)
    sides = [lab.relay_side(target).join(uuid, target.key) for _ in range(2)]
    for side in sides:
        side.recv_end()
    assert server.status_of("relay")["counters"]["not-issued"] > before


def test_session_of_as_request_is_issued(lab: Lab, strict: Server) -> None:
    """A session that A asked for by RequestRelay, and whose request reached B."""
    target = strict.target()
    b = lab.registered(target)
    uuid = relay_agreed(lab.controller(target), b, target.relay_name)
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))


def test_session_of_bs_answer_is_issued(lab: Lab, strict: Server) -> None:
    """A session that B proposed by RelayResponse, and whose answer reached A."""
    target = strict.target()
    b, a, uuid = lab.registered(target), lab.controller(target), fresh_uuid()
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("RelayResponse", **b.relay_response(hole["socket_addr"], uuid))
    assert a.expect("RelayResponse")["uuid"] == uuid
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_issued_on_any_transport(lab: Lab, strict: Server, pair: tuple[Kind, Kind]) -> None:
    """Whatever A, B and their sides speak."""
    target = strict.target()
    b = lab.registered(target)
    a, uuid = lab.keep(WsController(target, fresh_source())), fresh_uuid()
    a.request_relay(b.id, uuid)
    b.expect("RequestRelay")
    assert_talk(*(lab.keep(kind(target)).ask(uuid, target.key) for kind in pair))


def test_b_may_come_before_the_answer(lab: Lab, strict: Server) -> None:
    """B goes to the relay at once, before the ID server has its answer: it waits there, and is paired then."""
    target = strict.target()
    b, a, uuid = lab.registered(target), lab.controller(target), fresh_uuid()
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b_side = lab.relay_side(target).join(uuid, target.key, b"early")
    wait_until(lambda: strict.status_of("relay")["waiting"] == 1, 10, "B waits")
    b.answer_and_close("RelayResponse", **b.relay_response(hole["socket_addr"], uuid))
    a.expect("RelayResponse")
    a_side = lab.relay_side(target).join(uuid, target.key)
    assert a_side.recv_exactly(5) == b"early"
    assert_joined(a_side, b_side)


def test_reconnection_of_an_issued_session(lab: Lab, strict: Server) -> None:
    """A uuid that was passed on is good for another try soon after."""
    target = strict.target()
    uuid = relay_agreed(lab.controller(target), lab.registered(target), target.relay_name)
    for _ in range(3):
        assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))


def test_invented_uuid(lab: Lab, strict: Server) -> None:
    """Two who hold the key and agree on a uuid among themselves get nothing."""
    for _ in range(3):
        assert_not_issued(lab, strict, fresh_uuid())
    side = lab.keep(WsSide(strict.target())).ask(uuid := fresh_uuid(), strict.key)
    lab.keep(WsIdSide(strict.target())).ask(uuid, strict.key).expect_end()
    side.expect_end()


@pytest.mark.parametrize("peer_id", ["999999999", "offline"])
def test_refused_request_is_not_issued(lab: Lab, strict: Server, peer_id: str) -> None:
    """A request for a peer that isn't there was passed on to nobody."""
    target, uuid = strict.target(), fresh_uuid()
    a = lab.controller(target)
    a.request_relay(peer_id, uuid)
    assert a.expect("RelayResponse")["refuse_reason"]
    assert_not_issued(lab, strict, uuid)


def test_answer_to_nobody_is_not_issued(lab: Lab, strict: Server) -> None:
    """A RelayResponse for which no A waits opens nothing."""
    target, uuid = strict.target(), fresh_uuid()
    b: UdpPeer = lab.registered(target)
    a = lab.controller(target)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    a.close()
    wait_until(lambda: strict.status_of("id")["waiting"] == 0, 10, "A is gone")
    b.answer_and_wait("RelayResponse", **b.relay_response(hole["socket_addr"], uuid))
    assert_not_issued(lab, strict, uuid)


def test_wrong_key_with_an_issued_uuid(lab: Lab, strict: Server) -> None:
    """The key is enforced all the same, and a wrong one takes nobody's place."""
    target = strict.target()
    uuid = relay_agreed(lab.controller(target), lab.registered(target), target.relay_name)
    lab.relay_side(target).join(uuid, "wrong").recv_end()
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))


def test_whole_way_with_a_b_of_each_kind(lab: Lab, strict: Server) -> None:
    """As stock clients go: B answers a punch with its relay, and both meet there."""
    target = strict.target()
    answer = sent_to_the_relay(lab.controller(target), lab.registered(target))
    assert_joined(*(lab.relay_side(target).join(answer["uuid"], target.key) for _ in range(2)))


def test_off_by_default(site: Target, lab: Lab) -> None:
    """Without the setting, who holds the key and a uuid is paired."""
    assert_let_in(lab, site, fresh_source())


def test_relay_alone_cannot_know(lab: Lab) -> None:
    """rdsrv relay by itself knows of no ID server: an error that says what to do, exit 2."""
    server = lab.prepare("relay", "--relay-only-issued", "on").launch()
    assert server.exit_code() == 2
    assert "relay-only-issued" in server.log_text() and "serve" in server.log_text()
