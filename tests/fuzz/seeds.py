"""The small databases that fuzzing starts from: one of each feature of the file format, the same every time.

They are kept in the corpus, as an input is a list of changes to the bytes of one of them, and the bytes that
SQLite writes differ between its versions. `python tests/fuzz/fuzz_salvage.py --make-seeds` makes them anew,
after which the inputs of the corpus mean something else: only ever add to the end of SEEDS.
"""

from __future__ import annotations

import sqlite3
import tempfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import pack, unpack_from

from support.salvage_case import Rows, truth

from datalayer.schema.snapshot import Schema, read
from fuzz.resealing import reseal_journal, reseal_wal

__all__ = ["CORPUS", "SEEDS", "SUFFIXES", "Files", "Seed", "make_seed", "read_seed", "write_files"]

CORPUS = Path(__file__).parent / "corpus"
SUFFIXES = ("", "-wal", "-journal")
Files = tuple[bytes, bytes, bytes]
"""The bytes of a database, its log and its journal; none stands for no log or no journal."""

_PLAIN = """
CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, born INTEGER,
  height REAL, photo BLOB, CHECK (born > 0));
CREATE TABLE pet (owner INTEGER NOT NULL REFERENCES person (id), kind TEXT, weight REAL DEFAULT 1.5);
CREATE INDEX pet_by_owner ON pet (owner, kind);
"""
_KEYED = """
CREATE TABLE word (lang TEXT, word TEXT, n INTEGER, note TEXT, PRIMARY KEY (word, lang)) WITHOUT ROWID;
CREATE INDEX word_by_n ON word (n DESC);
CREATE TABLE pair (a INTEGER, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
"""
_ODD = """
CREATE TABLE "a ""table"" [of] `names`" ("select" TEXT, "x y" ANY, PRIMARY KEY ("select")) STRICT;
CREATE TABLE made (a INTEGER, b TEXT GENERATED ALWAYS AS (a || '!') STORED, c AS (a * 2), d BLOB);
CREATE INDEX made_partial ON made (c, b) WHERE a > 3;
CREATE INDEX made_expression ON made (a + 1, lower(b) COLLATE NOCASE);
CREATE TABLE empty (a, b, c);
CREATE VIEW seen AS SELECT * FROM made;
CREATE TRIGGER after_made AFTER INSERT ON made WHEN NEW.a < 0 BEGIN DELETE FROM made WHERE a = NEW.a; END;
CREATE TABLE looped (id INTEGER PRIMARY KEY, up INTEGER REFERENCES looped (id));
"""
_CONFLICT = """
CREATE TABLE fussy (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, name TEXT UNIQUE ON CONFLICT REPLACE,
  size INTEGER NOT NULL ON CONFLICT IGNORE, code INTEGER UNIQUE ON CONFLICT IGNORE,
  CONSTRAINT small CHECK (size < 100) ON CONFLICT IGNORE);
"""
_COVERED = """
CREATE TABLE covered (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c);
CREATE INDEX covered_all ON covered (a, b, c);
CREATE UNIQUE INDEX covered_b ON covered (b);
"""


