"""For each rule over migrations: a folder that breaks it, where, and the same folder put right.

`--!` marks the line that is told. What cannot be said in files alone (journals of databases, version control)
is tested apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["CASES", "MARK", "Case", "write_files"]

MARK = "--!"


@dataclass(frozen=True)
class Case:
    """`bad` and `good` are files by name; a file that is in `both` need not be repeated."""

    rule: str
    about: str
    bad: Mapping[str, str]
    good: Mapping[str, str]
    both: Mapping[str, str] = field(default_factory=dict)
    dialect: Literal["sqlite", "postgresql"] = "sqlite"
    target: Literal["sqlite", "postgresql", "d1"] | None = None

    @property
    def place(self) -> tuple[str, int]:
        """The file and line that the mark stands on; the first line of the last file without a mark."""
        for name, text in {**self.both, **self.bad}.items():
            for number, line in enumerate(text.splitlines(), 1):
                if MARK in line:
                    return name, number
        return [*self.bad][-1], 1


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def _journal(*entries: tuple[str, int], dialect: str = "sqlite", marked: str = "") -> str:
    rows = ",\n".join(
        f'    {{"idx": {place}, "version": "{MARK if tag == marked else 6}", "when": {when}, "tag": "{tag}"}}'
        for place, (tag, when) in enumerate(entries)
    )
    return f'{{\n  "version": "7",\n  "dialect": "{dialect}",\n  "entries": [\n{rows}\n  ]\n}}\n'


_SNAPSHOT = '{"id": "%s", "prevId": "%s",\n "tables": {%s}}'
_USERS_SHAPE = '\n"users": {"name": "users", "columns": {"id": {}, "email": {}}}'
_USERS = "CREATE TABLE users (\n    id INTEGER PRIMARY KEY,\n    email TEXT NOT NULL\n);\n"
_FIRST = {"0001_users.sql": _USERS}
_ORDERS = (
    "CREATE TABLE orders (\n    id INTEGER PRIMARY KEY,\n"
    "    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE\n);\n"
    "CREATE INDEX orders_user ON orders (user_id);\n"
)
_RICH = {
    "0001_users.sql": """CREATE TABLE teams (id INTEGER PRIMARY KEY);
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    age INTEGER DEFAULT 18 CHECK (age > 0),
    team_id INTEGER REFERENCES teams (id)
);
CREATE INDEX users_team ON users (team_id);
"""
}


def _recreate(body: str, columns: str = "id, email, age, team_id", *, after: str = "") -> dict[str, str]:
    return {
        "0002_rebuild.sql": f"""CREATE TABLE users_new (
    {body}
);
INSERT INTO users_new ({columns}) SELECT {columns} FROM users;
DROP TABLE users; --!
ALTER TABLE users_new RENAME TO users;
{after}"""
    }


_ID = "id INTEGER PRIMARY KEY"
_EMAIL = "email TEXT NOT NULL UNIQUE"
_AGE = "age INTEGER DEFAULT 18 CHECK (age > 0)"
_TEAM = "team_id INTEGER REFERENCES teams (id)"
_INDEX = "CREATE INDEX users_team ON users (team_id);\n"
_WHOLE = _recreate(f"{_ID}, {_EMAIL}, {_AGE}, {_TEAM}, name TEXT", after=_INDEX)


def _lost(
    rule: str, about: str, *body: str, columns: str = "id, email, age, team_id", after: str = _INDEX
) -> Case:
    return Case(rule, about, _recreate(", ".join(body), columns, after=after), _WHOLE, _RICH)


_PG_FIRST = {
    "0001_users.sql": "CREATE TABLE users (\n    id bigserial PRIMARY KEY,\n    email varchar(40) NOT NULL,\n"
    "    team_id bigint\n);\nCREATE TABLE teams (id bigint PRIMARY KEY);\n"
}


def _pg(rule: str, about: str, bad: str, good: str) -> Case:
    return Case(
        rule,
        about,
        {"0002_next.sql": bad},
        {"0002_next.sql": good},
        _PG_FIRST,
        "postgresql",
    )


_TIMEOUT = "SET LOCAL lock_timeout = '2s';\n"

_JOURNAL_CASES = (
    Case(
        "J003",
        "drizzle's `when` goes back",
        {"meta/_journal.json": _journal(("0000_a", 200), ("0001_b", 100), marked="0001_b")},
        {"meta/_journal.json": _journal(("0000_a", 100), ("0001_b", 200))},
        {"0000_a.sql": "CREATE TABLE a (id INTEGER);\n", "0001_b.sql": "CREATE TABLE b (id INTEGER);\n"},
    ),
    Case(
        "J004",
        "an entry of drizzle's journal has no file",
        {"meta/_journal.json": _journal(("0000_a", 100), ("0001_b", 200), marked="0001_b")},
        {"meta/_journal.json": _journal(("0000_a", 100))},
        {"0000_a.sql": "CREATE TABLE a (id INTEGER);\n"},
    ),
    Case(
        "J005",
        "a file has no entry in drizzle's journal",
        {"0001_b.sql": "CREATE TABLE b (id INTEGER);\n"},
        {"meta/notes.txt": ""},
        {"meta/_journal.json": _journal(("0000_a", 100)), "0000_a.sql": "CREATE TABLE a (id INTEGER);\n"},
    ),
    Case(
        "J006",
        "two files have one number",
        {"0001_a.sql": "CREATE TABLE a (id INTEGER);\n", "0001_b.sql": "CREATE TABLE b (id INTEGER);\n"},
        {"0001_a.sql": "CREATE TABLE a (id INTEGER);\n", "0002_b.sql": "CREATE TABLE b (id INTEGER);\n"},
    ),
    Case(
        "J007",
        "a number is left out",
        {"0001_a.sql": "CREATE TABLE a (id INTEGER);\n", "0003_b.sql": "CREATE TABLE b (id INTEGER);\n"},
        {"0001_a.sql": "CREATE TABLE a (id INTEGER);\n", "0002_b.sql": "CREATE TABLE b (id INTEGER);\n"},
    ),
    Case(
        "J008",
        "two files have one name",
        {"0001_a.sql": "CREATE TABLE a (id INTEGER);\n", "0002_a.sql": "CREATE TABLE b (id INTEGER);\n"},
        {"0001_a.sql": "CREATE TABLE a (id INTEGER);\n", "0002_b.sql": "CREATE TABLE b (id INTEGER);\n"},
    ),
    Case(
        "J010",
        "an entry has no snapshot",
        {"0000_a.sql": _USERS},
        {"0000_a.sql": _USERS, "meta/0000_snapshot.json": _SNAPSHOT % ("1", "0", _USERS_SHAPE)},
        {"meta/_journal.json": _journal(("0000_a", 100))},
    ),
    Case(
        "J010",
        "the chain of snapshots is broken",
        {"meta/0001_snapshot.json": '{"id": "2",\n"prevId": "9", "x": "--!"}'},
        {"meta/0001_snapshot.json": '{"id": "2",\n"prevId": "1"}'},
        {
            "meta/_journal.json": _journal(("0000_a", 100), ("0001_b", 200)),
            "0000_a.sql": _USERS,
            "0001_b.sql": _ORDERS,
            "meta/0000_snapshot.json": _SNAPSHOT % ("1", "0", _USERS_SHAPE),
        },
    ),
    Case(
        "J010",
        "a snapshot tells of another column",
        {"meta/0000_snapshot.json": _SNAPSHOT % ("1", "0", _USERS_SHAPE.replace("email", "mail --!"))},
        {"meta/0000_snapshot.json": _SNAPSHOT % ("1", "0", _USERS_SHAPE)},
        {"meta/_journal.json": _journal(("0000_a", 100)), "0000_a.sql": _USERS},
    ),
)

_EFFECT_CASES = (
    Case(
        "N001",
        "another table of that name is there",
        {"0002_users.sql": "\nCREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT); --!\n"},
        {"0002_users.sql": "\nCREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT);\n"},
        _FIRST,
    ),
    Case(
        "N001",
        "an index of that name is on another column",
        {"0002_index.sql": "CREATE INDEX IF NOT EXISTS by_email ON users (id); --!\n"},
        {"0002_index.sql": "CREATE INDEX IF NOT EXISTS by_email_and_id ON users (email, id);\n"},
        {"0001_users.sql": f"{_USERS}CREATE INDEX by_email ON users (email);\n"},
    ),
    Case(
        "N001",
        "a table with other columns than a query has is there",
        {"0002_users.sql": "CREATE TABLE IF NOT EXISTS users AS SELECT 1 AS x; --!\n"},
        {"0002_users.sql": "CREATE TABLE IF NOT EXISTS users AS SELECT id, email FROM users;\n"},
        _FIRST,
    ),
    Case(
        "N002",
        "the same table is there",
        {
            "0002_users.sql": f"-- again\n"
            f"{_USERS.replace('TABLE', 'TABLE IF NOT EXISTS').replace('(', '( --!', 1)}"
        },
        {"0002_users.sql": "CREATE TABLE IF NOT EXISTS people (id INTEGER);\n"},
        _FIRST,
    ),
    _pg(
        "N001",
        "another table of that name is there, PostgreSQL",
        "CREATE TABLE IF NOT EXISTS users (id bigint); --!\n",
        "CREATE TABLE IF NOT EXISTS people (id bigint);\n",
    ),
    Case(
        "N003",
        "an index of that name is on another column",
        {"0002_index.sql": "\n\nCREATE INDEX IF NOT EXISTS by_email ON users (id); --!\n"},
        {"0002_index.sql": "\n\nCREATE INDEX IF NOT EXISTS by_id ON users (id);\n"},
        {
            "0001_users.sql": "CREATE TABLE users (id bigint, email text);\n"
            "CREATE INDEX by_email ON users (email);\n"
        },
        "postgresql",
    ),
    Case(
        "N004",
        "a file has comments only",
        {"0002_nothing.sql": "-- to come\n"},
        {"0002_more.sql": "CREATE TABLE more (id INTEGER);\n"},
        _FIRST,
    ),
    Case(
        "N004",
        "a file takes back what it made",
        {"0002_nothing.sql": "\nCREATE TABLE a (id INTEGER); --!\nDROP TABLE a;\n"},
        {"0002_more.sql": "CREATE TABLE a (id INTEGER);\n"},
        _FIRST,
    ),
    Case(
        "N005",
        "there is no such table",
        {"0002_drop.sql": "CREATE TABLE a (id INTEGER);\nDROP TABLE IF EXISTS user; --!\n"},
        {"0002_drop.sql": "CREATE TABLE a (id INTEGER);\nDROP TABLE IF EXISTS users;\n"},
        _FIRST,
    ),
)

_REFERENCE_CASES = (
    Case(
        "X001",
        "a column is misspelt",
        {"0002_index.sql": "CREATE INDEX by_email ON users (\n    emial --!\n);\n"},
        {"0002_index.sql": "CREATE INDEX by_email ON users (\n    email\n);\n"},
        _FIRST,
    ),
    Case(
        "X001",
        "a quoted column is misspelt, which SQLite takes as a string",
        {"0002_index.sql": 'CREATE INDEX by_email ON users (\n    "emial" --!\n);\n'},
        {"0002_index.sql": 'CREATE INDEX by_email ON users (\n    "email"\n);\n'},
        _FIRST,
    ),
    Case(
        "X001",
        "a reference to a table that never was",
        {"0002_orders.sql": "CREATE TABLE orders (\n    user_id INTEGER REFERENCES user (id) --!\n);\n"},
        {"0002_orders.sql": "CREATE TABLE orders (\n    user_id INTEGER REFERENCES users (id)\n);\n"},
        _FIRST,
    ),
    Case(
        "X001",
        "a trigger names a column that is not there",
        {
            "0002_trigger.sql": "CREATE TRIGGER t AFTER UPDATE ON users BEGIN\n"
            "    UPDATE users SET changed = 1 WHERE id = NEW.id; --!\nEND;\n"
        },
        {
            "0002_trigger.sql": "CREATE TRIGGER t AFTER UPDATE ON users BEGIN\n"
            "    UPDATE users SET email = '' WHERE id = NEW.id;\nEND;\n"
        },
        _FIRST,
    ),
    _pg(
        "X001",
        "a table is quoted with another case",
        'ALTER TABLE "Users" --!\n    DROP COLUMN email;\n',
        "SELECT 1;\n",
    ),
    _pg(
        "X001",
        "a column is misspelt, PostgreSQL",
        "ALTER TABLE users\n    DROP COLUMN emial; --!\n",
        "ALTER TABLE users\n    DROP COLUMN email;\n",
    ),
    Case(
        "X002",
        "the parent comes in a later file",
        {
            "0001_orders.sql": "CREATE TABLE orders (\n    user_id INTEGER REFERENCES users (id) --!\n);\n",
            "0002_users.sql": _USERS,
        },
        {"0001_users.sql": _USERS, "0002_orders.sql": _ORDERS},
    ),
    Case(
        "X003",
        "the parent is renamed away and dropped",
        {
            "0003_rebuild.sql": "ALTER TABLE users RENAME TO users_old;\n"
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL);\n"
            "INSERT INTO users (id, email) SELECT id, email FROM users_old;\nDROP TABLE users_old; --!\n"
        },
        {
            "0003_rebuild.sql": "CREATE TABLE users_new (id INTEGER PRIMARY KEY, email TEXT NOT NULL);\n"
            "INSERT INTO users_new (id, email) SELECT id, email FROM users;\nDROP TABLE users;\n"
            "ALTER TABLE users_new RENAME TO users;\n"
        },
        {"0001_users.sql": _USERS, "0002_orders.sql": _ORDERS},
    ),
    Case(
        "X004",
        "a default is outside of its CHECK",
        {
            "0001_jobs.sql": "CREATE TABLE jobs (\n    id INTEGER,\n    status TEXT DEFAULT 'new' --!\n"
            "        CHECK (status IN ('open', 'done'))\n);\n"
        },
        {
            "0001_jobs.sql": "CREATE TABLE jobs (\n    id INTEGER,\n    status TEXT DEFAULT 'open'\n"
            "        CHECK (status IN ('open', 'done'))\n);\n"
        },
    ),
    Case(
        "X004",
        "a default is no label of its enum",
        {
            "0001_jobs.sql": "CREATE TYPE status AS ENUM ('open', 'done');\n"
            "CREATE TABLE jobs (\n    id bigint,\n    status status DEFAULT 'new' --!\n);\n"
        },
        {
            "0001_jobs.sql": "CREATE TYPE status AS ENUM ('open', 'done');\n"
            "CREATE TABLE jobs (\n    id bigint,\n    status status DEFAULT 'open'::status\n);\n"
        },
        dialect="postgresql",
    ),
    Case(
        "X005",
        "a seed names a column that is gone",
        {
            "seeds/users.sql": "INSERT INTO users (id, email) VALUES (1, 'a');\n"
            "INSERT INTO users (id, mail) --!\nVALUES (2, 'b');\n"
        },
        {"seeds/users.sql": "INSERT INTO users (id, email) VALUES (1, 'a');\n"},
        _FIRST,
    ),
    Case(
        "X006",
        "a name of 64 bytes",
        {"0002_index.sql": f"CREATE INDEX\n    {'n' * 64} --!\n    ON users (email);\n"},
        {"0002_index.sql": f"CREATE INDEX\n    {'n' * 63}\n    ON users (email);\n"},
        _FIRST,
    ),
)

_RECREATION_CASES = (
    _lost("F001", "the index is not made again", _ID, _EMAIL, _AGE, _TEAM, after=""),
    _lost("F002", "UNIQUE is left out", _ID, "email TEXT NOT NULL", _AGE, _TEAM),
    _lost("F003", "CHECK is left out", _ID, _EMAIL, "age INTEGER DEFAULT 18", _TEAM),
    _lost("F004", "NOT NULL is left out", _ID, "email TEXT UNIQUE", _AGE, _TEAM),
    _lost("F005", "the reference is left out", _ID, _EMAIL, _AGE, "team_id INTEGER"),
    _lost("F006", "a column is left out", _ID, _EMAIL, _TEAM, columns="id, email, team_id"),
    _lost("F006", "a default is another", _ID, _EMAIL, "age INTEGER DEFAULT 21 CHECK (age > 0)", _TEAM),
    _lost("F006", "a type is another", _ID, _EMAIL, "age TEXT DEFAULT 18 CHECK (age > 0)", _TEAM),
)

_PG_RICH = {
    "0001_users.sql": """CREATE TABLE teams (id bigint PRIMARY KEY);
