"""Who sees and changes what in the played Salesforce: tokens of single users, sharing, profiles, and UserRecordAccess."""

import base64
import json
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.sandbox.salesforce import ids
from connectors.sandbox.scenarios import fill_mailbox_users
from connectors.sandbox.world import World
from tests.sandbox.force import VERSION, refusal

ANN, BOB = "ann@example.test", "bob@example.test"
COLUMNS = "RecordId, HasReadAccess, HasEditAccess, HasDeleteAccess"
NO_RIGHT, NO_RIGHT_THERE = "INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"


@cache
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Of:
    """The API with the token of one user, which a signed assertion got."""

    def __init__(self, force, username):
        self.force = force
        claims = {"iss": force.given["client_id"], "sub": username, "aud": "https://login.salesforce.com"}
        claims["exp"] = int(force.clock.at.timestamp()) + 170
        parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in ({"alg": "RS256"}, claims)]
        signature = base64.urlsafe_b64encode(key().sign(b".".join(parts), padding.PKCS1v15(), SHA256())).rstrip(b"=")
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": b".".join([*parts, signature]).decode()}
        self.token = force.raw("POST", "/services/oauth2/token", data=form).json()["access_token"]

    def call(self, method, path, **options):
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.force.raw(method, path if path.startswith("/services") else VERSION + path, headers=headers, **options)

    def get(self, path, **params):
        return self.call("GET", path, params=params)

    def names(self, rest="", column="LastName", path="/query"):
        answer = self.get(path, q=f"SELECT {column} FROM Contact {rest}".strip())
        assert answer.status_code == 200, answer.text
        return sorted(row[column] for row in answer.json()["records"])

    def change(self, id_, object_name="Contact", **values):
        return self.call("PATCH", f"/sobjects/{object_name}/{id_}", json=values)

    def create(self, object_name="Contact", **values):
        return self.call("POST", f"/sobjects/{object_name}", json=values)


@pytest.fixture
def users(force):
    public = key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    force.switch(jwt_certificate=public, page_size=2000)
    return fill_mailbox_users(force.world)


@pytest.fixture
def ann(force, users):
    return Of(force, ANN)


@pytest.fixture
def bob(force, users):
    return Of(force, BOB)


@pytest.fixture
def contacts(force, users):
    """One contact of each user, and one of our app's own."""
    own = {email.partition("@")[0]: {"LastName": email[:3].title(), "OwnerId": id_} for email, id_ in users.items()}
    return {name: force.create("Contact", **values) for name, values in {**own, "app": {"LastName": "App"}}.items()}


def access(caller, user, *wanted):
    """Returns the letters of what a user may do with each record: r read, e edit, d delete."""
    listed = ", ".join(f"'{id_}'" for id_ in wanted)
    answer = caller.get("/query", q=f"SELECT {COLUMNS} FROM UserRecordAccess WHERE UserId = '{user}' AND RecordId IN ({listed})")
    assert answer.status_code == 200, answer.text
    rights = ("HasReadAccess", "HasEditAccess", "HasDeleteAccess")
    return {r["RecordId"]: "".join(letter for letter, name in zip("red", rights, strict=True) if r[name]) for r in answer.json()["records"]}


# --- users --------------------------------------------------------------------------------------------------------------
def test_the_worlds_of_people_have_users_for_the_mailboxes():
    for scenario in ("demo", "bench:1"):
        users = {user["Email"]: user for user in World(scenario=scenario).salesforce.list_records("User")}
        assert all(users[f"{name}@example.test"]["IsActive"] for name in ("ann", "bob", "gina", "hugo"))
        assert "sync@seller.example" in users


def test_a_token_is_of_one_user_whose_scope_mine_it_is(ann, bob, contacts):
    assert (ann.names("USING SCOPE mine"), bob.names("USING SCOPE mine")) == (["Ann"], ["Bob"])
    assert len(ann.names("USING SCOPE everything")) == len(contacts) == len(ann.names())


def test_what_a_user_makes_is_the_users_own(force, ann, users):
    row = force.row("Contact", ann.create(LastName="New").json()["id"])
    assert row["OwnerId"] == row["CreatedById"] == row["LastModifiedById"] == users[ANN]


