"""Finding the table of an orphaned tree: by shape, rules, index entries and references, in that order.

A tree that fits two tables equally well is left alone. Knows no files.
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from datalayer.schema.salvage.agreement import exchange_roots
from datalayer.schema.salvage.content import Content, Record
from datalayer.schema.salvage.copies import drop_copies
from datalayer.schema.salvage.coverage import Coverages
from datalayer.schema.salvage.indexes import RowidSet
from datalayer.schema.salvage.judge import Judge
from datalayer.schema.salvage.outcome import Value
from datalayer.schema.salvage.pages import cell_at
from datalayer.schema.salvage.shape import Shape
from datalayer.schema.salvage.survey import Holding, Survey, is_strange, span_of
from datalayer.schema.salvage.walk import WHOLE, Tree
from datalayer.schema.tokens import fold

__all__ = ["is_suspect", "place"]

_FITS = 0.5
_MARGIN = 0.04
_DERIVED = ("_data", "_idx", "_docsize", "_config", "_segments", "_segdir", "_stat")
_MOST_KEYS = 500_000


def is_suspect(holding: Holding) -> bool:
    """Whether a complete index counts more rows than the table's own tree has."""
    if holding.tree is None:
        return True
    partial = {index.name for index in holding.indexes if index.is_partial}
    return any(
        tree.is_complete and name not in partial and tree.cells > holding.tree.cells
        for name, tree in holding.index_trees.items()
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    holding: Holding
    score: float


def place(survey: Survey, judge: Judge) -> list[Tree]:
    """Give each orphaned tree to its table or index; give back those of tables that have no place.

    Trees of rows that only a complete table could have held are old copies and are dropped.
    """
    exchange_roots(survey)
    drop_copies(survey)
    loose = survey.loose
    loose += _misplaced(survey)
    _place_indexes(survey, [tree for tree in loose if not tree.is_table])
    run = _Placing(survey, judge)
    left = run.settle(run.settle(loose))
    _place_in_order(run, left)
    placed = [tree for holding in survey.holdings.values() for tree in holding.adopted]
    left = [tree for tree in left if not any(tree is other for other in placed)]
    return [tree for tree in left if not _take_back(survey, tree)]


class _Placing:
    """One run over the orphaned trees, with what the tables cover so far."""

    def __init__(self, survey: Survey, judge: Judge) -> None:
        self.survey = survey
        self.judge = judge
        self.coverages = Coverages(survey.content)
        # with a sound freelist no page is free and yet an orphan, so every orphan is somebody's
        self.is_sure = not any(problem.kind.startswith("freelist") for problem in survey.walk.problems)

    def settle(self, trees: Iterable[Tree]) -> list[Tree]:
        """Give trees to their tables; give back those that fit several or none.

        What others cover by then may tell where one belongs that could not be told before.
        """
        queue = deque(trees)
        left: list[Tree] = []
        while queue:
            tree = queue.popleft()
            sample = self.survey.content.sample(tree) if tree.leaves else []
            if not sample:
                continue
            found = self.candidates(tree, sample)
            if _is_index_of_words(self.survey, tree, sample, found) or self._is_copy(tree, sample, found):
                continue
            lacking = [one for one in found if self.is_sure or _lacks(one.holding)]
            best = _best(self.survey, lacking, sample) or _hinted(self.survey, lacking, tree)
            if best is not None:
                best.adopted.append(tree)
                queue += _strangers(self.survey, tree, best.shape)
            elif lacking or (tree.is_table and not found):
                left.append(tree)
        return left

    def candidates(self, tree: Tree, sample: list[Record]) -> list[_Candidate]:
        """Give the tables that a tree could belong to."""
        if not tree.is_table:
            found = _keyed(self.survey, self.judge, tree, sample)
            return [one for one in found if not self.coverages.crosses(one.holding, tree)]
        found = list[_Candidate]()
        for holding in self.survey.holdings.values():
            shape = holding.shape
            if not shape.has_rowid or _is_derived(holding):
                continue
            misfit = _misfit(shape, sample)
            if misfit >= _FITS or self._is_covered(holding, tree):
                continue
            share = self.judge.share(shape.name, _finished(shape, sample))
            if share >= 0.6:
                found.append(_Candidate(holding, share - misfit))
        return found

    def _is_copy(self, tree: Tree, sample: list[Record], found: Sequence[_Candidate]) -> bool:
        """Whether a tree looks more like a table that has sound leaves in its place than like any other."""
        if not tree.is_table:
            return False
        best = max((one.score for one in found), default=1.0)
        return any(
            holding.shape.has_rowid
            and 1.0 - _misfit(holding.shape, sample) > best + _MARGIN
            and self._is_covered(holding, tree)
            for holding in self.survey.holdings.values()
        )

    def _is_covered(self, holding: Holding, tree: Tree) -> bool:
        """Whether most leaves of a tree lie where the table has sound leaves: then they are old copies."""
        if not holding.trees:
            return False
        coverage, content = self.coverages.of(holding), self.survey.content
        spans = [span for number in tree.leaves[:200] if (span := span_of(content, number))]
        inside = sum(span[0] in coverage and span[1] in coverage for span in spans)
        return inside * 2 > len(spans)


def _lacks(holding: Holding) -> bool:
    """Whether a table has not all its rows yet."""
    return not holding.is_complete or is_suspect(holding) or bool(holding.adopted)


def _misplaced(survey: Survey) -> list[Tree]:
    """Take the leaves out of trees of keys whose records are not theirs, each as a tree of its own."""
    found: list[Tree] = []
    for holding in survey.holdings.values():
        shape = holding.shape
        trees: list[tuple[Tree, Callable[[Sequence[Value]], float]]] = []
        if holding.tree is not None and not shape.has_rowid:
            trees.append((holding.tree, shape.misfit))
        for index in holding.indexes:
            if index.name in holding.index_trees:
                trees.append((holding.index_trees[index.name], partial(index.misfit, shape=shape)))
        for tree, misfit in trees:
            if tree.is_table or len(tree.leaves) < 2:
                continue
            strange = [number for number in tree.leaves if _is_misplaced(survey.content, number, misfit)]
            if len(strange) * 2 > len(tree.leaves):
                continue
            for number in strange:
                tree.leaves.remove(number)
                tree.holes.append(WHOLE)
                found.append(Tree(number, is_table=False, leaves=array("I", [number])))
    return found


def _is_misplaced(content: Content, number: int, misfit: Callable[[Sequence[Value]], float]) -> bool:
    """Whether the first, the middle and the last record of a page of keys are strange to its tree."""
    page, header = content.reading.page(number), content.header(number)
    if header is None or not header.pointers:
        return False
    misfits: list[float] = []
    for at in {header.pointers[0], header.pointers[-1], header.pointers[len(header.pointers) // 2]}:
        cell = cell_at(page, at, header.kind, content.usable)
        if cell is not None and cell.local == cell.size:
            values = content.decoder.decode(page, cell.payload, cell.payload + cell.size)
            if values is not None:
                misfits.append(min(misfit(values), 2.0))
    return bool(misfits) and sum(misfits) / len(misfits) >= 0.9


def _is_index_of_words(survey: Survey, tree: Tree, sample: list[Record], found: Sequence[_Candidate]) -> bool:
    """Whether a tree looks most like what a full-text table makes of its content, and can make anew."""
    best = max((one.score for one in found), default=0.0)
    return any(
        _is_derived(holding)
        and holding.shape.has_rowid == tree.is_table
        # the rowids of such tables are no rows' numbers, and may be of any size
        and 1.0 - _misfit(holding.shape, [one._replace(rowid=1) for one in sample]) > best + _MARGIN
        for holding in survey.holdings.values()
    )


def _place_in_order(run: _Placing, left: list[Tree]) -> None:
    """Tell apart as many trees as there are tables of one shape by their roots.

    A schema makes its tables one after another, and so their roots: believed only where the roots of all
    tables that are known, and those placed here between them, rise in that order.
    """
    survey = run.survey
    groups: dict[tuple[str, ...], list[Tree]] = {}
    for tree in left:
        sample = survey.content.sample(tree)
        if tree.is_table and sample:
            found = run.candidates(tree, sample)
            names = tuple(fold(one.holding.table.name) for one in found if not one.holding.trees)
            groups.setdefault(names, []).append(tree)
    order = [fold(table.name) for table in survey.catalog.schema.tables]
    known = {
        name: holding.trees[0].root
        for name, holding in survey.holdings.items()
        # what was put together from pieces has no root that tells of the order
        if len(holding.trees) == 1 and (holding.tree is not None or holding.trees[0].inner)
    }
    for names, trees in groups.items():
        if len(names) != len(trees) or len(names) < 2 or len(known) < 2 or not set(names) <= set(order):
            continue
        ranked = sorted(trees, key=lambda tree: tree.root)
        told = dict(zip(sorted(names, key=order.index), ranked))
        roots = {**known, **{name: tree.root for name, tree in told.items()}}
        rising = [roots[name] for name in order if name in roots]
        if rising == sorted(rising):
            for name, tree in told.items():
                survey.holdings[name].adopted.append(tree)


def _strangers(survey: Survey, tree: Tree, shape: Shape) -> list[Tree]:
    """Take the leaves out of a tree that hold another table's rows, each as a tree of its own."""
    if not tree.is_table or len(tree.leaves) < 2:
        return []
    strange = [number for number in tree.leaves if is_strange(survey.content, number, shape)]
    for number in strange:
        tree.leaves.remove(number)
    return [Tree(number, is_table=True, leaves=array("I", [number])) for number in strange]


def _hinted(survey: Survey, found: list[_Candidate], tree: Tree) -> Holding | None:
    """Give the table whose tree led to a page, if only the range of its keys spoke against that."""
    root = survey.walk.hints.get(tree.root)
    return next(
        (one.holding for one in found if one.holding.tree is not None and one.holding.tree.root == root),
        None,
    )


def _take_back(survey: Survey, tree: Tree) -> bool:
    """Give a tree that fits no table to the one whose root the schema says it is, if that has none."""
    for name, holding in survey.holdings.items():
        if survey.catalog.roots.get(name) == tree.root and not holding.trees and holding.shape.has_rowid:
            holding.adopted.append(tree)
            return True
    return False


def _keyed(survey: Survey, judge: Judge, tree: Tree, sample: list[Record]) -> list[_Candidate]:
    """Give the tables WITHOUT ROWID that a tree of keys could belong to; an index's leaves look like them."""
    if any(tree is other for holding in survey.holdings.values() for other in holding.index_trees.values()):
        return []
    found: list[_Candidate] = []
    for holding in survey.holdings.values():
        shape = holding.shape
        if shape.has_rowid or _is_derived(holding) or len(sample[0].values or ()) != len(shape.columns):
            continue
        misfit = _misfit(shape, sample)
        if misfit < _FITS:
            share = judge.share(shape.name, _finished(shape, sample))
            if share >= 0.6:
                found.append(_Candidate(holding, share - misfit))
    return found


def _is_derived(holding: Holding) -> bool:
    """Whether a full-text table can make the rows of this shadow table anew from its content."""
    return holding.table.kind == "shadow" and holding.table.name.endswith(_DERIVED)


def _misfit(shape: Shape, sample: Sequence[Record]) -> float:
    total = sum(min(shape.misfit(record.values or (), record.rowid), 3.0) for record in sample)
    return total / len(sample)


def _finished(shape: Shape, sample: Iterable[Record]) -> list[tuple[int, list[Value]]]:
    return [
        (record.rowid, shape.finish(record.rowid, list(record.values))[0])
        for record in sample
        if record.values is not None and len(record.values) <= len(shape.columns)
    ]


def _best(survey: Survey, found: list[_Candidate], sample: list[Record]) -> Holding | None:
    found = sorted(found, key=lambda one: -one.score)
    if not found:
        return None
    near = [one for one in found if found[0].score - one.score < _MARGIN]
    if len(near) > 1:
        proof = [(_index_share(survey, one.holding, sample), one) for one in near]
        kept = [(share, one) for share, one in proof if share is None or share >= 0.5]
        sure = [one for share, one in kept if share is not None]
        near = sure if len(sure) == 1 else [one for _, one in kept]
    if len(near) > 1:
        ranked = sorted(((_parent_share(survey, one.holding, sample), one) for one in near), key=_first)
        near = [ranked[-1][1]] if ranked[-1][0] > ranked[-2][0] + 0.2 else near
    return near[0].holding if len(near) == 1 else None


def _first(pair: tuple[float, _Candidate]) -> float:
    return pair[0]


def _index_share(survey: Survey, holding: Holding, sample: list[Record]) -> float | None:
    """Give the share of rows that an index of the table names with the same values, None without an index."""
    rows = {record.rowid: record.values for record in sample if record.values is not None}
    for index in holding.indexes:
        tree = holding.index_trees.get(index.name)
        if tree is None or index.is_partial or not tree.leaves:
            continue
        right = 0
        for entry in survey.content.records(tree):
            key = entry.values
            row = rows.get(key[-1]) if key and isinstance(key[-1], int) else None
            if key is not None and row is not None:
                right += all(
                    place < 0 or place >= len(row) or place == holding.shape.alias or row[place] == value
                    for place, value in zip(index.places, key)
                )
        return right / len(rows) if rows else None
    return None


def _parent_share(survey: Survey, holding: Holding, sample: list[Record]) -> float:
    """Give the share of references whose parent is there, 0.5 where there is nothing to tell by."""
    total = good = 0
    for key in holding.table.foreign_keys:
        parent = survey.holdings.get(fold(key.parent))
        if parent is None or len(key.columns) != 1 or parent.shape.alias is None or not parent.trees:
            continue
        columns = [fold(column) for column in holding.shape.columns]
        place = columns.index(fold(key.columns[0])) if fold(key.columns[0]) in columns else -1
        if place < 0:
            continue
        known = _rowids(survey.content, parent.trees)
        values = [record.values[place] for record in sample if record.values and place < len(record.values)]
        total += sum(isinstance(value, int) for value in values)
        good += sum(isinstance(value, int) and value in known for value in values)
    return good / total if total else 0.5


def _rowids(content: Content, trees: Iterable[Tree]) -> RowidSet:
    known = RowidSet()
    for tree in trees:
        for record in content.records(tree):
            known.add(record.rowid)
            if len(known) >= _MOST_KEYS:
                return known
    return known


def _place_indexes(survey: Survey, trees: Iterable[Tree]) -> None:
    """Give orphaned trees of keys to the indexes that have none, where only one fits.

    Several of one index are parts of it, between which others may be missing.
    """
    parts: dict[tuple[str, str], list[Tree]] = defaultdict(list)
    for tree in trees:
        sample = survey.content.sample(tree)
        fitting = [
            (fold(holding.table.name), index.name)
            for holding in survey.holdings.values()
            for index in holding.indexes
            if index.name not in holding.index_trees
            and sum(min(index.misfit(record.values or (), holding.shape), 3.0) for record in sample)
            < _FITS * len(sample)
        ]
        if len(fitting) == 1:
            parts[fitting[0]].append(tree)
    for (table, name), found in parts.items():
        first, *others = found
        for other in others:
            first.leaves.extend(other.leaves)
            first.inner.extend(other.inner)
            first.cells += other.cells
        if others or survey.catalog.roots.get(fold(name), first.root) != first.root:
            first.holes.append(WHOLE)
        survey.holdings[table].index_trees[name] = first
