"""Benchmarks of the relay: `make bench-relay`. README.md beside this says what each row is."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import Callable, Sequence

import frame
from frame import ALL_CORES, LOAD_CORE, LOOPBACK, PORT, SERVER_CORE, Program, Result, Table, median, run

BULK_MS, MESSAGES_MS, CONNECT_MS = 1_500, 2_500, 1_500
MESSAGES = {"sessions": 500, "rate": 60, "least": 200, "most": 20_000}
IDLE_FEW, IDLE_AT_MOST = 1_000, 20_000
# Descriptors of a session: two, and haproxy reserves half a one more, for pipes.
SESSION_DESCRIPTORS, OTHER_DESCRIPTORS = 2.5, 100
BACKEND, WEBSOCKET = PORT + 1, PORT + 2
# A proxy's own connections come from one address: so many backends, lest it run out of ports.
BACKENDS = 16

BARE, SPLICE, COPY, HBBR, OURS = "loopback", "haproxy splice", "haproxy copy", "hbbr", "rdsrv"

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
    bind {loopback}:{port}
    default_backend out
backend out
{servers}
"""
SPLICE_OPTIONS = "    option splice-request\n    option splice-response"
OURS_OPTIONS = ("--bind", LOOPBACK, "--data-dir", ".", "--log-level", "warn")
# hbbr's limits are on by default, in Mb/s.
HBBR_ENV = {name: "1000000" for name in ("SINGLE_BANDWIDTH", "TOTAL_BANDWIDTH", "LIMIT_SPEED")} | {"RUST_LOG": "warn"}
# Such a process doesn't interrupt others when it wakes up, so it finds as much work as there is.
BATCH = ("chrt", "--batch", "0")


