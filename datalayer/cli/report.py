"""`datalayer report`: everything there is to say about a database, as one page; changes nothing in it."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import Refused, UsageError
from datalayer.cli.folder_choice import add_folder, chosen_folder
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, bytes_text
from datalayer.cli.progress import Progress
from datalayer.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from datalayer.schema.numbered.folder import Folder
    from datalayer.web.report import Cures, Report

__all__ = ["COMMANDS"]

_BESIDE = ("", "-wal", "-shm", "-journal")
_OPENING = b"<!doctype html"


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--html", metavar="FILE", help="the page to write; only an earlier page is replaced")
    parser.add_argument("--quick", action="store_true", help="leave out the checks that read every row")
    parser.add_argument("--schema", metavar="FILE", help="the schema to expect; the package's own without it")
    parser.add_argument("--no-schema", action="store_true", help="expect no schema and no migrations")
    parser.add_argument(
        "--rules", metavar="FILE", help="JSON {id: {sql, severity}}: queries for rows that break a rule"
    )
    add_folder(parser)


def _run(call: Invocation) -> Result:
    from datalayer.web.page import report_page, templates

    _refuse_mixtures(call)
    target = None if call.arguments.html is None else _target(call)
    if target is not None:
        # without its extra a page cannot be made: say so before the work
        templates()
    report = _gather(call)
    facts: dict[str, Any] = {"well": report.is_well, "report": asdict(report)}
    shown = [_summary(report)]
    if target is not None:
        size = _write(target, report_page(report))
        facts |= {"path": str(target), "size_bytes": size}
        shown.append(f"{target}: {bytes_text(size)}")
    code = 0 if report.is_well else 4 if _is_hopeless(report) else 1
    return Result(facts, shown, [asdict(one) for one in report.findings], _next(report), code)


def _refuse_mixtures(call: Invocation) -> None:
    given = call.arguments
    hint = "run `datalayer report --help`"
    if given.html is None and not call.terminal.is_json:
        raise UsageError("nothing says where the page goes", hint="add --html FILE, or --json for the facts")
    if given.schema and given.no_schema:
        raise UsageError("give --schema or --no-schema, not both", hint=hint)
    if given.dir and (given.schema or given.no_schema):
        raise UsageError("--dir says which schema to expect: leave out --schema and --no-schema", hint=hint)


def _target(call: Invocation) -> Path:
    """Give the file to write. Raises Refused for one that something else would be lost with."""
    target = Path(os.path.realpath(Path(call.arguments.html).expanduser()))
    path = call.address.path
    own = [] if path is None else [Path(f"{os.path.realpath(path)}{ending}") for ending in _BESIDE]
    if target in own:
        raise Refused(f"{target} belongs to the database", hint="name another file for the page")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint="name a file in it")
    if target.is_file():
        with target.open("rb") as file:
            opening = file.read(len(_OPENING))
        if opening and opening.lower() != _OPENING:
            raise Refused(f"{target} is there and is no page", hint="name another file, or remove this one")
    return target


def _gather(call: Invocation) -> Report:
    from datalayer.store import check_database
    from datalayer.web.report import report_on

    path = call.address.path
    if path is not None and not path.exists():
        # an error, as for every command that looks
        call.look().close()
    folder, options = _expectation(call)
    with Progress(call.terminal, "check", None) as progress:
        findings = check_database(call.choice.target, progress=progress.advance, **options)
    return report_on(call.choice.target, findings, folder=folder, cures=_cures(call))


def _cures(call: Invocation) -> Cures:
    """Give the commands that help, with the words of this call that they take too."""
    from datalayer.web.report import Cures

    given = call.arguments
    schema = ["--schema", given.schema] if given.schema else []
    folder = ["--dir", given.dir] if given.dir else []
    rules = ["--rules", given.rules] if given.rules else []
    bare = ["--no-schema"] if given.no_schema else []
    return Cures(
        shlex.join(["datalayer", "migrate", *schema, *folder]),
        shlex.join(["datalayer", "migrations", "list", *folder]),
        shlex.join(["datalayer", "repair", "--dry-run", *schema, *bare, *rules]),
    )


def _expectation(call: Invocation) -> tuple[Folder | None, Mapping[str, Any]]:
    """Give the folder of migrations and the check's options."""
    from datalayer.schema.check.rule import read_rules
    from datalayer.schema.history import package_folder
    from datalayer.schema.target import target_of

    given = call.arguments
    options: dict[str, Any] = {"quick": given.quick}
    if given.rules:
        options["rules"] = read_rules(given.rules)
    if given.no_schema:
        return None, options | {"with_schema": False}
    if given.schema:
        return None, options | {"expected": target_of(schema_file=given.schema).schema}
    folder = chosen_folder(given.dir)
    if folder.root == package_folder().root:
        return folder, options
    whole = target_of(folder=str(folder.root)).whole
    # what cannot be replayed without a database expects nothing that could be compared
    return folder, options | ({"with_schema": False} if whole is None else {"expected": whole.schema})


def _is_hopeless(report: Report) -> bool:
    """Whether the file is no database, or too damaged to be opened as one; an empty one may become one."""
    return not report.is_open and not any(one.id == "DL-C071" for one in report.findings)


def _summary(report: Report) -> str:
    """Say in one line what was found."""
    if report.is_well:
        return f"{report.database}: no problems found"
    told = [f"{count} {word}{'s'[: count != 1]}" for word, count in report.counts.items() if count]
    told += [f"{count} migrations {state}" for state, count in report.states.items() if state != "applied"]
    told += [f"{name} could not be read" for name in report.unread]
    return f"{report.database}: {', '.join(told)}"


def _next(report: Report) -> str | None:
    return next((one.run for one in report.findings if one.run and one.severity != "info"), None)


def _write(target: Path, page: str) -> int:
    """Write a page, whole or not at all, and give its size."""
    text = page.encode("utf-8", "backslashreplace")
    try:
        if target.exists() and not target.is_file():
            # a pipe or a device
            target.write_bytes(text)
            return len(text)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
            unfinished.chmod(_mode(target))
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise DatabaseUnavailable(
            f"cannot write {target}", why=exc.strerror, hint="check the folder, its owner and its mode"
        ) from exc
    return len(text)


def _mode(target: Path) -> int:
    """Give the mode of the page that is replaced; of a new one that of any file."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


COMMANDS = {"report": Command(_add_arguments, _run)}
