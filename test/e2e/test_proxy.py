"""Goal: a trusted proxy's word on who its clients are counts, nobody else's does, and no two of them are mixed up."""

from __future__ import annotations

import random
from typing import Any

import pytest

from conftest import Lab
from database import stored, stored_ip
from rdclient import (
    VERSION,
    Target,
    WsController,
    WsPeer,
    fresh_source,
    fresh_uuid,
)
from rdserver import Server
from rdwire import Result, decode_addr

PROXIES = "127.2.0.0/16"
OTHERS_TRUSTED = ("--trusted-proxies", "10.0.0.0/8")
CLIENT = "203.0.113.7"
CLIENT_V6 = "2001:db8:7::7"


def proxy() -> str:
    return fresh_source("127.2.")


def client() -> str:
    """A client's address that is in no trusted network and has not been used before."""
    return fresh_source("100.%d." % random.randint(64, 127))


def real_ip(ip: str) -> list[tuple[str, str]]:
    return [("X-Real-IP", ip)]


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", value) for value in values]


def ip_on_file(server: Server, peer_id: str) -> str:
    row = stored(server.directory, peer_id)
    assert row is not None
    return stored_ip(row)


def ip_seen(lab: Lab, server: Server, headers: list[tuple[str, str]], **options: Any) -> str:
    """The IP on file of a peer that registers with these headers."""
    return ip_on_file(server, lab.joined(WsPeer, server.target(), headers=headers, **options).id)


# --- headers from a trusted address ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X-Real-IP", "x-real-ip", "X-REAL-IP", "X-Forwarded-For", "x-forwarded-for"])
@pytest.mark.parametrize("ip", [CLIENT, CLIENT_V6])
def test_ip_on_file(lab: Lab, name: str, ip: str) -> None:
    """By default loopback is trusted: the client's address is the one in the header."""
    assert ip_seen(lab, lab.server("id"), [(name, ip)]) == ip


def test_no_header(lab: Lab) -> None:
    """A trusted address that names nobody is the client itself."""
    server = lab.server("id")
    b = lab.joined(WsPeer, server.target())
    assert ip_on_file(server, b.id) == b.source


FORWARDED = {
    "one": ([CLIENT], CLIENT),
    "claimed before": (["198.51.100.9, " + CLIENT], CLIENT),
    "trusted behind": ([f"198.51.100.9, {CLIENT}, 127.0.0.1, 127.2.3.4"], CLIENT),
    "without spaces": ([f"198.51.100.9,{CLIENT},127.0.0.1"], CLIENT),
    "with more spaces": ([f" 198.51.100.9 ,  {CLIENT}  ,127.0.0.1 "], CLIENT),
    "in two headers": (["198.51.100.9", f"{CLIENT}, 127.0.0.1"], CLIENT),
    "in three headers": (["198.51.100.9", CLIENT, "127.0.0.1"], CLIENT),
    "IPv6": ([f"198.51.100.9, {CLIENT_V6}, 127.0.0.1"], CLIENT_V6),
    "mapped IPv4": ([f"::ffff:{CLIENT}"], CLIENT),
}


@pytest.mark.parametrize("name", FORWARDED)
def test_rightmost_untrusted_wins(lab: Lab, name: str) -> None:
    """Of X-Forwarded-For the rightmost address that is no trusted proxy's counts: those before it may be forged."""
    values, ip = FORWARDED[name]
    assert ip_seen(lab, lab.server("id"), forwarded(*values)) == ip


BAD_VALUES = ["", "unknown", "_hidden", "999.1.1.1", "1.2.3", "x" * 4000, "\x7f", f"{CLIENT}, unknown", ",,,", "::ff:"]


@pytest.mark.parametrize("value", BAD_VALUES, ids=lambda v: repr(v)[:20])
@pytest.mark.parametrize("name", ["X-Real-IP", "X-Forwarded-For"])
def test_unreadable_header(lab: Lab, name: str, value: str) -> None:
    """A header that names no address makes nobody of the client: it is refused, or counts as the proxy itself."""
    server = lab.server("id")
    try:
        b = lab.connected(WsPeer, server.target(), headers=[(name, value)])
    except AssertionError:
        return  # refused
    assert b.register_pk() is Result.OK
    assert ip_on_file(server, b.id) == b.source


