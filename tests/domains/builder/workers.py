"""What each of the processes of these tests does; it opens the database itself."""

from __future__ import annotations

from datalayer import connect

__all__ = ["work"]


def work(target: str, thread: str, user: str, name: str, times: int) -> int:
    """Post messages and write the same files whole; give how often a snapshot was of two writers."""
    mixed = 0
    with connect(target, busy_timeout_s=30) as store:
        for turn in range(times):
            store.builder.post_message(thread, "user", f"{name} {turn}", user_id=user)
            mark = f"{name} {turn}"
            files = {f"{number}.ts": mark for number in range(4)}
            store.builder.write_files(thread, files, user_id=user, replace=bool(turn % 2))
            mixed += len(set(store.builder.snapshot(thread, user_id=user).values())) != 1
            if turn % 3 == 0:
                copied = store.builder.duplicate(thread, user_id=user, title=mark)
                mixed += len(set(store.builder.snapshot(copied.id, user_id=user).values())) != 1
                store.builder.delete_thread(copied.id, user_id=user)
    return mixed
