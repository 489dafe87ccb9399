"""Which page is what: every page of a reading is claimed by a tree, a chain, the freelist, or by nobody.

Follows the b-trees from their roots, the overflow chains from their cells and the freelist from the header;
pages that nobody claims are orphans. Knows page structure, not tables.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from datalayer.schema.salvage.outcome import Problem
from datalayer.schema.salvage.pages import (
    INDEX_INNER,
    INDEX_LEAF,
    TABLE_INNER,
    TABLE_LEAF,
    PageHeader,
    cell_at,
    header_of,
    is_cell,
    is_plausible,
    may_spill,
    recounted,
    trunk_leaves,
    unaccounted,
)
from datalayer.schema.salvage.reading import Reading

__all__ = ["ROLES", "WHOLE", "Range", "Spill", "Tree", "Walk", "start_of"]

ROLES = (
    "orphan",
    "table inner",
    "table leaf",
    "index inner",
    "index leaf",
    "overflow",
    "freelist trunk",
    "freelist leaf",
    "pointer map",
    "lock",
    "unreadable",
)
"""What a page can be; Walk.roles holds places in this tuple."""

_ORPHAN, _OVERFLOW, _TRUNK, _FREE, _MAP, _LOCK, _UNREADABLE = 0, 5, 6, 7, 8, 9, 10
_ROLE_OF = {TABLE_INNER: 1, TABLE_LEAF: 2, INDEX_INNER: 3, 10: 4}
_MOST_DEPTH = 40
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1

Range = tuple[int, int]
"""Rowids from behind the first up to the second."""

WHOLE: Range = (_LOWEST, _HIGHEST)
"""All rowids there are."""


@dataclass(slots=True)
class Tree:
    """One b-tree: its pages in key order, what is missing in it (`holes`), and pages damaged in place."""

    root: int
    is_table: bool
    leaves: array[int] = field(default_factory=lambda: array("I"))
    inner: array[int] = field(default_factory=lambda: array("I"))
    holes: list[Range] = field(default_factory=list[Range])
    broken: dict[int, Range] = field(default_factory=dict[int, Range])
    marks: set[int] = field(default_factory=set[int], repr=False)
    cells: int = 0
    depth: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether every page of it was found sound."""
        return not self.holes and not self.broken and bool(self.leaves)

    @property
    def pages(self) -> Iterator[int]:
        """All its pages."""
        yield from self.inner
        yield from self.leaves


@dataclass(frozen=True, slots=True)
class Spill:
    """A payload that goes on on overflow pages: page and place of its cell, first page, bytes there."""

    page: int
    at: int
    first: int
    size: int


@dataclass(slots=True)
class _Link:
    tree: Tree
    page: int
    parent: int
    bounds: Range
    depth: int


def start_of(page: int) -> int:
    """Give where the b-tree header of a page starts: behind the file's header on the first."""
    return 100 if page == 1 else 0


