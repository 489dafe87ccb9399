"""Store: one opened database with its repositories; and the process's one store.

Opening never migrates: a database that is older than the code works as far as what it lacks is not needed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import peewee
import platformdirs

from datalayer.domains import Domains, checks, encrypted_columns, inspections, is_search_new, with_needs
from datalayer.engine.address import Address
from datalayer.engine.choice import choose_database
from datalayer.engine.connection import Engine, Options
from datalayer.engine.singleton import Singleton
from datalayer.engine.transaction import Transaction
from datalayer.errors import ConstraintViolation
from datalayer.repository.base import Repository
from datalayer.repository.changes import LiveQuery
from datalayer.repository.rotation import Rotation, rotate
from datalayer.repository.secrets import EncryptedColumn
from datalayer.schema import work
from datalayer.schema.check.guard import OnCorruption, open_guarded
from datalayer.schema.check.rule import Inspection, Rule
from datalayer.schema.finding import Finding

if TYPE_CHECKING:
    from datalayer.schema.work import BackupResult, MigrationResult

__all__ = [
    "Store",
    "check_database",
    "close_database",
    "connect",
    "default_database",
    "ensure_connection",
]

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=peewee.Model)
Repo = TypeVar("Repo", bound=Repository[Any])


class Store(Domains):
    """One opened database: repositories, transactions, and what looks after the file.

    Safe to share among threads, each of which has a connection of its own. `with` it, or call `close()`; at
    exit everything is closed anyway.
    """

    def __init__(
        self, engine: Engine, *, data_dir: Path | None = None, domains: frozenset[str] | None = None
    ) -> None:
        self.engine = engine
        self.domains = domains
        if not engine.dialect.tells_violations:
            engine.complete_violation = _complete
        self._data_dir = data_dir
        self._temporary_dir: Path | None = None
        self._repositories: dict[type[Any], Any] = {}

    def __repr__(self) -> str:
        return f"<Store {self.engine.display_url}>"

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def data_dir(self) -> Path:
        """Where large values are kept as files.

        `data_dir=` of connect; else a folder beside a SQLite file, one that goes with the store for a
        database in memory, and the platform's data folder for PostgreSQL.
        """
        if self._data_dir is None:
            self._data_dir = self._default_data_dir()
        return self._data_dir

    def _default_data_dir(self) -> Path:
        path = self.engine.path
        if path is not None:
            return path.with_name(f"{path.name}-files")
        if self.engine.address.secret_url is None:
            self._temporary_dir = Path(tempfile.mkdtemp(prefix="datalayer-"))
            return self._temporary_dir
        return Path(platformdirs.user_data_dir("datalayer", appauthor=False)) / "files"

    @overload
    def repository(self, cls: type[Repo]) -> Repo: ...

    @overload
    def repository(self, cls: type[M]) -> Repository[M]: ...

    def repository(self, cls: Any) -> Any:
        """Give the repository of a model, or of a Repository subclass; the same one each time."""
        if cls not in self._repositories:
            is_one = issubclass(cls, Repository)
            self._repositories[cls] = (
                cls(self.engine, data_dir=self.data_dir) if is_one else Repository(self.engine, cls)
            )
        return self._repositories[cls]

    # -- transactions ------------------------------------------------------------------------------

    def transaction(self, *, read: bool = False, isolation: str | None = None) -> Transaction:
        """Give a block of work, kept whole or not at all; blocks inside it are savepoints.

        Raises:
            DatabaseBusy: SQLite's write lock did not come in time.
        """
        return self.engine.transaction(read=read, isolation=isolation)

    def run_transaction(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a write transaction, again and whole while others are in the way.

        Up to 10 times within 30 seconds; what must happen once belongs in `on_commit`.

        Raises:
            DatabaseBusy: the others were in the way each time.
        """
        return self.engine.run_transaction(function, *args, **kwargs)

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call back once the present block's work is committed, not at all if it is undone.

        At once outside a block.
        """
        self.engine.on_commit(callback)

    def watch(self, query: Callable[[], R], *, timeout_s: float) -> LiveQuery[R]:
        """Give what a function reads, and again each time it has changed, for as long as `timeout_s`.

        The function is called at once, and after commits: those of this process wake it at once, those of
        others within some 50 ms (PRAGMA data_version on SQLite, NOTIFY on PostgreSQL), and what programs
        write to PostgreSQL past this package within a second. Results that say the same are not given again;
        of changes in quick succession the last result is given. `with` it, or `close()` it, also from another
        thread: it holds a connection of its own. Only the last result is kept.

            with store.watch(store.jobs.counts_by_status, timeout_s=60) as results:
                for counts in results:
                    print(counts)
                    break

        Raises:
            DataLayerError: a transaction is open, whose snapshot would hide the changes.
        """
        return LiveQuery(self.engine, query, timeout_s=timeout_s)

    # -- the database as a whole -------------------------------------------------------------------

    def create_tables(self, *models: type[peewee.Model]) -> None:
        """Create the tables of an app's models where they are missing; `migrate --schema` does more."""
        self.engine.peewee.create_tables(models)

    def migrate(
        self,
        *,
        schema_file: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        to: str | None = None,
        domains: Iterable[str] | None = None,
        **options: Any,
    ) -> MigrationResult:
        """Bring the database to the current schema, or to that of a file or of a folder's files up to `to`.

        `domains` restricts the package's own schema, or a folder's, to these and what they need; without it
        those that the store was opened with count, and by default all. Domains that a database has stay.
        Options (`plan`, `consent`, `lock_timeout_s`, `progress`), effect and errors are those of
        `datalayer.schema.migrator.migrate`. A Python migration's `up` is called with this store.
        """
        if schema_file is None and folder is None and to is None:
            wanted = self.domains if domains is None else domains
            if wanted is None:
                target = work.target_of()
            else:
                target = work.own_target(work.applied_names(self.engine), domains=wanted)
        else:
            target = work.target_of(schema_file=schema_file, folder=folder, to=to, domains=domains)
        done = work.migrate(self.engine, target, store_of=lambda _: self, **options)
        if not options.get("plan") and is_search_new(done.created):
            self.search.rebuild()
        return done

    def check(self, *, rules: Mapping[str, Rule] | None = None, **options: Any) -> list[Finding]:
        """Look for problems without writing a byte; see `datalayer.schema.check.check`.

        Against the package's own schema the domains' rules are held too; `rules` are added to them.
        `quick=True` takes milliseconds on any size, for a program's start.
        """
        own = _own_checks(self.data_dir, options)
        return work.check(self.engine, rules={**own[0], **(rules or {})}, inspections=own[1], **options)

    def backup(self, path: str | os.PathLike[str] | None = None) -> BackupResult:
        """Write a verified copy while others work; see `datalayer.schema.backup.backup`."""
        return work.backup(self.engine, None if path is None else Path(path))

    def rotate_keys(
        self,
        *,
        columns: Sequence[EncryptedColumn] = (),
        batch: int = 200,
        progress: Callable[[int, int], object] | None = None,
    ) -> Rotation:
        """Seal all secrets of the domains, and of an app's own `columns`, with the first key of the ring.

        See `datalayer.repository.rotation.rotate`.
        """
        return rotate(self.engine, [*encrypted_columns(), *columns], batch=batch, progress=progress)

    def close(self) -> None:
        """Close the connections of all threads; an open block of another thread is undone."""
        self.engine.close()
        if self._temporary_dir is not None:
            shutil.rmtree(self._temporary_dir, ignore_errors=True)


