"""rdsrv check: ports that this host's firewall closes, by the kernel's real rules, and the command that opens them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

import network
from conftest import Lab
from localcheck import Check, follow, found, healthy
from rdserver import Server

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("iptables"),
    reason="it takes root, nft and iptables",
)


@pytest.fixture
def walled(lab: Lab) -> Iterator[tuple[Server, network.Host]]:
    """A server on a host of its own, whose firewall is its own too."""
    if not network.can_make_hosts():
        pytest.skip("network namespaces can't be made here")
    host = network.Host("w")
    host.create()
    try:
        yield lab.server("serve", hosts=None, port=21116, prefix=host.prefix), host
    finally:
        lab.end()
        host.remove()


def sh(host: network.Host, script: str) -> None:
    done = subprocess.run([*host.prefix, "sh", "-ec", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def nft(host: network.Host, rules: str) -> None:
    chain = f"table inet filter {{ chain input {{ type filter hook input priority 0; {rules};\n}}\n}}\n"
    done = subprocess.run([*host.prefix, "nft", "-f", "-"], input=chain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def closed(walled: tuple[Server, network.Host], says: str, status: str = "fail") -> Check:
    server, host = walled
    return found(server.directory, "firewall", status, says, prefix=host.prefix)


def opened(walled: tuple[Server, network.Host]) -> Check:
    server, host = walled
    return healthy(server.directory, "firewall", prefix=host.prefix)


BASICS = "ct state established,related accept; ct state invalid drop; iifname lo accept; meta l4proto icmp accept;"


def test_no_rules(walled: tuple[Server, network.Host]) -> None:
    assert "nothing in the way" in opened(walled)["detail"]


def test_nft_that_drops_all(walled: tuple[Server, network.Host]) -> None:
    nft(walled[1], f"policy drop; {BASICS} tcp dport {{ 22, 80, 443 }} accept")
    check = closed(walled, "21115-21119/tcp, 21116-21117/udp")
    follow(check, prefix=walled[1].prefix)
    opened(walled)


def test_nft_that_drops_udp(walled: tuple[Server, network.Host]) -> None:
    nft(walled[1], f"policy accept; {BASICS} udp dport 21116 drop")
    follow(closed(walled, "closes 21116/udp"), prefix=walled[1].prefix)
    opened(walled)


def test_nft_that_lets_us_in(walled: tuple[Server, network.Host]) -> None:
    states = "ct state vmap { established : accept, related : accept, invalid : drop };"
    ours = "tcp dport 21115-21119 accept; meta l4proto udp udp dport { 21116, 21117 } accept"
    nft(walled[1], f"policy drop; {states} {ours}")
    assert "nothing in the way" in opened(walled)["detail"]


def test_nft_with_a_final_reject_behind_a_jump(walled: tuple[Server, network.Host]) -> None:
    ours = "chain ours { tcp dport 21115-21117 accept; udp dport 21116 accept"
    nft(walled[1], f"policy accept; {BASICS} jump ours; reject;\n}}\n{ours}")
    check = closed(walled, "21118-21119/tcp, 21117/udp", "warn")
    follow(check, prefix=walled[1].prefix)
    opened(walled)


def test_nft_with_rules_by_interface_is_not_guessed(walled: tuple[Server, network.Host]) -> None:
    nft(walled[1], f"policy drop; {BASICS} iifname eth7 accept")
    assert "leave it open" in opened(walled)["detail"]


def test_nft_that_blocks_some_sources(walled: tuple[Server, network.Host]) -> None:
    nft(walled[1], "policy accept; ip saddr { 192.0.2.0/24, 198.51.100.7 } drop")
    assert "nothing in the way" in opened(walled)["detail"]


def test_nft_that_lets_some_sources_in_alone(walled: tuple[Server, network.Host]) -> None:
    nft(walled[1], f"policy accept; {BASICS} ip saddr != 192.168.0.0/16 drop")
    assert "leave it open" in opened(walled)["detail"]


def test_iptables_that_drops_all(walled: tuple[Server, network.Host]) -> None:
    for program in ("iptables", "ip6tables"):
        sh(
            walled[1],
            f"""{program} -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
            {program} -A INPUT -i lo -j ACCEPT
            {program} -A INPUT -p tcp -m multiport --dports 22,80,443 -m comment --comment "the web" -j ACCEPT
            {program} -P INPUT DROP""",
        )
    check = closed(walled, "iptables (filter INPUT) closes 21115-21119/tcp, 21116-21117/udp")
    assert "ip6tables -I INPUT" in check["fix"]
    follow(check, prefix=walled[1].prefix)
    opened(walled)


def test_iptables_that_drops_one_port(walled: tuple[Server, network.Host]) -> None:
    sh(walled[1], "iptables -N block; iptables -A block -p tcp --dport 21117 -j REJECT; iptables -A INPUT -j block")
    follow(closed(walled, "closes 21117/tcp"), prefix=walled[1].prefix)
    opened(walled)


@pytest.mark.skipif(not shutil.which("iptables-legacy"), reason="no iptables-legacy")
def test_the_older_tables_are_read_too(walled: tuple[Server, network.Host]) -> None:
    add = ["iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "21117", "-j", "DROP"]
    if subprocess.run([*walled[1].prefix, *add], capture_output=True).returncode != 0:
        pytest.skip("this kernel has none")
    check = closed(walled, "iptables-legacy (filter INPUT) closes 21117/tcp")
    follow(check, prefix=walled[1].prefix)
    opened(walled)


def test_iptables_that_lets_us_in(walled: tuple[Server, network.Host]) -> None:
    sh(
        walled[1],
        """iptables -P INPUT DROP
        iptables -A INPUT -m state --state ESTABLISHED -j ACCEPT
        iptables -A INPUT -p tcp --dport 21115:21119 --syn -m conntrack --ctstate NEW -j ACCEPT || true
        iptables -A INPUT -p tcp -m tcp --dport 21115:21119 -j ACCEPT
        iptables -A INPUT -p udp --dport 21116:21117 -j ACCEPT""",
    )
    assert "nothing in the way" in opened(walled)["detail"]


def test_a_tool_that_hangs(walled: tuple[Server, network.Host], tmp_path: Path) -> None:
    """A firewall's program that never ends is left behind in time."""
    for name in ("ufw", "firewall-cmd", "nft", "iptables-save", "ip6tables-save"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexec sleep 600\n")
        program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    found(walled[0].directory, "firewall", "skip", "doesn't answer", prefix=walled[1].prefix, env=env)


@pytest.mark.skipif(not shutil.which("ufw"), reason="there is no ufw")
def test_ufw(walled: tuple[Server, network.Host], tmp_path: Path) -> None:
    """The real program, with its files on a copy: closed, opened by what the fix says, and told to be open."""
    etc, default = tmp_path / "etc", tmp_path / "default"
    shutil.copytree("/etc/ufw", etc)
    shutil.copy("/etc/default/ufw", default)
    script = f'mount --bind {etc} /etc/ufw; mount --bind {default} /etc/default/ufw; exec "$@"'
    prefix = [*walled[1].prefix, "unshare", "--mount", "sh", "-ec", script, "sh"]
    done = subprocess.run([*prefix, "ufw", "--force", "enable"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"ufw can't be enabled here: {done.stderr}")
    check = found(walled[0].directory, "firewall", "fail", "ufw (ufw incoming) closes 21115-21119/tcp", prefix=prefix)
    assert "ufw allow 21115:21119/tcp && ufw allow 21116:21117/udp" in check["fix"]
    follow(check, prefix=prefix)
    healthy(walled[0].directory, "firewall", prefix=prefix)
