"""Goal: a setting comes from the highest place that has it, a wrong one is named with its place, and nothing is done."""

from __future__ import annotations

import re
import shlex
import socket
from pathlib import Path
from typing import Any, Callable

import pytest

from clihelp import (
    ROLE_OF,
    WAIT_S,
    Done,
    as_name,
    assert_refused,
    can_connect,
    complaint,
    names_in,
    needs_system,
    new_dir,
    place_args,
    rdsrv,
    settings,
    start_as,
    warned_of,
    warnings,
)
from conftest import Lab
from polling import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
# An own setting and one of hbbs's, by their names in the environment.
LAYERED = {"limit-ids-day": "RDSRV_LIMIT_IDS_DAY", "serial": "SERIAL"}


class Layers:
    """The places of settings for one command: its arguments, files and environment."""

    def __init__(self, tmp_path: Path) -> None:
        self.here = new_dir(tmp_path, "here")
        self.etc = new_dir(tmp_path, "etc")
        self.conf = tmp_path / "my.conf"
        self.args: list[str] = []
        self.env: dict[str, str] = {}
        self.prefix: list[str] = []

    def flag(self, name: str, value: str) -> str:
        self.args += [f"--{name}", value]
        return f"--{name}"

    def config(self, name: str, value: str) -> str:
        self.conf.write_text(f"# mine\n\n{name} = {value}\n")
        self.args += ["--config", str(self.conf)]
        return f"{self.conf}:3"

    def dotenv(self, name: str, value: str) -> str:
        (self.here / ".env").write_text(f"# mine\n{LAYERED.get(name, variable(name))}={value}\n")
        return ".env:2"

    def environment(self, name: str, value: str) -> str:
        variable_name = LAYERED.get(name, variable(name))
        self.env[variable_name] = value
        return variable_name

    def system(self, name: str, value: str) -> str:
        """/etc/rdsrv/rdsrv.conf of a mount namespace, whose /etc holds nothing else."""
        (new_dir(self.etc, "rdsrv") / "rdsrv.conf").write_text(f"{name} = {value}\n")
        mount = f"mount --bind {shlex.quote(str(self.etc))} /etc"
        self.prefix = ["unshare", "--mount", "sh", "-ec", f'{mount}; exec "$0" "$@"']
        return "/etc/rdsrv/rdsrv.conf:1"

    def run(self, role: str, *args: str) -> Done:
        return as_name(role, *self.args, *args, cwd=self.here, env=self.env, prefix=self.prefix)

    def settings(self, role: str = "serve") -> dict[str, Any]:
        return settings(role, *self.args, cwd=self.here, env=self.env, prefix=self.prefix)


def variable(name: str) -> str:
    """The name of any setting in the environment."""
    return "RDSRV_" + name.upper().replace("-", "_")


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path)


PLACES: dict[str, Callable[[Layers, str, str], str]] = {
    "flag": Layers.flag,
    "config": Layers.config,
    ".env": Layers.dotenv,
    "environment": Layers.environment,
}
ALL_PLACES = {**PLACES, "system": Layers.system}
NEIGHBOURS = list(zip(PLACES, list(PLACES)[1:]))


# --- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("place", [*PLACES, pytest.param("system", marks=needs_system)])
def test_each_place_goes_before_the_default(layers: Layers, name: str, place: str) -> None:
    """Each place is read, and named as the origin."""
    before = layers.settings()[name]
    origin = ALL_PLACES[place](layers, name, "17")
    found = layers.settings()[name]
    assert before.origin == "default" and before.value != "17"
    assert found.value == "17" and origin in found.origin


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("higher, lower", NEIGHBOURS)
def test_higher_place_wins(layers: Layers, name: str, higher: str, lower: str) -> None:
    """Of two places next to each other the higher one holds."""
    PLACES[lower](layers, name, "18")
    origin = PLACES[higher](layers, name, "17")
    found = layers.settings()[name]
    assert found.value == "17" and origin in found.origin


@needs_system
@pytest.mark.parametrize("place", PLACES)
def test_system_file_is_below_all(layers: Layers, place: str) -> None:
    """/etc/rdsrv/rdsrv.conf goes before nothing but the defaults."""
    layers.system("serial", "18")
    origin = PLACES[place](layers, "serial", "17")
    found = layers.settings()["serial"]
    assert found.value == "17" and origin in found.origin


