"""E-mails of the played Salesforce: drafts and what is sent, the task that shows them, and their relations."""

import pytest

from tests.sandbox.force import refusal, refused

SENT, DRAFT = "3", "5"
MAIL = {
    "Subject": "Pumps", "TextBody": "Dear Ada", "HtmlBody": "<p>Dear Ada", "FromAddress": "sales@seller.example", "FromName": "Sales",
    "ToAddress": "ada@acme.example; ben@acme.example", "CcAddress": "cleo@acme.example", "MessageDate": "2026-10-30T09:30:00Z",
    "MessageIdentifier": "<1@seller.example>", "ThreadIdentifier": "<0@seller.example>", "Sync_Key__c": "m-1",
}  # fmt: skip


@pytest.fixture
def contact(force):
    account = force.create("Account", Name="Acme")
    return force.create("Contact", LastName="Ada", Email="ada@acme.example", AccountId=account)


def relations(force, email):
    columns = "RelationId, RelationType, RelationAddress, RelationObjectType"
    rows = force.query(f"SELECT {columns} FROM EmailMessageRelation WHERE EmailMessageId = '{email}' ORDER BY Id")
    return [tuple(row[name] for name in columns.split(", ")) for row in rows]


def test_an_email_that_was_sent_is_among_the_activities(force, contact):
    account = force.row("Contact", contact)["AccountId"]

    id_ = force.create("EmailMessage", Status=SENT, RelatedToId=account, ToIds=[contact], **MAIL)

    row = force.row("EmailMessage", id_)
    assert id_.startswith("02s") and {n: row[n] for n in MAIL if n != "MessageDate"} == {n: MAIL[n] for n in MAIL if n != "MessageDate"}
    assert (row["MessageDate"], row["Incoming"], row["ToIds"], row["CcIds"]) == ("2026-10-30T09:30:00.000+0000", False, [contact], None)
    (task,) = force.query(
        "SELECT Id, Subject, Status, TaskSubtype, ActivityDate, WhoId, WhatId, AccountId, IsClosed, Description FROM Task"
    )
    assert task["Id"] == row["ActivityId"]
    assert [task[n] for n in ("Subject", "Status", "TaskSubtype", "ActivityDate", "Description")] == [
        "Pumps", "Completed", "Email", "2026-10-30", "Dear Ada",
    ]  # fmt: skip
    assert [task[n] for n in ("WhoId", "WhatId", "AccountId", "IsClosed")] == [contact, account, account, True]
    assert relations(force, id_) == [(contact, "ToAddress", "ada@acme.example", "Contact")]


def test_emails_are_found_by_their_identifier(force):
    for n in range(3):
        force.create("EmailMessage", Subject=f"Mail {n}", Status=SENT, MessageIdentifier=f"<{n}@x.example>")
    found = force.query("SELECT Subject FROM EmailMessage WHERE MessageIdentifier IN ('<0@x.example>', '<2@X.example>', '<9@x.example>')")
    assert sorted(row["Subject"] for row in found) == ["Mail 0", "Mail 2"]
    assert force.query("SELECT Id FROM EmailMessage WHERE ToAddress LIKE '%nobody%'") == []
    for column in ("TextBody", "HtmlBody", "Headers"):
        assert refusal(force.page(f"SELECT Id FROM EmailMessage WHERE {column} = 'x'")) == (400, "INVALID_FIELD")


def test_only_drafts_change(force):
    id_ = force.create("EmailMessage", Status=DRAFT, Subject="Draft")
    assert force.row("EmailMessage", id_)["ActivityId"] is None and force.query("SELECT Id FROM Task") == []
    assert force.change("EmailMessage", id_, Subject="Final").status_code == 204
    assert force.change("EmailMessage", id_, Status=SENT).status_code == 204
    assert [row["Subject"] for row in force.query("SELECT Subject FROM Task")] == ["Final"]

    answer = refused(force.change("EmailMessage", id_, Subject="Late", TextBody="x"))
    assert (answer[0], answer[1], answer[3]) == (400, "INSUFFICIENT_ACCESS_OR_READONLY", ["Subject", "TextBody"])
    assert refusal(force.change("EmailMessage", id_, Status=DRAFT)) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert force.change("EmailMessage", id_, Sync_Key__c="k", IsExternallyVisible=True).status_code == 204
    assert len(force.query("SELECT Id FROM Task")) == 1


