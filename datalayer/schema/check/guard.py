"""Opening a database only after a look at its files: a program must not write into a damaged one.

SQLite itself would open a database whose log has a broken header, find no commit in it, and delete it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Literal

from datalayer.engine.address import Address
from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseCorrupt
from datalayer.schema import work
from datalayer.schema.check.filebytes import is_open_here
from datalayer.schema.check.outline import outline
from datalayer.schema.finding import Finding

__all__ = ["OnCorruption", "Policy", "damage_before_opening", "open_guarded"]

Policy = Literal["raise", "read-only", "repair"]
OnCorruption = Policy | Callable[[Path, Sequence[Finding]], Policy | None]
"""What to do about a damaged file: a policy, or who decides on one, None being to open it as it is."""

_SIGNS = ("DL-C079", "DL-C082", "DL-C083", "DL-C084")
_FRAMES = 256
_LOOKS, _PAUSE_S = 3, 0.005


def open_guarded(
    target: str | os.PathLike[str], options: Options, on_corruption: OnCorruption = "raise"
) -> Engine:
    """Open a database as `open_engine` does, a SQLite file after a look at header, log and journal.

    What is done about damage: `"raise"` raises DatabaseCorrupt with the command to run and leaves every byte
    as it is; `"read-only"` opens it so that nothing can be written; `"repair"` repairs the file (the
    original bytes are kept beside it) and opens the result; a function is called with path and findings and
    gives one of these, or None to open the file as it is. Cost of the look: some 100 microseconds.

    Raises:
        DatabaseCorrupt: damage, and nothing else to be done about it.
        DatabaseUnavailable: missing, refused, no permission.
    """
    path = Address.parse(target).path
    if path is None:
        return open_engine(target, options)
    findings = damage_before_opening(path)
    if findings:
        return _open_damaged(target, options, path, findings, on_corruption)
    try:
        return open_engine(target, options)
    except DatabaseCorrupt as exc:
        if on_corruption == "raise" or options.read_only:
            raise
        finding = Finding("DL-C001", "error", None, None, 1, exc.why or exc.what, "lossy")
        return _open_damaged(target, options, path, [finding], on_corruption)


def damage_before_opening(path: Path) -> list[Finding]:
    """Find what of a file's header, log or journal would make SQLite lose something by opening it.

    Empty for a sound file, one that is not there, and one that this process has open. Bytes that a writer is
    just changing are looked at again.
    """
    findings: list[Finding] = []
    for look in range(_LOOKS):
        try:
            seen = outline(path, most_frames=_FRAMES)
        except OSError:
            # opening tells it better
            return []
        findings = [one for one in seen.findings if one.id in _SIGNS and one.severity == "error"]
        if not findings or (look == 0 and is_open_here(path)):
            return []
        if look < _LOOKS - 1:
            sleep(_PAUSE_S)
    return findings


def _open_damaged(
    target: str | os.PathLike[str],
    options: Options,
    path: Path,
    findings: Sequence[Finding],
    on_corruption: OnCorruption,
) -> Engine:
    policy = on_corruption(path, findings) if callable(on_corruption) else on_corruption
    if policy is None:
        return open_engine(target, options)
    if policy == "read-only":
        return open_engine(target, replace(options, read_only=True, create=False))
    if policy == "repair":
        work.repair(path, yes=True)
        return open_engine(target, options)
    raise DatabaseCorrupt(
        f"{path} is damaged, and was not opened",
        why="; ".join(finding.message for finding in findings),
        hint=f"run `datalayer repair --database {path}`, or `datalayer check-db` to see what is damaged",
    )