def test_all_places_at_once(layers: Layers) -> None:
    """Different settings from different places hold side by side."""
    layers.flag("limit-register-minute", "11")
    layers.config("limit-ids-day", "12")
    layers.dotenv("serial", "13")
    layers.environment("mask", "10.0.0.0/8")
    found = layers.settings()
    got = [found[name].value for name in ("limit-register-minute", "limit-ids-day", "serial", "mask")]
    assert got == ["11", "12", "13", "10.0.0.0/8"]


@pytest.mark.parametrize("role", ROLE_OF)
def test_every_role_reads_every_place(layers: Layers, role: str) -> None:
    """hbbs and hbbr read the same places as the others."""
    layers.config("log-level", "debug")
    layers.dotenv("key", "from-dotenv")
    layers.environment("log-format", "json")
    found = layers.settings(role)
    assert [found[name].value for name in ("log-level", "key", "log-format")] == ["debug", "from-dotenv", "json"]


def test_dotenv_of_the_working_directory_only(tmp_path: Path) -> None:
    """.env counts in the working directory, not in the data directory."""
    here, data = new_dir(tmp_path, "here"), new_dir(tmp_path, "data")
    (data / ".env").write_text("SERIAL=17\n")
    assert settings("id", "--data-dir", data, cwd=here)["serial"].origin == "default"


def test_config_named_in_the_environment(layers: Layers) -> None:
    """RDSRV_CONFIG names a file that counts like --config."""
    origin = layers.config("serial", "17")
    layers.dotenv("serial", "18")
    layers.args.clear()
    found = settings("id", cwd=layers.here, env={"RDSRV_CONFIG": str(layers.conf)})["serial"]
    assert found.value == "17" and origin in found.origin


def test_data_dir_in_a_file(layers: Layers) -> None:
    """The data directory can be named in a file of settings, for commands too."""
    data = new_dir(layers.here, "data")
    layers.config("data-dir", str(data))
    assert layers.settings()["data-dir"].value == str(data)
    assert rdsrv("keygen", *layers.args, cwd=layers.here).returncode == 0 and (data / "id_ed25519").exists()


# --- names and form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["limit-ids-day", "LIMIT_IDS_DAY", "Limit-Ids_Day", "limit_ids_day"])
def test_names_in_config(layers: Layers, name: str) -> None:
    """In files capitals don't matter and - equals _."""
    layers.config(name, "17")
    assert layers.settings()["limit-ids-day"].value == "17"


NAMES_OF_HBBS = ["relay-servers", "RELAY_SERVERS", "Relay-Servers", "relay_servers", "RELAY-SERVERS"]
NAMES_OF_OURS = ["RDSRV_RELAY_SERVERS", "rdsrv_relay_servers", "Rdsrv_Relay-Servers", "RDSRV-RELAY-SERVERS"]


@pytest.mark.parametrize("name", NAMES_OF_HBBS + NAMES_OF_OURS)
@pytest.mark.parametrize("is_file", [False, True], ids=["environment", ".env"])
def test_names_in_the_environment(layers: Layers, name: str, is_file: bool) -> None:
    """In .env and the environment too."""
    (layers.here / ".env").write_text(f"{name}=r.example\n" if is_file else "")
    layers.env = {} if is_file else {name: "r.example"}
    assert layers.settings()["relay-servers"].value == "r.example"


FORM = (
    "\r\n; comment\r\n  # comment\r\n\tSerial=17\r\nmask  =  10.0.0.0/8 , 192.168.0.0/16  \r\n\r\nid-server = a.example"
)


def test_form_of_files(layers: Layers) -> None:
    """Comments, white space, foreign line ends and a missing last one."""
    layers.conf.write_bytes(FORM.encode())
    found = settings("id", "--config", layers.conf, cwd=layers.here)
    assert (found["serial"].value, found["id-server"].value) == ("17", "a.example")
    assert found["mask"].value.replace(" ", "") == "10.0.0.0/8,192.168.0.0/16"


@pytest.mark.parametrize("place", ["config", ".env"])
def test_mark_at_the_start_of_a_file(layers: Layers, place: str) -> None:
    """The byte order mark that editors of Windows write isn't a part of the first name, which would be passed over."""
    (layers.conf if place == "config" else layers.here / ".env").write_text("\ufeffPORT=30000\n")
    args = ("--config", layers.conf) if place == "config" else ()
    assert settings("id", *args, cwd=layers.here)["port"].value == "30000"


