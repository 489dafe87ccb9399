"""Which of a folder's files a database has had, told by its schema alone.

For databases without a journal: the longest beginning of the folder whose replay gives the live shape. The
folder is replayed once; shape_sqlite and shape_postgres bring the states after each file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from datalayer.engine.connection import Engine
from datalayer.schema.adopt.journal import ForeignJournal
from datalayer.schema.adopt.recognise import recognise
from datalayer.schema.adopt.shape_derived import derived_states
from datalayer.schema.adopt.shape_postgres import postgres_states
from datalayer.schema.adopt.shape_sqlite import sqlite_states
from datalayer.schema.adopt.state import Ignored, States
from datalayer.schema.difference import Difference
from datalayer.schema.numbered.folder import Folder, MigrationFile

__all__ = ["ShapeMatch", "by_shape", "check_names"]


@dataclass(frozen=True, slots=True)
class ShapeMatch:
    """What the shape of a database says of a folder.

    `names` are the files of the beginning whose replay gives this shape; where none does, of the nearest one,
    `exact` is False and `differences` say what lies between. `extra` are tables and views that no file ever
    made: told, not counted, unless `refused` says why the replay ended before the last file. `undecided` are
    the last of `names` that change no schema, so that the shape cannot tell whether they ran. `not_replayed`
    are Python files. `is_derived`: on PostgreSQL, what is derived from the files has this shape, not what
    they make there themselves.
    """

    names: tuple[str, ...]
    exact: bool
    differences: tuple[Difference, ...] = ()
    extra: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    not_replayed: tuple[str, ...] = ()
    refused: str = ""
    is_derived: bool = False


def by_shape(
    engine: Engine, folder: Folder, *, journals: Sequence[ForeignJournal] | None = None
) -> ShapeMatch:
    """Find the longest beginning of the folder whose replay has the shape of the live database.

    Tables of journals count on neither side: ours, and those of `journals`, which are recognised where none
    are given. A database without anything that the folder makes is at its beginning: no names, exact. Where
    the last files change no schema, PRAGMA user_version decides if it is the number or count of one of them.

    SQLite: replayed in memory, nothing is written. PostgreSQL: in a schema of its own within a transaction
    that is rolled back; a folder in SQLite's words is compared as it is derived for PostgreSQL. Waits for no
    lock longer than two seconds, takes none on SQLite. Costs one replay and one snapshot after each file.

    Raises MigrationRefused where a file cannot be read.

        by_shape(engine, Folder(Path("migrations"))).names      # ('0001_first', '0002_second')
    """
    known = recognise(engine) if journals is None else journals
    return _best(_match(states) for states in _states(engine, folder.files(), known))


def check_names(
    engine: Engine,
    folder: Folder,
    names: Sequence[str],
    *,
    journals: Sequence[ForeignJournal] | None = None,
) -> ShapeMatch:
    """Compare the live shape with a replay of these files alone, in the folder's order.

    As `by_shape` otherwise. What the other files of the folder make counts as a difference.
    """
    known = recognise(engine) if journals is None else journals
    files = folder.files()
    chosen = [file for file in files if file.name in names]
    match = _best(_end(states) for states in _states(engine, chosen, known))
    if not match.extra or len(chosen) == len(files):
        return match
    strangers = by_shape(engine, folder, journals=known).extra
    made = [name for name in match.extra if name not in strangers]
    beyond = tuple(
        Difference("extra", "table", name, name, "a file that is not recorded makes it") for name in made
    )
    return replace(
        match, exact=match.exact and not beyond, differences=(*match.differences, *beyond), extra=strangers
    )


def _states(
    engine: Engine, files: Sequence[MigrationFile], journals: Sequence[ForeignJournal]
) -> Iterable[States]:
    ignored = Ignored.of(journals)
    if engine.dialect.name == "sqlite":
        yield sqlite_states(engine, files, ignored)
        return
    # the files' own words first; those that SQLite alone understands are refused by PostgreSQL at once
    yield postgres_states(engine, files, ignored)
    yield derived_states(engine, files, ignored)


def _best(matches: Iterable[ShapeMatch]) -> ShapeMatch:
    """Give the first exact match, else the one with the fewest differences of those replayed farthest."""
    found: list[ShapeMatch] = []
    for match in matches:
        if match.exact and not match.refused:
            return match
        found.append(match)
    return min(found, key=lambda match: (not match.exact, bool(match.refused), len(match.differences)))


def _match(states: States) -> ShapeMatch:
    if states.is_untouched:
        return _told(states, 0, ())
    last = len(states.names)
    for place in range(last, -1, -1):
        if states.may_equal(place) and not states.differences(place):
            return _told(states, _by_user_version(states, place), ())
    nearest = states.nearest()
    return _told(states, nearest, tuple(states.differences(nearest)))


def _end(states: States) -> ShapeMatch:
    last = len(states.names)
    # that the files ran is said by others here
    return replace(_told(states, last, tuple(states.differences(last))), undecided=())


def _told(states: States, place: int, differences: tuple[Difference, ...]) -> ShapeMatch:
    start = place
    while start and states.is_same(start - 1, place):
        start -= 1
    names = states.names[:place]
    decided = place == states.place_of_user_version(start, place)
    return ShapeMatch(
        names,
        # what no file made may come from one that was not reached
        not differences and not (states.refused and states.extra),
        differences,
        states.extra,
        () if differences or decided else names[start:],
        tuple(name for name in states.not_replayed if name in names),
        states.refused,
        states.is_derived,
    )


def _by_user_version(states: States, place: int) -> int:
    start = place
    while start and states.is_same(start - 1, place):
        start -= 1
    found = states.place_of_user_version(start, place)
    return place if found is None else found
