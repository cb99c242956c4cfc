"""Goal: what A asks reaches B, and what B answers reaches A, with every field, once, and nobody else."""

from __future__ import annotations

import socket
from typing import Any, Iterator

import pytest

import rdwire
from conftest import Lab
from rdclient import Controller, Target, UdpPeer, fresh_id, fresh_source, fresh_uuid
from rdwire import ConnType, NatType, decode_addr

V6_OF_A = rdwire.encode_addr(("2001:db8::a", 40001))
V6_OF_B = rdwire.encode_addr(("2001:db8::b", 40002))
LOCAL_OF_B = ("10.1.2.3", 51000)


def udp_peer_at(b: UdpPeer, lab: Lab) -> UdpPeer:
    """A fresh socket of the same B, as it uses for UDP punching."""
    return lab.peer(b.target, b.id, source=b.source, uuid=b.uuid, pk=b.pk)


# --- from A to B ----------------------------------------------------------------------------------------------------


def test_fields_of_a_reach_b(id_site: Target, lab: Lab) -> None:
    """nat_type, udp_port, upnp_port, force_relay and socket_addr_v6 of A's request are in B's PunchHole."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    fields = {"udp_port": 40777, "upnp_port": 40778, "socket_addr_v6": V6_OF_A}
    a.punch(b.id, nat_type=NatType.SYMMETRIC, force_relay=True, **fields)
    hole = b.expect_hole("PunchHole", a)
    assert {name: hole[name] for name in fields} == fields
    assert (hole["nat_type"], hole["force_relay"]) == (NatType.SYMMETRIC, True)


@pytest.mark.parametrize("nat_type", list(NatType))
def test_plain_request(id_site: Target, lab: Lab, nat_type: NatType) -> None:
    """B is told A's nat_type; nothing is made up that A didn't send."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id, nat_type=nat_type)
    hole = b.expect_hole("PunchHole", a)
    assert hole["nat_type"] == nat_type
    assert not any(hole[name] for name in ("relay_server", "udp_port", "force_relay", "upnp_port", "socket_addr_v6"))


def test_user_fields_are_skipped(id_site: Target, lab: Lab) -> None:
    """token and switch_code of logged-in users may be long; the request works all the same."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id, token="t" * 4000, switch_code="s" * 4000, conn_type=ConnType.FILE_TRANSFER)
    b.expect_hole("PunchHole", a)


def test_unknown_fields_are_skipped(id_site: Target, lab: Lab) -> None:
    """A later client's request with fields that nobody knows yet works."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    body = rdwire.encode_body("PunchHoleRequest", id=b.id, licence_key=id_site.key)
    unknown = rdwire.delimited(99, b"later") + rdwire.tag(98, rdwire.FIXED64) + bytes(8)
    a.send_raw(rdwire.frame(rdwire.delimited(rdwire.NUMBERS["PunchHoleRequest"], body + unknown)))
    b.expect_hole("PunchHole", a)


def test_same_ip_asks_for_the_local_address(id_site: Target, lab: Lab) -> None:
    """A and B at one IP: FetchLocalAddr, with A's IPv6 address."""
    b = lab.registered(id_site)
    a = lab.controller(id_site, b.source)
    a.punch(b.id, socket_addr_v6=V6_OF_A)
    assert b.expect_hole("FetchLocalAddr", a)["socket_addr_v6"] == V6_OF_A


def test_unanswered_local_address_is_asked_without_ipv6(id_site: Target, lab: Lab) -> None:
    """The second FetchLocalAddr of an unanswered request goes without socket_addr_v6, which old clients can't bear."""
    b = lab.registered(id_site)
    a = lab.controller(id_site, b.source)
    a.punch(b.id, socket_addr_v6=V6_OF_A)
    assert b.expect_hole("FetchLocalAddr", a)["socket_addr_v6"] == V6_OF_A
    a.punch(b.id, socket_addr_v6=V6_OF_A)
    assert b.expect_hole("FetchLocalAddr", a)["socket_addr_v6"] == b""


def test_forced_relay_never_asks_for_the_local_address(id_site: Target, lab: Lab) -> None:
    """A and B at one IP, but A forces the relay: PunchHole, since FetchLocalAddr can't."""
    b = lab.registered(id_site)
    a = lab.controller(id_site, b.source)
    a.punch(b.id, force_relay=True)
    assert b.expect_hole("PunchHole", a)["force_relay"] is True


