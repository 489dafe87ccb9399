"""The corruption laboratory itself: its bases are what they seem, its oracle sees what is gone."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.corruption import FAMILIES, TrackedFile, all_kinds, damaged
from support.corruption_bases import BASES, make_base
from support.corruption_contestants import plain_copy, selected
from support.corruption_format import Place, decode_record, log_frames, log_seal
from support.corruption_score import Sum, score
from support.corruption_truth import open_copy, read_rows
from support.sampling import some

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

SMALL = ("app-512", "app-wal-1024", "app-hot-1024")
UNDAMAGED = "read_only_file"


@pytest.mark.parametrize("name", SMALL)
def test_the_oracles_reader_finds_the_values_that_sqlite_selects(name: str) -> None:
    truth = make_base(name).truth

    compared = 0
    for spec in truth.specs:
        for key, row in truth.tables[spec.name].items():
            held = dict(zip(spec.record, decode_record(row.cell.record, truth.store.encoding)))
            known = {column: value for column, value in held.items() if column is not None}
            assert known == {column: row.values[spec.columns.index(column)] for column in known}, (
                spec.name,
                key,
            )
            compared += 1
    assert compared == truth.rows > 3000


@pytest.mark.parametrize("name", SMALL)
def test_sqlite_itself_brings_a_sound_base_to_its_truth(name: str, tmp_path: Path) -> None:
    base = make_base(name)

    with closing(open_copy(base.files, tmp_path)) as connection:
        for spec in base.truth.specs:
            rows = {key: row.values for key, row in base.truth.tables[spec.name].items()}
            assert read_rows(connection, spec) == rows
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("name", SMALL)
def test_every_page_of_a_base_has_a_role(name: str) -> None:
    truth = make_base(name).truth

    assert {*truth.roles} == {*range(1, truth.store.count + 1)}


@pytest.mark.parametrize("name", SMALL)
def test_every_piece_of_a_row_lies_where_the_truth_says(name: str) -> None:
    base = make_base(name)

    for rows in base.truth.tables.values():
        for row in rows.values():
            for piece in row.pieces:
                assert len({base.files[place.file][place.start :][: place.length] for place in piece}) == 1


@pytest.mark.parametrize("name", SMALL)
def test_a_base_still_holds_remains_of_deleted_rows(name: str) -> None:
    base = make_base(name)
    every = b"".join(base.files.values())

    gone = [values for table, _, values in base.past if table == "document"]
    remains = [values for values in gone if str(values[1]).encode() in every]
    assert len(gone) > 10
    assert len(remains) > len(gone) / 4


def test_the_bases_are_of_every_layout() -> None:
    recipes = BASES.values()

    assert {512, 1024, 4096, 65536} <= {recipe.page_size for recipe in recipes}
    assert {recipe.encoding for recipe in recipes} == {"UTF-8", "UTF-16le", "UTF-16be"}
    assert {recipe.auto_vacuum for recipe in recipes} == {0, 1, 2}
    assert {recipe.mode for recipe in recipes} == {"plain", "wal", "hot", "old-log"}


def test_another_process_makes_the_same_base() -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from support.corruption_bases import make_base\n"
        "print(hashlib.sha256(b''.join(make_base('app-wal-1024').files.values())).hexdigest())"
    )
    tests = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", program, str(tests)], capture_output=True, check=True, text=True
    )

    ours = hashlib.sha256(b"".join(make_base("app-wal-1024").files.values())).hexdigest()
    assert done.stdout.strip() == ours


def test_the_hot_bases_are_torn_without_their_journal(tmp_path: Path) -> None:
    files = {"main": make_base("app-hot-1024").files["main"]}

    with closing(open_copy(files, tmp_path)) as connection:
        try:
            said = connection.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError as exc:
            said = [(str(exc),)]

    assert said != [("ok",)]


def test_a_log_sealed_anew_is_replayed() -> None:
    log = make_base("app-wal-1024").files["wal"]

    sealed = log_seal(log, b"saltsalt")

    assert [frame[:2] for frame in log_frames(sealed)] == [frame[:2] for frame in log_frames(log)]
    assert log_seal(sealed, log[16:24]) == log


def test_there_are_kinds_of_every_family() -> None:
    kinds = all_kinds()

    assert {kind.family for kind in kinds.values()} == {*FAMILIES}
    assert len(kinds) >= 80


@pytest.mark.slow
@pytest.mark.parametrize("name", some(all_kinds(), 8))
def test_a_kind_changes_the_files_the_same_way_for_the_same_seed(name: str) -> None:
    damage, again = damaged(name, 3), damaged(name, 3)

    data = {file: bytes(tracked.data) for file, tracked in damage.files.items()}
    assert data != damage.base.files or damage.form != "file" or damage.extra
    assert data == {file: bytes(tracked.data) for file, tracked in again.files.items()}
    assert all(sum(run.length for run in held.runs) == len(held) for held in damage.files.values())


@pytest.mark.parametrize("base", ["app-512", "app-1024-full"])
def test_a_plain_copy_of_an_undamaged_file_scores_one(base: str) -> None:
    found = score(damaged(UNDAMAGED, 0, base), UNDAMAGED, 0, plain_copy)

    assert found.share == 1.0
    assert found.is_healthy, found.faults
    assert not found.false
    assert found.is_untouched


@pytest.mark.parametrize("name", ["log_tail_garbage", "kept_page_zeroed"])
def test_what_sqlite_repairs_itself_scores_one_by_a_plain_copy(name: str) -> None:
    kind = all_kinds()[name]

    found = score(damaged(name, 0, kind.bases[-1]), name, 0, plain_copy)

    assert found.share == 1.0
    assert found.is_healthy, found.faults


def test_selecting_what_can_be_selected_scores_visibly_lower() -> None:
    names = ("zeroed_root", "first_page_zeroed", "zeroed_inner_nodes", "missing_pages", "page_size_wrong")

    found = Sum.of(score(damaged(name, 0, "app-512"), name, 0, selected) for name in names)

    assert found.in_place < 0.7


def test_a_program_that_writes_into_the_original_is_told() -> None:
    def careless(source: Path, target: Path, base: object) -> None:
        plain_copy(source, target, make_base("app-512"))
        source.with_name("left-behind").touch()

    assert not score(damaged("zeroed_leaf", 0, "app-512"), "zeroed_leaf", 0, careless).is_untouched


def test_rows_of_the_past_and_rows_made_up_count_as_false() -> None:
    damage = damaged(UNDAMAGED, 0, "app-512")
    known = {*damage.truth.tables["event"]}
    deleted = [past for past in sorted(damage.past, key=repr) if past[0] == "event" and past[1] not in known]
    _, key, values = deleted[0]

    def inventive(source: Path, target: Path, base: object) -> None:
        plain_copy(source, target, damage.base)
        with closing(open_copy({"main": target.read_bytes()}, target.parent)) as connection:
            connection.execute(
                "INSERT INTO event (rowid, happened_at, kind, line, level) VALUES (?, ?, ?, ?, ?)",
                [key, *values],
            )
            connection.execute("INSERT INTO event (rowid, line) VALUES (900001, 'made up')")
            connection.execute("UPDATE event SET line = 'other' WHERE rowid = (SELECT min(rowid) FROM event)")
        target.write_bytes(target.with_name("copy.db").read_bytes())

    found = score(damage, UNDAMAGED, 0, inventive)

    assert found.false == {"resurrected": 1, "invented": 1, "altered": 1}
    assert found.recoverable - found.in_place == 1


def test_a_row_that_only_an_index_has_is_covered_and_not_recoverable() -> None:
    damage = damaged("covered_table_zeroed", 0, "app-512")

    found = score(damage, "covered_table_zeroed", 0, selected)

    assert found.covered > 300
    assert found.recoverable + found.covered == damage.truth.rows


def test_a_row_of_an_older_version_of_its_page_still_counts_as_left() -> None:
    damage = damaged("log_frame_half_gone", 0, "app-wal-1024")
    survives = damage.surviving()

    gone = [row for _, _, row in damage.rows() if not survives(row.pieces)]
    assert len(gone) < 30
    assert any(place.file == "main" for _, _, row in damage.rows() for place in row.pieces[0][1:])


def test_rows_whose_parent_is_gone_have_no_place() -> None:
    damage = damaged(UNDAMAGED, 0, "app-512")
    for page in damage.pages("index-leaf", "index-inner", table="product"):
        damage.put(page, 0, bytes(damage.size))

    found = score(damage, UNDAMAGED, 0, selected)

    lines = len(damage.truth.tables["line"])
    assert lines > 500
    assert found.recoverable + found.covered == damage.truth.rows - lines - len(
        damage.truth.tables["product"]
    )


@pytest.mark.parametrize("is_named", [True, False])
def test_stubs_for_lost_parents_are_counted_apart_where_they_are_named(is_named: bool) -> None:
    damage = damaged(UNDAMAGED, 0, "app-512")
    for page in damage.pages("index-leaf", "index-inner", table="product"):
        damage.put(page, 0, bytes(damage.size))

    def careful(source: Path, target: Path, base: object) -> None:
        with closing(sqlite3.connect(target, isolation_level=None)) as connection:
            connection.executescript(damage.base.schema_sql)
            insert = "INSERT INTO product VALUES (?, ?, 0, NULL, NULL)"
            connection.executemany(
                insert, [[*key, f"lost {key[0]}"] for key in damage.truth.tables["product"]]
            )
            if is_named:
                connection.execute("CREATE TABLE lost_and_found (reason TEXT, c0, c1, c2)")
                reason = "placeholder for a lost row"
                sql = "INSERT INTO lost_and_found SELECT ?, code, title, price FROM product"
                connection.execute(sql, (reason,))

    found = score(damage, UNDAMAGED, 0, careful)

    products = len(damage.truth.tables["product"])
    assert (found.placeholders, found.false.total()) == ((products, 0) if is_named else (0, products))


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[str, int, int, int]]:
    names = st.sampled_from(["put", "insert", "cut", "copy", "swap"])
    number = st.integers(0, 60)
    return draw(st.lists(st.tuples(names, number, number, st.integers(1, 12)), max_size=8))


@given(edits())
def test_the_account_of_bytes_is_right_after_any_edits(work: list[tuple[str, int, int, int]]) -> None:
    original = bytes(range(100))
    tracked = TrackedFile("main", original)

    for name, one, other, length in work:
        top = max(0, len(tracked) - 13)
        one, other = min(one, top), min(other, top)
        if name in ("put", "insert"):
            getattr(tracked, name)(one, bytes(200 + place for place in range(length)))
        elif name == "cut":
            tracked.cut(one, min(length, len(tracked) - one))
        elif abs(one - other) >= length and len(tracked) > 26:
            getattr(tracked, name)(one, other, length)

    position = 0
    for run in tracked.runs:
        if run.file:
            held = tracked.data[position : position + run.length]
            assert held == original[run.start : run.start + run.length]
        position += run.length
    assert position == len(tracked)


def test_a_piece_that_moved_whole_is_left_and_one_that_was_cut_is_not() -> None:
    damage = damaged(UNDAMAGED, 0, "app-512")
    damage.main.insert(5000, b"new")
    damage.main.swap(damage.at(30), damage.at(40), 512)
    survives = damage.surviving()

    assert survives([[Place("main", 4000, 1000)], [Place("main", 39 * 512, 500)]])
    assert not survives([[Place("main", 4990, 20)]])
