"""Rules of the played Salesforce: duplicates, validation, rights, locks, late commits, merges, conversions, activities, list
views, replication."""

from urllib.parse import quote

import pytest

from tests.sandbox.force import VERSION, refusal, refused

ALLOW = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}


# --- duplicate rules ----------------------------------------------------------------------------------------------------
@pytest.fixture
def twin(force):
    force.first = force.create("Contact", LastName="One", Email="a@b.example")
    return {"LastName": "Two", "Email": "A@b.example"}


def save(force, twin, **headers):
    return force.call("POST", "/sobjects/Contact", json=twin, headers={n.replace("_", "-"): v for n, v in headers.items()})


@pytest.mark.parametrize("key", ["duplicateResult", "duplicateResut"])
def test_a_blocked_save_shows_the_matches_in_either_spelling(force, twin, key):
    force.switch(duplicate_rule="alert", duplicate_result_key=key)

    answer = save(force, twin)

    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"], error["message"]) == (400, "DUPLICATES_DETECTED", "Use one of these records?")
    result = error[key]
    assert (result["allowSave"], result["duplicateRule"]) == (True, "Standard_Contact_Duplicate_Rule")
    (match,) = result["matchResults"][0]["matchRecords"]
    assert match["record"] == {"attributes": {"type": "Contact", "url": f"{VERSION}/sobjects/Contact/{force.first}"}, "Id": force.first}
    assert force.names("Id != null") == ["One"]


def test_what_the_header_allows(force, twin):
    force.switch(duplicate_rule="alert")
    assert save(force, twin, Sforce_Duplicate_Rule_Header="allowSave=false").status_code == 400
    detailed = save(force, twin, Sforce_Duplicate_Rule_Header="includeRecordDetails=true; runAsCurrentUser=true").json()[0]
    assert detailed["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Email"] == "a@b.example"
    assert save(force, twin, Sforce_Duplicate_Rule_Header="allowSave=true").status_code == 201
    assert save(force, {"LastName": "X"}, Sforce_Duplicate_Rule_Header="allowSave=perhaps").status_code == 400


def test_a_rule_that_blocks_is_not_overruled_and_one_that_reports_does_not_block(force, twin):
    force.switch(duplicate_rule="block")
    refused_save = save(force, twin, Sforce_Duplicate_Rule_Header="allowSave=true")
    assert refused_save.status_code == 400 and refused_save.json()[0]["duplicateResult"]["allowSave"] is False
    force.switch(duplicate_rule="report")
    assert save(force, twin).status_code == 201


def test_a_change_is_looked_at_when_what_the_rule_goes_by_changes(force, twin):
    force.switch(duplicate_rule="alert")
    other = force.create("Contact", LastName="Two", Email="c@d.example")
    assert force.change("Contact", force.first, Title="X").status_code == 204
    assert refusal(force.change("Contact", other, Email="a@b.example")) == (400, "DUPLICATES_DETECTED")
    force.system.create_record("Contact", twin)  # a person may
    assert force.change("Contact", force.first, Title="Y").status_code == 204
    force.create("Account", Name="Acme")
    assert refusal(force.call("POST", "/sobjects/Account", json={"Name": "acme"})) == (400, "DUPLICATES_DETECTED")


def test_collections_do_not_show_the_matches(force, twin):
    force.switch(duplicate_rule="alert")
    body = {"records": [{"attributes": {"type": "Contact"}, **twin}]}
    (result,) = force.call("POST", "/composite/sobjects", json=body).json()
    told = {"statusCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": []}
    assert result == {"success": False, "errors": [told]}
    assert force.call("POST", "/composite/sobjects", json=body, headers=ALLOW).json()[0]["success"]