@pytest.mark.parametrize("same_ip", [False, True])
def test_always_use_relay(lab: Lab, same_ip: bool) -> None:
    """Told always to relay, the server says SYMMETRIC and force_relay to B, even in one LAN."""
    target = lab.server("id", "--always-use-relay", "Y").target()
    b = lab.registered(target)
    a = lab.controller(target, b.source if same_ip else None)
    a.punch(b.id, nat_type=NatType.ASYMMETRIC)
    hole = b.expect_hole("PunchHole", a)
    assert (hole["nat_type"], hole["force_relay"]) == (NatType.SYMMETRIC, True)


@pytest.mark.parametrize(
    ("a_inside", "b_inside", "kind"),
    [(True, True, "FetchLocalAddr"), (True, False, "relay"), (False, True, "relay"), (False, False, "PunchHole")],
)
def test_lan_mask(lab: Lab, a_inside: bool, b_inside: bool, kind: str) -> None:
    """Both in the LAN: local addresses. One of them: the relay. None: as ever."""
    target = lab.server("id", "--mask", "127.3.7.0/24").target()
    b = lab.registered(target, source=fresh_source("127.3.7." if b_inside else "127.4."))
    a = lab.controller(target, fresh_source("127.3.7." if a_inside else "127.4."))
    a.punch(b.id, nat_type=NatType.ASYMMETRIC)
    push = b.expect_hole("PunchHole" if kind == "relay" else kind, a)
    if kind != "FetchLocalAddr":
        forced = kind == "relay"
        expected = (NatType.SYMMETRIC, True) if forced else (NatType.ASYMMETRIC, False)
        assert (push["nat_type"], push["force_relay"]) == expected


def test_push_goes_to_the_last_address(id_site: Target, lab: Lab) -> None:
    """B has got another port from its NAT: what comes next goes there, and no more to the old one."""
    old = lab.registered(id_site)
    new = udp_peer_at(old, lab)
    assert new.register_peer() is False
    a = lab.controller(id_site)
    a.punch(new.id)
    new.expect_hole("PunchHole", a)
    assert old.pending() == []


# --- from B to A ----------------------------------------------------------------------------------------------------


def test_fields_of_punch_hole_sent_reach_a(id_site: Target, lab: Lab) -> None:
    """relay_server, nat_type, upnp_port and socket_addr_v6 of B's PunchHoleSent are in A's answer."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    fields = {"relay_server": "b.example:31117", "nat_type": NatType.SYMMETRIC, "upnp_port": 40999}
    came_from = b.answer_and_close(
        "PunchHoleSent", **b.hole_sent(hole["socket_addr"], socket_addr_v6=V6_OF_B, **fields)
    )
    answer = a.expect("PunchHoleResponse")
    assert {name: answer[name] for name in fields} == fields
    assert (answer["socket_addr_v6"], decode_addr(answer["socket_addr"])) == (V6_OF_B, came_from)
    assert answer["failure"] == 0 and answer["other_failure"] == "" and answer["feedback"] == 0
    assert a.verified(answer) == (b.id, b.pk)


def test_fields_of_local_addr_reach_a(id_site: Target, lab: Lab) -> None:
    """local_addr, relay_server and socket_addr_v6 of B's LocalAddr are in A's answer, which says is_local."""
    b = lab.registered(id_site)
    a = lab.controller(id_site, b.source)
    a.punch(b.id)
    fetch = b.expect_hole("FetchLocalAddr", a)
    fields = {"relay_server": "b.example", "socket_addr_v6": V6_OF_B}
    b.answer_and_close("LocalAddr", **b.local_addr(fetch["socket_addr"], LOCAL_OF_B, **fields))
    answer = a.expect("PunchHoleResponse")
    assert {name: answer[name] for name in fields} == fields
    assert (decode_addr(answer["socket_addr"]), answer["is_local"], answer["is_udp"]) == (LOCAL_OF_B, True, False)
    assert a.verified(answer) == (b.id, b.pk)


def test_fields_of_relay_response_reach_a(id_site: Target, lab: Lab) -> None:
    """uuid, relay_server, version and socket_addr_v6 of B's RelayResponse reach A; the id became a signed IdPk."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    fields = {"relay_server": "b.example:31117", "version": "1.4.9", "socket_addr_v6": V6_OF_B, "upnp_port": 40998}
    uuid = fresh_uuid()
    connection = lab.keep(b.answer("RelayResponse", **b.relay_response(hole["socket_addr"], uuid, **fields)))
    answer = a.expect("RelayResponse")
    assert {name: answer[name] for name in fields} == fields
    assert (answer["uuid"], answer["socket_addr"], answer.has("id")) == (uuid, b"", False)
    assert a.verified(answer) == (b.id, b.pk)
    connection.expect_closed()


