"""The schema of one app through its versions, as apps grow: what each of them changed, and rows for it.

Imports nothing of the package. A version is the one before with some objects set, changed or (None) removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from support.live_schema import LiveTable, live_tables, quoted, rows

__all__ = ["VERSIONS", "Version", "all_renames", "fill"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its whole schema, and what the user says to get there from the one before."""

    why: str
    script: str
    renames: Mapping[str, str]
    drop_columns: tuple[str, ...]
    drop_tables: tuple[str, ...]


Change = tuple[str, dict[str, str | None], dict[str, Any]]

_POSTS = "SELECT p.id, p.title, u.name FROM post AS p JOIN user AS u ON u.id = p.user"
_COUNTS = "SELECT name, count(*) AS posts FROM posts GROUP BY name"
_POST_TAG = """CREATE TABLE post_tag (
    post INTEGER NOT NULL REFERENCES post (id) ON DELETE CASCADE,
    tag INTEGER NOT NULL REFERENCES tag (id) ON DELETE RESTRICT,
    PRIMARY KEY (post, tag)
)"""
_FOUND_ADDED = """CREATE TRIGGER found_added AFTER INSERT ON post BEGIN
    INSERT INTO found (rowid, title, body) VALUES (new.id, new.title, new.body);
END"""
_FOUND_GONE = """CREATE TRIGGER found_gone AFTER DELETE ON post BEGIN
    INSERT INTO found (found, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
END"""
_FOUND_CHANGED = """CREATE TRIGGER found_changed AFTER UPDATE OF title, body ON post BEGIN
    INSERT INTO found (found, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
    INSERT INTO found (rowid, title, body) VALUES (new.id, new.title, new.body);
END"""
_COMMENT = """CREATE TABLE comment (
    id INTEGER PRIMARY KEY,
    post INTEGER REFERENCES post (id) {on_delete},
    parent INTEGER REFERENCES comment (id) ON DELETE SET NULL,
    text TEXT {check}{edited}
)"""

