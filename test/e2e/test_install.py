"""What packages are made of: installed files, and Debian's changelog out of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rdserver import BINARY

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = """# Changelog

## [Unreleased]

- Not yet.

## [1.2.0] - 2026-12-01

### Added

- One thing that is so long that it can't stand in a line of seventy-eight columns, so that it
  goes on in a second one.
- Another.

### Fixed

- A third.

## [1.1.0] - 2026-11-01

- Long ago.

[1.2.0]: https://example.com/1.2.0
"""


def changelog(version: str) -> str:
    command = ["awk", "-v", f"version={version}", "-v", "maintainer=A B <a@example.com>"]
    command += ["-v", "date=Tue, 24 Nov 2026 09:17:33 +0000", "-f", str(ROOT / "packaging/debian/changelog.awk")]
    return subprocess.run(command, input=CHANGELOG, capture_output=True, text=True, check=True).stdout


def test_debian_changelog() -> None:
    assert changelog("1.2.0") == (
        "rdsrv (1.2.0) unstable; urgency=medium\n\n"
        "  * One thing that is so long that it can't stand in a line of seventy-eight\n"
        "    columns, so that it goes on in a second one.\n"
        "  * Another.\n"
        "  * A third.\n\n"
        " -- A B <a@example.com>  Tue, 24 Nov 2026 09:17:33 +0000\n"
    )


def test_version_without_a_word() -> None:
    assert "  * See the project's own history.\n" in changelog("9.9")


def make_install(to: Path) -> str:
    """Installs what was built, and builds nothing."""
    command = ["make", "-s", "-C", str(ROOT), "-o", str(BINARY), f"BUILD={BINARY.parent}", "install"]
    done = subprocess.run([*command, f"DESTDIR={to}", "PREFIX=/usr"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    make_install(tmp_path)
    return tmp_path / "usr"


def test_old_names(installed: Path) -> None:
    for name in ("hbbs", "hbbr", "rustdesk-utils"):
        assert os.readlink(installed / "bin" / name) == "rdsrv"
    done = subprocess.run([installed / "bin" / "hbbr", "--help"], capture_output=True, text=True)
    assert done.stdout.startswith("usage: hbbr ")


def test_migrate_is_whole(installed: Path) -> None:
    done = subprocess.run([installed / "sbin" / "rdsrv-migrate", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: rdsrv-migrate " in done.stdout
    sources = {p.relative_to(ROOT / "packaging") for p in (ROOT / "packaging" / "migrate").iterdir()}
    assert sources == {p.relative_to(installed / "share/rdsrv") for p in (installed / "share/rdsrv/migrate").iterdir()}


def test_every_page(installed: Path) -> None:
    for page in (ROOT / "man").iterdir():
        assert (installed / "share" / "man" / f"man{page.suffix[1:]}" / page.name).is_file()


def test_programs_of_others_stay(installed: Path) -> None:
    (installed / "bin" / "hbbs").unlink()
    (installed / "bin" / "hbbs").write_text("stock")
    assert "hbbs is another program, and stays" in make_install(installed.parent)
    assert (installed / "bin" / "hbbs").read_text() == "stock"


def test_links_to_programs_of_others_stay(installed: Path) -> None:
    """Wherever they are, or were."""
    for name, target in (("hbbs", "/opt/rustdesk/hbbs"), ("hbbr", "hbbr-1.1.14"), ("rustdesk-utils", "/usr/bin/rdsrv")):
        (installed / "bin" / name).unlink()
        (installed / "bin" / name).symlink_to(target)
    (installed / "bin" / "hbbr-1.1.14").write_text("stock")
    said = make_install(installed.parent)
    assert "hbbs is another program, and stays" in said and "hbbr is another program, and stays" in said
    assert os.readlink(installed / "bin" / "hbbs") == "/opt/rustdesk/hbbs"
    assert os.readlink(installed / "bin" / "hbbr") == "hbbr-1.1.14"
    assert os.readlink(installed / "bin" / "rustdesk-utils") == "rdsrv"
