"""Goal: the relay against haproxy in TCP mode (splicing, copying), against nothing in between, and against hbbr if
there is one; on one thread, then on two. All take turns in every round.

Environment: ROUNDS (5), HBBR (an hbbr binary), HAPROXY (haproxy), RDSRV (the binary that was built).
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import bench
from bench import OURS, HeldTool, Process, Row, run_tool

THREADS = (1, 2)
BULK_MS, MESSAGES_MS, CONNECT_MS = 1500, 3000, 1500
BULKS = (1, 8)
DIRECTIONS = {"ws_tcp": "WebSocket to TCP", "tcp_ws": "TCP to WebSocket"}
MESSAGES = {"sessions": 500, "rate": 60, "least": 200, "most": 20_000}
IDLE_FEW, IDLE_AT_MOST = 1000, 20_000
# Descriptors of a session: two, and haproxy reserves half a one more, for pipes.
SESSION_DESCRIPTORS, OTHER_DESCRIPTORS = 2.5, 100
# A proxy's own connections come from one address: so many backends, lest it run out of ports.
BACKENDS = 16

RDSRV = Path(os.environ.get("RDSRV") or bench.BUILD / "rdsrv").absolute()
HAPROXY = shutil.which(os.environ.get("HAPROXY") or "haproxy")
HBBR = os.environ.get("HBBR")

BARE, SPLICE, COPY, OTHER = "loopback", "haproxy splice", "haproxy copy", "hbbr"

HAPROXY_CONF = """global
    nbthread {threads}
    maxconn {sessions}
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
{options}
frontend in
    bind 127.0.0.1:{port}
    default_backend out
