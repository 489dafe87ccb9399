"""SQLAlchemy ORM: mapped classes and a session for each unit of work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.peers._sqlalchemy import open_engine

__all__ = ["Contestant"]


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    n: Mapped[int]


class Event(Base):
    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    n: Mapped[int]
    score: Mapped[float]
    is_open: Mapped[bool]
    note: Mapped[str | None] = mapped_column(sa.Text)
    payload: Mapped[Any] = mapped_column(sa.JSON)
    created_at: Mapped[datetime]


class Contestant:
    def __init__(self, path: Path) -> None:
        self.engine = open_engine(path)

    def use(self, table: str) -> None:
        self.model: Any = {"item": Item, "event": Event}[table]

    def insert(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            made: list[Any] = []
            for row in rows:
                made.append(self.model(**row))
                session.add(made[-1])
                session.flush()
            return made

    def insert_alone(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        with Session(self.engine, expire_on_commit=False) as session:
            made: list[Any] = []
            for row in rows:
                made.append(self.model(**row))
                session.add(made[-1])
                session.commit()
            return made

    def insert_bulk(self, rows: Sequence[dict[str, Any]]) -> object:
        with Session(self.engine) as session, session.begin():
            session.execute(sa.insert(self.model), list(rows))
        return None

    def get(self, keys: Sequence[int]) -> list[Any]:
        with Session(self.engine) as session:
            return [session.get(self.model, key) for key in keys]

    def update(self, keys: Sequence[int]) -> object:
        model = self.model
        with Session(self.engine) as session, session.begin():
            for key in keys:
                session.execute(sa.update(model).where(model.id == key).values(n=-key))
        return None

    def delete(self, keys: Sequence[int]) -> object:
        model = self.model
        with Session(self.engine) as session, session.begin():
            for key in keys:
                session.execute(sa.delete(model).where(model.id == key))
        return None

    def find_all(self) -> list[Any]:
        with Session(self.engine) as session:
            return list(session.scalars(sa.select(self.model).order_by(self.model.id)))

    def find_ten(self, keys: Sequence[int]) -> list[Any]:
        model = self.model
        with Session(self.engine) as session:
            return [
                list(
                    session.scalars(
                        sa.select(model).where(model.id.in_(keys[at : at + 10])).order_by(model.id)
                    )
                )
                for at in range(0, len(keys), 10)
            ]

    def pages(self, count: int) -> list[Any]:
        found: list[Any] = []
        model = self.model
        last = 0
        with Session(self.engine) as session:
            for _ in range(count):
                page = sa.select(model).where(model.id > last).order_by(model.id).limit(51)
                rows = list(session.scalars(page))[:50]
                last = rows[-1].id
                found.append(rows)
        return found

    def empty(self) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(sa.delete(self.model))

    def close(self) -> None:
        self.engine.dispose()
