"""The checksums by which other tools know the content of a migration, in either form of its line ends.

Knows bytes only.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable

__all__ = ["checksum_forms", "keeps_checksums"]

_BOM = b"\xef\xbb\xbf"


def keeps_checksums(tool: str) -> bool:
    """Whether a tool keeps a checksum of the content that can be computed from a file."""
    return tool in _DIGESTS


def checksum_forms(tool: str, content: bytes) -> dict[str, str]:
    """Give the checksums that a tool may have kept of this content, each with how the lines end then.

    The form of the file as it is comes first, with an empty text.
    """
    digest = _DIGESTS.get(tool)
    if digest is None:
        return {}
    with_lf = content.replace(b"\r\n", b"\n")
    forms = {
        "": content,
        "with LF line ends": with_lf,
        "with CRLF line ends": with_lf.replace(b"\n", b"\r\n"),
        "without its byte order mark": content.removeprefix(_BOM),
    }
    found: dict[str, str] = {}
    for form, data in forms.items():
        found.setdefault(digest(data), form)
    return found


def _flyway(content: bytes) -> str:
    """Give flyway's CRC-32, which is over the lines without their ends, as a signed number."""
    total = zlib.crc32(content.removeprefix(_BOM).replace(b"\r", b"").replace(b"\n", b""))
    return str(total - (1 << 32) if total >= 1 << 31 else total)


_DIGESTS: dict[str, Callable[[bytes], str]] = {
    "drizzle": lambda content: hashlib.sha256(content).hexdigest(),
    "prisma": lambda content: hashlib.sha256(content).hexdigest(),
    "sqlx": lambda content: hashlib.sha384(content).hexdigest(),
    "sqitch": lambda content: hashlib.sha1(content, usedforsecurity=False).hexdigest(),
    "flyway": _flyway,
}