def test_whoever_leaves_is_logged_out(force, ann, users, contacts):
    force.person("User", users[ANN], IsActive=False)
    assert refusal(ann.get("/limits")) == (401, "INVALID_SESSION_ID")
    assert access(force, users[ANN], contacts["ann"]) == {contacts["ann"]: ""}


# --- list views ---------------------------------------------------------------------------------------------------------
def test_my_contacts_and_filtered_views_are_those_of_the_token(force, ann, bob, contacts):
    mailed = [{"object": "Contact", "name": "Mailed", "label": "My contacts with e-mail", "scope": "mine", "where": "Email != null"}]
    force.switch(list_views=mailed)
    force.change("Contact", contacts["bob"], Email="b@x.example")
    views = {v["developerName"]: v for v in ann.get("/sobjects/Contact/listviews").json()["listviews"]}

    def of(user, name):
        soql = user.get(views[name]["describeUrl"]).json()["query"]
        shown = user.get(views[name]["resultsUrl"], limit=100).json()["records"]
        found = [row["Id"] for row in user.get("/query", q=soql).json()["records"]]
        assert [c["value"] for r in shown for c in r["columns"] if c["fieldNameOrPath"] == "Id"] == found
        return found

    assert (of(ann, "MyContacts"), of(bob, "MyContacts")) == ([contacts["ann"]], [contacts["bob"]])
    assert (of(ann, "Mailed"), of(bob, "Mailed")) == ([], [contacts["bob"]])
    assert sorted(of(ann, "AllContacts")) == sorted(contacts.values())


# --- sharing ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("sharing", "of_others"), [("public_read_write", "re"), ("public_read", "r"), ("private", "")])
def test_what_is_not_ones_own_is_shared_as_the_organisation_says(force, ann, users, contacts, sharing, of_others):
    force.switch(sharing=sharing)
    own, other = contacts["ann"], contacts["bob"]

    assert access(ann, users[ANN], own, other) == {own: "red", other: of_others}
    assert access(ann, force.given["user_id"], own, other) == {own: "red", other: "red"}  # sharing does not bind our app's user
    assert ann.names() == (["Ann"] if sharing == "private" else ["Ann", "App", "Bob", "Gin", "Hug"])
    assert ann.get(f"/sobjects/Contact/{other}").status_code == (200 if of_others else 404)
    assert ann.change(own, Title="CTO").status_code == 204
    expected = {"re": 204, "r": (400, NO_RIGHT), "": (400, NO_RIGHT_THERE)}[of_others]
    changed = ann.change(other, Title="CTO")
    assert (changed.status_code if changed.status_code == 204 else refusal(changed)) == expected
    assert force.row("Contact", other)["Title"] == ("CTO" if of_others == "re" else None)
    deleted = ann.call("DELETE", f"/sobjects/Contact/{other}")
    assert refusal(deleted) == (400, NO_RIGHT if of_others else NO_RIGHT_THERE)
    assert ann.call("DELETE", f"/sobjects/Contact/{own}").status_code == 204


def test_nobody_gives_away_what_is_not_theirs(force, ann, users, contacts):
    assert refusal(ann.change(contacts["bob"], OwnerId=users[ANN])) == (400, NO_RIGHT)
    assert ann.change(contacts["bob"], OwnerId=users[BOB], Title="X").status_code == 204  # it stays where it is
    assert ann.change(contacts["ann"], OwnerId=users[BOB]).status_code == 204
    assert force.row("Contact", contacts["ann"])["OwnerId"] == users[BOB]