def connect(
    target: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    domains: Iterable[str] | None = None,
    on_corruption: OnCorruption = "raise",
    **options: Any,
) -> Store:
    """Open a database: a path or sqlite:/// URL, `:memory:`, or a postgresql:// URL.

    Options are the fields of `datalayer.Options` (`read_only`, `synchronous`, `busy_timeout_s`, `pool`, ...).
    One connection is opened and its settings verified before this returns. A SQLite file is looked at first:
    `on_corruption` says what is done about one whose header, log or journal is damaged ("raise", "read-only",
    "repair", or a function; see `datalayer.schema.check.guard.open_guarded`).

    `domains` are those that the app uses, with what they need; sessions, jobs and state are always there.
    `migrate()` then makes no others, and asking the store for another is an error.

    Raises:
        MigrationRefused: there is no such domain.
        DatabaseUnavailable: missing folder or file, no permission, refused, wrong password.
        DatabaseCorrupt: not a database, or a damaged one.
    """
    # an unknown one is refused before anything is opened
    known = None if domains is None else with_needs(domains)
    engine = open_guarded(target, Options(**options), on_corruption)
    return Store(engine, data_dir=None if data_dir is None else Path(data_dir).absolute(), domains=known)


def check_database(
    target: str | os.PathLike[str], *, rules: Mapping[str, Rule] | None = None, **options: Any
) -> list[Finding]:
    """Check a database that is not open: as `Store.check`, and a SQLite file is opened only if that is safe.

    A file that is missing, or is no database, is a finding.

    Raises:
        DatabaseUnavailable: a server that cannot be reached.
    """
    path = Address.parse(target).path
    if path is None:
        with connect(target, read_only=True, create=False) as store:
            return store.check(rules=rules, **options)
    own = _own_checks(path.with_name(f"{path.name}-files"), options)
    return work.check_file(path, rules={**own[0], **(rules or {})}, inspections=own[1], **options)


def _own_checks(
    data_dir: Path, options: Mapping[str, Any]
) -> tuple[Mapping[str, Rule], Sequence[Inspection]]:
    """Give what the domains check, where their own schema is expected."""
    if options.get("expected") is not None or not options.get("with_schema", True):
        return {}, ()
    return checks(), inspections(data_dir)


def _complete(conn: Any, error: ConstraintViolation, sql: str, params: Sequence[Any]) -> None:
    work.complete(conn, error, sql, params)


_singleton: Singleton[Store] = Singleton()


def default_database() -> str:
    """Give the database that is meant where none is named; see `datalayer.engine.choice.choose_database`."""
    return choose_database().target


def ensure_connection(target: str | os.PathLike[str] | None = None, **options: Any) -> Store:
    """Give the process's one store, opening it where there is none.

    `target` and options count for the call that opens it; without a target see `default_database`. The
    platform's own folder is made where it is missing.
    """

    def open_it() -> Store:
        choice = choose_database(None if target is None else os.fspath(target))
        if choice.is_platform_default:
            Path(choice.target).parent.mkdir(parents=True, exist_ok=True)
        return connect(choice.target, **options)

    return _singleton.ensure(open_it)


def close_database() -> bool:
    """Close the process's one store.

    False where none was open. The next `ensure_connection` opens it anew.
    """
    return _singleton.close()
