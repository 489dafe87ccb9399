"""What every test may ask for. Fixtures of one folder belong into that folder's own conftest.py.

postgres            the PostgreSQL server of this run, started when the first test asks for it
postgres_database   URL of a fresh, empty database on it, dropped afterwards; its search_path is empty
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from datalayer.testing.postgres import PostgresServer

# No deadlines: on a busy machine they fail tests that are right.
# fast: what a developer runs, new examples each time. ci: the same examples on every run, ten times as many.
settings.register_profile(
    "fast", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("fast"), max_examples=300, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "fast")


@pytest.fixture(scope="session")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[PostgresServer]:
    # pytest-xdist's workers have their folders side by side in the run's own, so they meet there
    is_worker = hasattr(request.config, "workerinput")
    shared_folder = tmp_path_factory.getbasetemp().parent if is_worker else None
    with PostgresServer(shared_folder=shared_folder) as server:
        yield server


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)
