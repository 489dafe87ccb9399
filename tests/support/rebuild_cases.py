"""The table of rebuilds: every case, by its name."""

from __future__ import annotations

from itertools import chain

from support import (
    rebuild_cases_columns,
    rebuild_cases_crossed,
    rebuild_cases_keys,
    rebuild_cases_meaning,
    rebuild_cases_objects,
    rebuild_cases_rules,
    rebuild_cases_tables,
    rebuild_cases_types,
    rebuild_cases_values,
)
from support.rebuild_case import Case

_PARTS = (
    rebuild_cases_columns,
    rebuild_cases_types,
    rebuild_cases_rules,
    rebuild_cases_keys,
    rebuild_cases_meaning,
    rebuild_cases_tables,
    rebuild_cases_objects,
    rebuild_cases_values,
    rebuild_cases_crossed,
)


def all_cases() -> dict[str, Case]:
    """Give every case by its name, which no other has."""
    found: dict[str, Case] = {}
    for case in chain.from_iterable(part.cases() for part in _PARTS):
        if case.name in found:
            raise AssertionError(f"two cases are called {case.name!r}")
        found[case.name] = case
    return found
