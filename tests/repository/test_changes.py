"""Live queries: results come when what they read has changed, from any process, and only then."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import peewee
import pytest
from support.source_tree import ROOT

from datalayer import connect
from datalayer.errors import DataLayerError
from datalayer.repository.changes import LiveQuery
from datalayer.store import Store


class Waiting(threading.Thread):
    """Takes results of a live query in a thread of its own."""

    def __init__(self, results: LiveQuery[Any]) -> None:
        super().__init__(daemon=True)
        self.results = results
        self.taken: list[object] = []
        self.news = threading.Condition()
        self.start()

    def run(self) -> None:
        for result in self.results:
            with self.news:
                self.taken.append(result)
                self.news.notify_all()

    def until(self, last: object) -> float:
        """Wait until this result came; gives the seconds it took."""
        started = monotonic()
        with self.news:
            assert self.news.wait_for(lambda: self.taken[-1:] == [last], 20), self.taken
        return monotonic() - started


@pytest.fixture
def keys(store: Store) -> Iterator[Waiting]:
    with store.watch(store.kv.count, timeout_s=60) as results:
        waiting = Waiting(results)
        waiting.until(0)
        yield waiting
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_result_comes_at_once_and_after_each_change(store: Store, keys: Waiting) -> None:
    store.kv.set("a", 1)
    keys.until(1)
    with store.transaction():
        store.kv.set("b", 1)
        store.kv.set("c", 1)
    keys.until(3)

    assert keys.taken == [0, 1, 3]


def test_what_changes_nothing_of_the_result_gives_none(store: Store, keys: Waiting) -> None:
    store.kv.set("a", 1)
    keys.until(1)
    store.kv.set("a", 2)
    store.cache.project("/p").set("x", 1)
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.kv.set("b", 1)
        raise ZeroDivisionError
    store.kv.set("b", 1)
    keys.until(2)

    assert keys.taken == [0, 1, 2]


def test_models_count_by_what_they_say_and_not_by_their_key(store: Store) -> None:
    class Note(peewee.Model):
        title = peewee.TextField()

    store.create_tables(Note)
    notes = store.repository(Note)
    notes.add(title="old")

    with store.watch(notes.find, timeout_s=60) as results:
        assert next(results)[0].title == "old"
        notes.update_where(title="old", changes={"title": "new"})
        assert next(results)[0].title == "new"


def test_it_ends_with_its_time_and_when_it_is_closed(store: Store) -> None:
    started = monotonic()
    with store.watch(store.kv.count, timeout_s=0.3) as results:
        assert list(results) == [0]
    assert monotonic() - started < 10

    with store.watch(store.kv.count, timeout_s=60) as results:
        assert next(results) == 0
        threading.Timer(0.05, results.close).start()
        assert list(results) == []


def test_it_is_refused_in_a_transaction(store: Store) -> None:
    with store.transaction(), pytest.raises(DataLayerError, match="a transaction is open"):
        store.watch(store.kv.count, timeout_s=1)


def test_an_error_of_the_query_is_the_caller_s(store: Store) -> None:
    with store.watch(lambda: 1 // (store.kv.count() - 1), timeout_s=60) as results:
        assert next(results) == -1
        store.kv.set("a", 1)
        with pytest.raises(ZeroDivisionError):
            next(results)


WRITER = """
import sys
from datalayer import connect
with connect(sys.argv[1]) as store:
    print("ready", flush=True)
    for line in sys.stdin:
        store.kv.set(line.strip(), 1)
"""


@pytest.mark.slow
def test_what_another_process_commits_is_seen_soon(database: str, tmp_path: Path) -> None:
    with (
        connect(database) as store,
        store.watch(store.kv.count, timeout_s=60) as results,
        subprocess.Popen(
            [sys.executable, "-c", WRITER, database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as writer,
    ):
        assert writer.stdin is not None
        assert writer.stdout is not None
        waiting = Waiting(results)
        waiting.until(0)
        assert writer.stdout.readline() == "ready\n"
        took: list[float] = []
        for number in range(1, 8):
            writer.stdin.write(f"key{number}\n")
            writer.stdin.flush()
            took.append(waiting.until(number))
        results.close()
        waiting.join(10)
        # at rest a result would come after a second, when it is looked at without being woken
        assert sorted(took)[len(took) // 2] < 0.5
        writer.stdin.close()


@pytest.mark.slow
def test_many_writers_are_followed_to_the_end(store: Store, keys: Waiting) -> None:
    def write(name: str) -> None:
        for number in range(50):
            store.kv.set(f"{name}{number}", number)
        store.engine.release()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys.until(200)

    assert keys.taken == sorted({*map(int, map(str, keys.taken))})
