"""The played Outreach against its wire format, over HTTP, without any code of the connectors."""

import time
from datetime import datetime

import pytest

UNKNOWN = "permittedParams.unknownAttribute"


# --- documents, statuses ----------------------------------------------------------------------------------------------
def test_a_create_answers_201_with_integer_ids_and_millisecond_times(outreach):
    answer = outreach.create("account", "/accounts", {"name": "Northwind", "customId": "WB-1"})

    assert answer.status_code == 201
    assert answer.headers["Content-Type"].startswith("application/vnd.api+json")
    data = answer.json()["data"]
    assert isinstance(data["id"], int) and data["type"] == "account"
    assert data["attributes"]["createdAt"].endswith("Z") and "." in data["attributes"]["createdAt"]
    assert data["relationships"]["owner"] == {"data": None}
    assert data["links"]["self"] == f"{outreach.base}/accounts/{data['id']}"


def test_a_patch_is_partial_moves_updated_at_only_and_null_clears(outreach):
    made = outreach.create("account", "/accounts", {"name": "A", "industry": "Food", "locality": "York"}).json()["data"]

    changed = outreach.change("account", "/accounts", made["id"], {"industry": None}).json()["data"]["attributes"]

    assert (changed["industry"], changed["locality"]) == (None, "York")
    assert changed["updatedAt"] > made["attributes"]["updatedAt"] and changed["touchedAt"] == made["attributes"]["touchedAt"]


def test_delete_answers_204_and_then_404_with_the_documented_body(outreach):
    id_ = outreach.create("account", "/accounts", {"name": "A"}).json()["data"]["id"]

    assert outreach.call("DELETE", f"/accounts/{id_}").status_code == 204
    gone = outreach.get(f"/accounts/{id_}")

    assert gone.status_code == 404
    assert gone.json()["errors"][0] == {
        "id": "resourceNotFound",
        "title": "resourceNotFound",
        "detail": f"Could not find 'account' with ID '{id_}'.",
    }


@pytest.mark.parametrize(
    ("attributes", "status", "code"),
    [
        ({"nome": "A"}, 400, UNKNOWN),
        ({"name": "A", "createdAt": "2026-01-01T00:00:00Z"}, 400, UNKNOWN),
        ({"name": ""}, 422, "validationError"),
        ({"name": "x" * 256}, 422, "validationDataTooLongError"),
        ({"name": "A", "numberOfEmployees": "many"}, 422, "validationError"),
        ({"name": "A", "tags": "no list"}, 422, "validationError"),
    ],
)
def test_what_outreach_refuses(outreach, attributes, status, code):
    answer = outreach.create("account", "/accounts", attributes)

    assert (answer.status_code, answer.json()["errors"][0]["id"]) == (status, code)
    assert outreach.listed("/accounts", {}) == []


def test_bodies_that_are_no_document_are_refused(outreach):
    url, headers = f"{outreach.base}/accounts", outreach.headers
    assert outreach.session.post(url, data=b"{not json", headers=headers, timeout=20).status_code == 400
    assert outreach.call("POST", "/accounts", json={"data": {"type": "prospect", "attributes": {}}}).status_code == 400
    json_type = {**headers, "Content-Type": "application/json"}
    refused = outreach.session.post(url, json={"data": {"type": "account"}}, headers=json_type, timeout=20)
    assert refused.status_code == 415 and "details" in refused.json()["errors"][0]


def test_a_string_id_in_a_relationship_is_refused(outreach):
    data = {"type": "prospect", "attributes": {}, "relationships": {"account": {"data": {"type": "account", "id": "1"}}}}

    assert outreach.call("POST", "/prospects", json={"data": data}).status_code == 422


def test_unknown_paths_and_every_listed_collection(outreach):
    assert outreach.get("/nowhere").json()["errors"][0]["id"] == "routeNotFound"
    names = "accounts prospects users tasks sequences sequenceStates mailings mailboxes emailAddresses phoneNumbers stages personas"
    for name in [*names.split(), "opportunities", "webhooks"]:
        assert isinstance(outreach.get(f"/{name}").json()["data"], list), name


