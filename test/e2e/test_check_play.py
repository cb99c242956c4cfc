"""rdsrv check plays clients: what a healthy server of each kind shows, and what a played client can find wrong."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from conftest import Lab
from localcheck import STEP_S, checks, found, healthy
from rdclient import Target
from rdserver import Server, has_ipv6_loopback, keygen, random_loopback, run_rdsrv
from rdwire import config_json, config_string

PLAYED = (
    "udp.register tcp.secure tcp.register ws.register nat online punch punch.key "
    "relay.tcp relay.ws relay.mixed relay.key relay.name http.21114"
).split()
STRANGER = "4Rl3uMhHAa5ZvjWfuU9cKSuTzPJVYg3dmmGyDJbIgOE="


def played(*args: str, cwd: Path = Path("/"), prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """A check of a server elsewhere; all results by name."""
    done = run_rdsrv("check", "--json", "--timeout", str(STEP_S), *args, cwd=cwd, prefix=prefix)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    for check in report["checks"]:
        assert check["status"] in ("ok", "skip") or (check["detail"] and check["fix"]), check
    return {check["name"]: check for check in report["checks"]}


def from_outside(target: Target, *args: str, key: str | None = None) -> dict[str, Any]:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return played("--host", f"{host}:{target.port}", "--key", key or target.key, *args)


def statuses(results: dict[str, Any]) -> dict[str, str]:
    return {name: check["status"] for name, check in results.items()}


def ctl(server: Server, *words: str) -> None:
    done = run_rdsrv("ctl", "--data-dir", str(server.directory), *words, cwd=server.directory)
    assert done.returncode == 0, done.stderr


def rows(server: Server) -> list[str]:
    """The ids in the server's database."""
    with sqlite3.connect(f"file:{server.directory}/db_v2.sqlite3?mode=ro", uri=True) as db:
        return [row[0] for row in db.execute("select id from peer")]


def all_fine(results: dict[str, Any]) -> None:
    assert statuses(results) == dict.fromkeys(PLAYED, "ok"), results


# --- healthy ones ---------------------------------------------------------------------------------------------------


def test_serve_is_healthy_and_nothing_stays_behind(lab: Lab) -> None:
    server = lab.server("serve")
    before = sorted(path.name for path in server.directory.iterdir())
    all_fine(checks(server.directory, *PLAYED))
    assert rows(server) == []
    status = server.status_of("id")
    assert (status["peers"], status["online"], status["check_ids"], status["counters"]) == (0, 0, 0, {})
    ctl(server, "id", "key-use")  # writes down which keys are in use
    assert sorted(path.name for path in server.directory.iterdir()) == before


def test_two_processes_are_healthy(lab: Lab) -> None:
    directory = lab.directory()
    server = lab.server("id", directory=directory)
    lab.server("relay", directory=directory, port=server.port, hosts=server.hosts)
    all_fine(checks(directory, *PLAYED))


@pytest.mark.skipif(not has_ipv6_loopback(), reason="there is no IPv6 here")
def test_ipv6_alone_is_healthy(lab: Lab) -> None:
    server = lab.server("serve", hosts=["::1"])
    all_fine(checks(server.directory, *PLAYED))
    results = from_outside(server.target(), "--register", "--only", ",".join(PLAYED))
    all_fine(results)


def test_no_new_ids_and_low_limits_are_no_obstacle(lab: Lab) -> None:
    server = lab.server("serve", "--enrol", "closed", "--limit-register-minute", "1", "--limit-ids-day", "1")
    for _ in range(3):
        all_fine(checks(server.directory, *PLAYED))
    assert rows(server) == []


def test_sessions_that_the_relay_was_not_told_of(lab: Lab) -> None:
    """A relay that takes only those that the ID server has passed on takes a check's."""
    server = lab.server("serve", "--relay-only-issued", "on")
    got = checks(server.directory, "relay")
    assert {got[name]["status"] for name in ("relay.tcp", "relay.ws", "relay.mixed", "relay.name")} == {"ok"}, got


# --- from outside ---------------------------------------------------------------------------------------------------


def test_outside_nothing_is_registered_unasked(lab: Lab) -> None:
    server = lab.server("serve")
    results = from_outside(server.target())
    assert results["udp.register"]["status"] == "ok" and "--register" in results["udp.register"]["detail"]
    needy = ("tcp.register", "ws.register", "online", "punch", "relay.name")
    assert {results[name]["status"] for name in needy} == {"skip"}, results
    assert "the key is accepted" in results["punch"]["detail"]
    assert {results[name]["status"] for name in ("relay.tcp", "relay.key", "punch.key", "tcp.secure", "nat")} == {"ok"}
    assert rows(server) == []


