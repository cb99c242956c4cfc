"""Goal: near the limit on open files, newcomers are refused and those who are in go on; then all is as before."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from conftest import Lab
from polling import wait_until
from rdclient import assert_joined, fresh_id, fresh_uuid
from rdserver import Server

WAIT_S = 10.0
LIMIT = ("prlimit", "--nofile=160:160")


def fill(server: Server, address: tuple[str, int], stack: ExitStack) -> None:
    """Connections until the server has refused one."""
    for _ in range(300):
        stack.enter_context(socket.create_connection(address, WAIT_S))
        if any(event["reason"] == "no-descriptors" for event in server.refusals()):
            break
    wait_until(lambda: server.logged("newcomers refused: near the limit on open files"), WAIT_S, "a refusal")


@pytest.mark.parametrize("role", ["relay", "serve"])
def test_sessions_go_on(lab: Lab, role: str) -> None:
    """A running session isn't hurt by a flood of connections, and new ones are taken when that is over."""
    server = lab.server(role, prefix=LIMIT)
    target = server.target()

    uuid = fresh_uuid()
    running = [lab.relay_side(target).join(uuid, target.key) for _ in range(2)]
    assert_joined(*running)
    with ExitStack() as stack:
        fill(server, target.relay_port, stack)
        assert_joined(*running)
    wait_until(lambda: can_pair(lab, server), WAIT_S, "room")
    assert_joined(*running)


def can_pair(lab: Lab, server: Server) -> bool:
    target, uuid = server.target(), fresh_uuid()
    try:
        assert_joined(*(lab.relay_side(target).join(uuid, target.key) for _ in range(2)))
    except (AssertionError, OSError):
        return False
    return True


def test_registrations_go_on(lab: Lab) -> None:
    """Peers that are registered stay so, and new ones are written to the database all the same."""
    server = lab.server("id", prefix=LIMIT)
    target = server.target()
    lab.registered(target)
    with ExitStack() as stack:
        fill(server, target.id_port, stack)
        lab.registered(target, fresh_id())

    def is_taken_again() -> bool:
        lab.controller(target)
        return bool(server.logged("newcomers taken again"))

    wait_until(is_taken_again, WAIT_S, "room")
