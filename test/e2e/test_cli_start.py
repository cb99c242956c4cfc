"""Goal: a start that can't be says why in one line and leaves everything as it was; an end is quick and clean."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Callable

import pytest

import database
import rdwire
from clihelp import (
    AT_MOST,
    DATABASE,
    NOBODY,
    PAIR,
    PUBLIC,
    RUN_UNTIL_READY,
    SECRET,
    UNTIL_READY,
    VECTORS,
    WAIT_S,
    Done,
    Place,
    Role,
    as_name,
    as_nobody,
    assert_refused,
    called,
    can_connect,
    complaint,
    ctl,
    free_place,
    look,
    names_in,
    needs_system,
    place_args,
    place_pair,
    rdsrv,
    start_as,
    warned_of,
)
from conftest import Lab
from handover import handed, tcp, udp
from polling import wait_until
from rdclient import Target, UdpPeer, assert_joined, fresh_uuid, online_states
from rdserver import Server, clean_env, has_ipv6_loopback

# Less than connections linger that were closed in anger.
QUICK_S = 4.5
ROLES = ("id", "relay", "serve")
HELD = [("id", -1, "tcp"), ("id", 0, "tcp"), ("id", 0, "udp"), ("relay", 1, "tcp"), ("serve", -1, "tcp")]
HELD += [("serve", 0, "udp"), ("serve", 1, "tcp"), ("hbbs", 0, "udp"), ("hbbr", 1, "tcp")]


def try_to_start(name: str, directory: Path, *args: str | Path, place: Place | None = None) -> Done:
    """A start that must end by itself, and is ended if it doesn't."""
    host, port = place or free_place()
    where = ("--bind", host) + (("--relay-port", str(port + 1)) if name == "hbbr" else ("--port", str(port)))
    return as_name(name, "--data-dir", directory, *where, *args, cwd=directory, prefix=AT_MOST)


def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, offset, proto", HELD)
def test_port_held(lab: Lab, name: str, offset: int, proto: str) -> None:
    """A port that another process holds: exit 1, one line that names it; when that process is gone, all is well."""
    place, data = free_place(), lab.directory()
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((place.host, place.port + offset))
        if proto == "tcp":
            holder.listen()
        done = try_to_start(name, data, "-k", PAIR[PUBLIC], place=place)
    assert_refused(done, 1, f"{place.host}:{place.port + offset}", proto.upper())
    assert not {"id.sock", "relay.sock"} & names_in(data)
    start_as(lab, name, data, "-k", PAIR[PUBLIC], **place.for_role())


def test_port_held_on_one_of_two_addresses(tmp_path: Path) -> None:
    """All addresses or none: nobody would notice the one that is missing."""
    one, other = free_place(), free_place()
    with socket.socket() as holder:
        holder.bind((other.host, one.port))
        holder.listen()
        done = try_to_start("id", data_dir(tmp_path), place=Place(f"{one.host},{other.host}", one.port))
    assert_refused(done, 1, f"{other.host}:{one.port}")


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::77"])
def test_address_that_nobody_has(tmp_path: Path, name: str, address: str) -> None:
    """An address that this machine doesn't have is named."""
    assert_refused(try_to_start(name, data_dir(tmp_path), place=Place(address, 20_000)), 1, address)


@pytest.mark.parametrize("name", ROLES)
def test_unknown_interface(lab: Lab, name: str) -> None:
    """An interface that isn't there is named, and waited for; test_interfaces.py has what comes then."""
    server = start_as(lab, name, lab.directory(), hosts=["nosuch0"], port=free_place().port)
    assert warned_of(server, "waiting", "nosuch0") and not server.logged("listening")


@pytest.mark.parametrize("name", ROLES)
def test_interface(lab: Lab, name: str) -> None:
    """The name of an interface stands for its addresses, of both families."""
    server = start_as(lab, name, lab.directory(), hosts=["lo"], port=free_place().port)
    addresses = {event["addr"].rpartition(":")[0] for event in server.logged("listening")}
    assert "127.0.0.1" in addresses and ("[::1]" in addresses) == has_ipv6_loopback()
    port = server.port + (1 if name == "relay" else 0)
    assert can_connect("127.0.0.1", port) and not can_connect("127.8.9.10", port)


