"""Rules of the played Outreach: what belongs together, what is refused, tokens and scopes, its schema."""

import pytest

from connectors.sandbox.outreach.schema import RESOURCES


def document(type_, attributes=None, id_=None, **relations):
    data = {"type": type_, "attributes": attributes or {}}
    data["relationships"] = {name: {"data": {"type": t, "id": i}} for name, (t, i) in relations.items()}
    return {"data": data if id_ is None else {**data, "id": id_}}


def related(outreach, path, name):
    return outreach.get(path).json()["data"]["relationships"][name]["data"]


@pytest.fixture
def people(outreach):
    create = outreach.world.outreach.create_record
    create("accounts", {"name": "Acme", "owner": 1})  # of Priya_Nair, whom every world has
    create("prospects", {"firstName": "Ada", "emails": ["ada@x.example"], "account": 1})
    create("prospects", {"firstName": "Ben", "emails": ["ben@x.example"]})
    create("sequences", {"name": "Welcome"})
    create("mailboxes", {"email": "me@x.example"})
    return outreach


# --- deletes --------------------------------------------------------------------------------------------------------------
def test_a_deleted_account_is_named_by_nothing_any_more(people):
    people.create("task", "/tasks", {"action": "call"}, subject=("account", 1))
    people.create("opportunity", "/opportunities", {"name": "O"}, account=("account", 1))
    before = people.get("/prospects/1").json()["data"]["attributes"]["updatedAt"]

    assert people.call("DELETE", "/accounts/1").status_code == 204

    assert related(people, "/prospects/1", "account") is None
    assert people.get("/prospects/1").json()["data"]["attributes"]["updatedAt"] > before
    assert (related(people, "/tasks/1", "subject"), related(people, "/tasks/1", "account")) == (None, None)
    assert related(people, "/opportunities/1", "account") is None
    assert people.listed("/prospects", {"filter[account][id]": "1"}) == []


def test_a_deleted_prospect_takes_its_addresses_and_sequences_along(people):
    people.create("phoneNumber", "/phoneNumbers", {"number": "1"}, prospect=("prospect", 1))
    people.create("sequenceState", "/sequenceStates", prospect=("prospect", 1), sequence=("sequence", 1), mailbox=("mailbox", 1))
    people.create("task", "/tasks", {"action": "call"}, subject=("prospect", 1))

    people.call("DELETE", "/prospects/1")

    assert people.listed("/emailAddresses", {"filter[email]": "ada@x.example"}) == []
    assert people.listed("/phoneNumbers", {}) == people.listed("/sequenceStates", {}) == []
    assert (related(people, "/tasks/1", "subject"), related(people, "/tasks/1", "prospect")) == (None, None)
    assert people.create("prospect", "/prospects", {"emails": ["ada@x.example"]}).status_code == 201


# --- addresses --------------------------------------------------------------------------------------------------------------
def test_an_address_of_another_prospect_is_refused_and_an_own_one_joins_the_list(people):
    def add(email, prospect):
        return people.create("emailAddress", "/emailAddresses", {"email": email}, prospect=("prospect", prospect))

    taken = add("ADA@x.example", 2)
    assert (taken.status_code, taken.json()["errors"][0]["detail"]) == (422, "Contacts email hash has already been taken.")
    assert add("ada@x.example", 1).json()["errors"][0]["id"] == "validationError"

    fresh = add("ben@home.example", 2).json()["data"]["id"]
    emails = lambda: people.get("/prospects/2").json()["data"]["attributes"]["emails"]  # noqa: E731
    assert emails() == ["ben@x.example", "ben@home.example"]
    assert people.change("emailAddress", "/emailAddresses", fresh, {"email": "ada@x.example"}).status_code == 422
    assert people.change("emailAddress", "/emailAddresses", fresh, {"email": "ben@away.example"}).status_code == 200
    assert emails() == ["ben@x.example", "ben@away.example"]
    people.call("DELETE", f"/emailAddresses/{fresh}")
    assert emails() == ["ben@x.example"]


def test_an_address_twice_in_one_list_is_refused(people):
    twice = people.create("prospect", "/prospects", {"emails": ["q@x.example", "Q@x.example"]})
    assert twice.json()["errors"][0]["id"] == "validationDuplicateValueError"


