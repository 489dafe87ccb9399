"""Which tree belongs to which table and index: by the schema where it says so, by shape where it does not.

Knows trees and shapes; the rows themselves are recover's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from datalayer.schema.salvage.carve import carve_leaf
from datalayer.schema.salvage.catalog import Catalog, Entry, entry_of, read_catalog
from datalayer.schema.salvage.content import Content, Record
from datalayer.schema.salvage.forest import orphan_trees
from datalayer.schema.salvage.header import Stamps
from datalayer.schema.salvage.indexes import IndexShape, index_shapes
from datalayer.schema.salvage.overflow import doubt_zeros, mend_chains
from datalayer.schema.salvage.pages import TABLE_LEAF, cell_at, header_of
from datalayer.schema.salvage.reading import Reading
from datalayer.schema.salvage.shape import SCHEMA_SHAPE, Shape, shape_of
from datalayer.schema.salvage.walk import Range, Tree, Walk, start_of
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import fold

__all__ = ["Holding", "Survey", "survey"]

_ODD = 0.1
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Holding:
    """What is known of one table: its tree, trees that were orphaned from it, the trees of its indexes."""

    table: Table
    shape: Shape
    tree: Tree | None = None
    adopted: list[Tree] = field(default_factory=list[Tree])
    indexes: list[IndexShape] = field(default_factory=list[IndexShape])
    index_trees: dict[str, Tree] = field(default_factory=dict[str, Tree])

    @property
    def is_complete(self) -> bool:
        """Whether no page of the table is missing or damaged."""
        return self.tree is not None and self.tree.is_complete

    @property
    def trees(self) -> list[Tree]:
        """Its own tree and those adopted."""
        return [*([] if self.tree is None else [self.tree]), *self.adopted]


@dataclass(slots=True)
class Survey:
    """A walked file with its schema: `loose` are the orphaned trees that have not found their table."""

    walk: Walk
    content: Content
    catalog: Catalog
    holdings: dict[str, Holding]
    loose: list[Tree]


def survey(
    reading: Reading, stamps: Stamps, expected: Schema | None, progress: Progress | None = None
) -> Survey:
    """Walk a reading from the roots that its schema tells, and put the orphans together."""
    walk = Walk(reading, progress)
    content = Content(walk)
    schema_tree = walk.tree(1, is_table=True)
    walk.finish_trees()
    walk.claim_chains()
    entries = list(_entries(content, schema_tree))
    is_whole = schema_tree.is_complete and len(entries) == schema_tree.cells
    if not is_whole:
        entries += _stray_entries(content, entries)
    numbers = (stamps.user_version, stamps.application_id)
    catalog = read_catalog(entries, expected, numbers)
    holdings = {
        fold(table.name): _holding(table) for table in catalog.schema.tables if table.kind != "virtual"
    }
    _add_system_tables(entries, holdings)
    _walk_roots(walk, content, catalog, holdings)
    walk.finish_trees()
    for holding in holdings.values():
        _evict_strangers(walk, content, holding)
    walk.claim_chains()
    walk.claim_freelist(stamps.freelist_trunk, stamps.freelist_count)
    doubt_zeros(walk)
    loose = _orphans(walk)
    for holding in holdings.values():
        _exchange(content, holding, loose)
    return Survey(walk, content, catalog, holdings, loose)


def _orphans(walk: Walk) -> list[Tree]:
    if next(walk.orphans(), None) is None:
        return []
    walk.claim_loose_trunks()
    trees = orphan_trees(walk)
    walk.claim_chains()
    mend_chains(walk)
    return trees


def _holding(table: Table) -> Holding:
    shape = shape_of(table)
    return Holding(table, shape, indexes=index_shapes(table, shape))


def _add_system_tables(entries: Iterable[Entry], holdings: dict[str, Holding]) -> None:
    """Add sqlite_sequence and the like, which a schema does not count among its tables."""
    present = {fold(entry.name) for entry in entries}
    for name, columns in _SYSTEM.items():
        if name not in present and not (name == "sqlite_sequence" and _numbers_itself(holdings)):
            continue
        shape = Shape(
            name,
            columns,
            tuple(_SYSTEM_TYPES.get(column, "TEXT") for column in columns),
            tuple(column != "idx" for column in columns),
            tuple(None for _ in columns),
            tuple(range(len(columns))),
            None,
            len(columns),
        )
        table = Table(name, "", "table", (), None, (), (), (), (), False, False)
        holdings[name] = Holding(table, shape)


_SYSTEM = {
    "sqlite_sequence": ("name", "seq"),
    "sqlite_stat1": ("tbl", "idx", "stat"),
    "sqlite_stat4": ("tbl", "idx", "neq", "nlt", "ndlt", "sample"),
}


_SYSTEM_TYPES = {"seq": "INTEGER", "sample": "BLOB"}


def _numbers_itself(holdings: dict[str, Holding]) -> bool:
    keys = [holding.table.primary_key for holding in holdings.values()]
    return any(key is not None and key.autoincrement for key in keys)


def _entries(content: Content, tree: Tree) -> Iterator[Entry]:
    for number in tree.leaves:
        if number not in tree.broken:
            yield from _of_records(content.leaf(number))
    for number in tree.broken:
        yield from _of_records(carve_leaf(content, number, SCHEMA_SHAPE))


def _of_records(records: Iterable[Record]) -> Iterator[Entry]:
    for record in records:
        entry = None if record.values is None else entry_of(record.values)
        if entry is not None:
            yield entry


def _stray_entries(content: Content, known: list[Entry]) -> list[Entry]:
    """Find leaves of sqlite_schema that its tree does not lead to any more, and claim them."""
    walk = content.walk
    word = "CREATE ".encode(walk.reading.layout.encoding)
    names = {(entry.kind, fold(entry.name)) for entry in known}
    found: list[Entry] = []
    for number in range(2, walk.reading.page_count + 1):
        page = walk.reading.page(number)
        if page[0] != TABLE_LEAF or word not in page or walk.role(number) != "orphan":
            continue
        records = content.leaf(number)
        entries = list(_of_records(records))
        if not entries or len(entries) * 2 < len(records):
            continue
        walk.tree(number, is_table=True)
        walk.claim_chains()
        entries = list(_of_records(content.leaf(number)))
        found += [entry for entry in entries if (entry.kind, fold(entry.name)) not in names]
        names |= {(entry.kind, fold(entry.name)) for entry in found}
    return found


def _walk_roots(walk: Walk, content: Content, catalog: Catalog, holdings: dict[str, Holding]) -> None:
    """Walk from each root whose first records look like those of its table or index."""
    for name, root in catalog.roots.items():
        holding = holdings.get(name)
        if holding is not None and _root_fits(content, root, holding):
            holding.tree = walk.tree(root, is_table=holding.shape.has_rowid)
    for holding in holdings.values():
        for index in holding.indexes:
            root = catalog.roots.get(fold(index.name), 0)
            if root and _index_root_fits(content, root, index, holding.shape):
                holding.index_trees[index.name] = walk.tree(root, is_table=False)
    _walk_other_indexes(walk, catalog, holdings)


def _walk_other_indexes(walk: Walk, catalog: Catalog, holdings: dict[str, Holding]) -> None:
    """Claim the indexes of tables WITHOUT ROWID and of what the schema does not know."""
    known = {fold(name) for holding in holdings.values() for name in holding.index_trees}
    shaped = {fold(index.name) for holding in holdings.values() for index in holding.indexes}
    for entry in catalog.entries:
        name = fold(entry.name)
        if entry.kind == "index" and entry.root and name not in known and name not in shaped:
            walk.tree(entry.root, is_table=False)


def _evict_strangers(walk: Walk, content: Content, holding: Holding) -> None:
    """Take the leaves out of a table's tree whose rows are another table's: pages that were swapped."""
    tree, shape = holding.tree, holding.shape
    if tree is None or not shape.has_rowid or len(tree.leaves) < 2:
        return
    for number in list(tree.leaves):
        if number not in tree.broken and is_strange(content, number, shape):
            walk.evict(tree, number)


def _exchange(content: Content, holding: Holding, loose: list[Tree]) -> None:
    """Give a table whose tree looks odd the orphaned tree that looks much more like its own."""
    if holding.tree is None or not holding.shape.has_rowid:
        return
    if not any(tree.is_table for tree in loose):
        return
    own = _mean_misfit(content, holding.tree, holding.shape)
    for place, tree in enumerate(loose):
        if own < _ODD:
            return
        if (
            tree.is_table
            and tree.cells > holding.tree.cells
            and _mean_misfit(content, tree, holding.shape) <= own - _ODD
        ):
            loose[place], holding.tree = holding.tree, tree
            return


def _mean_misfit(content: Content, tree: Tree, shape: Shape) -> float:
    known = [record for record in content.sample(tree) if record.values is not None]
    if not known:
        return 0.0
    return sum(min(shape.misfit(one.values or (), one.rowid), 3.0) for one in known) / len(known)


def is_strange(content: Content, number: int, shape: Shape) -> bool:
    """Whether the rows of a leaf look like another table's, by the first, the middle and the last."""
    page = content.reading.page(number)
    header = header_of(page, start_of(number))
    if header is None or not header.pointers:
        return False
    misfits: list[float] = []
    for at in {header.pointers[0], header.pointers[-1], header.pointers[len(header.pointers) // 2]}:
        cell = cell_at(page, at, TABLE_LEAF, content.usable)
        if cell is not None and cell.local == cell.size:
            values = content.decoder.decode(page, cell.payload, cell.payload + cell.size)
            if values is not None:
                misfits.append(min(shape.misfit(values, cell.rowid), 2.0))
    return len(misfits) > 0 and sum(misfits) / len(misfits) >= 0.9


def first_leaf(content: Content, root: int) -> int | None:
    """Give the first leaf below a page, or None where there is no way down."""
    number = root
    for _ in range(12):
        if not content.reading.exists(number):
            return None
        header = content.header(number)
        if header is None:
            return None
        if header.is_leaf:
            return number
        page = content.reading.page(number)
        cell = cell_at(page, header.pointers[0], header.kind, content.usable) if header.pointers else None
        number = header.child if cell is None else cell.child
    return None


def _root_fits(content: Content, root: int, holding: Holding) -> bool:
    if not content.reading.exists(root) or content.walk.role(root) != "orphan":
        return False
    header = content.header(root)
    shape = holding.shape
    leaf = first_leaf(content, root)
    if header is None or leaf is None:
        # damaged, in its place or not: the walk notes the hole
        return header is None or header.is_table == shape.has_rowid
    if header.is_table != shape.has_rowid:
        page = content.reading.page(root)
        assumed = header_of(page, start_of(root), TABLE_LEAF if shape.has_rowid else 10)
        return assumed is not None and not _parses(content, page, header.pointers, header.kind)
    return _sample_fits(content, leaf, shape)


def _parses(content: Content, page: bytes, pointers: Iterable[int], kind: int) -> bool:
    cells = [cell_at(page, at, kind, content.usable) for at in pointers]
    return bool(cells) and all(cell is not None for cell in cells)


def _sample_fits(content: Content, leaf: int, shape: Shape) -> bool:
    records = content.leaf(leaf) if shape.has_rowid else content.keys(leaf)
    known = [record for record in records if record.values is not None][:20]
    if not known:
        return True
    misfits = [min(shape.misfit(record.values or (), record.rowid), 2.0) for record in known]
    return sum(misfits) / len(misfits) < 0.9


def _index_root_fits(content: Content, root: int, index: IndexShape, shape: Shape) -> bool:
    if not content.reading.exists(root) or content.walk.role(root) != "orphan":
        return False
    leaf = first_leaf(content, root)
    header = content.header(root)
    if header is None or leaf is None or header.is_table:
        return header is None
    known = [record for record in content.keys(leaf) if record.values is not None][:20]
    misfits = [min(index.misfit(record.values or (), shape), 2.0) for record in known]
    return not misfits or sum(misfits) / len(misfits) < 0.9


def span_of(content: Content, number: int) -> Range | None:
    """Give the first and the last rowid on a leaf of a table, or None where there is none."""
    page = content.reading.page(number)
    header = header_of(page, start_of(number))
    if header is None or header.kind != TABLE_LEAF or not header.pointers:
        return None
    ends = [cell_at(page, header.pointers[at], TABLE_LEAF, content.usable) for at in (0, -1)]
    known = [cell.rowid for cell in ends if cell is not None]
    return (min(known), max(known)) if known else None