@pytest.mark.parametrize("text", ["serial", "[server]", "= 17", "serial 17"])
@pytest.mark.parametrize("test_only", [True, False], ids=["--test-config", "start"])
def test_lines_of_no_form(layers: Layers, text: str, test_only: bool) -> None:
    """A line in the --config file that is no setting is named, not passed over."""
    layers.conf.write_text(f"port = 20000\n{text}\n")
    args = ["--test-config"] if test_only else place_args()
    assert_refused(as_name("id", "--config", layers.conf, *args, cwd=layers.here), 2, f"{layers.conf}:2")
    assert not names_in(layers.here)


@pytest.mark.parametrize("kind", ["missing", "directory", "binary", "giant", "unreadable"])
def test_config_that_is_no_config(tmp_path: Path, kind: str) -> None:
    """A --config file that can't be read is named; nothing starts without its settings."""
    conf = tmp_path / "my.conf"
    if kind == "directory":
        conf.mkdir()
    elif kind == "binary":
        conf.write_bytes(bytes(range(256)) * 8)
    elif kind == "giant":
        conf.write_bytes(b"serial = 1\n" * (1 << 20))
    elif kind == "unreadable":
        conf.symlink_to(conf)
    assert_refused(as_name("id", "--config", conf, *place_args(), cwd=tmp_path), 2, str(conf))
    assert names_in(tmp_path) <= {"my.conf"}


@pytest.mark.parametrize("role", ROLE_OF)
@pytest.mark.parametrize("name", ["no-such-setting", "rdsrv_port", "port2", "help", "test-config", "generate", "pörd"])
def test_unknown_name_in_config(layers: Layers, role: str, name: str) -> None:
    """A name in the --config file that is no setting is an error that names file and line."""
    origin = layers.config(name, "1")
    assert_refused(layers.run(role, "--test-config"), 2, origin)
    assert_refused(layers.run(role), 2, origin)


@needs_system
def test_unknown_name_in_the_system_file(layers: Layers) -> None:
    """So in /etc/rdsrv/rdsrv.conf; where the names stand can be looked up while that line is there."""
    origin = layers.system("no-such-setting", "1")
    done = layers.run("id", "--test-config")
    assert_refused(done, 2, origin, "no-such-setting", "rdsrv.conf(5)")
    assert "--test-config" not in done.stderr


def test_unknown_names_of_others(layers: Layers) -> None:
    """Unknown names in .env and the environment are somebody else's, whatever they hold."""
    others = {"NO_SUCH_SETTING": "1", "POSTGRES_PORT": "x", "RDS_PORT": "x", "LOG_FORMATS": "xml", "X": "ü\x1b"}
    (layers.here / ".env").write_text("".join(f"{name}={value}\n" for name, value in others.items()))
    before = settings("serve", cwd=new_dir(layers.here, "empty"))
    found = settings("serve", cwd=layers.here, env=others)
    assert {n: s for n, s in found.items() if n != "data-dir"} == {n: s for n, s in before.items() if n != "data-dir"}


@pytest.mark.parametrize("name", ["RDSRV_UNKNOWN", "rdsrv_unknown", "RDSRV_POR", "RDSRV_"])
@pytest.mark.parametrize("is_file", [False, True], ids=["environment", ".env"])
def test_unknown_name_of_ours(layers: Layers, name: str, is_file: bool) -> None:
    """A name that begins with RDSRV_ is ours: a mistake in it is an error that names it and its place."""
    (layers.here / ".env").write_text(f"X=1\n{name}=1\n" if is_file else "")
    layers.env = {} if is_file else {name: "1"}
    assert_refused(layers.run("id", "--test-config"), 2, *([".env:2"] if is_file else [name]))
    assert_refused(layers.run("id", *place_args()), 2, *([".env:2"] if is_file else [name]))


# --- values -----------------------------------------------------------------------------------------------------------


