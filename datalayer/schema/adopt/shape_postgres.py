"""A folder's replay on the same PostgreSQL server, state by state, beside the live schema.

In a schema of its own within a transaction that is always rolled back. Both sides are told by the same server
from pg_catalog, so their texts can be compared as they are.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.schema.adopt.state import Ignored, States
from datalayer.schema.adopt.things import Key, Thing, compare_things, read_things
from datalayer.schema.difference import Difference
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.tokens import Statement, quote, unquote

__all__ = ["postgres_states"]

_PASSED_OVER = frozenset(
    [
        "ABORT",
        "ANALYZE",
        "BEGIN",
        "CHECKPOINT",
        "CLUSTER",
        "COMMENT",
        "COMMIT",
        "COPY",
        "DISCARD",
        "END",
        "EXECUTE",
        "GRANT",
        "LISTEN",
        "LOAD",
        "LOCK",
        "NOTIFY",
        "PREPARE",
        "REINDEX",
        "RELEASE",
        "RESET",
        "REVOKE",
        "ROLLBACK",
        "SAVEPOINT",
        "SECURITY",
        "SET",
        "SHOW",
        "START",
        "UNLISTEN",
        "VACUUM",
    ]
)
# objects of the whole server or database, which are there already
_BEYOND_THE_SCHEMA = frozenset(
    [
        "DATABASE",
        "EVENT",
        "EXTENSION",
        "GROUP",
        "LANGUAGE",
        "PUBLICATION",
        "ROLE",
        "SCHEMA",
        "SUBSCRIPTION",
        "SYSTEM",
        "TABLESPACE",
        "USER",
    ]
)
_ROWS_ONLY = frozenset(
    ["INSERT", "UPDATE", "DELETE", "MERGE", "SELECT", "WITH", "VALUES", "TRUNCATE", "CALL"]
)


def postgres_states(engine: Engine, files: Sequence[MigrationFile], ignored: Ignored) -> States:
    """Replay the files in a schema beside the live one and read both from the catalog.

    `refused` tells why it ended early: a statement that this server refuses, or a role that may not make a
    schema.
    """
    states = _PostgresStates(ignored)
    with _scratch(engine) as work:
        states.take_live(read_things(work.connection, engine.schema_name))
        states.refused = work.enter()
        if not states.refused:
            states.replay(work, files)
    states.settle()
    return states


class _Scratch:
    """The schema that is thrown away, on a connection of its own."""

    def __init__(self, connection: Any, live: str) -> None:
        self.connection = connection
        self.live = live
        self.name = f"datalayer_replay_{uuid.uuid4().hex[:12]}"

    def enter(self) -> str:
        """Make the schema and resolve names in it alone; gives the server's message where it refuses."""
        refused = self.attempt(f"CREATE SCHEMA {quote(self.name)}")
        if refused:
            return refused
        extensions = self.connection.execute(
            "SELECT e.extname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE n.nspname = %s AND e.extrelocatable",
            (self.live,),
        ).fetchall()
        # names of the live schema must not be reachable, those of its extensions must
        for (name,) in extensions:
            self.attempt(f"ALTER EXTENSION {quote(name)} SET SCHEMA {quote(self.name)}")
        self.connection.execute(f"SET LOCAL search_path = {quote(self.name)}")
        return ""

    def attempt(self, sql: str) -> str:
        """Execute one statement; undone, and the server's message given, where it is refused."""
        self.connection.execute("SAVEPOINT attempt")
        try:
            # binary goes by the extended protocol: one statement, and no COMMIT hidden behind it
            self.connection.execute(sql, binary=True)
        except Exception as exc:
            if self.connection.closed or not hasattr(exc, "sqlstate"):
                raise
            self.connection.execute("ROLLBACK TO SAVEPOINT attempt")
            return str(exc).partition("\n")[0]
        self.connection.execute("RELEASE SAVEPOINT attempt")
        return ""

    def things(self) -> Mapping[Key, Thing]:
        """Read what stands in the schema now."""
        return read_things(self.connection, self.name)

    def moved(self, statement: Statement) -> str:
        """Write a statement for this schema: its qualified names, and no CONCURRENTLY."""
        start = statement.tokens[0].start
        text, end = "", 0
        for token, following in zip(statement.tokens, (*statement.tokens[1:], None)):
            is_live = token.kind in ("word", "identifier") and unquote(token) == self.live
            qualifies = following is not None and following.text == "."
            if is_live and (qualifies or _names_schema(statement, token.start)):
                new = quote(self.name)
            elif token.upper == "CONCURRENTLY":
                new = ""
            else:
                continue
            text += statement.text[end : token.start - start] + new
            end = token.end - start
        return text + statement.text[end:]


