"""The played Workbooks against its wire format, over HTTP, without any code of the connectors."""

import json
import re

import pytest

SYNC = "cf_organisation_sync_to_outreach"
DATE = re.compile(r"^[A-Z][a-z]{2} [A-Z][a-z]{2} \d{2} \d\d:\d\d:\d\d UTC \d{4}$")


def add(world, *names, **values):
    return [world.workbooks.create_record("organisations", {"name": name, **values})["id"] for name in names]


# --- requests ---------------------------------------------------------------------------------------------------------
def test_reads_come_as_get_with_a_query_or_a_form_as_post_with_method_and_as_json(workbooks):
    add(workbooks.world, "Acme")
    url, key, session = f"{workbooks.base}/crm/organisations.api", workbooks.key, workbooks.session
    asked = {"api_key": key, "_start": "0", "_limit": "1", "_ff[]": "name", "_ft[]": "eq", "_fc[]": "Acme"}
    answers = [
        session.get(url, params=asked, timeout=20),
        session.request("GET", url, data=asked, timeout=20),
        session.post(url, data={**asked, "_method": "GET"}, timeout=20),
        session.get(f"{url}?api_key={key}&_ff%5B%5D=name&_ft[]=eq&_fc%5B%5D=Acme", timeout=20),
        session.post(url, json={"api_key": key, "_method": "GET", "_ff": ["name"], "_ft": ["eq"], "_fc": ["Acme"]}, timeout=20),
    ]
    for number, answer in enumerate(answers):
        assert [row["name"] for row in answer.json()["data"]] == ["Acme"], number


def test_a_json_body_creates(workbooks):
    body = {"api_key": workbooks.key, "__method": ["POST"], "id": [0], "lock_version": [0], "name": ["Made by JSON"]}
    answer = workbooks.session.put(f"{workbooks.base}/crm/organisations.api", json=body, timeout=20)
    assert answer.json()["affected_objects"][0]["name"] == "Made by JSON"


def test_wrapped_and_pretty_answers(workbooks):
    wrapped = workbooks.call("crm/organisations", "GET", [("callback", "show")])
    assert wrapped.text.startswith("show({") and wrapped.text.endswith("});") and "javascript" in wrapped.headers["Content-Type"]
    assert "\n" in workbooks.call("crm/organisations", "GET", [("json", "pretty")]).text
    assert json.loads(workbooks.call("crm/organisations", "GET", [("jsonp", "bad name(")]).text)["success"] is True


def test_unknown_paths_missing_extension_and_missing_user_agent(workbooks):
    assert workbooks.call("crm/planets", "GET", []).status_code == 404
    plain = workbooks.session.get(f"{workbooks.base}/crm/organisations", params={"api_key": workbooks.key}, timeout=20)
    assert plain.status_code == 404 and plain.json()["success"] is False
    workbooks.session.headers["User-Agent"] = ""
    refused = workbooks.call("crm/organisations", "GET", [])
    assert (refused.status_code, refused.json()["failure_reason"]) == (403, "user_agent_required")


# --- who may -----------------------------------------------------------------------------------------------------------
def test_a_bad_key_and_no_key(workbooks):
    workbooks.key = "wrong"
    bad = workbooks.call("crm/organisations", "GET", [])
    assert bad.status_code == 401
    assert bad.json()["failure_reason"] == bad.json()["failure_message"] == "unrecognised_name_or_password"
    assert workbooks.session.get(f"{workbooks.base}/crm/organisations.api", timeout=20).json()["failure_reason"] == "no_session"


