"""One Microsoft mailbox: reading by id and marker, where contacts lie, folders, categories, and bringing contacts in."""

from urllib.parse import unquote

import pytest

from connectors.contract import Ref
from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, RateLimited, Rejected, ServerTrouble
from connectors.mailboxes import BIN, CATEGORIES, CONTACT_SCHEMA, FOREIGN_ID, OUTSIDE, PLACE, ContactBox, Folder
from connectors.mailboxes import INSIDE as IN
from connectors.microsoft.codec import FOREIGN_PROPERTY
from connectors.oauth import Tokens
from tests.connectors.microsoft_wire import (
    ANN,
    BINNED,
    CONTACTS,
    DEFAULT,
    GONE,
    GRAPH,
    INSIDE,
    NOW,
    OURS,
    ROOT,
    THROTTLED,
    connection,
    contact,
    error,
    mailbox,
    page,
)
from tests.connectors.wire import HTML, Said, Store

FOLDERS, CATEGORY_LIST = f"GET {ROOT}/contactFolders", f"GET {ROOT}/outlook/masterCategories"
PLACES = {
    f"GET {ROOT}/mailFolders/deleteditems": Said(200, {"id": BINNED}),
    f"GET {ROOT}/contactFolders/contacts": Said(200, {"id": DEFAULT}),
}
FIND_OURS, FIND_ALL = f"GET {INSIDE}", f"GET {CONTACTS}"


def one(id_, **more):
    return {f"GET {CONTACTS}/{id_}": Said(200, contact(id_, **more))}


def folder(id_, parent):
    return {f"GET {ROOT}/contactFolders/{id_}": Said(200, {"id": id_, "parentFolderId": parent})}


# --- reading --------------------------------------------------------------------------------------------------------------


def test_contacts_are_read_twenty_a_call_with_marker_and_missing_ones_left_out():
    routes = {f"GET {CONTACTS}/{n}": Said(200, contact(str(n), marker=f"m{n}")) for n in range(24)} | {f"GET {CONTACTS}/24": GONE}
    box, graph = mailbox({**routes, f"GET {CONTACTS}/junk": error("ErrorInvalidIdMalformed", 400)})

    records = box.read("contact", [*(str(n) for n in range(25)), "junk", "0"], ["surname", "otherPhone"])

    assert graph.units == [20, 6] and len(records) == 24 and box.counts().calls == 2
    assert records[7].fields == {"surname": "Li", "otherPhone": None, FOREIGN_ID: "m7", CATEGORIES: ("Salesforce",), PLACE: IN}
    assert all(part["headers"]["Prefer"] == 'IdType="ImmutableId"' for part in graph.parts)


def test_nothing_asked_for_costs_no_call():
    box, graph = mailbox({})

    assert box.read("contact", [], ["surname"]) == [] and box.find_marked("contact", [], [], since=NOW) == [] and graph.calls == []


def test_contacts_tell_where_they_lie_and_the_bin_is_shown_to_who_asks_for_places():
    routes = {
        **PLACES,
        **one("A"),
        **one("B", folder=DEFAULT),
        **one("C", folder=BINNED),
        **one("D", folder="sub"),
        **one("E", folder="dead"),
    }
    routes |= {**folder("sub", OURS), **folder("dead", "deeper"), **folder("deeper", BINNED)}
    box, graph = mailbox(routes)

    places = {record.ref.id: record.fields[PLACE] for record in box.read("contact", list("ABCDE"), [PLACE])}
    without = [record.ref.id for record in box.read("contact", list("ABCDE"), ["surname"])]

    assert places == {"A": IN, "B": OUTSIDE, "C": BIN, "D": OUTSIDE, "E": BIN} and without == ["A", "B", "D"]
    assert graph.calls.count("POST /$batch") == 3 and len(graph.calls) == 6  # folders are asked for once
    assert [record.is_deleted for record in box.read("contact", ["C"], [PLACE])] == [True]


def test_contacts_inside_cost_no_question_where_they_lie():
    box, graph = mailbox(one("A"))

    box.read("contact", ["A"], [PLACE])

    assert graph.calls == ["POST /$batch"]


