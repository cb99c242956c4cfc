"""Goal: one honest line an event, in the form that was asked for, whatever clients send; and no secret in any."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import rdwire
from clihelp import (
    JSON_LOG,
    OTHER,
    PAIR,
    PUBLIC,
    SECRET,
    TEXT_TIME,
    UNTIL_READY,
    WAIT_S,
    Role,
    as_name,
    assert_refused,
    ctl,
    place_args,
    place_pair,
    start,
    start_as,
    warned_of,
)
from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, assert_joined, fresh_id, fresh_uuid
from rdserver import Server

FORMATS = ("text", "json")
LEVELS = ("error", "warn", "info", "debug", "trace")
TEXT_LINE = re.compile(rf"({TEXT_TIME}) (trace|debug|info |warn |error) (\S.*)")
JOURNAL_LINE = re.compile(r"<([3-7])>(\S.*)")
# C0 and C1, line and paragraph separators, and everything that turns the direction of writing.
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufffd]")

HOSTILE: dict[str, bytes] = {
    "line": b'evil\n2026-01-01T00:00:00.000Z info  forged key="x"',
    "object": b'evil"}\n{"time":"2026-01-01T00:00:00.000Z","level":"info","event":"forged"}',
    "carriage return": b"evil\r\n\rforged",
    "colours": b"evil\x1b[31m\x1b]0;forged\x07",
    "NUL": b"evil\x00forged",
    "DEL": b"evil\x7f\x08\x08",
    "C1": "evil\x85\x9b31m".encode(),
    "separators": "evil\u2028forged\u2029".encode(),
    "bidi": "evil\u202egnp.\u202c\u2066x\u2069\u200f\u061c".encode(),
    "no UTF-8": b"evil\xff\xfe\xc3(\xe2\x80",
    "surrogate": b"evil\xed\xa0\x80",
    "overlong": b"evil\xc0\x8a\xe0\x80\x8a",
    "quotes": b'evil" event="forged" x=\'y\'',
    "backslashes": b"evil\\\\n\\u000a\\",
    "formats": b"evil%s%n%1$s{}",
    "blank": b"evil  =  \t",
    "long": b"evil" * 25,
}


def log_file(lab: Lab) -> Path:
    return lab.tmp_path / "rdsrv.log"


def read(path: Path) -> list[str]:
    """The lines of a log as they are on disk: UTF-8, each ended."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def no_pair_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)


def check_line(line: str, form: str) -> str:
    """A line is what its form says, holds nothing harmful, and is no client's invention; its time."""
    assert not HARMFUL.search(line), ascii(line)
    if form == "json":
        event = json.loads(line, object_pairs_hook=no_pair_twice)
        assert re.fullmatch(TEXT_TIME, event["time"]) and event["level"] in LEVELS and event["event"] != "forged"
        return str(event["time"])
    match = TEXT_LINE.fullmatch(line)
    assert match and not match[3].startswith("forged"), line
    return match[1]


def into_file(lab: Lab, role: str, form: str, *args: str, level: str = "trace") -> Server:
    """A role that logs everything into a file."""
    server = lab.prepare(role, log_level=level)
    server.args[server.args.index("--log-format") + 1] = form
    server.args += ["--log-file", str(log_file(lab)), *args]
    server.launch()
    wait_until(lambda: log_file(lab).exists() and "ready" in log_file(lab).read_text(), WAIT_S, "ready in the log")
    return server


# --- form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["id", "relay", "serve"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_form(lab: Lab, role: str, form: str, zone: str) -> None:
    """Every line has its form and the time in UTC with milliseconds, whatever the host's time zone is."""
    begun = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    server = start(lab, role, lab.directory(), "--log-format", form, env={"TZ": zone, "LANG": "tr_TR.UTF-8"})
    server.stop()
    times = [datetime.fromisoformat(check_line(line, form).replace("Z", "+00:00")) for line in server.lines]
    assert times == sorted(times) and begun <= times[0] <= times[-1] <= datetime.now(timezone.utc)


def test_nothing_on_stdout(tmp_path: Path) -> None:
    """The log goes to stderr alone."""
    done = as_name("serve", "--data-dir", tmp_path, *place_args(), cwd=tmp_path, prefix=UNTIL_READY)
    assert done.stdout == "" and "ready" in done.stderr


@pytest.mark.parametrize("level", LEVELS)
def test_levels(lab: Lab, level: str) -> None:
    """log-level shows its level and those above it, and nothing below."""
    server = into_file_quietly(lab, level)
    server.stop()
    allowed = LEVELS[: LEVELS.index(level) + 1]
    got = {json.loads(line)["level"] for line in log_file(lab).read_text().splitlines()}
    assert got <= set(allowed) and ("warn" in got) == ("warn" in allowed) and ("info" in got) == ("info" in allowed)


