"""A folder in SQLite's words beside a live PostgreSQL database: what is derived from each state."""

from __future__ import annotations

from collections.abc import Sequence

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.adopt.shape_sqlite import Replayed
from datalayer.schema.adopt.state import Ignored, States
from datalayer.schema.catalog import Catalog
from datalayer.schema.difference import Difference
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.postgres import derive
from datalayer.schema.tokens import fold

__all__ = ["derived_states"]


def derived_states(engine: Engine, files: Sequence[MigrationFile], ignored: Ignored) -> States:
    """Replay the files on SQLite in memory and read the live catalog."""
    return _DerivedStates(Replayed(files), catalog.read(engine), ignored)


class _DerivedStates(States):
    """The states of a replay on SQLite beside a live PostgreSQL schema."""

    is_derived = True

    def __init__(self, replayed: Replayed, live: Catalog, ignored: Ignored) -> None:
        super().__init__()
        self.replayed = replayed
        self.files, self.not_replayed = replayed.files, replayed.not_replayed
        self.refused = replayed.refused
        self.ignored = ignored
        self._tables = [
            frozenset(fold(row[1]) for row in rows if row[0] in ("table", "view") and not ignored.has(row[1]))
            for rows in replayed.texts
        ]
        self._made = frozenset[str]().union(*self._tables)
        self.live = live
        there = [name for name in (*live.tables, *sorted(live.views)) if not ignored.has(name)]
        self.extra = tuple(name for name in there if fold(name) not in self._made)
        self._counted = frozenset(fold(name) for name in there) & self._made
        self._known: dict[int, tuple[Difference, ...]] = {}

    @property
    def is_untouched(self) -> bool:
        """Whether the live schema has nothing that any file makes."""
        return not self._counted

    def may_equal(self, place: int) -> bool:
        """Say cheaply whether a state can have the live shape."""
        return self._tables[place] == self._counted

    def distance(self, place: int) -> int:
        """Say cheaply how far a state is from the live schema."""
        return len(self._tables[place] ^ self._counted)

    def differences(self, place: int) -> Sequence[Difference]:
        """Compare a state with the live schema; nothing where their shapes are equal."""
        key = id(self.replayed.texts[place])
        if key not in self._known:
            self._known[key] = tuple(self._compare(place))
        return self._known[key]

    def is_same(self, place: int, other: int) -> bool:
        """Whether two states have the same schema."""
        return self.replayed.texts[place] is self.replayed.texts[other]

    def _compare(self, place: int) -> list[Difference]:
        schema = self.replayed.schema(place)
        try:
            derived = derive(schema, lines={}, source="the folder")
        except MigrationRefused as exc:
            return [Difference("changed", "schema", "the folder", "", exc.what)]
        found = catalog.compare(schema, derived, self.live)
        return [each for each in found if not self.ignored.has(each.table) and each.name not in self.extra]
