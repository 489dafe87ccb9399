"""The pages of the domains draw their tables as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scripts import load_script
from support.source_tree import ROOT

from datalayer.schema.history import consolidated_sql
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.snapshot import read_text

DOCS = ROOT / "docs"
PAGES = sorted((DOCS / "domains").glob("*.md"))
DIAGRAMS = load_script("docs/diagrams.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_is_what_the_generator_makes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text == DIAGRAMS.drawn(text), "run: python docs/diagrams.py"


def test_every_table_is_drawn_on_one_page() -> None:
    drawn = [name for page in PAGES for name in DIAGRAMS.tables_named(page.read_text(encoding="utf-8"))]

    tables = [table.name for table in read_text(consolidated_sql()).tables if table.kind == "table"]
    assert sorted(drawn) == sorted({*tables} - {"migrations", *JOURNAL_TABLES})
