"""Fixtures: a lab that starts servers and clients and ends them all, and the servers most tests use."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from typing import Any, Iterator, Sequence, TypeVar

import pytest

import network
import rdclient
from rdclient import ConnectedPeer, Connection, Controller, RelaySide, Target, UdpPeer
from rdserver import Server
from rdwire import Address

C = TypeVar("C", bound=Connection | UdpPeer | ConnectedPeer)
P = TypeVar("P", bound=ConnectedPeer)


def pytest_configure() -> None:
    """Hundreds of peers need as many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 8192 else max(soft, 8192), hard))


class Lab:
    """Everything that a test starts. At the end clients are closed first, then servers are stopped and checked."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.servers: list[Server] = []
        self.clients: list[Any] = []

    def directory(self, name: str = "data") -> Path:
        path = self.tmp_path / name
        path.mkdir(exist_ok=True)
        return path

    def prepare(self, role: str = "serve", *args: str, directory: Path | None = None, **options: Any) -> Server:
        """A server that is not started yet."""
        server = Server(role, directory or self.directory(), args, **options)
        self.servers.append(server)
        return server

    def server(self, role: str = "serve", *args: str, **options: Any) -> Server:
        return self.prepare(role, *args, **options).start()

    def keep(self, client: C) -> C:
        self.clients.append(client)
        return client

    def peer(self, target: Target, peer_id: str | bytes | None = None, **options: Any) -> UdpPeer:
        return self.keep(UdpPeer(target, peer_id, **options))

    def registered(self, target: Target, peer_id: str | bytes | None = None, **options: Any) -> UdpPeer:
        return self.peer(target, peer_id, **options).register()

    def peers(self, target: Target, ids: Sequence[str]) -> list[UdpPeer]:
        """Many registered peers, each at an address of its own."""
        peers = [self.peer(target, peer_id) for peer_id in ids]
        rdclient.register_all(peers)
        return peers

    def controller(self, target: Target, source: str | None = None) -> Controller:
        if source is None and ":" not in target.host:
            source = rdclient.fresh_source()
        return self.keep(Controller(target, source))

    def connected(self, kind: type[P], target: Target, peer_id: str | bytes | None = None, **options: Any) -> P:
        """A peer with a connection of this kind, on which it has not registered yet."""
        return self.keep(kind(target, peer_id, **options))

    def joined(self, kind: type[P], target: Target, peer_id: str | bytes | None = None, **options: Any) -> P:
        """A peer that registered at a connection of this kind."""
        peer = self.connected(kind, target, peer_id, **options)
        peer.register()
        return peer

    def connection(self, address: Address, source: str | None = None, source_port: int = 0) -> Connection:
        return self.keep(Connection(address, source, source_port))

    def relay_side(self, target: Target, source: str | None = None) -> RelaySide:
        return self.keep(RelaySide(target.relay_port, source))

    def close_clients(self) -> None:
        for client in self.clients:
            client.close()
        self.clients.clear()

    def end(self) -> None:
        self.close_clients()
        faults = []
        for server in reversed(self.servers):
            try:
                server.stop()
            except AssertionError as fault:
                faults.append(str(fault))
        assert not faults, "\n".join(faults)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """An empty lab."""
    lab = Lab(tmp_path)
    try:
        yield lab
    finally:
        lab.end()


@pytest.fixture
def site(lab: Lab) -> Target:
    """Both roles in one process, with default settings."""
    return lab.server("serve").target()


@pytest.fixture
def id_site(lab: Lab) -> Target:
    """An ID server with default settings."""
    return lab.server("id").target()


@pytest.fixture
def relay_site(lab: Lab) -> Target:
    """A relay with default settings: it made its own key and enforces it."""
    return lab.server("relay").target()


@pytest.fixture
def hosts() -> Iterator[network.Hosts]:
    """Two hosts with two addresses of each family, joined by a cable."""
    if not network.can_make_hosts():
        pytest.skip("network namespaces can't be made here")
    hosts = network.Hosts()
    try:
        hosts.create()
        yield hosts
    finally:
        hosts.remove()


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A directory that every user can look into, and none but its owner change."""
    with tempfile.TemporaryDirectory(prefix="rdsrv-foreign-") as name:
        Path(name).chmod(0o555)
        yield Path(name)
        Path(name).chmod(0o755)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test shows the logs of its servers."""
    outcome: Any = yield
    report = outcome.get_result()
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(lab, Lab):
        for server in lab.servers:
            report.sections.append((f"log of {server.role} on {server.hosts}:{server.port}", server.log_text()))
