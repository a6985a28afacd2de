"""What a person's choice makes of a field that both sides changed."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.mapping import Direction, FieldRule, Survivorship
from reconciliation.core.settling import CannotSettle, Names, Settlement, do_agree, read_typed, settle

NAMES = Names()
USERS = {"005A": "7"}


def rule(**values):
    return FieldRule(1, "Title", "title", **{"direction": Direction.BOTH, **values})


def settled(crm, peer, take, typed=None, **values):
    return settle(rule(**values), crm, peer, take, typed, USERS, NAMES)


def test_one_side_is_taken_and_only_the_other_is_written():
    assert settled("a", "b", "crm") == Settlement("a", "a", False, True)
    assert settled("a", "b", "peer") == Settlement("b", "b", True, False)
    assert settled("a", "b", "typed", "c") == Settlement("c", "c", True, True)
    assert settled("a", "b", "typed", "b") == Settlement("b", "b", True, False)


def test_sides_that_agree_are_not_written_whatever_is_taken():
    for take in ("crm", "peer"):
        assert settled("a", "a", take).agrees and settled("1", ("1", "2"), take, transform="first of list").agrees


def test_a_value_goes_across_by_its_conversion():
    first = {"transform": "first of list"}
    assert settled("1", ("2", "3"), "crm", **first).peer == ("1", "3")
    assert settled("1", ("2", "3"), "peer", **first) == Settlement("2", ("2", "3"), True, False)
    assert settled("005A", "9", "crm", transform="user by user mapping").peer == "7"
    assert settled("Hot", "2", "crm", transform="value map", value_map=(("Hot", "1"), ("Cold", "2"))).peer == "1"


@pytest.mark.parametrize(
    ("take", "values", "says"),
    [
        ("crm", {"survivorship": Survivorship.RESTRICTIVE}, "consent"),
        ("crm", {"transform": "user by user mapping"}, "no counterpart in Outreach"),
        ("peer", {"transform": "value map"}, "cannot be brought to Salesforce"),
        ("peer", {"direction": Direction.TO_PEER}, "lets nothing flow to Salesforce"),
        ("crm", {"direction": Direction.TO_CRM}, "lets nothing flow to Outreach"),
        ("crm", {"max_length": 3}, "takes 3"),
        ("peer", {"max_length_in_crm": 3}, "takes 3"),
    ],
)
def test_what_cannot_be_carried_out_says_why(take, values, says):
    with pytest.raises(CannotSettle, match=says):
        settled("crm value", "peer value", take, **values)


def test_a_blank_is_taken_unless_the_other_side_needs_a_value():
    assert settled(None, "b", "crm") == Settlement(None, None, False, True)
    with pytest.raises(CannotSettle, match="Outreach takes no blank"):
        settled("", "b", "crm", is_required=True)
    with pytest.raises(CannotSettle, match="Salesforce takes no blank"):
        settled("a", "  ", "peer", is_required_in_crm=True)


@pytest.mark.parametrize("take", ["crm", "peer", "typed"])
def test_what_was_forgotten_is_written_nowhere(take):
    crm, peer = ("a", "(forgotten 3)") if take == "peer" else ("(forgotten 3)", "b")
    with pytest.raises(CannotSettle, match="forgotten"):
        settled(crm, peer, take, "of (forgotten 4)")


values = st.one_of(st.none(), st.text(max_size=20), st.booleans(), st.integers(-9, 9))


@given(values, values, st.sampled_from(["crm", "peer"]))
def test_after_a_choice_both_sides_agree_and_choosing_again_writes_nothing(crm, peer, take):
    done = settled(crm, peer, take)

    assert do_agree(rule(), done.crm, done.peer, USERS) and settled(done.crm, done.peer, take).agrees
    assert not (done.writes_crm and done.writes_peer)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" Chair ", "text", "Chair"),
        ("a\r\nb", "text", "a\nb"),
        ("  ", "integer", None),
        ("12", "integer", 12),
        ("1.5", "number", 1.5),
        ("Yes", "boolean", True),
        ("no", "boolean", False),
        ("2026-05-02", "date", date(2026, 5, 2)),
        ("2026-05-02 14:30", "datetime", datetime(2026, 5, 2, 14, 30, tzinfo=UTC)),
        ("2026-05-02T14:30+02:00", "datetime", datetime(2026, 5, 2, 12, 30, tzinfo=UTC)),
        ("007", "reference", "007"),
    ],
)
def test_what_is_typed_is_read_as_the_field_holds_it(text, kind, value):
    assert read_typed(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", "integer"), ("1.5", "integer"), ("9" * 5000, "integer"), ("nan", "number"), ("inf", "number"), ("maybe", "boolean"),
        ("2.5.2026", "date"), ("soon", "datetime"), ("0001-01-01T00:00+23:00", "datetime"),
        ("a\x00b", "text"), ("\ud800", "text"), ("x" * 40_000, "text"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(text, kind):
    with pytest.raises(CannotSettle):
        read_typed(text, kind)