# --- paging -----------------------------------------------------------------------------------------------------------
def test_cursor_paging_reaches_every_row_once_in_any_order(outreach):
    for i in range(23):
        outreach.world.outreach.create_record("accounts", {"name": f"A{i % 5}", "customId": str(i)})
    for sort in ("id", "-id", "updatedAt", "name", "-name,updatedAt"):
        found, url = [], f"/accounts?page[size]=5&sort={sort}"
        if sort in ("id", "-id"):
            url = "/accounts?page[size]=5" if sort == "id" else "/accounts?page[size]=5&sort=-createdAt"
        while url:
            body = outreach.call("GET", url).json()
            found += [row["id"] for row in body["data"]]
            assert body["meta"]["count"] is None
            url = body.get("links", {}).get("next")
            assert url is None or (url.startswith(outreach.base) and "page%5Bafter%5D=" in url)
        assert sorted(found) == list(range(1, 24)), sort
        assert len(found) == len(set(found)), sort


def test_rows_changed_while_paging_by_updated_at_are_not_lost(outreach):
    for i in range(10):
        outreach.world.outreach.create_record("accounts", {"name": f"A{i}"})
    first = outreach.call("GET", "/accounts?page[size]=4&sort=updatedAt").json()
    outreach.change("account", "/accounts", 9, {"industry": "Food"})

    found, url = [r["id"] for r in first["data"]], first["links"]["next"]
    while url:
        body = outreach.call("GET", url).json()
        found += [r["id"] for r in body["data"]]
        url = body.get("links", {}).get("next")

    assert set(found) == set(range(1, 11))


def test_offset_paging_and_the_count_when_asked(outreach):
    for i in range(60):
        outreach.world.outreach.create_record("accounts", {"name": f"A{i}"})
    plain = outreach.get("/accounts").json()
    assert len(plain["data"]) == 50 and "page%5Boffset%5D=50" in plain["links"]["next"] and plain["meta"]["count"] is None
    assert len(outreach.call("GET", plain["links"]["next"]).json()["data"]) == 10

    body = outreach.call("GET", "/accounts", params={"page[limit]": 20, "page[offset]": 20, "count": "true"}).json()
    assert [r["id"] for r in body["data"]] == list(range(21, 41))
    assert body["meta"]["count"] == 60
    assert "page%5Boffset%5D=40" in body["links"]["last"] and "page%5Boffset%5D=0" in body["links"]["prev"]
    assert outreach.call("GET", "/accounts", params={"page[size]": 1001}).status_code == 400
    assert outreach.call("GET", "/accounts", params={"page[after]": "!!"}).status_code == 400


# --- filters ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def accounts(outreach):
    create = outreach.world.outreach.create_record
    create("accounts", {"name": "Acme", "domain": "acme.example", "updatedAt": "2026-01-01T00:00:00.000Z"})
    create("accounts", {"name": "A, Inc", "buyerIntentScore": 7, "updatedAt": "2026-02-01T00:00:00.000Z"})
    create("accounts", {"name": "acme", "updatedAt": "2026-03-01T00:00:00.000Z"})
    return outreach


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"filter[name]": "Acme"}, [1]),
        ({"filter[id]": "1,3"}, [1, 3]),
        ({"filter[name]": "A, Inc"}, []),  # a comma parts the list
        ({"newFilterSyntax": "true", "filter[name][]": ["A, Inc", "acme"]}, [2, 3]),
        ({"filter[updatedAt]": "2026-02-01T00:00:00Z..inf"}, [2, 3]),
        ({"filter[updatedAt]": "neginf..2026-02-01"}, [1, 2]),
        ({"filter[updatedAt]": "2026-01-15..2026-02-15"}, [2]),
        ({"newFilterSyntax": "true", "filter[updatedAt][gte]": "2026-02-01", "filter[updatedAt][lte]": "2026-02-28"}, [2]),
        ({"filter[buyerIntentScore]": "5..10"}, [2]),
        ({"filter[domain]": "__notnull__"}, [1]),
        ({"filter[domain]": "__null__"}, [2, 3]),
        ({"filter[q]": "ac"}, [1, 3]),
    ],
)
def test_filters_in_all_their_forms(accounts, params, found):
    assert accounts.listed("/accounts", {"page[size]": 10, **params}) == found


