"""Goal: the log has a line for each session, which says all that is asked of it later, and for who waited in vain."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import traffic
from conftest import Lab
from polling import in_one_of, wait_until
from rdclient import fresh_source, fresh_uuid
from rdserver import Server
from relaysides import PAIRS, TCP_TCP, Kind, TcpSide, WsIdSide, WsSide, assert_talk, name_of, paired


FULL_KBPS = 16 * 1024 * 1024 / 1000


def lines(server: Server, count: int = 1, event: str = "session ended") -> list[dict[str, Any]]:
    """These lines, once there are so many."""
    wait_until(lambda: len(server.logged(event)) >= count, 10, f"{count} of {event}")
    return server.logged(event)


def average_of(line: dict[str, Any]) -> float:
    """In kb/s, of at least a second."""
    return 8 * (line["bytes_from_first"] + line["bytes_from_second"]) / max(line["ms"], 1000)


TRANSPORTS = dict(zip(PAIRS, ("tcp-tcp", "tcp-websocket", "websocket-tcp", "websocket-websocket")))


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_line_of_a_session(lab: Lab, pair: tuple[Kind, Kind]) -> None:
    """Both addresses, the uuid's short form, transport, bytes each way, duration, who ended it and why."""
    server, uuid = lab.server("relay", log_level="info"), fresh_uuid()
    target = server.target()
    one = lab.keep(pair[0](target, fresh_source())).ask(uuid, target.key)
    wait_until(lambda: server.status()["waiting"] == 1, 10, "the first waits")
    other = lab.keep(pair[1](target, fresh_source())).ask(uuid, target.key)
    assert_talk(one, other)
    began = time.monotonic()
    for _ in range(10):
        one.send_payload(bytes(1000))
        assert other.recv_payload() == bytes(1000)
    time.sleep(0.3)
    elapsed = (time.monotonic() - began) * 1000
    one.close()
    other.expect_end()
    other.close()
    (line,) = lines(server)
    assert line["level"] == "info"
    assert (line["first"], line["second"]) == ("%s:%d" % one.local, "%s:%d" % other.local)
    assert line["uuid"] == uuid[:8] and line["transport"] == TRANSPORTS[pair]
    assert 10_100 <= line["bytes_from_first"] <= 10_200  # with headers
    assert 100 <= line["bytes_from_second"] <= 120
    assert elapsed - 20 <= line["ms"] <= elapsed + 20_000
    assert (line["ended_by"], line["reason"]) == ("first", "closed-by-peer")
    assert line["average_kbps"] == pytest.approx(average_of(line), abs=1)
    # The seconds that the peak is taken of lie side by side, without a gap; the last may be short.
    assert line["peak_kbps"] >= 0.45 * line["average_kbps"] > 0


@pytest.mark.parametrize("closer", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_who_ended_it(lab: Lab, closer: int, reset: bool) -> None:
    """The side that ended first, and whether it went in an orderly way."""
    server, uuid = lab.server("relay"), fresh_uuid()
    target = server.target()
    first = lab.keep(TcpSide(target)).ask(uuid, target.key)
    wait_until(lambda: server.status()["waiting"] == 1, 10, "the first waits")
    sides = first, lab.keep(TcpSide(target)).ask(uuid, target.key)
    assert_talk(*sides)
    if reset:
        sides[closer].reset_at_close()
    sides[closer].close()
    sides[1 - closer].expect_end()
    sides[1 - closer].close()
    (line,) = lines(server)
    assert line["ended_by"] == ("first", "second")[closer]
    assert line["reason"] == ("reset" if reset else "closed-by-peer")


def test_rates(lab: Lab) -> None:
    """Peak and average of a session that went at 16 Mb/s for 2 s and then was quiet for 2 s."""
    server = lab.server("relay", "--single-bandwidth", "16")
    in_one_of(4, lambda: assert_rates(lab, server))


def assert_rates(lab: Lab, server: Server) -> None:
    size, before = 4 * traffic.MIB, len(server.logged("session ended"))
    one, other = paired(lab, server.target(), TCP_TCP)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(traffic.send_random, one.sock, size)
        assert traffic.receive(other.sock, size) == sending.result(30)
    time.sleep(2)
    average = size * 8 / 1000 / (time.monotonic() - began)
    one.close()
    other.close()
    line = lines(server, before + 1)[-1]
    assert 0.9 * average < line["average_kbps"] < 1.1 * average
    assert 14_000 < line["peak_kbps"] < 1.25 * FULL_KBPS  # the first second has what was saved up, too
    assert line["peak_kbps"] > 1.4 * line["average_kbps"]


def test_ws_by_the_id_servers_port(lab: Lab) -> None:
    """A side that came through the ID server's port is a WebSocket like any other."""
    server = lab.server("serve")
    one, other = paired(lab, server.target(), (WsIdSide, TcpSide))
    one.close()
    other.close()
    assert lines(server)[0]["transport"] in ("websocket-tcp", "tcp-websocket")


def test_a_line_for_each(lab: Lab) -> None:
    """300 sessions that end at once have 300 lines: this isn't limited."""
    server = lab.server("relay", log_level="info")
    uuids = [fresh_uuid() for _ in range(300)]
    for uuid in uuids:
        paired(lab, server.target(), TCP_TCP, uuid)
    lab.close_clients()
    assert sorted(line["uuid"] for line in lines(server, 300)) == sorted(uuid[:8] for uuid in uuids)
    assert server.status()["sessions_ended"] == 300


@pytest.mark.parametrize("uuid", ["\x1b[2J\n\x00\x7f", 'a"b\\c', "\u202e\u00e9\u4e2d", "x"], ids=ascii)
def test_uuids_that_aim_at_the_log(lab: Lab, uuid: str) -> None:
    """Whatever the uuid holds, the line is one line."""
    server = lab.server("relay")
    one, other = paired(lab, server.target(), TCP_TCP, uuid)
    one.close()
    other.close()
    assert len(lines(server)) == 1
    assert all(line.startswith("{") and line.isprintable() for line in server.lines)


# --- who never became a session -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "side"), [({"id": "123456789"}, "controlling"), ({}, "controlled")], ids=str)
@pytest.mark.parametrize("kind", [TcpSide, WsSide], ids=["tcp", "ws"])
def test_who_left_before_the_other_came(lab: Lab, kind: Kind, fields: dict[str, Any], side: str) -> None:
    """A side that gave up waiting: from where, for which session, and which side it was (A names whom it controls)."""
    server, uuid = lab.server("relay"), fresh_uuid()
    waiting = lab.keep(kind(server.target(), fresh_source())).ask(uuid, server.key, **fields)
    wait_until(lambda: server.status()["waiting"] == 1, 10, "it waits")
    waiting.close()
    line = lines(server, event="relay connection ended")[-1]
    assert (line["side"], line["uuid"], line["reason"]) == (side, uuid[:8], "closed-by-peer")
    assert line["from"] == "%s:%d" % waiting.local


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("fields", "side"), [({"id": "123456789"}, "controlling"), ({}, "controlled")], ids=str)
def test_whose_partner_never_came(lab: Lab, fields: dict[str, Any], side: str) -> None:
    """After 30 s without the other side: the same, with that reason."""
    server, uuid = lab.server("relay"), fresh_uuid()
    waiting = lab.keep(TcpSide(server.target())).ask(uuid, server.key, **fields)
    waiting.sock.settimeout(45)
    waiting.expect_end()
    (line,) = lines(server, event="relay connection ended")
    assert (line["side"], line["uuid"], line["reason"]) == (side, uuid[:8], "partner-missing")
