"""Every change of a SQLite schema, crossed with what may stand on a table, judged by the oracle."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.rebuild_case import Case, judge
from support.rebuild_cases import all_cases

CASES = all_cases()


_FEW = 3  # every case of so many runs with the fast tests, the others with the slow ones


def _parameter(place: int, name: str, case: Case) -> object:
    is_slow = case.is_slow or place % _FEW
    return pytest.param(case, id=name, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(
    "case", [_parameter(place, name, case) for place, (name, case) in enumerate(CASES.items())]
)
def test_a_schema_is_reached_or_refused_with_nothing_lost(case: Case, tmp_path: Path) -> None:
    assert judge(case, tmp_path) == []


def test_the_table_of_cases_is_large() -> None:
    done = [case for case in CASES.values() if case.refused is None]

    assert len(CASES) >= 600
    assert len(CASES) - len(done) >= 60
