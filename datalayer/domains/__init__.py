"""The domains: one file each, and the two lines here that give a store its attribute.

Foreign keys between domains live in SQL; models hold plain ids, so that domains stay strangers. A domain is
imported when its attribute is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from datalayer.engine.connection import Engine
from datalayer.errors import SchemaMismatch
from datalayer.schema import work

if TYPE_CHECKING:
    from datalayer.domains.accounts import Accounts
    from datalayer.domains.activity import Activity
    from datalayer.domains.attachments import Attachments
    from datalayer.domains.builder import Builder
    from datalayer.domains.drafts import Drafts
    from datalayer.domains.events import Events
    from datalayer.domains.jobs import Jobs
    from datalayer.domains.providers import Providers
    from datalayer.domains.sandboxes import Sandboxes
    from datalayer.domains.search import Search
    from datalayer.domains.sessions import Sessions
    from datalayer.domains.state import CachedState, KeyValueStore
    from datalayer.domains.workspaces import Workspaces
    from datalayer.repository.secrets import EncryptedColumn
    from datalayer.schema.check.rule import Inspection, Rule
    from datalayer.schema.finding import Finding

__all__ = [
    "Domains",
    "checks",
    "domain_modules",
    "encrypted_columns",
    "inspections",
    "is_search_new",
    "with_needs",
]

R = TypeVar("R")
# what the first migration makes is in every database
_FOUNDATION = {"sessions", "jobs", "state", "cache", "kv"}
# in the order of the attributes; a module may have two
_MODULE_NAMES: dict[str, None] = {}


class _Domain(Generic[R]):
    """A store's attribute: the domain's repository, made when first asked for.

    `place` is its module in this package and its class: "jobs.Jobs".
    """

    def __init__(self, place: str) -> None:
        self._module_name, _, self._class_name = place.partition(".")

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._name = name
        _MODULE_NAMES.setdefault(self._module_name)

    @overload
    def __get__(self, store: None, owner: type[object]) -> _Domain[R]: ...

    @overload
    def __get__(self, store: Domains, owner: type[object]) -> R: ...

    def __get__(self, store: Domains | None, owner: type[object]) -> _Domain[R] | R:
        if store is None:
            return self
        if not (store.domains is None or self._module_name in store.domains | _FOUNDATION):
            raise SchemaMismatch(
                f"this store was opened without the domain {self._module_name}",
                hint=f'add "{self._module_name}" to the domains= of connect, and migrate',
            )
        kind: Any = getattr(_module(self._module_name), self._class_name)
        repository: R = kind(store.engine, data_dir=store.data_dir)
        # an instance's own entry stands before this descriptor from now on
        store.__dict__[self._name] = repository
        return repository


class Domains:
    """What every store offers."""

    engine: Engine
    domains: frozenset[str] | None
    """What the store was restricted to; None: all domains."""

    @property
    def data_dir(self) -> Path:
        """Where domains keep large values as files."""
        raise AttributeError("data_dir")

    sessions: _Domain[Sessions] = _Domain("sessions.Sessions")
    jobs: _Domain[Jobs] = _Domain("jobs.Jobs")
    cache: _Domain[CachedState] = _Domain("state.CachedState")
    kv: _Domain[KeyValueStore] = _Domain("state.KeyValueStore")
    accounts: _Domain[Accounts] = _Domain("accounts.Accounts")
    providers: _Domain[Providers] = _Domain("providers.Providers")
    drafts: _Domain[Drafts] = _Domain("drafts.Drafts")
    builder: _Domain[Builder] = _Domain("builder.Builder")
    workspaces: _Domain[Workspaces] = _Domain("workspaces.Workspaces")
    sandboxes: _Domain[Sandboxes] = _Domain("sandboxes.Sandboxes")
    activity: _Domain[Activity] = _Domain("activity.Activity")
    search: _Domain[Search] = _Domain("search.Search")
    attachments: _Domain[Attachments] = _Domain("attachments.Attachments")
    events: _Domain[Events] = _Domain("events.Events")


def with_needs(wanted: Iterable[str]) -> frozenset[str]:
    """Give these domains and those whose tables they refer to; what is always there does not count.

    Raises MigrationRefused for an unknown domain.
    """
    part = work.package_folder().of_domains(set(wanted) - _FOUNDATION)
    return part.domains or frozenset()


def is_search_new(created: Iterable[str]) -> bool:
    """Whether a migration added search to a database that had texts, as what differs and not by its files.

    PostgreSQL is brought there so; the files themselves fill what they make.
    """
    made = set(created)
    return "table search_documents" in made and "table sessions" not in made


def domain_modules() -> Sequence[ModuleType]:
    """Give the modules of all domains, in the order of their attributes; imports them."""
    return [_module(name) for name in _MODULE_NAMES]


def checks() -> Mapping[str, Rule]:
    """Give the rules that the domains declare as `CHECKS`, by the id of their finding."""
    declared: dict[str, Rule] = {}
    for module in domain_modules():
        declared |= getattr(module, "CHECKS", {})
    return declared


def inspections(data_dir: Path | None) -> Sequence[Inspection]:
    """Give what the domains look at besides their rules: what no query can tell, and files.

    A domain declares them as `INSPECTIONS`: functions of an engine and the folder of large values.
    """
    own: list[Callable[[Engine, Path | None], Iterable[Finding]]] = []
    for module in domain_modules():
        own += getattr(module, "INSPECTIONS", ())

    def bound(inspect: Callable[[Engine, Path | None], Iterable[Finding]]) -> Inspection:
        return lambda engine: inspect(engine, data_dir)

    return [bound(inspect) for inspect in own]


def encrypted_columns() -> Sequence[EncryptedColumn]:
    """Give the columns of sealed values that the domains declare as `ENCRYPTED`."""
    found: list[EncryptedColumn] = []
    for module in domain_modules():
        found += getattr(module, "ENCRYPTED", ())
    return found


def _module(name: str) -> ModuleType:
    return import_module(f"datalayer.domains.{name}")