# --- what a customer's admin may do -------------------------------------------------------------------------------------
def test_validation_rules_speak_the_admins_words(force):
    force.switch(
        validation_rules=[{"object": "Contact", "when": "Phone = null AND Email = null", "message": "A phone or an e-mail, please."}]
    )

    answer = force.call("POST", "/sobjects/Contact", json={"LastName": "A"})

    assert refused(answer) == (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "A phone or an e-mail, please.", [])
    id_ = force.create("Contact", LastName="A", Phone="1")
    assert refusal(force.change("Contact", id_, Phone=None)) == (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION")
    assert force.create("Lead", LastName="A", Company="B")


def test_a_rule_that_cannot_be_read_is_not_set(force):
    for when in ("Foo = 1", "Phone = ", "Phone = null AND Email = null OR Id = null"):
        with pytest.raises(ValueError):
            force.switch(validation_rules=[{"object": "Contact", "when": when, "message": "x"}])
    assert force.create("Contact", LastName="A") and force.system.switches()["validation_rules"] == []


def test_a_field_that_becomes_required(force):
    id_ = force.create("Contact", LastName="A")
    force.switch(required_fields=["Contact.Title"])

    assert refused(force.change("Contact", id_, Phone="1")) == (
        400,
        "REQUIRED_FIELD_MISSING",
        "Required fields are missing: [Title]",
        ["Title"],
    )
    (field,) = [f for f in force.get("/sobjects/Contact/describe").json()["fields"] if f["name"] == "Title"]
    assert field["nillable"] is False
    assert force.change("Contact", id_, Title="CTO").status_code == 204


def test_fields_that_are_hidden_closed_or_removed(force):
    id_ = force.create("Contact", LastName="A", Title="CTO", Phone="1", Fax="2")
    force.switch(hidden_fields=["Contact.Title"], read_only_fields=["Contact.Phone"], removed_fields=["Contact.Fax"])

    row = force.row("Contact", id_)
    assert "Title" not in row and "Fax" not in row and row["Phone"] == "1"
    codes = [refusal(force.change("Contact", id_, **{n: "x"}))[1] for n in ("Title", "Phone", "Fax")]
    assert codes == ["INVALID_FIELD_FOR_INSERT_UPDATE", "INVALID_FIELD_FOR_INSERT_UPDATE", "INVALID_FIELD"]
    (phone,) = [f for f in force.get("/sobjects/Contact/describe").json()["fields"] if f["name"] == "Phone"]
    assert not phone["updateable"] and not phone["createable"]
    force.switch(hidden_fields=[], removed_fields=[])
    assert [force.row("Contact", id_)[n] for n in ("Title", "Fax")] == ["CTO", "2"]


def test_assignment_rules_run_unless_they_are_told_not_to(force):
    tom = next(u["Id"] for u in force.system.list_records("User") if u["FirstName"] == "Tom")
    force.switch(assignment_owner=tom)
    mine = {"Sforce-Auto-Assign": "FALSE"}

    assigned = force.create("Lead", LastName="A", Company="B")
    kept = force.call("POST", "/sobjects/Lead", json={"LastName": "A", "Company": "B"}, headers=mine).json()["id"]

    assert [force.row("Lead", i)["OwnerId"] for i in (assigned, kept)] == [tom, force.given["user_id"]]
    assert force.change("Lead", kept, mine, Title="X").status_code == 204 and force.row("Lead", kept)["OwnerId"] != tom
    force.change("Lead", kept, Title="Y")
    assert force.row("Lead", kept)["OwnerId"] == tom
    assert force.change("Lead", kept, {"Sforce-Auto-Assign": "perhaps"}, Title="Z").status_code == 400


# --- locks and late commits ---------------------------------------------------------------------------------------------
def test_rows_are_locked_for_a_call_with_the_documented_words(force):
    ids_ = [force.create("Contact", LastName=name) for name in ("A", "B")]
    force.world.faults.add({"kind": "lock_row", "system": "salesforce", "times": 1})

    assert force.get("/limits").status_code == 200  # a read meets no lock
    answer = force.change("Contact", ids_[0], Title="X")

    told = f"unable to obtain exclusive access to this record or 1 records: {ids_[0]}"
    assert refused(answer)[:3] == (400, "UNABLE_TO_LOCK_ROW", told)
    assert force.change("Contact", ids_[0], Title="X").status_code == 204


def test_one_row_is_locked_with_what_hangs_on_it(force):
    account = force.create("Account", Name="Acme")
    free, held = force.create("Contact", LastName="A"), force.create("Contact", LastName="B")
    force.world.faults.add({"kind": "lock_row", "system": "salesforce", "record": account})
    force.world.faults.add({"kind": "lock_row", "system": "salesforce", "record": held})
    records = [{"attributes": {"type": "Contact"}, "id": i, "Title": "X"} for i in (free, held)]

    results = force.call("PATCH", "/composite/sobjects", json={"records": records}).json()

    assert [r["success"] for r in results] == [True, False] and results[1]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    force.world.faults.clear()
    force.switch(lock_status=500)
    force.world.faults.add({"kind": "lock_row", "system": "salesforce", "record": account})
    made = force.call("POST", "/sobjects/Contact", json={"LastName": "C", "AccountId": account})
    assert refusal(made) == (500, "UNABLE_TO_LOCK_ROW") and force.create("Contact", LastName="D")


def test_what_cannot_go_whole_does_not_go(force):
    account = force.create("Account", Name="Acme")
    free, held = (force.create("Contact", LastName=name, AccountId=account) for name in ("A", "B"))
    force.world.faults.add({"kind": "lock_row", "system": "salesforce", "record": held})

    answers = [force.call("DELETE", f"/sobjects/Account/{account}"), force.call("DELETE", f"/composite/sobjects?ids={account}")]
    job = force.call("POST", "/jobs/ingest", json={"object": "Account", "operation": "delete"}).json()
    force.call("PUT", f"/{job['contentUrl']}", data=f"Id\n{account}\n", headers={"Content-Type": "text/csv"})
    force.call("PATCH", f"/jobs/ingest/{job['id']}", json={"state": "UploadComplete"})

    assert [a.status_code for a in answers] == [400, 200] and answers[1].json()[0]["success"] is False
    assert force.get(f"/jobs/ingest/{job['id']}").json()["numberRecordsFailed"] == 1
    assert force.row("Account", account)["Name"] == "Acme" and force.row("Contact", free)["LastName"] == "A"


def test_what_people_change_is_seen_when_it_is_committed_with_the_stamp_of_its_beginning(force):
    id_ = force.create("Contact", LastName="Old", Email="a@b.example")
    force.clock.forward(60)
    force.switch(late_commit_seconds=30)
    began = force.clock.shown
    force.person("Contact", id_, LastName="New", Email="new@b.example")
    made = force.system.create_record("Contact", {"LastName": "Made"})["Id"]
    force.clock.forward(29)

    assert force.row("Contact", id_)["LastName"] == "Old" and refusal(force.get(f"/sobjects/Contact/{made}")) == (404, "NOT_FOUND")
    assert force.names(f"SystemModstamp >= {began}") == [] == force.names("Email = 'new@b.example'")
    assert force.names("Email = 'a@b.example'") == ["Old"]
    assert refusal(force.change("Contact", id_, Title="X")) == (400, "UNABLE_TO_LOCK_ROW")
    force.clock.forward(1)

    rows = force.query(f"SELECT LastName, SystemModstamp FROM Contact WHERE SystemModstamp >= {began} ORDER BY LastName")
    assert [(r["LastName"], r["SystemModstamp"]) for r in rows] == [("Made", began), ("New", began)]
    assert force.change("Contact", id_, Title="X").status_code == 204


def test_what_an_open_transaction_deletes_is_there_until_then(force):
    id_ = force.create("Contact", LastName="A")
    force.switch(late_commit_seconds=30)
    force.system.delete_record("Contact", id_)
    assert force.names("Id != null") == ["A"]
    force.clock.forward(30)
    assert force.names("Id != null") == []


# --- merges and conversions ---------------------------------------------------------------------------------------------
def test_a_merge_moves_what_hung_on_the_losers(force):
    account = force.create("Account", Name="Acme")
    winner = force.create("Contact", LastName="Okafor", AccountId=account, Sync_Key__c="1")
    losers = [force.create("Contact", LastName=name, Sync_Key__c=name) for name in ("Okafo", "Okaf")]
    task = force.create("Task", Subject="Call", WhoId=losers[0])
    report = force.create("Contact", LastName="Report", ReportsToId=losers[1])
    force.clock.forward(60)

    merged = force.system.merge({"object": "Contact", "winner": winner[:15], "losers": losers, "values": {"Title": "CTO"}})

    assert (merged["Id"], merged["Title"], merged["AccountId"]) == (winner, "CTO", account)
    rows = force.query("SELECT Id, MasterRecordId, IsDeleted FROM Contact WHERE MasterRecordId != null", "/queryAll")
    assert {r["Id"]: (r["MasterRecordId"], r["IsDeleted"]) for r in rows} == dict.fromkeys(losers, (winner, True))
    assert refusal(force.get(f"/sobjects/Contact/{losers[0]}")) == (404, "ENTITY_IS_DELETED")
    assert force.row("Task", task)["WhoId"] == winner and force.row("Contact", report)["ReportsToId"] == winner
    assert force.row("Task", task)["SystemModstamp"] == force.clock.shown
    deleted = force.get("/sobjects/Contact/deleted/", start="2026-11-01T10:00:00Z", end="2026-11-01T10:05:00Z").json()["deletedRecords"]
    assert {d["id"] for d in deleted} == set(losers)


@pytest.mark.parametrize(
    "given",
    [
        {"object": "Task", "winner": "x", "losers": ["y"]},
        {"object": "Contact", "winner": "x", "losers": ["y"]},
        {"object": "Contact", "winner": 5},
        {"winner": "003AA0000000001", "losers": []},
        {"object": "Contact", "winner": "003AA0000000001", "losers": ["003AA0000000001"]},
        {"object": "Contact", "winner": "003AA0000000001", "losers": ["003AA0000000002"] * 3},
        {"object": "Contact", "winner": "003AA0000000001", "losers": ["003AA0000000002"], "values": {"Foo": 1}},
    ],
)
def test_merges_that_cannot_be_change_nothing(force, given):
    for name in ("A", "B"):
        force.create("Contact", LastName=name)
    with pytest.raises(ValueError):
        force.system.merge(given)
    assert force.names("Id != null") == ["A", "B"]


def test_a_converted_lead_leads_on_to_its_contact_and_is_read_only(force):
    lead = force.create("Lead", LastName="Diaz", FirstName="Ana", Company="Acme", Email="ana@acme.example", City="York", DoNotCall=True)
    task = force.create("Task", Subject="Call", WhoId=lead)
    force.clock.forward(60)

    force.system.convert({"lead": lead, "opportunity": "Pumps"})

    row = force.row("Lead", lead)
    assert (row["IsConverted"], row["Status"], row["ConvertedDate"]) == (True, "Closed - Converted", "2026-11-01")
    contact, account = force.row("Contact", row["ConvertedContactId"]), force.row("Account", row["ConvertedAccountId"])
    assert (contact["Name"], contact["Email"], contact["MailingCity"], contact["DoNotCall"]) == (
        "Ana Diaz",
        "ana@acme.example",
        "York",
        True,
    )
    assert (contact["AccountId"], account["Name"]) == (account["Id"], "Acme")
    assert force.row("Opportunity", row["ConvertedOpportunityId"])["AccountId"] == account["Id"]
    assert force.row("Task", task)["WhoId"] == contact["Id"]
    assert refused(force.change("Lead", lead, Title="X"))[:3] == (400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    assert refusal(force.call("POST", "/sobjects/Task", json={"WhoId": lead})) == (400, "CANNOT_UPDATE_CONVERTED_LEAD")
    assert force.names("Email = 'ana@acme.example'", "Lead") == ["Diaz"]  # still found
    with pytest.raises(ValueError):
        force.system.convert({"lead": lead})


def test_a_conversion_into_what_is_there(force):
    account = force.create("Account", Name="Acme")
    contact = force.create("Contact", LastName="Diaz", AccountId=account)
    lead = force.create("Lead", LastName="Diaz", Company="Acme")

    row = force.system.convert({"lead": lead, "contact": contact})

    assert (row["ConvertedContactId"], row["ConvertedAccountId"], row["ConvertedOpportunityId"]) == (contact, account, None)
    assert len(force.query("SELECT Id FROM Contact")) == len(force.query("SELECT Id FROM Account")) == 1


# --- activities and opportunities ---------------------------------------------------------------------------------------
def test_tasks_know_their_account_and_when_they_were_done(force):
    account = force.create("Account", Name="Acme")
    contact = force.create("Contact", LastName="A", AccountId=account)
    task = force.create("Task", Subject="Call", WhoId=contact, ActivityDate="2026-11-03")

    row = force.row("Task", task)
    assert (row["AccountId"], row["Status"], row["Priority"], row["IsClosed"], row["TaskSubtype"]) == (
        account,
        "Not Started",
        "Normal",
        False,
        "Task",
    )
    force.change("Task", task, Status="Completed")
    assert [force.row("Task", task)[n] for n in ("IsClosed", "CompletedDateTime")] == [True, force.clock.shown]
    assert refusal(force.change("Task", task, TaskSubtype="Call")) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    told = f"Name ID: id value of incorrect type: {account}"
    assert refused(force.change("Task", task, WhoId=account)) == (400, "FIELD_INTEGRITY_EXCEPTION", told, ["WhoId"])


def test_a_leads_activity_has_nothing_else_it_is_related_to(force):
    lead, account = force.create("Lead", LastName="A", Company="B"), force.create("Account", Name="Acme")
    assert refusal(force.call("POST", "/sobjects/Task", json={"WhoId": lead, "WhatId": account})) == (400, "FIELD_INTEGRITY_EXCEPTION")


@pytest.mark.parametrize(
    ("given", "start", "end", "minutes"),
    [
        ({"StartDateTime": "2026-11-01T10:00:00Z", "DurationInMinutes": 30}, "2026-11-01T10:00", "2026-11-01T10:30", 30),
        ({"ActivityDateTime": "2026-11-01T10:00:00Z", "EndDateTime": "2026-11-01T11:00:00Z"}, "2026-11-01T10:00", "2026-11-01T11:00", 60),
        ({"IsAllDayEvent": True, "ActivityDate": "2026-11-01"}, "2026-11-01T00:00", "2026-11-01T00:00", 1440),
    ],
)
def test_events_agree_with_themselves(force, given, start, end, minutes):
    row = force.row("Event", force.create("Event", Subject="Visit", **given))
    assert (row["StartDateTime"][:16], row["ActivityDateTime"][:16], row["EndDateTime"][:16]) == (start, start, end)
    assert (row["DurationInMinutes"], row["ActivityDate"], row["ShowAs"]) == (minutes, "2026-11-01", "Busy")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"DurationInMinutes": 30}, "REQUIRED_FIELD_MISSING"),
        ({"StartDateTime": "2026-11-01T10:00:00Z"}, "REQUIRED_FIELD_MISSING"),
        ({"IsAllDayEvent": True}, "REQUIRED_FIELD_MISSING"),
        (
            {"StartDateTime": "2026-11-01T10:00:00Z", "EndDateTime": "2026-11-01T11:00:00Z", "DurationInMinutes": 30},
            "FIELD_INTEGRITY_EXCEPTION",
        ),
        (
            {"StartDateTime": "2026-11-01T10:00:00Z", "ActivityDateTime": "2026-11-01T11:00:00Z", "DurationInMinutes": 3},
            "FIELD_INTEGRITY_EXCEPTION",
        ),
        ({"StartDateTime": "2026-11-01T10:00:00Z", "DurationInMinutes": 14 * 1440 + 1}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"StartDateTime": "2026-11-01T10:00:00Z", "EndDateTime": "2026-11-01T09:00:00Z"}, "NUMBER_OUTSIDE_VALID_RANGE"),
    ],
)
def test_events_that_do_not(force, given, code):
    assert refusal(force.call("POST", "/sobjects/Event", json=given)) == (400, code)


