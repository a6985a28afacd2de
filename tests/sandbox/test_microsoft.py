"""The played Microsoft Graph: directory, mailboxes, folders, contacts, extended properties, categories, ids."""

from urllib.parse import quote

import pytest

from tests.sandbox.graph import ANN, BOB, IMMUTABLE, OURS, refused

LI = {"givenName": "Bo", "surname": "Li", "emailAddresses": [{"name": "Bo Li", "address": "bo.li@widgets.example"}]}
FAX = "String 0x3A24"


def expand(*ids):
    named = " or ".join(f"id eq '{id_}'" for id_ in ids)
    return f"singleValueExtendedProperties($filter={named})"


def marked(value, id_=OURS):
    return {"singleValueExtendedProperties": [{"id": id_, "value": value}]}


def found_by(value, id_=OURS):
    return f"singleValueExtendedProperties/Any(ep: ep/id eq '{id_}' and ep/value eq '{value}')"


# --- the directory ------------------------------------------------------------------------------------------------------
def test_users_are_listed_page_by_page(graph):
    for n in range(5):
        graph.system.create_record("user", {"mail": f"u{n}@example.test"})
    graph.switch(users_page_size=3)

    first = graph.get("/users", select="id,mail")
    assert len(first["value"]) == 3 and set(first["value"][0]) == {"id", "mail"}
    assert [row["mail"] for row in graph.all("/users", top="999")][:2] == [ANN, BOB]
    assert len(graph.all("/users", top="2")) == 7


def test_users_are_found_by_address_and_state(graph):
    graph.user(BOB, accountEnabled=False)

    assert [u["displayName"] for u in graph.all("/users", filter=f"mail eq '{ANN.upper()}'")] == ["Ann Archer"]
    assert [u["mail"] for u in graph.all("/users", filter="accountEnabled eq false", select="mail")] == [BOB]
    both = f"userPrincipalName eq '{ANN}' or (userPrincipalName eq '{BOB}' and accountEnabled eq true)"
    assert len(graph.all("/users", filter=both)) == 1
    assert refused(graph.call("GET", "/users", params={"$filter": "city eq 'X'"})) == (400, "Request_UnsupportedQuery")
    assert refused(graph.call("GET", "/users", params={"$filter": "mail eq"})) == (400, "BadRequest")


def test_a_user_is_named_by_id_or_principal_name(graph):
    by_name = graph.get(f"/users/{ANN.upper()}")

    assert "accountEnabled" not in by_name
    assert graph.get(f"/users/{by_name['id']}", select="id,accountEnabled,mail")["accountEnabled"] is True
    assert graph.get(f"/users('{ANN}')")["id"] == by_name["id"]
    assert refused(graph.call("GET", "/users/nobody@example.test")) == (404, "Request_ResourceNotFound")
    assert refused(graph.call("GET", "/me")) == (400, "BadRequest")
    assert refused(graph.call("POST", "/users", json={})) == (405, "BadRequest")


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        ("denied", (403, "ErrorAccessDenied")),
        ("gone", (404, "ErrorInvalidUser")),
        ("not_enabled", (404, "MailboxNotEnabledForRESTAPI")),
    ],
)
def test_one_mailbox_is_refused_and_the_other_is_not(graph, state, refusal):
    graph.user(ANN, state=state)

    for path in ("contacts", "contactFolders", "contacts/delta", "outlook/masterCategories"):
        assert refused(graph.call("GET", path)) == refusal
        assert graph.call("GET", f"/users/{BOB}/{path}").status_code == 200
    assert refused(graph.call("POST", "contacts", json=LI)) == refusal
    graph.user(ANN, state="ok")
    assert graph.all("contacts") == []


def test_mailboxes_come_and_go_with_their_users(graph):
    contact = graph.create(**LI)
    graph.system.delete_record("user", graph.system.find_id("user", ANN))

    assert refused(graph.call("GET", "contacts")) == (404, "ErrorInvalidUser")
    graph.switch(unknown_user_code="ResourceNotFound")
    assert refused(graph.call("GET", "contacts")) == (404, "ResourceNotFound")
    graph.system.create_record("user", {"mail": ANN})
    assert graph.all("contacts") == []
    assert refused(graph.call("GET", f"contacts/{quote(contact['id'])}")) == (404, "ErrorItemNotFound")
    graph.user(ANN, mail=None)
    assert refused(graph.call("GET", "contacts")) == (404, "MailboxNotEnabledForRESTAPI")


