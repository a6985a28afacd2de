"""People of the People API to contacts and back: what stands where, and that nothing without a field is ever lost."""

import copy
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.google.beyond import told
from connectors.google.codec import (
    MY_CONTACTS,
    Labels,
    changed_lists,
    groups,
    is_sound,
    new_person,
    read_contact,
    update_body,
    version,
    whole_list,
)
from connectors.google.slots import ADDRESS_PARTS, ADDRESSES, LISTS, OWN_LISTS
from connectors.mailboxes import BEYOND, CATEGORIES, CONTACT_SCHEMA, FOREIGN_ID, INSIDE, PLACE
from tests.connectors.google_wire import CATEGORY, FOLDER, KEY, MINE, VIP, person

LABELS = Labels(FOLDER, CATEGORY, {FOLDER: "Salesforce Contacts", CATEGORY: "Salesforce", VIP: "VIP", "contactGroups/g1": "Golf"})
READ_ONLY = {PLACE, BEYOND}
WRITABLE = [name for name in CONTACT_SCHEMA.attributes if name not in READ_ONLY]


def fields_of(raw, **options):
    return dict(read_contact(raw, LABELS, key=KEY, **options).fields)


def filled(raw):
    return {name: value for name, value in fields_of(raw).items() if value not in (None, ())}


def written(raw, **fields):
    """Returns the person after a write, as Google has it: named lists replaced whole, all else as it was."""
    lists = changed_lists(raw, fields, LABELS, key=KEY)
    body = update_body(raw, lists, list(lists))
    return {**raw, **{name: body[name] for name in lists}}


# --- what stands where --------------------------------------------------------------------------------------------------

EVERYTHING = person(
    7001,
    MINE,
    FOLDER,
    CATEGORY,
    VIP,
    marker="003A",
    names=[
        {
            "displayName": "Dr Bo Erik Lind Jr",
            "honorificPrefix": "Dr",
            "givenName": "Bo",
            "middleName": "Erik",
            "familyName": "Lind",
            "honorificSuffix": "Jr",
        }
    ],
    nicknames=[{"value": "B.L.", "type": "INITIALS"}, {"value": "Bobo", "type": "DEFAULT"}],
    emailAddresses=[
        {"value": "two@x.example", "type": "home"},
        {"value": "one@x.example", "type": "work", "metadata": {"primary": True}},
        {"value": "three@x.example"},
        {"value": "four@x.example", "type": "club"},
    ],
    phoneNumbers=[
        {"value": "1", "type": "work"},
        {"value": "2", "type": "Work"},
        {"value": "3", "type": "work"},
        {"value": "4", "type": "mobile"},
        {"value": "5", "type": "home"},
        {"value": "6", "type": "home"},
        {"value": "7"},
        {"value": "8", "type": "workFax"},
        {"value": "9", "type": "assistant"},
        {"value": "10", "type": "pager"},
        {"value": "11", "type": "workMobile"},
    ],
    organizations=[{"name": "Old Inc", "title": "Clerk"}, {"name": "Acme", "title": "Buyer", "department": "Ops", "current": True}],
    addresses=[
        {
            "type": "work",
            "streetAddress": "1 High St",
            "city": "Leeds",
            "region": "Yorks",
            "postalCode": "LS1",
            "country": "UK",
            "poBox": "5",
        },
        {"type": "home", "formattedValue": "2 Low St\nYork"},
        {"city": "Oslo"},
        {"type": "work", "city": "Hull"},
    ],
    biographies=[{"value": "Likes tea", "contentType": "TEXT_PLAIN"}],
    urls=[{"value": "https://a.example", "type": "work"}, {"value": "https://b.example", "type": "blog"}],
    birthdays=[{"date": {"year": 1980, "month": 5, "day": 2}}],
    relations=[{"person": "Eva", "type": "spouse"}, {"person": "Ann", "type": "assistant"}],
    userDefined=[{"key": "Plan", "value": "Gold"}],
    imClients=[{"username": "bo", "protocol": "skype"}],
    externalIds=[{"value": "5", "type": "account"}],
    events=[{"date": {"month": 6, "day": 1}, "type": "anniversary"}],
)


