"""The budgets of our style: sizes, docstrings, annotations, lint ignores, mocks, dialect checks."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.source_tree import ROOT, Function, Module, read_modules, read_package

LONGEST_P95_LINES = 35
LONGEST_FILE_LINES = 600
IGNORES_PER_1000_LINES = 2
ENGINE_NAMES = {"sqlite", "sqlite3", "postgres", "postgresql"}
ENGINE_CLASSES = {"SqliteDatabase", "PostgresqlDatabase", "Psycopg3Database", "PooledPsycopg3Database"}
MAY_ASK_FOR_THE_ENGINE = {
    "datalayer.engine.dialect": "holds every difference of the package",
    "datalayer.engine.address": "reads the engine's name from a URL",
    "datalayer.engine.opening": "opens the engine that the address names",
}
MOCKING = {"mock", "unittest.mock", "pytest_mock", "mockito", "flexmock", "asynctest"}


def long_files(modules: list[Module]) -> list[str]:
    counts = {module.name: len(module.text.splitlines()) for module in modules}
    return [f"{name}: {count} lines" for name, count in counts.items() if count > LONGEST_FILE_LINES]


def function_p95(modules: list[Module]) -> float:
    lengths = [function.lines for module in modules for function in module.functions]
    return statistics.quantiles(lengths, n=20)[-1]


def is_public(name: str) -> bool:
    return not name.startswith("_")


def public_definitions(module: Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield what a reader of the documentation sees: the module, its classes, functions and methods."""
    yield module.name, module.tree
    if not module.is_private:
        yield from _public_below(module.name, module.tree.body)


def _public_below(owner: str, body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, (ast.If, ast.Try)):
            yield from _public_below(
                owner, [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            )
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # an overload is documented once; a setter with its property
            is_second = any(
                ast.unparse(mark).endswith(("overload", ".setter", ".deleter"))
                for mark in node.decorator_list
            )
            if is_public(node.name) and not is_second:
                yield f"{owner}.{node.name}", node
        elif isinstance(node, ast.ClassDef) and is_public(node.name) and node.name != "Meta":
            yield f"{owner}.{node.name}", node
            yield from _public_below(f"{owner}.{node.name}", node.body)


def undocumented(modules: list[Module]) -> list[str]:
    return [
        name
        for module in modules
        for name, node in public_definitions(module)
        if not (ast.get_docstring(node) or "").strip()  # type: ignore[arg-type] only those three are yielded
    ]


def unannotated(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{function.line} {function.name}"
        for module in modules
        for function in module.functions
        if not is_annotated(function)
    ]


def is_annotated(function: Function) -> bool:
    signature = function.node.args
    every = [
        *signature.posonlyargs,
        *signature.args,
        *signature.kwonlyargs,
        signature.vararg,
        signature.kwarg,
    ]
    named = [one for one in every if one is not None]
    if named and named[0].arg in {"self", "cls", "mcs"}:
        named = named[1:]
    has_return = function.node.returns is not None
    return has_return and all(one.annotation is not None for one in named)


def ignores_without_reason(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{ignore.line} {ignore.text}"
        for module in modules
        for ignore in module.ignores
        if not ignore.rules or not ignore.reason
    ]


def engine_checks(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{line}"
        for module in modules
        if module.name not in MAY_ASK_FOR_THE_ENGINE and not module.name.startswith("datalayer.schema")
        for line in _engine_checks_of(module)
    ]


def _engine_checks_of(module: Module) -> Iterator[int]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Compare):
            is_check = any(map(_names_an_engine, [node.left, *node.comparators]))
        elif isinstance(node, ast.MatchValue):
            is_check = _names_an_engine(node.value)
        elif isinstance(node, ast.Call):
            is_check = _asks_for_an_engine(node) and not module.name.startswith("datalayer.engine")
        else:
            continue
        if is_check:
            yield node.lineno


def _asks_for_an_engine(call: ast.Call) -> bool:
    function = ast.unparse(call.func)
    if function in {"isinstance", "issubclass"}:
        return bool(
            ENGINE_CLASSES & {part.id for part in ast.walk(call.args[1]) if isinstance(part, ast.Name)}
        )
    return function.endswith(".startswith") and any(map(_names_an_engine, call.args))


def _names_an_engine(node: ast.AST) -> bool:
    if isinstance(node, (ast.Tuple, ast.Set, ast.List)):
        return any(map(_names_an_engine, node.elts))
    if isinstance(node, ast.Attribute):
        return node.attr == "dialect"  # `x.dialect is SQLITE`; what differs is a method of the dialect
    return (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() in ENGINE_NAMES
    )


def mocks(modules: list[Module]) -> list[str]:
    found: list[str] = []
    for module in modules:
        if not any(word in module.text for word in ("mock", "asynctest", "monkeypatch")):
            # nothing to look for, and reading a tree takes a while
            continue
        for one in module.imports:
            if {one.target, one.full} & MOCKING:
                found.append(f"{module.name}:{one.line} imports {one.full}")
        for function in module.functions:
            names = {argument.arg for argument in function.node.args.args}
            if "mocker" in names:
                found.append(f"{module.name}:{function.line} uses mocker")
        found += [f"{module.name}:{line} replaces a part of datalayer" for line in _replaced_parts(module)]
    return found


def _replaced_parts(module: Module) -> Iterator[int]:
    """Yield where monkeypatch.setattr replaces code of ours; a CONSTANT such as a limit may be set."""
    names_of_ours = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if ((node.module or "") if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        == "datalayer"
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "monkeypatch.setattr" and node.args:
            subject = ast.unparse(node.args[0]).strip("'\"")
            name = subject if len(node.args) == 2 else ast.unparse(node.args[1]).strip("'\"")
            if subject.split(".")[0] in names_of_ours | {"datalayer"} and not name.split(".")[-1].isupper():
                yield node.lineno


def sleeps(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{node.lineno}"
        for module in modules
        if not module.name.startswith("tests.support") and "sleep" in module.text
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}
    ]


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return read_package()


