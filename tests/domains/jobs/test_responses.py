"""Responses: in the row or in a file, written at once or bit by bit, read back by one call."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import Clock
from support.processes import worker

from datalayer import CheckViolation, DatabaseCorrupt, DataLayerError, InvalidTransition, NotFound
from datalayer.domains.jobs import FileProblem, Job, Jobs
from datalayer.store import Store, connect

LIMIT = 64 * 1024


def running(jobs: Jobs) -> Job:
    jobs.enqueue("t")
    job = jobs.claim("w", lease_s=60)
    assert job is not None
    jobs.start(job)
    return job


def files(jobs: Jobs) -> list[Path]:
    folder = jobs.files.folder
    return sorted(folder.iterdir()) if folder.is_dir() else []


# -- at once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("done", 0), ("x" * LIMIT, 0), ("x" * (LIMIT + 1), 1), ("é" * (LIMIT // 2 + 1), 1)],
)
def test_response_over_the_limit_is_in_a_file(jobs: Jobs, text: str, count: int) -> None:
    job = running(jobs)
    jobs.complete(job, text)

    stored = jobs.get(job.id)
    assert len(files(jobs)) == count
    assert (stored.response is None) == (stored.output_file_path is not None) == bool(count)
    assert stored.chars_received == len(text)
    assert jobs.read_response(job) == jobs.read_response(job.id) == text
    assert jobs.check_files(older_than_s=0) == []


def test_limit_is_the_repositorys(store: Store, tmp_path: Path) -> None:
    jobs = Jobs(store.engine, data_dir=tmp_path, response_limit=10)
    job = running(jobs)
    jobs.complete(job, "eleven char")

    assert job.output_file_path is not None
    assert jobs.read_response(job) == "eleven char"


def test_path_is_relative_to_the_data_folder(jobs: Jobs, store: Store) -> None:
    job = running(jobs)
    jobs.complete(job, "x" * 100_000)

    assert job.output_file_path is not None
    assert job.output_file_path.startswith(f"jobs/{job.id}.1.")
    assert (store.data_dir / job.output_file_path).read_text() == "x" * 100_000


def test_value_that_is_no_text_is_kept_as_json(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.complete(job, {"answer": [1, None]})

    assert jobs.read_response(job) == '{"answer":[1,null]}'


@pytest.mark.parametrize("text", ["a\0b", "half \ud800", "\0" * 100_000])
def test_text_that_no_database_can_store_is_refused_before_it_is_written(jobs: Jobs, text: str) -> None:
    job = running(jobs)

    with pytest.raises(CheckViolation, match="cannot be stored"):
        jobs.complete(job, text)
    with pytest.raises(CheckViolation, match="cannot be stored"):
        jobs.append(job, text)
    assert files(jobs) == []


def test_response_without_a_data_folder_is_refused_only_when_it_is_long(store: Store) -> None:
    jobs = Jobs(store.engine)
    job = running(jobs)
    with pytest.raises(DataLayerError, match="data_dir"):
        jobs.complete(job, "x" * 100_000)

    jobs.complete(job, "short")
    assert jobs.check_files() == []


def test_response_of_a_missing_job_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        jobs.read_response("nobody")


# -- bit by bit ------------------------------------------------------------------------------------


def test_appended_text_is_there_while_the_job_runs(jobs: Jobs, clock: Clock) -> None:
    job = running(jobs)
    clock.move(1)
    jobs.append(job, "one ")
    jobs.append(job, "")
    clock.move(1)
    jobs.append(job, "twö")

    assert jobs.read_response(job.id) == "one twö"
    assert job.chars_received == 7
    assert job.__data__ == jobs.get(job.id).__data__


def test_stream_moves_into_a_file_at_the_limit_and_goes_on_there(jobs: Jobs, clock: Clock) -> None:
    job = running(jobs)
    pieces = [f"{n:05} é " for n in range(20_000)]
    for n in range(0, 20_000, 1_000):
        clock.move(1)
        jobs.append(job, "".join(pieces[n : n + 1_000]))

        assert jobs.read_response(job.id) == "".join(pieces[: n + 1_000])
    clock.move(1)
    jobs.complete(job)

    assert jobs.read_response(job.id) == "".join(pieces)
    assert len(files(jobs)) == 1
    assert job.__data__ == jobs.get(job.id).__data__


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)),
    limit=st.integers(0, 40),
)
def test_stream_reads_back_whatever_its_pieces_and_the_limit(
    jobs: Jobs, pieces: list[str], limit: int
) -> None:
    jobs.response_limit = limit
    job = running(jobs)
    for piece in pieces:
        jobs.append(job, piece)

    whole = "".join(pieces)
    stored = jobs.get(job.id)
    assert (jobs.read_response(job) or "") == whole
    assert stored.chars_received == len(whole)
    assert (stored.output_file_path is not None) == (len(whole.encode()) > limit)
    jobs.complete(job)


def test_job_that_does_not_run_takes_no_text(jobs: Jobs) -> None:
    jobs.enqueue("t")
    job = jobs.claim("w")
    assert job is not None

    with pytest.raises(InvalidTransition, match="acknowledged_by_worker: append cannot follow"):
        jobs.append(job, "early")


def test_append_that_is_made_again_is_there_once(jobs: Jobs) -> None:
    # as after a commit whose answer was lost: the worker's Job knows nothing of it
    for text in ("short", "x" * 70_000, "behind"):
        job = running(jobs)
        jobs.append(job, "first ")
        if text == "behind":
            jobs.append(job, "y" * 70_000)
        before = jobs.read_response(job) or ""
        unaware = jobs.get(job.id)
        jobs.append(job, text)

        jobs.append(unaware, text)
        jobs.append(unaware, "!")

        assert jobs.read_response(job) == before + text + "!"
        jobs.complete(unaware)
    assert jobs.check_files(older_than_s=0) == []


@pytest.mark.parametrize("long", [False, True])
def test_two_that_append_at_one_place_do_not_both_succeed(jobs: Jobs, long: bool) -> None:
    job = running(jobs)
    jobs.append(job, "x" * (70_000 if long else 7))
    other = jobs.get(job.id)
    jobs.append(job, "mine")

    with pytest.raises(InvalidTransition, match=r"has received .* characters, not"):
        jobs.append(other, "other")
    assert (jobs.read_response(job) or "").endswith("xmine")


@pytest.mark.parametrize("long", [False, True])
def test_append_of_an_undone_transaction_is_not_there(jobs: Jobs, store: Store, long: bool) -> None:
    job = running(jobs)
    jobs.append(job, "x" * (70_000 if long else 7))
    before = jobs.read_response(job)
    with pytest.raises(ZeroDivisionError), store.transaction():
        jobs.append(job, "undone")
        _ = 1 / 0

    assert jobs.read_response(job) == before
    with pytest.raises(InvalidTransition, match="read the job again"):
        jobs.append(job, "more")
    again = jobs.get(job.id)
    jobs.append(again, "more")
    assert jobs.read_response(job) == f"{before}more"


def test_zombie_cannot_write_into_the_file_of_the_new_attempt(jobs: Jobs, clock: Clock) -> None:
    zombie = running(jobs)
    jobs.append(zombie, "old " * 20_000)
    clock.move(61)
    jobs.rescue_expired()
    new = jobs.claim("other")
    assert new is not None
    jobs.start(new)
    jobs.append(new, "new " * 20_000)

    with pytest.raises(InvalidTransition, match="lost job"):
        jobs.append(zombie, "from the grave")

    jobs.append(new, "end")
    assert jobs.read_response(new) == "new " * 20_000 + "end"
    assert [path.name.split(".")[1] for path in files(jobs)] == ["2"]


def test_stream_whose_file_vanished_says_so(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.append(job, "x" * 70_000)
    for path in files(jobs):
        path.unlink()

    with pytest.raises(NotFound, match="is gone"):
        jobs.append(job, "more")
    jobs.fail(job, "lost", retry=0)
    again = jobs.claim("w")
    assert again is not None
    jobs.complete(again, "anew")
    assert jobs.read_response(again) == "anew"


def test_response_given_at_the_end_replaces_what_was_appended(jobs: Jobs) -> None:
    for first, last in [("a", "b"), ("a" * 70_000, "b"), ("a", "b" * 70_000), ("a" * 70_000, "b" * 70_000)]:
        job = running(jobs)
        jobs.append(job, first)
        jobs.complete(job, last)

        assert jobs.read_response(job) == last
    assert len(files(jobs)) == 2
    assert jobs.check_files(older_than_s=0) == []


def test_canceled_job_keeps_what_was_appended(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.append(job, "z" * 70_000)
    jobs.cancel(job.id)

    assert jobs.read_response(job) == "z" * 70_000


def test_killed_stream_holds_what_was_acknowledged_and_nothing_twice(database: str, tmp_path: Path) -> None:
    piece = "0123456789é"
    with connect(database, data_dir=tmp_path) as store:
        store.jobs.response_limit = 1_000
        job = store.jobs.enqueue("t")
        with worker("domains.jobs.workers", "stream_for_ever", database, str(tmp_path), piece * 1_000) as one:
            said = [int(one.line()) for _ in range(25)]
            one.kill()

        text = store.jobs.read_response(job.id) or ""
        assert len(text) >= said[-1] == 25 * 11_000
        assert len(text) % 11_000 == 0
        assert text == piece * (len(text) // 11)


# -- files -----------------------------------------------------------------------------------------


def test_process_that_dies_between_file_and_row_leaves_an_orphan(database: str, tmp_path: Path) -> None:
    with connect(database, data_dir=tmp_path) as store:
        jobs = store.jobs
        job = jobs.enqueue("t")
        with worker("domains.jobs.workers", "die_between_file_and_row", database, str(tmp_path)) as one:
            assert one.line() == "written"
            one.kill()

        assert jobs.get(job.id).status == "acknowledged_by_worker"
        assert jobs.read_response(job) is None
        # younger than a row that may still be on its way
        assert jobs.check_files() == []
        (orphan,) = jobs.check_files(older_than_s=0)
        assert (orphan.kind, orphan.job_id, orphan.size_bytes) == ("orphan", job.id, 100_000)
        assert jobs.remove_orphan_files(older_than_s=0) == 1
        assert files(jobs) == []


def test_half_written_file_is_an_orphan(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.complete(job, "x" * 70_000)
    half = jobs.files.folder / f"{job.id}.1.0123456789abcdef.txt.tmp"
    half.write_text("hal")

    assert jobs.check_files(older_than_s=0) == [
        FileProblem(kind="orphan", path=f"jobs/{half.name}", job_id=job.id, size_bytes=3)
    ]
    assert jobs.remove_orphan_files(older_than_s=0) == 1
    assert jobs.read_response(job) == "x" * 70_000


def test_files_that_are_not_ours_are_left_alone(jobs: Jobs) -> None:
    running(jobs)
    folder = jobs.files.folder
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    (folder / "a.1.0123456789abcdef.txt").mkdir()

    assert jobs.check_files(older_than_s=0) == []
    assert jobs.remove_orphan_files(older_than_s=0) == 0
    assert (folder / "notes.txt").exists()


def test_deleted_session_leaves_orphans(jobs: Jobs, store: Store, session: str) -> None:
    jobs.enqueue("t", session_id=session)
    job = jobs.claim("w")
    assert job is not None
    jobs.complete(job, "x" * 70_000)
    store.engine.write(store.engine.dialect.sql("DELETE FROM sessions WHERE id = ?"), (session,))

    assert [problem.kind for problem in jobs.check_files(older_than_s=0)] == ["orphan"]


def test_lost_and_shortened_files_are_told_and_read_as_errors(jobs: Jobs) -> None:
    lost, cut = running(jobs), running(jobs)
    jobs.complete(lost, "x" * 70_000)
    jobs.complete(cut, "x" * 70_000)
    assert lost.output_file_path
    assert cut.output_file_path
    jobs.files.place(lost.output_file_path).unlink()
    jobs.files.place(cut.output_file_path).write_text("x" * 69_999)

    with pytest.raises(NotFound, match="cannot be opened"):
        jobs.read_response(lost)
    with pytest.raises(DatabaseCorrupt, match="69999 of 70000"):
        jobs.read_response(cut)
    found = {problem.job_id: problem.kind for problem in jobs.check_files()}
    assert found == {lost.id: "missing", cut.id: "short"}


PATHS_OUTSIDE = [
    "../secret.txt",
    "jobs/../secret.txt",
    "jobs/../../secret.txt",
    "/etc/passwd",
    "jobs//etc/passwd",
    "jobs/a.1.0123456789abcdef.txt/../../secret.txt",
    "jobs\\..\\secret.txt",
    "secret.txt",
    "jobs/secret.txt",
    "",
]


@pytest.mark.parametrize("path", PATHS_OUTSIDE)
def test_stored_path_that_leads_elsewhere_is_never_opened_or_removed(
    jobs: Jobs, store: Store, path: str
) -> None:
    store.data_dir.mkdir(parents=True, exist_ok=True)
    secret = store.data_dir / "secret.txt"
    secret.write_text("s")
    job = running(jobs)
    jobs.complete(job, "done")
    jobs.update(job.id, response=None, output_file_path=path, chars_received=1)

    with pytest.raises(DataLayerError, match="no path of a response file"):
        jobs.read_response(job)
    jobs.prune(older_than_days=-1)
    assert secret.read_text() == "s"


def test_link_in_the_place_of_a_response_is_not_followed(jobs: Jobs, store: Store) -> None:
    job = running(jobs)
    jobs.complete(job, "x" * 70_000)
    secret = store.data_dir / "secret.txt"
    secret.write_text("s" * 70_000)
    assert job.output_file_path
    place = jobs.files.place(job.output_file_path)
    place.unlink()
    place.symlink_to(secret)

    with pytest.raises(NotFound):
        jobs.read_response(job)
    jobs.prune(older_than_days=-1)
    assert secret.exists()


@pytest.mark.parametrize("key", ["../../up", "a/b", "a.1.b", "nul\n", "ä"])
def test_id_that_cannot_name_a_file_is_refused_for_long_responses_only(jobs: Jobs, key: str) -> None:
    jobs.enqueue("t", id=key)
    job = jobs.claim("w")
    assert job is not None

    with pytest.raises(CheckViolation, match="cannot be kept in a file"):
        jobs.complete(job, "x" * 70_000)
    jobs.complete(job, "short")
    assert jobs.read_response(key) == "short"


# -- pruning ---------------------------------------------------------------------------------------


def finished(jobs: Jobs, response: str) -> Job:
    job = running(jobs)
    jobs.complete(job, response)
    return job


def test_prune_deletes_old_jobs_with_their_files(jobs: Jobs, clock: Clock) -> None:
    for n in range(5):
        finished(jobs, "x" * (70_000 + n))
    waiting = jobs.enqueue("t", run_at=clock.now + timedelta(days=300))
    clock.move(31 * 86_400)
    young = finished(jobs, "y" * 70_000)

    assert jobs.prune(older_than_days=30, batch=2) == 5

    assert {job.id for job in jobs.find()} == {waiting.id, young.id}
    assert len(files(jobs)) == 1
    assert jobs.check_files(older_than_s=0) == []


def test_prune_keeps_files_while_its_transaction_may_be_undone(
    jobs: Jobs, store: Store, clock: Clock
) -> None:
    job = finished(jobs, "x" * 70_000)
    clock.move(86_400)
    with pytest.raises(ZeroDivisionError), store.transaction():
        assert jobs.prune(older_than_days=0) == 1
        _ = 1 / 0

    assert jobs.read_response(job) == "x" * 70_000
    with store.transaction():
        assert jobs.prune(older_than_days=0) == 1
        assert len(files(jobs)) == 1
    assert files(jobs) == []
