"""Texts of all domains are found by their words on every engine, by those who may read them."""

from __future__ import annotations

import pytest

from datalayer.domains.search import KINDS, SearchHit
from datalayer.domains.search.sources import sources
from datalayer.domains.sessions import Session
from datalayer.errors import CheckViolation
from datalayer.store import Store


@pytest.fixture
def ann(store: Store) -> str:
    return store.accounts.sign_up("ann@example.org").id


@pytest.fixture
def bob(store: Store) -> str:
    return store.accounts.sign_up("bob@example.org").id


def keys(hits: list[SearchHit]) -> list[tuple[str, str]]:
    return [(hit.kind, hit.source_id) for hit in hits]


def one_of_each(store: Store, user_id: str) -> dict[str, str]:
    """Write a text of each kind with the word `zebra`, and give the keys."""
    session = store.sessions.save(Session(name="Zebra", project_directory="/p"), []).session
    draft = store.drafts.create(user_id, title="On stripes", content="A zebra has them.").draft
    said = store.drafts.add_message(draft.id, "user", "More zebra, please", user_id=user_id)
    thread = store.builder.create_thread(user_id, "Zoo")
    asked = store.builder.post_message(thread.id, "user", "Draw a zebra.", user_id=user_id)
    known = store.sandboxes.knowledge.create(user_id, "animals", "The zebra is no horse.", title="Zebra")
    sandbox = store.sandboxes.create(user_id, "zoo")
    chat = store.sandboxes.chats.create(sandbox.id, user_id=user_id)
    told = store.sandboxes.chats.messages.post(chat.id, "user", "zebra!", user_id=user_id)
    talk = store.workspaces.threads.create(user_id, "Animals").thread
    me = store.workspaces.threads.participant_of(user_id, talk.id)
    posted = store.workspaces.messages.post(me.id, "Have you seen the zebra?").message
    return {
        "session": session.id,
        "draft": draft.id,
        "draft_message": said.id,
        "builder_message": asked.id,
        "knowledge": known.id,
        "chat_message": told.id,
        "thread_message": posted.id,
    }


@pytest.mark.slow
def test_every_kind_of_text_is_found_and_follows_its_row(store: Store, ann: str, bob: str) -> None:
    made = one_of_each(store, ann)
    assert {source.kind for source in sources(store.engine)} == {*KINDS} == {*made}

    assert dict(keys(store.search.find("zebra"))) == made
    mine = {kind: key for kind, key in made.items() if kind != "session"}
    assert dict(keys(store.search.find("ZEBRA", user_id=ann))) == mine
    assert store.search.find("zebra", user_id=bob) == []
    assert store.check() == []

    store.drafts.add_version(made["draft"], "No more of it.", user_id=ann)
    store.sandboxes.knowledge.edit(made["knowledge"], user_id=ann, title="Horse", content="A horse.")
    store.sessions.delete(made["session"])
    left = {*mine} - {"draft", "knowledge"}
    assert set(dict(keys(store.search.find("zebra")))) == left
    assert keys(store.search.find("horse")) == [("knowledge", made["knowledge"])]

    store.accounts.delete(ann)
    assert store.search.find("zebra OR horse OR more") == []
    assert store.check() == []


def test_those_who_take_part_in_a_thread_find_its_messages(store: Store, ann: str, bob: str) -> None:
    talk = store.workspaces.threads.create(ann, "Animals").thread
    me = store.workspaces.threads.participant_of(ann, talk.id)
    store.workspaces.messages.post(me.id, "Have you seen the zebra?")
    assert store.search.find("zebra", user_id=bob) == []

    store.workspaces.threads.participants.add(thread_id=talk.id, user_id=bob, role="member")

    assert [hit.kind for hit in store.search.find("zebra", user_id=bob)] == ["thread_message"]


