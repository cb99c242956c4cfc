"""Goal: the relay joins the right two connections, loses nothing, ends when they end, and opens to its key alone."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import rdwire
import traffic
from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, Target, assert_joined, fresh_source, fresh_uuid

OTHER_KEY = rdwire.key_text(bytes(range(32)))


def joined(lab: Lab, target: Target, uuid: str = "") -> tuple[RelaySide, RelaySide]:
    """Two sides that are paired, which was tried."""
    uuid = uuid or fresh_uuid()
    one, other = (lab.relay_side(target).join(uuid, target.key) for _ in range(2))
    assert_joined(one, other)
    return one, other


# --- who gets in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "wrong", OTHER_KEY], ids=["absent", "text", "another"])
def test_wrong_key(lab: Lab, key: str) -> None:
    """A side with a wrong key is closed without a word, and takes nobody's place."""
    target, uuid = lab.server("relay").target(), fresh_uuid()
    lab.relay_side(target).join(uuid, key).recv_end()
    first = lab.relay_side(target).join(uuid, target.key)
    lab.relay_side(target).join(uuid, key).recv_end()
    assert first.is_open()
    assert_joined(first, lab.relay_side(target).join(uuid, target.key))


def test_wrong_key_is_logged_with_both_fingerprints(lab: Lab) -> None:
    """A refusal for a wrong key names both keys by their fingerprints."""
    server = lab.server("relay")
    lab.relay_side(server.target()).join(fresh_uuid(), OTHER_KEY).recv_end()
    prints = (rdwire.fingerprint(OTHER_KEY), rdwire.fingerprint(server.key))
    wait_until(lambda: [e for e in server.refusals() if all(p in str(e) for p in prints)], 5, "both fingerprints")


def test_refusals_are_logged_at_a_limited_rate(lab: Lab) -> None:
    """A flood of wrong keys doesn't become a flood of lines."""
    server = lab.server("relay", log_level="info")
    for _ in range(300):
        lab.relay_side(server.target()).join(fresh_uuid(), OTHER_KEY).recv_end()
        lab.close_clients()
    assert 1 <= len(server.refusals()) < 150


def test_open_relay(lab: Lab) -> None:
    """-k '' takes every key, and the log says that it does."""
    server = lab.server("relay", "-k", "")
    uuid = fresh_uuid()
    sides = [
        lab.keep(RelaySide((server.host, server.port + 1))).join(uuid, key) for key in ("", "anything")
    ]
    assert_joined(*sides)
    assert [e for e in server.events if str(e.get("level")).startswith("warn")]


def test_given_public_key(lab: Lab) -> None:
    """A relay apart from its ID server is given that server's public key and enforces it."""
    target = Target(lab.server("relay", "-k", OTHER_KEY).host, lab.servers[0].port, OTHER_KEY)
    joined(lab, target)
    lab.relay_side(target).join(fresh_uuid(), rdwire.key_text(bytes(32))).recv_end()


def test_both_roles_have_one_key(lab: Lab) -> None:
    """In one process both roles enforce one key."""
    target = lab.server("serve").target()
    joined(lab, target)
    lab.relay_side(target).join(fresh_uuid(), OTHER_KEY).recv_end()


def test_empty_uuid(relay_site: Target, lab: Lab) -> None:
    """A request without a uuid is closed."""
    for _ in range(2):
        lab.relay_side(relay_site).join("", relay_site.key).recv_end()


@pytest.mark.parametrize("kind", ["PunchHoleRequest", "RegisterPk", "RelayResponse", "OnlineRequest", "RegisterPeer"])
def test_another_message(relay_site: Target, lab: Lab, kind: str) -> None:
    """Any first message but RequestRelay is closed."""
    side = lab.relay_side(relay_site)
    side.send(kind, id="ridge-042")
    side.recv_end()


@pytest.mark.parametrize("payload", ["ff", "32ff", "9201ff", "f8070a", "800100"])
def test_junk(relay_site: Target, lab: Lab, payload: str) -> None:
    """A first frame that is no message is closed."""
    side = lab.relay_side(relay_site)
    side.send_raw(rdwire.frame(bytes.fromhex(payload)))
    side.recv_end()


