"""The layers of a graph: which nodes hang together, and how far right each one stands.

Nothing here recurses, so that a chain of any length will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

__all__ = ["connected", "layers_of"]

_Pair = tuple[str, str]


def connected(names: Sequence[str], pairs: Iterable[_Pair]) -> list[list[str]]:
    """Give the groups of names that pairs join, the largest first, each sorted."""
    near: dict[str, list[str]] = {name: [] for name in names}
    for one, other in pairs:
        near[one].append(other)
        near[other].append(one)
    seen: set[str] = set()
    groups: list[list[str]] = []
    for name in names:
        if name in seen:
            continue
        seen.add(name)
        group = [name]
        for member in group:
            fresh = [other for other in near[member] if other not in seen]
            for other in fresh:
                if other not in seen:
                    seen.add(other)
                    group.append(other)
        groups.append(sorted(group))
    return sorted(groups, key=lambda group: (-len(group), group))


def layers_of(names: Sequence[str], pairs: Sequence[_Pair]) -> dict[str, int]:
    """Give each name its layer from 0: one more than the furthest of those that it points to.

    Of pairs that run in a circle the one that closes it, going through the names in order, is left out of
    account.
    """
    targets: dict[str, list[str]] = {name: [] for name in names}
    for tail, head in pairs:
        targets[tail].append(head)
    order, closing = _depth_first(names, targets)
    layers: dict[str, int] = {}
    for name in order:
        heads = [head for head in targets[name] if (name, head) not in closing]
        layers[name] = max((layers[head] + 1 for head in heads), default=0)
    return _drawn_near(layers, pairs, closing)


def _depth_first(names: Sequence[str], targets: Mapping[str, list[str]]) -> tuple[list[str], set[_Pair]]:
    """Give the names, each behind all that it points to, and the pairs that close a circle."""
    order: list[str] = []
    closing: set[_Pair] = set()
    done: set[str] = set()
    for first in names:
        if first in done:
            continue
        path = {first}
        stack = [(first, iter(targets[first]))]
        while stack:
            name, heads = stack[-1]
            head = next(heads, None)
            if head is None:
                stack.pop()
                path.discard(name)
                done.add(name)
                order.append(name)
            elif head in path:
                closing.add((name, head))
            elif head not in done:
                path.add(head)
                stack.append((head, iter(targets[head])))
    return order, closing


def _drawn_near(layers: dict[str, int], pairs: Sequence[_Pair], closing: set[_Pair]) -> dict[str, int]:
    """Move what stands in the first layer and is pointed to from far right next to who points to it."""
    sources: dict[str, list[int]] = {}
    for tail, head in pairs:
        if (tail, head) not in closing:
            sources.setdefault(head, []).append(layers[tail])
    moved = {
        name: max(layer, min(sources[name]) - 1)
        for name, layer in layers.items()
        if layer == 0 and name in sources
    }
    return layers | moved