@pytest.mark.parametrize("times", [2, 3])
def test_address_named_twice(lab: Lab, times: int) -> None:
    """An address that is named twice, or once more by its interface, is listened on once."""
    start_as(lab, "serve", lab.directory(), hosts=["127.0.0.1"] * 2 + ["lo"] * (times - 2), port=free_place().port)


def test_every_address(lab: Lab) -> None:
    """Several addresses: each is served, by UDP and TCP, and answers come from the one that was asked."""
    server = start_as(lab, "serve", lab.directory(), hosts=["random", "random", "random"])
    assert server.hosts
    for host in server.hosts:
        target = server.target(host)
        b = lab.registered(target)
        assert online_states(target, [b.id]) == b"\x80"
        uuid = fresh_uuid()
        assert_joined(*(lab.relay_side(target).join(uuid, server.key) for _ in range(2)))


@pytest.mark.parametrize("bind", [None, "0.0.0.0", "0.0.0.0,::", "::"])
def test_wildcards(lab: Lab, bind: str | None) -> None:
    """No bind means all addresses; the wildcards can be written too, alone or together."""
    if bind and ":" in bind and not has_ipv6_loopback():
        pytest.skip("no IPv6 here")
    server = start_as(lab, "serve", lab.directory(), *(("--bind", bind) if bind else ()), hosts=None)
    hosts = ["127.0.0.1", "127.77.1.2"] if bind != "::" else []
    for host in hosts:
        lab.registered(server.target(host))
    if bind != "0.0.0.0" and has_ipv6_loopback():
        lab.registered(server.target("::1"))


# --- the data directory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_directory_not_writable(foreign: Path, role: str) -> None:
    """A data directory that can't be written: exit 1, one line that names it, from a user without rights."""
    assert_refused(as_nobody(role, "--data-dir", foreign, *place_args(), cwd=foreign), 1, str(foreign))
    assert not names_in(foreign)


