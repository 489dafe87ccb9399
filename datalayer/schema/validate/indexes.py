"""I001 to I003: indexes that do no work, and references that need one, in the schema of all files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datalayer.schema.snapshot import Index
from datalayer.schema.tokens import fold
from datalayer.schema.validate.references import line_of_name
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """An index, UNIQUE or PRIMARY KEY; `terms` are its folded columns with collation and order."""

    table: str
    name: str
    terms: tuple[str, ...]
    is_unique: bool
    where: str
    file: str = ""
    line: int = 0


def _entries(subject: Subject) -> list[_Entry]:
    return [*_sqlite_entries(subject), *_postgres_entries(subject)]


def _sqlite_entries(subject: Subject) -> Iterator[_Entry]:
    for table in subject.replay.schema.tables:
        for key in (*([table.primary_key] if table.primary_key else []), *table.uniques):
            terms = tuple(
                fold(term.column or "") + (" DESC" if term.descending else "") for term in key.terms
            )
            yield _Entry(table.name, key.name or "a constraint", terms, True, "")
        for index in table.indexes:
            step = subject.replay.maker_of(index.name)
            file, line = (step.source.path, step.statement.line) if step else ("", 1)
            where = " ".join((index.where or "").split())
            yield _Entry(table.name, index.name, _terms(index), index.is_unique, where, file, line)


def _terms(index: Index) -> tuple[str, ...]:
    return tuple(
        " ".join(
            [
                fold(term.column or term.expression or ""),
                *([f"COLLATE {fold(term.collation)}"] if term.collation else []),
                *(["DESC"] if term.descending else []),
            ]
        )
        for term in index.terms
    )


def _postgres_entries(subject: Subject) -> Iterator[_Entry]:
    for table in subject.model.known.tables.values():
        for constraint in table.constraints:
            if constraint.kind in ("PRIMARY", "UNIQUE") and constraint.columns:
                yield _Entry(table.name, constraint.name or "a constraint", constraint.columns, True, "")
    for name, (source, index) in subject.model.known.indexes.items():
        method, _, where = index.other.partition(" ")
        if method == "btree":
            terms = (*index.columns, *index.labels)
            yield _Entry(index.table, name, terms, index.is_unique, where, source.path, index.line)


def _duplicate(subject: Subject) -> Iterator[Hit]:
    entries = _entries(subject)
    for place, entry in enumerate(entries):
        same = (entry.table, entry.terms, entry.where)
        twin = next((one for one in entries[:place] if (one.table, one.terms, one.where) == same), None)
        # a unique one that repeats a plain one is the plain one's fault
        if twin is not None and entry.file and not (entry.is_unique and not twin.is_unique):
            message = (
                f"the index {entry.name} is the same as {twin.name}: {entry.table} ({', '.join(entry.terms)})"
            )
            yield Hit(entry.file, entry.line, message)


def _prefix(subject: Subject) -> Iterator[Hit]:
    entries = _entries(subject)
    for entry in entries:
        if not entry.file or entry.is_unique:
            continue
        longer = next(
            (
                one
                for one in entries
                if one.table == entry.table
                and one.where == entry.where
                and len(one.terms) > len(entry.terms)
                and one.terms[: len(entry.terms)] == entry.terms
            ),
            None,
        )
        if longer is not None:
            message = f"the index {entry.name} is the beginning of {longer.name} ({', '.join(longer.terms)})"
            yield Hit(entry.file, entry.line, message)


def _without_index(subject: Subject) -> Iterator[Hit]:
    entries = _entries(subject)
    for table in subject.replay.schema.tables:
        for key in table.foreign_keys:
            columns = tuple(map(fold, key.columns))
            if not _is_served(entries, table.name, columns):
                step = subject.replay.maker_of(table.name)
                if step is not None:
                    message = (
                        f"{table.name} ({', '.join(key.columns)}) refers to {key.parent} and has no index"
                    )
                    yield Hit(step.source.path, line_of_name(step, key.columns[0]), message)
    for table in subject.model.known.tables.values():
        for constraint in table.constraints:
            if constraint.kind == "FOREIGN" and not _is_served(entries, table.name, constraint.columns):
                columns = ", ".join(constraint.columns)
                message = f"{table.name} ({columns}) refers to {constraint.parent} and has no index"
                yield Hit(table.maker.path, table.line, message)


def _is_served(entries: list[_Entry], table: str, columns: tuple[str, ...]) -> bool:
    for entry in entries:
        first = {term.split(" ")[0] for term in entry.terms[: len(columns)]}
        if (
            entry.table == table
            and first == set(columns)
            and (not entry.where or "is not null" in entry.where.lower())
        ):
            return True
    return False


RULES = (
    Rule("I001", "info", "an index that is there twice", "drop one of the two", _duplicate),
    Rule(
        "I002", "info", "an index that is the beginning of another", "drop it: the longer one serves", _prefix
    ),
    Rule(
        "I003",
        "info",
        "a foreign key without index",
        "create an index on its columns: each DELETE of a parent reads the whole table",
        _without_index,
    ),
)