@pytest.mark.parametrize(
    "params", [{"filter[industry]": "x"}, {"filter[Name]": "x"}, {"sort": "industry"}, {"filter[updatedAt]": "soon..inf"}]
)
def test_what_cannot_be_filtered_or_sorted_is_400(accounts, params):
    assert accounts.call("GET", "/accounts", params=params).status_code == 400


def test_the_external_id_of_a_prospect_cannot_be_filtered(outreach):
    assert outreach.call("GET", "/prospects", params={"filter[externalId]": "1"}).json()["errors"][0]["id"] == UNKNOWN


def test_relationship_filters_include_and_sparse_fields(accounts):
    create = accounts.world.outreach.create_record
    create("users", {"username": "Jane_Doe", "firstName": "Jane", "lastName": "Doe"})
    create("prospects", {"emails": ["a@x.example"], "firstName": "Ada", "account": 1, "owner": 1})
    create("prospects", {"emails": ["b@x.example"], "account": 2})

    assert accounts.listed("/prospects", {"filter[account][id]": "1,3"}) == [1]
    assert accounts.listed("/prospects", {"filter[account][name]": "Acme"}) == [1]
    body = accounts.call("GET", "/prospects", params={"include": "account,owner", "fields[prospect]": "firstName,account"}).json()
    assert set(body["data"][0]["attributes"]) == {"firstName"}
    assert {(i["type"], i["id"]) for i in body["included"]} == {("account", 1), ("account", 2), ("user", 1)}
    bad = accounts.call("GET", "/prospects", params={"fields[prospect]": "nonsense"})
    assert bad.json()["errors"][0]["id"] == "fieldsParameter.unknownResourceField"


def test_addresses_too_long_are_414(outreach):
    assert outreach.call("GET", "/accounts", params={"filter[name]": "x" * 9000}).status_code == 414


# --- uniqueness -------------------------------------------------------------------------------------------------------
def test_an_e_mail_belongs_to_one_prospect_whatever_its_case(outreach):
    assert outreach.create("prospect", "/prospects", {"emails": ["ada@x.example"]}).status_code == 201
    other = outreach.create("prospect", "/prospects", {"emails": ["Ada@X.example"]})
    assert (other.status_code, other.json()["errors"][0]["detail"]) == (422, "Contacts email hash has already been taken.")
    second = outreach.create("prospect", "/prospects", {"emails": ["bo@x.example"]}).json()["data"]["id"]
    assert outreach.change("prospect", "/prospects", second, {"emails": ["ADA@x.example"]}).status_code == 422


def test_account_names_are_not_unique_and_the_custom_id_only_when_switched_on(outreach):
    for _ in range(2):
        assert outreach.create("account", "/accounts", {"name": "Twin", "customId": "K"}).status_code == 201
    outreach.world.outreach.unique_custom_id = True
    assert outreach.create("account", "/accounts", {"name": "Twin", "customId": "K"}).status_code == 422


# --- tokens, limits ---------------------------------------------------------------------------------------------------
def refresh(outreach, token, **options):
    desk = outreach.world.outreach.desk
    given = {"grant_type": "refresh_token", "refresh_token": token, "client_id": desk.client_id, "client_secret": desk.client_secret}
    kind = {"json": given} if options.get("as_json") else {"data": given}
    return outreach.session.post(f"{outreach.world.base_urls['outreach']}/oauth/token", timeout=20, **kind)


def test_refresh_tokens_rotate_in_form_and_json_and_the_old_one_dies_with_its_successors_use(outreach):
    first = outreach.world.outreach.desk.current_refresh
    second = refresh(outreach, first).json()["refresh_token"]
    assert refresh(outreach, first, as_json=True).status_code == 200
    third = refresh(outreach, second).json()
    assert third["expires_in"] == 7200 and third["token_type"] == "Bearer"
    dead = refresh(outreach, first)
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")


