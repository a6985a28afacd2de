"""The rest of Salesforce: connection test, who we are, rivals, list views, the log, and records that others took the place of."""

import re
from datetime import timedelta

import pytest
import requests

from connectors.contract import Fate, Ref, Survivor
from connectors.errors import NeedsAttention, OutcomeUnknown, Rejected
from connectors.grants import ClientCredentialsGrant, JwtGrant, RefreshGrant
from connectors.http import HttpClient
from connectors.oauth import Tokens, authorize_url
from connectors.registry import Access, consent_of, open_connector
from connectors.salesforce.login import PRODUCTION, TEST, app_of, audience_of, grant_of, login_address
from connectors.salesforce.rights import EMAIL, EMAIL_FIELDS, WANTED
from connectors.salesforce.scopes import missing
from connectors.salesforce.settings import SalesforceSettings
from tests.connectors.salesforce_wire import (
    AT,
    HOME,
    IDENTITY,
    LOGIN,
    ROOT,
    SECRETS,
    TOKEN_ROUTE,
    Org,
    error,
    given,
    id18,
    page,
    row,
    salesforce,
)
from tests.connectors.wire import HTML, Said, Store

# --- connection test ------------------------------------------------------------------------------------------------------

VERSIONS = Said(200, [{"label": "x", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in range(59, 69)])
NAMES = {name for want in WANTED for name in want.fields} | {*EMAIL_FIELDS}
KEY = {"name": "Sync_Key__c", "type": "string", "externalId": True, "unique": True, "length": 100, "createable": True}


def described(*, hidden=(), key=KEY, **flags):
    fields = [{"name": name, "type": "string"} for name in NAMES if name not in hidden] + ([key] if key else [])
    return Said(200, {"queryable": True, "createable": True, "updateable": True, "fields": fields, **flags})


def rights(**changed):
    routes = {"GET /": Said(200, {"sobjects": "x", "identity": IDENTITY}), "GET /services/data": VERSIONS}
    routes |= {f"GET /sobjects/{name}/describe": described() for name in ("Contact", "Lead", "Account", "User", "Task", EMAIL)}
    return routes | {(f"GET /sobjects/{name}/describe" if name.isalpha() else name): said for name, said in changed.items()}


def lines_of(routes, **options):
    sf, org = salesforce(routes, **options)
    lines = {line.name: line for line in sf.check()}
    assert all(request.method == "GET" for request in org.requests)  # nothing is written to find out
    return lines, org


def test_a_connection_with_all_rights_has_a_good_line_for_each_and_asks_each_object_once():
    lines, org = lines_of(rights())

    objects = [f"{what} {noun}" for noun in ("contacts", "leads", "accounts") for what in ("Read", "Create and change", "Key of")]
    tasks = [f"{what} tasks" for what in ("Read", "Create and change", "Key of")]
    assert list(lines) == ["Use the API", "API version", *objects, "Read users", *tasks, "Create e-mails"]
    assert all(line.is_ok and not line.is_warning and line.sentence for line in lines.values()) and len(org.calls) == 8


def test_what_only_activities_need_is_a_warning():
    lines, _ = lines_of(rights(Task=described(createable=False, hidden=("WhoId",))))

    told = {name: line for name, line in lines.items() if line.is_warning}
    assert all(line.is_ok for line in lines.values()) and set(told) == {"Read tasks", "Create and change tasks"}
    assert all("only where activities of Outreach are synced" in line.sentence and line.remedy for line in told.values())


@pytest.mark.parametrize(
    ("answer", "said", "is_warning"),
    [
        (described(), "may create e-mails; they are recognised by Sync_Key__c", False),
        (described(key=None), "looked for by their Message-ID before they are made", False),
        (
            described(createable=False),
            "may not create e-mails. Where e-mails of mailboxes are saved, a completed task stands for each",
            True,
        ),
        (error("NOT_FOUND", status=404), "sees no e-mails there. Where e-mails of mailboxes are saved, a completed task", True),
        (described(hidden=("MessageIdentifier",)), "may not see MessageIdentifier of e-mails", True),
        (Said(503, HTML), "Could not be looked at", True),
    ],
)
def test_s4_19_a_test_says_whether_our_user_may_create_e_mails(answer, said, is_warning):
    lines, _ = lines_of(rights(EmailMessage=answer))

    line = lines["Create e-mails"]
    assert line.is_ok and line.is_warning == is_warning == bool(line.remedy) and said in line.sentence, line


def test_each_missing_right_is_named_with_who_can_give_it():
    lines, _ = lines_of(
        rights(
            Contact=described(hidden=("Email", "AccountId")),
            Lead=described(createable=False),
            Account=described(createable=False, updateable=False),
            User=error("NOT_FOUND", status=404),
        )
    )

    bad = {name: line for name, line in lines.items() if not line.is_ok}
    assert list(bad) == ["Read contacts", "Create and change leads", "Create and change accounts", "Read users"]
    assert "Email, AccountId of contacts" in bad["Read contacts"].sentence and "Field-Level Security" in bad["Read contacts"].remedy
    assert (
        bad["Create and change leads"].sentence == "Our user may not create leads."
        and "Create on Lead" in bad["Create and change leads"].remedy
    )
    assert bad["Create and change accounts"].sentence == "Our user may not create or change accounts."
    assert "Read on User" in bad["Read users"].remedy and all("Salesforce administrator" in line.remedy for line in bad.values())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "There is no field Sync_Key__c for contacts"),
        ({**KEY, "externalId": False}, "is no External ID"),
        ({**KEY, "unique": False, "length": 18}, "is not unique, is shorter than 100 characters"),
        ({**KEY, "createable": False}, "may not be written by our user"),
    ],
)
def test_a_key_field_that_is_missing_or_wrong_is_shown_with_its_exact_definition(key, said):
    lines, _ = lines_of(rights(Contact=described(key=key)))

    line = lines["Key of contacts"]
    assert line.is_ok and line.is_warning and said in line.sentence
    for part in (
        "Object Manager, Contact",
        "Text",
        "length 255",
        "“Sync Key”",
        "“Sync_Key”",
        "Sync_Key__c",
        "case insensitive",
        "External ID",
    ):
        assert part in line.remedy


