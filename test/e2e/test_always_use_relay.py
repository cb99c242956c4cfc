"""Goal: sessions of certain networks, or all, go by the relay; users see why, and change it at run time."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from clihelp import rdsrv
from conftest import Lab
from polling import wait_until
from rdclient import WsController, fresh_source, fresh_uuid
from rdserver import Server
from rdwire import NatType

WAIT_S = 10.0
INSIDE, OUTSIDE = "127.3.7.", "127.4."
NETWORK = "127.3.7.0/24"
BY_NETWORK = "always-use-relay for a network"


def ctl(server: Server, *words: str) -> dict[str, Any]:
    """What the running ID server answers."""
    done = rdsrv("ctl", "--json", "--data-dir", server.directory, "id", *words, cwd=server.directory)
    return dict(json.loads(done.stdout))


def punched(lab: Lab, server: Server, a_net: str = OUTSIDE, b_net: str = OUTSIDE, **fields: Any) -> dict[str, Any]:
    """A asks for B: the kind and the decisive fields of what B is told, and what the ledger and the log say."""
    target = server.target()
    b = lab.registered(target, source=fresh_source(b_net))
    a = lab.controller(target, fresh_source(a_net))
    a.punch(b.id, nat_type=NatType.ASYMMETRIC, **fields)
    told = b.recv()
    (noted,) = ctl(server, "recent", b.id)["attempts"]
    found = {"id": b.id, "route": noted["route"], "because": noted["because"]}
    wait_until(lambda: server.logged("punch", **found), WAIT_S, "the log line")
    names = ("nat_type", "force_relay") if told.kind == "PunchHole" else ()
    return {"kind": told.kind, "route": noted["route"], "because": noted["because"], **{n: told[n] for n in names}}


RELAYED = {"kind": "PunchHole", "route": "relay", "nat_type": NatType.SYMMETRIC, "force_relay": True}
DIRECT = {"kind": "PunchHole", "route": "direct", "because": "", "nat_type": NatType.ASYMMETRIC, "force_relay": False}


@pytest.mark.parametrize("a_net, b_net", [(INSIDE, OUTSIDE), (OUTSIDE, INSIDE), (INSIDE, INSIDE)])
def test_session_of_the_network_is_relayed(lab: Lab, a_net: str, b_net: str) -> None:
    """Whichever side is in the network, B is sent to the relay; the ledger and the log say why."""
    server = lab.server("id", "--always-use-relay", f"192.0.2.0/24, {NETWORK}")
    assert punched(lab, server, a_net, b_net) == {**RELAYED, "because": BY_NETWORK}


def test_other_sessions_are_not(lab: Lab) -> None:
    """Sessions without a side in the network go as ever."""
    assert punched(lab, lab.server("id", "--always-use-relay", NETWORK)) == DIRECT


def test_local_address_is_never_asked_for_in_the_network(lab: Lab) -> None:
    """A and B at one address of the network, or both in the LAN: the relay all the same."""
    server = lab.server("id", "--always-use-relay", NETWORK, "--mask", "127.3.0.0/16")
    target = server.target()
    b = lab.registered(target, source=fresh_source(INSIDE))
    for source in (b.source, fresh_source("127.3.8.")):
        a = lab.controller(target, source)
        a.punch(b.id)
        assert b.expect_hole("PunchHole", a)["force_relay"] is True
    other = lab.registered(target, source=fresh_source("127.3.8."))
    a = lab.controller(target, fresh_source("127.3.9."))
    a.punch(other.id)
    other.expect_hole("FetchLocalAddr", a)


def test_environment_of_hbbs(lab: Lab) -> None:
    """ALWAYS_USE_RELAY takes networks as it takes Y."""
    server = lab.server("id", env={"ALWAYS_USE_RELAY": NETWORK})
    assert punched(lab, server, INSIDE)["because"] == BY_NETWORK


def test_every_reason_has_its_words(lab: Lab) -> None:
    """Why the relay had to be taken: the server's setting, the mask, WebSocket, or A's wish."""
    server = lab.server("id", "--mask", "127.3.0.0/16")
    assert punched(lab, server, INSIDE, OUTSIDE)["because"] == "one side is in mask"
    assert punched(lab, server, force_relay=True)["because"] == "the client wants it"
    b = lab.registered(server.target(), source=fresh_source(OUTSIDE))
    lab.keep(WsController(server.target(), fresh_source(OUTSIDE))).punch(b.id)
    b.expect("PunchHole")
    lab.controller(server.target(), fresh_source(OUTSIDE)).request_relay(b.id, fresh_uuid())
    b.expect("RequestRelay")
    noted = [(one["route"], one["because"]) for one in ctl(server, "recent", b.id)["attempts"]]
    assert noted == [("relay", "the client wants it"), ("relay", "websocket")]
    assert ctl(server, "always-use-relay", "on")["ok"]
    assert punched(lab, server, INSIDE, force_relay=True) == {**RELAYED, "because": "always-use-relay"}


def test_ctl_shows_and_sets(lab: Lab) -> None:
    """ctl id always-use-relay takes on, off and networks, and shows what holds."""
    server = lab.server("id", "--always-use-relay", NETWORK)
    assert ctl(server, "always-use-relay") == {"ok": True, "always_use_relay": False, "networks": [NETWORK]}
    assert ctl(server, "always-use-relay", "off") == {"ok": True, "always_use_relay": False, "networks": []}
    assert punched(lab, server, INSIDE) == DIRECT
    assert ctl(server, "always-use-relay", "127.4.0.0/16,", "fd00::/8")["networks"] == ["127.4.0.0/16", "fd00::/8"]
    assert punched(lab, server)["because"] == BY_NETWORK
    assert ctl(server, "always-use-relay", "on") == {"ok": True, "always_use_relay": True, "networks": []}
    assert punched(lab, server)["because"] == "always-use-relay"


@pytest.mark.parametrize("wrong", ["maybe", "10.0.0.0/33", "on,10.0.0.0/8", ","])
def test_ctl_refuses_what_is_neither(lab: Lab, wrong: str) -> None:
    """Anything else is refused in one line that says what is accepted, and nothing changes."""
    server = lab.server("id", "--always-use-relay", NETWORK)
    done = rdsrv("ctl", "-d", server.directory, "id", "always-use-relay", wrong, cwd=server.directory)
    assert (done.returncode, done.stdout) == (2, "")
    assert "always-use-relay takes Y or N, or networks" in done.stderr.splitlines()[-1]
    assert ctl(server, "always-use-relay")["networks"] == [NETWORK]


@pytest.mark.parametrize("how", ["SIGHUP", "ctl"])
def test_reload(lab: Lab, tmp_path: Path, how: str) -> None:
    """The setting is taken over at run time, and no peer is dropped for it."""
    config = tmp_path / "rdsrv.conf"
    config.write_text("")
    server = lab.server("id", "--config", str(config))
    b = lab.registered(server.target(), source=fresh_source(INSIDE))
    for value, nets, on in ((NETWORK, [NETWORK], False), ("Y", [], True), ("N", [], False)):
        config.write_text(f"always-use-relay = {value}\n")
        if how == "ctl":
            assert ctl(server, "reload")["ok"]
        else:
            os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: ctl(server, "always-use-relay") == {"ok": True, "always_use_relay": on, "networks": nets}, WAIT_S)
        a = lab.controller(server.target(), fresh_source(OUTSIDE))
        a.punch(b.id)
        assert b.expect_hole("PunchHole", a)["force_relay"] is (value != "N")
    config.write_text("always-use-relay = 10.0.0.0/33\n")
    assert not ctl(server, "reload")["ok"]
    assert ctl(server, "always-use-relay")["networks"] == []
