"""Relations of the played Salesforce: shared activities, and contact roles of opportunities."""

import pytest

from tests.sandbox.force import refusal, refused

AT_TEN = {"StartDateTime": "2026-11-03T10:00:00Z", "DurationInMinutes": 60}
KINDS = [("Event", "EventRelation", "EventId", AT_TEN), ("Task", "TaskRelation", "TaskId", {})]


@pytest.fixture
def shared(force):
    force.switch(shared_activities=True)
    return force


@pytest.fixture
def contacts(force):
    return [force.create("Contact", LastName=name) for name in ("Ada", "Ben", "Cleo")]


def related(force, name="EventRelation"):
    return [row["RelationId"] for row in force.query(f"SELECT RelationId FROM {name} ORDER BY Id")]


# --- without shared activities ------------------------------------------------------------------------------------------
def test_without_shared_activities_relations_are_invitations(force, contacts):
    described = [f["name"] for f in force.get("/sobjects/EventRelation/describe").json()["fields"]]
    own = [n for n in described if n not in ("Id", "IsDeleted") and not n.startswith(("Created", "LastModified", "SystemMod"))]
    assert own == ["EventId", "RelationId", "Status", "Response", "RespondedDate"]
    event = force.create("Event", WhoId=contacts[0], **AT_TEN)
    assert related(force) == []

    force.create("EventRelation", EventId=event, RelationId=contacts[1])

    row = force.row("Event", event)
    assert (row["WhoId"], row["IsGroupEvent"]) == (contacts[0], True) and "EventWhoIds" not in row
    bodies = [{"EventId": event, "RelationId": contacts[2], "IsParent": True}, {**AT_TEN, "EventWhoIds": contacts}]
    for name, body in zip(("EventRelation", "Event"), bodies, strict=True):
        assert refusal(force.call("POST", f"/sobjects/{name}", json=body)) == (400, "INVALID_FIELD")
    account = force.create("Account", Name="Acme")
    assert refusal(force.call("POST", "/sobjects/EventRelation", json={"EventId": event, "RelationId": account})) == (
        400, "FIELD_INTEGRITY_EXCEPTION",
    )  # fmt: skip
    assert refusal(force.page("SELECT Id FROM TaskRelation")) == (400, "INVALID_TYPE")
    assert refusal(force.call("POST", "/sobjects/TaskRelation", json={})) == (404, "NOT_FOUND")
    with pytest.raises(ValueError, match="not supported"):
        force.system.create_record("TaskRelation", {})


# --- shared activities --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("activity", "relation", "key", "given"), KINDS)
def test_who_and_what_have_relations_and_more_people_may_be_added(shared, contacts, activity, relation, key, given):
    account = shared.create("Account", Name="Acme")
    id_ = shared.create(activity, WhoId=contacts[0], WhatId=account, **given)
    shared.create(relation, **{key: id_, "RelationId": contacts[1]})

    row = shared.row(activity, id_)
    assert (row["WhoId"], row[f"{activity}WhoIds"], row["WhoCount"], row["WhatCount"]) == (contacts[0], contacts[:2], 2, 1)
    rows = shared.query(f"SELECT RelationId, IsWhat, AccountId FROM {relation} ORDER BY Id")
    assert [(r["RelationId"], r["IsWhat"], r["AccountId"]) for r in rows] == [
        (contacts[0], False, None), (account, True, account), (contacts[1], False, None),
    ]  # fmt: skip
    found = shared.query(f"SELECT Id FROM {activity} WHERE Id IN (SELECT {key} FROM {relation} WHERE RelationId = '{contacts[1]}')")
    assert [r["Id"] for r in found] == [id_]
    assert shared.query(f"SELECT Relation.Name, {activity}.Subject FROM {relation} WHERE IsWhat = true")[0]["Relation"]["Name"] == "Acme"


@pytest.mark.parametrize(("activity", "relation", "key", "given"), KINDS)
def test_who_loses_its_relation_is_followed_by_another(shared, contacts, activity, relation, key, given):
    account = shared.create("Account", Name="Acme")
    shared.change("Contact", contacts[1], AccountId=account)
    id_ = shared.create(activity, **{f"{activity}WhoIds": contacts[:2]}, **given)
    first, second = [row["Id"] for row in shared.query(f"SELECT Id FROM {relation} ORDER BY Id")]
    shared.clock.forward(60)

    shared.call("DELETE", f"/sobjects/{relation}/{first}")

    row = shared.row(activity, id_)
    assert (row["WhoId"], row["AccountId"], row["SystemModstamp"]) == (contacts[1], account, shared.clock.shown)
    shared.call("DELETE", f"/sobjects/{relation}/{second}")
    assert [shared.row(activity, id_)[n] for n in ("WhoId", f"{activity}WhoIds", "WhoCount")] == [None, None, 0]


