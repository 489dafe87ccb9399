"""The difference of two texts as a unified diff that `patch` applies exactly."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

__all__ = ["compare_texts"]

_NO_NEWLINE = "\\ No newline at end of file\n"


def compare_texts(old: str, new: str, *, old_name: str, new_name: str, context: int = 3) -> str:
    """Give the unified diff of two texts, empty where they are the same.

    Lines end with a line feed only, as they do for `patch`. Cost grows with the product of the changed lines
    in the worst case.
    """
    found = unified_diff(_lines(old), _lines(new), old_name, new_name, n=context)
    return "".join(_ended(found))


def _lines(text: str) -> list[str]:
    # not splitlines(), which splits at form feeds and Unicode's separators too
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()
    return lines if last == "\n" else [*lines, last[:-1]]


def _ended(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if not line.endswith("\n"):
            yield "\n"
            yield _NO_NEWLINE
