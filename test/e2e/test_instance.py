"""Goal: keys are made once and never overwritten, and every command finds the one instance that it is about."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

import rdwire
from conftest import Lab
from polling import wait_until
from rdclient import RelaySide, assert_joined, fresh_uuid
from rdserver import Server, free_base_port, keygen, random_loopback, run_rdsrv, wait_ready_all

VECTORS = json.loads((Path(__file__).resolve().parent.parent / "vectors" / "keyfile.json").read_text())
PAIR, OTHER = VECTORS["keys"]
SECRET, PUBLIC = "id_ed25519", "id_ed25519.pub"


def place_pair(directory: Path, pair: dict[str, str] = PAIR) -> None:
    for name in (SECRET, PUBLIC):
        (directory / name).write_text(pair[name])
    (directory / SECRET).chmod(0o600)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- keygen ---------------------------------------------------------------------------------------------------------


def test_keygen(tmp_path: Path) -> None:
    """keygen makes the pair with the right modes and prints the public key alone."""
    done = run_rdsrv("keygen", "--data-dir", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0
    secret, public = (tmp_path / SECRET).read_text(), (tmp_path / PUBLIC).read_text()
    assert done.stdout.splitlines() == [public]
    assert rdwire.public_of_secret(secret) == public
    assert secret == secret.strip() and public == public.strip()
    assert (mode(tmp_path / SECRET), mode(tmp_path / PUBLIC)) == (0o600, 0o644)
    assert done.stderr.strip()


def test_keygen_under_a_strange_umask(tmp_path: Path) -> None:
    """The modes don't depend on the umask."""
    before = os.umask(0o177)
    try:
        keygen(tmp_path)
    finally:
        os.umask(before)
    assert (mode(tmp_path / SECRET), mode(tmp_path / PUBLIC)) == (0o600, 0o644)


def test_keys_can_be_file_names(tmp_path: Path) -> None:
    """New keys hold neither / nor :."""
    for number in range(30):
        directory = tmp_path / str(number)
        directory.mkdir()
        assert not set("/:") & set(keygen(directory))


@pytest.mark.parametrize("present", [(SECRET, PUBLIC), (SECRET,)], ids=["pair", "secret"])
def test_keygen_overwrites_nothing(tmp_path: Path, present: tuple[str, ...]) -> None:
    """With a pair there, keygen says so and exits 1; the files are untouched."""
    place_pair(tmp_path)
    for name in {SECRET, PUBLIC} - set(present):
        (tmp_path / name).unlink()
    before = files(tmp_path)
    done = run_rdsrv("keygen", "--data-dir", str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert SECRET in done.stderr or str(tmp_path) in done.stderr
    assert {name: files(tmp_path)[name] for name in before} == before


# --- key files at start ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["id", "relay", "serve"])
def test_first_start_makes_the_pair(lab: Lab, role: str) -> None:
    """A first start makes the pair and logs its key and fingerprint, never the secret."""
    server = lab.server(role)
    secret = (server.directory / SECRET).read_text()
    assert rdwire.public_of_secret(secret) == server.key
    assert mode(server.directory / SECRET) == 0o600
    assert server.logged("server key", key=server.key, fingerprint=rdwire.fingerprint(server.key))
    assert secret not in server.log_text() and secret[:20] not in server.log_text()


def test_present_pair_is_used(lab: Lab) -> None:
    """A pair in the directory is used as it is, with white space around it too."""
    place_pair(lab.directory())
    (lab.directory() / SECRET).write_text(f"\n {PAIR[SECRET]} \r\n")
    before = (lab.directory() / SECRET).read_bytes()
    server = lab.server("id")
    assert server.logged("server key", key=PAIR[PUBLIC])
    b, a = lab.registered(server.target()), lab.controller(server.target(key=PAIR[PUBLIC]))
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)
    assert (lab.directory() / SECRET).read_bytes() == before


