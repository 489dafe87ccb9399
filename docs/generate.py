"""Write docs/reference/: the commands, the Python names and the errors, as the code itself tells them.

    python docs/generate.py [FOLDER]

What the reference says stands in docstrings, signatures and the commands' help; only the lists below, of what
is shown and what to do about an error, stand here. tests/architecture/test_reference.py fails while the files
differ from what this makes.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from datalayer import errors  # noqa: E402 - found through the line above in a bare checkout
from datalayer.cli import failure  # noqa: E402 - as above
from datalayer.cli.arguments import Parser  # noqa: E402 - as above
from datalayer.cli.dispatch import command_of  # noqa: E402 - as above
from datalayer.cli.main import COMMANDS, COMMON_OPTIONS, EXIT_CODES  # noqa: E402 - as above

__all__ = ["PARTS", "examples", "pages", "public_members"]

_WIDTH = 100
# how a field's value is stored; what the repository asks it for, no app does
_PLUMBING = {"db_value", "python_value"}
_NOT_RUN = "<!-- not run: a fragment, which tests/architecture/test_reference.py runs -->"
_MADE = "<!-- Made by docs/generate.py from the code: change the code, then run it again. -->"


class Part(NamedTuple):
    """A section of the Python page: names of one module, under a heading."""

    title: str
    module: str
    names: tuple[str, ...]
    intro: str = ""


PARTS = (
    Part(
        "Stores",
        "datalayer",
        ("connect", "ensure_connection", "close_database", "Store", "Options"),
        "A store's attributes are its repositories (`sessions`, `jobs`, `cache`, `kv`) and `engine`.",
    ),
    Part(
        "Models",
        "datalayer",
        ("Model", "Timestamps", "Versioned", "SoftDelete", "IdField", "UtcField", "JSONField", "new_id"),
    ),
    Part("Repositories", "datalayer", ("Repository", "Page")),
    Part(
        "Statements",
        "datalayer.engine.statements",
        ("StatementLog", "Statement"),
        "The log of a store is `store.engine.statements`.",
    ),
    Part("Sessions", "datalayer.domains.sessions", ("Sessions", "Session", "SessionFiles")),
    Part(
        "Jobs",
        "datalayer.domains.jobs",
        (
            *("Jobs", "Job", "JobOptions", "NewJob", "Backoff", "JobStats", "FileProblem"),
            *("Worker", "JobContext", "load_worker", "run_processes"),
        ),
    ),
    Part("Keys and values", "datalayer.repository.keyvalue", ("KeyValues", "Entry")),
    Part("Watching keys", "datalayer.repository.keywatch", ("Watch", "Change")),
    Part("State", "datalayer.domains.state", ("KeyValueStore", "CachedState", "ProjectState")),
    Part(
        "Accounts",
        "datalayer.domains.accounts",
        (
            *("Accounts", "AuthSessions", "AuthAccounts", "AuthVerifications", "User", "AuthSession"),
            *("AuthAccount", "AuthVerification", "OpenedSession", "OAuthTokens", "PasswordCost"),
        ),
    ),
    Part(
        "Providers",
        "datalayer.domains.providers",
        (
            *("Providers", "ProviderCredentials", "OAuthStates", "Provider", "ProviderCredential"),
            *("OAuthState", "Credential", "ProviderTokens", "DeviceFlow", "StartedRedirect"),
            "FinishedRedirect",
        ),
    ),
    Part("Keys for secrets", "datalayer", ("KeyRing",)),
    Part("Where keys are", "datalayer.engine.keys", ("KeySource", "new_key", "default_key_file")),
    Part(
        "Secrets",
        "datalayer.repository.secrets",
        ("Secrets", "EncryptedColumn", "new_token", "token_hash", "masked", "using_keys"),
    ),
    Part(
        "Rotating keys",
        "datalayer.repository.rotation",
        ("rotate", "Rotation", "sealed_columns", "SealedColumn"),
    ),
    Part(
        "Search",
        "datalayer.domains.search",
        ("Search", "SearchHit", "SearchDocument", "Similar", "Similarity"),
    ),
    Part(
        "Attachments",
        "datalayer.domains.attachments",
        ("Attachments", "Attachment", "AttachmentContent", "Collected"),
    ),
    Part("Events", "datalayer.domains.events", ("Events", "AnalyticsEvent", "AnalyticsRollup", "DayCount")),
    Part("Live queries", "datalayer.repository.changes", ("LiveQuery",)),
    Part("Migrating", "datalayer.schema.migrator", ("migrate", "MigrationResult")),
    Part("Steps of a migration", "datalayer.schema.plan", ("Step",)),
    Part("Checking", "datalayer.schema.check", ("check", "Finding")),
    Part("Backing up", "datalayer.schema.backup", ("backup", "BackupResult")),
    Part("Backups there are", "datalayer.schema.backups", ("list_backups", "verify", "BackupEntry")),
    Part("Which backups stay", "datalayer.schema.retention", ("prune", "Keep", "PruneResult")),
    Part("Restoring", "datalayer.schema.restore", ("restore", "RestoreResult")),
    Part("Emptying", "datalayer.schema.reset", ("reset", "ResetResult")),
    Part("PostgreSQL for tests", "datalayer.testing.postgres", ("PostgresServer",)),
)

# what runs one after the other on an empty database; a command with an id of yours is shown by its usage only
_EXAMPLES = {
    "migrate": "datalayer migrate --plan  # exit 1\n$ datalayer migrate",
    "check-db": "datalayer check-db --quick",
    "backup": "datalayer backup copy.db",
    "backups": "datalayer backups --verify",
    "backups prune": "datalayer backups prune --keep 7 --keep-weekly 8 --dry-run",
    "restore": "datalayer restore copy.db --yes",
    "reset-db": "datalayer reset-db --yes",
    "stats": "datalayer stats --json",
    "config": "datalayer config",
    "sessions list": "datalayer sessions list --project . --limit 10",
    "jobs list": "datalayer jobs list --status failed",
    "jobs prune": "datalayer jobs prune --older-than 90 --dry-run",
    "kv get": "datalayer kv get theme  # exit 1",
    "kv set": "datalayer kv set theme '{\"dark\": true}' --ttl 3600",
    "kv delete": "datalayer kv delete theme",
    "kv list": "datalayer kv list app.",
    "keys new": "datalayer keys new",
    "keys list": "datalayer keys list",
    "keys rotate": "datalayer keys rotate --plan",
}

_WHAT_TO_DO = {
    "DataLayerError": "Read `hint`: a call that can never work, such as a condition that is none.",
    "NotFound": "Tell the user, or use the verb that gives None (`get_or_none`, `first`).",
    "MultipleFound": "Add conditions, or use `find` or `first`.",
    "StaleVersion": "Read the row again, apply the change again, write again.",
    "InvalidTransition": "Look at `current`; a worker stops working on that job.",
    "ConstraintViolation": "Tell the user which rule it was (`constraint`, `columns`).",
    "UniqueViolation": "Take another value, or `upsert`.",
    "ForeignKeyViolation": "Add the row referred to first; delete what refers to it first.",
    "NotNullViolation": "Give the column in `columns` a value.",
    "CheckViolation": "Correct the value; `constraint` is the rule's name in the schema.",
    "DatabaseBusy": "Try again, the whole block: `store.run_transaction` does.",
    "DatabaseUnavailable": "Wait and try again, or ask the operator; `why` tells the reason.",
    "DatabaseCorrupt": "Stop writing, restore a backup; `datalayer check-db` tells what is damaged.",
    "TransactionDied": "Leave the whole block. Put a block of its own around what may fail.",
    "SchemaMismatch": "Run `datalayer migrate`, or correct the address; `missing` tells what is not there.",
    "MigrationRefused": "Nothing was changed: read `why`, and use a database of this schema or a new one.",
    "SecretUnreadable": "Bring the key back that `key_id` names, or ask the user for the secret again.",
    "LazyLoad": "Call `preload(rows, name)`, or read the key alone.",
    "UsageError": "Correct the command line; `--help` tells it.",
    "Refused": "Say the word (`--yes`) if it is meant.",
    "Interrupted": "Start the command again; what was not committed is undone.",
    "Unexpected": "Run it again with `--debug` and report it.",
}


def pages() -> dict[str, str]:
    """Give each page of the reference by its file's name."""
    return {"commands.md": _commands(), "python.md": _python(), "errors.md": _errors()}


