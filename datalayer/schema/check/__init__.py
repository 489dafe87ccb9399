"""Looking for what is wrong with a database, without writing a byte to it.

`check` is the doctor; the modules beside it each look at one thing. Domain rules come from the domains. The
doctor is loaded when it is first asked for: what opens a database needs only a look at its first bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datalayer.schema import work
from datalayer.schema.finding import Finding

if TYPE_CHECKING:
    from datalayer.schema.check.checking import check, check_file

__all__ = ["Finding", "check", "check_file"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(work, name)
