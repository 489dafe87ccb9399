"""Names as they are shown: nothing in them that a reader cannot see, or that XML cannot hold."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["shorten", "visible", "width"]

# control characters, halves of pairs, what is no character, and marks that turn the direction of a line
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Give a text with every hidden character as its escape: a backslash, u and the number."""
    return _HIDDEN.sub(_escape, text)


def width(text: str) -> int:
    """Give how many columns a text takes in a type of equal widths."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def shorten(text: str, most: int) -> str:
    """Give a text, cut to so many columns where it takes more."""
    if width(text) <= most:
        return text
    kept = text[:most]
    while width(kept) >= most:
        kept = kept[:-1]
    return f"{kept}…"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
