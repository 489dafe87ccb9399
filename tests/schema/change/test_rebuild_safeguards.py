"""Each safeguard of a rebuild is held by a case: taken out of a copy of the package, some case fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.mutants import Mutation, failing_cases

pytestmark = pytest.mark.slow

MUTATIONS = (
    Mutation(
        "foreign keys are off during the plan",
        "migrate.py",
        '"foreign_keys": 0',
        '"foreign_keys": 1',
        ("columns reordered, children ON DELETE CASCADE", "a parent and its child both rebuilt, cascading"),
    ),
    Mutation(
        "rows keep their rowid",
        "copying.py",
        "if name is not None and source is not None and name not in names:",
        "if False:",
        ("columns reordered, rowids of its own", "full text on content without a key of its own"),
    ),
    Mutation(
        "AUTOINCREMENT goes on where it stood",
        "numbering.py",
        'connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (wanted.name, number))',
        "pass",
        ("a rebuild with numbers beyond the highest row", "a rebuild of an empty table that has numbered"),
    ),
    Mutation(
        "figures of ANALYZE are kept",
        "numbering.py",
        "    _restore_statistics(connection, plan, numbering)\n",
        "",
        ("statistics of a table renamed", "an index changed with its statistics"),
    ),
    Mutation(
        "triggers are out before rows are copied",
        "applying.py",
        'work.run(f"DROP TRIGGER IF EXISTS {quote(trigger.name)}")',
        "pass",
        (
            "a column made NOT NULL, triggers on the table",
            "columns reordered, a trigger elsewhere that writes to it",
        ),
    ),
    Mutation(
        "the content is proved",
        "applying.py",
        "if not is_complete(",
        "if False and not is_complete(",
        ("retype leading zeros to INTEGER", "retype 2^53 + 1 to REAL"),
    ),
    Mutation(
        "a default is only for rows that were NULL",
        "projection.py",
        'return f"CASE WHEN {old} IS NULL THEN ({default_expression(column)}) ELSE {old} END"',
        'return f"({default_expression(column)})"',
        ("rows older than their column, NOT NULL and a default for NULL", "the case of both with a rebuild"),
    ),
    Mutation(
        "a default is only for columns that become NOT NULL",
        "projection.py",
        "        and column.is_not_null\n",
        "",
        ("columns reordered, nothing else",),
    ),
    Mutation(
        "references do not follow a table that moves aside",
        "applying.py",
        'work.run("PRAGMA legacy_alter_table = ON")',
        'work.run("PRAGMA legacy_alter_table = OFF")',
        ("columns reordered, children ON DELETE CASCADE", "a parent renamed while another takes its name"),
    ),
    Mutation(
        "rows older than their column keep the old default",
        "applying.py",
        "    plan = settle_defaults(connection, plan)\n",
        "",
        ("rows older than their column, another default",),
    ),
    Mutation(
        "a rule's own ON CONFLICT does not swallow rows",
        "copying.py",
        "INSERT OR ABORT INTO",
        "INSERT INTO",
        tuple(f"UNIQUE ON CONFLICT {clause} with repetition" for clause in ("REPLACE", "IGNORE", "ROLLBACK")),
    ),
    Mutation(
        "new references are checked",
        "applying.py",
        "    check_references(connection, plan)\n",
        "",
        ("a reference over an orphan",),
    ),
    Mutation(
        "an index that changed is made anew under its name",
        "planning.py",
        "old is None or old.name != index.name or not _same_index(old, index, change.pair, names)",
        "old is None",
        ("an index of the same name with DESC", "an index of the same name with WHERE"),
    ),
    Mutation(
        "no value is cast",
        "projection.py",
        "    if not is_filled(pair, column):\n        return old\n",
        '    if not is_filled(pair, column):\n        return f"CAST({old} AS {column.type})"\n',
        ("retype a text that is cut by a CAST", "retype words to INTEGER stay words"),
    ),
    Mutation(
        "names of temporaries are checked against the tables that are there",
        "applying.py",
        "while name in taken:",
        "while False:",
        ('a rebuild of "datalayer_aside_0"',),
    ),
    Mutation(
        "rows are not dropped unasked",
        "migrate.py",
        "    refuse_losses(connection, found, pairing, consent)\n",
        "",
        ("drop a column with values unasked", "a table dropped unasked"),
    ),
)


@pytest.fixture(scope="module")
def copy_of_the_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants")


def test_the_copy_that_is_not_changed_passes_all_of_them(copy_of_the_package: Path) -> None:
    names = {name for mutation in MUTATIONS for name in mutation.cases}

    assert failing_cases(None, sorted(names), copy_of_the_package) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.safeguard)
def test_a_case_fails_without_the_safeguard(mutation: Mutation, copy_of_the_package: Path) -> None:
    assert failing_cases(mutation, mutation.cases, copy_of_the_package)