def test_the_better_hit_comes_first_with_its_words_marked(store: Store, ann: str) -> None:
    knowledge = store.sandboxes.knowledge
    other = knowledge.create(ann, "a", "much ado about the milk " + "and other things " * 40).id
    title = knowledge.create(ann, "a", "nothing else", title="Milk").id
    knowledge.create(ann, "a", "bread")

    found = store.search.find("milk", user_id=ann, marks=("<b>", "</b>"), words=6)

    assert [hit.source_id for hit in found] == [title, other]
    assert found[0].title == "<b>Milk</b>"
    assert "the <b>milk</b> and" in found[1].snippet
    assert found[0].score > found[1].score
    assert store.search.find("milk", user_id=ann, size=1, skip=1)[0].source_id == other
    assert store.search.find("milk", user_id=ann, kinds=["draft"]) == []


ASKED = {
    "red fox": "ab",
    '"red fox"': "a",
    "red -quick": "b",
    "quick OR slow": "ab",
    "fo*": "ab",
    "mail@example.org": "c",
    "example": "c",
    "snake_case": "c",
    "case": "c",
    "größe": "c",
    "3.14": "c",
    "redfox": "",
}


def test_words_phrases_beginnings_and_exclusions(store: Store, ann: str) -> None:
    knowledge = store.sandboxes.knowledge
    texts = {
        "a": "the quick red fox",
        "b": "a slow fox, not red",
        "c": "write to mail@example.org of snake_case, GRÖSSE Größe and 3.14",
    }
    named = {knowledge.create(ann, "x", text).id: name for name, text in texts.items()}

    found = {text: {named[hit.source_id] for hit in store.search.find(text, user_id=ann)} for text in ASKED}

    assert found == {text: {*names} for text, names in ASKED.items()}


def test_an_answer_that_is_being_written_is_found_when_it_is_done(store: Store, ann: str) -> None:
    sandbox = store.sandboxes.create(ann, "zoo")
    chat = store.sandboxes.chats.create(sandbox.id, user_id=ann)
    messages = store.sandboxes.chats.messages
    answer = messages.post(chat.id, "assistant", "A ze", user_id=ann, status="streaming")
    messages.append(answer.id, "bra", user_id=ann)
    assert store.search.find("zebra", user_id=ann) == []

    messages.finish(answer.id, user_id=ann)

    assert keys(store.search.find("zebra", user_id=ann)) == [("chat_message", answer.id)]


def test_a_change_that_is_undone_is_not_found(store: Store, ann: str) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.sandboxes.knowledge.create(ann, "a", "zebra")
        assert len(store.search.find("zebra")) == 1
        raise ZeroDivisionError

    assert store.search.find("zebra") == []


@pytest.mark.slow
def test_texts_that_are_out_of_step_are_told_and_made_anew(store: Store, ann: str) -> None:
    made = one_of_each(store, ann)
    before = keys(store.search.find("zebra"))
    store.engine.write("UPDATE search_documents SET body = 'other' WHERE kind = 'draft'")
    store.engine.write("DELETE FROM search_documents WHERE kind = 'knowledge'")
    store.engine.write(
        "INSERT INTO search_documents (kind, source_id, body) VALUES ('chat_message', 'gone', 'zebra')"
    )

    told = {(one.id, one.object, one.count) for one in store.check() if one.id == "DL-C310"}
    assert told == {("DL-C310", "draft", 1), ("DL-C310", "knowledge", 1), ("DL-C310", "chat_message", 1)}

    assert store.search.rebuild() == len(made)
    assert store.check() == []
    assert sorted(keys(store.search.find("zebra"))) == sorted(before)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"size": 0}, {"size": 201}, {"skip": -1}, {"words": 0}])
def test_a_page_that_cannot_be_is_refused(store: Store, options: dict[str, int]) -> None:
    with pytest.raises(CheckViolation):
        store.search.find("zebra", **options)  # type: ignore[arg-type] the options are whole numbers


@pytest.mark.slow
def test_a_text_of_any_length_can_be_written(store: Store, ann: str) -> None:
    words = " ".join(f"w{number}" for number in range(200_000))

    key = store.sandboxes.knowledge.create(ann, "a", f"zebra {words} giraffe").id

    assert keys(store.search.find("zebra w1000")) == [("knowledge", key)]
    assert store.search.find("giraffe") == []
