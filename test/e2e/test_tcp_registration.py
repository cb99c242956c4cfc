"""Goal: who registers at a connection is reached there, as long as it is open, and not a moment longer."""

from __future__ import annotations

import time
from typing import Any, Callable

import pytest

import rdwire
from conftest import Lab
from database import rows, stored, stored_ip
from polling import wait_until
from rdclient import (
    VERSION,
    ConnectedPeer,
    Connection,
    SecurePeer,
    Target,
    TcpPeer,
    UdpPeer,
    WsPeer,
    fresh_id,
    fresh_source,
    fresh_uuid,
    is_online,
)
from rdwire import Failure, NatType, Result, decode_addr

KEEP_ALIVE_S = 30
AT_ONCE_S = 8.0  # nothing that the server waits for is shorter
WAYS = [TcpPeer, SecurePeer, WsPeer]
any_way = pytest.mark.parametrize("way", WAYS)


def same_device(kind: type, b: Any, lab: Lab, **changed: Any) -> Any:
    """The same device on another transport or connection, not registered there yet."""
    return lab.keep(kind(b.target, b.id, **{"source": b.source, **b.identity, **changed}))


def refused_punch(lab: Lab, target: Target, peer_id: str) -> Failure:
    a = lab.controller(target)
    a.punch(peer_id)
    return Failure(a.expect("PunchHoleResponse")["failure"])


def assert_reached(lab: Lab, b: Any) -> None:
    """A punch request for this id comes to this peer, and its answer goes back."""
    a = lab.controller(b.target)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)


def assert_offline(lab: Lab, target: Target, peer_id: str) -> None:
    """Within a moment, and then by every question, the id is offline."""
    wait_until(lambda: not is_online(target, peer_id), AT_ONCE_S, "offline")
    assert refused_punch(lab, target, peer_id) is Failure.OFFLINE
    a = lab.controller(target)
    a.request_relay(peer_id, fresh_uuid())
    assert a.expect("RelayResponse")["refuse_reason"]


# --- the way in -----------------------------------------------------------------------------------------------------


@any_way
def test_registration(lab: Lab, way: type[ConnectedPeer]) -> None:
    """The first RegisterPk is OK with keep_alive 30, is on disk by then, and makes the id online."""
    server = lab.server("id")
    b = lab.connected(way, server.target())
    b.send_register_pk()
    answer = b.expect("RegisterPkResponse")
    assert (answer["result"], answer["keep_alive"]) == (Result.OK, KEEP_ALIVE_S)
    row = stored(server.directory, b.id)
    assert row is not None and (row["uuid"], row["pk"], stored_ip(row)) == (b.uuid, b.pk, b.source)
    assert is_online(server.target(), b.id)


