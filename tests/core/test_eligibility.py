"""S0.14 as a question and as an answer say the same, for any record."""

from datetime import UTC, datetime, timedelta

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


@settings(max_examples=2000, deadline=None)
@given(
    st.booleans(),
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.booleans()),
    st.sampled_from([None, "", "  ", "0", "41"]),
    st.integers(-3, 3),
)
def test_the_filter_that_travels_selects_what_the_table_says(sync, error, duplicate, peer_id, seconds):
    at = T + timedelta(seconds=seconds)
    fields = {"sync": sync, "error": error, "duplicate": duplicate, "id": peer_id, "updated_at": at}

    selected = holds(selection(COLUMNS, T), fields)

    assert selected == is_selected(explain(COLUMNS, fields, at, T))
    assert selected == (sync and not error and not duplicate and (is_blank(peer_id) or at >= T))
