from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from schema.pairs import Pair

from datalayer.errors import CheckViolation, MigrationRefused
from datalayer.schema.postgres import derive, object_lines
from datalayer.schema.snapshot import read_text

Make = Callable[[str], Pair]


def test_counters_kept_by_triggers_agree(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE chat (id INTEGER PRIMARY KEY, messages INTEGER NOT NULL DEFAULT 0, last TEXT);
        CREATE TABLE message (id INTEGER PRIMARY KEY, chat INTEGER NOT NULL
            REFERENCES chat ON DELETE CASCADE, body TEXT);
        CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
            UPDATE chat SET messages = messages + 1, last = NEW.body WHERE id = NEW.chat;
        END;
        CREATE TRIGGER message_gone AFTER DELETE ON message BEGIN
            UPDATE chat SET messages = messages - 1,
                last = (SELECT body FROM message WHERE chat = OLD.chat ORDER BY id DESC LIMIT 1)
                    WHERE id = OLD.chat;
        END;
    """)
    pair.run("INSERT INTO chat DEFAULT VALUES")
    pair.run("INSERT INTO message (chat, body) VALUES (1, 'a'), (1, 'b'), (1, 'c')")
    pair.run("DELETE FROM message WHERE body = 'c'")

    assert pair.rows("SELECT messages, last FROM chat") == [(2, "b")]


def test_rules_in_triggers_name_themselves(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE log (id INTEGER PRIMARY KEY, kind TEXT, amount INTEGER);
        CREATE TRIGGER log_kept BEFORE DELETE ON log BEGIN
            SELECT RAISE(ABORT, 'log_append_only: rows of the log are never deleted');
        END;
        CREATE TRIGGER log_moves BEFORE UPDATE OF kind ON log WHEN OLD.kind IS NOT NEW.kind BEGIN
            SELECT CASE
                WHEN NEW.kind IS NULL THEN RAISE(ABORT, 'log_kind_given: a kind is needed')
                WHEN OLD.kind = 'a' AND NEW.kind NOT IN ('b', 'c')
                    THEN RAISE(ABORT, 'log_kind_order: a becomes b or c')
                WHEN OLD.kind = 'b' THEN NULL
                ELSE RAISE(ABORT, 'log_kind_final: it''s final; 100 %')
            END;
        END;
        CREATE TRIGGER log_once BEFORE INSERT ON log BEGIN
            SELECT RAISE(ABORT, 'log_one_open: another one is open')
                FROM log AS l WHERE l.kind = NEW.kind AND l.amount = 0;
        END;
    """)
    pair.run("INSERT INTO log (kind, amount) VALUES ('a', 1), ('b', 2), ('z', 0)")

    assert pair.run("DELETE FROM log").rule == "log_append_only"
    assert pair.run("UPDATE log SET kind = NULL WHERE kind = 'a'").rule == "log_kind_given"
    assert pair.run("UPDATE log SET kind = 'x' WHERE kind = 'a'").rule == "log_kind_order"
    assert pair.run("UPDATE log SET kind = 'x' WHERE kind = 'z'").rule == "log_kind_final"
    assert pair.run("UPDATE log SET kind = 'x' WHERE kind = 'b'").error is None
    assert pair.run("INSERT INTO log (kind, amount) VALUES ('z', 5)").rule == "log_one_open"
    assert pair.rows("SELECT kind FROM log ORDER BY id") == [("a",), ("x",), ("z",)]


def test_the_text_of_a_rule_reaches_the_caller_on_both(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE t (a INTEGER);
        CREATE TRIGGER t_small BEFORE INSERT ON t WHEN NEW.a > 9 BEGIN
            SELECT RAISE(ABORT, 't_small: it''s too big');
        END;
    """)

    for engine in pair.engines:
        with pytest.raises(CheckViolation) as caught:
            engine.execute("INSERT INTO t VALUES (10)")
        assert (caught.value.constraint, caught.value.why) == ("t_small", "it's too big")


def test_a_rule_may_leave_a_row_out(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE t (a INTEGER);
        CREATE TRIGGER t_no_zero BEFORE INSERT ON t BEGIN SELECT RAISE(IGNORE) WHERE NEW.a = 0; END;
    """)
    pair.run("INSERT INTO t VALUES (1), (0), (2)")

    assert pair.rows("SELECT a FROM t ORDER BY a") == [(1,), (2,)]