def test_strict_rotation_and_one_token_a_minute(outreach):
    desk = outreach.world.outreach.desk
    desk.strict_rotation = True
    first = desk.current_refresh
    refresh(outreach, first)
    assert refresh(outreach, first).status_code == 400
    desk.one_mint_per_60s = True
    answer = refresh(outreach, desk.current_refresh)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) <= 61


def test_a_bad_or_expired_token_is_401_in_the_gateways_words(outreach):
    outreach.world.outreach.expire_tokens()
    answer = outreach.get("/accounts")
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid JWT token.")


def test_the_consent_page_leads_back_with_a_code_that_is_good_once(outreach):
    desk, base = outreach.world.outreach.desk, outreach.world.base_urls["outreach"]
    target = "http://127.0.0.1:1/back"
    params = {"client_id": desk.client_id, "redirect_uri": target, "response_type": "code", "scope": "accounts.all", "state": "s&1"}
    page = outreach.session.get(f"{base}/oauth/authorize", params=params, timeout=20)
    assert page.status_code == 200 and "Allow" in page.text
    back = outreach.session.post(f"{base}/oauth/authorize", data=params, timeout=20, allow_redirects=False)
    location = back.headers["Location"]
    assert location.startswith(target) and "state=s%261" in location
    code = location.partition("code=")[2].partition("&")[0]
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": target, "client_id": desk.client_id}
    given["client_secret"] = desk.client_secret
    assert outreach.session.post(f"{base}/oauth/token", data=given, timeout=20).status_code == 200
    assert outreach.session.post(f"{base}/oauth/token", data=given, timeout=20).status_code == 400
    bad = outreach.session.get(f"{base}/oauth/authorize", params={**params, "redirect_uri": "javascript:alert(1)"}, timeout=20)
    assert bad.status_code == 400


def test_rate_limit_headers_and_429_with_an_epoch(outreach):
    outreach.world.outreach.per_hour = 2
    headers = outreach.get("/accounts").headers
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("2", "1")
    outreach.get("/accounts")
    limited = outreach.get("/accounts")
    assert limited.status_code == 429 and limited.json()["errors"][0]["id"] == "rateLimitExceeded"
    assert 0 < int(limited.headers["X-RateLimit-Reset"]) - time.time() <= 3600
    assert int(limited.headers["Retry-After"]) > 10**9


# --- sequences, tasks -------------------------------------------------------------------------------------------------
@pytest.fixture
def sequence(outreach):
    create = outreach.world.outreach.create_record
    create("prospects", {"emails": ["a@x.example"]})
    create("sequences", {"name": "Welcome"})
    create("mailboxes", {"email": "me@x.example"})
    return outreach


def join(outreach, **without):
    relations = {"prospect": ("prospect", 1), "sequence": ("sequence", 1), "mailbox": ("mailbox", 1)}
    return outreach.create("sequenceState", "/sequenceStates", **{k: v for k, v in relations.items() if k not in without})


def test_a_sequence_state_needs_its_three_relationships_and_an_unlocked_sequence(sequence):
    for name in ("prospect", "sequence", "mailbox"):
        assert join(sequence, **{name: True}).status_code == 422, name
    state = join(sequence).json()["data"]
    assert state["attributes"]["state"] == "active"
    sequence.world.outreach.update_record("sequences", 1, {"locked": True})
    locked = join(sequence)
    assert (locked.status_code, locked.json()["errors"][0]["detail"]) == (422, "Sequence is locked.")


def test_sequence_states_pause_resume_and_finish_and_take_no_patch(sequence):
    join(sequence)
    act = lambda name: sequence.call("POST", f"/sequenceStates/1/actions/{name}")  # noqa: E731
    assert act("pause").json()["data"]["attributes"]["state"] == "paused"
    assert act("resume").json()["data"]["attributes"]["state"] == "active"
    assert act("resume").status_code == 422
    assert act("finish").json()["data"]["attributes"]["state"] == "finished"
    assert act("pause").status_code == 422
    assert act("dance").status_code == 404
    assert sequence.change("sequenceState", "/sequenceStates", 1, {}).status_code == 404
    assert sequence.listed("/sequenceStates", {"filter[prospect][id]": "1", "filter[state]": "active,paused"}) == []
    assert sequence.call("DELETE", "/sequenceStates/1").status_code == 204


