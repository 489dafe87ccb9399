"""What refers to lost rows and is whole stays in place, however many do."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.corruption import Damage, TrackedFile
from support.corruption_bases import make_base
from support.corruption_contestants import salvaged
from support.corruption_score import faults_of
from support.corruption_truth import read_rows, text_of

CHILDREN = {
    "customer": ("purchase", "line", "tag", "event"),
    "product": ("line", "purchase"),
    "purchase": ("line",),
}


def without_leaves(base: str, parent: str, seed: int) -> Damage:
    """Zero a third of the leaves of a table that others refer to."""
    chosen = make_base(base)
    files = {file: TrackedFile(file, data) for file, data in chosen.files.items()}
    damage = Damage(chosen, random.Random(f"{parent} {seed}"), chosen.truth, files)
    leaves = damage.pages("table-leaf", "index-leaf", table=parent, least=1)
    for page in damage.rng.sample(leaves, max(1, len(leaves) // 3)):
        damage.put(page, 0, bytes(damage.size))
    return damage


@pytest.mark.slow
@pytest.mark.parametrize("base", ["app-512", "app-1024-full"])
@pytest.mark.parametrize("parent", CHILDREN)
def test_rows_that_refer_to_a_zeroed_leaf_stay_in_place(base: str, parent: str, tmp_path: Path) -> None:
    damage = without_leaves(base, parent, 5)
    target = tmp_path / "new.db"

    salvaged(damage.write(tmp_path), target, damage.base)

    survives = damage.surviving()
    with closing(sqlite3.connect(target)) as connection:
        connection.text_factory = text_of
        assert faults_of(connection, damage.base) == []
        for spec in damage.truth.specs:
            if spec.name not in CHILDREN[parent]:
                continue
            left = {key: row.values for _, key, row in damage.rows(spec.name) if survives(row.pieces)}
            found = read_rows(connection, spec)
            share = sum(found.get(key) == values for key, values in left.items()) / len(left)
            assert share >= 0.999, (spec.name, share)
        named = "SELECT count(*) FROM lost_and_found WHERE reason = 'placeholder for a lost row'"
        [(made,)] = connection.execute(f'{named} AND "table" = ?', (parent,))
        lost = sum(not survives(row.pieces) for _, _, row in damage.rows(parent))
        assert 0 < made <= lost
