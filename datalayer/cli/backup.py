"""`datalayer backup`: a verified copy of the database, while others go on working."""

from __future__ import annotations

import argparse
from pathlib import Path

from datalayer.cli.arguments import Parser
from datalayer.cli.backups import add_keep, keep_of
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, bytes_text
from datalayer.cli.progress import Progress

__all__ = ["COMMANDS"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        help="the file to write; by default one in `backups` beside the database, or of a server in the"
        " platform's data folder",
    )
    parser.add_argument("--compress", action="store_true", help="pack a SQLite backup by gzip")
    parser.add_argument(
        "--throttle", metavar="MB", type=_rate, help="copy at most so many megabytes a second"
    )
    add_keep(parser, "then remove older backups of this database but the newest N")


def _rate(word: str) -> float:
    try:
        rate = float(word)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of megabytes a second")
    return rate


def _run(call: Invocation) -> Result:
    arguments = call.arguments
    with call.look() as store, Progress(call.terminal, "backup", None) as progress:
        from datalayer.schema.backup import backup

        path = arguments.path
        done = backup(
            store.engine,
            None if path is None else Path(path).absolute(),
            progress=progress.advance,
            throttle_mb_s=arguments.throttle,
            compress=arguments.compress,
        )
    removed = _removed(call, done.path.parent)
    facts = {
        "path": str(done.path),
        "manifest": str(done.manifest),
        "kind": done.kind,
        "compressed": done.is_compressed,
        "size_bytes": done.size_bytes,
        "sha256": done.sha256,
        "schema_version": done.schema_version,
        "rows": done.rows,
        "removed": removed,
        "seconds": round(done.seconds, 3),
    }
    size = bytes_text(done.size_bytes)
    lines = [f"{done.path}: {sum(done.rows.values())} rows, {size}, verified in {done.seconds:.2f} s"]
    lines.append(f"sha256 {done.sha256}")
    lines += [f"removed {one}" for one in removed]
    return Result(facts, lines)


def _removed(call: Invocation, folder: Path) -> list[str]:
    """Remove what the rules of this call do not keep."""
    from datalayer.schema.backup_manifest import Origin
    from datalayer.schema.retention import prune

    keep = keep_of(call)
    if keep.says_nothing:
        return []
    return [str(path) for path in prune(Origin.of(call.address), keep, folder).removed]


COMMANDS = {"backup": Command(_add_arguments, _run)}
