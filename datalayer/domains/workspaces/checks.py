"""What must hold of workspaces beyond their columns' types, for `check-db`."""

from __future__ import annotations

from collections.abc import Mapping

from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS"]

CHECKS: Mapping[str, Rule] = {}
