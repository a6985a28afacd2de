"""Answers of every kind to the two connectors: what is a refusal of the record, what is trouble, what is in doubt."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from connectors.contract import All, Op, Position, Ref, Write
from connectors.contract import Test as Comparison
from connectors.errors import (
    MappingError,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
    Unreachable,
)
from connectors.http import HttpClient
from connectors.oauth import App, Tokens, TokenSource
from connectors.outreach.connector import OutreachConnector
from connectors.workbooks.connector import WorkbooksConnector
from tests.connectors.wire import HTML, Said, Script, Store

SECRETS = {"api_key": "11111-22222-33333", "access": "access-token-1", "refresh": "refresh-token-1", "client": "client-secret-1"}
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHOWN = "Mon Mar 02 09:00:00 UTC 2026"
EVERYTHING = Comparison("is_deleted", Op.FALSE)


def client(system, *answers):
    script = Script(*answers)
    return HttpClient(system, f"https://{system}.example", adapter=script, sleep=lambda s: None), script


def outreach(*answers, tokens=None):
    http, script = client("outreach", *answers)
    store = Store(tokens or Tokens(SECRETS["access"], SECRETS["refresh"]))
    return OutreachConnector(http, TokenSource(store, App("id", SECRETS["client"]), http)), script


def workbooks(*answers):
    http, script = client("workbooks", *answers)
    return WorkbooksConnector(http, SECRETS["api_key"]), script


def errors(code, **more):
    return {"errors": [{"id": code, "title": code, "detail": f"Because of {code}.", **more}]}


def account(id_=5, **attributes):
    return {"type": "account", "id": id_, "attributes": {"name": "Acme", "updatedAt": "2026-03-02T09:00:00.000Z", **attributes}}


UPDATE = Write("account", {"name": "Acme"}, key="u", ref=Ref("outreach", "account", "5"))
CREATE = Write("account", {"name": "Acme"}, key="c", marker="wb-3-1")


# --- Outreach ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [UPDATE, CREATE])
@pytest.mark.parametrize(
    "said", [Said(202, {}), Said(204), Said(200, HTML), Said(201, {"data": []}), Said(206, HTML), Said(304), Said(408, HTML)]
)
def test_an_answer_that_is_no_refusal_leaves_the_write_in_doubt(write, said):
    connector, _ = outreach(said)

    with pytest.raises(OutcomeUnknown) as caught:
        connector.write("account", [write])

    assert caught.value.may_have_happened


@pytest.mark.parametrize(
    "said", [Said(404, HTML), Said(403, HTML), Said(413, HTML), Said(404, {"message": "no"}), Said(400, {"errors": []})]
)
def test_a_gateways_refusal_is_trouble_of_the_connection_and_nothing_was_done(said):
    connector, _ = outreach(said)

    with pytest.raises(OutcomeUnknown) as caught:
        connector.write("account", [UPDATE])

    assert not caught.value.may_have_happened


def test_only_outreach_itself_says_that_a_record_is_gone():
    gone, _ = outreach(Said(404, errors("resourceNotFound")))
    no_route, _ = outreach(Said(404, errors("routeNotFound")))
    pointed_at, _ = outreach(Said(404, errors("resourceNotFound", source={"pointer": "/data/relationships/owner"})))

    assert isinstance(gone.write("account", [UPDATE])[0].error, RecordGone)
    assert type(gone.write("account", [CREATE])[0].error) is Rejected
    assert type(pointed_at.write("account", [UPDATE])[0].error) is Rejected
    with pytest.raises(OutcomeUnknown) as caught:
        no_route.write("account", [UPDATE])
    assert not caught.value.may_have_happened


def test_an_update_answered_with_another_record_is_in_doubt():
    connector, _ = outreach(Said(200, {"data": account(6)}))

    with pytest.raises(OutcomeUnknown) as caught:
        connector.write("account", [UPDATE])

    assert caught.value.may_have_happened


def test_a_read_that_came_of_a_redirected_update_is_no_proof_of_it():
    connector, script = outreach(Said(302, headers={"Location": "/api/v2/accounts/5"}), Said(200, {"data": account(5)}))

    with pytest.raises(OutcomeUnknown) as caught:
        connector.write("account", [UPDATE])

    assert caught.value.may_have_happened


def test_a_create_is_not_sent_again_after_a_redirect_to_a_log_in():
    connector, script = outreach(Said(302, headers={"Location": "/login"}), Said(401, HTML))

    with pytest.raises(OutcomeUnknown) as caught:
        connector.write("account", [CREATE])

    assert caught.value.may_have_happened and [r.method for r in script.requests] == ["POST", "GET"]


def test_every_page_of_a_sweep_asks_for_the_same_records():
    connector, script = outreach(Said(200, {"data": [account()], "links": {}}))
    where = All((Comparison("updatedAt", Op.GE, AT.replace(hour=1)), Comparison("name", Op.EQ, "Acme, Inc")))

    connector.changes("account", where=where, columns=["name"], position=Position(AT, "5"), before=AT.replace(hour=20))

    assert [p for p in script.query() if p[0].startswith("filter")] == [
        ("filter[name][]", "Acme, Inc"),
        ("filter[updatedAt][gte]", "2026-03-02T09:00:00.000Z"),
        ("filter[updatedAt][lte]", "2026-03-02T20:00:00.000Z"),
    ]


def test_a_page_with_a_record_that_has_no_place_in_the_order_does_not_end_the_sweep():
    connector, _ = outreach(Said(200, {"data": [account(5), account(6, updatedAt="soon")], "links": {"next": "/api/v2/accounts?page"}}))

    with pytest.raises(OutcomeUnknown):
        connector.changes("account", where=Comparison("updatedAt", Op.GE, None), columns=["name"])


def test_a_page_that_is_too_fat_is_halved_at_once_and_the_smallest_is_tried_again():
    connector, script = outreach(Said(502, HTML))

    with pytest.raises(ServerTrouble):
        connector.read("account", ["5"], ["name"])

    sizes = [dict(script.query(i))["page[size]"] for i in range(len(script.requests))]
    assert sizes == ["1000", "500", "250", "125", "62", "50", "50", "50"]


def test_trouble_with_the_token_leaves_no_write_in_doubt():
    expired = Tokens(SECRETS["access"], SECRETS["refresh"], datetime(2000, 1, 1, tzinfo=UTC))
    troubles = [Said(500), Said(502, HTML), Said(200, HTML), Said(503), Said(404, HTML), requests.exceptions.ReadTimeout("late")]
    for said in [*troubles, requests.exceptions.ConnectionError("reset")]:
        connector, script = outreach(said, tokens=expired)

        with pytest.raises((OutcomeUnknown, ServerTrouble)) as caught:
            connector.write("account", [CREATE])

        assert not caught.value.may_have_happened and len(script.requests) == 1

        connector, script = outreach(Said(401, {"error": "Invalid JWT token."}), said)
        with pytest.raises((OutcomeUnknown, ServerTrouble)) as caught:
            connector.write("account", [CREATE])
        assert not caught.value.may_have_happened and len(script.requests) == 2


@pytest.mark.parametrize("life", ["1e400", "1e300", "-5", "true", '"7200"', "null"])
def test_a_token_with_an_odd_life_is_kept_and_used(life):
    store = Store(Tokens("", SECRETS["refresh"]))
    http, _ = client("outreach", Said(200, f'{{"access_token": "new-token", "refresh_token": "r2", "expires_in": {life}}}'))

    assert TokenSource(store, App("id", SECRETS["client"]), http).token() == "new-token"
    assert store.tokens == Tokens("new-token", "r2")


def test_a_number_too_large_to_hold_is_damaged_text():
    connector, _ = outreach(Said(200, '{"data": [{"type": "account", "id": 5, "attributes": {"custom1": 1e400, "tags": ["a", -1e400]}}]}'))

    record = connector.read("account", ["5"], ["custom1"])[0]

    assert record.fields == {"custom1": "inf", "tags": ("a", "-inf")} and record.damaged == {"custom1", "tags"}


# --- Workbooks --------------------------------------------------------------------------------------------------


def rows(*rows_, **more):
    return {"data": list(rows_), "total": len(rows_), "success": True, **more}


def organisation(id_, **values):
    return {"id": id_, "lock_version": 1, "name": "Acme", "updated_at": SHOWN, "is_deleted": False, **values}


def update(id_):
    return Write("organisation", {"name": "Acme"}, key=str(id_), ref=Ref("workbooks", "organisation", str(id_)), version="1")


@pytest.mark.parametrize(
    "page",
    [
        [organisation(1), organisation(2, updated_at="soon")],
        [organisation(1), organisation(2, updated_at=None)],
        [organisation(1), None],
        [None],
        [organisation(1), "row"],
        [organisation(1), {"name": "without id"}],
    ],
)
def test_a_page_that_cannot_be_read_does_not_end_a_sweep(page):
    connector, _ = workbooks(Said(200, rows(*page)))

    with pytest.raises(OutcomeUnknown) as caught:
        connector.changes("organisation", where=EVERYTHING, columns=["name"], page_size=2)

    assert not caught.value.may_have_happened


def test_a_short_page_ends_the_sweep_whatever_its_last_time():
    connector, _ = workbooks(Said(200, rows(organisation(1, updated_at="soon"))))

    assert connector.changes("organisation", where=EVERYTHING, columns=["name"], page_size=2).position is None


@pytest.mark.parametrize(("said", "in_doubt"), [(Said(408, HTML), True), (Said(202, {}), True), (Said(204), True), (Said(200, HTML), True)])
def test_a_put_that_nobody_refused_is_in_doubt(said, in_doubt):
    connector, _ = workbooks(said)

    with pytest.raises(OutcomeUnknown) as caught:
        connector.write("organisation", [update(1), update(2)])

    assert caught.value.may_have_happened is in_doubt


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Said(404, HTML), OutcomeUnknown),
        (Said(403, HTML), OutcomeUnknown),
        (Said(400, HTML), OutcomeUnknown),
        (Said(404, {"success": False, "failure_message": "There is no controller."}), NeedsAttention),
        (Said(401, HTML), NeedsAttention),
        (Said(403, {"success": False, "failure_reason": "no_permission_for_api"}), NeedsAttention),
        (Said(403, {"success": False, "failure_reason": "database_being_migrated"}), ServerTrouble),
    ],
)
def test_a_refusal_that_names_no_row_is_trouble_of_the_connection_and_nothing_was_done(said, error):
    connector, _ = workbooks(said)

    with pytest.raises(error) as caught:
        connector.write("organisation", [update(1), update(2)])

    assert not caught.value.may_have_happened and caught.value.scope == "connection"


def sent_ids(request):
    return [value for name, value in parse_qsl(request.body) if name == "id[]"]


def refusing(bad, said):
    """Returns a server that refuses every call with one of the `bad` rows in it, and carries out all others."""

    def reply(request):
        ids = sent_ids(request)
        if set(ids) & bad:
            return said
        lines = [{"success": True, "errors": {}, "warnings": {}} for _ in ids]
        done = [{"id": int(i), "lock_version": 2} for i in ids]
        return Said(200, {"success": True, "affected_objects": done, "affected_object_information": lines})

    return reply


@pytest.mark.parametrize(
    "said", [Said(413, HTML), Said(406, {"success": False, "failure_message": "Inconsistent parameters."}), Said(422, {"success": False})]
)
def test_one_row_that_a_whole_call_is_refused_for_is_found_and_its_neighbours_go_through(said):
    connector, script = workbooks(refusing({"37"}, said))
    writes = [update(i) for i in range(1, 101)]

    results = connector.write("organisation", writes)

    assert [r.key for r in results] == [w.key for w in writes]
    assert {r.key for r in results if r.error} == {"37"} and type(results[36].error) is Rejected
    assert len(script.requests) < 20


def test_a_call_that_is_refused_whatever_it_holds_flags_nobody():
    connector, script = workbooks(Said(413, HTML))

    with pytest.raises(ServerTrouble) as caught:
        connector.write("organisation", [update(i) for i in range(1, 101)])

    assert not caught.value.may_have_happened and len(script.requests) < 20


def test_trouble_half_way_keeps_what_was_settled_and_says_what_was_never_sent():
    answers = [Said(413, HTML), refusing(set(), None), requests.exceptions.ReadTimeout("late")]
    connector, script = workbooks(Said(413, HTML), *answers)

    first, *others = connector.write("organisation", [update(i) for i in range(1, 5)])

    assert [sent_ids(r) for r in script.requests] == [["1", "2", "3", "4"], ["1", "2"], ["1"], ["2"]]
    assert first.error is None
    assert [r.error.may_have_happened for r in others] == [True, False, False]


def put_answer(*lines):
    affected = [{"id": i, "lock_version": 2} for i in range(1, len(lines) + 1)]
    return {"success": False, "affected_objects": affected, "affected_object_information": list(lines)}


def refused(**errors_):
    return {"success": False, "errors": errors_, "warnings": {}}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (refused(base=["Record 1 was not found."]), RecordGone),
        ({"success": False, "failures": ["Record 1 was not found."]}, RecordGone),
        ({"success": False, "failures": "The record does not exist."}, RecordGone),
        (refused(base=["Record 2 was not found."]), Rejected),
        (refused(base=["The picklist of industry was not found."]), Rejected),
        (refused(industry=["'Space' was not found in the picklist"]), Rejected),
        (refused(employer_link=["does not exist"]), Rejected),
        (refused(name=["Record 1 was not found."]), Rejected),
        (refused(base=["This record cannot be saved since it has already been updated elsewhere."]), StaleVersion),
        (refused(name=["'already been updated elsewhere' is a duplicate"]), Rejected),
        (refused(cf_x=["unknown attribute 'cf_x'"]), MappingError),
        (refused(name=["'Unknown attribute Ltd' is already used"]), Rejected),
    ],
)
def test_only_what_is_said_of_the_whole_record_means_that_it_is_gone_or_stale(line, error):
    connector, _ = workbooks(Said(200, put_answer(line, {"success": True})))

    first, second = connector.write("organisation", [update(1), update(2)])

    assert type(first.error) is error and second.error is None


def test_a_column_that_is_refused_is_named():
    connector, _ = workbooks(Said(200, put_answer(refused(cf_x=["unknown attribute 'cf_x'"]))))

    assert connector.write("organisation", [update(1)])[0].error.field == "cf_x"


def test_a_column_that_a_whole_put_is_refused_for_blames_no_row_and_costs_one_call():
    connector, script = workbooks(Said(200, {"success": False, "errors": {"[]": {"cf_x": "unknown attribute 'cf_x'"}}}))

    with pytest.raises(MappingError) as caught:
        connector.write("organisation", [update(1), update(2)])

    assert caught.value.field == "cf_x" and len(script.requests) == 1


def test_a_refusal_of_a_whole_put_blames_each_row_for_its_own_only():
    by_row = {"success": False, "affected_object_errors": [{"refcode": ["'A' is already used"]}, {"name": ["can't be blank"]}]}
    connector, _ = workbooks(Said(200, by_row))

    first, second = connector.write("organisation", [update(1), update(2)])

    assert first.error.detail == "refcode: 'A' is already used" and second.error.detail == "name: can't be blank"


def test_a_stale_row_that_fails_a_whole_put_is_found():
    stale = {"success": False, "failures": ["This record cannot be saved since it has already been updated elsewhere."]}
    connector, _ = workbooks(refusing({"2"}, Said(200, stale)))

    results = connector.write("organisation", [update(i) for i in range(1, 5)])

    assert [type(r.error) for r in results] == [type(None), StaleVersion, type(None), type(None)]


def test_new_rows_in_a_put_that_failed_without_naming_any_are_in_doubt():
    connector, script = workbooks(Said(200, {"success": False, "failures": ["Something failed."]}))
    creates = [Write("organisation", {"name": name}, key=name) for name in ("a", "b")]

    with pytest.raises(OutcomeUnknown) as caught:
        connector.write("organisation", creates)

    assert caught.value.may_have_happened and len(script.requests) == 1


def test_half_a_character_is_refused_for_its_record_alone():
    connector, script = workbooks(refusing(set(), None))
    bad = Write("organisation", {"name": "\ud800"}, key="bad", ref=Ref("workbooks", "organisation", "2"), version="1")

    results = connector.write("organisation", [update(1), bad])

    assert results[0].error is None and type(results[1].error) is Rejected and len(script.requests) == 1


# --- what a connection test says -----------------------------------------------------------------------------------

MAKERS = {"Workbooks": workbooks, "Outreach": outreach}
NOBODY = "Nothing answers at this address. Check the address, or whether the system is down."


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "said", [Said(404, HTML), Said(200, HTML), Said(404), Said(403, HTML), Said(302, headers={"Location": "https://b.example"})]
)
def test_a_test_against_another_web_server_says_so_once(name, said):
    connector, script = MAKERS[name](said)

    lines = connector.check()

    assert [line.sentence for line in lines] == [f"There is no {name} at this address (it answered {said.status}). Check the address."]
    assert not lines[0].is_ok


@pytest.mark.parametrize("name", MAKERS)
def test_a_test_where_nothing_listens_says_so_once(name):
    connector, _ = MAKERS[name](requests.exceptions.ConnectionError("NewConnectionError: Connection refused"))

    assert [line.sentence for line in connector.check()] == [NOBODY]


def test_a_test_whose_token_cannot_be_renewed_there_says_the_same():
    expired = Tokens(SECRETS["access"], SECRETS["refresh"], datetime(2000, 1, 1, tzinfo=UTC))
    elsewhere, _ = outreach(Said(404, HTML), tokens=expired)
    nowhere, _ = outreach(requests.exceptions.ConnectionError("Connection refused"), tokens=expired)

    assert elsewhere.check()[0].sentence == "There is no Outreach at this address (it answered 404). Check the address."
    assert [line.sentence for line in nowhere.check()] == [NOBODY]


def rights(**lacking):
    """Answers reads and the change of record 0, except where `lacking` names what Outreach says instead."""

    def answer(request):
        collection = urlsplit(request.url).path.split("/")[3]
        code = lacking.get(f"{request.method}_{collection}")
        if code:
            return Said(403, errors(code))
        return Said(404, errors("resourceNotFound")) if request.method == "PATCH" else Said(200, {"data": []})

    return answer


def test_each_missing_right_is_named_with_who_can_give_it_and_the_others_are_tried():
    connector, script = outreach(rights(GET_accounts="unauthorizedOauthScope", PATCH_accounts="unauthorizedRequest"))

    lines = {line.name: line for line in connector.check()}

    assert [name for name, line in lines.items() if not line.is_ok] == ["Read accounts", "Write accounts"]
    assert "scope accounts.read" in lines["Read accounts"].remedy and "press Reconnect" in lines["Read accounts"].remedy
    assert "Outreach administrator" in lines["Write accounts"].remedy and "Reconnect" not in lines["Write accounts"].remedy
    changes = [(urlsplit(r.url).path, r.body) for r in script.requests if r.method != "GET"]
    assert {path for path, _ in changes} == {"/api/v2/accounts/0", "/api/v2/prospects/0"}
    assert all(json.loads(body)["data"]["attributes"] == {} for _, body in changes)


def test_scopes_that_were_not_granted_are_named_without_a_call():
    http, script = client("outreach", rights())
    source = TokenSource(Store(Tokens(SECRETS["access"])), App("id", SECRETS["client"]), http)
    connector = OutreachConnector(http, source, granted_scope="accounts.all prospects.read")

    lines = {line.name: line for line in connector.check()}

    assert [name for name, line in lines.items() if not line.is_ok] == ["Write prospects", "Read users"]
    assert not [r for r in script.requests if "users" in r.url]


def test_a_right_that_only_an_undo_needs_is_a_warning():
    http, _ = client("outreach", rights())
    source = TokenSource(Store(Tokens(SECRETS["access"])), App("id", SECRETS["client"]), http)
    granted = "accounts.read accounts.write prospects.all users.read"

    line = OutreachConnector(http, source, granted_scope=granted).check()[-1]

    assert (line.name, line.is_ok, line.is_warning) == ("Delete accounts", True, True) and "Undo" in line.sentence


def about(class_name, **row):
    return Said(200, {"success": True, "data": [{"class_name": class_name, **row}]})


@pytest.mark.parametrize(
    ("row", "is_ok", "is_warning"),
    [
        ({"actions": [{"name": "update", "permitted": True}], "fields": [{"name": "name", "is_updateable": True}]}, True, False),
        ({"actions": [{"name": "update", "permitted": False}], "fields": [{"name": "name", "is_updateable": True}]}, False, False),
        ({"actions": [], "fields": [{"name": "name", "is_updateable": False}]}, False, False),
        ({"fields": [{"name": "name", "is_updateable": True}]}, True, True),
    ],
)
def test_workbooks_change_rights_are_read_from_its_metadata_and_never_tried(row, is_ok, is_warning):
    rows = Said(200, {"success": True, "data": []})
    connector, script = workbooks(rows, rows, about("Private::Crm::Organisation", **row), about("Private::Crm::Person", **row))

    lines = connector.check()

    assert [(line.is_ok, line.is_warning) for line in lines[2:]] == [(is_ok, is_warning)] * 2
    assert ("Workbooks administrator" in lines[2].remedy) is not is_ok
    assert not [r for r in script.requests if "_method=GET" not in r.body]


@pytest.mark.parametrize(
    ("said", "sentence", "is_warning"),
    [
        (Said(200, {"success": True, "data": []}), "There is none.", False),
        (Said(200, {"success": True, "data": [{"name": "Outreach Send/Receive", "enabled": True}]}), "It is active.", True),
        (Said(200, {"success": True, "data": [{"name": "Outreach Send/Receive"}]}), "It is active.", True),
        (Said(200, {"success": True, "data": [{"name": "Outreach Send/Receive", "enabled": False}]}), "switched off", False),
        (Said(200, {"success": True, "data": [{"name": "Outreach Send/Receive", "status": "Disabled"}]}), "switched off", False),
        (Said(404, {"success": False}), "Could not be looked at", True),
    ],
)
def test_the_vendors_own_process_is_looked_for(said, sentence, is_warning):
    connector, _ = workbooks(said)

    (line,) = connector.rivals("wb-3-")

    assert sentence in line.sentence and line.is_warning is is_warning and line.is_ok
    assert ("Workbooks administrator" in line.remedy) is is_warning


def an_account(id_, mapping=None, **attributes):
    relationships = {"defaultPluginMapping": {"data": mapping}}
    return {"type": "account", "id": id_, "attributes": {"name": f"Account {id_}", **attributes}, "relationships": relationships}


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (an_account(1, {"type": "pluginMapping", "id": 9}), "linked by a CRM plugin"),
        (an_account(1, customId="0015000000Gv7qJ"), "another program's key"),
        (an_account(1, externalSource="salesforce"), "another program's key"),
        (an_account(1, customId="wb-3-226", externalSource="outreach-api"), "None of the 1"),
    ],
)
def test_another_engines_marks_on_accounts_are_warned_of(account, said):
    connector, _ = outreach(Said(200, {"data": [account]}))

    (line,) = connector.rivals("wb-3-")

    assert said in line.sentence and line.is_warning is ("None of" not in said)


def test_whom_a_system_takes_us_for():
    crm, _ = workbooks(Said(200, {"person_name": "Jo", "database_name": "Acme Live", "logical_database_id": 3}))
    peer, _ = outreach(Said(200, {"data": {"attributes": {"organisation": "Acme"}}}))
    shapeless, _ = outreach(Said(200, {"data": [], "meta": {}}))

    assert (str(crm.identity()), crm.identity().organisation_id) == ("Jo at Acme Live", "3")
    assert (str(peer.identity()), str(shapeless.identity())) == ("Acme", "")


# --- tokens lost in between ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [requests.exceptions.ReadTimeout("late"), Said(502), Said(200, HTML)])
def test_a_renewal_whose_answer_was_lost_is_told_from_a_refusal(lost):
    refused = Said(400, {"error": "invalid_grant"})
    store = Store(Tokens("", SECRETS["refresh"]))
    http, script = client("outreach", lost, refused, refused)
    source = TokenSource(store, App("id", SECRETS["client"]), http)

    with pytest.raises((OutcomeUnknown, ServerTrouble)):
        source.token()
    for _ in range(2):  # and it is still said at the next try
        with pytest.raises(NeedsAttention, match="lost on its way to us; reconnect it"):
            source.token()


def test_a_renewal_that_never_reached_the_endpoint_is_no_loss():
    store = Store(Tokens("", SECRETS["refresh"]))
    nothing = requests.exceptions.ConnectionError("NewConnectionError: Connection refused")
    http, _ = client("outreach", nothing, Said(400, {"error": "invalid_grant"}))
    source = TokenSource(store, App("id", SECRETS["client"]), http)

    with pytest.raises(Unreachable):
        source.token()
    with pytest.raises(NeedsAttention, match=r"refused to renew our access \(invalid_grant\); reconnect it"):
        source.token()


def test_a_token_is_renewed_before_its_time_when_asked():
    store = Store(Tokens(SECRETS["access"], SECRETS["refresh"], datetime(2999, 1, 1, tzinfo=UTC)))
    http, script = client("outreach", Said(200, {"access_token": "new-token", "refresh_token": "r2", "expires_in": 7200}))
    source = TokenSource(store, App("id", SECRETS["client"]), http)

    source.keep_alive()

    assert (store.tokens.refresh_token, source.token(), len(script.requests)) == ("r2", "new-token", 1)


def test_without_a_refresh_token_nothing_is_asked():
    http, script = client("outreach", Said(500))

    with pytest.raises(NeedsAttention, match="press Connect"):
        TokenSource(Store(Tokens("")), App("id", SECRETS["client"]), http).token()
    assert not script.requests


def test_a_test_that_meets_a_busy_system_says_so_once():
    connector, _ = workbooks(Said(429, headers={"Retry-After": "30"}))

    assert [line.sentence for line in connector.check()] == ["Workbooks: allows no more calls just now; waits 30 s. Test again then."]


# --- secrets ---------------------------------------------------------------------------------------------------------


def echo(request):
    """A server that throws back at us whatever it got."""
    said = f"{request.headers} {request.body} {request.url}"
    return Said(400, {"success": False, "failure_message": said, "error": said, **errors("validationError", detail=said)})


def texts(error):
    shown = error.exchange
    return [str(error), repr(error), error.sentence, error.code, shown.url, shown.request_body, shown.response_body, repr(shown)]


def test_no_error_and_no_exchange_shows_a_secret():
    crm, _ = workbooks(echo)
    peer, _ = outreach(echo)
    renewing, _ = outreach(echo, tokens=Tokens("", SECRETS["refresh"]))
    results = [crm.write("organisation", [update(1)])[0].error, peer.write("account", [UPDATE])[0].error]
    with pytest.raises(NeedsAttention) as caught:
        renewing.write("account", [UPDATE])

    shown = [text for error in (*results, caught.value) for text in texts(error)]

    assert not [(text, secret) for text in shown for secret in SECRETS.values() if secret in text]


def test_what_holds_a_secret_does_not_show_it():
    tokens, app = Tokens(SECRETS["access"], SECRETS["refresh"]), App("id", SECRETS["client"])
    http, _ = client("outreach", Said(200, {"access_token": SECRETS["access"]}, {"Set-Cookie": SECRETS["refresh"]}))
    got = http.request("POST", "/oauth/token", template="/oauth/token", is_read=False, form=[("client_secret", SECRETS["client"])])
    source = TokenSource(Store(tokens), app, http)

    shown = " ".join(map(repr, (tokens, app, got, http, http.redact, source, workbooks(Said())[0], outreach(Said())[0])))

    assert not [secret for secret in SECRETS.values() if secret in shown]


def test_a_busy_token_endpoint_holds_the_run_and_nothing_else():
    connector, _ = outreach(Said(429, headers={"Retry-After": "30"}), tokens=Tokens("", SECRETS["refresh"]))

    with pytest.raises(RateLimited) as caught:
        connector.write("account", [CREATE])

    assert not caught.value.may_have_happened
