"""The played Exchange: folders and contacts, searches, changes, conflicts and what a sync tells, through exchangelib."""

from __future__ import annotations

import pytest
from exchangelib import EWSDate, Q
from exchangelib.errors import (
    ErrorDeleteDistinguishedFolder,
    ErrorFolderExists,
    ErrorInvalidChangeKey,
    ErrorInvalidIdMalformed,
    ErrorInvalidSyncStateData,
    ErrorIrresolvableConflict,
    ErrorItemNotFound,
    ErrorSyncFolderNotFound,
    ErrorUnsupportedPathForQuery,
)
from exchangelib.folders import Contacts
from exchangelib.indexed_properties import EmailAddress, PhoneNumber, PhysicalAddress
from exchangelib.items import Contact
from exchangelib.services import SyncFolderItems

from tests.sandbox.exchange_box import EMMA, ERIK, OURS


@pytest.fixture
def emma(exchange):
    return exchange.account()


def synced(folder, state=None, **options):
    """Returns what a sync tells, as (what, id), and leaves the next state with the folder."""
    return [(what, getattr(item, "id", item)) for what, item in folder.sync_items(sync_state=state, **options)]


# --- folders ----------------------------------------------------------------------------------------------------------------
def test_the_folders_of_a_mailbox_are_found_by_their_distinguished_names(emma):
    assert [emma.contacts.name, emma.calendar.name, emma.tasks.name, emma.inbox.name] == ["Contacts", "Calendar", "Tasks", "Inbox"]
    assert emma.contacts.folder_class == "IPF.Contact" and emma.calendar.folder_class == "IPF.Appointment"
    assert emma.trash.name == "Deleted Items" and emma.contacts.parent == emma.msg_folder_root


def test_a_folder_is_made_named_emptied_and_deleted(emma, exchange):
    folder = Contacts(parent=emma.contacts, name="Salesforce Contacts").save()
    exchange.contact(folder)
    assert (folder.folder_class, [each.name for each in emma.contacts.children]) == ("IPF.Contact", ["Salesforce Contacts"])

    folder.name = "CRM"
    folder.save(update_fields=["name"])
    assert (exchange.account().contacts / "CRM").id == folder.id

    folder.empty()
    assert folder.all().count() == 0
    folder.delete()
    assert [row["displayName"] for row in exchange.control("GET", "/records/exchange/folder")["records"] if row["kind"] == ""] == []


def test_a_second_folder_of_a_name_is_refused_whatever_its_case(emma):
    Contacts(parent=emma.contacts, name="Salesforce Contacts").save()

    with pytest.raises(ErrorFolderExists):
        Contacts(parent=emma.contacts, name="SALESFORCE contacts").save()


def test_a_folder_that_every_mailbox_has_is_not_deleted(emma):
    with pytest.raises(ErrorDeleteDistinguishedFolder):
        emma.contacts.delete()


def test_a_sync_of_folders_tells_made_renamed_and_deleted_ones(emma):
    top = emma.msg_folder_root
    list(top.sync_hierarchy())
    state = top.folder_sync_state
    folder = Contacts(parent=emma.contacts, name="One").save()

    made = [(what, each.name) for what, each in top.sync_hierarchy(sync_state=state)]
    state = top.folder_sync_state
    folder.name = "Two"
    folder.save(update_fields=["name"])
    renamed = [(what, each.name) for what, each in top.sync_hierarchy(sync_state=state)]
    state = top.folder_sync_state
    id_ = folder.id
    folder.delete()
    gone = [(what, each.id) for what, each in top.sync_hierarchy(sync_state=state)]

    assert (made, renamed, gone) == ([("create", "One")], [("update", "Two")], [("delete", id_)])