def test_columns_that_a_trigger_sets_are_set_before_the_row_is_written(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE note (id INTEGER PRIMARY KEY, title TEXT, slug TEXT, length INTEGER,
            edits INTEGER NOT NULL DEFAULT 0);
        CREATE TRIGGER note_slug AFTER INSERT ON note BEGIN
            UPDATE note SET slug = lower(replace(title, ' ', '-')) || '-' || NEW.id,
                length = length(title) WHERE id = NEW.id;
        END;
        CREATE TRIGGER note_edits AFTER UPDATE OF title ON note WHEN OLD.title IS NOT NEW.title BEGIN
            UPDATE note SET edits = edits + 1, length = edits WHERE NEW.id = id;
        END;
    """)
    pair.run("INSERT INTO note (title) VALUES ('A Title'), ('B')")
    pair.run("UPDATE note SET title = 'New' WHERE id = 1")
    pair.run("UPDATE note SET title = 'New' WHERE id = 1")

    assert pair.rows("SELECT title, slug, length, edits FROM note ORDER BY id") == [
        ("New", "a-title-1", 0, 1),
        ("B", "b-2", 1, 0),
    ]
    # one version of the row, not two
    assert (
        "UPDATE"
        not in pair.postgres.fetch_all("SELECT prosrc FROM pg_proc WHERE proname = 'note_edits'")[0][0]
    )


def test_updated_at_moves_by_itself_unless_it_is_set(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, updated_at TEXT NOT NULL
            DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') CHECK (updated_at GLOB
    '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'));
        CREATE TRIGGER t_touch AFTER UPDATE ON t FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at BEGIN
            UPDATE t SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z' WHERE id = NEW.id;
        END;
    """)
    old = "2020-01-02T03:04:05.000006Z"
    pair.run(f"INSERT INTO t (a, updated_at) VALUES (1, '{old}'), (1, '{old}')")
    pair.run("UPDATE t SET a = 2 WHERE id = 1")
    pair.run("UPDATE t SET a = 2, updated_at = '2021-01-01T00:00:00.000000Z' WHERE id = 2")

    for engine in pair.engines:
        rows = [str(row[0])[:10] for row in engine.fetch_all("SELECT updated_at FROM t ORDER BY id")]
        moved = datetime.fromisoformat(rows[0])
        assert abs(moved - datetime.now().replace(microsecond=0)) < timedelta(days=2)  # noqa: DTZ005 - days apart
        assert rows[1] == "2021-01-01"


def test_rows_written_elsewhere_take_the_types_of_their_columns(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE a (id INTEGER PRIMARY KEY, done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)));
        CREATE TABLE seen (a INTEGER PRIMARY KEY, times INTEGER NOT NULL DEFAULT 1,
            done INTEGER CHECK (done IN (0, 1)),
            info TEXT CHECK (info IS NULL OR json_valid(info)));
        CREATE TRIGGER a_seen AFTER UPDATE ON a WHEN NEW.done BEGIN
            INSERT INTO seen (a, done, info) VALUES (NEW.id, 1, '{}')
            ON CONFLICT (a) DO UPDATE SET times = times + 1,
                done = excluded.done, info = '[1]' WHERE times < 3;
            DELETE FROM seen WHERE done = 0 AND a <> NEW.id;
        END;
        CREATE TRIGGER a_gone AFTER DELETE ON a BEGIN
            INSERT INTO seen (a, done, times) SELECT OLD.id + 100, 0, count(*) FROM seen;
            INSERT INTO seen VALUES (OLD.id + 200, 7, NULL, NULL) ON CONFLICT DO NOTHING;
        END;
    """)
    pair.run("INSERT INTO a (done) VALUES (1 = 0), (1 = 0)")
    for _ in range(4):
        pair.run("UPDATE a SET done = (1 = 1) WHERE id = 1")
    pair.run("DELETE FROM a WHERE id = 2")

    assert pair.rows("SELECT a, times, done FROM seen ORDER BY a") == [(1, 3, 1), (102, 1, 0), (202, 7, None)]


def test_odd_names_in_triggers_survive(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE "Order" ("select" INTEGER PRIMARY KEY, [the "amount"] INTEGER, `tg_op` TEXT);
        CREATE TRIGGER "on; order" AFTER INSERT ON "Order" /* $body$ */ BEGIN
            UPDATE "Order" SET [the "amount"] = 5 /* ; */, tg_op = 'a;''$body$' WHERE "select" = NEW."select";
        END;
    """)
    pair.run('INSERT INTO "Order" (tg_op) VALUES (NULL)')

    assert pair.rows('SELECT "the ""amount""", tg_op FROM "Order"') == [(5, "a;'$body$")]


