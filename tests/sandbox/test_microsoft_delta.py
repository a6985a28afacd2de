"""Delta rounds of the played Microsoft Graph: pages, removals, what real rounds do at times, dead tokens."""

import random
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.graph import ANN, IMMUTABLE, Graph, refused

PAGED = {"Prefer": 'IdType="ImmutableId", odata.maxpagesize=3'}


def fill(graph, count, path="contacts"):
    return [graph.create(path, IMMUTABLE, surname=f"N{n}")["id"] for n in range(count)]


def replayed(entries, picture=None):
    """Returns what a reader holds after a round: id to entry, last wins."""
    held = dict(picture or {})
    for entry in entries:
        held.pop(entry["id"], None)
        if "@removed" not in entry:
            held[entry["id"]] = entry
    return held


# --- ordinary rounds ----------------------------------------------------------------------------------------------------------
def test_a_first_round_lists_all_and_the_next_what_happened(graph):
    ids = fill(graph, 8)
    entries, link = graph.round("contacts/delta?$select=surname", PAGED)

    assert [e["id"] for e in entries] == ids and set(entries[0]) == {"@odata.type", "@odata.etag", "id", "surname"}
    assert link.startswith(f"{graph.base}/v1.0/users/{ANN}/contacts/delta?$deltatoken=")
    assert graph.round(link, PAGED)[0] == []
    graph.change(ids[3], surname="New")
    graph.call("DELETE", f"contacts/{quote(ids[5])}")
    added = graph.create(headers=IMMUTABLE, surname="Added")["id"]
    news, link = graph.round(link, PAGED)
    assert [(e["id"], e.get("surname")) for e in news] == [(ids[3], "New"), (ids[5], None), (added, "Added")]
    assert news[1] == {"@odata.type": "#microsoft.graph.contact", "id": ids[5], "@removed": {"reason": "deleted"}}
    assert graph.round(link, PAGED)[0] == []


def test_pages_are_as_long_as_preferred_and_their_links_hold_all_options(graph):
    fill(graph, 7)
    page = graph.get("contacts/delta", PAGED, select="id")

    assert len(page["value"]) == 3 and "@odata.deltaLink" not in page
    assert list(parse_qs(urlsplit(page["@odata.nextLink"]).query)) == ["$skiptoken"]
    assert set(graph.get(page["@odata.nextLink"], PAGED)["value"][0]) == {"@odata.type", "@odata.etag", "id"}
    assert len(graph.get(page["@odata.nextLink"])["value"]) == 4  # the header counts again on each page
    assert len(graph.get("contacts/delta", {"Prefer": "odata.maxpagesize=many"})["value"]) == 7


@pytest.mark.parametrize("spelling", ["delta", "delta()", "microsoft.graph.delta()", "microsoft.graph.delta"])
def test_every_spelling_is_understood(graph, spelling):
    fill(graph, 4)
    folder = quote(graph.get("contactFolders/contacts")["id"])
    for path in (f"contacts/{spelling}", f"contactFolders/{folder}/contacts/{spelling}", f"contactFolders/contacts/contacts/{spelling}"):
        entries, link = graph.round(path, PAGED)
        assert len(entries) == 4 and graph.round(link, PAGED)[0] == []
    assert graph.round(f"contactFolders/{spelling}")[0] == []


def test_a_drag_is_a_removal_here_and_a_creation_there(graph):
    folder = quote(graph.folder("Ours"))
    ordinary = graph.create(surname="Li")["id"]
    immutable = graph.contact(ordinary, IMMUTABLE)["id"]
    links = [graph.round(path)[1] for path in ("contacts/delta", f"contactFolders/{folder}/contacts/delta")]

    moved = graph.person(ordinary, folder="Ours")["id"]

    (gone,), (come,) = (graph.round(link)[0] for link in links)
    assert (gone["id"], gone["@removed"], come["id"]) == (ordinary, {"reason": "deleted"}, moved)
    (gone,), (come,) = (graph.round(link, IMMUTABLE)[0] for link in links)
    assert gone["id"] == come["id"] == immutable and "@removed" in gone and come["surname"] == "Li"
    graph.person(immutable, folder="Contacts")
    back, _ = graph.round(links[0], IMMUTABLE)
    assert list(replayed(back)) == [immutable] and "@removed" in back[0]


def test_a_reason_says_whether_it_can_be_restored_when_switched_on(graph):
    graph.switch(removed_reason="changed")
    binned, gone = fill(graph, 2)
    _, link = graph.round("contacts/delta", IMMUTABLE)
    graph.call("DELETE", f"contacts/{quote(binned)}")
    graph.call("POST", f"contacts/{quote(gone)}/permanentDelete")
    assert [(e["id"], e["@removed"]["reason"]) for e in graph.round(link, IMMUTABLE)[0]] == [(binned, "changed"), (gone, "deleted")]