def test_without_the_name_of_a_key_field_the_weaker_guarantee_is_said():
    lines, _ = lines_of(rights(), settings={"external_id_field": ""})

    assert lines["Key of leads"].is_warning and "weaker guarantee" in lines["Key of leads"].sentence


@pytest.mark.parametrize(
    ("routes", "settings", "name", "said", "remedy"),
    [
        ({"GET /": error("API_DISABLED_FOR_ORG", status=403)}, {}, "Use the API", "does not let our user use its API", "API Enabled"),
        (
            {"GET /": Said(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Connected app is not attached to Agent"}])},
            {},
            "Use the API",
            "refuses",
            "Reconnect",
        ),
        ({"GET /": requests.exceptions.ConnectionError("NewConnectionError: refused")}, {}, "Use the API", "Nothing answers", ""),
        ({"GET /": Said(404, HTML)}, {}, "Use the API", "There is no Salesforce at this address", ""),
        ({}, {"api_version": "70.0"}, "API version", "Version 70.0 is not there; the latest is 68.0", "another API version"),
        ({"GET /services/data": Said(200, [])}, {}, "API version", "Version 66.0 is not there", "another API version"),
        ({"GET /services/data": Said(200, {})}, {}, "API version", "There is no Salesforce", ""),
    ],
)
def test_a_test_that_gets_no_further_ends_with_one_line_that_says_why(routes, settings, name, said, remedy):
    lines, _ = lines_of(rights(**routes), settings=settings)

    line = list(lines.values())[-1]
    assert line.name == name and not line.is_ok and said in line.sentence and remedy in line.remedy and "Read contacts" not in lines


def test_trouble_in_the_middle_of_a_test_is_said_once():
    lines, org = lines_of(rights(Lead=Said(503, HTML)))

    assert list(lines)[-1] == "Read leads" and not lines["Read leads"].is_ok


def test_scopes_that_were_not_granted_are_named():
    lines, _ = lines_of(rights(), granted_scope="openid api")

    assert list(lines)[0] == "Use the API" and "refresh_token" in lines["Use the API"].remedy and not lines["Use the API"].is_ok
    assert [[s.name for s in missing(granted)] for granted in ("", "full offline_access", "id")] == [[], [], ["api", "refresh_token"]]


# --- who we are, and who else is there ---------------------------------------------------------------------------------------


def test_whom_salesforce_takes_us_for_needs_no_call_beyond_the_users_name():
    sf, org = salesforce({"GET /query": page(row(1, "User", Username="jo@acme.example"))})

    found = sf.identity()

    assert str(found) == "jo@acme.example at acme.my.salesforce.com" and org.calls == ["GET /query"]
    assert (found.organisation_id, found.user_id) == ("00DAA00000000012AA", "005AA0000000001YAA")


@pytest.mark.parametrize("said", ["", None, "https://x/id/1/2", f"{LOGIN}/id/00DAA0000000001/005'"])
def test_an_interface_that_does_not_say_who_we_are_is_not_guessed_at(said):
    sf, _ = salesforce({"GET /": Said(200, {"identity": said})}, tokens=Tokens(SECRETS["access"], "r", address=HOME))

    with pytest.raises(OutcomeUnknown):
        sf.identity()


def test_without_an_identity_with_the_token_the_interface_is_asked():
    sf, org = salesforce(
        {"GET /": Said(200, {"identity": IDENTITY}), "GET /query": page()}, tokens=Tokens(SECRETS["access"], "r", address=HOME)
    )

    assert sf.identity().user_id == "005AA0000000001YAA" and org.calls == ["GET /", "GET /query"]


def changed_by(number, name, **fields):
    return row(number, LastModifiedById=id18(9, "005"), LastModifiedBy={"attributes": {"type": "User"}, "Name": name}, **fields)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([changed_by(1, "Outreach Integration")], "1 of the 1 contacts changed last were changed by “Outreach Integration”"),
        ([changed_by(1, "Jo"), changed_by(2, "Jo", Sync_Key__c="hs-5")], "1 of the 2 contacts changed last carry another program's key"),
        ([changed_by(1, "Jo", Sync_Key__c="out-1-5"), row(2, LastModifiedBy={"Name": "Outreach Sync (us)"})], "None of the 2 contacts"),
        ([], "None of the 0 contacts"),
    ],
)
def test_another_engines_work_is_warned_of(rows, said):
    sf, org = salesforce({"GET /query": [page(*rows), page()]})

    contacts, leads = sf.rivals("out-1-")

    assert said in contacts.sentence and contacts.is_ok and contacts.is_warning is ("None" not in said)
    assert org.soql(0).endswith("FROM Contact ORDER BY SystemModstamp DESC LIMIT 200") and "leads" in leads.sentence


