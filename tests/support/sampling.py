"""Which cases of a large table one run takes: every so many of them, or all with DATALAYER_ALL_CASES set.

The same ones each time, so that a failure comes again. For tables that another test goes through whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

Case = TypeVar("Case")


def some(cases: Iterable[Case], every: int) -> list[Case]:
    """Give every `every`-th case, from the first on."""
    taken = list(cases)
    return taken if os.environ.get("DATALAYER_ALL_CASES") else taken[::every]