def main(arguments: list[str]) -> None:
    """Write the pages, into the folder given or where they belong."""
    folder = Path(arguments[0]) if arguments else ROOT / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


# -- commands ------------------------------------------------------------------------------------------


class _Recorder(Parser):
    """A command's parser that remembers its arguments."""

    def __init__(self, command: str) -> None:
        self.actions: list[argparse.Action] = []
        super().__init__(command)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        action = super().add_argument(*names, **options)
        if action.dest != "help":
            self.actions.append(action)
        return action


def _commands() -> str:
    parts = [_MADE, "# Commands", "Options of every command, before or after its name:"]
    parts.append(_table("option", "does", [(_code(name), text) for name, text in COMMON_OPTIONS]))
    codes = re.findall(r"(\d+) ([^,]+?)(?=, \d|\.$)", " ".join(EXIT_CODES.split()))
    parts += ["Exit codes of every command:", _table("code", "means", codes)]
    for name in COMMANDS:
        parts += _command(name)
    return "\n\n".join(parts) + "\n"


def _command(name: str) -> Iterator[str]:
    parser = _Recorder(name)
    command_of(name).add_arguments(parser)
    words = " ".join(map(_usage, parser.actions))
    yield f"## {name}"
    yield f"{COMMANDS[name][1][0].upper()}{COMMANDS[name][1][1:]}."
    yield _code(f"datalayer {name} {words}".rstrip())
    if parser.actions:
        rows = [(_code(_argument(action)), action.help or "") for action in parser.actions]
        yield _table("argument", "means", rows)
    if name in _EXAMPLES:
        yield f"```console\n$ {_EXAMPLES[name]}\n```"


