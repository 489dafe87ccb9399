"""A new migration file: its number in the folder's own style, and what stands in it at first.

Never writes over a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.folder import Folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["check_slug", "new_file", "same_slug"]

_SLUG = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*\Z")
_NUMBER = re.compile(r"(\d+)([_-])(.+?)((?:\.up|\.down)?\.(?:sql|py))\Z")
_LONGEST_SLUG = 100
# 20240102030405: a time, which the next one is too
_TIME_DIGITS = 14

_SQL = """\
-- {title}
--
-- Statements end with a semicolon. The run opens and ends the transaction: no BEGIN or COMMIT here.
"""
_PYTHON = '''\
"""{title}."""

from __future__ import annotations

from datalayer import Store


def up(store: Store) -> None:
    """Change what is there; it is kept together with the note that it was done, or not at all."""
'''


def new_file(root: Path, slug: str, *, is_python: bool, now: datetime) -> Path:
    """Make the next file of a folder and give its path; makes the folder where it is missing.

    Its number is the last one plus one, with as many digits, and a time where the last one is a time. The
    first is 0001. A folder of .up.sql files gets another of these.

    Raises MigrationRefused for a name that is no slug, for the folder of drizzle, prisma or flyway, and for
    one that cannot be written.
    """
    check_slug(slug)
    _refuse_foreign(root, slug)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _alone_in(root):
            numbers = list(_numbers(root))
            has_ups = bool(numbers) and all(ending in (".up.sql", ".down.sql") for *_, ending in numbers)
            ending = ".py" if is_python else ".up.sql" if has_ups else ".sql"
            path = root / f"{_next_number(numbers, now)}{_separator(numbers)}{slug}{ending}"
            text = (_PYTHON if is_python else _SQL).format(title=_title(slug))
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except FileExistsError as exc:
        raise MigrationRefused(
            f"{exc.filename} is there already; nothing was written", hint="give another name"
        ) from exc
    except OSError as exc:
        raise MigrationRefused(
            f"cannot write to the migrations folder {root}",
            why=exc.strerror,
            hint="check the folder and its mode",
        ) from exc
    return path


def same_slug(path: Path) -> list[str]:
    """Give the other files of the folder that have the slug of this one."""
    own = _NUMBER.match(path.name)
    others = (entry for entry in sorted(path.parent.iterdir()) if entry != path)
    return [
        entry.name for entry in others if own and (match := _NUMBER.match(entry.name)) and match[3] == own[3]
    ]


def check_slug(slug: str) -> None:
    """Raise MigrationRefused for a name that is no slug, with a better one."""
    if _SLUG.match(slug) and len(slug) <= _LONGEST_SLUG:
        return
    better = re.sub(r"[^a-z0-9]+", "_", slug.lower()).strip("_")[:_LONGEST_SLUG].rstrip("_")
    raise MigrationRefused(
        f"{slug!r} cannot be the name of a migration",
        why=f"small letters, digits and single underscores or dashes, up to {_LONGEST_SLUG} in all",
        hint=f"try {better}" if better else "give a name such as add_notes",
    )


def _refuse_foreign(root: Path, slug: str) -> None:
    """Refuse the folder of a tool whose files are more than a number and a name."""
    ways = {
        "drizzle": ("a snapshot and a journal entry", f"run `drizzle-kit generate --custom --name={slug}`"),
        "prisma": ("a folder each", f"run `prisma migrate dev --create-only --name {slug}`"),
        "flyway": ("versions of flyway's", f"write a file called V<version>__{slug}.sql"),
    }
    layout = Folder(root).layout
    if layout in ways:
        what, hint = ways[layout]
        raise MigrationRefused(f"{root} is a {layout} folder, and its files come with {what}", hint=hint)


@contextmanager
def _alone_in(root: Path) -> Generator[None]:
    """Let two that make a file at once have a number each, where the system can lock a folder."""
    if fcntl is None:
        yield
        return
    folder = os.open(root, os.O_RDONLY)
    try:
        # a folder of a network may take no locks
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _numbers(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield number, separator and ending of each file that has a number, those that undo too."""
    for entry in root.iterdir():
        match = _NUMBER.match(entry.name)
        if match:
            yield match[1], match[2], match[4]


def _next_number(numbers: list[tuple[str, str, str]], now: datetime) -> str:
    if not numbers:
        return "0001"
    last = max(numbers, key=lambda one: int(one[0]))[0]
    following = str(int(last) + 1).zfill(len(last))
    if len(last) == _TIME_DIGITS:
        return max(following, f"{now:%Y%m%d%H%M%S}")
    return following


def _separator(numbers: list[tuple[str, str, str]]) -> str:
    return max(numbers, key=lambda one: int(one[0]))[1] if numbers else "_"


def _title(slug: str) -> str:
    return re.sub(r"[_-]+", " ", slug).capitalize()
