"""The scripts of docs/, which belong to no package, as modules."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from support.source_tree import ROOT

__all__ = ["load_script"]


def load_script(path: str) -> ModuleType:
    """Run a script of the project, named by its path, as a module of its own."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