def _argument(action: argparse.Action) -> str:
    metavar = str(action.metavar or "")
    return " ".join([", ".join(action.option_strings), metavar]).strip() or action.dest


def _usage(action: argparse.Action) -> str:
    is_needed = action.required if action.option_strings else action.nargs != "?"
    return _argument(action) if is_needed else f"[{_argument(action)}]"


# -- Python --------------------------------------------------------------------------------------------


def _python() -> str:
    parts = [_MADE, "# Python names", "Names without a module are imported from `datalayer`."]
    for part in PARTS:
        parts.append(f"## {part.title}")
        if part.module != "datalayer":
            parts.append(f"From `{part.module}`.")
        if part.intro:
            parts.append(part.intro)
        for name in part.names:
            parts += _entry(name, getattr(importlib.import_module(part.module), name))
    return "\n\n".join(parts) + "\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### {name}"
    if not inspect.isclass(value):
        yield from _function(name, value)
        return
    if typing.is_typeddict(value):
        yield _signature_block(name, [f"{key}: {hint}" for key, hint in _hints(value)])
    elif "__init__" in vars(value) and not issubclass(value, _repository()):
        yield _signature_block(name, list(_parameters(value.__init__)))
    yield from _prose(value)
    columns = _columns(value)
    if columns:
        yield f"Fields: {columns}."
    bases = [base.__name__ for base in value.__mro__[1:] if base in _documented()]
    if bases:
        yield "Has all that " + ", ".join(_code(base) for base in bases) + " has."
    for member, found in public_members(value):
        yield f"#### {name}.{member}"
        if isinstance(found, property):
            yield from _prose(found)
        else:
            yield from _function(member, found)


def public_members(cls: type[Any]) -> list[tuple[str, Any]]:
    """Give the methods and properties that a class is shown with: its own, and those of undocumented bases.

    Bases first. A documented base has an entry of its own, and what is not ours is told elsewhere.
    """
    elsewhere = {above for base in cls.__mro__[1:] if base in _documented() for above in base.__mro__}
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base in elsewhere or not base.__module__.startswith("datalayer"):
            continue
        for name, value in vars(base).items():
            is_shown = isinstance(value, property) or inspect.isfunction(value)
            if is_shown and not name.startswith("_") and name not in _PLUMBING:
                found[name] = value
    return list(found.items())


def _documented() -> set[type[Any]]:
    found = (getattr(importlib.import_module(part.module), name) for part in PARTS for name in part.names)
    return {value for value in found if inspect.isclass(value)}


def _repository() -> type[Any]:
    return importlib.import_module("datalayer.repository.reader").Reader


def _columns(value: type[Any]) -> str:
    meta = getattr(value, "_meta", None)
    if meta is None or meta.table_name in ("model", ""):
        return ""
    # the id that Peewee adds by itself is no promise of a mixin
    own = [field for field in meta.sorted_fields if type(field).__name__ != "AutoField"]
    return ", ".join(f"{_code(field.name)} {type(field).__name__}" for field in own)


def _function(name: str, function: Any) -> Iterator[str]:
    shown = typing.get_overloads(function) or [function]
    yield "\n\n".join(
        _signature_block(name, list(_parameters(one)), str(inspect.signature(one).return_annotation))
        for one in shown
    )
    yield from _prose(function)


def _parameters(function: Any) -> Iterator[str]:
    """Give a function's parameters as they would be written, without self."""
    kinds = inspect.Parameter
    before: Any = None
    for parameter in inspect.signature(function).parameters.values():
        kind = parameter.kind
        if before is kinds.POSITIONAL_ONLY and kind is not before:
            yield "/"
        if kind is kinds.KEYWORD_ONLY and before not in (kind, kinds.VAR_POSITIONAL):
            yield "*"
        before = kind
        if parameter.name == "self":
            continue
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(kind, "")
        hint = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        default = "" if parameter.default is parameter.empty else f" = {_value(parameter.default)}"
        yield f"{stars}{parameter.name}{hint}{default if hint else default.replace(' ', '')}"
    if before is kinds.POSITIONAL_ONLY:
        yield "/"