def test_folders_have_rounds_of_their_own(graph):
    first, second = graph.folder("A"), graph.folder("B")
    entries, link = graph.round("contactFolders/delta")
    assert [e["displayName"] for e in entries] == ["A", "B"]
    graph.call("PATCH", f"contactFolders/{quote(first)}", json={"displayName": "C"})
    graph.call("DELETE", f"contactFolders/{quote(second)}")
    renamed, gone = graph.round(link)[0]
    assert renamed["displayName"] == "C" and gone == {
        "@odata.type": "#microsoft.graph.contactFolder", "id": second, "@removed": {"reason": "deleted"}
    }  # fmt: skip


def test_what_a_round_does_not_take(graph):
    for option, refusal in (
        ("$expand=singleValueExtendedProperties($filter=id eq 'String 0x3A24')", (500, "ErrorInternalServerError")),
        ("$filter=surname eq 'x'", (400, "ErrorInvalidUrlQuery")),
        ("$top=5", (400, "ErrorInvalidUrlQuery")),
        ("$orderby=surname", (400, "ErrorInvalidUrlQuery")),
        ("$select=foo", (400, "BadRequest")),
        ("$deltatoken=latest", (400, "syncStateInvalid")),
        ("$skiptoken=", (400, "syncStateInvalid")),
    ):
        assert refused(graph.call("GET", f"contacts/delta?{option}")) == refusal
    _, link = graph.round("contacts/delta")
    elsewhere = link.replace("/contacts/delta", f"/contactFolders/{quote(graph.folder('Ours'))}/contacts/delta")
    assert refused(graph.call("GET", elsewhere)) == (400, "syncStateInvalid")
    assert refused(graph.call("POST", "contacts/delta", json={})) == (405, "BadRequest")


def test_what_changes_while_a_reader_pages_is_in_this_round_or_the_next(graph):
    ids = fill(graph, 9)
    page = graph.get("contacts/delta", PAGED)
    seen = list(page["value"])
    graph.change(ids[0], surname="Again")
    graph.change(ids[8], surname="Later")
    graph.call("DELETE", f"contacts/{quote(ids[7])}")
    added = graph.create(headers=IMMUTABLE, surname="Added")["id"]

    rest, link = graph.round(page["@odata.nextLink"], PAGED)
    news, _ = graph.round(link, PAGED)

    held = replayed(news, replayed(seen + rest))
    assert set(held) == {*ids, added} - {ids[7]}
    assert (held[ids[0]]["surname"], held[ids[8]]["surname"]) == ("Again", "Later")


# --- what real rounds do at times ---------------------------------------------------------------------------------------------
def test_the_removal_of_the_last_contact_is_missing_when_switched_on(graph):
    graph.switch(delta_hides_last_removal=True)
    first, last = fill(graph, 2)
    _, link = graph.round("contacts/delta", IMMUTABLE)
    graph.call("DELETE", f"contacts/{quote(first)}")
    graph.call("DELETE", f"contacts/{quote(last)}")
    assert [e["id"] for e in graph.round(link, IMMUTABLE)[0]] == [first] and graph.all("contacts") == []


def test_replays_duplicates_and_shuffling_are_seen_when_switched_on(graph):
    ids = fill(graph, 40)
    for id_ in ids[:20]:
        graph.call("DELETE", f"contacts/{quote(id_)}")
    graph.switch(delta_replays=True, delta_duplicates=True, delta_shuffles=True)

    entries, link = graph.round("contacts/delta", PAGED)
    told = [e["id"] for e in entries]

    assert len(told) > len(set(told)) and any("@removed" in e for e in entries)
    assert [i for i in told if i in ids[20:]] != sorted((i for i in told if i in ids[20:]), key=ids.index)
    assert set(replayed(entries)) == set(ids[20:])
    again, _ = graph.round(link, PAGED)
    assert any("@removed" in e for e in again) and any("@removed" not in e for e in again)
    assert set(replayed(again, replayed(entries))) == set(ids[20:])


@pytest.mark.parametrize("switch", ["delta_replays", "delta_duplicates", "delta_shuffles"])
def test_what_went_and_came_back_is_there_however_it_is_told(graph, switch):
    graph.folder("Ours")
    ids = fill(graph, 30)
    entries, link = graph.round("contacts/delta", PAGED)
    graph.switch(**{switch: True})
    for folder in ("Ours", "Contacts"):
        for id_ in ids[:20]:
            graph.person(id_, folder=folder)

    for _ in range(3):
        news, link = graph.round(link, PAGED)
        entries = [*entries, *news]
        assert set(replayed(entries)) == set(ids)
    assert any("@removed" in e for e in entries)
    assert set(replayed(graph.round("contacts/delta", PAGED)[0])) == set(ids)


class Reader:
    """Holds the picture of a folder by delta alone."""

    def __init__(self, graph, path, headers):
        self.graph, self.path, self.headers = graph, path, headers
        self.link, self.picture = path, {}

    def page(self):
        """Reads one page. Returns whether the round ended with it."""
        answer = self.graph.call("GET", self.link, headers=self.headers)
        if answer.status_code != 200:  # the token is dead: from the start, and what does not appear is gone
            self.link, self.picture = self.path, {}
            return False
        body = answer.json()
        self.picture = replayed(body["value"], self.picture)
        self.link = body.get("@odata.nextLink") or body["@odata.deltaLink"]
        return "@odata.deltaLink" in body

    def true_picture(self):
        listed = self.graph.all(self.path.removesuffix("/delta"), self.headers, top="50")
        return {row["id"]: (row["surname"], row["changeKey"]) for row in listed}


