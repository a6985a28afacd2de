"""S0.14 as a question and as an answer say the same, for any record."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import All, AnyOf, Op
from connectors.contract import Test as Comparison
from reconciliation.core.eligibility import PluginColumns, explain, is_selected, selection
from reconciliation.core.values import is_blank

COLUMNS = PluginColumns("sync", "error", "duplicate", "id", "url")
T = datetime(2026, 3, 2, 9, tzinfo=UTC)


def holds(condition, fields):
    if isinstance(condition, All):
        return all(holds(part, fields) for part in condition.parts)
    if isinstance(condition, AnyOf):
        return any(holds(part, fields) for part in condition.parts)
    assert isinstance(condition, Comparison)
    value = fields.get(condition.field)
    return {
        Op.TRUE: lambda: value is True,
        Op.FALSE: lambda: not value,
        Op.BLANK: lambda: is_blank(value),
        Op.GE: lambda: value >= condition.value,
    }[condition.op]()


FLAG, PEER_ID = st.one_of(st.none(), st.booleans()), st.sampled_from([None, "", "  ", "0", "41"])
EXAMPLES = settings(max_examples=2000, deadline=None)


@EXAMPLES
@given(st.booleans(), FLAG, FLAG, PEER_ID, st.integers(-3, 3))
def test_the_filter_that_travels_selects_what_the_table_says(sync, error, duplicate, peer_id, seconds):
    at = T + timedelta(seconds=seconds)
    fields = {"sync": sync, "error": error, "duplicate": duplicate, "id": peer_id, "updated_at": at}

    selected = holds(selection(COLUMNS, T), fields)

    assert selected == is_selected(explain(COLUMNS, fields, at, T))
    assert selected == (sync and not error and not duplicate and (is_blank(peer_id) or at >= T))


@EXAMPLES
@given(st.booleans(), FLAG, FLAG, PEER_ID, st.one_of(st.none(), st.integers(-3, 3)))
def test_without_a_last_run_time_everything_that_is_switched_on_is_compared(sync, error, duplicate, peer_id, seconds):
    at = None if seconds is None else T + timedelta(seconds=seconds)
    fields = {"sync": sync, "error": error, "duplicate": duplicate, "id": peer_id, "updated_at": at}

    selected = holds(selection(COLUMNS, None), fields)

    assert selected == is_selected(explain(COLUMNS, fields, at, None)) == (sync and not error and not duplicate)
    assert explain(COLUMNS, fields, at, None)[4].title.endswith("(everything is compared)")


def test_a_record_whose_time_nobody_knows_is_not_said_to_be_edited_since():
    assert not explain(COLUMNS, {"sync": True, "id": "41"}, None, T)[4].holds


@pytest.mark.parametrize(("is_checkbox", "said", "cleared"), [(True, True, False), (False, "x" * 255, None)])
def test_an_error_is_set_and_cleared_in_both_columns_and_fits_the_texts_255_characters(is_checkbox, said, cleared):
    columns = PluginColumns("sync", "error", "duplicate", "id", "url", "why", is_checkbox)

    assert columns.error_set("x" * 300) == {"error": True, "why": said}
    assert columns.error_cleared() == {"error": False, "why": cleared}
    assert COLUMNS.error_set("x") == {"error": True} and COLUMNS.error_cleared() == {"error": False}
