"""Physical findings for check-db: what is wrong with the files and pages of a database.

Reads the files without SQLite and writes nothing. SQLite's own check passes over much of this: free and
orphaned pages where a view comes first, logs that it would throw away, pages behind the counted ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from datalayer.errors import DatabaseCorrupt
from datalayer.schema.finding import Finding, Repair, Severity
from datalayer.schema.salvage.header import MAGIC, Stamps, read_stamps
from datalayer.schema.salvage.image import Image
from datalayer.schema.salvage.outcome import Problem
from datalayer.schema.salvage.pages import header_of
from datalayer.schema.salvage.pointermap import map_problems
from datalayer.schema.salvage.reading import Reading
from datalayer.schema.salvage.recover import choose
from datalayer.schema.salvage.survey import Progress, Survey
from datalayer.schema.salvage.wal import wal_checksum, wal_page_size
from datalayer.schema.snapshot import Schema

__all__ = ["inspect"]

_KINDS: dict[str, tuple[str, Severity, Repair]] = {
    "empty": ("DL-C100", "error", "manual"),
    "not-a-database": ("DL-C100", "error", "manual"),
    "file-size": ("DL-C101", "error", "lossy"),
    "shift": ("DL-C102", "error", "lossy"),
    "page-count": ("DL-C103", "error", "automatic"),
    "header": ("DL-C104", "error", "automatic"),
    "root": ("DL-C110", "error", "lossy"),
    "page": ("DL-C110", "error", "lossy"),
    "child": ("DL-C111", "error", "lossy"),
    "page-order": ("DL-C111", "error", "lossy"),
    "used-twice": ("DL-C112", "error", "lossy"),
    "overflow": ("DL-C113", "error", "lossy"),
    "freelist": ("DL-C114", "error", "automatic"),
    "freelist-count": ("DL-C114", "error", "automatic"),
    "pointer-map": ("DL-C115", "error", "automatic"),
    "orphan": ("DL-C116", "error", "lossy"),
    "disagreement": ("DL-C117", "error", "automatic"),
    "schema": ("DL-C118", "error", "lossy"),
    "wal-header": ("DL-C120", "error", "lossy"),
    "wal-frame": ("DL-C120", "error", "lossy"),
    "wal-stale": ("DL-C121", "error", "automatic"),
    "journal-header": ("DL-C122", "error", "lossy"),
    "journal-record": ("DL-C122", "error", "lossy"),
    "journal-hot": ("DL-C123", "warning", "automatic"),
}


def inspect(
    path: str | Path,
    expected: Schema | None = None,
    *,
    quick: bool = False,
    progress: Progress | None = None,
) -> list[Finding]:
    """Find what is wrong with the files of a database; `expected` helps where its schema is gone.

    `quick` looks at the headers of the file, its log and its first page only: a few reads, whatever the size.
    Else every page is accounted for. Raises DatabaseUnavailable where the file cannot be read.
    """
    path = Path(path)
    if quick:
        return _findings((problem, None) for problem in _quick(path))
    try:
        with Image.read(path) as image:
            reading, found = choose(image, expected, progress)
            named = _owners(found)
            problems = [*_of_files(image, reading), *_of_pages(found)]
            return _findings(
                (problem, named.get(problem.page) if problem.page else None) for problem in problems
            )
    except DatabaseCorrupt as exc:
        kind = "empty" if path.stat().st_size == 0 else "not-a-database"
        return _findings([(Problem(kind, None, exc.what), None)])


def _findings(problems: Iterable[tuple[Problem, str | None]]) -> list[Finding]:
    """Make one finding of all problems of a kind in a table; the message is the first one's."""
    grouped: dict[tuple[str, str | None], list[Problem]] = {}
    for problem, table in problems:
        grouped.setdefault((_known(problem.kind), table), []).append(problem)
    found: list[Finding] = []
    for (kind, table), same in grouped.items():
        name, severity, repair = _KINDS[kind]
        more = f" (and {len(same) - 1} more)" if len(same) > 1 else ""
        found.append(Finding(name, severity, table, None, len(same), same[0].message + more, repair))
    return sorted(found, key=lambda finding: (finding.id, finding.table or ""))


