"""Tools that change a SQLite table, each told the same change in the way that its documentation shows.

What all of them leave to SQL (new tables, indexes, views, triggers, the numbers of the header) is done around
them by the statements of the desired schema. What a tool has no words for, it is not asked: CannotExpress.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from benchmarks.peers.migrators.wish import CannotExpress, Wish, read_wish

__all__ = ["TOOLS", "CannotExpress", "Change", "Wish", "changes_of", "read_wish", "versions"]

Change = Callable[[Path, Wish], None]
"""Bring the file to what is wished; raises CannotExpress before anything is done, or what the tool raises."""

TOOLS = {
    "sqlite-utils": "sqlite_utils",
    "alembic batch": "alembic",
    "playhouse.migrate": "playhouse",
}
_PACKAGES = {"sqlite-utils": "sqlite-utils", "alembic batch": "alembic", "playhouse.migrate": "peewee"}


def changes_of(names: Mapping[str, str] = TOOLS) -> tuple[dict[str, Change], list[str]]:
    """Give the tools that are installed, and say which are left out."""
    found: dict[str, Change] = {}
    left_out: list[str] = []
    for name, module in names.items():
        try:
            found[name] = importlib.import_module(f"benchmarks.peers.migrators.{module}").change
        except ModuleNotFoundError as missing:
            left_out.append(f"{name} left out: {missing.name} is not installed")
    return found, left_out


def versions(names: Mapping[str, Change]) -> dict[str, str]:
    """Give the version of each tool."""
    return {name: metadata.version(_PACKAGES[name]) for name in names}
