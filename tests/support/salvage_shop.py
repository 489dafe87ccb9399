"""A shop whose files are damaged in tests: its bytes, its truth and where its trees lie."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from datalayer.schema.salvage.header import read_stamps
from datalayer.schema.salvage.image import Image
from datalayer.schema.salvage.survey import Survey, survey
from datalayer.schema.salvage.walk import Tree
from datalayer.schema.snapshot import Schema
from support.salvage_case import SHOP, Format, Rows, create, fill_shop, schema_of, truth


@dataclass(frozen=True)
class Shop:
    path: Path
    raw: bytes
    rows: dict[str, Rows]
    schema: Schema
    survey: Survey
    page_size: int

    def tree(self, table: str) -> Tree:
        tree = self.survey.holdings[table].tree
        assert tree is not None
        return tree

    def middle_leaf(self, table: str) -> int:
        leaves = self.tree(table).leaves
        return leaves[len(leaves) // 2]

    def place(self, page: int) -> int:
        return (page - 1) * self.page_size

    def damaged(self, tmp_path: Path, raw: bytes | bytearray) -> Path:
        path = tmp_path / "damaged.db"
        path.write_bytes(raw)
        return path


def make_shop(folder: Path, form: Format) -> Shop:
    path = folder / "shop.db"
    with closing(create(path, SHOP, form)) as connection:
        fill_shop(connection, 400)
        connection.execute("DELETE FROM line WHERE rowid BETWEEN 100 AND 180")
        connection.execute("DELETE FROM document WHERE id IN (5, 6)")
    with Image.read(path) as image:
        (reading,) = image.readings()
        found = survey(reading, read_stamps(reading.page(1)), None)
    return Shop(path, path.read_bytes(), truth(path), schema_of(path), found, form.page_size)