# --- what is refused --------------------------------------------------------------------------------------------------------
def test_the_address_of_a_user_cannot_be_changed(people):
    refused = people.change("user", "/users", 1, {"email": "new@x.example"})
    assert (refused.status_code, refused.json()["errors"][0]["source"]["pointer"]) == (422, "/data/attributes/email")
    assert people.change("user", "/users", 1, {"email": "priya@seller.example", "title": "CEO"}).status_code == 200
    assert people.create("user", "/users", {"username": "new", "email": "new@x.example"}).status_code == 201


@pytest.mark.parametrize(
    ("name", "data"), [("owner", {"type": "account", "id": 1}), ("account", {"type": "user", "id": 1}), ("account", {"id": 1})]
)
def test_a_relationship_of_the_wrong_type_is_refused(people, name, data):
    body = {"data": {"type": "prospect", "id": 1, "relationships": {name: {"data": data}}}}
    refused = people.call("PATCH", "/prospects/1", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["source"]["pointer"]) == (422, f"/data/relationships/{name}")


def test_the_subject_of_a_task_keeps_its_type_and_says_whose_task_it_is(people):
    task = people.create("task", "/tasks", {"action": "call"}, subject=("account", 1), owner=("user", 1)).json()["data"]["relationships"]
    assert task["subject"]["data"] == task["account"]["data"] == {"type": "account", "id": 1}
    assert task["prospect"]["data"] is None

    people.create("task", "/tasks", {"action": "call"}, subject=("prospect", 1))
    assert related(people, "/tasks/2", "prospect") == {"type": "prospect", "id": 1}
    assert related(people, "/tasks/2", "account") == {"type": "account", "id": 1}
    assert people.listed("/tasks", {"filter[prospect][id]": "1"}) == [2]
    assert people.create("task", "/tasks", {"action": "call"}, subject=("user", 1)).status_code == 422
    assert people.create("task", "/tasks", {"action": "call"}, subject=("account", 99)).status_code == 422


def test_a_task_follows_its_prospect_to_another_account(people):
    people.world.outreach.create_record("accounts", {"name": "Bolt"})
    people.create("task", "/tasks", {"action": "call"}, subject=("prospect", 1))
    people.call("PATCH", "/prospects/1", json=document("prospect", id_=1, account=("account", 2)))
    assert people.listed("/tasks", {"filter[account][id]": "2"}) == [1]


def test_a_prospect_is_in_a_sequence_once_until_it_is_finished(people):
    join = lambda: people.create(  # noqa: E731
        "sequenceState", "/sequenceStates", prospect=("prospect", 1), sequence=("sequence", 1), mailbox=("mailbox", 1)
    )
    assert join().status_code == 201
    assert join().status_code == 422
    people.call("POST", "/sequenceStates/1/actions/finish")
    assert join().status_code == 201


def test_a_task_cannot_be_given_to_somebody_who_is_not_there(people):
    people.create("task", "/tasks", {"action": "call"}, owner=("user", 1))
    for owner, status in (("99999", 422), ("\u00b2", 400), ("1", 200)):
        answer = people.call("POST", "/tasks/1/actions/reassignOwner", params={"actionParams[ownerId]": owner})
        assert answer.status_code == status, owner


# --- reading ----------------------------------------------------------------------------------------------------------------
def test_include_reaches_single_records_and_nested_ones(people):
    included = lambda path, words: {  # noqa: E731
        (row["type"], row["id"]) for row in people.call("GET", path, params={"include": words}).json().get("included", [])
    }
    assert included("/prospects/1", "account") == {("account", 1)}
    assert included("/prospects/1", "account.owner") == {("account", 1), ("user", 1)}
    assert included("/prospects", "account.owner") == {("account", 1), ("user", 1)}
    assert included("/prospects/2", "account.owner") == set()
    assert people.call("GET", "/prospects/1", params={"include": "account.planet"}).status_code == 400


@pytest.mark.parametrize("sort", ["id", "updatedAt", "-name", "name,-createdAt"])
def test_pages_can_be_read_backwards(outreach, sort):
    for i in range(23):
        outreach.world.outreach.create_record("accounts", {"name": f"A{i % 5}"})
    params = {"page[size]": 5} if sort == "id" else {"page[size]": 5, "sort": sort}
    forward, body = [], outreach.call("GET", "/accounts", params=params).json()
    assert "prev" not in body["links"]
    while True:
        forward.append([row["id"] for row in body["data"]])
        if "next" not in body["links"]:
            break
        body = outreach.call("GET", body["links"]["next"]).json()

    backward = [forward[-1]]
    while body["links"].get("prev"):
        body = outreach.call("GET", body["links"]["prev"]).json()
        backward.append([row["id"] for row in body["data"]])

    assert backward[::-1] == forward and len(forward) == 5
    assert [row["id"] for row in outreach.call("GET", body["links"]["next"]).json()["data"]] == forward[1]