# setting, a word of the form that is accepted, bad values
BAD = {
    "number": ("limit-register-minute", ("number",), ["-1", "x", "1.5", "1e3", "0x10", "99999999999999999999", "5 5"]),
    "port": ("port", ("number", "3", "65533"), ["0", "-1", "65535", "70000", "4294988412", "off", "http"]),
    "other port": ("nat-port", ("1", "65535", "off"), ["0", "65536", "no", "none"]),
    "switch": ("secure-tcp", ("Y", "N"), ["maybe", "2", "YN", "tru", "10.0.0.0/8"]),
    "switch or networks": ("always-use-relay", ("Y", "N", "network"), ["maybe", "2", "YN", "Y,10.0.0.0/8", "10.0/8"]),
    "networks": (
        "limit-exempt",
        ("network",),
        ["300.0.0.0/8", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/8 x"],
    ),
    "mask": ("mask", ("network",), ["192.168/16", "10.0.0.0-10.0.0.9", "10.0.0.0/-1", "localhost"]),
    "hosts": ("relay-servers", ("host",), ["a b", "a:0", "a:65536", ":21117", "http://a", "a/b", "a:b:c", "a,b c"]),
    "host": ("id-server", ("host",), ["a b", "https://a", "a:70000"]),
    "url": ("api-server", ("URL",), ["a.example", "ftp://a", "https://", "https://a b", "https://a/?x", "https://a:0"]),
    "choice": ("log-level", ("error", "warn", "info", "debug", "trace"), ["loud", "err", "infos"]),
    "format": ("log-format", ("text", "json"), ["xml", "jsonl"]),
    "bind": ("bind", ("address",), ["1.2.3.4.5", "256.0.0.1", "127.0.0.1:80", "no address", "a/b", "x" * 40]),
}
BAD_VALUES = [(kind, value) for kind, (_, _, values) in BAD.items() for value in values]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind, value", BAD_VALUES)
def test_bad_value(layers: Layers, place: str, kind: str, value: str) -> None:
    """A value out of bounds, wherever it stands: exit 2, one line that names the place and what is accepted."""
    name, words, _ = BAD[kind]
    origin = PLACES[place](layers, name, value)
    done = layers.run("serve", "--test-config")
    assert_refused(done, 2, origin, name, *words)
    assert not names_in(layers.here) - {".env"}


@pytest.mark.parametrize("kind", BAD)
def test_bad_value_stops_the_start(layers: Layers, kind: str) -> None:
    """What --test-config refuses is refused at the start, in the same words, before anything is made."""
    name, _, (value, *_) = BAD[kind]
    layers.config(name, value)
    tested, started = layers.run("serve", "--test-config"), layers.run("serve")
    assert (started.returncode, complaint(started)) == (2, complaint(tested))
    assert not names_in(layers.here)


@needs_system
def test_bad_value_in_the_system_file(layers: Layers) -> None:
    """So in /etc/rdsrv/rdsrv.conf."""
    origin = layers.system("port", "x")
    assert_refused(layers.run("id", "--test-config"), 2, origin, "port", "number")


def test_bad_value_below_a_good_one(layers: Layers) -> None:
    """A bad value is an error even where a higher place has a good one: it would bite some other day."""
    origin = layers.config("serial", "x")
    layers.flag("serial", "1")
    assert_refused(layers.run("id", "--test-config"), 2, origin)


@pytest.mark.parametrize("place", ["flag", "environment"])
def test_bad_value_stays_one_line(layers: Layers, place: str) -> None:
    """Line ends and escape sequences in a bad value are shown harmlessly."""
    PLACES[place](layers, "log-format", "x\nrdsrv: all is well\r\x1b[31m\u202e")
    done = layers.run("id", "--test-config")
    assert done.returncode == 2 and not set("\r\x1b\u202e") & set(complaint(done))


GOOD = [
    ("port", "3"),
    ("nat-port", "OFF"),
    ("always-use-relay", "yes"),
    ("always-use-relay", "No"),
    ("always-use-relay", "on"),
    ("always-use-relay", "OFF"),
    ("always-use-relay", "10.0.0.0/8, fd00::/8,192.0.2.7"),
    ("limit-exempt", "10.0.0.0/8, fd00::/8,192.0.2.7"),
    ("limit-exempt", "0.0.0.0/0"),
    ("limit-register-minute", "0"),
    ("relay-servers", "r.example, r_2.example:31117,192.0.2.7,[2001:db8::7]:21117,[2001:db8::8]"),
    ("relay-servers", ""),
    ("log-level", "WARN"),
    ("bind", "127.0.0.1,::1,eth0.100,br-0a1b2c3d4e5f"[:40]),
    ("bind", ""),
    ("id-server", "xn--bcher-kva.example"),
    ("api-server", "https://id.example:8443/console/"),
    ("api-server", "http://[2001:db8::7]"),
    ("api-server", ""),
    ("software-url", "https://example.com/rustdesk-1.4.2"),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name, value", GOOD)
def test_good_value(layers: Layers, place: str, name: str, value: str) -> None:
    """Every form that the manual promises is accepted everywhere."""
    PLACES[place](layers, name, value)
    found = layers.settings()[name]
    assert found.origin != "default" or not value
    assert found.value.replace(" ", "").lower() == value.replace(" ", "").lower()


# --- --test-config ----------------------------------------------------------------------------------------------------


def documented() -> set[str]:
    """Every setting that the manual describes."""
    text = (REPOSITORY / "man" / "rdsrv.conf.5").read_text()
    names = {
        match for line in re.findall(r"^\.(?:It )?Ic (.*)$", text, re.M) for match in re.findall(r"[a-z][a-z-]+", line)
    }
    assert len(names) > 25
    return names


@pytest.mark.parametrize("role", ROLE_OF)
def test_every_setting_is_printed(tmp_path: Path, role: str) -> None:
    """--test-config prints each setting of the manual once, with its origin, and the manual has all of them."""
    done = as_name(role, "--test-config", cwd=tmp_path)
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names)) and set(names) == documented()
    assert all(found.origin for found in settings(role, cwd=tmp_path).values())