class InSession:
    """A client that logs in by name and keeps its cookie by hand (the sandbox marks it secure, as the real one does)."""

    def __init__(self, workbooks, **given):
        self.url, self.session = workbooks.base, workbooks.session
        credentials = workbooks.world.workbooks.credentials()
        given = given or {"username": credentials["username"], "password": credentials["password"]}
        answer = self.session.post(f"{self.url}/login.api", data={"client": "api", "api_version": 1, **given}, timeout=20)
        self.login = answer
        self.cookie = self.replaced(answer)
        self.token = answer.json().get("authenticity_token", "")

    @staticmethod
    def replaced(answer):
        found = re.match(r"Workbooks-Session=([0-9a-f]{32});", answer.headers.get("Set-Cookie", ""))
        return found[1] if found else ""

    def call(self, method, pairs, cookie=None):
        headers = {"Cookie": f"Workbooks-Session={cookie or self.cookie}"}
        data = [("_method", method), *pairs]
        url = f"{self.url}/crm/organisations.api"
        self.session.cookies.clear()
        return self.session.post(url, data=data, headers=headers, timeout=20, allow_redirects=False)


CREATE = [("__method[]", "POST"), ("id[]", 0), ("lock_version[]", 0), ("name[]", "By session")]


def test_a_session_needs_its_token_for_writes(workbooks):
    client = InSession(workbooks)
    assert client.login.json()["logical_database_id"] == 3 and client.cookie
    assert client.call("GET", []).json()["success"] is True
    assert client.call("PUT", CREATE).status_code == 403
    assert client.call("PUT", [*CREATE, ("_authenticity_token", client.token)]).json()["success"] is True


def test_the_cookie_is_replaced_under_way_and_the_old_one_is_good_once_more(workbooks):
    client = InSession(workbooks)
    old, fresh = client.cookie, ""
    for _ in range(60):
        fresh = client.replaced(client.call("GET", []))
        if fresh:
            break
    assert fresh and fresh != old
    assert client.call("GET", [], cookie=fresh).status_code == 200
    assert client.call("GET", [], cookie=old).status_code == 200
    assert client.call("GET", [], cookie=old).status_code == 302


def test_an_invalid_session_is_sent_to_a_page_and_log_out_ends_it(workbooks):
    client = InSession(workbooks)
    lost = client.call("GET", [], cookie="0" * 32)
    assert lost.status_code == 302
    assert "<title>" in workbooks.session.get(workbooks.base + lost.headers["Location"], timeout=20).text
    workbooks.session.cookies.clear()
    headers = {"Cookie": f"Workbooks-Session={client.cookie}"}
    left = workbooks.session.post(f"{workbooks.base}/logout", headers=headers, timeout=20, allow_redirects=False)
    assert left.status_code == 302
    assert client.call("GET", []).status_code == 302


def test_log_in_again_by_session_and_refused_log_ins(workbooks):
    first = InSession(workbooks)
    again = InSession(workbooks, username="sync@example.test", session_id=first.cookie, logical_database_id="3")
    assert again.cookie and again.cookie != first.cookie
    assert InSession(workbooks, username="sync@example.test", password="no").login.status_code == 401
    key = workbooks.key
    assert InSession(workbooks, api_key=key, logical_database_id="9").login.json()["failure_reason"] == "requested_database_not_available"


@pytest.mark.parametrize("given", [{}, {"client": "api"}, {"api_version": "1"}, {"client": "web", "api_version": "1"}])
def test_a_log_in_needs_client_and_version(workbooks, given):
    answer = workbooks.session.post(f"{workbooks.base}/login.api", data={"api_key": workbooks.key, **given}, timeout=20)
    assert answer.status_code == 406 and answer.json()["success"] is False and "Set-Cookie" not in answer.headers


# --- reading -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def five(workbooks):
    create = workbooks.world.workbooks.create_record
    create("organisations", {"name": "Acme", "industry": "Food", SYNC: True, "organisation_num_employees": 5})
    create("organisations", {"name": "Acme Pumps", "organisation_num_employees": 50})
    create("organisations", {"name": "Brook, Stone & Co", "industry": "Food", SYNC: True})
    create("organisations", {"name": "Zoo 'n' \\ more", "organisation_num_employees": 500})
    create("organisations", {"name": "Gone"})
    workbooks.world.workbooks.delete_record("organisations", 5)
    return workbooks


def filters(*triples, fm=None):
    pairs = []
    for field, type_, criterion in triples:
        pairs += [("_ff[]", field), ("_ft[]", type_), ("_fc[]", criterion)]
    return pairs + ([("_fm", fm)] if fm else [])


