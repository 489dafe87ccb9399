"""The states that a replay went through, beside the live schema: what the replays have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datalayer.schema.adopt.journal import ForeignJournal
from datalayer.schema.difference import Difference
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.tokens import fold

__all__ = ["Ignored", "States"]

# differences of so many states are looked at to find the nearest
_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Ignored:
    """The tables of journals, which count on neither side; one that ends in * is the beginning of names."""

    names: frozenset[str]
    beginnings: tuple[str, ...]

    @classmethod
    def of(cls, journals: Iterable[ForeignJournal]) -> Ignored:
        """Give our own journal's tables and those of other tools."""
        found = [*JOURNAL_TABLES, *(table for journal in journals for table in journal.tables)]
        names = frozenset(fold(name) for name in found if not name.endswith("*"))
        return cls(names, tuple(fold(name[:-1]) for name in found if name.endswith("*")))

    def has(self, name: str) -> bool:
        """Whether a table is one of them."""
        return fold(name) in self.names or fold(name).startswith(self.beginnings or ("\0",))


class States(ABC):
    """The schema before the first file and after each one, and the live schema to compare them with.

    Place 0 is the empty schema, place n the one after n files. `names` are the files that were replayed,
    `extra` the live tables and views that none of them ever made, `is_derived` that PostgreSQL's counterparts
    of the states are compared.
    """

    extra: tuple[str, ...] = ()
    is_derived = False

    def __init__(self) -> None:
        self.files: list[MigrationFile] = []
        self.not_replayed: list[str] = []
        self.refused = ""
        self.user_version = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files that were replayed."""
        return tuple(file.name for file in self.files)

    @property
    @abstractmethod
    def is_untouched(self) -> bool:
        """Whether the live schema has nothing that any file makes."""

    @abstractmethod
    def may_equal(self, place: int) -> bool:
        """Say cheaply whether a state can have the live shape."""

    @abstractmethod
    def distance(self, place: int) -> int:
        """Say cheaply how far a state is from the live schema."""

    @abstractmethod
    def differences(self, place: int) -> Sequence[Difference]:
        """Compare a state with the live schema; nothing where their shapes are equal."""

    @abstractmethod
    def is_same(self, place: int, other: int) -> bool:
        """Whether two states have the same schema."""

    def nearest(self) -> int:
        """Give the state with the most objects in common, then the fewest differences, then the latest."""
        places = sorted(range(len(self.names) + 1), key=lambda place: (self.distance(place), -place))
        first = [place for place in places[:_CANDIDATES] if self.distance(place) == self.distance(places[0])]
        return min(first, key=lambda place: (_weight(self.differences(place)), -place))

    def place_of_user_version(self, start: int, end: int) -> int | None:
        """Give the place from start to end whose file's number, or count, is the live user_version."""
        if not self.user_version:
            return None
        for place in range(end, start - 1, -1):
            if self.user_version in ({place, self.files[place - 1].number} if place else set[int]()):
                return place
        return None


def _weight(found: Sequence[Difference]) -> int:
    """Count what differs: the difference of a table names several columns and rules, parted by , and ;."""
    parts = [each.detail.count(",") + each.detail.count(";") for each in found if each.kind == "table"]
    return len(found) + sum(parts)