def test_every_field_is_read_from_its_place():
    assert filled(EVERYTHING) == {
        "displayName": "Dr Bo Erik Lind Jr",
        "title": "Dr",
        "givenName": "Bo",
        "middleName": "Erik",
        "surname": "Lind",
        "generation": "Jr",
        "nickName": "Bobo",
        "email1": "one@x.example",
        "email2": "two@x.example",
        "email3": "three@x.example",
        "businessPhone": "1",
        "businessPhone2": "2",
        "mobilePhone": "4",
        "homePhone": "5",
        "homePhone2": "6",
        "otherPhone": "7",
        "businessFax": "8",
        "assistantPhone": "9",
        "companyName": "Acme",
        "department": "Ops",
        "jobTitle": "Buyer",
        "assistantName": "Ann",
        "webPage": "https://a.example",
        "notes": "Likes tea",
        "businessStreet": "1 High St",
        "businessCity": "Leeds",
        "businessState": "Yorks",
        "businessPostalCode": "LS1",
        "businessCountry": "UK",
        "homeStreet": "2 Low St\nYork",
        "otherCity": "Oslo",
        "birthday": date(1980, 5, 2),
        CATEGORIES: ("Salesforce", "VIP"),
        FOREIGN_ID: "003A",
        PLACE: INSIDE,
        BEYOND: fields_of(EVERYTHING)[BEYOND],
    }
    assert set(fields_of(EVERYTHING)) == set(CONTACT_SCHEMA.attributes)


def test_what_has_no_field_is_told():
    assert fields_of(EVERYTHING)[BEYOND] == (
        "E-mail (club): four@x.example",
        "Phone (work): 3",
        "Phone (pager): 10",
        "Phone (workmobile): 11",
        "Nickname (initials): B.L.",
        "Web page (blog): https://b.example",
        "Relation (spouse): Eva",
        "Employer: Old Inc, Clerk",
        "Address (work), further: 5",
        "Address (work): Hull",
        "Date (anniversary): 6-1",
        "Custom field: Plan, Gold",
        "Messenger: skype, bo",
        "Other id: account, 5",
    )


def test_entries_of_other_programs_are_counted_and_not_shown():
    raw = person(1, marker="m", clientData=[{"key": "a", "value": "secret"}, {"key": "b", "value": "x"}, {"key": KEY, "value": "m"}])

    assert fields_of(raw)[BEYOND] == ("2 hidden entries of other programs",) and fields_of(raw)[FOREIGN_ID] == "m"
    assert fields_of({**raw, "clientData": raw["clientData"][:1]})[BEYOND] == ("1 hidden entry of other programs",)


@pytest.mark.parametrize(
    "date_",
    [
        {"month": 5, "day": 2},
        {"year": 2026, "month": 2, "day": 30},
        {"year": 0, "month": 1, "day": 1},
        {"year": 1980},
        {"year": "1980", "month": 5, "day": 2},
        None,
    ],
)
def test_a_birthday_that_is_no_date_is_blank_and_outlives_a_blank(date_):
    raw = person(1, birthdays=[{"date": date_, "text": "in May"}])

    assert fields_of(raw)["birthday"] is None
    assert written(raw, birthday=None)["birthdays"] == [{"date": date_, "text": "in May"}]
    assert fields_of(written(raw, birthday=date(1980, 5, 2)))["birthday"] == date(1980, 5, 2)
    assert fields_of(written(EVERYTHING, birthday=None))["birthday"] is None


def test_a_birthday_without_a_year_is_told():
    assert fields_of(person(1, birthdays=[{"date": {"month": 5, "day": 2}}]))[BEYOND] == ("Birthday without a year: 5-2",)


def test_data_of_a_profile_is_neither_read_nor_written():
    profile = {"metadata": {"source": {"type": "DOMAIN_PROFILE", "id": "1"}}}
    raw = person(1, emailAddresses=[{"value": "p@x.example", **profile}], names=[{"familyName": "Profile", **profile}], birthdays=[profile])

    assert filled(raw).keys() == {CATEGORIES, PLACE} and whole_list(raw, "emailAddresses") == []


