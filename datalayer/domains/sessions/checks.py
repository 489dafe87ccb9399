"""What must hold of sessions beyond their columns' types, for `check-db`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation
from datalayer.repository.project import project_hash
from datalayer.schema.check.rule import MOST_ROWS, Rule
from datalayer.schema.finding import Finding

__all__ = ["CHECKS", "INSPECTIONS", "project_hashes"]

CHECKS = {
    "DL-C201": Rule(
        "SELECT i.session_id, i.path FROM included_files AS i"
        " JOIN excluded_files AS e ON e.session_id = i.session_id AND e.path = i.path",
        "{count} paths are in both lists of a session",
        table="included_files",
    ),
}


def project_hashes(engine: Engine, _data_dir: Path | None) -> Iterator[Finding]:
    """Find sessions that are not listed under their project: the hash is not that of the directory."""
    if "project_hash" not in engine.columns("sessions"):
        return
    wrong: list[dict[str, object]] = []
    count = 0
    for directory, digest, number in engine.fetch_all(
        "SELECT project_directory, project_hash, count(*) FROM sessions GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        if digest != _hash(directory):
            count += number
            wrong.append({"project_directory": directory, "project_hash": digest})
    if count:
        message = f"{count} sessions have the hash of another directory than their project's"
        yield Finding("DL-C202", "warning", "sessions", None, count, message, "manual", wrong[:MOST_ROWS])


def _hash(directory: str) -> str | None:
    try:
        return project_hash(directory)
    except CheckViolation:
        return None


INSPECTIONS = (project_hashes,)