@pytest.mark.parametrize("role", ROLE_OF)
def test_test_config_opens_and_makes_nothing(tmp_path: Path, role: str) -> None:
    """--test-config is safe beside a server that runs: busy ports and a log file don't matter, nothing is made."""
    log = tmp_path / "rdsrv.log"
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        args = ("-p", port, "--bind", "127.0.0.1", "--log-file", log)
        settings(role, *args, cwd=tmp_path)
    assert not names_in(tmp_path)


def test_test_config_beside_damage(tmp_path: Path) -> None:
    """Files in the data directory aren't its concern."""
    for name in ("id_ed25519", "db_v2.sqlite3"):
        (tmp_path / name).write_text("damaged")
    assert settings("serve", cwd=tmp_path)["data-dir"].value == str(tmp_path)
    assert names_in(tmp_path) == {"id_ed25519", "db_v2.sqlite3"}


def test_origins_after_all_flags(tmp_path: Path) -> None:
    """Each flag is named as the origin of its value, the data directory too."""
    args = {"--data-dir": str(tmp_path), "--serial": "4", "--relay-servers": "r.example", "--mask": "10.0.0.0/8"}
    found = settings("id", *(word for pair in args.items() for word in pair), cwd=tmp_path)
    for flag, value in args.items():
        setting = found[flag.removeprefix("--")]
        assert (setting.value, setting.origin) == (value, flag)


# --- RUST_LOG ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLE_OF)
@pytest.mark.parametrize("level", ["error", "warn", "info", "debug", "trace"])
def test_rust_log(tmp_path: Path, role: str, level: str) -> None:
    """RUST_LOG sets the level of every role."""
    found = settings(role, cwd=tmp_path, env={"RUST_LOG": level})["log-level"]
    assert found.value == level and "RUST_LOG" in found.origin


@pytest.mark.parametrize("place", PLACES)
def test_rust_log_is_below_all(layers: Layers, place: str) -> None:
    """Our own setting goes before RUST_LOG wherever it stands."""
    PLACES[place](layers, "log-level", "warn")
    layers.env["RUST_LOG"] = "trace"
    assert layers.settings()["log-level"].value == "warn"


def test_rust_log_is_inherited_only(layers: Layers) -> None:
    """RUST_LOG in .env is not for us."""
    (layers.here / ".env").write_text("RUST_LOG=trace\n")
    assert layers.settings()["log-level"].origin == "default"


@pytest.mark.parametrize("value", ["", "hbbs=debug,info", "off", "rubbish"])
def test_rust_log_of_others(tmp_path: Path, value: str) -> None:
    """RUST_LOG belongs to others too: what we don't understand in it stops nobody."""
    settings("id", cwd=tmp_path, env={"RUST_LOG": value})


def test_rust_log_holds(lab: Lab) -> None:
    """The level that RUST_LOG sets is the log's."""
    server = start_as(lab, "hbbs", lab.directory(), env={"RUST_LOG": "debug"})
    lab.registered(server.target())
    quiet = lab.prepare("relay", directory=lab.directory("quiet"), log_level="warn").launch()
    wait_until(lambda: can_connect(quiet.host, quiet.port + 1), WAIT_S, "the relay")
    assert not [event for event in quiet.events if event["level"] in ("info", "debug")]


