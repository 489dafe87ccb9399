"""What the text of a virtual table says of where its rows are kept. Knows no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from datalayer.schema.reader import Reader, Unexpected, commas
from datalayer.schema.tokens import fold, unquote

__all__ = ["Virtual", "read_virtual"]

_FULL_TEXT = ("fts3", "fts4", "fts5")
# sqlite.org/fts5.html, 10; fts3.html, "Fts4aux"; dbstat.html: they tell what other tables hold
_TELLING = ("fts5vocab", "fts4aux", "fts3tokenize", "dbstat")


@dataclass(frozen=True, slots=True)
class Virtual:
    """The module of a virtual table, and the options written `name = value`, by their folded names."""

    module: str = ""
    options: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def content(self) -> str | None:
        """The table whose text a full-text table indexes; empty where it keeps none, None where its own."""
        return self.options.get("content") if self.module in _FULL_TEXT else None

    @property
    def has_external_content(self) -> bool:
        """Whether this full-text table keeps its text in another table, and is filled by 'rebuild'.

        sqlite.org/fts5.html, "External Content and Contentless Tables".
        """
        return bool(self.content)

    @property
    def is_contentless(self) -> bool:
        """Whether this full-text table keeps its text nowhere."""
        return self.content == ""

    @property
    def only_tells(self) -> bool:
        """Whether its rows are what other tables hold: none is lost with it, and none can be written."""
        return self.module in _TELLING


@lru_cache(maxsize=4096)
def read_virtual(sql: str) -> Virtual:
    """Read a CREATE VIRTUAL TABLE text; another text is that of no module."""
    reader = Reader(sql)
    try:
        if not reader.accept("CREATE", "VIRTUAL", "TABLE"):
            return Virtual()
        reader.accept("IF", "NOT", "EXISTS")
        reader.name()
        if reader.accept("."):
            reader.name()
        reader.expect("USING")
        module = fold(reader.name())
        parts = commas(reader.group()) if reader.sees("(") else []
    except Unexpected:
        # a module takes any text between its parentheses
        return Virtual()
    options = {
        fold(unquote(part[0])): "".join(unquote(token) for token in part[2:])
        for part in parts
        if len(part) > 1 and part[1].text == "="
    }
    return Virtual(module, options)
