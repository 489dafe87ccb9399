"""Which database is meant where several places may name one, and which of them did.

In this order: what the caller gives, the environment's DATALAYER_DATABASE, its DATABASE_URL, the nearest
pyproject.toml upwards that has [tool.datalayer] database, the platform's data folder. Opens nothing. An
app's folder of migrations is found in the same files.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import platformdirs

from datalayer.errors import DataLayerError

__all__ = ["Choice", "choose_database", "choose_migrations"]

_VARIABLES = ("DATALAYER_DATABASE", "DATABASE_URL")
_GIVEN = "given"
_PLATFORM = "the platform's data folder"


@dataclass(frozen=True, slots=True)
class Choice:
    """A path or URL and who named it; `repr()` holds no password.

    `is_platform_default` says that nobody did, so that its folder may be made.
    """

    target: str
    source: str
    is_platform_default: bool = False

    def __repr__(self) -> str:
        return f"Choice(from {self.source})"


def choose_database(
    given: str | None = None, *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Choice:
    """Choose the database; empty variables count as absent.

    The search for pyproject.toml begins in `folder`, by default the working directory.

    Raises:
        DataLayerError: a pyproject.toml on the way cannot be read, or names no text.
    """
    if given is not None:
        return Choice(given, _GIVEN)
    variables = os.environ if environment is None else environment
    for name in _VARIABLES:
        if variables.get(name):
            return Choice(variables[name], f"environment {name}")
    found = _from_project(Path.cwd() if folder is None else folder)
    if found is not None:
        return found
    default = Path(platformdirs.user_data_dir("datalayer", appauthor=False)) / "datalayer.db"
    return Choice(str(default), _PLATFORM, is_platform_default=True)


def choose_migrations(given: str | None = None, *, folder: Path | None = None) -> Choice | None:
    """Choose an app's folder of migrations; None where nobody names one, so that the package's own is meant.

    The search for pyproject.toml begins in `folder`, by default the working directory.

    Raises:
        DataLayerError: a pyproject.toml on the way cannot be read, or names no text.
    """
    if given is not None:
        return Choice(given, _GIVEN)
    return _from_project(Path.cwd() if folder is None else folder, "migrations", "folder of migrations")


def _from_project(folder: Path, name: str = "database", meaning: str = "database") -> Choice | None:
    for path in _project_files(folder):
        table = _read(path)
        if name in table:
            value = table[name]
            if not isinstance(value, str) or not value:
                raise DataLayerError(
                    f"{path} names no {meaning}",
                    why=f"[tool.datalayer] {name} is not a text",
                    hint="write a path" if name == "migrations" else "write a path or URL",
                )
            return Choice(_beside(path, value), f"[tool.datalayer] in {path}")
    return None


def _project_files(folder: Path) -> Iterator[Path]:
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if path.is_file():
            yield path


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except (OSError, ValueError) as exc:
        raise DataLayerError(
            f"cannot read {path}",
            why=str(exc).partition("\n")[0],
            hint="correct it, or name the database yourself",
        ) from exc
    table: dict[str, Any] = document
    for name in ("tool", "datalayer"):
        inner: object = table.get(name)
        if not isinstance(inner, dict):
            return {}
        table = cast("dict[str, Any]", inner)
    return table


def _beside(path: Path, value: str) -> str:
    """Give a path of the file relative to the file's folder; URLs and :memory: as they are."""
    if value == ":memory:":
        return value
    if value.startswith("sqlite:///") and not value.startswith("sqlite:////"):
        return f"sqlite:///{path.parent / value.removeprefix('sqlite:///')}"
    return value if "://" in value else str(path.parent / Path(value).expanduser())
