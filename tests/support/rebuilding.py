"""The one place where tests of SQLite's rebuilds touch the package: bring a file to a schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DataLayerError, MigrationRefused
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.target import target_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a migration ended.

    `code` is that with which the command would exit, `error` the class and text of what was raised.
    """

    code: int
    nothing_to_do: bool
    steps: tuple[object, ...]
    findings: tuple[Mapping[str, object], ...]
    error: str

    @property
    def said(self) -> str:
        """Everything a user would read of a refusal."""
        return self.error + "\n" + json.dumps(list(self.findings), ensure_ascii=False, default=repr)


def run_migrate(
    path: Path,
    schema_sql: str,
    *,
    renames: Mapping[str, str] | None = None,
    drop_columns: Iterable[str] = (),
    drop_tables: Iterable[str] = (),
    allow_data_loss: bool = False,
    plan: bool = False,
    opening: Callable[[Path, Options], Engine] = open_engine,
) -> Outcome:
    """Migrate the file at `path` to the schema; code 0 is done, 5 refused, 3 something else went wrong."""
    schema_file = path.with_name(f"{path.stem}-desired.sql")
    schema_file.write_text(schema_sql, encoding="utf-8")
    consent = Consent(
        renames=dict(renames or {}),
        drop_columns=frozenset(drop_columns),
        drop_tables=frozenset(drop_tables),
        allow_data_loss=allow_data_loss,
        skip_backup=True,
    )
    try:
        # as for a file of any other origin: one that is not writable is opened to read
        engine = opening(path, Options(synchronous="OFF", create=False))
    except DataLayerError as exc:
        return Outcome(3, False, (), (), f"{type(exc).__name__}: {exc}")
    try:
        result = migrate(engine, target_of(schema_file=schema_file), consent=consent, plan=plan)
    except MigrationRefused as exc:
        return Outcome(5, False, (), exc.findings, f"{type(exc).__name__}: {exc}")
    except DataLayerError as exc:
        return Outcome(3, False, (), (), f"{type(exc).__name__}: {exc}")
    finally:
        engine.close()
    return Outcome(0, result.nothing_to_do, result.steps, (), "")
