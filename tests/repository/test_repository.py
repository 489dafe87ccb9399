"""The verbs of a repository, on an app's own models, on every engine alike."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import peewee
import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import (
    CheckViolation,
    DataLayerError,
    MultipleFound,
    NotFound,
    SchemaMismatch,
    StaleVersion,
    UniqueViolation,
)
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Model, SoftDelete, Timestamps, Versioned


class Note(Model):
    title = peewee.TextField(unique=True)
    size = peewee.IntegerField(null=True)
    is_done = peewee.BooleanField(default=False)
    extra = JSONField(null=True)
    due = UtcField(null=True)


class Document(Timestamps, Versioned, SoftDelete):
    id = IdField()
    name = peewee.TextField()


class Notes(Repository[Note]):
    """The notes of an app."""


@pytest.fixture
def notes(engine: Engine) -> Notes:
    engine.peewee.create_tables([Note])
    return Notes(engine)


@pytest.fixture
def documents(engine: Engine) -> Repository[Document]:
    engine.peewee.create_tables([Document])
    return Repository(engine, Document)


def titles(rows: list[Note]) -> list[str]:
    return [row.title for row in rows]


# -- reading and adding ------------------------------------------------------------------------------


def test_an_added_row_comes_back_with_its_key_and_defaults(notes: Notes) -> None:
    due = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    note = notes.add(title="a", extra={"k": [1, None, "ü"]}, due=due)

    assert note.id == 1
    assert note.is_done is False
    read = notes.get(note.id)
    assert read == note
    assert (read.title, read.size, read.is_done, read.extra, read.due) == (
        "a",
        None,
        False,
        {"k": [1, None, "ü"]},
        due,
    )
    assert type(read.is_done) is bool


def test_a_model_can_be_added_as_well_as_values(notes: Notes) -> None:
    note = Note(title="a", size=3)

    assert notes.add(note) is note
    assert note.id == 1
    assert notes.get(1).size == 3


def test_what_the_database_fills_in_is_read_back(engine: Engine) -> None:
    engine.execute(
        "CREATE TABLE thing (id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT 'unnamed', n INTEGER DEFAULT 7)"
    )

    class Thing(Model):
        id = IdField()
        name = peewee.TextField()
        n = peewee.IntegerField()

    thing = Repository(engine, Thing).add()
    assert (thing.name, thing.n) == ("unnamed", 7)


def test_get_of_a_missing_row_says_which(notes: Notes) -> None:
    with pytest.raises(NotFound, match="no Note answers to 77"):
        notes.get(77)
    assert notes.get_or_none(77) is None


def test_one_means_exactly_one(notes: Notes) -> None:
    notes.add(title="a", size=1)
    notes.add(title="b", size=1)

    assert notes.one(title="a").title == "a"
    assert notes.one_or_none(title="c") is None
    with pytest.raises(NotFound):
        notes.one(title="c")
    with pytest.raises(MultipleFound):
        notes.one(size=1)


def test_conditions_are_equalities_lists_none_and_expressions(notes: Notes) -> None:
    for title, size in (("a", 1), ("b", 2), ("c", 3), ("d", None)):
        notes.add(title=title, size=size)

    assert titles(notes.find(size=2)) == ["b"]
    assert titles(notes.find(size=[1, 3])) == ["a", "c"]
    assert notes.find(size=[]) == []
    assert titles(notes.find(size=None)) == ["d"]
    assert titles(notes.find(Note.size >= 2, is_done=False)) == ["b", "c"]
    assert titles(notes.find((Note.title == "a") | (Note.size > 2))) == ["a", "c"]
    assert titles(notes.find(Note.id.in_(Note.select(Note.id).where(Note.size == 3)))) == ["c"]
    assert titles(notes.find(Note.title.contains("%"))) == []


def test_a_sibling_is_made_once_and_is_plain_also_beside_a_view(notes: Notes) -> None:
    sibling = notes.sibling(Document)

    assert notes.sibling(Document) is sibling
    assert notes.for_update().sibling(Document) is sibling
    assert type(sibling) is Repository


def test_a_condition_may_be_sql_with_parameters(notes: Notes) -> None:
    notes.add_many({"title": title} for title in ("a", "b", "c"))
    mark = notes.engine.dialect.placeholder

    found = notes.find(peewee.SQL(f"title = {mark} OR title = {mark}", ("a", "b")), title=["b", "c"])

    assert [note.title for note in found] == ["b"]


def test_order_is_the_key_s_unless_asked_and_null_sorts_first(notes: Notes) -> None:
    for title, size in (("b", 2), ("a", None), ("c", 1)):
        notes.add(title=title, size=size)

    assert titles(notes.find()) == ["b", "a", "c"]
    assert titles(notes.find(order_by="size")) == ["a", "c", "b"]
    assert titles(notes.find(order_by="-size")) == ["b", "c", "a"]
    assert titles(notes.find(order_by=Note.title.desc())) == ["c", "b", "a"]
    assert titles(notes.find(order_by=["is_done", Note.title], limit=1, offset=1)) == ["b"]
    first = notes.first(order_by="-title")
    assert first is not None and first.title == "c"


def test_text_sorts_by_code_point_on_every_engine(engine: Engine) -> None:
    collation = ' COLLATE "C"' if engine.dialect.has_copy else ""
    engine.execute(f"CREATE TABLE word (id TEXT{collation} PRIMARY KEY)")

    class Word(Model):
        id = IdField()

    words = Repository(engine, Word)
    words.add_many({"id": word} for word in ("b", "B", "a", "_", "Ä", "é", "z"))
    assert [word.id for word in words.find()] == ["B", "_", "a", "b", "z", "Ä", "é"]


def test_unknown_fields_are_refused_with_the_names_there_are(notes: Notes) -> None:
    for act in (
        lambda: notes.find(titel="a"),
        lambda: notes.add(titel="a"),
        lambda: notes.find(order_by="titel"),
        lambda: notes.add_many([{"titel": "a"}]),
        lambda: notes.update(1, titel="a"),
    ):
        with pytest.raises(DataLayerError, match="no field 'titel'"):
            act()


def test_count_and_exists_answer_the_same_question(notes: Notes) -> None:
    notes.add_many({"title": str(number), "size": number % 3} for number in range(10))

    assert notes.count() == 10
    assert notes.count(Note.size == 0) == 4
    assert notes.exists(size=2)
    assert not notes.exists(size=5)


def test_iterate_gives_all_rows_in_order_and_keeps_no_read_open(notes: Notes) -> None:
    notes.add_many({"title": str(number), "size": number % 7 or None} for number in range(100))

    seen: list[int] = []
    for note in notes.iterate(Note.id > 10, order_by="-size", chunk=9):
        assert not notes.engine.in_transaction
        seen.append(note.id)
    assert seen == [note.id for note in notes.find(Note.id > 10, order_by="-size")]


def test_iterate_copes_with_rows_that_go_meanwhile(notes: Notes) -> None:
    notes.add_many({"title": str(number)} for number in range(20))

    seen: list[int] = []
    for note in notes.iterate(chunk=3):
        seen.append(note.id)
        notes.delete(note)
    assert seen == list(range(1, 21))


# -- many rows ---------------------------------------------------------------------------------------


def test_add_many_takes_a_generator_and_gives_the_number(notes: Notes) -> None:
    assert notes.add_many({"title": f"t{number}", "extra": [number]} for number in range(2_500)) == 2_500
    assert notes.count() == 2_500
    assert notes.one(title="t1234").extra == [1234]


def test_add_many_takes_models_and_rows_with_different_fields(notes: Notes) -> None:
    rows = [
        Note(title="a"),
        {"title": "b", "size": 2},
        {"size": 3, "title": "c"},
        Note(title="d", extra={"x": 1}),
    ]

    assert notes.add_many(rows) == 4
    assert [(note.title, note.size, note.is_done) for note in notes.find(order_by="title")] == [
        ("a", None, False),
        ("b", 2, False),
        ("c", 3, False),
        ("d", None, False),
    ]


def test_add_many_keeps_nothing_when_one_row_is_refused(notes: Notes) -> None:
    rows = [{"title": str(number)} for number in range(1_500)] + [{"title": "7"}]

    with pytest.raises(UniqueViolation):
        notes.add_many(rows)
    assert notes.count() == 0


def test_add_many_of_nothing_is_nothing(notes: Notes) -> None:
    assert notes.add_many([]) == 0


def test_upsert_adds_or_changes_the_row_with_the_same_unique_fields(notes: Notes) -> None:
    first = notes.upsert(title="a", size=1, on=["title"])
    second = notes.upsert(title="a", size=2, on=["title"])

    assert first.id == second.id
    assert notes.get(first.id).size == 2
    assert notes.upsert_many([{"title": "a", "size": 5}, {"title": "b", "size": 6}], on=["title"]) == 2
    assert [(note.title, note.size) for note in notes.find()] == [("a", 5), ("b", 6)]


def test_upsert_of_a_row_that_was_read_counts_as_a_change(engine: Engine) -> None:
    now = [datetime(2026, 5, 1, tzinfo=UTC)]
    engine.clock = lambda: now[0]
    engine.peewee.create_tables([Document])
    documents = Repository(engine, Document)
    read = documents.get(documents.add(name="a").id)
    now[0] += timedelta(days=1)

    assert documents.upsert(read).updated_at == datetime(2026, 5, 2, tzinfo=UTC)
    now[0] += timedelta(days=1)
    documents.upsert_many([read])
    assert documents.get(read.id).updated_at == datetime(2026, 5, 3, tzinfo=UTC)
    assert documents.get(read.id).created_at == datetime(2026, 5, 1, tzinfo=UTC)


def test_upsert_keeps_the_creation_and_raises_the_version(documents: Repository[Document]) -> None:
    first = documents.upsert(id="x", name="a")
    again = documents.upsert(id="x", name="b")

    assert again.created_at == first.created_at
    assert again.updated_at >= first.updated_at
    assert (first.version, again.version, again.name) == (1, 2, "b")


# -- changing ----------------------------------------------------------------------------------------


def test_only_changed_fields_are_written(notes: Notes) -> None:
    note = notes.add(title="a", size=1)
    mine, theirs = notes.get(note.id), notes.get(note.id)
    mine.size = 2
    theirs.title = "b"
    notes.update(mine)
    notes.update(theirs)

    assert (notes.get(note.id).title, notes.get(note.id).size) == ("b", 2)


def test_rows_save_and_delete_themselves(notes: Notes) -> None:
    note = notes.get(notes.add(title="a").id)
    note.title = "b"

    assert note.save() == 1
    assert notes.get(note.id).title == "b"
    note.delete_instance()
    assert notes.count() == 0


def test_a_row_of_no_repository_cannot_save_itself() -> None:
    with pytest.raises(DataLayerError, match="came from no repository"):
        Note(title="a").save()


def test_update_by_key_changes_just_that(notes: Notes) -> None:
    note = notes.add(title="a", size=1)
    notes.update(note.id, size=9, extra=["x"])

    assert (notes.get(note.id).title, notes.get(note.id).size, notes.get(note.id).extra) == ("a", 9, ["x"])
    with pytest.raises(NotFound):
        notes.update(77, size=1)


def test_update_where_takes_values_and_expressions(notes: Notes) -> None:
    notes.add_many({"title": str(number), "size": number} for number in range(5))

    assert notes.update_where(Note.size > 2, changes={"size": Note.size + 100, "extra": {"big": True}}) == 2
    assert [note.size for note in notes.find()] == [0, 1, 2, 103, 104]
    assert notes.find(size=103)[0].extra == {"big": True}


def test_changing_or_deleting_everything_needs_to_be_said(notes: Notes) -> None:
    with pytest.raises(DataLayerError, match="would reach every row"):
        notes.delete_where()
    with pytest.raises(DataLayerError, match="would reach every row"):
        notes.update_where(changes={"size": 1})


def test_delete_takes_a_row_or_a_key(notes: Notes) -> None:
    row, other = notes.add(title="a"), notes.add(title="b")
    notes.delete(row)
    notes.delete(other.id)

    assert notes.count() == 0
    with pytest.raises(NotFound):
        notes.delete(row)
    assert notes.delete_where(Note.size == 1) == 0


def test_a_row_that_moved_on_is_stale(documents: Repository[Document]) -> None:
    created = documents.add(name="a")
    mine, theirs = documents.get(created.id), documents.get(created.id)
    theirs.name = "theirs"
    theirs.save()
    mine.name = "mine"

    with pytest.raises(StaleVersion, match="no longer at version 1"):
        mine.save()
    with pytest.raises(StaleVersion):
        documents.delete(mine)
    with pytest.raises(StaleVersion):
        documents.update(created.id, name="x", version=1)
    assert documents.get(created.id).name == "theirs"
    assert theirs.version == 2
    documents.update(created.id, name="x", version=2)
    assert documents.get(created.id).version == 3


def test_concurrent_updates_of_a_versioned_row_lose_nothing(documents: Repository[Document]) -> None:
    created = documents.add(name="0")

    def increment() -> None:
        for _ in range(10):
            while True:
                row = documents.get(created.id)
                row.name = str(int(row.name) + 1)
                try:
                    row.save()
                    break
                except StaleVersion:
                    continue

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert documents.get(created.id).name == "40"
    assert documents.get(created.id).version == 41


def test_a_deleted_row_stays_for_who_asks_for_it(documents: Repository[Document]) -> None:
    kept, gone = documents.add(name="kept"), documents.add(name="gone")
    documents.delete(gone)

    assert [row.name for row in documents.find()] == ["kept"]
    assert documents.get_or_none(gone.id) is None
    assert documents.count() == 1
    with pytest.raises(NotFound):
        documents.delete(gone.id)
    with pytest.raises(NotFound):
        documents.update(gone.id, name="x")
    everything = documents.with_deleted()
    assert everything.count() == 2
    assert everything.get(gone.id).deleted_at is not None
    assert documents.restore(gone.id).name == "gone"
    assert documents.count() == 2
    everything.delete(kept.id)
    assert everything.count() == 1


def test_times_are_set_by_the_store_s_clock(engine: Engine) -> None:
    now = [datetime(2026, 5, 1, tzinfo=UTC)]
    engine.clock = lambda: now[0]
    engine.peewee.create_tables([Document])
    documents = Repository(engine, Document)
    created = documents.add(name="a")
    now[0] += timedelta(days=1)
    documents.update(created.id, name="b")
    documents.update_where(Document.id == created.id, changes={"name": "c"})

    row = documents.get(created.id)
    assert (row.created_at, row.updated_at) == (
        datetime(2026, 5, 1, tzinfo=UTC),
        datetime(2026, 5, 2, tzinfo=UTC),
    )


def test_a_lock_outside_a_transaction_is_refused(notes: Notes) -> None:
    note = notes.add(title="a")
    with pytest.raises(DataLayerError, match="locks nothing"):
        notes.for_update().get(note.id)
    with notes.transaction():
        assert notes.for_update().get(note.id) == note
        assert notes.for_update().find(title="a") == [note]


def test_rows_read_for_update_cannot_change_meanwhile(notes: Notes) -> None:
    note = notes.add(title="a", size=0)

    def increment() -> None:
        for _ in range(10):
            with notes.transaction():
                row = notes.for_update().get(note.id)
                notes.update(row, size=row.size + 1)

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert notes.get(note.id).size == 40


# -- keys, values, other databases ---------------------------------------------------------------------


def test_a_key_of_several_columns_is_a_tuple(engine: Engine) -> None:
    class Seat(Model):
        hall = peewee.IntegerField()
        number = peewee.IntegerField()
        guest = peewee.TextField(null=True)

        class Meta:
            primary_key = peewee.CompositeKey("hall", "number")

    engine.peewee.create_tables([Seat])
    seats = Repository(engine, Seat)
    seats.add(hall=1, number=2, guest="a")
    seats.update((1, 2), guest="b")

    assert seats.get((1, 2)).guest == "b"
    seat = seats.get((1, 2))
    seat.guest = "c"
    seat.save()
    assert [row.guest for row in seats.page(order_by="hall").items] == ["c"]
    with pytest.raises(DataLayerError, match="has 2 parts"):
        seats.get(1)
    seats.delete((1, 2))
    assert seats.count() == 0


def test_times_must_carry_their_zone(notes: Notes) -> None:
    for wrong in (datetime(2026, 1, 1), "2026-01-01", "garbage", 5):  # noqa: DTZ001 - the naive one is the point
        with pytest.raises(CheckViolation, match="time"):
            notes.add(title="a", due=wrong)
    assert notes.count() == 0


def test_json_that_cannot_be_kept_on_both_engines_is_refused(notes: Notes) -> None:
    for wrong in (float("nan"), float("inf"), {"a": "\0"}, "\ud800", {1, 2}, b"bytes"):
        with pytest.raises(CheckViolation, match="cannot be stored as JSON"):
            notes.add(title="a", extra=wrong)
    assert notes.add(title="a", extra="\\u0000").extra == "\\u0000"
    assert notes.one(title="a").extra == "\\u0000"


def test_a_plain_peewee_model_works_as_well(engine: Engine) -> None:
    class Plain(peewee.Model):
        name = peewee.CharField()

    engine.peewee.create_tables([Plain])
    plain = Repository(engine, Plain)
    row = plain.add(name="a")
    row.name = "b"
    row.save()

    assert plain.get(row.id).name == "b"


def test_a_plain_peewee_model_in_two_stores_is_refused_but_ours_is_not(
    engine: Engine, tmp_path: object
) -> None:
    from datalayer.engine.opening import open_engine

    class Plain(peewee.Model):
        name = peewee.CharField()

    Repository(engine, Plain)
    other = open_engine(":memory:")
    with pytest.raises(DataLayerError, match="in use by another open store"):
        Repository(other, Plain)

    engine.peewee.create_tables([Note])
    other.peewee.create_tables([Note])
    here, there = Repository(engine, Note), Repository(other, Note)
    here.add(title="here")
    row = there.add(title="there")
    row.title = "there still"
    row.save()
    assert titles(here.find()) == ["here"]
    assert titles(there.find()) == ["there still"]
    other.close()


def test_a_missing_column_stops_only_who_needs_it(engine: Engine) -> None:
    engine.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, title TEXT)")
    engine.write("INSERT INTO note VALUES (1, 'a')")

    class Short(Model):
        title = peewee.TextField()

        class Meta:
            table_name = "note"

    assert Repository(engine, Short).get(1).title == "a"
    newer = Notes(engine)
    for act in (
        lambda: newer.get(1),
        newer.find,
        lambda: newer.add(title="b", size=1),
        lambda: newer.update(1, size=2),
    ):
        with pytest.raises(SchemaMismatch, match="datalayer migrate") as raised:
            act()
        assert "note.size" in raised.value.missing


def test_a_missing_column_is_explained_inside_a_transaction_too(engine: Engine) -> None:
    engine.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, title TEXT)")

    with pytest.raises(SchemaMismatch) as raised, engine.transaction():
        Notes(engine).get(1)
    assert "note.size" in raised.value.missing


def test_a_missing_table_is_named(engine: Engine) -> None:
    with pytest.raises(SchemaMismatch, match="has no table note"):
        Notes(engine).get(1)


def test_names_that_need_quotes_work_everywhere(engine: Engine) -> None:
    class Odd(Model):
        select = peewee.TextField(column_name='the "select" column')
        order = peewee.IntegerField(column_name="order", default=1)

        class Meta:
            table_name = 'odd "table" name'

    engine.peewee.create_tables([Odd])
    odd = Repository(engine, Odd)
    odd.add(select="a")
    odd.add_many([{"select": "b"}, {"select": "c"}])
    odd.upsert(id=1, select="A")

    assert [row.select for row in odd.find(Odd.order == 1, order_by="-select")] == ["c", "b", "A"]
    assert odd.update_where(select="b", changes={"order": 2}) == 1
    assert odd.page(order_by="order", size=1).has_more