@pytest.mark.parametrize("refusal", [error("ErrorAccessDenied", 403), error("ErrorItemNotFound", 404), error("BadRequest", 400)])
def test_without_the_right_to_see_the_bin_it_is_the_folder_that_cannot_be_seen(refusal):
    routes = {
        **PLACES,
        f"GET {ROOT}/mailFolders/deleteditems": refusal,
        **folder("sub", DEFAULT),
        f"GET {ROOT}/contactFolders/{BINNED}": GONE,
    }
    box, _ = mailbox({**routes, **one("B", folder=DEFAULT), **one("C", folder=BINNED), **one("D", folder="sub")})

    places = [record.fields[PLACE] for record in box.read("contact", list("BCD"), [PLACE])]

    assert places == [OUTSIDE, BIN, OUTSIDE]


def test_a_folder_that_leads_nowhere_lies_outside_when_the_bin_is_known():
    box, _ = mailbox({**PLACES, **one("A", folder="loose"), **folder("loose", "loose"), **one("B", folder="hidden")})

    assert [record.fields[PLACE] for record in box.read("contact", ["A", "B"], [PLACE])] == [OUTSIDE, OUTSIDE]


@pytest.mark.parametrize(("said", "kind"), [(THROTTLED, RateLimited), (error("X", 500), ServerTrouble), (Said(0, ""), OutcomeUnknown)])
def test_trouble_while_asking_where_contacts_lie_is_no_answer(said, kind):
    box, _ = mailbox({**PLACES, f"GET {ROOT}/mailFolders/deleteditems": said, **one("A", folder=DEFAULT)})

    with pytest.raises(kind):
        box.read("contact", ["A"], ["surname"])


def test_a_default_folder_that_is_refused_refuses_the_mailbox():
    box, _ = mailbox({**PLACES, f"GET {ROOT}/contactFolders/contacts": error("ErrorAccessDenied", 403), **one("A", folder=DEFAULT)})

    with pytest.raises(MailboxRefused):
        box.read("contact", ["A"], ["surname"])


@pytest.mark.parametrize("row", [HTML, {}, {"id": "A"}, contact("A") | {"parentFolderId": None}, contact("A", homePhones="1")])
def test_a_contact_that_cannot_be_read_is_not_left_out(row):
    box, _ = mailbox({f"GET {CONTACTS}/A": Said(200, row)})

    with pytest.raises(OutcomeUnknown):
        box.read("contact", ["A"], ["surname"])


def test_what_an_answer_leaves_out_of_what_was_asked_for_is_blank():
    bare = {"id": "A", "@odata.etag": 'W/"1"', "parentFolderId": OURS}
    box, _ = mailbox({f"GET {CONTACTS}/A": Said(200, bare)})

    [record] = box.read("contact", ["A"], ["surname", "email1", "homeCity", "otherPhone"])

    assert record.fields == dict.fromkeys(("surname", "email1", "homeCity", "otherPhone", FOREIGN_ID)) | {CATEGORIES: (), PLACE: IN}


# --- markers --------------------------------------------------------------------------------------------------------------


def test_contacts_are_found_by_marker_in_the_mailbox_and_in_our_folder():
    routes = {
        **PLACES,
        FIND_OURS: page(contact("A", marker="m-1")),
        FIND_ALL: page(contact("A", marker="m-1"), contact("B", folder=DEFAULT, marker="m-1")),
    }
    box, graph = mailbox(routes)

    records = box.find_marked("contact", ["m-1", "m-1"], ["surname"], since=NOW)

    assert {record.ref.id: record.fields[PLACE] for record in records} == {"A": IN, "B": OUTSIDE} and graph.units == [2, 2]
    wanted = f"$filter=singleValueExtendedProperties/Any(ep: ep/id eq '{FOREIGN_PROPERTY}' and ep/value eq 'm-1')"
    assert all(wanted in unquote(part["url"]) and "+" not in part["url"] for part in graph.parts[:2])


def test_many_markers_go_in_one_call():
    box, graph = mailbox({FIND_OURS: page(), FIND_ALL: page()})

    assert box.find_marked("contact", [f"m{n}" for n in range(10)], [], since=NOW) == [] and graph.units == [20]


def test_markers_that_differ_by_case_only_are_not_mistaken():
    box, _ = mailbox({FIND_OURS: page(contact("A", marker="003ABC"), contact("B", marker="003abc")), FIND_ALL: page()})

    assert [r.ref.id for r in box.find_marked("contact", ["003abc"], [], since=NOW)] == ["B"]