def test_a_page_before_a_cursor_keeps_to_its_filter(outreach):
    for i in range(12):
        outreach.world.outreach.create_record("accounts", {"name": f"A{i}", "updatedAt": f"2026-01-{i + 1:02}T00:00:00Z"})
    params = {"page[size]": 2, "sort": "updatedAt", "filter[updatedAt]": "2026-01-09..inf"}
    second = outreach.call("GET", outreach.call("GET", "/accounts", params=params).json()["links"]["next"]).json()
    first = outreach.call("GET", second["links"]["prev"]).json()
    assert ([r["id"] for r in first["data"]], [r["id"] for r in second["data"]]) == ([9, 10], [11, 12])
    assert "prev" not in first["links"]


@pytest.mark.parametrize("name", ["batches", "batchItems", "events"])
def test_collections_without_records_answer_empty(outreach, name):
    assert outreach.get(f"/{name}").json()["data"] == []
    assert outreach.create(name, f"/{name}").status_code == 404


@pytest.mark.parametrize(
    ("path", "params", "found"),
    [
        ("/prospects", {"filter[account][named]": "true"}, [1]),
        ("/prospects", {"filter[account][named]": "false"}, []),
        ("/prospects", {"filter[account][updatedAt]": "2000-01-01..inf"}, [1]),
        ("/prospects", {"newFilterSyntax": "true", "filter[account][updatedAt][lte]": "2000-01-01"}, []),
        ("/tasks", {"filter[sequence][id]": "1"}, []),
        ("/tasks", {"filter[owner][email]": "priya@seller.example"}, [1]),
        ("/tasks", {"filter[prospect][emails]": "ADA@x.example"}, [1]),
        ("/sequenceStates", {"filter[sequence][name]": "Welcome"}, [1]),
        ("/sequenceStates", {"filter[sequence][name]": "Other"}, []),
        ("/sequenceStates", {"filter[mailbox][email]": "me@x.example"}, [1]),
        ("/sequenceStates", {"filter[account][id]": "1"}, [1]),
    ],
)
def test_the_documented_filters_by_relationship(people, path, params, found):
    people.create("task", "/tasks", {"action": "call"}, subject=("prospect", 1), owner=("user", 1))
    people.create("sequenceState", "/sequenceStates", prospect=("prospect", 1), sequence=("sequence", 1), mailbox=("mailbox", 1))
    assert people.listed(path, params) == found


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/users", {"filter[q]": "jane"}),
        ("/prospects", {"filter[account][industry]": "x"}),
        ("/prospects", {"filter[persona][id]": "1"}),
        ("/sequenceStates", {"filter[sequence][description]": "x"}),
        ("/accounts", {"filter[owner]": "1"}),
    ],
)
def test_other_filters_are_refused(people, path, params):
    assert people.call("GET", path, params=params).status_code == 400


# --- tokens, scopes -----------------------------------------------------------------------------------------------------------
def refresh(outreach, token):
    desk = outreach.world.outreach.desk
    given = {"grant_type": "refresh_token", "refresh_token": token, "client_id": desk.client_id, "client_secret": desk.client_secret}
    return outreach.session.post(f"{outreach.world.base_urls['outreach']}/oauth/token", data=given, timeout=20)


def test_a_refresh_token_dies_after_fourteen_days_unused(outreach, control):
    token = control.call("GET", "/").json()["outreach"]["refresh_token"]
    outreach.world.advance(13 * 86400)
    later = refresh(outreach, token).json()["refresh_token"]
    outreach.world.advance(13 * 86400)
    assert refresh(outreach, token).status_code == 400
    assert refresh(outreach, later).status_code == 200
    outreach.world.advance(15 * 86400)
    assert refresh(outreach, later).json()["error"] == "invalid_grant"
    assert refresh(outreach, control.call("GET", "/").json()["outreach"]["refresh_token"]).status_code == 200


