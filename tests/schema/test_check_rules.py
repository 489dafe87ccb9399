"""Rules of an app's own: what they tell, and that they cannot write, wander off, or run for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError
from datalayer.schema.check import Finding, check
from datalayer.schema.check.rule import Rule, broken_rules, read_rules


@pytest.fixture
def filled(engine: Engine) -> Engine:
    engine.write("CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL)")
    for number in range(1, 26):
        engine.write(f"INSERT INTO orders VALUES ({number}, {number - 13})")
    return engine


def run(engine: Engine, sql: str, **options: float) -> list[Finding]:
    return list(broken_rules(engine, {"own": Rule(sql)}, tables=frozenset({"orders"}), **options))


def test_a_broken_rule_is_told_under_its_own_id_with_ten_rows(filled: Engine) -> None:
    rules = {"debts": Rule("SELECT id, total FROM orders WHERE total < 0 ORDER BY id;", severity="warning")}

    [finding] = check(filled, with_schema=False, rules=rules)

    assert (finding.id, finding.severity, finding.count) == ("debts", "warning", 12)
    assert list(finding.rows) == [{"id": number, "total": number - 13} for number in range(1, 11)]


def test_a_rule_that_holds_is_no_finding(filled: Engine) -> None:
    assert run(filled, "WITH big AS (SELECT id FROM orders WHERE total > 1000) SELECT * FROM big") == []


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders RETURNING id",
        "DROP TABLE orders",
        "SELECT 1; DELETE FROM orders",
        "COMMIT; DELETE FROM orders",
        "SELECT nothing FROM orders",
        "SELECT 'broken",
        "",
    ],
)
def test_a_rule_that_is_no_query_is_a_finding_and_changes_nothing(filled: Engine, sql: str) -> None:
    [finding] = run(filled, sql)

    assert (finding.id, finding.severity, finding.object) == ("DL-C012", "warning", "own")
    assert filled.fetch_one("SELECT count(*) FROM orders") == (25,)


def test_a_rule_on_sqlite_reaches_no_other_file(filled: Engine, tmp_path: Path) -> None:
    if filled.dialect.name == "sqlite":
        for sql in (f"ATTACH '{tmp_path}/other.db' AS o", "PRAGMA user_version = 7", "VACUUM"):
            assert [finding.id for finding in run(filled, sql)] == ["DL-C012"]
    assert not (tmp_path / "other.db").exists()


def test_a_rule_that_takes_too_long_is_stopped(filled: Engine) -> None:
    endless = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"

    [finding] = run(filled, endless, time_limit_s=0.05)

    assert finding.id == "DL-C012"
    assert filled.fetch_one("SELECT count(*) FROM orders") == (25,)


def test_a_rule_of_a_table_that_is_not_there_is_passed_over(filled: Engine) -> None:
    rules = {"own": Rule("SELECT * FROM gone", table="gone")}

    assert list(broken_rules(filled, rules, tables=frozenset({"orders"}))) == []


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"a": {"sql": "SELECT 1", "severity": "info"}, "b": {"sql": "SELECT 2"}}))

    rules = read_rules(path)

    assert {name: (rule.sql, rule.severity) for name, rule in rules.items()} == {
        "a": ("SELECT 1", "info"),
        "b": ("SELECT 2", "error"),
    }


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"a": {"sql": 1}}', '{"a": {"sql": "x", "severity": "bad"}}']
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(text)

    with pytest.raises(DataLayerError, match="cannot be read"):
        read_rules(path)
