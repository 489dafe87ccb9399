"""The newest SQLite, which apsw brings, comes to the same results as the one that Python was built with."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import apsw
import pytest
from support.apsw_engine import open_apsw
from support.rebuild_case import Case, judge
from support.rebuild_cases import all_cases
from support.rebuilding import run_migrate
from support.sampling import some

CASES = dict(some(all_cases().items(), 5))
# a real becomes a text of 17 digits there, which is the same number again; older ones give 15
DONE = {"retype a real of 17 digits to TEXT"}
_FEW = 10  # every case of so many runs with the fast tests, the others with the slow ones


def _parameter(place: int, name: str, case: Case) -> object:
    is_slow = case.is_slow or place % _FEW
    return pytest.param(case, id=name, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(
    "case", [_parameter(place, name, case) for place, (name, case) in enumerate(CASES.items())]
)
def test_the_newest_sqlite_reaches_a_schema_or_refuses_with_nothing_lost(case: Case, tmp_path: Path) -> None:
    case = replace(case, refused=None) if case.name in DONE else case
    newest = partial(run_migrate, opening=open_apsw)

    assert judge(case, tmp_path, connect=apsw.Connection, run=newest) == []


def test_apsw_brings_a_newer_sqlite() -> None:
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 53)
