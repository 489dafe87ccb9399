"""Errors as a user meets them: a stable code, at most three lines, an exit code; passwords nowhere.

Knows the tree of datalayer.errors, no driver and no database.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from datalayer.engine.address import without_password
from datalayer.errors import (
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseUnavailable,
    DataLayerError,
    NotFound,
    SchemaMismatch,
)

__all__ = ["Interrupted", "Refused", "Secrets", "UsageError", "as_known", "describe_trace", "exit_code_of"]

_SHORTEST_BARE_PASSWORD = 4


class UsageError(DataLayerError):
    """The command line, or a setting, says something that cannot be done."""

    code = "DL-E601"


class Refused(DataLayerError):
    """The command destroys something and nobody said the word for it."""

    code = "DL-E602"


class Interrupted(DataLayerError):
    """Ctrl-C; open transactions were undone."""

    code = "DL-E603"


class Unexpected(DataLayerError):
    """An exception that nobody meant: a mistake in the program, or an app's own code that failed."""

    code = "DL-E900"


_EXIT_CODES: tuple[tuple[type[DataLayerError], int], ...] = (
    (UsageError, 2),
    (Refused, 2),
    (Interrupted, 130),
    (DatabaseBusy, 3),
    (DatabaseUnavailable, 3),
    (DatabaseCorrupt, 4),
    # a finding, not a failure: nothing answers, or migrations are pending
    (NotFound, 1),
    (SchemaMismatch, 1),
)


def exit_code_of(error: DataLayerError) -> int:
    """Give the exit code for an error; 5 where nothing more particular is known."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 5)


def as_known(error: BaseException) -> DataLayerError:
    """Give any exception as an error with a code."""
    if isinstance(error, DataLayerError):
        return error
    if isinstance(error, KeyboardInterrupt):
        known: DataLayerError = Interrupted("interrupted", why="what was not committed is undone")
    elif isinstance(error, OSError) and error.filename is not None:
        what = f"cannot use {Path(str(error.filename))}"
        known = DatabaseUnavailable(what, why=error.strerror, hint="check the path, its owner and its mode")
    else:
        why = traceback.format_exception_only(error)[-1].strip()
        known = Unexpected(
            "this should not have happened", why=why, hint="run it again with --debug and report it"
        )
    known.__cause__ = error
    return known


def describe_trace(error: BaseException) -> str:
    """Give the traceback of an error and its causes; values of variables are not in it."""
    return "".join(traceback.format_exception(error))


class Secrets:
    """The passwords a command was given, to be taken out of everything it says about errors.

    The engine's errors hold none; this is for what others say: drivers, an app's worker, tracebacks.
    """

    def __init__(self, argv: Iterable[str], environment: Mapping[str, str]) -> None:
        self._urls: dict[str, str] = {}
        self._passwords: set[str] = set()
        for text in (*argv, *environment.values()):
            self.learn(text.partition("=")[2] if text.startswith("--") else text)
        self._passwords |= {value for name, value in environment.items() if name == "PGPASSWORD" and value}

    def learn(self, text: str) -> None:
        """Remember the password of a URL; other texts have none."""
        if "://" not in text:
            return
        scheme, _, rest = text.partition("://")
        # also of a URL that cannot be taken apart
        found = [rest.rpartition("@")[0].partition(":")[2]]
        try:
            query = urlsplit(text).query
            found += [value for name, value in parse_qsl(query) if "password" in name.lower()]
            self._urls[text] = without_password(text)
        except ValueError:
            self._urls[text] = f"{scheme}://***"
        self._passwords |= {form for one in found if one for form in (one, unquote(one))}

    def remove(self, text: str) -> str:
        """Give the text with *** in the place of each password, wherever it stands as a word."""
        text = self.remove_urls(text)
        for password in sorted(self._passwords, key=len, reverse=True):
            if len(password) >= _SHORTEST_BARE_PASSWORD:
                # whole words only: a password `postgres` stands in every postgresql://
                text = re.sub(rf"(?<!\w){re.escape(password)}(?!\w)(?!://)", "***", text)
        return text

    def remove_urls(self, text: str) -> str:
        """Give the text with *** in the place of each password that stands in a URL or behind `password=`."""
        for url, shown in self._urls.items():
            text = text.replace(url, shown)
        for password in self._passwords:
            text = text.replace(f":{password}@", ":***@").replace(f"password={password}", "password=***")
        return text
