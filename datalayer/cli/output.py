"""What a command answers, and how it is shown: as one JSON object, or as text and tables for people.

Results go to standard output, everything else to standard error. Colour and rich only on a terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import IO, Any

__all__ = ["Result", "Table", "Terminal", "Unwritable", "bytes_text", "readable", "time_text", "wants_colour"]

_RED, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1m", "\x1b[0m"
# line breaks and tabs are kept where a text is shown whole
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CONTROLS_OF_CELL = {**_CONTROLS, ord("\n"): "\\n", ord("\t"): "\\t"}
_WIDEST_CELL = 60


class Unwritable(OSError):
    """Standard output takes nothing: the disk that it goes to is full, say."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people; columns named in `right` are numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    right: frozenset[str] = frozenset()
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A command's answer: `facts` are its own keys in JSON, `shown` is what people see instead."""

    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    shown: Sequence[str | Table] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    next: str | None = None
    exit_code: int = 0


def wants_colour(stream: IO[str], environment: Mapping[str, str]) -> bool:
    """Say whether a stream takes colour: by NO_COLOR, FORCE_COLOR, TERM, or as a terminal does."""
    if environment.get("NO_COLOR"):
        return False
    forced = environment.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return environment.get("TERM") != "dumb" and stream.isatty()


class Terminal:
    """Standard output and error of one command."""

    def __init__(self, *, is_json: bool, environment: Mapping[str, str] | None = None) -> None:
        self.environment = os.environ if environment is None else environment
        self.is_json = is_json
        for stream in (sys.stdout, sys.stderr):
            _never_fail(stream)

    @property
    def can_ask(self) -> bool:
        """Whether somebody sits there to answer."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() and not self.is_json

    @property
    def shows_progress(self) -> bool:
        """Whether standard error can show something that moves."""
        return sys.stderr.isatty() and self.environment.get("TERM") != "dumb"

    @property
    def is_coloured(self) -> bool:
        """Whether standard output takes colour."""
        return wants_colour(sys.stdout, self.environment)

    def write_json(self, document: Mapping[str, Any]) -> None:
        """Write one object and a line break."""
        # an escape is valid JSON in every encoding; what replaces a character elsewhere is not
        is_unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
        text = json.dumps(document, ensure_ascii=not is_unicode, default=_plain)
        _write(f"{text}\n")

    def show(self, blocks: Sequence[str | Table]) -> None:
        """Write text and tables for people."""
        for block in blocks:
            if isinstance(block, str):
                _write(f"{readable(block)}\n")
            elif self.is_coloured:
                _write(_draw(block))
            else:
                _write("".join(f"{line}\n" for line in _plain_table(block)))

    def say(self, line: str) -> None:
        """Write a line about what is going on to standard error."""
        print(readable(line), file=sys.stderr, flush=True)

    def complain(self, lines: Sequence[str]) -> None:
        """Write an error's lines, the first one marked on a terminal."""
        first, *others = (readable(line, in_cell=True) for line in lines)
        if wants_colour(sys.stderr, self.environment):
            mark, _, rest = first.partition(":")
            first = f"{_RED}{mark}:{_PLAIN}{_BOLD}{rest}{_PLAIN}"
        print("\n".join([first, *(f"  {line}" for line in others)]), file=sys.stderr, flush=True)

    def ask(self, question: str) -> bool:
        """Ask for a yes; anything else is a no."""
        sys.stderr.write(f"{readable(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def readable(text: str, *, in_cell: bool = False) -> str:
    """Give a text without what could steer a terminal: control characters are shown as escapes."""
    return text.translate(_CONTROLS_OF_CELL if in_cell else _CONTROLS)


def bytes_text(size: int | None) -> str:
    """Give a size for people: `12.3 MiB`."""
    if size is None:
        return "?"
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def time_text(moment: datetime | None) -> str:
    """Give a time for people, in UTC, to the second."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _write(text: str) -> None:
    """Write to standard output and see to it that it went out.

    Raises:
        Unwritable: it did not, for another reason than a reader that left.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise Unwritable(exc.errno, exc.strerror) from exc


def _never_fail(stream: Any) -> None:
    """Let a stream write characters that its encoding lacks as escapes."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _plain(value: object) -> object:
    """Give what JSON lacks as what it has."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return sorted(map(str, value))  # pyright: ignore[reportUnknownArgumentType] - any members
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def _cells(table: Table) -> list[list[str]]:
    return [[_cell(value) for value in row] for row in table.rows]


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    text = "" if value is None else readable(str(value), in_cell=True)
    return text if len(text) <= _WIDEST_CELL else f"{text[: _WIDEST_CELL - 1]}…"


def _plain_table(table: Table) -> list[str]:
    """Give lines of columns, two blanks apart, nothing cut at the window's width."""
    rows = _cells(table)
    widths = [max(map(len, column)) for column in zip(table.columns, *rows)]
    is_right = [name in table.right for name in table.columns]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, is_right)
        )
        return "  ".join(padded).rstrip()

    title = [table.title] if table.title else []
    return [*title, line(table.columns), *map(line, rows)]


def _draw(table: Table) -> str:
    """Give a table in colour, as wide as the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=SIMPLE_HEAD, title=table.title, title_justify="left", pad_edge=False)
    for name in table.columns:
        drawn.add_column(Text(name), justify="right" if name in table.right else "left")
    for row in _cells(table):
        drawn.add_row(*map(Text, row))
    console = Console(force_terminal=True, highlight=False)
    with console.capture() as drawing:
        console.print(drawn)
    return drawing.get()
