"""What the operations of the domains cost against the same work in SQL by hand, on the same schema and data.

Each contestant has a database of its own, made and filled in the same way. An operation is done some times by
one and then by the other, in each round; the table shows the medians of the rounds' ratios.
"""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import datalayer
from benchmarks.domains_by_hand import ByHand, write_and_sync
from benchmarks.harness import Report, Row, Settings, Table, Target, median_ratio, timed
from datalayer.domains.activity import ActivityEntry
from datalayer.domains.workspaces import ThreadParticipant
from datalayer.engine.keys import KeyRing, new_key
from datalayer.store import Store

__all__ = ["run"]

ROUNDS = 7
DOCUMENTS = 20_000
WORDS = 60
USERS = 20
VERSIONS = 200
TOKENS = 400
MEGABYTE = 1_000_000
TEXT = "The quick brown fox jumps over the lazy dog. " * 20
OURS, BY_HAND, BARE = "datalayer", "by hand", "without search"
RARE, COMMON = "word1999", "word3 word7"


@dataclass
class Side:
    """A contestant's database: what is in it, and what the next turn works on."""

    target: str
    folder: Path
    store: Store
    maker: Store
    """Prepares what is not measured, past the caches of those who are."""
    hand: ByHand
    box: AESGCM
    users: list[str] = field(default_factory=list[str])
    draft_id: str = ""
    thread_id: str = ""
    sender_id: str = ""
    session_id: str = ""
    message_id: str = ""
    tokens: list[str] = field(default_factory=list[str])
    contents: list[bytes] = field(default_factory=list[bytes])

    @property
    def user(self) -> str:
        return self.users[0]

    @cached_property
    def files(self) -> dict[str, str]:
        return {f"src/part{number % 7}/module{number}.ts": TEXT for number in range(50)}

    @cached_property
    def yesterday(self) -> datetime:
        return datetime.combine(datetime.now(UTC).date() - timedelta(days=1), time(12), UTC)

    def events(self, count: int) -> Iterator[dict[str, Any]]:
        for number in range(count):
            yield {
                "name": f"event {number % 5}",
                "user_id": self.users[number % USERS],
                "properties": {"from": "inbox", "place": number},
                "occurred_at": self.yesterday + timedelta(milliseconds=number),
            }


Work = Callable[[Side, int], object]


@dataclass(frozen=True)
class Operation:
    """What one round does `count` times; `prepare` is not measured.

    `most` is how many times as long as by hand it may take, None where the two do not do the same; where
    the server does most of it, that is not the client's CPU time.
    """

    name: str
    full: int
    ours: Work
    by_hand: Work
    prepare: Work | None = None
    most: float | None = 3.0

    by_server: bool = False

    def target(self, engine: str) -> Target | None:
        what = "wall" if self.by_server and engine == "PostgreSQL" else "cpu"
        return None if self.most is None else Target(what, self.most)


def run(settings: Settings) -> Report:
    """Measure on SQLite files, and on PostgreSQL where it belongs to the run."""
    tables = _measure(settings, "SQLite", lambda name: str(settings.folder / f"{name}.db"))
    if settings.postgres_url is not None:
        new_url = settings.postgres_url
        tables += _measure(settings, "PostgreSQL", lambda _: new_url())
    return Report("domains", tables)


def _measure(settings: Settings, engine: str, target_of: Callable[[str], str]) -> list[Table]:
    with ExitStack() as stack:
        documents = _documents(settings.size(DOCUMENTS, least=100))
        sides = {
            name: _side(stack, settings, f"{engine} {name}", target_of(name), documents, domains)
            for name, domains in ((OURS, None), (BY_HAND, None), (BARE, ("sandboxes",)))
        }
        return [_operations(settings, engine, sides), _index_cost(settings, engine, sides, documents)]


# -- the databases ---------------------------------------------------------------------------------


