"""`datalayer backups` and `datalayer backups prune`: which backups there are, and which ones go."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, whole_number
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table, bytes_text
from datalayer.cli.progress import Progress

if TYPE_CHECKING:
    from datalayer.schema.backups import BackupEntry
    from datalayer.schema.retention import Keep

__all__ = ["COMMANDS", "add_keep", "keep_of"]


def add_keep(parser: Parser, text: str) -> None:
    """Add the rules of retention to a command; `text` says what --keep does there."""
    number = whole_number(1)
    parser.add_argument("--keep", metavar="N", type=number, default=0, help=text)
    parser.add_argument(
        "--keep-daily", metavar="N", type=number, default=0, help="keep the newest of each of N days too"
    )
    parser.add_argument(
        "--keep-weekly", metavar="N", type=number, default=0, help="keep the newest of each of N weeks too"
    )


def keep_of(call: Invocation) -> Keep:
    """Give the rules that a call names."""
    from datalayer.schema.retention import Keep

    arguments = call.arguments
    return Keep(last=arguments.keep, daily=arguments.keep_daily, weekly=arguments.keep_weekly)


def _add_folder(parser: Parser) -> None:
    parser.add_argument(
        "--folder", metavar="DIR", help="where the backups are; by default where `backup` puts them"
    )


def _folder(call: Invocation) -> Path | None:
    given = call.arguments.folder
    return None if given is None else Path(given).absolute()


# -- backups -----------------------------------------------------------------------------------


def _add_arguments(parser: Parser) -> None:
    _add_folder(parser)
    parser.add_argument("--verify", action="store_true", help="read each one whole: digest, pages, rows")


def _run(call: Invocation) -> Result:
    from datalayer.schema.backup_manifest import Origin
    from datalayer.schema.backups import list_backups, verify

    origin = Origin.of(call.address)
    entries = list_backups(origin, _folder(call))
    if call.arguments.verify:
        with Progress(call.terminal, "verify", len(entries)) as progress:
            checked: list[BackupEntry] = []
            for entry in entries:
                checked.append(verify(entry))
                progress.advance(len(checked))
            entries = checked
    place = _folder(call) or origin.folder
    facts = {"folder": str(place) if place else None, "backups": [_told(entry) for entry in entries]}
    if not entries:
        where = f" in {place}" if place else ""
        return Result(facts, [f"no backups of {call.address.display}{where}"], next="datalayer backup")
    is_bad = any(entry.is_verified is False for entry in entries)
    sound = next((entry for entry in entries if entry.is_verified), None)
    following = f"datalayer restore {shlex.quote(str(sound.path))}" if sound and is_bad else None
    return Result(facts, [_table(entries), str(place)], _findings(entries), following, 1 if is_bad else 0)


def _told(entry: BackupEntry) -> dict[str, Any]:
    return {
        "path": str(entry.path),
        "created_at": entry.created_at.isoformat(),
        "size_bytes": entry.size_bytes,
        "kind": entry.kind,
        "compressed": entry.is_compressed,
        "schema_version": entry.schema_version,
        "rows": entry.rows,
        "verified": entry.is_verified,
        "problem": entry.problem,
    }


def _table(entries: list[BackupEntry]) -> Table:
    columns = ("file", "time", "size", "schema", "rows", "verified")
    words = {True: "yes", False: "NO", None: "unknown"}
    rows = [
        (
            entry.path.name,
            entry.created_at,
            bytes_text(entry.size_bytes),
            entry.schema_version,
            "?" if entry.rows is None else entry.rows,
            words[entry.is_verified] + (f": {entry.problem}" if entry.problem else ""),
        )
        for entry in entries
    ]
    return Table(columns, rows, frozenset({"size", "rows"}))


def _findings(entries: list[BackupEntry]) -> list[dict[str, Any]]:
    return [
        {
            "id": "DL-B001",
            "severity": "error",
            "table": None,
            "object": str(entry.path),
            "count": 1,
            "message": f"the backup does not verify: {entry.problem}",
            "repair": "none",
        }
        for entry in entries
        if entry.is_verified is False
    ]


# -- backups prune -----------------------------------------------------------------------------


def _add_prune_arguments(parser: Parser) -> None:
    _add_folder(parser)
    add_keep(parser, "keep the newest N")
    parser.add_argument("--dry-run", action="store_true", help="say what would go and remove nothing")


def _run_prune(call: Invocation) -> Result:
    from datalayer.schema.backup_manifest import Origin
    from datalayer.schema.retention import prune

    keep = keep_of(call)
    if keep.says_nothing:
        raise UsageError(
            "no rule says which backups to keep",
            hint="give --keep N, --keep-daily N or --keep-weekly N",
        )
    done = prune(Origin.of(call.address), keep, _folder(call), dry_run=call.arguments.dry_run)
    facts = {
        "kept": [{"path": str(path), "rules": list(rules)} for path, rules in done.kept.items()],
        "to_remove": [str(path) for path in done.to_remove],
        "removed": [str(path) for path in done.removed],
        "freed_bytes": done.freed_bytes,
        "dry_run": call.arguments.dry_run,
    }
    word = "would remove" if call.arguments.dry_run else "removed"
    lines = [f"keeps {path.name} ({', '.join(rules)})" for path, rules in done.kept.items()]
    lines += [f"{word} {path.name}" for path in done.to_remove]
    count = len(done.to_remove)
    said = f"{word} {count} backup{'s'[: count != 1]}" if count else "nothing to remove"
    lines.append(f"{said}, {bytes_text(done.freed_bytes)}" if count else said)
    return Result(facts, lines)


COMMANDS = {
    "backups": Command(_add_arguments, _run),
    "backups prune": Command(_add_prune_arguments, _run_prune),
}
