"""What both SQLAlchemy contestants share: the engine and its PRAGMAs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.peers import PRAGMAS, TABLES

__all__ = ["open_engine"]


def open_engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def set_pragmas(conn: Any, _record: object) -> None:
        for name, value in PRAGMAS.items():
            conn.execute(f"PRAGMA {name} = {value}")

    with engine.begin() as conn:
        for statement in TABLES.values():
            conn.execute(sa.text(statement))
    return engine