def test_what_is_not_seen_is_nowhere(force, ann, users, contacts):
    hidden = force.create("Account", Name="Hidden", OwnerId=users[BOB], Sync_Key__c="acc")
    seen = force.create("Contact", LastName="Seen", OwnerId=users[ANN], AccountId=hidden)
    other = contacts["bob"]
    force.change("Contact", other, Sync_Key__c="k-bob", Email="bob@x.example")
    force.clock.forward(120)
    force.switch(sharing="private")

    row = ann.get("/query", q=f"SELECT AccountId, Account.Name FROM Contact WHERE Id = '{seen}'").json()["records"][0]
    assert (row["AccountId"], row["Account"]) == (hidden, None)
    assert ann.names("WHERE Account.Name = 'Hidden'") == [] and force.names("Account.Name = 'Hidden'") == ["Seen"]
    assert ann.get("/query", q="SELECT COUNT() FROM Contact").json()["totalSize"] == 2
    assert ann.names("WHERE Email = 'bob@x.example'", path="/queryAll") == []
    assert refusal(ann.get("/sobjects/Contact/Sync_Key__c/k-bob")) == (404, "NOT_FOUND")
    assert refusal(ann.get(f"/sobjects/Contact/{seen}/Account")) == (404, "NOT_FOUND")
    assert ann.get("/composite/sobjects/Contact", ids=f"{seen},{other}", fields="LastName").json()[1] is None
    start, end = "2026-11-01T09:58:00Z", "2026-11-01T10:02:00Z"
    assert set(ann.get("/sobjects/Contact/updated/", start=start, end=end).json()["ids"]) == {contacts["ann"], seen}
    assert len(force.get("/sobjects/Contact/updated/", start=start, end=end).json()["ids"]) == 6


def test_nothing_is_written_by_another_way_either(force, ann, users, contacts):
    hidden = force.create("Account", Name="Hidden", OwnerId=users[BOB])
    other = contacts["bob"]
    force.change("Contact", other, Sync_Key__c="k-bob")
    force.switch(sharing="private")
    rows = [{"attributes": {"type": "Contact"}, "id": id_, "Title": "X"} for id_ in (other, contacts["ann"])]

    results = ann.call("PATCH", "/composite/sobjects", json={"records": rows}).json()
    assert [r["success"] for r in results] == [False, True] and results[0]["errors"][0]["statusCode"] == NO_RIGHT_THERE
    (deleted,) = ann.call("DELETE", "/composite/sobjects", params={"ids": other}).json()
    assert deleted["errors"][0]["statusCode"] == NO_RIGHT_THERE
    assert refusal(ann.call("PATCH", "/sobjects/Contact/Sync_Key__c/k-bob", json={"Title": "X"})) == (400, NO_RIGHT_THERE)
    assert refusal(ann.create(LastName="Y", AccountId=hidden)) == (400, NO_RIGHT_THERE)
    assert refusal(ann.change(contacts["ann"], ReportsToId=other)) == (400, NO_RIGHT_THERE)
    assert force.row("Contact", other)["Title"] is None and force.names("LastName = 'Y'") == []


def test_what_hangs_on_a_record_goes_with_it_whoever_owns_it(force, ann, users):
    account = force.create("Account", Name="Anns", OwnerId=users[ANN])
    child = force.create("Contact", LastName="Bobs", OwnerId=users[BOB], AccountId=account)
    force.switch(sharing="private")

    assert ann.call("DELETE", f"/sobjects/Account/{account}").status_code == 204
    assert force.get(f"/sobjects/Contact/{child}").status_code == 404


def test_what_nobody_owns_is_seen_and_changed_as_what_it_hangs_on(force, ann, users, contacts):
    force.switch(shared_activities=True, sharing="private")
    given = {"StartDateTime": "2026-11-03T10:00:00Z", "DurationInMinutes": 60, "WhoId": contacts["ann"]}
    force.create("Event", **given)
    own = force.create("Event", OwnerId=users[ANN], **given)
    theirs, hers = [row["Id"] for row in force.query("SELECT Id FROM EventRelation ORDER BY Id")]
    email = force.create("EmailMessage", Subject="Hello", Status="3")

    seen = ann.get("/query", q="SELECT EventId FROM EventRelation").json()["records"]
    assert [row["EventId"] for row in seen] == [own]
    assert access(ann, users[ANN], theirs, hers, email) == {theirs: "", hers: "red", email: ""}
    assert refusal(ann.change(theirs, "EventRelation", Status="Accepted")) == (400, NO_RIGHT_THERE)
    assert ann.change(hers, "EventRelation", Status="Accepted").status_code == 204
    draft = ann.create("EmailMessage", Subject="Mine", Status="5").json()["id"]
    assert access(ann, users[ANN], draft) == {draft: "red"}
    assert len(ann.get("/query", q="SELECT Id FROM EmailMessage").json()["records"]) == 1


