"""`datalayer migrations rehearse`: what the pending files would do, tried on a copy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from datalayer.cli.arguments import Parser, one_of
from datalayer.cli.folder_choice import add_folder, chosen_folder, trial_stores
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result
from datalayer.cli.progress import Progress
from datalayer.cli.rule_findings import counts_of, in_words, lines_of

if TYPE_CHECKING:
    from datalayer.schema.rehearse.report import Rehearsal, StatementReport

__all__ = ["COMMANDS"]


_COST = """The database is copied whole: SQLite's into the folder for temporary files (TMPDIR names another),
PostgreSQL's into a database on the same server, for which the role needs CREATEDB. Keep twice its size free;
1 GB takes about a minute, and again as long where a statement fails. Memory does not grow with it. With
--rows synthetic no row is copied. The copy goes in the end, and that of a killed rehearsal with the next."""


def _add_arguments(parser: Parser) -> None:
    parser.epilog = f"{_COST}\n\n{parser.epilog}"
    add_folder(parser)
    parser.add_argument(
        "--rows",
        type=one_of("choice of rows", "real", "synthetic", "both"),
        default="both",
        help="real: the database's own; synthetic: made up ones alone; both: made up ones where a table has"
        " fewer than three (both)",
    )
    parser.add_argument(
        "--as-tool",
        type=one_of("tool", "datalayer", "plain", "d1"),
        help="who will run the files: datalayer, d1, or plain for others; by the folder's layout without it",
    )
    parser.add_argument("--to", metavar="NAME", help="the last file to rehearse")


def _run(call: Invocation) -> Result:
    from datalayer.schema.rehearse.rehearsal import rehearse

    arguments = call.arguments
    folder = chosen_folder(arguments.dir)
    with (
        call.look() as store,
        trial_stores() as store_of,
        Progress(call.terminal, "rehearse", None) as progress,
    ):
        done = rehearse(
            store.engine,
            folder,
            with_rows=arguments.rows,
            as_tool=arguments.as_tool,
            to=arguments.to,
            progress=progress.advance,
            store_of=store_of,
        )
    facts = {
        "folder": str(folder.root),
        "tool": done.tool,
        "rows": done.with_rows,
        "files": list(done.files),
        "statements": [one.as_dict() for one in done.statements],
        "filled": dict(done.filled),
        "unfilled": dict(done.unfilled),
        "counts": counts_of(done.findings),
        "seconds": round(done.seconds, 3),
    }
    if not done.files:
        return Result(facts, [f"{call.address.display}: nothing is pending, so there is nothing to rehearse"])
    findings = [one.as_dict() for one in done.findings]
    return Result(facts, [*_shown(done)], findings, exit_code=0 if done.is_clean else 1)


def _shown(done: Rehearsal) -> Iterator[str]:
    file = ""
    for one in done.statements:
        if one.file != file:
            file = one.file
            yield file
        yield f"  {one.line:>4}  {one.milliseconds:>8.1f} ms  {one.sql}"
        for words in _words(one):
            yield f"                     {words}"
    for table, why in done.unfilled.items():
        yield f"no rows could be made up for {table}: {why}"
    yield from lines_of(done.findings)
    said = in_words(counts_of(done.findings))
    files = f"{len(done.files)} file{'s'[: len(done.files) != 1]}"
    yield f"{files} rehearsed as {done.tool} in {done.seconds:.2f} s: {said}"


def _words(one: StatementReport) -> Iterator[str]:
    """Give what a statement did, a line a kind."""
    if one.rows:
        yield "rows: " + ", ".join(
            f"{table} {_number(before)} -> {_number(after)}" for table, (before, after) in one.rows.items()
        )
    if one.links:
        yield "references: " + ", ".join(
            f"{link}: {before} -> {after}" for link, (before, after) in one.links.items()
        )
    if one.changes:
        yield ", ".join(one.changes)
    if one.locks:
        yield "locks: " + ", ".join(f"{mode} on {table}" for table, mode in one.locks)
    if one.rewrites:
        yield f"writes anew: {', '.join(one.rewrites)}"
    if one.scans:
        yield f"reads whole: {', '.join(one.scans)}"
    if one.error:
        yield f"failed: {one.error}"


def _number(count: int | None) -> str:
    return "none" if count is None else str(count)


COMMANDS = {"migrations rehearse": Command(_add_arguments, _run)}
