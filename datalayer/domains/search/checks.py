"""What must hold of search for `check-db`: every text is there to be found, as it is now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datalayer.domains.search.sources import Source, sources
from datalayer.engine.connection import Engine
from datalayer.schema.check.rule import MOST_ROWS
from datalayer.schema.finding import Finding

__all__ = ["INSPECTIONS", "texts_out_of_step"]

_TABLE = "search_documents"


def texts_out_of_step(engine: Engine, _data_dir: Path | None) -> Iterator[Finding]:
    """Find texts that a search misses, or finds as they were before; reads every text once."""
    if not engine.columns(_TABLE):
        return
    for source in sources(engine):
        found = engine.fetch_all(_out_of_step(source))
        if found:
            message = (
                f"{len(found)} texts of {source.table} are searched otherwise than they are:"
                " call store.search.rebuild()"
            )
            rows = [{"kind": source.kind, "source_id": key} for (key,) in found[:MOST_ROWS]]
            yield Finding("DL-C310", "warning", _TABLE, source.kind, len(found), message, "manual", rows)


def _out_of_step(source: Source) -> str:
    return (
        f"SELECT own.source_id FROM ({source.query}) AS own"
        f" LEFT JOIN {_TABLE} AS found ON found.kind = own.kind AND found.source_id = own.source_id"
        " WHERE found.id IS NULL OR found.title <> own.title OR found.body <> own.body"
        " OR coalesce(found.user_id, '') <> coalesce(own.user_id, '')"
        " OR coalesce(found.scope_id, '') <> coalesce(own.scope_id, '')"
        f" UNION ALL SELECT source_id FROM {_TABLE} WHERE kind = '{source.kind}'"
        f" AND source_id NOT IN (SELECT source_id FROM ({source.query}) AS own) ORDER BY 1"
    )


INSPECTIONS = (texts_out_of_step,)
