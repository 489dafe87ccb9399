"""What Python version files say of each other: alembic's down_revision, Django's replaces.

Read from the source by ast; no file is ever imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

__all__ = ["Revision", "ancestors", "read_replaces", "read_revisions", "takes_store"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One version file of alembic; `parents` are what it comes after and what it depends on."""

    name: str
    parents: tuple[str, ...]
    file: str


def read_revisions(folder: Path) -> dict[str, Revision]:
    """Give alembic's version files in and around a folder, by revision; those of the nearest place."""
    places = [folder]
    for base in (folder, folder.parent):
        # alembic's own name for its folder is alembic, Flask's migrations; each project may have another
        places += [base / "versions", *sorted(base.glob("*/versions"))]
    for place in places:
        found = {revision.name: revision for revision in _revisions_in(place)}
        if found:
            return found
    return {}


def ancestors(heads: Sequence[str], revisions: dict[str, Revision]) -> tuple[list[Revision], list[str]]:
    """Give the heads and all that comes before them, parents first, and the names whose file is not there."""
    order: dict[str, Revision] = {}
    missing: dict[str, None] = {}
    # a stack instead of recursion: a chain may be thousands long
    stack = [(name, False) for name in reversed(heads)]
    while stack:
        name, parents_done = stack.pop()
        revision = revisions.get(name) or _by_prefix(name, revisions)
        if revision is None:
            missing[name] = None
        elif parents_done:
            order.setdefault(revision.name, revision)
        elif revision.name not in order:
            stack.append((name, True))
            stack += [(parent, False) for parent in reversed(revision.parents)]
    return list(order.values()), list(missing)


def read_replaces(source: str) -> tuple[tuple[str, str], ...]:
    """Give the (app, name) pairs that a squashed migration of Django's replaces."""
    for node in ast.walk(_parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == "Migration":
            pairs = [_members(pair) for pair in _members(_assigned(node.body).get("replaces"))]
            return tuple((str(pair[0]), str(pair[1])) for pair in pairs if len(pair) == 2)
    return ()


def takes_store(source: str) -> bool:
    """Say whether a file has a function `up` that can be called with a store alone, defined or imported."""
    for node in _parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == "up":
            return _takes_one(node.args)
        if isinstance(node, ast.Import | ast.ImportFrom) and any(
            "up" in (alias.asname, alias.name) for alias in node.names
        ):
            return True
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "up" for target in node.targets
        ):
            return True
    return False


def _takes_one(arguments: ast.arguments) -> bool:
    """Say whether one value is enough; peewee's up(migrator, db) wants two."""
    places = [*arguments.posonlyargs, *arguments.args]
    needed = len(places) - len(arguments.defaults)
    has_room = bool(places) or arguments.vararg is not None
    return has_room and needed <= 1 and all(default is not None for default in arguments.kw_defaults)


def _revisions_in(place: Path) -> Iterator[Revision]:
    files = sorted(place.glob("*.py")) if place.is_dir() else ()
    for file in files:
        names = _assigned(_parse(file.read_text(encoding="utf-8-sig", errors="replace")).body)
        name = names.get("revision")
        if isinstance(name, str) and "down_revision" in names:
            parents = (*_names(names["down_revision"]), *_names(names.get("depends_on")))
            yield Revision(name, parents, file.stem)


def _by_prefix(name: str, revisions: dict[str, Revision]) -> Revision | None:
    """Find a revision by the beginning of its name, as alembic allows in depends_on."""
    found = [revision for key, revision in revisions.items() if key.startswith(name)]
    return found[0] if len(found) == 1 else None


def _parse(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _assigned(body: Iterable[ast.stmt]) -> dict[str, object]:
    """Give the names that are assigned literals, annotated or not."""
    found: dict[str, object] = {}
    for node in body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        value = node.value
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and value is not None:
                try:
                    found[target.id] = ast.literal_eval(value)
                except (ValueError, TypeError):
                    continue
    return found


def _names(value: object) -> tuple[str, ...]:
    members = (value,) if isinstance(value, str) else _members(value)
    return tuple(each for each in members if isinstance(each, str))


def _members(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
