"""SQLAlchemy Core: tables and expressions, rows with attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.peers._sqlalchemy import open_engine

__all__ = ["Contestant"]

_METADATA = sa.MetaData()
ITEM = sa.Table(
    "item",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
)
EVENT = sa.Table(
    "event",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
)


class Contestant:
    def __init__(self, path: Path) -> None:
        self.engine = open_engine(path)
        self.conn = self.engine.connect()
        self.autocommit = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def use(self, table: str) -> None:
        self.table = _METADATA.tables[table]

    def insert(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        with self.conn.begin():
            return [self.conn.execute(self.table.insert(), row).inserted_primary_key for row in rows]

    def insert_alone(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        return [self.autocommit.execute(self.table.insert(), row).inserted_primary_key for row in rows]

    def insert_bulk(self, rows: Sequence[dict[str, Any]]) -> object:
        with self.conn.begin():
            self.conn.execute(self.table.insert(), list(rows))
        return None

    def get(self, keys: Sequence[int]) -> list[Any]:
        table = self.table
        with self.conn.begin():
            return [self.conn.execute(sa.select(table).where(table.c.id == key)).one() for key in keys]

    def update(self, keys: Sequence[int]) -> object:
        table = self.table
        with self.conn.begin():
            for key in keys:
                self.conn.execute(sa.update(table).where(table.c.id == key).values(n=-key))
        return None

    def delete(self, keys: Sequence[int]) -> object:
        table = self.table
        with self.conn.begin():
            for key in keys:
                self.conn.execute(sa.delete(table).where(table.c.id == key))
        return None

    def find_all(self) -> list[Any]:
        with self.conn.begin():
            return list(self.conn.execute(sa.select(self.table).order_by(self.table.c.id)))

    def find_ten(self, keys: Sequence[int]) -> list[Any]:
        table = self.table
        with self.conn.begin():
            return [
                list(
                    self.conn.execute(
                        sa.select(table).where(table.c.id.in_(keys[at : at + 10])).order_by(table.c.id)
                    )
                )
                for at in range(0, len(keys), 10)
            ]

    def pages(self, count: int) -> list[Any]:
        found: list[Any] = []
        table = self.table
        last = 0
        with self.conn.begin():
            for _ in range(count):
                page = sa.select(table).where(table.c.id > last).order_by(table.c.id).limit(51)
                rows = list(self.conn.execute(page))[:50]
                last = rows[-1].id
                found.append(rows)
        return found

    def empty(self) -> None:
        with self.conn.begin():
            self.conn.execute(sa.delete(self.table))

    def close(self) -> None:
        self.conn.close()
        self.autocommit.close()
        self.engine.dispose()
