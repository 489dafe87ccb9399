"""A migration written in Python: a file with a function `up(store)`.

The store is made by who calls the run, for it lives a floor above; here it is a value that is passed on.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from inspect import isasyncgen, isawaitable, iscoroutine, iscoroutinefunction, isgenerator
from types import ModuleType

from datalayer.engine.connection import Engine
from datalayer.errors import (
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseUnavailable,
    DataLayerError,
    MigrationRefused,
)
from datalayer.schema.numbered.folder import MigrationFile

__all__ = ["StoreOf", "Up", "call_up", "load_up", "no_store"]

Up = Callable[[object], object]
StoreOf = Callable[[Engine], object]


def load_up(file: MigrationFile) -> Up:
    """Run the file's top level and give its `up`.

    Raises MigrationRefused where it fails, or defines none.
    """
    path = str(file.source)
    module = ModuleType(f"datalayer_migration_{file.name}")
    module.__file__ = path
    # dataclasses, pickle and their like look for a class's module there
    sys.modules[module.__name__] = module
    try:
        # results go to stdout, and this is none
        with redirect_stdout(sys.stderr):
            exec(compile(file.read(), path, "exec", dont_inherit=True), vars(module))
    except MigrationRefused:
        raise
    except (Exception, SystemExit) as exc:
        raise _failed(file, exc, "cannot be loaded") from exc
    up = vars(module).get("up")
    if iscoroutinefunction(up):
        raise _asynchronous(path)
    if not callable(up):
        raise MigrationRefused(
            f"{path} has no function up(store)",
            why="a migration in Python is a function `up` that takes the store",
            hint="write `def up(store): ...` in it",
        )
    return up


def call_up(file: MigrationFile, up: Up, store: object) -> None:
    """Call a file's `up`; what it prints goes to stderr.

    Raises MigrationRefused, with file and line, for what it raises, and where it only makes a generator or
    coroutine; DatabaseBusy, DatabaseUnavailable and DatabaseCorrupt with the place too.
    """
    try:
        with redirect_stdout(sys.stderr):
            made = up(store)
    except (DatabaseBusy, DatabaseUnavailable, DatabaseCorrupt) as exc:
        raise type(exc)(f"{_place(file, exc)}: {exc.what}", why=exc.why, hint=exc.hint) from exc
    except (Exception, SystemExit) as exc:
        raise _failed(file, exc, "failed") from exc
    if iscoroutine(made):
        made.close()
    if isawaitable(made) or isasyncgen(made):
        raise _asynchronous(str(file.source))
    if isgenerator(made):
        raise MigrationRefused(
            f"{file.source}: up(store) is a generator, and so does nothing when it is called",
            hint="write it without yield",
        )


def no_store(path: str, hint: str) -> MigrationRefused:
    """Give the error for a Python file where nothing makes a store."""
    return MigrationRefused(f"{path} is a migration in Python, and no store is there for it", hint=hint)


def _asynchronous(path: str) -> MigrationRefused:
    return MigrationRefused(
        f"{path}: up(store) is asynchronous, and a migration runs in one thread and transaction",
        hint="write `def up(store): ...` without async",
    )


def _failed(file: MigrationFile, exc: BaseException, how: str) -> MigrationRefused:
    said = str(exc)
    if isinstance(exc, DataLayerError):
        said = f"{exc.what}: {exc.why}" if exc.why else exc.what
    return MigrationRefused(
        f"{_place(file, exc)}: the migration {file.name} {how}",
        why=f"{type(exc).__name__}: {said}".partition("\n")[0],
        hint="correct it and run `datalayer migrate` again",
    )


def _place(file: MigrationFile, exc: BaseException) -> str:
    """Give the file, and the line of it that failed last."""
    path = str(file.source)
    line = next(
        (
            frame.lineno
            for frame in reversed(traceback.extract_tb(exc.__traceback__))
            if frame.filename == path
        ),
        exc.lineno if isinstance(exc, SyntaxError) else None,
    )
    return f"{path}:{line}" if line else path