def into_file_quietly(lab: Lab, level: str) -> Server:
    """A role with a warning, and a peer, in its log of this level."""
    server = lab.prepare("id", "-k", "", "--log-file", str(log_file(lab)), log_level=level).launch()
    wait_until(lambda: (lab.directory() / "id.sock").exists(), WAIT_S, "the control socket")
    lab.registered(server.target(key=""))
    return server


def test_start_names_everything(lab: Lab) -> None:
    """The start logs each listener's address, the key and its fingerprint, and the peers on file."""
    place_pair(lab.directory())
    server = lab.server("serve", hosts=["random", "random"])
    n = server.port
    ports = {("udp", n), ("udp", n + 1), *(("tcp", n + i) for i in (-1, 0, 1, 2, 3))}
    assert server.hosts
    want = {(proto, f"{host}:{port}") for proto, port in ports for host in server.hosts}
    assert {(event["proto"], event["addr"]) for event in server.logged("listening")} == want
    assert server.logged("server key", key=PAIR[PUBLIC], fingerprint=rdwire.fingerprint(PAIR[PUBLIC]))
    assert server.logged("peers on file", peers=0)


def test_ipv6_addresses_are_in_brackets(lab: Lab) -> None:
    """An address of IPv6 is written so that its port can be told apart."""
    server = lab.server("serve", hosts=["::1"])
    ports = {server.port + n for n in (-1, 0, 1, 2, 3)}
    assert {event["addr"] for event in server.logged("listening")} == {f"[::1]:{port}" for port in ports}


# --- hostile input ----------------------------------------------------------------------------------------------------


def throw_at_id_server(lab: Lab, server: Server, evil: bytes) -> None:
    """This text in every place of every message to an ID server."""
    target = server.target()
    b = lab.registered(target)
    peer = lab.peer(target, evil)
    peer.register_peer()
    peer.send("RegisterPk", id=evil, uuid=b"uuid", pk=bytes(32))
    peer.send("RegisterPk", id=fresh_id(), uuid=evil, pk=evil, old_id=evil)
    peer.pending()
    for fields in ({"id": evil}, {"licence_key": evil}, {"token": evil, "version": evil, "switch_code": evil}):
        a = lab.controller(target)
        a.send("PunchHoleRequest", **{"id": b.id, "licence_key": target.key, **fields})
    for fields in ({"id": evil}, {"uuid": evil}, {"relay_server": evil}):
        lab.controller(target).send("RequestRelay", **{"id": b.id, "uuid": fresh_uuid(), **fields})
    answers = ("PunchHoleSent", "LocalAddr", "RelayResponse")
    for kind in answers:
        b.answer_and_wait(
            kind, socket_addr=rdwire.encode_addr(("127.0.0.9", 9)), id=evil, relay_server=evil, version=evil
        )
    lab.connection(target.id_port).send("RegisterPk", id=evil, uuid=b"uuid", pk=bytes(32), old_id=evil)
    lab.connection(target.nat_port).send("OnlineRequest", id=evil, peers=[evil, evil])
    lab.registered(target)


def throw_at_relay(lab: Lab, server: Server, evil: bytes) -> None:
    """This text in every place of a message to a relay."""
    target = server.target()
    lab.relay_side(target).send("RequestRelay", uuid=fresh_uuid(), licence_key=evil, id=evil, token=evil)
    uuid = fresh_uuid().encode() + evil[:50]
    for _ in range(2):
        lab.relay_side(target).send("RequestRelay", uuid=uuid, licence_key=target.key, id=evil, token=evil)
    sides = [lab.relay_side(target).join(fresh_uuid(), target.key) for _ in range(2)]
    for side in sides:
        side.close()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(lab: Lab, form: str, name: str) -> None:
    """Nothing that clients send makes a line of its own, an escape sequence or text that reads backwards."""
    server = into_file(lab, "serve", form)
    throw_at_id_server(lab, server, HOSTILE[name])
    throw_at_relay(lab, server, HOSTILE[name])
    server.stop()
    lines = read(log_file(lab))
    for line in lines:
        check_line(line, form)
    assert [line for line in lines if "evil" in line], "what was refused isn't to be seen at all"


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_settings(lab: Lab, form: str) -> None:
    """Odd characters in settings and paths don't break lines either."""
    here = lab.directory('da"ta\nevil\x1b[31m\u202e')
    server = start(lab, "id", here, "-k", "a\u202eb", "--log-format", form)
    server.stop()
    for line in server.lines:
        check_line(line, form)


