"""A host below a directory on which hbbs and hbbr are installed: units, data directories, a systemctl and a docker
of its own. The servers that its systemctl starts are real ones, as the unit of that name would have them."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import termios
from pathlib import Path

import database
from polling import wait_until
from rdserver import BINARY, clean_env, keygen

MIGRATE = Path(__file__).resolve().parents[2] / "packaging" / "migrate.sh"
OUR_UNITS = ("rdsrv", "rdsrv-id", "rdsrv-relay")

# Keeps what is enabled and what runs as files; START_FAILS names a unit that is tried again and again. A file
# on.VERB.UNIT is run behind that.
SYSTEMCTL = """#!/bin/sh
[ "$1" != --quiet ] || shift
unit=${2%.service}
echo "$1 $unit" >>"$HOST_STATE/log"
case $1 in
is-active)
	[ ! -e "$HOST_STATE/active.$unit" ] || { cat "$HOST_STATE/active.$unit"; exit 0; }
	echo inactive
	exit 3
	;;
is-enabled)
	[ ! -e "$HOST_STATE/static.$unit" ] || { echo static; exit 0; }
	[ -e "$HOST_STATE/enabled.$unit" ] || { echo disabled; exit 1; }
	echo enabled
	;;
enable) : >"$HOST_STATE/enabled.$unit" ;;
disable) rm -f "$HOST_STATE/enabled.$unit" ;;
start)
	echo active >"$HOST_STATE/active.$unit"
	[ "$unit" != "${START_FAILS:-}" ] || { echo activating >"$HOST_STATE/active.$unit"; exit 1; }
	;;
stop) rm -f "$HOST_STATE/active.$unit" ;;
*) exit 9 ;;
esac
[ ! -e "$HOST_STATE/on.$1.$unit" ] || . "$HOST_STATE/on.$1.$unit"
"""
# Says what the file says, and the override file; one that says BROKEN is refused. A file no-compose takes it away.
DOCKER = """#!/bin/sh
[ "$1" = compose ] && [ ! -e "$HOST_STATE/no-compose" ] || exit 9
shift
[ "$1" != version ] || exit 0
echo "compose $*" >>"$HOST_STATE/log"
[ "$*" != "-f $2 config" ] || exec cat "$2"
[ "$*" = config ] || exit 0
! grep BROKEN *compose.y*ml >&2 || exit 1
cat *compose.y*ml
[ ! -e docker-compose.override.yml ] || sed 1d docker-compose.override.yml
"""


class OldHost:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.bin = root / "bin"
        for path in (self.state, self.bin, root / "etc"):
            path.mkdir(parents=True)
        (self.state / "log").touch()
        self._program("systemctl", SYSTEMCTL)
        self._program("docker", DOCKER)
        (self.bin / "rdsrv").symlink_to(BINARY)
        owner = "64321:64322" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"
        (root / "etc" / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nrdsrv:x:{owner}::/:/bin/false\n")
        for name in OUR_UNITS:
            self.unit(name, "", place="usr/lib")

    def _program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    # --- what was there before

    def unit(self, name: str, text: str, place: str = "etc", running: bool = False) -> None:
        path = self.root / place / "systemd" / "system"
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.service").write_text(text)
        if running:
            (self.state / f"enabled.{name}").touch()
            (self.state / f"active.{name}").write_text("active\n")

    def service(self, name: str, command: str, directory: str, more: str = "", **options: object) -> None:
        """A unit as packages and guides have it, enabled and running."""
        options = {"running": True} | options
        text = f"[Unit]\nDescription=x\n\n[Service]\nExecStart={command}\nWorkingDirectory={directory}\n{more}\n"
        self.unit(name, text, **options)  # type: ignore[arg-type]

    def data(self, directory: str, peers: bool = True) -> Path:
        """A data directory as hbbs leaves it: world-readable, with a key and three peers."""
        path = self.root / directory.lstrip("/")
        path.mkdir(parents=True)
        keygen(path)
        (path / "id_ed25519").chmod(0o644)
        if peers:
            database.place_vector(path)
        return path

    # --- what is there afterwards

    @property
    def target(self) -> Path:
        return self.root / "var" / "lib" / "rdsrv"

    @property
    def conf(self) -> Path:
        return self.root / "etc" / "rdsrv" / "rdsrv.conf"

    @property
    def settings(self) -> dict[str, str]:
        lines = [line for line in self.conf.read_text().splitlines() if line and not line.startswith("#")]
        return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}

    @property
    def active(self) -> set[str]:
        return {path.name.removeprefix("active.") for path in self.state.glob("active.*")}

    @property
    def enabled(self) -> set[str]:
        return {path.name.removeprefix("enabled.") for path in self.state.glob("enabled.*")}

    @property
    def log(self) -> list[str]:
        """What systemctl and docker were told to do."""
        lines = (self.state / "log").read_text().splitlines()
        return [line for line in lines if not line.startswith("is-") and not line.endswith(" config")]

    # --- the script

    def run(self, *args: str, cwd: Path | None = None, start_fails: str = "") -> subprocess.CompletedProcess[str]:
        env = clean_env({"HOST_STATE": str(self.state), "START_FAILS": start_fails})
        env["PATH"] = f"{self.bin}:{env['PATH']}"
        command = ["sh", str(MIGRATE), "--root", str(self.root), *args]
        options = dict(stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return subprocess.run(command, cwd=cwd or self.root, env=env, **options)  # type: ignore[call-overload]

    def interrupted(self, how: str) -> None:
        """Runs it, and takes away its terminal or the pipe of its output while it stops hbbr."""
        hook = self.state / "on.stop.hbbr"
        hook.write_text('echo >"$HOST_STATE/now"; while [ ! -e "$HOST_STATE/gone" ]; do sleep 0.05; done')
        env = clean_env({"HOST_STATE": str(self.state)})
        env["PATH"] = f"{self.bin}:{env['PATH']}"
        command = ["sh", str(MIGRATE), "--root", str(self.root), "--yes"]
        ours, its = os.openpty() if how == "terminal" else os.pipe()
        setup = (lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0)) if how == "terminal" else None
        options = dict(stdin=its if how == "terminal" else subprocess.DEVNULL, stdout=its, stderr=its)
        process = subprocess.Popen(
            command, env=env, cwd=self.root, start_new_session=True, preexec_fn=setup, **options
        )  # type: ignore[call-overload]
        os.close(its)
        wait_until((self.state / "now").exists, 10)
        os.close(ours)
        (self.state / "gone").touch()
        process.wait(60)
        hook.unlink()

    def answer(self, text: str) -> int:
        """Runs it on a terminal and types the text; its exit code."""
        ours, its = os.openpty()
        env = clean_env({"HOST_STATE": str(self.state)})
        env["PATH"] = f"{self.bin}:{env['PATH']}"
        with open(self.state / "said", "wb") as said:
            command = ["sh", str(MIGRATE), "--root", str(self.root)]
            process = subprocess.Popen(command, env=env, cwd=self.root, stdin=its, stdout=said, stderr=said)
        os.close(its)
        os.write(ours, text.encode())
        code = process.wait(60)
        os.close(ours)
        return code

    def migrate(self, *args: str, **options: object) -> subprocess.CompletedProcess[str]:
        done = self.run("--yes", *args, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def own_target(self) -> None:
        """So that the tests' own user can run servers there as its owner."""
        for path in (self.target, *self.target.iterdir()):
            shutil.chown(path, os.getuid(), os.getgid())