def test_limits_by_client(lab: Lab) -> None:
    """Clients behind one proxy have a count each; one client behind two proxies has one."""
    target = lab.server("id", "--limit-register-minute", "3").target()
    source, first, second = proxy(), client(), client()
    for ip in (first, second):
        peers = [lab.connected(WsPeer, target, source=source, headers=real_ip(ip)) for _ in range(4)]
        assert [b.register_pk() for b in peers] == [Result.OK] * 3 + [Result.TOO_FREQUENT]
    elsewhere = lab.connected(WsPeer, target, source=proxy(), headers=forwarded(first))
    assert elsewhere.register_pk() is Result.TOO_FREQUENT


def test_office_behind_a_proxy(lab: Lab) -> None:
    """100 ids on file behind one proxy and one NAT address confirm at once, and none is TOO_FREQUENT."""
    server = lab.server("id", "--limit-register-minute", "200", log_level="info")
    source, ip = proxy(), client()
    office = [lab.joined(WsPeer, server.target(), source=source, headers=real_ip(ip)) for _ in range(100)]
    lab.close_clients()
    server.stop()
    server.args += ["--limit-register-minute", "3"]
    server.restarted()
    again = [
        lab.connected(WsPeer, server.target(), b.id, source=source, headers=real_ip(ip), **b.identity) for b in office
    ]
    for b in again:
        b.send_register_pk()
    assert {b.expect("RegisterPkResponse")["result"] for b in again} == {Result.OK}


def test_same_ip_rule(lab: Lab) -> None:
    """B behind a proxy and A at one IP: FetchLocalAddr; A at the proxy's own address: PunchHole."""
    server = lab.server("id", "--trusted-proxies", PROXIES)
    ip = fresh_source("127.5.")
    b = lab.joined(WsPeer, server.target(), source=proxy(), headers=real_ip(ip))
    a = lab.controller(server.target(), ip)
    a.punch(b.id)
    b.expect_hole("FetchLocalAddr", a)
    neighbour = lab.controller(server.target(), b.source)
    neighbour.punch(b.id)
    b.expect_hole("PunchHole", neighbour)


def test_lan_mask_by_client(lab: Lab) -> None:
    """The LAN mask looks at the client's address, not at the proxy's."""
    server = lab.server("id", "--mask", "192.168.0.0/16", "--trusted-proxies", PROXIES)
    b = lab.joined(WsPeer, server.target(), source=proxy(), headers=real_ip("192.168.3.4"))
    a = lab.controller(server.target(), fresh_source("127.5."))
    a.punch(b.id)
    assert b.expect_hole("PunchHole", a)["force_relay"] is True


def test_answer_says_where_b_is(lab: Lab) -> None:
    """B's PunchHoleSent through a proxy: A is told B's own IP."""
    server = lab.server("id")
    ip = client()
    b, a = lab.joined(WsPeer, server.target(), headers=real_ip(ip)), lab.controller(server.target())
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert decode_addr(a.expect("PunchHoleResponse")["socket_addr"])[0] == ip


# --- headers from others --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [real_ip(CLIENT), forwarded(CLIENT), forwarded("10.1.1.1")], ids=str)
def test_untrusted_headers_are_ignored_and_counted(lab: Lab, headers: list[tuple[str, str]]) -> None:
    """From an address that is no trusted proxy, headers change nothing, and are counted."""
    server = lab.server("id", *OTHERS_TRUSTED)
    assert server.counter("proxy-untrusted") == 0
    b = lab.joined(WsPeer, server.target(), headers=headers)
    assert ip_on_file(server, b.id) == b.source
    assert server.counter("proxy-untrusted") >= 1


