"""First and last names in display names; and when two writings are one person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.person_names import fold, is_person_like, is_same_person, read_name


@pytest.mark.parametrize(
    ("display", "address", "first", "last"),
    [
        ("Anna Müller", "", "Anna", "Müller"),
        ("Müller, Anna", "", "Anna", "Müller"),
        ("Müller, Anna (Acme GmbH)", "", "Anna", "Müller"),
        ("Anna Müller (Acme)", "", "Anna", "Müller"),
        ("Dr. Anna Müller, PhD", "", "Anna", "Müller"),
        ("i. A. Anna Müller", "", "Anna", "Müller"),
        ("anna müller", "", "Anna", "Müller"),
        ("ANNA MÜLLER", "", "Anna", "Müller"),
        ("Jean-Marc DUBOIS", "", "Jean-Marc", "Dubois"),
        ("DUBOIS Jean-Marc", "", "Jean-Marc", "Dubois"),
        ("Pieter van der Meer", "", "Pieter", "van der Meer"),
        ("Marco De Santis", "", "Marco", "De Santis"),
        ("John Q. Public", "", "John Q.", "Public"),
        ("María García López", "maria.garcia@x.example", "María", "García López"),
        ("Mary Jane Watson", "mary.watson@x.example", "Mary Jane", "Watson"),
        ("Nagy Péter", "peter.nagy@x.hu", "Péter", "Nagy"),
        ("田中 健一", "", "健一", "田中"),
        ("Anna Müller | Acme", "anna.mueller@acme.example", "Anna", "Müller"),
        ("Priya", "priya@x.example", "Priya", ""),
    ],
)
def test_a_name_is_read_where_it_says_one(display, address, first, last):
    name = read_name(display, address=address)

    assert name is not None and name.is_certain
    assert (name.first, name.last) == (first, last)


@pytest.mark.parametrize(
    ("display", "address", "region"),
    [
        ("Mary Jane Watson", "", "US"),  # a surname of one word, or of two
        ("Wang Wei", "", "CN"),  # the surname may come first
        ("Anna Müller", "mueller.anna@x.example", "DE"),  # name and address in another order
        ("田中健一", "", "JP"),
        ("Laura", "hello99@x.example", "GB"),
        ("Anna Müller - Acme", "hr7@x.example", "DE"),
    ],
)
def test_what_can_be_read_in_two_ways_is_uncertain(display, address, region):
    name = read_name(display, address=address, region=region)

    assert name is not None and not name.is_certain and name.why


@pytest.mark.parametrize(
    "display",
    ["", "Acme Ltd", "Acme, Inc.", "anna@acme.example", "Ann Lee via DocuSign", "Sales Team", "Meeting Room 4", "Anna & Bob Berg", "Info",
     "Sekretariat Dr. Kranz", "Personalabteilung", "Order 4711", "a" * 500, "www.acme.example", "Microsoft Teams", "—"],
)  # fmt: skip
def test_what_is_no_persons_name_gives_none(display):
    assert read_name(display, address="x@acme.example") is None


@given(st.text(max_size=200), st.text(max_size=40))
def test_no_name_is_too_strange(display, address):
    name = read_name(display, address=address, region="DE")

    assert name is None or name.first or name.last
    is_person_like(display)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Anna Müller", "MÜLLER, Anna", True),
        ("Anna Müller", "Dr. Anna Mueller", False),  # read from addresses only
        ("William Turner", "Bill Turner", True),
        ("J. Turner", "Jane Turner", True),
        ("Joanna Reid", "Peter Reid", False),
        ("Joanna Reid", "Joanna Templeton", False),
        ("Joanna Reid", "Peter Templeton", False),
        ("Anna van Dijk", "Anna Dijk", True),
    ],
)
def test_two_names_are_one_person_or_not(one, other, is_same):
    assert is_same_person(one, other) is is_same and is_same_person(other, one) is is_same


def test_names_are_compared_without_accents():
    assert fold("Zoë Łuk-Sørensen Ångström") == "zoe luk-sorensen angstrom" and fold("どう") == "どう"
