"""What all benchmarks share: programs on cores of their own, alternating rounds, medians, one table.

Contenders of one measure run in turn, several rounds, so that whatever else the machine does hits all of them alike;
what counts is the median. Servers and load generators run on different cores. Where the user is root, all of it
happens in a network namespace of its own: no port is taken, no firewall's rules are in the way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("BENCH_PROGRAMS", ROOT / "build/bench"))
RDSRV = Path(os.environ.get("RDSRV", ROOT / "build/rdsrv"))
IN_NAMESPACE = "BENCH_NAMESPACE"
PASSED_ON = ("PATH", "HOME", "LANG")  # a setting in the environment is none of the benchmark's
READY_S = 120.0
STOP_S = 30.0
PORT = 21116
LOOPBACK = "127.0.0.1"

_cores = sorted(os.sched_getaffinity(0))
SERVER_CORE = [_cores[0]]
LOAD_CORE = [_cores[-1]]
ALL_CORES = _cores

Result = dict[str, Any]


def enter_namespace() -> None:
    """Starts this script anew in a network namespace of its own, where that is possible."""
    if os.environ.get(IN_NAMESPACE) or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        return
    up = 'ip link set lo up && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", up, "sh", sys.executable, *sys.argv]
    os.execvpe(command[0], command, os.environ | {IN_NAMESPACE: "1"})


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"kernel": platform.release(), "cores": len(ALL_CORES), "cpu": cpu, "load": os.getloadavg()[0]}


# --- programs ---


class Program:
    """A process on some cores, with a directory of its own that goes with it."""

    def __init__(
        self,
        command: Sequence[str | Path],
        cores: Sequence[int],
        directory: Path | None = None,
        env: Mapping[str, str] = {},
    ) -> None:
        self.directory = directory
        self._said = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def wait_port(self, port: int, tcp: bool = False) -> Program:
        """Until somebody listens there."""
        deadline = time.monotonic() + READY_S
        while not _listens(port, tcp):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._give_up(f"is not listening on port {port}")
            time.sleep(0.02)
        return self

    def cpu_s(self) -> float:
        """What its threads have used so far, to the nanosecond where the kernel counts so."""
        stats = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9

    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def say(self, line: str = "") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> Result:
        """The next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._give_up("ended early")
        return json.loads(line)

    def _give_up(self, why: str) -> None:
        self._said.seek(0)
        raise SystemExit(f"{self._process.args} {why}; it says:\n{self._said.read()}")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)


def _listens(port: int, tcp: bool) -> bool:
    names = ("tcp", "tcp6") if tcp else ("udp", "udp6")
    for name in names:
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:] if Path(f"/proc/net/{name}").exists() else []:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and (not tcp or fields[3] == "0A"):
                return True
    return False


def run(name: str, cores: Sequence[int] = LOAD_CORE, **options: object) -> Result:
    """Runs one of the programs to its end; what it says."""
    command = [str(PROGRAMS / name)] + [f"{key}={value}" for key, value in options.items()]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )
    return json.loads(done.stdout) if done.stdout else {}


def fresh_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="rdsrv-bench-"))


# --- rounds ---


def alternate(contenders: Mapping[str, Callable[[], Result]], rounds: int) -> dict[str, list[Result]]:
    """Runs all of them in turn, so many times; what each said each time."""
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contend in contenders.items():
            results[name].append(contend())
    return results


def median(results: Sequence[Result], key: str) -> float:
    return statistics.median(result[key] for result in results)


# --- table ---


class Table:
    """Rows of: what was measured, ours, what it is compared with, the ratio, what is to be reached."""

    COLUMNS = ("measure", "rdsrv", "beside it", "ratio", "reach", "reached")

    def __init__(self, others: Sequence[str] = ()) -> None:
        self._others = list(others)
        self._rows: list[Result] = []
        self._raw: Result = {}

    def add(
        self,
        measure: str,
        ours: float,
        beside: tuple[str, float] | None = None,
        ratio: float | None = None,
        least: float | None = None,
        most: float | None = None,
        of: str = "ratio",
        **others: float,
    ) -> None:
        """least, most: the bound, of the ratio or of the value."""
        judged = ratio if of == "ratio" else ours
        reached = None
        if judged is not None and (least is not None or most is not None):
            reached = (least is None or judged >= least) and (most is None or judged <= most)
        self._rows.append(
            {
                "measure": measure,
                "rdsrv": ours,
                "beside": None if beside is None else {"what": beside[0], "value": beside[1]},
                "ratio": ratio,
                "least": least,
                "most": most,
                "of": of,
                "reached": reached,
                **others,
            }
        )

    def keep(self, name: str, results: object) -> None:
        """What a median was made of, for the JSON."""
        self._raw[name] = results

    def print(self) -> None:
        lines = [list(self.COLUMNS) + self._others] + [self._texts(row) for row in self._rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        for line in lines:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())

    def write_json(self, path: str, about: Result) -> None:
        text = json.dumps({"machine": about, "rows": self._rows, "results": self._raw}, indent=1)
        Path(path).write_text(text + "\n")

    @property
    def all_reached(self) -> bool:
        return all(row["reached"] is not False for row in self._rows)

    def _texts(self, row: Result) -> list[str]:
        sign, bound = (">=", row["least"]) if row["least"] is not None else ("<=", row["most"])
        beside = row["beside"]
        return [
            row["measure"],
            number(row["rdsrv"]),
            "" if beside is None else f"{number(beside['value'])} {beside['what']}",
            "" if row["ratio"] is None else f"{row['ratio']:.2f}",
            "" if bound is None else f"{sign} {number(bound)}",
            {True: "yes", False: "NO", None: ""}[row["reached"]],
        ] + [number(row[other]) if other in row else "" for other in self._others]


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", metavar="FILE", help="write the table and all results there, too")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs (%(default)s)")
    parser.add_argument("--only", default="", help="measures, separated by commas; all if empty")
    return parser
