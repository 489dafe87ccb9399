"""Open a database by its path or URL, whichever engine that means."""

from __future__ import annotations

import os

from datalayer.engine.address import Address
from datalayer.engine.connection import Engine, Options
from datalayer.engine.sqlite import SqliteEngine

__all__ = ["open_engine"]


def open_engine(target: str | os.PathLike[str], options: Options | None = None) -> Engine:
    """Open a database and its first connection, with every setting read back.

    Raises:
        DatabaseUnavailable: missing, refused, no permission.
        DatabaseCorrupt: not a database.
    """
    address = Address.parse(target)
    options = options or Options()
    if address.engine == "sqlite":
        return SqliteEngine(address, options)
    # an optional extra, imported when a URL asks for it
    from datalayer.engine.postgres import open_postgres

    return open_postgres(address, options)
