"""An entry of a foreign journal finds its file: by content in either form of line ends, by"
" name, number or time."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.engine.connection import Engine
from datalayer.schema.adopt.adoption import adopt
from datalayer.schema.adopt.checksums import checksum_forms
from datalayer.schema.adopt.journal import Entry, ForeignJournal
from datalayer.schema.adopt.matching import Matching, match
from datalayer.schema.adopt.version_files import Revision, ancestors, read_revisions
from datalayer.schema.numbered.folder import Folder

Apply = Callable[[Engine, int], None]


def matched(found: Matching) -> list[tuple[str, str, str]]:
    return [(one.file.name, one.by, one.content) for one in found.matches]


def write(root: Path, files: dict[str, str]) -> Folder:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_bytes(text.encode())
    return Folder(root)


# -- drizzle ---------------------------------------------------------------------------------------


def drizzle_folder(root: Path, files: dict[str, tuple[int, str]]) -> Folder:
    write(root, {f"{tag}.sql": text for tag, (_, text) in files.items()})
    entries = [
        {"idx": idx, "version": "6", "when": when, "tag": tag, "breakpoints": True}
        for idx, (tag, (when, _)) in enumerate(files.items())
    ]
    (root / "meta").mkdir()
    text = json.dumps({"version": "7", "dialect": "sqlite", "entries": entries})
    (root / "meta" / "_journal.json").write_text(text, encoding="utf-8")
    return Folder(root)


DRIZZLE = {
    "0000_users": (
        100,
        "CREATE TABLE users (id integer PRIMARY KEY);\n--> statement-breakpoint\nSELECT 1;\n",
    ),
    "0001_late": (50, "CREATE TABLE late (id integer PRIMARY KEY);\n"),
    "0002_posts": (200, "CREATE TABLE posts (id integer PRIMARY KEY);\n"),
}


def drizzle_database(engine: Engine, rows: Sequence[tuple[str, int]]) -> None:
    if engine.dialect.name == "sqlite":
        table, columns = (
            "__drizzle_migrations",
            "id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric",
        )
    else:
        engine.execute("CREATE SCHEMA drizzle")
        table, columns = "drizzle.__drizzle_migrations", "id SERIAL PRIMARY KEY, hash text, created_at bigint"
    engine.write(f"CREATE TABLE {table} ({columns})")
    for digest, when in rows:
        engine.write(
            engine.dialect.sql(f"INSERT INTO {table} (hash, created_at) VALUES (?, ?)"), (digest, when)
        )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_drizzles_files_are_found_by_hash_and_its_silent_skip_is_told(either: Engine, tmp_path: Path) -> None:
    folder = drizzle_folder(tmp_path / "drizzle", DRIZZLE)
    drizzle_database(
        either, [(sha256(DRIZZLE[tag][1]), DRIZZLE[tag][0]) for tag in ("0000_users", "0002_posts")]
    )
    either.write("CREATE TABLE users (id integer PRIMARY KEY)")
    either.write("CREATE TABLE posts (id integer PRIMARY KEY)")

    found = adopt(either, folder, apply=False)

    assert {state.name: (state.state, state.by) for state in found.files} == {
        "0000_users": ("applied", "content"),
        "0001_late": ("pending", ""),
        "0002_posts": ("applied", "content"),
    }
    (skip,) = [each for each in found.findings if each["id"] == "J003"]
    assert "drizzle would never apply it" in str(skip["message"])
    assert found.shape is not None
    assert found.shape.exact


@pytest.mark.parametrize("stored", ["crlf", "lf"])
def test_line_ends_that_git_changed_make_no_other_content(
    memory: Engine, tmp_path: Path, stored: str
) -> None:
    lf = DRIZZLE["0000_users"][1]
    crlf = lf.replace("\n", "\r\n")
    folder = drizzle_folder(tmp_path / "drizzle", {"0000_users": (100, lf if stored == "crlf" else crlf)})
    drizzle_database(memory, [(sha256(crlf if stored == "crlf" else lf), 999)])
    memory.write("CREATE TABLE users (id integer PRIMARY KEY)")

    found = adopt(memory, folder, apply=False)

    assert found.files[0].state == "applied"
    assert [(each["id"], each["severity"]) for each in found.findings] == [("J001", "info")]


def test_an_edited_drizzle_file_is_found_by_its_time(memory: Engine, tmp_path: Path) -> None:
    folder = drizzle_folder(tmp_path / "drizzle", {"0000_users": DRIZZLE["0000_users"]})
    drizzle_database(memory, [("0" * 64, 100)])
    memory.write("CREATE TABLE users (id integer PRIMARY KEY)")

    found = adopt(memory, folder, apply=False)

    assert (found.files[0].state, found.files[0].by) == ("changed", "time")
    assert [(each["id"], each["severity"]) for each in found.findings] == [("J001", "error")]


def test_a_drizzle_file_that_is_gone_has_the_name_that_the_folder_s_journal_knows(
    memory: Engine, tmp_path: Path
) -> None:
    folder = drizzle_folder(tmp_path / "drizzle", DRIZZLE)
    drizzle_database(memory, [(sha256(text), when) for when, text in DRIZZLE.values()])
    (tmp_path / "drizzle" / "0002_posts.sql").unlink()
    memory.write("CREATE TABLE users (id integer PRIMARY KEY)")

    found = adopt(memory, folder, apply=False)

    assert [name for _, name in found.without_file] == ["0002_posts"]


def test_two_drizzle_files_of_one_content_stay_two(tmp_path: Path) -> None:
    text = "-- Custom SQL migration file, put your code below! --"
    folder = drizzle_folder(tmp_path / "drizzle", {"0000_a": (1, text), "0001_b": (2, text)})
    second = ForeignJournal("drizzle", "t", (Entry("x", checksum=sha256(text), when=2),))

    assert matched(match(second, folder)) == [("0001_b", "content", "same")]


# -- checksums -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "checksum"),
    [
        ("sqlx", lambda data: hashlib.sha384(data).hexdigest()),
        ("prisma", lambda data: hashlib.sha256(data).hexdigest()),
        ("sqitch", lambda data: hashlib.sha1(data).hexdigest()),
        # the lines without their ends, as a signed number
        ("flyway", lambda _: str(zlib.crc32(b"A;B;"))),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_checksum_of_a_tool_is_that_of_the_file(
    tmp_path: Path, tool: str, checksum: Callable[[bytes], str], ends: str
) -> None:
    folder = write(tmp_path / "m", {"0001_a.sql": f"A;{ends}B;{ends}", "0002_b.sql": "other"})
    kept = checksum(b"A;\nB;\n")
    if tool == "flyway":
        number = int(kept)
        kept = str(number - 2**32 if number >= 2**31 else number)

    found = match(ForeignJournal(tool, "t", (Entry("renamed", checksum=kept),)), folder)

    assert matched(found) == [("0001_a", "content", "same")]


@given(st.binary(max_size=60))
def test_a_file_with_other_line_ends_has_a_form_in_common(content: bytes) -> None:
    lf = content.replace(b"\r\n", b"\n")

    for tool in ("drizzle", "prisma", "sqlx", "sqitch"):
        assert {*checksum_forms(tool, lf)} & {*checksum_forms(tool, lf.replace(b"\n", b"\r\n"))}


def test_a_tool_without_checksums_has_none() -> None:
    assert checksum_forms("dbmate", b"x") == {}


# -- names and numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "0001_users",
        "0001_users.sql",
        "0001_users.js",
        "1_users",
        "V1__users.sql",
        "001-Users.ts",
        "users",
        "R__users.sql",
    ],
)
def test_a_name_is_the_same_in_any_tools_way_to_write_it(folder: Folder, name: str) -> None:
    found = match(ForeignJournal("knex", "t", (Entry(name),)), folder)

    assert [one.file.name for one in found.matches] == ["0001_users"]
    assert found.without_file == ()


@pytest.mark.parametrize("name", ["0001_accounts", "2_users", "user", "0004_users.sql"])
def test_another_name_is_another_migration(folder: Folder, name: str) -> None:
    found = match(ForeignJournal("knex", "t", (Entry(name),)), folder)

    assert (found.matches, [entry.name for entry in found.without_file]) == ((), [name])


def test_a_number_that_two_files_have_finds_neither(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"0001_a.sql": "", "0001_b.sql": ""})

    found = match(ForeignJournal("dbmate", "t", (Entry("0001", version=1),)), folder)

    assert found.matches == ()


def test_one_version_stands_for_every_file_up_to_it(folder: Folder) -> None:
    found = match(ForeignJournal("golang-migrate", "t", (Entry("2", version=2),), mark=2), folder)

    assert [one.file.name for one in found.matches] == ["0001_users", "0002_age"]
    assert found.without_file == ()


def test_a_version_between_two_files_has_no_file(folder: Folder) -> None:
    found = match(ForeignJournal("golang-migrate", "t", (Entry("7", version=7),), mark=7), folder)

    assert len(found.matches) == 3
    assert [entry.name for entry in found.without_file] == ["7"]


def test_flyways_baseline_takes_the_files_below_it(folder: Folder) -> None:
    entry = Entry("V3__posts.sql", version=3)

    found = match(ForeignJournal("flyway", "t", (entry,), baseline="2"), folder)

    assert matched(found) == [
        ("0001_users", "baseline", "unknown"),
        ("0002_age", "baseline", "unknown"),
        ("0003_posts", "name", "unknown"),
    ]


@pytest.mark.parametrize(
    ("version", "below"), [("1.2", 2), ("1.10", 3), ("2", 4), ("2.0", 4), ("2.0.1", 4), ("<< Flyway >>", 0)]
)
def test_a_baseline_of_parts_is_compared_part_by_part(tmp_path: Path, version: str, below: int) -> None:
    names = ["V1__a", "V1_2__b", "V1.10__c", "V2.0__d", "V10__e"]
    for name in names:
        (tmp_path / f"{name}.sql").touch()

    found = match(ForeignJournal("flyway", "t", baseline=version), Folder(tmp_path))

    assert [one.file.name for one in found.matches] == names[:below]


# -- alembic ---------------------------------------------------------------------------------------


def version_file(revision: str, down: str, more: str = "") -> str:
    return f'raise SystemExit("imported")\nrevision: str = "{revision}"\ndown_revision = {down}\n{more}\n'


def alembic_files(root: Path) -> None:
    (root / "versions").mkdir(parents=True)
    files = {
        "aaaaaaaaaaaa_users.py": version_file("aaaaaaaaaaaa", "None"),
        "bbbbbbbbbbbb_age.py": version_file("bbbbbbbbbbbb", '"aaaaaaaaaaaa"'),
        "cccccccccccc_side.py": version_file("cccccccccccc", '"aaaaaaaaaaaa"'),
        "dddddddddddd_merge.py": version_file("dddddddddddd", '("bbbbbbbbbbbb", "cccccccccccc")'),
        "eeeeeeeeeeee_posts.py": version_file("eeeeeeeeeeee", '"dddddddddddd"', 'depends_on = ["ffff"]'),
        "ffffffffffff_other.py": version_file("ffffffffffff", "None", "branch_labels = ('other',)"),
        "env.py": "import nowhere\n",
        "broken.py": "def (:\n",
    }
    for name, text in files.items():
        (root / "versions" / name).write_text(text, encoding="utf-8")


def test_what_lies_before_alembics_heads_is_read_and_never_imported(tmp_path: Path) -> None:
    alembic_files(tmp_path)

    chain, missing = ancestors(["eeeeeeeeeeee"], read_revisions(tmp_path))

    names = [revision.name[0] for revision in chain]
    assert sorted(names) == ["a", "b", "c", "d", "e", "f"]
    assert names.index("a") < min(names.index("b"), names.index("c"))
    assert names[-1] == "e"
    assert missing == []


@pytest.mark.parametrize("place", [".", "..", "alembic", "../db_scripts"])
def test_alembics_revisions_find_files_of_their_words(
    memory: Engine, folder: Folder, root: Path, apply_files: Apply, place: str
) -> None:
    alembic_files(root / place)
    apply_files(memory, 2)
    memory.write("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    memory.write("INSERT INTO alembic_version VALUES ('bbbbbbbbbbbb')")

    found = adopt(memory, folder, apply=True)

    assert found.to_record == ("0001_users", "0002_age")
    assert found.without_file == ()
    assert found.pending == ("0003_posts",)


def test_heads_without_version_files_leave_the_schema_to_tell(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 2)
    either.write("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    either.write("INSERT INTO alembic_version VALUES ('bbbbbbbbbbbb')")

    found = adopt(either, folder, apply=False)

    assert found.to_record == ("0001_users", "0002_age")
    assert {state.origin for state in found.files} == {"shape (alembic alembic_version)", ""}
    assert {"A003", "J004"} <= {each["id"] for each in found.findings}


def test_a_chain_of_thousands_needs_no_deep_stack() -> None:
    chain = {str(n): Revision(str(n), (str(n - 1),) if n else (), f"{n}_x") for n in range(5000)}

    found, missing = ancestors(["4999"], chain)

    assert [revision.name for revision in found] == [str(n) for n in range(5000)]
    assert missing == []


# -- django ----------------------------------------------------------------------------------------

SQUASHED = (
    'import nowhere\nclass Migration(migrations.Migration):\n    replaces = [("shop", "0001_users"),'
    ' ("shop", "0002_age")]\n'
)


def django(*rows: tuple[str, str]) -> ForeignJournal:
    return ForeignJournal("django", "django_migrations", tuple(Entry(name, app=app) for app, name in rows))


def test_django_counts_the_rows_of_the_folders_app_alone(folder: Folder) -> None:
    found = match(django(("auth", "0001_users"), ("shop", "0001_users"), ("blog", "0002_age")), folder)

    assert [one.file.name for one in found.matches] == ["0001_users"]
    assert found.without_file == ()


def test_a_squashed_file_is_applied_when_all_that_it_replaces_is(folder: Folder, root: Path) -> None:
    (root / "0001_squashed.py").write_text(SQUASHED, encoding="utf-8")
    (root / "0001_users.sql").unlink()
    (root / "0002_age.sql").unlink()

    whole = match(django(("shop", "0001_users"), ("shop", "0002_age")), folder)
    half = match(django(("shop", "0001_users")), folder)

    assert [one.file.name for one in whole.matches] == ["0001_squashed"]
    assert (whole.without_file, half.matches) == ((), ())


def test_the_files_that_an_applied_squash_replaces_are_applied(folder: Folder, root: Path) -> None:
    (root / "0001_squashed.py").write_text(SQUASHED, encoding="utf-8")

    found = match(django(("shop", "0001_squashed")), folder)

    assert sorted(one.file.name for one in found.matches) == ["0001_squashed", "0001_users", "0002_age"]