def test_tasks_are_born_incomplete_and_move_by_actions(outreach):
    outreach.world.outreach.create_record("users", {"username": "u"})
    id_ = outreach.create("task", "/tasks", {"action": "call", "note": "hi"}).json()["data"]["id"]

    def act(name, **params):
        wire = {f"actionParams[{k}]": v for k, v in params.items()}
        return outreach.call("POST", f"/tasks/{id_}/actions/{name}", params=wire)

    assert outreach.get(f"/tasks/{id_}").json()["data"]["attributes"]["state"] == "incomplete"
    assert act("reschedule", dueAt="2026-12-01T00:00:00Z").json()["data"]["attributes"]["dueAt"] == "2026-12-01T00:00:00.000Z"
    assert act("reschedule").status_code == 400
    assert act("reassignOwner", ownerId="1").json()["data"]["relationships"]["owner"]["data"]["id"] == 1
    assert act("updateNote", note="new").json()["data"]["attributes"]["note"] == "new"
    done = act("markComplete", completionNote="spoke").json()["data"]["attributes"]
    assert (done["state"], done["completed"], done["note"]) == ("complete", True, "spoke")
    assert act("markComplete").status_code == 422
    assert outreach.change("task", "/tasks", id_, {"state": "pending"}).status_code == 400


def test_users_cannot_be_deleted_and_mailings_not_changed(outreach):
    outreach.world.outreach.create_record("users", {"username": "u"})
    outreach.world.outreach.create_record("mailings", {"subject": "s"})
    assert outreach.call("DELETE", "/users/1").status_code == 404
    assert outreach.change("mailing", "/mailings", 1, {"subject": "t"}).status_code == 404
    assert outreach.call("DELETE", "/mailings/1").status_code == 404


# --- faults -----------------------------------------------------------------------------------------------------------
def test_large_pages_fail_at_the_gateway_and_a_stale_cursor_is_refused_once(outreach):
    for i in range(12):
        outreach.world.outreach.create_record("accounts", {"name": f"A{i}"})
    outreach.world.faults.add({"kind": "page_too_large", "system": "outreach", "size": 100})
    large = outreach.call("GET", "/accounts", params={"page[size]": 500})
    assert large.status_code == 502 and "html" in large.headers["Content-Type"]
    assert outreach.call("GET", "/accounts", params={"page[size]": 100}).status_code == 200
    outreach.world.faults.clear()
    following = outreach.call("GET", "/accounts?page[size]=5").json()["links"]["next"]
    outreach.world.faults.add({"kind": "stale_next", "system": "outreach", "times": 1})
    assert outreach.call("GET", following).status_code == 400
    assert outreach.call("GET", following).status_code == 200


def test_a_lagging_index_hides_new_records_from_searches_and_not_from_reads_by_id(outreach):
    outreach.world.faults.add({"kind": "index_lag", "system": "outreach", "seconds": 60})
    id_ = outreach.create("account", "/accounts", {"name": "New"}).json()["data"]["id"]
    assert outreach.listed("/accounts", {"filter[name]": "New"}) == []
    assert outreach.listed("/accounts", {"filter[id]": str(id_)}) == [id_]
    outreach.world.advance(61)
    assert outreach.listed("/accounts", {"filter[name]": "New"}) == [id_]


def test_maintenance_tells_when_it_ends_as_an_iso_time(outreach):
    until = "2030-01-01T00:00:00Z"
    outreach.world.faults.add({"kind": "status", "status": 503, "retry_after": until, "times": 1})
    answer = outreach.get("/accounts")
    assert (answer.status_code, answer.json()["errors"][0]["id"]) == (503, "scheduledServerMaintenance")
    assert datetime.fromisoformat(answer.headers["Retry-After"].replace("Z", "+00:00")).year == 2030