def test_a_call_without_its_scope_is_403_and_scopes_do_not_add_up(outreach, control):
    control.call("POST", "/switches", {"outreach": {"scopes": "accounts.write prospects.all"}})
    outreach.headers["Authorization"] = f"Bearer {control.call('GET', '/').json()['outreach']['access_token']}"

    refused = outreach.get("/accounts")
    assert (refused.status_code, refused.json()["errors"][0]["id"]) == (403, "unauthorizedOauthScope")
    assert "accounts.read" in refused.json()["errors"][0]["detail"]
    assert outreach.create("account", "/accounts", {"name": "A"}).status_code == 201
    assert outreach.call("DELETE", "/accounts/1").status_code == 403
    assert outreach.get("/prospects").status_code == 200
    assert outreach.create("prospect", "/prospects", {"firstName": "A"}).status_code == 201
    assert outreach.call("DELETE", "/prospects/1").status_code == 204


def test_consent_grants_what_was_asked_for_and_a_refresh_no_more(outreach):
    desk, base = outreach.world.outreach.desk, outreach.world.base_urls["outreach"]
    asked = {"client_id": desk.client_id, "redirect_uri": "http://127.0.0.1:1/back", "scope": "accounts.read users.read"}
    back = outreach.session.post(f"{base}/oauth/authorize", data=asked, timeout=20, allow_redirects=False)
    code = back.headers["Location"].partition("code=")[2].partition("&")[0]
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked["redirect_uri"], "client_id": desk.client_id}
    granted = outreach.session.post(f"{base}/oauth/token", data={**given, "client_secret": desk.client_secret}, timeout=20).json()
    assert granted["scope"] == "accounts.read users.read"

    renewed = refresh(outreach, granted["refresh_token"]).json()
    assert renewed["scope"] == "accounts.read users.read"
    outreach.headers["Authorization"] = f"Bearer {renewed['access_token']}"
    assert outreach.get("/accounts").status_code == 200 and outreach.get("/prospects").status_code == 403


def test_consent_grants_no_scope_that_the_app_has_not_and_can_be_denied(outreach, control):
    control.call("POST", "/switches", {"outreach": {"scopes": "accounts.all users.read"}})
    desk, base = outreach.world.outreach.desk, outreach.world.base_urls["outreach"]
    asked = {"client_id": desk.client_id, "redirect_uri": "http://127.0.0.1:1/back", "state": "s1"}
    asked["scope"] = "accounts.read prospects.read users.read users.write"
    back = outreach.session.post(f"{base}/oauth/authorize", data=asked, timeout=20, allow_redirects=False)
    code = back.headers["Location"].partition("code=")[2].partition("&")[0]
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked["redirect_uri"], "client_id": desk.client_id}
    granted = outreach.session.post(f"{base}/oauth/token", data={**given, "client_secret": desk.client_secret}, timeout=20).json()
    assert granted["scope"] == "accounts.read users.read"

    page = outreach.session.get(f"{base}/oauth/authorize", params=asked, timeout=20)
    assert 'name="deny"' in page.text
    denied = outreach.session.post(f"{base}/oauth/authorize", data={**asked, "deny": "1"}, timeout=20, allow_redirects=False)
    assert denied.headers["Location"] == "http://127.0.0.1:1/back?error=access_denied&state=s1"


def test_the_mapping_of_a_plugin_is_named_and_can_be_neither_written_nor_included(outreach):
    made = outreach.world.outreach.create_record("accounts", {"name": "Linked", "defaultPluginMapping": 9})
    shown = outreach.get(f"/accounts/{made['id']}?fields[account]=defaultPluginMapping").json()["data"]
    assert shown["relationships"] == {"defaultPluginMapping": {"data": {"type": "pluginMapping", "id": 9}}}
    assert outreach.get("/accounts?include=defaultPluginMapping").status_code == 400
    mapping = {"defaultPluginMapping": {"data": {"type": "pluginMapping", "id": 8}}}
    body = {"data": {"type": "account", "id": made["id"], "relationships": mapping}}
    assert outreach.call("PATCH", f"/accounts/{made['id']}", json=body).status_code == 400


