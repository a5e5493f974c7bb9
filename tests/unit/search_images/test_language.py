"""Any text is a good query; what a person types in the language means what the table says."""

import hashlib
from unicodedata import ucd_3_2_0

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.search_images.clauses import highlight_query, matching
from functions.search_images.fields import BY_NAME, Attribute, Field, Keyword, Text, field_named
from functions.search_images.language import (
    MAX_TEXT_LENGTH,
    Query,
    Term,
    parse_query,
)
from functions.search_images.ranking import MAX_TOKENS

# What makes a difference somewhere in the language, in any order.
PIECES = st.sampled_from(
    [
        *('"', "“", "”", "-", "--", ":", "*", " ", "\n", "\t", "\\", "/", "//", "(", "[", "{"),
        *("artist:", "tag:", "id:", "a:b:", "https://", "turner", "Zürich", "東京", "x", "7"),
        *("AND", "OR", "NOT", "name:/.*/", "*:*", "_id:", "deleted:true", "e\u0301", "\x00", "🎨"),
        "\ud800",
    ]
)
TEXTS = st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=300)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("richmond thames", Query("richmond thames", words=("richmond", "thames"))),
        (
            'sea "richmond hill"',
            Query(
                'sea "richmond hill"', words=("sea",), required=(Term("phrase", "richmond hill"),)
            ),
        ),
        (
            "“richmond hill”,",
            Query("“richmond hill”,", required=(Term("phrase", "richmond hill"),)),
        ),
        ("-castle", Query("-castle", excluded=(Term("word", "castle"),))),
        ('-"the end"', Query('-"the end"', excluded=(Term("phrase", "the end"),))),
        (
            "artist:turner",
            Query("artist:turner", required=(Term("word", "turner", "artist", "artist:turner"),)),
        ),
        (
            '-artist:"J. Turner"',
            Query(
                '-artist:"J. Turner"',
                excluded=(Term("phrase", "J. Turner", "artist", 'artist:"J. Turner"'),),
            ),
        ),
        ("chap*", Query("chap*", required=(Term("prefix", "chap"),))),
        ("tag:ri**", Query("tag:ri**", required=(Term("prefix", "ri", "tag", "tag:ri**"),))),
    ],
)
def test_each_form_is_understood(text: str, expected: Query) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize("newer", ["\U0002ebf0", "\U000323b0"], ids=["Unicode 15.1", "Unicode 17"])
def test_an_ideograph_is_a_word_whether_python_knows_it_or_not(newer: str) -> None:
    assert parse_query(newer) == Query(newer, words=(newer,))
    assert not parse_query(f'"sea"{newer}').required


def test_which_characters_are_words_is_the_same_in_every_python() -> None:
    """Of those that Unicode 3.2 has, which every Python carries beside its own version."""
    known = (chr(code) for code in range(0x3400) if ucd_3_2_0.category(chr(code)) != "Cn")
    words = "".join(char for char in known if not parse_query(char).empty)
    assert hashlib.sha256(words.encode()).hexdigest() == (
        "97d518a28b40fccceedb1cc4b05b45bd6b9d936358db06489aee6a5fd2afab7c"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"never closed', ('"never', "closed")),
        ('12" record', ('12"', "record")),
        ("St. Ives - harbour", ("St.", "Ives", "harbour")),
        ("well-known", ("well-known",)),
        ("Rome: the Forum", ("Rome:", "the", "Forum")),
        ("https://pictures.example/a.jpg", ("https://pictures.example/a.jpg",)),
        ("12:30", ("12:30",)),
        ("artist:", ("artist:",)),
        ("artist:?", ("artist:?",)),
        ("this AND (that OR NOT other)", ("this", "AND", "(that", "OR", "NOT", "other)")),
        ("*turner", ("*turner",)),
        ("/tur.*/", ("/tur.*/",)),
        ("a\\b", ("a\\b",)),
        ('"half"way', ('"half"way',)),
    ],
)
def test_what_is_no_form_is_words(text: str, words: tuple[str, ...]) -> None:
    assert parse_query(text) == Query(text, words=words)


