"""Damage to the header, the stored schema, index pages, the freelist and the pointer map of a file."""

from __future__ import annotations

import struct

from support.corruption import PLAIN, Damage, kind
from support.corruption_format import Cell, decode_record, pointers, varint

APPS = tuple(name for name in PLAIN if name.startswith("app"))
LISTED = ("own", "app-512", "app-2048-utf16be", "app-4096", "app-4096-utf16le")
MAPPED = ("app-1024-full", "app-2048-utf16be")


def _head(damage: Damage, at: int, *fields: int, form: str = "I") -> None:
    damage.main.put(at, struct.pack(f">{len(fields)}{form}", *fields))


def _held(damage: Damage, at: int) -> int:
    return int.from_bytes(damage.main.data[at : at + 4], "big")


@kind("header")
def magic_zeroed(damage: Damage) -> None:
    damage.main.put(0, bytes(16))


@kind("header")
def magic_flipped(damage: Damage) -> None:
    damage.main.flip(damage.rng.randrange(15), 1 << damage.rng.randrange(8))


@kind("header")
def page_size_wrong(damage: Damage) -> None:
    others = [size for size in (512, 1024, 2048, 4096, 8192, 16384, 32768) if size != damage.size]
    _head(damage, 16, damage.rng.choice(others), form="H")


@kind("header")
def page_size_impossible(damage: Damage) -> None:
    _head(damage, 16, damage.rng.choice((0, 3, 1000, 256, 4097)), form="H")


@kind("header")
def encoding_wrong(damage: Damage) -> None:
    _head(damage, 56, damage.rng.choice([code for code in (1, 2, 3) if code != _held(damage, 56)]))


@kind("header")
def encoding_impossible(damage: Damage) -> None:
    _head(damage, 56, damage.rng.choice((0, 4, 77, 2**31)))


@kind("header")
def format_versions_wrong(damage: Damage) -> None:
    _head(damage, 18, damage.rng.choice((0, 3, 9)), damage.rng.choice((0, 3, 200)), form="B")


@kind("header")
def said_to_have_a_log(damage: Damage) -> None:
    _head(damage, 18, 2, 2, form="B")


@kind("header")
def schema_format_wrong(damage: Damage) -> None:
    _head(damage, 44, damage.rng.choice((0, 5, 99)))


@kind("header")
def change_counter_wrong(damage: Damage) -> None:
    _head(damage, 24, damage.rng.getrandbits(32))


@kind("header")
def freelist_head_wrong(damage: Damage) -> None:
    _head(damage, 32, damage.rng.choice(damage.pages("table-leaf")))


@kind("header")
def freelist_count_wrong(damage: Damage) -> None:
    _head(damage, 36, _held(damage, 36) + damage.rng.choice((1, 3, 1000)))


