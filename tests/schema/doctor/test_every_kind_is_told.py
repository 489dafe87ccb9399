"""check-db tells every kind of damage, says what it is, and leaves every byte as it is."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.corruption import Damage, all_kinds, damaged
from support.corruption_bases import BASES, make_base
from support.corruption_contestants import expected_schema
from support.corruption_names import HIT_OR_MISS, INFORMED, SILENT, name_of
from support.corruption_score import digest
from support.corruption_truth import open_copy, read_rows
from support.sampling import some

from datalayer.schema.check import Finding, check_file

pytestmark = pytest.mark.slow

SEEDS = range(4)
CASES = [(name, seed) for name in all_kinds() for seed in SEEDS]
SOUND = [name for name, recipe in BASES.items() if recipe.mode != "hot"]


def checked(damage: Damage, folder: Path) -> list[Finding]:
    path = damage.write(folder)
    before = digest(folder)
    findings = check_file(path, expected=expected_schema(damage.base.name))
    assert digest(folder) == before
    return findings


def problems(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.severity != "info"]


def is_harmless(damage: Damage, folder: Path) -> bool:
    """Whether SQLite finds nothing, and every row but values that no rule speaks of is as it was."""
    folder.mkdir()
    files = {name: bytes(tracked.data) for name, tracked in damage.files.items()}
    with closing(open_copy(files, folder)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            return False
        for spec in damage.base.truth.specs:
            if len(read_rows(connection, spec)) != len(damage.base.truth.tables[spec.name]):
                return False
    return True


@pytest.mark.parametrize(("name", "seed"), some(CASES, 4))
def test_a_kind_of_damage_is_told_and_named(name: str, seed: int, tmp_path: Path) -> None:
    damage = damaged(name, seed)
    folder = tmp_path / "damaged"
    folder.mkdir()

    findings = checked(damage, folder)

    if name in SILENT:
        assert problems(findings) == []
        return
    if name not in INFORMED and not problems(findings):
        assert name in HIT_OR_MISS
        assert is_harmless(damage, tmp_path / "read")
        return
    pattern = INFORMED[name][0] if name in INFORMED else name_of(name, all_kinds()[name].family)
    told = [f"{one.id} {one.message}" for one in findings]
    assert any(re.search(pattern, text, re.DOTALL) for text in told), told[:20]


def test_the_exceptions_are_kinds_of_the_laboratory_and_say_why() -> None:
    kinds = all_kinds()

    assert {*INFORMED, *SILENT, *HIT_OR_MISS} <= {*kinds}
    assert not {*INFORMED} & {*SILENT}
    assert all(reason for _, reason in INFORMED.values())
    assert all(SILENT.values())
    assert all(name_of(name, kind.family) for name, kind in kinds.items() if name not in {*INFORMED, *SILENT})


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_database_gives_no_warning(name: str, quick: bool, tmp_path: Path) -> None:
    base = make_base(name)
    for file, suffix in (("main", ""), ("wal", "-wal"), ("journal", "-journal")):
        if file in base.files:
            (tmp_path / f"sound.db{suffix}").write_bytes(base.files[file])
    before = digest(tmp_path)

    findings = check_file(tmp_path / "sound.db", expected=expected_schema(name), quick=quick)

    assert problems(findings) == []
    assert digest(tmp_path) == before


@pytest.mark.parametrize("name", [name for name, recipe in BASES.items() if recipe.mode == "hot"])
def test_a_sound_hot_journal_is_told_as_hot_and_as_nothing_else(name: str, tmp_path: Path) -> None:
    base = make_base(name)
    (tmp_path / "sound.db").write_bytes(base.files["main"])
    (tmp_path / "sound.db-journal").write_bytes(base.files["journal"])

    findings = check_file(tmp_path / "sound.db", expected=expected_schema(name))

    assert [(one.id, one.severity) for one in findings] == [("DL-C080", "warning")]


INDEXES = """
CREATE TABLE t (a TEXT, b TEXT, n INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE INDEX keyed ON t (n);
CREATE TABLE r (id INTEGER PRIMARY KEY, n INTEGER, word TEXT);
CREATE INDEX partial ON r (n) WHERE n > 10;
CREATE INDEX expression ON r (lower(word));
CREATE UNIQUE INDEX single ON r (word, n DESC);
"""


@pytest.mark.parametrize("index", ["keyed", "partial", "expression", "single"])
@pytest.mark.parametrize("harm", ["entries missing", "other values", "entries extra"])
def test_an_index_that_disagrees_with_its_table_is_told(index: str, harm: str, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(INDEXES)
        rows = [(f"k{n % 7}", f"w{n}", n) for n in range(300)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        connection.executemany(
            "INSERT INTO r VALUES (?, ?, ?)", [(n, n % 50, f"Word {n}") for n in range(300)]
        )
        sql = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (index,)).fetchone()[0]
        table = "t" if index == "keyed" else "r"
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = ?", (index,))
    root = _forgotten_root(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        change = {
            "entries missing": f"INSERT INTO {table} SELECT 'x' || a, b, n + 400 FROM t WHERE n < 20"
            if table == "t"
            else "INSERT INTO r SELECT id + 1000, n + 20, 'New ' || word FROM r WHERE id < 20",
            "other values": f"UPDATE {table} SET n = n + 1000 WHERE n > 20"
            if index != "expression"
            else "UPDATE r SET word = 'other ' || word WHERE n > 20",
            "entries extra": f"DELETE FROM {table} WHERE n > 30",
        }[harm]
        connection.execute(change)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "INSERT INTO sqlite_schema VALUES ('index', ?, ?, ?, ?)", (index, table, root, sql)
        )

    findings = check_file(path, with_schema=False)

    assert ("DL-C002", "error", table, index) in {
        (one.id, one.severity, one.table, one.object) for one in findings
    }


def _forgotten_root(path: Path) -> int:
    """Give the root of the tree that the schema does not lead to."""
    with closing(sqlite3.connect(path)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchall()
    pages = [int(match[1]) for (text,) in said for match in re.finditer(r"Page (\d+)\D*never used", text)]
    return min(pages)