@contextmanager
def _scratch(engine: Engine) -> Generator[_Scratch]:
    """Open a connection for the replay; whatever happens, its transaction is rolled back."""
    connection = engine.open_extra()
    try:
        connection.execute("BEGIN READ WRITE")
        connection.execute("SET LOCAL lock_timeout = '2s'")
        yield _Scratch(connection, engine.schema_name)
    finally:
        try:
            if not connection.closed:
                connection.execute("ROLLBACK")
        finally:
            engine.close_extra(connection)


class _PostgresStates(States):
    """The states of a replay beside a live PostgreSQL schema."""

    def __init__(self, ignored: Ignored) -> None:
        super().__init__()
        self.ignored = ignored
        self.states: list[Mapping[Key, Thing]] = [{}]
        self.live: Mapping[Key, Thing] = {}

    def take_live(self, things: Mapping[Key, Thing]) -> None:
        """Take the live schema, its journals left out."""
        self.live = self._counted(things)

    def replay(self, work: _Scratch, files: Sequence[MigrationFile]) -> None:
        """Run the files and keep what stands in the schema after each."""
        for file in files:
            self.refused = self._run(work, file)
            if self.refused:
                return
            self.files.append(file)
            things = self._counted(work.things())
            self.states.append(self.states[-1] if things == self.states[-1] else things)

    def settle(self) -> None:
        """Tell the tables and views that no file made from those that count."""
        made = {key for state in self.states for key in state}
        is_made = {key[1] for key in made if key[0] in ("table", "view")}
        there = [key for key in self.live if key[0] in ("table", "view")]
        self.extra = tuple(key[1] for key in there if key[1] not in is_made)
        # functions and types that no file made may be an extension's or another program's
        self.live = {
            key: thing
            for key, thing in self.live.items()
            if (thing.table in is_made if thing.table else key in made)
        }

    @property
    def is_untouched(self) -> bool:
        """Whether the live schema has nothing that any file makes."""
        return not any(key[0] in ("table", "view") for key in self.live)

    def may_equal(self, place: int) -> bool:
        """Say cheaply whether a state can have the live shape."""
        return self.states[place].keys() == self.live.keys()

    def distance(self, place: int) -> int:
        """Say cheaply how far a state is from the live schema."""
        return len(self.states[place].keys() ^ self.live.keys())

    def differences(self, place: int) -> Sequence[Difference]:
        """Compare a state with the live schema; nothing where their shapes are equal."""
        return list(compare_things(self.states[place], self.live))

    def is_same(self, place: int, other: int) -> bool:
        """Whether two states have the same schema."""
        return self.states[place] is self.states[other]

    def _counted(self, things: Mapping[Key, Thing]) -> Mapping[Key, Thing]:
        return {key: thing for key, thing in things.items() if not self.ignored.has(thing.table or key[1])}

    def _run(self, work: _Scratch, file: MigrationFile) -> str:
        if file.kind == "python":
            self.not_replayed.append(file.name)
        for statement in file.statements("postgresql"):
            if _is_passed_over(statement):
                continue
            error = work.attempt(work.moved(statement))
            if error and statement.verb not in _ROWS_ONLY:
                return f"{file.label}, line {statement.line}: {error}"
        return ""


def _is_passed_over(statement: Statement) -> bool:
    words = [token.upper for token in statement.tokens[:3]]
    if words[0] in ("CREATE", "ALTER", "DROP") and _BEYOND_THE_SCHEMA & {*words[1:2]}:
        return True
    texts = [token.upper for token in statement.tokens]
    if "OWNER" in texts[:-1] and texts[texts.index("OWNER") + 1] == "TO":
        return True
    # a dump sets its search_path by a function
    return words[0] in _PASSED_OVER or "SET_CONFIG" in texts


def _names_schema(statement: Statement, start: int) -> bool:
    """Whether a name stands behind the word SCHEMA: SET SCHEMA public, IN SCHEMA public."""
    before = [token for token in statement.tokens if token.end <= start]
    return bool(before) and before[-1].upper == "SCHEMA"