def test_a_new_email_may_be_read(force):
    id_ = force.create("EmailMessage", Incoming=True)
    assert force.row("EmailMessage", id_)["Status"] == "0"
    assert force.change("EmailMessage", id_, Status="1").status_code == 204
    assert refusal(force.change("EmailMessage", id_, Status="0")) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"Status": "9"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"TextBody": "x" * 32_001}, "STRING_TOO_LONG"),
        ({"HtmlBody": "x" * 131_073}, "STRING_TOO_LONG"),
        ({"FromAddress": "nobody"}, "INVALID_EMAIL_ADDRESS"),
        ({"ActivityId": "00TAA0000000001"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"HasAttachment": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"OwnerId": "005AA0000000001"}, "INVALID_FIELD"),
        ({"RelatedToId": "003AA0000000001"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"ToIds": ["001AA0000000001"]}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"ToIds": ["003AA0000000099"]}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"ToIds": "003AA0000000099"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
        ({"ParentId": "500AA0000000001"}, "INVALID_CROSS_REFERENCE_KEY"),
    ],
)
def test_emails_that_cannot_be(force, given, code):
    answer = force.call("POST", "/sobjects/EmailMessage", json={"Status": SENT, **given})
    assert refusal(answer) == (400, code) and force.query("SELECT Id FROM Task") == []


def test_bodies_may_be_as_long_as_they_are_described(force):
    given = {"TextBody": "x" * 32_000, "HtmlBody": "y" * 131_072}
    row = force.row("EmailMessage", force.create("EmailMessage", Status=SENT, **given))
    assert {name: row[name] for name in given} == given
    fields = {f["name"]: f for f in force.get("/sobjects/EmailMessage/describe").json()["fields"]}
    assert (fields["TextBody"]["length"], fields["HtmlBody"]["length"], fields["HtmlBody"]["filterable"]) == (32_000, 131_072, False)
    assert {v["value"]: v["label"] for v in fields["Status"]["picklistValues"]}[DRAFT] == "Draft"
    assert (fields["ToIds"]["createable"], fields["ToIds"]["filterable"], fields["ActivityId"]["createable"]) == (True, False, False)


def test_the_key_is_unique_and_lets_a_lost_answer_be_sent_again(force):
    body = {"Subject": "Once", "Status": SENT}
    answers = [force.call("PATCH", "/sobjects/EmailMessage/Sync_Key__c/m-1", json=body) for _ in range(2)]
    assert [answers[0].status_code, refusal(answers[1])] == [201, (400, "INSUFFICIENT_ACCESS_OR_READONLY")]
    assert force.get("/sobjects/EmailMessage/Sync_Key__c/m-1").json()["Subject"] == "Once"
    assert refusal(force.call("POST", "/sobjects/EmailMessage", json={**body, "Sync_Key__c": "M-1"})) == (400, "DUPLICATE_VALUE")
    assert len(force.query("SELECT Id FROM Task")) == 1


# --- what an organisation has -------------------------------------------------------------------------------------------
def test_without_enhanced_email_there_are_no_such_objects(force):
    force.create("EmailMessage", Status=SENT)
    force.switch(enhanced_email=False)

    for name in ("EmailMessage", "EmailMessageRelation"):
        assert refusal(force.page(f"SELECT Id FROM {name}")) == (400, "INVALID_TYPE")
        assert refusal(force.get(f"/sobjects/{name}/describe")) == (404, "NOT_FOUND")
        assert refusal(force.call("POST", f"/sobjects/{name}", json={})) == (404, "NOT_FOUND")
    records = [{"attributes": {"type": "EmailMessage"}, "Status": SENT}]
    (result,) = force.call("POST", "/composite/sobjects", json={"records": records}).json()
    assert result["errors"][0]["statusCode"] == "INVALID_TYPE"
    assert not {"EmailMessage", "EmailMessageRelation"} & {o["name"] for o in force.get("/sobjects").json()["sobjects"]}
    with pytest.raises(ValueError, match="not supported"):
        force.system.create_record("EmailMessage", {"Status": SENT})
    saved = force.create("Task", Subject="Email: Pumps", Status="Completed", TaskSubtype="Email")
    assert force.row("Task", saved)["TaskSubtype"] == "Email"


def test_lists_of_ids_and_the_key_may_be_missing(force, contact):
    force.switch(email_id_lists=False, email_sync_key=False)
    names = {f["name"] for f in force.get("/sobjects/EmailMessage/describe").json()["fields"]}
    assert not names & {"ToIds", "CcIds", "BccIds", "ContentDocumentIds", "Sync_Key__c"}
    for given in ({"ToIds": [contact]}, {"Sync_Key__c": "k"}):
        assert refusal(force.call("POST", "/sobjects/EmailMessage", json=given)) == (400, "INVALID_FIELD")
    assert refusal(force.call("PATCH", "/sobjects/EmailMessage/Sync_Key__c/k", json={})) == (404, "NOT_FOUND")