def test_more_people_do_not_move_the_stamps_of_an_event(shared, contacts):
    id_ = shared.create("Event", WhoId=contacts[0], **AT_TEN)
    before = shared.row("Event", id_)
    shared.clock.forward(60)
    shared.create("EventRelation", EventId=id_, RelationId=contacts[1])
    assert shared.row("Event", id_)["SystemModstamp"] == before["SystemModstamp"]
    assert shared.query(f"SELECT Id FROM EventRelation WHERE SystemModstamp >= {shared.clock.at:%Y-%m-%dT%H:%M:%SZ}")


def test_lists_of_people_are_written_whole(shared, contacts):
    ada, ben, cleo = contacts
    id_ = shared.create("Event", EventWhoIds=[ben, ada], **AT_TEN)
    assert [shared.row("Event", id_)[n] for n in ("WhoId", "EventWhoIds")] == [ben, [ben, ada]]

    shared.change("Event", id_, EventWhoIds=[cleo])
    assert [shared.row("Event", id_)[n] for n in ("WhoId", "EventWhoIds")] == [cleo, [cleo]]
    shared.change("Event", id_, WhoId=ada, EventWhoIds=[cleo, ben])
    assert [shared.row("Event", id_)[n] for n in ("WhoId", "EventWhoIds")] == [ada, [ada, cleo, ben]]
    shared.change("Event", id_, EventWhoIds=None)
    assert [shared.row("Event", id_)[n] for n in ("WhoId", "EventWhoIds")] == [ada, [ada]]
    assert shared.query(f"SELECT EventWhoIds FROM Event WHERE Id = '{id_}'")[0]["EventWhoIds"] == [ada]
    assert refusal(shared.page("SELECT Id FROM Event WHERE EventWhoIds = 'x'")) == (400, "INVALID_FIELD")
    assert refusal(shared.change("Event", id_, EventWhoIds="x"))[1] == "INVALID_TYPE_ON_FIELD_IN_RECORD"
    assert refusal(shared.change("Event", id_, EventWhoIds=[id_]))[1] == "FIELD_INTEGRITY_EXCEPTION"
    assert refusal(shared.change("Event", id_, EventWhoIds=["003AA0000000099"]))[1] == "INVALID_CROSS_REFERENCE_KEY"


def test_a_new_who_takes_the_place_of_the_old_one(shared, contacts):
    ada, ben, cleo = contacts
    id_ = shared.create("Event", EventWhoIds=[ada, ben], **AT_TEN)
    shared.change("Event", id_, WhoId=cleo)
    assert shared.row("Event", id_)["EventWhoIds"] == [cleo, ben]
    shared.change("Event", id_, WhoId=ben)
    assert shared.row("Event", id_)["EventWhoIds"] == [ben, cleo]
    shared.change("Event", id_, WhoId=None)
    assert [shared.row("Event", id_)[n] for n in ("WhoId", "EventWhoIds")] == [cleo, [cleo]]


def test_what_changes_with_its_relation(shared):
    one, two = (shared.create("Account", Name=name) for name in ("One", "Two"))
    id_ = shared.create("Event", WhatId=one, **AT_TEN)
    shared.change("Event", id_, WhatId=two)
    assert related(shared) == [two]
    assert (
        refusal(shared.call("POST", "/sobjects/EventRelation", json={"EventId": id_, "RelationId": one}))[1] == "FIELD_INTEGRITY_EXCEPTION"
    )
    (relation,) = shared.query("SELECT Id FROM EventRelation")
    shared.call("DELETE", f"/sobjects/EventRelation/{relation['Id']}")
    assert [shared.row("Event", id_)[n] for n in ("WhatId", "AccountId", "WhatCount")] == [None, None, 0]
    shared.create("EventRelation", EventId=id_, RelationId=one)
    assert shared.row("Event", id_)["WhatId"] == one


