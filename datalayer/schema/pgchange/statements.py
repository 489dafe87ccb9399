"""The text of single statements: columns, tables, sequences behind numbered columns."""

from __future__ import annotations

from collections.abc import Iterator

from datalayer.schema.catalog import CatalogColumn, CatalogTable
from datalayer.schema.pgchange.conversion import column_type
from datalayer.schema.pgchange.names import object_name, temporary
from datalayer.schema.tokens import quote, quote_text

__all__ = [
    "OUR_SETTINGS",
    "alter_column",
    "column_text",
    "create_table",
    "default_text",
    "dollar_quoted",
    "drop_column",
    "numbered",
    "sequence_name",
]


# what our session has: triggers and proofs run in sessions of others too
OUR_SETTINGS = "".join(
    f" SET {name} FROM CURRENT"
    for name in ("search_path", "TimeZone", "DateStyle", "IntervalStyle", "extra_float_digits")
)


def dollar_quoted(text: str) -> str:
    """Write the body of a function."""
    tag = "$body$"
    while tag in text:
        tag = f"$_{tag[1:]}"
    return f"{tag}{text}{tag}"


def column_text(column: CatalogColumn, *, with_default: bool = True, with_not_null: bool = True) -> str:
    """Write a column as CREATE TABLE and ADD COLUMN have it."""
    parts = [quote(column.name), column_type(column)]
    if column.is_generated:
        parts.append(
            f"GENERATED ALWAYS AS ({column.default}) {'VIRTUAL' if column.generated == 'v' else 'STORED'}"
        )
    elif column.identity:
        parts.append(f"GENERATED {'ALWAYS' if column.identity == 'a' else 'BY DEFAULT'} AS IDENTITY")
    elif column.default is not None and with_default:
        parts.append(f"DEFAULT {column.default}")
    if column.is_not_null and with_not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


def create_table(table: CatalogTable) -> str:
    """Write CREATE TABLE with keys and CHECKs; references and indexes come later."""
    lines = [column_text(column) for column in table.columns.values()]
    lines += [
        f"CONSTRAINT {quote(rule.name)} {rule.text}"
        for rule in table.constraints.values()
        if rule.kind in "puc"
    ]
    body = ",\n".join(f"    {line}" for line in lines)
    return f"CREATE TABLE {quote(table.name)} (\n{body}\n)"


def alter_column(table: str, column: str, what: str) -> str:
    """Write ALTER TABLE ... ALTER COLUMN."""
    return f"ALTER TABLE {quote(table)} ALTER COLUMN {quote(column)} {what}"


def drop_column(table: str, name: str) -> str:
    """Write ALTER TABLE ... DROP COLUMN."""
    return f"ALTER TABLE {quote(table)} DROP COLUMN {quote(name)}"


def default_text(table: str, name: str, default: str | None) -> str:
    """Write the statement that sets or drops a default."""
    return alter_column(table, name, "DROP DEFAULT" if default is None else f"SET DEFAULT {default}")


def numbered(
    table: str, name: str, before: CatalogColumn, after: CatalogColumn, *, is_new: bool = False
) -> Iterator[str]:
    """Write what makes a column number itself or not; numbers go on behind those that were given.

    `is_new` says that the column is a replacement of `before`, which has its own sequence until it goes.
    """
    word = "ALWAYS" if after.identity == "a" else "BY DEFAULT"
    if before.identity and after.identity and not is_new:
        yield alter_column(table, name, f"SET GENERATED {word}")
        return
    if not after.identity:
        yield alter_column(table, name, "DROP IDENTITY IF EXISTS")
        yield default_text(table, name, after.default)
        return
    sequence = temporary("sequence", table, after.name)
    if before.default is not None and not is_new:
        yield default_text(table, name, None)
    options = f"SEQUENCE NAME {quote(sequence)}{before.sequence_options}"
    yield alter_column(table, name, f"ADD GENERATED {word} AS IDENTITY ({options})")
    top = f"(SELECT max({quote(name)})::bigint AS top FROM {quote(table)}) AS m"
    if before.sequence is None:
        yield f"SELECT setval({quote_text(quote(sequence))}, top) FROM {top} WHERE top > 0"
    else:
        goes_down = "INCREMENT -" in before.sequence_options
        # numbers may have been given by hand, ahead of the sequence
        is_behind = "false" if goes_down else "coalesce(top >= s.last_value, false)"
        last = "s.last_value" if goes_down else "greatest(s.last_value, top)"
        yield (
            f"SELECT setval({quote_text(quote(sequence))}, {last}, s.is_called OR {is_behind})"
            f" FROM {quote(before.sequence)} AS s, {top}"
        )
        if not is_new:
            yield f"DROP SEQUENCE {quote(before.sequence)}"
    if not is_new:
        yield sequence_name(table, after.name)


def sequence_name(table: str, column: str) -> str:
    """Write the statement that gives the sequence of numbered() its lasting name."""
    lasting = quote(object_name(table, column, "seq"))
    return f"ALTER SEQUENCE {quote(temporary('sequence', table, column))} RENAME TO {lasting}"
