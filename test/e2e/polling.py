"""The one way in which tests wait: ask again and again until a deadline."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")

PAUSE_S = 0.01


def wait_until(fn: Callable[[], T], timeout: float, what: str = "") -> T:
    """Calls fn until it returns something true, and returns that; fails when timeout seconds have passed."""
    deadline = time.monotonic() + timeout
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or getattr(fn, '__name__', fn)}")
        time.sleep(PAUSE_S)