def descriptor_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def most_sessions() -> int:
    """As many as the limit on descriptors allows."""
    return min(int((descriptor_limit() - OTHER_DESCRIPTORS) / SESSION_DESCRIPTORS) // 100 * 100, IDLE_AT_MOST)


def pipes_of(server: Program) -> int:
    """How many of its descriptors are those of pipes."""
    return sum(os.readlink(fd).startswith("pipe:") for fd in Path(f"/proc/{server.pid}/fd").iterdir())


class Bench:
    def __init__(self, rounds: int, haproxy: str | None, hbbr: Path | None) -> None:
        self.rounds = rounds
        self.haproxy = haproxy
        self.hbbr = hbbr
        self.relays = [OURS] + ([HBBR] if hbbr else [])
        self.servers = ([SPLICE, COPY] if haproxy else []) + self.relays
        self.table = Table([BARE, *(name for name in self.servers if name != OURS)])

    # --- servers ---

    def _start(self, name: str, threads: int, cores: Sequence[int], prefix: Sequence[str] = ()) -> Program:
        directory = frame.fresh_directory()
        if name in (SPLICE, COPY):
            self._write_haproxy_conf(directory / "haproxy.cfg", threads, name == SPLICE)
        command = {
            OURS: [frame.RDSRV, "relay", "--relay-port", PORT, "--relay-threads", threads, "-k", "", *OURS_OPTIONS],
            HBBR: [self.hbbr, "-p", PORT],
        }.get(name, [self.haproxy, "-f", "haproxy.cfg"])
        env = HBBR_ENV | {"TOKIO_WORKER_THREADS": str(threads)}
        return Program([*prefix, *command], cores, directory, env).wait_port(PORT, tcp=True)

    @staticmethod
    def _write_haproxy_conf(path: Path, threads: int, splice: bool) -> None:
        conf = HAPROXY_CONF.format(
            threads=threads,
            sessions=most_sessions(),
            options=SPLICE_OPTIONS if splice else "",
            loopback=LOOPBACK,
            port=PORT,
            servers="\n".join(f"    server s{i} 127.0.0.{i}:{BACKEND}" for i in range(1, BACKENDS + 1)),
        )
        path.write_text(conf)

    @staticmethod
    def _where(name: str) -> dict[str, object]:
        """For the load generators: where the two sides of a session are."""
        at = {"server": f"{LOOPBACK}:{PORT}"}
        if name == BARE:
            return at | {"backend": f"0.0.0.0:{PORT}"}
        return at if name in (OURS, HBBR) else at | {"backend": f"0.0.0.0:{BACKEND}"}

    def _load(self, name: str, threads: int, tool: str, busy: bool = False, **options: object) -> Result:
        """What the load generator says, and cpu_s, what the server used meanwhile. A server of one thread has a core,
        the load generator another; busy: both share one, and the server waits until nothing else has work to do."""
        server_cores, load_cores = (SERVER_CORE, LOAD_CORE) if threads == 1 else (ALL_CORES, ALL_CORES)
        if busy:
            server_cores = load_cores = SERVER_CORE
        if name == BARE:
            return run(tool, load_cores, **self._where(name), **options)
        with self._start(name, threads, server_cores, BATCH if busy else ()) as server:
            before = server.cpu_s()
            said = run(tool, load_cores, **self._where(name), **options)
            return said | {"cpu_s": server.cpu_s() - before}

    # --- rows ---

    def _alternate(self, names: Sequence[str], contend: Callable[[str], Result]) -> dict[str, list[Result]]:
        return frame.alternate({name: lambda name=name: contend(name) for name in names}, self.rounds)

    def _row(self, measure: str, results: dict[str, list[Result]], key: str, best: Callable | None, *rivals: str) -> None:
        """best: min or max of the rivals' medians is to be reached."""
        medians = {name: median(said, key) for name, said in results.items() if key in said[0]}
        ours = medians.pop(OURS)
        known = [name for name in rivals if name in medians]
        if not known or best is None:
            self.table.add(measure, ours, **medians)
            return
        rival = best(known, key=medians.__getitem__)
        bound = {"least": 1} if best is max else {"most": 1}
        self.table.add(measure, ours, (rival, medians[rival]), ours / medians[rival], **bound, **medians)

    # --- bulk ---

    def _bulk_once(self, name: str, threads: int, **options: object) -> Result:
        said = self._load(name, threads, "relay_bulk", ms=BULK_MS, **options)
        gigabytes = said["bytes"] / 1e9
        said["gbps"] = gigabytes * 8 / said["seconds"]
        return said | ({"cpu_s_gb": said["cpu_s"] / gigabytes} if "cpu_s" in said else {})

    def bulk(self, threads: int) -> None:
        for sessions in (1, 8):
            results = self._alternate(
                [BARE, *self.servers], lambda name: self._bulk_once(name, threads, sessions=sessions)
            )
            self.table.keep(f"bulk_{sessions}_{threads}", results)
            what = f"{sessions} session{'s' if sessions > 1 else ''}, {threads} thread{'s' if threads > 1 else ''}"
            self._row(f"bulk, {what}, Gb/s", results, "gbps", max, SPLICE)
            self._row("  CPU s a GB", results, "cpu_s_gb", min, SPLICE)

    def websocket(self, threads: int) -> None:
        """Beside the same relay's TCP to TCP, in the same rounds."""
        kinds = {"TCP to TCP": {}, "WebSocket to TCP": {"from": 0}, "TCP to WebSocket": {"from": 1}}
        at = {"websocket": f"{LOOPBACK}:{WEBSOCKET}"}
        results = frame.alternate(
            {
                kind: lambda options=options: self._bulk_once(OURS, threads, **(at | options if options else {}))
                for kind, options in kinds.items()
            },
            self.rounds,
        )
        self.table.keep(f"websocket_{threads}", results)
        tcp = median(results["TCP to TCP"], "gbps")
        for kind in list(kinds)[1:]:
            ours = median(results[kind], "gbps")
            what = f"{threads} thread{'s' if threads > 1 else ''}"
            self.table.add(f"{kind}, {what}, Gb/s", ours, ("TCP to TCP", tcp), ours / tcp, least=0.5)
            self.table.add("  CPU s a GB", median(results[kind], "cpu_s_gb"))

    # --- messages ---

    def messages(self, threads: int) -> None:
        """How much longer than without a relay each is under way, and what it costs."""
        bare: Result = {}

        def contend(name: str) -> Result:
            nonlocal bare
            said = self._load(name, threads, "relay_messages", ms=MESSAGES_MS, **MESSAGES)
            if name == BARE:  # the first of each round
                bare = said
                return said
            said |= {f"added_{p}": max(said[f"{p}_us"] - bare[f"{p}_us"], 1) for p in ("p50", "p99")}
            return said | {"cpu_us": said["cpu_s"] * 1e6 / said["messages"]}

        results = self._alternate([BARE, *self.servers], contend)
        self.table.keep(f"messages_{threads}", results)
        what = f"{threads} thread{'s' if threads > 1 else ''}"
        self._row(f"500 x 60 messages/s, {what}, added p50, us", results, "added_p50", min, SPLICE, COPY)
        self._row("  added p99, us", results, "added_p99", min, SPLICE, COPY)
        self._row("  CPU per message, us", results, "cpu_us", min, SPLICE, COPY)

    # --- new sessions ---

    def _connect_once(self, name: str, threads: int, busy: bool) -> Result:
        said = self._load(name, threads, "relay_connect", busy, ms=CONNECT_MS)
        said["per_second"] = said["messages"] / said["seconds"]
        return said | ({"per_cpu_second": said["messages"] / said["cpu_s"]} if "cpu_s" in said else {})

    def connect(self, threads: int) -> None:
        """On its own core the load generator is what takes longest, so what the relay could do shows when it is busy."""
        what = f"{threads} thread{'s' if threads > 1 else ''}"
        results = self._alternate([BARE, *self.servers], lambda name: self._connect_once(name, threads, False))
        self.table.keep(f"connect_{threads}", results)
        self._row(f"new sessions, {what}, a second", results, "per_second", max, SPLICE, COPY)
        results = self._alternate(self.servers, lambda name: self._connect_once(name, threads, True))
        self.table.keep(f"connect_busy_{threads}", results)
        self._row("  a second of its CPU, when busy", results, "per_cpu_second", max, SPLICE, COPY)

    # --- idle sessions ---

    def _idle_once(self, name: str, sessions: int) -> Result:
        with self._start(name, 1, SERVER_CORE) as server:
            empty, pipes = server.rss_bytes(), pipes_of(server)
            options = {**self._where(name), "sessions": sessions}
            command = [frame.PROGRAMS / "relay_idle", *(f"{key}={value}" for key, value in options.items())]
            with Program(command, LOAD_CORE) as load:
                load.hear()
                return {"each": (server.rss_bytes() - empty) / sessions, "pipes": pipes_of(server) - pipes}

    def idle(self) -> None:
        for sessions in (IDLE_FEW, most_sessions()):
            results = self._alternate(self.servers, lambda name: self._idle_once(name, sessions))
            self.table.keep(f"idle_{sessions}", results)
            for measure, key, most in (("bytes each", "each", 2_048), ("pipes held", "pipes", 0)):
                others = {name: median(said, key) for name, said in results.items()}
                ours = others.pop(OURS)
                self.table.add(f"{sessions:,} idle sessions, {measure}", ours, most=most, of="value", **others)


def main() -> None:
    parser = frame.arguments(__doc__ or "")
    parser.add_argument("--haproxy", default="haproxy", help="the haproxy to measure beside (%(default)s)")
    parser.add_argument("--hbbr", type=Path, help="an hbbr binary to measure beside")
    args = parser.parse_args()
    frame.enter_namespace()
    haproxy = shutil.which(args.haproxy)
    bench = Bench(args.rounds, haproxy, args.hbbr and args.hbbr.absolute())
    each = {name: getattr(bench, name) for name in ("bulk", "websocket", "messages", "connect")}
    measures = {name: lambda measure=measure: [measure(1), measure(2)] for name, measure in each.items()}
    measures["idle"] = bench.idle
    wanted = [name for name in args.only.split(",") if name] or list(measures)
    unknown = set(wanted) - set(measures)
    if unknown:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(measures)}")
    about = frame.machine()
    for name in wanted:
        print(f"{name} ...", flush=True)
        measures[name]()
    print(f"\n{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, medians of {args.rounds}")
    print(f"{most_sessions():,} sessions: what {descriptor_limit():,} descriptors allow, at {SESSION_DESCRIPTORS} each")
    if not haproxy:
        print("not beside haproxy, which isn't here: apt-get install haproxy")
    print()
    bench.table.print()
    if args.json:
        bench.table.write_json(args.json, about | {"rounds": args.rounds, "descriptors": descriptor_limit()})


if __name__ == "__main__":
    main()
