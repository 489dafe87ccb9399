"""`datalayer migrations validate`: the rules over a folder of migrations; needs no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, one_of
from datalayer.cli.folder_choice import add_folder, chosen_folder
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result
from datalayer.cli.rule_findings import counts_of, in_words, lines_of

if TYPE_CHECKING:
    from datalayer.schema.validate import RuleFinding

__all__ = ["COMMANDS"]

_MARKS_OF_A_PROJECT = (".git", "pyproject.toml", "package.json", "setup.cfg", "wrangler.toml")


def _add_arguments(parser: Parser) -> None:
    add_folder(parser)
    parser.add_argument(
        "--dialect",
        metavar="NAME",
        type=one_of("dialect", "sqlite", "postgresql"),
        help="sqlite or postgresql, where it is not to be guessed from the files",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        type=one_of("target", "sqlite", "postgresql", "d1"),
        help="where the files are to run: sqlite, postgresql or d1; d1 beside a wrangler file",
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 for warnings too")
    parser.add_argument("--rules", action="store_true", help="list the rules and look at no file")


def _run(call: Invocation) -> Result:
    arguments = call.arguments
    if arguments.rules:
        return _rules()
    from datalayer.schema.history import package_folder
    from datalayer.schema.validate import validate

    folder = chosen_folder(arguments.dir)
    options: dict[str, Any] = {"dialect": arguments.dialect, "target": arguments.target}
    if folder != package_folder() and isinstance(folder.root, Path):
        options["root"] = _project_of(folder.root)
    count = len(folder.files())
    if arguments.database is None:
        found = validate(folder, **options)
    else:
        # a server tries the files in a schema of their own, which is rolled back; a file is only read
        with call.change() if call.address.path is None else call.look() as store:
            found = validate(folder, engine=store.engine, **options)
    return _result(found, count=count, folder=str(folder.root), strict=arguments.strict)


def _result(found: list[RuleFinding], *, count: int, folder: str, strict: bool) -> Result:
    counts = counts_of(found)
    files = f"{count} file{'s'[: count != 1]}"
    shown = [*lines_of(found), f"{folder}: {files}, {in_words(counts)}"]
    is_bad = bool(counts["error"] or (strict and counts["warning"]))
    facts = {"counts": counts, "files": count, "folder": folder}
    return Result(facts, shown, [one.as_dict() for one in found], exit_code=1 if is_bad else 0)


def _rules() -> Result:
    from datalayer.schema.validate.catalogue import RULES

    lines = [f"{rule.id}  {rule.severity:<8}{rule.about}" for rule in RULES.values()]
    facts = [
        {"id": rule.id, "severity": rule.severity, "about": rule.about, "fix": rule.fix}
        for rule in RULES.values()
    ]
    return Result({"rules": facts}, ["\n".join(lines)])


def _project_of(folder: Path) -> Path | None:
    """Give the folder of the project: the nearest one upwards with a mark of one."""
    own = folder.resolve()
    for parent in (own, *own.parents):
        if any((parent / mark).exists() for mark in _MARKS_OF_A_PROJECT):
            return parent
    return None


COMMANDS = {"migrations validate": Command(_add_arguments, _run)}
