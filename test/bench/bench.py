"""What all benchmarks share: processes and what they use, load generators, medians, one table and JSON."""

from __future__ import annotations

import json
import os
import platform
import random
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence, Union

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD") or ROOT / "build").absolute()
OURS = "rdsrv"
ROUNDS = int(os.environ.get("ROUNDS") or 5)

# What a figure is measured against.
Bar = Union[float, str, Callable[[], Optional[float]]]

START_S = 10.0
STOP_S = 10.0
TOOL_S = 120.0


def _is_listening(port: int) -> bool:
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()]
    return any(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines[1:])


class Process:
    """A program that runs for the length of a with block, in a directory of its own with these files."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] = {}, files: Mapping[str, str] = {}) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="rdsrv-bench-")
        directory = Path(self._directory.name)
        for name, text in files.items():
            (directory / name).write_text(text)
        self._log = (directory / "log").open("w+")
        self._child = subprocess.Popen(
            argv,
            cwd=directory,
            env=dict(os.environ) | dict(env),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._proc = Path(f"/proc/{self._child.pid}")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()
        self._directory.cleanup()

    def wait_for_port(self, port: int) -> None:
        """Until it listens there. Nothing connects: a proxy would pass that on to whoever comes first."""
        deadline = time.monotonic() + START_S
        while not _is_listening(port):
            if time.monotonic() > deadline or self._child.poll() is not None:
                self._log.seek(0)
                raise SystemExit(f"{self._child.args} doesn't listen on port {port}:\n{self._log.read()}")
            time.sleep(0.01)

    def cpu_seconds(self) -> float:
        """What all its threads have used."""
        stats = (self._proc / "task").glob("*/schedstat")
        return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9

    def resident_bytes(self) -> int:
        return int((self._proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def pipes(self) -> int:
        """How many of its descriptors are those of pipes."""
        return sum(os.readlink(fd).startswith("pipe:") for fd in (self._proc / "fd").iterdir())


def _tool_argv(name: str, options: Mapping[str, object]) -> list[str]:
    return [str(BUILD / "bench" / name), *(f"{key.replace('_', '-')}={value}" for key, value in options.items())]


def run_tool(name: str, **options: object) -> dict[str, Any]:
    """Runs a load generator to its end; what it measured."""
    done = subprocess.run(_tool_argv(name, options), capture_output=True, text=True, timeout=TOOL_S)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(done.args)}: {done.stderr.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


class HeldTool:
    """A load generator that says when it is ready and goes on until the with block ends."""

    def __init__(self, name: str, **options: object) -> None:
        self._child = subprocess.Popen(
            _tool_argv(name, options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> HeldTool:
        assert self._child.stdout
        if not self._child.stdout.readline():
            raise SystemExit(f"{self._child.args} failed")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin and self._child.stdout
        self._child.stdin.close()
        self._child.wait(STOP_S)
        self._child.stdout.close()


def free_ports(*offsets: int) -> int:
    """A port, below the range of outgoing connections, that is free along with those at the offsets from it."""
    for _ in range(1000):
        base = random.randrange(20_000, 32_000)
        try:
            for offset in (0, *offsets):
                with socket.socket() as sock:
                    sock.bind(("0.0.0.0", base + offset))
            return base
        except OSError:
            continue
    raise SystemExit("no free ports")


class Row:
    """One measure: a value of each contender in each round, and what OURS is to reach."""

    def __init__(self, name: str, unit: str, digits: int = 0) -> None:
        self.name, self.unit, self.digits = name, unit, digits
        self.values: dict[str, list[float]] = {}
        self._bars: tuple[Bar, ...] = ()
        self._at_least = True

    def at_least(self, *bars: Bar) -> Row:
        """Each a number, a contender whose median it is, or a function that tells it; the hardest counts."""
        self._bars, self._at_least = bars, True
        return self

    def at_most(self, *bars: Bar) -> Row:
        self._bars, self._at_least = bars, False
        return self

    def add(self, contender: str, value: float) -> None:
        self.values.setdefault(contender, []).append(value)

    def median(self, contender: str) -> float | None:
        values = self.values.get(contender)
        return statistics.median(values) if values else None

    def bar(self) -> float | None:
        bars = (self.median(b) if isinstance(b, str) else b() if callable(b) else b for b in self._bars)
        known = [bar for bar in bars if bar is not None]
        return (max if self._at_least else min)(known, default=None)

    def reached(self) -> bool | None:
        bar, value = self.bar(), self.median(OURS)
        if bar is None or value is None:
            return None
        return value >= bar if self._at_least else value <= bar

    def cells(self, contenders: Sequence[str]) -> list[str]:
        bar, value = self.bar(), self.median(OURS)
        reach = "" if bar is None else f"{'>=' if self._at_least else '<='} {self._text(bar)}"
        share = f" ({value / bar:.2f})" if bar and value is not None else ""
        verdict = {None: "", True: "yes", False: "no"}[self.reached()]
        return [self.name, self.unit, *(self._text(self.median(c)) for c in contenders), reach, verdict + share]

    def _text(self, value: float | None) -> str:
        return "" if value is None else f"{value:,.{self.digits}f}"

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.name,
            "unit": self.unit,
            "median": {name: self.median(name) for name in self.values},
            "rounds": self.values,
            "at_least" if self._at_least else "at_most": self.bar(),
            "reached": self.reached(),
        }


def report(title: str, rows: Sequence[Row], contenders: Sequence[str], path: Path, notes: Sequence[str] = ()) -> None:
    """Prints the table and writes the JSON file."""
    table = [["measure", "unit", *contenders, "reach", "reached"], *(row.cells(contenders) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    print(f"{title}; median of {ROUNDS}; {os.cpu_count()} cores, Linux {platform.release()}")
    for line in table:
        cells = (text.ljust(width) if i < 2 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths)))
        print("  ".join(cells).rstrip())
    print(*notes, f"as JSON: {path}", sep="\n")
    whole = {"title": title, "rounds": ROUNDS, "cores": os.cpu_count(), "kernel": platform.release(), "notes": notes}
    path.write_text(json.dumps(whole | {"rows": [row.as_json() for row in rows]}, indent=1) + "\n")
