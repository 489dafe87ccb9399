"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from datalayer import connect

__all__ = ["compute", "compute_for_ever", "count_by_comparing", "count_up", "set_first", "write_and_purge"]


def count_up(target: str, key: str, times: int) -> list[int]:
    with connect(target, busy_timeout_s=30) as store:
        return [store.kv.increment(key) for _ in range(times)]


def count_by_comparing(target: str, key: str, times: int) -> int:
    """Raise a number by reading it and comparing; give how often another one was faster."""
    lost = 0
    with connect(target, busy_timeout_s=30) as store:
        for _ in range(times):
            while True:
                number = store.kv.get(key)
                if store.kv.compare_and_set(key, number, number + 1):
                    break
                lost += 1
    return lost


def set_first(target: str, name: str, keys: list[str]) -> list[str]:
    """Give the keys that this process was the first to set."""
    with connect(target, busy_timeout_s=30) as store:
        state = store.cache.project("/app")
        return [key for key in keys if state.set_if_absent(key, name)]


def compute(target: str, key: str, log: str, lease_s: float) -> int:
    """Ask for a value whose computing leaves a line in the log, and is slow enough for all to meet."""

    def work() -> int:
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return sum(place % 7 for place in range(3_000_000))

    with connect(target, busy_timeout_s=30) as store:
        return store.kv.get_or_compute(key, work, lease_s=lease_s)


def compute_for_ever(target: str, key: str, lease_s: float) -> int:
    """Hold the lease until somebody kills this process; says so on standard output."""

    def work() -> int:
        print("computing", flush=True)
        sys.stdin.readline()
        return 0

    with connect(target, busy_timeout_s=30) as store:
        return store.kv.get_or_compute(key, work, lease_s=lease_s)


def write_and_purge(target: str, name: str, times: int) -> int:
    """Set keys that expire at once or live on, purging in between; give the number of keys purged."""
    purged = 0
    with connect(target, busy_timeout_s=30) as store:
        for place in range(times):
            store.kv.set(f"short/{place % 5}", name, ttl_s=0.000001)
            store.kv.set(f"short/{place % 5}", name, ttl_s=1_000)
            store.kv.set(f"gone/{name}/{place}", name, ttl_s=0.000001)
            purged += store.kv.purge_expired(batch=3)
    return purged