def test_hostile_texts_become_storable_and_are_named():
    raw = person(1, emailAddresses=[{"value": "a\0b"}], names=[{"familyName": "x\ud800"}], userDefined=[{"key": "k\0", "value": "v"}])

    record = read_contact(raw, LABELS, key=KEY)

    assert (record.fields["email1"], record.fields["surname"], record.damaged) == ("a�b", "x�", {"email1", "surname"})
    assert record.fields[BEYOND] == ("Custom field: k�, v",)


def test_a_label_with_a_hostile_name_is_shown_and_named():
    labels = Labels(FOLDER, CATEGORY, {FOLDER: "F", CATEGORY: "C\0"})

    record = read_contact(person(1), labels, key=KEY)

    assert record.fields[CATEGORIES] == ("C�",) and CATEGORIES in record.damaged


def test_a_long_line_beyond_is_cut():
    assert len(told(person(1, userDefined=[{"key": "k", "value": "v" * 9999}]), KEY)[0]) == 200


# --- single writes ------------------------------------------------------------------------------------------------------


def test_a_full_name_is_sent_only_where_there_are_no_parts():
    assert written(person(1), displayName="Bo Lind")["names"] == [{"unstructuredName": "Bo Lind"}]
    assert written(EVERYTHING, displayName="Someone Else", givenName="Robert")["names"] == [
        {"honorificPrefix": "Dr", "givenName": "Robert", "middleName": "Erik", "familyName": "Lind", "honorificSuffix": "Jr"}
    ]
    only_parts = dict.fromkeys(("title", "givenName", "middleName", "surname", "generation"))
    assert written(EVERYTHING, **only_parts)["names"] == []


def test_phonetic_names_live_on():
    raw = person(1, names=[{"familyName": "Lind", "phoneticFamilyName": "lint", "unstructuredName": "Lind"}])

    assert written(raw, givenName="Bo")["names"] == [{"familyName": "Lind", "phoneticFamilyName": "lint", "givenName": "Bo"}]


def test_a_cleared_email_makes_room_for_the_next():
    after = fields_of(written(EVERYTHING, email2=None))

    assert [after[name] for name in ("email1", "email2", "email3")] == ["one@x.example", "three@x.example", "four@x.example"]


def test_a_cleared_company_is_not_followed_by_the_employer_of_before():
    after = written(EVERYTHING, companyName=None, department=None, jobTitle=None)

    assert {fields_of(after)[name] for name in ("companyName", "department", "jobTitle")} == {None}
    assert after["organizations"][0] == {"name": "Old Inc", "title": "Clerk"}
    assert written(person(1, organizations=[{"name": "Acme", "type": "work"}]), companyName=None)["organizations"] == []
    kept = written(person(1, organizations=[{"name": "Acme", "location": "Leeds"}]), companyName=None)
    assert kept["organizations"] == [{"location": "Leeds"}]


def test_an_address_changes_by_its_parts_and_loses_what_would_contradict():
    raw = person(
        1, addresses=[{"type": "home", "country": "UK", "countryCode": "GB", "city": "Leeds", "formattedValue": "Leeds\nUK", "poBox": "5"}]
    )

    assert written(raw, homeCity="York")["addresses"] == [
        {"type": "home", "country": "UK", "countryCode": "GB", "city": "York", "poBox": "5"}
    ]
    assert written(raw, homeCountry="Norway")["addresses"] == [{"type": "home", "country": "Norway", "city": "Leeds", "poBox": "5"}]
    assert written(raw, homeCity="Leeds") == raw
    assert written(raw, otherCity="Oslo")["addresses"] == [*raw["addresses"], {"type": "other", "city": "Oslo"}]


def test_an_address_that_was_never_told_in_parts_keeps_its_text():
    raw = person(1, addresses=[{"type": "home", "formattedValue": "2 Low St\nYork"}])

    after = written(raw, homeCountry="UK")

    assert after["addresses"] == [{"type": "home", "streetAddress": "2 Low St\nYork", "country": "UK"}]


