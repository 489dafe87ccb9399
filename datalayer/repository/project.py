"""A project directory's one name: the same folder has the same hash, however its path is written."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re

from datalayer.errors import CheckViolation

__all__ = ["normal_directory", "project_hash"]

_DRIVE = re.compile(r"[A-Za-z]:")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# what Windows puts before a path that may be long: //?/C:/x is C:/x, //?/UNC/server/share is //server/share
_EXTENDED = re.compile(r"//[?.]/(?:(?=[A-Za-z]:)|UNC(?=/))", re.IGNORECASE)


def normal_directory(directory: str | os.PathLike[str]) -> str:
    """Give a directory's normal form: `/` between parts, no `.`, `..` or last slash, drive in lower case.

    Works on the text alone, so a project on another machine keeps its name; links are not followed, and
    letter case counts but for the drive's.

    Raises:
        CheckViolation: the path is empty, or no text that a database can hold.
    """
    text = os.fspath(directory)
    if not text.strip():
        raise CheckViolation("the project directory is empty", hint="give the path of a folder")
    if "\0" in text or _LONE_SURROGATE.search(text):
        raise CheckViolation("the project directory is not valid Unicode", hint="rename the folder")
    # one step can lay bare another: a/../C:/x is C:/x
    while (normal := _normalised(text)) != text:
        text = normal
    # what is left of " /" would be refused the next time
    if not text.strip():
        raise CheckViolation("the project directory is empty", hint="give the path of a folder")
    return text


def _normalised(text: str) -> str:
    text = text.replace("\\", "/")
    extended = _EXTENDED.match(text)
    if extended:
        text = text[extended.end() :] if extended[0][-1] == "/" else f"/{text[extended.end() :]}"
    if _DRIVE.match(text):
        return f"{text[:2].lower()}{posixpath.normpath(f'/{text[2:]}').replace('//', '/')}"
    text = posixpath.normpath(text)
    # two slashes at the beginning, which posixpath keeps, are a network share's
    return "/" if text == "//" else text


def project_hash(directory: str | os.PathLike[str]) -> str:
    """Give the 64 hexadecimal digits that stand for a project directory (SHA-256 of its normal form)."""
    return hashlib.sha256(normal_directory(directory).encode()).hexdigest()
