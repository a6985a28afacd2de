"""Salesforce's JSON to records and back: ids, instants, blanks, and values that nobody expects."""

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import Ref
from connectors.errors import MappingError, Rejected
from connectors.salesforce.codec import Kind, full_id, read_instant, read_record, read_value, write_body, write_instant
from connectors.salesforce.schema import kinds_of, read_schema
from tests.connectors.salesforce_wire import AT, SHOWN, id18, row

EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
)


@pytest.mark.parametrize(
    ("short", "check"), [("0035500001H9cak", "AAB"), ("001D000000JliST", "IAZ"), ("00BAA0000000001", "2AA"), ("003AA0000012345", "YAA")]
)
def test_ids_get_the_check_characters_of_the_reference(short, check):
    assert full_id(short) == full_id(short + check) == short + check


@pytest.mark.parametrize(
    "text", ["", "003AA0000012345YAB", "003AA0000012345yaa", "003AA000001234", "003AA00000123'5", "003AA0000012345YAA ", "é" * 15]
)
def test_what_is_no_id_is_none(text):
    assert full_id(text) is None


def test_a_row_becomes_a_record_with_its_version_editor_and_parents_fields():
    raw = row(
        5, LastName="Okafor", Email=None, Birthdate="1980-02-03", NumberOfEmployees=7, LastModifiedDate="2026-10-31T08:00:00.000+0000"
    )
    raw |= {"Account": {"attributes": {"type": "Account"}, "Name": "Acme"}, "ReportsTo": None, "MailingAddress": {"city": "Leeds"}}

    record = read_record(raw, "Contact", ["LastName", "Account.Name", "ReportsTo.Email", "Account.Owner.Name"])

    assert record.ref == Ref("salesforce", "Contact", id18(5))
    assert (record.version, record.updated_at, record.updated_by) == (SHOWN, AT, "005AA0000000001YAA")
    assert record.edited_at == datetime(2026, 10, 31, 8, tzinfo=UTC)
    assert not record.is_deleted and record.succeeded_by is None and not record.damaged
    wanted = {"LastName": "Okafor", "Email": None, "Birthdate": date(1980, 2, 3), "Account.Name": "Acme", "ReportsTo.Email": None}
    assert wanted.items() <= record.fields.items() and record.fields["Account.Owner.Name"] is None
    assert not {"attributes", "Account", "MailingAddress"} & set(record.fields)


def test_short_ids_become_long_ones():
    record = read_record(row(5, Id="003AA0000012345", MasterRecordId="003AA0000012345"), "Contact")

    assert record.ref.id == record.succeeded_by.id == record.fields["Id"] == "003AA0000012345YAA"


def test_merged_and_converted_records_name_what_took_their_place():
    merged = read_record(row(5, MasterRecordId=id18(6), IsDeleted=True), "Contact")
    lead = row(5, "Lead", IsConverted=True, ConvertedContactId=id18(9))

    assert merged.is_deleted and merged.succeeded_by == Ref("salesforce", "Contact", id18(6))
    assert read_record(lead, "Lead").succeeded_by == Ref("salesforce", "Contact", id18(9))
    assert read_record(lead | {"IsConverted": False}, "Lead").succeeded_by is None
    assert read_record(lead | {"MasterRecordId": id18(8, "00Q")}, "Lead").succeeded_by == Ref("salesforce", "Lead", id18(8, "00Q"))


def test_a_text_that_looks_like_an_instant_stays_one_and_a_custom_field_is_read_by_its_description():
    said = [("Since__c", "datetime"), ("Day__c", "date"), ("Tags__c", "multipicklist"), ("Note__c", "string")]
    schema = read_schema("Contact", {"fields": [{"name": name, "type": type_} for name, type_ in said]})
    raw = row(5, Since__c=SHOWN, Day__c="2026-11-01", Tags__c="a;b", Note__c=SHOWN, LastName="2026-11-01", Title=SHOWN)

    fields = read_record(raw, "Contact", kinds=kinds_of(schema)).fields

    assert (fields["Since__c"], fields["Day__c"], fields["Tags__c"]) == (AT, date(2026, 11, 1), ("a", "b"))
    assert (fields["Note__c"], fields["LastName"], fields["Title"]) == (SHOWN, "2026-11-01", SHOWN)