@pytest.mark.parametrize(
    ("triples", "fm", "found"),
    [
        ([("name", "eq", "acme")], None, [1]),
        ([("name", "bg", "Acme")], None, [1, 2]),
        ([("name", "nbg", "Acme")], None, [3, 4]),
        ([("name", "ct", "o")], None, [3, 4]),
        ([("name", "nct", "o")], None, [1, 2]),
        ([("name", "ne", "Acme")], None, [2, 3, 4]),
        ([("name", "eq", "Acme,Acme Pumps")], None, [1, 2]),
        ([("name", "eq", "Brook\\, Stone & Co")], None, [3]),
        ([("industry", "blank", "x")], None, [2, 4]),
        ([("industry", "not_blank", "x")], None, [1, 3]),
        ([(SYNC, "true", "")], None, [1, 3]),
        ([(SYNC, "false", "")], None, [2, 4]),
        ([(SYNC, "eq", "1")], None, [1, 3]),
        ([("organisation_num_employees", "ge", "50")], None, [2, 4]),
        ([("organisation_num_employees", "lt", "50")], None, [1]),
        ([("organisation_num_employees", "between", "JSON([5,50])")], None, [1, 2]),
        ([("id", "eq", "1,3")], None, [1, 3]),
        ([("industry", "eq", "Food"), ("organisation_num_employees", "gt", "100")], "or", [1, 3, 4]),
        ([("id", "eq", "1"), ("id", "eq", "2"), (SYNC, "true", "")], "(1 OR 2) AND NOT 3", [2]),
        ([("id", "eq", "1"), ("id", "eq", "2")], "1 XOR 2", [1, 2]),
        ([("is_deleted", "true", "")], None, [5]),
        ([("is_deleted", "true", ""), ("is_deleted", "false", ""), ("updated_at", "ge", "0")], "(1 OR 2) AND 3", [1, 2, 3, 4, 5]),
        ([("created_at", "today", "true")], None, [1, 2, 3, 4]),
    ],
)
def test_operators_and_expressions(five, triples, fm, found):
    rows = five.list([*filters(*triples, fm=fm), ("_sort", "id")])["data"]
    assert [row["id"] for row in rows] == found


def test_the_filter_as_one_json_parameter_and_a_single_filter_without_brackets(five):
    assert five.names(("_filter_json", json.dumps([["name", "ct", "Acme"], ["industry", "blank", ""]]))) == ["Acme Pumps"]
    assert five.names(("_ff", "name"), ("_ft", "eq"), ("_fc", "Acme")) == ["Acme"]


@pytest.mark.parametrize(
    "pairs",
    [
        filters(("planet", "eq", "1")),
        filters(("name", "resembles", "1")),
        filters(("name", "eq", "1"), fm="1 AND 2"),
        filters(("name", "eq", "1"), fm="(1"),
        [("_ff[]", "name"), ("_ft[]", "eq")],
        [("_sort", "planet")],
        [("_select_columns[]", "planet")],
        [("_start", "x")],
    ],
)
def test_inconsistent_parameters_are_406(five, pairs):
    assert five.call("crm/organisations", "GET", pairs).status_code == 406


def test_limit_is_ignored_without_start_and_a_page_has_a_hundred_rows_at_most(workbooks):
    add(workbooks.world, *(f"O{i:03}" for i in range(120)))
    assert len(workbooks.list([("_limit", 2)])["data"]) == 100
    assert len(workbooks.list([("_start", 0), ("_limit", 2)])["data"]) == 2
    assert len(workbooks.list([("_start", 0), ("_limit", 5000)])["data"]) == 100
    last = workbooks.list([("_start", 100), ("_limit", 100), ("_sort", "id")])
    assert (len(last["data"]), last["total"]) == (20, 120)
    for spelling in ("__skip_total_rows", "_skip_total_rows"):
        assert workbooks.list([("_start", 0), ("_limit", 10), (spelling, "true")])["total"] == 10


