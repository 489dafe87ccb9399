"""What stands beside a backup: which database it is of, its digest, rows and version; and how it is named.

Nothing secret is in it: of a server its host, port, database and schema, of a file its name. Opens no
database.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

import platformdirs

from datalayer.engine.address import Address
from datalayer.engine.durable import sync_folder
from datalayer.errors import DatabaseUnavailable
from datalayer.schema.backup_file import disk_errors, new_file

__all__ = ["Kind", "Manifest", "Origin", "manifest_path", "read_manifest", "write_manifest"]

Kind = Literal["sqlite", "pg_dump", "archive"]
FORMAT = "datalayer-backup-1"
_SUFFIXES: Mapping[Kind, str] = {"sqlite": ".db", "pg_dump": ".dump", "archive": ".zip"}
_MOMENT = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of one backup; `sha256` and `size_bytes` are of the file as it lies there.

    `source` names the database, `place` tells it from others of that name without saying where it lies.
    """

    file: str
    kind: Kind
    compression: Literal["gzip"] | None
    source: str
    place: str
    created_at: datetime
    schema_version: str
    engine: str
    size_bytes: int
    sha256: str
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """A database as its backups name it: found without opening it, so that backups outlive the database.

    `place` is a digest of the path; `name` opens the names of the files; `folder` is where they go without a
    word, None for a database in memory.
    """

    source: str
    place: str
    name: str
    folder: Path | None

    @classmethod
    def of(cls, address: Address, schema_name: str = "public") -> Origin:
        """Give the origin of an address."""
        if address.path is not None:
            # a symbolic link and the file it leads to are one database
            path = Path(os.path.realpath(address.path))
            return cls(path.name, _digest(str(path)), path.stem, path.parent / "backups")
        if address.secret_url is None:
            return cls(address.display, "", "memory", None)
        parts = urlsplit(address.secret_url)
        query = parse_qs(parts.query)
        host = unquote(parts.hostname or "") or query.get("host", ["localhost"])[0]
        port = parts.port or query.get("port", ["5432"])[0]
        database = unquote(parts.path.strip("/")) or query.get("dbname", [parts.username or ""])[0]
        folder = Path(platformdirs.user_data_dir("datalayer", appauthor=False)) / "backups"
        source = f"{host}:{port}/{database}/{schema_name}"
        return cls(source, _digest(source), f"{database}-{schema_name}", folder)

    def new_path(self, kind: Kind, schema_version: str, *, compress: bool) -> Path:
        """Give the path of a new backup in the folder, which is made: named by time (UTC) and version.

        Raises DatabaseUnavailable where there is no folder, or it cannot be made.
        """
        if self.folder is None:
            raise DatabaseUnavailable(
                f"no place is given for the backup of {self.source}",
                why="only a database file has a folder of its own",
                hint="give the path of the file to write",
            )
        with disk_errors(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
        moment = f"{datetime.now(UTC):{_MOMENT}}"
        ending = _SUFFIXES[kind] + (".gz" if compress and kind == "sqlite" else "")
        return self.folder / f"{_plain(self.name)}-{moment}-{_plain(schema_version)[:60]}{ending}"

    def time_and_version(self, file: str) -> tuple[datetime, str] | None:
        """Read time and version out of a name that `new_path` has given; None for any other name."""
        pattern = rf"{re.escape(_plain(self.name))}-(\d{{8}}T\d{{12}}Z)-(.+)\.(?:db|db\.gz|dump|zip)"
        found = re.fullmatch(pattern, file)
        if found is None:
            return None
        try:
            return datetime.strptime(found[1], _MOMENT).replace(tzinfo=UTC), found[2]
        except ValueError:
            return None


def manifest_path(backup: Path) -> Path:
    """Give the path of a backup's manifest."""
    return backup.with_name(f"{backup.name}.json")


def write_manifest(backup: Path, manifest: Manifest) -> Path:
    """Write the manifest of a backup beside it, replacing what an earlier backup of that name left.

    Raises DatabaseUnavailable.
    """
    path = manifest_path(backup)
    document = {"format": FORMAT, **asdict(manifest), "created_at": manifest.created_at.isoformat()}
    if read_manifest(backup) is not None:
        # its backup is gone: the name was free
        path.unlink()
    with new_file(path) as temporary, disk_errors(path), temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return path


def read_manifest(backup: Path) -> Manifest | None:
    """Read the manifest of a backup; None where there is none that can be read as ours."""
    try:
        found: Any = json.loads(manifest_path(backup).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    facts = cast("dict[str, Any]", found)
    if facts.pop("format", None) != FORMAT or facts.get("file") != backup.name:
        return None
    try:
        return Manifest(
            file=backup.name,
            kind=_kind_of(facts["kind"]),
            compression="gzip" if facts["compression"] == "gzip" else None,
            source=str(facts["source"]),
            place=str(facts["place"]),
            created_at=datetime.fromisoformat(facts["created_at"]).astimezone(UTC),
            schema_version=str(facts["schema_version"]),
            engine=str(facts["engine"]),
            size_bytes=int(facts["size_bytes"]),
            sha256=str(facts["sha256"]),
            rows={str(name): int(count) for name, count in dict(facts["rows"]).items()},
        )
    except (KeyError, TypeError, ValueError):
        return None


def _kind_of(value: object) -> Kind:
    """Give a kind. Raises ValueError for a word that is none."""
    for kind in _SUFFIXES:
        if kind == value:
            return kind
    raise ValueError(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
