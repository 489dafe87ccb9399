"""One project has one name, however its directory is written."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datalayer import CheckViolation
from datalayer.repository.project import normal_directory, project_hash

parts = st.sampled_from(
    ["a", "B", "é", "..", ".", "", " ", "x y", "C:", "c:", "?", "UNC", "server", "a.b", "..."]
)


def is_accepted(path: str) -> bool:
    """Leave out what is nothing but blanks once it is normal, such as " /": that is refused, see below."""
    try:
        return bool(normal_directory(path))
    except CheckViolation:
        return False


paths = st.builds(
    lambda start, names, separators: (
        start + "".join(name + separator for name, separator in zip(names, separators, strict=False))
    ),
    st.sampled_from(["", "/", "//", "///", "\\\\", "C:", "c:\\", "C:/", "\\\\?\\", "//./", "//?/UNC/"]),
    st.lists(parts, min_size=1, max_size=6),
    st.lists(st.sampled_from(["/", "\\", "//", "/./", ""]), min_size=6, max_size=6),
).filter(is_accepted)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("/home/me/app", "/home/me/app"),
        ("/home/me/app/", "/home/me/app"),
        ("/home//me///app//", "/home/me/app"),
        ("/home/./me/x/../app", "/home/me/app"),
        ("///home", "/home"),
        ("/", "/"),
        ("/..", "/"),
        ("//", "/"),
        (".", "."),
        ("app/", "app"),
        ("../app", "../app"),
        ("a/..", "."),
        ("C:\\Users\\Me\\App\\", "c:/Users/Me/App"),
        ("c:/Users/Me/App", "c:/Users/Me/App"),
        ("C:", "c:/"),
        ("C:\\", "c:/"),
        ("C:\\..\\..", "c:/"),
        ("\\\\server\\share\\app\\", "//server/share/app"),
        ("//server/share/x/../app", "//server/share/app"),
        ("\\\\?\\C:\\Users", "c:/Users"),
        ("\\\\.\\C:\\Users", "c:/Users"),
        ("\\\\?\\UNC\\server\\share", "//server/share"),
        ("/name with blank ", "/name with blank "),
    ],
)
def test_a_directory_has_one_normal_form(given: str, normal: str) -> None:
    assert normal_directory(given) == normal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/home/me/app", "/home/me/App"),
        ("c:/Users/Me", "c:/users/me"),
        ("/app", "app"),
        ("//server/share", "/server/share"),
        ("c:/app", "d:/app"),
        ("/app", "/app "),
    ],
)
def test_other_directories_have_other_hashes(one: str, other: str) -> None:
    assert project_hash(one) != project_hash(other)


@pytest.mark.parametrize("path", ["", " ", "\n", "a\0b", "/home/\udce9"])
def test_what_cannot_be_a_directory_is_refused(path: str) -> None:
    with pytest.raises(CheckViolation):
        project_hash(path)


def test_path_objects_are_taken() -> None:
    assert normal_directory(PurePosixPath("/app/x")) == "/app/x"
    assert normal_directory(PureWindowsPath("C:\\app\\x")) == "c:/app/x"


@given(path=paths)
@example(path=" /")
def test_the_normal_form_is_its_own(path: str) -> None:
    try:
        normal = normal_directory(path)
    except CheckViolation:
        assert not path.replace("\\", "/").rpartition(":")[2].strip(" /.")
        return

    assert normal_directory(normal) == normal
    assert "\\" not in normal
    assert normal == "/" or normal[1:] == ":/" or not normal.endswith("/")
    assert not {".", ""} & set(normal.lstrip("/").split("/")[:-1])


@given(path=paths)
def test_the_way_of_writing_does_not_matter(path: str) -> None:
    normal = normal_directory(path)

    assert normal_directory(path + "/") == normal
    assert normal_directory(path + "\\.") == normal
    assert normal_directory(path.replace("/", "\\")) == normal
    assert normal_directory(f"{path}/x/..") == normal


@given(path=paths)
def test_a_hash_is_64_hexadecimal_digits(path: str) -> None:
    digest = project_hash(path)

    assert len(digest) == 64
    assert int(digest, 16) >= 0