def test_no_signature_for_old_versions(id_site: Target, lab: Lab) -> None:
    """B that names no version gets no signed key."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"], version=""))
    assert a.expect("PunchHoleResponse")["pk"] == b""


def test_renewed_key_is_the_one_signed(id_site: Target, lab: Lab) -> None:
    """A device that registers a new key at its old address is vouched for with the new one."""
    old = lab.registered(id_site)
    b = lab.peer(id_site, old.id, source=old.source, uuid=old.uuid)
    assert b.register_pk() is rdwire.Result.OK and b.pk != old.pk
    a = lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


def test_repeated_request(id_site: Target, lab: Lab) -> None:
    """A asks three times on one connection: B is told each time, and its one answer reaches A."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    for _ in range(3):
        a.punch(b.id)
        hole = b.expect_hole("PunchHole", a)
    came_from = b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert decode_addr(a.expect("PunchHoleResponse")["socket_addr"]) == came_from
    assert a.pending() == []


def duplicate_by_tcp(b: UdpPeer, socket_addr: bytes) -> Iterator[str]:
    for _ in range(3):
        b.answer_and_wait("PunchHoleSent", **b.hole_sent(socket_addr))
        yield "PunchHoleResponse"


def duplicate_by_relay_response(b: UdpPeer, socket_addr: bytes) -> Iterator[str]:
    for uuid in (fresh_uuid(), fresh_uuid()):
        b.answer_and_wait("RelayResponse", **b.relay_response(socket_addr, uuid))
        yield "RelayResponse"


def mixed_duplicates(b: UdpPeer, socket_addr: bytes) -> Iterator[str]:
    b.answer_and_wait("PunchHoleSent", **b.hole_sent(socket_addr))
    yield "PunchHoleResponse"
    b.answer_and_wait("LocalAddr", **b.local_addr(socket_addr, LOCAL_OF_B))
    b.answer_and_wait("RelayResponse", **b.relay_response(socket_addr, fresh_uuid()))


@pytest.mark.parametrize("answers", [duplicate_by_tcp, duplicate_by_relay_response, mixed_duplicates])
def test_answers_reach_a_once(id_site: Target, lab: Lab, answers: Any) -> None:
    """Only B's first answer goes to A; any further one would use up one of A's tries."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    kinds = list(answers(b, hole["socket_addr"]))
    a.expect(kinds[0])
    assert a.pending() == []


def test_udp_answer_reaches_a_once(id_site: Target, lab: Lab) -> None:
    """B answers by UDP in three copies from a fresh socket: A hears of it once, over TCP; B's socket hears nothing."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id, udp_port=40777)
    hole = b.expect_hole("PunchHole", a)
    assert hole["udp_port"] == 40777
    fresh = udp_peer_at(b, lab)
    for _ in range(3):
        fresh.send("PunchHoleSent", **b.hole_sent(hole["socket_addr"], upnp_port=40999, socket_addr_v6=V6_OF_B))
    answer = a.expect("PunchHoleResponse")
    assert (decode_addr(answer["socket_addr"]), answer["is_udp"]) == (fresh.local, True)
    assert (answer["upnp_port"], answer["socket_addr_v6"]) == (40999, V6_OF_B)
    assert a.verified(answer) == (b.id, b.pk)
    assert fresh.pending() == []
    assert a.pending() == []