def test_an_event_that_is_moved_keeps_its_length(force):
    id_ = force.create("Event", StartDateTime="2026-11-01T10:00:00Z", DurationInMinutes=45)
    force.change("Event", id_, StartDateTime="2026-11-02T10:00:00Z")
    assert force.row("Event", id_)["EndDateTime"] == "2026-11-02T10:45:00.000+0000"


def test_what_follows_from_the_stage(force):
    id_ = force.create("Opportunity", Name="Pumps", StageName="Qualification", CloseDate="2026-12-01", Amount=1000)
    assert [force.row("Opportunity", id_)[n] for n in ("Probability", "IsClosed", "Amount")] == [20.0, False, 1000.0]
    force.change("Opportunity", id_, StageName="Closed Won")
    assert [force.row("Opportunity", id_)[n] for n in ("Probability", "IsClosed", "IsWon")] == [100.0, True, True]
    assert force.get("/sobjects/Opportunity/Name/pumps").json()["Id"] == id_


# --- list views ---------------------------------------------------------------------------------------------------------
def views(force, object_name):
    return {v["developerName"]: v for v in force.get(f"/sobjects/{object_name}/listviews").json()["listviews"]}


def test_the_query_behind_a_view_finds_what_the_view_shows(force):
    tom = next(u["Id"] for u in force.system.list_records("User") if u["FirstName"] == "Tom")
    mine, other = force.create("Contact", LastName="Mine", Email="m@x.example"), force.create("Contact", LastName="Toms", OwnerId=tom)
    force.switch(
        list_views=[{"object": "Contact", "name": "With_Mail", "label": "With e-mail", "scope": "everything", "where": "Email != null"}]
    )
    found = views(force, "Contact")
    assert list(found) == ["AllContacts", "MyContacts", "With_Mail"]

    def of(name):
        described = force.get(found[name]["describeUrl"]).json()
        return described, [row["Id"] for row in force.query(described["query"])]

    assert of("AllContacts")[1] == [mine, other] and of("With_Mail")[1] == [mine]
    described, rows = of("MyContacts")
    assert rows == [mine] and described["scope"] == "mine" and described["id"] == found["MyContacts"]["id"][:15]
    assert described["query"] == (
        "SELECT name, account.name, title, phone, email, id, createddate, lastmodifieddate, systemmodstamp FROM Contact "
        "USING SCOPE mine ORDER BY Name ASC NULLS FIRST, Id ASC NULLS FIRST"
    )
    assert of("With_Mail")[0]["whereCondition"] == {"field": "Email", "operator": "notEqual", "values": ["null"]}
    assert [c["fieldNameOrPath"] for c in described["columns"] if c["hidden"]] == [
        "Id",
        "CreatedDate",
        "LastModifiedDate",
        "SystemModstamp",
    ]


