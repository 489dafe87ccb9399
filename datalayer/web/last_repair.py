"""What repairs have left beside a database file: folders of original bytes, and rows in lost_and_found.

Reads names, sizes and what a repair wrote about itself; none of the bytes that it kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

__all__ = ["LastRepair", "RepairStep", "last_repair"]

_MOMENT = "%Y%m%dT%H%M%S%fZ"
_REPORT = "report.json"
_COUNTS = ("kept", "changed", "moved", "given_up", "made")


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One cure that was done: to how many rows of which table, or to which object."""

    action: str
    table: str
    object: str
    count: int


@dataclass(frozen=True, slots=True)
class LastRepair:
    """The newest repair, and how many folders of earlier bytes there are.

    `steps` and `tables` (rows by table: kept, changed, moved, given_up, made) are empty where the folder does
    not tell.
    """

    folder: Path
    kept_at: datetime | None
    size_bytes: int
    folders: int
    way: str
    steps: tuple[RepairStep, ...]
    tables: Mapping[str, Mapping[str, int]]


def last_repair(database: Path) -> LastRepair | None:
    """Find the last repair of a database file; None where there was none, or its folder cannot be read."""
    opening = f"{database.name}-before-repair-"
    try:
        names = sorted(one.name for one in database.parent.iterdir() if one.name.startswith(opening))
        if not names:
            return None
        folder = database.parent / names[-1]
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    except OSError:
        return None
    told = _told(folder / _REPORT)
    way = told.get("way")
    return LastRepair(
        folder,
        _moment(names[-1].removeprefix(opening)),
        size,
        len(names),
        way if isinstance(way, str) else "",
        tuple(_steps(told.get("steps"))),
        _tables(told.get("tables")),
    )


def _moment(text: str) -> datetime | None:
    # a second folder of the same instant has a number behind its time
    found = re.match(r"\d{8}T\d{12}Z", text)
    return datetime.strptime(found[0], _MOMENT).replace(tzinfo=UTC) if found else None


def _told(path: Path) -> Mapping[str, object]:
    """Read what a repair wrote about itself; an older one wrote nothing, a broken one anything."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _steps(found: object) -> list[RepairStep]:
    # why a step was taken may quote what stood in a row, so it is left out
    if not isinstance(found, list):
        return []
    objects = [cast("dict[str, object]", one) for one in cast("list[object]", found) if isinstance(one, dict)]
    return [
        RepairStep(
            str(one.get("action") or ""),
            str(one.get("table") or ""),
            str(one.get("object") or ""),
            _number(one.get("count")),
        )
        for one in objects
    ]


def _tables(found: object) -> dict[str, dict[str, int]]:
    if not isinstance(found, dict):
        return {}
    return {
        str(name): {word: _number(cast("dict[str, object]", counts).get(word)) for word in _COUNTS}
        for name, counts in sorted(cast("dict[str, object]", found).items())
        if isinstance(counts, dict)
    }


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