CHANGES: list[Change] = [
    (
        "users and their posts",
        {
            "user": "CREATE TABLE user (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, mail TEXT)",
            "post": "CREATE TABLE post (id INTEGER PRIMARY KEY, user INTEGER REFERENCES user (id),"
            " title TEXT, body TEXT, created TEXT DEFAULT CURRENT_TIMESTAMP)",
        },
        {},
    ),
    (
        "tags, many to many",
        {"tag": "CREATE TABLE tag (id INTEGER PRIMARY KEY, word TEXT UNIQUE)", "post_tag": _POST_TAG},
        {},
    ),
    (
        "indexes",
        {
            "post_user": "CREATE INDEX post_user ON post (user)",
            "post_created": "CREATE INDEX post_created ON post (created DESC, id)",
        },
        {},
    ),
    (
        "a mail address is never NULL",
        {
            "user": "CREATE TABLE user (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT,"
            " mail TEXT NOT NULL DEFAULT '')"
        },
        {},
    ),
    (
        "posts go with their user",
        {
            "post": "CREATE TABLE post (id INTEGER PRIMARY KEY,"
            " user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,"
            " title TEXT, body TEXT, created TEXT DEFAULT CURRENT_TIMESTAMP)"
        },
        {},
    ),
    (
        "full text over posts that are there already",
        {
            "found": "CREATE VIRTUAL TABLE found USING fts5 (title, body, content='post',"
            " content_rowid='id')",
            "found_added": _FOUND_ADDED,
            "found_gone": _FOUND_GONE,
            "found_changed": _FOUND_CHANGED,
        },
        {},
    ),
    (
        "an audit of users",
        {
            "audit": "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT, at TEXT)",
            "audited": "CREATE TRIGGER audited AFTER UPDATE OF name ON user BEGIN\n"
            "    INSERT INTO audit (what, at) VALUES (old.name || ' is ' || new.name, '2026-01-01');\nEND",
        },
        {},
    ),
    ("a view", {"posts": f"CREATE VIEW posts AS {_POSTS}"}, {}),
    ("a view on the view", {"post_counts": f"CREATE VIEW post_counts AS {_COUNTS}"}, {}),
    (
        "mail is called email",
        {
            "user": "CREATE TABLE user (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT,"
            " email TEXT NOT NULL DEFAULT '')"
        },
        {"renames": {"user.mail": "email"}},
    ),
    (
        "an address is there once, if it is there",
        {
            "user_email": "CREATE UNIQUE INDEX user_email ON user (email COLLATE NOCASE)"
            " WHERE /* ones from before are empty */ email <> ''"
        },
        {},
    ),
    ("an index on an expression", {"post_title": "CREATE INDEX post_title ON post (lower(title), id)"}, {}),
    (
        "a computed column",
        {
            "post": "CREATE TABLE post (id INTEGER PRIMARY KEY,"
            " user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,"
            " title TEXT, body TEXT, created TEXT DEFAULT CURRENT_TIMESTAMP,"
            " size INTEGER GENERATED ALWAYS AS (length(body)) VIRTUAL)"
        },
        {},
    ),
    (
        "comments that answer each other",
        {"comment": _COMMENT.format(on_delete="", check="", edited=",\n    edited TEXT")},
        {},
    ),
    (
        "comments go with their post, and are not empty",
        {
            "comment": _COMMENT.format(
                on_delete="ON DELETE CASCADE",
                check="CONSTRAINT says_something CHECK (length(text) > 0)",
                edited=",\n    edited TEXT",
            ),
            "comment_gone": "CREATE TRIGGER comment_gone AFTER DELETE ON comment BEGIN\n"
            "    INSERT INTO audit (what) VALUES ('comment ' || old.id);\nEND",
            "comment_post": "CREATE INDEX comment_post ON comment (post, parent)",
        },
        {},
    ),
    ("pairs without rowids", {"post_tag": f"{_POST_TAG} WITHOUT ROWID"}, {}),
    (
        "users are members",
        {
            "user": "CREATE TABLE member (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT,"
            " email TEXT NOT NULL DEFAULT '')",
            "post": "CREATE TABLE post (id INTEGER PRIMARY KEY,"
            " user INTEGER NOT NULL REFERENCES member (id) ON DELETE CASCADE,"
            " title TEXT, body TEXT, created TEXT DEFAULT CURRENT_TIMESTAMP,"
            " size INTEGER GENERATED ALWAYS AS (length(body)) VIRTUAL)",
            "user_email": "CREATE UNIQUE INDEX member_email ON member (email COLLATE NOCASE)"
            " WHERE email <> ''",
            "audited": "CREATE TRIGGER audited AFTER UPDATE OF name ON member BEGIN\n"
            "    INSERT INTO audit (what, at) VALUES (old.name || ' is ' || new.name, '2026-01-01');\nEND",
            "posts": "CREATE VIEW posts AS SELECT p.id, p.title, u.name"
            " FROM post AS p JOIN member AS u ON u.id = p.user",
        },
        {"renames": {"user": "member"}},
    ),
    (
        "a post has an author, who comes first, and a rating",
        {
            "post": "CREATE TABLE post (id INTEGER PRIMARY KEY,"
            " author INTEGER NOT NULL REFERENCES member (id) ON DELETE CASCADE,"
            " created TEXT DEFAULT CURRENT_TIMESTAMP, title TEXT, body TEXT,"
            " size INTEGER GENERATED ALWAYS AS (length(body)) VIRTUAL, rating TEXT)",
            "post_user": "CREATE INDEX post_author ON post (author)",
            "posts": "CREATE VIEW posts AS SELECT p.id, p.title, u.name"
            " FROM post AS p JOIN member AS u ON u.id = p.author",
        },
        {"renames": {"post.user": "author"}},
    ),
    (
        "ratings are numbers",
        {
            "post": "CREATE TABLE post (id INTEGER PRIMARY KEY,"
            " author INTEGER NOT NULL REFERENCES member (id) ON DELETE CASCADE,"
            " created TEXT DEFAULT CURRENT_TIMESTAMP, title TEXT, body TEXT,"
            " size INTEGER GENERATED ALWAYS AS (length(body)) VIRTUAL,"
            " rating REAL CHECK (typeof(rating) <> 'text'))"
        },
        {},
    ),
    (
        "sessions",
        {
            "session": "CREATE TABLE session (token TEXT PRIMARY KEY,"
            " member INTEGER REFERENCES member (id) ON DELETE CASCADE, data BLOB) WITHOUT ROWID"
        },
        {},
    ),
    (
        "settings, strictly typed",
        {
            "setting": "CREATE TABLE setting (member INTEGER PRIMARY KEY REFERENCES member (id)"
            " ON DELETE CASCADE, theme TEXT NOT NULL DEFAULT 'light'"
            " CHECK (theme IN ('light', 'dark'))) STRICT"
        },
        {},
    ),
    (
        "the audit becomes strict",
        {
            "audit": "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " what TEXT NOT NULL DEFAULT '?', at TEXT) STRICT"
        },
        {},
    ),
    (
        "the view can be written",
        {
            "posts_changed": "CREATE TRIGGER posts_changed INSTEAD OF UPDATE OF title ON posts BEGIN\n"
            "    UPDATE post SET title = new.title WHERE id = old.id;\nEND"
        },
        {},
    ),
    (
        "a stored computed column with an index",
        {
            "user": "CREATE TABLE member (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT,"
            " handle TEXT GENERATED ALWAYS AS (lower(replace(name, ' ', '-'))) STORED,"
            " email TEXT NOT NULL DEFAULT '')",
            "member_handle": "CREATE INDEX member_handle ON member (handle)",
        },
        {},
    ),
    (
        "nobody needed comment.edited",
        {
            "comment": _COMMENT.format(
                on_delete="ON DELETE CASCADE",
                check="CONSTRAINT says_something CHECK (length(text) > 0)",
                edited="",
            )
        },
        {"drop_columns": ("comment.edited",)},
    ),
    (
        "tags are labels with names",
        {
            "tag": "CREATE TABLE label (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
            "post_tag": _POST_TAG.replace("post_tag", "post_label")
            .replace("tag ", "label ")
            .replace(", tag)", ", label)")
            + " WITHOUT ROWID",
        },
        {"renames": {"tag": "label", "tag.word": "name", "post_tag": "post_label", "post_tag.tag": "label"}},
    ),
    ("a help text", {"help": "CREATE VIRTUAL TABLE help USING fts5 (text, tokenize='porter')"}, {}),
    (
        "names of labels are one in any letter case",
        {"tag": "CREATE TABLE label (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE)"},
        {},
    ),
    (
        "members have a favourite post, posts have members",
        {
            "user": "CREATE TABLE member (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT,"
            " handle TEXT GENERATED ALWAYS AS (lower(replace(name, ' ', '-'))) STORED,"
            " email TEXT NOT NULL DEFAULT '', favourite INTEGER REFERENCES post (id) ON DELETE SET NULL"
            " DEFERRABLE INITIALLY DEFERRED)"
        },
        {},
    ),
    (
        "settings have names",
        {
            "setting": "CREATE TABLE setting (member INTEGER NOT NULL REFERENCES member (id)"
            " ON DELETE CASCADE, name TEXT NOT NULL DEFAULT 'theme', value TEXT,"
            " PRIMARY KEY (member, name)) STRICT, WITHOUT ROWID"
        },
        {"renames": {"setting.theme": "value"}},
    ),
    ("sessions live elsewhere", {"session": None}, {"drop_tables": ("session",)}),
    (
        "counts are kept, not computed",
        {"post_counts": "CREATE TABLE post_counts (name TEXT, posts INTEGER)"},
        {},
    ),
    (
        "a post never gets the number of one that is gone",
        {
            "post": "CREATE TABLE post (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " author INTEGER NOT NULL REFERENCES member (id) ON DELETE CASCADE,"
            " created TEXT DEFAULT CURRENT_TIMESTAMP, title TEXT NOT NULL DEFAULT '', body TEXT,"
            " size INTEGER GENERATED ALWAYS AS (length(body)) VIRTUAL, rating REAL)",
            "version": "PRAGMA user_version = 33",
        },
        {},
    ),
    (
        "another full text index",
        {
            "found": "CREATE VIRTUAL TABLE found USING fts5 (body, title, content='post', content_rowid='id',"
            " prefix='2 3')",
            "post_created": None,
        },
        {},
    ),
    (
        "full text over bodies alone; what an index holds is no loss",
        {
            "found": "CREATE VIRTUAL TABLE found USING fts5 (body, content='post', content_rowid='id')",
            "found_added": None,
            "found_gone": None,
            "found_changed": None,
        },
        {},
    ),
    ("no full text any more", {"found": None}, {}),
]