def test_results_are_for_people(force):
    account = force.create("Account", Name="Acme")
    for n in range(3):
        force.create("Contact", LastName=f"C{n}", AccountId=account)
    url = views(force, "Contact")["AllContacts"]["resultsUrl"]

    results = force.get(url, limit=2, offset=1).json()

    assert (results["size"], results["done"], results["developerName"]) == (2, True, "AllContacts")
    values = {c["fieldNameOrPath"]: c["value"] for c in results["records"][0]["columns"]}
    assert (values["Name"], values["Account.Name"], values["Email"]) == ("C1", "Acme", None)
    assert values["CreatedDate"] == "Sun Nov 01 10:00:00 GMT 2026"
    assert force.get(url, limit=2001).status_code == 400


@pytest.mark.parametrize("object_name", ["Account", "Lead"])
def test_other_objects_have_views_and_some_have_none(force, object_name):
    assert list(views(force, object_name)) == [f"All{object_name}s", f"My{object_name}s"]
    other = next(v for v in views(force, "Contact").values())["id"]
    assert refusal(force.get(f"/sobjects/{object_name}/listviews/{other}/describe")) == (404, "NOT_FOUND")
    assert refusal(force.get("/sobjects/Task/listviews")) == (404, "NOT_FOUND")


def test_views_that_cannot_be_are_not_set(force):
    good = {"object": "Contact", "name": "X", "label": "X", "scope": "mine", "where": ""}
    for bad in ({"scope": "team"}, {"where": "Foo = 1"}, {"object": "Task"}, {"object": "Kontakt"}):
        with pytest.raises(ValueError):
            force.switch(list_views=[{**good, **bad}])
    assert force.system.switches()["list_views"] == []