def test_forged_addresses_dont_escape_the_limit(lab: Lab) -> None:
    """Naming another address each time doesn't help against the limit."""
    target = lab.server("id", "--limit-register-minute", "3", *OTHERS_TRUSTED).target()
    source = fresh_source()
    peers = [lab.connected(WsPeer, target, source=source, headers=real_ip(client())) for _ in range(5)]
    assert [b.register_pk() for b in peers] == [Result.OK] * 3 + [Result.TOO_FREQUENT] * 2


# --- two behind one proxy -------------------------------------------------------------------------------------------


def ask_behind(lab: Lab, target: Target, source: str, ip: str, count: int) -> list[WsController]:
    return [lab.keep(WsController(target, source, headers=real_ip(ip))) for _ in range(count)]


@pytest.mark.parametrize("backwards", [False, True])
def test_own_answers_behind_one_proxy(lab: Lab, backwards: bool) -> None:
    """A's with one X-Real-IP, at one proxy, asking for one id: each has an address of its own and gets its answer."""
    server = lab.server("id")
    ip = client()
    b = lab.registered(server.target())
    asking = ask_behind(lab, server.target(), proxy(), ip, 8)
    holes = []
    for a in asking:
        a.punch(b.id)
        holes.append(b.expect("PunchHole")["socket_addr"])
    addresses = [decode_addr(hole) for hole in holes]
    assert {address[0] for address in addresses} == {ip} and len(set(addresses)) == len(asking)
    for number, hole in sorted(enumerate(holes), reverse=backwards):
        b.answer_and_close("PunchHoleSent", **b.hole_sent(hole, relay_server=f"relay-{number}"))
    for number, a in enumerate(asking):
        answer = a.expect("PunchHoleResponse")
        assert answer["relay_server"] == f"relay-{number}" and a.verified(answer) == (b.id, b.pk)
        assert a.pending() == []


def test_own_answers_behind_two_proxies(lab: Lab) -> None:
    """The same through two proxies, with two different ids."""
    server = lab.server("id")
    ip = client()
    peers = [lab.registered(server.target()) for _ in range(2)]
    asking = [ask_behind(lab, server.target(), proxy(), ip, 1)[0] for _ in peers]
    holes = []
    for a, b in zip(asking, peers):
        a.punch(b.id)
        holes.append(b.expect("PunchHole")["socket_addr"])
    assert decode_addr(holes[0]) != decode_addr(holes[1])
    for b, hole in reversed(list(zip(peers, holes))):
        b.answer_and_close("PunchHoleSent", **b.hole_sent(hole))
    for a, b in zip(asking, peers):
        assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


def test_own_relay_answers_behind_one_proxy(lab: Lab) -> None:
    """RequestRelay of several A's behind one proxy: each gets the answer to its own."""
    server = lab.server("id")
    b = lab.registered(server.target())
    asking = ask_behind(lab, server.target(), proxy(), client(), 6)
    requests = []
    for a in asking:
        a.request_relay(b.id, fresh_uuid())
        requests.append(b.expect("RequestRelay")["socket_addr"])
    for number, socket_addr in reversed(list(enumerate(requests))):
        fields = {"socket_addr": socket_addr, "version": VERSION, "relay_server": f"relay-{number}"}
        b.answer_and_close("RelayResponse", **fields)
    for number, a in enumerate(asking):
        assert a.expect("RelayResponse")["relay_server"] == f"relay-{number}"


def test_repeated_request_behind_a_proxy(lab: Lab) -> None:
    """A asks three times on one connection: it keeps its address, and any answer to it is its answer."""
    server = lab.server("id")
    b = lab.registered(server.target())
    a, other = ask_behind(lab, server.target(), proxy(), client(), 2)
    other.punch(b.id)
    b.expect("PunchHole")
    addresses = []
    for _ in range(3):
        a.punch(b.id)
        addresses.append(b.expect("PunchHole")["socket_addr"])
    assert len({decode_addr(address) for address in addresses}) == 1
    b.answer_and_close("PunchHoleSent", **b.hole_sent(addresses[0]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)
    assert a.pending() == [] and other.pending() == []
