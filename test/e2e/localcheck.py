"""rdsrv check at the server: runs it, finds a fault by its check's name, and does what it says to mend it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from rdserver import BINARY, clean_env, run_rdsrv

Check = dict[str, Any]
SHELL_S = 20.0
# For each step of a check, more than by default: the machine may be busy.
STEP_S = 8


def checks(directory: Path, *only: str, step_s: int = STEP_S, **options: Any) -> dict[str, Check]:
    """All results of these checks and groups by name; the exit code must go with them. It ends in three steps or so."""
    args = ["check", "--data-dir", str(directory), "--json", "--only", ",".join(only), "--timeout", str(step_s)]
    args += options.pop("args", [])
    began = time.monotonic()
    done = run_rdsrv(*args, cwd=options.pop("cwd", Path("/")), **options)
    took = time.monotonic() - began
    assert took < 3.4 * step_s, f"it took {took:.1f} s"
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    failed = [c for c in report["checks"] if c["status"] == "fail"]
    assert done.returncode == (1 if failed else 0) and report["ok"] == (not failed)
    for check in report["checks"]:
        assert check["status"] in ("ok", "skip") or (check["detail"] and check["fix"]), check
    return {check["name"]: check for check in report["checks"]}


def one(directory: Path, name: str, **options: Any) -> Check:
    return checks(directory, name, **options)[name]


def found(directory: Path, name: str, status: str, says: str, **options: Any) -> Check:
    """The fault is found under its name."""
    check = one(directory, name, **options)
    assert check["status"] == status and says in check["detail"], check
    return check


def healthy(directory: Path, name: str, **options: Any) -> Check:
    check = one(directory, name, **options)
    assert check["status"] == "ok", check
    return check


def command_of(check: Check) -> str:
    """The command in a fix: in back quotes, or all of it up to the first ';' of the sentence."""
    quoted = re.search(r"`([^`]+)`", check["fix"])
    text = quoted[1] if quoted else check["fix"].split("; ")[0]
    return re.sub(r"^(now|restart it|start it): ", "", text)


def follow(check: Check, env: Mapping[str, str] = {}, prefix: Sequence[str] = ()) -> None:
    """Does what the fix says, as an administrator's shell would."""
    path = f"{BINARY.parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        [*prefix, "sh", "-ec", command_of(check)],
        env=clean_env(env) | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SHELL_S,
    )
    assert done.returncode == 0, f"{command_of(check)}: {done.stderr}"
