"""Which database is meant, and who said so: the first of several places that names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.engine.choice import choose_database
from datalayer.errors import DataLayerError

BOTH = {"DATALAYER_DATABASE": "ours.db", "DATABASE_URL": "postgresql://localhost/theirs"}


def write_project(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", '[tool.datalayer]\ndatabase = "data/app.db"\n')


def test_what_is_given_comes_first(project: Path) -> None:
    choice = choose_database("given.db", environment=BOTH, folder=project)

    assert (choice.target, choice.source) == ("given.db", "given")


def test_own_variable_comes_before_the_common_one(project: Path) -> None:
    own = choose_database(environment=BOTH, folder=project)
    common = choose_database(environment={**BOTH, "DATALAYER_DATABASE": ""}, folder=project)

    assert (own.target, own.source) == ("ours.db", "environment DATALAYER_DATABASE")
    assert (common.target, common.source) == ("postgresql://localhost/theirs", "environment DATABASE_URL")


def test_project_file_is_found_upwards_and_its_path_is_relative_to_it(project: Path) -> None:
    folder = project / "src" / "app"
    folder.mkdir(parents=True)
    # a project file without the table is passed by
    write_project(project / "src", "[project]\nname = 'app'\n")

    choice = choose_database(environment={}, folder=folder)

    assert choice.target == str(project / "data" / "app.db")
    assert choice.source == f"[tool.datalayer] in {project / 'pyproject.toml'}"


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("/srv/app.db", "/srv/app.db"),
        (":memory:", ":memory:"),
        ("postgresql://h/n", "postgresql://h/n"),
        ("sqlite:////srv/app.db", "sqlite:////srv/app.db"),
        ("sqlite:///app.db", "sqlite:///{folder}/app.db"),
    ],
)
def test_other_forms_in_a_project_file(tmp_path: Path, value: str, target: str) -> None:
    folder = write_project(tmp_path, f'[tool.datalayer]\ndatabase = "{value}"\n')

    assert choose_database(environment={}, folder=folder).target == target.format(folder=folder)


@pytest.mark.parametrize("text", ["[tool.datalayer\n", "[tool.datalayer]\ndatabase = 3\n"])
def test_project_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    folder = write_project(tmp_path, text)

    with pytest.raises(DataLayerError) as caught:
        choose_database(environment={}, folder=folder)

    assert str(folder / "pyproject.toml") in caught.value.what


def test_platform_folder_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))

    choice = choose_database(environment={}, folder=tmp_path)

    assert choice.is_platform_default
    assert choice.source == "the platform's data folder"
    assert Path(choice.target).is_relative_to(tmp_path)


def test_representation_holds_no_password() -> None:
    choice = choose_database("postgresql://user:secret-word@host/name", environment={})

    assert "secret-word" not in repr(choice)
