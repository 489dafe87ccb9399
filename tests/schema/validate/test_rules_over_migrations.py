"""Every rule tells of a folder that breaks it, at the line that does, and is silent once it is put right."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.rule_cases import CASES, Case, write_files

from datalayer.schema.numbered.folder import Folder
from datalayer.schema.validate import validate
from datalayer.schema.validate.catalogue import RULES

# these look at a database's journal, at git or at code: they have tests of their own
ELSEWHERE = {"J001", "J002", "J009", "J011", "R001"}
_CATALOGUE_TEXT = """
J001 J002 J003 J004 J005 J006 J007 J008 J009 J010 J011 N001 N002 N003 N004 N005 X001 X002 X003 X004 X005 X006
F001 F002 F003 F004 F005 F006 D001 D002 D003 D004 D005 L001 L002 L003 L004 L005 L006 L007 L008 L009 L010
T001 T002 T003 I001 I002 I003 S001 S002 R001
"""
CATALOGUE = _CATALOGUE_TEXT.split()


def test_every_rule_of_the_catalogue_is_there() -> None:
    assert sorted(RULES) == sorted(CATALOGUE)
    assert all(rule.about and rule.fix for rule in RULES.values())


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} | ELSEWHERE == set(CATALOGUE)


def places(case: Case, folder: Path) -> list[tuple[str, int]]:
    found = validate(Folder(folder), dialect=case.dialect, target=case.target)
    return [(Path(one.file).relative_to(folder).as_posix(), one.line) for one in found if one.id == case.rule]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.about}")
def test_breach_is_told_at_its_line(tmp_path: Path, case: Case) -> None:
    folder = write_files(tmp_path, {**case.both, **case.bad})

    assert places(case, folder) == [case.place]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.about}")
def test_corrected_folder_is_silent(tmp_path: Path, case: Case) -> None:
    folder = write_files(tmp_path, {**case.both, **case.good})

    assert places(case, folder) == []
