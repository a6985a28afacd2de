"""The played contact groups: names, versions, members, sync, the groups of the system."""

from tests.sandbox.google_account import GINA, HUGO, refused

GROUPS = "/v1/contactGroups"


def names(google, **params):
    return {g["name"]: g for g in google.get(GROUPS, **params).json()["contactGroups"]}


def test_system_groups_are_there_and_stay(google):
    groups = names(google)
    assert set(groups) == {"myContacts", "starred"}
    assert groups["starred"] == {
        "resourceName": "contactGroups/starred", "etag": groups["starred"]["etag"], "groupType": "SYSTEM_CONTACT_GROUP",
        "name": "starred", "formattedName": "Starred",
    }  # fmt: skip
    body = {"contactGroup": {"name": "Mine", "etag": groups["starred"]["etag"]}}
    refused(google.call("PUT", f"{GROUPS}/starred", json=body), 400, "INVALID_ARGUMENT")
    refused(google.call("DELETE", f"{GROUPS}/myContacts"), 400, "INVALID_ARGUMENT")


def test_a_name_is_given_once_a_mailbox(google):
    label = google.label("Salesforce Contacts", clientData=[{"key": "a", "value": "1"}])
    assert (label["name"], label["groupType"]) == ("Salesforce Contacts", "USER_CONTACT_GROUP") and "memberCount" not in label
    refused(google.call("POST", GROUPS, json={"contactGroup": {"name": "Salesforce Contacts"}}), 409, "ALREADY_EXISTS")
    refused(google.call("POST", GROUPS, json={"contactGroup": {"name": "starred"}}), 409, "ALREADY_EXISTS")
    refused(google.call("POST", GROUPS, json={"contactGroup": {"name": " "}}), 400, "INVALID_ARGUMENT")
    refused(google.call("POST", GROUPS, json={"contactGroup": {"title": "x"}}), 400, "INVALID_ARGUMENT")
    assert google.call("POST", GROUPS, mailbox=HUGO, json={"contactGroup": {"name": "Salesforce Contacts"}}).status_code == 200
    kept = google.get(f"/v1/{label['resourceName']}", groupFields="clientData").json()
    assert kept["clientData"] == [{"key": "a", "value": "1"}] and "name" not in kept
    refused(google.get(f"/v1/{label['resourceName']}", groupFields="planets"), 400, "INVALID_ARGUMENT")
    google.good("DELETE", f"/v1/{label['resourceName']}")
    assert google.label("Salesforce Contacts")["resourceName"] != label["resourceName"]


def test_updates_carry_the_present_version(google):
    label, other = google.label("A"), google.label("B")
    path = f"/v1/{label['resourceName']}"

    def put(**group):
        return google.call(
            "PUT", path, json={"contactGroup": group, "updateGroupFields": "name,clientData", "readGroupFields": "name,clientData"}
        )

    new = put(name="C", etag=label["etag"], clientData=[{"key": "k", "value": "v"}]).json()
    assert (new["name"], new["clientData"]) == ("C", [{"key": "k", "value": "v"}]) and new["etag"] != label["etag"]
    refused(put(name="D", etag=label["etag"]), 400, "FAILED_PRECONDITION")
    refused(put(name="D"), 400, "INVALID_ARGUMENT")
    refused(put(name="B", etag=new["etag"]), 409, "ALREADY_EXISTS")
    refused(google.call("PUT", f"{GROUPS}/5a", json={"contactGroup": {"name": "x", "etag": "y"}}), 404, "NOT_FOUND")
    assert put(name="C", etag=new["etag"]).json().get("clientData") is None and other["name"] == "B"


def test_members_are_added_and_removed_with_both_lists(google):
    label, first, second = google.label(), google.create("Ann"), google.create("Ben")
    a, b = first["resourceName"], second["resourceName"]

    assert google.modify(label, [a, b, "people/c9"]) == {"notFoundResourceNames": ["people/c9"]}
    shown = google.get(f"/v1/{label['resourceName']}", maxMembers=1).json()
    assert shown["memberCount"] == 2 and shown["memberResourceNames"] == [a]
    assert "memberResourceNames" not in google.get(f"/v1/{label['resourceName']}").json()
    assert names(google)["Salesforce Contacts"]["memberCount"] == 2
    mine = {"resourceName": "contactGroups/myContacts"}
    assert google.modify(mine, remove=[a]) == {}
    answer = google.modify(label, remove=[a, b, "people/c8"])
    assert answer == {"notFoundResourceNames": ["people/c8"], "canNotRemoveLastContactGroupResourceNames": [a]}
    refused(google.update(second, "names"), 400, "FAILED_PRECONDITION")  # who changes a label changes the person
    many = {"resourceNamesToAdd": [f"people/c{n}" for n in range(1001)]}
    refused(google.call("POST", f"/v1/{label['resourceName']}/members:modify", json=many), 400, "INVALID_ARGUMENT")
    refused(google.call("POST", f"{GROUPS}/5a/members:modify", json={"resourceNamesToAdd": [a]}), 404, "NOT_FOUND")


def test_deleting_a_label_keeps_its_contacts_unless_asked_otherwise(google):
    label, other = google.label("A"), google.label("B")
    person = google.create(memberships=[{"contactGroupMembership": {"contactGroupResourceName": label["resourceName"]}}])

    google.good("DELETE", f"/v1/{label['resourceName']}", params={"deleteContacts": "false"})
    kept = google.get(f"/v1/{person['resourceName']}", personFields="memberships").json()
    assert [m["contactGroupMembership"]["contactGroupId"] for m in kept["memberships"]] == ["myContacts"]
    google.modify(other, [person["resourceName"]])
    google.good("DELETE", f"/v1/{other['resourceName']}", params={"deleteContacts": "true"})
    assert google.system.store.contacts.count(GINA) == 0
    refused(google.get(f"/v1/{label['resourceName']}"), 404, "NOT_FOUND")


def test_many_groups_are_read_with_a_status_each(google):
    answer = google.get(f"{GROUPS}:batchGet", resourceNames=["contactGroups/starred", "contactGroups/5a"]).json()["responses"]
    assert answer[0]["contactGroup"]["name"] == "starred" and answer[1]["status"]["code"] == 5
    refused(google.get(f"{GROUPS}:batchGet"), 400, "INVALID_ARGUMENT")


def test_groups_are_synced(google):
    label, other = google.label("A"), google.label("B")
    first = google.get(GROUPS, pageSize=3).json()
    assert "nextSyncToken" not in first and first["totalItems"] == 4
    last = google.get(GROUPS, pageSize=3, pageToken=first["nextPageToken"]).json()
    token = last["nextSyncToken"]
    assert len(first["contactGroups"] + last["contactGroups"]) == 4

    google.good("DELETE", f"/v1/{label['resourceName']}")
    google.good("PUT", f"/v1/{other['resourceName']}", json={"contactGroup": {"name": "C", "etag": other["etag"]}})
    changes = google.get(GROUPS, pageSize=3, syncToken=token).json()["contactGroups"]

    assert [g.get("metadata", {}).get("deleted") for g in changes] == [True, None] and changes[1]["name"] == "C"
    google.clock.forward(8 * 86400)
    refused(google.get(GROUPS, pageSize=3, syncToken=token), 400, "FAILED_PRECONDITION", "EXPIRED_SYNC_TOKEN")
