"""Where each table of a picture stands and which way its references go: layers from left to right.

A table stands right of those it refers to. Long references pass between the tables on their way. All of it is
deterministic: the same tables give the same picture. Knows sizes and places, no way of drawing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from datalayer.web.layering import connected, layers_of

__all__ = ["Box", "Link", "Place", "Plan", "lay_out"]

_GAP_X = 90
_GAP_Y = 28
_LANE = 14
_SWEEPS = 8
_WIDEST_SHELF = 1800


@dataclass(frozen=True, slots=True)
class Box:
    """What is to be placed: a name and a size."""

    name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Link:
    """A line from a box to the one it refers to; `tail_y` and `head_y` are counted from their tops."""

    tail: str
    head: str
    tail_y: int
    head_y: int


@dataclass(frozen=True, slots=True)
class Place:
    """The upper left corner of a box."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Places by name, the points of each link from its tail to its head, and the size of the whole.

    A link from a box to itself has its two ends only.
    """

    places: Mapping[str, Place]
    routes: tuple[tuple[tuple[int, int], ...], ...]
    width: int
    height: int


@dataclass(slots=True)
class _Node:
    """A box, or the lane that a long link takes through a layer (`box` is None)."""

    key: tuple[str, int, int]
    width: int
    height: int
    layer: int
    box: str | None = None
    left: list[_Node] = field(default_factory=list["_Node"])
    right: list[_Node] = field(default_factory=list["_Node"])
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def lay_out(boxes: Sequence[Box], links: Sequence[Link]) -> Plan:
    """Place boxes so that links are short and seldom cross. Some milliseconds for a hundred boxes."""
    by_name = {box.name: box for box in boxes}
    pairs = sorted({(link.tail, link.head) for link in links if link.tail != link.head})
    shelves = _Shelves()
    routes: dict[int, tuple[tuple[int, int], ...]] = {}
    for names in connected(sorted(by_name), pairs):
        members = {name: by_name[name] for name in names}
        inside = [(number, link) for number, link in enumerate(links) if link.tail in members]
        part = _Part(members, inside)
        x, y = shelves.take(part.width, part.height)
        shelves.places |= {name: Place(x + one.x, y + one.y) for name, one in part.places.items()}
        for number, route in part.routes.items():
            routes[number] = tuple((x + px, y + py) for px, py in route)
    ordered = tuple(routes[number] for number in range(len(links)))
    return Plan(shelves.places, ordered, shelves.width, shelves.height)


class _Shelves:
    """Rows of pictures that have nothing to do with each other; low ones stand on top of each other."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.width = 0
        self.height = 0
        self._top = 0
        # the pile that is open: its left edge, its width, where the next one of it would stand
        self._left = 0
        self._wide = 0
        self._next = 0

    def take(self, width: int, height: int) -> tuple[int, int]:
        """Give the corner of a free place of this size."""
        is_piled = self._next > self._top and self._next + height <= self.height and width <= self._wide
        if not is_piled:
            self._left += self._wide + _GAP_Y if self._wide else 0
            if self._left and self._left + width > _WIDEST_SHELF:
                self._left, self._top = 0, self.height + _GAP_Y
            self._next, self._wide = self._top, width
        corner = self._left, self._next
        self._next += height + _GAP_Y
        self.width = max(self.width, self._left + width)
        self.height = max(self.height, corner[1] + height)
        return corner