def _side(
    stack: ExitStack,
    settings: Settings,
    name: str,
    target: str,
    documents: Sequence[tuple[str, str]],
    domains: Sequence[str] | None,
) -> Side:
    folder = settings.folder / name
    folder.mkdir()
    key_id, key = new_key()
    options: dict[str, Any] = {"keys": KeyRing({key_id: key}), "data_dir": folder, "domains": domains}
    store = stack.enter_context(datalayer.connect(target, **options))
    store.migrate()
    maker = stack.enter_context(datalayer.connect(target, **options))
    side = Side(target, folder, store, maker, ByHand.open(target), AESGCM(key))
    stack.callback(side.hand.close)
    with store.transaction():
        side.users = [store.accounts.add(email=f"user{n}@example.org").id for n in range(USERS)]
        store.sandboxes.knowledge.add_many(
            {"user_id": side.user, "category": "notes", "title": title, "content": content}
            for title, content in documents
        )
        if domains is None:
            _fill(side, settings)
    # words that were just loaded wait in a list, which PostgreSQL's own housekeeping would have emptied
    side.hand.write("VACUUM ANALYZE" if target.startswith("postgresql:") else "ANALYZE")
    return side


def _fill(side: Side, settings: Settings) -> None:
    store, user = side.store, side.user
    draft = store.drafts.create(user, title="Letter", content=TEXT).draft
    for number in range(settings.size(VERSIONS)):
        store.drafts.add_version(draft.id, f"{number} {TEXT}", user_id=user)
    side.draft_id = draft.id
    side.thread_id = store.builder.create_thread(user, "Shop").id
    thread = store.workspaces.threads.create(user, "Sailing").thread
    participants = store.repository(ThreadParticipant)
    for other in side.users[1:10]:
        participants.add(thread_id=thread.id, user_id=other, joined_at=datetime.now(UTC))
    side.sender_id = store.workspaces.threads.participant_of(user, thread.id).id
    for one in side.users:
        store.workspaces.ai_costs.set_budget(Decimal(1_000_000), user_id=one)
    sandbox = store.sandboxes.create(user, name="Sandbox")
    side.session_id = store.sandboxes.chats.create(sandbox.id, user_id=user).id
    store.providers.credentials.set_api_key(user, "openai", "sk-1234567890-1234567890-abcd")
    tokens = range(settings.size(TOKENS))
    side.tokens = [store.accounts.sessions.open(side.users[n % USERS]).token for n in tokens]


def _documents(count: int) -> list[tuple[str, str]]:
    """Make titles and texts of words of which some are in most texts and most in few."""
    dice = random.Random(7)
    words = [f"word{number}" for number in range(2_000)]
    weights = [1 / (number + 10) for number in range(2_000)]
    taken = iter(dice.choices(words, weights, k=count * (WORDS + 4)))
    return [
        (" ".join(next(taken) for _ in range(4)), " ".join(next(taken) for _ in range(WORDS)))
        for _ in range(count)
    ]


# -- what is measured ------------------------------------------------------------------------------


def _each(act: Callable[[Side, int], object]) -> Work:
    """Do something `count` times, told which time it is."""

    def work(side: Side, count: int) -> None:
        for number in range(count):
            act(side, number)

    return work


def _stream(side: Side, count: int) -> None:
    messages = side.maker.sandboxes.chats.messages
    made = messages.post(side.session_id, "assistant", user_id=side.user, status="streaming")
    side.message_id = made.id


def _age(side: Side, count: int) -> None:
    old = datetime.now(UTC) - timedelta(days=200)
    side.maker.repository(ActivityEntry).add_many(
        {
            "action": "sandbox.start",
            "user_id": side.users[number % USERS],
            "entity_type": "sandbox",
            "entity_id": f"sandbox {number}",
            "metadata": {"tier": "builder"},
            "created_at": old + timedelta(seconds=number),
        }
        for number in range(count)
    )


def _make_contents(side: Side, count: int) -> None:
    side.contents = [os.urandom(MEGABYTE) for _ in range(count)]


def _attach(side: Side, number: int) -> None:
    side.store.attachments.attach(side.user, "cat.png", side.contents[number])


def _reserve(side: Side, number: int) -> None:
    costs = side.store.workspaces.ai_costs
    call = costs.reserve(side.users[number % USERS], Decimal("0.05"), provider="openai")
    costs.settle(call, Decimal("0.0312"), input_tokens=900, output_tokens=70)


