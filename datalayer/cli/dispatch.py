"""From a command line to an exit code: find the command, run it, show its answer or its error."""

from __future__ import annotations

import importlib
import os
import shlex
from typing import Any

import datalayer
from datalayer.cli.arguments import Parser, find_command
from datalayer.cli.failure import Secrets, UsageError, as_known, describe_trace, exit_code_of
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.main import COMMANDS, root_help
from datalayer.cli.output import Result, Terminal, Unwritable
from datalayer.engine.address import Address
from datalayer.errors import DatabaseBusy, DataLayerError

__all__ = ["command_of", "run"]


def run(words: list[str]) -> int:
    """Run the command that the words name and give its exit code."""
    options = words[: words.index("--")] if "--" in words else words
    terminal = Terminal(is_json="--json" in options)
    call = _Call(words, terminal)
    try:
        return call.run()
    except SystemExit as exc:
        # argparse ends --help so
        return exc.code if isinstance(exc.code, int) else 0
    except (BrokenPipeError, Unwritable):
        raise
    except (Exception, KeyboardInterrupt) as exc:
        if "--debug" in options:
            terminal.say(call.secrets.remove(describe_trace(exc)).rstrip())
        return call.fail(as_known(exc))


def command_of(name: str) -> Command:
    """Import a command's module and give what it tells of the command."""
    module = importlib.import_module(f"datalayer.cli.{COMMANDS[name][0]}")
    found: Command = module.COMMANDS[name]
    return found


class _Call:
    def __init__(self, words: list[str], terminal: Terminal) -> None:
        self.words = words
        self.terminal = terminal
        self.secrets = Secrets(words, os.environ)
        self.name = ""
        self.invocation: Invocation | None = None

    def run(self) -> int:
        name, words = find_command(self.words)
        self.name = name
        if name not in COMMANDS:
            return self._run_without_command(name, words)
        parser = Parser(name)
        _add_common_options(parser)
        command = command_of(name)
        command.add_arguments(parser)
        self.invocation = Invocation(name, parser.parse(words), self.terminal)
        # before the work: a setting that cannot be read is a mistake of usage, whatever the command
        self.secrets.learn(self.invocation.choice.target)
        _ = self.invocation.address
        result = command.run(self.invocation)
        self._show(result, self.invocation.address.display)
        return result.exit_code

    def _run_without_command(self, group: str, words: list[str]) -> int:
        """Answer a line that names no command, or only the first word of several."""
        if "--version" in words:
            self._show(Result({"version": datalayer.__version__}, [f"datalayer {datalayer.__version__}"]), "")
            return 0
        if {"--help", "-h"} & {*words}:
            print(_group_help(group) if group else root_help())
            return 0
        if group:
            names = ", ".join(f"`{name}`" for name in _members(group))
            raise UsageError(f"`{group}` needs a second word", why=f"there is {names}")
        stray = next((word for word in words if word.startswith("-") and word not in _PLAIN_OPTIONS), None)
        what = f"there is no option {stray}" if stray else "no command was given"
        raise UsageError(what, hint="run `datalayer --help`")

    def _show(self, result: Result, database: str) -> None:
        following = self._complete(result.next)
        if not self.terminal.is_json:
            self.terminal.show([*result.shown, *([f"next: {following}"] if following else [])])
            return
        self.terminal.write_json(
            {
                "ok": result.exit_code == 0,
                "command": self.name or "version",
                "database": database,
                "findings": list(result.findings),
                "next": following,
                **result.facts,
            }
        )

    def _complete(self, command: str | None) -> str | None:
        """Give a command that is to be run next with the database that this one was given."""
        given = None if self.invocation is None else self.invocation.arguments.database
        if command is None or given is None or "--database" in command:
            return command
        shown = self.invocation.address.display if self.invocation and "://" in given else given
        return shlex.join([*shlex.split(command), "--database", shown])

    @property
    def known_address(self) -> Address | None:
        """The database's address, unless finding it is what failed."""
        return None if self.invocation is None else vars(self.invocation).get("address")

    def fail(self, error: DataLayerError) -> int:
        """Show an error and give its exit code."""
        why = _reason(self, error)
        what, why = self.secrets.remove(error.what), self.secrets.remove(why) if why else None
        # a hint is our own text: the word `datalayer` in it stays, also where it is somebody's password
        hint = self.secrets.remove_urls(error.hint) if error.hint else None
        if self.terminal.is_json:
            self.terminal.write_json(self._error_document(error, what, why, hint))
        lines = [f"error {error.code}: {what}", why, f"next: {hint}" if hint else None]
        self.terminal.complain([line for line in lines if line])
        return exit_code_of(error)

    def _error_document(
        self, error: DataLayerError, what: str | None, why: str | None, hint: str | None
    ) -> dict[str, Any]:
        address = self.known_address
        return {
            "ok": False,
            "command": self.name,
            "database": "" if address is None else address.display,
            "findings": [*error.findings],
            "next": hint,
            "error": {"code": error.code, "what": what, "why": why, "hint": hint},
        }


_PLAIN_OPTIONS = ("--json", "--debug", "--database")


def _add_common_options(parser: Parser) -> None:
    parser.add_argument(
        "--database", metavar="URL|PATH", help="the database; `datalayer config` shows the default"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--debug", action="store_true", help="add the traceback to an error")


def _members(group: str) -> list[str]:
    return [name for name in COMMANDS if name.startswith(f"{group} ")]


def _group_help(group: str) -> str:
    names = _members(group)
    width = max(map(len, names)) + 2
    lines = [f"usage: datalayer {group} COMMAND [options]", ""]
    return "\n".join([*lines, *(f"  {name:<{width}}{COMMANDS[name][1]}" for name in names)])


def _reason(call: _Call, error: DataLayerError) -> str | None:
    """Give an error's reason; of a locked database, who holds the lock, where that can be known."""
    address = call.known_address
    path = None if address is None else address.path
    if not isinstance(error, DatabaseBusy) or path is None:
        return error.why
    from datalayer.engine.holders import find_holders

    holders = find_holders(path)
    return f"locked by {', '.join(map(str, holders))}" if holders else error.why