backend out
{servers}
"""
SPLICE_OPTIONS = "    option splice-request\n    option splice-response"
NO_LIMITS = {name: "1000000" for name in ("SINGLE_BANDWIDTH", "TOTAL_BANDWIDTH", "LIMIT_SPEED")}


def descriptor_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def most_sessions() -> int:
    """As many as the limit on descriptors allows."""
    return min(int((descriptor_limit() - OTHER_DESCRIPTORS) / SESSION_DESCRIPTORS) // 100 * 100, IDLE_AT_MOST)


def start_haproxy(port: int, threads: int, splice: bool) -> Process:
    assert HAPROXY
    conf = HAPROXY_CONF.format(
        threads=threads,
        sessions=most_sessions(),
        options=SPLICE_OPTIONS if splice else "",
        port=port,
        servers="\n".join(f"    server s{i} 127.0.0.{i}:{port + 1}" for i in range(1, BACKENDS + 1)),
    )
    return Process([HAPROXY, "-f", "haproxy.cfg"], files={"haproxy.cfg": conf})


def start_rdsrv(port: int, threads: int) -> Process:
    options = f"--relay-port {port} --relay-threads {threads} --bind 127.0.0.1 --data-dir .".split()
    return Process([str(RDSRV), "relay", *options, "-k", ""])


def start_hbbr(port: int, threads: int) -> Process:
    assert HBBR
    env = NO_LIMITS | {"TOKIO_WORKER_THREADS": str(threads)}
    return Process([str(Path(HBBR).absolute()), "-p", str(port)], env=env)


class Contender:
    """What is between the two sides of sessions while the with block lasts."""

    def __init__(self, name: str, threads: int) -> None:
        port = bench.free_ports(1, 2)
        at = f"127.0.0.1:{port}"
        self.websocket = f"127.0.0.1:{port + 2}"
        self.process: Process | None = None
        if name == BARE:
            self.options = {"server": at, "backend": f"0.0.0.0:{port}"}
            return
        if name in (SPLICE, COPY):
            self.process = start_haproxy(port, threads, name == SPLICE)
            self.options = {"server": at, "backend": f"0.0.0.0:{port + 1}"}
        else:
            self.process = start_rdsrv(port, threads) if name == OURS else start_hbbr(port, threads)
            self.options = {"server": at}
        self.process.wait_for_port(port)

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *what: object) -> None:
        if self.process:
            self.process.__exit__(*what)

    def measure(self, tool: str, **options: object) -> tuple[dict[str, Any], float]:
        """What a load generator says, and the seconds of CPU that the process used meanwhile."""
        before = self.process.cpu_seconds() if self.process else 0.0
        result = run_tool(tool, **self.options, **options)
        return result, self.process.cpu_seconds() - before if self.process else 0.0


def new_rows(threads: int) -> dict[str, Row]:
    """All that is measured with so many threads."""
    on = f"on {threads} thread{'s' if threads > 1 else ''}"
    rows: dict[str, Row] = {}

    def half_of_tcp() -> float | None:
        tcp = rows["bulk1"].median(OURS)
        return tcp and tcp / 2

    for n in BULKS:
        rows[f"bulk{n}"] = Row(f"bulk, {n} session{'s' if n > 1 else ''}, {on}", "Gb/s", 1).at_least(SPLICE)
        rows[f"bulk{n}_cpu"] = Row("", "CPU s/GB", 3).at_most(SPLICE)
    for direction, name in DIRECTIONS.items():
        rows[direction] = Row(f"bulk, {name}, {on}", "Gb/s", 1).at_least(half_of_tcp)
        rows[f"{direction}_cpu"] = Row("", "CPU s/GB", 3)
    rows["p50"] = Row(f"500 x 60 messages/s, {on}", "added us, p50").at_most(SPLICE, COPY)
    rows["p99"] = Row("", "added us, p99").at_most(SPLICE, COPY)
    rows["message_cpu"] = Row("", "CPU us each", 1).at_most(SPLICE, COPY)
    rows["connect"] = Row(f"new sessions, {on}", "1/s").at_least(SPLICE, COPY)
    rows["connect_cpu"] = Row("", "CPU us each")
    if threads == 1:
        for n in (IDLE_FEW, most_sessions()):
            rows[f"idle{n}"] = Row(f"{n:,} idle sessions", "bytes each").at_most(2048)
            rows[f"pipes{n}"] = Row("", "pipes held").at_most(0)
    return rows


def measure_bulk(name: str, contender: Contender, rows: dict[str, Row]) -> None:
    def add(key: str, **options: object) -> None:
        result, cpu = contender.measure("relay_bulk", ms=BULK_MS, **options)
        rows[key].add(name, result["bytes"] * 8 / result["seconds"] / 1e9)
        if name != BARE:
            rows[f"{key}_cpu"].add(name, cpu * 1e9 / result["bytes"])

    for n in BULKS:
        add(f"bulk{n}", sessions=n)
    if name in (OTHER, OURS):
        for i, direction in enumerate(DIRECTIONS):
            add(direction, websocket=contender.websocket, **{"from": i})


def measure_messages(name: str, contender: Contender, rows: dict[str, Row]) -> None:
    result, cpu = contender.measure("relay_messages", ms=MESSAGES_MS, **MESSAGES)
    for key in ("p50", "p99"):
        # The bare loopback, measured first, is not what is added.
        rows[key].add(name, result[f"{key}_us"] - (rows[key].values[BARE][-1] if name != BARE else 0))
    if name != BARE:
        rows["message_cpu"].add(name, cpu * 1e6 / result["messages"])


def measure_connect(name: str, contender: Contender, rows: dict[str, Row]) -> None:
    result, cpu = contender.measure("relay_connect", ms=CONNECT_MS)
    rows["connect"].add(name, result["messages"] / result["seconds"])
    if name != BARE:
        rows["connect_cpu"].add(name, cpu * 1e6 / result["messages"])


def measure_idle(name: str, rows: dict[str, Row]) -> None:
    for n in (IDLE_FEW, most_sessions()):
        with Contender(name, 1) as contender:
            assert contender.process
            resident, pipes = contender.process.resident_bytes(), contender.process.pipes()
            with HeldTool("relay_idle", sessions=n, **contender.options):
                rows[f"idle{n}"].add(name, (contender.process.resident_bytes() - resident) / n)
                rows[f"pipes{n}"].add(name, contender.process.pipes() - pipes)


def main() -> None:
    names = [BARE, *([SPLICE, COPY] if HAPROXY else []), *([OTHER] if HBBR else []), OURS]
    rows = {threads: new_rows(threads) for threads in THREADS}
    for n in range(bench.ROUNDS):
        print(f"round {n + 1} of {bench.ROUNDS}", file=sys.stderr)
        for threads in THREADS:
            for name in names:
                with Contender(name, threads) as contender:
                    for measure in (measure_bulk, measure_messages, measure_connect):
                        measure(name, contender, rows[threads])
        for name in names[1:]:
            measure_idle(name, rows[1])
    notes = [
        f"loopback: nothing in between; what is added to its times is what the others have; {most_sessions():,} idle "
        f"sessions is what {descriptor_limit():,} descriptors allow, at {SESSION_DESCRIPTORS} a session"
    ]
    if not HAPROXY:
        notes.append("haproxy isn't here to be compared with: apt-get install haproxy, or HAPROXY=/path")
    all_rows = [row for of_threads in rows.values() for row in of_threads.values()]
    bench.report("relay", all_rows, names, bench.BUILD / "bench" / "relay.json", notes)


if __name__ == "__main__":
    main()