def failed_start(role: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """A start that must end by itself."""
    host = random_loopback()
    port = str(free_base_port([host]))
    return run_rdsrv(role, "--data-dir", str(directory), "--bind", host, "--port", port, cwd=directory)


@pytest.mark.parametrize("role", ["id", "relay"])
@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda c: c["error"])
def test_damaged_secret_stops_the_start(tmp_path: Path, case: dict[str, str], role: str) -> None:
    """A damaged key file is named, with its fault, and left alone."""
    (tmp_path / SECRET).write_text(case[SECRET])
    before = files(tmp_path)
    done = failed_start(role, tmp_path)
    assert done.returncode == 1
    assert SECRET in done.stderr
    assert {name: files(tmp_path)[name] for name in before} == before


def test_mismatching_public_file_stops_the_start(tmp_path: Path) -> None:
    """A .pub of another pair is an error too: nobody could tell which of the two clients have."""
    place_pair(tmp_path)
    (tmp_path / PUBLIC).write_text(OTHER[PUBLIC])
    done = failed_start("id", tmp_path)
    assert done.returncode == 1 and PUBLIC in done.stderr
    assert (tmp_path / PUBLIC).read_text() == OTHER[PUBLIC]


def test_readable_secret_is_warned_of(lab: Lab) -> None:
    """A secret key that others can read is named in a warning, with the chmod that mends it."""
    place_pair(lab.directory())
    (lab.directory() / SECRET).chmod(0o644)
    server = lab.server("id")
    assert [e for e in server.events if str(e["level"]).startswith("warn") and "chmod" in str(e) and SECRET in str(e)]


def test_two_roles_that_start_at_once(lab: Lab) -> None:
    """ID server and relay, started together in one empty directory, have one pair."""
    for round in range(5):
        directory = lab.directory(str(round))
        one = lab.prepare("id", directory=directory)
        other = lab.prepare("relay", directory=directory, hosts=one.hosts, port=one.port)
        one.launch()
        other.launch()
        wait_ready_all([one, other])
        for server in (one, other):
            assert server.logged("server key", key=one.key)
            server.stop()


# --- -k -------------------------------------------------------------------------------------------------------------


def signed_by(lab: Lab, server: Server, key: str) -> bytes:
    """The signed IdPk that an A with this key gets."""
    b, a = lab.registered(server.target(key=key)), lab.controller(server.target(key=key))
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    answer = a.expect("PunchHoleResponse")
    if answer["pk"]:
        assert a.verified(answer) == (b.id, b.pk)
    return answer["pk"]


def is_enforced(lab: Lab, server: Server) -> bool:
    a = lab.controller(server.target(key="no key of anybody"))
    a.punch("nobody-at-all")
    return a.expect("PunchHoleResponse")["failure"] == rdwire.Failure.LICENSE_MISMATCH


def test_secret_given_as_key(lab: Lab) -> None:
    """-k SECRET uses that pair and writes nothing; the secret shows nowhere."""
    server = lab.server("id", "-k", PAIR[SECRET])
    assert signed_by(lab, server, PAIR[PUBLIC]) and is_enforced(lab, server)
    assert not {SECRET, PUBLIC} & set(files(server.directory))
    assert PAIR[SECRET] not in server.log_text()


def test_public_half_given_as_key(lab: Lab) -> None:
    """-k PUBLIC that belongs to the key files: they sign."""
    place_pair(lab.directory())
    server = lab.server("id", "-k", PAIR[PUBLIC])
    assert signed_by(lab, server, PAIR[PUBLIC]) and is_enforced(lab, server)


@pytest.mark.parametrize("key", [PAIR[PUBLIC], "any-text"])
def test_text_given_as_key(lab: Lab, key: str) -> None:
    """-k TEXT without its secret: enforced, nothing signed, and the start warns of what that means."""
    server = lab.server("id", "-k", key)
    assert signed_by(lab, server, key) == b"" and is_enforced(lab, server)
    assert [e for e in server.events if str(e["level"]).startswith("warn")]


