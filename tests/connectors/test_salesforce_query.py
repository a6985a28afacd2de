"""SOQL from conditions: whatever a value holds, it stays a value."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import All, AnyOf, Op, Position
from connectors.contract import Test as Comparison
from connectors.errors import MappingError, Rejected
from connectors.salesforce import query
from tests.connectors.salesforce_wire import id18

EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
AT = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
NASTY = st.text(alphabet=st.sampled_from("'\\\"%_()\n\tnu0041 =ORAND\u2028é😀")) | st.text()


def read_literal(text, start=0):
    """Returns what a literal says and where it ends, by the escapes of reference 3.1 and no others."""
    assert text[start] == "'"
    said, at = "", start + 1
    while text[at] != "'":
        if text[at] != "\\":
            said, at = said + text[at], at + 1
        elif text[at + 1] == "u":
            said, at = said + chr(int(text[at + 2 : at + 6], 16)), at + 6
        else:
            said, at = said + ESCAPES[text[at + 1]], at + 2
    return said, at + 1


def tokens(soql):
    """Returns the statement as tokens; each literal becomes one pair."""
    found, at = [], 0
    while at < len(soql):
        if soql[at] == "'":
            said, at = read_literal(soql, at)
            found.append(("text", said))
        elif part := re.match(r"\s*(>=|[(),=<>]|[^\s(),=<>']+)\s*", soql[at:]):
            found.append(part[1])
            at += part.end()
        else:
            at += 1
    return found


@EXAMPLES
@given(NASTY)
def test_a_quoted_text_reads_back_as_itself(text):
    literal = query.quote(text)

    assert read_literal(literal) == (text, len(literal))


texts = NASTY.filter(query.can_be_asked_for)
comparisons = st.builds(Comparison, st.sampled_from(["Email", "Account.Name"]), st.just(Op.EQ), texts) | st.builds(
    Comparison, st.just("LastName"), st.just(Op.IN), st.lists(texts, min_size=1, max_size=4).map(tuple)
)
conditions = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(All, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def values_of(condition):
    if isinstance(condition, Comparison):
        return list(dict.fromkeys(condition.value)) if condition.op is Op.IN else [condition.value]
    return [value for part in condition.parts for value in values_of(part)]


@EXAMPLES
@given(conditions)
def test_no_value_changes_the_shape_of_a_condition(condition):
    found = tokens(query.where(condition))

    assert [t[1] for t in found if isinstance(t, tuple)] == values_of(condition) or "null" in found or not found
    words: list[set[str]] = [set()]
    for token in found:
        if token == "(":
            words.append(set())
        elif token == ")":
            assert not {"AND", "OR"} <= words.pop()
        elif token in ("AND", "OR"):
            words[-1].add(token)
        elif not isinstance(token, tuple):
            assert token in ("Email", "Account.Name", "LastName", "Id", "=", "IN", ",", "null")
    assert len(words) == 1 and not {"AND", "OR"} <= words[0]


def holds(condition, record):
    """What a condition means, said another way: SOQL of no field at all must never stand for everything."""
    if isinstance(condition, Comparison):
        return record in (condition.value if condition.op is Op.IN else (condition.value,))
    results = [holds(part, record) for part in condition.parts]
    return all(results) if isinstance(condition, All) else any(results)


@EXAMPLES
@given(st.recursive(st.just(Comparison("Email", Op.EQ, "a")), lambda i: st.builds(AnyOf, st.lists(i, max_size=2).map(tuple)), max_leaves=4))
def test_a_choice_among_nothing_holds_for_nothing(condition):
    if not holds(condition, "a"):
        assert set(re.findall(r"\w+ = \w+", query.where(condition))) == {"Id = null"}


@pytest.mark.parametrize(
    ("test", "soql"),
    [
        (Comparison("Email", Op.EQ, "o'neil@x.com"), "Email = 'o\\'neil@x.com'"),
        (Comparison("Email", Op.EQ, ""), "Email = null"),
        (Comparison("Email", Op.EQ, None), "Email = null"),
        (Comparison("Email", Op.BLANK), "Email = null"),
        (Comparison("IsConverted", Op.FALSE), "IsConverted = FALSE"),
        (Comparison("IsDeleted", Op.TRUE, "no matter"), "IsDeleted = TRUE"),
        (Comparison("Active__c", Op.EQ, True), "Active__c = TRUE"),
        (Comparison("Amount", Op.GE, 1.5), "Amount >= 1.5"),
        (Comparison("NumberOfEmployees", Op.LT, 7), "NumberOfEmployees < 7"),
        (Comparison("Birthdate", Op.GT, date(2026, 11, 1)), "Birthdate > 2026-11-01"),
        (Comparison("SystemModstamp", Op.GE, AT), "SystemModstamp >= 2026-11-01T10:00:00Z"),
        (Comparison("SystemModstamp", Op.GE, AT.replace(microsecond=123456)), "SystemModstamp >= 2026-11-01T10:00:00.123+00:00"),
        (Comparison("SystemModstamp", Op.GE, AT.astimezone(timezone(timedelta(hours=5)))), "SystemModstamp >= 2026-11-01T10:00:00Z"),
        (Comparison("SystemModstamp", Op.GE, datetime.min.replace(tzinfo=UTC)), "SystemModstamp >= 1700-01-01T00:00:00Z"),
        (Comparison("SystemModstamp", Op.GE, None), ""),
        (Comparison("LastName", Op.IN, ()), "Id = null"),
        (Comparison("LastName", Op.IN, ("a", "", "b\0", "a")), "LastName IN ('a')"),
        (Comparison("AccountId", Op.IN, ("001000000000001", "no id", id18(1, "001"))), "AccountId IN ('001000000000001AAA')"),
        (All(()), ""),
        (AnyOf(()), "Id = null"),
        (AnyOf((All(()), Comparison("LastName", Op.EQ, "x"))), ""),
    ],
)
def test_what_a_comparison_becomes(test, soql):
    assert query.where(test) == soql


@pytest.mark.parametrize("name", ["Email = null OR Id", "Email'", "", "a b", "Email--", "1abc", "Account.", "Ёmail", "Email\n"])
def test_a_name_that_is_none_is_a_fault_of_the_mapping(name):
    for ask in (
        lambda: query.where(Comparison(name, Op.BLANK)),
        lambda: query.select("Contact", [name]),
        lambda: query.select(name, ["Id"]),
    ):
        with pytest.raises(MappingError):
            ask()


@pytest.mark.parametrize("value", ["  ", "a\0", "\ud800", "x" * 4001, "'" * 2001, ("a",)])
def test_a_value_that_no_field_holds_is_not_asked_for(value):
    with pytest.raises(Rejected):
        query.literal(value)


def test_a_position_is_what_lies_behind_it_within_one_instant_and_later():
    soql = query.where(query.after(Position(AT, id18(7))))

    same, later = "(SystemModstamp = 2026-11-01T10:00:00Z) AND (Id > '003000000000007AAA')", "SystemModstamp > 2026-11-01T10:00:00Z"
    assert soql == f"({same}) OR ({later})"


@pytest.mark.parametrize(
    ("own", "ids"),
    [
        (
            "SELECT name, toLabel(status), id FROM Contact USING SCOPE mine WHERE email != null ORDER BY Name ASC NULLS FIRST, Id ASC",
            "SELECT Id FROM Contact USING SCOPE mine WHERE email != null",
        ),
        ("SELECT id FROM contact", "SELECT Id FROM contact"),
        (
            "select id, (select id from Tasks order by id) from Contact where name = 'order from x' and (city = 'a''b')",
            "SELECT Id from Contact where name = 'order from x' and (city = 'a''b')",
        ),
        (
            "SELECT id FROM Contact WHERE Name = 'it\\'s ORDER BY' ORDER BY CreatedDate DESC LIMIT 5",
            "SELECT Id FROM Contact WHERE Name = 'it\\'s ORDER BY' ORDER BY CreatedDate DESC LIMIT 5",
        ),
    ],
)
def test_a_list_view_is_asked_for_ids_by_its_own_query(own, ids):
    assert query.of_view(own, "Contact") == ids


@pytest.mark.parametrize(
    "own", ["", "SELECT id FROM Lead", "DELETE FROM Contact", "SELECT id", "SELECT 'FROM Contact'", "SELECT id FROM Contacts"]
)
def test_a_list_views_query_that_is_none_is_refused(own):
    with pytest.raises(Rejected):
        query.of_view(own, "Contact")


def test_values_are_cut_into_calls():
    assert [len(part) for part in query.chunks([str(n) for n in range(401)], 200)] == [200, 200, 1]
    long = ["'" * 1900 + str(n) for n in range(30)]
    assert [value for part in query.chunks(long, 200) for value in part] == long
    assert all(sum(len(query.quote(value)) for value in part) < 100_000 for part in query.chunks(long, 200))