def _versions(changes: Iterable[Change]) -> list[Version]:
    objects: dict[str, str] = {}
    found: list[Version] = []
    for why, changed, said in changes:
        for key, text in changed.items():
            if text is None:
                del objects[key]
            else:
                objects[key] = text
        script = ";\n".join(objects.values()) + "\n;\n"
        found.append(
            Version(
                why,
                script,
                said.get("renames", {}),
                said.get("drop_columns", ()),
                said.get("drop_tables", ()),
            )
        )
    return found


VERSIONS = _versions(CHANGES)


def all_renames(versions: Iterable[Version], first: Iterable[LiveTable]) -> dict[str, str]:
    """Put the renames of many steps together: from the names of the first version to those of the last."""
    tables = {table.name: table.name for table in first}
    columns = {(table.name, column): column for table in first for column in table.columns}
    for version in versions:
        for before, after in version.renames.items():
            table, dot, column = before.partition(".")
            for (origin, name), now in list(columns.items()):
                if dot and (tables[origin], now) == (table, column):
                    columns[origin, name] = after
        tables = {origin: version.renames.get(now, now) for origin, now in tables.items()}
    found = {before: after for before, after in tables.items() if before != after}
    return found | {
        f"{table}.{before}": after for (table, before), after in columns.items() if before != after
    }