# --- contacts ---------------------------------------------------------------------------------------------------------------
def test_a_contact_reads_as_it_was_written(emma, exchange):
    made = exchange.contact(
        emma.contacts,
        company_name="Acme",
        job_title="Buyer",
        categories=["Salesforce", "Family"],
        email_addresses=[EmailAddress(label=f"EmailAddress{n}", email=f"bo{n}@acme.example") for n in (1, 2, 3)],
        phone_numbers=[PhoneNumber(label="BusinessPhone", phone_number="+44 20 1"), PhoneNumber(label="Pager", phone_number="2")],
        physical_addresses=[PhysicalAddress(label="Business", street="1 Road", city="Leeds", zipcode="LS1")],
        birthday=EWSDate(1980, 1, 2),
        body="<b>& notes</b>",
        sf_id="003xx",
    )

    read = emma.contacts.get(id=made.id)

    assert (read.given_name, read.surname, read.display_name, read.file_as) == ("Bo", "Lind", "Bo Lind", "Lind, Bo")
    assert (read.company_name, read.job_title, read.categories, read.body) == ("Acme", "Buyer", ["Salesforce", "Family"], "<b>& notes</b>")
    assert [(each.label, each.email) for each in read.email_addresses] == [(f"EmailAddress{n}", f"bo{n}@acme.example") for n in (1, 2, 3)]
    assert [(each.label, each.phone_number) for each in read.phone_numbers] == [("BusinessPhone", "+44 20 1"), ("Pager", "2")]
    address = read.physical_addresses[0]
    assert (address.label, address.street, address.city, address.zipcode, address.state) == ("Business", "1 Road", "Leeds", "LS1", None)
    assert (read.birthday, read.sf_id, read.item_class, read.last_modified_name) == (
        EWSDate(1980, 1, 2),
        "003xx",
        "IPM.Contact",
        "Emma Ellis",
    )
    assert read.changekey == made.changekey and read.parent_folder_id.id == emma.contacts.id


def test_a_change_sets_and_clears_the_fields_it_names_and_no_others(emma, exchange):
    contact = exchange.contact(emma.contacts, company_name="Acme", job_title="Buyer", sf_id="003xx", categories=["A"])
    key = contact.changekey
    contact.job_title, contact.company_name, contact.sf_id, contact.categories = "Head", None, None, None
    contact.email_addresses = [EmailAddress(label="EmailAddress2", email="two@x.example")]

    contact.save(update_fields=["job_title", "company_name", "sf_id", "categories", "email_addresses"])

    read = emma.contacts.get(id=contact.id)
    assert (read.job_title, read.company_name, read.sf_id, read.categories, read.given_name) == ("Head", None, None, None, "Bo")
    assert [(each.label, each.email) for each in read.email_addresses] == [("EmailAddress2", "two@x.example")]
    assert contact.changekey == read.changekey != key


def test_a_stale_change_key_is_refused_only_where_the_caller_wants_it(emma, exchange):
    mine = exchange.contact(emma.contacts)
    theirs = emma.contacts.get(id=mine.id)
    theirs.job_title = "Theirs"
    theirs.save(update_fields=["job_title"])
    mine.job_title = "Mine"

    with pytest.raises(ErrorIrresolvableConflict):
        mine.save(update_fields=["job_title"], conflict_resolution="NeverOverwrite")
    assert emma.contacts.get(id=mine.id).job_title == "Theirs"
    mine.save(update_fields=["job_title"], conflict_resolution="AutoResolve")
    assert emma.contacts.get(id=mine.id).job_title == "Mine"  # the lost update that nobody notices


def test_the_switch_makes_auto_resolve_refuse_a_stale_key(emma, exchange):
    exchange.switch(auto_resolve="refuse")
    mine = exchange.contact(emma.contacts)
    emma.contacts.get(id=mine.id).save(update_fields=["job_title"])

    with pytest.raises(ErrorIrresolvableConflict):
        mine.save(update_fields=["job_title"])
    mine.save(update_fields=["job_title"], conflict_resolution="AlwaysOverwrite")


def test_a_change_key_of_something_else_is_invalid(emma, exchange):
    first, second = exchange.contact(emma.contacts), exchange.contact(emma.contacts, "Ada")
    first._id.changekey = second.changekey

    with pytest.raises(ErrorInvalidChangeKey):
        first.save(update_fields=["job_title"])


def test_ids_are_case_sensitive_and_die_with_a_move(emma, exchange):
    contact = exchange.contact(emma.contacts, sf_id="003xx")
    folder = Contacts(parent=emma.contacts, name="Other").save()
    before = contact.id

    with pytest.raises(ErrorInvalidIdMalformed):
        emma.contacts.get(id=before.swapcase())
    contact.move(folder)

    assert contact.id != before and folder.get(id=contact.id).sf_id == "003xx"
    with pytest.raises(ErrorItemNotFound):
        emma.contacts.get(id=before)
    contact.move(emma.contacts)
    assert contact.id != before


