"""What is blank, the same, the same name, and what a conversion makes of a value."""

from datetime import UTC, date, datetime

import pytest

from reconciliation.core.transforms import TRANSFORMS, CannotConvert, Unmatched, convert, has_way_back
from reconciliation.core.values import NAME_KEY_LENGTH, is_blank, is_same, name_key, normalise_name


@pytest.mark.parametrize("value", [None, "", " ", "\t\n\u00a0", ()])
def test_what_says_nothing_is_blank(value):
    assert is_blank(value)


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "-", ("",), "\u200b"])
def test_nought_no_and_whatever_shows_are_not_blank(value):
    assert not is_blank(value)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (None, "", True),
        ("  ", (), True),
        (None, 0, False),
        ("", False, False),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        ("a", "A", False),
        ("a", "a ", False),
        ("1", 1, False),
        (("a", "b"), ("b", "a"), False),
    ],
)
def test_two_values_say_the_same(left, right, same):
    assert is_same(left, right) is is_same(right, left) is same


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("Northwind  Pumps", " northwind pumps ", True),
        ("STRASSE", "Straße", True),
        ("Ａcme", "acme", True),
        ("ﬁsh", "fish", True),
        ("Acme", "Acme Ltd", False),
        ("O'Brien", "OBrien", False),
        ("Müller", "Muller", False),
    ],
)
def test_two_names_are_the_same(left, right, same):
    assert (normalise_name(left) == normalise_name(right)) is same


def test_a_name_key_is_cut_after_folding_so_that_both_sides_of_a_comparison_are_cut_alike():
    assert len(name_key("ß" * 200)) == NAME_KEY_LENGTH and name_key("ß" * 200) == name_key("SS" * 200)
    assert name_key(None) == name_key("  ") == ""


CONVERSIONS = [
    ("same", ("a", "b"), ("a", "b")),
    ("text", 12, "12"),
    ("text", "12", "12"),
    ("integer", " 1,234 ", 1234),
    ("integer", "12.0", 12),
    ("integer", 7, 7),
    ("integer", "-3", -3),
    ("date", " 2 May 2026", "2026-05-02"),
    ("date", "2026-05-02", "2026-05-02"),
    ("date", "2026-05-02T23:30:00Z", "2026-05-02"),
    ("date", date(2026, 5, 2), "2026-05-02"),
    ("date as instant", "2 May 2026", datetime(2026, 5, 2, tzinfo=UTC)),
    ("host of web address", "https://www.Acme.example:8080/x?y#z", "acme.example"),
    ("host of web address", "acme.example/about", "acme.example"),
    ("user by username", "Jane_Doe", "7"),
    ("user by username", "jane_doe", Unmatched("jane_doe")),
    ("user by username", "Jane_Doe ", Unmatched("Jane_Doe ")),
    ("user by user mapping", "Jane_Doe", "7"),
    ("user by user mapping", "Tom", Unmatched("Tom")),
    ("first of list", "a@x.example", ("a@x.example",)),
    ("value map", "Open", "New"),
]
PAIRS = (("Open", "New"), ("yes", "opted_out"))


@pytest.mark.parametrize(("transform", "value", "becomes"), CONVERSIONS)
def test_what_a_conversion_makes_of_a_value(transform, value, becomes):
    assert convert(transform, value, users={"Jane_Doe": "7"}, pairs=PAIRS) == becomes


@pytest.mark.parametrize(
    ("transform", "value", "current", "becomes"),
    [
        ("same", "a", "b", "a"),
        ("user by user mapping", "7", None, "Jane_Doe"),
        ("user by user mapping", "8", None, Unmatched("8")),
        ("first of list", ("a@x.example", "b@x.example"), None, "a@x.example"),
        ("first of list", ("A@X.example",), "a@x.example", "a@x.example"),
        ("first of list", ("+1", "+2"), "+1", "+1"),
        ("value map", "New", None, "Open"),
        ("value map", "opted_out", None, True),
    ],
)
def test_the_way_back(transform, value, current, becomes):
    assert convert(transform, value, users={"Jane_Doe": "7"}, pairs=PAIRS, current=current, back=True) == becomes


@pytest.mark.parametrize(
    ("value", "current", "becomes"),
    [
        ("c@x.example", ("a@x.example", "b@x.example"), ("c@x.example", "b@x.example")),
        ("b@x.example", ("a@x.example", "b@x.example"), ("b@x.example",)),
        ("A@x.example", ("a@x.example", "b@x.example"), ("a@x.example", "b@x.example")),
        (None, ("a@x.example",), None),
        (None, (), None),
    ],
)
def test_the_first_of_a_list_is_replaced_and_the_rest_stays(value, current, becomes):
    assert convert("first of list", value, users={}, current=current) == becomes


def test_a_blank_takes_no_list_of_several_away():
    with pytest.raises(CannotConvert, match="more than one"):
        convert("first of list", None, users={}, current=("a@x.example", "b@x.example"))


def test_what_has_no_way_back_and_what_no_value_map_knows_is_told():
    assert not has_way_back("host of web address") and has_way_back("value map")
    with pytest.raises(CannotConvert, match="no way back"):
        convert("host of web address", "acme.example", users={}, back=True)
    with pytest.raises(CannotConvert, match="'Closed' stands in no row"):
        convert("value map", "Closed", users={}, pairs=PAIRS)


def test_every_conversion_has_its_examples():
    assert {transform for transform, _, _ in CONVERSIONS} == set(TRANSFORMS)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("blank", [None, "", "  ", ()])
def test_blank_stays_blank(transform, blank):
    assert convert(transform, blank, users={"": "7", "  ": "8"}) is None


@pytest.mark.parametrize(
    ("transform", "value"),
    [
        ("integer", "12,5"),
        ("integer", "1,23,456"),
        ("integer", "12.5"),
        ("integer", "many"),
        ("integer", True),
        ("integer", "inf"),
        ("integer", "nan"),
        ("date", "31 Feb 2026"),
        ("date", "soon"),
        ("date as instant", "soon"),
        ("host of web address", "not an address"),
        ("host of web address", "https://[::1"),
    ],
)
def test_what_has_no_counterpart_is_said(transform, value):
    with pytest.raises(CannotConvert) as caught:
        convert(transform, value, users={})

    assert len(str(caught.value)) < 120
