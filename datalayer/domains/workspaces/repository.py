"""The repository of workspaces, with those of what belongs to them as its attributes."""

from __future__ import annotations

from pathlib import Path

from datalayer.domains.workspaces.model import Workspace
from datalayer.engine.connection import Engine
from datalayer.repository.base import Repository

__all__ = ["Workspaces"]


class Workspaces(Repository[Workspace]):
    """`store.workspaces`: workspaces, and what belongs to them (`store.workspaces.threads`, ...)."""

    def __init__(
        self, engine: Engine, model: type[Workspace] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