@pytest.mark.parametrize("form", FORMATS)
def test_no_secret_in_a_log(lab: Lab, form: str) -> None:
    """A whole session at the highest level leaves neither the secret key nor its seed in the log."""
    place_pair(lab.directory())
    server = into_file(lab, "serve", form)
    target = server.target()
    b, a = lab.registered(target), lab.controller(target)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)
    uuid = fresh_uuid()
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))
    server.stop()
    assert_no_secret(log_file(lab).read_text())


def assert_no_secret(text: str) -> None:
    assert not [part for part in (PAIR[SECRET][:16], PAIR[SECRET][-24:], PAIR["seed"][:16]) if part in text]


@pytest.mark.parametrize("role", ["id", "relay"])
@pytest.mark.parametrize("key", [PAIR[SECRET], PAIR[SECRET].rstrip("=")], ids=["whole", "without padding"])
def test_secret_that_a_client_shows(lab: Lab, role: str, key: str) -> None:
    """Clients that were configured with the secret by mistake are refused, and it isn't logged."""
    place_pair(lab.directory())
    server = into_file(lab, role, "text")
    refuse(lab, server, key)
    server.stop()
    assert_no_secret(log_file(lab).read_text())


# --- wrong keys -------------------------------------------------------------------------------------------------------


def refuse(lab: Lab, server: Server, key: str) -> None:
    """Shows this key, which is refused."""
    target = server.target(key=key)
    if server.role == "relay":
        RelaySide(target.relay_port).join(fresh_uuid(), key).recv_end()
        return
    a = lab.controller(target)
    a.punch(fresh_id())
    assert a.expect("PunchHoleResponse")["failure"] == rdwire.Failure.LICENSE_MISMATCH


@pytest.mark.parametrize("name", ["id", "relay", "hbbs", "hbbr"])
def test_wrong_key_with_both_fingerprints(lab: Lab, name: str) -> None:
    """A refusal for a wrong key tells which one the client has and which one it should have."""
    place_pair(lab.directory())
    server = start_as(lab, name, lab.directory())
    refuse(lab, server, OTHER[PUBLIC])
    both = rdwire.fingerprint(OTHER[PUBLIC]), rdwire.fingerprint(PAIR[PUBLIC])
    wait_until(lambda: warned_of(server, *both), WAIT_S, "both fingerprints in a warning")


@pytest.mark.parametrize("role", ["id", "relay"])
@pytest.mark.parametrize("key", ["", "text", "evil\n"])
def test_wrong_key_that_is_no_key(lab: Lab, role: str, key: str) -> None:
    """Who shows no key, or a text that can't be one, is logged with the key that the server has."""
    place_pair(lab.directory())
    server = lab.server(role)
    refuse(lab, server, key)
    wait_until(lambda: warned_of(server, rdwire.fingerprint(PAIR[PUBLIC])), WAIT_S, "a warning")


def test_wrong_key_under_a_text(lab: Lab) -> None:
    """Where a text is enforced that is no key, the client's fingerprint is logged all the same."""
    server = lab.server("relay", "-k", "just a text")
    lab.relay_side(server.target(key="")).join(fresh_uuid(), OTHER[PUBLIC]).recv_end()
    wait_until(lambda: warned_of(server, rdwire.fingerprint(OTHER[PUBLIC])), WAIT_S, "a warning")


@pytest.mark.parametrize("role", ["id", "relay"])
def test_wrong_keys_are_logged_at_a_limited_rate(lab: Lab, role: str) -> None:
    """Hundreds of refusals are some lines, but all of them are counted, under the name that the log gives."""
    server = lab.server(role, log_level="info")
    begun = time.monotonic()
    for _ in range(400):
        refuse(lab, server, OTHER[PUBLIC])
        lab.close_clients()
    seconds = time.monotonic() - begun
    wait_until(lambda: server.refusals(), WAIT_S, "a refusal in the log")
    (reason,) = {event["reason"] for event in server.refusals()}
    wait_until(lambda: ctl(server.directory, role)["counters"].get(reason) == 400, WAIT_S, f"400 of {reason}")
    assert 1 <= len(server.refusals()) <= 10 * (seconds + 5)


def test_junk_is_logged_at_a_limited_rate(lab: Lab) -> None:
    """A flood of junk doesn't fill the disk: thousands of datagrams are some lines, and counted."""
    server = lab.server("id", log_level="info")
    peer = lab.peer(server.target())
    for _ in range(40):
        for _ in range(100):
            peer.send_raw(b"\xff\xff junk")
        peer.pending()
    assert sum(ctl(server.directory, "id")["counters"].values()) > 1000
    assert len(server.lines) < 150