# --- folders --------------------------------------------------------------------------------------------------------------
def test_the_default_folder_is_in_no_list(graph):
    ours = graph.folder("Salesforce Contacts")

    assert [f["id"] for f in graph.all("contactFolders")] == [ours]
    default = graph.get("contactFolders/contacts")
    assert default["displayName"] == "Contacts" and graph.get(f"contactFolders/{quote(ours)}")["parentFolderId"] == default["id"]
    graph.create(**LI)
    assert graph.get("contacts", top="1", select="parentFolderId")["value"][0]["parentFolderId"] == default["id"]


def test_folders_are_found_by_name_and_taken_names_are_refused(graph):
    ours = graph.folder("O'Brien's")

    assert refused(graph.call("POST", "contactFolders", json={"displayName": "o'brien's"})) == (409, "ErrorFolderExists")
    graph.system.create_record("contactFolder", {"mailbox": ANN, "displayName": "O'Brien's"})
    assert [f["id"] for f in graph.all("contactFolders", filter="displayName eq 'O''Brien''s'")][0] == ours
    assert len(graph.all("contactFolders", filter="displayName eq 'O''Brien''s'")) == 2
    child = graph.create(f"contactFolders/{quote(ours)}/childFolders", displayName="Deep")
    assert [f["id"] for f in graph.all(f"contactFolders/{quote(ours)}/childFolders")] == [child["id"]]
    deep = f"contactFolders/{quote(ours)}/childFolders/{quote(child['id'])}"
    graph.create(f"{deep}/contacts", **LI)
    assert len(graph.all(f"{deep}/contacts")) == 1 and len(graph.all("contactFolders")) == 2


def test_folders_are_renamed_and_deleted_with_what_is_in_them(graph):
    ours = quote(graph.folder("Ours"))
    contact = quote(graph.create(f"contactFolders/{ours}/contacts", IMMUTABLE, **LI)["id"])

    assert graph.call("PATCH", f"contactFolders/{ours}", json={"displayName": "Theirs"}).json()["displayName"] == "Theirs"
    assert graph.call("PATCH", f"contactFolders/{ours}", json={"parentFolderId": "x"}).json()["displayName"] == "Theirs"
    assert graph.call("DELETE", f"contactFolders/{ours}").status_code == 204
    for gone in (f"contactFolders/{ours}", f"contactFolders/{ours}/contacts", f"contacts/{contact}"):
        assert refused(graph.call("GET", gone)) == (404, "ErrorItemNotFound")
    graph.switch(deleted_folder="bin")
    assert graph.get(f"contactFolders/{ours}")["parentFolderId"] == graph.get("mailFolders/deleteditems")["id"]
    assert graph.all("contactFolders") == []
    assert refused(graph.call("DELETE", "contactFolders/contacts")) == (400, "ErrorDeleteDistinguishedFolder")


def test_a_folder_of_the_same_name_in_the_bin_may_keep_a_delete_from_working(graph):
    graph.switch(equal_folder_in_bin_refuses=True)
    first = quote(graph.folder("Ours"))
    assert graph.call("DELETE", f"contactFolders/{first}").status_code == 204
    second = quote(graph.folder("Ours"))

    assert refused(graph.call("DELETE", f"contactFolders/{second}")) == (409, "ErrorFolderExists")
    graph.call("PATCH", f"contactFolders/{second}", json={"displayName": "Ours to delete 7"})
    assert graph.call("DELETE", f"contactFolders/{second}").status_code == 204
    third = quote(graph.folder("Ours"))
    assert graph.call("POST", f"contactFolders/{third}/permanentDelete").status_code == 204


def test_the_bin_is_a_mail_folder_and_a_contact_folder_only_by_switch(graph):
    bin_ = graph.get("mailFolders/deleteditems")

    assert graph.get(f"mailFolders/{quote(bin_['id'])}", select="displayName") | {"@odata.context": ""} == {
        "@odata.context": "", "id": bin_["id"], "displayName": "Deleted Items"
    }  # fmt: skip
    assert refused(graph.call("GET", "contactFolders/deleteditems")) == (404, "ErrorItemNotFound")
    assert refused(graph.call("GET", f"contactFolders/{quote(bin_['id'])}")) == (404, "ErrorItemNotFound")
    assert refused(graph.call("GET", f"contactFolders/{quote(graph.get('mailFolders/inbox')['id'])}"))[0] == 400
    graph.switch(bin_as_contact_folder=True)
    assert graph.get("contactFolders/deleteditems")["id"] == bin_["id"]


