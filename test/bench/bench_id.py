"""Benchmarks of the ID server: `make bench-id`. README.md beside this says what each row is."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import frame
from frame import ALL_CORES, LOAD_CORE, LOOPBACK, PORT, SERVER_CORE, Program, Result, Table, median, run

RMEM = 4 * 1024 * 1024
SMALL, MIDDLE, LARGE = 1_008, 100_000, 1_000_000  # peers on file; multiples of 16
KEYS, HBBS_KEYS = 200_000, 16_000
CONNS = 9_000
LOAD_MS = 2_000


class Bench:
    def __init__(self, rounds: int, hbbs: Path | None) -> None:
        self.rounds = rounds
        self.hbbs = hbbs
        self.table = Table(["hbbs"] if hbbs else [])
        self.databases = frame.fresh_directory()
        self.peer_rate = 0.0

    # --- servers ---

    def database(self, peers: int) -> Path:
        """A database with so many peers on file; made once."""
        path = self.databases / str(peers)
        if not path.exists():
            print(f"making a database of {peers:,} peers ...", flush=True)
            run("peers_db", ALL_CORES, path=path, peers=peers)
        return path

    def _directory(self, peers: int) -> Path:
        directory = frame.fresh_directory()
        if peers > 0:
            shutil.copy(self.database(peers), directory / "db_v2.sqlite3")
        return directory

    def rdsrv(self, peers: int, cores: list[int] = SERVER_CORE, port: int = PORT) -> Program:
        directory = self._directory(peers)
        command = [frame.RDSRV, "id", "--data-dir", directory, "--port", port, "--rmem", RMEM]
        command += ["--log-file", directory / "log"]
        return Program(command, cores, directory).wait_port(port).wait_port(port, tcp=True)

    def start_hbbs(self, peers: int, cores: list[int] = SERVER_CORE, port: int = PORT) -> Program:
        assert self.hbbs is not None
        directory = self._directory(peers)
        command = [self.hbbs, "-p", port, "-k", "_", "--rmem", RMEM]
        return Program(command, cores, directory, {"RUST_LOG": "warn"}).wait_port(port).wait_port(port, tcp=True)

    # --- RegisterPeer ---

    def _peer_round(self, server: Program, port: int, peers: int) -> Result:
        before = server.cpu_s()
        said = run("udp_load", server=f"{LOOPBACK}:{port}", peers=peers, ms=LOAD_MS)
        said["cpu_us"] = (server.cpu_s() - before) * 1e6 / said["answered"]
        said["per_second"] = said["answered"] / said["seconds"]
        return said

    def register_peer(self) -> None:
        """One core; beside it an echo on the same core. Only one of them has anything to do at a time."""
        with ExitStack() as stack:
            servers = {"rdsrv": (stack.enter_context(self.rdsrv(MIDDLE)), PORT)}
            echo = Program([frame.PROGRAMS / "echo", f"port={PORT + 10}"], SERVER_CORE).wait_port(PORT + 10)
            servers["echo"] = (stack.enter_context(echo), PORT + 10)
            if self.hbbs:
                servers["hbbs"] = (stack.enter_context(self.start_hbbs(MIDDLE, port=PORT + 20)), PORT + 20)
                # It has nobody in memory before that.
                run("udp_load", server=f"{LOOPBACK}:{PORT + 20}", kind="key", peers=MIDDLE, ms=180_000, window=1_024)
            results = frame.alternate(
                {name: lambda s=s, p=p: self._peer_round(s, p, MIDDLE) for name, (s, p) in servers.items()},
                self.rounds,
            )
        self.table.keep("register_peer", results)
        self.peer_rate = median(results["rdsrv"], "per_second")
        for measure, key, up in (
            ("RegisterPeer answered a second", "per_second", True),
            ("CPU per answer, us", "cpu_us", False),
        ):
            ours, echoed = median(results["rdsrv"], key), median(results["echo"], key)
            ratio = ours / echoed if up else echoed / ours
            others = {"hbbs": median(results["hbbs"], key)} if self.hbbs else {}
            self.table.add(measure, ours, ("echo", echoed), ratio, least=0.8, **others)

    # --- RegisterPk ---

    def _key_round(self, server: Program, keys: int) -> Result:
        with server:
            before = server.cpu_s()
            said = run("udp_load", server=f"{LOOPBACK}:{PORT}", kind="key", peers=keys, ms=120_000, window=2_048)
            said["cpu_us"] = (server.cpu_s() - before) * 1e6 / said["answered"]
            said["per_second"] = (said["answered"] - said["refused"]) / said["seconds"]
        return said

    def _sqlite_round(self) -> Result:
        directory = frame.fresh_directory()
        said = run("sqlite_alone", SERVER_CORE, path=directory / "db_v2.sqlite3", peers=KEYS)
        shutil.rmtree(directory)
        return said | {"per_second": said["rows"] / said["seconds"]}

    def register_pk(self) -> None:
        """All cores: SQLite has a thread of its own. The load generator shares them."""
        contenders = {
            "rdsrv": lambda: self._key_round(self.rdsrv(0, ALL_CORES), KEYS),
            "sqlite": self._sqlite_round,
        }
        if self.hbbs:
            contenders["hbbs"] = lambda: self._key_round(self.start_hbbs(0, ALL_CORES), HBBS_KEYS)
        results = frame.alternate(contenders, self.rounds)
        self.table.keep("register_pk", results)
        ours, alone = median(results["rdsrv"], "per_second"), median(results["sqlite"], "per_second")
        others = {"hbbs": median(results["hbbs"], "per_second")} if self.hbbs else {}
        self.table.add("RegisterPk of new ids, OK a second", ours, least=20_000, of="value", **others)
        self.table.add("the same", ours, ("SQLite alone", alone), ours / alone, least=0.8)
        others = {"hbbs": median(results["hbbs"], "cpu_us")} if self.hbbs else {}
        self.table.add("CPU per RegisterPk, us", median(results["rdsrv"], "cpu_us"), **others)

    # --- memory ---

    def memory_udp(self) -> None:
        with self.rdsrv(0) as server:
            empty = server.rss_bytes()
        with self.rdsrv(LARGE) as server:
            online = 0
            while online < LARGE:  # once round all of them
                online += run("udp_load", server=f"{LOOPBACK}:{PORT}", peers=LARGE, ms=10_000)["answered"]
            each = (server.rss_bytes() - empty) / LARGE
        self.table.add("bytes per peer, UDP, 1,000,000", each, most=200, of="value")

    def _memory_conns(self, tcp: int, websocket: int) -> float:
        with self.rdsrv(0) as server:
            empty = server.rss_bytes()
            at = f"{LOOPBACK}:{PORT + 2}"
            command = [frame.PROGRAMS / "fleet", f"tcp={tcp}", f"websocket={websocket}", f"websocket_at={at}"]
            with Program(command, LOAD_CORE) as fleet:
                fleet.hear()
                return (server.rss_bytes() - empty) / (tcp + websocket)

    def memory_conns(self) -> None:
        self.table.add("bytes per peer, TCP", self._memory_conns(CONNS, 0), most=2_048, of="value")
        self.table.add("bytes per peer, WebSocket", self._memory_conns(0, CONNS), most=12_288, of="value")

    # --- punching ---

    def _punch_round(self, server: Program, offer: bool, rate: float, count: int) -> Result:
        key = next(server.directory.glob("id_ed25519.pub")).read_text().strip() if server.directory else ""
        at = f"{LOOPBACK}:{PORT}"
        options = {"server": at, "key": key, "offer": int(offer), "count": count}
        if rate == 0:
            return run("punch_load", **options)
        load = [frame.PROGRAMS / "udp_load", f"server={at}", f"peers={MIDDLE}", f"rate={rate:.0f}", "ms=600000"]
        with Program(load, LOAD_CORE):
            time.sleep(0.3)
            return run("punch_load", **options)

    def punch(self) -> None:
        """Idle, and while peers register at half the rate that register_peer has found."""
        if self.peer_rate == 0:
            self.register_peer()
        contenders = {"rdsrv": (lambda: self.rdsrv(MIDDLE), True)}
        if self.hbbs:
            contenders["hbbs"] = (lambda: self.start_hbbs(MIDDLE), False)
        found: dict[str, tuple[float, float]] = {}
        for name, (start, offer) in contenders.items():
            with start() as server:
                kinds = {"idle": 0.0, "loaded": self.peer_rate / 2}
                rounds = {
                    kind: lambda rate=rate: self._punch_round(server, offer, rate, 500) for kind, rate in kinds.items()
                }
                results = frame.alternate(rounds, self.rounds)
            self.table.keep(f"punch_{name}", results)
            found[name] = (median(results["idle"], "p50_us"), median(results["loaded"], "p99_us"))
        idle, loaded = found["rdsrv"]
        others = {"hbbs": found["hbbs"][1]} if self.hbbs else {}
        self.table.add(
            "punch p99 at half that rate, us", loaded, ("idle p50", idle), loaded / idle, most=3, **others
        )

    # --- size ---

    def size(self) -> None:
        with self.rdsrv(SMALL) as small, self.rdsrv(LARGE, port=PORT + 10) as large:
            results = frame.alternate(
                {
                    "small": lambda: self._peer_round(small, PORT, SMALL),
                    "large": lambda: self._peer_round(large, PORT + 10, LARGE),
                },
                self.rounds,
            )
        self.table.keep("size", results)
        few, many = median(results["small"], "cpu_us"), median(results["large"], "cpu_us")
        self.table.add("CPU per answer at 1,000,000, us", many, ("at 1,000", few), many / few, most=1.5)


def main() -> None:
    parser = frame.arguments(__doc__ or "")
    parser.add_argument("--hbbs", type=Path, help="an hbbs binary to measure beside")
    args = parser.parse_args()
    frame.enter_namespace()
    bench = Bench(args.rounds, args.hbbs and args.hbbs.resolve())
    measures = {
        "peer": bench.register_peer,
        "pk": bench.register_pk,
        "memory": lambda: (bench.memory_udp(), bench.memory_conns()),
        "punch": bench.punch,
        "size": bench.size,
    }
    wanted = [name for name in args.only.split(",") if name] or list(measures)
    unknown = set(wanted) - set(measures)
    if unknown:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(measures)}")
    about = frame.machine()
    try:
        for name in wanted:
            print(f"{name} ...", flush=True)
            measures[name]()
    finally:
        shutil.rmtree(bench.databases, ignore_errors=True)
    print(f"\n{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, medians of {args.rounds}\n")
    bench.table.print()
    if args.json:
        bench.table.write_json(args.json, about | {"rounds": args.rounds})


if __name__ == "__main__":
    main()