@pytest.mark.parametrize("key", ["-", "_"])
def test_key_files_asked_for(lab: Lab, key: str) -> None:
    """-k - and -k _ mean the key files."""
    server = lab.server("id", "-k", key)
    assert signed_by(lab, server, server.key) and is_enforced(lab, server)


def test_hbbr_is_open_without_a_key(lab: Lab) -> None:
    """Called as hbbr without -k in a directory without key files, the relay is open, warns, and makes no files."""
    server = lab.server("relay", argv0="hbbr")
    uuid = fresh_uuid()
    address = (server.host, server.port + 1)
    assert_joined(*(lab.keep(RelaySide(address)).join(uuid, key) for key in ("", "some key")))
    assert not {SECRET, PUBLIC} & set(files(server.directory))
    assert [e for e in server.events if str(e["level"]).startswith("warn")]


def test_hbbr_makes_key_files_when_told_to(lab: Lab) -> None:
    """hbbr -k _ makes the pair if nobody does, and enforces it."""
    server = lab.server("relay", "-k", "_", argv0="hbbr")
    target = server.target()
    lab.relay_side(target).join(fresh_uuid(), "").recv_end()
    uuid = fresh_uuid()
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))


def test_hbbs_serves_its_working_directory(lab: Lab) -> None:
    """Called as hbbs it is an ID server with key files, as ever."""
    server = lab.server("id", argv0="hbbs")
    assert signed_by(lab, server, server.key) and is_enforced(lab, server)


def test_hbbs_g_renews_with_a_backup(tmp_path: Path) -> None:
    """hbbs -g renews the pair and keeps the old one under a dated name."""
    place_pair(tmp_path)
    done = run_rdsrv("-g", cwd=tmp_path, argv0="hbbs")
    assert done.returncode == 0, done.stderr
    new = (tmp_path / PUBLIC).read_text()
    assert new != PAIR[PUBLIC] and rdwire.public_of_secret((tmp_path / SECRET).read_text()) == new
    backups = [p for p in tmp_path.iterdir() if re.fullmatch(r"id_ed25519\.bak\.\d{8}.*", p.name)]
    assert [p.read_text() for p in backups] == [PAIR[SECRET]]
    assert mode(backups[0]) == 0o600


# --- which instance -------------------------------------------------------------------------------------------------


def chosen(done: subprocess.CompletedProcess[str], directory: Path) -> bool:
    """keygen found this directory: it says so, and that a pair is there already."""
    return done.returncode == 1 and str(directory) in done.stderr


def test_instance_by_flag(tmp_path: Path) -> None:
    """--data-dir goes before the environment and the working directory."""
    wanted, other = tmp_path / "wanted", tmp_path / "other"
    for directory in (wanted, other):
        directory.mkdir()
        place_pair(directory)
    done = run_rdsrv("keygen", "--data-dir", str(wanted), cwd=other, env={"RDSRV_DATA_DIR": str(other)})
    assert chosen(done, wanted) and str(other) not in done.stderr


def test_instance_by_environment(tmp_path: Path) -> None:
    """RDSRV_DATA_DIR goes before the working directory."""
    wanted, other = tmp_path / "wanted", tmp_path / "other"
    for directory in (wanted, other):
        directory.mkdir()
        place_pair(directory)
    assert chosen(run_rdsrv("keygen", cwd=other, env={"RDSRV_DATA_DIR": str(wanted)}), wanted)


def test_instance_by_working_directory(tmp_path: Path) -> None:
    """The working directory counts if it holds a key or a database."""
    place_pair(tmp_path)
    assert chosen(run_rdsrv("keygen", cwd=tmp_path), tmp_path)


def test_instance_by_database_alone(tmp_path: Path) -> None:
    """A database without a key makes a directory an instance: keygen makes the key there."""
    shutil.copy(Path(__file__).resolve().parent.parent / "vectors" / "db_v2.sqlite3", tmp_path)
    done = run_rdsrv("keygen", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / SECRET).exists()
    assert str(tmp_path) in done.stderr