@kind("header")
def page_count_small(damage: Damage) -> None:
    _head(damage, 28, damage.truth.store.count // 2)


@kind("header")
def page_count_large(damage: Damage) -> None:
    _head(damage, 28, damage.truth.store.count + damage.rng.randint(1, 900))


@kind("header")
def reserved_bytes_wrong(damage: Damage) -> None:
    _head(damage, 20, damage.rng.choice((8, 12, 32)), form="B")


@kind("header")
def schema_cookie_wrong(damage: Damage) -> None:
    _head(damage, 40, damage.rng.getrandbits(31))


@kind("header")
def auto_vacuum_wrong(damage: Damage) -> None:
    _head(damage, 52, 0 if _held(damage, 52) else damage.rng.choice((2, 5)))


@kind("header")
def fractions_wrong(damage: Damage) -> None:
    damage.main.put(21, damage.rng.choice((bytes(3), b"\xff\x01\x10", b"\x20\x40\x40")))


@kind("header")
def user_version_wrong(damage: Damage) -> None:
    _head(damage, 60, 999)


@kind("header")
def header_zeroed(damage: Damage) -> None:
    damage.main.put(0, bytes(100))


@kind("header")
def header_garbage(damage: Damage) -> None:
    damage.main.put(0, damage.rng.randbytes(100))


def _objects(damage: Damage, *types: str) -> list[tuple[Cell, list[object]]]:
    """Give the cells of sqlite_schema that stand for these types, with their values."""
    store = damage.truth.store
    found = [(cell, decode_record(cell.record, store.encoding)) for cell in store.cells(1)]
    return [(cell, values) for cell, values in found if not types or values[0] in types]


def _body(cell: Cell, column: int) -> tuple[int, int]:
    """Give where a column of a cell lies in its file, and how long it is (overflow apart)."""
    stop, at = varint(cell.record, 0)
    place = stop
    for position in range(column + 1):
        serial, at = varint(cell.record, at)
        width = (serial - 12) // 2 if serial >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[serial]
        if position == column:
            return cell.places[0].start + cell.header_bytes + place, width
        place += width
    raise LookupError(column)


def _reroot(damage: Damage, cell: Cell, root: int) -> None:
    at, width = _body(cell, 3)
    damage.main.put(at, root.to_bytes(8, "big")[8 - width :])


@kind("schema")
def first_page_zeroed(damage: Damage) -> None:
    damage.put(1, 0, bytes(damage.size))


@kind("schema")
def first_page_garbage(damage: Damage) -> None:
    damage.put(1, 0, damage.rng.randbytes(damage.size))


@kind("schema")
def first_page_half_gone(damage: Damage) -> None:
    damage.put(1, damage.size // 2, bytes(damage.size // 2))


@kind("schema")
def schema_tree_zeroed(damage: Damage) -> None:
    for page in [number for number, role in damage.truth.roles.items() if role.root == 1 and number > 1]:
        damage.put(page, 0, bytes(damage.size))
    damage.put(1, 100, bytes(damage.size - 100))


@kind("schema")
def schema_head_flipped(damage: Damage) -> None:
    damage.main.flip(100 + damage.rng.choice((0, 3, 4, 5, 6)), 1 << damage.rng.randrange(7))


@kind("schema")
def schema_cells_flipped(damage: Damage) -> None:
    for cell, _ in damage.rng.sample(_objects(damage), 3):
        damage.main.flip(
            cell.places[0].start + damage.rng.randrange(cell.header_bytes + 5), 1 << damage.rng.randrange(8)
        )


@kind("schema")
def schema_names_flipped(damage: Damage) -> None:
    for cell, _ in damage.rng.sample(_objects(damage, "table"), 3):
        at, width = _body(cell, 1)
        damage.main.flip(at + damage.rng.randrange(width), 1 << damage.rng.randrange(5))


@kind("schema")
def schema_types_flipped(damage: Damage) -> None:
    for cell, _ in damage.rng.sample(_objects(damage, "table", "index"), 3):
        at, width = _body(cell, 0)
        damage.main.flip(at + damage.rng.randrange(width), 1 << damage.rng.randrange(5))


@kind("schema")
def schema_texts_flipped(damage: Damage) -> None:
    for cell, _ in damage.rng.sample(_objects(damage, "table"), 2):
        at, width = _body(cell, 4)
        here = cell.places[0].start + cell.places[0].length - 4
        for _ in range(4):
            place = min(at + damage.rng.randrange(width), here - 1)
            damage.main.flip(place, 1 << damage.rng.randrange(7))


@kind("schema")
def schema_roots_swapped(damage: Damage) -> None:
    rooted = [(cell, values) for cell, values in _objects(damage, "table") if values[3]]
    for _ in range(40):
        (one, first), (other, second) = damage.rng.sample(rooted, 2)
        if _body(one, 3)[1] == _body(other, 3)[1]:
            _reroot(damage, one, int(str(second[3])))
            _reroot(damage, other, int(str(first[3])))
            return


@kind("schema")
def schema_roots_wild(damage: Damage) -> None:
    rooted = [cell for cell, values in _objects(damage, "table") if values[3]]
    for cell in damage.rng.sample(rooted, 3):
        _reroot(damage, cell, damage.rng.choice((0, 1, 127, damage.choose("table-leaf")[0] % 128)))


@kind("schema")
def schema_roots_shared(damage: Damage) -> None:
    rooted = [(cell, values) for cell, values in _objects(damage, "table") if values[3]]
    for _ in range(40):
        (one, _), (other, second) = damage.rng.sample(rooted, 2)
        if _body(one, 3)[1] == _body(other, 3)[1]:
            _reroot(damage, one, int(str(second[3])))
            return


@kind("schema")
def schema_table_forgotten(damage: Damage) -> None:
    cell = damage.rng.choice([cell for cell, values in _objects(damage, "table") if values[3]])
    page = cell.page
    base = 100 if page == 1 else 0
    held = pointers(damage.page(page), base)
    del held[cell.number]
    inner = damage.page(page)[base] in (2, 5)
    damage.put(page, base + 3, struct.pack(">H", len(held)))
    damage.put(page, base + (12 if inner else 8), struct.pack(f">{len(held)}H", *held))


def _index_pages(damage: Damage, *kinds: str) -> list[int]:
    """Give pages of indexes; a table WITHOUT ROWID is none."""
    keyed = {spec.root for spec in damage.truth.specs}
    return [page for page in damage.pages(*kinds) if damage.truth.roles[page].root not in keyed]


@kind("index")
def index_leaf_zeroed(damage: Damage) -> None:
    damage.put(damage.rng.choice(_index_pages(damage, "index-leaf")), 0, bytes(damage.size))


@kind("index")
def index_leaves_garbage(damage: Damage) -> None:
    for page in damage.rng.sample(_index_pages(damage, "index-leaf"), 3):
        damage.put(page, 0, damage.rng.randbytes(damage.size))


@kind("index", *(name for name in PLAIN if name != "app-65536"))
def index_inner_zeroed(damage: Damage) -> None:
    damage.put(damage.rng.choice(_index_pages(damage, "index-inner")), 0, bytes(damage.size))


@kind("index")
def index_bits_flipped(damage: Damage) -> None:
    for page in damage.rng.sample(_index_pages(damage, "index-leaf"), 4):
        damage.main.flip(damage.at(page, damage.rng.randrange(damage.size)), 1 << damage.rng.randrange(8))


@kind("index")
def index_over_table(damage: Damage) -> None:
    index = damage.rng.choice(_index_pages(damage, "index-leaf"))
    damage.main.copy(damage.at(index), damage.at(damage.choose("table-leaf")[0]), damage.size)


@kind("index")
def index_roots_swapped(damage: Damage) -> None:
    rooted = [(cell, values) for cell, values in _objects(damage, "index")]
    for _ in range(40):
        (one, first), (other, second) = damage.rng.sample(rooted, 2)
        if _body(one, 3)[1] == _body(other, 3)[1]:
            _reroot(damage, one, int(str(second[3])))
            _reroot(damage, other, int(str(first[3])))
            return


@kind("index", *APPS)
def covered_leaf_zeroed(damage: Damage) -> None:
    for table in ("tag", "price_change"):
        damage.put(damage.choose("table-leaf", table=table)[0], 0, bytes(damage.size))


@kind("index", *APPS)
def covered_leaves_garbage(damage: Damage) -> None:
    for page in damage.choose("table-leaf", table=damage.rng.choice(("tag", "price_change")), count=4):
        damage.put(page, 0, damage.rng.randbytes(damage.size))


@kind("index", *APPS)
def covered_table_zeroed(damage: Damage) -> None:
    table = damage.rng.choice(("tag", "price_change"))
    for page in damage.pages("table-leaf", "table-inner", table=table):
        damage.put(page, 0, bytes(damage.size))


@kind("freelist", *LISTED)
def trunk_zeroed(damage: Damage) -> None:
    damage.put(damage.choose("trunk")[0], 0, bytes(damage.size))


@kind("freelist", *LISTED)
def trunk_garbage(damage: Damage) -> None:
    damage.put(damage.choose("trunk")[0], 0, damage.rng.randbytes(damage.size))


@kind("freelist", *LISTED)
def trunk_looped(damage: Damage) -> None:
    trunk = damage.choose("trunk")[0]
    damage.put(trunk, 0, struct.pack(">I", trunk))


@kind("freelist", *LISTED)
def trunk_count_wild(damage: Damage) -> None:
    damage.put(damage.choose("trunk")[0], 4, struct.pack(">I", damage.rng.choice((99999, 0x7FFFFFFF))))


@kind("freelist", *LISTED)
def live_page_listed_free(damage: Damage) -> None:
    trunk = damage.choose("trunk")[0]
    held = int.from_bytes(damage.page(trunk)[4:8], "big")
    for place in damage.rng.sample(range(held), min(3, held)):
        damage.put(trunk, 8 + 4 * place, struct.pack(">I", damage.choose("table-leaf", "overflow")[0]))


@kind("freelist", *LISTED)
def freelist_forgotten(damage: Damage) -> None:
    _head(damage, 32, 0, 0)


@kind("freelist", *MAPPED)
def pointer_map_zeroed(damage: Damage) -> None:
    for page in damage.choose("map", count=2):
        damage.put(page, 0, bytes(damage.size))


@kind("freelist", *MAPPED)
def pointer_map_garbage(damage: Damage) -> None:
    for page in damage.choose("map", count=2):
        damage.put(page, 0, damage.rng.randbytes(damage.size))


@kind("freelist", *MAPPED)
def pointer_map_flipped(damage: Damage) -> None:
    for page in damage.choose("map", count=2):
        entry = damage.rng.randrange(damage.size // 5 // 2) * 5
        damage.main.flip(damage.at(page, entry + damage.rng.randrange(5)), 1 << damage.rng.randrange(3))
