"""A connection to Microsoft: its directory, its own test, how many requests are under way, and what they cost."""

import threading
import time

import pytest

from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, ServerTrouble
from connectors.mailboxes import CONTACT_SCHEMA, MailboxUser, OpensMailboxes
from connectors.microsoft import faults, slots
from connectors.microsoft.slots import Slots
from connectors.oauth import Tokens
from tests.connectors.microsoft_wire import (
    ACCESS,
    ALL_ROLES,
    ANN,
    GRAPH,
    NOW,
    OTHER_ROLES,
    SECRETS,
    TOKEN_ROUTE,
    connection,
    error,
    given,
    jwt,
    page,
    refused,
)
from tests.connectors.wire import HTML, Said

USERS = "GET /users"


def person(id_, **more):
    return {
        "id": id_,
        "mail": f"{id_}@acme.example",
        "userPrincipalName": f"{id_}@acme.example",
        "displayName": id_.title(),
        "accountEnabled": True,
        **more,
    }


def test_the_directory_is_read_a_page_at_a_time():
    following = f"{GRAPH}/users?$skiptoken=2"
    pages = [page(person("ann"), person("bo", mail=None, displayName="B\0o", accountEnabled=False), following=following)]
    connector, graph = connection({USERS: [*pages, page(person("cy", mail="", userPrincipalName=None))]})
    opens: OpensMailboxes = connector

    found = list(opens.users())

    assert found == [[MailboxUser("ann", "ann@acme.example", "Ann"), MailboxUser("bo", "bo@acme.example", "B\ufffdo", is_active=False)], []]
    assert "$select=id,displayName,mail,userPrincipalName,accountEnabled&$top=999" in graph.requests[0].url and graph.calls == [USERS] * 2


@pytest.mark.parametrize(
    "said", [page(7), page({"id": ""}), page(person("a", mail=7)), Said(200, {}), Said(200, HTML), page(following=f"{GRAPH}/users?$x")]
)
def test_a_page_of_people_that_cannot_be_read_is_not_empty(said):
    connector, _ = connection({USERS: said})

    with pytest.raises(OutcomeUnknown):
        list(connector.users())


def test_a_page_that_leads_to_another_host_is_refused():
    connector, _ = connection({USERS: page(following="https://evil.example/v1.0/users")})

    with pytest.raises(NeedsAttention, match="another host"):
        list(connector.users())


def test_a_refusal_of_the_directory_is_none_of_a_mailbox():
    for said in (error("Authorization_RequestDenied", 403), error("ErrorAccessDenied", 403)):
        connector, _ = connection({USERS: said})
        with pytest.raises(NeedsAttention) as caught:
            list(connector.users())
        assert not isinstance(caught.value, MailboxRefused)


def test_where_each_mailbox_signs_in_for_itself_there_is_no_directory():
    connector, graph = connection({}, flow="web")

    assert list(connector.users()) == [] and [line.is_ok for line in connector.check()] == [True] and graph.calls == []
    assert connector.identity().organisation == "acme.example"


# --- the connection's own test --------------------------------------------------------------------------------------------


def test_a_connection_with_all_permissions_has_a_good_line_for_each():
    connector, graph = connection({USERS: page(person("ann"))})

    lines = connector.check()

    names = [line.name for line in lines]
    assert (names[0], set(names[1:-1]), names[-1]) == ("Sign in", {*ALL_ROLES, *OTHER_ROLES}, "List people")
    assert all(line.is_ok and not line.is_warning for line in lines) and graph.calls == [USERS]


@pytest.mark.parametrize("missing", ALL_ROLES)
def test_each_missing_permission_is_named_with_who_can_give_it(missing):
    tokens = Tokens(jwt(roles=[role for role in ALL_ROLES if role != missing]), expires_at=NOW.replace(year=2027))
    connector, _ = connection({USERS: page()}, tokens=tokens)

    [line] = [line for line in connector.check() if not line.is_ok]

    assert line.name == missing and f"{missing} (type Application)" in line.remedy and "administrator" in line.remedy