def _open(side: Side, number: int) -> None:
    side.store.providers.credentials.open(side.user, "openai")


def _before() -> datetime:
    return datetime.now(UTC) - timedelta(days=90)


OPERATIONS = (
    Operation(
        "drafts: add a version",
        100,
        _each(lambda s, n: s.store.drafts.add_version(s.draft_id, f"{n} {TEXT}", user_id=s.user)),
        _each(lambda s, n: s.hand.add_version(s.draft_id, f"{n} {TEXT}", s.user)),
    ),
    Operation(
        "drafts: page of 50 of the history",
        100,
        _each(lambda s, n: s.store.drafts.history(s.draft_id, user_id=s.user)),
        _each(lambda s, n: s.hand.history(s.draft_id, s.user)),
    ),
    Operation(
        "builder: write 50 files",
        20,
        _each(lambda s, n: s.store.builder.write_files(s.thread_id, s.files, user_id=s.user)),
        _each(lambda s, n: s.hand.write_files(s.thread_id, s.files, s.user)),
    ),
    Operation(
        "workspaces: post to a thread of 10",
        50,
        _each(lambda s, n: s.store.workspaces.messages.post(s.sender_id, TEXT)),
        _each(lambda s, n: s.hand.post(s.sender_id, TEXT)),
    ),
    Operation(
        "workspaces: reserve and settle an AI call",
        60,
        _each(_reserve),
        _each(lambda s, n: s.hand.reserve_and_settle(s.users[n % USERS], 50_000, 31_200)),
    ),
    Operation(
        "sandboxes: post a chat message",
        100,
        _each(lambda s, n: s.store.sandboxes.chats.messages.post(s.session_id, "user", TEXT, user_id=s.user)),
        _each(lambda s, n: s.hand.post_chat(s.session_id, TEXT, s.user)),
    ),
    Operation(
        "sandboxes: append to a message",
        200,
        _each(
            lambda s, n: s.store.sandboxes.chats.messages.append(
                s.message_id, "some more words ", user_id=s.user
            )
        ),
        _each(lambda s, n: s.hand.append(s.message_id, "some more words ", s.user)),
        _stream,
    ),
    Operation(
        "providers: open a credential",
        200,
        _each(_open),
        _each(lambda s, n: s.hand.open_credential(s.user, s.box)),
    ),
    Operation(
        "providers: the same, to a plain read",
        200,
        _each(_open),
        _each(lambda s, n: s.hand.read_credential(s.user)),
        most=None,
    ),
    Operation(
        "activity: log",
        200,
        _each(
            lambda s, n: s.store.activity.log(
                "sandbox.start",
                user_id=s.users[n % USERS],
                entity_type="sandbox",
                entity_id=f"sandbox {n}",
                metadata={"tier": "builder"},
            )
        ),
        _each(lambda s, n: s.hand.log(s.users[n % USERS], f"sandbox {n}")),
    ),
    Operation(
        "activity: archive 20,000, a row",
        20_000,
        lambda s, n: s.store.activity.archive(),
        lambda s, n: s.hand.archive(_before()),
        _age,
    ),
    Operation(
        "search: a rare word in 20,000 texts",
        50,
        _each(lambda s, n: s.store.search.find(RARE, user_id=s.user)),
        _each(lambda s, n: s.hand.find(RARE, s.user)),
        by_server=True,
    ),
    Operation(
        "search: two common words",
        4,
        _each(lambda s, n: s.store.search.find(COMMON, user_id=s.user)),
        _each(lambda s, n: s.hand.find(COMMON, s.user)),
        by_server=True,
    ),
    Operation(
        "attachments: attach 1 MB",
        10,
        _each(_attach),
        _each(lambda s, n: s.hand.attach(s.user, s.contents[n], s.folder)),
        _make_contents,
    ),
    Operation(
        "attachments: the same, to a synced file",
        10,
        _each(_attach),
        _each(lambda s, n: write_and_sync(s.folder / f"plain {n}", s.contents[n])),
        _make_contents,
        most=None,
    ),
    Operation(
        "events: track 5,000 at once, each",
        5_000,
        lambda s, n: s.store.events.track_many(s.events(n)),
        lambda s, n: s.hand.track_many(s.events(n)),
    ),
    Operation(
        "events: roll up a day",
        2,
        _each(lambda s, n: s.store.events.roll_up(s.yesterday.date(), s.yesterday.date())),
        _each(lambda s, n: s.hand.roll_up(s.yesterday.date())),
        by_server=True,
    ),
    Operation(
        "accounts: session of a token",
        TOKENS,
        _each(lambda s, n: s.store.accounts.sessions.get_by_token(s.tokens[n])),
        _each(lambda s, n: s.hand.session_of(s.tokens[n])),
    ),
)