def test_sort_by_several_columns_and_selected_columns(five):
    rows = five.list([("_sort[]", "industry"), ("_dir[]", "DESC"), ("_sort[]", "id"), ("_dir[]", "DESC"), ("_select_columns[]", "name")])
    assert [row["id"] for row in rows["data"]] == [3, 1, 4, 2]
    assert set(rows["data"][0]) == {"name", "id"}


def test_dates_are_utc_with_whole_seconds_and_their_form_can_be_chosen(five):
    row = five.list([("_start", 0), ("_limit", 1)])["data"][0]
    assert DATE.match(row["updated_at"])
    epoch = five.list([("_start", 0), ("_limit", 1), ("_json_output_datetime_format", "%s")])["data"][0]["updated_at"]
    assert epoch.isdigit()
    same_second = filters(("updated_at", "ge", row["updated_at"]))
    assert 1 in [r["id"] for r in five.list(same_second)["data"]]


# --- writing -----------------------------------------------------------------------------------------------------------
def test_a_create_and_an_update_in_one_square(five):
    reply = five.put(
        [
            {"__method": "POST", "id": 0, "lock_version": 0, "name": "New", "industry": "Rail", "main_location[town]": "York"},
            {"__method": "PUT", "id": 1, "lock_version": 0, "industry": ":null_value:"},
        ]
    )
    made, changed = reply["affected_objects"]
    assert (made["id"], made["lock_version"], made["main_location[town]"]) == (6, 0, "York")
    assert (changed["lock_version"], changed["industry"]) == (1, "")
    assert "name" not in changed
    assert all(line["success"] for line in reply["affected_object_information"])
    assert five.world.workbooks.get_record("organisations", 1)["name"] == "Acme"


def test_a_stale_lock_fails_with_200_and_nothing_of_the_batch_is_saved(five):
    rows = [{"__method": "PUT", "id": i, "lock_version": v, "industry": "X"} for i, v in ((1, 0), (2, 7))]
    reply = five.put(rows)
    assert reply == {"success": False, "failures": ["This record cannot be saved since it has already been updated elsewhere."]}
    assert five.world.workbooks.get_record("organisations", 1)["industry"] == "Food"


def test_rows_commit_one_by_one_when_asked_and_each_says_whether_it_did(five):
    rows = [{"__method": "PUT", "id": i, "lock_version": v, "industry": "X"} for i, v in ((1, 0), (2, 7))]
    reply = five.put(rows, ("_per_object_transactions", "true"))
    assert [line["success"] for line in reply["affected_object_information"]] == [True, False]
    assert reply["success"] is False
    assert five.world.workbooks.get_record("organisations", 1)["industry"] == "X"


def test_a_record_twice_in_one_change_is_stale_the_second_time(five):
    twice = [{"__method": "PUT", "id": 1, "lock_version": 0, "industry": text} for text in ("First", "Second")]

    whole = five.put(twice)
    assert whole["success"] is False and whole["failures"] and five.world.workbooks.get_record("organisations", 1)["lock_version"] == 0

    single = five.put(twice, ("_per_object_transactions", "true"))
    assert [line["success"] for line in single["affected_object_information"]] == [True, False]
    assert five.world.workbooks.get_record("organisations", 1)["industry"] == "First"

    in_turn = [{**row, "lock_version": 1 + n} for n, row in enumerate(twice)]
    assert five.put(in_turn)["success"] is True
    gone = [{"__method": "DELETE", "id": 2, "lock_version": 0}, {"__method": "PUT", "id": 2, "lock_version": 1}]
    assert five.put(gone)["success"] is False
    assert 2 in [row["id"] for row in five.list([])["data"]]


def create(**values):
    return {"__method": "POST", "id": 0, "lock_version": 0, **values}