# --- log-file ---------------------------------------------------------------------------------------------------------


def refusals_in(path: Path) -> int:
    """How many refusals of the other key the file holds."""
    return path.read_text().count(rdwire.fingerprint(OTHER[PUBLIC])) if path.exists() else 0


def test_reopening_loses_nothing(lab: Lab) -> None:
    """Renaming alone changes nothing; with SIGHUP the old file ends and the new one goes on, with no event lost."""
    server, path, old = into_file(lab, "id", "json"), log_file(lab), lab.tmp_path / "old.log"
    refuse(lab, server, OTHER[PUBLIC])
    path.rename(old)
    refuse(lab, server, OTHER[PUBLIC])
    wait_until(lambda: refusals_in(old) == 2, WAIT_S, "two refusals in the old file")
    assert not path.exists()
    os.kill(server.pid, signal.SIGHUP)
    wait_until(path.exists, WAIT_S, "the new file")
    refuse(lab, server, OTHER[PUBLIC])
    wait_until(lambda: refusals_in(path) == 1, WAIT_S, "a refusal in the new file")
    server.stop()
    assert refusals_in(old) == 2 and refusals_in(path) == 1
    assert json.loads(read(path)[-1])["event"] == "stopped"


def test_log_file_is_appended_to(lab: Lab) -> None:
    """A restart goes on in the same file."""
    log_file(lab).write_text("mine\n")
    server = into_file(lab, "relay", "json")
    server.stop()
    server.launch()
    wait_until(lambda: log_file(lab).read_text().count('"ready"') == 2, WAIT_S, "ready again in the log")
    assert log_file(lab).read_text().startswith("mine\n")


@pytest.mark.parametrize("role", ["id", "serve"])
def test_log_file_takes_everything(lab: Lab, role: str) -> None:
    """With a log file stderr says at most where the log is; whole runs are in the file."""
    server = into_file(lab, role, "json")
    server.stop()
    assert len(server.lines) <= 2
    assert {"listening", "server key", "ready", "stopped"} <= {
        json.loads(line)["event"] for line in read(log_file(lab))
    }


def test_log_file_that_can_not_be_opened(tmp_path: Path) -> None:
    """A log file that can't be opened stops the start, with its name."""
    path = tmp_path / "missing" / "rdsrv.log"
    done = as_name("id", *place_args(), "--log-file", path, cwd=tmp_path)
    assert_refused(done, done.returncode, str(path))
    assert done.returncode in (1, 2)


def test_reopening_that_fails(lab: Lab) -> None:
    """SIGHUP when the log's directory is gone ends nobody; the server goes on, and reopens when it can."""
    place = lab.directory("logs")
    path = place / "rdsrv.log"
    server = lab.prepare("id", "--log-file", str(path)).launch()
    wait_until(lambda: path.exists() and "ready" in path.read_text(), WAIT_S, "ready in the log")
    place.rename(lab.tmp_path / "away")
    os.kill(server.pid, signal.SIGHUP)
    assert ctl(lab.directory(), "id")["pid"] == server.pid
    lab.registered(server.target())
    place.mkdir()
    os.kill(server.pid, signal.SIGHUP)
    wait_until(path.exists, WAIT_S, "a new log")


def test_many_signals(lab: Lab) -> None:
    """A hundred SIGHUPs in a row leave one open file, not a hundred."""
    server = into_file(lab, "id", "json")
    before = server.descriptors()
    for _ in range(100):
        os.kill(server.pid, signal.SIGHUP)
        ctl(server.directory, "id")
    wait_until(lambda: server.descriptors() <= before + 1, WAIT_S, "no more open files than before")


# --- journald ---------------------------------------------------------------------------------------------------------


def under_journal(to: Path | None = None) -> list[str]:
    """What goes before a command so that its stderr, or this file as its stderr, is the journal's stream."""
    redirect = f"exec 2>>{shlex.quote(str(to))}; " if to else ""
    stream = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); export JOURNAL_STREAM; "
    return ["sh", "-ec", redirect + stream + 'exec "$0" "$@"']


