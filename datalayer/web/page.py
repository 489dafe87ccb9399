"""HTML pages from templates: each is one file that asks the network for nothing.

What is shown is escaped by the templates' engine, hidden characters are made visible first. Needs the extra
[web].
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from datalayer.errors import DataLayerError
from datalayer.web.drawing import draw
from datalayer.web.report import Report
from datalayer.web.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["report_page", "templates"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@cache
def templates() -> Environment:
    """Give the templates of all pages; every value in them is escaped, whatever the file is called.

    Raises DataLayerError where Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as exc:
        raise DataLayerError(
            "pages need Jinja2", why=str(exc), hint="run: pip install 'datalayer[web]'"
        ) from exc

    made = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finish,
    )
    filters: dict[str, Callable[..., str]] = {"size": _size, "moment": _moment, "number": _number}
    made.filters.update(filters)
    return made


def report_page(report: Report) -> str:
    """Give the report as one HTML page. Raises DataLayerError where Jinja2 is not installed."""
    page = templates().get_template("report.html")
    diagram = draw(report.entities) if report.entities and report.entities.tables else None
    return page.render(report=report, diagram=diagram)


def _read(name: str) -> str | None:
    file = resources.files("datalayer.web").joinpath("templates", name)
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _finish(value: object) -> object:
    """Give what an expression shows: nothing for None, and no hidden character of a text."""
    if value is None:
        return ""
    # a piece of HTML is made by a template or a drawing, which have seen to it
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    value, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{size} B" if unit == _UNITS[0] else f"{value:.1f} {unit}"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
