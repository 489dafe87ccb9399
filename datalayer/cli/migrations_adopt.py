"""`datalayer migrations adopt`: take a database over that another tool, or an older program, migrated."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser
from datalayer.cli.folder_choice import add_folder, chosen_folder
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table

if TYPE_CHECKING:
    from datalayer.schema.adopt.adoption import Adoption

__all__ = ["COMMANDS"]

_SHOWN = {
    "recorded": "recorded",
    "named": "applied, no checksum yet",
    "applied": "applied",
    "changed": "applied, changed since",
    "pending": "pending",
}


def _add_arguments(parser: Parser) -> None:
    add_folder(parser)
    parser.add_argument(
        "--yes",
        action="store_true",
        help="write the rows; without it nothing is changed",
    )


def _run(call: Invocation) -> Result:
    from datalayer.schema.adopt.adoption import adopt

    arguments = call.arguments
    folder = chosen_folder(arguments.dir)
    with call.change() if arguments.yes else call.look() as store:
        found = adopt(store.engine, folder, apply=arguments.yes)
    has_more = bool(found.to_record) and not found.was_written
    is_wrong = not found.was_written and any(each["severity"] == "error" for each in found.findings)
    return Result(
        _facts(found),
        [*_shown(found), _summary(call.address.display, found)],
        found.findings,
        next=_next(arguments.dir, found),
        exit_code=1 if has_more or is_wrong else 0,
    )


def _facts(found: Adoption) -> dict[str, Any]:
    return {
        "journals": [
            {"tool": each.tool, "table": each.table, "entries": len(each.entries)} for each in found.journals
        ],
        "files": [
            {
                "name": each.name,
                "state": each.state,
                "origin": each.origin or None,
                "by": each.by or None,
                "applied_at": each.applied_at,
            }
            for each in found.files
        ],
        "adopted": list(found.to_record) if found.was_written else [],
        "to_adopt": [] if found.was_written else list(found.to_record),
        "pending": list(found.pending),
        "without_file": [{"origin": origin, "name": name} for origin, name in found.without_file],
        "shape_matches": None if found.shape is None or found.shape.refused else found.shape.exact,
        "extra": [] if found.shape is None else list(found.shape.extra),
        "nothing_to_do": not found.to_record,
    }


def _shown(found: Adoption) -> list[str | Table]:
    blocks: list[str | Table] = []
    if found.journals:
        rows = [[each.tool, each.table, len(each.entries)] for each in found.journals]
        blocks.append(Table(["tool", "journal", "entries"], rows, frozenset({"entries"})))
    if found.files:
        files = [
            [each.name, _SHOWN[each.state], each.origin, each.by, each.applied_at] for each in found.files
        ]
        blocks.append(Table(["file", "state", "from", "found by", "applied"], files))
    for each in found.findings:
        place = f"{each['file']}: " if each.get("file") else ""
        blocks.append(f"{each['severity']} {each['id']} {place}{each['message']}")
    if found.shape is not None and found.shape.extra:
        who = "made by no .sql file" if found.shape.not_replayed else "made by no file"
        blocks.append(f"besides, {who}: {', '.join(found.shape.extra)}")
    return blocks


def _summary(database: str, found: Adoption) -> str:
    pending = f"{len(found.pending)} pending" if found.pending else "nothing pending"
    if found.was_written:
        return f"{database}: {len(found.to_record)} taken over, {pending}"
    if found.to_record:
        return f"{database}: {len(found.to_record)} to take over, {pending}; nothing was changed"
    return f"{database}: nothing to take over, {pending}"


def _next(folder: str | None, found: Adoption) -> str | None:
    """Give what to run now: the same with the word, or the migration of what is pending."""
    place = f" --dir {shlex.quote(folder)}" if folder else ""
    if found.to_record and not found.was_written:
        return f"datalayer migrations adopt{place} --yes"
    return f"datalayer migrate{place}" if found.pending else None


COMMANDS = {"migrations adopt": Command(_add_arguments, _run)}
