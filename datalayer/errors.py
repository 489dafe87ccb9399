"""Every error a caller of datalayer can meet, one class per situation that is handled differently.

Knows nothing of drivers, SQL or models: engine.translate decides which class a driver's error becomes, by
code.

    DataLayerError
    +-- NotFound              no row answers
    |   `-- (a row of another owner is not found either)
    +-- MultipleFound         one() met more than one row
    +-- StaleVersion          the row moved on since it was read
    +-- ConstraintViolation   a rule of the database refused the change
    |   +-- UniqueViolation
    |   +-- ForeignKeyViolation
    |   +-- NotNullViolation
    |   `-- CheckViolation    also rules held by triggers
    +-- InvalidTransition     a status may not follow the present one
    +-- DatabaseBusy          locked by others for longer than the timeout; try again
    +-- DatabaseUnavailable   missing, refused, no permission, read-only, wrong password, disk full
    +-- DatabaseCorrupt       not a database, or too damaged to read
    +-- TransactionDied       the database ended the transaction; nothing of it is kept
    +-- SchemaMismatch        the database is older, newer or other than the code expects
    +-- MigrationRefused      a migration would lose or break something; nothing was changed
    +-- SecretUnreadable      a sealed value was tampered with, moved, or its key is not there
    `-- LazyLoad              a relation that was not loaded was about to be fetched row by row
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "CheckViolation",
    "ConstraintViolation",
    "DataLayerError",
    "DatabaseBusy",
    "DatabaseCorrupt",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "InvalidTransition",
    "LazyLoad",
    "MigrationRefused",
    "MultipleFound",
    "NotFound",
    "NotNullViolation",
    "SchemaMismatch",
    "SecretUnreadable",
    "StaleVersion",
    "TransactionDied",
    "UniqueViolation",
]


class DataLayerError(Exception):
    """Base of all errors raised on purpose.

    `what` says what happened and where, `why` the reason as far as it is known, `hint` what to do next.
    `str()` is all three, one a line. `code` (DL-Ennn) never changes for a class. `findings` are details, as
    the command prints them. The driver's own error is `__cause__`.
    """

    code = "DL-E100"
    findings: Sequence[Mapping[str, object]] = ()

    def __init__(self, what: str, *, why: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.hint) if part)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.__dict__))


def _rebuild(cls: type[DataLayerError], facts: dict[str, object]) -> DataLayerError:
    """Make an error again on the other side of a process boundary."""
    error = cls.__new__(cls, facts["what"])
    error.args = (facts["what"],)
    error.__dict__.update(facts)
    return error


class NotFound(DataLayerError):
    """No row answers the question, or it belongs to somebody else."""

    code = "DL-E201"


class MultipleFound(DataLayerError):
    """`one()` or `one_or_none()` met more than one row."""

    code = "DL-E202"


class StaleVersion(DataLayerError):
    """The row was changed by somebody else since it was read; nothing was written."""

    code = "DL-E203"


class InvalidTransition(DataLayerError):
    """The present status does not allow the one asked for; nothing was written."""

    code = "DL-E204"

    def __init__(
        self,
        what: str,
        *,
        current: str | None = None,
        wanted: str | None = None,
        why: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.current = current
        self.wanted = wanted


class ConstraintViolation(DataLayerError):
    """A rule of the database refused the change; the statement had no effect.

    `table`, `columns` and `constraint` are the rule's own; for a foreign key those of the table that refers.
    What is not known for sure is None or empty:

    - `constraint` of a rule without a name, which only PostgreSQL names by itself, and of NOT NULL;
    - `columns` of a trigger's rule; on PostgreSQL those of a CHECK, and of a row that is still referred to;
    - on SQLite all three where COMMIT finds a deferred key broken, and where one of several foreign keys was
      broken by a statement that does not show which (a trigger's, one with many rows of values, UPDATE FROM);
      all but a rule's name on an engine that was opened without a store.
    """

    code = "DL-E210"

    def __init__(
        self,
        what: str,
        *,
        table: str | None = None,
        columns: Sequence[str] = (),
        constraint: str | None = None,
        why: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.table = table
        self.columns = tuple(columns)
        self.constraint = constraint


class UniqueViolation(ConstraintViolation):
    """Another row has the same key."""

    code = "DL-E211"


class ForeignKeyViolation(ConstraintViolation):
    """A row that is referred to is missing, or is still referred to."""

    code = "DL-E212"


class NotNullViolation(ConstraintViolation):
    """A column that must have a value was given none."""

    code = "DL-E213"


class CheckViolation(ConstraintViolation):
    """A CHECK or a trigger's rule said no; `constraint` is the rule's name."""

    code = "DL-E214"


class DatabaseBusy(DataLayerError):
    """Locked, deadlocked or not serializable; the whole block may be tried again as it is."""

    code = "DL-E301"


class DatabaseUnavailable(DataLayerError):
    """The database cannot be used now: missing, refused, no permission, read-only, disk full."""

    code = "DL-E302"


class DatabaseCorrupt(DataLayerError):
    """The file is not a database, is encrypted, or is too damaged to be read."""

    code = "DL-E303"


class TransactionDied(DataLayerError):
    """The block cannot go on, because a statement of it failed or the database ended the transaction.

    Nothing of the block is kept, and nothing more is accepted in it.
    """

    code = "DL-E304"


class SchemaMismatch(DataLayerError):
    """Tables or columns that the code needs are not in the database; `missing` names them as table.column."""

    code = "DL-E401"

    def __init__(
        self,
        what: str,
        *,
        missing: Sequence[str] = (),
        why: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.missing = tuple(missing)


class MigrationRefused(DataLayerError):
    """A migration was not begun, or was rolled back whole: it would lose data or break a rule.

    `findings` names what stands in the way, one object each: {id, severity, table, object, count, message,
    rows}, of which `rows` are the keys of up to ten rows.
    """

    code = "DL-E402"

    def __init__(
        self,
        what: str,
        *,
        findings: Sequence[Mapping[str, object]] = (),
        why: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.findings = tuple(findings)


class SecretUnreadable(DataLayerError):
    """A sealed value does not open: changed, moved to another row or owner, or its key is not in the ring.

    Says where the value is stored, and nothing of what it holds. `key_id` is the key it names, as far as that
    can be read.
    """

    code = "DL-E205"

    def __init__(
        self, what: str, *, key_id: str | None = None, why: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.key_id = key_id


class LazyLoad(DataLayerError):
    """A relation that was not loaded was asked for; `field` is Model.field."""

    code = "DL-E501"

    def __init__(self, what: str, *, field: str, why: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, why=why, hint=hint)
        self.field = field


# Tracebacks and pickles name the place that users import from.
for _name in __all__:
    globals()[_name].__module__ = "datalayer"