def _hints(cls: Any) -> Iterator[tuple[str, str]]:
    for name, hint in cls.__annotations__.items():
        yield name, getattr(hint, "__forward_arg__", None) or str(hint)


def _value(value: object) -> str:
    return getattr(value, "__name__", repr(value)) if callable(value) else repr(value)


def _signature_block(name: str, parameters: list[str], returns: str = "") -> str:
    arrow = f" -> {returns}" if returns else ""
    line = f"{name}({', '.join(parameters)}){arrow}"
    if len(line) > _WIDTH:
        inside = "".join(f"    {parameter},\n" for parameter in parameters)
        line = f"{name}(\n{inside}){arrow}"
    return f"```py\n{line}\n```"


# -- docstrings ----------------------------------------------------------------------------------------


def _blocks(value: Any) -> Iterator[str]:
    """Give the paragraphs of a docstring, with their indentation."""
    doc = inspect.cleandoc(value.__doc__ or "")
    yield from (block for block in re.split(r"\n[ ]*\n", doc) if block.strip())


def _is_python(block: str) -> bool:
    """Say whether a paragraph is an example: prose never compiles."""
    try:
        compile(textwrap.dedent(block), "docstring", "exec")
    except SyntaxError:
        return False
    return "(" in block


def _prose(value: Any) -> Iterator[str]:
    """Give a docstring as Markdown."""
    for block in _blocks(value):
        if block.startswith("Raises:\n"):
            yield from _raises(textwrap.dedent(block.partition("\n")[2]))
        elif _is_python(block):
            # two blanks before a comment, as the formatter wants them
            code = re.sub(r" {3,}#", "  #", textwrap.dedent(block))
            yield f"{_NOT_RUN}\n```python\n{code}\n```"
        elif block.startswith("    "):
            yield f"```text\n{textwrap.dedent(block)}\n```"
        else:
            yield block


def _raises(text: str) -> Iterator[str]:
    yield "Raises:"
    entries = re.split(r"\n(?=[A-Z]\w+(?:, [A-Z]\w+)*: )", text)
    items = (" ".join(entry.split()).partition(": ") for entry in entries)
    yield "\n".join(f"- {', '.join(map(_code, names.split(', ')))}: {reason}" for names, _, reason in items)


def examples() -> list[tuple[str, str]]:
    """Give the examples of the docstrings that the Python page shows, by name."""
    found: list[tuple[str, str]] = []
    for part in PARTS:
        for name in part.names:
            value = getattr(importlib.import_module(part.module), name)
            inside = public_members(value) if inspect.isclass(value) else []
            for place, one in [(name, value), *((f"{name}.{member}", one) for member, one in inside)]:
                found += [(place, textwrap.dedent(block)) for block in _blocks(one) if _is_python(block)]
    return found


# -- errors --------------------------------------------------------------------------------------------


def _errors() -> str:
    own = [getattr(errors, name) for name in errors.__all__]
    commands = [failure.UsageError, failure.Refused, failure.Interrupted, failure.Unexpected]
    parts = [_MADE, "# Errors", *_prose(errors.DataLayerError)]
    parts += ["All of these are imported from `datalayer`:", "\n".join(_tree(errors.DataLayerError, own))]
    parts += ["Codes never change. The last column is the exit code of a command that ends so."]
    rows = [_error_row(one) for one in sorted(own, key=lambda one: one.code)]
    parts.append(_table("code", "error", "when", "facts", "what to do", "exit", rows))
    parts += ["## Of the commands only", "These are printed by `datalayer`; nothing in Python raises them."]
    rows = [_error_row(one) for one in commands]
    parts.append(_table("code", "error", "when", "facts", "what to do", "exit", rows))
    return "\n\n".join(parts) + "\n"


def _tree(cls: type[errors.DataLayerError], known: list[Any], depth: int = 0) -> Iterator[str]:
    yield f"{'    ' * depth}- {_code(cls.__name__)} {cls.code}"
    for below in known:
        if below.__bases__ == (cls,):
            yield from _tree(below, known, depth + 1)


def _error_row(cls: type[errors.DataLayerError]) -> tuple[str, ...]:
    common = {"self", "what", "why", "hint"}
    facts = [name for name in inspect.signature(cls.__init__).parameters if name not in common]
    example = cls.__new__(cls, "")
    return (
        cls.code,
        _code(cls.__name__),
        next(iter(_blocks(cls))).replace("\n", " "),
        ", ".join(map(_code, facts)),
        _WHAT_TO_DO[cls.__name__],
        str(failure.exit_code_of(example)),
    )


# -- Markdown ------------------------------------------------------------------------------------------


def _code(text: str) -> str:
    return f"`{text}`"


def _table(*columns: Any) -> str:
    """Give a table: its columns' names, then a list of rows."""
    *names, rows = columns
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main(sys.argv[1:])