def test_rivals_that_cannot_be_looked_for_are_no_failure():
    sf, _ = salesforce({"GET /query": error("INVALID_FIELD", "No such column 'Sync_Key__c' on entity 'Contact'.")})

    assert [(line.is_ok, line.is_warning) for line in sf.rivals("out-1-")] == [(True, True)] * 2


def test_addresses_of_pages():
    sf, _ = salesforce({}, page_address_template="https://acme.lightning.force.com/lightning/r/{object}/{id}/view")

    assert sf.web_url(Ref("salesforce", "Lead", id18(1, "00Q"))).endswith(f"/r/Lead/{id18(1, '00Q')}/view")
    assert salesforce({})[0].web_url(Ref("salesforce", "Lead", "x")) == ""


def test_a_refresh_token_is_kept_alive_by_using_it():
    sf, org = salesforce({TOKEN_ROUTE: given("00D!new-access", refresh_token="refresh-2")})

    sf.keep_alive()

    assert org.calls == [TOKEN_ROUTE] and org.store.tokens.refresh_token == "refresh-2"


# --- what took whose place ----------------------------------------------------------------------------------------------------


def ref(number, type_="Contact"):
    return Ref("salesforce", type_, id18(number, {"Contact": "003", "Lead": "00Q"}[type_]))


