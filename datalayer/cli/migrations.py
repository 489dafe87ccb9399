"""`datalayer migrations list` and `migrations new`: a folder's files beside the database's history."""

from __future__ import annotations

import shlex
import sysconfig
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import UsageError
from datalayer.cli.folder_choice import add_folder, chosen_folder
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result
from datalayer.errors import MigrationRefused

if TYPE_CHECKING:
    from datalayer.schema.numbered.folder import MigrationFile
    from datalayer.schema.numbered.journal import JournalRow
    from datalayer.schema.numbered.status import MigrationStatus

__all__ = ["COMMANDS"]

_MARKS = {"applied": "[x]", "pending": "[ ]", "changed": "[!]", "stopped": "[~]", "missing": "[?]"}
_SHORT = 8


def _add_new_arguments(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it does: add_notes")
    parser.add_argument(
        "--dir", metavar="DIR", help="the folder; default: [tool.datalayer] migrations of pyproject.toml"
    )
    parser.add_argument("--python", action="store_true", help="a .py file with up(store) instead of SQL")


def _list(call: Invocation) -> Result:
    from datalayer.schema.numbered.status import status

    folder = chosen_folder(call.arguments.dir)
    with call.look() as store:
        found = status(store.engine, folder)
    counts = {state: sum(one.state == state for one in found.migrations) for state in _MARKS}
    facts = {
        "folder": str(folder.root),
        "layout": folder.layout,
        "counts": counts,
        "migrations": [_facts(one) for one in found.migrations],
    }
    width = max((len(one.name) for one in found.migrations), default=0)
    lines = [_line(one, width) for one in found.migrations] or [f"{folder.root} has no migrations"]
    lines += [f"{one['id']} {one['message']}" for one in found.findings]
    waiting = [_pending(one) for one in found.migrations if one.state in ("pending", "stopped")]
    is_wrong = any(one["severity"] == "error" for one in found.findings)
    return Result(
        facts,
        lines,
        [*found.findings, *waiting],
        next=_migrate(call) if waiting and not counts["changed"] else None,
        exit_code=1 if waiting or is_wrong else 0,
    )


def _migrate(call: Invocation) -> str:
    given = call.arguments.dir
    return f"datalayer migrate --dir {shlex.quote(given)}" if given else "datalayer migrate"


def _pending(one: MigrationStatus) -> dict[str, object]:
    how = "is applied in part" if one.state == "stopped" else "is pending"
    return {
        "id": "pending",
        "severity": "info",
        "file": str(one.file.source) if one.file else None,
        "line": None,
        "message": f"{one.name} {how}",
        "fix": "run `datalayer migrate`",
    }


def _line(one: MigrationStatus, width: int) -> str:
    """Give `[x] 0004_job_attempts  2026-11-04 10:11  75 ms  sha256:0fd630f1`, as far as each is known."""
    row, parts = one.row, [f"{_MARKS[one.state]} {one.name:<{width}}"]
    if one.applied_at is not None:
        parts.append(f"{one.applied_at.astimezone(UTC):%Y-%m-%d %H:%M}")
    if one.applied_at is not None and row is not None:
        parts.append(row.kind if row.duration_ms is None else f"{row.duration_ms} ms")
    checksum = row.checksum_raw if row is not None else one.file.checksum_raw if one.file else None
    if checksum is not None:
        parts.append(f"sha256:{checksum[:_SHORT]}")
    if one.state == "changed" and one.file is not None:
        parts.append(f"changed, now sha256:{one.file.checksum_raw[:_SHORT]}")
    if one.state == "missing":
        parts.append("its file is gone")
    if one.state == "stopped" and row is not None:
        parts.append(f"{row.statements_done} of {row.statements} statements applied")
    return "  ".join(parts)


def _facts(one: MigrationStatus) -> dict[str, Any]:
    """Give everything that is known; the journal's own text of the file, which may be long, is left out."""
    facts: dict[str, Any] = {"name": one.name, "state": one.state, "applied_at": one.applied_at}
    if one.file is not None:
        facts |= {
            "number": one.file.number,
            "kind": one.file.kind,
            "file": str(one.file.source),
            "when": one.file.when,
            "checksum_raw": one.file.checksum_raw,
            "checksum_norm": _checksum_norm(one.file, one.row),
        }
    journal = None
    if one.row is not None:
        journal = {name: value for name, value in asdict(one.row).items() if name not in ("name", "source")}
        journal["no_ops"] = list(one.row.no_ops)
    return facts | {"journal": journal}


def _checksum_norm(file: MigrationFile, row: JournalRow | None) -> str:
    """Give what the journal knows of these very bytes: to find it reads every token of the file."""
    if row is not None and row.checksum_norm is not None and row.checksum_raw == file.checksum_raw:
        return row.checksum_norm
    return file.checksum_norm


def _new(call: Invocation) -> Result:
    from datalayer.schema.numbered.new_file import check_slug, new_file, same_slug

    arguments = call.arguments
    try:
        check_slug(arguments.name)
    except MigrationRefused as exc:
        raise UsageError(exc.what, why=exc.why, hint=exc.hint) from exc
    path = new_file(
        _writable(arguments.dir), arguments.name, is_python=arguments.python, now=datetime.now(UTC)
    )
    findings = [
        {
            "id": "J008",
            "severity": "warning",
            "file": str(path),
            "line": None,
            "message": f"{name} has the same name behind its number",
            "fix": "give each migration a name of its own",
        }
        for name in same_slug(path)
    ]
    shown = [str(path), *(f"J008 {one['message']}" for one in findings)]
    return Result({"path": str(path), "name": path.stem}, shown, findings)


def _writable(given: str | None) -> Path:
    """Give a folder that is the app's own. Raises UsageError for that of the installed package."""
    from datalayer.schema.history import package_folder

    chosen, own = chosen_folder(given).root, package_folder().root
    root = Path(str(chosen))
    places = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")]
    is_installed = any(root.resolve().is_relative_to(place) for place in places)
    # without a word the package's own is meant, also where it lies in a checkout
    if chosen == own and (given is None or is_installed):
        raise UsageError(
            "the installed package's own migrations are not for an app's changes",
            hint="name your folder with --dir, or as [tool.datalayer] migrations in pyproject.toml",
        )
    return root.absolute()


COMMANDS = {
    "migrations list": Command(add_folder, _list),
    "migrations new": Command(_add_new_arguments, _new),
}