def test_outside_what_was_registered_is_named(lab: Lab) -> None:
    server = lab.server("serve")
    results = from_outside(server.target(), "--register", "--only", ",".join(PLAYED))
    all_fine(results)
    assert "its row stays behind" in results["udp.register"]["detail"]
    assert len(rows(server)) == 3 and all(row.startswith("rdsrv-check-") for row in rows(server))
    assert any(row in results["udp.register"]["detail"] for row in rows(server))


def test_another_key_is_told_to_be_another(lab: Lab) -> None:
    results = from_outside(lab.server("serve").target(), key=STRANGER)
    for name, says in {
        "tcp.secure": "another key than the client's",
        "punch": "key mismatch",
        "relay.tcp": "pairing fails",
    }.items():
        assert results[name]["status"] == "fail" and says in results[name]["detail"], results[name]
    assert "rdsrv export-conf" in results["tcp.secure"]["fix"]
    assert results["udp.register"]["status"] == "ok"


def test_without_a_key_what_needs_one_is_not_judged(lab: Lab) -> None:
    target = lab.server("serve").target()
    results = played("--host", f"{target.host}:{target.port}")
    for name in ("tcp.secure", "punch", "relay.tcp", "relay.ws", "relay.mixed"):
        assert results[name]["status"] == "skip" and "--key" in results[name]["detail"], results[name]
    assert not [check for check in results.values() if check["status"] == "fail"]


def test_rotations_of_the_key_are_no_fault(lab: Lab) -> None:
    """The server offers each address the key that it used last, and then others: clients come again."""
    server = lab.server("serve")
    healthy(server.directory, "tcp.secure")
    for _ in range(3):
        old = server.key
        done = run_rdsrv("keygen", "--rotate", "--data-dir", str(server.directory), cwd=server.directory)
        assert done.returncode == 0, done.stderr
        for _ in range(2):
            healthy(server.directory, "tcp.secure")
            assert from_outside(server.target(), "--only", "tcp.secure", key=old)["tcp.secure"]["status"] == "ok"


def test_what_clients_are_configured_with_is_enough(lab: Lab) -> None:
    target = lab.server("serve").target()
    host = f"{target.host}:{target.port}"
    string = config_string(config_json(host, f"{target.host}:{target.port + 1}", "", target.key))
    results = played("--conf", string)
    assert {results[name]["status"] for name in ("conf", "tcp.secure", "relay.tcp", "relay.ws")} == {"ok"}, results
    other = played("--conf", config_string(config_json(host, "", "", STRANGER)), "--only", "conf")
    assert other["conf"]["status"] == "fail" and "another key" in other["conf"]["detail"]


def test_configuration_at_the_server(lab: Lab) -> None:
    server = lab.server("serve", "--id-server", "rd.example.com")
    port = "" if server.port == 21116 else f":{server.port}"
    fits = config_string(config_json(f"rd.example.com{port}", "", "", server.key))
    healthy(server.directory, "conf", args=["--conf", fits])
    for wrong, says in {
        config_json(f"rd.example.com{port}", "", "", STRANGER): "its key is not this server's",
        config_json("elsewhere.example.com", "", "", server.key): "elsewhere.example.com",
    }.items():
        check = found(server.directory, "conf", "fail", says, args=["--conf", config_string(wrong)])
        assert "rdsrv export-conf" in check["fix"]


def test_each_message_is_shown_without_the_key(lab: Lab) -> None:
    target = lab.server("serve").target()
    done = run_rdsrv(
        "check", "--verbose", "--host", f"{target.host}:{target.port}", "--key", target.key, "--register", cwd=Path("/")
    )
    assert done.returncode == 0, done.stdout
    assert "> RegisterPeer{" in done.stderr and "< RegisterPkResponse{result=OK" in done.stderr
    assert "> PunchHoleRequest{" in done.stderr and "bytes of the session" in done.stderr
    assert target.key not in done.stderr


# --- faults that a played client finds ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option, name, says",
    [
        (("--secure-tcp", "off"), "tcp.secure", "secure-tcp is off"),
        (("--websocket-port", "off"), "ws.register", "websocket-port is off"),
        (("--relay-websocket-port", "off"), "relay.ws", "relay-websocket-port is off"),
        (("--nat-port", "off"), "nat", "nat-port is off"),
        (("--nat-port", "off"), "online", "nat-port is off"),
    ],
)
def test_what_is_turned_off(lab: Lab, option: tuple[str, str], name: str, says: str) -> None:
    """Found at the server; without that setting it is gone."""
    server = lab.server("serve", *option)
    check = found(server.directory, name, "warn", says)
    assert f"remove {option[0][2:]} = off" in check["fix"]
    server.stop()
    server.args = server.args[: -len(option)]
    healthy(server.restarted().directory, name)


