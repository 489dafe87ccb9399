"""`datalayer backup`: a verified copy of the database, while others go on working."""

from __future__ import annotations

from pathlib import Path

from datalayer.cli.arguments import Parser
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, bytes_text
from datalayer.cli.progress import Progress

__all__ = ["COMMANDS"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        help="the file to write; by default one in `backups` beside the database",
    )


def _run(call: Invocation) -> Result:
    with call.look() as store, Progress(call.terminal, "backup", None) as progress:
        from datalayer.schema.backup import backup

        path = call.arguments.path
        done = backup(
            store.engine, None if path is None else Path(path).absolute(), progress=progress.advance
        )
    facts = {
        "path": str(done.path),
        "kind": done.kind,
        "size_bytes": done.size_bytes,
        "sha256": done.sha256,
        "rows": done.rows,
        "seconds": round(done.seconds, 3),
    }
    size = bytes_text(done.size_bytes)
    text = f"{done.path}: {sum(done.rows.values())} rows, {size}, verified in {done.seconds:.2f} s"
    return Result(facts, [text, f"sha256 {done.sha256}"])


COMMANDS = {"backup": Command(_add_arguments, _run)}