def test_local_address_by_udp(id_site: Target, lab: Lab) -> None:
    """B's LocalAddr may come by UDP too; A hears of it once."""
    b = lab.registered(id_site)
    a = lab.controller(id_site, b.source)
    a.punch(b.id)
    fetch = b.expect_hole("FetchLocalAddr", a)
    for _ in range(3):
        b.send("LocalAddr", **b.local_addr(fetch["socket_addr"], LOCAL_OF_B))
    answer = a.expect("PunchHoleResponse")
    assert (decode_addr(answer["socket_addr"]), answer["is_local"]) == (LOCAL_OF_B, True)
    assert a.verified(answer) == (b.id, b.pk)
    assert b.pending() == [] and a.pending() == []


def test_two_attempts_side_by_side(id_site: Target, lab: Lab) -> None:
    """A's attempts with and without udp_port run beside each other, and each gets the answer that was for it."""
    b, source = lab.registered(id_site), fresh_source()
    by_udp, by_tcp = lab.controller(id_site, source), lab.controller(id_site, source)
    by_udp.punch(b.id, udp_port=40777)
    udp_hole = b.expect_hole("PunchHole", by_udp)
    by_tcp.punch(b.id)
    tcp_hole = b.expect_hole("PunchHole", by_tcp)
    assert (udp_hole["udp_port"], tcp_hole["udp_port"]) == (40777, 0)
    fresh = udp_peer_at(b, lab)
    came_from = b.answer_and_close("PunchHoleSent", **b.hole_sent(tcp_hole["socket_addr"]))
    fresh.send("PunchHoleSent", **b.hole_sent(udp_hole["socket_addr"]))
    udp_answer, tcp_answer = by_udp.expect("PunchHoleResponse"), by_tcp.expect("PunchHoleResponse")
    assert (decode_addr(udp_answer["socket_addr"]), udp_answer["is_udp"]) == (fresh.local, True)
    assert (decode_addr(tcp_answer["socket_addr"]), tcp_answer["is_udp"]) == (came_from, False)


def test_two_controllers_behind_one_address(id_site: Target, lab: Lab) -> None:
    """Two A's at one IP ask for two B's at once, and for the same B: each gets its own answer."""
    source, first, second = fresh_source(), lab.registered(id_site), lab.registered(id_site)
    asked = [(lab.controller(id_site, source), b) for b in (first, second, first, second)]
    holes = []
    for a, b in asked:
        a.punch(b.id)
        holes.append(b.expect_hole("PunchHole", a)["socket_addr"])
    for number, ((_, b), hole) in reversed(list(enumerate(zip(asked, holes)))):
        b.answer_and_close("PunchHoleSent", **b.hole_sent(hole, relay_server=f"relay-{number}"))
    for number, (a, b) in enumerate(asked):
        answer = a.expect("PunchHoleResponse")
        assert answer["relay_server"] == f"relay-{number}" and a.verified(answer) == (b.id, b.pk)


