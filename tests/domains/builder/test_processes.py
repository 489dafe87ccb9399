"""Eight processes at the same thread."""

from __future__ import annotations

import pytest
from support.processes import run_together

from datalayer.store import connect

PROCESSES = 8
TIMES = 4


@pytest.mark.slow
def test_messages_are_all_there_and_files_are_of_one_writer(database: str) -> None:
    with connect(database) as store:
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
        thread = store.builder.create_thread("ada", "Shop", files={f"{n}.ts": "first" for n in range(4)})
        arguments = [(database, thread.id, "ada", f"p{number}", TIMES) for number in range(PROCESSES)]
        mixed = run_together("domains.builder.workers", "work", arguments)

        assert mixed == [0] * PROCESSES
        said = store.builder.messages.find(thread_id=thread.id)
        assert len({one.content for one in said}) == len(said) == PROCESSES * TIMES
        assert store.builder.count() == 1
        assert len(store.builder.snapshot(thread.id, user_id="ada")) == 4
        assert store.builder.get(thread.id).updated_at >= max(one.created_at for one in said)