def _fill_plain(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany(
        "INSERT INTO person VALUES (?, ?, ?, ?, ?)",
        [
            (n, f"Zoë {n} 你", 1900 + n, n / 8 if n % 5 else None, bytes(range(n % 70)))
            for n in range(1, count)
        ],
    )
    connection.executemany(
        "INSERT INTO pet VALUES (?, ?, ?)",
        [(n % (count - 1) + 1, ("cat", "dog", None)[n % 3], n * 1e3) for n in range(count)],
    )


def _fill_keyed(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany(
        "INSERT INTO word VALUES (?, ?, ?, ?)",
        [("de" if n % 2 else "en", f"word{n * 37 % 101}", n, "x" * (n * 11 % 90)) for n in range(count)],
    )
    connection.executemany("INSERT INTO pair VALUES (?, ?)", [(n, -n) for n in range(count)])


def _fill_odd(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany(
        'INSERT INTO "a ""table"" [of] `names`" VALUES (?, ?)', [(str(n), n * 1.5) for n in range(count)]
    )
    connection.executemany("INSERT INTO made (a, d) VALUES (?, ?)", [(n, b"\0" * n) for n in range(count)])
    connection.executemany("INSERT INTO looped VALUES (?, ?)", [(n, n // 2 or None) for n in range(1, count)])


def _fill_covered(connection: sqlite3.Connection, count: int) -> None:
    values = (None, 1 << 40, -1, 0.25, "text", b"blob", 0)
    connection.executemany(
        "INSERT INTO covered VALUES (?, ?, ?, ?)",
        [(n * n - 50, f"key {n % 13}", n, values[n % 7]) for n in range(count)],
    )


def _fill_one(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany("INSERT INTO one VALUES (?, ?)", [(n, "b" * (n % 9)) for n in range(count)])


def _fill_deep(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany("INSERT INTO one VALUES (?, ?)", [(n, "b" * (n % 9 * 16)) for n in range(count)])


def _spill(connection: sqlite3.Connection, count: int) -> None:
    """Give texts and blobs that take one to many overflow pages, in a table and in an index."""
    connection.execute("CREATE TABLE doc (id INTEGER PRIMARY KEY, body TEXT, data BLOB, tail)")
    connection.execute("CREATE INDEX doc_by_body ON doc (body)")
    connection.executemany(
        "INSERT INTO doc VALUES (?, ?, ?, ?)",
        [(n, f"{n} " * (n * 97 % 900), bytes([n]) * (n * 331 % 2500), n) for n in range(count)],
    )


def _free(connection: sqlite3.Connection, count: int) -> None:
    _spill(connection, count)
    connection.execute("DELETE FROM doc WHERE id % 3 > 0")


def _widen(connection: sqlite3.Connection, count: int) -> None:
    """Give rows that are shorter than the table, as columns came later; and what ANALYZE keeps."""
    connection.executemany("INSERT INTO person (name) VALUES (?)", [(f"early {n}",) for n in range(count)])
    for n in range(5):
        connection.execute(f"ALTER TABLE person ADD COLUMN more{n} DEFAULT {n or 'NULL'}")
        connection.execute(f"INSERT INTO person (name, more{n}) VALUES ('late {n}', 'given')")
    connection.execute("ANALYZE")


def _search(connection: sqlite3.Connection, count: int) -> None:
    connection.execute("CREATE VIRTUAL TABLE page USING fts5 (title, body)")
    connection.executemany(
        "INSERT INTO page VALUES (?, ?)", [(f"title {n}", f"some text {n}") for n in range(count)]
    )


def _lie(connection: sqlite3.Connection, count: int) -> None:
    """Give a sqlite_schema whose statements are none of those that SQLite stores there."""
    _fill_plain(connection, count)
    connection.execute("PRAGMA writable_schema = ON")
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    connection.executemany(
        "INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)",
        [
            ("table", "made_of_query", "made_of_query", 2, "CREATE TABLE made_of_query AS SELECT 1 AS a"),
            ("table", "PERSON", "PERSON", 3, "CREATE TABLE PERSON (other)"),
            ("table", "sqlite_own", "sqlite_own", 4, "CREATE TABLE sqlite_own (a)"),
            ("view", "endless", "endless", 0, f"CREATE VIEW endless AS {endless}"),
            ("index", "nowhere", "missing", 99, "CREATE INDEX nowhere ON missing (a)"),
            ("trigger", "bad", "person", 0, "CREATE TRIGGER bad AFTER INSERT ON nothing BEGIN SELECT 1; END"),
            ("table", "", "", 5, "CREATE TABLE '' (a)"),
            ("table", "lost_and_found", "lost_and_found", 2, "CREATE TABLE lost_and_found (a, b)"),
        ],
    )


def _fill_conflict(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany(
        "INSERT INTO fussy VALUES (?, ?, ?, ?)", [(n, f"key {n}", n % 7, n * 3) for n in range(count)]
    )


Fill = Callable[[sqlite3.Connection, int], None]


@dataclass(frozen=True, slots=True)
class Seed:
    """How one of the databases is made; `is_sound` says that SQLite itself has no complaint of it."""

    name: str
    page_size: int
    script: str
    fill: Fill
    count: int
    encoding: str = "UTF-8"
    auto_vacuum: int = 0
    reserved: int = 0
    companion: str = ""
    is_sound: bool = True


SEEDS = (
    Seed("plain-512", 512, _PLAIN, _fill_plain, 25),
    Seed("plain-1024", 1024, _PLAIN, _fill_plain, 12),
    Seed("plain-4096", 4096, _PLAIN, _fill_plain, 20),
    Seed("plain-16384", 16384, _COVERED, _fill_covered, 12),
    Seed("plain-65536", 65536, "CREATE TABLE one (a, b);", _fill_one, 9),
    Seed("utf16le-512", 512, _PLAIN, _fill_plain, 14, encoding="UTF-16le"),
    Seed("utf16be-1024", 1024, _KEYED, _fill_keyed, 14, encoding="UTF-16be"),
    Seed("auto-vacuum-512", 512, _PLAIN, _fill_plain, 25, auto_vacuum=1),
    Seed("incremental-512", 512, "", _free, 9, auto_vacuum=2),
    Seed("keyed-512", 512, _KEYED, _fill_keyed, 40),
    Seed("overflow-512", 512, "", _spill, 10),
    Seed("freelist-512", 512, "", _free, 18),
    Seed("deep-512", 512, "CREATE TABLE one (a, b);", _fill_deep, 210),
    Seed("reserved-512", 512, _PLAIN, _fill_plain, 20, reserved=32),
    Seed("odd-1024", 1024, _ODD, _fill_odd, 10),
    Seed("covered-512", 512, _COVERED, _fill_covered, 40),
    Seed("widened-1024", 1024, _PLAIN, _widen, 6),
    Seed("search-512", 512, "", _search, 4),
    Seed("wal-512", 512, _PLAIN, _fill_plain, 16, companion="wal"),
    Seed("wal-4096", 4096, _KEYED, _fill_keyed, 12, companion="wal"),
    Seed("wal-only-512", 512, _COVERED, _fill_covered, 12, companion="wal only"),
    Seed("hot-512", 512, _PLAIN, _fill_plain, 20, companion="journal"),
    Seed("hot-1024", 1024, _KEYED, _fill_keyed, 30, companion="journal"),
    Seed("lying-512", 512, _PLAIN, _lie, 8, is_sound=False),
    Seed("conflict-512", 512, _CONFLICT, _fill_conflict, 30),
)


def make_seed(seed: Seed) -> Files:
    """Make the files of a seed with SQLite; salts and nonces, which it draws at random, become fixed ones."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.sqlite")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for name in ("page_size", "encoding", "auto_vacuum"):
                connection.execute(f"PRAGMA {name} = '{getattr(seed, name)}'")
            if seed.reserved:
                _reserve(connection, path, seed)
            if seed.companion.startswith("wal"):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")
            _fill(connection, seed)
            files = _taken(connection, path, seed)
    return files[0], reseal_wal(files[1], salt=b"\1\2\3\4\5\6\7\x08"), reseal_journal(files[2], nonce=77)


def _fill(connection: sqlite3.Connection, seed: Seed) -> None:
    connection.executescript(seed.script)
    connection.execute("BEGIN")
    seed.fill(connection, seed.count)
    connection.execute("COMMIT")


def _reserve(connection: sqlite3.Connection, path: Path, seed: Seed) -> None:
    """Reserve bytes of each page, which takes a file control: here a fresh first page is edited instead."""
    connection.execute("VACUUM")
    data = bytearray(path.read_bytes())
    data[20] = seed.reserved
    data[105:107] = pack(">H", seed.page_size - seed.reserved)
    path.write_bytes(data)


def _taken(connection: sqlite3.Connection, path: Path, seed: Seed) -> Files:
    """Copy the files, in the midst of a transaction where there shall be a hot journal."""
    if seed.companion == "wal":
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    if seed.companion:
        table = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchone()[0]
        if seed.companion == "journal":
            connection.execute("PRAGMA cache_size = 3")
            connection.execute("PRAGMA cache_spill = 3")
            connection.execute("BEGIN")
        for part in range(2):
            connection.execute(f"DELETE FROM {table} WHERE rowid_or_key % 5 = {part}".replace(*_key(table)))
    main, wal, journal = (
        other.read_bytes() if (other := Path(f"{path}{suffix}")).exists() else b"" for suffix in SUFFIXES
    )
    if seed.companion == "journal":
        connection.execute("ROLLBACK")
    return main, wal, journal


def _key(table: str) -> tuple[str, str]:
    return "rowid_or_key", {"word": "n", "person": "id"}.get(table, "rowid")


def pack_files(files: Files) -> bytes:
    """Give the files as they lie in the corpus."""
    return zlib.compress(pack(">3I", *map(len, files)) + b"".join(files), 9)


@cache
def read_seed(name: str) -> Files:
    """Read the files of a seed from the corpus."""
    data = zlib.decompress((CORPUS / "seeds" / name).read_bytes())
    sizes = unpack_from(">3I", data)
    first, second = 12 + sizes[0], 12 + sizes[0] + sizes[1]
    return data[12:first], data[first:second], data[second:]


def write_files(files: Files, path: Path) -> None:
    """Write a database with its log and its journal; what stood there of another goes."""
    for suffix, data in zip(SUFFIXES, files, strict=True):
        other = Path(f"{path}{suffix}")
        if data or not suffix:
            other.write_bytes(data)
        else:
            other.unlink(missing_ok=True)


@cache
def seed_truth(name: str) -> tuple[Schema, dict[str, Rows]]:
    """Give what SQLite itself reads of a sound seed: its schema and its rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.sqlite")
        write_files(read_seed(name), path)
        with closing(sqlite3.connect(path)) as connection:
            schema = read(connection)
        return schema, truth(path)
