"""A person is found in every spelling, and nobody else is."""

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from reconciliation.core.spellings import Finder, has_forgotten, mark_of

MARK = mark_of(7)


def in_json(text):
    return json.dumps(text)[1:-1]


def blank(text, *terms):
    return Finder(terms, MARK).blank(text)


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "to {}.",
        "<{}>",
        "a\n{}",
        "[{}]",
        "email={}&x=1",
        "mail%3A{}",
        '\\n{}"',
    ],
)
@pytest.mark.parametrize("term", ["jane.o'doe@acme.example", "Zoë Müller-Łuk", "workbooks:person:71"])
@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        quote,
        lambda t: quote(t, safe=""),
        quote_plus,
        html.escape,
        lambda t: json.dumps(t)[1:-1],
        lambda t: json.dumps(json.dumps(t))[3:-3],
    ],
)
def test_a_person_is_found_in_every_spelling(term, spell, around):
    text = around.format(spell(term))

    assert blank(text, term) == around.format(MARK)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("jane@acme.example", "mary.jane@acme.example"),
        ("jane@acme.example", "jane@acme.example.org"),
        ("jane@acme.example", "jane@acme.examples"),
        ("Jane Doe", "Jane Doering"),
        ("Jane Doe", "Mary-Jane and Doe"),
        ("Ann Lee", "Joann Lee"),
        ("workbooks:person:7", "workbooks:person:71"),
    ],
)
def test_somebody_else_stays(term, text):
    assert blank(text, term) == text


def test_names_are_found_with_any_gap_and_turned_round():
    for text in ("Jane  Doe", "jane%20doe", "jane+doe", "Jane_Doe", "Doe, Jane", "JANE\nDOE"):
        assert blank(text, "Jane Doe") == MARK


def test_structures_are_walked_and_everything_else_is_left():
    value = {"jane@x.example": ["a", {"b": "jane@x.example", "n": 1, "t": True, "none": None}]}

    assert blank(value, "jane@x.example") == {MARK: ["a", {"b": MARK, "n": 1, "t": True, "none": None}]}
    assert has_forgotten(blank(value, "jane@x.example")["(forgotten 7)"]) and not has_forgotten(value)


@pytest.mark.parametrize(
    ("term", "pieces"),
    [
        ("jd@acme.example", {"jd", "acme.example"}),
        ("Zoë Müller", {"Zo", "M", "ller"}),
        ("workbooks:person:71", {"workbooks", "person", "71"}),
    ],
)
def test_a_rough_look_asks_for_what_every_spelling_holds(term, pieces):
    assert set(Finder([term], MARK).fragments[0]) == pieces
    assert all(piece in quote(term, safe="") and piece in json.dumps(term) for piece in pieces)
    assert Finder(["李 小龙"], MARK).fragments == [[]]


def test_no_terms_find_nothing():
    assert Finder([], MARK).blank("jane@acme.example") == "jane@acme.example"