# --- schema -------------------------------------------------------------------------------------------------------------------
def test_the_schemas_can_be_read_one_of_them_without_a_token(outreach):
    account = outreach.get("/schema.json").json()["definitions"]["account"]["properties"]
    assert account["createdAt"]["readOnly"] and account["name"]["filterable"] and account["name"]["maxLength"] == 255
    public = outreach.session.get(f"{outreach.base}/schema/openapi.json", timeout=20).json()
    assert "/accounts" in public["paths"] and "prospect" in public["components"]["schemas"]


def test_attributes_are_as_the_vendors_schema_states_them():
    for collection, (count, read_only, filterable, sortable) in FACTS.items():
        attributes = {n: a for n, a in RESOURCES[collection].attributes.items() if not n.startswith("custom") or n == "customId"}
        assert len(attributes) == count, collection
        assert {n for n, a in attributes.items() if a.is_read_only} == set(read_only.split()), collection
        assert {n for n, a in attributes.items() if a.is_filterable} == set(filterable.split()), collection
        assert {n for n, a in attributes.items() if a.is_sortable} == set(sortable.split()), collection


def test_what_is_read_only_in_a_mailing_is_refused(people):
    body = document("mailing", {"subject": "s", "deliveredAt": "2026-01-01T00:00:00Z"}, prospect=("prospect", 1))
    assert people.call("POST", "/mailings", json=body).json()["errors"][0]["id"] == "permittedParams.unknownAttribute"


# Copied from the attributes of the vendor's OpenAPI document: how many, and which are read-only, filterable, sortable.
FACTS = {
    "accounts": (
        26,
        "createdAt touchedAt updatedAt",
        "buyerIntentScore createdAt customId domain name named sharingTeamId touchedAt updatedAt",
        "buyerIntentScore createdAt customId domain name named touchedAt updatedAt",
    ),
    "prospects": (
        80,
        "callsOptedAt clickCount contactHistogram createdAt emailsOptedAt engagedAt engagedScore linkedInSlug name openCount "
        "optedOutAt replyCount timeZoneIana timeZoneInferred touchedAt updatedAt",
        "createdAt emails engagedAt engagedScore externalSource firstName githubUsername lastName linkedInId linkedInSlug "
        "sharingTeamId stackOverflowId timeZone title touchedAt twitterUsername updatedAt",
        "createdAt engagedAt engagedScore externalSource firstName githubUsername lastName linkedInId linkedInSlug "
        "stackOverflowId title touchedAt twitterUsername updatedAt",
    ),
    "users": (
        65,
        "createdAt currentSignInAt lastSignInAt name passwordExpiresAt updatedAt userGuid",
        "createdAt currentSignInAt email firstName lastName locked updatedAt username",
        "createdAt currentSignInAt email firstName lastName locked updatedAt username",
    ),
    "tasks": (
        14,
        "compiledSequenceTemplateHtml completed completedAt createdAt scheduledAt state stateChangedAt taskType updatedAt",
        "autoskipAt createdAt dueAt scheduledAt state stateChangedAt taskType updatedAt",
        "autoskipAt createdAt dueAt scheduledAt state stateChangedAt taskType updatedAt",
    ),
    "sequences": (
        41,
        "automationPercentage bounceCount clickCount createdAt deliverCount durationInDays enabled enabledAt failureCount "
        "lastUsedAt locked lockedAt negativeReplyCount neutralReplyCount numContactedProspects numRepliedProspects openCount "
        "optOutCount positiveReplyCount replyCount scheduleCount sequenceStepCount throttlePausedAt updatedAt",
        "clickCount createdAt deliverCount enabledAt lastUsedAt lockedAt name openCount replyCount salesMotion shareType "
        "throttleCapacity throttleMaxAddsPerDay updatedAt",
        "clickCount createdAt deliverCount enabledAt lastUsedAt lockedAt name openCount replyCount shareType throttleCapacity "
        "throttleMaxAddsPerDay updatedAt",
    ),
    "sequenceStates": (
        20,
        "activeAt bounceCount callCompletedAt clickCount createdAt deliverCount errorReason failureCount negativeReplyCount "
        "neutralReplyCount openCount optOutCount pauseReason positiveReplyCount repliedAt replyCount scheduleCount state "
        "stateChangedAt updatedAt",
        "callCompletedAt clickCount createdAt deliverCount openCount pauseReason repliedAt replyCount state stateChangedAt updatedAt",
        "callCompletedAt clickCount createdAt deliverCount openCount pauseReason repliedAt replyCount state stateChangedAt updatedAt",
    ),
    "mailings": (
        34,
        "bodyText bouncedAt clickCount clickedAt createdAt deliveredAt errorBacktrace errorReason mailboxAddress mailingType "
        "markedAsSpamAt messageId notifyThreadCondition notifyThreadScheduledAt notifyThreadStatus openCount openedAt "
        "overrideSafetySettings references repliedAt retryAt retryCount retryInterval stateChangedAt unsubscribedAt updatedAt",
        "bouncedAt clickedAt createdAt deliveredAt mailingType messageId notifyThreadScheduledAt notifyThreadStatus openedAt "
        "repliedAt retryAt scheduledAt state stateChangedAt unsubscribedAt updatedAt",
        "bouncedAt clickedAt createdAt deliveredAt mailingType messageId notifyThreadScheduledAt notifyThreadStatus openedAt "
        "repliedAt retryAt scheduledAt state stateChangedAt unsubscribedAt updatedAt",
    ),
    "mailboxes": (
        50,
        "createdAt editable providerId providerType sendErroredAt sendSuccessAt sendgridWebhookUrl syncErroredAt syncFinishedAt "
        "syncSuccessAt updatedAt userId",
        "createdAt email updatedAt userId",
        "createdAt email updatedAt userId",
    ),
    "emailAddresses": (
        8,
        "createdAt statusChangedAt unsubscribedAt updatedAt",
        "email emailType order status statusChangedAt unsubscribedAt updatedAt",
        "email emailType order status statusChangedAt unsubscribedAt updatedAt",
    ),
    "phoneNumbers": (
        10,
        "createdAt statusChangedAt updatedAt",
        "number order phoneType status statusChangedAt updatedAt",
        "number order phoneType status statusChangedAt updatedAt",
    ),
    "stages": (
        5,
        "createdAt updatedAt",
        "createdAt name order updatedAt",
        "createdAt name order updatedAt",
    ),
    "opportunities": (
        26,
        "createdAt touchedAt updatedAt",
        "createdAt customId externalCreatedAt forecastCategory leadSource lostReason mapLink mapStatus name probability "
        "recordType sharingTeamId touchedAt updatedAt",
        "amount amountPrecise closeDate createdAt customId forecastCategory leadSource lostReason mapStatus name probability "
        "recordType touchedAt updatedAt",
    ),
}