@pytest.mark.parametrize("role", ["id", "relay", "serve"])
def test_journal(lab: Lab, role: str) -> None:
    """Under journald each line has its priority and no time."""
    server = start(lab, role, lab.directory(), "-k", "", "--log-level", "debug", prefix=under_journal())
    refuse_nothing(lab, server)
    server.stop()
    matches = [JOURNAL_LINE.fullmatch(line) for line in server.lines]
    assert all(matches), server.log_text()
    priorities = {match[1] for match in matches if match}
    assert {"4", "6"} <= priorities <= {"4", "6", "7"}
    assert not [line for line in server.lines if re.match(rf"<\d>.{{0,10}}{TEXT_TIME}", line)]
    assert next(m[1] for m in matches if m and "no key is enforced" in m[2]) == "4"
    assert next(m[1] for m in matches if m and "ready" in m[2]) == "6"


def refuse_nothing(lab: Lab, server: Role) -> None:
    """Something for the debug level."""
    if server.role != "relay":
        lab.registered(server.target(key=""))


def test_journal_in_a_file(lab: Lab) -> None:
    """What stderr is, its device and number tell: a file will do as well as a pipe."""
    path = lab.tmp_path / "stderr"
    server = Role("id", lab.directory(), prefix=under_journal(path))
    lab.servers.append(server)
    server.launch()
    wait_until(lambda: path.exists() and "ready" in path.read_text(), WAIT_S, "ready")
    assert all(JOURNAL_LINE.fullmatch(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize("value", ["8:123456", "", "x", "1:", ":1", "99999999999999999999:1", "-1:-1"])
def test_foreign_journal(lab: Lab, value: str) -> None:
    """JOURNAL_STREAM that is inherited, but not about our stderr, changes nothing."""
    server = start(lab, "id", lab.directory(), env={"JOURNAL_STREAM": value})
    assert all(TEXT_LINE.fullmatch(line) for line in server.lines)


def test_log_file_under_journald(lab: Lab) -> None:
    """The log file isn't the journal: its lines have their time."""
    server = Role("id", lab.directory(), "--log-file", log_file(lab), prefix=under_journal())
    lab.servers.append(server)
    server.launch()
    wait_until(lambda: log_file(lab).exists() and "ready" in log_file(lab).read_text(), WAIT_S, "ready")
    assert all(TEXT_LINE.fullmatch(line) for line in read(log_file(lab)))


def test_hostile_text_under_journald(lab: Lab) -> None:
    """A client can't give a line another priority or begin one."""
    server = start(lab, "serve", lab.directory(), "--log-level", "trace", prefix=under_journal())
    for evil in (b"evil\n<0>forged", b"<0>evil", b"evil\r<1>"):
        throw_at_id_server(lab, server, evil)
        throw_at_relay(lab, server, evil)
    server.stop()
    assert all(JOURNAL_LINE.fullmatch(line) for line in server.lines), server.log_text()


# --- failed starts ----------------------------------------------------------------------------------------------------


def failed_start(tmp_path: Path, *args: str | Path, **options: Any) -> list[str]:
    """The lines on stderr of a start that a damaged key stops."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    (data / SECRET).write_text("damaged")
    done = as_name("id", "--data-dir", data, *place_args(), *args, cwd=tmp_path, **options)
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_failed_start_in_text(tmp_path: Path) -> None:
    """A failed start is a line of the log, of level error."""
    lines = failed_start(tmp_path)
    assert [line for line in lines if TEXT_LINE.fullmatch(line)] == lines
    (error,) = [line for line in lines if " error " in line]
    assert SECRET in error and error == lines[-1]


def test_failed_start_in_json(tmp_path: Path) -> None:
    """So in JSON."""
    events = [json.loads(line) for line in failed_start(tmp_path, *JSON_LOG)]
    (error,) = [event for event in events if event["level"] == "error"]
    assert SECRET in json.dumps(error) and re.fullmatch(TEXT_TIME, error["time"])


def test_failed_start_under_journald(tmp_path: Path) -> None:
    """And for the journal, with the priority of errors."""
    lines = failed_start(tmp_path, prefix=under_journal())
    assert all(JOURNAL_LINE.fullmatch(line) for line in lines)
    assert lines[-1].startswith("<3>") and SECRET in lines[-1]


@pytest.mark.parametrize("form", FORMATS)
def test_failed_start_with_a_log_file(tmp_path: Path, form: str) -> None:
    """A failed start is told in the log file and on stderr, since nobody knows who looks where."""
    path = tmp_path / "rdsrv.log"
    lines = failed_start(tmp_path, "--log-file", path, "--log-format", form)
    assert [line for line in lines if SECRET in line] and [line for line in read(path) if SECRET in line]
    for line in read(path):
        check_line(line, form)


@pytest.mark.parametrize("level", ["error", "trace"])
def test_failed_start_at_every_level(tmp_path: Path, level: str) -> None:
    """A failed start is told at every log level."""
    assert [line for line in failed_start(tmp_path, "--log-level", level) if SECRET in line]