def test_a_chain_of_merges_is_followed_to_the_record_that_lives():
    first = page(
        row(1, IsDeleted=True, MasterRecordId=id18(2)), row(4), row(5, IsDeleted=True), row(6, IsDeleted=True, MasterRecordId=id18(7))
    )
    second = page(row(2, IsDeleted=True, MasterRecordId=id18(3)), row(7, IsDeleted=True))
    sf, org = salesforce({"GET /queryAll": [first, second, page(row(3))]})

    found = sf.survivors("Contact", [id18(1), "003000000000004", id18(5), id18(6), id18(8), "no id"])

    assert found == {
        id18(1): Survivor(Fate.MERGED, ref(3)),
        "003000000000004": Survivor(Fate.LIVING, ref(4)),
        id18(5): Survivor(Fate.DELETED),
        id18(6): Survivor(Fate.MERGED),
        id18(8): Survivor(Fate.UNKNOWN),
        "no id": Survivor(Fate.UNKNOWN),
    }
    assert org.calls == ["GET /queryAll"] * 3 and {id18(2), id18(7)} == set(re.findall(r"'(\w{18})'", org.soql(1)))


def test_a_converted_lead_is_followed_to_its_contact_and_further():
    leads = page(row(1, "Lead", IsConverted=True, ConvertedContactId=id18(2)), row(3, "Lead", IsConverted=True, ConvertedContactId=None))
    contacts = [page(row(2, IsDeleted=True, MasterRecordId=id18(4))), page(row(4))]
    sf, org = salesforce({"GET /queryAll": [leads, *contacts]})

    found = sf.survivors("Lead", [id18(1, "00Q"), id18(3, "00Q")])

    assert found[id18(1, "00Q")] == Survivor(Fate.CONVERTED, ref(4)) and found[id18(3, "00Q")] == Survivor(Fate.LIVING, ref(3, "Lead"))


def test_a_circle_of_merges_ends():
    circle = page(row(1, MasterRecordId=id18(2)), row(2, MasterRecordId=id18(1)))
    sf, org = salesforce({"GET /queryAll": circle})

    assert sf.survivors("Contact", [id18(1), id18(2)])[id18(1)] == Survivor(Fate.MERGED) and len(org.calls) == 1


# --- the log ------------------------------------------------------------------------------------------------------------------


def test_the_log_of_deletions_says_where_to_go_on_and_whether_it_reaches_back():
    body = {
        "deletedRecords": [{"id": "003000000000001", "deletedDate": "2026-11-01T00:10:00.000+0000"}],
        "earliestDateAvailable": "2026-10-18T07:12:00.000+0000",
        "latestDateCovered": "2026-11-01T09:59:00.000+0000",
    }
    sf, org = salesforce({"GET /sobjects/Contact/deleted/": Said(200, body)})

    whole = sf.deleted("Contact", AT - timedelta(days=1), AT)
    trimmed = sf.deleted("Contact", AT - timedelta(days=15), AT)

    assert whole.refs == (ref(1),) and whole.until == AT - timedelta(minutes=1) and (whole.is_whole, trimmed.is_whole) == (True, False)
    assert (
        org.asked(0) == {"start": "2026-10-31T10:00:00+00:00", "end": "2026-11-01T10:00:00+00:00"} and "%2B00%3A00" in org.requests[0].url
    )


@pytest.mark.parametrize("code", ["INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"])
def test_a_log_that_cannot_tell_is_not_taken_for_an_empty_one(code):
    sf, _ = salesforce({"GET /sobjects/Contact/deleted/": error(code), "GET /sobjects/Contact/updated/": error(code)})

    for feed in (sf.deleted("Contact", AT - timedelta(days=40), AT), sf.updated("Contact", AT - timedelta(days=40), AT)):
        assert (feed.refs, feed.until, feed.is_whole) == ((), None, False)


def test_the_log_of_changes_and_its_shortest_stretch():
    body = {"ids": [id18(1), id18(1), id18(2)], "latestDateCovered": "2026-11-01T09:59:00.000+0000"}
    sf, _ = salesforce({"GET /sobjects/Contact/updated/": Said(200, body)})

    assert sf.updated("Contact", AT - timedelta(hours=1), AT).refs == (ref(1), ref(2))
    with pytest.raises(ValueError):
        sf.updated("Contact", AT - timedelta(seconds=59), AT)


@pytest.mark.parametrize(
    "body", [{}, {"ids": None}, {"ids": ["x"], "latestDateCovered": "2026-11-01T09:59:00.000+0000"}, {"ids": []}, [], HTML]
)
def test_a_log_that_cannot_be_read_is_no_empty_one(body):
    sf, _ = salesforce({"GET /sobjects/Contact/updated/": Said(200, body)})

    with pytest.raises(OutcomeUnknown):
        sf.updated("Contact", AT - timedelta(hours=1), AT)