# --- replication --------------------------------------------------------------------------------------------------------
def window(force, kind, start, end, object_name="Contact"):
    return force.call("GET", f"/sobjects/{object_name}/{kind}/?start={quote(start)}&end={quote(end)}")


def test_what_changed_and_what_went_in_a_window(force):
    made = [force.create("Contact", LastName=f"C{n}") for n in range(3)]
    force.clock.forward(600)
    force.change("Contact", made[0], Title="X")
    force.call("DELETE", f"/sobjects/Contact/{made[1]}")
    gone_at = force.clock.shown
    force.clock.forward(600)
    start, end = "2026-11-01T10:05:00+00:00", "2026-11-01T10:15:30+00:00"

    updated, deleted = (window(force, kind, start, end).json() for kind in ("updated", "deleted"))

    assert updated == {"ids": [made[0]], "latestDateCovered": "2026-11-01T10:15:00.000+0000"}
    assert deleted["deletedRecords"] == [{"id": made[1], "deletedDate": gone_at}]
    assert deleted["earliestDateAvailable"] == "2026-10-17T10:20:00.000+0000"


def test_the_date_covered_is_that_of_the_oldest_open_transaction(force):
    id_ = force.create("Contact", LastName="A")
    force.clock.forward(600)
    force.switch(late_commit_seconds=120)
    force.person("Contact", id_, Title="X")
    began = force.clock.shown
    force.clock.forward(100)

    first = window(force, "updated", "2026-11-01T10:05:00Z", "2026-11-01T10:11:00Z").json()
    force.clock.forward(100)
    again = window(force, "updated", first["latestDateCovered"].replace("+0000", "Z"), "2026-11-01T10:13:00Z").json()

    assert first == {"ids": [], "latestDateCovered": began}
    assert again == {"ids": [id_], "latestDateCovered": "2026-11-01T10:13:00.000+0000"}