def test_refcodes_make_themselves_and_are_unique_whatever_their_case(workbooks):
    made = workbooks.put([create(name="Abercorn Pies"), create(name="Abercorn Tarts"), create(name="北京")])["affected_objects"]
    assert [row["refcode"] for row in made] == ["ABE1", "ABE2", "ORG1"]

    taken = workbooks.put([create(name="Other", refcode="abe1")])
    assert taken["affected_object_errors"] == [{"refcode": ["'abe1' is already used"]}]
    assert taken["errors"] == {"[]": {"refcode": "'abe1' is already used"}}
    assert workbooks.put([create(name="A", refcode="X"), create(name="B", refcode="x")])["success"] is False
    own = {"__method": "PUT", "id": 1, "lock_version": 0, "refcode": "ABE1"}
    assert workbooks.put([own])["success"] is True
    assert workbooks.put([create(name="C", refcode="ABE3")])["success"] is True
    assert workbooks.put([create(name="Abe")])["affected_objects"][0]["refcode"] == "ABE4"


@pytest.mark.parametrize(
    ("type_", "criterion", "found"),
    [
        ("eq", "2026-01-15", [2, 3]),
        ("eq", "15 Jan 2026", [2, 3]),
        ("ne", "2026-01-15", [1, 4]),
        ("ge", "2026-01-15", [2, 3, 4]),
        ("gt", "2026-01-15", [4]),
        ("le", "2026-01-15", [1, 2, 3]),
        ("lt", "2026-01-15", [1]),
        ("between", "JSON([2026-01-14,2026-01-15])", [1, 2, 3]),
        ("not_between", "JSON([2026-01-15,2026-01-15])", [1, 4]),
        ("eq", "Thu Jan 15 00:00:00 UTC 2026", [2]),
        ("gt", "Thu Jan 15 00:00:00 UTC 2026", [3, 4]),
    ],
)
def test_a_date_against_an_instant_means_that_day(workbooks, type_, criterion, found):
    times = ("2026-01-14T23:59:59Z", "2026-01-15T00:00:00Z", "2026-01-15T23:59:59Z", "2026-01-16T00:00:00Z")
    for n, at in enumerate(times):
        add(workbooks.world, f"O{n}", updated_at=at)
    rows = workbooks.list([*filters(("updated_at", type_, criterion)), ("_sort", "id")])["data"]
    assert [row["id"] for row in rows] == found


@pytest.mark.parametrize(
    ("sent", "held"),
    [
        ("12500 GBP", "12500.00 GBP 0"),
        ("12500.5 EUR 1", "12500.50 EUR 1"),
        ("7", "7.00 GBP 0"),
        ("1 !!! 3", "1.00 !!! 3"),
        (":null_value:", ""),
    ],
)
def test_currencies_have_value_code_and_flags(workbooks, sent, held):
    made = workbooks.put([create(name="A", organisation_annual_revenue=sent)])["affected_objects"][0]
    assert made["organisation_annual_revenue"] == held


def test_currencies_are_compared_by_amount_and_other_texts_are_none(workbooks):
    workbooks.put([create(name=n, organisation_annual_revenue=v) for n, v in (("A", "900 GBP"), ("B", "12500 GBP"), ("C", ":null_value:"))])
    assert workbooks.names(*filters(("organisation_annual_revenue", "gt", "1000 GBP"))) == ["B"]
    assert workbooks.names(*filters(("organisation_annual_revenue", "blank", ""))) == ["C"]
    assert workbooks.put([create(name="D", organisation_annual_revenue="plenty")])["success"] is False


DATE_COLUMN = "cf_organisation_contract_end"


def test_dates_are_written_with_a_leading_space_and_read_in_both_forms(workbooks):
    sent = (" 2 May 2026", "2026-05-22", "2 May 2025")
    made = workbooks.put([create(name=f"O{n}", **{DATE_COLUMN: text}) for n, text in enumerate(sent)])["affected_objects"]
    assert [row[DATE_COLUMN] for row in made] == [" 2 May 2026", "22 May 2026", " 2 May 2025"]
    assert workbooks.names(*filters((DATE_COLUMN, "ge", " 2 May 2026"))) == ["O0", "O1"]
    assert workbooks.names(*filters((DATE_COLUMN, "between", "JSON([2026-05-01,2026-05-31])"))) == ["O0", "O1"]
    assert workbooks.put([create(name="D", **{DATE_COLUMN: "31 Feb 2026"})])["success"] is False