def test_keygen_in_a_directory_not_writable(foreign: Path) -> None:
    """keygen says so too, and prints no key that no server has."""
    assert_refused(as_nobody("keygen", "--data-dir", foreign, cwd=foreign), 1, str(foreign))


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root")
@pytest.mark.parametrize("role", ROLES)
def test_key_of_another_user(foreign: Path, role: str) -> None:
    """A key that can't be read isn't taken for none: a line names it."""
    place_pair(foreign)
    foreign.chmod(0o777)
    assert_refused(as_nobody(role, "--data-dir", foreign, *place_args(), cwd=foreign), 1, SECRET)
    assert (foreign / SECRET).read_text() == PAIR[SECRET]


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root")
@pytest.mark.parametrize("name", [SECRET, "rdsrv-id.lock"])
def test_file_that_root_has_put_there(foreign: Path, name: str) -> None:
    """As a restored backup, or a start by hand, may leave it: what is said mends it."""
    place_pair(foreign)
    (foreign / name).touch(mode=0o600)
    for path in (foreign, *foreign.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    foreign.chmod(0o755)
    os.chown(foreign / name, 0, 0)
    done = as_nobody("id", "--data-dir", foreign, *place_args(), cwd=foreign)
    assert_refused(done, 1, f"{foreign}/{name}", f"as root, chown --reference={foreign} {foreign}/{name}")
    command = re.search(r"as root, (chown [^\"]*)", done.stderr)
    assert command and subprocess.run(command[1].split()).returncode == 0
    done = as_nobody("id", "--data-dir", foreign, *place_args(), cwd=foreign, how=UNTIL_READY)
    assert " ready " in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root")
@pytest.mark.parametrize("bits", [0o600, 0o644], ids=oct)
def test_database_of_another_user(foreign: Path, bits: int) -> None:
    """A database that can't be written is no start: registrations would be lost."""
    foreign.chmod(0o777)
    database.place_vector(foreign)
    (foreign / DATABASE).chmod(bits)
    before = look(foreign, DATABASE)
    assert_refused(as_nobody("id", "--data-dir", foreign, *place_args(), cwd=foreign), 1, DATABASE)
    assert look(foreign, DATABASE) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_root_is_not_needed(foreign: Path) -> None:
    """A user without rights runs the server in a directory of his own."""
    foreign.chmod(0o777)
    host, port = free_place()
    done = as_nobody("serve", "--data-dir", foreign, "--bind", host, "--port", str(port), cwd=foreign, how=UNTIL_READY)
    assert "ready" in done.stderr and DATABASE in names_in(foreign)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_a_port_that_needs_a_right(foreign: Path) -> None:
    """The units have no right to port 80: who sets websocket-port there is told what gives it."""
    foreign.chmod(0o777)
    host, port = free_place()
    args = ("--bind", host, "--port", str(port), "--websocket-port", f"{port + 2},80")
    done = as_nobody("serve", "--data-dir", foreign, *args, cwd=foreign, how=UNTIL_READY)
    if done.returncode == 0:
        pytest.skip("everybody may open port 80 here")
    assert_refused(done, 1, "80: Permission denied", "rdsrv.socket", "rdsrv-serve(1)")


# --- the database -----------------------------------------------------------------------------------------------------


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def vector(path: Path) -> None:
    shutil.copy(VECTORS / DATABASE, path)


def damaged_header(path: Path) -> None:
    vector(path)
    overwrite(path, 16, b"\xff" * 84)


def damaged_pages(path: Path) -> None:
    """Everything behind the first page is rubbish."""
    vector(path)
    overwrite(path, 4096, random.Random(1).randbytes(path.stat().st_size - 4096))


def damaged_schema(path: Path) -> None:
    vector(path)
    overwrite(path, 100, b"\xff" * 3000)


def cut_short(path: Path) -> None:
    vector(path)
    os.truncate(path, path.stat().st_size // 2)


def made_by(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


WRONG: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("this is no database\n" * 300),
    "short text": lambda path: path.write_text("this is no database\n"),
    "random": lambda path: path.write_bytes(random.Random(2).randbytes(20_000)),
    "damaged header": damaged_header,
    "damaged pages": damaged_pages,
    "damaged schema": damaged_schema,
    "cut short": cut_short,
    "column missing": lambda path: made_by(path, "create table peer (guid blob primary key, id text, uuid blob)"),
    "column misnamed": lambda path: made_by(
        path, "create table peer (guid blob primary key, id text, uuid blob, public_key blob, info text)"
    ),
    "a view": lambda path: made_by(path, "create table t (id text)", "create view peer as select id from t"),
}


@pytest.mark.parametrize("name", ["id", "serve", "hbbs"])
@pytest.mark.parametrize("fault", WRONG)
def test_wrong_database(tmp_path: Path, name: str, fault: str) -> None:
    """A damaged or foreign database: exit 1, one line that names it, and the file stays as it is."""
    data = data_dir(tmp_path)
    WRONG[fault](data / DATABASE)
    before = look(data, DATABASE)
    assert_refused(try_to_start(name, data), 1, DATABASE)
    assert look(data, DATABASE)[DATABASE].content == before[DATABASE].content


@pytest.mark.parametrize("kind", ["directory", "fifo", "dangling link"])
def test_no_database_file(tmp_path: Path, kind: str) -> None:
    """What isn't a file in place of the database stops the start; nothing hangs."""
    data = data_dir(tmp_path)
    path = data / DATABASE
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "missing" / "file")
    assert_refused(try_to_start("id", data), 1, DATABASE)


@pytest.mark.parametrize("side", ["-journal", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_no_side_file(tmp_path: Path, side: str, kind: str) -> None:
    """SQLite would wait for ever at a pipe in the place of one of its own files."""
    data = data_dir(tmp_path)
    (data / DATABASE).touch()
    path = data / (DATABASE + side)
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    assert_refused(try_to_start("id", data), 1, f"{DATABASE}{side}: no regular file")


def test_empty_database(lab: Lab) -> None:
    """An empty file is a database without peers."""
    (lab.directory() / DATABASE).touch()
    lab.registered(lab.server("id").target())


def test_relay_needs_no_database(lab: Lab) -> None:
    """The relay has no use for the database: a damaged one is none of its business."""
    (lab.directory() / DATABASE).write_text("damaged")
    lab.server("relay")
    assert (lab.directory() / DATABASE).read_text() == "damaged"


def test_database_elsewhere(lab: Lab) -> None:
    """db-url, and DB_URL of old with or without sqlite://, names the database."""
    for number, url in enumerate(["{}", "sqlite://{}"]):
        path = lab.tmp_path / f"peers{number}.sqlite3"
        server = start_as(lab, "hbbs", lab.directory(str(number)), env={"DB_URL": url.format(path)})
        lab.registered(server.target())
        assert path.exists() and DATABASE not in names_in(server.directory)


# --- handed-over sockets ----------------------------------------------------------------------------------------------

def test_all_sockets_handed_over(lab: Lab) -> None:
    """Sockets that systemd hands over are used: who spoke to them before the start gets his answer."""
    place = free_place()
    server = handed(lab, place, [udp(place, 0), tcp(place, 0), tcp(place, -1), tcp(place, 1)])
    early = UdpPeer(server.target(key=""))
    early.send("TestNatRequest")
    knock = lab.connection((place.host, place.port - 1))
    knock.send("TestNatRequest")
    server.start()
    assert early.expect("TestNatResponse")["port"] == early.local[1]
    assert knock.expect("TestNatResponse")["port"] == knock.local[1]
    early.close()
    whole_session(lab, server)


def whole_session(lab: Lab, server: Server) -> None:
    """Everything that clients do works."""
    target = server.target()
    b, a = lab.registered(target), lab.controller(target)
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    assert a.verified(a.expect("PunchHoleResponse")) == (b.id, b.pk)
    uuid = fresh_uuid()
    assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))
    assert online_states(target, [b.id]) == b"\x80"


@pytest.mark.parametrize("which", [("udp",), ("tcp",), ("nat",), ("relay",), ("relay", "nat"), ("nat", "tcp", "udp")])
def test_some_sockets_handed_over(lab: Lab, which: tuple[str, ...]) -> None:
    """In any order and number: the rest is opened."""
    place = free_place()
    make = {"udp": lambda: udp(place, 0), "tcp": lambda: tcp(place, 0), "nat": lambda: tcp(place, -1)}
    make["relay"] = lambda: tcp(place, 1)
    whole_session(lab, handed(lab, place, [make[name]() for name in which]).start())


@pytest.mark.parametrize("role", ["id", "relay"])
def test_foreign_sockets_handed_over(lab: Lab, role: str) -> None:
    """Sockets that fit no setting harm nobody."""
    place = free_place()
    server = handed(lab, place, [tcp(place, 3), udp(place, 3)], role=role).start()
    assert can_connect(place.host, place.port + (1 if role == "relay" else 0)) and server.running


def test_sockets_for_another_process(lab: Lab) -> None:
    """With another process's number in LISTEN_PID the sockets aren't ours: their address is taken, and that's that."""
    place = free_place()
    server = handed(lab, place, [udp(place, 0)], shift=1)
    with pytest.raises(AssertionError, match="ended with 1 "):
        server.start()
    assert f"{place.host}:{place.port}" in server.log_text()
    server.stop(code=1)


def with_listen_fds(lab: Lab, count: str) -> Role:
    prefix = ("sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS="$LISTEN_COUNT" exec "$0" "$@"')
    server = Role("id", lab.directory(), prefix=prefix, env={"LISTEN_COUNT": count}, **free_place().for_role())
    lab.servers.append(server)
    return server


@pytest.mark.parametrize("count", ["", "x", "-1", "0"])
def test_nonsense_for_sockets(lab: Lab, count: str) -> None:
    """A LISTEN_FDS that is no number of sockets is passed over."""
    lab.registered(with_listen_fds(lab, count).start().target())


@pytest.mark.parametrize("count", ["4", "1000000"])
def test_sockets_that_are_not_there(lab: Lab, count: str) -> None:
    """A number of sockets that there aren't stops the start in a line."""
    server = with_listen_fds(lab, count).launch()
    assert server.exit_code() == 2
    assert len([line for line in server.lines if "can't start" in line]) == 1


def test_stopped_server_leaves_handed_sockets(lab: Lab) -> None:
    """A socket of systemd's survives the role: the next one takes it over, and nobody in its queue is lost."""
    place = free_place()
    kept = udp(place, 0), tcp(place, 0)
    for _ in range(2):
        server = handed(lab, place, [sock.dup() for sock in kept], role="id").start()
        lab.registered(server.target())
        server.stop()
    peer = UdpPeer(server.target())
    peer.send("TestNatRequest")
    handed(lab, place, [sock.dup() for sock in kept], role="id").start()
    peer.expect("TestNatResponse")
    peer.close()
    for sock in kept:
        sock.close()


# --- the end ----------------------------------------------------------------------------------------------------------


def end(server: Server, number: int) -> None:
    """The signal ends it with exit 0, quickly."""
    begun = time.monotonic()
    os.kill(server.pid, number)
    wait_until(lambda: not server.running, QUICK_S, "the end")
    server.stop(code=0)
    assert time.monotonic() - begun < QUICK_S


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_quick_end(lab: Lab, role: str, number: int) -> None:
    """An idle role ends at once; neither sockets nor SQLite's side files stay."""
    server = lab.server(role)
    end(server, number)
    left = {name for name in names_in(server.directory) if name.endswith((".sock", "-wal", "-shm", "-journal"))}
    assert not left


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_end_with_open_connections(lab: Lab, number: int) -> None:
    """Open connections of every kind end with the server, and don't hold it up."""
    server = lab.server("serve")
    target = server.target()
    b = lab.registered(target)
    asking = lab.controller(target)
    asking.punch(b.id)
    b.expect_hole("PunchHole", asking)
    uuid = fresh_uuid()
    pair = [lab.relay_side(target).join(uuid, target.key) for _ in range(2)]
    assert_joined(*pair)
    alone = lab.relay_side(target).join(fresh_uuid(), target.key)
    silent = [lab.connection(address) for address in (target.id_port, target.nat_port, target.relay_port)]
    half = lab.connection(target.id_port)
    half.send_raw(b"\xfc\xff")
    end(server, number)
    for connection in (asking, *pair, alone, *silent, half):
        assert connection.recv_payload() is None or connection.recv_payload() is None
    assert not [name for name in names_in(server.directory) if name.endswith(("-wal", "-shm", ".sock"))]
    assert database.stored(server.directory, b.id)


def test_end_after_refused_connections(lab: Lab) -> None:
    """Connections that the server has ended, but whose clients are still there, are no hindrance, nor forgotten."""
    server = lab.server("serve")
    target = server.target()
    refused = [lab.connection(address) for address in (target.id_port, target.nat_port, target.relay_port)]
    for connection in refused:
        connection.send_raw(rdwire.frame(b"\xff junk"))
        connection.expect_closed()
    end(server, signal.SIGTERM)


def test_end_in_the_middle_of_a_transfer(lab: Lab) -> None:
    """A session whose receiver doesn't read has megabytes under way: they don't hold up the end."""
    server = lab.server("relay")
    target, uuid = server.target(), fresh_uuid()
    one, other = (lab.relay_side(target).join(uuid, target.key) for _ in range(2))
    assert_joined(one, other)
    one.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        one.send_raw(bytes(64 << 20))
    end(server, signal.SIGTERM)


def test_end_in_the_middle_of_registrations(lab: Lab) -> None:
    """What was answered OK before a clean end is on disk, in the file itself."""
    server = lab.server("id")
    peers = [lab.peer(server.target()) for _ in range(200)]
    for peer in peers:
        peer.send("RegisterPk", id=peer.id, uuid=peer.uuid, pk=peer.pk)
    assert peers[0].expect("RegisterPkResponse")["result"] == rdwire.Result.OK
    end(server, signal.SIGTERM)
    assert not (server.directory / f"{DATABASE}-wal").exists()
    rows = database.rows(server.directory)
    for peer in peers:
        peer.sock.setblocking(False)
        assert not answered_ok(peer) or peer.id in rows


def answered_ok(peer: UdpPeer) -> bool:
    """Did the server answer OK by now?"""
    try:
        return bool(peer.expect("RegisterPkResponse")["result"] == rdwire.Result.OK)
    except BlockingIOError:
        return False


def test_impatient_end(lab: Lab) -> None:
    """As many signals as there is time for are one."""
    server = lab.server("serve")
    while server.running:
        os.kill(server.pid, signal.SIGTERM)
        os.kill(server.pid, signal.SIGINT)
    server.stop(code=0)


@pytest.mark.parametrize("round", range(15))
def test_signal_during_the_start(lab: Lab, round: int) -> None:
    """A signal at any moment of the first start ends it, and leaves what the next start can go on with."""
    server = lab.prepare("serve").launch()
    enough = round * 2
    wait_until(lambda: len(names_in(lab.directory())) * 4 >= enough or not server.running, WAIT_S, "some files")
    os.kill(server.pid, signal.SIGTERM)
    wait_until(lambda: not server.running, WAIT_S, "the end")
    server.stop(code=None)
    server.restarted()
    assert rdwire.public_of_secret((lab.directory() / SECRET).read_text()) == server.key


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGHUP], ids=["SIGPIPE", "SIGHUP"])
def test_other_signals(lab: Lab, number: int) -> None:
    """Signals that mean no end don't end it."""
    server = lab.server("serve")
    os.kill(server.pid, number)
    assert ctl(server.directory, "id")["pid"] == server.pid