def test_the_log_of_deletions_is_trimmed(force):
    id_ = force.create("Contact", LastName="A")
    force.call("DELETE", f"/sobjects/Contact/{id_}")
    force.clock.forward(2 * 86400)
    force.switch(deleted_log_days=1)
    answer = window(force, "deleted", "2026-11-01T09:00:00Z", "2026-11-03T10:00:00Z").json()
    assert (answer["deletedRecords"], answer["earliestDateAvailable"]) == ([], "2026-11-02T10:00:00.000+0000")


@pytest.mark.parametrize(
    ("kind", "start", "end", "code"),
    [
        ("updated", "2026-11-01T10:00:30Z", "2026-11-01T10:00:59Z", "INVALID_REPLICATION_DATE"),
        ("updated", "2026-11-01T10:00:00Z", "2026-11-01T09:00:00Z", "INVALID_REPLICATION_DATE"),
        ("updated", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "INVALID_REPLICATION_DATE"),
        ("deleted", "2026-10-16T00:00:00Z", "2026-11-01T00:00:00Z", "INVALID_REPLICATION_DATE"),
        ("updated", "yesterday", "2026-11-01T00:00:00Z", "ILLEGAL_QUERY_PARAMETER_VALUE"),
    ],
)
def test_windows_that_are_none(force, kind, start, end, code):
    assert refusal(window(force, kind, start, end)) == (400, code)


def test_a_person_restores_what_was_deleted(force):
    id_ = force.create("Contact", LastName="A")
    force.call("DELETE", f"/sobjects/Contact/{id_}")
    with pytest.raises(ValueError, match="recycle bin"):
        force.person("Contact", id_, Title="X")
    force.person("Contact", id_, IsDeleted=False)
    assert force.row("Contact", id_)["IsDeleted"] is False


def test_people_are_not_the_app(force):
    id_ = force.create("Contact", LastName="A")
    force.person("Contact", id_, Title="X")
    assert force.row("Contact", id_)["LastModifiedById"] not in (force.given["user_id"], None)
    tom = next(u["Id"] for u in force.system.list_records("User") if u["FirstName"] == "Tom")
    force.person("Contact", id_, Title="Y", LastModifiedById=tom)
    assert force.row("Contact", id_)["LastModifiedById"] == tom
    with pytest.raises(ValueError, match="INVALID|invalid email"):
        force.person("Contact", id_, Email="x")
    with pytest.raises(ValueError):
        force.person("Contact", id_, Name="x")
