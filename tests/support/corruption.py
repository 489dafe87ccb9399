"""Damage to the files of a database, with an account of which bytes are still those of the sound files.

A kind of damage is a function that is given a Damage and changes it through put, insert, cut, resize and swap
of its files; which rows can still be recovered then follows from the bytes alone. The kinds stand in
corruption_pages, corruption_fields, corruption_logs and corruption_rows; `all_kinds()` gives them.
"""

from __future__ import annotations

import importlib
import random
import sqlite3
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from support.corruption_bases import Base, make_base
from support.corruption_format import Place
from support.corruption_truth import SUFFIXES, TrueRow, Truth, find_truth, text_of

__all__ = ["FAMILIES", "KINDS", "Damage", "Kind", "TrackedFile", "all_kinds", "damaged", "kind"]

FAMILIES = ("physical", "header", "schema", "index", "wal", "journal", "freelist", "logical", "environment")
PLAIN = ("own", "app-512", "app-1024-full", "app-2048-utf16be", "app-4096", "app-4096-utf16le", "app-65536")


class Run(NamedTuple):
    """Bytes that stem from `start` of a sound file; file "" is for bytes that damage made."""

    file: str
    start: int
    length: int


class TrackedFile:
    """The bytes of a file, and where each of them comes from."""

    def __init__(self, name: str, data: bytes) -> None:
        self.data = bytearray(data)
        self.runs = [Run(name, 0, len(data))] if data else []

    def __len__(self) -> int:
        return len(self.data)

    def put(self, at: int, new: bytes) -> None:
        """Overwrite; bytes that were the same before and at an end of `new` still count as the file's own."""
        new = new[: len(self.data) - at]
        old = self.data[at : at + len(new)]
        first = next((place for place, pair in enumerate(zip(old, new)) if pair[0] != pair[1]), None)
        if first is None:
            return
        last = next(place for place in range(len(new) - 1, -1, -1) if old[place] != new[place])
        self._replace(at + first, last + 1 - first, new[first : last + 1], [Run("", 0, last + 1 - first)])

    def flip(self, at: int, mask: int) -> None:
        """Flip bits of a byte."""
        self.put(at, bytes([self.data[at] ^ mask]))

    def insert(self, at: int, new: bytes) -> None:
        """Push what follows towards the end."""
        self._replace(at, 0, new, [Run("", 0, len(new))])

    def cut(self, at: int, length: int) -> None:
        """Pull what follows towards the start."""
        self._replace(at, length, b"", [])

    def resize(self, length: int) -> None:
        """Cut off the end, or add zeros there."""
        if length < len(self.data):
            self.cut(length, len(self.data) - length)
        else:
            self.insert(len(self.data), bytes(length - len(self.data)))

    def copy(self, source: int, target: int, length: int) -> None:
        """Overwrite a run of bytes by another of the file."""
        self._replace(target, length, self.data[source : source + length], self._part(source, length))

    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange two runs of bytes."""
        held, runs = self.data[one : one + length], self._part(one, length)
        self.copy(other, one, length)
        self._replace(other, length, held, runs)

    def _part(self, at: int, length: int) -> list[Run]:
        found: list[Run] = []
        position = 0
        for run in self.runs:
            first, last = max(at, position), min(at + length, position + run.length)
            if first < last:
                start = run.start + first - position if run.file else 0
                found.append(Run(run.file, start, last - first))
            position += run.length
        return found

    def _replace(self, at: int, length: int, new: bytes, runs: Sequence[Run]) -> None:
        before, after = self._part(0, at), self._part(at + length, len(self.data) - at - length)
        self.data[at : at + length] = new
        self.runs = [*before, *runs, *after]


@dataclass(slots=True)
class Damage:
    """The files of a base while a kind damages them. `truth` is what the files should be brought back to.

    `excused` are rows that the damage made wrong or of which nothing tells what they should be: they may be
    in place or not. `form` is what stands in the main file's place: file, read-only, directory or missing.
    """

    base: Base
    rng: random.Random
    truth: Truth
    files: dict[str, TrackedFile]
    extra: dict[str, bytes] = field(default_factory=dict[str, bytes])
    form: str = "file"
    excused: set[tuple[str, Any]] = field(default_factory=set[tuple[str, Any]])
    past: set[tuple[str, Any, tuple[Any, ...]]] = field(default_factory=set[tuple[str, Any, tuple[Any, ...]]])

    @property
    def main(self) -> TrackedFile:
        return self.files["main"]

    @property
    def size(self) -> int:
        """Bytes of a page."""
        return self.base.page_size

    def at(self, page: int, offset: int = 0) -> int:
        """Give where a page, or a byte of it, stands in the main file."""
        return (page - 1) * self.size + offset

    def page(self, number: int) -> bytes:
        """Give the bytes of a page of the main file."""
        return bytes(self.main.data[self.at(number) : self.at(number + 1)])

    def put(self, page: int, offset: int, new: bytes) -> None:
        """Overwrite bytes of a page."""
        self.main.put(self.at(page, offset), new)

    def pages(self, *kinds: str, table: str | None = None, least: int = 0) -> list[int]:
        """Give the pages of these roles, of one table or of all but the schema's; the first page never."""
        found = [
            number
            for number, role in sorted(self.truth.roles.items())
            if role.kind in kinds
            and number > 1
            and (self.truth.names.get(role.root, "") == table if table else role.root != 1)
        ]
        if len(found) < least:
            raise LookupError(f"{self.base.name} has no {least} pages that are {kinds}")
        return found

    def choose(self, *kinds: str, count: int = 1, table: str | None = None) -> list[int]:
        """Draw pages of these roles."""
        found = self.pages(*kinds, table=table, least=1)
        return self.rng.sample(found, min(count, len(found)))

    def rows(self, *tables: str) -> list[tuple[str, Any, TrueRow]]:
        """Give the rows of these tables, or of all."""
        return [
            (table, key, row)
            for table, rows in self.truth.tables.items()
            if not tables or table in tables
            for key, row in rows.items()
        ]

    def write(self, folder: Path) -> Path:
        """Write the damaged files into a folder; give the path of the database."""
        path = folder / "damaged.db"
        for name, suffix in SUFFIXES.items():
            if name in self.files and (name != "main" or self.form in ("file", "read-only")):
                path.with_name(path.name + suffix).write_bytes(self.files[name].data)
        if self.form == "directory":
            path.mkdir()
        for name, data in self.extra.items():
            path.with_name(name).write_bytes(data)
        if self.form == "read-only":
            path.chmod(0o444)
        return path

    def run(self, work: Callable[[sqlite3.Connection], Iterable[tuple[str, Any]] | None]) -> None:
        """Damage by SQL, foreign keys off; new and changed rows are the truth's.

        `work` gives the rows that it made wrong: those are excused.
        """
        before = {(table, key, row.values) for table, key, row in self.rows()}
        with tempfile.TemporaryDirectory() as folder:
            path = self.write(Path(folder))
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.text_factory = text_of
                connection.execute("PRAGMA secure_delete = OFF")
                self.excused |= {*(work(connection) or ())}
            self.files = {"main": TrackedFile("main", path.read_bytes())}
        self.truth = find_truth({"main": bytes(self.main.data)})
        self.past = {*self.past, *before} - {(table, key, row.values) for table, key, row in self.rows()}

    def surviving(self) -> Callable[[Sequence[Sequence[Place]]], bool]:
        """Give a function that says whether all pieces of a row still stand somewhere, each whole."""
        runs: dict[str, list[tuple[int, int]]] = {}
        for tracked in self.files.values() if self.form in ("file", "read-only") else ():
            for run in tracked.runs:
                if run.file:
                    runs.setdefault(run.file, []).append((run.start, run.start + run.length))
        furthest: dict[str, list[int]] = {}
        for file, found in runs.items():
            found.sort()
            reached = 0
            furthest[file] = [reached := max(reached, stop) for _, stop in found]

        def stands(place: Place) -> bool:
            found = runs.get(place.file, [])
            last = bisect_right(found, (place.start, 1 << 62)) - 1
            # of the runs that begin before it, one that ends after it
            return last >= 0 and furthest[place.file][last] >= place.start + place.length

        return lambda pieces: all(any(map(stands, piece)) for piece in pieces)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of damage: its family, the bases it can be done to, and how it is done."""

    name: str
    family: str
    bases: tuple[str, ...]
    work: Callable[[Damage], object]


KINDS: dict[str, Kind] = {}


def kind(family: str, *bases: str) -> Callable[[Callable[[Damage], object]], Callable[[Damage], object]]:
    """Register a kind of damage under the function's name; without bases it can be done to all plain ones."""
    assert family in FAMILIES

    def register(work: Callable[[Damage], object]) -> Callable[[Damage], object]:
        name = work.__name__
        assert name not in KINDS, name
        KINDS[name] = Kind(name, family, bases or PLAIN, work)
        return work

    return register


def all_kinds() -> dict[str, Kind]:
    """Give every kind of damage by name."""
    for module in ("pages", "fields", "logs", "rows"):
        importlib.import_module(f"support.corruption_{module}")
    return dict(sorted(KINDS.items(), key=lambda item: FAMILIES.index(item[1].family)))


def damaged(name: str, seed: int, base: str | None = None, *more: str) -> Damage:
    """Do a kind of damage, and `more` of them after it; the seed chooses the base unless one is named."""
    found = all_kinds()[name]
    rng = random.Random(f"{name} {seed}")
    # kinds begin at different bases, so that one seed meets all of them
    turn = sum(name.encode()) + seed
    chosen = make_base(base or found.bases[turn % len(found.bases)])
    files = {file: TrackedFile(file, data) for file, data in chosen.files.items()}
    damage = Damage(chosen, rng, chosen.truth, files, past=set(chosen.past))
    for each in (found, *(all_kinds()[other] for other in more)):
        each.work(damage)
    return damage