def test_fifty_contacts_or_one_lead(shared, contacts):
    lead, account = shared.create("Lead", LastName="Lee", Company="C"), shared.create("Account", Name="Acme")
    crowd = [shared.create("Contact", LastName=f"C{n}") for n in range(48)]
    id_ = shared.create("Event", EventWhoIds=[*crowd, contacts[0], contacts[1]], **AT_TEN)
    for_more = {"EventId": id_, "RelationId": contacts[2]}
    assert refusal(shared.call("POST", "/sobjects/EventRelation", json=for_more)) == (400, "LIMIT_EXCEEDED")
    assert refusal(shared.call("POST", "/sobjects/EventRelation", json={**for_more, "RelationId": lead})) == (
        400,
        "FIELD_INTEGRITY_EXCEPTION",
    )
    assert refusal(shared.change("Event", id_, EventWhoIds=[lead, contacts[0]])) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert len(shared.row("Event", id_)["EventWhoIds"]) == 50

    of_lead = shared.create("Event", WhoId=lead, **AT_TEN)
    for other in (contacts[0], account):
        answer = shared.call("POST", "/sobjects/EventRelation", json={"EventId": of_lead, "RelationId": other})
        assert refusal(answer) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert refusal(shared.change("Event", of_lead, WhatId=account)) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert refusal(shared.call("POST", "/sobjects/Event", json={**AT_TEN, "EventWhoIds": [lead], "WhatId": account}))[0] == 400


def test_relations_that_cannot_be(shared, contacts):
    user = [u for u in shared.system.list_records("User") if u["FirstName"] == "Tom"][0]["Id"]
    id_ = shared.create("Event", WhoId=contacts[0], **AT_TEN)
    owner = shared.row("Event", id_)["OwnerId"]
    account = shared.create("Account", Name="Acme")
    for given, code in [
        ({"RelationId": contacts[0]}, "DUPLICATE_VALUE"),
        ({"RelationId": owner}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"RelationId": user, "IsParent": True}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"RelationId": contacts[1], "IsWhat": True}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"RelationId": account, "IsInvitee": True}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"RelationId": contacts[1], "IsParent": False, "IsInvitee": False}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"RelationId": "003AA0000000099"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({}, "REQUIRED_FIELD_MISSING"),
    ]:
        assert refusal(shared.call("POST", "/sobjects/EventRelation", json={"EventId": id_, **given})) == (400, code), given
    (relation,) = shared.query("SELECT Id FROM EventRelation")
    assert refusal(shared.change("EventRelation", relation["Id"], RelationId=contacts[1])) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_a_contact_may_be_invited_and_be_what_it_is_about(shared, contacts):
    id_ = shared.create("Event", WhoId=contacts[0], **AT_TEN)
    (relation,) = shared.query("SELECT Id FROM EventRelation")
    shared.change("EventRelation", relation["Id"], IsInvitee=True)
    assert shared.row("Event", id_)["IsGroupEvent"] is True
    shared.create("EventRelation", EventId=id_, RelationId=contacts[1], IsInvitee=True, IsParent=False)
    assert shared.row("Event", id_)["EventWhoIds"] == [contacts[0]]
    shared.change("Event", id_, EventWhoIds=[contacts[1]])
    rows = {
        r["RelationId"]: (r["IsParent"], r["IsInvitee"]) for r in shared.query("SELECT RelationId, IsParent, IsInvitee FROM EventRelation")
    }
    assert rows == {contacts[0]: (False, True), contacts[1]: (True, True)}


def test_deleting_a_person_leaves_the_activities_that_others_share(shared, contacts):
    both = shared.create("Event", EventWhoIds=contacts[:2], **AT_TEN)
    alone = shared.create("Event", WhoId=contacts[0], **AT_TEN)

    shared.call("DELETE", f"/sobjects/Contact/{contacts[0]}")

    assert shared.row("Event", both)["WhoId"] == contacts[1]
    assert refusal(shared.get(f"/sobjects/Event/{alone}")) == (404, "ENTITY_IS_DELETED")
    assert related(shared) == [contacts[1]]


def test_a_merge_leaves_one_relation(shared, contacts):
    id_ = shared.create("Event", EventWhoIds=contacts, **AT_TEN)
    shared.system.merge({"object": "Contact", "winner": contacts[1], "losers": [contacts[0], contacts[2]]})
    assert [shared.row("Event", id_)[n] for n in ("WhoId", "EventWhoIds")] == [contacts[1], [contacts[1]]]
    assert related(shared) == [contacts[1]]


