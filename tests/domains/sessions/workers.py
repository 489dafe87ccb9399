"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

import random

from datalayer import CheckViolation, NotFound, connect
from datalayer.domains.sessions import Session

__all__ = ["activate_and_delete", "insert_raw", "shuffle_files"]


def shuffle_files(target: str, key: str, seed: int, times: int) -> int:
    """Change the lists of a session at random; give how often a path was seen in both."""
    choice = random.Random(seed)
    paths = [f"p{number}" for number in range(6)]
    seen_in_both = 0
    with connect(target, busy_timeout_s=30) as store:
        sessions = store.sessions
        for _ in range(times):
            some = choice.sample(paths, 3)
            match choice.randrange(5):
                case 0:
                    sessions.include(key, some)
                case 1:
                    sessions.exclude(key, some)
                case 2:
                    sessions.forget_files(key, some)
                case 3:
                    sessions.replace_files(key, some[:2], some[2:])
                case _:
                    sessions.save(sessions.get(key), some[:1], some[1:])
            found = sessions.get_with_files(key)
            seen_in_both += bool(set(found.included_files) & set(found.excluded_files))
    return seen_in_both


def insert_raw(target: str, key: str, table: str, times: int) -> int:
    """Insert paths by plain SQL, as other programs do; give the number of those refused."""
    refused = 0
    with connect(target, busy_timeout_s=30) as store:
        sql = store.engine.dialect.sql(f"INSERT INTO {table} (session_id, path) VALUES (?, ?)")
        for number in range(times):
            try:
                store.engine.write(sql, (key, f"p{number}"))
            except CheckViolation:
                refused += 1
    return refused


def activate_and_delete(target: str, project: str, times: int) -> int:
    """Make sessions active and delete them again; give how often one was active that should not be."""
    wrong = 0
    with connect(target, busy_timeout_s=30) as store:
        sessions = store.sessions
        for number in range(times):
            key = sessions.save(Session(name=str(number), project_directory=project)).session.id
            sessions.set_active(project, key)
            active = sessions.get_active(project)
            wrong += active is not None and active.project_directory != project
            if number % 3 == 0:
                sessions.move(key, f"{project}/elsewhere")
            elif number % 3 == 1:
                sessions.delete(key)
                try:
                    sessions.set_active(project, key)
                except NotFound:
                    continue
                wrong += 1
    return wrong
