"""Bring an existing PostgreSQL schema to the wanted one, with its rows, beside the traffic.

Reads what is there, compares it with the wanted schema in PostgreSQL's own words, plans, and does the plan;
then reads again, until nothing differs. Knows no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseUnavailable, DataLayerError, MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.catalog import Catalog
from datalayer.schema.change.consent import Consent
from datalayer.schema.pace import Progress
from datalayer.schema.pgchange.action import Action, Size, Stage
from datalayer.schema.pgchange.change import changes, retyped_columns
from datalayer.schema.pgchange.draft import Draft
from datalayer.schema.pgchange.leftovers import separate
from datalayer.schema.pgchange.names import ident
from datalayer.schema.pgchange.obstacles import Finding, obstacles
from datalayer.schema.pgchange.planning import plan as plan_actions
from datalayer.schema.pgchange.projection import Projection
from datalayer.schema.pgchange.renames import renamed, resolve, suggestions
from datalayer.schema.pgchange.running import Runner
from datalayer.schema.pgchange.session import Session
from datalayer.schema.pgchange.wanted import Wanted, read_wanted
from datalayer.schema.plan import Step
from datalayer.schema.postgres import Derived
from datalayer.schema.tokens import quote

__all__ = ["Prepared", "bring", "migrate_existing", "prepare"]

# renames, then all the rest, then what only shows when the rest is done
_MOST_PASSES = 5
# a table of this size is counted in a few milliseconds
_COUNTED_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be done now, and the sizes of the tables it is done to."""

    actions: tuple[Action, ...]
    sizes: Mapping[str, Size]
    can_silence_triggers: bool

    @property
    def steps(self) -> tuple[Step, ...]:
        """The actions with what each of them costs."""
        return tuple(action.step(self.sizes.get(action.table)) for action in self.actions)


def migrate_existing(
    engine: Engine,
    derived: Derived,
    *,
    consent: Consent | None = None,
    plan: bool = False,
    exact: bool = False,
    lock_timeout_s: float = 60.0,
    progress: Progress | None = None,
) -> tuple[Step, ...]:
    """Change a live schema into the derived one and give the steps; with `plan=True` only tell them.

    Without `exact`, tables and views that the wanted schema lacks belong to other programs and stay. The
    tables migrations and migrations_journal, and what extensions own, are never touched. The order of
    columns is free. `progress` is called with rows done and all rows.

    Not one transaction: nobody is kept waiting for longer than 2 seconds at a time, so big tables are
    changed in many. Killed or failed in between, the same call goes on. Two at once: the second waits up to
    `lock_timeout_s` for the advisory lock and then finds nothing to do. Takes a connection of its own, and
    needs the right to create a schema (one is made to read the wanted schema, and rolled back).

    Raises MigrationRefused, before anything is changed, with the rows that break a new rule or would be
    lost; later only where rows that came meanwhile break one. Raises DatabaseBusy when a lock does not come
    within `lock_timeout_s`.

        migrate_existing(engine, derive(schema), plan=True)[0].cost   # 'free'
    """
    consent = consent or Consent()
    with Session(engine) as session:
        wanted = read_wanted(session, derived)
        # rows are looked at once: now for a plan, else when nobody else is migrating any more
        prepared = prepare(session, wanted, consent, exact=exact, with_rows=plan)
        if plan or not prepared.actions:
            return prepared.steps
        with session.lock(monotonic() + lock_timeout_s):
            return bring(
                session, wanted, consent, exact=exact, lock_timeout_s=lock_timeout_s, progress=progress
            )


def bring(
    session: Session,
    wanted: Wanted,
    consent: Consent,
    *,
    exact: bool,
    lock_timeout_s: float,
    progress: Progress | None = None,
) -> tuple[Step, ...]:
    """Do what `migrate_existing` does, on a session that holds the lock."""
    done: list[Step] = []
    prepared = prepare(session, wanted, consent, exact=exact)
    for _ in range(_MOST_PASSES):
        if not prepared.actions:
            return tuple(done)
        done += _do(session, prepared, lock_timeout_s, progress)
        prepared = prepare(session, wanted, consent, exact=exact)
    remaining = "; ".join(f"{step.kind} {step.name}" for step in prepared.steps[:8])
    raise MigrationRefused(
        f"{session.display_url} still differs from the wanted schema", why=remaining, hint="run it again"
    )


def _do(
    session: Session, prepared: Prepared, lock_timeout_s: float, progress: Progress | None
) -> tuple[Step, ...]:
    actions = _first_part(prepared.actions)
    runner = Runner(
        session,
        prepared.sizes,
        lock_timeout_s=lock_timeout_s,
        can_silence_triggers=prepared.can_silence_triggers,
        progress=progress,
    )
    runner.run(actions)
    return prepared.steps[: len(actions)]


def _first_part(actions: Sequence[Action]) -> Sequence[Action]:
    """Give the renames alone where there are any: what follows is planned with the new names."""
    last = max((place for place, a in enumerate(actions) if a.stage == Stage.RENAME), default=None)
    return actions if last is None else actions[: last + 1]