def test_deletions_leave_nothing_or_go_to_where_they_can_be_recovered(emma, exchange):
    hard, soft, trashed = (exchange.contact(emma.contacts, first) for first in ("Hard", "Soft", "Trashed"))
    ids = [hard.id, soft.id, trashed.id]

    hard.delete()
    soft.soft_delete()
    trashed.move_to_trash()

    assert emma.contacts.all().count() == 0
    for id_ in ids:
        with pytest.raises(ErrorItemNotFound):
            emma.contacts.get(id=id_)
    assert [each.given_name for each in emma.trash.all()] == ["Trashed"]
    assert [each.given_name for each in emma.recoverable_items_deletions.all()] == ["Soft"]


def test_items_of_one_mailbox_are_none_of_anothers(emma, exchange):
    contact = exchange.contact(emma.contacts)

    with pytest.raises(ErrorItemNotFound):
        exchange.account(ERIK).contacts.get(id=contact.id)


def test_many_are_made_changed_and_deleted_in_one_call_each(emma, exchange):
    values = [{"given_name": f"N{n}", "display_name": f"N{n}"} for n in range(5)]
    contacts = [Contact(account=emma, folder=emma.contacts, **each) for each in values]

    made = emma.bulk_create(folder=emma.contacts, items=contacts)
    read = list(emma.fetch(ids=made))
    for each in read:
        each.job_title = "Buyer"
    gone = read.pop(2)
    gone_id = (gone.id, gone.changekey)
    gone.delete()
    changed = emma.bulk_update([(each, ["job_title"]) for each in read])
    results = emma.bulk_delete([*changed, gone_id])

    assert [each.given_name for each in read] == ["N0", "N1", "N3", "N4"] and len(changed) == 4
    assert results[:4] == [True] * 4 and isinstance(results[4], ErrorItemNotFound)


# --- searches -----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def people(emma, exchange):
    exchange.contact(emma.contacts, "Ada", "Byrne", categories=["Salesforce"], sf_id="1", job_title="Buyer")
    exchange.contact(emma.contacts, "Ben", "Clarke", categories=["Family"], email_addresses=["ben@x.example"])
    exchange.contact(emma.contacts, "Cleo", "Byrne", categories=["Salesforce", "Family"], sf_id="3")
    return emma.contacts


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"categories__contains": "Salesforce"}, ["Ada", "Cleo"]),
        ({"categories__contains": ["Salesforce", "Family"]}, ["Cleo"]),
        ({"categories__contains": "salesforce"}, []),
        ({"sf_id": "3"}, ["Cleo"]),
        ({"sf_id": "003"}, []),
        ({"sf_id__exists": True}, ["Ada", "Cleo"]),
        ({"surname": "Byrne", "given_name__startswith": "A"}, ["Ada"]),
        ({"given_name__in": ["Ada", "Ben"]}, ["Ada", "Ben"]),
        ({"given_name__gt": "Ben"}, ["Cleo"]),
        ({"surname__not": "Byrne"}, ["Ben"]),
        ({"display_name__icontains": "BYR"}, ["Ada", "Cleo"]),
        ({"job_title__exists": False}, ["Ben", "Cleo"]),
        ({"email_addresses__EmailAddress1": "ben@x.example"}, ["Ben"]),
    ],
)
def test_restrictions_find_what_fits(people, given, found):
    assert sorted(each.given_name for each in people.filter(**given)) == found


def test_restrictions_join_by_or_and_not(people):
    query = Q(given_name="Ada") | (Q(categories__contains="Family") & ~Q(surname="Byrne"))

    assert sorted(each.given_name for each in people.filter(query)) == ["Ada", "Ben"]


def test_instants_are_compared_as_instants(people, exchange):
    exchange.clock.forward(3600)
    exchange.contact(people, "Late")
    at = exchange.account().contacts.get(given_name="Ada").datetime_created

    assert [each.given_name for each in people.filter(datetime_created__gt=at)] == ["Late"]
    assert people.filter(datetime_created__lte=at).count() == 3


def test_orders_go_up_and_down(people):
    assert [each.given_name for each in people.all().order_by("surname", "-given_name")] == ["Cleo", "Ada", "Ben"]


