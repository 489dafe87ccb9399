"""`datalayer er`: the tables of a database and their references, as a picture or as text to draw it from."""

from __future__ import annotations

from dataclasses import asdict

from datalayer.cli.arguments import Parser
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result

__all__ = ["COMMANDS"]

_FORMATS = ("mermaid", "svg", "dot")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--format",
        metavar="|".join(_FORMATS),
        choices=_FORMATS,
        default=_FORMATS[0],
        help="mermaid without a word; svg is a picture, dot is for Graphviz",
    )


def _run(call: Invocation) -> Result:
    from datalayer.schema.entities import read_entities
    from datalayer.web.drawing import draw
    from datalayer.web.notation import dot, mermaid

    with call.look() as store:
        entities = read_entities(store.engine)
    drawn = {"mermaid": mermaid, "svg": draw, "dot": dot}[call.arguments.format](entities)
    return Result({"format": call.arguments.format, "text": drawn, **asdict(entities)}, [drawn])


COMMANDS = {"er": Command(_add_arguments, _run)}
