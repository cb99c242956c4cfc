"""Readers of the forms that a client's configuration takes (protocol.md section 13), by the standard library, zbar, and
the shells themselves."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import struct
import subprocess
import tomllib
import xml.etree.ElementTree as xml
import zlib
from pathlib import Path
from typing import Any, NamedTuple

# --format, and the name in a bundle.
FILES = {
    "server.conf": "server.conf",
    "toml": "RustDesk2.toml",
    "string": "config-string.txt",
    "json": "config.json",
    "exe-name": "installer-name.txt",
    "link": "link.txt",
    "qr": "qr.txt",
    "qr-png": "qr.png",
    "qr-svg": "qr.svg",
    "sh": "install.sh",
    "powershell": "install.ps1",
    "readme": "README.txt",
}
FORMS = tuple(FILES)
WINDOWS_FORBIDS = ':/\\?*"<>|'
QUIET = 4


class Conf(NamedTuple):
    """What a client gets; api is None where the form has no place for it."""

    host: str
    relay: str
    api: str | None
    key: str


# --- texts ------------------------------------------------------------------------------------------------------------


def read_ini(text: str) -> Conf:
    """server.conf as a program for INI files reads it."""
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes=("#", ";"), interpolation=None, strict=True)
    parser.read_string(text)
    assert parser.sections() == ["server"] and list(parser["server"]) == ["id_server", "relay_server", "key"]
    return Conf(parser["server"]["id_server"], parser["server"]["relay_server"], None, parser["server"]["key"])


def read_toml(text: str) -> Conf:
    """RustDesk2.toml; the cached server at its top must be the one in its options."""
    table = tomllib.loads(text)
    options = table["options"]
    host = options["custom-rendezvous-server"]
    assert table["rendezvous_server"] == (host if re.search(r":\d+$", host) else f"{host}:21116")
    return Conf(host, options["relay-server"], options["api-server"], options["key"])


def read_json(text: str) -> Conf:
    conf = json.loads(text)
    assert list(conf) == ["host", "relay", "api", "key"] and text.isascii()
    return Conf(**conf)


def read_string(text: str) -> Conf:
    """The config string as `rustdesk --config` reads it: no padding, URL-safe alphabet, reversed."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    straight = text[::-1].replace("-", "+").replace("_", "/")
    return read_json(base64.b64decode(straight + "=" * (-len(straight) % 4), validate=True).decode())


def read_exe_name(name: str) -> Conf:
    """An installer's name, as the client cuts it up, and as Windows renames a second download."""
    assert not set(name) & set(WINDOWS_FORBIDS) and len(name) <= 255 and name.endswith(".exe")
    stem = name.removesuffix(".exe")
    if "host=" not in stem:
        before, _, string = stem.partition("rustdesk-licensed-")
        assert before == "" and "--" not in string
        return read_string(string)
    parts = dict(part.partition("=")[::2] for part in f"{stem} (1)".removeprefix("rustdesk-").split(","))
    assert set(parts) <= {"host", "key", "relay", "api", " (1)"}
    return Conf(parts["host"], parts.get("relay", ""), parts.get("api", ""), parts["key"])


def read_readme(text: str) -> Conf:
    fields = dict(re.findall(r"^  (ID server|Relay server|API server|Key):  *(.*)\r$", text, re.MULTILINE))
    values = {name: "" if value == "(empty)" else value for name, value in fields.items()}
    assert "\n" not in text.replace("\r\n", "")
    return Conf(values["ID server"], values["Relay server"], values["API server"], values["Key"])


# --- QR codes ---------------------------------------------------------------------------------------------------------


def scan(picture: Path) -> Conf:
    """What a real decoder sees in a picture: one code with the text for a client's scanner."""
    command = ["zbarimg", "--quiet", "--nodbus", "--raw", "-Sbinary", str(picture)]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode().removesuffix("\n")
    assert text.startswith("config=")
    return read_json(text.removeprefix("config="))


def scan_modules(rows: list[list[bool]], scratch: Path) -> Conf:
    """Modules, True for dark, as a picture for the decoder."""
    size, scale = len(rows), 5
    assert all(len(row) == size for row in rows)
    assert not any(any(row) for row in rows[:QUIET] + rows[-QUIET:])
    assert not any(any(row[:QUIET]) or any(row[-QUIET:]) for row in rows)
    pixels = b"".join(bytes(0 if dark else 255 for dark in row for _ in range(scale)) * scale for row in rows)
    picture = scratch / "modules.pgm"
    picture.write_bytes(b"P5 %d %d 255\n" % (size * scale, size * scale) + pixels)
    return scan(picture)


def check_png(raw: bytes) -> None:
    """Decoders forgive much: every checksum is right, and there are as many pixels as the header says."""
    assert raw.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        kind, data = raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", raw, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"iTXt", b"IDAT", b"IEND"]
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert width == height and (depth, colour) == (1, 0)
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + width // 8)


