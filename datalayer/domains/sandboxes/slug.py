"""A sandbox's name in addresses: made from its name, and made another one while it is taken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["MOST_LETTERS", "free_slug", "slug_of"]

MOST_LETTERS = 63
_OTHER = re.compile(r"[^a-z0-9]+")


def slug_of(name: str) -> str:
    """Give the slug of a name: letters and digits of ASCII in lower case, with single hyphens between.

    slug_of("Étude N° 5")   # 'etude-n-5'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _OTHER.sub("-", plain)[:MOST_LETTERS].strip("-") or "sandbox"


def free_slug(base: str, taken: Iterable[str]) -> str:
    """Give the slug, or the first of `base-2`, `base-3`, ... that is not taken, never longer than allowed."""
    known = set(taken)
    candidate, number = base, 1
    while candidate in known:
        number += 1
        ending = f"-{number}"
        candidate = base[: MOST_LETTERS - len(ending)].rstrip("-") + ending
    return candidate
