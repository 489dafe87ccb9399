"""What a database holds in truth: every row of every table, and the bytes that make it up.

The values are what SQLite selects from a sound copy, the bytes are what corruption_format finds; a test holds
that both agree. Tables are named as SQL names them: the rows of an FTS5 table lie in its shadow table.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.corruption_format import Cell, Place, Role, Store, decode_record, journal_records, log_frames

__all__ = [
    "SUFFIXES",
    "Spec",
    "TrueRow",
    "Truth",
    "find_truth",
    "open_copy",
    "read_rows",
    "read_specs",
    "text_of",
]

SUFFIXES = {"main": "", "wal": "-wal", "journal": "-journal"}
Key = Any
Values = tuple[Any, ...]
Pieces = tuple[tuple[Place, ...], ...]
"""The parts of a row, each with the places where its bytes stand, be it in an older version of the page."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A table whose rows are counted.

    `covering` are indexes with all its columns, as (root, columns); `references` are its foreign keys, as
    (parent table, pairs of own and parent's column).
    """

    name: str
    root: int
    columns: tuple[str, ...]
    record: tuple[str | None, ...]
    key: tuple[str, ...]
    covering: tuple[tuple[int, tuple[str, ...]], ...] = ()
    references: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()

    @property
    def has_rowid(self) -> bool:
        return not self.key


@dataclass(frozen=True, slots=True)
class TrueRow:
    """A row: its values, its pieces, and each covering index entry's pieces."""

    values: Values
    pieces: Pieces = field(repr=False)
    cell: Cell = field(repr=False)
    entries: tuple[Pieces, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Truth:
    """One state of a database; `roles` says what each page is for, `names` which object a root belongs to."""

    tables: dict[str, dict[Key, TrueRow]]
    specs: tuple[Spec, ...]
    roles: Mapping[int, Role]
    names: Mapping[int, str]
    store: Store
    excused: set[tuple[str, Key]] = field(default_factory=set[tuple[str, Key]])

    @property
    def rows(self) -> int:
        return sum(len(rows) for rows in self.tables.values())


def text_of(held: bytes) -> str | bytes:
    """Give a text that SQLite selects; bytes where it is no UTF-8."""
    try:
        return held.decode()
    except UnicodeDecodeError:
        return held


def open_copy(files: Mapping[str, bytes], folder: Path) -> sqlite3.Connection:
    """Write the files into a folder and open them with SQLite."""
    path = folder / "copy.db"
    for name, suffix in SUFFIXES.items():
        if files.get(name):
            (folder / f"copy.db{suffix}").write_bytes(files[name])
    connection = sqlite3.connect(path, isolation_level=None)
    connection.text_factory = text_of
    return connection


def read_specs(connection: sqlite3.Connection) -> tuple[Spec, ...]:
    """Describe the tables whose rows are counted: ordinary ones, and FTS5 tables that hold their content."""
    roots = dict(
        connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE type IN ('table', 'index')")
    )
    specs: list[Spec] = []
    for _, name, kind, _, no_rowid, _ in connection.execute("PRAGMA main.table_list").fetchall():
        if name.startswith("sqlite_") or kind not in ("table", "virtual"):
            continue
        if kind == "virtual":
            if f"{name}_content" in roots:
                columns = tuple(row[1] for row in connection.execute(f'PRAGMA table_info("{name}")'))
                specs.append(Spec(name, roots[f"{name}_content"], columns, (None, *columns), ()))
            continue
        specs.append(_spec(connection, name, roots, without_rowid=bool(no_rowid)))
    return tuple(specs)


def _spec(
    connection: sqlite3.Connection, name: str, roots: Mapping[str, int], *, without_rowid: bool
) -> Spec:
    info = connection.execute(f'PRAGMA table_xinfo("{name}")').fetchall()
    stored = [row for row in info if row[6] != 2]
    columns = tuple(row[1] for row in stored)
    keys = sorted((row[5], row[1], row[2]) for row in info if row[5])
    alias = keys[0][1] if len(keys) == 1 and keys[0][2].upper() == "INTEGER" and not without_rowid else None
    if without_rowid:
        key = tuple(row[1] for row in keys)
        record = (*key, *(column for column in columns if column not in key))
        return Spec(name, roots[name], columns, record, key, references=_references(connection, name))
    covering: list[tuple[int, tuple[str, ...]]] = []
    for _, index, *_ in connection.execute(f'PRAGMA index_list("{name}")').fetchall():
        parts = connection.execute(f'PRAGMA index_xinfo("{index}")').fetchall()
        held = tuple(part[2] or alias or "rowid" for part in parts if part[1] >= -1)
        if {*columns} <= {*held} and len(held) == len(parts):
            covering.append((roots[index], held))
    record = tuple(None if column == alias else column for column in columns)
    return Spec(name, roots[name], columns, record, (), tuple(covering), _references(connection, name))


def _references(
    connection: sqlite3.Connection, name: str
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    found: dict[int, tuple[str, list[tuple[str, str]]]] = {}
    for number, _, parent, own, theirs, *_ in connection.execute(f'PRAGMA foreign_key_list("{name}")'):
        found.setdefault(number, (parent, []))[1].append((own, theirs))
    return tuple((parent, tuple(pairs)) for parent, pairs in found.values())


def read_rows(connection: sqlite3.Connection, spec: Spec) -> dict[Key, Values]:
    """Give the rows of a table by rowid or key; what cannot be read is left out."""
    named = ", ".join(f'"{name}"' for name in (*(spec.key or ("rowid",)), *spec.columns))
    width = len(spec.key) or 1
    found: dict[Key, Values] = {}
    try:
        # a name in double quotes that is no column would be a string
        held = {row[1] for row in connection.execute(f'PRAGMA table_xinfo("{spec.name}")')}
        if not {*spec.columns} <= held:
            return {}
        for row in connection.execute(f'SELECT {named} FROM "{spec.name}"'):
            found[row[:width] if spec.key else row[0]] = row[width:]
    except sqlite3.DatabaseError:
        pass
    return found


def find_truth(files: Mapping[str, bytes], *, commits: int | None = None, rolled_back: bool = False) -> Truth:
    """Read what one state of sound files holds."""
    store = Store.of(files, commits=commits, rolled_back=rolled_back)
    whole = {"main": b"".join(store.page(number) for number in range(1, store.count + 1))}
    versions = _versions(files, store.size)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_copy(_without_log(whole), Path(folder))) as copy,
    ):
        specs = read_specs(copy)
        names = dict(copy.execute("SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0"))
        tables = {spec.name: dict(_rows(store, spec, read_rows(copy, spec), versions)) for spec in specs}
    for root in (1, *names):
        if not any(role.root == root for role in store.roles.values()):
            for _ in store.cells(root):
                pass
    store.note_free_pages()
    return Truth(tables, specs, store.roles, {1: "sqlite_schema", **names}, store)


def _without_log(files: Mapping[str, bytes]) -> dict[str, bytes]:
    # the copy has no log, and must not make one: journal modes stand in bytes 18 and 19
    main = files["main"]
    return {"main": main[:18] + b"\1\1" + main[20:]}


def _versions(files: Mapping[str, bytes], size: int) -> dict[int, list[tuple[str, int]]]:
    found = {number + 1: [("main", number * size)] for number in range(len(files["main"]) // size)}
    for number, at, _ in log_frames(files.get("wal", b"")):
        found.setdefault(number, []).append(("wal", at))
    if files.get("journal", b"")[:1] == b"\xd9":
        for number, at in journal_records(files["journal"], size):
            found.setdefault(number, []).append(("journal", at))
    return found


def _rows(
    store: Store, spec: Spec, values: Mapping[Key, Values], versions: Mapping[int, list[tuple[str, int]]]
) -> Iterator[tuple[Key, TrueRow]]:
    entries: dict[Key, list[Pieces]] = {}
    for root, held in spec.covering:
        for cell in store.cells(root):
            # the rowid is always the last value of an entry
            key = decode_record(cell.record, store.encoding)[len(held) - 1]
            entries.setdefault(key, []).append(_pieces(store, cell, versions))
    for cell in store.cells(spec.root):
        key: Key = cell.rowid
        if spec.key:
            key = tuple(decode_record(cell.record, store.encoding)[: len(spec.key)])
        yield key, TrueRow(values[key], _pieces(store, cell, versions), cell, tuple(entries.get(key, ())))


def _pieces(store: Store, cell: Cell, versions: Mapping[int, list[tuple[str, int]]]) -> Pieces:
    """Find each part of a cell in every version of its page."""
    pieces: list[tuple[Place, ...]] = []
    for place, number in zip(cell.places, cell.pages):
        others = versions[number]
        held = store.files[place.file][place.start : place.start + place.length]
        same = [place]
        for file, start in others if len(others) > 1 else ():
            at = store.files[file].find(held, start, start + store.size)
            if at >= 0 and (file, at) != (place.file, place.start):
                same.append(Place(file, at, place.length))
        pieces.append(tuple(same))
    return tuple(pieces)