# --- list views ----------------------------------------------------------------------------------------------------------------

VIEW = "00BAA00000000012AA"
MINE = (
    "SELECT name, toLabel(status), id FROM Contact USING SCOPE mine WHERE email != null ORDER BY Name ASC NULLS FIRST, Id ASC NULLS FIRST"
)
DESCRIBE = f"GET /sobjects/Contact/listviews/{VIEW}/describe"
LINK = f"{ROOT}/query/01gAA0000000001YAA-2"


def views(*rows, following=None):
    return Said(
        200, {"done": following is None, "size": len(rows), "nextRecordsUrl": following, "sobjectType": "Contact", "listviews": list(rows)}
    )


def view(id_=VIEW, **more):
    return {"id": id_, "developerName": "MyContacts", "label": "My Contacts", "soqlCompatible": True, **more}


def test_list_views_are_listed_over_all_pages():
    second = f"{ROOT}/sobjects/Contact/listviews/page2"
    routes = {
        "GET /sobjects/Contact/listviews": views(view(), following=second),
        "GET /sobjects/Contact/listviews/page2": views(view("00B000000000002", soqlCompatible=False)),
    }
    sf, _ = salesforce(routes)

    assert [(v.id, v.title, v.is_usable) for v in sf.views("Contact")] == [
        (VIEW, "My Contacts", True),
        ("00B000000000002EAA", "My Contacts", False),
    ]


@pytest.mark.parametrize(
    "said",
    [
        views({"label": "no id"}),
        views(None),
        views(view(), following=f"{ROOT}/sobjects/Contact/listviews"),
        views(following="/x"),
        Said(200, []),
    ],
)
def test_views_that_cannot_be_read_are_not_taken_for_none(said):
    sf, _ = salesforce({"GET /sobjects/Contact/listviews": said})

    with pytest.raises(OutcomeUnknown):
        sf.views("Contact")


def test_the_records_of_a_view_are_found_by_its_own_query_and_lost_places_by_asking_anew():
    gone = error("INVALID_QUERY_LOCATOR", status=404)
    first = page({"Id": id18(1)}, following=LINK)
    sf, org = salesforce(
        {
            DESCRIBE: Said(200, {"query": MINE}),
            "GET /query": first,
            "GET /query/01gAA0000000001YAA-2": [gone, page({"Id": "003000000000002"})],
        }
    )

    assert sf.ids_in_view("Contact", "00BAA0000000001") == [id18(1), id18(2)]
    assert org.soql(1) == "SELECT Id FROM Contact USING SCOPE mine WHERE email != null"


def test_a_view_whose_place_is_always_lost_is_given_up():
    gone = error("INVALID_QUERY_LOCATOR", status=404)
    sf, org = salesforce(
        {DESCRIBE: Said(200, {"query": MINE}), "GET /query": page({"Id": id18(1)}, following=LINK), "GET /query/01gAA0000000001YAA-2": gone}
    )

    with pytest.raises(OutcomeUnknown):
        sf.ids_in_view("Contact", VIEW)
    assert len(org.calls) == 7


@pytest.mark.parametrize(
    ("view_id", "query", "kind"), [("x' OR", MINE, Rejected), (VIEW, "SELECT id FROM Lead", Rejected), (VIEW, None, OutcomeUnknown)]
)
def test_a_view_that_cannot_be_asked_is_refused(view_id, query, kind):
    sf, _ = salesforce({DESCRIBE: Said(200, {"query": query})})

    with pytest.raises(kind):
        sf.ids_in_view("Contact", view_id)


# --- logging in, settings, registry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address", "audience"),
    [
        ("production", PRODUCTION, PRODUCTION),
        ("test", TEST, TEST),
        ("acme", "https://acme.my.salesforce.com", PRODUCTION),
        ("acme--uat.sandbox", "https://acme--uat.sandbox.my.salesforce.com", TEST),
        (" acme.my.salesforce.com/ ", "https://acme.my.salesforce.com", PRODUCTION),
        ("http://127.0.0.1:8903/", "http://127.0.0.1:8903", "http://127.0.0.1:8903"),
    ],
)
def test_where_people_log_in_and_whom_an_assertion_is_for(host, address, audience):
    assert login_address(host) == address and audience_of(address) == audience