def test_queue_and_owner_are_known_by_id_and_name(workbooks):
    queue = next(row for row in workbooks.list([], "crm/organisation_queues")["data"] if row["name"] == "Jo Admin")
    first, second = workbooks.put([create(name="A", assigned_to=queue["id"], owner_id=3), create(name="B", assigned_to=":null_value:")])[
        "affected_objects"
    ]
    assert (first["assigned_to"], first["assigned_to_name"]) == (queue["id"], "Jo Admin")
    assert (first["owner_id"], first["owner[person_name]"], second["owner_id"]) == (3, "Jo Admin", 2)
    assert (second["assigned_to"], second["assigned_to_name"]) == (None, "")
    assert workbooks.names(*filters(("assigned_to", "eq", queue["id"]))) == ["A"]
    assert workbooks.names(*filters(("owner[person_name]", "eq", "jo admin"))) == ["A"]
    for wrong in ({"assigned_to": 99999}, {"owner_id": 99999}):
        assert workbooks.put([create(name="C", **wrong)])["success"] is False


def test_people_are_found_by_the_name_of_their_employer_and_join_no_deleted_one(workbooks):
    one, two = add(workbooks.world, "Acme", "Bolt")
    workbooks.put([create(name="Ada", employer_link=one), create(name="Ben", employer_link=two)], path="crm/people")
    asked = [*filters(("employer[name]", "eq", "acme")), ("_select_columns[]", "name")]
    assert [row["name"] for row in workbooks.list(asked, "crm/people")["data"]] == ["Ada"]
    workbooks.world.workbooks.delete_record("organisations", two)
    assert workbooks.put([create(name="Cleo", employer_link=two)], path="crm/people")["success"] is False


def test_delete_hides_a_row_and_counts_the_version_up(five):
    reply = five.put([{"__method": "DELETE", "id": 2, "lock_version": 0}])
    assert reply["affected_objects"] == [{"id": 2, "lock_version": 1}]
    assert 2 not in [row["id"] for row in five.list([])["data"]]
    assert five.put([{"__method": "PUT", "id": 2, "lock_version": 1, "name": "Back"}])["success"] is False


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"__method": "POST", "id": 0, "lock_version": 0, "name": ""}, "name"),
        ({"__method": "PUT", "id": 1, "lock_version": 0, "name": "x" * 256}, "name"),
        ({"__method": "PUT", "id": 1, "lock_version": 0, "organisation_num_employees": "many"}, "organisation_num_employees"),
        ({"__method": "PUT", "id": 1, "lock_version": 0, "organisation_num_employees": str(2**31)}, "organisation_num_employees"),
    ],
)
def test_what_workbooks_refuses_names_the_attribute(five, row, column):
    reply = five.put([row])
    assert reply["success"] is False and column in reply["affected_object_errors"][0] and column in reply["errors"]["[]"]


def test_unknown_and_read_only_attributes_are_errors_only_in_strict_mode(five):
    row = {"__method": "PUT", "id": 1, "lock_version": 0, "planet": "Mars", "industry": "Y"}
    assert five.put([row], ("_strict_attribute_checking", "true"))["success"] is False
    assert five.put([row])["success"] is True


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("__method[]", "PUT"), ("id[]", 1)], "lock_version"),
        ([("__method[]", "PUT"), ("id[]", 1), ("lock_version[]", 0), ("name[]", "a"), ("name[]", "b")], "2 values"),
    ],
)
def test_arrays_that_are_not_square_are_406(five, pairs, says):
    answer = five.call("crm/organisations", "PUT", pairs)
    assert answer.status_code == 406 and says in answer.text


