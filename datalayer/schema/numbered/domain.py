"""The domain that a migration file belongs to, as the comments at its beginning say, and what it needs.

    -- domain: drafts
    -- needs: accounts

A file of two domains ("-- domain: search, drafts") is what one of them adds to the other: it counts where
both are. A file without such a line belongs to all. Knows texts only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from datalayer.errors import MigrationRefused

__all__ = ["DomainMark", "mark_of", "with_needs"]

_LINE = re.compile(
    r"--[ \t]*(?P<word>domain|needs)[ \t]*:[ \t]*(?P<names>[a-z0-9_]+(?:[ \t]*,[ \t]*[a-z0-9_]+)*)\s*\Z"
)


@dataclass(frozen=True, slots=True)
class DomainMark:
    """Whose a file is, and the domains whose tables it refers to."""

    domains: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def counts_in(self, chosen: frozenset[str] | None) -> bool:
        """Whether the file belongs to a database that has these domains; None: all."""
        return chosen is None or chosen.issuperset(self.domains)


def mark_of(text: str) -> DomainMark:
    """Read the comment lines before the first statement."""
    said: dict[str, tuple[str, ...]] = {}
    for line in text.lstrip("\ufeff").splitlines():
        if line.strip() and not line.startswith("--"):
            break
        if match := _LINE.match(line):
            said[match["word"]] = tuple(name.strip() for name in match["names"].split(","))
    return DomainMark(said.get("domain", ()), said.get("needs", ()))


def with_needs(marks: Iterable[DomainMark], wanted: Iterable[str], source: str) -> frozenset[str]:
    """Give the wanted domains and all that they need, directly or not.

    Raises MigrationRefused for a domain that no file belongs to.
    """
    needs: dict[str, set[str]] = {}
    for mark in marks:
        if len(mark.domains) == 1:
            needs.setdefault(mark.domains[0], set()).update(mark.needs)
    left, found = list(wanted), set[str]()
    while left:
        name = left.pop()
        if name not in needs:
            near = get_close_matches(name, needs, n=1)
            raise MigrationRefused(
                f"{source} has no domain {name}",
                why=f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(needs)) or 'none'}",
                hint="name domains as the lines `-- domain: NAME` of the files do",
            )
        if name not in found:
            found.add(name)
            left += needs[name]
    return frozenset(found)
