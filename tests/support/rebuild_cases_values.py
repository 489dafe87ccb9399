"""Values that a copy may spoil: every storage class, odd bytes, odd numbers, many columns, long rows."""

from __future__ import annotations

from collections.abc import Iterator

from support.rebuild_case import Case

_TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v{}, w{});"
_VALUES: dict[str, tuple[object, ...]] = {
    "integers at their limits": (0, 1, -1, 127, 128, -129, 2**31, 2**47, 2**53 + 1, 2**63 - 1, -(2**63)),
    "reals": (
        0.0,
        -0.0,
        0.1,
        1 / 3,
        1e308,
        5e-324,
        float("inf"),
        float("-inf"),
        float("nan"),
        123456789.123456789,
    ),
    "texts": ("", " ", "a\x00b", "\x00", "é", "𝔘", "' \" ` ] ;", "--", "1", "01", "1.0", "NULL", "\r\n\t"),
    "blobs": (b"", b"\x00", b"\x00abc\x00", bytes(range(256)), b"text", b"\xff\xfe"),
}
_INVALID = (b"\xff\xfe\xfd", b"ok\x80", b"\xed\xa0\x80", b"\x00\xc3", b"\xc0\x80")


def cases() -> Iterator[Case]:
    for kind, values in _VALUES.items():
        for declared in ("", " TEXT", " INTEGER", " REAL", " NUMERIC", " BLOB"):
            yield Case(
                f"{kind} in a column of type{declared or ' none'}",
                _TABLE.format(declared, declared),
                _TABLE.format(declared, f"{declared} DEFAULT 3 CHECK (id)").replace(
                    "id INTEGER PRIMARY KEY, ", ""
                )[:-2]
                + ", id INTEGER PRIMARY KEY);",
                fill=tuple(("INSERT INTO t (v, w) VALUES (?, ?)", (value, value)) for value in values),
            )
    for encoding in ("UTF-8", "UTF-16le", "UTF-16be"):
        yield Case(
            f"text that is no {encoding}",
            _TABLE.format(" TEXT", ""),
            "CREATE TABLE t (w, v TEXT, id INTEGER PRIMARY KEY);",
            setup=f"PRAGMA encoding = '{encoding}'",
            # only a blob that comes out of a table is cast by the file's encoding
            fill=(
                *(("INSERT INTO t (v, w) VALUES (?, ?)", (value, value)) for value in _INVALID),
                ("UPDATE t SET v = CAST(v AS TEXT), w = CAST(w AS TEXT)", ()),
            ),
            back={},
        )
    yield Case(
        "text that is no UTF-8 behind an index and a UNIQUE",
        "CREATE TABLE t (v TEXT);",
        "CREATE TABLE t (v TEXT UNIQUE, w); CREATE INDEX i ON t (v COLLATE NOCASE);",
        fill=tuple(("INSERT INTO t VALUES (CAST(? AS TEXT))", (value,)) for value in _INVALID),
    )
    yield from _large()


