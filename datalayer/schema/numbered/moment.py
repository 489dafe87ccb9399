"""Times as histories of migrations hold them: texts, numbers, the driver's own."""

from __future__ import annotations

from datetime import UTC, datetime

from datalayer.engine.connection import Engine

__all__ = ["applied_times", "moment"]

# later than this in seconds is year 5138, so a larger number counts milliseconds
_LATEST_SECONDS = 100_000_000_000


def applied_times(engine: Engine) -> dict[str, datetime | None]:
    """Give when the plain table says that each migration was applied; None where it says nothing clear."""
    if "applied_at" not in engine.columns("migrations"):
        return {}
    rows = engine.fetch_all("SELECT name, applied_at FROM migrations")
    return {str(name): moment(value) for name, value in rows}


def moment(value: object) -> datetime | None:
    """Give a time as any of the tools store it, in UTC; None for what is none.

    Numbers are seconds or milliseconds since 1970; texts without a zone are taken as UTC.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        except ValueError:
            value = int(value) if value.isdecimal() else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if value > _LATEST_SECONDS else value
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (OverflowError, ValueError, OSError):
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
