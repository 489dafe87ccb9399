"""An import goes down only: the floors of the house, held over every module of the package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.source_tree import Import, Module, find_cycles, read_modules, read_package

MakeModules = Callable[..., list[Module]]

TOP = 9
FLOORS = {
    "errors": 0,
    "migrations": 0,  # files, no code that others call
    "engine": 1,
    "schema": 2,
    "repository": 2,
    "domains": 3,
    "store": 4,
    "aio": 5,
    "transfer": 5,
    "testing": 5,
    "web": 5,
    "cli": 6,
    "__init__": TOP,
    "__main__": TOP,
}
# what `import datalayer` may bring in
FLOORS_OF_THE_PACKAGE = range(5)
# may be missing, so they are imported where they are needed, with an install hint
OPTIONAL = {
    "apsw",
    "cryptography",
    "jinja2",
    "keyring",
    "obstore",
    "opentelemetry",
    "orjson",
    "pglast",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "sqlcipher3",
    "starlette",
    "syntaqlite",
    "uuid_utils",
    "uvicorn",
}
OPTIONAL_PLAYHOUSE = {
    "playhouse.apsw_ext",
    "playhouse.pwasyncio",
    "playhouse.sqlcipher_ext",
}
NAMES_THAT_HOLD_ANYTHING = {"common", "helper", "helpers", "misc", "shared", "util", "utils"}


def part_of(module: str) -> str:
    """Return the part of the house a module stands in: "engine", "store", "__init__" for the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def domain_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[1] == "domains" else None


def ours(module: Module) -> Iterator[Import]:
    return (found for found in module.imports if found.target.split(".")[0] == "datalayer")


def is_down(module: str, target: str) -> bool:
    source, goal = part_of(module), part_of(target)
    if source == goal:
        return True
    if module == "datalayer":
        return FLOORS[goal] in FLOORS_OF_THE_PACKAGE
    if source == "cli" and goal == "__init__":
        return True  # commands are users of the package
    return FLOORS[goal] < FLOORS[source]


def floor_breaches(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{found.line} imports {found.target}"
        for module in modules
        for found in ours(module)
        if not is_down(module.name, found.target)
    ]


def stranger_breaches(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{found.line} imports {found.target}"
        for module in modules
        for found in ours(module)
        if domain_of(module.name) and domain_of(found.target) != domain_of(module.name)
        if part_of(found.target) == "domains"
    ]


def is_lazy_import_allowed(module: Module, found: Import, needing: set[str]) -> bool:
    top = found.target.split(".")[0]
    if top in OPTIONAL or found.target in OPTIONAL_PLAYHOUSE | needing:
        return True
    # a command is started often: it loads what it needs and nothing else
    return part_of(module.name) == "cli" and top in {"datalayer", "rich"}


def needing_extras(modules: list[Module]) -> set[str]:
    """Return our modules that cannot be imported without an extra, by themselves or by what they import."""
    needing: set[str] = set()
    for _ in modules:
        found = {
            module.name
            for module in modules
            if any(
                one.target.split(".")[0] in OPTIONAL or one.target in OPTIONAL_PLAYHOUSE | needing
                for one in module.imports
                if not one.is_in_function and not one.is_for_types
            )
        }
        if found == needing:
            break
        needing = found
    return needing


def lazy_breaches(modules: list[Module]) -> list[str]:
    # a module of ours that needs an extra counts as one itself
    needing = needing_extras(modules)
    return [
        f"{module.name}:{found.line} imports {found.target} in a function"
        for module in modules
        for found in module.imports
        if found.is_in_function and not is_lazy_import_allowed(module, found, needing)
    ]


def cycles(modules: list[Module]) -> list[list[str]]:
    return find_cycles(
        {
            module.name: {
                found.target for found in ours(module) if not found.is_in_function and not found.is_for_types
            }
            for module in modules
        }
    )


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return read_package()


@pytest.fixture
def make_modules(tmp_path: Path) -> MakeModules:
    def make(**sources: str) -> list[Module]:
        for name, source in sources.items():
            path = tmp_path / "datalayer" / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return read_modules(tmp_path / "datalayer")

    return make