def _large() -> Iterator[Case]:
    names = [f"c{n}" for n in range(2000)]
    columns = ", ".join(names)
    fill = (
        ("INSERT INTO t (rowid, c0, c999, c1999) VALUES (?, ?, ?, ?)", (5, "first", 1.5, b"last")),
        ("INSERT INTO t (rowid, c1, c1998) VALUES (?, ?, ?)", (-9, 7, "text")),
    )
    yield Case(
        "2,000 columns in another order",
        f"CREATE TABLE t ({columns});",
        f"CREATE TABLE t ({', '.join(reversed(names))});",
        is_slow=True,
        fill=fill,
    )
    yield Case(
        "2,000 columns of which one gets a CHECK",
        f"CREATE TABLE t ({columns});",
        f"CREATE TABLE t ({columns} CHECK (c1999 IS NULL OR c0 = 'first'));",
        is_slow=True,
        fill=fill,
    )
    yield Case(
        "2,000 columns of which one is renamed and one retyped",
        f"CREATE TABLE t ({columns});",
        f"CREATE TABLE t ({columns.replace('c5,', 'renamed,').replace('c1998,', 'c1998 TEXT,')});",
        renames={"t.c5": "renamed"},
        is_slow=True,
        fill=fill,
    )
    yield Case(
        "2,000 columns made STRICT",
        f"CREATE TABLE t ({columns});",
        f"CREATE TABLE t ({', '.join(f'{name} ANY' for name in names)}) STRICT;",
        is_slow=True,
        fill=fill,
    )
    long = (
        ("INSERT INTO t VALUES (?, ?, ?)", (1, "long text " * 30_000, bytes(300_000))),
        ("INSERT INTO t VALUES (?, ?, ?)", (2, None, b"\x00" * 5000 + b"end")),
    )
    yield Case(
        "rows longer than a page",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w BLOB);",
        "CREATE TABLE t (w BLOB, v TEXT, id INTEGER PRIMARY KEY, c CHECK (length(v) > 5));",
        fill=long,
    )
    yield Case(
        "a primary key longer than a page",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v, w);",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v, w) WITHOUT ROWID;",
        fill=(
            ("INSERT INTO t VALUES (?, ?, ?)", ("k" * 20_000, 1, 2)),
            ("INSERT INTO t VALUES (?, ?, ?)", ("k" * 20_000 + "l", 3, 4)),
        ),
    )
    yield Case(
        "rowids at their limits",
        "CREATE TABLE t (v, w);",
        "CREATE TABLE t (w, v);",
        fill=tuple(
            ("INSERT INTO t (rowid, v) VALUES (?, ?)", (rowid, "r"))
            for rowid in (2**63 - 1, -(2**63), 0, 17, -17)
        ),
        back={},
    )
    for columns in ("rowid TEXT, a", "rowid, oid TEXT, a", "rowid, _rowid_, oid, a"):
        yield Case(
            f"rowids behind the columns {columns}",
            f"CREATE TABLE t ({columns});",
            f"CREATE TABLE t (b DEFAULT 1, {columns});",
            fill=(
                *((f"INSERT INTO t (a) VALUES ('{value}')", ()) for value in "zaq"),
                ("DELETE FROM t WHERE a = 'z'", ()),
            ),
            back={},
        )
    yield Case(
        "a thousand rows with gaps",
        "CREATE TABLE t (v, w TEXT); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i"
        " < 1000) INSERT INTO t (rowid, v, w) SELECT i * i - 3000, i, 'w' || i FROM n;",
        "CREATE TABLE t (w TEXT NOT NULL, v UNIQUE, x DEFAULT 1); CREATE INDEX i ON t (w DESC);",
    )
    yield Case(
        "an empty table of every kind",
        "CREATE TABLE t (a, b); CREATE TABLE u (a PRIMARY KEY, b) WITHOUT ROWID; CREATE TABLE v (id INTEGER"
        " PRIMARY KEY AUTOINCREMENT, a);",
        "CREATE TABLE t (b NOT NULL, a CHECK (a)); CREATE TABLE u (b NOT NULL, a PRIMARY KEY) WITHOUT ROWID,"
        " STRICT;".replace("b NOT NULL, a PRIMARY KEY", "b ANY NOT NULL, a ANY PRIMARY KEY")
        + " CREATE TABLE v (a, id INTEGER PRIMARY KEY AUTOINCREMENT);",
    )
    yield Case(
        "a column that becomes generated with the values it has",
        "CREATE TABLE t (a INTEGER, g INTEGER); INSERT INTO t VALUES (1, 2), (5, 6);",
        "CREATE TABLE t (a INTEGER, g INTEGER AS (a + 1));",
    )
    yield Case(
        "a column that becomes generated with other values",
        "CREATE TABLE t (a INTEGER, g INTEGER); INSERT INTO t VALUES (1, 2), (5, 7);",
        "CREATE TABLE t (a INTEGER, g INTEGER AS (a + 1));",
        refused=("t", "g"),
    )