def test_open_questions_are_switches(force, ann, contacts):
    force.switch(sharing="private", invisible_row_code="NOT_FOUND", no_access_status=403)
    assert refusal(ann.change(contacts["bob"], Title="X")) == (404, "NOT_FOUND")
    force.switch(sharing="public_read")
    assert refusal(ann.change(contacts["bob"], Title="X")) == (403, NO_RIGHT)


def test_a_contact_without_account_may_be_its_owners_alone(force, ann, users, contacts):
    account = force.create("Account", Name="Acme")
    shared = force.create("Contact", LastName="Shared", AccountId=account)
    force.switch(accountless_contacts_private=True)

    assert ann.names() == ["Ann", "Shared"]
    assert access(ann, users[ANN], shared, contacts["bob"], account) == {shared: "re", contacts["bob"]: "", account: "re"}


def test_who_may_do_everything_is_a_switch(force, users, contacts):
    force.switch(sharing="private", modify_all_users=[users[ANN]])
    assert len(Of(force, ANN).names()) == 5
    assert [row["LastName"] for row in force.query("SELECT LastName FROM Contact")] == ["App"]


# --- profiles -----------------------------------------------------------------------------------------------------------
def test_a_read_only_user_writes_nothing_not_even_what_is_theirs(force, ann, users, contacts):
    force.switch(read_only_users=[users[ANN]])
    own = contacts["ann"]

    assert access(ann, users[ANN], own, contacts["bob"]) == {own: "r", contacts["bob"]: "r"}
    assert len(ann.names()) == 5
    calls = (ann.change(own, Title="X"), ann.create(LastName="X"), ann.call("DELETE", f"/sobjects/Contact/{own}"))
    assert [refusal(answer) for answer in calls] == [(400, NO_RIGHT)] * 3
    described = ann.get("/sobjects/Contact/describe").json()
    assert not described["createable"] and not any(f["updateable"] for f in described["fields"])
    assert force.get("/sobjects/Contact/describe").json()["createable"]
    assert not any(o["updateable"] for o in ann.get("/sobjects").json()["sobjects"])


@pytest.mark.parametrize(
    "given",
    [
        {"sharing": "secret"}, {"read_only_users": ["ann"]}, {"read_only_users": None}, {"no_access_status": 500},
        {"read_only_users": [ids.make("005", 999)]}, {"modify_all_users": [ids.make("003", 1)]}, {"invisible_row_code": "GONE"},
    ],
)  # fmt: skip
def test_switches_that_cannot_be(control, given):
    before = control.call("GET", "/switches").json()
    assert control.refused("POST", "/switches", {"salesforce": given})
    assert control.call("GET", "/switches").json() == before


def test_switches_are_kept_over_a_restart(tmp_path):
    first = World(state_path=tmp_path / "state")
    ann = fill_mailbox_users(first)[ANN]
    first.salesforce.set_switches({"sharing": "private", "read_only_users": [ann]})
    first.keep()
    assert World(state_path=tmp_path / "state").salesforce.switches() == first.salesforce.switches()


# --- UserRecordAccess ---------------------------------------------------------------------------------------------------
def test_what_is_not_there_has_no_row(force, users, contacts):
    gone, lead = contacts["bob"], force.create("Lead", LastName="L", Company="C")
    force.call("DELETE", f"/sobjects/Contact/{gone}")
    wanted = (contacts["ann"][:15], gone, ids.make("003", 999), lead, users[BOB], contacts["ann"])
    assert access(force, users[ANN], *wanted) == {contacts["ann"]: "red", lead: "re", users[BOB]: "r"}
    force.switch(hidden_objects=["Lead"])
    assert access(force, users[ANN], lead) == {}