def test_oversized_uuid(relay_site: Target, lab: Lab) -> None:
    """A uuid over every limit is closed, not cut: two that begin alike are not paired."""
    for tail in ("a", "b"):
        side = lab.relay_side(relay_site)
        request = rdwire.encode("RequestRelay", uuid="x" * 5000 + tail, licence_key=relay_site.key)
        side.try_to_send(rdwire.frame(request))
        side.recv_end()


def test_other_fields_don_t_matter(relay_site: Target, lab: Lab) -> None:
    """Only uuid and key count: ids, tokens and unknown fields may differ."""
    uuid = fresh_uuid()
    one = lab.relay_side(relay_site).join(uuid, relay_site.key, id="123456789", conn_type=3, token="t" * 2000)
    other = lab.relay_side(relay_site).join(uuid, relay_site.key, secure=True, switch_code="s" * 2000)
    assert_joined(one, other)


def test_silence_is_borne_for_now(relay_site: Target, lab: Lab) -> None:
    """A connection that says nothing, or half a frame, is still open after others have been served."""
    silent, half = lab.relay_side(relay_site), lab.relay_side(relay_site)
    half.send_raw(b"\x05")
    for _ in range(5):
        joined(lab, relay_site)
    assert silent.is_open() and half.is_open()


# --- who is joined --------------------------------------------------------------------------------------------------


def test_uuids_stay_apart(relay_site: Target, lab: Lab) -> None:
    """Many wait at once; each gets the partner of its own uuid, from whatever address."""
    uuids = [fresh_uuid() for _ in range(40)]
    waiting = [lab.relay_side(relay_site, fresh_source()).join(u, relay_site.key, u.encode()) for u in uuids]
    coming = [lab.relay_side(relay_site, fresh_source()).join(u, relay_site.key) for u in reversed(uuids)]
    for uuid, side in zip(reversed(uuids), coming):
        assert side.recv_exactly(len(uuid)) == uuid.encode()
    for first, second in zip(waiting, reversed(coming)):
        assert_joined(first, second)


def test_uuid_is_free_after_pairing(relay_site: Target, lab: Lab) -> None:
    """A third connection of a uuid doesn't get into the session; it waits and is paired with the fourth."""
    uuid = fresh_uuid()
    one, other = joined(lab, relay_site, uuid)
    third = lab.relay_side(relay_site).join(uuid, relay_site.key, b"third")
    fourth = lab.relay_side(relay_site).join(uuid, relay_site.key)
    assert fourth.recv_exactly(5) == b"third"
    assert_joined(third, fourth)
    assert_joined(one, other)


@pytest.mark.parametrize(
    ("early", "reset"), [(b"", False), (b"", True), (b"gone", True)], ids=["closed", "reset", "reset after early bytes"]
)
def test_waiting_side_that_closes_frees_its_place(relay_site: Target, lab: Lab, early: bytes, reset: bool) -> None:
    """Who waited and left is not paired with the next one."""
    uuid = fresh_uuid()
    gone = lab.relay_side(relay_site).join(uuid, relay_site.key, early)
    joined(lab, relay_site)
    if reset:
        gone.reset_at_close()
    gone.leave()
    joined(lab, relay_site)
    second = lab.relay_side(relay_site).join(uuid, relay_site.key, b"second")
    third = lab.relay_side(relay_site).join(uuid, relay_site.key)
    assert third.recv_exactly(6) == b"second"
    assert_joined(second, third)


def join_at_once(side: RelaySide, barrier: threading.Barrier, uuid: str, key: str) -> None:
    barrier.wait(10)
    side.join(uuid, key)


def test_sides_that_arrive_together(relay_site: Target, lab: Lab) -> None:
    """Both sides in the same moment, three hundred times: they are always paired."""
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(300):
            uuid = fresh_uuid()
            sides = [lab.relay_side(relay_site) for _ in range(2)]
            for done in [pool.submit(join_at_once, side, barrier, uuid, relay_site.key) for side in sides]:
                done.result(10)
            assert_joined(*sides)
            lab.close_clients()


# --- what passes ----------------------------------------------------------------------------------------------------