def test_every_module_stands_on_a_floor(modules: list[Module]) -> None:
    assert {part_of(module.name) for module in modules} <= FLOORS.keys()


def test_imports_go_down(modules: list[Module]) -> None:
    assert floor_breaches(modules) == []


def test_domains_are_strangers(modules: list[Module]) -> None:
    assert stranger_breaches(modules) == []


def test_no_import_cycles(modules: list[Module]) -> None:
    assert cycles(modules) == []


def test_imports_in_functions_are_of_extras_only(modules: list[Module]) -> None:
    assert lazy_breaches(modules) == []


def test_no_star_imports(modules: list[Module]) -> None:
    stars = [f"{module.name}:{found.line}" for module in modules for found in module.imports if found.is_star]

    assert stars == []


def test_no_module_is_named_for_holding_anything(modules: list[Module]) -> None:
    vague = [module.name for module in modules if NAMES_THAT_HOLD_ANYTHING & {*module.name.split(".")}]

    assert vague == []


@pytest.mark.parametrize(
    ("name", "source", "breach"),
    [
        ("engine__in__gate", "from datalayer.store import Store", "engine.gate:1 imports datalayer.store"),
        ("engine__in__gate", "import datalayer", "engine.gate:1 imports datalayer"),
        ("engine__in__gate", "from .. import store", "engine.gate:1 imports datalayer.store"),
        ("schema__in__plan", "import datalayer.repository", "schema.plan:1 imports datalayer.repository"),
        ("web", "import datalayer.transfer", "web:1 imports datalayer.transfer"),
        ("__main__", "from datalayer import connect", "__main__:1 imports datalayer"),
        ("errors", "if 1:\n  import datalayer.engine", "errors:2 imports datalayer.engine"),
    ],
)
def test_breach_of_the_floors_is_found(
    make_modules: MakeModules, name: str, source: str, breach: str
) -> None:
    assert floor_breaches(make_modules(store="", **{name: source})) == [f"datalayer.{breach}"]


def test_package_may_not_bring_in_what_stands_above_the_store(make_modules: MakeModules) -> None:
    modules = make_modules(
        __init__="from datalayer.testing import x\nfrom datalayer.store import Store", store=""
    )

    assert floor_breaches(modules) == ["datalayer:1 imports datalayer.testing"]


def test_lines_down_and_across_a_part_are_no_breach(make_modules: MakeModules) -> None:
    modules = make_modules(
        errors="",
        engine__in__gate="from datalayer.errors import DataLayerError\nfrom . import pool",
        engine__in__pool="",
        cli__in__main="from datalayer import connect",
        __main__="from datalayer.cli.main import main",
    )

    assert floor_breaches(modules) == []


def test_domain_that_knows_another_is_found(make_modules: MakeModules) -> None:
    modules = make_modules(
        domains__in____init__="from datalayer.domains.jobs import Jobs",
        domains__in__jobs="from datalayer.domains.drafts import Drafts",
        domains__in__drafts="",
    )

    assert stranger_breaches(modules) == ["datalayer.domains.jobs:1 imports datalayer.domains.drafts"]


def test_cycle_is_found_and_types_alone_make_none(make_modules: MakeModules) -> None:
    modules = make_modules(
        engine__in__a="from datalayer.engine import b",
        engine__in__b="from datalayer.engine.c import x",
        engine__in__c="import datalayer.engine.a",
        engine__in__d="if TYPE_CHECKING:\n    from datalayer.engine import e\nelse:\n    import json",
        engine__in__e="import datalayer.engine.d",
    )

    assert cycles(modules) == [["datalayer.engine.a", "datalayer.engine.b", "datalayer.engine.c"]]


def test_import_in_a_function_is_found_unless_it_needs_an_extra(make_modules: MakeModules) -> None:
    modules = make_modules(
        engine__in__opening="def f():\n  import json\n  import psycopg\n  import datalayer.engine.server",
        engine__in__server="from datalayer.engine import wire",
        engine__in__wire="import psycopg.sql",
        cli__in__main="def f():\n    import rich\n    import datalayer.store\n    import sqlite3",
    )

    assert lazy_breaches(modules) == [
        "datalayer.cli.main:4 imports sqlite3 in a function",
        "datalayer.engine.opening:2 imports json in a function",
    ]