def modules_of_terminal(text: str) -> tuple[list[list[bool]], str]:
    """The drawing's modules, each line in black on white of its own, and the text below it."""
    *lines, below = text.splitlines()
    halves = {" ": (False, False), "\u2580": (True, False), "\u2584": (False, True), "\u2588": (True, True)}
    rows: list[list[bool]] = []
    for line in lines:
        match = re.fullmatch(r"\x1b\[38;5;16;48;5;231m([ \u2580\u2584\u2588]+)\x1b\[0m", line)
        assert match, line
        rows += [[halves[char][half] for char in match[1]] for half in (0, 1)]
    # An odd number of rows is drawn with a white one more.
    return rows[: len(rows[0])], below


def modules_of_svg(text: str) -> tuple[list[list[bool]], str]:
    """The modules that are painted black on white, and the description."""
    name = "{http://www.w3.org/2000/svg}"
    root = xml.fromstring(text)
    size = int(root.attrib["viewBox"].split()[2])
    white, black = root.findall(f"{name}path")
    assert (white.attrib["fill"], black.attrib["fill"]) == ("#fff", "#000")
    assert white.attrib["d"] == f"M0 0h{size}v{size}h-{size}z"
    rows = [[False] * size for _ in range(size)]
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", black.attrib["d"])
    assert "".join(f"M{x} {y}h{run}v1h-{back}z" for x, y, run, back in runs) == black.attrib["d"]
    for x, y, run, back in runs:
        assert run == back
        for i in range(int(run)):
            rows[int(y)][int(x) + i] = True
    description = root.findtext(f"{name}desc")
    assert description is not None
    return rows, description


# --- scripts ----------------------------------------------------------------------------------------------------------


def run_sh(script: Path, home: Path, *args: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    """Runs the script for the user who owns this home, and nobody else."""
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [*shell.split(), str(script), "-u", *args]
    return subprocess.run(
        command, env=env, cwd=home, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


def client_file(home: Path) -> Path:
    return home / ".config/rustdesk/RustDesk2.toml"


def read_sh(script: Path, scratch: Path) -> Conf:
    """What the script leaves in a home that has nothing, by which nothing else changes."""
    home = scratch / "home"
    home.mkdir()
    done = run_sh(script, home)
    assert done.returncode == 0, done.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == [client_file(home)]
    return read_toml(client_file(home).read_text())


_POWERSHELL = re.compile(
    r"""(?P<here>@'[ \t]*\r?\n.*?\n['\u2018-\u201b]@)|(?P<block><\#.*?\#>)|(?P<line>\#[^\n]*)|(?P<escape>`.)"""
    r"""|(?P<single>['\u2018-\u201b](?:[^'\u2018-\u201b]|['\u2018-\u201b]{2})*['\u2018-\u201b])"""
    r"""|(?P<double>["\u201c-\u201e](?:[^"\u201c-\u201e`]|`.|["\u201c-\u201e]{2})*["\u201c-\u201e])""",
    re.DOTALL,
)


def read_powershell(raw: bytes) -> Conf:
    """The one here-string of the script, as PowerShell's rules of quoting find it; the rest is plain ASCII."""
    text = raw.decode("utf-8-sig")
    # Windows' own PowerShell reads UTF-8 only with a mark.
    assert text.isascii() or raw.startswith(b"\xef\xbb\xbf")
    heres = [match["here"] for match in _POWERSHELL.finditer(text) if match["here"]]
    assert len(heres) == 1
    before, _, behind = text.partition(heres[0])
    assert before.isascii() and behind.isascii() and before.endswith("$Settings = ")
    return read_toml(heres[0].split("\n", 1)[1].rsplit("\n", 1)[0] + "\n")


# --- any --------------------------------------------------------------------------------------------------------------


def read_form(form: str, raw: bytes, scratch: Path) -> Conf:
    """A form's configuration, read without any code of rdsrv's."""
    file = scratch / f"form-{FILES[form]}"
    file.write_bytes(raw)
    if form == "qr-png":
        check_png(raw)
        return scan(file)
    if form == "powershell":
        return read_powershell(raw)
    text = raw.decode()
    if form in ("qr", "qr-svg"):
        rows, below = modules_of_terminal(text) if form == "qr" else modules_of_svg(text)
        conf = scan_modules(rows, scratch)
        assert read_json(below.removeprefix("config=")) == conf
        return conf
    if form == "sh":
        return read_sh(file, scratch)
    readers: dict[str, Any] = {"server.conf": read_ini, "toml": read_toml, "readme": read_readme}
    if form in readers:
        return Conf(*readers[form](text))
    (line,) = text.splitlines()
    line_readers = {
        "string": read_string,
        "json": read_json,
        "exe-name": read_exe_name,
        "link": lambda link: read_string(link.removeprefix("rustdesk://config/")),
    }
    return line_readers[form](line)