def test_at_most_a_hundred_rows_a_change_and_only_what_the_filter_selects(five):
    rows = [{"__method": "POST", "id": 0, "lock_version": 0, "name": f"N{i}"} for i in range(101)]
    pairs = [(f"{key}[]", row[key]) for row in rows for key in row]
    assert five.call("crm/organisations", "PUT", pairs).status_code == 406
    change = [("__method[]", "PUT"), ("id[]", 1), ("lock_version[]", 0), ("name[]", "Q")]
    outside = five.call("crm/organisations", "PUT", [*filters(("id", "eq", "2")), *change])
    assert outside.json()["success"] is False


# --- schema, queues, custom fields --------------------------------------------------------------------------------------
def fields_of(workbooks):
    pairs = [("class_names[]", "Private::Crm::Organisation"), ("_select_columns[]", "class_name"), ("_select_columns[]", "fields")]
    (row,) = workbooks.list(pairs, "metadata/types")["data"]
    assert set(row) == {"class_name", "fields"}
    return {field["name"]: field for field in row["fields"]}


def test_metadata_describes_every_column_with_type_and_rights(workbooks):
    fields = fields_of(workbooks)
    assert fields["name"]["required"] is True and fields["updated_at"]["is_updateable"] is False
    assert (fields[SYNC]["title"], fields[SYNC]["datatype"]) == ("Sync to Outreach", "boolean")


def test_a_custom_field_is_available_a_moment_after_its_create(workbooks):
    row = {"__method": "POST", "id": 0, "lock_version": 0, "title": "Outreach Tier", "data_type": "string"}
    row["resource_type"] = "Private::Crm::Organisation"
    made = workbooks.put([row], path="admin/custom_fields")["affected_objects"][0]
    assert (made["value_column_name"], made["status"]) == ("cf_organisation_outreach_tier", "Pending")
    assert made["value_column_name"] not in fields_of(workbooks)

    workbooks.world.advance(3)

    assert workbooks.list([], "admin/custom_fields")["data"][0]["status"] == "Available"
    assert made["value_column_name"] in fields_of(workbooks)
    id_ = add(workbooks.world, "Acme")[0]
    change = {"__method": "PUT", "id": id_, "lock_version": 0, made["value_column_name"]: "Gold"}
    assert workbooks.put([change], ("_strict_attribute_checking", "true"))["success"] is True
    assert workbooks.list([])["data"][0][made["value_column_name"]] == "Gold"
    again = workbooks.put([row], path="admin/custom_fields")
    assert again["success"] is False and "title" in again["affected_object_information"][0]["errors"]


def test_queues_name_the_users(workbooks):
    rows = workbooks.list([], "crm/organisation_queues")["data"]
    assert {"id", "name"} <= set(rows[0]) and "Jo Admin" in [row["name"] for row in rows]


# --- faults ------------------------------------------------------------------------------------------------------------
def test_a_delayed_read_is_answered_at_the_delaying_address(five):
    five.world.faults.add({"kind": "delay_redirect", "system": "workbooks", "times": 1})
    answer = five.call("crm/organisations", "GET", filters(("id", "eq", "1")))
    assert [r.status_code for r in answer.history] == [302]
    assert [row["name"] for row in answer.json()["data"]] == ["Acme"]


def test_a_delayed_write_is_answered_by_a_list_and_was_not_done(five):
    five.world.faults.add({"kind": "delay_redirect", "system": "workbooks", "times": 1})
    reply = five.put([{"__method": "PUT", "id": 1, "lock_version": 0, "industry": "X"}])
    assert "affected_objects" not in reply
    assert five.world.workbooks.get_record("organisations", 1)["industry"] == "Food"


def test_a_lost_session_a_moving_database_and_an_exception(five):
    faults = five.world.faults
    faults.add({"kind": "session_lost", "system": "workbooks", "times": 1})
    assert "<title>" in five.call("crm/organisations", "GET", []).text
    faults.add({"kind": "migrating", "system": "workbooks", "times": 1})
    moving = five.call("crm/organisations", "GET", [])
    assert (moving.status_code, moving.json()["failure_message"]) == (403, "database_being_migrated")
    faults.add({"kind": "status", "status": 500, "system": "workbooks", "times": 1})
    broken = five.call("crm/organisations", "GET", [])
    assert broken.status_code == 500 and broken.json()["exception"]
