"""A fleet stays online: `make bench-fleet`. 20,000 peers over UDP, 2,000 over TCP and 500 over WebSocket are registered
at once for three minutes while 50 punches a second pass; none may be lost, and memory must stay flat."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

import frame
from frame import ALL_CORES, LOAD_CORE, LOOPBACK, PORT, Program

UDP, TCP, WEBSOCKET = 20_000, 2_000, 500
UDP_PER_PROCESS = 10_000  # a socket each
PUNCHES = 50
FLAT_SHARE = 0.02


def start(key: str, everybody: int, seconds: int) -> list[Program]:
    """The fleet's processes; the last one punches."""
    common = [frame.PROGRAMS / "fleet", f"server={LOOPBACK}:{PORT}", f"websocket_at={LOOPBACK}:{PORT + 2}"]
    common += [f"nat={LOOPBACK}:{PORT - 1}", f"key={key}", f"everybody={everybody}"]
    parts = [[f"first={first}", f"udp={UDP_PER_PROCESS}"] for first in range(0, UDP, UDP_PER_PROCESS)]
    parts += [[f"first={UDP}", f"tcp={TCP}", f"websocket={WEBSOCKET}", f"punches={PUNCHES}", f"seconds={seconds}"]]
    return [Program(common + part, LOAD_CORE) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=180)
    seconds = parser.parse_args().seconds
    frame.enter_namespace()
    directory = frame.fresh_directory()
    everybody = UDP + TCP + WEBSOCKET
    command = [frame.RDSRV, "id", "--data-dir", directory, "--port", PORT, "--log-file", directory / "log"]
    with ExitStack() as stack:
        server = stack.enter_context(Program(command, ALL_CORES, directory).wait_port(PORT, tcp=True))
        empty = server.rss_bytes()
        began = time.monotonic()
        parts = start((directory / "id_ed25519.pub").read_text().strip(), everybody, seconds)
        for part in parts:
            stack.enter_context(part)
        registered = sum(part.hear()["registered"] for part in parts)
        print(f"registered: {registered:,} in {time.monotonic() - began:.1f} s", flush=True)
        memory = [server.rss_bytes()]
        cpu_s = server.cpu_s()
        parts[-1].say()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(5.0, seconds / 10))
            memory.append(server.rss_bytes())
        said = [parts[-1].hear()]
        cpu_s = server.cpu_s() - cpu_s
        for part in parts[:-1]:
            part.say()
            said.append(part.hear())
    punching, lost = said[0], sum(part["lost"] for part in said)
    unanswered = sum(part["unanswered"] for part in said)
    settled = memory[len(memory) // 3]
    print(f"online after {seconds} s: {punching['online']:,} of {everybody:,}; lost: {lost}")
    print(f"datagrams unanswered: {unanswered}; heartbeats echoed: {punching['heartbeats']:,}")
    print(
        f"punches: {punching['punched']:,}, failed {punching['failed']};"
        f" p50 {punching['p50_us']} us, p99 {punching['p99_us']} us"
    )
    print(
        f"resident memory: empty {empty / 1e6:.1f} MB, all registered {memory[0] / 1e6:.1f} MB,"
        f" at the end {memory[-1] / 1e6:.1f} MB; highest {max(memory) / 1e6:.1f} MB"
    )
    print(f"CPU of the server: {100 * cpu_s / seconds:.1f} % of one core")
    good = registered == punching["online"] == everybody and lost == 0 and punching["failed"] == 0
    flat = memory[-1] <= settled * (1 + FLAT_SHARE)
    verdict = "PASS" if good and flat else "FAIL"
    print(f"{verdict} fleet: none lost, memory flat" if good and flat else f"{verdict} fleet")
    raise SystemExit(verdict != "PASS")


if __name__ == "__main__":
    main()
