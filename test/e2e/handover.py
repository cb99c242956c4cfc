"""What a service manager does: it starts a role with sockets that are open already, and hears how it is."""

from __future__ import annotations

import socket
import sys
import time
from typing import Sequence

from clihelp import WAIT_S, Place, Role
from conftest import Lab

HAND_OVER = """
import fcntl, os, sys
count, shift, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3 + int(sys.argv[1]):]
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in sys.argv[3 : 3 + count]]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number, inheritable=True)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = str(count), str(os.getpid() + shift)
if names := os.environ.pop("TEST_FDNAMES", ""):
    os.environ["LISTEN_FDNAMES"] = names
os.execv(program[0], program)
"""


def tcp(place: Place, offset: int) -> socket.socket:
    """A listening socket that nobody else can have the address of."""
    sock = socket.socket()
    sock.bind((place.host, place.port + offset))
    sock.listen(16)
    return sock


def udp(place: Place, offset: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((place.host, place.port + offset))
    return sock


class HandedRole(Role):
    """A role that gets sockets from whoever starts it, as systemd does it."""

    def hand_over(self, sockets: Sequence[socket.socket], shift: int = 0) -> HandedRole:
        """The sockets become 3, 4 and so on; LISTEN_PID is its own, moved by shift."""
        self.sockets = list(sockets)
        numbers = [str(sock.fileno()) for sock in sockets]
        self.prefix = [sys.executable, "-c", HAND_OVER, str(len(numbers)), str(shift), *numbers]
        return self

    def launch(self) -> Role:
        for sock in self.sockets:
            sock.set_inheritable(True)
        self._launch_with([sock.fileno() for sock in self.sockets])
        for sock in self.sockets:
            sock.close()
        return self


def handed(
    lab: Lab,
    place: Place,
    sockets: Sequence[socket.socket],
    role: str = "serve",
    shift: int = 0,
    names: Sequence[str] = (),
) -> HandedRole:
    """A role at this place that gets these sockets, under these names."""
    args = ("--log-format", "json", "--data-dir", lab.directory())
    env = {"TEST_FDNAMES": ":".join(names)}
    server = HandedRole(role, lab.directory(), *args, env=env, **place.for_role())
    lab.servers.append(server)
    return server.hand_over(sockets, shift)


class Manager:
    """The service manager's end: what it was told, in order."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + address[1:] if address[0] == "@" else address)
        self.sock.settimeout(WAIT_S)
        self.heard: list[str] = []

    @property
    def env(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address}

    def next(self) -> str:
        self.heard.append(self.sock.recv(4096).decode())
        return self.heard[-1]

    def until(self, *parts: str) -> str:
        """The next message that holds all of these."""
        while True:
            text = self.next()
            if all(part in text for part in parts):
                return text

    def hears(self, part: str, seconds: float) -> bool:
        """Is there such a message in that time?"""
        end = time.monotonic() + seconds
        self.sock.settimeout(0.05)
        try:
            while time.monotonic() < end:
                try:
                    if part in self.next():
                        return True
                except TimeoutError:
                    pass
        finally:
            self.sock.settimeout(WAIT_S)
        return False

    def rest(self) -> list[str]:
        """What else there is, once the other side has ended."""
        self.sock.setblocking(False)
        messages = []
        try:
            while True:
                messages.append(self.next())
        except BlockingIOError:
            return messages