def test_a_row_says_what_it_is(force, users, contacts):
    id_ = contacts["ann"]
    statement = f"SELECT {COLUMNS} FROM UserRecordAccess WHERE UserId = '{users[ANN]}' AND RecordId IN ('{id_}')"
    body = force.page(statement).json()
    assert body == {
        "totalSize": 1,
        "done": True,
        "records": [
            {
                "attributes": {"type": "UserRecordAccess", "url": f"{VERSION}/sobjects/UserRecordAccess/{id_}"},
                "RecordId": id_,
                "HasReadAccess": True,
                "HasEditAccess": True,
                "HasDeleteAccess": True,
            }
        ],
    }


GOOD = f"SELECT {COLUMNS} FROM UserRecordAccess WHERE UserId = '005AA0000000001' AND RecordId IN ('003AA0000000001')"


@pytest.mark.parametrize(
    "statement",
    [
        GOOD.replace("RecordId, ", ""), GOOD.replace(COLUMNS, "RecordId, HasReadAccess"), GOOD.replace(COLUMNS, "COUNT()"),
        GOOD.replace("HasDeleteAccess", "MaxAccessLevel"), GOOD.replace(" AND RecordId IN ('003AA0000000001')", ""),
        GOOD.replace("AND", "OR"), GOOD.replace("UserId =", "UserId !="), GOOD.replace("IN (", "NOT IN ("),
        GOOD.replace("UserId = '005AA0000000001' AND ", ""), GOOD + " LIMIT 5", GOOD + " ORDER BY RecordId",
        GOOD.replace("IN ('003AA0000000001')", "= '003AA0000000001'"), GOOD + " AND HasEditAccess = true",
        GOOD.replace("'003AA0000000001'", ", ".join(f"'003AA{n:010d}'" for n in range(201))), GOOD.partition(" WHERE")[0],
        GOOD.replace("FROM UserRecordAccess", "FROM UserRecordAccess USING SCOPE mine"),
    ],
)  # fmt: skip
def test_any_other_shape_is_malformed(force, statement):
    assert refusal(force.page(statement)) == (400, "MALFORMED_QUERY")


def test_an_id_that_is_none_is_told(force):
    for text in ("003AA0000000001", "005AA0000000001"):
        assert refusal(force.page(GOOD.replace(text, "x"))) == (400, "INVALID_QUERY_FILTER_OPERATOR")
    full = GOOD.replace("'003AA0000000001'", ", ".join(f"'003AA{n:010d}'" for n in range(200)))
    assert force.page(full).json()["records"] == []


# --- fields of contacts -------------------------------------------------------------------------------------------------
def test_contacts_have_what_a_mailbox_has(force):
    values = {
        "Salutation": "Dr.", "FirstName": "Ada", "MiddleName": "B.", "LastName": "Byron", "Suffix": "PhD", "Email": "a@x.example",
        "Email_2__c": "b@x.example", "Email_3__c": "c@x.example", "Web_Page__c": "https://ada.example", "Birthdate": "1915-12-10",
        "AssistantName": "Bea", "AssistantPhone": "1", "HomePhone": "2", "MobilePhone": "3", "OtherPhone": "4", "Fax": "5", "Phone": "6",
        "Title": "CTO", "Department": "IT", "Description": "long", "MailingStreet": "1 Road\nFlat 2", "OtherCountry": "Wales",
    }  # fmt: skip
    id_ = force.create("Contact", **values)
    assert {name: force.row("Contact", id_)[name] for name in values} == values
    assert force.row("Contact", id_)["Name"] == "Ada B. Byron PhD"
    fields = {f["name"]: f for f in force.get("/sobjects/Contact/describe").json()["fields"]}
    wanted = [name for name in values if name != "LastName"]
    assert all(fields[name]["updateable"] and fields[name]["nillable"] for name in wanted)
    assert (fields["Email_2__c"]["type"], fields["Web_Page__c"]["type"], fields["Email_3__c"]["custom"]) == ("email", "url", True)
    assert force.change("Contact", id_, **dict.fromkeys(wanted)).status_code == 204
    assert force.row("Contact", id_)["Email_2__c"] is None
    assert refusal(force.change("Contact", id_, Email_3__c="x"))[1] == "INVALID_EMAIL_ADDRESS"
