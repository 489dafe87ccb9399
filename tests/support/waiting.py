"""Wait for what another process or thread does, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(claim: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    """Return True as soon as the claim holds, False when it still does not after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
