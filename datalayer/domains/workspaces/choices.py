"""Which fields of a row a caller may change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from datalayer.errors import CheckViolation

__all__ = ["only"]


def only(given: Iterable[str], allowed: Sequence[str], what: str) -> None:
    """Refuse fields that are not among those allowed.

    Raises:
        CheckViolation: with their names.
    """
    others = sorted(set(given) - set(allowed))
    if others:
        raise CheckViolation(
            f"{', '.join(others)} of {what} cannot be changed here",
            columns=others,
            hint=f"what can be is {', '.join(allowed)}",
        )