def _known(kind: str) -> str:
    return kind if kind in _KINDS else "header"


def _owners(found: Survey) -> dict[int, str]:
    """Give the table of each damaged page."""
    return {
        number: holding.table.name
        for holding in found.holdings.values()
        for tree in (*holding.trees, *holding.index_trees.values())
        for number in tree.broken
    }


def _of_files(image: Image, reading: Reading) -> Iterator[Problem]:
    yield from reading.problems
    if image.wal is not None:
        if reading.name != "main+wal":
            yield Problem("wal-stale", None, "the write-ahead log does not belong to this state of the file")
        else:
            return
    if image.journal is not None and reading.name == "main+journal":
        yield Problem("journal-hot", None, "a transaction did not end; opening the file rolls it back")


def _of_pages(found: Survey) -> Iterator[Problem]:
    walk = found.walk
    yield from walk.problems
    yield from map_problems(walk)
    for tree in found.loose:
        count = len(tree.leaves) + len(tree.inner)
        yield Problem(
            "orphan", tree.root, f"nothing leads to page {tree.root} and {count - 1} pages below it"
        )
    for number in walk.orphans():
        yield Problem("orphan", number, f"nothing leads to page {number}")
    for entry in found.catalog.given_up:
        yield Problem("schema", 1, f"the statement of {entry.kind} {entry.name} cannot be read")
    yield from _disagreements(found)


def _disagreements(found: Survey) -> Iterator[Problem]:
    for holding in found.holdings.values():
        partial = {index.name for index in holding.indexes if index.is_partial}
        for name, tree in holding.index_trees.items():
            if holding.tree is not None and name not in partial and tree.cells != holding.tree.cells:
                message = f"index {name} has {tree.cells} entries for {holding.tree.cells} rows"
                yield Problem("disagreement", None, message)


def _quick(path: Path) -> Iterator[Problem]:
    with Image.opened(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(112)
        if not size:
            yield Problem("empty", None, f"{path} is empty")
            return
        stamps = read_stamps(start)
        yield from _of_header(stamps, size)
        if stamps.magic == MAGIC and stamps.page_size >= 512:
            root = header_of(start.ljust(stamps.page_size, b"\0"), 100)
            if root is None:
                yield Problem("page", 1, "the first page holds no table of tables")
    yield from _of_wal(path)


def _of_header(stamps: Stamps, size: int) -> Iterator[Problem]:
    if stamps.magic != MAGIC:
        yield Problem("header-magic", 1, "the file does not begin with the words of a SQLite database")
        return
    if stamps.page_size not in {1 << power for power in range(9, 17)}:
        yield Problem("header-page-size", 1, f"the page size {stamps.page_size} is none that exists")
        return
    if size % stamps.page_size:
        yield Problem("file-size", None, "the file is no whole number of pages")
    elif stamps.is_page_count_valid and stamps.page_count != size // stamps.page_size:
        count = size // stamps.page_size
        yield Problem(
            "page-count", 1, f"the header tells of {stamps.page_count} pages, the file holds {count}"
        )
    if stamps.fractions != b"\x40\x20\x20" or stamps.encoding > 3 or stamps.schema_format > 4:
        yield Problem("header", 1, "a field of the header has a value that none can have")


def _of_wal(path: Path) -> Iterator[Problem]:
    """Check the header of the log: where it is damaged, opening the file throws it away."""
    beside = path.with_name(path.name + "-wal")
    if not beside.exists():
        return
    with Image.opened(beside) as file:
        head = file.read(32)
        size = file.seek(0, 2)
    if size <= 32:
        return
    stored = (int.from_bytes(head[24:28], "big"), int.from_bytes(head[28:32], "big"))
    if wal_page_size(head) is None or wal_checksum(head[:24], (0, 0), big=bool(head[3] & 1)) != stored:
        yield Problem(
            "wal-header", None, "the header of the write-ahead log is damaged; do not open the file"
        )