def in_fresh_var_lib(*names: str) -> list[str]:
    """What goes before a command so that it sees a /var/lib of its own, with these instances in it."""
    make = "; ".join(f"mkdir -p /var/lib/{name} && touch /var/lib/{name}/db_v2.sqlite3" for name in names) or ":"
    script = f'mount -t tmpfs tmpfs /var/lib && {{ {make}; }} && exec "$0" "$@"'
    return ["unshare", "--mount", "sh", "-c", script]


def can_unshare() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return subprocess.run([*in_fresh_var_lib(), "true"], capture_output=True).returncode == 0


needs_unshare = pytest.mark.skipif(not can_unshare(), reason="mount namespaces can't be made here")


@needs_unshare
@pytest.mark.parametrize("name", ["rdsrv", "rustdesk-server", "rustdesk"])
def test_instance_by_its_usual_place(tmp_path: Path, name: str) -> None:
    """Typed anywhere, the one directory under /var/lib that holds an instance is found."""
    done = run_rdsrv("keygen", cwd=tmp_path, prefix=in_fresh_var_lib(name))
    assert done.returncode == 0, done.stderr
    assert f"/var/lib/{name}" in done.stderr and not list(tmp_path.iterdir())


@needs_unshare
def test_two_instances(tmp_path: Path) -> None:
    """Two instances: exit 2, both named, nothing done."""
    done = run_rdsrv("keygen", cwd=tmp_path, prefix=in_fresh_var_lib("rdsrv", "rustdesk"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "/var/lib/rdsrv" in done.stderr and "/var/lib/rustdesk" in done.stderr
    assert not list(tmp_path.iterdir())


@needs_unshare
def test_no_instance(tmp_path: Path) -> None:
    """No instance: exit 1, and it says how to name one."""
    done = run_rdsrv("keygen", cwd=tmp_path, prefix=in_fresh_var_lib())
    assert (done.returncode, done.stdout) == (1, "")
    assert "--data-dir" in done.stderr or "RDSRV_DATA_DIR" in done.stderr
    assert not list(tmp_path.iterdir())


# --- the running instance -------------------------------------------------------------------------------------------


def ctl(server: Server, role: str, what: str) -> dict[str, Any]:
    done = run_rdsrv("ctl", "--data-dir", str(server.directory), "--json", role, what, cwd=server.directory)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_control_socket(lab: Lab) -> None:
    """A running role tells its status and its effective settings, to its owner only."""
    server = lab.server("serve", "-r", "relay.example")
    for role in ("id", "relay"):
        assert isinstance(ctl(server, role, "status"), dict)
        assert mode(server.directory / f"{role}.sock") == 0o600
    assert "relay.example" in json.dumps(ctl(server, "id", "settings"))
    server.stop()
    done = run_rdsrv("ctl", "--data-dir", str(server.directory), "id", "status", cwd=server.directory)
    assert done.returncode == 1 and done.stderr.strip()


@pytest.mark.parametrize("role", ["id", "relay"])
def test_second_role_in_one_directory_is_refused(lab: Lab, role: str) -> None:
    """A role runs once in a directory; after a SIGKILL the next one starts."""
    first = lab.server(role)
    second = lab.prepare(role, directory=first.directory)
    with pytest.raises(AssertionError, match="ended with 1 "):
        second.start()
    assert f"rdsrv-{role}.lock" in second.log_text() or str(first.directory) in second.log_text()
    second.stop(code=1)
    first.kill()
    second.restarted()


def test_port_in_use_fails_the_start(lab: Lab) -> None:
    """A port that somebody else has is a failed start: exit 1, and the log names the address."""
    first = lab.server("id")
    second = lab.prepare("id", directory=lab.directory("other"), hosts=first.hosts, port=first.port)
    with pytest.raises(AssertionError, match="ended with 1 "):
        second.start()
    assert first.host in second.log_text()
    second.stop(code=1)
    lab.registered(first.target())


@pytest.mark.parametrize(
    "args",
    [
        ("--port", "70000"),
        ("--port", "x"),
        ("--limit-register-minute", "-1"),
        ("--limit-exempt", "300.0.0.0/8"),
        ("--log-format", "xml"),
        ("--bind", "no address"),
        ("--no-such-setting", "1"),
    ],
    ids=" ".join,
)
def test_bad_settings(tmp_path: Path, args: tuple[str, ...]) -> None:
    """Bad settings exit 2 with a line that names the setting, before anything is made."""
    for test in ((), ("--test-config",)):
        done = run_rdsrv("id", "--data-dir", str(tmp_path), *args, *test, cwd=tmp_path)
        assert done.returncode == 2
        assert args[0].removeprefix("--") in done.stderr
    assert not list(tmp_path.iterdir())


def test_test_config(tmp_path: Path) -> None:
    """--test-config prints every effective value and exits 0 without starting or making anything."""
    done = run_rdsrv("serve", "--data-dir", str(tmp_path), "--port", "23456", "--test-config", cwd=tmp_path)
    assert done.returncode == 0
    assert "23456" in done.stdout and "limit-ids-day" in done.stdout and "300" in done.stdout
    assert not list(tmp_path.iterdir())


def test_default_server_conf(lab: Lab) -> None:
    """The first start writes a server.conf for clients, from --id-server and -r; a later one leaves it alone."""
    server = lab.server("serve", "--id-server", "id.example", "-r", "relay.example:31117")
    path = server.directory / "server.conf"
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.read(path)
    conf = parser["server"]
    assert conf["id_server"].split(":")[0] == "id.example"
    assert (conf["relay_server"], conf["key"]) == ("relay.example:31117", server.key)
    server.stop()
    path.write_text("# mine\n" + path.read_text())
    before = path.read_bytes()
    server.restarted()
    assert path.read_bytes() == before


def test_log_file_is_reopened(lab: Lab) -> None:
    """log-file takes the log, and SIGHUP opens it anew."""
    log = lab.tmp_path / "rdsrv.log"
    server = lab.prepare("id", "--log-file", str(log)).launch()
    wait_until(lambda: log.exists() and '"ready"' in log.read_text(), 10, "ready in the log file")
    log.rename(lab.tmp_path / "old.log")
    os.kill(server.pid, 1)
    wait_until(log.exists, 10, "a new log file")
    assert all(json.loads(line)["event"] for line in (lab.tmp_path / "old.log").read_text().splitlines())


@pytest.mark.parametrize("signal_number", [2, 15])
def test_signals_stop_cleanly(lab: Lab, signal_number: int) -> None:
    """SIGINT and SIGTERM end every role with exit 0, with clients connected too."""
    for role in ("id", "relay", "serve"):
        server = lab.server(role, directory=lab.directory(role))
        target = server.target()
        if role != "relay":
            lab.registered(target)
            lab.controller(target)
        if role != "id":
            lab.relay_side(target).join(fresh_uuid(), target.key)
        os.kill(server.pid, signal_number)
        wait_until(lambda: not server.running, 15, "the end after a signal")
        server.stop(code=0)


def test_log_lines(lab: Lab) -> None:
    """Every line is one JSON object with time, level and event; hostile bytes can't make lines of their own."""
    server = lab.server("id")
    for peer_id in ('evil\n{"event":"forged"}', "evil\x1b[31m\r\n", "evil\x00\x7f\x85"):
        a = lab.controller(server.target())
        a.punch(peer_id)
        a.recv_payload()
        lab.peer(server.target(), peer_id).register_pk()
    server.stop()
    for line in server.lines:
        event = json.loads(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]), line
        assert event["level"] and event["event"] != "forged"
        assert not set("\x1b\x7f\x85") & set(line)