def _operations(settings: Settings, engine: str, sides: Mapping[str, Side]) -> Table:
    works = {
        each.name: {OURS: (each.ours, each.prepare), BY_HAND: (each.by_hand, each.prepare)}
        for each in OPERATIONS
    }
    counts = {each.name: settings.size(each.full, least=2) for each in OPERATIONS}
    spent = _take_turns(settings, sides, works, counts)
    rows = [
        _row(each.name, counts[each.name], spent[each.name], (OURS, BY_HAND), each.target(engine))
        for each in OPERATIONS
    ]
    driver = "sqlite3" if engine == "SQLite" else "psycopg"
    title = f"Operations of the domains on {engine}: {driver} by hand = 1"
    return Table(title, _columns(BY_HAND), rows)


Prepared = tuple[Work, Work | None]


def _take_turns(
    settings: Settings,
    sides: Mapping[str, Side],
    works: Mapping[str, Mapping[str, Prepared]],
    counts: Mapping[str, int],
) -> dict[str, dict[str, list[Mapping[str, float]]]]:
    """Let each contestant do each work once a round, now one first and now the other."""
    spent = {name: {who: list[Mapping[str, float]]() for who in both} for name, both in works.items()}
    # the round before the first one is not counted: statements are prepared, caches filled
    for number in range(-1, settings.rounds(ROUNDS)):
        for name, both in works.items():
            count = counts[name] if number >= 0 else 2
            for who in sorted(both, reverse=number % 2 == 1):
                work, prepare = both[who]
                if prepare is not None:
                    prepare(sides[who], count)
                if number < 0:
                    work(sides[who], count)
                else:
                    spent[name][who].append(timed(partial(work, sides[who], count)))
    return spent


def _columns(base: str) -> list[str]:
    return [f"{base}, cpu us", f"{base}, wall us", "cpu", "wall"]


def _row(
    name: str,
    count: int,
    spent: Mapping[str, Sequence[Mapping[str, float]]],
    pair: tuple[str, str],
    target: Target | None,
) -> Row:
    ours, base = spent[pair[0]], spent[pair[1]]
    cells: dict[str, float | None] = {}
    for what in ("cpu", "wall"):
        cells[f"{pair[1]}, {what} us"] = statistics.median(one[what] for one in base) / count * 1e6
        cells[what] = median_ratio(ours, base, what)
    return Row(name, cells, target)


# -- what the index costs --------------------------------------------------------------------------


def _index_cost(
    settings: Settings, engine: str, sides: Mapping[str, Side], documents: Sequence[tuple[str, str]]
) -> Table:
    """Insert by hand into a database with search and one without, so without its triggers."""
    shown = documents[:100]

    def insert(side: Side, count: int) -> None:
        for number in range(count):
            title, content = shown[number % len(shown)]
            side.hand.insert_document(side.user, title, content)

    def insert_together(side: Side, count: int) -> None:
        with side.hand.transaction():
            insert(side, count)

    counts = {
        f"insert a text of {WORDS} words, alone": settings.size(200, least=2),
        "insert 500 in a transaction, each": settings.size(500, least=2),
    }
    works = {
        name: {BY_HAND: (work, None), BARE: (work, None)}
        for name, work in zip(counts, (insert, insert_together), strict=True)
    }
    spent = _take_turns(settings, sides, works, counts)
    rows = [_row(name, count, spent[name], (BY_HAND, BARE), None) for name, count in counts.items()]
    title = f"What the index of search costs on {engine}: the same table without search = 1"
    return Table(title, _columns(BARE), rows, [f"beside {len(documents):,} texts that are there"])
