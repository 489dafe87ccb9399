"""Mermaid and Graphviz text that is valid whatever the tables are called."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from support.odd_names import odd_tables

from datalayer.schema.entities import Attribute, Entities, Entity, Reference
from datalayer.web.notation import dot, mermaid

# what Mermaid's grammar of such diagrams takes: a name is a word or stands in quotes
_NAME = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[^"%\r\n\v\b\\]+")'
_WORD = r"[A-Za-z_][A-Za-z0-9_()]*"
_LINES = [
    re.compile(r"erDiagram"),
    re.compile(rf"    {_NAME}(?: \{{)?"),
    re.compile(rf'        {_WORD} {_WORD}(?: (?:PK|FK|UK)(?:, (?:PK|FK|UK))*)?(?: "[^"]*")?'),
    re.compile(r"    \}"),
    re.compile(rf'    {_NAME} (?:\|o|\|\|)--(?:o\||o\{{) {_NAME} : "[^"%\r\n\v\b\\]+"'),
]
_KEYWORDS = {"style", "class", "one", "many", "to", "end", "title", "direction", "u", "o"}


def invalid_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if not any(one.fullmatch(line) for one in _LINES)]


class _LabelReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.depth = 0
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("table", "tr", "td", "b")
        self.depth += 1

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def cells_of_labels(text: str) -> list[str]:
    cells: list[str] = []
    for label in re.findall(r"^ {4}t\d+ \[label=<(<TABLE.*</TABLE>)>\];$", text, re.MULTILINE):
        reader = _LabelReader()
        reader.feed(label)
        reader.close()
        assert reader.depth == 0
        cells += reader.cells
    return cells


def test_mermaid_tells_columns_keys_and_how_many() -> None:
    entities = Entities(
        (
            Entity("customers", (Attribute("id", "INTEGER", is_key=True, is_unique=True),)),
            Entity(
                "orders",
                (
                    Attribute("id", "INTEGER", is_key=True),
                    Attribute("customer", "INTEGER", is_reference=True, is_not_null=True),
                    Attribute("total price", "numeric(10,2)"),
                    Attribute("anything", ""),
                ),
            ),
        ),
        (
            Reference("orders", ("customer",), "customers", ("id",), is_optional=False, is_single=False),
            Reference("orders", ("id",), "customers", ("id",), is_optional=True, is_single=True),
        ),
    )

    assert mermaid(entities).splitlines() == [
        "erDiagram",
        "    customers {",
        "        INTEGER id PK",
        "    }",
        "    orders {",
        "        INTEGER id PK",
        "        INTEGER customer FK",
        '        numeric(10_2) total_price "numeric(10,2)"',
        "        any anything",
        "    }",
        '    customers ||--o{ orders : "customer"',
        '    customers |o--o| orders : "id"',
    ]


def test_mermaid_of_odd_names_is_valid() -> None:
    text = mermaid(odd_tables())

    assert invalid_lines(text) == []
    assert "direction LR" not in text


@given(st.lists(st.text(), min_size=1, max_size=4, unique=True))
def test_mermaid_and_dot_of_any_name_are_valid(names: list[str]) -> None:
    tables = tuple(Entity(name, (Attribute(name, name, is_reference=True),)) for name in sorted(names))
    references = tuple(
        Reference(one, (one,), names[0], (), is_optional=True, is_single=False) for one in names
    )
    entities = Entities(tables, references)

    assert invalid_lines(mermaid(entities)) == []
    assert len(cells_of_labels(dot(entities))) >= len(names)


def test_words_of_the_notation_are_quoted_as_names() -> None:
    for word in _KEYWORDS:
        assert f'"{word}"' in mermaid(Entities((Entity(word),), ()))
    assert "    tokens" in mermaid(Entities((Entity("tokens"),), ()))


def test_dot_of_odd_names_holds_each_in_a_label() -> None:
    text = dot(odd_tables())

    cells = cells_of_labels(text)
    assert "<script>alert(1)</script>" in cells
    assert "turned \\u202e round" in cells
    first, *lines, last = text.split("\n")
    assert (first, last) == ("digraph schema {", "}")
    assert len([line for line in lines if " -> " in line]) >= len(odd_tables().references)
