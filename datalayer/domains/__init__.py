"""The domains: one file each, and the two lines here that give a store its attribute.

Foreign keys between domains live in SQL; models hold plain ids, so that domains stay strangers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar, overload

from datalayer.domains import state
from datalayer.domains.jobs import Jobs
from datalayer.domains.jobs import checks as jobs_checks
from datalayer.domains.sessions import Sessions
from datalayer.domains.sessions import checks as sessions_checks
from datalayer.domains.state import CachedState, KeyValueStore
from datalayer.engine.connection import Engine
from datalayer.schema.check.rule import Inspection, Rule

__all__ = ["CHECKS", "Domains", "inspections"]

CHECKS: Mapping[str, Rule] = {**sessions_checks.CHECKS, **jobs_checks.CHECKS, **state.CHECKS}
"""The rules that the domains declare, by the id of their finding."""


def inspections(data_dir: Path | None) -> Sequence[Inspection]:
    """Give what the domains look at besides their rules: what no query can tell, and files."""
    return (sessions_checks.project_hashes, partial(jobs_checks.response_files, data_dir=data_dir))


R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class _Kind(Protocol[R_co]):
    """What makes a domain's repository; a class does."""

    def __call__(self, engine: Engine, *, data_dir: Path | None = None) -> R_co: ...


class _Domain(Generic[R]):
    """A store's attribute: the domain's repository, made when first asked for."""

    def __init__(self, kind: _Kind[R]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, store: None, owner: type[object]) -> _Domain[R]: ...

    @overload
    def __get__(self, store: Domains, owner: type[object]) -> R: ...

    def __get__(self, store: Domains | None, owner: type[object]) -> _Domain[R] | R:
        if store is None:
            return self
        repository = self._kind(store.engine, data_dir=store.data_dir)
        # an instance's own entry stands before this descriptor from now on
        store.__dict__[self._name] = repository
        return repository


class Domains:
    """What every store offers."""

    engine: Engine

    @property
    def data_dir(self) -> Path:
        """Where domains keep large values as files."""
        raise AttributeError("data_dir")

    sessions = _Domain(Sessions)
    jobs = _Domain(Jobs)
    cache = _Domain(CachedState)
    kv = _Domain(KeyValueStore)
