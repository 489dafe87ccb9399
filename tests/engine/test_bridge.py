"""The Peewee face: Peewee's builder and models run through the engine; which of its names that needs."""

from __future__ import annotations

import peewee
import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, UniqueViolation


class Item(peewee.Model):
    name = peewee.TextField(unique=True)
    is_done = peewee.BooleanField(default=False)


@pytest.fixture
def bound(engine: Engine) -> Engine:
    engine.peewee.create_tables([Item])
    Item.bind(engine.peewee, bind_refs=False, bind_backrefs=False)
    return engine


def test_peewee_s_own_verbs_work_through_the_engine(bound: Engine) -> None:
    created = Item.create(name="a")
    Item.insert_many([{"name": "b"}, {"name": "c"}]).execute()
    Item.update(is_done=True).where(Item.name == "b").execute()

    assert Item.get_by_id(created.id).name == "a"
    assert [item.name for item in Item.select().where(Item.is_done)] == ["b"]
    assert Item.delete().where(Item.name == "c").execute() == 1
    assert Item.select().count() == 2


def test_errors_that_peewee_meets_are_the_engine_s(bound: Engine) -> None:
    Item.create(name="a")

    with pytest.raises(UniqueViolation):
        Item.create(name="a")


def test_peewee_s_blocks_are_the_engine_s(bound: Engine) -> None:
    seen: list[str] = []
    with pytest.raises(KeyError), bound.peewee.atomic():
        Item.create(name="a")
        assert bound.in_transaction
        with bound.peewee.atomic():
            bound.peewee.after_commit(lambda: seen.append("never"))
            Item.create(name="b")
        assert bound.peewee.transaction_depth() == 1
        raise KeyError

    assert seen == []
    assert Item.select().count() == 0


def test_peewee_cannot_commit_behind_the_engine_s_back(bound: Engine) -> None:
    for verb in ("manual_commit", "begin", "commit", "rollback"):
        with pytest.raises(DataLayerError, match="not available"):
            getattr(bound.peewee, verb)()


def test_the_driver_is_the_standard_library_s_whatever_is_installed(engine: Engine) -> None:
    if engine.dialect.has_row_id:
        assert type(engine.peewee.connection()).__module__ == "sqlite3"
    else:
        assert type(engine.peewee.connection()).__module__.startswith("psycopg")


def test_the_names_of_peewee_that_the_package_leans_on_are_there() -> None:
    database = peewee.SqliteDatabase(None)
    assert {"get_sql_context", "execute_sql", "execute", "init"} <= set(dir(database))
    context = database.get_sql_context()
    assert hasattr(context, "alias_manager")
    item = Item(name="x")
    assert item.__data__ == {"name": "x", "is_done": False}
    assert item.__rel__ == {}
    assert item._dirty == {"name", "is_done"}
    for name in (
        "combined",
        "defaults",
        "refs",
        "backrefs",
        "auto_increment",
        "get_primary_keys",
        "sorted_field_names",
    ):
        assert hasattr(Item._meta, name)