def test_reader_of_the_log_goes_away(lab: Lab) -> None:
    """Whoever reads stderr may go: the server goes on, and ends as ever."""
    here, place = lab.directory(), free_place()
    command = [str(called("rdsrv")), "id", "--bind", place.host, "--port", str(place.port), "--data-dir", str(here)]
    with subprocess.Popen(command, cwd=here, env=clean_env(), stderr=subprocess.PIPE) as process:
        assert process.stderr
        while b"ready" not in process.stderr.readline():
            assert process.poll() is None
        process.stderr.close()
        try:
            target = Target(*place, (here / PUBLIC).read_text())
            refused = lab.controller(target)
            refused.punch("nobody", licence_key="wrong")
            refused.expect("PunchHoleResponse")
            lab.registered(target)
        finally:
            process.terminate()
        assert process.wait(WAIT_S) == 0


# --- scarcity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["id", "relay"])
def test_few_descriptors(lab: Lab, role: str) -> None:
    """With few descriptors a flood of connections neither ends the server nor keeps it busy; then it goes on."""
    prefix = ("sh", "-c", 'ulimit -n 64; exec "$0" "$@"')
    server = lab.server(role, prefix=prefix)
    address = server.target().id_port if role == "id" else server.target().relay_port
    connections = [lab.connection(address) for _ in range(150)]
    for connection in connections:
        connection.close()
    lab.clients.clear()
    if role == "id":
        lab.registered(server.target())
    wait_until(lambda: ctl_pid(server) == server.pid, WAIT_S, "an answer")


def ctl_pid(server: Server) -> int | None:
    """The process that answers, if one does."""
    done = rdsrv("ctl", "-d", server.directory, server.role, "status", cwd=server.directory)
    return server.pid if done.returncode == 0 and f"{server.pid}" in done.stdout else None


@needs_system
@pytest.mark.parametrize("kib", [4, 8, 12, 16, 24, 32])
def test_full_disk_at_the_start(lab: Lab, kib: int) -> None:
    """Where the disk is full the start ends with a line, or goes on without what it can do without; then all is well."""
    data, after = lab.directory(), lab.directory("after")
    small = f"mount -t tmpfs -o size={kib}k tmpfs {data} && cd {data} || exit 9\n"
    prefix = ["unshare", "--mount", "sh", "-c", small + RUN_UNTIL_READY + f"cp -a . {after} && exit $e"]
    done = as_name("serve", "--data-dir", data, *place_args(), cwd=data, prefix=prefix)
    assert done.returncode == 0 and "ready" in done.stderr or done.returncode == 1 and complaint(done)
    lab.registered(lab.server("serve", directory=after).target())
