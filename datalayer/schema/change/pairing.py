"""Which table and column of a live schema becomes which one of the wanted schema.

By name, and by the renames that the user declared; never by position, never by a guess. Knows no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TypeVar

from datalayer.errors import MigrationRefused
from datalayer.schema.change.consent import Consent
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.repair.quarantine import is_lost_and_found
from datalayer.schema.snapshot import Column, Schema, Table
from datalayer.schema.tokens import fold

__all__ = ["Pair", "Pairing", "did_you_mean", "is_journal", "names_in", "pair_up"]

Named = TypeVar("Named", Column, Table)


@dataclass(frozen=True, slots=True)
class Pair:
    """A table as it is and as it shall be.

    `sources` maps the folded name of a wanted column to the column that its values come from.
    """

    found: Table
    wanted: Table
    sources: Mapping[str, Column]

    @property
    def dropped(self) -> list[Column]:
        """The columns whose values go."""
        kept = {fold(column.name) for column in self.sources.values()}
        return [
            column for column in self.found.columns if fold(column.name) not in kept and not column.is_hidden
        ]

    @property
    def added(self) -> list[Column]:
        """The columns that have no values yet."""
        return [
            column
            for column in self.wanted.columns
            if fold(column.name) not in self.sources and not column.is_hidden
        ]

    def source(self, column: Column | str) -> Column | None:
        """Give the column that the values of a wanted column come from; None for a new one."""
        return self.sources.get(fold(column if isinstance(column, str) else column.name))

    @property
    def new_names(self) -> frozenset[str]:
        """The folded names that mean another column than before, if they meant one."""
        names = ((fold(column.name), self.source(column)) for column in self.wanted.columns)
        return frozenset(name for name, source in names if source is None or fold(source.name) != name)

    @property
    def former_names(self) -> dict[str, str]:
        """What the wanted columns were called, both folded; a new one by no name a column can have had."""
        former = {fold(column.name): f"{fold(column.name)} (new)" for column in self.wanted.columns}
        return former | {name: fold(column.name) for name, column in self.sources.items()}


@dataclass(frozen=True, slots=True)
class Pairing:
    """How two schemas lie on each other.

    `kept` are tables that the wanted schema does not speak of and that stay as they are. `suggestions` say,
    in words, which dropped and added names look like a rename.
    """

    pairs: tuple[Pair, ...]
    created: tuple[Table, ...]
    dropped: tuple[Table, ...]
    kept: tuple[Table, ...]
    suggestions: tuple[str, ...]
    _by_name: Mapping[str, Pair] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {fold(pair.wanted.name): pair for pair in self.pairs})

    def pair_of(self, wanted: str) -> Pair | None:
        """Give the pair that becomes this wanted table."""
        return self._by_name.get(fold(wanted))


def pair_up(found: Schema, wanted: Schema, consent: Consent, *, exact: bool) -> Pairing:
    """Lay two schemas on each other.

    `exact`: the wanted schema is the whole of it, so a table that it lacks goes; else such tables belong to
    somebody else and stay. Raises MigrationRefused for a rename that names nothing, or that leads to a name
    the wanted schema does not have.
    """
    tables, columns = _renames(found, wanted, consent)
    sources = _table_sources(found, wanted, tables)
    pairs: list[Pair] = []
    created: list[Table] = []
    for table in _plain(wanted):
        source = sources.get(fold(table.name))
        if source is None:
            created.append(table)
        else:
            pairs.append(Pair(source, table, _column_sources(source, table, columns)))
    used = {fold(pair.found.name) for pair in pairs}
    rest = [table for table in _plain(found) if fold(table.name) not in used]
    kept = [table for table in rest if (not exact or _stays(table.name)) and not _is_named(table, consent)]
    dropped = [table for table in rest if table not in kept]
    pairing = Pairing(tuple(pairs), tuple(created), tuple(dropped), tuple(kept), ())
    return replace(pairing, suggestions=tuple(_suggestions(pairing)))


def names_in(schema: Schema) -> list[str]:
    """Give what --rename, --drop and --drop-table can name: tables, and columns as table.column."""
    tables = list(_plain(schema))
    return [table.name for table in tables] + [
        f"{table.name}.{column.name}" for table in tables for column in table.columns
    ]


def did_you_mean(word: str, names: Sequence[str]) -> str | None:
    """Ask about the name that is most like a word; None where none is."""
    by_folded = {fold(name): name for name in names}
    near = get_close_matches(fold(word), by_folded, n=1, cutoff=0.7)
    return f"did you mean {by_folded[near[0]]}?" if near else None


def _stays(name: str) -> bool:
    """Whether no schema file need speak of a table: what migrations record, and what repairs put aside."""
    return is_journal(name) or is_lost_and_found(name)


def is_journal(name: str) -> bool:
    """Whether a table records migrations: that is no part of the schema that an app's file describes."""
    return fold(name) in JOURNAL_TABLES


def _is_named(table: Table, consent: Consent) -> bool:
    return fold(table.name) in {fold(name) for name in consent.drop_tables}


def _plain(schema: Schema) -> Iterator[Table]:
    """Leave out shadow tables: they come and go with their virtual table."""
    return (table for table in schema.tables if table.kind != "shadow")