def test_fields_may_be_hidden_and_changes_are_told_of(force):
    kept, gone = (force.create("EmailMessage", Status=SENT) for _ in range(2))
    force.call("DELETE", f"/sobjects/EmailMessage/{gone}")
    force.clock.forward(600)
    window = {"start": "2026-11-01T09:00:00Z", "end": "2026-11-01T11:00:00Z"}
    assert force.get("/sobjects/EmailMessage/updated/", **window).json()["ids"] == [kept]
    assert [d["id"] for d in force.get("/sobjects/EmailMessage/deleted/", **window).json()["deletedRecords"]] == [gone]
    force.switch(hidden_fields=["EmailMessage.HtmlBody"])
    assert refusal(force.call("POST", "/sobjects/EmailMessage", json={"HtmlBody": "x"})) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    counts = force.get("/limits/recordCount", sObjects="EmailMessage").json()["sObjects"]
    assert counts == [{"count": 1, "name": "EmailMessage"}]


# --- relations ----------------------------------------------------------------------------------------------------------
def test_relations_are_made_to_drafts(force, contact):
    lead = force.create("Lead", LastName="Lee", Company="C", Email="lee@c.example")
    id_ = force.create("EmailMessage", Status=DRAFT, Subject="Hello")
    for given in (
        {"RelationId": contact, "RelationType": "ToAddress"},
        {"RelationId": lead, "RelationType": "CcAddress", "RelationAddress": "other@c.example"},
        {"RelationType": "FromAddress", "RelationAddress": "sales@seller.example"},
    ):
        force.create("EmailMessageRelation", EmailMessageId=id_, **given)
    force.change("EmailMessage", id_, Status=SENT)

    assert relations(force, id_) == [
        (contact, "ToAddress", "ada@acme.example", "Contact"),
        (lead, "CcAddress", "other@c.example", "Lead"),
        (None, "FromAddress", "sales@seller.example", None),
    ]
    row = force.row("EmailMessage", id_)
    assert (row["ToIds"], row["CcIds"]) == ([contact], [lead])
    assert force.row("Task", row["ActivityId"])["WhoId"] == contact
    late = {"EmailMessageId": id_, "RelationType": "BccAddress", "RelationId": contact}
    assert refusal(force.call("POST", "/sobjects/EmailMessageRelation", json=late)) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
    force.switch(sent_email_is_closed=False)
    force.create("EmailMessageRelation", **late)
    assert force.row("EmailMessage", id_)["BccIds"] == [contact]


def test_a_relation_that_comes_late_gives_the_task_its_person(force, contact):
    force.switch(sent_email_is_closed=False)
    id_ = force.create("EmailMessage", Status=SENT)
    force.create("EmailMessageRelation", EmailMessageId=id_, RelationType="ToAddress", RelationId=contact)
    task = force.row("Task", force.row("EmailMessage", id_)["ActivityId"])
    assert (task["WhoId"], task["AccountId"]) == (contact, force.row("Contact", contact)["AccountId"])


