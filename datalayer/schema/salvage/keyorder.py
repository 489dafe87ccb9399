"""The order in which SQLite keeps the keys of a table WITHOUT ROWID.

https://sqlite.org/fileformat2.html, "Representation Of SQL Indices". Knows values, not pages.
"""

from __future__ import annotations

from datalayer.schema.salvage.outcome import Value
from datalayer.schema.salvage.shape import Shape
from datalayer.schema.snapshot import Table
from datalayer.schema.tokens import fold

__all__ = ["KeyOrder", "Mark"]

Mark = tuple[Value, ...]
"""The values of a row's key, in the order of its record."""

_UPPER = str.maketrans({chr(code): chr(code + 32) for code in range(65, 91)})


class KeyOrder:
    """How two keys of a table compare; `count` is how many columns a key has."""

    def __init__(self, table: Table, shape: Shape, encoding: str) -> None:
        self.count = sum(1 for column in table.columns if column.key_position)
        self.encoding = encoding
        terms = () if table.primary_key is None else table.primary_key.terms
        told = {fold(term.column): term for term in terms if term.column is not None}
        self.rules: list[tuple[str, bool]] = []
        for name in shape.columns[: self.count]:
            term, column = told.get(fold(name)), table.column(name)
            own = None if term is None else term.collation
            collation = own or (None if column is None else column.collation) or "BINARY"
            self.rules.append((collation.upper(), term is not None and bool(term.descending)))
        # nothing is known here of an application's own collation
        self.is_known = all(name in ("BINARY", "NOCASE", "RTRIM") for name, _ in self.rules)

    def rises(self, one: Mark, other: Mark) -> bool:
        """Whether the second key comes behind the first; so it does where the order is not known."""
        if not self.is_known:
            return True
        for mine, theirs, (collation, is_descending) in zip(one, other, self.rules):
            left, right = self._rank(mine, collation), self._rank(theirs, collation)
            if left != right:
                return left > right if is_descending else left < right
        return False

    def _rank(self, value: Value, collation: str) -> tuple[int, float | bytes]:
        if value is None:
            return 0, 0
        if isinstance(value, int | float):
            return 1, value
        if isinstance(value, str):
            if collation == "NOCASE":
                return 2, value.translate(_UPPER).encode("utf-8", "surrogatepass")
            if collation == "RTRIM":
                # like NOCASE it knows UTF-8 only, whatever the file's encoding is
                return 2, value.rstrip(" ").encode("utf-8", "surrogatepass")
            return 2, value.encode(self.encoding, "surrogatepass")
        # a text that does not decode is compared by its bytes
        return (3 if type(value) is bytes else 2), bytes(value)
