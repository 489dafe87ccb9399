"""Draw the tables of docs/domains/*.md, each between two comments of its page.

    python docs/diagrams.py

A page names its tables, and the drawing is made from the package's own schema:

    <!-- er: users, auth_sessions -->
    <!-- /er -->

tests/architecture/test_diagrams.py fails while a page differs from what this makes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from datalayer import connect  # noqa: E402 - found through the line above in a bare checkout
from datalayer.schema.entities import Entities, Entity, read_entities  # noqa: E402 - as above
from datalayer.web.notation import mermaid  # noqa: E402 - as above

__all__ = ["PAGES", "drawn", "tables_named"]

PAGES = ROOT / "docs" / "domains"
_PLACE = re.compile(r"(<!-- er: (?P<names>[a-z0-9_, ]+) -->\n).*?(<!-- /er -->)", re.DOTALL)


@cache
def _all() -> Entities:
    with connect(":memory:") as store:
        store.migrate()
        return read_entities(store.engine)


def tables_named(page: str) -> list[str]:
    """Give the tables that a page draws."""
    return [name.strip() for found in _PLACE.finditer(page) for name in found["names"].split(",")]


def drawn(page: str) -> str:
    """Give a page with its drawings made anew."""
    return _PLACE.sub(
        lambda found: f"{found[1]}\n```mermaid\n{_diagram(found['names']).rstrip()}\n```\n\n{found[3]}", page
    )


def _diagram(names: str) -> str:
    wanted = {name.strip() for name in names.split(",")}
    known = {entity.name for entity in _all().tables}
    if wanted - known:
        raise SystemExit(f"there is no table {', '.join(sorted(wanted - known))}")
    references = [one for one in _all().references if one.table in wanted]
    tables = tuple(_shown(wanted, {one.parent for one in references}))
    return mermaid(replace(_all(), tables=tables, references=tuple(references)))


def _shown(wanted: set[str], parents: set[str]) -> Iterator[Entity]:
    """Give the tables with their columns, and those of other domains that they refer to by name alone."""
    for entity in _all().tables:
        if entity.name in wanted:
            yield entity
        elif entity.name in parents:
            yield replace(entity, attributes=())


if __name__ == "__main__":
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(drawn(path.read_text(encoding="utf-8")), encoding="utf-8")