def _renames(
    found: Schema, wanted: Schema, consent: Consent
) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Sort the declared renames into tables and columns, by folded names; those already done are left out."""
    tables: dict[str, str] = {}
    columns: dict[tuple[str, str], str] = {}
    words = dict(consent.renames)
    for before, after in words.items():
        if found.table(before) is not None and (wanted.table(after) is not None or "." not in before):
            _check_table_rename(wanted, before, after)
            tables[fold(before)] = fold(after)
    for before, after in words.items():
        if fold(before) in tables or _is_done(found, wanted, words, before, after):
            continue
        table, _, column = _split_column(found, before)
        if table is None or table.column(column) is None:
            raise MigrationRefused(
                f"--rename {before}={after} names nothing: there is no {before} in the database",
                why=did_you_mean(before, names_in(found)),
                hint="name the table or column as it is called now",
            )
        goal = wanted.table(tables.get(fold(table.name), table.name))
        if goal is None or goal.column(after) is None:
            raise MigrationRefused(
                f"--rename {before}={after} leads nowhere: the wanted schema has no column {after} there",
                why=did_you_mean(after, [one.name for one in goal.columns] if goal else []),
                hint="correct the new name, or add the column to the schema file",
            )
        if (fold(table.name), fold(after)) in columns:
            raise MigrationRefused(
                f"two columns of {table.name} are to become {after}",
                hint="one column can become only one other: correct --rename",
            )
        columns[fold(table.name), fold(after)] = fold(column)
    return tables, columns


def _check_table_rename(wanted: Schema, before: str, after: str) -> None:
    if wanted.table(after) is None:
        raise MigrationRefused(
            f"--rename {before}={after} leads nowhere: the wanted schema has no table {after}",
            why=did_you_mean(after, [table.name for table in wanted.tables]),
            hint="correct the new name, or add the table to the schema file",
        )


def _split_column(found: Schema, word: str) -> tuple[Table | None, str, str]:
    """Take `t.c` apart; a dot may also be part of either name."""
    for place, letter in enumerate(word):
        table = found.table(word[:place]) if letter == "." else None
        if table is not None and table.column(word[place + 1 :]) is not None:
            return table, ".", word[place + 1 :]
    table_name, _, column = word.partition(".")
    return found.table(table_name), ".", column


def _is_done(found: Schema, wanted: Schema, words: Mapping[str, str], before: str, after: str) -> bool:
    """Say whether a rename was made by an earlier run: the old name is gone, the new one is there."""
    if "." not in before:
        return (
            found.table(before) is None and found.table(after) is not None and wanted.table(after) is not None
        )
    table_name, _, column = before.partition(".")
    names = [table_name, *(new for old, new in words.items() if fold(old) == fold(table_name))]
    for name in names:
        table = found.table(name)
        if table is not None:
            return table.column(column) is None and table.column(after) is not None
    return False


def _table_sources(found: Schema, wanted: Schema, renames: Mapping[str, str]) -> dict[str, Table]:
    sources: dict[str, Table] = {}
    for table in _plain(found):
        name = renames.get(fold(table.name), fold(table.name))
        goal = wanted.table(name)
        if (
            goal is None
            or goal.kind == "shadow"
            or (fold(table.name) not in renames and name in renames.values())
        ):
            continue
        if name in sources:
            raise MigrationRefused(
                f"both {sources[name].name} and {table.name} are to become {goal.name}",
                hint="one table can become only one other: correct --rename",
            )
        sources[name] = table
    return sources


def _column_sources(found: Table, wanted: Table, renames: Mapping[tuple[str, str], str]) -> dict[str, Column]:
    here = {after: before for (table, after), before in renames.items() if table == fold(found.name)}
    gone = set(here.values())
    before = {fold(column.name): column for column in found.columns}
    sources: dict[str, Column] = {}
    for column in wanted.columns:
        name = fold(column.name)
        source = before.get(here[name]) if name in here else None if name in gone else before.get(name)
        if source is not None:
            sources[name] = source
    return sources


def _suggestions(pairing: Pairing) -> Iterator[str]:
    for pair in pairing.pairs:
        for gone, new in _alike(pair.dropped, pair.added, _column_likeness):
            yield f"--rename {pair.found.name}.{gone}={new}"
    for gone, new in _alike(pairing.dropped, pairing.created, _table_likeness):
        yield f"--rename {gone}={new}"


def _alike(
    gone: Sequence[Named], new: Sequence[Named], is_like: Callable[[Named, Named], bool]
) -> Iterator[tuple[str, str]]:
    """Give the pairs in which each is most like the other; of several alike, the names decide."""
    best = {one.name: _best(one, new, is_like) for one in gone}
    back = {one.name: _best(one, gone, lambda other, own: is_like(own, other)) for one in new}
    return ((one, other) for one, other in best.items() if other is not None and back[other] == one)


def _best(one: Named, others: Sequence[Named], is_like: Callable[[Named, Named], bool]) -> str | None:
    names = [other.name for other in others if is_like(one, other)]
    if len(names) < 2:
        return names[0] if names else None
    near = get_close_matches(fold(one.name), [fold(name) for name in names], n=1, cutoff=0.5)
    return next((name for name in names if near and fold(name) == near[0]), None)


def _column_likeness(gone: Column, new: Column) -> bool:
    return (fold(gone.type), gone.key_position) == (fold(new.type), new.key_position) and (
        gone.generated is None
    ) == (new.generated is None)


def _table_likeness(gone: Table, new: Table) -> bool:
    names = {fold(column.name) for column in gone.columns}
    others = {fold(column.name) for column in new.columns}
    return gone.kind == new.kind and 2 * len(names & others) >= max(len(names), len(others))