def test_a_token_that_does_not_say_what_it_may_is_a_warning_and_one_without_roles_lacks_all():
    opaque, _ = connection({USERS: page()}, tokens=Tokens("opaque"))
    bare, _ = connection({USERS: error("Authorization_RequestDenied", 403)}, tokens=Tokens(jwt(tid="t")))

    assert [line.is_warning for line in opaque.check()] == [False, True, False]
    assert [line.name for line in bare.check() if not line.is_ok] == [*ALL_ROLES, "List people"]


@pytest.mark.parametrize("missing", OTHER_ROLES)
def test_a_permission_of_calendars_tasks_or_mails_is_missed_by_these_alone(missing):
    tokens = Tokens(jwt(roles=[role for role in (*ALL_ROLES, *OTHER_ROLES) if role != missing]), expires_at=NOW.replace(year=2027))
    connector, _ = connection({USERS: page()}, tokens=tokens)

    lines = connector.check()

    (line,) = [line for line in lines if line.is_warning]
    assert all(line.is_ok for line in lines) and line.name == missing and f"{missing} (type Application)" in line.remedy


def test_a_sign_in_that_is_refused_ends_the_test_with_its_remedy():
    connector, _ = connection({TOKEN_ROUTE: refused("invalid_client", 7000215, 401)}, tokens=Tokens(""))

    [line] = connector.check()
    assert not line.is_ok and not line.passes and "client secret is wrong" in line.sentence


def test_who_we_are_stands_in_the_token():
    known, graph = connection({})
    opaque, _ = connection({}, tokens=Tokens("opaque"))

    said, unsaid = known.identity(), opaque.identity()
    assert (said.user, said.organisation, said.organisation_id, said.user_id) == ("Sync", "acme.example", "tenant-1", SECRETS["client_id"])
    assert (unsaid.user, unsaid.organisation_id) == (SECRETS["client_id"], "") and graph.calls == [] and ACCESS not in str(said)


def test_contacts_are_asked_of_mailboxes_only():
    connector, _ = connection({}, page_address_template="https://x/{id}")

    for call in (
        lambda: connector.read("contact", [], []),
        lambda: connector.write("contact", []),
        lambda: connector.find_marked("contact", [], [], since=NOW),
        lambda: connector.batch_size("contact", is_create=True),
    ):
        with pytest.raises(NotImplementedError, match="in mailboxes"):
            call()
    assert connector.schema("contact") is CONTACT_SCHEMA


# --- calls ----------------------------------------------------------------------------------------------------------------


def test_calls_of_all_mailboxes_are_counted_together_and_closed_ones_too():
    connector, _ = connection({USERS: page(), f"{USERS}/{ANN}/contactFolders": page(), f"{USERS}/bo/contactFolders": page()})
    ann, bo = connector.mailbox(ANN), connector.mailbox("bo")
    list(connector.users())
    ann.folders("x")
    bo.folders("x")
    bo.close()
    connector.mailbox("bo").folders("x")

    assert connector.mailbox(ANN) is ann and connector.mailbox("bo") is not bo and connector.counts().calls == 4
    assert connector.counts().by_template == {"GET /users": 1, "GET /users/{user}/contactFolders": 3}
    connector.close()
    assert connector.counts().calls == 4


def test_a_throttled_mailbox_holds_back_no_other():
    throttled = Said(429, "", {"Retry-After": "30"})
    connector, graph = connection({f"{USERS}/{ANN}/contactFolders": throttled, f"{USERS}/bo/contactFolders": page()})

    for _ in range(2):
        with pytest.raises(Exception, match="no more calls|asked us to wait"):
            connector.mailbox(ANN).folders("x")
    connector.mailbox("bo").folders("x")

    assert len(graph.calls) == 2