def test_a_quote_in_a_marker_is_doubled_and_cannot_end_the_filter():
    box, graph = mailbox({FIND_OURS: page(), FIND_ALL: page()})

    box.find_marked("contact", ["x' or 'a' eq 'a&$top=1#"], [], since=NOW)

    assert "ep/value eq 'x'' or ''a'' eq ''a&$top=1#')" in unquote(graph.parts[0]["url"])
    assert graph.parts[0]["url"].count("&") == 2 and "#" not in graph.parts[0]["url"]


def test_every_page_of_a_search_is_read_and_a_folder_that_is_gone_holds_nothing():
    following = f"{GRAPH}{CONTACTS}?$skiptoken=2"
    box, graph = mailbox({FIND_OURS: GONE, FIND_ALL: [page(contact("A", marker="m"), following=following), page(contact("B", marker="m"))]})

    assert {record.ref.id for record in box.find_marked("contact", ["m"], [], since=NOW)} == {"A", "B"} and len(graph.calls) == 2


@pytest.mark.parametrize("said", [Said(200, HTML), Said(200, {}), page({"id": "A"}), page(7)])
def test_a_search_that_cannot_be_read_found_not_nothing(said):
    box, _ = mailbox({FIND_OURS: said, FIND_ALL: page()})

    with pytest.raises(OutcomeUnknown):
        box.find_marked("contact", ["m"], [], since=NOW)


def test_a_search_that_leads_to_another_host_is_refused():
    box, _ = mailbox({FIND_OURS: page(following="https://evil.example/v1.0/x"), FIND_ALL: page()})

    with pytest.raises(NeedsAttention, match="another host"):
        box.find_marked("contact", ["m"], [], since=NOW)


# --- folders and categories -----------------------------------------------------------------------------------------------


def named(*pairs):
    return page(*({"id": id_, "displayName": name, "parentFolderId": DEFAULT} for id_, name in pairs))


def test_folders_of_exactly_this_name_are_found():
    box, graph = mailbox({FOLDERS: named(("1", "Sales'force"), ("2", "sales'force"), ("3", "Sales'force"))})

    assert box.folders("Sales'force") == [Folder("1", "Sales'force"), Folder("3", "Sales'force")]
    assert unquote(graph.requests[0].url).endswith("?$filter=displayName eq 'Sales''force'") and "%20eq%20" in graph.requests[0].url


def test_a_folder_that_is_there_is_taken_and_one_that_is_not_is_made():
    there, graph = mailbox({FOLDERS: named(("1", "S"))})
    assert there.make_folder("S") == Folder("1", "S") and graph.calls == [FOLDERS]

    box, graph = mailbox({FOLDERS: page(), f"POST {ROOT}/contactFolders": Said(201, {"id": "9", "displayName": "S"})})
    assert box.make_folder("S") == Folder("9", "S") and graph.body() == {"displayName": "S"}


def test_a_folder_that_somebody_else_made_meanwhile_is_taken():
    box, _ = mailbox({FOLDERS: [page(), named(("7", "S"))], f"POST {ROOT}/contactFolders": error("ErrorFolderExists", 409)})

    assert box.make_folder("S") == Folder("7", "S")


def test_a_folder_that_exists_and_is_not_shown_is_a_case_for_a_person():
    box, _ = mailbox({FOLDERS: page(), f"POST {ROOT}/contactFolders": error("ErrorFolderExists", 409)})

    with pytest.raises(Rejected, match="among the deleted folders"):
        box.make_folder("S")


@pytest.mark.parametrize("said", [Said(201, HTML), Said(201, {"id": 7}), Said(500, "")])
def test_a_folder_made_without_a_readable_answer_is_in_doubt_and_made_once(said):
    box, graph = mailbox({FOLDERS: page(), f"POST {ROOT}/contactFolders": said})

    with pytest.raises((OutcomeUnknown, ServerTrouble)) as caught:
        box.make_folder("S")
    assert caught.value.may_have_happened and graph.calls.count(f"POST {ROOT}/contactFolders") == 1


@pytest.mark.parametrize(
    "said", [page(7), page({"id": "1"}), Said(200, {}), Said(200, HTML), page(following=f"{GRAPH}{ROOT}/contactFolders")]
)
def test_a_list_of_folders_that_cannot_be_read_is_not_empty(said):
    box, _ = mailbox({FOLDERS: said})

    with pytest.raises(OutcomeUnknown):
        box.folders("S")


