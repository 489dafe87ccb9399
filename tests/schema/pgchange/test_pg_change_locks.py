from __future__ import annotations

from collections.abc import Iterator
from itertools import count, groupby

import pytest
from schema.pgchange.cases import CASES, FEW, Case
from schema.pgchange.made import derived_of, schema_with
from schema.pgchange.watched import STRENGTH, Watched

from datalayer.schema.pgchange.action import Action, Stage
from datalayer.schema.pgchange.migrate import prepare
from datalayer.schema.pgchange.running import Runner
from datalayer.schema.pgchange.wanted import read_wanted
from datalayer.testing.postgres import PostgresServer

_TOLD = STRENGTH.index("ShareUpdateExclusiveLock")


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    made = postgres.create_database()
    yield made
    postgres.drop_database(made)


def groups(actions: tuple[Action, ...]) -> list[list[Action]]:
    single = count()
    return [list(part) for _, part in groupby(actions, lambda action: action.group or str(next(single)))]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.name in FEW else pytest.mark.slow)
        for case in CASES
        if not case.consent.renames
    ],
)
def test_locks_and_rewrites_are_those_that_the_plan_tells_when(case: Case, url: str) -> None:
    derived = derived_of(case.after)
    with schema_with(url, case.before, case.rows) as engine, Watched(engine) as session:
        wanted = read_wanted(session, derived)
        prepared = prepare(session, wanted, case.consent, exact=case.exact)
        runner = Runner(session, prepared.sizes, lock_timeout_s=5, can_silence_triggers=True)
        for group in groups(prepared.actions):
            session.seen.clear()

            runner.run(group)

            told: dict[str, str] = {}
            for action in group:
                for table, mode in action.locks.items():
                    told[table] = max(mode, told.get(table, mode), key=STRENGTH.index)
            filled = {table for table, size in prepared.sizes.items() if not size.is_empty}
            for seen in session.seen:
                assert strong(seen.locks) == strong(told), group
                assert bool(seen.rewritten & filled) == any(a.cost == "rewrite" for a in group), group
                if not any(action.cost in ("scan", "rewrite") for action in group):
                    assert not seen.scanned & filled or is_validation(group), group


def strong(locks: dict[str, str]) -> dict[str, str]:
    """Leave out what stands in nobody's way."""
    return {table: mode for table, mode in locks.items() if STRENGTH.index(mode) >= _TOLD}


def is_validation(group: list[Action]) -> bool:
    return all(action.cost == "weak" for action in group)


@pytest.mark.parametrize("version", [pytest.param(140_000, marks=pytest.mark.slow), 170_000])
@pytest.mark.parametrize(
    "name",
    [
        "not null fills rows with the default",
        "a column with a time is added",
        "a column with everything on it gets another type",
        "text becomes bigint",
    ],
)
def test_the_way_of_older_servers_leads_to_the_same_schema(url: str, name: str, version: int) -> None:
    """Every statement of the older way is one that the newer server knows too."""
    case = next(case for case in CASES if case.name == name)
    derived = derived_of(case.after)
    with schema_with(url, case.before, case.rows) as engine, Watched(engine) as session:
        wanted = read_wanted(session, derived)
        session.server_version = min(version, session.server_version)
        prepared = prepare(session, wanted, case.consent, exact=True)
        runner = Runner(session, prepared.sizes, lock_timeout_s=5, can_silence_triggers=True)

        runner.run(prepared.actions)

        assert prepare(session, wanted, case.consent, exact=True).actions == ()
        proofs = [
            action.statements[0] for action in prepared.actions if "IS NOT NULL) NOT VALID" in str(action)
        ]
        assert bool(proofs) == any(step.stage == Stage.NOT_NULL for step in prepared.actions)
        for seen in session.seen:
            assert not seen.rewritten
