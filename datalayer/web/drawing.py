"""The tables of a database as an SVG picture that needs nothing else: no script, no font, no other program.

Light and dark as the reader's system is, black on white on paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from datalayer.schema.entities import Attribute, Entities, Entity, Reference
from datalayer.web.layout import Box, Link, Place, Plan, lay_out
from datalayer.web.visible import shorten, visible, width

__all__ = ["draw"]

_LETTER = 7.25
_ROW = 20
_HEAD = 26
_MARGIN = 24
_LONGEST_NAME = 40
_LONGEST_TYPE = 28
_MARK_WIDTH = 34
# more tables than these are drawn with their keys only
_MOST_WHOLE = 60
_STYLE = """
.er{--er-page:#fff;--er-box:#fff;--er-head:#e8eef7;--er-line:#8a97a8;--er-text:#1c2430;--er-soft:#5d6a7a;
--er-key:#9a5b00;--er-link:#3c6ea8;font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
@media(prefers-color-scheme:dark){.er{--er-page:#12161c;--er-box:#1a2029;--er-head:#243044;--er-line:#52607a;
--er-text:#e3e8ef;--er-soft:#9aa7b8;--er-key:#e5ac55;--er-link:#7fb0ea}}
@media print{.er{--er-page:#fff;--er-box:#fff;--er-head:#eee;--er-line:#555;--er-text:#000;--er-soft:#333;
--er-key:#000;--er-link:#000}}
.er .page{fill:var(--er-page)}.er .box{fill:var(--er-box);stroke:var(--er-line)}
.er .head{fill:var(--er-head);stroke:var(--er-line)}.er .gone{stroke-dasharray:4 3}
.er text{fill:var(--er-text);white-space:pre}.er .name{font-weight:700}.er .type{fill:var(--er-soft)}
.er .mark{fill:var(--er-key);font-size:10px}
.er .link{fill:none;stroke:var(--er-link);stroke-width:1.3}.er .loose{stroke-dasharray:6 3}
.er .foot{fill:var(--er-page);stroke:var(--er-link);stroke-width:1.3}
"""


def draw(entities: Entities, *, title: str = "Tables and their references") -> str:
    """Draw the tables as one `<svg>` element. Deterministic.

    A crow's foot is at the table that refers, a bar or a ring (there may be none) at the one referred to. Of
    more than 60 tables only the columns of keys and references are drawn.
    """
    is_brief = len(entities.tables) > _MOST_WHOLE
    shown = {entity.name: _shown(entity, is_brief=is_brief) for entity in entities.tables}
    boxes = [_box(entity, shown[entity.name]) for entity in entities.tables]
    links = [_link(reference, shown) for reference in entities.references]
    plan = lay_out(boxes, links)
    width, height = plan.width + 2 * _MARGIN, plan.height + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="er" role="img" width="{width}" height="{height}"'
        f' viewBox="{-_MARGIN} {-_MARGIN} {width} {height}">',
        f"<title>{_text(title)}</title><style>{escape(_STYLE, quote=False)}</style>",
        f'<rect class="page" x="{-_MARGIN}" y="{-_MARGIN}" width="{width}" height="{height}"/>',
    ]
    parts += _drawn_links(entities.references, plan)
    for entity, box in zip(entities.tables, boxes):
        parts += _drawn_box(entity, shown[entity.name], box, plan.places[entity.name])
    return "\n".join([*parts, "</svg>"])


def _shown(entity: Entity, *, is_brief: bool) -> tuple[Attribute, ...]:
    if not is_brief:
        return entity.attributes
    return tuple(one for one in entity.attributes if one.is_key or one.is_reference)


def _box(entity: Entity, shown: Sequence[Attribute]) -> Box:
    names = max((width(_name(one)) for one in shown), default=0)
    types = max((width(_type(one)) for one in shown), default=0)
    inner = max(names + types + 2, width(shorten(visible(_title(entity)), _LONGEST_NAME)))
    return Box(entity.name, round(inner * _LETTER) + _MARK_WIDTH + 16, _HEAD + _ROW * len(shown))


def _title(entity: Entity) -> str:
    return f"{entity.name} (missing)" if entity.is_missing else entity.name


def _name(attribute: Attribute) -> str:
    return shorten(visible(attribute.name), _LONGEST_NAME)


def _type(attribute: Attribute) -> str:
    told = shorten(visible(attribute.type), _LONGEST_TYPE)
    return told if attribute.is_not_null or not told else f"{told}?"


def _link(reference: Reference, shown: dict[str, tuple[Attribute, ...]]) -> Link:
    return Link(
        reference.table,
        reference.parent,
        _height_of(reference.columns, shown[reference.table]),
        _height_of(reference.parent_columns, shown[reference.parent]),
    )


def _height_of(columns: Sequence[str], shown: Sequence[Attribute]) -> int:
    """Give the middle of the row of the first of these columns; that of the title where it is not shown."""
    for place, attribute in enumerate(shown):
        if columns and attribute.name == columns[0]:
            return _HEAD + _ROW * place + _ROW // 2
    return _HEAD // 2


# -- tables ---------------------------------------------------------------------------------------


def _drawn_box(entity: Entity, shown: Sequence[Attribute], box: Box, place: Place) -> Iterator[str]:
    x, y = place.x, place.y
    gone = " gone" if entity.is_missing else ""
    title = shorten(visible(_title(entity)), _LONGEST_NAME)
    yield f"<g><title>{_text(_title(entity))}</title>"
    yield (
        f'<rect class="box{gone}" x="{x}" y="{y}" width="{box.width}" height="{box.height}" rx="4"/>'
        f'<rect class="head{gone}" x="{x}" y="{y}" width="{box.width}" height="{_HEAD}" rx="4"/>'
        f'<text class="name" x="{x + 8}" y="{y + 17}">{_text(title)}</text>'
    )
    for place_in_box, attribute in enumerate(shown):
        yield _drawn_row(attribute, x, y + _HEAD + _ROW * place_in_box + 14, box.width)
    yield "</g>"


def _drawn_row(attribute: Attribute, x: int, y: int, box_width: int) -> str:
    is_unique = attribute.is_unique and not attribute.is_key
    marks = ((attribute.is_key, "PK"), (attribute.is_reference, "FK"), (is_unique, "UQ"))
    told = " ".join(mark for is_so, mark in marks if is_so)
    type_ = _type(attribute)
    return (
        (f'<text class="mark" x="{x + 6}" y="{y}">{told}</text>' if told else "")
        + f'<text x="{x + _MARK_WIDTH + 4}" y="{y}">{_text(_name(attribute))}</text>'
        + (
            f'<text class="type" text-anchor="end" x="{x + box_width - 8}" y="{y}">{_text(type_)}</text>'
            if type_
            else ""
        )
    )


# -- references -----------------------------------------------------------------------------------


def _drawn_links(references: Sequence[Reference], plan: Plan) -> Iterator[str]:
    for reference, route in zip(references, plan.routes):
        is_loop = reference.table == reference.parent
        loose = " loose" if reference.is_optional else ""
        path = _loop(route) if is_loop else _curve(route)
        # which way the line leaves its ends
        tail = 1 if is_loop or route[1][0] > route[0][0] else -1
        head = 1 if is_loop or route[-2][0] > route[-1][0] else -1
        yield f"<g><title>{_text(_told(reference))}</title>"
        yield f'<path class="link{loose}" d="{path}"/>'
        yield _many(*route[0], tail) if not reference.is_single else _one(*route[0], tail, is_optional=True)
        yield _one(*route[-1], head, is_optional=reference.is_optional) + "</g>"


def _told(reference: Reference) -> str:
    columns, parents = ", ".join(reference.columns), ", ".join(reference.parent_columns)
    told = f"{reference.table} ({columns}) refers to {reference.parent}"
    told += f" ({parents})" if parents else ""
    return told if reference.on_delete == "NO ACTION" else f"{told}, ON DELETE {reference.on_delete}"


def _curve(route: Sequence[tuple[int, int]]) -> str:
    """Give a line through the points: curved between tables, straight along them."""
    (x, y), *others = route
    path = f"M{x} {y}"
    for place, (to_x, to_y) in enumerate(others):
        if place % 2:
            path += f"L{to_x} {to_y}"
        else:
            half = (x + to_x) / 2
            path += f"C{half:g} {y} {half:g} {to_y} {to_x} {to_y}"
        x, y = to_x, to_y
    return path


def _loop(route: Sequence[tuple[int, int]]) -> str:
    (x, y), (_, to_y) = route
    return f"M{x} {y}C{x + 44} {y} {x + 44} {to_y} {x} {to_y}"


def _many(x: int, y: int, way: int) -> str:
    point = x + 11 * way
    return (
        f'<path class="link" d="M{point} {y}L{x} {y - 6}M{point} {y}L{x} {y + 6}"/>'
        f'<circle class="foot" cx="{point + 4 * way}" cy="{y}" r="3.5"/>'
    )


def _one(x: int, y: int, way: int, *, is_optional: bool) -> str:
    bar = x + 7 * way
    second = x + 12 * way
    path = f'<path class="link" d="M{bar} {y - 6}L{bar} {y + 6}'
    if is_optional:
        return f'{path}"/><circle class="foot" cx="{second}" cy="{y}" r="3.5"/>'
    return f'{path}M{second} {y - 6}L{second} {y + 6}"/>'


def _text(text: str) -> str:
    return escape(visible(text))
