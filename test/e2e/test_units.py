"""Goal: the units are what systemd wants, with a sandbox that it calls good, and what they promise is in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import Lab
from rdserver import BINARY, run_rdsrv

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "packaging" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
SOCKETS = sorted(path.name for path in UNITS.glob("*.socket"))
EXPOSURE_AT_MOST = 1.5

needs_analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


def entries(name: str) -> dict[str, list[str]]:
    """What a unit sets, in order."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def one(name: str, setting: str) -> str:
    (value,) = entries(name)[setting]
    return value


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as `make install-systemd` installs them, for this binary."""
    place = tmp_path / "stage"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rdsrv").symlink_to(BINARY)
    command = ["make", "-s", "-C", str(ROOT), "install-systemd", f"DESTDIR={place}", f"BINDIR={tmp_path}/bin"]
    done = subprocess.run([*command, "PREFIX=/usr"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place


def test_there_are_all() -> None:
    assert SERVICES == ["rdsrv-id.service", "rdsrv-relay.service", "rdsrv.service"]
    assert SOCKETS == ["rdsrv-id.socket", "rdsrv-relay.socket", "rdsrv.socket"]


@needs_analyze
def test_verify(installed: Path) -> None:
    """systemd-analyze verify has nothing to say."""
    units = [str(installed / "usr/lib/systemd/system" / name) for name in SERVICES + SOCKETS]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_analyze
@pytest.mark.parametrize("name", SERVICES)
def test_sandbox(installed: Path, name: str) -> None:
    """systemd-analyze security calls the exposure at most 1.5."""
    unit = str(installed / "usr/lib/systemd/system" / name)
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found and float(found[1]) <= EXPOSURE_AT_MOST, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_what_units_promise(name: str) -> None:
    role = {"rdsrv.service": "serve"}.get(name) or name.removeprefix("rdsrv-").removesuffix(".service")
    want = {
        "Type": "notify",
        "User": "rdsrv",
        "ExecStart": f"/usr/bin/rdsrv {role}",
        "ExecReload": f"/usr/bin/rdsrv ctl {'id' if role == 'serve' else role} reload",
        "StateDirectory": "rdsrv",
        "StateDirectoryMode": "0700",
        "Environment": "RDSRV_DATA_DIR=%S/rdsrv",
        "Restart": "on-failure",
        "RestartSec": "5s",
        "RestartPreventExitStatus": "2",
        "WatchdogSec": "30s",
    }
    assert {setting: one(name, setting) for setting in want} == want
    assert int(one(name, "LimitNOFILE")) >= 65536


def test_one_or_two_processes() -> None:
    """The unit of both roles and those of one can't run at the same time."""
    both = set(one("rdsrv.service", "Conflicts").split())
    assert both == {"rdsrv-id.service", "rdsrv-relay.service"}
    assert all(one(name, "Conflicts") == "rdsrv.service" for name in both)


def test_stop_has_time(lab: Lab) -> None:
    """TimeoutStopSec is above the default of drain-timeout; test_service.py shows that a longer one asks for more."""
    done = run_rdsrv("relay", "--test-config", cwd=lab.directory())
    drain = re.search(r"^drain-timeout\s*=\s*(\d+)", done.stdout, re.M)
    assert drain
    for name in SERVICES:
        assert int(one(name, "TimeoutStopSec").removesuffix("s")) > int(drain[1])


@pytest.mark.parametrize("name", SOCKETS)
def test_sockets(name: str) -> None:
    """Port 80, under the name by which the server knows what it is for."""
    assert one(name, "ListenStream") == "80" and one(name, "FileDescriptorName") == "websocket"
    assert name.replace(".socket", ".service") in SERVICES


def test_configuration_is_kept(installed: Path) -> None:
    """A second installation leaves the administrator's settings alone; what is shipped is valid and sets nothing."""
    config = installed / "etc/rdsrv/rdsrv.conf"
    settings = ["--config", str(config), "--test-config"]
    plain = run_rdsrv("serve", "--test-config", cwd=installed).stdout
    shown = run_rdsrv("serve", *settings, cwd=installed).stdout
    differ = [line for line in shown.splitlines() if line not in plain.splitlines()]
    assert len(differ) == 1 and differ[0].startswith("config ")
    config.write_text("port = 31116\n")
    command = ["make", "-s", "-C", str(ROOT), "install-systemd", f"DESTDIR={installed}", "PREFIX=/usr"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert config.read_text() == "port = 31116\n"


def test_examples_in_the_configuration_are_valid(tmp_path: Path) -> None:
    """What is commented out can be used as it stands."""
    text = (ROOT / "packaging" / "rdsrv.conf").read_text()
    used = re.sub(r"^#(?=[a-z-]+ =)", "", text, flags=re.M)
    assert used.count("\n#") < text.count("\n#")
    (tmp_path / "all.conf").write_text(used)
    done = run_rdsrv("serve", "--config", "all.conf", "--test-config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="no systemd-sysusers here")
def test_user_and_directories(installed: Path, tmp_path: Path) -> None:
    """sysusers.d and tmpfiles.d make the user and the directories, in a root of our own."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    for tool, more in (("systemd-sysusers", []), ("systemd-tmpfiles", ["--create"])):
        name = tool.removeprefix("systemd-") + ".d"
        source = installed / "usr/lib" / name / "rdsrv.conf"
        done = subprocess.run([tool, f"--root={root}", *more, str(source)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    user = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("rdsrv:"))
    assert user.endswith(":/var/lib/rdsrv:/usr/sbin/nologin")
    about = (root / "var/lib/rdsrv").stat()
    assert (about.st_mode & 0o7777, about.st_uid) == (0o700, int(user.split(":")[2]))
