"""One call of one command: its arguments, the database that is meant, the terminal.

Importing this loads no driver: the store is imported when a command opens it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import Refused, UsageError
from datalayer.cli.output import Result, Terminal
from datalayer.engine.address import Address
from datalayer.engine.choice import Choice, choose_database
from datalayer.errors import DatabaseUnavailable, DataLayerError

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["Command", "Invocation"]


class Invocation:
    """What a command works with."""

    def __init__(self, command: str, arguments: argparse.Namespace, terminal: Terminal) -> None:
        self.command = command
        self.arguments = arguments
        self.terminal = terminal

    @cached_property
    def choice(self) -> Choice:
        """The database that is meant, and who said so.

        Raises:
            UsageError: a setting cannot be read.
        """
        try:
            return choose_database(self.arguments.database)
        except DataLayerError as exc:
            raise UsageError(exc.what, why=exc.why, hint=exc.hint) from exc

    @cached_property
    def address(self) -> Address:
        """The database's address; its `display` holds no password.

        Raises:
            UsageError: it is none.
        """
        try:
            return Address.parse(self.choice.target)
        except DataLayerError as exc:
            raise UsageError(exc.what, why=exc.why, hint=exc.hint) from exc
        except ValueError:
            # its message may quote the URL, password and all
            raise UsageError("the database's URL is not a valid one", hint="give a path or a URL") from None

    def look(self, **options: Any) -> Store:
        """Open the database read-only; a missing one is an error, not made."""
        return self._open(create=False, read_only=True, **options)

    def change(self, **options: Any) -> Store:
        """Open the database for writing; a missing one is an error, not made."""
        return self._open(create=False, **options)

    def use(self, target: str) -> None:
        """Work on another database than the one that is meant where none is named."""
        self.__dict__["choice"] = Choice(target, "made by this command")
        self.__dict__.pop("address", None)

    def make(self, **options: Any) -> Store:
        """Open the database for writing, making a missing file, and the platform's default folder."""
        path = self.address.path
        if path is not None and self.choice.is_platform_default:
            path.parent.mkdir(parents=True, exist_ok=True)
        return self._open(create=True, **options)

    def confirm(self, question: str, *, word: str = "--yes") -> None:
        """Go on only if the word was given, or somebody at a terminal says yes.

        Raises:
            Refused: neither.
        """
        if self.arguments.yes:
            return
        if not self.terminal.can_ask:
            raise Refused(
                f"{question.rstrip('?')}: refused", why="nobody is there to ask", hint=f"say so with {word}"
            )
        if not self.terminal.ask(question):
            raise Refused("nothing was changed", why="the answer was no")

    def _open(self, **options: Any) -> Store:
        self.refuse_missing_default(create=options["create"])
        wait_s = getattr(self.arguments, "lock_timeout", None)
        if wait_s is not None:
            options.setdefault("busy_timeout_s", wait_s)
        from datalayer.store import connect

        return connect(self.choice.target, application_name=f"datalayer {self.command}", **options)

    def refuse_missing_default(self, *, create: bool = False) -> None:
        """Refuse where nobody named a database and the platform's own is not there yet.

        Raises:
            DatabaseUnavailable: so it is.
        """
        path = self.address.path
        if create or path is None or path.exists() or not self.choice.is_platform_default:
            return
        raise DatabaseUnavailable(
            f"there is no database yet at {path}",
            why="no other was named by --database, the environment or pyproject.toml",
            hint="run `datalayer migrate` to make it, or name another",
        )


class Command(NamedTuple):
    """What a command's module tells of it: how to fill its parser, and what to call."""

    add_arguments: Callable[[Parser], None]
    run: Callable[[Invocation], Result]
