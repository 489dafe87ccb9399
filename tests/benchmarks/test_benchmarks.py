"""Every benchmark runs at the smallest size, and what it saves can be read back."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from support.sampling import some
from support.source_tree import ROOT

sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the installed package

from benchmarks.__main__ import NAMES, main
from benchmarks.harness import (
    Report,
    Row,
    Table,
    Target,
    median_ratio,
    percentile,
    read_reports,
    take_turns,
    write_reports,
)
from benchmarks.repair_cost import DAMAGES
from benchmarks.repair_cost import measure as measure_cost


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_benchmark_runs_and_saves_numbers(name: str, tmp_path: Path) -> None:
    saved = tmp_path / "results.json"

    engines = some([[], ["--postgres"]], 2)[-1] if name == "domains" else []

    assert main([name, *engines, "--scale", "0.001", "--json", str(saved)]) == 0

    content = json.loads(saved.read_text())
    assert content["facts"]["scale"] == 0.001
    (report,) = content["reports"]
    assert report["name"] == name
    cells = [value for table in report["tables"] for row in table["rows"] for value in row["cells"].values()]
    assert cells
    assert all(value is None or (math.isfinite(value) and value >= 0) for value in cells)


@pytest.mark.slow
def test_cost_of_a_repair_is_measured_for_every_damage(tmp_path: Path) -> None:
    table = measure_cost(1, tmp_path, None)

    assert len(table.rows) == len(DAMAGES)
    for row in table.rows:
        rows = row.cells["rows"]
        assert rows is not None and rows >= 4_500
        assert row.cells["CPU s"]


def sample() -> Report:
    rows = [
        Row("fast", {"ratio": 1.5, "raw us": 12.345}, Target("ratio", 2)),
        Row("slow", {"ratio": 3.0, "raw us": 12345.6}, Target("ratio", 2)),
        Row("left out", {"ratio": None}, Target("ratio", 2, at_least=True)),
    ]
    return Report("sample", [Table("A title", ["raw us", "ratio"], rows, ["a note"])])


def test_table_marks_targets_as_reached_or_missed() -> None:
    (table,) = sample().tables

    assert table.render().splitlines() == [
        "A title",
        "",
        "          raw us  ratio  target",
        "--------  ------  -----  ------------------",
        "fast        12.3   1.50  ratio <= 2 reached",
        "slow      12,346   3.00  ratio <= 2 MISSED",
        "left out       -      -  ratio >= 2",
        "* a note",
    ]
    assert sample().missed == ["sample: slow"]


def test_results_are_read_back_as_they_were_saved(tmp_path: Path) -> None:
    write_reports(tmp_path / "a.json", [sample()], {"cpus": 2})
    reports, facts = read_reports(tmp_path / "a.json")

    assert [report.tables[0].render() for report in reports] == [sample().tables[0].render()]
    assert facts == {"cpus": 2}


def test_contestants_take_turns_and_each_round_begins_with_another() -> None:
    order: list[str] = []

    def measure(name: str) -> dict[str, float]:
        order.append(name)
        return {"cpu": float(len(order))}

    found = take_turns({"a": "a", "b": "b", "c": "c"}, 2, measure)

    assert order == ["a", "b", "c", "b", "c", "a"]
    assert found["b"] == [{"cpu": 2.0}, {"cpu": 4.0}]


def test_ratio_is_the_median_of_the_rounds() -> None:
    ours = [{"cpu": 2.0}, {"cpu": 9.0}, {"cpu": 6.0}]
    theirs = [{"cpu": 1.0}, {"cpu": 1.0}, {"cpu": 2.0}]

    assert median_ratio(ours, theirs) == 3.0
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0


def test_unknown_benchmark_is_refused() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["no-such"])


@pytest.mark.parametrize("pattern", ["20*.json", "domains.json"])
def test_document_shows_the_saved_results(pattern: str) -> None:
    document = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    newest = max((ROOT / "benchmarks" / "results").glob(pattern))
    reports, facts = read_reports(newest)

    assert newest.name in document
    assert facts["scale"] == 1.0
    missing = [table.title for report in reports for table in report.tables if table.render() not in document]
    assert missing == []
