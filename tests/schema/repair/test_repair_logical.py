from __future__ import annotations

from pathlib import Path

import pytest
from support.damaged import DAMAGES, digests, expectation, make, problems

from datalayer.schema.repair.repairing import plan_repair, repair, undo


def done(path: Path) -> list[tuple[str, str | None, int]]:
    report = repair(path, expectation(path.parent), yes=True)
    return [(step.action, step.table, step.count) for step in report.plan.steps]


def test_a_sound_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    before = digests(path)

    report = repair(path, expectation(tmp_path))

    assert report.nothing_to_do and report.left == ()
    assert digests(path) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["app.db", "wanted.sql"]


@pytest.mark.parametrize("wal", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["rollback", "wal"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_each_kind_of_logical_damage_is_cured_in_place(tmp_path: Path, kind: str, wal: bool) -> None:
    path = make(tmp_path / "app.db", wal=wal)
    DAMAGES[kind](path)
    before = digests(path)

    plan = plan_repair(path, expectation(tmp_path))
    assert digests(path) == before
    report = repair(path, expectation(tmp_path), yes=True)

    assert report.plan.way == "in-place"
    assert report.plan.steps and report.plan.steps == plan.steps
    assert report.left == ()
    assert problems(path) == []
    assert repair(path, expectation(tmp_path)).nothing_to_do
    undo(path)
    assert digests(path) == before
