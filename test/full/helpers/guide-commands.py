"""Prints the guide's commands, in the page's order: "LINE COMMAND"."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))
sys.dont_write_bytecode = True

from documents import GUIDE, blocks_of  # noqa: E402

for block in blocks_of(GUIDE):
    for number, line in enumerate(block.lines if block.kind == "commands" else [], block.number):
        print(number, line)
