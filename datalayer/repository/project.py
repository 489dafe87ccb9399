"""A project directory's one name: the same folder has the same hash, however its path is written."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re

from datalayer.errors import CheckViolation

__all__ = ["normal_directory", "project_hash"]

_DRIVE = re.compile(r"[A-Za-z]:")


def normal_directory(directory: str | os.PathLike[str]) -> str:
    """Give a directory's normal form: `/` between parts, no `.`, `..` or last slash, drive in lower case.

    Works on the text alone, so a project on another machine keeps its name; links are not followed.

    Raises:
        CheckViolation: the path is empty.
    """
    text = os.fspath(directory).strip()
    if not text:
        raise CheckViolation("the project directory is empty", hint="give the path of a folder")
    text = text.replace("\\", "/")
    drive = ""
    if _DRIVE.match(text):
        drive, text = text[:2].lower(), text[2:]
    network = text.startswith("//") and not text.startswith("///")
    text = posixpath.normpath(text) if text else "."
    if drive:
        return f"{drive}/{text.lstrip('/')}" if text not in (".", "/") else f"{drive}/"
    # posixpath keeps two leading slashes, which POSIX leaves open; a network share begins with them
    return text if network else "/" + text.lstrip("/") if text.startswith("/") else text


def project_hash(directory: str | os.PathLike[str]) -> str:
    """Give the 64 hexadecimal digits that stand for a project directory (SHA-256 of its normal form)."""
    return hashlib.sha256(normal_directory(directory).encode()).hexdigest()
