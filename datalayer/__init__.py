"""datalayer: typed repositories over SQLite and PostgreSQL, and what looks after the database.

Names are loaded when they are first used, so that `import datalayer` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from datalayer.engine.connection import Options as Options
    from datalayer.engine.keys import KeyRing as KeyRing
    from datalayer.engine.statements import Statement as Statement
    from datalayer.errors import CheckViolation as CheckViolation
    from datalayer.errors import ConstraintViolation as ConstraintViolation
    from datalayer.errors import DatabaseBusy as DatabaseBusy
    from datalayer.errors import DatabaseCorrupt as DatabaseCorrupt
    from datalayer.errors import DatabaseUnavailable as DatabaseUnavailable
    from datalayer.errors import DataLayerError as DataLayerError
    from datalayer.errors import ForeignKeyViolation as ForeignKeyViolation
    from datalayer.errors import InvalidTransition as InvalidTransition
    from datalayer.errors import LazyLoad as LazyLoad
    from datalayer.errors import MigrationRefused as MigrationRefused
    from datalayer.errors import MultipleFound as MultipleFound
    from datalayer.errors import NotFound as NotFound
    from datalayer.errors import NotNullViolation as NotNullViolation
    from datalayer.errors import SchemaMismatch as SchemaMismatch
    from datalayer.errors import SecretUnreadable as SecretUnreadable
    from datalayer.errors import StaleVersion as StaleVersion
    from datalayer.errors import TransactionDied as TransactionDied
    from datalayer.errors import UniqueViolation as UniqueViolation
    from datalayer.repository.base import Repository as Repository
    from datalayer.repository.fields import IdField as IdField
    from datalayer.repository.fields import JSONField as JSONField
    from datalayer.repository.fields import UtcField as UtcField
    from datalayer.repository.fields import new_id as new_id
    from datalayer.repository.mixins import Model as Model
    from datalayer.repository.mixins import SoftDelete as SoftDelete
    from datalayer.repository.mixins import Timestamps as Timestamps
    from datalayer.repository.mixins import Versioned as Versioned
    from datalayer.repository.page import Page as Page
    from datalayer.store import Store as Store
    from datalayer.store import close_database as close_database
    from datalayer.store import connect as connect
    from datalayer.store import ensure_connection as ensure_connection

_PLACES = {
    "datalayer.engine.connection": ("Options",),
    "datalayer.engine.keys": ("KeyRing",),
    "datalayer.engine.statements": ("Statement",),
    "datalayer.errors": (
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
    ),
    "datalayer.repository.base": ("Repository",),
    "datalayer.repository.fields": ("IdField", "JSONField", "UtcField", "new_id"),
    "datalayer.repository.mixins": ("Model", "SoftDelete", "Timestamps", "Versioned"),
    "datalayer.repository.page": ("Page",),
    "datalayer.store": ("Store", "close_database", "connect", "ensure_connection"),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'datalayer' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
