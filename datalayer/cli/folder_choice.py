"""The folder of migrations that a command works on, and the stores that Python migrations get on trial."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import UsageError
from datalayer.engine.choice import choose_migrations
from datalayer.errors import DataLayerError

if TYPE_CHECKING:
    from datalayer.engine.connection import Engine
    from datalayer.schema.numbered.folder import Folder

__all__ = ["add_folder", "chosen_folder", "trial_stores"]


def add_folder(parser: Parser) -> None:
    """Add --dir to a command."""
    parser.add_argument(
        "--dir",
        metavar="DIR",
        help="the folder of migrations; default: [tool.datalayer] migrations of pyproject.toml, or the"
        " package's own",
    )


def chosen_folder(given: str | None) -> Folder:
    """Give the folder that is meant. Raises UsageError where a setting cannot be read."""
    from datalayer.schema.history import package_folder
    from datalayer.schema.numbered.folder import Folder

    try:
        choice = choose_migrations(given)
    except DataLayerError as exc:
        raise UsageError(exc.what, why=exc.why, hint=exc.hint) from exc
    return package_folder() if choice is None else Folder(Path(choice.target))


@contextmanager
def trial_stores() -> Generator[Callable[[Engine], object]]:
    """Give what makes a store on a copy; files that it writes go when the block ends."""
    from datalayer.store import Store

    with tempfile.TemporaryDirectory(prefix="datalayer-") as folder:
        yield lambda engine: Store(engine, data_dir=Path(folder))