def wrong_answers(b: UdpPeer, other: UdpPeer, socket_addr: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Answers that name another id than the one A asked for."""
    return [
        ("PunchHoleSent", other.hole_sent(socket_addr, relay_server="wrong")),
        ("LocalAddr", other.local_addr(socket_addr, LOCAL_OF_B, relay_server="wrong")),
        ("RelayResponse", other.relay_response(socket_addr, fresh_uuid(), relay_server="wrong")),
        ("PunchHoleSent", b.hole_sent(socket_addr, id="nobody-knows-me", relay_server="wrong")),
    ]


@pytest.mark.parametrize("number", range(4))
def test_answer_with_another_id_is_dropped(id_site: Target, lab: Lab, number: int) -> None:
    """An answer that names another id never reaches A; the right one still does."""
    b, other, a = lab.registered(id_site), lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    kind, fields = wrong_answers(b, other, hole["socket_addr"])[number]
    other.answer_and_wait(kind, **fields)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"], relay_server="right"))
    assert a.expect("PunchHoleResponse")["relay_server"] == "right"
    assert a.pending() == []


def test_answer_for_nobody_is_dropped(id_site: Target, lab: Lab) -> None:
    """Answers that name an address where no A waits go nowhere, even if somebody is connected from there."""
    b, bystander = lab.registered(id_site), lab.controller(id_site)
    assert bystander.pending() == []
    for address in (bystander.local, (fresh_source(), 1), ("203.0.113.9", 65535)):
        socket_addr = rdwire.encode_addr(address)
        b.answer_and_wait("PunchHoleSent", **b.hole_sent(socket_addr))
        b.answer_and_wait("LocalAddr", **b.local_addr(socket_addr, LOCAL_OF_B))
        b.answer_and_wait("RelayResponse", **b.relay_response(socket_addr, fresh_uuid()))
    assert bystander.pending() == []
    assert b.pending() == []


@pytest.mark.parametrize("bad", [b"", bytes(17), b"\x11" * 19, b"\x11" * 64], ids=len)
def test_answer_with_a_bad_address_is_dropped(id_site: Target, lab: Lab, bad: bytes) -> None:
    """An answer whose socket_addr is no address reaches nobody and hurts nobody."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_wait("PunchHoleSent", **b.hole_sent(bad))
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"], relay_server="right"))
    assert a.expect("PunchHoleResponse")["relay_server"] == "right"


def long_answers(b: UdpPeer, socket_addr: bytes, relay: str) -> dict[str, dict[str, Any]]:
    """All answers of a B that has this relay of its own."""
    return {
        "PunchHoleSent": b.hole_sent(socket_addr, relay_server=relay),
        "LocalAddr": b.local_addr(socket_addr, LOCAL_OF_B, relay_server=relay),
        "RelayResponse": b.relay_response(socket_addr, fresh_uuid(), relay_server=relay),
    }


@pytest.mark.parametrize("length", [255, 256, 257, 300, 1000])
@pytest.mark.parametrize("kind", ["PunchHoleSent", "LocalAddr", "RelayResponse"])
def test_relay_name_arrives_whole_or_not_at_all(id_site: Target, lab: Lab, kind: str, length: int) -> None:
    """B's relay name of up to 255 bytes reaches A; with a longer one the answer is dropped, never altered."""
    b = lab.registered(id_site)
    a = lab.controller(id_site, b.source if kind == "LocalAddr" else None)
    a.punch(b.id)
    push = b.expect_hole("FetchLocalAddr" if kind == "LocalAddr" else "PunchHole", a)
    relay = "r" * length
    b.answer_and_wait(kind, **long_answers(b, push["socket_addr"], relay)[kind])
    b.answer_and_wait("PunchHoleSent", **b.hole_sent(push["socket_addr"], relay_server="second"))
    answer = a.recv()
    assert answer is not None and answer["relay_server"] in ([relay] if length <= 255 else [relay, "second"])


def test_answer_after_a_has_gone(id_site: Target, lab: Lab) -> None:
    """A closes before B answers: the answer is dropped, and the next A is served."""
    b, gone = lab.registered(id_site), lab.controller(id_site)
    gone.punch(b.id)
    hole = b.expect_hole("PunchHole", gone)
    gone.close()
    b.answer_and_wait("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    a = lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


def test_answer_reset_after_one_frame(id_site: Target, lab: Lab) -> None:
    """B's one-frame answer counts even where its end comes as a reset."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    connection = b.answer("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)
    connection.reset_at_close()
    connection.close()
    assert a.pending() == []


# --- RequestRelay ---------------------------------------------------------------------------------------------------


def test_relay_request_reaches_b(id_site: Target, lab: Lab) -> None:
    """B is told uuid, secure, conn_type and the relay that A named, and A's address; its answer comes back bare."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    uuid = fresh_uuid()
    a.request_relay(b.id, uuid, relay_server="a.example:31117", conn_type=ConnType.PORT_FORWARD)
    request = b.expect_hole("RequestRelay", a)
    assert (request["uuid"], request["secure"]) == (uuid, True)
    assert (request["relay_server"], request["conn_type"]) == ("a.example:31117", ConnType.PORT_FORWARD)
    connection = lab.keep(b.answer("RelayResponse", socket_addr=request["socket_addr"], version="1.4.2"))
    answer = a.expect("RelayResponse")
    assert (answer["socket_addr"], answer["refuse_reason"], answer["version"]) == (b"", "", "1.4.2")
    assert not answer["pk"] or a.verified(answer) == (b.id, b.pk)
    connection.expect_closed()
    assert a.pending() == []


@pytest.mark.parametrize("length", [255, 256, 257, 1000])
def test_relay_of_a_arrives_whole_or_not_at_all(id_site: Target, lab: Lab, length: int) -> None:
    """The relay name of up to 255 bytes that A names reaches B; a longer one at most ends A's connection."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    relay = "r" * length
    a.request_relay(b.id, fresh_uuid(), relay_server=relay)
    assert a.pending() == []
    names = [push["relay_server"] for push in b.pending()]
    assert names == [relay] or (length > 255 and not names)


def test_permissions_are_passed_on(id_site: Target, lab: Lab) -> None:
    """control_permissions and controlled_context of a RequestRelay reach B untouched."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    fields = {"control_permissions": {"permissions": 1 << 63 | 5}, "controlled_context": {"conn_audit_ref": "ref-1"}}
    a.request_relay(b.id, fresh_uuid(), **fields)
    request = b.expect_hole("RequestRelay", a)
    assert {name: request[name] for name in fields} == fields


def test_relay_requests_side_by_side(id_site: Target, lab: Lab) -> None:
    """Each try of A is on a fresh connection, and B's answer to each reaches that one."""
    b, source = lab.registered(id_site), fresh_source()
    tries = [lab.controller(id_site, source) for _ in range(3)]
    asked = []
    for a in tries:
        a.request_relay(b.id, fresh_uuid())
        asked.append(b.expect_hole("RequestRelay", a)["socket_addr"])
    for number, socket_addr in reversed(list(enumerate(asked))):
        lab.keep(b.answer("RelayResponse", socket_addr=socket_addr, version=f"1.4.{number}"))
    for number, a in enumerate(tries):
        assert a.expect("RelayResponse")["version"] == f"1.4.{number}"


def test_relay_request_answered_twice(id_site: Target, lab: Lab) -> None:
    """The second answer to a RequestRelay is dropped."""
    b, a = lab.registered(id_site), lab.controller(id_site)
    a.request_relay(b.id, fresh_uuid())
    request = b.expect_hole("RequestRelay", a)
    for _ in range(2):
        b.answer_and_wait("RelayResponse", socket_addr=request["socket_addr"], version="1.4.2")
    a.expect("RelayResponse")
    assert a.pending() == []


# --- the server's relays --------------------------------------------------------------------------------------------


def proposed_relay(lab: Lab, target: Target, b: UdpPeer) -> str:
    a = lab.controller(target)
    a.punch(b.id)
    return b.expect_hole("PunchHole", a)["relay_server"]


def test_one_relay_is_proposed_as_written(lab: Lab) -> None:
    """The configured relay is handed out as it was written, even if it doesn't resolve here."""
    target = lab.server("id", "-r", "relay.invalid:31117").target()
    b = lab.registered(target)
    assert proposed_relay(lab, target, b) == "relay.invalid:31117"
    a = lab.controller(target, b.source)
    a.punch(b.id)
    assert b.expect_hole("FetchLocalAddr", a)["relay_server"] == "relay.invalid:31117"


def test_relays_are_proposed_in_turn(lab: Lab) -> None:
    """Several relays that answer are handed out one after the other."""
    with socket.create_server((fresh_source(), 0)) as one, socket.create_server((fresh_source(), 0)) as two:
        names = ["%s:%d" % sock.getsockname() for sock in (one, two)]
        target = lab.server("id", "-r", ",".join(names)).target()
        b = lab.registered(target)
        got = [proposed_relay(lab, target, b) for _ in range(6)]
    assert set(got) == set(names)
    assert all(first != second for first, second in zip(got, got[1:]))


@pytest.mark.parametrize("args", [(), ("-r", "0.0.0.0")], ids=["none", "0.0.0.0"])
def test_no_relay_is_proposed(lab: Lab, args: tuple[str, ...]) -> None:
    """Without a relay that clients can reach, none is named."""
    target = lab.server("id", *args).target()
    assert proposed_relay(lab, target, lab.registered(target)) == ""


def test_other_ids_stay_apart(id_site: Target, lab: Lab) -> None:
    """A push goes to the B that was asked for and to nobody else."""
    b, other = lab.registered(id_site, fresh_id()), lab.registered(id_site, fresh_id())
    a: Controller = lab.controller(id_site)
    a.punch(b.id)
    b.expect_hole("PunchHole", a)
    assert other.pending() == []