# --- settings of old unit files ---------------------------------------------------------------------------------------


OLD = {
    "single-bandwidth": "16",
    "total-bandwidth": "100",
    "limit-speed": "4",
    "downgrade-threshold": "0.66",
    "downgrade-start-check": "1800",
}
IDLE = {
    "test-hbbs": "127.0.0.1:21116",
    "max-database-connections": "5",
}


@pytest.mark.parametrize("name, value", IDLE.items())
@pytest.mark.parametrize("place", PLACES)
def test_settings_without_effect(lab: Lab, name: str, value: str, place: str) -> None:
    """A setting that has no effect is named in a warning, and the start goes on."""
    layers = Layers(lab.tmp_path)
    PLACES[place](layers, name, value)
    server = start_as(lab, "serve", layers.here, *layers.args, env=layers.env)
    assert warned_of(server, name)


@pytest.mark.parametrize("name", ["hbbs", "hbbr"])
def test_old_environment(lab: Lab, name: str) -> None:
    """The whole environment that hbbs and hbbr know starts them as ever, and what has no effect has a warning."""
    told = OLD | IDLE | {"always-use-relay": "N"}
    env = {name.upper().replace("-", "_"): value for name, value in told.items()}
    server = start_as(lab, name, lab.directory(), "-k", "_", env=env)
    assert name == "hbbr" or all(warned_of(server, setting) for setting in IDLE)
    assert not any(warned_of(server, setting) for setting in OLD)


def test_defaults_are_not_warned_of(lab: Lab) -> None:
    """A server with default settings has nothing to warn of."""
    assert not warnings(start_as(lab, "serve", lab.directory()))


def test_flags_of_hbbs(lab: Lab) -> None:
    """Every flag of hbbs is taken, by its letter and by its name."""
    here = lab.directory()
    (lab.tmp_path / "hbbs.conf").write_text("always-use-relay = N\n")
    long = "--relay-servers r.example --rendezvous-servers i.example --serial 1 --software-url http://x.example/r-1.2.3"
    short = "-r r.example -R i.example -s 1 -u http://x.example/r-1.2.3 -M 1000000 --mask 10.0.0.0/8"
    for text in (long + " --rmem 0 --key _", short + " -k _"):
        start_as(lab, "hbbs", here, *text.split(), "-c", lab.tmp_path / "hbbs.conf").stop()


@pytest.mark.parametrize("name", ["hbbr", "relay"])
def test_relay_takes_r(lab: Lab, name: str) -> None:
    """People write hbbr -r X: it starts, and says that this is for the ID server."""
    server = start_as(lab, name, lab.directory(), "-k", "_", "-r", "r.example:21117")
    (said,) = server.logged("a setting has no effect", setting="relay-servers")
    assert "ID server" in said["because"] and said["from"] == "-r"


# --- -r 0.0.0.0 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, rest", [("0.0.0.0", ""), ("0.0.0.0:21117", ""), ("[::]", ""), ("0.0.0.0,192.0.2.7", "192.0.2.7")]
)
def test_unreachable_relay(lab: Lab, value: str, rest: str) -> None:
    """-r 0.0.0.0 is no address that clients can reach: it warns, and is handed out to nobody."""
    server = start_as(lab, "id", lab.directory(), "-r", value)
    assert warned_of(server, "0.0.0.0" if "0.0.0.0" in value else "::")
    b, a = lab.registered(server.target()), lab.controller(server.target())
    a.punch(b.id)
    assert b.expect_hole("PunchHole", a)["relay_server"] == rest
    conf = (lab.directory() / "server.conf").read_text()
    assert f"relay_server={rest}\n" in conf and "0.0.0.0" not in conf


@pytest.mark.parametrize("name", ["serve", "hbbs"])
def test_unreachable_relay_listens_everywhere(lab: Lab, name: str) -> None:
    """-r 0.0.0.0 is written to listen on all interfaces, which is the default: so it does."""
    server = start_as(lab, name, lab.directory(), "-r", "0.0.0.0", hosts=None)
    assert all(can_connect(host, server.port) for host in ("127.0.0.1", "127.9.8.7"))
    assert warned_of(server, "0.0.0.0")
