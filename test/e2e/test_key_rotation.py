"""Goal: a rotation while everything runs: nobody is dropped, nothing fails, each client is answered with the key that
it holds; and when a key is retired, only those who still hold it notice."""

from __future__ import annotations

import threading
import time
from itertools import cycle
from typing import Any, Callable

import pytest

import rdwire
from clihelp import ctl, start_as, warned_of
from conftest import Lab
from keyhelp import (
    answered,
    did,
    fresh_pair,
    holding,
    key_in_use,
    listed,
    mismatched,
    ring,
    rotate,
    state_of,
    talk_of,
)
from polling import in_one_of, wait_until
from rdclient import (
    Controller,
    Device,
    RelaySide,
    SecurePeer,
    Target,
    TcpPeer,
    UdpPeer,
    WsPeer,
    assert_joined,
    fresh_id,
    fresh_source,
    fresh_uuid,
    is_online,
    register_all,
)
from rdserver import Server
from rdwire import Result

TAKEN_OVER_S = 10.0
EVERY_S = 0.01
PEERS = 200


# --- a busy site ------------------------------------------------------------------------------------------------------


def fleet(lab: Lab, target: Target, n: int = PEERS) -> list[Device]:
    """So many registered devices: half of them by UDP, the others at connections, plain, secured and WebSocket."""
    peers: list[Any] = [lab.peer(target, fresh_id()) for _ in range(n // 2)]
    register_all(peers)
    for kind, count in ((TcpPeer, n // 5), (SecurePeer, n // 5), (WsPeer, n - n // 2 - 2 * (n // 5))):
        joined = [lab.connected(kind, target) for _ in range(count)]
        for peer in joined:
            peer.send_register_pk()
        for peer in joined:
            assert Result(peer.expect("RegisterPkResponse")["result"]) is Result.OK
        peers += joined
    return peers


def ask(lab: Lab, target: Target, b: Device, key: str) -> tuple[Controller, bytes]:
    """A waits for B, who knows of it."""
    a = lab.keep(Controller(holding(target, key), fresh_source()))
    a.punch(b.id)
    return a, b.expect_hole("PunchHole", a)["socket_addr"]


def answer(a: Controller, b: Device, socket_addr: bytes) -> None:
    b.answer_and_close("PunchHoleSent", **b.hole_sent(socket_addr))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)
    a.close()


class Background(threading.Thread):
    """Does something again and again until it is told to stop; an error is kept."""

    def __init__(self, step: Callable[[], None], pause_s: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.step, self.pause_s = step, pause_s
        self.over = threading.Event()
        self.error: BaseException | None = None
        self.count = 0
        self.start()

    def run(self) -> None:
        due = time.monotonic()
        try:
            while not self.over.is_set():
                self.step()
                self.count += 1
                due = max(due + self.pause_s, time.monotonic() - 1)
                self.over.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:
            self.error = error

    def end(self) -> int:
        """How often it was done, each time well."""
        self.over.set()
        self.join(30)
        if self.error:
            raise self.error
        return self.count

    def reach(self, more: int) -> None:
        """Returns when it was done so often more."""
        goal = self.count + more
        wait_until(lambda: self.error or self.count >= goal, 60, "so many more")


def punches(lab: Lab, target: Target, peers: list[Device], keys: list[str]) -> Background:
    """A punch every 10 ms, for one peer after the other, with one key after the other."""
    turns = zip(cycle(peers), cycle(keys))

    def step() -> None:
        b, key = next(turns)
        a, socket_addr = ask(lab, target, b, key)
        answer(a, b, socket_addr)
        lab.clients.remove(a)

    return Background(step, EVERY_S)


def sessions(lab: Lab, target: Target, n: int, keys: list[str]) -> list[tuple[RelaySide, RelaySide]]:
    """So many running sessions, their sides with one key or another."""
    pairs = []
    for i in range(n):
        uuid = fresh_uuid()
        one = lab.relay_side(target).join(uuid, keys[i % len(keys)])
        pairs.append((one, lab.relay_side(target).join(uuid, keys[(i + i // 2) % len(keys)])))
    for pair in pairs:
        assert_joined(*pair)
    return pairs


def test_rotation_under_load(lab: Lab) -> None:
    """200 devices, a punch every 10 ms with the old or the new key, 50 running sessions, requests and sessions that
    wait: a rotation fails none of them. Retiring turns away those with the old key, and ends nothing that runs."""
    server = lab.server("serve", log_level="info")
    target, here = server.target(), server.directory
    old, new = server.key, did(here, "--next")
    both = [old, new]
    peers = fleet(lab, target)
    waiting, peers = peers[::20], [peer for i, peer in enumerate(peers) if i % 20]
    pairs = sessions(lab, target, 50, both)
    asked = [(*ask(lab, target, b, both[i % 2]), b) for i, b in enumerate(waiting)]
    half = [(lab.relay_side(target).join(uuid, key), uuid) for key in both for uuid in (fresh_uuid(), fresh_uuid())]

    turns = cycle(pairs)
    traffic = Background(lambda: assert_joined(*next(turns)))
    load = punches(lab, target, peers, both)
    load.reach(200)
    assert rotate(here) == (old, new)
    assert key_in_use(server) == new  # keygen told it
    load.reach(200)
    for a, socket_addr, b in asked:
        answer(a, b, socket_addr)
    for number, (side, uuid) in enumerate(half):
        assert_joined(side, lab.relay_side(target).join(uuid, both[number % 2]))
    load.reach(200)
    assert load.end() >= 600 and not [e for e in server.refusals() if "key" in e["reason"]]

    did(here, "--retire", "all")
    assert all(mismatched(lab, target, old) for _ in range(10))
    load = punches(lab, target, peers, [new])
    refused = lab.relay_side(target).join(fresh_uuid(), old)
    refused.expect_closed()
    load.reach(len(peers))
    load.end()
    traffic.reach(100)
    assert traffic.end() > 100
    for pair in pairs:
        assert_joined(*pair)
    assert all(is_online(target, peer.id) for peer in peers[:: len(peers) // 10])
    assert server.logged("key refused", reason="key-retired") and not server.logged("key refused", reason="key-wrong")


# --- who takes over what ----------------------------------------------------------------------------------------------


def taken_over(server: Server, key: str) -> None:
    wait_until(lambda: key_in_use(server) == key, TAKEN_OVER_S, "the new key taken over")


@pytest.mark.parametrize("role", ["id", "relay", "serve"])
def test_log(lab: Lab, role: str) -> None:
    """Each role says in its log that it took over a new key, and which; and so when a key is retired."""
    server = lab.server(role)
    old, new = rotate(server.directory)
    taken_over(server, new)
    assert len(server.logged("took over a new key", directory=str(server.directory), level="info")) == 1
    assert server.logged("server key", key=new, fingerprint=rdwire.fingerprint(new))
    did(server.directory, "--retire", "all")
    wait_until(lambda: server.logged("took over changed key files"), TAKEN_OVER_S, "the retired key taken over")
    assert not [e for e in server.events if e["level"] in ("warn", "error") and "key files" in e["event"]]
    assert old != new


def test_nothing_is_said_where_nothing_changed(lab: Lab) -> None:
    """A first start's own keyring.json and server.conf are no change of keys."""
    server = lab.server("id", log_level="info")
    relay = lab.server("relay", hosts=server.hosts, port=server.port, log_level="info")
    for one in (server, relay):
        wait_until(lambda: one.status()["uptime_seconds"] >= 3, 10, "three seconds")
        assert not one.logged("took over changed key files") and not one.logged("took over a new key")


def test_keygen_without_control_sockets(lab: Lab) -> None:
    """Servers that can't be asked find out by themselves, within two seconds or, on a busy machine, a little more."""
    server = lab.server("serve")
    for name in ("id.sock", "relay.sock"):
        (server.directory / name).rename(server.directory / f"{name}.away")

    def is_found_out() -> str:
        old, new = rotate(server.directory)
        wait_until(lambda: not mismatched(lab, server.target(), new), 3, "the new key accepted")
        return old

    old = in_one_of(3, is_found_out)
    wait_until(lambda: server.logged("took over a new key"), TAKEN_OVER_S, "the line in the log")
    assert not mismatched(lab, server.target(), old)


def test_relay_on_the_same_directory(lab: Lab) -> None:
    """A relay beside its ID server follows: both keys pair, with each other, too."""
    server = lab.server("id")
    relay = lab.server("relay", hosts=server.hosts, port=server.port)
    old, new = rotate(server.directory)
    for one in (server, relay):
        taken_over(one, new)
    for keys in ((old, new), (new, new), (old, old)):
        sessions(lab, relay.target(), 1, list(keys))
    assert not relay.refusals()


def test_relay_elsewhere(lab: Lab) -> None:
    """A relay elsewhere that carries the next key already breaks at no rotation; one that doesn't says which key it
    refused."""
    server = lab.server("id")
    old, new = server.key, did(server.directory, "--next")
    relay = start_as(lab, "relay", lab.directory("elsewhere"), "-k", f"{old},{new}")
    other = start_as(lab, "relay", lab.directory("other"), "-k", old)
    rotate(server.directory)
    for keys in ([old, new], [new, old], [new]):
        sessions(lab, relay.target(key=old), 2, keys)
    lab.relay_side(other.target(key=old)).join(fresh_uuid(), new).expect_closed()
    prints = {"client_has": rdwire.fingerprint(new), "server_has": rdwire.fingerprint(old)}
    wait_until(lambda: other.logged("key refused", reason="key-wrong", **prints), 5, "the refusal in the log")
    sessions(lab, other.target(key=old), 1, [old])


def test_pinned_key(lab: Lab) -> None:
    """An ID server whose -k names a key goes on with it through a rotation, and signs; keygen says so."""
    first = lab.server("id")
    old = first.key
    first.stop()
    server = start_as(lab, "id", lab.directory(), "-k", old)
    b = lab.registered(server.target())
    assert f"goes on with {old}" in talk_of(server.directory, "--rotate")
    answered(lab, server.target(), b, old)
    assert mismatched(lab, server.target(), server.key)
    did(lab.directory(), "--retire", "all")
    wait_until(lambda: warned_of(server, "can't sign"), TAKEN_OVER_S, "the warning")
    assert not mismatched(lab, server.target(), old)


def test_given_secret(lab: Lab) -> None:
    """A server whose key is in -k uses no files: it neither follows them nor says that it did."""
    pair = fresh_pair()
    server = start_as(lab, "serve", lab.directory(), "-k", pair["id_ed25519"])
    did(lab.directory())
    assert f"goes on with {pair['id_ed25519.pub']}" in talk_of(server.directory, "--rotate")
    assert not mismatched(lab, server.target(), pair["id_ed25519.pub"])
    assert not [e for e in server.events if e["event"].startswith("took over")]


# --- when a key ends --------------------------------------------------------------------------------------------------


def test_grace_that_ends(lab: Lab) -> None:
    """A retired key is accepted up to its time, by ID server and relay, and then refused by name: in the log, in the
    ledger, and to the client."""
    server = lab.server("serve")
    target = server.target()
    old, new = rotate(server.directory, "--grace", "10s")
    b = lab.registered(target)
    answered(lab, target, b, old)
    running = sessions(lab, target, 1, [old])
    wait_until(lambda: mismatched(lab, target, old), 20, "the end of the grace")
    lab.relay_side(target).join(fresh_uuid(), old).expect_closed()
    (entry,) = [entry for entry in listed(server.directory) if entry["key"] == old]
    assert entry["state"] == "retired, refused"
    until = entry["accepted_until"]
    for refusal in server.logged("key refused"):
        assert (refusal["reason"], refusal["accepted_until"]) == ("key-retired", until)
        assert refusal["client_has"] == rdwire.fingerprint(old) and refusal["server_has"] == rdwire.fingerprint(new)
    (attempt, *_) = [a for a in ctl(server.directory, "id", "recent")["attempts"] if "retired" in str(a)]
    assert attempt["key_accepted_until"] == until
    assert ctl(server.directory, "id")["counters"]["key-retired"] >= 1
    assert_joined(*running[0])
    answered(lab, target, b, new)
    assert "secret" in ring(server.directory)["retired"][0]  # no clock deletes it


def test_no_grace(lab: Lab) -> None:
    """--grace 0: the old key is refused from the first moment."""
    server = lab.server("id")
    old, new = rotate(server.directory, "--grace", "0")
    assert mismatched(lab, server.target(), old) and not mismatched(lab, server.target(), new)
    assert state_of(server.directory, old) == "retired, refused"


def test_retiring_one_of_several(lab: Lab) -> None:
    """By its text or fingerprint; the others stay."""
    server = lab.server("id")
    keys = [server.key] + [rotate(server.directory)[1] for _ in range(3)]
    did(server.directory, "--retire", keys[0])
    did(server.directory, "--retire", rdwire.fingerprint(keys[2]))
    got = [mismatched(lab, server.target(), key) for key in keys]
    assert got == [True, False, True, False]


def test_restart_keeps_it(lab: Lab) -> None:
    """After a restart the same keys are accepted, refused and signed with as before."""
    server = lab.server("id")
    first, second = rotate(server.directory)
    _, third = rotate(server.directory)
    did(server.directory, "--retire", first)
    server.stop()
    server.restarted()
    b = lab.registered(server.target())
    for key in (second, third):
        answered(lab, server.target(), b, key)
    assert mismatched(lab, server.target(), first)
    assert server.logged("key refused", reason="key-retired")


# --- files that go wrong while servers run ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id_ed25519", "id_ed25519.pub", "keyring.json"])
def test_damaged_while_it_runs(lab: Lab, name: str) -> None:
    """A file that is damaged while a server runs changes nothing but a line in the log; mended, it is taken over."""
    server = lab.server("id")
    b = lab.registered(server.target())
    rotate(server.directory)
    key, whole = server.key, (server.directory / name).read_text()
    (server.directory / name).write_text("damaged")
    wait_until(lambda: server.logged("key files changed, but can't be used: the old key goes on"), 5, "the line")
    answered(lab, server.target(key=key), b, key)
    (server.directory / name).write_text(whole)
    new = rotate(server.directory)[1]
    taken_over(server, new)
    for one in (key, new):
        answered(lab, server.target(), b, one)
    assert len(server.logged("key files changed, but can't be used: the old key goes on")) == 1


def test_lone_public_file_that_vanishes(lab: Lab) -> None:
    """hbbr beside a lone .pub never opens because that is replaced by removing it first."""
    keys = [fresh_pair()["id_ed25519.pub"] for _ in range(2)]
    public = lab.directory() / "id_ed25519.pub"
    public.write_text(keys[0])
    server = start_as(lab, "hbbr", lab.directory())
    public.unlink()
    wait_until(lambda: server.logged("key files changed, but can't be used: the old key goes on"), 5, "the line")
    lab.relay_side(server.target(key="")).join(fresh_uuid(), "").expect_closed()
    sessions(lab, server.target(key=keys[0]), 1, [keys[0]])
    public.write_text(keys[1])
    wait_until(lambda: key_in_use(server) == keys[1], 5, "the other key")
    lab.relay_side(server.target(key="")).join(fresh_uuid(), keys[0]).expect_closed()
    sessions(lab, server.target(key=keys[1]), 1, [keys[1]])


def test_swapped_by_hand(lab: Lab) -> None:
    """A pair that was copied over the old one, as guides say, is taken over without a restart."""
    server, pair = lab.server("id"), fresh_pair()
    b = lab.registered(server.target())
    for name, text in pair.items():
        (server.directory / name).write_text(text)
    taken_over(server, pair["id_ed25519.pub"])
    answered(lab, server.target(), b, server.key)


def test_devices_that_use_no_key(lab: Lab) -> None:
    """--list counts devices that nobody has seen using a key apart: it never says that it is safe to retire one."""
    server = lab.server("serve")
    target = server.target()
    b, silent = lab.registered(target), lab.registered(target)
    old, new = rotate(server.directory)
    answered(lab, target, b, old)
    sessions(lab, target, 1, [new])
    entries = {entry["key"]: entry for entry in listed(server.directory)}
    assert [entries[key]["addresses_in_7_days"] for key in (old, new)] == [1, 1]  # both relay sides are one address
    assert all(entries[key]["last_used"] for key in (old, new))
    text = did(server.directory, "--list")
    assert "safe" not in text
    assert isinstance(silent, UdpPeer) and "peers_not_seen_using_any_key" in text
