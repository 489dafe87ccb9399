from __future__ import annotations

import gc
import sqlite3
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datalayer.schema.tokens import (
    KEYWORDS,
    canonical,
    fold,
    quote,
    significant,
    split,
    tokenize,
    unquote,
)

PIECES = [
    *(
        "create",
        "CREATE",
        "trigger",
        "temp",
        "end",
        "END",
        "begin",
        "case",
        "explain",
        "select",
        "a",
        "é",
        "_x$1",
    ),
    *("'it''s'", "'", '"a""b"', '"', "`g`", "`", "[b r]", "[", "]", "x'0aFF'", "x'0", "X'zz'"),
    *("-- c\n", "--", "/* c */", "/*", "*/", "/", "-", "\n", " ", "\t", "\ufeff", "\v"),
    *("1", "1.5e-3", ".5", "0x1F", "1x", "1e", "1_0", "?", "?12", "@a", ":b", "$c::d(e)", "$", "#1", "::"),
    *(";", ";", ",", ".", "(", ")", "<>", "!=", "!", "==", "||", "|", "->>", "->", "<<", ">=", "~"),
]
scripts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25).map("".join)


@given(scripts)
@example("'a''b'''")
@example("/*/")
@example("$::")
def test_tokens_join_to_the_text_and_carry_their_spans(text: str) -> None:
    tokens = list(tokenize(text))

    assert "".join(token.text for token in tokens) == text
    assert all(text[token.start : token.end] == token.text for token in tokens)
    assert all(token.text for token in tokens)


@given(st.lists(st.sampled_from([piece for piece in PIECES if "\0" not in piece]), max_size=25).map("".join))
@example("create trigger a ; end ;")
@example("explain create temp trigger t begin ; select case end ; end")
@example("; ; 'x")
@example("/*")
def test_splitting_agrees_with_sqlite_on_whether_a_script_is_complete(text: str) -> None:
    # sqlite3_complete() asks whether the last statement has its semicolon; a byte order mark is no space to
    # it
    text = text.replace("\ufeff", "").replace("\v", "")
    unclosed = any(token.kind == "illegal" and token.text[0] in "'\"`[xX" for token in tokenize(text))
    # "/*" alone is a slash and a star; with something behind it, it opens a comment
    if unclosed or _ends_in_open_comment(text + "\n;"):
        return
    complete = sqlite3.complete_statement(text + "\n;")

    assert complete == (split(text + "\n; select 1")[-1].text == "select 1")


def _ends_in_open_comment(text: str) -> bool:
    last = list(tokenize(text))[-1:]
    return bool(last) and last[0].kind == "comment" and last[0].text[:2] == "/*" and last[0].text[-2:] != "*/"


@given(st.text(min_size=1).filter(lambda name: "\0" not in name and name.isprintable()))
def test_a_quoted_name_comes_back_whatever_is_in_it(name: str) -> None:
    tokens = list(tokenize(quote(name)))

    assert [token.kind for token in tokens] == ["identifier"]
    assert unquote(tokens[0]) == name


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("name", "word", "name"),
        ('"a ""b"""', "identifier", 'a "b"'),
        ("`a ``b`", "identifier", "a `b"),
        ("[a ' \" b]", "identifier", "a ' \" b"),
        ("'it''s'", "string", "it's"),
        ("x'00ff'", "blob", "x'00ff'"),
        ("1.5e-3", "number", "1.5e-3"),
        ("$a::b(c)", "parameter", "$a::b(c)"),
        ("->>", "operator", "->>"),
        ("'open", "illegal", "'open"),
        ('"open""', "illegal", '"open""'),
        ("[open", "illegal", "[open"),
        ("x'0'x", "blob", None),
        ("12ab", "illegal", "12ab"),
    ],
)
def test_each_kind_of_token_is_told_apart(text: str, kind: str, value: str | None) -> None:
    first = next(iter(tokenize(text)))

    assert first.kind == kind
    assert value is None or unquote(first) == value


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["'", '"a', "/*", "[", "$::", ":", "x'", "1_", "-", "a.", ";", "\ufeff", "``"]
)
def test_time_is_linear_in_the_length_of_the_text(unit: str) -> None:
    def seconds(repeats: int) -> float:
        # a collection looks at what other tests have left as well
        gc.disable()
        try:
            start = process_time()
            list(tokenize(unit * repeats))
            return process_time() - start
        finally:
            gc.enable()

    small = min(seconds(20_000) for _ in range(3))

    assert min(seconds(160_000) for _ in range(2)) < 40 * small + 0.2


def test_a_trigger_is_one_statement_with_the_cases_in_it() -> None:
    script = """
    CREATE TABLE t (a); -- one;
    CREATE TRIGGER r AFTER UPDATE ON t BEGIN
        SELECT CASE WHEN a THEN 1 ELSE ';' END FROM t;
        DELETE FROM t;
    END;
    /* ; */ DROP TABLE "t;"
    """

    statements = split(script)

    assert [statement.verb for statement in statements] == ["CREATE", "CREATE", "DROP"]
    assert [statement.line for statement in statements] == [2, 3, 7]
    assert statements[1].text.endswith("END")
    assert statements[2].text == 'DROP TABLE "t;"'


def test_empty_statements_and_comments_alone_are_no_statements() -> None:
    assert split(" ; -- nothing\n ;; /* here */") == []


def test_canonical_tokens_ignore_layout_case_comments_and_quoting_of_known_names() -> None:
    names = frozenset({"t", "select", "a b"})

    def form(sql: str) -> tuple[str, ...]:
        return canonical(tokenize(sql), names)

    assert form('SELECT "T".[A B] -- c') == form("select t . `a b`")
    assert form("a == 1") == form("a = 1")
    assert form('SELECT "unknown"') != form('SELECT "Unknown"')
    assert form('"select"') != form("select")
    assert form("'Text'") != form("'text'")


def test_names_are_compared_as_sqlite_does_by_ascii_letters_only() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (É INTEGER)")

    assert fold("TÉ") == "tÉ"
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("SELECT é FROM t")
    connection.close()


def test_keywords_are_words_of_sqlite() -> None:
    connection = sqlite3.connect(":memory:")
    reserved = []
    for word in sorted(KEYWORDS):
        try:
            connection.execute(f"CREATE TABLE x ({word} INTEGER)")
            connection.execute("DROP TABLE x")
        except sqlite3.OperationalError:
            reserved.append(word)
    connection.close()

    assert {"SELECT", "TABLE", "CHECK", "WHERE"} <= set(reserved)
    # the 147 of sqlite3_keyword_name(), and TRUE and FALSE, which SQLite treats as names until nothing else
    # fits
    assert len(significant(tokenize(" ".join(KEYWORDS)))) == len(KEYWORDS) == 149