def test_a_folder_needs_a_name_and_nothing_else(graph):
    for body in ({}, {"displayName": " "}, {"displayName": 5}, {"displayName": "A", "color": "red"}):
        assert refused(graph.call("POST", "contactFolders", json=body))[0] == 400
    assert graph.all("contactFolders") == []


# --- contacts ---------------------------------------------------------------------------------------------------------------
def test_a_contact_from_creation_to_deletion(graph):
    made = graph.create(**LI, jobTitle="CTO", birthday="1974-07-22", businessAddress={"city": "London"}, categories=["Salesforce"])
    path = f"contacts/{quote(made['id'])}"

    assert (made["displayName"], made["fileAs"], made["birthday"]) == ("Bo Li", "Li, Bo", "1974-07-22T00:00:00Z")
    assert made["@odata.etag"] == f'W/"{made["changeKey"]}"' and made["createdDateTime"] == "2026-11-01T10:00:00Z"
    assert made["homeAddress"] == {} and made["homePhones"] == [] and made["birthday"]
    assert made["primaryEmailAddress"] == made["emailAddresses"][0] and made["secondaryEmailAddress"] is None
    graph.clock.forward(60)
    changed = graph.change(made["id"], jobTitle=None, businessPhones=["1"])
    assert changed["jobTitle"] is None and changed["businessPhones"] == ["1"] and changed["categories"] == ["Salesforce"]
    assert changed["changeKey"] != made["changeKey"] and changed["lastModifiedDateTime"] == "2026-11-01T10:01:00Z"
    assert graph.get(path) == {**changed, "@odata.context": graph.get(path)["@odata.context"]}
    assert graph.call("DELETE", path).status_code == 204
    assert refused(graph.call("GET", path)) == (404, "ErrorItemNotFound")
    assert graph.all("contacts") == []


def test_a_deleted_contact_lies_in_the_bin_by_its_immutable_id_until_it_is_deleted_there(graph):
    made = graph.create(headers=IMMUTABLE, **LI)
    path = f"contacts/{quote(made['id'])}"
    graph.call("DELETE", path)

    binned = graph.get(path, IMMUTABLE)
    assert binned["parentFolderId"] == graph.get("mailFolders/deleteditems")["id"] and binned["id"] == made["id"]
    assert graph.get("mailFolders/deleteditems")["totalItemCount"] == 1
    assert graph.call("DELETE", path).status_code == 204
    assert refused(graph.call("GET", path)) == (404, "ErrorItemNotFound")
    other = quote(graph.create(**LI)["id"])
    assert graph.call("POST", f"contacts/{other}/permanentDelete").status_code == 204
    assert graph.get("mailFolders/deleteditems")["totalItemCount"] == 0


def test_lists_hold_one_folder_and_single_contacts_are_reached_from_the_mailbox(graph):
    folder = quote(graph.folder("Ours"))
    inside = graph.create(f"contactFolders/{folder}/contacts", surname="In")
    outside = graph.create(surname="Out")

    assert [c["surname"] for c in graph.all("contacts")] == ["Out"]
    assert [c["surname"] for c in graph.all(f"contactFolders/{folder}/contacts")] == ["In"]
    assert graph.contact(inside["id"])["surname"] == "In"
    assert refused(graph.call("GET", f"contactFolders/{folder}/contacts/{quote(outside['id'])}")) == (404, "ErrorItemNotFound")
    assert refused(graph.call("GET", f"/users/{BOB}/contacts/{quote(inside['id'])}")) == (404, "ErrorItemNotFound")


def test_lists_come_page_by_page_in_the_order_asked_for(graph):
    for n in range(25):
        graph.create(surname=f"N{(n * 7) % 25:02d}")

    assert len(graph.get("contacts")["value"]) == 10
    assert [c["surname"] for c in graph.all("contacts", orderby="surname desc", select="surname")] == [f"N{n:02d}" for n in range(25)][::-1]
    page = graph.get("contacts", top="7", count="true", select="id")
    assert page["@odata.count"] == 25 and set(page["value"][0]) == {"id", "@odata.etag"}
    assert len(graph.all("contacts", top="7", select="id")) == 25
    for bad in ({"$top": "0"}, {"$top": "1001"}, {"$select": "foo"}, {"$orderby": "emailAddresses"}, {"$nonsense": "1"}, {"$expand": "x"}):
        assert refused(graph.call("GET", "contacts", params=bad)) == (400, "BadRequest")


