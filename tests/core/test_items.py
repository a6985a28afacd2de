"""What becomes of an item and of its record in Salesforce: edits, endings, colleagues, privacy, mails (S4.24, D12, C22)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import calendars as words
from connectors.calendars import EVENT, Guest, Window
from connectors.contract import Record, Ref
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.when import timed
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import KEEP, PROPAGATE, REMOVE, RESTORE, UNLINK
from reconciliation.core.mapping import Direction, FieldRule
from reconciliation.core.mapping import Mapping as Rules
from reconciliation.passes import items
from reconciliation.passes.events import BUSY_ONLY, CRM_EVENT, EVENTS, FULL, RULES, SKIP, WITHHELD, EventTerms
from reconciliation.passes.items import ItemMeeting, ItemTerms, Known, decide_gone, decide_gone_in_crm, decide_items, decide_shared
from reconciliation.passes.pairs import Bound, TypeTerms

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
WHEN = timed(NOW, NOW + timedelta(hours=1)).text
OWN = EventTerms(Window(NOW - timedelta(days=14), NOW + timedelta(days=61)), NOW - timedelta(days=5), "005ANN")
MAPPED = {"Subject": "subject", "Location": "location", "When": words.WHEN, "Description": words.BODY}
BLANKS = {"blank_to_peer": True, "blank_to_crm": True}
MAPPING = Rules(1, tuple(FieldRule(n, crm, peer, Direction.BOTH, **BLANKS) for n, (crm, peer) in enumerate(MAPPED.items(), 1)))
TYPE = TypeTerms(CRM_EVENT, EVENT, MAPPING)
TERMS = ItemTerms(EVENTS, (TYPE,), "1", rules=RULES, own=OWN, user_id="005ANN", scope="ann@acme.example")
MARKED = Known(was_marked=True)
GUEST = Guest("bo@acme.example", "Bo").text
CRM, ITEM = Ref("salesforce", CRM_EVENT, "00U1"), Ref("microsoft", EVENT, "E1")


def item(**fields):
    told = {
        "subject": "Demo",
        "location": "Room 2",
        words.BODY: "Agenda",
        words.WHEN: WHEN,
        words.SENSITIVITY: words.NORMAL,
        words.KIND: words.SINGLE,
        words.IS_CANCELLED: False,
        words.IS_ORGANIZER: True,
        words.UID: "uid-1",
        words.GUESTS: (),
        CATEGORIES: ("Salesforce",),
        FOREIGN_ID: "00U1",
    }
    return Record(ITEM, {**told, **fields}, version="7", updated_at=NOW)


def event(**fields):
    told = {"Subject": "Demo", "Location": "Room 2", "Description": "Agenda", "When": WHEN, "OwnerId": "005ANN"}
    return Record(CRM, {**told, **fields}, version="3", updated_at=NOW)


def bound():
    crm = {name: event().fields[name] for name in MAPPED}
    peer = {name: item().fields[name] for name in MAPPED.values()}
    return Bound(CRM, "E1", crm, peer, mapping_version=1)


def decided(it, crm=None, known=MARKED, terms=TERMS):
    return decide_items(it, crm or event(), it, bound(), known, TYPE, terms, {})


def private(terms, setting):
    return replace(terms, own=replace(terms.own, private=setting))


def writes(decision):
    return {(i.side, i.kind): i.after for i in decision.intents}


GONE = Record(ITEM, {}, is_deleted=True)

# --- linked items -----------------------------------------------------------------------------------------------------


def test_s4_14_an_edit_goes_to_the_other_side_only():
    assert writes(decided(item(subject="Moved"))) == {("crm", "update"): {"Subject": "Moved"}}
    assert writes(decided(item(), event(Subject="Moved"))) == {("peer", "update"): {"subject": "Moved"}}
    assert decided(item()).outcome is Outcome.UNCHANGED


def test_the_category_taken_off_ends_the_sharing_and_its_lack_alone_does_not():
    assert decided(item(**{CATEGORIES: ()})).reason == items.TAKEN_OUT
    assert writes(decided(item(**{CATEGORIES: ()}), known=Known())) == {("peer", "update"): {CATEGORIES: ("Salesforce",)}}
    assert decided(item(**{CATEGORIES: ()}), terms=replace(TERMS, has_categories=False)).reason != items.TAKEN_OUT


def test_c22_what_turns_private_is_withdrawn_or_shown_by_its_time():
    hidden = item(**{words.SENSITIVITY: words.PRIVATE})
    withdrawn = decided(hidden, terms=private(TERMS, SKIP))
    assert (withdrawn.reason, writes(withdrawn)) == (items.WITHDRAWN, {("crm", "delete"): {}})
    shown = writes(decided(hidden, terms=private(TERMS, BUSY_ONLY)))
    assert shown == {("crm", "update"): {"Subject": WITHHELD, "Location": None, "Description": None}}
    assert decided(hidden, terms=private(TERMS, FULL)).outcome is Outcome.UNCHANGED


def test_d12_what_would_mail_the_guests_waits_and_is_named():
    meeting = item(**{words.GUESTS: (GUEST,)})
    held = decided(meeting, event(Subject="Moved"))
    assert (held.outcome, held.reason, held.intents) == (Outcome.HELD, items.WOULD_MAIL, ())
    assert items.waiting_fields(event(Subject="Moved"), meeting, bound(), TYPE, TERMS) == ("subject",)
    silent = replace(TERMS, own=replace(OWN, is_silent=True))
    assert writes(decided(meeting, event(Subject="Moved"), terms=silent)) == {("peer", "update"): {"subject": "Moved"}}


def test_d12_the_meeting_of_another_is_left_as_it_is():
    invited = item(**{words.GUESTS: (GUEST,), words.IS_ORGANIZER: False})
    decision = decided(invited, event(Subject="Moved"))
    assert not decision.intents and "only the organiser" in decision.warnings[0]


@pytest.mark.parametrize(
    ("cancelled", "known", "expected"),
    [
        (REMOVE, Known(), items.CANCELLED),
        (KEEP, Known(), items.STAYS_CANCELLED),
        (REMOVE, Known(others=1, others_looked=False), items.ASKS),
        (KEEP, Known(others=1, others_looked=False), items.ASKS),
        (REMOVE, Known(others=1), items.HANDED_OVER),
    ],
)
def test_s4_24_a_cancelled_meeting_goes_by_the_setting_once_nobody_holds_it(cancelled, known, expected):
    invited = item(**{words.IS_CANCELLED: True, words.IS_ORGANIZER: False, words.GUESTS: (GUEST,)})
    assert decided(invited, known=known, terms=replace(TERMS, cancelled=cancelled)).reason == expected


# --- endings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "known", "expected"),
    [
        ({"deletion": UNLINK}, Known(), items.GONE_HERE),
        ({"deletion": PROPAGATE}, Known(), items.DELETED_HERE),
        ({"deletion": RESTORE}, Known(), items.MADE_AGAIN),
        ({"deletion": RESTORE}, Known(had_guests=True), items.GONE_HERE),  # making it again would invite nobody, or mail all
        ({"deletion": PROPAGATE}, Known(others=1), items.HANDED_OVER),
        ({"deletion": PROPAGATE}, Known(others=1, others_looked=False), items.ASKS),
        ({"cancelled": REMOVE}, Known(was_own_meeting=True), items.CANCELLED),
        ({"cancelled": REMOVE}, Known(was_own_meeting=True, others=2), items.CANCELLED),  # it takes place for nobody
        ({"cancelled": REMOVE}, Known(is_called_off=True), items.CANCELLED),
        ({"cancelled": KEEP, "deletion": PROPAGATE}, Known(was_cancelled=True), items.GONE_HERE),
    ],
)
def test_s4_24_an_item_that_is_gone_ends_by_its_setting(terms, known, expected):
    assert decide_gone(GONE, bound(), event(), known, replace(TERMS, **terms)).reason == expected


def test_c12_what_was_edited_in_salesforce_since_is_not_deleted_with_its_item():
    decision = decide_gone(GONE, bound(), event(Location="Room 9"), Known(), replace(TERMS, deletion=PROPAGATE))
    assert (decision.reason, decision.intents) == (items.GONE_HERE, ())


def test_a_link_whose_both_sides_are_gone_ends():
    assert decide_gone(GONE, bound(), None, Known(others=1), TERMS).reason == items.GONE_THERE
    assert decide_gone_in_crm(GONE, bound(), None, Known(), TERMS).reason == items.GONE_THERE


@pytest.mark.parametrize(
    ("removal", "it", "known", "expected"),
    [
        (UNLINK, item(), Known(), items.UNMARKED),
        (UNLINK, item(**{words.KIND: words.OCCURRENCE}), Known(), items.GONE_THERE),  # an occurrence bears no marks of ours
        (PROPAGATE, item(), Known(), items.DELETED_THERE),
        (PROPAGATE, item(subject="Edited"), Known(), items.UNMARKED),
        (PROPAGATE, item(**{words.GUESTS: (GUEST,)}), Known(), items.UNMARKED),
        (PROPAGATE, item(), Known(had_guests=True), items.UNMARKED),
        (RESTORE, item(), Known(), items.MADE_THERE),
        (RESTORE, item(**{words.IS_CANCELLED: True}), Known(), items.UNMARKED),
        (RESTORE, item(**{words.SENSITIVITY: words.PRIVATE}), Known(), items.UNMARKED),
    ],
)
def test_a_record_that_was_deleted_in_salesforce_ends_by_its_setting(removal, it, known, expected):
    decision = decide_gone_in_crm(event(), bound(), it, known, replace(TERMS, removal=removal))
    assert decision.reason == expected
    if expected == items.UNMARKED:
        assert writes(decision) == {("peer", "update"): {CATEGORIES: (), FOREIGN_ID: None}}


# --- items that are linked to nothing ---------------------------------------------------------------------------------


def test_c26_the_marker_of_a_new_record_is_the_occasion_and_the_same_in_every_calendar():
    mine = decide_shared(item(), ItemMeeting(), items.BY_CATEGORY, TERMS, {})
    theirs = Record(Ref("microsoft", EVENT, "E2"), item().fields)
    other = decide_shared(theirs, ItemMeeting(), items.BY_CATEGORY, replace(TERMS, scope="bo@acme.example"), {})
    assert mine.outcome is Outcome.CREATED and mine.intents[0].marker == other.intents[0].marker
    nameless = decide_shared(item(**{words.UID: None}), ItemMeeting(), items.BY_CATEGORY, TERMS, {})
    assert nameless.intents[0].marker.endswith("ann@acme.example-E1")


def test_a_record_that_it_is_already_is_linked_and_none_is_made():
    decision = decide_shared(item(), ItemMeeting(event()), items.BY_CATEGORY, TERMS, {})
    assert decision.is_link and all(intent.kind == "update" for intent in decision.intents)


def test_nothing_is_made_where_that_is_off_or_held():
    off = replace(TERMS, types=(replace(TYPE, outbound_create=False),))
    assert decide_shared(item(), ItemMeeting(), items.BY_CATEGORY, off, {}).reason == "create_off"
    held = replace(TERMS, types=(replace(TYPE, create_held="Status is required."),))
    assert decide_shared(item(), ItemMeeting(), items.BY_CATEGORY, held, {}).outcome is Outcome.HELD


# --- laws -------------------------------------------------------------------------------------------------------------

TEXT = st.sampled_from([None, "Demo", "Moved", "Typed here", "Typed there"])
ITEMS = st.builds(
    item,
    subject=TEXT,
    location=TEXT,
    **{
        words.SENSITIVITY: st.sampled_from([words.NORMAL, words.PRIVATE]),
        words.GUESTS: st.sampled_from([(), (GUEST,)]),
        words.IS_ORGANIZER: st.booleans(),
        words.IS_CANCELLED: st.booleans(),
        CATEGORIES: st.sampled_from([(), ("Salesforce",), ("Red", "salesforce")]),
    },
)
RECORDS = st.builds(event, Subject=TEXT, Location=TEXT)
KNOWN = st.builds(Known, was_marked=st.booleans(), others=st.integers(0, 2), others_looked=st.booleans(), was_own_meeting=st.booleans())
SETTINGS = st.builds(
    lambda private_, silent, **more: replace(private(TERMS, private_), **more),
    st.sampled_from([SKIP, BUSY_ONLY, FULL]),
    st.booleans(),
    deletion=st.sampled_from([UNLINK, PROPAGATE, RESTORE]),
    removal=st.sampled_from([UNLINK, PROPAGATE, RESTORE]),
    cancelled=st.sampled_from([REMOVE, KEEP]),
)


@given(it=ITEMS, crm=RECORDS, known=KNOWN, terms=SETTINGS)
def test_no_decision_mails_anybody_or_tells_what_is_withheld(it, crm, known, terms):
    decision = decided(it, crm, known, terms)

    for intent in decision.intents:
        if intent.side == "peer" and it.fields[words.GUESTS]:
            assert intent.kind != "delete" and set(intent.after) <= words.SILENT
        if intent.side == "crm" and RULES.withheld(it, terms.own):
            told = {it.fields["subject"], it.fields["location"], it.fields[words.BODY]} - {None}
            assert not told & {str(value) for value in intent.after.values()}


@given(it=ITEMS, crm=RECORDS, terms=SETTINGS)
def test_no_item_of_a_meeting_is_deleted_and_no_edited_one_either(it, crm, terms):
    decision = decide_gone_in_crm(crm, bound(), it, Known(), terms)

    if any(intent.kind == "delete" for intent in decision.intents):
        assert not it.fields[words.GUESTS] and terms.removal == PROPAGATE
        seen = RULES.shown(it, terms.own).fields
        assert all(seen[name] == value for name, value in bound().peer_base.items())


@given(crm=RECORDS, known=KNOWN, terms=SETTINGS)
def test_a_record_goes_with_its_item_only_by_a_setting(crm, known, terms):
    decision = decide_gone(GONE, bound(), crm, known, terms)

    if any(intent.kind == "delete" for intent in decision.intents):
        assert terms.deletion == PROPAGATE or (known.was_own_meeting and terms.cancelled == REMOVE)
        assert not known.others or known.was_own_meeting