# --- calls, and what was done ---------------------------------------------------------------------------------------------
def test_a_logged_call_is_made_listed_and_deleted_but_never_changed(people):
    made = people.create(
        "call",
        "/calls",
        {"direction": "outbound", "outcome": "Answered", "note": "Asked for a quote.", "completedAt": "2026-11-20T10:00:00.000Z"},
        prospect=("prospect", 1),
        user=("user", 1),
    )
    assert made.status_code == 201 and made.json()["data"]["attributes"]["note"] == "Asked for a quote."
    assert people.listed("/calls", {"filter[prospect][id]": "1"}) == [1]
    assert related(people, "/calls/1", "user") == {"type": "user", "id": 1}
    assert people.listed("/calls", {"filter[prospect][id]": "2"}) == []
    assert people.call("PATCH", "/calls/1", json=document("call", {"note": "x"}, 1)).status_code == 404
    assert people.call("DELETE", "/calls/1").status_code == 204 and people.listed("/calls", {}) == []


@pytest.mark.parametrize(
    "attributes", [{"direction": "sideways"}, {"outcome": "Perhaps"}, {"userCallType": "shout"}, {"recordingUrl": "javascript:x"}]
)
def test_what_no_call_can_say_is_refused(people, attributes):
    refused = people.create("call", "/calls", attributes, prospect=("prospect", 1))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["source"]["pointer"] == f"/data/attributes/{next(iter(attributes))}"


def test_a_task_or_mail_that_is_over_says_since_when(people):
    create = people.world.outreach.create_record
    done = create("tasks", {"action": "call", "state": "complete", "prospect": 1})
    open_ = create("tasks", {"action": "call", "prospect": 1})
    sent = create("mailings", {"subject": "Hello", "state": "delivered", "prospect": 1, "mailbox": 1})
    assert done["completedAt"] and done["completed"] is True and not open_.get("completedAt")
    assert sent["deliveredAt"] and not create("mailings", {"subject": "Hello", "state": "scheduled", "prospect": 1}).get("deliveredAt")