def test_a_converted_lead_is_followed_by_its_contact(shared):
    lead = shared.create("Lead", LastName="Lee", Company="C")
    id_ = shared.create("Event", WhoId=lead, **AT_TEN)
    contact = shared.system.convert({"lead": lead})["ConvertedContactId"]
    assert shared.row("Event", id_)["EventWhoIds"] == [contact] == related(shared)


def test_the_switch_gives_and_takes_relations(force, contacts):
    id_ = force.create("Event", WhoId=contacts[0], **AT_TEN)
    force.switch(shared_activities=True)
    assert related(force) == [contacts[0]] and force.row("Event", id_)["EventWhoIds"] == [contacts[0]]
    force.create("EventRelation", EventId=id_, RelationId=contacts[1], IsInvitee=True, IsParent=True)
    force.switch(shared_activities=False)
    assert related(force) == [contacts[1]] and force.row("Event", id_)["WhoId"] == contacts[0]


def test_no_validation_rules_run_for_relations(shared, contacts):
    id_ = shared.create("Event", WhoId=contacts[0], **AT_TEN)
    shared.switch(validation_rules=[{"object": "EventRelation", "when": "Response = 'x'", "message": "no"}])
    shared.create("EventRelation", EventId=id_, RelationId=contacts[1], Response="x")


def test_relations_are_told_of_as_all_records_are(shared, contacts):
    shared.create("Event", EventWhoIds=contacts, **AT_TEN)
    (gone, *left) = [row["Id"] for row in shared.query("SELECT Id FROM EventRelation ORDER BY Id")]
    shared.call("DELETE", f"/sobjects/EventRelation/{gone}")
    shared.clock.forward(600)
    window = {"start": "2026-11-01T09:00:00Z", "end": "2026-11-01T11:00:00Z"}
    assert sorted(shared.get("/sobjects/EventRelation/updated/", **window).json()["ids"]) == left
    assert [d["id"] for d in shared.get("/sobjects/EventRelation/deleted/", **window).json()["deletedRecords"]] == [gone]
    assert {r["Id"]: r["IsDeleted"] for r in shared.query("SELECT Id, IsDeleted FROM EventRelation", "/queryAll")}[gone] is True
    assert not shared.get("/sobjects/EventRelation/describe").json()["undeletable"]
    with pytest.raises(ValueError, match="cannot be undeleted"):
        shared.person("EventRelation", gone, IsDeleted=False)
    shared.switch(hidden_fields=["EventRelation.Status"], hidden_objects=["TaskRelation"])
    assert refusal(shared.page("SELECT Status FROM EventRelation")) == (400, "INVALID_FIELD")
    assert refusal(shared.page("SELECT Id FROM TaskRelation")) == (400, "INVALID_TYPE")
    child = [c for c in shared.get("/sobjects/Event/describe").json()["childRelationships"] if c["childSObject"] == "EventRelation"][0]
    assert (child["junctionIdListNames"], child["junctionReferenceTo"]) == (["EventWhoIds"], ["Contact", "Lead"])


# --- contact roles ------------------------------------------------------------------------------------------------------
def test_contact_roles_of_an_opportunity(force, contacts):
    given = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
    id_ = force.create("Opportunity", ContactId=contacts[0], **given)
    (role,) = force.query("SELECT Id, ContactId, IsPrimary, Opportunity.Name FROM OpportunityContactRole")
    assert (role["ContactId"], role["IsPrimary"], role["Opportunity"]["Name"], role["Id"][:3]) == (contacts[0], True, "Deal", "00K")

    second = force.create("OpportunityContactRole", OpportunityId=id_, ContactId=contacts[1], Role="Decision Maker", IsPrimary=True)

    assert force.row("OpportunityContactRole", role["Id"])["IsPrimary"] is False
    assert force.change("OpportunityContactRole", second, Role="Evaluator", ContactId=contacts[2]).status_code == 204
    assert refused(force.change("OpportunityContactRole", second, OpportunityId=id_))[3] == ["OpportunityId"]
    assert refusal(force.call("POST", "/sobjects/OpportunityContactRole", json={"OpportunityId": id_})) == (400, "REQUIRED_FIELD_MISSING")
    force.call("DELETE", f"/sobjects/Opportunity/{id_}")
    assert force.query("SELECT Id FROM OpportunityContactRole") == []
    force.person("Opportunity", id_, IsDeleted=False)
    assert len(force.query("SELECT Id FROM OpportunityContactRole")) == 2
