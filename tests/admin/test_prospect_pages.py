"""The pages of seed 002: list, matches, choice, synchronisation, many at once; by role, policy and number of candidates."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reconciliation import jobs
from reconciliation.core.transforms import USER_PAIR
from reconciliation.filters import ProspectFilter
from reconciliation.models import Binding, Case, FieldRule, Import, ImportRow, MappingTable, Operation, Policy, RecordType, SyncPass
from reconciliation.selectors import prospects_listed
from tests.admin.test_pages import HOSTILE, TurnedRound, with_session
from tests.remapping import remapping

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = remapping()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


@pytest.fixture
def olga(client):
    return log_in(client, "operator")


def log_in(client, role):
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return user


def text(answer):
    assert answer.status_code == 200, answer.status_code
    return re.sub(r"\s+", " ", answer.content.decode())


def stamp(page, key):
    found = re.search(rf'name="stamp-{re.escape(key)}" value="([^"]*)"', page)
    return found[1].replace("&gt;", ">") if found else ""


def post(client, where, page="", choice="", **values):
    data = {"decision": "update", "choice": choice, **values}
    if page:
        data[f"stamp-{choice}"] = stamp(page, choice)
    return client.post(where, data, follow=True)


def failed_import(box, prospects, records):
    batch = Import.objects.create(
        sync_pass=box.sync_pass, source="csv", title="fair.csv", state="finished", total=len(prospects), same_email="choose",
        created_at=box.clock.at,
    )  # fmt: skip
    for n, (prospect, record) in enumerate(zip(prospects, records, strict=True), 1):
        case = Case.objects.filter(kind="remap", crm_id=record).first()
        ImportRow.objects.create(
            batch=batch, number=n, given=record, crm_type="Lead", crm_id=record, state="failed", reason="same_email",
            peer_id=str(prospect), case=case, name=f"P{n}",
        )  # fmt: skip
    return batch


# --- one prospect ---------------------------------------------------------------------------------------------------


def test_s2_20_s2_18_from_the_row_to_the_choice_and_its_figures(client, box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example", Title="Chief", Company="Acme Ltd")
    box.active(id_, tasks=3, sequences=2)

    row = text(client.get("/prospects/"))
    assert f'href="/prospects/{id_}/matches/"' in row and f'href="/prospects/{id_}/sync/?force=1"' in row
    page = text(client.get(f"/prospects/{id_}/matches/"))

    assert "<b>3</b> active tasks" in page and "<b>2</b> active sequences" in page
    for said in (contact, lead, "Contact", "Lead", "Acme Ltd", "Same e-mail address ada@acme.example", f"https://sf.example/Lead/{lead}"):
        assert said in page, said
    assert f"<b>externalId</b> becomes <b>{lead}</b>" in page and "data-keys" in page and 'data-choice="2"' in page
    assert "Chief" in page and page.count("<h1") == 1


def test_s2_19_s2_14_s2_15_update_then_pull_data_down_then_force(client, box, olga):
    _, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example", Title="Chief")
    box.active(id_, tasks=1, sequences=1)
    life = box.life(id_)
    page = text(client.get(f"/prospects/{id_}/matches/"))

    answer = post(client, f"/prospects/{id_}/decide/", page, f"Lead:{lead}", reason="the newer one")

    assert answer.redirect_chain[-1][0] == f"/prospects/{id_}/sync/"
    page = text(answer)
    assert f"belongs to Lead {lead} from now on" in page and box.peer(id_)["externalId"] == lead
    assert "Pull data down from Salesforce" in page and "Force update all fields" in page and "Take the remap back" in page
    assert box.peer(id_)["title"] == "Buyer"
    page = text(client.get(f"/prospects/{id_}/sync/?source=crm&force=1"))
    seen = dict(re.findall(r'name="seen-(\w+)" value="(\w+)"', page))
    assert set(seen) == {"title", "lastName", "company"} and '<button class="primary">Sync</button>' in page
    data = {"source": "crm", "force": "1", "field": ["title", "lastName"], **{f"seen-{n}": v for n, v in seen.items()}}
    answer = client.post(f"/prospects/{id_}/sync/", data, follow=True)

    assert "2 fields of “Byrne” were written in Outreach. Sequences and tasks stay active." in text(answer)
    assert (box.peer(id_)["title"], box.peer(id_)["lastName"], box.peer(id_).get("company")) == ("Chief", "Smith", None)
    assert box.life(id_) == life
    operation = Operation.objects.filter(origin__forced=True).get()
    back = client.post(f"/runs/{operation.run_id}/undo/", {"operation": operation.pk}, follow=True)
    assert "1 of 1 write was taken back" in text(back) and box.peer(id_)["title"] == "Buyer"


def test_s2_5_with_prevent_nothing_offers_or_performs_a_remap(client, box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    page = text(client.get(f"/prospects/{id_}/matches/"))
    Policy.objects.update(same_email="prevent")
    box.calls()

    row = text(client.get("/prospects/"))
    assert "/matches/" not in row and "Force update" in row and "/bulk/" not in row
    for answer in (
        client.get(f"/prospects/{id_}/matches/", follow=True),
        post(client, f"/prospects/{id_}/decide/", page, f"Lead:{lead}"),
        client.get("/prospects/bulk/?rule=latest", follow=True),
        client.post("/prospects/bulk/", {"key": [f"{id_}|Lead|{lead}|x"]}, follow=True),
    ):
        assert "Remapping is off" in text(answer)
    assert box.writes() == {} and box.binding(id_).crm_id == contact
    free = box.prospect("Evans", "eve@acme.example")
    person = box.contact("Evans", "eve@acme.example")
    page = text(client.get(f"/prospects/{free}/matches/"))  # D28: an unbound one may be linked
    assert f"is linked to Contact {person} from now on" in text(post(client, f"/prospects/{free}/decide/", page, f"Contact:{person}"))


def test_with_prevent_an_open_question_can_still_be_dismissed(client, box, olga):
    contact, id_ = box.pair()
    box.lead("Byrne", "ada@acme.example")
    box.run()
    Policy.objects.update(same_email="prevent")
    where = f"/prospects/{id_}/matches/"

    assert where in text(client.get("/prospects/?state=asked"))
    page = text(client.get(where))
    assert "Keep the present ID" in page and "Remapping is off" in page and 'name="choice"' not in page
    assert "waits on" in text(client.post(f"/prospects/{id_}/decide/", {"decision": "later"}, follow=True))
    kept = client.post(f"/prospects/{id_}/decide/", {"decision": "keep"}, follow=True)

    assert "1 question closed" in text(kept) and box.binding(id_).crm_id == contact
    assert not Case.objects.filter(kind="remap", state="open").exists()
    assert where not in text(client.get("/prospects/"))


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_question_whose_candidates_are_all_gone_is_closed_on_its_page(client, box, olga, is_linked):
    if is_linked:
        _, id_ = box.pair()
        gone = [("Lead", box.lead("Byrne", "ada@acme.example"))]
    else:
        RecordType.objects.update(inbound_create=False, outbound_create=False)
        gone = [("Contact", box.contact("Byrne", "ada@acme.example")) for _ in range(2)]
        box.run()
        id_ = box.prospect("Byrne", "ada@acme.example")
    box.run()
    for type_, record in gone:
        box.world.salesforce.delete_record(type_, record)
    where = f"/prospects/{id_}/matches/"

    page = text(client.get(where))
    assert "No candidate is left" in page and 'value="close"' in page and 'value="keep"' not in page
    assert "can be chosen turns up" in page and ("Keep the present ID" in page) == is_linked
    closed = text(client.post(f"/prospects/{id_}/decide/", {"decision": "close", "reason": "gone"}, follow=True))

    assert f"1 question about prospect {id_} closed: no candidate was left" in closed
    assert not Case.objects.filter(kind="remap", state="open").exists()
    assert 'value="close"' not in text(client.get(where))
    page = text(client.get(f"/records/outreach/prospect/{id_}/"))
    assert "No candidate was left" in page and "by a-operator" in page and 'value="ask_again"' in page
    again = client.post(f"/prospects/{id_}/decide/", {"decision": "ask_again"}, follow=True)
    assert "1 question is open again" in text(again) and 'value="close"' in text(again)


def test_a_question_about_a_prospect_that_is_gone_is_closed_on_its_page(client, box, olga):
    _, id_ = box.pair()
    box.lead("Byrne", "ada@acme.example")
    box.run()
    box.world.outreach.delete_record("prospects", id_)
    where = f"/prospects/{id_}/matches/"

    page = text(client.get(where))
    assert f"Prospect {id_} is not in Outreach" in page and 'value="close"' in page
    client.post(f"/prospects/{id_}/decide/", {"decision": "close"}, follow=True)

    assert Case.objects.get(kind="remap").get_decision_word() == "No candidate was left"
    assert client.get(where).status_code == 302


def test_keep_is_taken_back_on_the_page_of_the_record(client, box, olga):
    _, id_ = box.pair()
    lead, where = box.lead("Byrne", "ada@acme.example"), f"/records/outreach/prospect/{id_}/"
    box.run()
    client.post(f"/prospects/{id_}/decide/", {"decision": "keep"})
    page = text(client.get(where))
    assert "Kept on its present CRM ID" in page and page.count('value="ask_again"') == 1
    Policy.objects.update(same_email="prevent")
    assert 'value="ask_again"' not in text(client.get(where))
    assert "Remapping is off" in text(client.post(f"/prospects/{id_}/decide/", {"decision": "ask_again", "back": where}, follow=True))
    Policy.objects.update(same_email="choose")

    client.post(f"/prospects/{id_}/decide/", {"decision": "ask_again"})

    assert Case.objects.get(kind="remap", state="open").crm_id == lead


def test_moving_a_link_needs_its_tick(client, box, olga):
    _, id_ = box.pair()
    taken, other = box.pair("Diaz", "cleo@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    box.active(other, tasks=4)
    page = text(client.get(f"/prospects/{id_}/matches/"))
    assert "Linked to another prospect" in page and "<b>4</b> active tasks" in page and "Move the link" in page

    refused = post(client, f"/prospects/{id_}/decide/", page, f"Contact:{taken}", back=f"/prospects/{id_}/matches/")
    assert "Tick “Move the link”" in text(refused) and box.binding(other).crm_id == taken
    post(client, f"/prospects/{id_}/decide/", page, f"Contact:{taken}", move=f"Contact:{taken}")

    assert box.binding(id_).crm_id == taken
    listed = text(client.get("/prospects/?state=ended"))
    assert "Diaz" in listed and "Not linked any more" in listed


def test_s2_21_nothing_to_choose_says_so_and_an_empty_choice_is_told(client, box, olga):
    _, id_ = box.pair()
    page = text(client.get(f"/prospects/{id_}/matches/"))
    assert "There is nothing to choose" in page and ">Update<" not in page

    assert "Choose one of the records first" in text(client.post(f"/prospects/{id_}/decide/", {"decision": "update"}, follow=True))
    nobody = box.prospect("Nobody")
    assert "No lead or contact of Salesforce has an e-mail address" in text(client.get(f"/prospects/{nobody}/matches/"))
    assert "not in Outreach" in text(client.get("/prospects/999999/matches/", follow=True))
    assert client.get("/prospects/99999999999999999999999/matches/").status_code == 302


def test_what_was_read_last_is_shown_when_salesforce_is_away(client, box, olga):
    _, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    client.get(f"/prospects/{id_}/matches/")
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce", "times": 99})

    page = text(client.get(f"/prospects/{id_}/matches/"))

    assert lead in page and "This is what was read" in page


def test_s2_13_one_import_whose_address_is_known_offers_the_remap(client, box, olga):
    _, id_ = box.pair()
    contact = box.contact("Byrne", "ada@acme.example", Title="Chief")
    SyncPass.objects.update(switched_on_at=box.clock.at)

    page = text(client.post("/imports/one/", {"given": contact}, follow=True))

    assert "A prospect with this email address already exists in Outreach" in page and "Choose the preferred CRM ID" in page
    where = re.search(rf'href="(/prospects/{id_}/matches/[^"]*)"', page)[1]
    page = text(client.get(where))
    assert contact in page and ">Update<" in page
    batch = Import.objects.get()
    post(client, f"/prospects/{id_}/decide/", page, f"Contact:{contact}", **{"import": batch.pk})
    assert box.peer(id_)["externalId"] == contact and box.peer(id_)["title"] == "Buyer"


# --- a sitting ------------------------------------------------------------------------------------------------------


def test_s2_16_s2_17_s2_19_an_imports_failures_are_worked_through_in_one_sitting(client, box, olga):
    pairs = [box.pair(f"P{n}", f"p{n}@acme.example") for n in range(3)]
    leads = [box.lead(f"P{n}", f"p{n}@acme.example") for n in range(3)]
    box.run()
    batch = failed_import(box, [id_ for _, id_ in pairs], leads)
    ids = [id_ for _, id_ in pairs]

    start = text(client.get(f"/imports/{batch.pk}/"))
    assert f"/prospects/{ids[0]}/matches/?import={batch.pk}" in start
    page = text(client.get(f"/prospects/{ids[0]}/matches/?import={batch.pk}"))
    assert "1 of 3" in page and f"/prospects/{ids[1]}/matches/?import={batch.pk}" in page
    sync = post(client, f"/prospects/{ids[0]}/decide/", page, f"Lead:{leads[0]}", **{"import": batch.pk})
    assert sync.redirect_chain[-1][0] == f"/prospects/{ids[0]}/sync/?import={batch.pk}"
    assert "1 of 3" in text(sync) and f"/prospects/{ids[1]}/matches/?import={batch.pk}" in text(sync)
    kept = post(client, f"/prospects/{ids[1]}/decide/", decision="keep", **{"import": batch.pk})
    assert kept.redirect_chain[-1][0] == f"/prospects/{ids[2]}/matches/?import={batch.pk}" and "3 of 3" in text(kept)
    later = post(client, f"/prospects/{ids[2]}/decide/", decision="later", **{"import": batch.pk})

    assert later.redirect_chain[-1][0] == f"/imports/{batch.pk}/"
    end = text(later)
    assert "Remapped" in end and "Kept on its present CRM ID" in end and "2 of them decided since" in end
    assert [box.binding(i).crm_id for i in ids] == [leads[0], pairs[1][0], pairs[2][0]]


def test_many_by_a_rule_are_shown_first_and_carried_out_as_a_job(client, box, olga, monkeypatch):
    pairs = [box.pair(f"P{n}", f"p{n}@acme.example") for n in range(2)]
    leads = [box.lead(f"P{n}", f"p{n}@acme.example") for n in range(2)]
    box.run()
    asked = []
    monkeypatch.setattr(jobs, "async_task", lambda name, *arguments, **o: asked.append((name, arguments)))

    assert "2 prospects wait for a choice" in text(client.get("/prospects/bulk/"))
    page = text(client.get("/prospects/bulk/?rule=latest"))
    keys = [k.replace("&gt;", ">") for k in re.findall(r'name="key" value="([^"]*)"', page)]
    assert len(keys) == 2 and all(lead in page for lead in leads) and "waited longest" not in page
    with monkeypatch.context() as few:
        few.setattr("reconciliation.views.prospects.MOST_AT_ONCE", 1)
        assert "waited longest" in text(client.get("/prospects/bulk/?rule=latest"))
    client.post("/prospects/bulk/", {"key": keys}, follow=True)
    ((name, arguments),) = asked

    assert name.endswith("remap_prospects") and jobs.remap_prospects(*arguments) == "2 remapped, 0 kept, 0 refused"
    assert [box.binding(id_).crm_id for _, id_ in pairs] == leads


def test_many_with_nothing_chosen_come_back_to_the_same_import_rule_and_ticks(client, box, olga, monkeypatch):
    pairs = [box.pair(f"P{n}", f"p{n}@acme.example") for n in range(3)]
    leads = [box.lead(f"P{n}", f"p{n}@acme.example") for n in range(3)]
    box.run()
    batch = failed_import(box, [id_ for _, id_ in pairs[:2]], leads[:2])
    asked = []
    monkeypatch.setattr(jobs, "async_task", lambda name, *arguments, **o: asked.append(arguments))
    where = f"/prospects/bulk/?import={batch.pk}&rule=latest"
    first = text(client.get(where))
    assert first.count('name="key"') == 2 and first.count(" checked ") == 2

    for form in ({}, {"import": batch.pk, "rule": "latest"}):  # also where the address was lost on the way
        page = text(client.post(where if not form else "/prospects/bulk/", {**form, "reason": "the <newer> one"}))

        assert "Tick at least one prospect, then carry it out. Nothing was done." in page
        assert page.count('name="key"') == 2 and " checked " not in page and f'<a href="/imports/{batch.pk}/">' in page
        assert '<option value="latest" selected>' in page and 'value="the &lt;newer&gt; one"' in page
    assert not asked
    assert "Choose a rule first" in text(client.post("/prospects/bulk/", {"import": batch.pk}))


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_list_filters_by_state_and_finds_by_name_address_and_id(client, box, olga):
    contact, id_ = box.pair()
    _, other = box.pair("Diaz", "cleo@acme.example")
    box.lead("Byrne", "ada@acme.example")
    box.run()
    box.prospect("Evans", "eve@acme.example")
    for _ in range(2):
        box.contact("Evans", "eve@acme.example")
    box.run()

    def shown(query):
        page = text(client.get(f"/prospects/?{query}"))
        return {name for name in ("Byrne", "Diaz", "Evans") if name in page}

    assert shown("") == {"Byrne", "Diaz", "Evans"} and shown("state=asked") == {"Byrne", "Evans"}
    assert shown("q=dia") == {"Diaz"} and shown("q=cleo@acme.example") == {"Diaz"} and shown(f"q={id_}") == {"Byrne"}
    assert shown(f"q={contact}") == {"Byrne"} and shown("q=evan") == {"Evans"} and shown("state=ended") == set()
    assert shown("crm_type=Lead") == {"Evans"} or shown("crm_type=Lead") == set()
    rows = b"".join(client.get("/prospects/export.csv?q=diaz").streaming_content).decode()
    assert "Diaz" in rows and str(other) in rows and "Byrne" not in rows


def test_the_page_of_a_record_leads_to_what_can_be_done(client, box, olga):
    contact, id_ = box.pair()
    RecordType.objects.update(outbound_create=False)
    free = box.prospect("Evans", "eve@acme.example")
    box.run()

    for where in (f"/records/outreach/prospect/{id_}/", f"/records/salesforce/Contact/{contact}/"):
        assert f"/prospects/{id_}/sync/?force=1" in text(client.get(where))
    assert f"/prospects/{free}/matches/" in text(client.get(f"/records/outreach/prospect/{free}/"))


def test_a_viewer_sees_the_list_and_nothing_to_do(client, box):
    _, id_ = box.pair()
    log_in(client, "viewer")

    page = text(client.get("/prospects/"))

    assert "Byrne" in page and "/sync/" not in page
    for where in (f"/prospects/{id_}/sync/", "/prospects/bulk/"):
        assert client.get(where).status_code == 403, where
    assert client.post(f"/prospects/{id_}/decide/").status_code == 403


def test_nothing_yet_says_what_will_appear(client, olga):
    page = text(client.get("/prospects/"))

    assert "not both connected yet" in page and client.get("/prospects/1/matches/").status_code == 302


@pytest.mark.parametrize("n", [1, 200])
def test_pages_with_few_and_many_candidates_stay_within_twelve_queries_and_escape(client, box, olga, n):
    contact, id_ = box.pair(FirstName=HOSTILE[:40])
    for _ in range(n):
        box.lead(HOSTILE[:80], "ada@acme.example", Company=HOSTILE[:100], Title=HOSTILE[:100])
    box.run()
    box.prospect("Evans", "eve@acme.example")
    box.run()
    for table in MappingTable.objects.all():  # as the standard tables: the owner is a user of the other system
        FieldRule.objects.create(table=table, crm_field="OwnerId", peer_field="owner", transform=USER_PAIR, direction="both")
    with_session(client)

    one = f"/prospects/{id_}"
    pages = [f"{one}/matches/", f"{one}/matches/?page=2&import=1", f"{one}/sync/?force=1", f"{one}/sync/?source=peer&force=1&blanks=1"]
    pages += ["/prospects/", "/prospects/?q=by&state=asked", "/prospects/?q=by", "/prospects/?q=1", "/prospects/?q=eve&page=9"]
    pages += ["/prospects/bulk/?rule=latest", "/prospects/999999/matches/", "/records/?q=1", "/records/?q=by", "/records/?q=Nobody"]
    for where in (f"/records/outreach/prospect/{id_}/", f"/records/salesforce/Contact/{contact}/"):
        pages += [where, f"{where}history/?page=2", f"{where}field/title/"]
    for where in pages:
        with CaptureQueriesContext(connection) as queries:
            page = text(client.get(where, follow="999999" in where))
        assert "<script>alert" not in page and "style=" not in page.partition("<main")[2].partition("</main")[0], where
        assert not TurnedRound(page).found, where
        most = 12 + 9 * ("999999" in where)  # which leads to the list
        assert len(queries) <= most, (where, len(queries), [q["sql"][:90] for q in queries])
    page = text(client.get(f"/prospects/{id_}/matches/"))
    assert page.count('type="radio"') == min(n, 49) and ("Page 1" in page) == (n > 49)


def test_five_thousand_links_are_a_page_of_fifty(client, box, olga):
    made = {"sync_pass": box.sync_pass, "crm_type": "Contact", "peer_type": "prospect", "bound_at": box.clock.at, "synced_at": box.clock.at}
    rows = [Binding(**made, crm_id=f"003{n:012d}AAA", peer_id=str(n), name=f"P{n}", name_key=f"p{n}") for n in range(1, 5001)]
    Binding.objects.bulk_create(rows)
    client.get("/prospects/")  # session and content types are warm then

    with CaptureQueriesContext(connection) as queries:
        page = text(client.get("/prospects/"))

    assert page.count("/sync/?force=1") == 50 and len(queries) <= 12 and "Page 1" in page


def test_those_that_wait_are_found_by_the_index_of_cases_by_record(box):
    rows = ProspectFilter({"state": "asked"}, prospects_listed(box.sync_pass)).qs

    assert connection.vendor != "sqlite" or "case_peer_record" in rows.order_by().explain()  # a small table of PostgreSQL is scanned
