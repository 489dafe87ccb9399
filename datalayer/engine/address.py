"""Where a database is: a path or URL as the user gave it, taken apart and shown without its password.

Knows nothing of drivers; opening is engine.connection's work.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from datalayer.errors import DataLayerError

_MEMORY = ":memory:"
_POSTGRES_SCHEMES = frozenset({"postgres", "postgresql"})


@dataclass(frozen=True, slots=True)
class Address:
    """A database's address; `display` and `repr()` never hold the password."""

    engine: str
    display: str
    path: Path | None = None
    secret_url: str | None = None
    read_only: bool = False

    def __repr__(self) -> str:
        return f"Address({self.display!r})"

    @classmethod
    def parse(cls, target: str | os.PathLike[str]) -> Address:
        """Read a path or URL.

        A bare path, `sqlite:///relative`, `sqlite:////absolute` and `:memory:` mean SQLite (`?mode=ro` opens
        it read-only); `postgresql://` and `postgres://` mean PostgreSQL.

        Raises:
            DataLayerError: the scheme is not one of these.
        """
        text = os.fspath(target)
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls._sqlite(text, {})
        if scheme == "sqlite":
            location, _, query = rest.partition("?")
            return cls._sqlite(unquote(location.removeprefix("/")), dict(parse_qsl(query)))
        if scheme in _POSTGRES_SCHEMES:
            try:
                shown = without_password(text)
            except ValueError:
                # the message, and the address itself, may hold the password
                raise DataLayerError(
                    f"cannot read the address that begins with {scheme}://",
                    hint="write postgresql://USER:PASSWORD@HOST:PORT/NAME, special characters as %XX",
                ) from None
            return cls(engine="postgresql", display=shown, secret_url=text)
        raise DataLayerError(
            f"unknown kind of database: {scheme}://",
            why="datalayer opens SQLite files and PostgreSQL servers",
            hint="give a path, sqlite:///PATH or postgresql://USER@HOST/NAME",
        )

    @classmethod
    def _sqlite(cls, location: str, query: dict[str, str]) -> Address:
        if location in ("", _MEMORY):
            if location == "":
                raise DataLayerError("the database's path is empty", hint="give a path, or :memory:")
            return cls(engine="sqlite", display=_MEMORY)
        path = Path(location).expanduser().absolute()
        return cls(engine="sqlite", display=str(path), path=path, read_only=query.get("mode") == "ro")


def without_password(url: str) -> str:
    """Give a URL with its password, in the authority or the query, replaced by `***`."""
    parts = urlsplit(url)
    netloc = parts.netloc
    userinfo, at, host = netloc.rpartition("@")
    if at and ":" in userinfo:
        netloc = f"{userinfo.partition(':')[0]}:***@{host}"
    query = "&".join(
        f"{pair.partition('=')[0]}=***"
        if pair.partition("=")[0].lower() in ("password", "sslpassword")
        else pair
        for pair in parts.query.split("&")
    )
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))
