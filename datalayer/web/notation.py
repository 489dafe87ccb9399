"""The tables of a database as text that other programs draw: Mermaid and Graphviz.

Any name of a table or column is valid in either, whatever characters it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from datalayer.schema.entities import Attribute, Entities, Entity, Reference
from datalayer.web.visible import visible

__all__ = ["dot", "mermaid"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# words that Mermaid's grammar of entity relationship diagrams takes for itself, in any letter case
_RESERVED = frozenset(
    (
        *("accdescr", "acctitle", "class", "classdef", "default", "direction", "end", "erdiagram", "many"),
        *("o", "one", "only", "optionally", "style", "subgraph", "title", "to", "u", "zero"),
    )
)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_NOT_IN_A_TYPE = re.compile(r"[^A-Za-z0-9_()]")
_DIRECTION = re.compile(r"(direction) ", re.IGNORECASE)
_SPECIAL = re.compile('["#%&:;<>\\\\\\[\\]{}`~|]')


# -- Mermaid --------------------------------------------------------------------------------------


def mermaid(entities: Entities) -> str:
    """Give the tables as a Mermaid `erDiagram` (https://mermaid.js.org/syntax/entityRelationshipDiagram.html).

    A name with characters that the notation lacks is quoted; such a column stands under a name made of what
    is left, with its own as the comment. Deterministic.
    """
    lines = ["erDiagram"]
    for entity in entities.tables:
        lines += _mermaid_entity(entity)
    lines += [_mermaid_reference(one) for one in entities.references]
    return "\n".join(lines)


def _mermaid_entity(entity: Entity) -> Iterator[str]:
    name = _mermaid_name(entity.name)
    if not entity.attributes:
        yield f"    {name}"
        return
    yield f"    {name} {{"
    for attribute in entity.attributes:
        yield f"        {_mermaid_attribute(attribute)}"
    yield "    }"


def _mermaid_name(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in _RESERVED:
        return name
    return f'"{_coded(name)}"'


def _coded(text: str) -> str:
    """Give a text for quotes, special characters as Mermaid's entity codes."""
    coded = _SPECIAL.sub(lambda found: f"#{ord(found[0])};", visible(text))
    # a line that says `direction LR` anywhere is taken for that statement
    coded = _DIRECTION.sub(r"\1#32;", coded)
    # quotes around nothing are no name
    return coded if coded.strip() else "#32;"


def _mermaid_attribute(attribute: Attribute) -> str:
    type_ = _word(_NOT_IN_A_TYPE.sub("_", attribute.type) or "any")
    name = _word(_NOT_IN_A_NAME.sub("_", attribute.name))
    marks = [
        mark
        for mark, is_so in (
            ("PK", attribute.is_key),
            ("FK", attribute.is_reference),
            ("UK", attribute.is_unique and not attribute.is_key),
        )
        if is_so
    ]
    own = [
        told
        for told, shown in ((attribute.name, name), (attribute.type or "any", type_))
        if _spaceless(told) != shown
    ]
    parts = [type_, name, ", ".join(marks), f'"{_coded(", ".join(own))}"' if own else ""]
    return " ".join(part for part in parts if part)


def _spaceless(text: str) -> str:
    return text.replace(" ", "_")


def _word(text: str) -> str:
    """Give a word that begins as the notation wants it, and that is none of its marks."""
    is_mark = text.upper() in ("PK", "FK", "UK")
    return f"_{text}" if is_mark or not text or not (text[0].isalpha() or text[0] == "_") else text


def _mermaid_reference(reference: Reference) -> str:
    one = "|o" if reference.is_optional else "||"
    many = "o|" if reference.is_single else "o{"
    label = _coded(", ".join(reference.columns))
    return f'    {_mermaid_name(reference.parent)} {one}--{many} {_mermaid_name(reference.table)} : "{label}"'


# -- Graphviz -------------------------------------------------------------------------------------


def dot(entities: Entities) -> str:
    """Give the tables as a Graphviz graph (https://graphviz.org/doc/info/lang.html).

    Nodes are numbered by name; what is shown stands in their labels. Deterministic.
    """
    numbers = {entity.name: number for number, entity in enumerate(entities.tables, 1)}
    lines = ["digraph schema {", "    rankdir=LR;", '    node [shape=plain fontname="monospace"];']
    lines += [f"    t{numbers[entity.name]} [label=<{_dot_label(entity)}>];" for entity in entities.tables]
    for reference in entities.references:
        child, parent = numbers[reference.table], numbers[reference.parent]
        tail = "teeodot" if reference.is_single else "crowodot"
        head = "teeodot" if reference.is_optional else "teetee"
        style = " style=dashed" if reference.is_optional else ""
        lines.append(f"    t{child} -> t{parent} [dir=both arrowtail={tail} arrowhead={head}{style}];")
    return "\n".join([*lines, "}"])


def _dot_label(entity: Entity) -> str:
    title = f"<B>{_in_label(entity.name)}</B>" + (" (missing)" if entity.is_missing else "")
    rows = [f'<TR><TD COLSPAN="3">{title}</TD></TR>']
    for attribute in entity.attributes:
        marks = " ".join(
            mark for mark, is_so in (("PK", attribute.is_key), ("FK", attribute.is_reference)) if is_so
        )
        cells = (attribute.name, attribute.type, marks)
        rows.append("<TR>" + "".join(f'<TD ALIGN="LEFT">{_in_label(cell)}</TD>' for cell in cells) + "</TR>")
    return f'<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0">{"".join(rows)}</TABLE>'


def _in_label(text: str) -> str:
    # in a label a backslash would begin an escape such as \N
    return escape(visible(text)).replace("\\", "&#92;") or " "
