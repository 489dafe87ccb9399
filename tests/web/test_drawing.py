"""The picture of a schema: valid XML for any name, nothing upon another, the same every time."""

from __future__ import annotations

from itertools import combinations, pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from support.odd_names import odd_tables

from datalayer.schema.entities import Attribute, Entities, Entity, Reference
from datalayer.web.drawing import draw
from datalayer.web.layout import Box, Link, lay_out

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def graphs(draw_one: st.DrawFn) -> tuple[list[Box], list[Link]]:
    count = draw_one(st.integers(1, 14))
    sizes = st.integers(20, 300)
    boxes = [Box(f"t{number}", draw_one(sizes), draw_one(sizes)) for number in range(count)]
    ends = st.integers(0, count - 1)
    pairs = draw_one(st.lists(st.tuples(ends, ends), max_size=25))
    return boxes, [Link(f"t{one}", f"t{other}", 10, 15) for one, other in pairs]


@given(graphs())
def test_boxes_never_overlap_and_lines_begin_and_end_at_them(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    plan = lay_out(boxes, links)

    size = {box.name: box for box in boxes}
    for one, other in combinations(boxes, 2):
        a, b = plan.places[one.name], plan.places[other.name]
        is_beside = a.x + one.width <= b.x or b.x + other.width <= a.x
        assert is_beside or a.y + one.height <= b.y or b.y + other.height <= a.y
    for box in boxes:
        place = plan.places[box.name]
        assert 0 <= place.x <= plan.width - box.width
        assert 0 <= place.y <= plan.height - box.height
    for link, route in zip(links, plan.routes, strict=True):
        for name, (x, y), down in ((link.tail, route[0], 10), (link.head, route[-1], 15)):
            assert y == plan.places[name].y + down
            assert x in (plan.places[name].x, plan.places[name].x + size[name].width)


@given(graphs())
def test_layout_is_the_same_every_time(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph

    assert lay_out(boxes, links) == lay_out(boxes[::-1], links)


def test_table_stands_right_of_those_it_refers_to() -> None:
    boxes = [Box(name, 100, 50) for name in "abc"]
    plan = lay_out(boxes, [Link("a", "b", 10, 10), Link("b", "c", 10, 10), Link("a", "c", 10, 10)])

    assert plan.places["c"].x < plan.places["b"].x < plan.places["a"].x


def test_picture_of_odd_names_is_valid_xml_and_asks_for_nothing() -> None:
    drawn = draw(odd_tables())
    root = ElementTree.fromstring(drawn)

    assert root.tag == f"{SVG}svg"
    kinds = {one.tag.removeprefix(SVG) for one in root.iter()}
    assert kinds == {"svg", "title", "style", "rect", "g", "text", "path", "circle"}
    names = {attribute for one in root.iter() for attribute in one.attrib}
    assert not names & {"href", "src", "onload", "onclick"}
    assert "url(" not in drawn
    assert "\u202e" not in drawn
    titles = {one.text for one in root.iter(f"{SVG}title")}
    assert "<script>alert(1)</script>" in titles
    assert "turned \\u202e round" in titles


@given(st.lists(st.text(), min_size=1, max_size=4, unique=True))
def test_picture_of_any_name_is_valid_xml(names: list[str]) -> None:
    tables = tuple(Entity(name, (Attribute(name, name),)) for name in sorted(names))

    ElementTree.fromstring(draw(Entities(tables, ()), title=names[0]))


def test_picture_is_the_same_every_time() -> None:
    assert draw(odd_tables()) == draw(odd_tables())


def test_picture_of_no_table_is_valid() -> None:
    assert ElementTree.fromstring(draw(Entities((), ()))).tag == f"{SVG}svg"


def test_many_tables_are_drawn_with_their_keys_only() -> None:
    column = (Attribute("id", "INTEGER", is_key=True), Attribute("note", "TEXT"))
    few = Entities(tuple(Entity(f"t{number:03}", column) for number in range(60)), ())
    many = Entities(tuple(Entity(f"t{number:03}", column) for number in range(61)), ())

    assert "note" in draw(few)
    assert "note" not in draw(many)


def test_long_chain_of_tables_is_drawn() -> None:
    column = (Attribute("id", "INTEGER", is_key=True),)
    names = [f"t{number:04}" for number in range(300)]
    references = tuple(
        Reference(one, ("id",), other, ("id",), is_optional=False, is_single=True)
        for one, other in pairwise(names)
    )

    drawn = draw(Entities(tuple(Entity(name, column) for name in names), references))

    assert drawn.count('class="head"') == 300
