"""`datalayer reset-db`: a verified backup, then an empty database at the current schema."""

from __future__ import annotations

import shlex

from datalayer.cli.arguments import Parser, add_lock_timeout
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result

__all__ = ["COMMANDS"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--yes", action="store_true", help="empty it without asking")
    parser.add_argument("--all", action="store_true", help="drop the tables of other programs too")
    parser.add_argument("--schema", metavar="FILE", help="a consolidated SQL file as the schema to empty to")
    parser.add_argument("--dir", metavar="DIR", help="a folder of migrations as the schema to empty to")
    add_lock_timeout(parser, "30")


def _run(call: Invocation) -> Result:
    arguments = call.arguments
    if arguments.schema and arguments.dir:
        raise UsageError("give --schema or --dir, not both", hint="run `datalayer reset-db --help`")
    call.confirm(f"empty {call.address.display}, after a backup?")
    with call.change(keeps_journal_mode=True) as store:
        from datalayer.schema.reset import reset
        from datalayer.schema.target import target_of

        is_own = arguments.schema is None and arguments.dir is None
        target = None if is_own else target_of(schema_file=arguments.schema, folder=arguments.dir)
        done = reset(
            store.engine,
            target,
            everything=arguments.all,
            lock_timeout_s=arguments.lock_timeout,
        )
    facts = {
        "backup": None if done.backup is None else str(done.backup),
        "dropped": list(done.dropped),
        "kept": list(done.kept),
        "seconds": round(done.seconds, 3),
    }
    lines = [f"{call.address.display} is empty, at the schema wanted; {done.seconds:.2f} s"]
    if done.kept:
        lines.append(f"tables of other programs stay: {', '.join(done.kept)}")
    if done.backup is None:
        return Result(facts, lines)
    lines.append(f"backup before it: {done.backup}")
    return Result(facts, lines, next=f"datalayer restore {shlex.quote(str(done.backup))}")


COMMANDS = {"reset-db": Command(_add_arguments, _run)}
