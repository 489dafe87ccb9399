"""What must hold of attachments, for `check-db`: counts, and the files that hold the contents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datalayer.domains.attachments.files import ContentFiles
from datalayer.engine.connection import Engine
from datalayer.schema.check.rule import MOST_ROWS, Rule
from datalayer.schema.finding import Finding, Repair, Severity

__all__ = ["CHECKS", "INSPECTIONS", "content_files"]

_TABLE = "attachment_contents"
_CHUNK = 500

CHECKS = {
    "DL-C324": Rule(
        "SELECT c.sha256, c.reference_count FROM attachment_contents AS c WHERE c.reference_count <> ("
        "SELECT COUNT(*) FROM attachments AS a WHERE a.sha256 = c.sha256)",
        "{count} contents count other attachments than they have",
        table=_TABLE,
    ),
}

_TOLD: dict[str, tuple[str, Severity, Repair]] = {
    "DL-C320": ("{count} files of attachments are gone", "error", "none"),
    "DL-C322": ("{count} files of attachments have another size than was attached", "error", "none"),
    "DL-C323": ("{count} files of attachments hold something else than was attached", "error", "none"),
    "DL-C321": (
        "{count} files belong to no attachment: store.attachments.collect() removes them",
        "warning",
        "manual",
    ),
}


def content_files(engine: Engine, data_dir: Path | None) -> Iterator[Finding]:
    """Find what is wrong between contents and their files; reads every file of a content that is used."""
    if data_dir is None or not engine.columns(_TABLE):
        return
    files = ContentFiles(data_dir)
    known: set[str] = set()
    wrong: dict[str, list[str]] = {number: [] for number in _TOLD}
    for sha256, size_bytes, is_used in _contents(engine):
        known.add(sha256)
        number = _state(files, sha256, size_bytes) if is_used else None
        if number is not None:
            wrong[number].append(sha256)
    wrong["DL-C321"] = [file.path.name for file in files.found() if file.sha256 not in known]
    for number, names in wrong.items():
        if names:
            message, severity, repair = _TOLD[number]
            rows = [{"file": name} for name in names[:MOST_ROWS]]
            told = message.format(count=len(names))
            yield Finding(number, severity, _TABLE, None, len(names), told, repair, rows)


def _contents(engine: Engine) -> Iterator[tuple[str, int, bool]]:
    sql = engine.dialect.sql(
        "SELECT sha256, size_bytes, reference_count FROM attachment_contents"
        f" WHERE sha256 > ? ORDER BY sha256 LIMIT {_CHUNK}"
    )
    last = ""
    while rows := engine.fetch_all(sql, (last,)):
        yield from ((key, size, count > 0) for key, size, count in rows)
        last = rows[-1][0]


def _state(files: ContentFiles, sha256: str, size_bytes: int) -> str | None:
    size = files.size_of(sha256)
    if size is None:
        return "DL-C320"
    if size != size_bytes:
        return "DL-C322"
    try:
        return None if files.digest_of(sha256) == sha256 else "DL-C323"
    except OSError:
        return "DL-C320"


INSPECTIONS = (content_files,)
