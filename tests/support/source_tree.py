"""The package's source as values: modules, what each imports and where, functions and their lengths.

Reads files, runs none of them, so that a module which cannot be imported is still looked at.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "datalayer"
_IGNORE = re.compile(
    r"#\s*(?:(?P<noqa>noqa)(?::\s*(?P<rules>[A-Z]+\d+(?:[, ]+[A-Z]+\d+)*))?"
    r"|(?P<type>type|pyright|mypy):\s*ignore(?P<types>\[[^\]]*\])?"
    r"|(?P<whole>(?:ruff|flake8):\s*noqa|pyright:\s*\w+=?|mypy:\s*\S+))"
    r"(?P<reason>.*)"
)
_RULES = re.compile(r"report\w+=|\b[A-Z]+\d+\b")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name.

    `target` is the module, of `from package import module` too when the tree has it; `full` is what is said.
    """

    target: str
    full: str
    line: int
    is_in_function: bool
    is_for_types: bool
    is_star: bool


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    line: int
    lines: int  # without docstring
    node: ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Ignore:
    line: int
    text: str
    rules: str
    reason: str


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    names: frozenset[str]  # of all modules of the tree

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def is_private(self) -> bool:
        return any(part.startswith("_") and not part.startswith("__") for part in self.name.split("."))

    @cached_property
    def imports(self) -> list[Import]:
        return sorted(
            _imports_below(self, self.tree, in_function=False, for_types_above=False), key=lambda i: i.line
        )

    @cached_property
    def functions(self) -> list[Function]:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return [_function(node) for node in ast.walk(self.tree) if isinstance(node, kinds)]

    @cached_property
    def ignores(self) -> list[Ignore]:
        """Comments that silence a tool; one for the whole file has its reason in the comment line above."""
        found: list[Ignore] = []
        if not _IGNORE.search(self.text):
            return found
        above = ""
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type != tokenize.COMMENT:
                above = above if token.type == tokenize.NL else ""
                continue
            match = _IGNORE.search(token.string)
            if match:
                rules = _RULES.findall(token.string) if match["whole"] else match["rules"] or match["types"]
                reason = above if match["whole"] else match["reason"].strip(" -:#")
                found.append(Ignore(token.start[0], token.string, str(rules or ""), reason))
            above = token.string.strip("# ")
        return found


@cache
def read_package() -> list[Module]:
    """Read all modules of the package, once for all tests."""
    return read_modules(ROOT / PACKAGE, PACKAGE)


def read_modules(folder: Path, name: str = PACKAGE) -> list[Module]:
    """Read all modules below a package's folder."""
    named = {_module_name(path, folder, name): path for path in sorted(folder.rglob("*.py"))}
    names = frozenset(named)
    return [Module(module, path, names) for module, path in named.items()]


def find_cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the knots of a graph: sets of more than one node that all reach each other (Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    knots: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            at = stack.index(node)
            knot = stack[at:]
            del stack[at:]
            if len(knot) > 1 or node in edges.get(node, ()):
                knots.append(sorted(knot))

    for node in edges:
        if node not in order:
            visit(node)
    return knots


def _module_name(path: Path, folder: Path, package: str) -> str:
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join([package, *(part for part in parts if part != "__init__")])


def _imports_below(
    module: Module, node: ast.AST, *, in_function: bool, for_types_above: bool
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for_types = for_types_above or _is_for_types(node, child)
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, alias.name, child.lineno, in_function, for_types, is_star=False)
        elif isinstance(child, ast.ImportFrom):
            yield from _imports_from(module, child, in_function=in_function, for_types=for_types)
        else:
            inside = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from _imports_below(module, child, in_function=inside, for_types_above=for_types)


def _is_for_types(parent: ast.AST, child: ast.AST) -> bool:
    if not isinstance(parent, ast.If) or not ast.unparse(parent.test).endswith("TYPE_CHECKING"):
        return False
    return child not in parent.orelse


def _imports_from(
    module: Module, node: ast.ImportFrom, *, in_function: bool, for_types: bool
) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        parts = module.name.split(".")
        kept = len(parts) - node.level + (1 if module.is_package else 0)
        base = ".".join([*parts[:kept], *([node.module] if node.module else [])])
    for alias in node.names:
        full = f"{base}.{alias.name}"
        target = full if full in module.names else base
        yield Import(target, full, node.lineno, in_function, for_types, is_star=alias.name == "*")


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return Function(node.name, node.lineno, lines, node)