def picture(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything about the files of a directory that could have changed."""
    files = {str(p.relative_to(directory)): p for p in (directory, *directory.rglob("*"))}
    return {
        name: (stat.S_IMODE(s.st_mode), s.st_uid, s.st_mtime_ns, b"" if p.is_dir() else p.read_bytes())
        for name, p in files.items()
        for s in [p.stat()]
    }


Kind = tuple[str, str, str, str]

# Directory, units, and what their command lines are.
PACKAGES = ("/var/lib/rustdesk-server", "rustdesk-hbbs", "rustdesk-hbbr", "/usr/bin/")
GUIDES = ("/var/lib/rustdesk", "hbbs", "hbbr", "/usr/local/bin/")
SCRIPTS = ("/opt/rustdesk", "rustdesksignal", "rustdeskrelay", "/opt/rustdesk/")

COMPOSE = """services:
  hbbs:
    image: rustdesk/rustdesk-server:latest
    command: hbbs -r relay.example.com   # told to clients
    environment:
      - ALWAYS_USE_RELAY=Y
    volumes:
      - ./data:/root
  hbbr:
    image: rustdesk/rustdesk-server:latest
    command: ["hbbr", "-k", "_"]
    volumes:
      - ./data:/root
"""
SUPERVISED = """services:
  rustdesk:
    image: rustdesk/rustdesk-server-s6:latest
    environment:
      RELAY: "relay.example.com:21117"
      ENCRYPTED_ONLY: 1
    volumes:
      - type: bind
        source: ./data
        target: /data
"""


def installed(host: OldHost, kind: Kind = PACKAGES, flags: str = "", relay_flags: str = "") -> Path:
    directory, id_unit, relay_unit, programs = kind
    path = host.data(directory)
    host.service(id_unit, f"{programs}hbbs {flags}", directory)
    host.service(relay_unit, f"{programs}hbbr {relay_flags}", directory)
    return path


def untouched(host: OldHost, *args: str, code: int = 1, **options: str) -> str:
    """The script refuses, and nothing has happened; what it says."""
    done = host.run(*args, **options)  # type: ignore[arg-type]
    assert done.returncode == code, done.stdout + done.stderr
    assert host.log == []
    assert not host.target.joinpath(database.NAME).exists()
    return done.stderr


def compose_in(host: OldHost, directory: str, text: str, name: str = "compose.yaml") -> Path:
    path = host.root / directory.lstrip("/")
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_text(text)
    return path
