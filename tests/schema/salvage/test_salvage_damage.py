"""One kind of damage a test: what is still in the file comes back, in its place."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.salvage_case import false_rows, found_rows, missing
from support.salvage_shop import Shop

from datalayer.errors import DatabaseCorrupt
from datalayer.schema.salvage.findings import inspect
from datalayer.schema.salvage.outcome import LostRow
from datalayer.schema.salvage.recover import salvage
from datalayer.schema.salvage.writer import write

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

Harm = Callable[[bytearray], None]


def _put(at: int, value: bytes) -> Harm:
    def harm(raw: bytearray) -> None:
        raw[at : at + len(value)] = value

    return harm


HEADER_HARM = {
    "magic": _put(0, bytes(16)),
    "page size": _put(16, (8192).to_bytes(2, "big")),
    "reserved bytes": _put(20, b"\x4d"),
    "encoding": _put(59, b"\x02"),
    "another encoding": _put(59, b"\x09"),
    "no auto-vacuum": _put(52, bytes(4)),
    "auto-vacuum": _put(52, b"\0\0\0\x07"),
    "page count": _put(28, b"\0\0\0\x03"),
    "freelist": _put(32, b"\0\0\0\x05"),
    "whole header": _put(0, bytes(100)),
    "pointers of the schema": _put(108, bytes(24)),
}


@pytest.mark.parametrize("name", HEADER_HARM)
def test_a_damaged_header_costs_no_row(any_shop: Shop, tmp_path: Path, name: str) -> None:
    raw = bytearray(any_shop.raw)
    HEADER_HARM[name](raw)
    if bytes(raw) == any_shop.raw:
        return
    path = any_shop.damaged(tmp_path, raw)

    with salvage(path, any_shop.schema) as salvaged:
        found = found_rows(salvaged)

    assert missing(any_shop.rows, found) == false_rows(any_shop.rows, found) == 0
    if "auto-vacuum" not in name or any_shop.page_size == (512 if name == "no auto-vacuum" else 1024):
        assert inspect(path, any_shop.schema) != []


@pytest.mark.parametrize("fill", ["zeros", "noise"])
def test_rows_come_back_when_the_first_page_is_gone(any_shop: Shop, tmp_path: Path, fill: str) -> None:
    raw = bytearray(any_shop.raw)
    size = any_shop.page_size
    raw[:size] = bytes(size) if fill == "zeros" else random.Random(1).randbytes(size)

    with salvage(any_shop.damaged(tmp_path, raw), any_shop.schema) as salvaged:
        found = found_rows(salvaged)

    assert missing(any_shop.rows, found) == false_rows(any_shop.rows, found) == 0


@pytest.mark.parametrize("table", ["customer", "order", "line", "document"])
def test_inner_pages_hold_no_rows(any_shop: Shop, tmp_path: Path, table: str) -> None:
    tree = any_shop.tree(table)
    for number in {tree.root, tree.inner[-1]}:
        raw = bytearray(any_shop.raw)
        _put(any_shop.place(number), bytes(any_shop.page_size))(raw)

        with salvage(any_shop.damaged(tmp_path, raw)) as salvaged:
            found = found_rows(salvaged)
            assert not salvaged.tables[table].complete

        assert missing(any_shop.rows, found) == false_rows(any_shop.rows, found) == 0


@pytest.mark.parametrize("table", ["customer", "order", "line", "document", "product"])
@pytest.mark.parametrize("harm", ["type", "header", "pointers"])
def test_cells_are_carved_from_a_leaf_without_header(
    any_shop: Shop, tmp_path: Path, table: str, harm: str
) -> None:
    raw = bytearray(any_shop.raw)
    at = any_shop.place(any_shop.middle_leaf(table))
    cells = int.from_bytes(raw[at + 3 : at + 5], "big")
    end = {"type": 1, "header": 8, "pointers": 8 + 2 * cells}[harm]
    _put(at, bytes(end))(raw)
    path = any_shop.damaged(tmp_path, raw)

    with salvage(path, any_shop.schema) as salvaged:
        found = found_rows(salvaged)

    assert missing(any_shop.rows, found) == false_rows(any_shop.rows, found) == 0
    assert inspect(path) != []


def test_rows_of_a_lost_leaf_are_rebuilt_from_an_index_that_covers_them(
    any_shop: Shop, tmp_path: Path
) -> None:
    raw = bytearray(any_shop.raw)
    _put(any_shop.place(any_shop.middle_leaf("line")), bytes(any_shop.page_size))(raw)

    with salvage(any_shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged)

    assert missing(any_shop.rows, found) == false_rows(any_shop.rows, found) == 0


def test_rows_that_an_index_knows_in_part_are_set_aside(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    leaf = shop.middle_leaf("order")
    rowids = {record.rowid for record in shop.survey.content.leaf(leaf)}
    _put(shop.place(leaf), bytes(shop.page_size))(raw)
    lost: list[LostRow] = []

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged, lost)

    assert {row.rowid for row in lost} == rowids
    assert missing(shop.rows, found) == len(rowids)
    assert false_rows(shop.rows, found) == 0
    row = lost[0]
    whole = shop.rows["order"][(row.rowid,)]
    assert row.values == [whole[0], whole[1], whole[2], whole[3], None]
    assert "only indexes still know of it" in row.reason


def test_overwritten_rows_that_an_index_contradicts_are_not_in_place(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    at = shop.place(shop.middle_leaf("order"))
    _put(at + 700, random.Random(5).randbytes(24))(raw)

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged)

    assert missing(shop.rows, found) <= 2
    assert false_rows(shop.rows, found) == 0


@pytest.mark.parametrize("length", [1, 37, 1000, 1024, 2048])
def test_inserted_bytes_cost_at_most_the_page_they_fell_into(shop: Shop, tmp_path: Path, length: int) -> None:
    raw = bytearray(shop.raw)
    at = len(raw) // 3 // 1024 * 1024 + (0 if length % 1024 == 0 else 300)
    raw[at:at] = random.Random(length).randbytes(length)
    path = shop.damaged(tmp_path, raw)

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(shop.rows, found) <= 1
    assert any(finding.id == "DL-C102" for finding in inspect(path))


@pytest.mark.parametrize("length", [1, 37, 1024])
def test_missing_bytes_cost_at_most_the_page_they_are_missing_from(
    shop: Shop, tmp_path: Path, length: int
) -> None:
    raw = bytearray(shop.raw)
    at = len(raw) // 3 // 1024 * 1024 + (0 if length % 1024 == 0 else 300)
    del raw[at : at + length]

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged)

    assert missing(shop.rows, found) <= (2 if length < 1024 else 40)
    assert false_rows(shop.rows, found) <= 1


def test_a_truncated_file_gives_what_is_left(shop: Shop, tmp_path: Path) -> None:
    raw = shop.raw[: len(shop.raw) // 2 // 1024 * 1024 + 500]
    kept = len(raw) // 1024

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged)

    gone = sum(
        len(list(shop.survey.content.leaf(number)))
        for table in ("customer", "order", "line", "document")
        for number in shop.tree(table).leaves
        if number > kept
    )
    assert missing(shop.rows, found) <= gone + 60
    assert false_rows(shop.rows, found) == 0


def test_a_broken_pointer_within_an_overflow_chain_is_mended(shop: Shop, tmp_path: Path) -> None:
    chains = [chain for chain in shop.survey.walk.chains.values() if len(chain) > 2]
    for chain in (chains[0], chains[len(chains) // 2]):
        for pointer in (b"\0\0\0\0", b"\0\xff\xff\xff", chains[-1][1].to_bytes(4, "big")):
            raw = bytearray(shop.raw)
            _put(shop.place(chain[0]), pointer)(raw)

            with salvage(shop.damaged(tmp_path, raw)) as salvaged:
                found = found_rows(salvaged)

            assert missing(shop.rows, found) == false_rows(shop.rows, found) == 0


def test_rows_whose_overflow_is_gone_are_set_aside_with_what_is_there(shop: Shop, tmp_path: Path) -> None:
    key, chain = next((key, chain) for key, chain in shop.survey.walk.chains.items() if len(chain) > 2)
    raw = bytearray(shop.raw)
    _put(shop.place(chain[0]), b"\0\xff\xff\xff" + bytes(shop.page_size - 4))(raw)
    for number in chain[1:]:
        _put(shop.place(number), b"\xff" * shop.page_size)(raw)
    lost: list[LostRow] = []

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged, lost)

    assert missing(shop.rows, found) == 1
    assert [row.page for row in lost] == [key >> 16]


def test_deleted_rows_do_not_come_back(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    raw[32:40] = bytes(8)
    _put(shop.place(shop.tree("line").root), bytes(shop.page_size))(raw)

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged)

    assert missing(shop.rows, found) == false_rows(shop.rows, found) == 0


def test_swapped_roots_are_told_by_what_the_trees_hold(shop: Shop, tmp_path: Path) -> None:
    path = shop.damaged(tmp_path, shop.raw)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table'"))
        for one, other in (("customer", "order"), ("order", "customer")):
            connection.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (roots[other], one))

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(shop.rows, found) == false_rows(shop.rows, found) == 0


def test_a_damaged_statement_is_taken_from_the_expected_schema(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    at = raw.find(b"CREATE TABLE customer")
    _put(at + 14, b"\x01\x02\x03\x04\x05\x06\x07\x08\x09((")(raw)

    with salvage(shop.damaged(tmp_path, raw), shop.schema) as salvaged:
        found = found_rows(salvaged)
        assert salvaged.schema_source == "both"

    assert missing(shop.rows, found) == false_rows(shop.rows, found) == 0


def test_a_flipped_letter_in_a_name_is_put_right_by_the_expected_schema(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    at = raw.find(b"email TEXT")
    raw[at] ^= 2
    target = tmp_path / "new.db"

    with salvage(shop.damaged(tmp_path, raw), shop.schema) as salvaged:
        assert salvaged.tables["customer"].columns[1] == "email"
        written = write(salvaged, target, shop.schema)

    assert written.faults == ()


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"hello world " * 900])
def test_what_holds_nothing_of_a_database_is_said_to_be_corrupt(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nothing.db"
    path.write_bytes(content)

    with pytest.raises(DatabaseCorrupt):
        salvage(path)
    assert [finding.id for finding in inspect(path)] == ["DL-C100"]


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 14))]
)
def test_random_damage_never_raises_anything_else_and_never_writes(
    any_shop: Shop, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    raw = bytearray(any_shop.raw)
    for _ in range(chance.choice((1, 3, 10))):
        _harm(raw, chance)
    path = any_shop.damaged(tmp_path, raw)
    before = hashlib.sha256(path.read_bytes()).digest()

    try:
        inspect(path, quick=True)
        inspect(path, any_shop.schema)
        with salvage(path, any_shop.schema) as salvaged:
            written = write(salvaged, tmp_path / "new.db", any_shop.schema)
        assert written.faults == ()
    except DatabaseCorrupt:
        pass

    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert sorted(file.name for file in tmp_path.iterdir() if file.name != "new.db") == ["damaged.db"]


def _harm(raw: bytearray, chance: random.Random) -> None:
    at, length = chance.randrange(len(raw)), chance.choice((1, 4, 16, 100, 512, 2000))
    kind = chance.randrange(5)
    if kind == 0:
        raw[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        raw[at : at + length] = bytes(len(raw[at : at + length]))
    elif kind == 2:
        raw[at : at + length] = chance.randbytes(len(raw[at : at + length]))
    elif kind == 3:
        del raw[at : at + length]
    else:
        raw[at:at] = chance.randbytes(length)
