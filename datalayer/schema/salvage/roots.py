"""Whether the rows below each table's root page can be that table's, by those of one page.

A row may be shorter than its table, from before a column was added, and is never longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datalayer.schema.finding import Finding
from datalayer.schema.salvage.catalog import Catalog, entry_of, read_catalog
from datalayer.schema.salvage.content import Content
from datalayer.schema.salvage.image import Image
from datalayer.schema.salvage.shape import shape_of
from datalayer.schema.salvage.survey import first_leaf
from datalayer.schema.salvage.walk import Walk
from datalayer.schema.tokens import fold

__all__ = ["strange_roots"]


def strange_roots(path: Path) -> Iterator[Finding]:
    """Find the tables whose root page leads to rows of another table.

    Of use where values break many rules of a table: then the schema may be what is wrong, not the values.
    Raises DatabaseUnavailable where the file cannot be read, DatabaseCorrupt where nothing is in it.
    """
    with Image.read(path) as image:
        content = Content(Walk(image.readings()[0]))
        catalog = _catalog(content)
        for table in catalog.schema.tables:
            root = catalog.roots.get(fold(table.name), 0)
            shape = shape_of(table)
            if table.kind == "virtual" or not root or not shape.has_rowid:
                continue
            leaf = first_leaf(content, root)
            if leaf is not None and _are_longer(content, leaf, len(shape.columns)):
                message = f"page {root}, by the schema the root of {table.name}, leads to rows of another"
                yield Finding("DL-C085", "error", table.name, None, 1, message, "lossy")


def _are_longer(content: Content, leaf: int, width: int) -> bool:
    """Whether every row of a leaf has more values than the table has columns."""
    known = [record.values for record in content.leaf(leaf) if record.values is not None]
    return bool(known) and all(len(values) > width for values in known)


def _catalog(content: Content) -> Catalog:
    walk = content.walk
    tree = walk.tree(1, is_table=True)
    walk.finish_trees()
    records = (record for number in tree.leaves for record in content.leaf(number))
    entries = (entry_of(record.values) for record in records if record.values is not None)
    return read_catalog([entry for entry in entries if entry is not None], None, (0, 0))
