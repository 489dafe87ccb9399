"""Blocks of work: kept whole or not at all, on every engine alike."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import CheckViolation, DatabaseBusy, DataLayerError, TransactionDied, UniqueViolation


@pytest.fixture
def table(engine: Engine) -> Engine:
    engine.execute("CREATE TABLE item (name TEXT PRIMARY KEY)")
    return engine


def add(engine: Engine, name: str) -> None:
    engine.write(engine.dialect.sql("INSERT INTO item VALUES (?)"), (name,))


def names(engine: Engine) -> list[str]:
    return [row[0] for row in engine.fetch_all("SELECT name FROM item ORDER BY name")]


def test_a_block_that_ends_well_is_kept(table: Engine) -> None:
    with table.transaction():
        add(table, "a")

    assert names(table) == ["a"]
    assert not table.in_transaction


def test_an_exception_undoes_the_whole_block(table: Engine) -> None:
    with pytest.raises(KeyError), table.transaction():
        add(table, "a")
        raise KeyError

    assert names(table) == []


def test_a_block_inside_a_block_is_undone_alone(table: Engine) -> None:
    with table.transaction():
        add(table, "outer")
        with pytest.raises(KeyError), table.transaction():
            add(table, "inner")
            raise KeyError
        add(table, "after")

    assert names(table) == ["after", "outer"]


def test_a_failed_statement_dooms_its_block_on_every_engine(table: Engine) -> None:
    add(table, "a")

    with pytest.raises(TransactionDied) as died, table.transaction():
        add(table, "b")
        with pytest.raises(UniqueViolation):
            add(table, "a")
        add(table, "c")

    assert isinstance(died.value.__cause__, UniqueViolation)
    assert names(table) == ["a"]


def test_swallowing_a_failure_does_not_commit_the_rest(table: Engine) -> None:
    add(table, "a")

    with pytest.raises(TransactionDied, match="nothing of the block is kept"), table.transaction():
        add(table, "b")
        with pytest.raises(UniqueViolation):
            add(table, "a")

    assert names(table) == ["a"]


def test_a_failure_in_an_inner_block_leaves_the_outer_one_usable(table: Engine) -> None:
    with table.transaction():
        add(table, "a")
        with pytest.raises(UniqueViolation), table.transaction():
            add(table, "a")
        add(table, "b")

    assert names(table) == ["a", "b"]


def test_a_decorated_function_is_a_block_of_its_own_each_time(table: Engine) -> None:
    @table.transaction()
    def work(name: str) -> str:
        assert table.in_transaction
        add(table, name)
        return name.upper()

    assert [work("a"), work("b")] == ["A", "B"]
    assert names(table) == ["a", "b"]


def test_one_block_object_serves_many_times_also_inside_itself(table: Engine) -> None:
    block = table.transaction()
    with block:
        add(table, "a")
        with pytest.raises(KeyError), block:
            add(table, "b")
            raise KeyError
    with block:
        add(table, "c")

    assert names(table) == ["a", "c"]


def test_a_read_block_sees_one_moment(database: str) -> None:
    reader, writer = open_engine(database), open_engine(database)
    count = "SELECT COUNT(*) FROM key_value_store"
    with reader.transaction(read=True):
        before = reader.fetch_one(count)
        writer.write("INSERT INTO key_value_store (key, value) VALUES ('a', '1')")
        during = reader.fetch_one(count)

    assert (before, during, reader.fetch_one(count)) == ((0,), (0,), (1,))
    reader.close()
    writer.close()


def test_a_read_block_cannot_write(table: Engine) -> None:
    with pytest.raises(DataLayerError, match="read transaction cannot write"), table.transaction(read=True):
        add(table, "a")

    add(table, "b")
    assert names(table) == ["b"]


def test_a_write_block_inside_a_read_block_is_refused(table: Engine) -> None:
    with table.transaction(read=True), pytest.raises(DataLayerError, match="inside a read transaction"):
        with table.transaction():
            pass


def test_callbacks_run_after_the_commit_in_order(table: Engine) -> None:
    seen: list[object] = []
    with table.transaction():
        add(table, "a")
        table.on_commit(lambda: seen.append(("first", table.in_transaction, names(table))))
        table.on_commit(lambda: seen.append("second"))
        assert seen == []

    assert seen == [("first", False, ["a"]), "second"]


def test_a_callback_outside_a_block_runs_at_once(engine: Engine) -> None:
    seen: list[int] = []
    engine.on_commit(lambda: seen.append(1))

    assert seen == [1]


def test_callbacks_of_an_undone_block_do_not_run(table: Engine) -> None:
    seen: list[str] = []
    with table.transaction():
        table.on_commit(lambda: seen.append("outer"))
        with pytest.raises(KeyError), table.transaction():
            with table.transaction():
                table.on_commit(lambda: seen.append("innermost, kept by a block that was undone"))
            table.on_commit(lambda: seen.append("inner"))
            raise KeyError

    assert seen == ["outer"]


def test_all_callbacks_run_and_their_errors_say_that_the_work_is_committed(table: Engine) -> None:
    seen: list[str] = []

    def fail() -> None:
        raise KeyError("callback")

    with pytest.raises(KeyError) as raised:
        with table.transaction():
            add(table, "a")
            table.on_commit(fail)
            table.on_commit(lambda: seen.append("ran"))

    assert seen == ["ran"]
    assert "the transaction is committed" in raised.value.__notes__[0]
    assert names(table) == ["a"]


@given(
    plan=st.recursive(
        st.booleans().map(lambda keep: (keep, ())),
        lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=3).map(tuple)),
        max_leaves=8,
    )
)
def test_rows_and_callbacks_of_exactly_the_kept_blocks_stay(plan: object) -> None:
    engine = open_engine(":memory:")
    engine.execute("CREATE TABLE item (name TEXT PRIMARY KEY)")
    called: list[str] = []
    expected: list[str] = []

    def run(block: tuple[bool, tuple[object, ...]], path: str, kept: bool) -> None:
        keep, children = block
        try:
            with engine.transaction():
                add(engine, path)
                engine.on_commit(lambda: called.append(path))
                if keep and kept:
                    expected.append(path)
                for place, child in enumerate(children):
                    run(child, f"{path}.{place}", keep and kept)  # type: ignore[arg-type]
                if not keep:
                    raise KeyError
        except KeyError:
            pass

    run(plan, "0", True)  # type: ignore[arg-type]
    assert names(engine) == sorted(expected)
    assert called == expected
    engine.close()


def test_a_trigger_that_ends_the_transaction_lets_nothing_slip_out() -> None:
    engine = open_engine(":memory:")
    engine.execute("CREATE TABLE item (name TEXT PRIMARY KEY)")
    engine.execute(
        "CREATE TRIGGER stop BEFORE INSERT ON item WHEN NEW.name = 'boom'"
        " BEGIN SELECT RAISE(ROLLBACK, 'stop: no such name'); END"
    )

    with pytest.raises(TransactionDied) as died, engine.transaction():
        add(engine, "before")
        with pytest.raises(CheckViolation) as violation:
            add(engine, "boom")
        with pytest.raises(TransactionDied):
            add(engine, "after")

    assert violation.value.constraint == "stop"
    assert "the database ended" in died.value.what
    assert names(engine) == []
    engine.close()


def test_a_commit_inside_a_block_is_noticed_before_the_next_statement(table: Engine) -> None:
    with pytest.raises(TransactionDied), table.transaction():
        add(table, "a")
        table.execute("COMMIT")
        add(table, "b")

    assert names(table) == ["a"]


def test_run_transaction_runs_the_whole_function_again_while_others_are_in_the_way(table: Engine) -> None:
    calls: list[int] = []

    def work(value: str) -> str:
        calls.append(1)
        add(table, f"{value}{len(calls)}")
        if len(calls) < 3:
            raise DatabaseBusy("in the way")
        return value

    assert table.run_transaction(work, "x") == "x"
    assert names(table) == ["x3"]


def test_run_transaction_passes_other_errors_on_at_once(table: Engine) -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise KeyError

    with pytest.raises(KeyError):
        table.run_transaction(work)
    assert calls == [1]


def test_serialization_failures_are_busy_and_repeated(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    engine.execute("CREATE TABLE counter (id int PRIMARY KEY, n int)")
    engine.execute("INSERT INTO counter VALUES (1, 0)")
    barrier = threading.Barrier(2)

    def increment() -> None:
        first = [True]

        def work() -> None:
            row = engine.fetch_one("SELECT n FROM counter")
            assert row is not None
            if first.pop() if first else False:
                barrier.wait(timeout=10)
            engine.write("UPDATE counter SET n = %s", (row[0] + 1,))

        engine.execute("SET default_transaction_isolation = 'serializable'")
        engine.run_transaction(work)

    threads = [threading.Thread(target=increment) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert engine.fetch_one("SELECT n FROM counter") == (2,)
    engine.close()


def test_a_thread_that_holds_the_write_lock_makes_others_wait_not_fail(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (name TEXT PRIMARY KEY)")
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with engine.transaction():
            add(engine, "first")
            inside.set()
            go_on.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(10)
    writer = threading.Thread(target=add, args=(engine, "second"))
    writer.start()
    go_on.set()
    holder.join()
    writer.join()

    assert names(engine) == ["first", "second"]


def test_waiting_for_the_write_lock_ends_with_busy(tmp_path: object) -> None:
    engine = open_engine(f"{tmp_path}/app.db", Options(busy_timeout_s=0.05))
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with engine.transaction():
            inside.set()
            go_on.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(10)
    with pytest.raises(DatabaseBusy), engine.transaction():
        pass
    go_on.set()
    holder.join()
    with engine.transaction():
        pass
    engine.close()


def test_waiting_for_a_row_lock_ends_with_busy(postgres_database: str) -> None:
    engine = open_engine(postgres_database, Options(busy_timeout_s=0.1))
    other = open_engine(postgres_database)
    engine.execute("CREATE TABLE counter (n int)")
    engine.write("INSERT INTO counter VALUES (0)")

    with other.transaction():
        other.write("UPDATE counter SET n = 1")
        with pytest.raises(DatabaseBusy):
            engine.write("UPDATE counter SET n = 2")
    engine.write("UPDATE counter SET n = 3")
    assert engine.fetch_one("SELECT n FROM counter") == (3,)
    engine.close()
    other.close()


def test_a_lost_connection_ends_the_block_and_the_next_one_gets_a_new_connection(
    postgres_database: str,
) -> None:
    engine, killer = open_engine(postgres_database), open_engine(postgres_database)
    engine.execute("CREATE TABLE item (name TEXT PRIMARY KEY)")

    with pytest.raises(TransactionDied), engine.transaction():
        add(engine, "a")
        pid = engine.fetch_one("SELECT pg_backend_pid()")
        killer.execute("SELECT pg_terminate_backend(%s)", pid or ())
        with pytest.raises(DataLayerError):
            add(engine, "b")

    assert names(engine) == []
    engine.close()
    killer.close()