def test_what_cannot_be_searched_for_is_refused(exchange):
    path = '<t:FieldURI FieldURI="calendar:UID"/><t:FieldURIOrConstant><t:Constant Value="x"/></t:FieldURIOrConstant>'
    restriction = f"<m:Restriction><t:IsEqualTo>{path}</t:IsEqualTo></m:Restriction>"

    assert exchange.code(find_in("calendar", restriction)) == ErrorUnsupportedPathForQuery.__name__


def find_in(folder, more="", shape="<t:BaseShape>IdOnly</t:BaseShape>"):
    parents = f'<m:ParentFolderIds><t:DistinguishedFolderId Id="{folder}"/></m:ParentFolderIds>'
    return f'<m:FindItem Traversal="Shallow"><m:ItemShape>{shape}</m:ItemShape>{more}{parents}</m:FindItem>'


def test_pages_are_followed_to_the_end_and_each_item_comes_once(emma, exchange):
    for n in range(25):
        exchange.contact(emma.contacts, f"N{n:02d}")
    exchange.control("DELETE", "/calls")

    query = emma.contacts.all().only("given_name")
    query.page_size = 10

    assert [each.given_name for each in query] == [f"N{n:02d}" for n in range(25)]
    assert exchange.control("GET", "/calls")["counts"]["exchange"] == {"POST /EWS/Exchange.asmx/FindItem": 3}


def test_the_policy_bounds_a_page_and_refuses_to_tell_all_at_once(emma, exchange):
    for n in range(5):
        exchange.contact(emma.contacts, f"N{n}")
    exchange.switch(find_count_limit=2)

    assert len(list(emma.contacts.all().only("given_name"))) == 5
    assert exchange.code(find_in("contacts")) == "ErrorExceededFindCountLimit"


def test_lists_leave_out_bodies_and_cut_long_texts(emma, exchange):
    exchange.contact(emma.contacts, company_name="C" * 300, body="notes")
    body = '<t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties><t:FieldURI FieldURI="item:Body"/></t:AdditionalProperties>'
    name = body.replace("item:Body", "contacts:CompanyName")

    assert exchange.code(find_in("contacts", shape=body)) == "ErrorInvalidPropertyRequest"
    told = exchange.ask(find_in("contacts", shape=name)).text

    assert "C" * 255 in told and "C" * 256 not in told
    assert "Body>notes" not in exchange.ask(find_in("contacts", shape="<t:BaseShape>AllProperties</t:BaseShape>")).text


# --- sync ---------------------------------------------------------------------------------------------------------------------
def test_a_first_sync_tells_all_as_created_and_a_further_one_nothing(emma, exchange):
    contacts = [exchange.contact(emma.contacts, f"N{n}") for n in range(3)]

    first = synced(emma.contacts)

    assert first == [("create", each.id) for each in contacts]
    assert synced(emma.contacts, emma.contacts.item_sync_state) == []


def test_a_sync_tells_each_change_once_by_what_it_is(emma, exchange):
    kept, changed, gone, moved = (exchange.contact(emma.contacts, first) for first in ("Kept", "Changed", "Gone", "Moved"))
    other = Contacts(parent=emma.contacts, name="Other").save()
    synced(emma.contacts)
    synced(other)
    ids = {gone.id, moved.id}
    changed.job_title = "One"
    changed.save(update_fields=["job_title"])
    changed.job_title = "Two"
    changed.save(update_fields=["job_title"])
    gone.delete()
    moved.move(other)
    new = exchange.contact(emma.contacts, "New")
    brief = exchange.contact(emma.contacts, "Brief")
    brief.delete()

    told = synced(emma.contacts, emma.contacts.item_sync_state)

    assert told[0] == ("update", changed.id) and told[-1] == ("create", new.id)
    assert {id_ for what, id_ in told if what == "delete"} == ids and len(told) == 4
    assert synced(other, other.item_sync_state) == [("create", moved.id)]
    assert kept.id not in {id_ for _, id_ in told}


def test_own_writes_come_back_as_updates_with_the_key_that_the_write_was_answered_with(emma, exchange):
    contact = exchange.contact(emma.contacts)
    synced(emma.contacts)
    contact.job_title = "Buyer"
    contact.save(update_fields=["job_title"])

    (what, told), *rest = emma.contacts.sync_items(sync_state=emma.contacts.item_sync_state, only_fields=["job_title"])

    assert (what, told.changekey, told.job_title, rest) == ("update", contact.changekey, "Buyer", [])


