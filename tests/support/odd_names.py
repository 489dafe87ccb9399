"""Tables whose names try everything that a notation could take for its own."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

from datalayer.schema.entities import Attribute, Entities, Entity, Reference

__all__ = ["ODD_NAMES", "make_odd_database", "odd_tables"]

ODD_NAMES = (
    "<script>alert(1)</script>",
    "quote \" and ' and ` and \\",
    "ümläut 表 😀",
    "&amp; #35; %% {brace} [bracket]",
    "line\nbreak\ttab",
    "turned \u202e round",
    "my direction LR",
    "a -->|b| c; style x",
    "style",
    "one",
    "]]> --> </svg>",
    " ",
    "x" * 200,
)


def odd_tables() -> Entities:
    """Give a table of each name, with a column of that name, which refers to the next one."""
    tables = [
        Entity(name, (Attribute("id", "INTEGER", is_key=True), Attribute(name, name, is_reference=True)))
        for name in ODD_NAMES
    ]
    references = [
        Reference(name, (name,), parent, ("id",), is_optional=place % 2 == 0, is_single=place % 3 == 0)
        for place, (name, parent) in enumerate(pairwise(ODD_NAMES))
    ]
    return Entities(tuple(sorted(tables, key=lambda one: one.name)), tuple(references))


def make_odd_database(path: Path) -> None:
    """Make a file with such tables, each with a row."""
    connection = sqlite3.connect(path)
    for name in ODD_NAMES:
        quoted = '"' + name.replace('"', '""') + '"'
        connection.execute(f"CREATE TABLE {quoted} (id INTEGER PRIMARY KEY, {quoted} TEXT)")
        connection.execute(f"INSERT INTO {quoted} VALUES (1, 'a value that nobody may see')")
    connection.commit()
    connection.close()