class _Part:
    """The layout of boxes that hang together, from (0, 0) on."""

    def __init__(self, boxes: Mapping[str, Box], links: Iterable[tuple[int, Link]]) -> None:
        self._links = list(links)
        pairs = sorted({(one.tail, one.head) for _, one in self._links if one.tail != one.head})
        self._layer = layers_of(sorted(boxes), pairs)
        self._nodes = {
            name: _Node((name, -1, 0), box.width, box.height, self._layer[name], name)
            for name, box in boxes.items()
        }
        self._lanes = {pair: self._lane(place, *pair) for place, pair in enumerate(pairs)}
        every = [*self._nodes.values(), *(node for lane in self._lanes.values() for node in lane)]
        self._columns: list[list[_Node]] = [[] for _ in range(max(self._layer.values()) + 1)]
        for node in sorted(every, key=lambda node: node.key):
            self._columns[node.layer].append(node)
        self._order()
        self._settle()
        self._widths = [max(node.width for node in column) for column in self._columns]
        self._x = self._column_places()
        self.width = self._x[-1] + self._widths[-1]
        self.width += _GAP_X // 2 if any(one.tail == one.head for _, one in self._links) else 0
        self.height = round(max(node.y + node.height for node in every))
        self.places = {name: Place(self._x[node.layer], round(node.y)) for name, node in self._nodes.items()}
        self.routes = {number: self._route(link) for number, link in self._links}

    def _lane(self, place: int, tail: str, head: str) -> list[_Node]:
        """Make the lane of a link through the layers between its ends, in order from left to right."""
        first, last = sorted((self._nodes[tail], self._nodes[head]), key=lambda node: node.layer)
        lane = [
            _Node((first.key[0], place, layer), 0, _LANE, layer)
            for layer in range(first.layer + 1, last.layer)
        ]
        for one, following in zip([first, *lane], [*lane, last]):
            one.right.append(following)
            following.left.append(one)
        return lane

    def _order(self) -> None:
        """Order each layer by the middle of its neighbours', to and fro; ties stay as they are."""
        for sweep in range(_SWEEPS):
            is_forward = sweep % 2 == 0
            columns = self._columns if is_forward else self._columns[::-1]
            ranks = {id(node): place for column in columns for place, node in enumerate(column)}
            for column in columns[1:]:
                wanted: dict[int, float] = {}
                for place, node in enumerate(column):
                    near = [ranks[id(other)] for other in (node.left if is_forward else node.right)]
                    wanted[id(node)] = sum(near) / len(near) if near else place
                column.sort(key=lambda node: wanted[id(node)])
                ranks |= {id(node): place for place, node in enumerate(column)}

    def _settle(self) -> None:
        """Give each node a height near its neighbours' without moving it past another one."""
        for column in self._columns:
            _stack(column, [0.0 for _ in column])
        for sweep in range(_SWEEPS):
            for column in self._columns if sweep % 2 else self._columns[::-1]:
                _stack(column, [_wish(node) for node in column])
        top = min(node.y for column in self._columns for node in column)
        for column in self._columns:
            for node in column:
                node.y -= top

    def _column_places(self) -> list[int]:
        places, x = [0], 0
        for width in self._widths[:-1]:
            x += width + _GAP_X
            places.append(x)
        return places

    def _route(self, link: Link) -> tuple[tuple[int, int], ...]:
        tail, head = self._nodes[link.tail], self._nodes[link.head]
        start, end = round(tail.y) + link.tail_y, round(head.y) + link.head_y
        if tail is head:
            x = self._x[tail.layer] + tail.width
            return (x, start), (x, end)
        is_leftward = head.layer < tail.layer
        lane = self._lanes[link.tail, link.head]
        between: list[tuple[int, int]] = []
        for node in lane[::-1] if is_leftward else lane:
            near, far = self._x[node.layer], self._x[node.layer] + self._widths[node.layer]
            y = round(node.middle)
            between += [(far, y), (near, y)] if is_leftward else [(near, y), (far, y)]
        tail_x, head_x = self._x[tail.layer], self._x[head.layer]
        if is_leftward:
            return (tail_x, start), *between, (head_x + head.width, end)
        return (tail_x + tail.width, start), *between, (head_x, end)


def _wish(node: _Node) -> float:
    near = [other.middle for other in (*node.left, *node.right)]
    return sum(near) / len(near) - node.height / 2 if near else node.y


def _stack(column: Sequence[_Node], wishes: Sequence[float]) -> None:
    """Place nodes below each other, each block of touching ones at the mean of what its members wish.

    The least squares of a chain of distances: pool adjacent violators.
    """
    offsets: list[float] = []
    down = 0.0
    for node in column:
        offsets.append(down)
        down += node.height + _GAP_Y
    blocks: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets):
        total, count = wish - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    settled = [total / count for total, count in blocks for _ in range(count)]
    for node, base, offset in zip(column, settled, offsets):
        node.y = base + offset
