"""Salvage of one file: every row that can be read, by table, and every one that has no place.

The order of belief: the sound pages that the schema leads to, then damaged pages in their place, then
orphans, then what indexes know. A row that a complete index does not name is deleted and stays
so. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from datalayer.errors import DatabaseCorrupt
from datalayer.schema.salvage.header import Stamps, read_stamps
from datalayer.schema.salvage.image import Image
from datalayer.schema.salvage.judge import Judge
from datalayer.schema.salvage.outcome import (
    BadText,
    LostRow,
    Problem,
    Row,
    Salvaged,
    SalvagedTable,
    TableCounts,
    Value,
    Written,
)
from datalayer.schema.salvage.placing import is_suspect, place
from datalayer.schema.salvage.reading import Reading
from datalayer.schema.salvage.realign import realign, realign_within
from datalayer.schema.salvage.rows import TableRows
from datalayer.schema.salvage.survey import Holding, Progress, Survey, survey
from datalayer.schema.salvage.walk import Tree
from datalayer.schema.snapshot import Schema
from datalayer.schema.tokens import fold

__all__ = [
    "BadText",
    "LostRow",
    "Problem",
    "Row",
    "Salvaged",
    "SalvagedTable",
    "TableCounts",
    "Value",
    "Written",
    "choose",
    "salvage",
]


_LEAST_SUSPECTS = 3
_FAULTS_A_FRAME = 3


def salvage(
    path: str | Path, expected: Schema | None = None, *, progress: Progress | None = None
) -> Salvaged:
    """Read what can be read of a database file, its log and journal; rows come when they are asked for.

    `expected` is the schema it should have, for what the file no longer tells. `progress` is called with
    pages done and pages in all. Close the result. Raises DatabaseUnavailable where the file cannot be opened,
    DatabaseCorrupt where nothing of a database is in it.
    """
    image = Image.read(path)
    try:
        reading, found = choose(image, expected, progress)
        judge = Judge(found.catalog.schema)
        loose = place(found, judge)
        judge.close()
        return _salvaged(image, reading, found, loose)
    except BaseException:
        image.close()
        raise


def choose(
    image: Image, expected: Schema | None = None, progress: Progress | None = None
) -> tuple[Reading, Survey]:
    """Give the physically cleanest reading of the files, and its survey; of equals what SQLite would take."""
    readings = image.readings()
    best: tuple[Reading, Survey] | None = None
    least = 0
    for reading in readings:
        reading = realign(reading, read_stamps(image.data[:100]))
        found = survey(reading, _stamps(reading), expected, progress)
        faults = untidiness(found)
        if not _has_content(found):
            continue
        reading, found, faults = _put_right(reading, found, faults, expected)
        if reading.name == "main+wal" and image.wal is not None:
            # what a bad frame leaves behind is the frame's fault, and no sign that the log is stale
            faults -= _FAULTS_A_FRAME * image.wal.bad_frames
        if best is None or faults < least:
            best, least = (reading, found), faults
    if best is None:
        raise DatabaseCorrupt(
            f"{image.path} holds nothing of a SQLite database",
            why="no page of it looks like one; it may be encrypted or another kind of file",
            hint="restore a backup",
        )
    return best


def _put_right(
    reading: Reading, found: Survey, faults: int, expected: Schema | None
) -> tuple[Reading, Survey, int]:
    """Try whether a run of pages that cannot be read is shifted; keep what is cleaner."""
    suspects = sorted({problem.page for problem in found.walk.problems if problem.page})
    if reading.overlay or len(suspects) < _LEAST_SUSPECTS:
        return reading, found, faults
    other = realign_within(reading, [number for number in suspects if number > 1])
    if other is reading:
        return reading, found, faults
    again = survey(other, _stamps(other), expected)
    less = untidiness(again)
    return (other, again, less) if less < faults else (reading, found, faults)


def untidiness(found: Survey) -> int:
    """Count what is wrong with the pages of a survey: defects, orphans, tables and indexes that disagree."""
    walk = found.walk
    apart = 0
    for holding in found.holdings.values():
        partial = {index.name for index in holding.indexes if index.is_partial}
        for name, tree in holding.index_trees.items():
            if holding.tree is not None and name not in partial and tree.cells != holding.tree.cells:
                apart += 2
    orphans = sum(1 for _ in walk.orphans()) + sum(len(tree.leaves) + len(tree.inner) for tree in found.loose)
    given_up = 5 * len(found.catalog.given_up)
    return len(walk.problems) + orphans + apart + given_up


def _stamps(reading: Reading) -> Stamps:
    return read_stamps(reading.page(1))


def _has_content(found: Survey) -> bool:
    trees = found.walk.trees.values()
    return any(tree.cells for tree in trees) or any(
        tree.leaves for tree in trees if tree.root == 1 and found.catalog.source
    )


def _salvaged(image: Image, reading: Reading, found: Survey, loose: list[Tree]) -> Salvaged:
    stamps = _stamps(reading)
    tables: dict[str, SalvagedTable] = {}
    for name, holding in found.holdings.items():
        if not name.startswith("sqlite_"):
            tables[holding.table.name] = _table(found, holding)
    return Salvaged(
        schema=replace(
            found.catalog.schema, user_version=stamps.user_version, application_id=stamps.application_id
        ),
        schema_source=found.catalog.source,
        tables=tables,
        unplaced=_unplaced(found, loose),
        problems=(*reading.problems, *found.walk.problems),
        reading=reading.name,
        encoding=reading.layout.encoding,
        page_size=reading.layout.page_size,
        auto_vacuum=0 if not reading.layout.auto_vacuum else 2 if stamps.incremental else 1,
        user_version=stamps.user_version,
        application_id=stamps.application_id,
        sequences=_sequences(found),
        close=image.close,
    )


def _table(found: Survey, holding: Holding) -> SalvagedTable:
    return SalvagedTable(
        holding.table,
        TableRows(found.content, holding),
        holding.is_complete and not is_suspect(holding),
        sum(len(tree.leaves) + len(tree.inner) for tree in holding.trees),
        sum(len(tree.leaves) + len(tree.inner) for tree in holding.adopted),
    )


def _unplaced(found: Survey, loose: list[Tree]) -> Callable[[], Iterator[LostRow]]:
    def rows() -> Iterator[LostRow]:
        for tree in loose:
            for record in found.content.records(tree):
                if record.values is not None:
                    yield LostRow(None, record.rowid, record.values, "no table is known for it", record.page)

    return rows


def _sequences(found: Survey) -> dict[str, int]:
    holding = found.holdings.get("sqlite_sequence")
    if holding is None:
        return {}
    names = {fold(table.name): table.name for table in found.catalog.schema.tables}
    sequences: dict[str, int] = {}
    for row in TableRows(found.content, holding)(lambda _: None):
        name, number = row.values[0], row.values[1]
        if isinstance(name, str) and isinstance(number, int) and fold(name) in names:
            sequences[names[fold(name)]] = max(number, sequences.get(names[fold(name)], 0))
    return sequences