def test_filters_find_addresses_and_texts_and_nothing_else(graph):
    graph.create(**LI)
    graph.create(surname="Ng", emailAddresses=[{"address": "ng@x.example"}, {"address": "n.g@x.example"}], categories=["Blue"])

    by_address = "emailAddresses/any(a:a/address eq 'N.G@x.example')"
    assert [c["surname"] for c in graph.all("contacts", filter=by_address)] == ["Ng"]
    assert [c["surname"] for c in graph.all("contacts", filter="surname eq 'LI' and not (givenName eq 'X')")] == ["Li"]
    assert len(graph.all("contacts", filter="lastModifiedDateTime ge 2026-11-01T00:00:00Z")) == 2
    for bad in ("emailAddresses/any(a:startswith(a/address,'b'))", "emailAddresses/any(a:a/name eq 'x')", "categories/any(c:c eq 'Blue')"):
        assert refused(graph.call("GET", "contacts", params={"$filter": bad})) == (400, "ErrorInvalidUrlQueryFilter")
    for broken in ("surname eq 'Li", "surname eq", "surname like 'x'", "(surname eq 'x'", "emailAddresses/any(a:b/address eq 'x')", "'x'"):
        assert refused(graph.call("GET", "contacts", params={"$filter": broken})) == (400, "BadRequest")
    graph.switch(filters_categories=True)
    assert [c["surname"] for c in graph.all("contacts", filter="categories/any(c:c eq 'Blue')")] == ["Ng"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"emailAddresses": [{"address": f"{n}@x.example"} for n in range(4)]}, "ErrorInvalidRequest"),
        ({"businessPhones": ["1", "2", "3"]}, "ErrorInvalidRequest"),
        ({"homePhones": ["1", "2", "3"]}, "ErrorInvalidRequest"),
        ({"fax": "1"}, "BadRequest"),
        ({"surname": 5}, "BadRequest"),
        ({"businessPhones": "1"}, "BadRequest"),
        ({"businessPhones": [1]}, "BadRequest"),
        ({"emailAddresses": ["a@x.example"]}, "BadRequest"),
        ({"emailAddresses": [{"address": "a@x.example", "kind": "home"}]}, "BadRequest"),
        ({"homeAddress": {"zip": "1"}}, "BadRequest"),
        ({"birthday": "soon"}, "BadRequest"),
        ({"birthday": "1974-07-22T00:00:00"}, "BadRequest"),
        ({"id": "x"}, "ErrorInvalidPropertySet"),
        ({"changeKey": "x"}, "ErrorInvalidPropertySet"),
        ({"emailAddresses": [], "primaryEmailAddress": {"address": "a@x.example"}}, "ErrorInvalidPropertySet"),
        ({"singleValueExtendedProperties": [{"id": "CrmRecordId", "value": "x"}]}, "ErrorInvalidProperty"),
        ({"singleValueExtendedProperties": [{"id": OURS}]}, "ErrorInvalidRequest"),
        ({"singleValueExtendedProperties": {"id": OURS, "value": "x"}}, "BadRequest"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_and_nothing_is_stored(graph, body, code):
    kept = graph.create(**LI)

    assert refused(graph.call("POST", "contacts", json=body)) == (400, code)
    assert refused(graph.call("PATCH", f"contacts/{quote(kept['id'])}", json=body)) == (400, code)
    assert [c["changeKey"] for c in graph.all("contacts")] == [kept["changeKey"]]


def test_too_many_entries_are_told_in_the_store_s_words(graph):
    answer = graph.call("POST", "contacts", json={"emailAddresses": [{"address": "a@x.example"}] * 4})
    told = "The multi value property EmailAddresses has 4 entries, that exceeds the max allowed value of 3"
    assert answer.json()["error"]["message"] == told
    graph.switch(home_phones_most=None)
    assert len(graph.create(homePhones=["1", "2", "3"])["homePhones"]) == 3


def test_bodies_that_cannot_be_read_are_refused(graph):
    assert refused(graph.call("POST", "contacts", data="{", headers={"Content-Type": "application/json"})) == (400, "BadRequest")
    assert refused(graph.call("POST", "contacts", json=[1])) == (400, "BadRequest")
    assert refused(graph.call("POST", "contacts", data="a=b", headers={"Content-Type": "text/plain"})) == (415, "BadRequest")


def test_addresses_that_do_not_exist(graph):
    id_ = quote(graph.create(**LI)["id"])
    for path in ("nothing", f"contacts/{id_}/move", f"contacts/{id_}/copy", f"contacts/{id_}/a/b", "contactFolders/contacts/x"):
        assert refused(graph.call("POST", path, json={"destinationId": "x"})) == (400, "BadRequest")
    assert refused(graph.call("PUT", f"contacts/{id_}", json={})) == (405, "BadRequest")
    assert refused(graph.call("GET", "/nothing")) == (400, "BadRequest")
    assert refused(graph.raw("GET", "/v9.0/users")) == (400, "BadRequest")
    for bad in ("x", "AAMkAD!!", id_[:-5], id_.swapcase(), quote(graph.get("contactFolders/contacts")["id"])):
        assert refused(graph.call("GET", f"contacts/{bad}")) == (400, "ErrorInvalidIdMalformed")
        assert refused(graph.call("GET", f"contactFolders/{id_}")) == (400, "ErrorInvalidIdMalformed")


def test_names_make_the_display_name_anew_unless_it_is_sent(graph):
    id_ = graph.create(**LI, displayName="Bo from Widgets")["id"]

    assert graph.change(id_, jobTitle="CTO")["displayName"] == "Bo from Widgets"
    assert graph.change(id_, surname="Ng")["displayName"] == "Bo Ng"
    assert graph.change(id_, surname="Li", displayName="Bo L.")["displayName"] == "Bo L."
    graph.switch(regenerates_display_name=False)
    assert graph.change(id_, surname="Ng")["displayName"] == "Bo L."


def test_the_directory_names_its_own_addresses(graph):
    emails = graph.create(emailAddresses=[{"name": "Annie", "address": ANN}, {"address": "x@y.example"}])["emailAddresses"]
    assert emails == [{"name": "Ann Archer", "address": ANN}, {"name": "x@y.example", "address": "x@y.example"}]


def test_single_entries_of_the_addresses_are_set_by_their_own_names(graph):
    id_ = graph.create(emailAddresses=[{"address": "a@x.example"}, {"address": "b@x.example"}])["id"]
    changed = graph.change(id_, primaryEmailAddress=None, tertiaryEmailAddress={"address": "c@x.example"})
    assert [e["address"] for e in changed["emailAddresses"]] == ["b@x.example", "c@x.example"]


@pytest.mark.parametrize(
    ("how", "after"), [("replace", {"city": "Leeds"}), ("merge", {"street": "1 High St", "city": "Leeds", "postalCode": "W1A"})]
)
def test_an_address_is_replaced_or_merged(graph, how, after):
    graph.switch(address_patch=how)
    id_ = graph.create(homeAddress={"street": "1 High St", "city": "London", "postalCode": "W1A", "state": None})["id"]
    assert graph.change(id_, homeAddress={"city": "Leeds"})["homeAddress"] == after
    assert graph.change(id_, homeAddress=None)["homeAddress"] == {}


def test_a_contact_stays_in_its_folder_whatever_is_sent(graph):
    folder = graph.folder("Ours")
    made = graph.create(**LI)

    assert graph.change(made["id"], parentFolderId=folder)["parentFolderId"] == made["parentFolderId"]
    graph.switch(parent_folder_patch="refuse")
    answer = graph.call("PATCH", f"contacts/{quote(made['id'])}", json={"parentFolderId": folder})
    assert refused(answer) == (400, "ErrorInvalidPropertySet")


# --- versions ---------------------------------------------------------------------------------------------------------------
def test_a_write_that_rests_on_an_old_version_is_refused(graph):
    made = graph.create(**LI)
    path, old = f"contacts/{quote(made['id'])}", {"If-Match": made["@odata.etag"]}
    new = {"If-Match": graph.change(made["id"], old, jobTitle="CTO")["@odata.etag"]}

    for method, options in (("PATCH", {"json": {"jobTitle": "CEO"}}), ("DELETE", {})):
        assert refused(graph.call(method, path, headers=old, **options)) == (412, "ErrorIrresolvableConflict")
    assert graph.contact(made["id"])["jobTitle"] == "CTO"
    assert graph.call("DELETE", path, headers=new).status_code == 204
    other = graph.create(**LI)
    graph.change(other["id"], {"If-Match": "*"}, jobTitle="X")
    graph.switch(honours_if_match=False)
    assert graph.change(other["id"], old, jobTitle="Y")["jobTitle"] == "Y"


def test_a_created_contact_gets_another_change_key_by_itself(graph):
    graph.switch(settle_seconds=3)
    made = graph.create(**LI)
    _, link = graph.round("contacts/delta")

    graph.clock.forward(2)
    assert graph.contact(made["id"])["changeKey"] == made["changeKey"]
    graph.clock.forward(1)
    later = graph.call("PATCH", f"contacts/{quote(made['id'])}", json={"jobTitle": "CTO"}, headers={"If-Match": made["@odata.etag"]})
    assert refused(later) == (412, "ErrorIrresolvableConflict")
    assert [c["id"] for c in graph.round(link)[0]] == [made["id"]]
    graph.clock.forward(60)
    settled = graph.contact(made["id"])["changeKey"]
    graph.clock.forward(60)
    assert graph.contact(made["id"])["changeKey"] == settled


# --- ids ----------------------------------------------------------------------------------------------------------------------
def test_ids_differ_by_header_and_either_is_understood(graph):
    made = graph.create(**LI)
    immutable = graph.contact(made["id"], IMMUTABLE)["id"]

    assert immutable != made["id"] and graph.contact(immutable)["id"] == made["id"]
    both = {"Prefer": 'outlook.timezone="UTC", IdType="ImmutableId", odata.maxpagesize=5'}
    assert [c["id"] for c in graph.all("contacts", both)] == [immutable]
    assert graph.get("contactFolders/contacts", IMMUTABLE)["id"] == graph.get("contactFolders/contacts")["id"]
    assert len(made["id"]) > 100 and made["id"].endswith("=")


def test_a_drag_changes_the_ordinary_id_and_keeps_the_immutable_one(graph):
    folder = graph.folder("Ours")
    made = graph.create(**LI)
    immutable = graph.contact(made["id"], IMMUTABLE)["id"]

    moved = graph.person(made["id"], folder="Ours")

    assert moved["immutableId"] == immutable and moved["id"] != made["id"] and moved["parentFolderId"] == folder
    assert refused(graph.call("GET", f"contacts/{quote(made['id'])}")) == (404, "ErrorItemNotFound")
    assert graph.contact(immutable, IMMUTABLE)["parentFolderId"] == folder and graph.contact(moved["id"])["surname"] == "Li"


def test_ids_are_translated(graph):
    made = graph.create(**LI)
    body = {"inputIds": [made["id"], "x"], "sourceIdType": "restId", "targetIdType": "restImmutableEntryId"}
    good, bad = graph.call("POST", "translateExchangeIds", json=body).json()["value"]
    assert good == {"sourceId": made["id"], "targetId": graph.contact(made["id"], IMMUTABLE)["id"]}
    assert bad["sourceId"] == "x" and bad["errorDetails"]["code"] == "ErrorInvalidIdMalformed"
    for wrong in ({**body, "targetIdType": "ewsId"}, {**body, "inputIds": []}, {}):
        assert refused(graph.call("POST", "translateExchangeIds", json=wrong)) == (400, "ErrorInvalidRequest")


# --- extended properties --------------------------------------------------------------------------------------------------------
def test_extended_properties_are_shown_only_when_asked_for(graph):
    made = graph.create(**LI, **marked("003AA"))
    assert "singleValueExtendedProperties" not in made
    changed = graph.change(made["id"], **marked("+44 20", FAX))
    assert "singleValueExtendedProperties" not in changed and changed["changeKey"] != made["changeKey"]

    one = graph.contact(made["id"], expand=expand(OURS), select="id")
    assert one["singleValueExtendedProperties"] == [{"id": OURS, "value": "003AA"}] and "surname" not in one
    both = graph.get("contacts", expand=expand(OURS.replace("6f0f6b9e", "6F0F6B9E"), FAX))["value"][0]
    assert both["singleValueExtendedProperties"] == [{"id": OURS, "value": "003AA"}, {"id": "String 0x3a24", "value": "+44 20"}]
    graph.switch(lower_property_ids=False)
    assert graph.contact(made["id"], expand=expand(FAX))["singleValueExtendedProperties"][0]["id"] == FAX
    assert "singleValueExtendedProperties" not in graph.contact(made["id"], expand=expand("String 0x3A1F"))
    graph.change(made["id"], **marked(None))
    assert "singleValueExtendedProperties" not in graph.contact(made["id"], expand=expand(OURS))


@pytest.mark.parametrize("text", ["singleValueExtendedProperties", "singleValueExtendedProperties($filter=value eq 'x')", "extensions"])
def test_what_cannot_be_expanded(graph, text):
    graph.create(**LI)
    assert refused(graph.call("GET", "contacts", params={"$expand": text}))[0] == 400


def test_contacts_are_found_by_extended_properties_in_the_whole_mailbox(graph):
    folder = quote(graph.folder("Ours"))
    graph.create(f"contactFolders/{folder}/contacts", surname="A", **marked("003AA"))
    graph.create(surname="B", **marked("003BB"))
    graph.create(surname="C", **marked("003AA", OURS.replace("CrmRecordId", "crmrecordid")))
    graph.create(surname="D", **marked("+44", FAX))
    graph.call("DELETE", f"contacts/{quote(graph.create(surname='E', **marked('003EE'))['id'])}")

    def names(text, path="contacts"):
        return sorted(c["surname"] for c in graph.all(path, filter=text))

    assert names(found_by("003aa")) == ["A"]
    assert names(f"{found_by('003AA')} or {found_by('003BB')} or {found_by('003EE')}") == ["A", "B", "E"]
    assert names(found_by("+44", "String 0x3a24")) == ["D"]
    assert names(found_by("003AA"), f"contactFolders/{folder}/contacts") == ["A"]
    assert names(found_by("003BB"), f"contactFolders/{folder}/contacts") == []
    graph.switch(property_filter_scope="folder")
    assert names(f"{found_by('003AA')} or {found_by('003BB')}") == ["B"]
    for bad in ("ep/id gt 'x'", "ep/other eq 'x'"):
        answer = graph.call("GET", "contacts", params={"$filter": f"singleValueExtendedProperties/Any(ep: {bad})"})
        assert refused(answer) == (400, "ErrorInvalidUrlQueryFilter")
    assert refused(graph.call("GET", "contacts", params={"$filter": found_by("x", "nonsense")})) == (400, "ErrorInvalidProperty")


# --- categories -----------------------------------------------------------------------------------------------------------------
def test_categories_have_one_name_each(graph):
    made = graph.create("outlook/masterCategories", displayName="Salesforce", color="preset7")

    assert refused(graph.call("POST", "outlook/masterCategories", json={"displayName": "SALESFORCE"})) == (409, "ErrorDuplicateCategory")
    graph.switch(duplicate_category_status=400)
    assert graph.call("POST", "outlook/masterCategories", json={"displayName": "Salesforce"}).status_code == 400
    path = f"outlook/masterCategories/{made['id']}"
    assert graph.call("PATCH", path, json={"color": "none"}).json()["color"] == "none"
    assert refused(graph.call("PATCH", path, json={"displayName": "X"})) == (400, "ErrorInvalidPropertySet")
    for bad in ({}, {"displayName": "A", "color": "blue"}, {"displayName": "A", "size": 1}, {"displayName": 5}):
        assert refused(graph.call("POST", "outlook/masterCategories", json=bad))[0] == 400
    assert [c["displayName"] for c in graph.all("outlook/masterCategories")] == ["Salesforce"]
    assert graph.all(f"/users/{BOB}/outlook/masterCategories") == []
    assert graph.call("DELETE", path).status_code == 204
    assert refused(graph.call("GET", path)) == (404, "ErrorItemNotFound")


def test_a_contact_may_bear_a_category_that_is_in_no_list(graph):
    assert graph.create(**LI, categories=["Unheard of"])["categories"] == ["Unheard of"]


# --- headers ----------------------------------------------------------------------------------------------------------------------
def test_every_answer_says_whose_request_it_was(graph):
    for path in ("contacts", "contacts/x"):
        answer = graph.call("GET", path, headers={"client-request-id": "mine"})
        assert answer.headers["client-request-id"] == "mine" and answer.headers["request-id"]
        assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")
    assert answer.json()["error"]["innerError"]["client-request-id"] == "mine"
