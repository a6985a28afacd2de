"""The played Exchange: who may call it, what is no call, faults, and what is kept over a restart."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import requests
from exchangelib.errors import (
    ErrorAccessDenied,
    ErrorImpersonateUserDenied,
    ErrorInternalServerError,
    ErrorItemNotFound,
    ErrorMailboxMoveInProgress,
    ErrorNameResolutionNoResults,
    ErrorNonExistentMailbox,
    ErrorServerBusy,
    TransportError,
    UnauthorizedError,
)
from exchangelib.folders import Contacts
from exchangelib.properties import AlternateId
from exchangelib.services import ConvertId

from connectors.sandbox.exchange.switches import NAMES
from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from tests.sandbox.exchange_box import EMMA, ERIK, EWS, OURS, envelope, fault_of

SHAPE = "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
GET_CONTACTS = """<m:GetFolder><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>
<m:FolderIds><t:DistinguishedFolderId Id="contacts"/></m:FolderIds></m:GetFolder>"""


def create(items: str, attributes: str = "") -> str:
    return f"<m:CreateItem {attributes}><m:Items>{items}</m:Items></m:CreateItem>"


def update(change: str, attributes: str = 'ConflictResolution="NeverOverwrite"') -> str:
    return f"<m:UpdateItem {attributes}><m:ItemChanges><t:ItemChange>{change}</t:ItemChange></m:ItemChanges></m:UpdateItem>"


# --- who calls --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("header", ["", "Basic !!!", "Basic bm9ib2R5Og==", "Bearer abc", "NTLM TlRMTVNTUAABAAAA"])
def test_who_does_not_sign_in_is_asked_to(exchange, header):
    answer = exchange.ask(GET_CONTACTS, sign_in=header)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="exchange"')


def test_a_wrong_password_is_unauthorised(exchange):
    exchange.given["password"] = "wrong"
    with pytest.raises(UnauthorizedError):
        _ = exchange.account().contacts


def test_without_sign_in_where_the_switch_says_so(exchange):
    exchange.switch(needs_sign_in=False)
    assert exchange.ask(GET_CONTACTS, sign_in="").status_code == 200


def test_the_service_account_impersonates_where_it_has_the_role(exchange):
    exchange.switch(impersonation=False)
    with pytest.raises(ErrorImpersonateUserDenied):
        _ = exchange.account().contacts


@pytest.mark.parametrize(
    ("state", "error"),
    [("denied", ErrorImpersonateUserDenied), ("gone", ErrorNonExistentMailbox), ("moving", ErrorMailboxMoveInProgress)],
)
def test_a_mailbox_refuses_by_its_state(exchange, state, error):
    exchange.control("PATCH", f"/records/exchange/user/{EMMA}", {"state": state})
    with pytest.raises(error):
        _ = exchange.account().contacts
    assert exchange.account(ERIK).contacts.name == "Contacts"


def test_nobody_has_no_mailbox(exchange):
    with pytest.raises(ErrorNonExistentMailbox):
        _ = exchange.account("nobody@example.test").contacts


def test_a_user_reaches_the_own_mailbox_and_no_other(exchange):
    own = exchange.account(EMMA, as_user=True)
    assert own.contacts.name == "Contacts"
    own.identity = exchange.account(ERIK).identity

    impersonated = exchange.ask(GET_CONTACTS, mailbox=ERIK, sign_in=basic(exchange, EMMA))
    assert fault_of(impersonated)[0] == "ErrorImpersonateUserDenied"


def basic(exchange, name):
    pair = f"{name}:{exchange.given['password']}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def test_without_impersonation_a_mailbox_is_named_where_the_account_has_full_access(exchange):
    account = exchange.account()
    account.access_type = "delegate"
    assert account.contacts.name == "Contacts"
    contact = exchange.contact(account.contacts)
    assert account.contacts.get(id=contact.id).given_name == "Bo"

    exchange.switch(full_access=False)
    other = exchange.account(ERIK)
    other.access_type = "delegate"
    with pytest.raises(ErrorAccessDenied):
        _ = other.contacts
    assert exchange.fault(GET_CONTACTS, mailbox=None)[0] == "ErrorNonExistentMailbox"


# --- what is no call --------------------------------------------------------------------------------------------------------
BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>&lol2;</s:Body></s:Envelope>"""
FILE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY file SYSTEM "file:///etc/passwd">]>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>&file;</s:Body></s:Envelope>"""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "not XML"),
        ("<a", "not XML"),
        ("{}", "not XML"),
        (b"\xff\xfe\x00", "not XML"),
        ("<a/>", "no SOAP envelope"),
        (BOMB, "DTD is prohibited"),
        (FILE, "DTD is prohibited"),
        (envelope("<m:GetFolder>" + "<a>" * 100 + "</a>" * 100 + "</m:GetFolder>"), "nests too deep"),
        (envelope("<m:GetFolder/><m:GetFolder/>"), "no SOAP envelope"),
        (envelope("<m:FormatDisk/>"), "FormatDisk"),
        (envelope("<t:GetFolder/>"), "GetFolder"),
        (envelope("<m:GetFolder/>"), "FolderShape"),
        (envelope("<m:GetItem/>"), "ItemIds"),
        (envelope(f"<m:GetItem>{SHAPE}<m:ItemIds/></m:GetItem>"), "ItemIds"),
        (envelope(f"<m:FindItem>{SHAPE}</m:FindItem>"), "Traversal"),
        (envelope('<m:FindItem Traversal="Sideways"/>'), "Sideways"),
        (envelope(GET_CONTACTS.replace('"contacts"', '"kitchen"')), "kitchen"),
        (envelope(GET_CONTACTS.replace("Default", "Everything")), "Everything"),
        (envelope(create("<t:Contact><t:ShoeSize>44</t:ShoeSize></t:Contact>")), "ShoeSize"),
        (envelope(create("<t:Contact><t:PhoneNumbers><t:Entry Key='Shoe'>1</t:Entry></t:PhoneNumbers></t:Contact>")), "Shoe"),
        (envelope(create("<t:Contact><t:Sensitivity>Secret</t:Sensitivity></t:Contact>")), "Secret"),
        (envelope(create("<t:Task><t:PercentComplete>half</t:PercentComplete></t:Task>")), "half"),
        (envelope(create("<t:Task><t:DueDate>tomorrow</t:DueDate></t:Task>")), "tomorrow"),
        (envelope(create("<t:CalendarItem><t:IsAllDayEvent>maybe</t:IsAllDayEvent></t:CalendarItem>")), "maybe"),
        (envelope(create("<t:CalendarItem><t:Start>2026-13-01T00:00:00Z</t:Start></t:CalendarItem>")), "2026-13-01"),
        (envelope(create("<t:Message><t:Body BodyType='Markdown'>x</t:Body></t:Message>")), "Markdown"),
        (envelope(update("<t:ItemId Id='x'/>", "")), "ConflictResolution"),
        (envelope(update("")), "ItemChange"),
    ],
)  # fmt: skip
def test_what_the_schema_does_not_allow_is_a_fault_that_says_where(exchange, body, says):
    code, violation = fault_of(exchange.post(body))

    assert code == "ErrorSchemaValidation" and says in violation
    assert exchange.account().contacts.name == "Contacts"


def test_a_fault_leaves_nothing_half_done(exchange):
    good = "<t:Contact><t:GivenName>Bo</t:GivenName></t:Contact>"

    assert exchange.fault(create(good + "<t:Contact><t:ShoeSize>44</t:ShoeSize></t:Contact>"))[0] == "ErrorSchemaValidation"
    assert exchange.account().contacts.all().count() == 0


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (f"<m:GetItem>{SHAPE}<m:ItemIds><t:ItemId Id='abc'/></m:ItemIds></m:GetItem>", "ErrorInvalidIdMalformed"),
        (create("<t:CalendarItem><t:Subject>x</t:Subject></t:CalendarItem>"), "ErrorSendMeetingInvitationsRequired"),
        (create("<t:Message><t:Subject>x</t:Subject></t:Message>"), "ErrorMessageDispositionRequired"),
        (create("<t:Message><t:Subject>x</t:Subject></t:Message>", 'MessageDisposition="SendOnly"'), "ErrorMissingRecipients"),
        (create("<t:Contact><t:HasPicture>true</t:HasPicture></t:Contact>"), "ErrorInvalidPropertySet"),
        (create("<t:DistributionList/>"), "ErrorInvalidOperation"),
        (
            "<m:CreateItem><m:SavedItemFolderId><t:DistinguishedFolderId Id='inbox'/></m:SavedItemFolderId>"
            "<m:Items><t:Contact/></m:Items></m:CreateItem>",
            "ErrorCannotCreateContactInNonContactFolder",
        ),
        (
            create(
                '<t:CalendarItem><t:Start>2026-12-01T10:00:00Z</t:Start><t:StartTimeZone Id="Mars"/></t:CalendarItem>',
                'SendMeetingInvitations="SendToNone"',
            ),
            "ErrorTimeZone",
        ),
        (GET_CONTACTS.replace('"contacts"', '"voicemail"'), "ErrorFolderNotFound"),
    ],
)
def test_what_makes_no_sense_is_refused_by_a_response_message(exchange, operation, code):
    assert exchange.code(operation) == code


@pytest.mark.parametrize(
    ("updates", "code"),
    [
        ("<t:SetItemField><t:FieldURI FieldURI='contacts:JobTitle'/><t:Contact/></t:SetItemField>", "ErrorIncorrectUpdatePropertyCount"),
        (
            "<t:SetItemField><t:FieldURI FieldURI='contacts:JobTitle'/><t:Contact><t:Surname>x</t:Surname></t:Contact></t:SetItemField>",
            "ErrorUpdatePropertyMismatch",
        ),
        ("<t:DeleteItemField><t:FieldURI FieldURI='calendar:Start'/></t:DeleteItemField>", "ErrorInvalidPropertyForOperation"),
        ("<t:DeleteItemField><t:FieldURI FieldURI='item:Size'/></t:DeleteItemField>", "ErrorInvalidPropertyDelete"),
        (
            "<t:AppendToItemField><t:FieldURI FieldURI='contacts:JobTitle'/>"
            "<t:Contact><t:JobTitle>x</t:JobTitle></t:Contact></t:AppendToItemField>",
            "ErrorInvalidPropertyAppend",
        ),
    ],
)
def test_a_change_that_is_none_changes_nothing(exchange, updates, code):
    contact = exchange.contact(exchange.account().contacts)
    target = f'<t:ItemId Id="{contact.id}" ChangeKey="{contact.changekey}"/>'

    assert exchange.code(update(f"{target}<t:Updates>{updates}</t:Updates>")) == code
    assert exchange.account().contacts.get(id=contact.id).changekey == contact.changekey


def test_a_change_without_a_change_key_is_refused_unless_it_overwrites_anyway(exchange):
    contact = exchange.contact(exchange.account().contacts)
    change = "<t:Contact><t:JobTitle>Buyer</t:JobTitle></t:Contact>"
    updates = f"<t:Updates><t:SetItemField><t:FieldURI FieldURI='contacts:JobTitle'/>{change}</t:SetItemField></t:Updates>"
    body = f'<t:ItemId Id="{contact.id}"/>{updates}'

    assert exchange.code(update(body)) == "ErrorChangeKeyRequired"
    assert exchange.code(update(body, 'ConflictResolution="AlwaysOverwrite"')) == "NoError"


def test_what_is_appended_stands_behind_what_is_there(exchange):
    contact = exchange.contact(exchange.account().contacts, body="One. ")
    change = "<t:Contact><t:Body BodyType='Text'>Two.</t:Body></t:Contact>"
    updates = f"<t:Updates><t:AppendToItemField><t:FieldURI FieldURI='item:Body'/>{change}</t:AppendToItemField></t:Updates>"

    assert exchange.code(update(f'<t:ItemId Id="{contact.id}" ChangeKey="{contact.changekey}"/>{updates}')) == "NoError"
    assert exchange.account().contacts.get(id=contact.id).body == "One. Two."


def test_one_thing_that_is_refused_does_not_keep_the_others_from_being_told(exchange):
    account = exchange.account()
    contact = exchange.contact(account.contacts)
    other = exchange.contact(account.contacts, "Gone")
    gone = (other.id, other.changekey)
    other.delete()

    first, second = account.fetch(ids=[gone, (contact.id, contact.changekey)])
    assert isinstance(first, ErrorItemNotFound) and second.given_name == "Bo"


def test_letters_that_xml_has_not_and_those_of_all_scripts(exchange):
    row = exchange.by_hand("contact", givenName="B\u0001o", surname="Łukasz 北京 🚀 <b>&amp;</b>", personalNotes="a\r\nb")

    read = exchange.account().contacts.get(id=row["id"])

    assert (read.given_name, read.surname, read.body) == ("B?o", "Łukasz 北京 🚀 <b>&amp;</b>", "a\r\nb")


def test_other_addresses_and_methods_are_not_answered(exchange):
    base = exchange.url.removesuffix(EWS)
    assert exchange.session.get(exchange.url, timeout=20).status_code == 405
    assert exchange.session.post(f"{base}/owa", timeout=20).status_code == 404
    assert exchange.session.post(f"{base}/ews/exchange.ASMX", timeout=20).status_code == 401  # whatever its case


# --- faults -----------------------------------------------------------------------------------------------------------------
def test_a_busy_server_says_how_long_to_wait(exchange):
    account = exchange.account()
    contacts = account.contacts
    exchange.fail("FindItem", kind="status", status=500, code="ErrorServerBusy", retry_after=1.5)

    with pytest.raises(ErrorServerBusy) as caught:
        contacts.all().count()
    assert caught.value.back_off == 1.5
    assert contacts.all().count() == 0


def test_a_patient_client_comes_through_a_busy_server(exchange):
    contacts = exchange.account(waits=5).contacts
    exchange.fail("FindItem", kind="status", status=500, code="ErrorServerBusy", retry_after=0.01)

    assert contacts.all().count() == 0


def test_the_policy_makes_the_server_busy_for_one_mailbox(exchange):
    contacts = exchange.account().contacts
    exchange.switch(busy_after=0, back_off_ms=3000)
    with pytest.raises(ErrorServerBusy) as caught:
        contacts.all().count()
    assert caught.value.back_off == 3.0
    exchange.switch(busy_after=2)
    assert [contacts.all().count() for _ in range(2)] == [0, 0]
    with pytest.raises(ErrorServerBusy):
        contacts.all().count()
    assert exchange.account(ERIK).contacts.name == "Contacts"
    exchange.clock.forward(61)
    assert contacts.all().count() == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 401}, UnauthorizedError),
        ({"kind": "status", "status": 500}, ErrorInternalServerError),
        ({"kind": "status", "status": 500, "code": "ErrorImpersonateUserDenied"}, ErrorImpersonateUserDenied),
        ({"kind": "status", "status": 500, "code": "ErrorNonExistentMailbox"}, ErrorNonExistentMailbox),
        ({"kind": "status", "status": 200, "code": "ErrorAccessDenied"}, ErrorAccessDenied),
        ({"kind": "status", "status": 502}, TransportError),
        ({"kind": "html"}, TransportError),
        ({"kind": "truncate"}, TransportError),
        ({"kind": "drop"}, TransportError),
        ({"kind": "lost_answer"}, TransportError),
    ],
)
def test_faults_reach_the_client_as_what_they_are(exchange, fault, error):
    contacts = exchange.account().contacts
    exchange.fail("FindItem", **fault)

    with pytest.raises(error):
        contacts.all().count()
    assert contacts.all().count() == 0


def test_a_fault_of_one_operation_strikes_each_of_its_things_and_no_other_operation(exchange):
    account = exchange.account()
    contacts = [exchange.contact(account.contacts, f"N{n}") for n in range(2)]
    ids = [(each.id, each.changekey) for each in contacts]
    exchange.fail("DeleteItem", kind="status", status=200, code="ErrorItemNotFound")

    assert account.contacts.all().count() == 2
    assert [type(each) for each in account.bulk_delete(ids)] == [ErrorItemNotFound] * 2
    assert account.bulk_delete(ids) == [True, True]


def test_a_lost_answer_leaves_what_was_done(exchange):
    account = exchange.account()
    folder = account.contacts
    exchange.fail("CreateItem", kind="lost_answer")

    with pytest.raises(TransportError):
        exchange.contact(folder, sf_id="003xx")
    assert folder.filter(sf_id="003xx").count() == 1


def test_a_fault_of_an_operation_that_does_not_exist_is_refused(exchange):
    body = {"kind": "drop", "system": "exchange", "path": f"{EWS}/FormatDisk"}
    answer = exchange.session.post(f"{exchange.world.control_url}/faults", json=body, timeout=20)

    assert answer.status_code == 400 and "/EWS/Exchange.asmx/FindItem" in answer.json()["error"]


# --- the log, the switches, the directory -----------------------------------------------------------------------------------
def test_the_log_says_which_operation_in_which_mailbox_and_no_password(exchange):
    exchange.account().contacts.all().count()

    log = exchange.control("GET", "/calls")

    assert log["calls"][-1]["parts"] == [{"mailbox": EMMA, "operation": "FindItem", "things": 1}]
    assert set(log["counts"]["exchange"]) == {f"POST {EWS}/GetFolder", f"POST {EWS}/FindItem"}
    text = json.dumps(log)
    assert exchange.given["password"] not in text and "Traversal=" in text


def test_switches_are_checked_and_shown(exchange):
    assert set(exchange.control("GET", "/switches")["exchange"]) == set(NAMES)
    for wrong in ({"auto_resolve": "guess"}, {"sync_page": 513}, {"impersonation": "yes"}, {"back_off_ms": -1}, {"find_count_limit": 0}):
        answer = exchange.session.post(f"{exchange.world.control_url}/switches", json={"exchange": wrong}, timeout=20)
        assert answer.status_code == 400 and next(iter(wrong)) in answer.json()["error"]


def test_an_item_gets_another_change_key_by_itself_where_the_switch_says_so(exchange):
    exchange.switch(settle_seconds=5)
    folder = exchange.account().contacts
    contact = exchange.contact(folder)
    exchange.clock.forward(6)

    assert folder.get(id=contact.id).changekey != contact.changekey


def test_names_are_resolved_in_the_directory(exchange):
    protocol = exchange.account().protocol

    [found] = protocol.resolve_names(["emma"], return_full_contact_data=True)
    assert (found[0].email_address, found[1].surname) == (EMMA, "Ellis")
    assert {each.email_address for each in protocol.resolve_names(["e"])} == {EMMA, ERIK}
    assert [type(each) for each in protocol.resolve_names(["nobody"])] == [ErrorNameResolutionNoResults]


def test_ids_are_converted_there_and_back(exchange):
    account = exchange.account()
    contact = exchange.contact(account.contacts)
    given = AlternateId(id=contact.id, format="EwsId", mailbox=EMMA)

    [told] = ConvertId(protocol=account.protocol).call(items=[given], destination_format="HexEntryId")
    back = AlternateId(id=told.id, format="HexEntryId", mailbox=EMMA)

    assert told.id != contact.id
    assert [each.id for each in ConvertId(protocol=account.protocol).call(items=[back], destination_format="EwsId")] == [contact.id]
    wrong = AlternateId(id="DUMMY", format="EwsId", mailbox=EMMA)
    [error] = ConvertId(protocol=account.protocol).call(items=[wrong], destination_format="HexEntryId")
    assert type(error).__name__ == "ErrorInvalidIdMalformed"


def test_the_list_of_categories_and_the_time_zones_can_be_asked_for(exchange):
    account = exchange.account()
    exchange.contact(account.contacts, categories=["Salesforce & co"])

    assert b'name="Salesforce &amp; co"' in account.calendar.get_user_configuration("CategoryList").xml_data
    assert "W. Europe Standard Time" in {zone.id for zone in account.protocol.get_timezones()}


def test_without_a_version_the_client_finds_it_out(exchange):
    account = exchange.account()
    account.protocol.config.version = None

    assert str(account.protocol.version.build).startswith("15.1")


# --- what people see, and a restart -----------------------------------------------------------------------------------------
def test_the_pages_show_and_edit_records(exchange):
    row = exchange.by_hand("contact", givenName="<b>Bo</b>", emails=["bo@x.example"])
    base = f"{exchange.world.control_url}/browse/exchange"
    number = exchange.system.find_id("contact", row["id"])

    page = exchange.session.get(f"{base}/contact", timeout=20).text
    assert "&lt;b&gt;Bo&lt;/b&gt;" in page and "<b>Bo" not in page
    assert "Saved." in exchange.session.post(f"{base}/contact/{number}", data={"jobTitle": "Buyer"}, timeout=20).text
    assert exchange.account().contacts.get(id=row["id"]).job_title == "Buyer"
    for kind in ("folder", "event", "message", "task", "user"):
        assert exchange.session.get(f"{base}/{kind}", timeout=20).status_code == 200
    made = {"mailbox": EMMA, "title": "Call", "dueDate": "2026-12-04", "categories": "A, B"}
    assert "Saved." in exchange.session.post(f"{base}/task/new", data=made, timeout=20).text
    [task] = exchange.control("GET", "/records/exchange/task")["records"]
    assert (task["title"], task["dueDate"], task["categories"]) == ("Call", "2026-12-04", ["A", "B"])


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("contact", {"shoeSize": 44}, "shoeSize"),
        ("contact", {"emails": ["a@x", "b@x", "c@x", "d@x"]}, "3 at most"),
        ("contact", {"emails": "a@x"}, "list"),
        ("contact", {"extendedProperties": {"X": "1"}}, "String {guid} Name X"),
        ("contact", {"mailbox": "nobody@example.test"}, "mailbox"),
        ("contact", {"folder": "Kitchen"}, "Kitchen"),
        ("event", {"start": "soon"}, "2026-12-01T10:00"),
        ("event", {"start": "2026-12-01T10:00", "end": "2026-12-01T09:00"}, "earlier"),
        ("event", {"recurrence": "{"}, "JSON"),
        ("event", {"timeZone": "Mars"}, "Mars"),
        ("event", {"organizer": ERIK}, "colleague"),
        ("task", {"status": "late"}, "status"),
        ("task", {"dueDate": "soon"}, "soon"),
        ("message", {"to": ["nobody"]}, "to holds addresses"),
        ("message", {"attachments": [{"name": "a", "content": "%"}]}, "base64"),
        ("user", {"mail": "emma@example.test"}, "already"),
        ("folder", {"displayName": "Contacts"}, "already exists"),
    ],
)
def test_bad_rows_are_refused_with_a_sentence_and_leave_nothing(exchange, kind, values, says):
    before = len(exchange.control("GET", f"/records/exchange/{kind}")["records"])
    body = values if kind == "user" else {"mailbox": EMMA, **values}

    answer = exchange.session.post(f"{exchange.world.control_url}/records/exchange/{kind}", json=body, timeout=20)

    assert answer.status_code == 400 and says in answer.json()["error"]
    assert len(exchange.control("GET", f"/records/exchange/{kind}")["records"]) == before


def test_a_mailbox_is_emptied(exchange):
    account = exchange.account()
    Contacts(parent=account.contacts, name="Salesforce Contacts").save()
    exchange.by_hand("contact", givenName="A", folder="Salesforce Contacts")
    exchange.by_hand("contact", givenName="B")

    assert exchange.control("POST", "/exchange/empty", {"mailbox": EMMA, "folders": True}) == {"contacts": 2, "folders": 1}
    assert exchange.control("GET", "/records/exchange/contact")["records"] == []


def test_everything_is_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = World(seed=7, state_path=path)
    system = first.exchange
    row = system.create_record("contact", {"mailbox": EMMA, "givenName": "Bo", "extendedProperties": {OURS: "003xx"}})
    times = {"start": "2026-12-01T10:00", "end": "2026-12-01T11:00", "attendees": [ERIK]}
    system.create_record("event", {"mailbox": EMMA, "subject": "x", **times})
    system.create_record("message", {"mailbox": EMMA, "attachments": [{"name": "a", "content": "aGk="}]})
    system.set_switches({"keeps_declined": True, "busy_after": 7})
    before = ask(first, SYNC.format(state=""))
    state = between(before, "SyncState")
    first.keep()

    again = World(seed=7, state_path=path)

    assert again.exchange.dump() == system.dump()
    assert again.exchange.switches()["busy_after"] == 7 and again.exchange.mails == system.mails != []
    assert row["id"] in ask(again, SYNC.format(state="")) and row["id"] not in ask(again, SYNC.format(state=state))
    again.exchange.update_record("contact", again.exchange.find_id("contact", row["id"]) or 0, {"jobTitle": "Buyer"})
    assert "Update" in ask(again, SYNC.format(state=state))
    events = again.exchange.list_records("event")
    assert events[0]["iCalUId"] == events[1]["iCalUId"] and len(again.exchange.list_records("message")[0]["attachments"]) == 1


SYNC = (
    f'<m:SyncFolderItems>{SHAPE}<m:SyncFolderId><t:DistinguishedFolderId Id="contacts"/></m:SyncFolderId>'
    "<m:SyncState>{state}</m:SyncState><m:MaxChangesReturned>10</m:MaxChangesReturned></m:SyncFolderItems>"
)


def ask(world: World, operation: str) -> str:
    """Asks a world in process."""
    given = world.exchange.credentials()
    with requests.Session() as session:
        session.mount("http://", SandboxAdapter(world))
        auth = (given["username"], given["password"])
        return session.post(base_url("exchange") + EWS, data=envelope(operation).encode(), auth=auth).text


def between(text: str, name: str) -> str:
    return text.partition(f"<m:{name}>")[2].partition("<")[0]


def test_a_state_of_a_sandbox_that_did_not_play_exchange_gets_its_mailboxes(tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = World(seed=7, state_path=path)
    assert first._state is not None
    first._state._db.execute("DELETE FROM state WHERE key = 'meta:exchange'")
    first._state._db.execute("DELETE FROM rows WHERE system = 'exchange'")

    again = World(seed=7, state_path=path)

    assert [row["mail"] for row in again.exchange.list_records("user")] == [EMMA, ERIK]


def test_the_demo_company_has_mailboxes_on_premises() -> None:
    world = World(seed=1, scenario="demo")

    assert len(world.exchange.list_records("contact")) == 10
    users = {user["Email"] for user in world.salesforce.list_records("User")}
    assert {EMMA, ERIK} <= users
    names = {user["Name"]: user["Id"] for user in world.salesforce.list_records("User")}
    assert sum(contact["OwnerId"] == names["Emma Ellis"] for contact in world.salesforce.list_records("Contact")) == 8
