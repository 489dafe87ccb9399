"""Trees that nothing leads to: pages nobody claims, put together by what their inner pages say.

Knows page structure, not tables.
"""

from __future__ import annotations

from datalayer.schema.salvage.pages import TABLE_INNER, TABLE_LEAF, cell_at, header_of, is_plausible
from datalayer.schema.salvage.walk import Tree, Walk

__all__ = ["orphan_trees"]


def orphan_trees(walk: Walk) -> list[Tree]:
    """Walk every tree among the orphans from its topmost page, and give them, the larger ones first."""
    candidates = {
        number: walk.reading.page(number)[0]
        for number in walk.orphans()
        if number > 1 and is_plausible(walk.reading.page(number), 0, walk.usable)
    }
    inner = [number for number, kind in candidates.items() if kind < 10]
    children = {child for number in inner for child in _children(walk, number, candidates)}
    trees: list[Tree] = []
    noted = len(walk.problems)
    for number in (*inner, *(number for number, kind in candidates.items() if kind >= 10)):
        if number not in children and walk.role(number) == "orphan":
            kind = candidates[number]
            trees.append(walk.tree(number, is_table=kind in (TABLE_INNER, TABLE_LEAF)))
    # what a cycle of inner pages hides is no child of a root
    for number, kind in candidates.items():
        if walk.role(number) == "orphan":
            trees.append(walk.tree(number, is_table=kind in (TABLE_INNER, TABLE_LEAF)))
    walk.finish_trees()
    # an orphaned tree is a problem itself; what is wrong within it is no further one
    del walk.problems[noted:]
    return sorted((tree for tree in trees if tree.leaves or tree.inner), key=lambda tree: -len(tree.leaves))


def _children(walk: Walk, number: int, candidates: dict[int, int]) -> list[int]:
    page = walk.reading.page(number)
    header = header_of(page)
    if header is None:
        return []
    cells = [cell_at(page, at, header.kind, walk.usable) for at in header.pointers]
    links = [*(cell.child for cell in cells if cell is not None), header.child]
    is_table = header.kind == TABLE_INNER
    return [
        link
        for link in links
        if link != number
        and link in candidates
        and (candidates[link] in (TABLE_INNER, TABLE_LEAF)) == is_table
    ]