def test_early_bytes(relay_site: Target, lab: Lab) -> None:
    """Bytes behind the frame in its segment, and more in later ones, from both sides: all arrive, in order."""
    uuid, data = fresh_uuid(), os.urandom(20_000)
    first = lab.relay_side(relay_site).join(uuid, relay_site.key, data[:7000])
    for at in range(7000, 20_000, 1000):
        first.send_raw(data[at : at + 1000])
    second = lab.relay_side(relay_site).join(uuid, relay_site.key, data)
    assert second.recv_exactly(len(data)) == data
    assert first.recv_exactly(len(data)) == data


def test_much_before_the_partner_comes(relay_site: Target, lab: Lab) -> None:
    """The first side sends more than anybody buffers while it waits: it is slowed down, and nothing is lost."""
    uuid, size = fresh_uuid(), 32 * traffic.MIB
    first = lab.relay_side(relay_site).join(uuid, relay_site.key)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(traffic.send_random, first.sock, size)
        joined(lab, relay_site)
        second = lab.relay_side(relay_site).join(uuid, relay_site.key)
        got = traffic.receive(second.sock, size)
        assert got == sending.result()


@pytest.mark.parametrize("closer", [0, 1], ids=["first", "second"])
def test_half_close(relay_site: Target, lab: Lab, closer: int) -> None:
    """Who ends its sending half has delivered all of it, and still gets all that the other sends."""
    sides = joined(lab, relay_site)
    done, talking = sides[closer], sides[1 - closer]
    with ThreadPoolExecutor(2) as pool:
        sent = pool.submit(traffic.send_random, done.sock, 8 * traffic.MIB)
        assert traffic.receive(talking.sock, 8 * traffic.MIB) == sent.result()
        done.send_raw(b"end")
        done.end_sending()
        assert talking.recv_exactly(3) == b"end"
        talking.recv_end()
        sent = pool.submit(traffic.send_random, talking.sock, 8 * traffic.MIB)
        assert traffic.receive(done.sock, 8 * traffic.MIB) == sent.result()
    talking.end_sending()
    done.recv_end()


def send_and_close(side: RelaySide, size: int) -> traffic.Passed:
    sent = traffic.send_random(side.sock, size)
    side.close()
    return sent


def test_close_with_data_on_its_way(relay_site: Target, lab: Lab) -> None:
    """A side that sends and closes at once has delivered everything, to a reader who comes late too."""
    one, other = joined(lab, relay_site)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_and_close, one, 16 * traffic.MIB)
        joined(lab, relay_site)
        assert traffic.receive(other.sock, 16 * traffic.MIB) == sending.result()
    other.recv_end()


def test_close_ends_the_other_side(relay_site: Target, lab: Lab) -> None:
    """Both sides closed: the session is over; one side gone for good ends the other as soon as it sends."""
    one, other = joined(lab, relay_site)
    one.close()
    other.recv_end()

    def is_cut() -> bool:
        try:
            other.sock.sendall(b"x" * 1000)
        except OSError:
            return True
        return False

    wait_until(is_cut, 10, "the end of a session whose other side is gone")


def test_slow_reader_hurts_nobody(relay_site: Target, lab: Lab) -> None:
    """A session whose reader stalls, with 64 MiB on the way, doesn't hold up another, and loses nothing."""
    sender, stalled = joined(lab, relay_site)
    one, other = joined(lab, relay_site)
    sender.sock.settimeout(60)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(traffic.send_random, sender.sock, 64 * traffic.MIB)
        started = time.monotonic()
        for _ in range(200):
            assert_joined(one, other)
        traffic.exchange(one.sock, other.sock, 8 * traffic.MIB)
        assert time.monotonic() - started < 20
        assert not sending.done()
        got = traffic.receive(stalled.sock, 64 * traffic.MIB)
        assert got == sending.result()


def test_many_sessions_at_once(relay_site: Target, lab: Lab) -> None:
    """Sixteen sessions exchange data at the same time, and each gets its own."""
    sessions = [joined(lab, relay_site) for _ in range(16)]
    with ThreadPoolExecutor(len(sessions)) as pool:
        tasks = [pool.submit(traffic.exchange, a.sock, b.sock, 2 * traffic.MIB) for a, b in sessions]
        for task in tasks:
            task.result(60)
