"""What the salvage brings back of damaged databases, by the laboratory's oracle.

The fast part does a few kinds of each sort; the slow part all kinds with seeds that are fixed here. The
numbers are floors: raise them when the salvage gets better, never lower them to let a change pass. The goal:
0.999 in place, nothing sick, 0.0002 false.
"""

from __future__ import annotations

import struct
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.corruption import FAMILIES, all_kinds, damaged
from support.corruption_contestants import salvaged
from support.corruption_score import Score, Sum, score
from support.sampling import some

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

SEEDS = some((11, 12), 2)
FAST = {
    "zeroed_leaf": "app-512",
    "garbage_inner_node": "app-512",
    "zeroed_pointer_arrays": "app-1024-full",
    "looped_children": "app-1024-full",
    "magic_zeroed": "app-512",
    "page_size_wrong": "app-512",
    "index_leaf_zeroed": "app-512",
    "covered_table_zeroed": "app-512",
    "log_header_zeroed": "app-wal-1024",
    "kept_page_zeroed": "app-hot-1024",
    "trunk_garbage": "app-512",
    "stray_log": "app-512",
}
# in place of recoverable rows
FLOORS = {
    "physical": 0.9995,
    "header": 1.0,
    "schema": 0.999,
    "index": 1.0,
    "wal": 0.996,
    "journal": 0.999,
    "freelist": 1.0,
    "logical": 0.9999,
    "environment": 1.0,
}


@cache
def salvage_score(name: str, seed: int, base: str | None = None) -> Score:
    return score(damaged(name, seed, base), name, seed, salvaged)


@pytest.mark.parametrize("name", FAST)
def test_every_row_whose_bytes_are_left_is_put_back(name: str) -> None:
    found = salvage_score(name, 1, FAST[name])

    assert found.in_place == found.recoverable > 0, found
    assert found.rebuilt >= 0.85 * found.covered, found
    assert found.is_healthy, found
    assert found.is_untouched
    assert not found.false, found


@pytest.mark.parametrize("name", ["empty_file", "text_file", "missing_file", "directory_in_place"])
def test_what_holds_no_database_is_refused(name: str) -> None:
    found = salvage_score(name, 1, "app-512")

    assert found.outcome == "refused", found
    assert found.error
    assert found.is_untouched


def scores(*families: str) -> Sum:
    kinds = [kind for kind in all_kinds().values() if kind.family in families]
    # of large families a part; `python -m benchmarks salvage` takes all
    kinds = some(kinds, 4 if len(kinds) > 40 else 2) if len(kinds) > 10 else kinds
    return Sum.of(salvage_score(kind.name, seed) for kind in kinds for seed in SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_put_back_in_every_family(family: str) -> None:
    found = scores(family)

    worst = sorted((one for one in found.scores if one.is_scored), key=lambda one: one.share)[:5]
    assert found.in_place >= FLOORS[family], worst


@pytest.mark.slow
def test_the_originals_are_untouched_by_every_kind() -> None:
    assert scores(*FAMILIES).touched == []


@pytest.mark.slow
def test_rows_that_only_an_index_has_are_rebuilt() -> None:
    rebuilt = scores(*FAMILIES).rebuilt

    assert rebuilt is not None
    assert rebuilt >= 0.85


@pytest.mark.slow
def test_databases_are_healthy_after_every_kind() -> None:
    sick = scores(*FAMILIES).unhealthy

    assert not sick, sick


@pytest.mark.slow
def test_few_rows_are_false() -> None:
    found = scores(*FAMILIES)

    assert found.false_share <= 0.0003, [one for one in found.scores if one.false.total() > 5]


# what changes the bytes of any main file, wherever its length or its pages were changed before
CRUDE = sorted(
    name
    for name, kind in all_kinds().items()
    if kind.family in ("physical", "header") and "app-512" in kind.bases and "overflow" not in name
)


@pytest.mark.slow
@given(st.sampled_from(CRUDE), st.sampled_from(CRUDE), st.integers(1000, 9999))
def test_no_two_kinds_of_damage_together_make_the_salvage_fail_or_write_to_the_file(
    one: str, other: str, seed: int
) -> None:
    try:
        damage = damaged(one, seed, "app-512", other)
    except (IndexError, LookupError, ValueError, struct.error):
        # the place that the second damages is gone
        return

    found = score(damage, one, seed, salvaged)

    assert found.outcome in ("recovered", "refused"), found
    assert found.is_untouched