ACTS = ("create", "edit", "drag", "round trip", "delete", "restore", "remove", "page", "page", "expire")
MODES = st.fixed_dictionaries({name: st.booleans() for name in ("delta_replays", "delta_duplicates", "delta_shuffles")})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 999)), max_size=50),
    mode=MODES,
    size=st.integers(1, 7),
    is_immutable=st.booleans(),
    form=st.sampled_from(("gone", "gone_with_location", "not_found", "bad_request")),
)
def test_a_reader_of_deltas_ends_with_what_a_full_listing_shows(acts, mode, size, is_immutable, form):
    with requests.Session() as session:
        session.trust_env = False
        graph = Graph(session)
        folder = quote(graph.folder("Ours"))
        graph.switch(**mode, delta_expired_form=form)
        headers = {"Prefer": f"odata.maxpagesize={size}" + (', IdType="ImmutableId"' if is_immutable else "")}
        readers = [Reader(graph, path, headers) for path in ("contacts/delta", f"contactFolders/{folder}/contacts/delta")]

        for act, lot in acts:
            _walk(graph, readers, act, lot)

        graph.switch(delta_replays=False, delta_duplicates=False)
        for reader in readers:
            while not reader.page():
                pass
            while not reader.page():  # what happened during the round that ended is in the one behind it
                pass
            held = {id_: (entry["surname"], entry["changeKey"]) for id_, entry in reader.picture.items()}
            assert held == reader.true_picture()


def _walk(graph, readers, act, lot):
    rows = graph.system.list_records("contact")
    row = rows[lot % len(rows)] if rows else None
    rng = random.Random(lot)
    if act == "create":
        graph.create(rng.choice(readers).path.removesuffix("/delta"), surname=f"S{lot}")
    elif act == "page":
        rng.choice(readers).page()
    elif act == "expire":
        graph.system.expire_delta()
    elif row is None:
        return
    elif act == "edit":
        graph.change(row["id"], surname=f"E{lot}")
    elif act == "drag":
        graph.person(row["id"], folder="Ours" if row["folder"] == "Contacts" else "Contacts")
    elif act == "round trip":
        for folder in ("Deleted Items", row["folder"]):
            graph.person(row["id"], folder=folder)
    elif act == "restore":
        graph.person(row["id"], folder=rng.choice(("Contacts", "Ours")))
    elif act == "delete":
        assert graph.call("DELETE", f"contacts/{quote(row['id'])}").status_code == 204
    else:
        assert graph.call("POST", f"contacts/{quote(row['id'])}/permanentDelete").status_code == 204


# --- dead tokens --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("form", "refusal"),
    [
        ("gone", (410, "SyncStateNotFound")),
        ("gone_with_location", (410, "resyncRequired")),
        ("not_found", (404, "syncStateNotFound")),
        ("bad_request", (400, "syncStateInvalid")),
    ],
)
def test_a_dead_token_is_answered_in_each_form(graph, form, refusal):
    fill(graph, 5)
    page = graph.get("contacts/delta", PAGED, select="surname")
    _, link = graph.round("contacts/delta?$select=surname", PAGED)
    graph.switch(delta_expired_form=form)
    graph.system.expire_delta()

    for dead in (link, page["@odata.nextLink"]):
        answer = graph.call("GET", dead, headers=PAGED)
        assert refused(answer) == refusal and ("Location" in answer.headers) == (form == "gone_with_location")
    if form == "gone_with_location":
        entries, _ = graph.round(answer.headers["Location"], PAGED)
        assert len(entries) == 5 and set(entries[0]) == {"@odata.type", "@odata.etag", "id", "surname"}
    assert len(graph.round("contacts/delta", PAGED)[0]) == 5


def test_tokens_die_of_age(graph):
    graph.switch(delta_token_seconds=3600)
    _, link = graph.round("contacts/delta")
    graph.clock.forward(3600)
    _, link = graph.round(link)
    graph.clock.forward(3601)
    assert refused(graph.call("GET", link)) == (410, "SyncStateNotFound")


@pytest.mark.parametrize(("where", "struck"), [("next", [False, True]), ("delta", [True, False]), (None, [True, True])])
def test_a_fault_kills_a_token_once(graph, where, struck):
    fill(graph, 5)
    _, link = graph.round("contacts/delta", PAGED)
    page = graph.get("contacts/delta", PAGED)["@odata.nextLink"]
    place = {"where": where} if where else {}
    graph.world.faults.add({"kind": "stale_delta", "system": "microsoft", "form": "gone_with_location", "times": 2, **place})

    assert graph.call("GET", "contacts/delta").status_code == 200
    for address, is_struck in zip((link, page), struck, strict=True):
        answer = graph.call("GET", address, headers=PAGED)
        assert refused(answer) == (410, "resyncRequired") if is_struck else answer.status_code == 200
    graph.world.faults.clear()
    assert graph.call("GET", link, headers=PAGED).status_code == 200
