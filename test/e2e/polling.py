"""The one way in which tests wait: ask again and again until a deadline."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Callable, TypeVar

T = TypeVar("T")

PAUSE_S = 0.01


def wait_until(fn: Callable[[], T], timeout: float, what: str = "") -> T:
    """Calls fn until it returns something true, and returns that; fails when timeout seconds have passed."""
    deadline = time.monotonic() + timeout
    while True:
        is_last = time.monotonic() > deadline  # a look that begins later than that: this process may have been held up
        value = fn()
        if value:
            return value
        if is_last:
            raise AssertionError(f"not within {timeout} s: {what or getattr(fn, '__name__', fn)}")
        time.sleep(PAUSE_S)


def in_one_of(tries: int, attempt: Callable[[], T]) -> T:
    """Does it again, all of it, when an assertion fails: what a busy machine spoils goes well the next time, what is wrong
    is wrong each time."""
    for _ in range(tries - 1):
        with suppress(AssertionError):
            return attempt()
    return attempt()


def away_from_midnight() -> None:
    """Waits for the next day if it is about to begin, in UTC or here: for tests that compare days."""

    def is_away() -> bool:
        times = (time.gmtime(), time.localtime())
        return all(t.tm_hour * 3600 + t.tm_min * 60 + t.tm_sec < 86400 - 20 for t in times)

    wait_until(is_away, 60, "the next day")
