"""Every CHECK, key and reference of the package's schema, broken with raw SQL on both engines.

The rows are those of the demo, with some more; the statements are composed from the schema itself
(support/rule_breaking.py), so that a rule which is added later is broken here too. What only triggers hold is
broken in the tests of each domain.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby, islice
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from support.rule_breaking import NamedRule, changes, kind, named_rules

from datalayer.cli.demo_steps import steps
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, ConstraintViolation
from datalayer.schema.declaration import Check
from datalayer.schema.history import consolidated_sql
from datalayer.schema.snapshot import read_text
from datalayer.store import connect
from datalayer.testing.postgres import PostgresServer

pytestmark = pytest.mark.slow

SCHEMA = read_text(consolidated_sql())
# the names of what was applied are the migrator's, and tested with it
JOURNALS = {"migrations", "migrations_journal"}
RULES = [rule for rule in named_rules(SCHEMA) if rule.table.name not in JOURNALS]
HASH, NOW, LATER = "0" * 64, "2026-01-02T03:04:05.000006Z", "2100-01-01T00:00:00.000000Z"
# of the tables that the demo leaves empty, and in the states that it leaves no row in
ROWS = (
    f"sessions (id, name, project_directory, project_hash) VALUES ('s', 'n', '/p', '{HASH}')",
    "background_jobs (id, session_id, dedupe_key) VALUES ('j', 's', 'd'), ('k', 's', 'e')",
    "background_jobs (id, status, lease_owner, lease_expires_at, start_time)"
    f" VALUES ('r', 'running', 'me', '{LATER}', '{NOW}')",
    "included_files (session_id, path) VALUES ('s', 'in'), ('s', 'in too')",
    "excluded_files (session_id, path) VALUES ('s', 'out'), ('s', 'out too')",
    f"cached_state (project_directory, project_hash, key, value) VALUES ('/p', '{HASH}', 'k', '1')",
    "key_value_store (key, value) VALUES ('k', '1')",
    "users (id, email) VALUES ('ann', 'ann@a'), ('ben', 'ben@a'), ('cleo', 'cleo@a')",
    f"auth_verifications (id, identifier, value, expires_at) VALUES ('v', 'ann', '{HASH}', '{LATER}')",
    "workspaces (id, name) VALUES ('w', 'w')",
    "rooms (id, workspace_id, name) VALUES ('r', 'w', 'n'), ('q', 'w', 'n')",
    "work_items (id, user_id, type, title, starts_at, ends_at)"
    f" VALUES ('i', 'ann', 'scheduled', 't', '{NOW}', '{LATER}')",
    "relationship_requests (id, user_id, related_user_id) VALUES ('r', 'ann', 'cleo')",
    "admin_users (id, user_id, granted_by) VALUES ('a', 'ann', 'ben'), ('b', 'ben', NULL)",
    f"ai_usage_logs (id, provider, status, expires_at) VALUES ('u', 'p', 'reserved', '{LATER}')",
    "ai_cost_budgets (id, limit_micros) VALUES ('b', 7)",
    "system_settings (key, value, updated_by) VALUES ('maintenance_mode', 'true', 'ann'),"
    " ('max_ai_cost_per_user_daily', '7', 'ann'), ('default_rate_limit', '7', 'ann')",
    "ai_provider_settings (id, provider, default_model, fallback_provider)"
    " VALUES ('o', 'openai', 'm', NULL), ('g', 'gemini', 'm', 'openai')",
    "ai_provider_keys (id, provider, encrypted_key, masked_preview, created_by)"
    " VALUES ('k', 'openai', 'dl1:k:AAAA', '...', 'ann')",
    "sandboxes (id, user_id, name, slug, container_id) VALUES ('box', 'ann', 'b', 'b', 'c')",
    "onboarding_sessions (id, sandbox_id, user_id) VALUES ('o', 'box', 'ann')",
    "chat_sessions (id, sandbox_id, user_id, source, acp_session_id)"
    " VALUES ('c', 'box', 'ann', 'acp_gateway', 'a')",
    "chat_messages (id, session_id, role, external_message_id, completed_at)"
    f" VALUES ('m', 'c', 'user', 'e', '{NOW}')",
    "knowledge_documents (id, user_id, category, content) VALUES ('k', 'ann', 'c', 't')",
    "user_opencode_config (user_id) VALUES ('ann')",
    "user_opencode_files (id, user_id, type, name) VALUES ('f', 'ann', 'tool', 'n')",
    "settings (key, value) VALUES ('k', '1')",
    "provider_credentials (id, user_id, provider_id, auth_type, api_key)"
    " SELECT 'k', 'ann', min(id), 'api_key', 'dl1:k:AAAA' FROM providers",
    "provider_credentials (id, user_id, provider_id, auth_type, access_token)"
    " SELECT 't', 'ben', min(id), 'oauth', 'dl1:k:AAAA' FROM providers",
    "oauth_state (id, user_id, provider_id, flow, state, expires_at)"
    f" SELECT 'r', 'ann', min(id), 'redirect', '{HASH}', '{LATER}' FROM providers",
    "oauth_state (id, user_id, provider_id, flow, device_code, user_code, verification_uri, expires_at)"
    f" SELECT 'd', 'ann', min(id), 'device_flow', 'dl1:k:AAAA', 'u', 'v', '{LATER}' FROM providers",
    "activity_log (id, user_id, action) VALUES ('a', 'ann', 'act')",
)
# tables whose rules are broken with their triggers out of the way
BEHIND_TRIGGERS = {"version": "a version is never changed, and a new one has the next number, whatever it is"}
# a rule -> the one that asks for more, so that an engine may name it in its place
SAID_INSTEAD = {
    # keys that are there to be referred to: their first column is the primary key
    "rooms_of_workspace": "rooms_pkey",
    "rooms_of_kind": "rooms_pkey",
    "sandboxes_id_user_unique": "sandboxes_pkey",
    # actor_count is not negative either, and at most event_count
    "analytics_rollups_event_count_range": "analytics_rollups_actor_count_range",
}
# what PostgreSQL holds by the type of the column, so that there is no rule to be named
TYPES = {"utc": "timestamp with time zone", "bool": "boolean", "json": "jsonb"}
MOST_TRIED = 30


class _Undone(Exception):
    """A change that was accepted is taken back."""


@pytest.fixture(scope="module")
def on_sqlite(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database with rows in every table, a few of each."""
    folder = tmp_path_factory.mktemp("every_rule")
    path = folder / "app.db"
    path.write_bytes(_sqlite_template.read_bytes())
    with connect(path, data_dir=folder / "files") as store:
        for rows in ROWS:
            store.engine.write(f"INSERT INTO {rows}")
        for work in steps().values():
            work(store)
        store.engine.write("DELETE FROM analytics_events WHERE id <> (SELECT max(id) FROM analytics_events)")
        yield store.engine


