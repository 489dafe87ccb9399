"""Run the benchmarks, print their tables, save the numbers.

python -m benchmarks                 all of them on SQLite
python -m benchmarks --postgres      on PostgreSQL too
python -m benchmarks verbs writers   some of them
python -m benchmarks salvage --seeds 3 --kinds wal zeroed_root
                                     some kinds of damage with some seeds, a line for each
python -m benchmarks salvage --megabytes 100
                                     what the repair of a file this large costs beside .recover
python -m benchmarks --quick         a tenth of the work: enough to see a ratio, not to quote it
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from benchmarks.harness import Report, Settings, machine_facts, read_reports, write_reports
from datalayer.testing.postgres import PostgresServer

NAMES = (
    "verbs",
    "postgres",
    "writers",
    "startup",
    "jobs",
    "kv",
    "rebuild",
    "migrators",
    "salvage",
    "check",
    "domains",
)
LATEST = Path(__file__).parent / "results" / "latest.json"


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["salvage"] and {"--seeds", "--kinds", "--first", "--megabytes"} & {*given}:
        return int(importlib.import_module("benchmarks.salvage").main(given[1:]))
    options = _parse(given)
    if options.show:
        reports, facts = read_reports(options.show)
        print(_text(reports, facts))
        return 0
    names = options.names or [name for name in NAMES if options.postgres or name != "postgres"]
    facts = {**machine_facts(), "scale": options.scale}
    reports: list[Report] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datalayer-bench-")))
        server_of = cache(lambda: stack.enter_context(PostgresServer()))
        wants_server = options.postgres or "postgres" in names
        for name in names:
            place = folder / name
            place.mkdir()
            settings = Settings(
                place, options.scale, (lambda: server_of().create_database()) if wants_server else None
            )
            print(f"benchmarks: {name}", file=sys.stderr, flush=True)
            report = importlib.import_module(f"benchmarks.{name}").run(settings)
            reports.append(report)
            print("\n\n".join(table.render() for table in report.tables) + "\n", flush=True)
        if wants_server:
            facts["postgresql"] = server_of().version
    write_reports(options.json, reports, facts)
    missed = [line for report in reports for line in report.missed]
    for line in missed:
        print(f"target missed: {line}", file=sys.stderr)
    return 1 if missed and options.strict else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure datalayer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_const", const=0.1, dest="scale", help="a tenth of the work")
    parser.add_argument("--scale", type=float, help="how much of the work to do (1: all of it)")
    parser.add_argument("--json", type=Path, default=LATEST, metavar="FILE", help="where the numbers go")
    parser.add_argument("--postgres", action="store_true", help="measure on PostgreSQL too")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="print the tables of saved results, measure nothing"
    )
    parser.set_defaults(scale=1.0)
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return options


def _text(reports: Sequence[Report], facts: dict[str, object]) -> str:
    tables = [table.render() for report in reports for table in report.tables]
    return "\n\n".join([*tables, "\n".join(f"{name}: {value}" for name, value in facts.items())])


if __name__ == "__main__":
    sys.exit(main())
