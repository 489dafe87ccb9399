"""A migration written in Python: a file with a function `up(store)`.

The store is made by who calls the run, for it lives a floor above; here it is a value that is passed on.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from inspect import iscoroutinefunction
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
        exec(compile(file.read(), path, "exec", dont_inherit=True), vars(module))
    except MigrationRefused:
        raise
    except Exception as exc:
        raise _failed(file, exc, "cannot be loaded") from exc
    up = vars(module).get("up")
    if iscoroutinefunction(up):
        raise MigrationRefused(
            f"{path}: up(store) is asynchronous, and a migration runs in one thread and transaction",
            hint="write `def up(store): ...` without async",
        )
    if not callable(up):
        raise MigrationRefused(
            f"{path} has no function up(store)",
            why="a migration in Python is a function `up` that takes the store",
            hint="write `def up(store): ...` in it",
        )
    return up


def call_up(file: MigrationFile, up: Up, store: object) -> None:
    """Call a file's `up`.

    Raises MigrationRefused, with file and line, for what it raises; a database that is busy, away or damaged
    stays what it is.
    """
    try:
        up(store)
    except (DatabaseBusy, DatabaseUnavailable, DatabaseCorrupt):
        raise
    except Exception as exc:
        raise _failed(file, exc, "failed") from exc


def no_store(path: str, hint: str) -> MigrationRefused:
    """Give the error for a Python file where nothing makes a store."""
    return MigrationRefused(f"{path} is a migration in Python, and no store is there for it", hint=hint)


def _failed(file: MigrationFile, exc: Exception, how: str) -> MigrationRefused:
    path = str(file.source)
    line = next(
        (
            frame.lineno
            for frame in reversed(traceback.extract_tb(exc.__traceback__))
            if frame.filename == path
        ),
        exc.lineno if isinstance(exc, SyntaxError) else None,
    )
    place = f"{path}:{line}" if line else path
    said = exc.what if isinstance(exc, DataLayerError) else str(exc)
    return MigrationRefused(
        f"{place}: the migration {file.name} {how}",
        why=f"{type(exc).__name__}: {said}".partition("\n")[0],
        hint="correct it and run `datalayer migrate` again",
    )
