"""Every kind of damage of the laboratory: repaired, found sound, and given back byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.corruption import all_kinds, damaged
from support.damaged import digests, problems
from support.sampling import some

from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema.repair.expectation import Expectation
from datalayer.schema.repair.repairing import repair, undo
from datalayer.schema.target import target_of

SEED = 11


@pytest.mark.slow
@pytest.mark.parametrize("kind", some(all_kinds(), 8))
def test_a_repair_leaves_a_sound_database_and_every_original_byte(tmp_path: Path, kind: str) -> None:
    damage = damaged(kind, SEED)
    path = damage.write(tmp_path)
    file = tmp_path / "schema.sql"
    file.write_text(damage.base.schema_sql, encoding="utf-8")
    wanted = Expectation(target_of(schema_file=file))
    before = digests(path) if path.is_file() else {}

    try:
        report = repair(path, wanted, yes=True)
    except (DatabaseCorrupt, DatabaseUnavailable):
        # nothing of a database is there: it is as it was
        assert not path.is_file() or digests(path) == before
        return

    assert report.left == ()
    assert problems(path) == []
    again = repair(path, wanted)
    assert again.nothing_to_do and again.left == ()
    if report.evidence is not None:
        undo(path)
        assert digests(path) == before
