"""The same words about something else: names that moved, texts that are easily read too broadly."""

from __future__ import annotations

from collections.abc import Iterator

from support.rebuild_case import Case, pair

_SWAP = {"t.a": "b", "t.b": "a"}


def cases() -> Iterator[Case]:
    yield from _swapped()


def _swapped() -> Iterator[Case]:
    rows = "(6, 1)"
    yield pair(
        "columns swap names under a CHECK",
        "(a, b, CHECK (a > 5))",
        "(b, a, CHECK (a > 5))",
        rows,
        renames=_SWAP,
        refused=("t", "a > 5"),
    )
    yield Case(
        "columns swap names under an indexed virtual column",
        "CREATE TABLE t (a, b, g AS (a * 2)); CREATE INDEX i ON t (g); INSERT INTO t VALUES (6, 1);",
        "CREATE TABLE t (b, a, g AS (a * 2)); CREATE INDEX i ON t (g);",
        renames=_SWAP,
        asked=(("SELECT a, b FROM t WHERE g = 2", [(1, 6)]),),
    )
    yield pair(
        "columns swap names under a stored column",
        "(a, b, g AS (a * 2) STORED)",
        "(b, a, g AS (a * 2) STORED)",
        rows,
        renames=_SWAP,
        asked=(("SELECT * FROM t", [(6, 1, 2)]),),
    )
    yield pair(
        "a new column takes the name of a unique one",
        "(a UNIQUE, b)",
        "(old_a, b, a UNIQUE)",
        rows,
        renames={"t.a": "old_a"},
        asked=(("SELECT * FROM t", [(6, 1, None)]),),
    )