def test_no_key_enforced_at_the_id_server(lab: Lab) -> None:
    server = lab.server("id", "--key", "")
    check = found(server.directory, "punch.key", "warn", "no key is enforced")
    assert "-k _" in check["fix"]
    server.stop()
    server.args = server.args[:-2]
    healthy(server.restarted().directory, "punch.key")


def test_no_key_enforced_by_one_that_can_t_be_asked(lab: Lab) -> None:
    """Where its settings aren't known, the advice is still an ID server's."""
    server = lab.server("id", "--key", "")
    (server.directory / "id.sock").unlink()
    env = {"RDSRV_BIND": server.host, "RDSRV_PORT": str(server.port)}
    check = found(server.directory, "punch.key", "warn", "no key is enforced", env=env)
    assert "without -k" in check["fix"] and "hbbr" not in check["fix"]


@pytest.mark.parametrize("name", ["punch.key", "relay.key"])
def test_no_key_enforced_by_a_file(lab: Lab, name: str) -> None:
    """Where it stands is said, since a person may not know that an empty setting opens the server."""
    config = lab.tmp_path / "open.conf"
    config.write_text("# that server's key\nkey =\n")
    server = lab.server("serve", "--config", str(config))
    check = found(server.directory, name, "warn", "")
    assert f"now {config}:2 has it" in check["fix"], check


def test_a_relay_that_lets_everybody_in(lab: Lab) -> None:
    directory = lab.directory()
    server = lab.server("id", directory=directory)
    relay = lab.server("relay", "--key", "", directory=directory, port=server.port, hosts=server.hosts)
    check = found(directory, "relay.key", "warn", "anybody can use it")
    assert "-k _" in check["fix"]
    relay.stop()
    relay.args[relay.args.index("--key") + 1] = "_"
    relay.restarted()
    healthy(directory, "relay.key")


def test_a_relay_with_another_key(lab: Lab) -> None:
    directory = lab.directory()
    server = lab.server("id", directory=directory)
    relay = lab.server("relay", "--key", STRANGER, directory=directory, port=server.port, hosts=server.hosts)
    for name in ("relay.tcp", "relay.ws", "relay.mixed"):
        assert "key files" in found(directory, name, "fail", "pairing fails")["fix"]
    found(directory, "relay.name", "fail", "pairing fails")
    relay.stop()
    relay.args[relay.args.index("--key") + 1] = "_"
    relay.restarted()
    assert set(statuses(checks(directory, "relay")).values()) == {"ok"}


def test_a_relay_that_is_down(lab: Lab) -> None:
    directory = lab.directory()
    server = lab.server("id", directory=directory)
    for name in ("relay.tcp", "relay.ws", "relay.mixed", "relay.name"):
        assert "relay" in found(directory, name, "fail", "refused")["fix"]
    lab.server("relay", directory=directory, port=server.port, hosts=server.hosts)
    assert set(statuses(checks(directory, "relay")).values()) == {"ok"}


@pytest.mark.parametrize("relay, says", [("relay.invalid", "does not resolve"), ("127.0.0.9:9", "refused")])
def test_a_relays_name_that_leads_nowhere(lab: Lab, relay: str, says: str) -> None:
    server = lab.server("serve", "--relay-servers", relay)
    check = found(server.directory, "relay.name", "fail", says)
    assert relay in check["detail"] and "relay-servers" in check["fix"]
    server.stop()
    server.args = server.args[:-2]
    healthy(server.restarted().directory, "relay.name")


def test_a_server_that_hangs_is_told_in_time(lab: Lab) -> None:
    """All checks together, and each that needs it says so."""
    server = lab.server("serve")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        got = checks(server.directory, *PLAYED, "service", step_s=3)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    for name in ("service.self", "service.id", "udp.register", "tcp.secure", "ws.register", "punch", "relay.tcp"):
        assert got[name]["status"] == "fail", got[name]
    all_fine(checks(server.directory, *PLAYED))


def test_an_id_server_that_is_down(lab: Lab) -> None:
    directory = lab.directory()
    keygen(directory)
    host = random_loopback()
    results = played("--host", host, "--key", STRANGER)
    refused = ("udp.register", "tcp.secure", "ws.register", "punch", "relay.tcp", "relay.ws")
    assert {results[name]["status"] for name in refused} == {"fail"}, results
    assert results["http.21114"]["status"] == "ok"


def test_a_name_that_does_not_resolve() -> None:
    results = played("--host", "rd.invalid", "--key", STRANGER, "--only", "udp,tcp,relay")
    for name in ("udp.register", "tcp.secure", "relay.tcp"):
        assert results[name]["status"] == "fail" and "does not resolve" in results[name]["detail"]
        assert "DNS" in results[name]["fix"]
