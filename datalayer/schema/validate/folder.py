"""Every rule over a folder of migrations: reads the files, runs SQLite's in memory, changes nothing."""

from __future__ import annotations

from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.script import Dialect
from datalayer.schema.validate.catalogue import RULES
from datalayer.schema.validate.finding import RuleFinding
from datalayer.schema.validate.subject import Subject, Target, guess_dialect, is_for_d1

__all__ = ["subject_of", "validate"]

_SEVERITIES = ("error", "warning", "info")


def validate(
    folder: Folder,
    *,
    dialect: Dialect | None = None,
    target: Target | None = None,
    engine: Engine | None = None,
    root: Path | None = None,
) -> list[RuleFinding]:
    """Give what the rules find in a folder, in the order of its files and their lines.

    `dialect` is guessed where it is not given: by drizzle's journal, or words that only one engine has.
    `target` is where the files are to run; that of a folder beside a wrangler file is D1. With an `engine`,
    its journal tells which files were applied, and its rows which tables matter; nothing in it is changed (on
    PostgreSQL the files are run in a schema of their own, in a transaction that is rolled back). With the
    `root` of the project, its version control and its code are looked at too.

    A comment `-- datalayer:allow D002` lets the rule pass at the statement in or before which it stands, and
    in the whole file where it stands before the first statement.

    Raises MigrationRefused where the folder or a file cannot be read.
    """
    subject = subject_of(folder, dialect=dialect, target=target, engine=engine, root=root)
    places = {source.path: place for place, source in enumerate(subject.sources)}
    allowed = {source.path: source.allowed for source in subject.sources}
    try:
        found = {
            finding: None
            for rule in RULES.values()
            for finding in rule.findings(subject)
            if not _is_allowed(finding, allowed.get(finding.file, ()))
        }
    finally:
        subject.close()
    return sorted(
        found,
        key=lambda one: (
            places.get(one.file, -1),
            one.file,
            one.line,
            _SEVERITIES.index(one.severity),
            one.id,
        ),
    )


def subject_of(
    folder: Folder,
    *,
    dialect: Dialect | None = None,
    target: Target | None = None,
    engine: Engine | None = None,
    root: Path | None = None,
) -> Subject:
    """Give what the rules look at, with the dialect and the target that were not said; to be closed."""
    if dialect is None and target is not None:
        dialect = "postgresql" if target == "postgresql" else "sqlite"
    # SQLite's files may well be meant for a PostgreSQL server too, as the package's own are
    dialect = dialect or guess_dialect(folder)
    if dialect is None:
        dialect = "sqlite" if engine is None or engine.dialect.name == "sqlite" else "postgresql"
    if target is None:
        target = "d1" if dialect == "sqlite" and is_for_d1(folder) else dialect
    return Subject(folder, dialect, target, engine, root)


def _is_allowed(finding: RuleFinding, allowed: tuple[tuple[str, int, int], ...]) -> bool:
    return any(rule == finding.id and first <= finding.line <= last for rule, first, last in allowed)