def test_a_rule_between_two_tables_holds_under_concurrent_writers(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE s (id TEXT PRIMARY KEY);
        CREATE TABLE inside (s TEXT REFERENCES s, path TEXT);
        CREATE TABLE outside (s TEXT REFERENCES s, path TEXT);
        CREATE TRIGGER inside_rule BEFORE INSERT ON inside BEGIN
            SELECT id FROM s WHERE id = NEW.s;
            SELECT RAISE(ABORT, 'inside_rule: is outside') WHERE EXISTS (
                SELECT 1 FROM outside WHERE s = NEW.s AND path = NEW.path);
        END;
        CREATE TRIGGER outside_rule BEFORE INSERT ON outside BEGIN
            SELECT id FROM s WHERE id = NEW.s;
            SELECT RAISE(ABORT, 'outside_rule: is inside') WHERE EXISTS (
                SELECT 1 FROM inside WHERE s = NEW.s AND path = NEW.path);
        END;
    """)
    pair.run("INSERT INTO s VALUES ('x')")
    with pair.postgres.transaction():
        pair.postgres.execute("INSERT INTO inside VALUES ('x', 'p')")
        other = pair.postgres.open_connection()
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(Exception, match="lock timeout"):
            other.execute("INSERT INTO outside VALUES ('x', 'p')")

    with pytest.raises(Exception, match="outside_rule"):
        other.execute("INSERT INTO outside VALUES ('x', 'p')")
    other.close()


def test_a_query_that_only_locks_says_in_which_order_it_does(pair_of: Make) -> None:
    pair = pair_of("""
        CREATE TABLE s (id TEXT PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE e (s TEXT REFERENCES s);
        CREATE TRIGGER e_moved AFTER UPDATE OF s ON e BEGIN
            SELECT id FROM s WHERE id IN (OLD.s, NEW.s) ORDER BY id;
            UPDATE s SET n = n - 1 WHERE id = OLD.s;
            UPDATE s SET n = n + 1 WHERE id = NEW.s;
        END;
    """)
    pair.run("INSERT INTO s VALUES ('a', 0), ('b', 1)")
    pair.run("INSERT INTO e VALUES ('b')")
    pair.run("UPDATE e SET s = 'a'")

    assert pair.rows("SELECT id, n FROM s ORDER BY id") == [("a", 1), ("b", 0)]
    (source,) = pair.postgres.fetch_all("SELECT prosrc FROM pg_proc WHERE proname = 'e_moved'")
    assert 'ORDER BY ("id" COLLATE "C") NULLS FIRST FOR NO KEY UPDATE;' in source[0]


@pytest.mark.parametrize(
    ("body", "construct"),
    [
        ("SELECT RAISE(ROLLBACK, 'x')", "RAISE(ROLLBACK)"),
        ("SELECT RAISE(IGNORE)", "RAISE(IGNORE)"),
        ("SELECT 1 + RAISE(ABORT, 'x')", "RAISE"),
        ("SELECT count(*) FROM u", "a SELECT without RAISE that locks no rows"),
        ("INSERT OR IGNORE INTO u VALUES (1, 2)", "OR IGNORE"),
        ("REPLACE INTO u VALUES (1, 2)", "REPLACE in a trigger"),
        ("UPDATE t SET a = 1 WHERE b = 2", "a trigger that changes other rows of its own table"),
        ("UPDATE t SET a = (SELECT max(a) FROM t) WHERE id = NEW.id", "a query in what a trigger sets"),
        (
            "UPDATE t SET a = 1 WHERE id = NEW.id; DELETE FROM u",
            "a trigger that sets its own row and does other things",
        ),
        ("UPDATE u SET (a, b) = (1, 2)", "SET (a, b)"),
        ("DELETE FROM nowhere", "the table nowhere"),
        ("INSERT INTO u (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = random()", "random()"),
        ("UPDATE u SET a = 'text'", "a text value where a int value stands"),
    ],
)
def test_what_a_trigger_cannot_do_on_postgresql_is_refused_with_its_line(body: str, construct: str) -> None:
    script = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER);\n"
        "CREATE TABLE u (a INTEGER, b INTEGER);\n"
        f"CREATE TRIGGER r AFTER UPDATE ON t\nBEGIN\n{body};\nEND;"
    )

    with pytest.raises(MigrationRefused) as caught:
        derive(read_text(script), lines=object_lines(script), source="app.sql")

    assert caught.value.what.endswith(": trigger r cannot be made on PostgreSQL")
    assert construct in (caught.value.why or "")
    line = int(caught.value.what.split("line ")[1].split(":")[0])
    assert line in (3, 5)


def test_an_endless_chain_of_a_triggers_own_event_is_refused() -> None:
    script = (
        "CREATE TABLE t (a INTEGER); CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO t VALUES (1); END"
    )

    with pytest.raises(MigrationRefused, match="its own table"):
        derive(read_text(script))