@pytest.mark.parametrize(
    "text", ["", " \n", "-", "--", "*", '""', '"', "?!*", "🎨", "\x00", ":", "-*"]
)
def test_a_text_without_a_letter_or_digit_has_no_words(text: str) -> None:
    assert parse_query(text).empty


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tag", Text("tags")),
        ("NAME", Text("name")),
        ("content_type", Keyword("content_type", "image/")),
        ("id", Keyword("image_id")),
        ("Artist", Attribute("Artist")),
        # Of the index's own fields a person knows none.
        ("_id", Attribute("_id")),
        ("deleted", Attribute("deleted")),
        ("digest", Attribute("digest")),
        ("everything", Attribute("everything")),
    ],
)
def test_a_field_is_an_images_own_or_a_users(typed: str, meant: Field) -> None:
    assert field_named(typed) == meant


def test_no_more_words_than_an_index_takes_are_asked_for() -> None:
    query = parse_query(" ".join(f"w{at} -x{at} y{at}* a:z{at}" for at in range(MAX_TOKENS)))
    assert len(query.words) + len(query.required) + len(query.excluded) == MAX_TOKENS


@pytest.mark.parametrize("image_id", ["x" * 256, "1" + ".a" * 127, "a:b" * 85])
def test_the_longest_image_id_is_asked_for_whole(image_id: str) -> None:
    query = parse_query(f"id:{image_id} -id:{image_id} {'w ' * MAX_TOKENS}")
    assert [one.text for one in (*query.required, *query.excluded)] == [image_id, image_id]
    assert len(query.words) == MAX_TOKENS - 2


def test_a_first_phrase_that_is_too_long_is_cut() -> None:
    (phrase,) = parse_query('"' + "东" * 500 + '"').required
    assert phrase.text == "东" * MAX_TOKENS
    (phrase,) = parse_query('"' + "a." * 500 + '"').required
    assert phrase.text == "a." * (MAX_TOKENS // 2)


@given(TEXTS)
@example('"' * 5000)
@example("a:" * 5000)
@example("-" * 5000)
@example("*" * 5000 + "a")
@example("a " * MAX_TEXT_LENGTH)
@example(' "a' * 3000)
@example("“a” " * 3000)
def test_any_text_is_a_query_of_bounded_size(text: str) -> None:
    query = parse_query(text)
    terms = [*query.required, *query.excluded]
    assert len(query.words) + len(terms) <= MAX_TOKENS
    assert all(term.text.strip() for term in terms)
    matching(query)
    for path in ("name", "description", "tags", "attributes.value"):
        highlight_query(path, query)


ALLOWED = {
    *("match", "match_phrase", "match_phrase_prefix", "match_bool_prefix", "match_all"),
    *("term", "terms", "prefix", "range"),
    *("bool", "dis_max", "nested"),
}
PATHS = {"name", "description", "tags", "everything", "attributes.name", "attributes.value"} | {
    *("uploaded_by", "content_type", "image_id", "url", "taken_at"),
}
SUBFIELDS = {"stem", "prefix", "keyword", "file", "thai", "letters"}
INSIDE = {
    "bool": {"must", "should", "must_not", "filter"},
    "dis_max": {"queries"},
    "nested": {"query"},
}


def _check(clause: object, depth: int = 0) -> None:
    """Only clauses that cost little, only in fields that a reader may ask in, and never deep."""
    assert depth <= 8
    if isinstance(clause, list):
        for one in clause:
            _check(one, depth)
        return
    assert isinstance(clause, dict)
    ((kind, said),) = clause.items()
    assert kind in ALLOWED
    if kind in INSIDE:
        for name in INSIDE[kind] & said.keys():
            _check(said[name], depth + 1)
    elif kind != "match_all":
        (path,) = said.keys() - {"boost"}
        root, _, subfield = path.rpartition(".")
        assert (root if subfield in SUBFIELDS else path) in PATHS


@given(TEXTS)
@example(" ".join(f'{name}:a -{name}:b {name}:c* {name}:"d e"' for name in [*BY_NAME, "own"]))
@example("2019 242 -2019 name:2019 artist:0242")
@example("_id:x deleted:true _source:x everything:x digest:0 *:* name:/.*/ a:*b")
def test_no_text_reaches_another_field_or_a_clause_that_costs_much(text: str) -> None:
    query = parse_query(text)
    _check(matching(query))
