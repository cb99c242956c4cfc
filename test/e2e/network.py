"""Two hosts of our own: network namespaces joined by a cable, each with several addresses. Needs root."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Sequence, TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(args)}: {done.stderr.strip()}")


def can_make_hosts() -> bool:
    """May this process make network namespaces?"""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    host = Host("probe")
    try:
        host.create()
        return True
    except OSError:
        return False
    finally:
        host.remove()


class Host:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = f"rdtest-{os.getpid()}-{random.SystemRandom().randrange(10**6)}-{name}"

    @property
    def prefix(self) -> list[str]:
        """What goes before a command that is to run there."""
        return ["ip", "netns", "exec", self.name]

    def create(self) -> None:
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def set_up(self, device: str, addresses: Sequence[str]) -> None:
        """Gives the device its addresses (with prefix lengths) and brings it up."""
        for address in addresses:
            extra = ["nodad"] if ":" in address else []
            _ip("-n", self.name, "addr", "add", address, "dev", device, *extra)
        _ip("-n", self.name, "link", "set", device, "up")

    def run(self, fn: Callable[[], T]) -> T:
        """Calls fn there: sockets that it opens belong to this host for ever."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._enter_and_call, fn).result(30)

    def _enter_and_call(self, fn: Callable[[], T]) -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(fd)
        return fn()


def connect(one: Host, other: Host, device: str = "cable") -> None:
    """Joins two hosts; the device has this name on both."""
    _ip("link", "add", device, "netns", one.name, "type", "veth", "peer", "name", device, "netns", other.name)


SERVER_4 = ("10.213.7.1", "10.213.7.2")
SERVER_6 = ("fd00:213::1", "fd00:213::2")
A_HOST, B_HOST = "10.213.7.11", "10.213.7.12"
A_HOST_6, B_HOST_6 = "fd00:213::11", "fd00:213::12"


class Hosts:
    """The server's host and the clients'."""

    def __init__(self) -> None:
        self.server, self.clients = Host("s"), Host("c")

    def create(self) -> None:
        self.server.create()
        self.clients.create()
        connect(self.server, self.clients)
        self.server.set_up("cable", [f"{a}/24" for a in SERVER_4] + [f"{a}/64" for a in SERVER_6])
        self.clients.set_up("cable", [f"{a}/24" for a in (A_HOST, B_HOST)] + [f"{a}/64" for a in (A_HOST_6, B_HOST_6)])

    def remove(self) -> None:
        self.server.remove()
        self.clients.remove()

    def client(self, fn: Callable[[], T]) -> T:
        return self.clients.run(fn)

    def vanish(self, client: str) -> None:
        """From now on nothing of this client's IPv4 address gets through, either way, and nobody is told."""
        _ip("-n", self.clients.name, "rule", "add", "from", client, "blackhole")