def most_at_once(connector, graph, boxes, calls):
    """Returns the most requests that were under way together."""
    lock, state = threading.Lock(), {"now": 0, "most": 0}
    send = graph.send

    def slow(request, **options):
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        time.sleep(0.02)
        with lock:
            state["now"] -= 1
            return send(request, **options)

    graph.send = slow
    threads = [threading.Thread(target=connector.mailbox(boxes[n % len(boxes)]).folders, args=("x",)) for n in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return state["most"]


def test_no_more_than_four_requests_of_a_mailbox_are_under_way_at_once():
    connector, graph = connection({f"{USERS}/{ANN}/contactFolders": page()})

    assert most_at_once(connector, graph, [ANN], 12) == 4


def test_all_mailboxes_of_an_app_share_the_global_setting_over_connections():
    routes = {f"{USERS}/{n}/contactFolders": page() for n in "abcd"}
    connector, graph = connection(routes, settings={"global_concurrency": 3})
    other, _ = connection(routes, settings={"global_concurrency": 3})

    assert most_at_once(connector, graph, list("abcd"), 16) == 3
    assert other._everywhere is connector._everywhere and slots.shared(GRAPH, "another app", 3) is not connector._everywhere


def test_a_batch_takes_as_many_places_as_microsoft_gives_it():
    places = Slots(4)
    order = []

    def waits():
        with places.taken(20):
            order.append("batch")

    with places.taken(1):
        thread = threading.Thread(target=waits)
        thread.start()
        time.sleep(0.05)
        order.append("single")
    thread.join()

    assert order == ["single", "batch"]


def test_a_batch_of_one_mailbox_leaves_places_to_the_others():
    connector, graph = connection({f"{USERS}/bo/contactFolders": page()}, settings={"global_concurrency": 5})
    send, seen = graph.send, []

    def batch_sees_another(request, **options):
        if request.url.endswith("/$batch"):  # while it is under way, another mailbox gets through
            thread = threading.Thread(target=lambda: seen.append(connector.mailbox("bo").folders("x")))
            thread.start()
            thread.join(timeout=5)
        return send(request, **options)

    graph.send = batch_sees_another
    graph.routes |= {f"{USERS}/{ANN}/contacts/{n}": [error("ErrorItemNotFound", 404)] for n in range(20)}

    assert connector.mailbox(ANN).read("contact", [str(n) for n in range(20)], []) == [] and seen == [[]]


def test_places_are_given_back_when_a_call_fails():
    connector, graph = connection({f"{USERS}/{ANN}/contactFolders": Said(500, "")})

    for _ in range(6):
        with pytest.raises(ServerTrouble):
            connector.mailbox(ANN).folders("x")
    assert len(graph.calls) == 18  # each read is tried three times


# --- what refusals mean ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, [], {}, {"error": "x"}, {"error": {"code": 7}}, {"error": {"code": ""}}, "x"])
def test_a_body_that_is_not_microsofts_holds_no_refusal(body):
    assert faults.read_fault(body) is None and not faults.is_dead_token(400, body) and faults.is_dead_token(410, body)


def test_codes_are_compared_without_regard_to_case_and_errors_name_no_secret():
    connector, _ = connection({f"{USERS}/{ANN}/contactFolders": error("ERRORINVALIDUSER", 404, f"x {ACCESS} {SECRETS['client_secret']}")})

    with pytest.raises(MailboxRefused) as caught:
        connector.mailbox(ANN).folders("x")
    assert caught.value.is_gone and ACCESS not in caught.value.sentence + repr(caught.value.exchange)


def test_an_address_with_hostile_characters_stays_one_piece_of_a_path():
    connector, graph = connection({TOKEN_ROUTE: given()})

    with pytest.raises(Exception, match="no route"):
        connector.mailbox("o'neil/../x?y#z@acme.example").folders("x")
    assert "/users/o%27neil%2F..%2Fx%3Fy%23z@acme.example/contactFolders" in graph.requests[0].url