@pytest.fixture(scope="module")
def on_postgres(on_sqlite: Engine, postgres: PostgresServer, _postgres_template: str) -> Iterator[Engine]:
    """The same rows on PostgreSQL."""
    url = postgres.create_database(template=_postgres_template)
    with psycopg.connect(url) as connection:
        # neither a trigger nor a reference is asked
        connection.execute("SET session_replication_role = replica")
        for table in SCHEMA.tables:
            if table.kind == "table" and table.name not in JOURNALS:
                names = [column.name for column in table.columns]
                copy(on_sqlite, connection, table.name, names)
    with connect(url) as store:
        yield store.engine
    postgres.drop_database(url)


def copy(
    source: Engine, target: psycopg.Connection[tuple[object, ...]], table: str, names: list[str]
) -> None:
    target.execute(sql.SQL("DELETE FROM public.{}").format(sql.Identifier(table)))
    insert = sql.SQL("INSERT INTO public.{} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(sql.Placeholder() * len(names)),
    )
    for row in source.fetch_all(f"SELECT {', '.join(names)} FROM {table}"):
        # as text, so that the server brings it to the column's type
        values = [value if value is None or isinstance(value, bytes) else str(value) for value in row]
        target.execute(insert, values)


def refusal(engine: Engine, statement: str) -> ConstraintViolation | None:
    """Execute a statement, leave nothing of it, and give what was said against it."""
    try:
        with engine.transaction():
            assert engine.execute(statement).rowcount >= 1, statement
            raise _Undone
    except ConstraintViolation as exc:
        return exc
    except _Undone:
        return None