# -- rows ------------------------------------------------------------------------------------------


def _values(number: int) -> dict[str, object]:
    texts = {
        name: f"{name} {number}"
        for name in ("name", "title", "body", "word", "text", "what", "token", "value")
    }
    return {
        **texts,
        "mail": f"M{number}@example.org" if number % 3 else "",
        "email": f"E{number}@example.org" if number % 3 else "",
        "created": f"2026-01-01 10:{number % 60:02}:00",
        "at": None,
        "edited": "yes",
        "rating": f"{number % 50 / 10}",
        "data": bytes([0, number % 256, 255]),
        "theme": ("light", "dark")[number % 2],
        "posts": number,
    }


def fill(connection: Any, number: int) -> None:
    """Put two rows more into every table, change one row and delete one; triggers fire, references hold."""
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN")
    tables = live_tables(connection)
    made = rows(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")
    for (name,) in made:
        table = tables.get(str(name))
        if table is None or (table.kind != "table" and table.name != "help"):
            continue
        for turn in range(2):
            _insert(connection, table, number * 2 + turn, turn)
    people = "member" if rows(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'member'") else "user"
    connection.execute(f"UPDATE {people} SET name = name || '!' WHERE id % 3 = 1")
    if number % 3 == 2:
        ends = "(SELECT min(id) FROM post UNION SELECT max(id) FROM post)"
        if "comment" in tables:
            connection.execute(f"UPDATE comment SET post = NULL WHERE post IN {ends}")
        connection.execute(f"DELETE FROM post WHERE id IN {ends}")
    connection.execute("COMMIT")


def _insert(connection: Any, table: LiveTable, number: int, turn: int) -> None:
    listed = rows(connection, 'SELECT "from", "table" FROM pragma_foreign_key_list(?)', (table.name,))
    parents = {str(column): str(parent) for column, parent in listed}
    values: dict[str, object] = {}
    for column in table.columns:
        if column in parents:
            newest = f"SELECT id FROM {quoted(parents[column])} ORDER BY id DESC LIMIT 1 OFFSET ?"
            values[column] = next((row[0] for row in rows(connection, newest, (turn,))), None)
        elif column != table.rowid_column and column not in table.generated:
            values[column] = _values(number)[column]
    names = ", ".join(map(quoted, values))
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})", tuple(values.values()))
