"""Microsoft's contacts as flat fields and back: laws over many examples, lists, addresses, hostile values."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import MappingError, Rejected
from connectors.mailboxes import BEYOND, CATEGORIES, CONTACT_SCHEMA, FOREIGN_ID, PLACE
from connectors.microsoft import codec
from connectors.microsoft.codec import EXTENDED, PARTS, ROOM, SLOTS, TEXTS, completed, is_sound, needed, read_contact, write_body
from tests.connectors.microsoft_wire import contact, extended

WRITTEN = [name for name in CONTACT_SCHEMA.attributes if name not in (PLACE, BEYOND)]
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
blankable = st.none() | texts


@st.composite
def contacts(draw):
    """A contact as the engine may hold it: lists without gaps, as Microsoft keeps them."""
    fields = {name: draw(blankable) for name in (*TEXTS, *PARTS, *EXTENDED)}
    for property_, room in ROOM.items():
        entries = draw(st.lists(texts, max_size=room))
        names = [name for name, (of, _) in SLOTS.items() if of == property_]
        fields |= {name: entries[at] if at < len(entries) else None for at, name in enumerate(names)}
    fields["birthday"] = draw(st.none() | st.dates())
    fields[CATEGORIES] = tuple(draw(st.lists(texts, max_size=3)))
    return fields


@st.composite
def held_rows(draw, further=3):
    """A contact as a mailbox holds it, with up to so many more addresses and phones than we have fields for."""
    emails = [{"name": draw(texts), "address": text} for text in draw(st.lists(texts, max_size=3 + further))]
    phones = {name: draw(st.lists(texts, max_size=2 + further)) for name in ("businessPhones", "homePhones")}
    return contact("A", emailAddresses=emails, **phones)


def as_stored(body, row=()):
    """What the mailbox holds after a write: what was not sent stays, lists are replaced."""
    return completed({**dict(row), **body, "id": "A", "@odata.etag": 'W/"2"'}, [])


@settings(max_examples=200)
@given(contacts())
def test_a_contact_that_was_written_reads_as_it_was(fields):
    record = read_contact(as_stored(write_body(fields, {})))

    assert {name: record.fields.get(name) for name in WRITTEN} == fields
    assert record.damaged == frozenset() and is_sound(as_stored(write_body(fields, {})))


@settings(max_examples=150)
@given(held_rows(), st.dictionaries(st.sampled_from(sorted(SLOTS)), blankable))
def test_what_goes_beyond_our_fields_is_never_lost_by_a_write(row, fields):
    before = {property_: codec.filled(row, property_) for property_ in ROOM}

    after = as_stored(write_body(fields, row), row)

    for property_, room in ROOM.items():
        beyond = before[property_][room:]
        kept = codec.filled(after, property_)
        assert kept[len(kept) - len(beyond) :] == beyond
        named = {SLOTS[name] for name in fields}
        untouched = [entry for at, entry in enumerate(before[property_]) if (property_, at) not in named]
        assert all(kept.count(entry) >= untouched.count(entry) for entry in untouched)


@settings(max_examples=200)
@given(held_rows(further=0), contacts())
def test_a_write_of_all_fields_twice_changes_nothing_the_second_time(row, fields):
    once = as_stored(write_body(fields, row), row)

    assert write_body(fields, once) == write_body(fields, as_stored(write_body(fields, once), once))


@settings(max_examples=150)
@given(st.recursive(st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_a_row_of_wrong_types_is_never_read_as_a_contact_with_blanks(value):
    for name in ("displayName", "emailAddresses", "businessPhones", "businessAddress", "categories", "singleValueExtendedProperties", "id"):
        row = contact("A") | {name: value}
        if is_sound(row):
            kind = {"displayName": str, "id": str, "businessAddress": dict}.get(name, list)
            assert isinstance(value, kind) and read_contact(row).ref.id == row["id"]


def test_every_field_of_the_schema_has_its_place_and_no_other():
    own = {*TEXTS, *SLOTS, *PARTS, *EXTENDED, "birthday", CATEGORIES, PLACE, BEYOND}

    assert own == set(CONTACT_SCHEMA.attributes)


def test_the_example_of_the_reference_is_read_field_by_field():
    record = read_contact(contact("A", "EQAAABYAAAB2mK", birthday="1974-07-22T00:00:00Z"), place="inside")

    assert record.version == 'W/"EQAAABYAAAB2mK"' and record.updated_at == datetime(2026, 11, 21, 10, 11, 12, tzinfo=UTC)
    assert record.fields["email1"] == "bo.li@widgets.example" and record.fields["email2"] is None
    assert record.fields["businessStreet"] == "1 High St" and record.fields["businessState"] is None and record.fields["homeCity"] is None
    assert record.fields["birthday"] == date(1974, 7, 22) and record.fields["notes"] is None and record.fields["jobTitle"] == "CTO"
    assert record.fields[CATEGORIES] == ("Salesforce",) and record.fields[PLACE] == "inside" and record.fields[BEYOND] == ()
    assert "title" not in record.fields  # not in the answer: not known, and not blank


def test_the_version_is_the_etag_or_else_the_change_key_in_its_words():
    row = contact("A", "k1")
    del row["@odata.etag"]

    assert codec.etag_of(row) == 'W/"k1"' and codec.etag_of({"id": "A"}) == ""


def test_a_fourth_phone_and_a_fourth_address_are_told():
    row = contact(
        "A",
        emailAddresses=[{"name": "x", "address": f"{n}@x.example"} for n in range(1, 5)],
        businessPhones=["1", "", "2", "3"],
    )

    fields = read_contact(row).fields

    assert fields["businessPhone2"] == "2" and fields[BEYOND] == ("E-mail 4: 4@x.example", "Business phone 3: 3")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("1974-07-22T00:00:00Z", date(1974, 7, 22)),
        ("1974-07-22T00:00:00.0000000Z", date(1974, 7, 22)),
        ("1974-07-22T11:59:00Z", date(1974, 7, 22)),
        ("1974-07-22", date(1974, 7, 22)),
        ("", None),
        (None, None),
        ("22 July", "22 July"),
        ("9999-99-99", "9999-99-99"),
    ],
)
def test_a_birthday_is_a_date_and_what_is_none_stays_text(raw, value):
    assert read_contact(contact("A", birthday=raw)).fields["birthday"] == value


def test_extended_properties_are_found_whatever_the_case_of_their_names():
    row = contact("A", marker="003xx", singleValueExtendedProperties=extended(otherPhone="1", businessFax="2", assistantPhone=""))

    fields = read_contact(row).fields

    assert (fields["otherPhone"], fields["businessFax"], fields["assistantPhone"], fields[FOREIGN_ID]) == ("1", "2", None, "003xx")


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b"])
def test_what_no_database_holds_is_replaced_and_told_and_never_written(bad):
    row = contact("A", displayName=bad, categories=[bad], emailAddresses=[{"name": bad, "address": bad}], businessAddress={"city": bad})

    record = read_contact(row)

    assert record.damaged == {"displayName", CATEGORIES, "email1", "businessCity"} and record.fields["email1"] == "a\ufffdb"
    for fields in ({"notes": bad}, {"email1": bad}, {"homeCity": bad}, {"otherPhone": bad}, {CATEGORIES: (bad,)}, {FOREIGN_ID: bad}):
        with pytest.raises(Rejected) as caught:
            write_body(fields, {})
        assert caught.value.field == next(iter(fields)) and bad not in str(caught.value)


@pytest.mark.parametrize("name", [PLACE, BEYOND, "emailAddresses", "no such", "x" * 500])
def test_a_field_that_contacts_have_not_is_a_fault_of_the_mapping(name):
    with pytest.raises(MappingError):
        write_body({name: "x"}, {})
    if name not in (PLACE, BEYOND):
        with pytest.raises(MappingError):
            codec.properties_of([name])


@pytest.mark.parametrize(
    ("fields", "field"), [({"birthday": "soon"}, "birthday"), ({"notes": ("a",)}, "notes"), ({CATEGORIES: "Salesforce"}, CATEGORIES)]
)
def test_a_value_of_another_kind_is_refused_by_name(fields, field):
    with pytest.raises(Rejected) as caught:
        write_body(fields, {})
    assert caught.value.field == field


def test_only_the_fields_named_are_sent_and_blank_is_null():
    body = write_body({"companyName": "", "jobTitle": "CEO", "birthday": None}, {})

    assert body == {"companyName": None, "jobTitle": "CEO", "birthday": None}


def test_an_address_part_is_written_with_the_rest_of_the_address():
    body = write_body({"businessCity": "Leeds", "businessState": None}, contact("A"))

    assert body == {
        "businessAddress": {"street": "1 High St", "city": "Leeds", "state": None, "postalCode": "W1A 1AA", "countryOrRegion": "UK"}
    }


def test_an_address_that_stays_keeps_its_name_and_a_new_one_gets_the_persons():
    held = contact("A", emailAddresses=[{"name": "Bo (work)", "address": "bo@x.example"}, {"name": "old", "address": "old@x.example"}])

    body = write_body({"email1": "bo@x.example", "email2": "new@x.example"}, held)

    assert body["emailAddresses"] == [
        {"name": "Bo (work)", "address": "bo@x.example"},
        {"address": "new@x.example", "name": "Bo Li"},
    ]


def test_what_is_blanked_in_a_list_makes_room():
    held = contact("A", emailAddresses=[{"name": "n", "address": a} for a in ("1@x", "2@x", "3@x")])

    assert [e["address"] for e in write_body({"email1": None}, held)["emailAddresses"]] == ["2@x", "3@x"]
    assert write_body({"homePhone2": "7"}, contact("A", homePhones=[]))["homePhones"] == ["7"]


def test_a_changed_name_keeps_the_full_name_that_stands_there():
    assert write_body({"surname": "Lee"}, contact("A")) == {"surname": "Lee", "displayName": "Bo Li"}
    assert write_body({"surname": "Lee", "displayName": "Bo Lee"}, contact("A")) == {"surname": "Lee", "displayName": "Bo Lee"}


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        ({"jobTitle": "x", CATEGORIES: (), "otherPhone": "1"}, []),
        ({"email2": "x"}, ["emailAddresses"]),
        ({"homePhone": "x", "homeCity": "y"}, ["homePhones", "homeAddress"]),
        ({"surname": "x"}, ["displayName"]),
        ({"surname": "x", "displayName": "y"}, []),
    ],
)
def test_a_write_says_what_it_must_know_first(fields, properties):
    assert needed(fields) == properties


def test_a_marker_is_one_value_of_a_filter_whatever_it_contains():
    assert codec.has_marker("it's") == (
        f"singleValueExtendedProperties/Any(ep: ep/id eq '{codec.FOREIGN_PROPERTY}' and ep/value eq 'it''s')"
    )


def test_a_category_is_one_in_any_case_of_its_letters():
    assert codec.with_category(["Blue", "SALESFORCE"], "Salesforce") == ["Blue", "SALESFORCE"]
    assert codec.with_category(["Blue", ""], "Salesforce") == ["Blue", "Salesforce"]
    assert not codec.is_among("", ["x"]) and codec.is_among("straße", ["STRASSE"])
