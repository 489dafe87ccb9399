"""What the user of a migration has said: what is renamed, what may be dropped, what may be lost.

Nothing here is ever guessed. Knows no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from datalayer.errors import MigrationRefused
from datalayer.schema.tokens import fold

__all__ = ["Consent", "parse_renames"]


@dataclass(frozen=True, slots=True)
class Consent:
    """The words that allow a migration what it does not do by itself.

    `renames` maps a table `t` or a column `t.c`, as they are called before, to the new bare name.
    `drop_columns` holds `t.c`, `drop_tables` `t`, both as called before. `allow_data_loss` allows every drop,
    and values that a new type changes beyond return. `skip_backup` leaves out the backup before the first
    change.
    Names match in any letter case.
    """

    renames: Mapping[str, str] = field(default_factory=dict[str, str])
    drop_columns: frozenset[str] = frozenset()
    drop_tables: frozenset[str] = frozenset()
    allow_data_loss: bool = False
    skip_backup: bool = False

    def may_drop_table(self, table: str) -> bool:
        """Whether this table may go with all its rows."""
        return self.allow_data_loss or fold(table) in {fold(name) for name in self.drop_tables}

    def may_drop_column(self, table: str, column: str) -> bool:
        """Whether this column may go with all its values."""
        return self.allow_data_loss or fold(f"{table}.{column}") in {fold(name) for name in self.drop_columns}


def parse_renames(words: Iterable[str]) -> dict[str, str]:
    """Read `t.old=new` and `t=new`, as a command line gives them.

    Raises MigrationRefused for a word of another form, and for two that say different things.
    """
    renames: dict[str, str] = {}
    for word in words:
        before, equals, after = word.rpartition("=")
        if not (before and equals and after):
            raise MigrationRefused(
                f"a rename cannot be read from {word!r}",
                hint="write table.old=new for a column, table=new for a table",
            )
        if renames.get(before, after) != after:
            raise MigrationRefused(
                f"{before} is renamed twice, to {renames[before]} and to {after}", hint="say one of them"
            )
        renames[before] = after
    return renames
