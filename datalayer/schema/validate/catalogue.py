"""All rules in one table, by their ids."""

from __future__ import annotations

from itertools import chain

from datalayer.schema.validate import (
    data,
    defaults,
    drizzle,
    indexes,
    journal,
    locks,
    no_effect,
    recreate,
    references,
    style,
    surroundings,
    target,
    transactions,
)
from datalayer.schema.validate.rule import Rule

__all__ = ["RULES"]

_MODULES = (
    journal,
    surroundings,
    drizzle,
    no_effect,
    references,
    defaults,
    recreate,
    data,
    target,
    locks,
    transactions,
    indexes,
    style,
)
_FAMILIES = "JNXFDLTISR"

RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in sorted(
        chain.from_iterable(module.RULES for module in _MODULES),
        key=lambda rule: (_FAMILIES.index(rule.id[0]), rule.id),
    )
}
