"""Starts a role with sockets that are open already, as a service manager does."""

from __future__ import annotations

import socket
import sys
from typing import Sequence

from clihelp import Place, Role
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
