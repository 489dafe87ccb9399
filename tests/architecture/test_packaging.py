"""What an installation gets: the packages of the tree, the migrations, and nothing else."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest
from support.source_tree import ROOT

LIST_MIGRATIONS = """
import importlib.resources
folder = importlib.resources.files("datalayer.migrations")
print(*sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql")))
"""


@pytest.fixture(scope="module")
def options() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def listed(options: configparser.ConfigParser, section: str, name: str) -> list[str]:
    return options[section][name].split()


def files_below(folder: Path) -> set[str]:
    """Return the files that belong to the project, relative to the checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def sql_files() -> list[str]:
    return sorted(path.name for path in (ROOT / "migrations").glob("*.sql"))


def test_listed_packages_are_those_of_the_tree(options: configparser.ConfigParser) -> None:
    folders = {path.parent for path in (ROOT / "datalayer").rglob("*.py")}
    in_tree = {".".join(folder.relative_to(ROOT).parts) for folder in folders} | {"datalayer.migrations"}

    assert sorted(listed(options, "options", "packages")) == sorted(in_tree)


def test_every_package_has_an_init_file(options: configparser.ConfigParser) -> None:
    folders = [ROOT / "migrations", *(path.parent for path in (ROOT / "datalayer").rglob("*.py"))]

    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_files_that_are_no_modules_are_package_data(options: configparser.ConfigParser) -> None:
    patterns = {package: data.split() for package, data in options["options.package_data"].items()}
    others = {name for name in files_below(ROOT / "datalayer") if not name.endswith(".py")}

    assert [name for name in sorted(others) if not is_package_data(PurePosixPath(name), patterns)] == []


def is_package_data(file: PurePosixPath, patterns: dict[str, list[str]]) -> bool:
    return any(
        fnmatch(str(file.relative_to(owner)), pattern)
        for owner in file.parents
        for pattern in patterns.get(".".join(owner.parts), ())
    )


def test_migrations_are_found_in_the_checkout(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", LIST_MIGRATIONS], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip

    assert told.stdout.split() == sql_files()
    assert "consolidated_migrations.sql" in sql_files()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the checkout, since setuptools leaves its own folders where it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    leave_out = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=leave_out)
    # without isolation: nothing is fetched, setuptools is one of the test requirements
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], check=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = files_below(ROOT / "datalayer") | {
        f"datalayer/{name}" for name in files_below(ROOT / "migrations") if name.endswith((".sql", ".py"))
    }

    assert names == wanted
    assert {"datalayer/py.typed", "datalayer/migrations/consolidated_migrations.sql"} <= names


@pytest.mark.slow
def test_wheel_carries_the_license_and_starts_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        described = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        commands = archive.read(described["entry_points.txt"]).decode()
        metadata = archive.read(described["METADATA"]).decode()

    assert "datalayer = datalayer.cli.main:main" in commands
    assert "LICENSE" in described
    assert "License-Expression: MIT" in metadata


@pytest.mark.slow
def test_migrations_are_found_in_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    # -P and a path in front: the checkout, which may be installed as editable, is not looked at
    source = f"import sys; sys.path.insert(0, {str(installed)!r})\n{LIST_MIGRATIONS}\nprint(folder)"
    told = subprocess.run(
        [sys.executable, "-P", "-c", source], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    *names, folder = told.stdout.split()

    assert names == sql_files()
    assert folder == str(installed / "datalayer" / "migrations")