def test_a_sync_comes_in_parts_of_512_at_most(emma, exchange):
    folder = exchange.system.store.special(exchange.system.store.user(EMMA)["n"], "contacts")
    for n in range(515):
        exchange.system.store.add(folder, "Contact", {"contacts:DisplayName": f"N{n}"}, {})
    exchange.control("DELETE", "/calls")

    told = synced(emma.contacts, max_changes_returned=10_000, only_fields=["display_name"])

    assert len(told) == len(set(told)) == 515
    assert exchange.control("GET", "/calls")["counts"]["exchange"]["POST /EWS/Exchange.asmx/SyncFolderItems"] == 2


def test_nothing_is_lost_when_things_change_between_the_parts_of_a_sync(emma, exchange):
    exchange.switch(sync_page=2)
    contacts = [exchange.contact(emma.contacts, f"N{n}") for n in range(4)]
    service = SyncFolderItems(account=emma)
    mirror = dict.fromkeys(id_ for what, id_ in part_of(service, emma.contacts, None) if what == "create")
    contacts[0].save(update_fields=["job_title"])  # told already
    contacts[3].save(update_fields=["job_title"])  # not told yet
    deleted = contacts[1].id
    contacts[1].delete()  # told already
    contacts[2].delete()

    while not service.includes_last_item_in_range:
        for what, id_ in part_of(service, emma.contacts, service.sync_state):
            if what == "delete":
                mirror.pop(id_, None)
            else:
                mirror[id_] = None

    assert deleted not in mirror and set(mirror) == {contacts[0].id, contacts[3].id}


def part_of(service, folder, state):
    changes = service.call(folder, "IdOnly", None, state, None, 100, None)
    return [(what, getattr(item, "id", item)) for what, item in changes]


def test_a_state_of_another_folder_or_epoch_or_of_nobody_is_refused(emma, exchange):
    other = Contacts(parent=emma.contacts, name="Other").save()
    synced(emma.contacts)
    state = emma.contacts.item_sync_state

    for wrong, folder in ((state, other), ("H4sIAAAA", emma.contacts), (state[:-2], emma.contacts)):
        with pytest.raises(ErrorInvalidSyncStateData):
            synced(folder, wrong)
    exchange.control("POST", "/exchange/expire_sync")
    with pytest.raises(ErrorInvalidSyncStateData):
        synced(emma.contacts, state)
    emma.contacts.item_sync_state = None  # the library goes on with the one it keeps otherwise
    assert synced(emma.contacts) == []


def test_a_sync_of_a_folder_that_was_deleted_says_so(emma):
    folder = Contacts(parent=emma.contacts, name="Gone").save()
    synced(folder)
    id_, key, state = folder.id, folder.changekey, folder.item_sync_state
    folder.delete()
    ghost = Contacts(root=emma.root, name="Gone", id=id_, changekey=key)

    with pytest.raises(ErrorSyncFolderNotFound):
        synced(ghost, state)


def test_more_changes_than_512_are_refused_where_the_switch_says_so(emma, exchange):
    exchange.switch(above_most_changes="refuse")
    shape = "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
    folder = '<m:SyncFolderId><t:DistinguishedFolderId Id="contacts"/></m:SyncFolderId>'

    def asked(n):
        return exchange.code(f"<m:SyncFolderItems>{shape}{folder}<m:MaxChangesReturned>{n}</m:MaxChangesReturned></m:SyncFolderItems>")

    assert (asked(513), asked(512)) == ("ErrorInvalidArgument", "NoError")


def test_what_a_person_does_is_seen_by_the_client_and_the_other_way_round(emma, exchange):
    row = exchange.by_hand("contact", givenName="Bo", surname="Lind", emails=["bo@x.example"], businessPhones=["1"], categories=["A"])
    read = emma.contacts.get(id=row["id"])
    assert (read.display_name, read.email_addresses[0].email, read.phone_numbers[0].label) == ("Bo Lind", "bo@x.example", "BusinessPhone")

    read.sf_id, read.job_title = "003xx", "Buyer"
    read.save(update_fields=["sf_id", "job_title"])

    shown = exchange.control("GET", "/records/exchange/contact")["records"][0]
    assert (shown["extendedProperties"], shown["jobTitle"], shown["changeKey"]) == ({OURS: "003xx"}, "Buyer", read.changekey)