@contextmanager
def without_triggers(engine: Engine, table: str) -> Generator[None]:
    """Take the triggers of a table out of the way for a block, of which nothing is kept."""
    with suppress(_Undone), engine.transaction():
        if engine.dialect.name == "postgresql":
            # those of references are not the user's
            engine.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            for trigger in SCHEMA.triggers:
                if trigger.table == table:
                    engine.execute(f"DROP TRIGGER {trigger.name}")
        yield
        raise _Undone


def is_said(rule: NamedRule, error: ConstraintViolation, engine: Engine) -> bool:
    """Whether an error is this rule's, by class and name."""
    if error.constraint is not None and error.constraint == SAID_INSTEAD.get(rule.name):
        return True
    held_by = TYPES.get(kind(rule)) if engine.dialect.name == "postgresql" else None
    if held_by is not None and isinstance(rule.part, Check):
        query = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        place = f"attrelid = '{rule.table.name}'::regclass AND attname = '{rule.part.column}'"
        is_type = engine.fetch_one(f"{query} WHERE {place}") == (held_by,)
        return is_type and isinstance(error, CheckViolation) and error.constraint is None
    return isinstance(error, rule.error) and (error.constraint, error.table) == (rule.name, rule.table.name)


def what_is_wrong(rule: NamedRule, rows: Engine, engines: Sequence[Engine]) -> list[str]:
    """Break a rule in one way after the other, until each engine has refused it by its name."""
    waiting = list(engines)
    said: list[str] = []
    for change in islice(changes(rule, rows.connection()), MOST_TRIED):
        for engine in engines:
            name = engine.dialect.name
            for statement in change.statements(name) if engine in waiting else ():
                error = refusal(engine, statement)
                if error is None:
                    return [f"{name} accepts: {statement}"]
                if is_said(rule, error, engine):
                    waiting.remove(engine)
                    break
                said.append(f"{name} names {error.constraint}: {statement}")
        if not waiting:
            return []
    return said[:4] or ["no row can be changed so that it breaks the rule"]


def test_every_rule_is_held_by_both_engines(on_sqlite: Engine, on_postgres: Engine) -> None:
    engines = (on_sqlite, on_postgres)
    wrong: dict[str, list[str]] = {}
    for table, rules in groupby(RULES, lambda rule: rule.table.name):
        with ExitStack() as stack:
            for engine in engines if table in BEHIND_TRIGGERS else ():
                stack.enter_context(without_triggers(engine, table))
            wrong |= {rule.name: what_is_wrong(rule, on_sqlite, engines) for rule in rules}

    assert {name: said for name, said in wrong.items() if said} == {}
    assert len(wrong) == len(RULES) > 550


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("lists_name_given", "ALTER TABLE lists DROP CONSTRAINT lists_name_given"),
        ("admin_users_user_unique", "ALTER TABLE admin_users DROP CONSTRAINT admin_users_user_unique"),
        ("users_email", "DROP INDEX users_email"),
        ("lists_owner", "ALTER TABLE lists DROP CONSTRAINT lists_owner"),
    ],
)
def test_a_rule_that_is_not_there_would_be_told(
    on_sqlite: Engine, on_postgres: Engine, name: str, gone: str
) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    wrong: list[str] = []
    with pytest.raises(_Undone), on_postgres.transaction():
        on_postgres.execute(gone)
        wrong += what_is_wrong(rule, on_sqlite, (on_sqlite, on_postgres))
        raise _Undone

    assert wrong[-1].startswith("postgresql accepts: ")


def test_no_exception_outlives_its_rule() -> None:
    assert {*SAID_INSTEAD} <= {rule.name for rule in RULES}
    assert {*BEHIND_TRIGGERS} <= {trigger.table for trigger in SCHEMA.triggers}
