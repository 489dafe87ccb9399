"""What fuzzing the page reader has found stays mended: the kept corpus, tried again.

How the corpus came about says `tests/fuzz/fuzz_salvage.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from fuzz.recipe import CHANGE, HEAD, MOST_CHANGES, cook
from fuzz.resealing import reseal_journal, reseal_wal
from fuzz.seeds import CORPUS, SEEDS, pack_files, read_seed, seed_truth, write_files
from fuzz.verdict import judge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.salvage_case import false_rows, found_rows, missing

from datalayer.schema.salvage.recover import salvage

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

FINDINGS = sorted((CORPUS / "findings").iterdir())
COVERAGE = sorted((CORPUS / "coverage").iterdir())
SOUND = [seed.name for seed in SEEDS if seed.is_sound]


def broken_rules(recipes: Iterable[Path], folder: Path) -> list[str]:
    return [
        f"{path.name}: {finding.key}: {finding.message}"
        for path in recipes
        for finding in judge(cook(path.read_bytes()), folder).findings
    ]


def test_what_broke_a_rule_once_breaks_none_now(tmp_path: Path) -> None:
    assert FINDINGS
    assert broken_rules(FINDINGS, tmp_path) == []


def test_nothing_that_reached_new_lines_breaks_a_rule(tmp_path: Path) -> None:
    assert COVERAGE
    assert broken_rules(COVERAGE, tmp_path) == []


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_database_gives_exactly_its_rows(name: str, tmp_path: Path) -> None:
    path = tmp_path / "sound.sqlite"
    write_files(read_seed(name), path)
    rows = seed_truth(name)[1]

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(rows, found) == false_rows(rows, found) == 0
    assert found.keys() == rows.keys()


recipes = st.builds(
    lambda seed, head, changes: bytes([seed]) + head + b"".join(changes),
    st.integers(0, len(SEEDS) - 1),
    st.binary(min_size=HEAD - 1, max_size=HEAD - 1),
    st.lists(st.binary(min_size=CHANGE, max_size=CHANGE), max_size=MOST_CHANGES),
)


# the same ones each time: to look for new ones is the script's part
@settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(recipes)
def test_no_change_to_the_bytes_of_a_database_breaks_a_rule(tmp_path: Path, recipe: bytes) -> None:
    assert judge(cook(recipe), tmp_path).findings == ()


def test_the_corpus_is_small() -> None:
    sizes = [path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()]

    assert sum(sizes) < 2 << 20


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_seeds_are_small_and_their_checksums_hold(seed: object) -> None:
    files = read_seed(seed.name)

    assert len(pack_files(files)) < 64 << 10
    assert (reseal_wal(files[1]), reseal_journal(files[2])) == files[1:]