class Walk:
    """Claims the pages of one reading; `tree()` as often as there are roots, then `finish()` once."""

    def __init__(self, reading: Reading, progress: Callable[[int, int], None] | None = None) -> None:
        self.reading = reading
        self.usable = reading.layout.usable
        self.roles = bytearray(reading.page_count + 1)
        self.trees: dict[int, Tree] = {}
        self.spills: list[Spill] = []
        self.problems: list[Problem] = []
        self.broken_spills: list[Spill] = []
        self.hints: dict[int, int] = {}
        self.chains: dict[int, list[int]] = {}
        self.partial_chains: dict[int, list[int]] = {}
        self.has_zeros = False
        self.strays: set[int] = set()
        self._progress = progress
        self._doubtful: list[_Link] = []
        self._seen = 0
        self._mark_fixed()

    def note(self, kind: str, page: int | None, message: str) -> None:
        """Keep a problem."""
        self.problems.append(Problem(kind, page, message))

    def tree(self, root: int, *, is_table: bool | None = None) -> Tree:
        """Walk the tree of a root; its kind is taken from the page where it is not told."""
        header = self._header(root) if self.reading.exists(root) else None
        if is_table is None:
            is_table = header is None or header.is_table
        tree = self.trees.setdefault(root, Tree(root, is_table))
        if not self.reading.exists(root):
            self.note("root", root, f"the root page {root} does not exist")
            tree.holes.append(WHOLE)
            return tree
        self._descend([_Link(tree, root, 0, WHOLE, 0)])
        return tree

    def finish_trees(self) -> None:
        """Leave the pages out of their range as orphans; remember who claimed them."""
        doubtful, self._doubtful = self._doubtful, []
        for link in doubtful:
            if self.roles[link.page]:
                self._miss(link, "used-twice", f"page {link.page} is used twice")
            elif not is_plausible(self.reading.page(link.page), start_of(link.page), self.usable):
                # no tree of its own, so its cells are damaged and its place is right
                self.roles[link.page] = _UNREADABLE
                link.tree.broken[link.page] = link.bounds
                self._miss(link, "page", f"cells of page {link.page} cannot be read")
            else:
                self._miss(link, "page-order", f"the keys of page {link.page} are out of their range")
                self.hints.setdefault(link.page, link.tree.root)

    def evict(self, tree: Tree, number: int) -> None:
        """Take a leaf out of a tree that it does not belong to."""
        tree.leaves.remove(number)
        tree.holes.append(WHOLE)
        self.roles[number] = _ORPHAN
        self.note("child", number, f"page {number} holds rows of another table")

    def _header(self, number: int) -> PageHeader | None:
        return header_of(self.reading.page(number), start_of(number))

    def _mark_fixed(self) -> None:
        reading = self.reading
        locked = reading.layout.locked_page
        if locked <= reading.page_count:
            self.roles[locked] = _LOCK
        if reading.layout.auto_vacuum:
            for number in map_pages(reading):
                self.roles[number] = _MAP

    def _descend(self, stack: list[_Link]) -> None:
        while stack:
            link = stack.pop()
            number = link.page
            if not self.reading.exists(number):
                self._miss(link, "child", f"page {link.parent} leads to page {number}, which does not exist")
                continue
            if self.roles[number]:
                self._miss(link, "used-twice", f"page {number} is used twice")
                continue
            page = self.reading.page(number)
            header = header_of(page, start_of(number))
            if header is None or header.is_table != link.tree.is_table or link.depth > _MOST_DEPTH:
                self._wrong(link, header)
            elif not header.is_leaf and self._is_disguised(link, header, page):
                self.roles[number] = _UNREADABLE
                link.tree.broken[number] = link.bounds
                self._miss(link, "page", f"page {number} is marked as an inner page, and is a leaf")
            elif not self._fits(page, header, link):
                self._doubtful.append(link)
            else:
                stack.extend(reversed(self._claim(link, header, page)))

    def _wrong(self, link: _Link, header: PageHeader | None) -> None:
        """Tell a page that is damaged in its place from one that was never meant."""
        number = link.page
        other = header is not None and header.pointers and self._parses(number, header)
        if other and not self._is_leaf_in_disguise(number, link.tree):
            self._miss(link, "child", f"page {link.parent} leads to page {number} of another kind of tree")
            return
        self.roles[number] = _UNREADABLE
        self.has_zeros = self.has_zeros or not any(self.reading.page(number))
        link.tree.broken[number] = link.bounds
        self._miss(link, "page", f"page {number} cannot be read")

    def _parses(self, number: int, header: PageHeader) -> bool:
        page = self.reading.page(number)
        return all(is_cell(page, at, header.kind, self.usable) for at in header.pointers[:4])

    def _is_disguised(self, link: _Link, header: PageHeader, page: bytes) -> bool:
        """Whether an inner page that leads nowhere has the cells of a leaf."""
        for at in header.pointers:
            cell = cell_at(page, at, header.kind, self.usable)
            if cell is None or not self.reading.exists(cell.child):
                return self._is_leaf_in_disguise(link.page, link.tree)
        return False

    def _is_leaf_in_disguise(self, number: int, tree: Tree) -> bool:
        kind = TABLE_LEAF if tree.is_table else INDEX_LEAF
        header = header_of(self.reading.page(number), start_of(number), kind)
        return header is not None and bool(header.pointers) and self._parses(number, header)

    def _miss(self, link: _Link, kind: str, message: str) -> None:
        self.note(kind, link.page, message)
        link.tree.holes.append(link.bounds)

    def _fits(self, page: bytes, header: PageHeader, link: _Link) -> bool:
        """Whether the first or the last rowid of a page lies in the range that its parent tells."""
        bounds = link.bounds
        if not header.is_table or not header.pointers or bounds == WHOLE:
            return True
        places = [at for at in (header.pointers[0], header.pointers[-1]) if at >= header.pointers_end]
        ends = [cell_at(page, at, header.kind, self.usable) for at in places]
        inside = [bounds[0] < cell.rowid <= bounds[1] for cell in ends if cell is not None]
        if not all(inside):
            self.strays.add(link.page)
        return not inside or any(inside)

    def _claim(self, link: _Link, header: PageHeader | None, page: bytes | None = None) -> list[_Link]:
        tree, number = link.tree, link.page
        if header is None or header.is_table != tree.is_table:
            self._wrong(link, header)
            return []
        self.roles[number] = _ROLE_OF[header.kind]
        self._seen += 1
        if self._progress is not None and self._seen % 512 == 0:
            self._progress(self._seen, self.reading.page_count)
        page = self.reading.page(number) if page is None else page
        if not header.is_leaf or not header.pointers:
            header, page = self._recounted(number, header, page)
        tree.depth = max(tree.depth, link.depth)
        if not header.is_leaf:
            tree.inner.append(number)
            return self._children(link, header, page)
        tree.leaves.append(number)
        self._note_spills(link, header, page)
        return []

    def _recounted(self, number: int, header: PageHeader, page: bytes) -> tuple[PageHeader, bytes]:
        """Put a count of cells right that is too low; a leaf that has some is weighed when it is read."""
        used = 0
        for at in header.pointers:
            cell = cell_at(page, at, header.kind, self.usable)
            if cell is None:
                return header, page
            used += max(4, cell.end - at)
        spare = unaccounted(page, header, used, self.usable)
        mended = recounted(page, header, spare, self.usable) if spare > 0 else None
        again = None if mended is None else header_of(mended, header.start)
        if mended is None or again is None:
            return header, page
        self.reading.mended[number] = mended
        self.note("page", number, f"page {number} has {len(again.pointers)} cells, and tells of fewer")
        return again, mended

    def _children(self, link: _Link, header: PageHeader, page: bytes) -> list[_Link]:
        """Give the links to the children, with the range of rowids that each should hold."""
        tree, number = link.tree, link.page
        low, links = link.bounds[0], list[_Link]()
        if not tree.is_table:
            self._note_spills(link, header, page)
        damaged = header.content > self.usable or header.pointers_end > header.content
        for at in header.pointers:
            cell = cell_at(page, at, header.kind, self.usable) if at >= header.pointers_end else None
            if cell is None or not cell.child:
                damaged = True
                tree.holes.append((low, link.bounds[1]))
                continue
            high = cell.rowid if tree.is_table else _HIGHEST
            if tree.is_table and not low < high <= link.bounds[1]:
                # a key out of order says nothing of either side
                damaged = True
                high = link.bounds[1]
                links.append(_Link(tree, cell.child, number, (low, high), link.depth + 1))
                continue
            links.append(_Link(tree, cell.child, number, (low, high), link.depth + 1))
            low = high if tree.is_table else low
        links.append(_Link(tree, header.child, number, (low, link.bounds[1]), link.depth + 1))
        if damaged:
            self.note("page", number, f"cells of page {number} cannot be read")
        return links

    def _note_spills(self, link: _Link, header: PageHeader, page: bytes) -> None:
        """Keep the payloads of a page that go on elsewhere; note what no cell can be."""
        tree, number = link.tree, link.page
        pointers: Sequence[int] = header.pointers
        tree.cells += len(pointers)
        if not pointers:
            # SQLite moves the content of a leaf that it empties to the end of the page
            if header.kind == INDEX_INNER or header.content != self.usable:
                self._broken(link)
            return
        usable = self.usable
        if not tree.is_table and self._is_repeated(page, pointers[0], header.kind, tree):
            tree.broken[number] = link.bounds
            self.note("page-order", number, f"page {number} begins with a key that another page has")
        if min(pointers) < header.pointers_end or max(pointers) > usable - 2 or header.content > usable:
            self._broken(link)
            pointers = [at for at in pointers if header.pointers_end <= at < usable - 5]
        if not may_spill(page, header, pointers, usable):
            return
        for at in pointers:
            cell = cell_at(page, at, header.kind, usable)
            if cell is None:
                self._broken(link)
            elif cell.overflow or cell.size > cell.local:
                self.spills.append(Spill(number, at, cell.overflow, cell.size - cell.local))

    def _is_repeated(self, page: bytes, at: int, kind: int, tree: Tree) -> bool:
        """Whether another page of a tree of keys, of which none stands twice, begins with the same cell."""
        cell = cell_at(page, at, kind, self.usable)
        if cell is None or cell.overflow or not cell.size:
            return False
        mark = hash(page[cell.payload : cell.end])
        if mark in tree.marks:
            return True
        tree.marks.add(mark)
        return False

    def _broken(self, link: _Link) -> None:
        number = link.page
        if number not in link.tree.broken:
            link.tree.broken[number] = link.bounds
            self.note("page", number, f"cells of page {number} cannot be read")

    def claim_chains(self) -> None:
        """Follow the overflow chains of the trees walked so far.

        Of two that claim one page the one that comes from nearer has it: the wilder jump is the damaged one.
        """
        # the chains of records that were read to try a root are claimed already
        spills = [spill for spill in self.spills if spill.page << 16 | spill.at not in self.chains]
        self.spills = []
        nearest: dict[int, int] = {}
        for spill in spills:
            before = spill.page
            for number in self._chain(spill):
                jump = abs(number - before)
                nearest[number] = min(jump, nearest.get(number, jump))
                before = number
        for spill in spills:
            pages = self._claimed_chain(spill, nearest)
            if pages is None:
                self.broken_spills.append(spill)
            else:
                self.chains[spill.page << 16 | spill.at] = pages

    def _chain(self, spill: Spill) -> Iterator[int]:
        number, left, seen = spill.first, spill.size, set[int]()
        while left > 0 and self.reading.exists(number) and number not in seen and not self.roles[number]:
            seen.add(number)
            yield number
            left -= self.usable - 4
            number = int.from_bytes(self.reading.page(number)[:4], "big")

    def _claimed_chain(self, spill: Spill, nearest: dict[int, int]) -> list[int] | None:
        """Claim a chain, or as much of it as is its own."""
        pages, before, needed = list[int](), spill.page, -(-spill.size // (self.usable - 4))
        number = spill.first
        while len(pages) < needed:
            exists = self.reading.exists(number)
            is_free = exists and not self.roles[number] and not self._is_of_tree(number)
            if not is_free or abs(number - before) > nearest.get(number, 0):
                why = f"page {number} {'is no part of it' if exists else 'does not exist'}"
                self.note("overflow", spill.page, f"an overflow chain of page {spill.page} breaks: {why}")
                self.partial_chains[spill.page << 16 | spill.at] = pages
                self.has_zeros = self.has_zeros or (not number and not any(self.reading.page(before)))
                return None
            self.roles[number] = _OVERFLOW
            pages.append(number)
            before = number
            number = int.from_bytes(self.reading.page(number)[:4], "big")
        if number:
            self.note("overflow", spill.page, f"an overflow chain of page {spill.page} is too long")
        return pages

    def _is_of_tree(self, number: int) -> bool:
        """Whether a page of a b-tree stands where one of a chain should be: it leads to no page then."""
        page = self.reading.page(number)
        following = int.from_bytes(page[:4], "big")
        return following > self.reading.page_count and is_plausible(page, 0, self.usable)

    def late_chain(self, spill: Spill) -> list[int] | None:
        """Claim the chain of a cell that was found on a damaged page, if all its pages are still free."""
        pages = list(self._chain(spill))
        needed = -(-spill.size // (self.usable - 4))
        if len(pages) < needed or int.from_bytes(self.reading.page(pages[-1])[:4], "big"):
            return None
        self.mark_overflow(pages)
        self.chains[spill.page << 16 | spill.at] = pages
        return pages

    def claim_freelist(self, trunk: int, count: int) -> None:
        """Follow the freelist from its first trunk page; `count` is what the header says it holds."""
        found = 0
        while trunk:
            if not self.reading.exists(trunk) or self.roles[trunk]:
                self.note("freelist", trunk, f"the freelist leads to page {trunk}, which is no free page")
                break
            page = self.reading.page(trunk)
            leaves = trunk_leaves(page, self.usable)
            if leaves is None:
                self.note("freelist", trunk, f"page {trunk} is no trunk of the freelist")
                break
            self.roles[trunk] = _TRUNK
            found += 1 + self._claim_free(leaves)
            trunk = int.from_bytes(page[:4], "big")
        if found != count:
            message = f"the freelist holds {found} pages, the header tells of {count}"
            self.note("freelist-count", None, message)

    def _claim_free(self, leaves: Iterable[int]) -> int:
        found = 0
        for number in leaves:
            if self.reading.exists(number) and not self.roles[number]:
                self.roles[number] = _FREE
                found += 1
            else:
                self.note("freelist", number, f"the freelist names page {number}, which is no free page")
        return found

    def claim_loose_trunks(self) -> None:
        """Find trunks of a freelist that nothing leads to any more, by what they look like."""
        for number in self.orphans():
            page = self.reading.page(number)
            leaves = trunk_leaves(page, self.usable)
            following = int.from_bytes(page[:4], "big")
            if not leaves or page[0] or (following and not self.reading.exists(following)):
                continue
            if len(set(leaves)) == len(leaves) and all(
                self.reading.exists(leaf) and self.roles[leaf] in (_ORPHAN, _FREE) for leaf in leaves
            ):
                self.roles[number] = _TRUNK
                for leaf in leaves:
                    self.roles[leaf] = _FREE

    def orphans(self) -> Iterator[int]:
        """Iterate over the pages that nobody claims."""
        roles = self.roles
        number = roles.find(_ORPHAN, 1)
        while number >= 0:
            yield number
            number = roles.find(_ORPHAN, number + 1)

    def unreadable(self) -> Iterator[int]:
        """Iterate over the pages that trees lead to and that are no pages of a tree."""
        return (number for number, role in enumerate(self.roles) if role == _UNREADABLE)

    def role(self, number: int) -> str:
        """Say what a page is."""
        return ROLES[self.roles[number]]

    def mark_free(self, number: int) -> None:
        """Count a page as free."""
        self.roles[number] = _FREE

    def mark_overflow(self, numbers: Iterable[int]) -> None:
        """Count pages as part of a chain that was mended."""
        for number in numbers:
            self.roles[number] = _OVERFLOW


def map_pages(reading: Reading) -> Iterator[int]:
    """Iterate over the pages that hold the pointer map of an auto-vacuum file."""
    step = reading.layout.usable // 5 + 1
    for number in range(2, reading.page_count + 1, step):
        yield number + 1 if number == reading.layout.locked_page else number