@pytest.mark.parametrize(
    "raw", ["", "soon", "2026-11-01", "2026-11-01T10:00:00", "0001-01-01T00:00:00.000+1400", 5, None, "2026-13-01T00:00:00Z"]
)
def test_what_is_no_instant_is_none(raw):
    assert read_instant(raw) is None


@pytest.mark.parametrize(
    ("raw", "value", "is_damaged"),
    [
        ("", None, False),
        ("a\0b", "a\ufffdb", True),
        ("\ud83d", "\ufffd", True),
        ("😀", "😀", False),
        (1e400, "inf", True),
        (0, 0, False),
        (False, False, False),
    ],
)
def test_values_that_no_database_holds_are_marked(raw, value, is_damaged):
    assert read_value(raw) == (value, is_damaged)


@EXAMPLES
@given(JSON)
def test_no_answer_breaks_the_reader(raw):
    assert read_record(raw, "Contact", ["Account.Name"]) is None or isinstance(raw, dict)
    for field in ("Id", "attributes", "SystemModstamp", "LastModifiedById", "IsDeleted", "MasterRecordId", "Account", "LastName"):
        record = read_record(row(5) | {field: raw}, "Contact", ["Account.Name"])
        assert record is None or record.ref.object_type == "Contact"


@EXAMPLES
@given(JSON)
def test_no_description_breaks_its_reader(raw):
    for described in ({"fields": raw}, {"fields": [raw, {"name": "X", "type": raw, "length": raw, "picklistValues": raw, "label": raw}]}):
        kinds_of(read_schema("Contact", described))


@EXAMPLES
@given(st.text() | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.dates())
def test_what_is_written_reads_back_as_the_same_value_or_is_refused(value):
    try:
        body = json.loads(json.dumps(write_body({"X__c": value}), allow_nan=False))
    except Rejected:
        assert isinstance(value, str) and ("\0" in value or any("\ud800" <= c <= "\udfff" for c in value))
        return

    back, is_damaged = read_value(body["X__c"], Kind.DATE if isinstance(value, date) else Kind.PLAIN)
    assert back == (value or None if isinstance(value, str) else value) and not is_damaged


def test_instants_and_lists_are_written_as_salesforce_writes_them():
    assert write_body({"A": AT, "B": ("x", "y"), "C": (), "D": ""}) == {"A": SHOWN, "B": "x;y", "C": None, "D": None}
    assert write_instant(AT.replace(microsecond=5000)) == "2026-11-01T10:00:00.005+0000"


@pytest.mark.parametrize("fields", [{"X__c": float("nan")}, {"X__c": float("inf")}, {"X__c": ("a;b",)}, {"X__c": "\ud800"}, {"X__c": "\0"}])
def test_a_value_that_has_no_wire_form_is_refused_before_anything_is_sent(fields):
    with pytest.raises(Rejected) as caught:
        write_body(fields)
    assert caught.value.field == "X__c"


@pytest.mark.parametrize("name", ["Id", "Account.Name", "", "a b", "attributes'"])
def test_a_field_that_is_none_of_the_records_own_is_a_fault_of_the_mapping(name):
    with pytest.raises(MappingError):
        write_body({name: "x"})


def test_a_description_says_what_is_required_how_long_and_which_choices():
    field = {"name": "Status", "label": "Lead Status", "type": "picklist", "length": 255, "createable": True, "nillable": False}
    choices = [{"active": True, "value": "Open"}, {"active": False, "value": "Old"}, "odd", {"active": True}]
    defaulted = {**field, "name": "OwnerId", "type": "reference", "length": 18, "defaultedOnCreate": True, "updateable": True}
    rows = [{**field, "defaultedOnCreate": False, "picklistValues": choices}, defaulted]
    rows += [
        {"name": "MailingAddress", "type": "address"},
        {"name": "Old__c", "type": "string", "deprecatedAndHidden": True},
        {"label": "no name"},
    ]

    attributes = read_schema("Lead", {"fields": rows}).attributes

    assert list(attributes) == ["Status", "OwnerId"]
    status, owner = attributes.values()
    assert (status.title, status.type, status.max_length, status.is_required, status.choices) == (
        "Lead Status",
        "text",
        255,
        True,
        ("Open",),
    )
    assert (owner.type, owner.max_length, owner.is_required, owner.is_updatable, status.is_updatable) == (
        "reference",
        0,
        False,
        True,
        False,
    )
