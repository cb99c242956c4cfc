"""Shared by the tests of keys that change: keygen's commands, what they leave, clients that hold one key or another."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import rdwire
from clihelp import PUBLIC, SECRET, Done, ctl, rdsrv
from conftest import Lab
from rdclient import Connection, Controller, SecureConnection, Target, UdpPeer, fresh_source
from rdserver import Server
from rdwire import WireError

KEYRING, SERVER_CONF, KEYGEN_LOG = "keyring.json", "server.conf", "keygen.log"


def keygen(directory: Path, *args: str | Path, **options: Any) -> Done:
    """rdsrv keygen on this directory, to its end."""
    return rdsrv("keygen", "--data-dir", directory, *args, cwd=directory, **options)


def did(directory: Path, *args: str | Path, **options: Any) -> str:
    """What keygen printed, which must have gone well."""
    done = keygen(directory, *args, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def talk_of(directory: Path, *args: str | Path, **options: Any) -> str:
    """What keygen said beside that."""
    done = keygen(directory, *args, **options)
    assert done.returncode == 0, done.stderr
    return done.stderr


def key_in_use(server: Server) -> str:
    """The key that a running role tells clients."""
    return str(ctl(server.directory, "relay" if server.role == "relay" else "id")["key"])


def rotate(directory: Path, *args: str) -> tuple[str, str]:
    """The old and the new key of a rotation."""
    old = (directory / PUBLIC).read_text().strip()
    return old, did(directory, "--rotate", *args)


def listed(directory: Path) -> list[dict[str, Any]]:
    """The keys that keygen --list knows, in order."""
    answer = json.loads(did(directory, "--list", "--json"))
    assert answer["ok"]
    return list(answer["keys"])


def state_of(directory: Path, key: str) -> str:
    (state,) = [entry["state"] for entry in listed(directory) if entry["key"] == key]
    return str(state)


def ring(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / KEYRING).read_text()))


def pair_in(directory: Path, secret: str = SECRET, public: str = PUBLIC) -> str:
    """The public key of a whole pair: the two files must belong together."""
    text = (directory / secret).read_text()
    key = rdwire.public_of_secret(text)
    assert (directory / public).read_text() == key
    return key


def fresh_pair() -> dict[str, str]:
    """A pair that nobody else has."""
    import nacl.signing

    key = nacl.signing.SigningKey(os.urandom(32))
    public = bytes(key.verify_key)
    return {
        SECRET: base64.b64encode(bytes(key) + public).decode(),
        PUBLIC: base64.b64encode(public).decode(),
    }


def holding(target: Target, key: str) -> Target:
    """The same server, as a client with this key is configured for it."""
    return dataclasses.replace(target, key=key)


def answered(lab: Lab, target: Target, b: UdpPeer, key: str) -> bytes:
    """A whole punch by a client that holds this key: the signature that it gets verifies with it."""
    a = lab.keep(Controller(holding(target, key), fresh_source()))
    a.punch(b.id)
    hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    answer = a.expect("PunchHoleResponse")
    assert a.verified(answer) == (b.id, b.pk)
    a.close()
    return bytes(answer["pk"])


def mismatched(lab: Lab, target: Target, key: str) -> bool:
    """Is a client that holds this key turned away for it?"""
    a = lab.keep(Controller(holding(target, key), fresh_source()))
    a.punch("999999999")
    failure = a.expect("PunchHoleResponse")["failure"]
    a.close()
    return bool(failure == rdwire.Failure.LICENSE_MISMATCH)


class WrongOffer(Exception):
    """The offer is signed with another key than the client's."""


class Choosy(SecureConnection):
    """A client that looks at the offer, and leaves without a word if its key didn't sign it."""

    def __init__(self, target: Target, source: str | None = None, preamble: bytes = b"") -> None:
        Connection.__init__(self, target.id_port, source, preamble=preamble)
        offer = Connection.recv_payload(self)
        try:
            public = rdwire.open_offer(offer or b"", target.key)
        except WireError:
            self.leave()
            raise WrongOffer from None
        symmetric = os.urandom(32)
        self.offer_may_come = False
        Connection.send_payload(self, rdwire.answer_offer(public, os.urandom(32), symmetric))
        self.out, self.back = rdwire.Sealer(symmetric), rdwire.Sealer(symmetric)


def secured(lab: Lab, target: Target, source: str, preamble: bytes = b"", most: int = 4) -> tuple[Choosy, int]:
    """A secured connection, and how many tries it took a client that comes again when the offer isn't its key's."""
    for tries in range(1, most + 1):
        try:
            connection = lab.keep(Choosy(target, source, preamble))
        except WrongOffer:
            continue
        connection.send("TestNatRequest")
        assert connection.expect("TestNatResponse")["port"]
        return connection, tries
    raise AssertionError(f"no offer of {target.key} in {most} tries")


def tries(lab: Lab, target: Target, source: str, preamble: bytes = b"") -> int:
    """How many tries it took; the connection is closed again."""
    connection, count = secured(lab, target, source, preamble)
    connection.close()
    return count