@any_way
def test_repeated_on_the_same_connection(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """RegisterPk again on the same connection is OK again, and answered in full each time."""
    b = lab.joined(way, id_site)
    for _ in range(2):
        b.send_register_pk()
        assert b.expect("RegisterPkResponse").fields == {"keep_alive": KEEP_ALIVE_S}
    assert_reached(lab, b)


def test_closed_before_its_row_is_safe(id_site: Target, lab: Lab) -> None:
    """An id whose connection the server ends while the row is on its way to the disk isn't online there."""
    b = lab.connected(TcpPeer, id_site)
    request = rdwire.encode("RegisterPk", id=b.id, **b.identity)
    b.connection.send_raw(rdwire.frame(request) + rdwire.frame(bytes(100_000))[:1000])
    wait_until(lambda: stored(lab.servers[0].directory, b.id) is not None, AT_ONCE_S, "on file")
    wait_until(lambda: refused_punch(lab, id_site, b.id) is Failure.OFFLINE, AT_ONCE_S, "known")
    assert_offline(lab, id_site, b.id)


def test_replaced_with_heartbeats_unread(id_site: Target, lab: Lab) -> None:
    """A connection that is replaced amid many heartbeats drops the rest: it is gone as soon as it closes."""
    server = lab.servers[0]
    b = lab.joined(TcpPeer, id_site)
    again = same_device(TcpPeer, b, lab)
    b.connection.send_raw(bytes(200_000))
    again.register()
    b.expect_closed()
    b.close()
    wait_until(lambda: server.status()["connections"] == 1, AT_ONCE_S, "its end")
    assert_reached(lab, again)


@any_way
def test_punch_hole_comes_down_the_connection(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """PunchHole with A's fields; B's answer from a new connection reaches A."""
    b, a = lab.joined(way, id_site), lab.controller(id_site)
    a.punch(b.id, udp_port=40777, upnp_port=40778, nat_type=NatType.SYMMETRIC)
    hole = b.expect_hole("PunchHole", a)
    assert (hole["udp_port"], hole["upnp_port"], hole["nat_type"]) == (40777, 40778, NatType.SYMMETRIC)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    answer = a.expect("PunchHoleResponse")
    assert decode_addr(answer["socket_addr"])[0] == b.source
    assert a.verified(answer) == (b.id, b.pk)


@any_way
def test_fetch_local_addr_comes_down_the_connection(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """A at B's IP: FetchLocalAddr, and B's LocalAddr reaches A."""
    b = lab.joined(way, id_site)
    a = lab.controller(id_site, b.source)
    a.punch(b.id)
    fetch = b.expect_hole("FetchLocalAddr", a)
    b.answer_and_close("LocalAddr", **b.local_addr(fetch["socket_addr"], ("10.1.2.3", 51000)))
    answer = a.expect("PunchHoleResponse")
    assert (decode_addr(answer["socket_addr"]), answer["is_local"]) == (("10.1.2.3", 51000), True)


@any_way
def test_request_relay_comes_down_the_connection(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """RequestRelay with A's fields; B's RelayResponse reaches A, and B's connection for it is closed then."""
    b, a, uuid = lab.joined(way, id_site), lab.controller(id_site), fresh_uuid()
    a.request_relay(b.id, uuid, relay_server="relay.example:31117")
    request = b.expect("RequestRelay")
    assert (request["uuid"], request["relay_server"], request["secure"]) == (uuid, "relay.example:31117", True)
    assert decode_addr(request["socket_addr"]) == a.local
    connection = lab.keep(b.answer("RelayResponse", socket_addr=request["socket_addr"], version=VERSION))
    answer = a.expect("RelayResponse")
    assert (answer["socket_addr"], answer["refuse_reason"]) == (b"", "")
    connection.expect_closed()


def test_plain_registration_where_no_offer_is_made(lab: Lab) -> None:
    """secure-tcp = off: who registers plainly at a connection is served all the same."""
    b = lab.joined(TcpPeer, lab.server("id", "--secure-tcp", "off").target())
    assert_reached(lab, b)


def test_pushes_are_sealed_where_the_connection_is(id_site: Target, lab: Lab) -> None:
    """On a secured connection every push comes under the next number."""
    b = lab.joined(SecurePeer, id_site)
    for number in range(2, 12):
        assert_reached(lab, b)
        assert b.connection.back.number == number  # type: ignore[attr-defined]


@any_way
def test_nothing_but_pushes_goes_out(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """Behind the OK there is nothing: no heartbeat so soon, no second answer."""
    b = lab.joined(way, id_site)
    assert b.pending() == []


# --- the end of the connection --------------------------------------------------------------------------------------


def by_fin(connection: Connection) -> None:
    connection.close()


def by_reset(connection: Connection) -> None:
    connection.reset_at_close()
    connection.close()


def by_half_close(connection: Connection) -> None:
    connection.end_sending()


@any_way
@pytest.mark.parametrize("end", [by_fin, by_reset, by_half_close], ids=lambda f: f.__name__)
def test_end_takes_it_offline(
    id_site: Target, lab: Lab, way: type[ConnectedPeer], end: Callable[[Connection], None]
) -> None:
    """When its connection ends, the peer is offline at once, for every question."""
    b = lab.joined(way, id_site)
    end(b.connection)
    assert_offline(lab, id_site, b.id)


@any_way
def test_back_after_the_end(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """A reconnecting peer is online and reached again."""
    b = lab.joined(way, id_site)
    for _ in range(2):  # with the first, as many as one id may in 6 s
        b.close()
        b = same_device(way, b, lab).register()
        assert_reached(lab, b)


@any_way
def test_late_end_of_the_older(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """The older connection's end after a newer registration changes nothing for the newer."""
    old = lab.joined(way, id_site)
    new = same_device(UdpPeer, old, lab)
    assert new.register_pk() is Result.OK
    old.close()
    for _ in range(20):
        assert is_online(id_site, new.id)
    assert_reached(lab, new)


def test_junk_ends_and_takes_offline(id_site: Target, lab: Lab) -> None:
    """A frame that doesn't open ends the registration with its connection."""
    b = lab.joined(SecurePeer, id_site)
    b.connection.send_raw(rdwire.frame(bytes(40)))
    b.expect_closed()
    assert_offline(lab, id_site, b.id)


# --- who is the newest ----------------------------------------------------------------------------------------------


@any_way
@pytest.mark.parametrize("older", WAYS)
def test_newer_connection_replaces(
    id_site: Target, lab: Lab, older: type[ConnectedPeer], way: type[ConnectedPeer]
) -> None:
    """A newer registration at a connection gets the pushes, and the older connection is closed."""
    old = lab.joined(older, id_site)
    new = same_device(way, old, lab).register()
    old.expect_closed()
    assert_reached(lab, new)
    assert is_online(id_site, new.id)


@any_way
def test_newer_from_another_ip_replaces(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """The device has moved: the same uuid and pk from another IP."""
    old = lab.joined(way, id_site)
    new = same_device(way, old, lab, source=fresh_source()).register()
    old.expect_closed()
    assert_reached(lab, new)


@any_way
def test_newer_over_udp_replaces(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """RegisterPk over UDP moves the id there; the older connection is closed."""
    old = lab.joined(way, id_site)
    new = same_device(UdpPeer, old, lab)
    assert new.register_pk() is Result.OK
    old.expect_closed()
    assert_reached(lab, new)
    assert new.register_peer() is False


@any_way
def test_connection_replaces_udp(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """An id registered over UDP registers at a connection: pushes go there and no more over UDP."""
    old = lab.registered(id_site)
    new = same_device(way, old, lab).register()
    assert_reached(lab, new)
    assert old.pending() == []


@any_way
def test_register_peer_moves_nothing(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """RegisterPeer over UDP, even from the IP on file, is asked for the key; the id stays at its connection."""
    b = lab.joined(way, id_site)
    for source in (b.source, fresh_source()):
        other = same_device(UdpPeer, b, lab, source=source)
        assert other.register_peer() is True
        assert_reached(lab, b)
        assert other.pending() == []


@any_way
def test_foreign_device_replaces_nothing(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """Another uuid for this id is UUID_MISMATCH on every transport; the owner stays where it is."""
    b = lab.joined(way, id_site)
    for kind in (*WAYS, UdpPeer):
        thief = lab.keep(kind(id_site, b.id))
        assert thief.register_pk() is Result.UUID_MISMATCH
        assert_reached(lab, b)
    assert b.pending() == []


@any_way
def test_another_id_on_the_same_connection(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """RegisterPk with another id: the connection stands for the new id only."""
    b = lab.joined(way, id_site)
    old_id, b.id = b.id, fresh_id()
    assert b.register_pk() is Result.OK
    assert_offline(lab, id_site, old_id)
    assert_reached(lab, b)
    assert is_online(id_site, b.id)


@any_way
def test_refused_other_id_on_the_same_connection(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """A refused RegisterPk with a taken id does not hand the connection that id's pushes."""
    owner, b = lab.joined(way, id_site), lab.joined(way, id_site)
    assert b.register_pk(id=owner.id) is Result.UUID_MISMATCH
    assert_reached(lab, owner)
    assert b.pending() == []


def test_new_id_after_a_mismatch(id_site: Target, lab: Lab) -> None:
    """As clients do: UUID_MISMATCH, then a new id at once on the same connection."""
    owner, b = lab.joined(SecurePeer, id_site), lab.connected(SecurePeer, id_site)
    assert b.register_pk(id=owner.id) is Result.UUID_MISMATCH
    assert b.register_pk() is Result.OK
    assert_reached(lab, b)


# --- results --------------------------------------------------------------------------------------------------------


@any_way
def test_uuid_mismatch(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """Another uuid; IP and pk both new; an id under 6 bytes."""
    b = lab.joined(way, id_site)
    assert same_device(way, b, lab, uuid=b"another").register_pk() is Result.UUID_MISMATCH
    moved = same_device(way, b, lab, source=fresh_source(), pk=bytes(32))
    assert moved.register_pk() is Result.UUID_MISMATCH
    assert lab.connected(way, id_site, "12345").register_pk() is Result.UUID_MISMATCH
    assert_reached(lab, b)


@any_way
@pytest.mark.parametrize("peer_id", ["ridge 042", "ridge\n042", "x" * 101, b"ridge-\xff042"])
def test_invalid_id(lab: Lab, way: type[ConnectedPeer], peer_id: str | bytes) -> None:
    """INVALID_ID_FORMAT, and nothing is stored; the connection is good for a better one."""
    server = lab.server("id")
    b = lab.connected(way, server.target(), peer_id)
    assert b.register_pk() is Result.INVALID_ID_FORMAT
    assert rows(server.directory) == {}
    assert b.register_pk(id=fresh_id()) is Result.OK


@any_way
@pytest.mark.parametrize("missing", ["uuid", "pk"])
def test_incomplete_is_not_answered(id_site: Target, lab: Lab, way: type[ConnectedPeer], missing: str) -> None:
    """RegisterPk without uuid or pk (and no old_id) gets no answer and registers nobody."""
    b = lab.connected(way, id_site)
    b.send_register_pk(**{missing: b""})
    assert b.pending() == []
    assert refused_punch(lab, id_site, b.id) is Failure.ID_NOT_EXIST


@any_way
def test_new_pk_at_the_same_ip(lab: Lab, way: type[ConnectedPeer]) -> None:
    """The same uuid and IP may bring another pk; the row keeps its guid and date."""
    server = lab.server("id")
    b = lab.joined(way, server.target())
    before = stored(server.directory, b.id)
    new = same_device(way, b, lab, pk=bytes(range(32))).register()
    assert before is not None and stored(server.directory, b.id) == {**before, "pk": new.pk}
    assert_reached(lab, new)


@any_way
def test_too_frequent_for_one_id(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """The fourth changing try for one id within 6 seconds is TOO_FREQUENT; another id is not."""
    b = lab.connected(way, id_site)
    results = [b.register_pk(pk=bytes([i]) * 32) for i in range(1, 5)]
    assert results == [Result.OK] * 3 + [Result.TOO_FREQUENT]
    assert b.register_pk(id=fresh_id()) is Result.OK


@any_way
def test_too_frequent_within_a_minute(lab: Lab, way: type[ConnectedPeer]) -> None:
    """More than 30 RegisterPk from one IP within a minute are TOO_FREQUENT, over all its connections; others aren't."""
    target = lab.server("id").target()
    source = fresh_source()
    peers = [lab.connected(way, target, source=source) for _ in range(32)]
    assert [b.register_pk() for b in peers] == [Result.OK] * 30 + [Result.TOO_FREQUENT] * 2
    assert lab.connected(way, target).register_pk() is Result.OK
    assert peers[0].register_pk() is Result.OK  # a confirmation


@any_way
def test_too_many_ids_within_a_day(lab: Lab, way: type[ConnectedPeer]) -> None:
    """More different ids than a day allows are TOO_FREQUENT."""
    target = lab.server("id", "--limit-ids-day", "5", "--limit-register-minute", "1000").target()
    b = lab.connected(way, target)
    assert [b.register_pk(id=fresh_id()) for _ in range(6)] == [Result.OK] * 5 + [Result.TOO_FREQUENT]
    assert lab.connected(way, target).register_pk() is Result.OK


def test_limits_count_all_transports_together(lab: Lab) -> None:
    """One IP has one count, whatever it registers over."""
    target, source = lab.server("id", "--limit-register-minute", "4").target(), fresh_source()
    peers: list[Any] = [lab.keep(kind(target, source=source)) for kind in (*WAYS, UdpPeer)]
    assert [b.register_pk() for b in peers] == [Result.OK] * 4
    assert [b.register_pk(id=fresh_id()) for b in peers] == [Result.TOO_FREQUENT] * 4


@any_way
def test_confirmations_count_for_no_limit(lab: Lab, way: type[ConnectedPeer]) -> None:
    """Reconnecting devices that only confirm what is on file leave their IP's count as it was."""
    target = lab.server("id", "--limit-register-minute", "6", "--limit-ids-day", "6").target()
    source = fresh_source()
    office = [lab.joined(way, target, source=source) for _ in range(5)]
    for _ in range(2):
        office = [same_device(way, b, lab).register() for b in office]
    new = lab.connected(way, target, source=source)
    assert [new.register_pk(id=fresh_id()) for _ in range(2)] == [Result.OK, Result.TOO_FREQUENT]


def test_confirmation_over_udp_and_tcp_after_a_restart(lab: Lab) -> None:
    """After a restart a peer confirms at a connection what it had registered over UDP."""
    server = lab.server("id")
    b = lab.registered(server.target())
    before = stored(server.directory, b.id)
    server.stop()
    server.restarted()
    assert refused_punch(lab, server.target(), b.id) is Failure.OFFLINE
    connected = same_device(SecurePeer, b, lab).register()
    assert_reached(lab, connected)
    assert stored(server.directory, b.id) == before


@any_way
def test_many_at_once(lab: Lab, way: type[ConnectedPeer]) -> None:
    """100 peers at connections, some of each IP: each gets its own pushes only."""
    target = lab.server("id", log_level="info").target()
    sources = [fresh_source() for _ in range(10)]
    peers = [lab.joined(way, target, source=sources[i % 10]) for i in range(100)]
    for b in peers[::9]:
        assert_reached(lab, b)
    assert all(b.pending() == [] for b in peers)


def test_stop_with_registered_connections(lab: Lab) -> None:
    """The server ends in time although peers hold their connections; they see the end."""
    server = lab.server("id")
    peers = [lab.joined(way, server.target()) for way in WAYS]
    server.stop()
    for b in peers:
        b.expect_closed()


# --- heartbeats -----------------------------------------------------------------------------------------------------


class Beats:
    """What the server sends to a quiet peer, by the time it came."""

    def __init__(self, b: ConnectedPeer, echo: bool) -> None:
        self.b, self.echo, self.started = b, echo, time.monotonic()
        self.at: list[float] = []
        self.closed_at = 0.0
        b.connection.sock.settimeout(1)

    def watch(self, seconds: float) -> None:
        """Until the connection ends, or so many seconds have passed."""
        while not self.closed_at and time.monotonic() < self.started + seconds:
            try:
                payload = self.b.connection.recv_payload()
            except TimeoutError:
                continue
            now = time.monotonic() - self.started
            if payload is None:
                self.closed_at = now
                return
            assert payload == b"", payload
            self.at.append(now)
            if self.echo:
                self.b.connection.send_payload(b"")


@pytest.mark.slow
@pytest.mark.timeout(240)
@any_way
def test_echoed_heartbeats_keep_it_alive(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """An empty frame every 30 s; echoed, the peer is online after 130 s and reached."""
    b = lab.joined(way, id_site)
    beats = Beats(b, echo=True)
    beats.watch(130)
    assert not beats.closed_at and len(beats.at) == 4
    assert all(abs(at - KEEP_ALIVE_S * (i + 1)) < 5 for i, at in enumerate(beats.at)), beats.at
    b.connection.sock.settimeout(10)
    assert is_online(id_site, b.id)
    assert_reached(lab, b)


@pytest.mark.slow
@pytest.mark.timeout(240)
@any_way
def test_two_unanswered_heartbeats_close(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """Two heartbeats without an echo, and the server closes when the third would be due; the peer is offline."""
    b = lab.joined(way, id_site)
    beats = Beats(b, echo=False)
    beats.watch(150)
    assert len(beats.at) == 2, beats.at
    assert 60 < beats.closed_at < 100, beats.closed_at
    assert_offline(lab, id_site, b.id)


@pytest.mark.slow
@pytest.mark.timeout(240)
@any_way
def test_no_heartbeat_before_ok(id_site: Target, lab: Lab, way: type[ConnectedPeer]) -> None:
    """A connection that has not registered hears nothing for 40 s, not even after a refusal."""
    b = lab.connected(way, id_site, "ridge 042")
    assert b.register_pk() is Result.INVALID_ID_FORMAT
    beats = Beats(b, echo=True)
    beats.watch(40)
    assert beats.at == []