def prepare(
    session: Session, wanted: Wanted, consent: Consent, *, exact: bool, with_rows: bool = True
) -> Prepared:
    """Compare, look for obstacles and plan; changes nothing.

    Raises MigrationRefused with all of them. `with_rows=False` does not look for any.
    """
    with session.transaction():
        live = catalog.read(session)
    found, left = separate(live)
    renames = resolve(found, wanted.catalog, consent.renames)
    after = renamed(found, renames)
    projection = Projection(after, wanted.catalog, renames, _casts(session, after, wanted.catalog))
    different = changes(after, wanted.catalog, exact=exact)
    found_obstacles = obstacles(session, projection, different, consent, with_rows=with_rows)
    if found_obstacles:
        raise _refused(session, found_obstacles, suggestions(after, wanted.catalog))
    # a filling that was interrupted goes on also where nothing differs any more
    unfilled = [table for table, _ in left.triggers if table in after.tables]
    names = [*(change.table for change in different), *unfilled]
    tables = {name: renames.table_before(name) for name in names}
    sizes = {new: _size(session, old) for new, old in tables.items() if old in found.tables}
    _refuse_others_tables(session, [renames.table_before(name) for name in sizes])
    can_silence = _can_silence_triggers(session)
    draft = Draft(projection, wanted, different, sizes, left, session.server_version, exact, can_silence)
    return Prepared(tuple(plan_actions(draft)), sizes, can_silence)


def _casts(session: Session, found: Catalog, wanted: Catalog) -> frozenset[tuple[str, str]]:
    """Find which of the type changes PostgreSQL has a cast for, by asking it to parse one."""
    pairs = {
        (old.type, new.type)
        for name, table in wanted.tables.items()
        if name in found.tables
        for old, new in retyped_columns(found.tables[name], table).values()
    }
    return frozenset(pair for pair in pairs if _has_cast(session, pair))


def _has_cast(session: Session, pair: tuple[str, str]) -> bool:
    try:
        session.fetch_all(f"SELECT CAST(NULL::{pair[0]} AS {pair[1]})")
    except DatabaseUnavailable:
        raise
    except DataLayerError:
        return False
    return True


def _size(session: Session, table: str) -> Size:
    rows, size_bytes = session.fetch_all(
        "SELECT reltuples::bigint, pg_total_relation_size(oid) FROM pg_class"
        " WHERE oid = quote_ident(%s)::regclass",
        (table,),
    )[0]
    is_empty = not session.fetch_all(f"SELECT 1 FROM {quote(table)} LIMIT 1")
    if rows <= 0 and size_bytes < _COUNTED_BYTES:
        rows = int(session.fetch_all(f"SELECT count(*) FROM {quote(table)}")[0][0])
    elif rows <= 0:
        # never analyzed: the planner has a guess from the number of pages
        explained = session.fetch_all(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {quote(table)}")
        rows = int(explained[0][0][0]["Plan"]["Plan Rows"])
    return Size(0 if is_empty else rows, size_bytes, is_empty)


def _refuse_others_tables(session: Session, tables: Sequence[str]) -> None:
    """Say before the first step that a table is another role's: only its owner may change it."""
    rows = session.fetch_all(
        "SELECT c.relname, pg_get_userbyid(c.relowner), current_user FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = ANY(%s)"
        " AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1",
        (session.schema_name, list(tables)),
    )
    if rows:
        table, owner, user = rows[0]
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise DatabaseUnavailable(
            f"{session.display_url}: no permission to change {table}{more}; nothing was changed",
            why=f"it belongs to {owner}, and {user} is not a member of that role",
            hint=f"connect as {owner}, or GRANT {ident(owner)} TO {ident(user)}",
        )


def _can_silence_triggers(session: Session) -> bool:
    """Whether this user may set session_replication_role: a superuser, or who was granted it (since 15)."""
    sql = "SELECT current_setting('is_superuser') = 'on'"
    if session.server_version >= 150_000:
        sql += " OR has_parameter_privilege('session_replication_role', 'SET')"
    return session.fetch_all(sql) == [(True,)]


def _sentence(finding: Finding) -> str:
    count = "" if finding["id"] in ("data-loss", "unchangeable") else f" (rows: {finding['count']})"
    return f"{finding['table']}: {finding['message']}{count}"


def _refused(
    session: Session, findings: Sequence[Finding], renames: Iterable[tuple[str, str]]
) -> MigrationRefused:
    messages = [_sentence(finding) for finding in findings]
    losses = [finding for finding in findings if finding["id"] == "data-loss"]
    words = [f"--rename {old}={new}" for old, new in renames]
    hint = "correct these rows, then migrate again"
    if losses:
        hint = "name what may go by --drop table.column or --drop-table table, or say --allow-data-loss"
        hint = f"if it is a rename, say {' '.join(words)}; else {hint}" if words else hint
    elif any(finding["id"] == "unchangeable" for finding in findings):
        hint = "change these by hand, or drop them and create them again afterwards; then migrate again"
    elif any(finding["id"] == "changed-value" for finding in findings):
        hint = "correct these values, or say --allow-data-loss"
    return MigrationRefused(
        f"{session.display_url} cannot be brought to the wanted schema; nothing was changed",
        why="; ".join(messages[:6]) + ("; ..." if len(messages) > 6 else ""),
        hint=hint,
        findings=findings,
    )