@pytest.fixture(scope="module")
def test_modules() -> list[Module]:
    return read_modules(ROOT / "tests", "tests")


def test_functions_are_short(modules: list[Module]) -> None:
    assert function_p95(modules) <= LONGEST_P95_LINES


def test_files_are_short(modules: list[Module]) -> None:
    assert long_files(modules) == []


def test_everything_public_has_a_docstring(modules: list[Module]) -> None:
    assert undocumented(modules) == []


def test_everything_is_annotated(modules: list[Module]) -> None:
    assert unannotated(modules) == []


def test_lint_ignores_are_few(modules: list[Module]) -> None:
    lines = sum(len(module.text.splitlines()) for module in modules)
    ignores = [f"{module.name}:{ignore.line}" for module in modules for ignore in module.ignores]

    assert len(ignores) * 1000 <= IGNORES_PER_1000_LINES * lines, ignores


def test_every_lint_ignore_names_its_rule_and_its_reason(modules: list[Module]) -> None:
    assert ignores_without_reason(modules) == []


def test_engine_is_asked_for_in_the_dialect_only(modules: list[Module]) -> None:
    assert engine_checks(modules) == []


def test_modules_that_may_ask_for_the_engine_exist(modules: list[Module]) -> None:
    assert {module.name for module in modules} >= MAY_ASK_FOR_THE_ENGINE.keys()


def test_tests_mock_nothing_of_ours(test_modules: list[Module]) -> None:
    assert mocks(test_modules) == []


def test_tests_wait_on_conditions(test_modules: list[Module]) -> None:
    assert sleeps(test_modules) == []


def module_of(tmp_path: Path, source: str, name: str = "sample") -> list[Module]:
    (tmp_path / f"{name}.py").write_text(source)
    return read_modules(tmp_path, "datalayer")


@pytest.mark.parametrize(
    "source",
    [
        'def f(x):\n    return x == "sqlite"',
        'def f(x):\n    return x in ("PostgreSQL", "other")',
        'def f(x):\n    return "postgres" != x.dialect.name',
        "def f(x):\n    return x.dialect is SQLITE",
        'def f(x):\n    match x:\n        case "sqlite": pass',
        "def f(x):\n    return isinstance(x, (int, SqliteDatabase))",
        'def f(x):\n    return x.startswith("postgres")',
    ],
)
def test_check_for_the_engine_is_found(tmp_path: Path, source: str) -> None:
    assert len(engine_checks(module_of(tmp_path, source))) == 1


def test_engine_named_in_other_ways_is_no_check(tmp_path: Path) -> None:
    source = (
        'HINT = "sqlite"\ndef f(x):\n    return x.dialect.json_type, x == "a", isinstance(x, int), x.y == 1\n'
    )

    assert engine_checks(module_of(tmp_path, source)) == []


def test_long_functions_are_counted_without_their_docstring(tmp_path: Path) -> None:
    docstring = '    """One.\n' + "\n".join("    more" for _ in range(40)) + '\n    """\n'
    short = "def f() -> None:\n" + docstring + "    pass\n"
    long = "def g() -> None:\n" + "    pass\n" * 40

    assert function_p95(module_of(tmp_path, short * 30)) == 2
    assert function_p95(module_of(tmp_path, short * 9 + long)) > LONGEST_P95_LINES


def test_missing_docstrings_and_annotations_are_found(tmp_path: Path) -> None:
    source = '''
"""Doc."""
class A:
    """Doc."""
    class Meta: pass
    def f(self): pass
    def _g(self) -> None: pass
    @overload
    def h(self, x: int) -> int: ...
    def h(self, x) -> int:
        """Doc."""
    if True:
        def i(self) -> None: pass
class _B:
    def f(self) -> None: pass
'''
    found = module_of(tmp_path, source.lstrip())

    assert undocumented(found) == ["datalayer.sample.A.f", "datalayer.sample.A.i"]
    assert unannotated(found) == ["datalayer.sample:5 f", "datalayer.sample:9 h"]


def test_ignores_without_rule_or_reason_are_found(tmp_path: Path) -> None:
    source = """
a = 1  # noqa: E501 the URL is longer than a line
b = 1  # noqa: E501
c = 1  # noqa
d = 1  # type: ignore[arg-type] peewee says Any
e = 1  # pyright: ignore[reportPrivateUsage]
f = 1  # type: ignore
# ruff: noqa: E501

# pyright: basic
# the tables below are wider than a line
# ruff: noqa: E501
g = "# noqa"  # says type: what it is
"""
    found = module_of(tmp_path, source)

    assert [ignore.line for ignore in found[0].ignores] == [2, 3, 4, 5, 6, 7, 8, 10, 12]
    lines = [int(line.split(":")[1].split()[0]) for line in ignores_without_reason(found)]
    assert lines == [3, 4, 6, 7, 8, 10]


def test_mocks_and_sleeps_are_found(tmp_path: Path) -> None:
    source = """
from unittest import mock
import tempfile, time
from datalayer.engine import gate
def test_a(monkeypatch, mocker):
    monkeypatch.setattr(gate, "lock", None)
    monkeypatch.setattr("datalayer.engine.gate.lock", None)
    monkeypatch.setattr(gate, "LIMIT", 1)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    time.sleep(1)
"""
    found = module_of(tmp_path, source)

    assert [line.split(":")[1].split()[0] for line in mocks(found)] == ["2", "5", "6", "7"]
    assert sleeps(found) == ["datalayer.sample:10"]
