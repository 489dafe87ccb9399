"""`datalayer migrations squash` and `verify`: the consolidated file, and the proof of what is there."""

from __future__ import annotations

import os
import tempfile
from difflib import unified_diff
from pathlib import Path

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import UsageError
from datalayer.cli.folder_choice import add_folder, chosen_folder, trial_stores
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result
from datalayer.cli.rule_findings import lines_of
from datalayer.errors import DatabaseUnavailable

__all__ = ["COMMANDS"]

_LONGEST_DIFF = 60


def _add_squash_arguments(parser: Parser) -> None:
    add_folder(parser)
    parser.add_argument(
        "--output", metavar="FILE", help="write here; default: consolidated_migrations.sql in the folder"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 with a diff where the file is out of date"
    )


def _squash(call: Invocation) -> Result:
    from datalayer.schema.numbered.folder import CONSOLIDATED, read_script
    from datalayer.schema.squash.squashing import squash

    arguments = call.arguments
    folder = chosen_folder(arguments.dir)
    with trial_stores() as store_of:
        made = squash(folder, store_of=store_of)
    target = Path(arguments.output) if arguments.output else Path(str(folder.root / CONSOLIDATED))
    present = read_script(target) if target.is_file() else ""
    facts: dict[str, object] = {
        "path": str(target),
        "files": list(made.files),
        "objects": made.objects,
        "rows": made.rows,
        "changed": present != made.text,
    }
    count = f"{made.objects} objects and {made.rows} rows of {len(made.files)} files"
    if arguments.check:
        return _checked(target, present, made.text, facts)
    if present == made.text:
        return Result(facts, [f"{target} is up to date: {count}"])
    _write(target, made.text)
    return Result(facts, [f"{target}: {count}, proved equal to running the files"])


def _checked(target: Path, present: str, text: str, facts: dict[str, object]) -> Result:
    lines = list(
        unified_diff(present.splitlines(), text.splitlines(), str(target), "squash", lineterm="", n=2)
    )
    if not lines and present == text:
        return Result(facts, [f"{target} is up to date"])
    shown = lines[:_LONGEST_DIFF]
    if len(lines) > _LONGEST_DIFF:
        shown.append(f"... and {len(lines) - _LONGEST_DIFF} lines more")
    finding = {
        "id": "V003",
        "severity": "error",
        "file": str(target),
        "line": 1,
        "message": "it is not what the numbered files make" if present else "there is no such file",
        "fix": "run `datalayer migrations squash`",
    }
    facts = {**facts, "diff": "\n".join(lines)}
    shown.append(f"{target} is out of date")
    return Result(facts, shown, [finding], next="datalayer migrations squash", exit_code=1)


def _write(target: Path, text: str) -> None:
    """Write the file whole or not at all; into a pipe or device as it comes."""
    target = target.resolve()
    try:
        if target.exists() and not target.is_file():
            with target.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            return
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as exc:
        raise DatabaseUnavailable(
            f"cannot write {target}", why=exc.strerror, hint="give another place with --output"
        ) from exc


def _verify(call: Invocation) -> Result:
    from datalayer.schema.squash.verify import verify_database, verify_folder

    folder = chosen_folder(call.arguments.dir)
    looks_at_database = _names_a_database(call)
    with trial_stores() as store_of:
        found = [verify_folder(folder, store_of=store_of)]
        if looks_at_database:
            with call.look() as store:
                found.append(verify_database(store.engine, folder, store_of=store_of))
    findings = [finding for one in found for finding in one.findings]
    closing = [sql for one in found for sql in one.closing]
    facts = {
        "folder": str(folder.root),
        "closing": closing,
        "applied": list(found[-1].applied),
        "pending": list(found[-1].pending),
    }
    shown = [*lines_of(findings)]
    if closing:
        shown += ["this would close it, without losing a row:", *(f"{sql};" for sql in closing)]
    is_ok = all(one.is_ok for one in found)
    place = call.address.display if looks_at_database else str(folder.root)
    if is_ok:
        what = (
            f"{len(found[-1].applied)} applied migrations" if looks_at_database else "the consolidated file"
        )
        shown.append(f"{place}: {what} verified")
    rows = [finding.as_dict() for finding in findings]
    return Result(facts, shown, rows, exit_code=0 if is_ok else 1)


def _names_a_database(call: Invocation) -> bool:
    """Say whether a database is meant: one that was named, or a default one that exists."""
    if not call.choice.is_platform_default:
        return True
    if call.address.path is None:
        raise UsageError("the default database is no file", hint="name it with --database")
    return call.address.path.exists()


COMMANDS = {
    "migrations squash": Command(_add_squash_arguments, _squash),
    "migrations verify": Command(add_folder, _verify),
}
