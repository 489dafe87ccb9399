"""How much of a damaged SQLite database comes back: datalayer's salvage, `sqlite3 .recover` and simpler ways.

Every kind of damage of the tests' laboratory (tests/support/corruption.py), judged by its oracle, which knows
by the byte which rows are left. `.recover` takes part where a sqlite3 command line that has it is found: the
path's, or the one that SQLITE3_SHELL names. `python -m benchmarks salvage --seeds 3 --kinds wal zeroed_root`
runs this benchmark alone and prints a line for each kind; `--megabytes 100` measures the cost of repairing a
large file instead (repair_cost.py).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Report, Row, Settings, Table, Target, machine_facts, write_reports
from benchmarks.repair_cost import measure as measure_cost

TESTS = Path(__file__).parents[1] / "tests"
DETAILS = Path(__file__).parent / "results" / "salvage-kinds.json"
OURS = "datalayer"
COLUMNS = ("scored", "lost ppm", "aside ppm", "perfect", "rebuilt", "false ppm", "sick", "touched", "CPU s")


def run(settings: Settings) -> Report:
    """Score all kinds with one seed; a part of them where the working is all that is asked."""
    lab = _lab()
    kinds = list(lab["kinds"])
    if settings.is_quick:
        return measure(kinds[:: len(kinds) // settings.size(len(kinds))], [101], details=None)
    return measure(kinds, [101])


def measure(
    kinds: Sequence[str],
    seeds: Iterable[int],
    *,
    details: Path | None = DETAILS,
    told: Callable[[str], object] | None = None,
) -> Report:
    """Score these kinds; `told` is given a line for each kind, `details` gets one for each damaged file."""
    lab = _lab()
    contestants = lab["contestants"]
    found: dict[str, list[Any]] = {name: [] for name in contestants}
    seeds = list(seeds)
    for kind in kinds:
        for seed in seeds:
            damage = lab["damaged"](kind, seed)
            for name, recover in contestants.items():
                found[name].append(lab["score"](damage, kind, seed, recover))
        if told is not None:
            told(_kind_line(kind, {name: lab["Sum"].of(_of(kind, scores)) for name, scores in found.items()}))
    if details is not None:
        _write_details(details, found)
    notes = [f"{len(kinds)} kinds of damage, seeds {', '.join(map(str, seeds))}"]
    if ".recover" not in contestants:
        notes.append("no sqlite3 command line with .recover was found")
    return Report("salvage", [_totals(lab, found, notes), *_families(lab, found)])


def _lab() -> dict[str, Any]:
    """Give the laboratory, which belongs to the tests."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    corruption = importlib.import_module("support.corruption")
    scores = importlib.import_module("support.corruption_score")
    ways = importlib.import_module("support.corruption_contestants")
    contestants = {OURS: ways.salvaged, "SELECT": ways.selected, "plain copy": ways.plain_copy}
    shell = ways.find_shell()
    if shell is not None:
        contestants[".recover"] = ways.recover_of(shell)
    return {
        "contestants": contestants,
        "damaged": corruption.damaged,
        "families": corruption.FAMILIES,
        "kinds": corruption.all_kinds(),
        "score": scores.score,
        "Sum": scores.Sum,
    }


def _of(kind: str, scores: Sequence[Any]) -> list[Any]:
    return [score for score in scores if score.kind == kind]


def _cells(total: Any) -> dict[str, float | None]:
    scored = [score for score in total.scores if score.is_scored]
    left = sum(score.recoverable for score in scored)
    return {
        "scored": len(scored),
        "lost ppm": round((1 - total.in_place) * 1e6) if scored else None,
        "aside ppm": round(sum(score.aside for score in scored) * 1e6 / left) if left else None,
        "perfect": sum(score.in_place == score.recoverable for score in scored),
        "rebuilt": total.rebuilt,
        "false ppm": round(total.false_share * 1e6),
        "sick": len(total.unhealthy),
        "touched": len(total.touched),
        "CPU s": sum(score.seconds for score in total.scores),
    }


def _totals(lab: Mapping[str, Any], found: Mapping[str, Sequence[Any]], notes: Sequence[str]) -> Table:
    rows = [
        Row(
            name,
            _cells(lab["Sum"].of(scores)),
            Target("lost ppm", 1000) if name == OURS else None,
        )
        for name, scores in found.items()
    ]
    notes = [
        *notes,
        "lost: not back in place, of a million rows whose bytes are left; aside: in lost_and_found",
    ]
    return Table("Rows of damaged databases", COLUMNS, rows, notes)


def _families(lab: Mapping[str, Any], found: Mapping[str, Sequence[Any]]) -> list[Table]:
    tables: list[Table] = []
    for name, scores in found.items():
        rows = [
            Row(family, _cells(lab["Sum"].of(held)))
            for family in lab["families"]
            if (held := [score for score in scores if score.family == family])
        ]
        tables.append(Table(f"{name}, by family of damage", COLUMNS, rows))
    return tables


def _kind_line(kind: str, totals: Mapping[str, Any]) -> str:
    parts = [f"{kind:28}"]
    for name, total in totals.items():
        share = f"{total.in_place:.4f}" if any(score.is_scored for score in total.scores) else "  -   "
        false = f" {total.false_rows} false" if total.false_rows else ""
        parts.append(f"{name} {share}{false}{f' {len(total.unhealthy)} sick' if total.unhealthy else ''}")
    return "  ".join(parts)


def _write_details(path: Path, found: Mapping[str, Sequence[Any]]) -> None:
    """Save a line for each damaged database."""
    lines = [
        {
            "by": name,
            **{field: getattr(score, field) for field in ("kind", "family", "base", "seed", "outcome")},
            **{
                field: getattr(score, field)
                for field in ("recoverable", "in_place", "aside", "covered", "rebuilt")
            },
            "false": dict(score.false),
            "placeholders": score.placeholders,
            "faults": score.faults[:3] + [score.error] * bool(score.error),
            "seconds": round(score.seconds, 3),
        }
        for name, scores in found.items()
        for score in scores
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(map(json.dumps, lines)) + "\n]\n", encoding="utf-8")


def _print_cost(megabytes: int) -> int:
    _lab()
    shell = importlib.import_module("support.corruption_contestants").find_shell()
    with tempfile.TemporaryDirectory(prefix="datalayer-bench-") as folder:
        print(measure_cost(megabytes, Path(folder), shell).render())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it alone: any kinds or families, any seeds, a line for each kind."""
    lab = _lab()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks salvage", description="Score what comes back."
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--first", type=int, default=101, help="the first seed (default: 101)")
    parser.add_argument("--kinds", nargs="+", metavar="NAME", help="kinds or families (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the tables go")
    parser.add_argument("--details", type=Path, default=DETAILS, metavar="FILE", help="a line for each file")
    parser.add_argument("--megabytes", type=int, metavar="N", help="measure the cost, with a file this large")
    options = parser.parse_args(arguments)
    if options.megabytes:
        return _print_cost(options.megabytes)
    asked = set(options.kinds or lab["families"])
    unknown = asked - {*lab["kinds"]} - {*lab["families"]}
    if unknown:
        parser.error(f"no kind or family named {', '.join(sorted(unknown))}")
    chosen = [name for name, kind in lab["kinds"].items() if {name, kind.family} & asked]
    seeds = range(options.first, options.first + options.seeds)
    report = measure(chosen, seeds, details=options.details, told=print)
    print("\n" + "\n\n".join(table.render() for table in report.tables))
    if options.json:
        write_reports(options.json, [report], machine_facts())
    return 0


if __name__ == "__main__":
    sys.exit(main())
