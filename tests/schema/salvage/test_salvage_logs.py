"""The log and the journal: what counts of them when they are damaged, stale or left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.salvage_case import SHOP, Format, Rows, create, false_rows, fill_shop, found_rows, missing, truth

from datalayer.schema.salvage.findings import inspect
from datalayer.schema.salvage.recover import salvage

FRAME = 24 + 1024


@dataclass(frozen=True)
class Logged:
    """A database whose log or journal counts: its files, and its rows as SQLite gives them."""

    path: Path
    log: Path
    rows: dict[str, Rows]

    def outcome(self) -> tuple[int, int, str]:
        with salvage(self.path) as salvaged:
            found = found_rows(salvaged)
            return missing(self.rows, found), false_rows(self.rows, found), salvaged.reading


def _copied(path: Path, suffix: str, folder: Path, rows: dict[str, Rows]) -> Logged:
    folder.mkdir()
    copy = folder / "copy.db"
    shutil.copy(path, copy)
    log = copy.with_name(copy.name + suffix)
    shutil.copy(path.with_name(path.name + suffix), log)
    return Logged(copy, log, rows)


@pytest.fixture
def wal(tmp_path: Path) -> Iterator[Logged]:
    path = tmp_path / "shop.db"
    with closing(create(path, SHOP, Format(1024))) as connection:
        fill_shop(connection, 200)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        for turn in range(4):
            connection.execute("UPDATE customer SET name = name || 'x' WHERE id % 7 = ?", (turn,))
            connection.execute("DELETE FROM line WHERE rowid % 53 = ?", (turn,))
        yield _copied(path, "-wal", tmp_path / "copy", truth(path))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Logged]:
    path = tmp_path / "shop.db"
    with closing(create(path, SHOP, Format(1024))) as connection:
        fill_shop(connection, 200)
        rows = truth(path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = 5")
        connection.execute("BEGIN")
        connection.execute("UPDATE customer SET name = 'changed ' || name")
        connection.execute("DELETE FROM line WHERE rowid % 2 = 0")
        connection.execute("UPDATE customer SET name = 'changed ' || name")
        yield _copied(path, "-journal", tmp_path / "copy", rows)
        connection.execute("ROLLBACK")


def _zeroed(start: int, end: int) -> Callable[[bytearray], None]:
    def harm(raw: bytearray) -> None:
        raw[start:end] = bytes(end - start)

    return harm


def _flipped(raw: bytearray) -> None:
    raw[32 + FRAME * 5 + 24 + 500] ^= 0xFF


@pytest.mark.parametrize(
    "harm",
    [
        _zeroed(0, 0),
        _zeroed(0, 32),
        _zeroed(16, 24),
        _zeroed(24, 32),
        _flipped,
        _zeroed(32 + FRAME * 5, 32 + FRAME * 5 + 24),
        _zeroed(32 + FRAME * 5 + 16, 32 + FRAME * 5 + 24),
    ],
    ids=["sound", "header", "salts", "checksum", "page", "frame header", "frame checksum"],
)
def test_what_was_committed_to_the_log_is_read(wal: Logged, harm: Callable[[bytearray], None]) -> None:
    raw = bytearray(wal.log.read_bytes())
    harm(raw)
    wal.log.write_bytes(raw)

    lacking, wrong, reading = wal.outcome()

    # a page that was overwritten and never written again is at most itself lost
    assert lacking <= 1 and wrong <= 1
    assert reading == "main+wal"


def test_a_log_whose_header_is_damaged_is_found_at_once(wal: Logged) -> None:
    raw = bytearray(wal.log.read_bytes())
    raw[:32] = bytes(32)
    wal.log.write_bytes(raw)

    assert [finding.id for finding in inspect(wal.path, quick=True)] == ["DL-C120"]


def test_a_log_of_an_older_file_is_not_replayed(wal: Logged, tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    with closing(create(path, SHOP, Format(1024))) as connection:
        fill_shop(connection, 210, seed=5)
        connection.execute("DELETE FROM line WHERE rowid % 3 = 1")
    shutil.copy(wal.log, path.with_name("newer.db-wal"))

    with salvage(path) as salvaged:
        found = found_rows(salvaged)
        assert salvaged.reading == "main"

    path.with_name("newer.db-wal").unlink()
    assert found == truth(path)


def _set(start: int, value: int) -> Callable[[bytearray], None]:
    def harm(raw: bytearray) -> None:
        raw[start : start + 4] = value.to_bytes(4, "big")

    return harm


# the header of a journal takes a sector, then records of number, page and checksum
RECORD = 512 + 25 * (1024 + 8)


@pytest.mark.parametrize(
    "harm",
    [
        _zeroed(0, 0),
        _zeroed(0, 28),
        _zeroed(12, 16),
        _zeroed(8, 12),
        _set(16, 20),
        _set(16, 99_999),
        _set(RECORD, 0x7FFFFFF1),
        _set(RECORD + 4 + 1024, 4711),
    ],
    ids=["sound", "header", "nonce", "count", "few pages", "many pages", "number", "checksum"],
)
def test_an_unfinished_transaction_is_rolled_back(journal: Logged, harm: Callable[[bytearray], None]) -> None:
    raw = bytearray(journal.log.read_bytes())
    harm(raw)
    journal.log.write_bytes(raw)

    assert journal.outcome() == (0, 0, "main+journal")


def test_a_journal_that_was_kept_after_a_commit_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    with closing(create(path, SHOP, Format(1024))) as connection:
        fill_shop(connection, 200)
        connection.execute("PRAGMA journal_mode = PERSIST").fetchall()
        connection.execute("UPDATE customer SET name = 'changed ' || name")
    assert path.with_name("kept.db-journal").stat().st_size > 1024

    with salvage(path) as salvaged:
        assert salvaged.reading == "main"
        assert found_rows(salvaged) == truth(path)
    assert inspect(path) == []