def test_relations_of_emails_that_cannot_be(force, contact):
    id_ = force.create("EmailMessage", Status=DRAFT, ToIds=[contact])
    for given, code in [
        ({"RelationType": "ToAddress"}, "REQUIRED_FIELD_MISSING"),
        ({"RelationId": contact}, "REQUIRED_FIELD_MISSING"),
        ({"RelationId": contact, "RelationType": "ToAddress"}, "DUPLICATE_VALUE"),
        ({"RelationId": contact, "RelationType": "Organizer"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"RelationAddress": "x", "RelationType": "ToAddress", "RelationObjectType": "User"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ]:
        answer = force.call("POST", "/sobjects/EmailMessageRelation", json={"EmailMessageId": id_, **given})
        assert refusal(answer) == (400, code), given
    (relation,) = force.query("SELECT Id FROM EmailMessageRelation")
    assert refusal(force.change("EmailMessageRelation", relation["Id"], RelationAddress="x"))[1] == "INSUFFICIENT_ACCESS_OR_READONLY"
    force.change("EmailMessage", id_, ToIds=None, CcIds=[contact])
    assert [r[1] for r in relations(force, id_)] == ["CcAddress"]


def test_whose_task_it_is_depends_on_who_wrote(force, contact):
    ben = force.create("Contact", LastName="Ben", Email="ben@acme.example")
    lead, account = force.create("Lead", LastName="Lee", Company="C"), force.create("Account", Name="Other")

    def task(**given):
        related = given.pop("from_", None)
        id_ = force.create("EmailMessage", Status=DRAFT, **given)
        if related:
            force.create("EmailMessageRelation", EmailMessageId=id_, RelationType="FromAddress", RelationId=related)
        force.change("EmailMessage", id_, Status=SENT)
        row = force.row("Task", force.row("EmailMessage", id_)["ActivityId"])
        return row["WhoId"], row["WhatId"]

    assert task(Incoming=True, from_=ben, ToIds=[contact]) == (ben, None)
    assert task(from_=ben, ToIds=[contact]) == (contact, None)
    assert task(ToIds=[lead]) == (lead, None)
    assert task(ToIds=[lead], CcIds=[ben]) == (ben, None)
    assert task(ToIds=[lead], RelatedToId=account) == (None, account)
    force.switch(shared_activities=True)
    assert task(ToIds=[contact, ben], RelatedToId=account) == (contact, account)
    assert force.query("SELECT TaskWhoIds FROM Task ORDER BY Id")[-1]["TaskWhoIds"] == [contact, ben]


def test_addresses_may_make_relations_by_themselves(force, contact):
    force.switch(email_addresses_relate=True)
    id_ = force.create("EmailMessage", Status=SENT, ToIds=[contact], **MAIL)
    assert [(r[0], r[1], r[2]) for r in relations(force, id_)] == [
        (contact, "ToAddress", "ada@acme.example"), (None, "FromAddress", "sales@seller.example"),
        (None, "ToAddress", "ben@acme.example"), (None, "CcAddress", "cleo@acme.example"),
    ]  # fmt: skip


def test_an_email_and_its_task_go_together(force, contact):
    first, second = (force.create("EmailMessage", Status=SENT, ToIds=[contact]) for _ in range(2))
    force.call("DELETE", f"/sobjects/EmailMessage/{first}")
    assert len(force.query("SELECT Id FROM Task")) == 1
    force.call("DELETE", f"/sobjects/Task/{force.row('EmailMessage', second)['ActivityId']}")
    assert force.query("SELECT Id FROM EmailMessage") == force.query("SELECT Id FROM EmailMessageRelation") == []


def test_a_deleted_contact_leaves_its_address(force, contact):
    id_ = force.create("EmailMessage", Status=DRAFT, ToIds=[contact])
    force.call("DELETE", f"/sobjects/Contact/{contact}")
    assert relations(force, id_) == [(None, "ToAddress", "ada@acme.example", None)] and force.row("EmailMessage", id_)["ToIds"] is None


def test_a_merge_moves_emails(force, contact):
    other = force.create("Contact", LastName="Ada", Email="ada@old.example")
    id_ = force.create("EmailMessage", Status=SENT, ToIds=[other])
    force.system.merge({"object": "Contact", "winner": contact, "losers": [other]})
    assert force.row("EmailMessage", id_)["ToIds"] == [contact]
    assert force.row("Task", force.row("EmailMessage", id_)["ActivityId"])["WhoId"] == contact


def test_the_emails_and_meetings_of_a_converted_lead_are_its_contacts(force):
    lead = force.create("Lead", LastName="Lee", Company="C")
    email = force.create("EmailMessage", Status=SENT, ToIds=[lead])
    event = force.create("Event", WhoId=lead, StartDateTime="2026-11-03T10:00:00Z", DurationInMinutes=60)
    force.create("EventRelation", EventId=event, RelationId=force.system.list_records("User")[3]["Id"])

    contact = force.system.convert({"lead": lead})["ConvertedContactId"]

    assert force.row("EmailMessage", email)["ToIds"] == [contact] and relations(force, email)[0][3] == "Contact"
    assert {row["WhoId"] for row in force.query("SELECT WhoId FROM Event")} == {contact}


def test_several_emails_in_one_call(force, contact):
    records = [{"attributes": {"type": "EmailMessage"}, "Status": SENT, "Sync_Key__c": key, "ToIds": [contact]} for key in "abb"]
    results = force.call("POST", "/composite/sobjects", json={"records": records}).json()
    assert [r["success"] for r in results] == [True, True, False] and results[2]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    assert len(force.query("SELECT Id FROM Task")) == len(force.query("SELECT Id FROM EmailMessageRelation")) == 2