def test_a_category_is_made_once_in_its_colour():
    box, graph = mailbox({CATEGORY_LIST: page({"displayName": "Blue"}), f"POST {ROOT}/outlook/masterCategories": Said(201, {"id": "g"})})

    box.make_category("Salesforce")

    assert graph.body() == {"displayName": "Salesforce", "color": "preset7"}


def test_a_category_that_is_there_in_any_case_is_left_as_it_is():
    box, graph = mailbox({CATEGORY_LIST: page({"displayName": "SALESFORCE", "color": "preset1"})})

    box.make_category("Salesforce")

    assert graph.calls == [CATEGORY_LIST]


def test_a_category_that_somebody_else_made_meanwhile_is_no_error_and_any_other_refusal_is():
    made = {f"POST {ROOT}/outlook/masterCategories": error("ErrorAnything", 409)}
    box, _ = mailbox({CATEGORY_LIST: [page(), page({"displayName": "Salesforce"})], **made})
    box.make_category("Salesforce")

    box, _ = mailbox({CATEGORY_LIST: page(), **made})
    with pytest.raises(Rejected):
        box.make_category("Salesforce")


# --- tests of a mailbox, and the rest -------------------------------------------------------------------------------------


def test_a_mailbox_that_is_open_to_us_has_three_good_lines_and_nothing_is_written():
    box, graph = mailbox({FIND_ALL: page(), FOLDERS: page(), CATEGORY_LIST: page()})

    lines = box.check_mailbox()

    assert [line.is_ok for line in lines] == [True] * 3 and all(request.method == "GET" for request in graph.requests)
    assert box.check() == lines and box.rivals("wb-") == []


def test_each_refusal_has_a_remedy_that_somebody_can_follow():
    denied = error("ErrorAccessDenied", 403, "Access is denied.")
    box, _ = mailbox({FIND_ALL: denied, FOLDERS: denied, CATEGORY_LIST: denied})

    contacts, folders, categories = box.check_mailbox()

    assert "access policy" in contacts.remedy and "access policy" in folders.remedy and "MailboxSettings.ReadWrite" in categories.remedy
    assert not any(line.is_ok or line.passes for line in (contacts, folders, categories)) and ANN in contacts.sentence


def test_a_mailbox_that_is_gone_is_said_to_be():
    box, _ = mailbox({FIND_ALL: error("MailboxNotEnabledForRESTAPI", 404, "The mailbox is hosted on-premise.")})

    assert "on-premise" in box.check_mailbox()[0].sentence


def test_trouble_that_passes_ends_the_test():
    box, _ = mailbox({FIND_ALL: Said(503, "", {"Retry-After": "30"})})

    [line] = box.check_mailbox()
    assert line.passes and not line.is_ok


def test_a_mailbox_is_a_contact_box_and_knows_its_terms():
    box, graph = mailbox({})
    as_box: ContactBox = box

    assert as_box.schema("contact") is CONTACT_SCHEMA and as_box.address == ANN and as_box.marker_field == FOREIGN_ID
    assert as_box.concurrency == 4 and as_box.request_timeout == 30 and as_box.system == "microsoft" and graph.calls == []
    for call in (as_box.scan, as_box.changes, as_box.count):
        with pytest.raises(NotImplementedError):
            call("contact", where=None, **({} if call == as_box.count else {"columns": []}))
    with pytest.raises(NotImplementedError):
        as_box.find("contact", "email1", [], [])
    with pytest.raises(ValueError, match="holds contacts"):
        as_box.read("event", ["A"], [])


def test_the_page_of_a_contact_follows_its_template():
    box, _ = mailbox({}, page_address_template="https://outlook.example/{object}/{id}")

    assert box.web_url(Ref("microsoft", "contact", "a/b=")) == "https://outlook.example/contact/a%2Fb%3D"


def test_who_signed_in_for_a_mailbox_can_be_compared_with_whose_it_is():
    tokens = Store(Tokens("own", "r", NOW.replace(year=2027)))
    me = Said(200, {"id": "u-1", "mail": None, "userPrincipalName": "eve@acme.example"})
    own, _ = connection({"GET /me": me}, flow="web", stores={ANN: tokens})
    app, graph = connection({})

    assert own.mailbox(ANN).identity().user == "eve@acme.example" and own.mailbox(ANN).identity().user_id == "u-1"
    assert app.mailbox(ANN).identity().user == ANN and graph.calls == []