def test_a_cleared_address_goes_unless_another_of_its_type_would_take_its_place():
    blank = {f"business{part}": None for part in ADDRESS_PARTS}
    two = person(1, addresses=[{"type": "work", "city": "Leeds"}, {"type": "work", "city": "Hull"}])

    assert written(person(1, addresses=[{"type": "work", "city": "Leeds"}]), **blank)["addresses"] == []
    assert (
        fields_of(written(two, **blank))["businessCity"] is None and {"type": "work", "city": "Hull"} in written(two, **blank)["addresses"]
    )


def test_a_new_person_is_inside_with_the_marker():
    body = new_person({"surname": "Lind", "email1": None, CATEGORIES: ("VIP",)}, "m-1", LABELS, key=KEY)

    assert set(body) == {"names", "clientData", "memberships"} and groups(body) == [MY_CONTACTS, FOLDER, CATEGORY, VIP]


def test_the_version_is_the_etag_of_the_contacts_own_source():
    raw = person(1)
    raw["metadata"]["sources"].append({"type": "PROFILE", "id": "9", "etag": "#profile"})

    assert version(raw) == "#e1" and version({"etag": "%E9", "metadata": {}}) == "%E9" and version({}) == ""
    assert update_body(raw, {}, [])["metadata"] == {"sources": [{"type": "CONTACT", "id": "s1", "etag": "#e1"}]}


# --- laws ---------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=12)
TYPES = st.sampled_from(["home", "work", "other", "mobile", "workFax", "pager", "assistant", "Work", "club", ""])


def typed(key, types=TYPES, **more):
    return st.fixed_dictionaries({key: TEXT}, optional={"type": types, **more})


PEOPLE = st.fixed_dictionaries(
    {},
    optional={
        "names": st.lists(st.fixed_dictionaries({"familyName": TEXT}, optional={"givenName": TEXT, "phoneticGivenName": TEXT}), max_size=1),
        "emailAddresses": st.lists(typed("value", displayName=TEXT, metadata=st.just({"primary": True})), max_size=6),
        "phoneNumbers": st.lists(typed("value"), max_size=9),
        "nicknames": st.lists(typed("value", st.sampled_from(["DEFAULT", "INITIALS", "MAIDEN_NAME"])), max_size=3),
        "biographies": st.lists(
            st.fixed_dictionaries({"value": TEXT, "contentType": st.sampled_from(["TEXT_PLAIN", "TEXT_HTML"])}), max_size=1
        ),
        "urls": st.lists(typed("value"), max_size=3),
        "relations": st.lists(typed("person", st.sampled_from(["assistant", "spouse", "manager"])), max_size=4),
        "organizations": st.lists(
            st.fixed_dictionaries({}, optional={"name": TEXT, "title": TEXT, "location": TEXT, "current": st.booleans(), "type": TYPES}),
            max_size=3,
        ),
        "addresses": st.lists(
            st.fixed_dictionaries(
                {}, optional={"streetAddress": TEXT, "city": TEXT, "country": TEXT, "countryCode": TEXT, "poBox": TEXT, "type": TYPES}
            ),
            max_size=4,
        ),
        "birthdays": st.lists(st.just({"date": {"month": 5, "day": 2}}), max_size=1),
        "clientData": st.lists(st.fixed_dictionaries({"key": st.sampled_from(["a", "b", KEY]), "value": TEXT}), max_size=4),
        "userDefined": st.lists(st.fixed_dictionaries({"key": TEXT, "value": TEXT}), max_size=2),
    },
).map(lambda lists: {**person(1, MINE, FOLDER, CATEGORY, VIP, "contactGroups/starred", "contactGroups/unknown"), **lists})

VALUES = {
    name: st.dates(min_value=date(1800, 1, 1))
    if name == "birthday"
    else st.lists(st.sampled_from(["Golf", "Salesforce", "VIP"]), unique=True).map(lambda v: tuple(sorted(v)))
    if name == CATEGORIES
    else TEXT
    for name in WRITABLE
}
# Slots of one kind are filled from the first: what stands alone in the second one is the first.
CHAINS = [("email1", "email2", "email3"), ("businessPhone", "businessPhone2"), ("homePhone", "homePhone2")]


@st.composite
def whole_fields(draw):
    """Draws fields of a contact as a mailbox can hold them."""
    fields = draw(st.fixed_dictionaries({}, optional=VALUES))
    for chain in CHAINS:
        values = [fields.pop(name) for name in chain if name in fields]
        fields |= dict(zip(chain, values, strict=False))
    if any(name in fields for name in ("title", "givenName", "middleName", "surname", "generation")):
        fields.pop("displayName", None)  # Google makes it
    return fields


