"""Physical damage: pages, sectors, bytes and bits that are zeros, garbage, elsewhere or gone."""

from __future__ import annotations

import struct
from collections.abc import Callable

from support.corruption import Damage, kind
from support.corruption_format import Cell, pointers, varint

LEAVES = ("table-leaf",)
INNER = ("table-inner",)


def _zero(damage: Damage, *pages: int) -> None:
    for page in pages:
        damage.put(page, 0, bytes(damage.size))


def _garble(damage: Damage, *pages: int) -> None:
    for page in pages:
        damage.put(page, 0, damage.rng.randbytes(damage.size))


def _flip(damage: Damage, places: list[int]) -> None:
    for place in places:
        damage.main.flip(place, 1 << damage.rng.randrange(8))


def _cells(damage: Damage, count: int) -> list[Cell]:
    """Draw cells of table leaves of the main file."""
    found = [row.cell for _, _, row in damage.rows() if row.cell.places[0].file == "main"]
    return damage.rng.sample(found, count)


@kind("physical")
def zeroed_leaf(damage: Damage) -> None:
    _zero(damage, *damage.choose(*LEAVES))


@kind("physical")
def zeroed_leaves(damage: Damage) -> None:
    _zero(damage, *damage.choose(*LEAVES, count=max(2, len(damage.pages(*LEAVES)) // 20)))


@kind("physical")
def garbage_leaf(damage: Damage) -> None:
    _garble(damage, *damage.choose(*LEAVES))


@kind("physical")
def garbage_leaves(damage: Damage) -> None:
    _garble(damage, *damage.choose(*LEAVES, count=max(2, len(damage.pages(*LEAVES)) // 20)))


@kind("physical")
def filled_leaf(damage: Damage) -> None:
    damage.put(damage.choose(*LEAVES)[0], 0, b"\xff" * damage.size)


@kind("physical")
def zeroed_inner_node(damage: Damage) -> None:
    _zero(damage, *damage.choose(*INNER))


@kind("physical")
def garbage_inner_node(damage: Damage) -> None:
    _garble(damage, *damage.choose(*INNER))


@kind("physical")
def zeroed_inner_nodes(damage: Damage) -> None:
    _zero(damage, *damage.pages(*INNER))


@kind("physical")
def zeroed_root(damage: Damage) -> None:
    _zero(damage, damage.rng.choice(_roots(damage)))


@kind("physical")
def garbage_roots(damage: Damage) -> None:
    _garble(damage, *damage.rng.sample(_roots(damage), 3))


def _roots(damage: Damage) -> list[int]:
    return [spec.root for spec in damage.truth.specs if spec.root > 1]


@kind("physical")
def swapped_leaves(damage: Damage) -> None:
    one, other = damage.choose(*LEAVES, count=2)
    damage.main.swap(damage.at(one), damage.at(other), damage.size)


@kind("physical")
def swapped_leaf_and_inner_node(damage: Damage) -> None:
    leaf, inner = *damage.choose(*LEAVES), *damage.choose(*INNER)
    damage.main.swap(damage.at(leaf), damage.at(inner), damage.size)


@kind("physical")
def swapped_pages(damage: Damage) -> None:
    every = damage.rng.sample(range(2, damage.truth.store.count + 1), 8)
    for one, other in zip(every[::2], every[1::2]):
        damage.main.swap(damage.at(one), damage.at(other), damage.size)


@kind("physical")
def leaf_over_leaf(damage: Damage) -> None:
    one, other = damage.choose(*LEAVES, count=2)
    damage.main.copy(damage.at(one), damage.at(other), damage.size)


@kind("physical")
def leaf_over_index(damage: Damage) -> None:
    leaf, index = *damage.choose(*LEAVES), *damage.choose("index-leaf")
    damage.main.copy(damage.at(leaf), damage.at(index), damage.size)


@kind("physical")
def leaf_over_inner_node(damage: Damage) -> None:
    leaf, inner = *damage.choose(*LEAVES), *damage.choose(*INNER)
    damage.main.copy(damage.at(leaf), damage.at(inner), damage.size)


@kind("physical")
def truncated_third(damage: Damage) -> None:
    damage.main.resize(damage.truth.store.count * 2 // 3 * damage.size)


@kind("physical")
def truncated_within_page(damage: Damage) -> None:
    damage.main.resize(len(damage.main) * damage.rng.randint(60, 95) // 100 | 1)


@kind("physical")
def truncated_last_page(damage: Damage) -> None:
    damage.main.resize(len(damage.main) - damage.size)


@kind("physical")
def truncated_and_filled(damage: Damage) -> None:
    length = len(damage.main)
    damage.main.resize(length * 3 // 4)
    damage.main.resize(length)


@kind("physical")
def inserted_bytes(damage: Damage) -> None:
    place = damage.rng.randrange(damage.size * 2, len(damage.main))
    damage.main.insert(place, damage.rng.randbytes(damage.rng.randint(1, 400)))


@kind("physical")
def missing_bytes(damage: Damage) -> None:
    place = damage.rng.randrange(damage.size * 2, len(damage.main) - 500)
    damage.main.cut(place, damage.rng.randint(1, 400))


@kind("physical")
def inserted_pages(damage: Damage) -> None:
    place = damage.at(damage.rng.randint(3, damage.truth.store.count - 3))
    damage.main.insert(place, damage.rng.choice((bytes, damage.rng.randbytes))(damage.size * 2))


@kind("physical")
def missing_pages(damage: Damage) -> None:
    place = damage.at(damage.rng.randint(3, damage.truth.store.count - 4))
    damage.main.cut(place, damage.size * damage.rng.randint(1, 3))


@kind("physical")
def inserted_and_missing_bytes(damage: Damage) -> None:
    third = len(damage.main) // 3
    damage.main.insert(damage.rng.randrange(damage.size, third), bytes(64))
    damage.main.cut(damage.rng.randrange(2 * third, 3 * third - 500), 64)


@kind("physical")
def torn_sector(damage: Damage) -> None:
    damage.main.put(damage.rng.randrange(damage.size // 512, len(damage.main) // 512) * 512, bytes(512))


@kind("physical")
def torn_sectors(damage: Damage) -> None:
    for sector in damage.rng.sample(range(damage.size // 512, len(damage.main) // 512), 8):
        damage.main.put(sector * 512, damage.rng.randbytes(512))


@kind("physical")
def torn_page_heads(damage: Damage) -> None:
    for page in damage.choose(*LEAVES, count=3):
        damage.put(page, 0, bytes(min(512, damage.size // 2)))


@kind("physical")
def torn_page_tails(damage: Damage) -> None:
    for page in damage.choose(*LEAVES, count=3):
        damage.put(page, damage.size // 2, bytes(damage.size // 2))


@kind("physical")
def swapped_sectors(damage: Damage) -> None:
    one, other = damage.rng.sample(range(damage.size // 512, len(damage.main) // 512), 2)
    damage.main.swap(one * 512, other * 512, 512)


@kind("physical")
def reversed_extent(damage: Damage) -> None:
    first = damage.rng.randint(2, damage.truth.store.count - 12)
    for place in range(4):
        damage.main.swap(damage.at(first + place), damage.at(first + 7 - place), damage.size)


@kind("physical")
def flipped_payload_bits(damage: Damage) -> None:
    cells = _cells(damage, 12)
    _flip(damage, [damage.rng.randrange(c.places[0].start + 8, _stop(c)) for c in cells if _long(c)])


def _stop(cell: Cell) -> int:
    return cell.places[0].start + cell.places[0].length


def _long(cell: Cell) -> bool:
    return cell.places[0].length > 9


@kind("physical")
def flipped_cell_heads(damage: Damage) -> None:
    _flip(
        damage,
        [cell.places[0].start + damage.rng.randrange(cell.header_bytes) for cell in _cells(damage, 12)],
    )


@kind("physical")
def flipped_record_heads(damage: Damage) -> None:
    places: list[int] = []
    for cell in _cells(damage, 12):
        length, _ = varint(cell.record, 0)
        places.append(cell.places[0].start + cell.header_bytes + damage.rng.randrange(length))
    _flip(damage, places)


@kind("physical")
def flipped_cell_pointers(damage: Damage) -> None:
    for page in damage.choose(*LEAVES, count=4):
        held = len(pointers(damage.page(page), 0))
        _flip(damage, [damage.at(page, 8 + damage.rng.randrange(2 * held)) for _ in range(2)] if held else [])


@kind("physical")
def zeroed_pointer_arrays(damage: Damage) -> None:
    for page in damage.choose(*LEAVES, count=3):
        damage.put(page, 8, bytes(2 * len(pointers(damage.page(page), 0))))


@kind("physical")
def flipped_page_types(damage: Damage) -> None:
    for page in damage.choose("table-leaf", "table-inner", count=4):
        damage.main.flip(damage.at(page), damage.rng.choice((1, 2, 4, 7, 8, 128)))


@kind("physical")
def flipped_cell_counts(damage: Damage) -> None:
    _flip(damage, [damage.at(page, 3 + damage.rng.randrange(2)) for page in damage.choose(*LEAVES, count=4)])


@kind("physical")
def zeroed_cell_counts(damage: Damage) -> None:
    for page in damage.choose(*LEAVES, count=4):
        damage.put(page, 3, bytes(2))


@kind("physical")
def flipped_content_starts(damage: Damage) -> None:
    _flip(damage, [damage.at(page, 5 + damage.rng.randrange(2)) for page in damage.choose(*LEAVES, count=4)])


@kind("physical")
def flipped_free_blocks(damage: Damage) -> None:
    for page in damage.choose(*LEAVES, count=4):
        damage.put(page, 1, struct.pack(">H", damage.rng.randrange(damage.size)))
        damage.put(page, 7, bytes([damage.rng.randrange(61, 255)]))


@kind("physical")
def zeroed_page_heads(damage: Damage) -> None:
    for page in damage.choose(*LEAVES, count=4):
        damage.put(page, 0, bytes(8))


def _children(damage: Damage, change: Callable[[int], int], count: int = 2) -> None:
    """Change child pointers of inner nodes."""
    for page in damage.choose(*INNER, count=count):
        at = damage.rng.choice(pointers(damage.page(page), 0))
        held = int.from_bytes(damage.page(page)[at : at + 4], "big")
        damage.put(page, at, struct.pack(">I", change(held)))


@kind("physical")
def flipped_child_pointers(damage: Damage) -> None:
    _children(damage, lambda held: held ^ 1 << damage.rng.randrange(9), count=3)


@kind("physical")
def wild_child_pointers(damage: Damage) -> None:
    _children(damage, lambda _: damage.rng.choice((0, 1, 0x7FFFFFFF, damage.truth.store.count + 1)), count=3)


@kind("physical")
def looped_children(damage: Damage) -> None:
    for page in damage.choose(*INNER, count=2):
        at = damage.rng.choice(pointers(damage.page(page), 0))
        damage.put(page, at, struct.pack(">I", page))


@kind("physical")
def shared_children(damage: Damage) -> None:
    other = damage.choose(*LEAVES)[0]
    _children(damage, lambda _: other)


@kind("physical")
def flipped_right_pointers(damage: Damage) -> None:
    for page in damage.choose(*INNER, count=3):
        damage.put(page, 8, struct.pack(">I", damage.rng.randrange(damage.truth.store.count * 2)))


@kind("physical")
def flipped_inner_keys(damage: Damage) -> None:
    for page in damage.choose(*INNER, count=3):
        at = damage.rng.choice(pointers(damage.page(page), 0))
        damage.main.flip(damage.at(page, at + 4), 1 << damage.rng.randrange(7))


LARGE = ("own", "app-512", "app-1024-full", "app-2048-utf16be", "app-4096", "app-4096-utf16le")


@kind("physical", *LARGE)
def flipped_overflow_pointers(damage: Damage) -> None:
    for page in damage.choose("overflow", count=4):
        damage.main.flip(damage.at(page, damage.rng.randrange(2, 4)), 1 << damage.rng.randrange(8))


@kind("physical", *LARGE)
def wild_overflow_pointers(damage: Damage) -> None:
    for cell in [row.cell for _, _, row in damage.rows() if len(row.cell.places) > 1][:4]:
        damage.main.put(_stop(cell) - 4, struct.pack(">I", damage.rng.randrange(damage.truth.store.count)))


@kind("physical", *LARGE)
def swapped_overflow_pages(damage: Damage) -> None:
    one, other = damage.choose("overflow", count=2)
    damage.main.swap(damage.at(one), damage.at(other), damage.size)


@kind("physical", *LARGE)
def zeroed_overflow_pages(damage: Damage) -> None:
    _zero(damage, *damage.choose("overflow", count=3))


@kind("physical", *LARGE)
def crossed_overflow_chains(damage: Damage) -> None:
    chains = [row.cell for _, _, row in damage.rows() if len(row.cell.places) > 1]
    one, other = damage.rng.sample(chains, 2)
    damage.main.put(_stop(one) - 4, bytes(damage.main.data[_stop(other) - 4 : _stop(other)]))


@kind("physical")
def flipped_bits(damage: Damage) -> None:
    _flip(damage, damage.rng.sample(range(damage.size, len(damage.main)), 60))


@kind("physical")
def random_bytes(damage: Damage) -> None:
    for place in damage.rng.sample(range(damage.size, len(damage.main)), 40):
        damage.main.put(place, damage.rng.randbytes(1))


@kind("physical")
def random_runs(damage: Damage) -> None:
    for place in damage.rng.sample(range(damage.size, len(damage.main) - 64), 6):
        damage.main.put(place, damage.rng.randbytes(damage.rng.randint(4, 64)))


APPS = tuple(name for name in (*LARGE, "app-65536") if name != "own")


@kind("physical", *APPS)
def zeroed_keyed_leaf(damage: Damage) -> None:
    _zero(damage, *damage.choose("index-leaf", table=damage.rng.choice(("line", "product"))))


@kind("physical", *APPS)
def zeroed_keyed_root(damage: Damage) -> None:
    _zero(damage, next(spec.root for spec in damage.truth.specs if spec.name == "line"))


@kind("physical", *APPS)
def garbage_keyed_inner_nodes(damage: Damage) -> None:
    _garble(damage, *damage.pages("index-inner", table="product"), *damage.pages("index-inner", table="line"))