def test_the_consent_page_gets_scopes_and_a_challenge_at_salesforces_own_path():
    consent = consent_of("salesforce")

    url = authorize_url(PRODUCTION, consent.app_of({"client_id": "c 1"}, "https://here/back"), scope=consent.scope, state="s", verifier="v")

    assert url.startswith("https://login.salesforce.com/services/oauth2/authorize?client_id=c+1&redirect_uri=https%3A%2F%2Fhere%2Fback&")
    assert "scope=api+refresh_token" in url and "code_challenge_method=S256" in url
    with pytest.raises(NeedsAttention):
        consent_of("workbooks")


def test_a_code_goes_with_its_redirect_uri_and_a_secret_only_where_there_is_one():
    code = {"grant_type": "authorization_code", "code": "c", "code_verifier": "v"}

    assert app_of({"client_id": "i"}, "https://here/back").form(code) == {**code, "client_id": "i", "redirect_uri": "https://here/back"}


def test_each_way_to_log_in_asks_for_what_it_needs():
    app = {"client_id": "i", "client_secret": "s"}
    jwt = {"flow": "jwt", "jwt_user": "jo@acme.example"}

    assert isinstance(grant_of(app, {}, PRODUCTION), RefreshGrant)
    assert isinstance(grant_of(app, {"flow": "client_credentials"}, HOME), ClientCredentialsGrant)
    assert grant_of({**app, "jwt_key": "k"}, jwt, TEST) == JwtGrant("i", "jo@acme.example", TEST, "k")
    assert grant_of({**app, "jwt_key": "k"}, {**jwt, "jwt_audience": "https://x"}, TEST).audience == "https://x"
    for secrets, settings, login in (
        (app, jwt, TEST),
        (app, {"flow": "client_credentials"}, TEST),
        (app, {"flow": "client_credentials"}, PRODUCTION + "/"),
        ({}, {"flow": "client_credentials"}, HOME),
        (app, {"flow": "password"}, HOME),
    ):
        with pytest.raises(NeedsAttention):
            grant_of(secrets, settings, login)


def test_settings_are_those_of_the_connection_and_wrong_ones_are_told():
    given_ = {"lookup_size": "50", "assigns_leads": "yes", "without_external_id": ["Lead"], "organisation": "Acme", "lock_wait": None}

    settings = SalesforceSettings.of(given_)

    assert (settings.lookup_size, settings.assigns_leads, settings.without_external_id, settings.lock_wait) == (50, False, ("Lead",), 0.5)
    assert settings.marker_field("Contact") == "Sync_Key__c" and settings.marker_field("Lead") == ""
    for wrong in (
        {"api_version": "latest"},
        {"api_version": "66"},
        {"lookup_size": "many"},
        {"without_external_id": 5},
        {"update_size": 25},
        {"concurrency": 0},
    ):
        with pytest.raises(NeedsAttention):
            SalesforceSettings.of(wrong)


@pytest.mark.parametrize(
    ("settings", "secrets", "grant_type"),
    [
        ({}, {}, "refresh_token"),
        ({"flow": "client_credentials"}, {}, "client_credentials"),
    ],
)
def test_the_registry_opens_a_connector_that_logs_in_where_people_do_and_works_where_its_token_says(settings, secrets, grant_type):
    org = Org({TOKEN_ROUTE: given("00D!new-access"), "GET /query": page()})
    access = Access(
        open_http=lambda address: HttpClient("salesforce", address, adapter=org),
        store=Store(Tokens("", "refresh-1")),
        base_url="https://acme.my.salesforce.com",
        login_url="https://acme--login.my.salesforce.com",
        secrets={"client_id": "i", "client_secret": "secret-1", **secrets},
        settings=settings,
        may_reach=lambda host: host.endswith(".salesforce.com"),
    )

    open_connector("salesforce", access).read("Contact", [id18(1)], [])

    assert [r.url.partition("?")[0] for r in org.requests] == [
        "https://acme--login.my.salesforce.com/services/oauth2/token",
        f"{HOME}{ROOT}/query",
    ]
    assert dict(org.form(0))["grant_type"] == grant_type