@given(whole_fields())
@settings(max_examples=200, deadline=None)
def test_what_is_encoded_is_decoded_the_same(fields):
    raw = {**person(1), **new_person(fields, "", Labels(FOLDER, "", LABELS.names), key=KEY)}

    assert is_sound(raw)
    read = fields_of(raw)
    assert {name: read[name] for name in WRITABLE if name != CATEGORIES} == {
        name: fields.get(name) for name in WRITABLE if name != CATEGORIES
    }
    assert read[CATEGORIES] == fields.get(CATEGORIES, ()) and read[BEYOND] == ()


@given(PEOPLE, st.fixed_dictionaries({}, optional=VALUES))
@settings(max_examples=300, deadline=None)
def test_a_write_changes_the_fields_it_names_and_no_others_and_loses_nothing_beyond(raw, fields):
    before, was = fields_of(raw), copy.deepcopy(raw)

    after = written(raw, **fields)

    assert is_sound(after) and raw == was
    read = fields_of(after)
    has_parts = any(read[name] for name in ("title", "givenName", "middleName", "surname", "generation"))
    free = {name for chain in CHAINS for name in chain} | {"displayName", *READ_ONLY}  # they close ranks
    for name in WRITABLE:
        if name in fields and name not in free:
            assert read[name] == fields[name], name
        elif name not in fields and name not in free:
            assert read[name] == before[name], name
    for chain in CHAINS:
        kept = [fields.get(name, before[name]) for name in chain]
        assert [read[name] for name in chain][: sum(v is not None for v in kept)] == [v for v in kept if v is not None], chain
    if "displayName" in fields and not has_parts:
        assert read["displayName"] == fields["displayName"]
    lost = [line for line in before[BEYOND] if line not in read[BEYOND] and not line.startswith("Birthday")]
    assert lost == []


@given(PEOPLE, st.sets(st.sampled_from(WRITABLE)))
@settings(max_examples=300, deadline=None)
def test_blanks_take_away_only_what_stood_in_the_field(raw, names):
    before = fields_of(raw)

    after = written(raw, **dict.fromkeys(names))

    for spec in LISTS:
        gone = [before[slot.name] for slot in spec.slots if slot.name in names and before[slot.name] is not None]
        held = sorted(row[spec.key] for row in raw.get(spec.name, []))
        assert sorted([*(row[spec.key] for row in after.get(spec.name, [])), *gone]) == held
    for name in ("userDefined",):
        assert after.get(name) == raw.get(name)
    others = [row for row in raw.get("clientData", []) if row["key"] != KEY]
    assert [row for row in after.get("clientData", []) if row["key"] != KEY] == others
    carried = [group for group in groups(raw) if group not in LABELS.names]
    assert [group for group in groups(after) if group not in LABELS.names] == carried and FOLDER in groups(after)


@given(PEOPLE)
@settings(max_examples=100, deadline=None)
def test_lists_that_a_call_names_for_others_sake_are_sent_as_they_are(raw):
    again = {**raw, **{name: whole_list(raw, name) for name in (*OWN_LISTS, "memberships")}}

    assert fields_of(again) == fields_of(raw)
    assert set(ADDRESSES) == {"business", "home", "other"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "type", "key", "metadata", "source", "date", "person", "name", "current"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "emailAddresses",
                "phoneNumbers",
                "memberships",
                "metadata",
                "names",
                "birthdays",
                "organizations",
                "addresses",
                "clientData",
                "userDefined",
                "events",
                "etag",
            ]
        ),
        JSON,
        max_size=5,
    )
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_taken_for_sound_can_be_read_and_written(said):
    raw = {"resourceName": "people/c1", **said}

    if is_sound(raw):
        read_contact(raw, LABELS, key=KEY)
        written(
            raw,
            surname="x",
            email1="y",
            businessPhone="1",
            companyName="z",
            homeCity="c",
            notes=None,
            birthday=None,
            foreignId="m",
            categories=(),
        )