CREATE TABLE users (
    id bigint PRIMARY KEY,
    email text NOT NULL UNIQUE,
    age integer DEFAULT 18 CHECK (age > 0),
    team_id bigint REFERENCES teams (id)
);
CREATE INDEX users_team ON users (team_id);
"""
}
_PG_ID, _PG_EMAIL = "id bigint PRIMARY KEY", "email text NOT NULL UNIQUE"
_PG_AGE, _PG_TEAM = "age integer DEFAULT 18 CHECK (age > 0)", "team_id bigint REFERENCES teams (id)"


def _pg_lost(rule: str, about: str, *body: str, after: str = _INDEX) -> Case:
    bad = _recreate(", ".join(body), "id, email, age", after=after)
    good = _recreate(f"{_PG_ID}, {_PG_EMAIL}, {_PG_AGE}, {_PG_TEAM}, x text", "id, email, age", after=_INDEX)
    return Case(rule, f"{about}, PostgreSQL", bad, good, _PG_RICH, "postgresql")


_PG_RECREATION_CASES = (
    _pg_lost("F001", "the index is not made again", _PG_ID, _PG_EMAIL, _PG_AGE, _PG_TEAM, after=""),
    _pg_lost("F002", "UNIQUE is left out", _PG_ID, "email text NOT NULL", _PG_AGE, _PG_TEAM),
    _pg_lost("F003", "CHECK is left out", _PG_ID, _PG_EMAIL, "age integer DEFAULT 18", _PG_TEAM),
    _pg_lost("F004", "NOT NULL is left out", _PG_ID, "email text UNIQUE", _PG_AGE, _PG_TEAM),
    _pg_lost("F005", "the reference is left out", _PG_ID, _PG_EMAIL, _PG_AGE, "team_id bigint"),
    _pg_lost("F006", "a column is left out", _PG_ID, _PG_EMAIL, _PG_AGE),
)

_SWAP = (
    "CREATE TABLE users_new (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT);\n"
    "INSERT INTO users_new (id, email) SELECT id, email FROM users;\n"
    "DROP TABLE users;{mark}\nALTER TABLE users_new RENAME TO users;\n"
)
_TWO = {"0001_users.sql": _USERS, "0002_orders.sql": _ORDERS}

_DATA_CASES = (
    Case(
        "D001",
        "the PRAGMA is ignored, and the children go",
        {
            "0003_name.sql": f"\nPRAGMA foreign_keys=OFF; --!\n"
            f"{_SWAP.format(mark='')}PRAGMA foreign_keys=ON;\n"
        },
        {"0003_name.sql": "ALTER TABLE users ADD COLUMN name TEXT;\n"},
        _TWO,
        target="d1",
    ),
    Case(
        "D002",
        "rows that a file inserted are dropped",
        {"0002_drop.sql": "CREATE TABLE a (id INTEGER);\nDROP TABLE users; --!\n"},
        {
            "0002_drop.sql": "CREATE TABLE a (id INTEGER, email TEXT);\n"
            "INSERT INTO a (id, email) SELECT id, email FROM users;\nDROP TABLE users;\n"
        },
        {"0001_users.sql": f"{_USERS}INSERT INTO users (id, email) VALUES (1, 'a');\n"},
    ),
    Case(
        "D002",
        "a table is made anew without a copy",
        {
            "0002_users.sql": "DROP TABLE users; --!\n"
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, x);\n"
        },
        {"0002_users.sql": _SWAP.format(mark="")},
        _FIRST,
    ),
    _pg(
        "D002",
        "a table is made anew without a copy, PostgreSQL",
        "DROP TABLE teams; --!\nCREATE TABLE teams (id bigint PRIMARY KEY, name text);\n",
        "CREATE TABLE teams_new (id bigint PRIMARY KEY, name text);\n"
        "INSERT INTO teams_new (id) SELECT id FROM teams;\n"
        "DROP TABLE teams;\nALTER TABLE teams_new RENAME TO teams;\n",
    ),
    Case(
        "D002",
        "on D1 the children go with the parent",
        {"0003_name.sql": _SWAP.format(mark=" --!")},
        {"0003_name.sql": "ALTER TABLE users ADD COLUMN name TEXT;\n"},
        _TWO,
        target="d1",
    ),
    Case(
        "D003",
        "NOT NULL without default",
        {"0002_name.sql": "ALTER TABLE users ADD COLUMN name TEXT NOT NULL; --!\n"},
        {"0002_name.sql": "ALTER TABLE users ADD COLUMN name TEXT NOT NULL DEFAULT '';\n"},
        _FIRST,
    ),
    Case(
        "D003",
        "a default that is not constant",
        {"0002_name.sql": "\nALTER TABLE users ADD COLUMN made TEXT DEFAULT CURRENT_TIMESTAMP; --!\n"},
        {"0002_name.sql": "\nALTER TABLE users ADD COLUMN made TEXT DEFAULT '2026-01-01';\n"},
        _FIRST,
    ),
    Case(
        "D003",
        "a unique index over one default",
        {
            "0002_slug.sql": "ALTER TABLE users ADD COLUMN slug TEXT NOT NULL DEFAULT '';\n"
            "CREATE UNIQUE INDEX users_slug ON users (slug); --!\n"
        },
        {
            "0002_slug.sql": "ALTER TABLE users ADD COLUMN slug TEXT NOT NULL DEFAULT '';\n"
            "UPDATE users SET slug = id;\n"
            "CREATE UNIQUE INDEX users_slug ON users (slug);\n"
        },
        _FIRST,
    ),
    Case(
        "D003",
        "a copy that leaves out a NOT NULL column",
        {
            "0002_users.sql": "CREATE TABLE users_new (\n"
            "    id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL\n);\n"
            "INSERT INTO users_new (id, email) --!\nSELECT id, email FROM users;\n"
            "DROP TABLE users;\nALTER TABLE users_new RENAME TO users;\n"
        },
        {
            "0002_users.sql": "CREATE TABLE users_new (\n"
            "    id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL\n);\n"
            "INSERT INTO users_new (id, email, name)\nSELECT id, email, '' FROM users;\n"
            "DROP TABLE users;\nALTER TABLE users_new RENAME TO users;\n"
        },
        _FIRST,
    ),
    _pg(
        "D003",
        "NOT NULL without default, PostgreSQL",
        "ALTER TABLE users ADD COLUMN name text NOT NULL; --!\n",
        "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT '';\n",
    ),
    _pg(
        "D003",
        "SET NOT NULL on a column that nobody filled",
        "ALTER TABLE users ADD COLUMN name text;\nALTER TABLE users ALTER COLUMN name SET NOT NULL; --!\n",
        "ALTER TABLE users ADD COLUMN name text;\nUPDATE users SET name = '';\n"
        "ALTER TABLE users ALTER COLUMN name SET NOT NULL;\n",
    ),
    Case(
        "D004",
        "a copy by position",
        {
            "0002_users.sql": _SWAP.format(mark="")
            .replace("(id, email) SELECT id, email", "\nSELECT *, NULL --!\n")
            .replace(", NULL", "")
        },
        {"0002_users.sql": _SWAP.format(mark="")},
        _FIRST,
    ),
    Case(
        "D005",
        "D1 takes no PRAGMA user_version",
        {"0002_version.sql": "CREATE TABLE a (id INTEGER);\nPRAGMA user_version = 2; --!\n"},
        {"0002_version.sql": "CREATE TABLE a (id INTEGER);\nPRAGMA foreign_key_check;\n"},
        _FIRST,
        target="d1",
    ),
    Case(
        "D005",
        "SQLite has no ALTER COLUMN",
        {"0002_type.sql": "ALTER TABLE users\n    ALTER --!\n    COLUMN email TYPE text;\n"},
        {"0002_type.sql": "ALTER TABLE users\n    RENAME COLUMN email TO mail;\n"},
        _FIRST,
    ),
    _pg(
        "D005",
        "PostgreSQL has no AUTOINCREMENT",
        "CREATE TABLE a (id integer PRIMARY KEY AUTOINCREMENT); --!\n",
        "CREATE TABLE a (id integer PRIMARY KEY);\n",
    ),
)

_LOCK_CASES = (
    _pg(
        "L001",
        "no lock_timeout",
        "\nALTER TABLE users DROP COLUMN email; --!\n",
        f"{_TIMEOUT}ALTER TABLE users DROP COLUMN email;\n",
    ),
    _pg(
        "L002",
        "an index stops writes",
        "CREATE INDEX by_email ON users (email); --!\n",
        "CREATE INDEX CONCURRENTLY by_email ON users (email);\n",
    ),
    _pg(
        "L003",
        "a reference is validated at once",
        f"{_TIMEOUT}ALTER TABLE users\n"
        "    ADD CONSTRAINT team FOREIGN KEY (team_id) REFERENCES teams (id); --!\n",
        f"{_TIMEOUT}ALTER TABLE users\n"
        "    ADD CONSTRAINT team FOREIGN KEY (team_id) REFERENCES teams (id) NOT VALID;\n",
    ),
    _pg(
        "L003",
        "a CHECK is validated at once",
        f"{_TIMEOUT}ALTER TABLE users ADD CHECK (email <> ''); --!\n",
        f"{_TIMEOUT}ALTER TABLE users ADD CONSTRAINT given CHECK (email <> '') NOT VALID;\n",
    ),
    Case(
        "L004",
        "SET NOT NULL reads the table",
        {"0003_null.sql": f"{_TIMEOUT}ALTER TABLE users ALTER team_id SET NOT NULL; --!\n"},
        {
            "0002_check.sql": f"{_TIMEOUT}ALTER TABLE users\n"
            "    ADD CONSTRAINT c CHECK (team_id IS NOT NULL) NOT VALID;\n",
            "0003_valid.sql": "ALTER TABLE users VALIDATE CONSTRAINT c;\n",
            "0004_null.sql": f"{_TIMEOUT}ALTER TABLE users ALTER team_id SET NOT NULL;\n",
        },
        _PG_FIRST,
        "postgresql",
    ),
    _pg(
        "L005",
        "a stored generated column",
        f"{_TIMEOUT}ALTER TABLE users\n"
        "    ADD COLUMN low text GENERATED ALWAYS AS (lower(email)) STORED; --!\n",
        f"{_TIMEOUT}ALTER TABLE users\n    ADD COLUMN low text;\n",
    ),
    _pg(
        "L006",
        "BEGIN around CONCURRENTLY",
        "BEGIN;\nCREATE INDEX CONCURRENTLY by_email ON users (email); --!\nCOMMIT;\n",
        "CREATE INDEX CONCURRENTLY by_email ON users (email);\n",
    ),
    Case(
        "L006",
        "drizzle runs all in one transaction",
        {"0001_index.sql": "CREATE INDEX CONCURRENTLY by_id ON users (id); --!\n"},
        {"0001_index.sql": "CREATE INDEX by_id ON users (id);\n"},
        {
            "meta/_journal.json": _journal(("0000_a", 1), ("0001_index", 2), dialect="postgresql"),
            "0000_a.sql": "CREATE TABLE users (id bigint);\n",
        },
        "postgresql",
    ),
    _pg(
        "L007",
        "validated in the same file",
        f"{_TIMEOUT}ALTER TABLE users ADD CONSTRAINT c CHECK (email <> '') NOT VALID;\n"
        "ALTER TABLE users VALIDATE CONSTRAINT c; --!\n",
        f"{_TIMEOUT}ALTER TABLE users ADD CONSTRAINT c CHECK (email <> '') NOT VALID;\n",
    ),
    _pg(
        "L008",
        "a volatile default",
        f"{_TIMEOUT}ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid(); --!\n",
        f"{_TIMEOUT}ALTER TABLE users ADD COLUMN made timestamptz DEFAULT now();\n",
    ),
    _pg(
        "L009",
        "int to bigint and the like",
        f"{_TIMEOUT}ALTER TABLE users ALTER COLUMN team_id TYPE integer; --!\n",
        f"{_TIMEOUT}ALTER TABLE users ALTER COLUMN email TYPE varchar(80);\n"
        "ALTER TABLE users ALTER email TYPE text;\n",
    ),
    _pg(
        "L010",
        "a blocking advisory lock",
        "SELECT pg_advisory_lock(1); --!\nCREATE INDEX CONCURRENTLY by_email ON users (email);\n",
        "SELECT pg_try_advisory_lock(1);\nCREATE INDEX CONCURRENTLY by_email ON users (email);\n",
    ),
)

_TRANSACTION_CASES = (
    Case(
        "T001",
        "BEGIN in a file",
        {"0002_a.sql": "-- whole\nBEGIN; --!\nCREATE TABLE a (id INTEGER);\n"},
        {"0002_a.sql": "-- whole\nCREATE TABLE a (id INTEGER);\n"},
        _FIRST,
    ),
    _pg(
        "T002",
        "an index CONCURRENTLY among others",
        "ALTER TABLE users ADD COLUMN x text;\nCREATE INDEX CONCURRENTLY by_x ON users (x); --!\n",
        "CREATE INDEX CONCURRENTLY by_email ON users (email);\n",
    ),
    Case(
        "T002",
        "VACUUM among others",
        {"0002_a.sql": "CREATE TABLE a (id INTEGER);\nVACUUM; --!\n"},
        {"0002_a.sql": "CREATE TABLE a (id INTEGER);\n"},
        _FIRST,
    ),
    Case(
        "T003",
        "a label is used at once",
        {"0002_new.sql": "ALTER TYPE status ADD VALUE 'late';\nUPDATE jobs SET status = 'late'; --!\n"},
        {
            "0002_new.sql": "ALTER TYPE status ADD VALUE 'late';\n",
            "0003_use.sql": "UPDATE jobs SET status = 'late';\n",
        },
        {
            "0001_a.sql": "CREATE TYPE status AS ENUM ('open');\n"
            "CREATE TABLE jobs (id bigint, status status);\n"
        },
        "postgresql",
    ),
)

_STYLE_CASES = (
    Case(
        "I001",
        "an index twice",
        {"0002_index.sql": "CREATE INDEX one ON users (email);\nCREATE INDEX two ON users (email); --!\n"},
        {"0002_index.sql": "CREATE INDEX one ON users (email);\nCREATE INDEX two ON users (email, id);\n"},
        _FIRST,
    ),
    Case(
        "I002",
        "an index begins another",
        {
            "0002_index.sql": "CREATE INDEX one ON users (email); --!\n"
            "CREATE INDEX two ON users (email, id);\n"
        },
        {"0002_index.sql": "CREATE INDEX two ON users (email, id);\n"},
        _FIRST,
    ),
    Case(
        "I003",
        "a reference without index",
        {
            "0002_orders.sql": "CREATE TABLE orders (\n    id INTEGER,\n"
            "    user_id INTEGER REFERENCES users (id) --!\n);\n"
        },
        {"0002_orders.sql": _ORDERS},
        _FIRST,
    ),
    _pg(
        "S001",
        "an exception is swallowed",
        "DO $$\nBEGIN\n    ALTER TABLE users ADD COLUMN x text;\n"
        "EXCEPTION WHEN duplicate_column THEN NULL; --!\nEND\n$$;\n",
        "ALTER TABLE users ADD COLUMN x text;\n",
    ),
    Case(
        "S002",
        "IF NOT EXISTS here and not there",
        {"0002_more.sql": "CREATE TABLE IF NOT EXISTS a (id INTEGER);\nCREATE TABLE b (id INTEGER); --!\n"},
        {"0002_more.sql": "CREATE TABLE a (id INTEGER);\nCREATE TABLE b (id INTEGER);\n"},
        _FIRST,
    ),
)

CASES = (
    *_JOURNAL_CASES,
    *_EFFECT_CASES,
    *_REFERENCE_CASES,
    *_RECREATION_CASES,
    *_PG_RECREATION_CASES,
    *_DATA_CASES,
    *_LOCK_CASES,
    *_TRANSACTION_CASES,
    *_STYLE_CASES,
)
