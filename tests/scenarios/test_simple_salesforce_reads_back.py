"""What the pages say was written in Salesforce is what simple-salesforce, a client that shares no code with ours, reads there:
every field, the blanks, and nothing beside."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
import requests
from simple_salesforce import Salesforce

from connectors.sandbox.transport import SandboxAdapter, base_url
from reconciliation.models import FieldRule, MappingTable, Operation, Policy
from tests.admin.test_pages import HOSTILE, log_in
from tests.conflicting import conflicting

pytestmark = pytest.mark.django_db

MORE = {
    "Contact": (
        ("MailingStreet", "addressStreet", {}),
        ("Department", "occupation", {}),
        ("HasOptedOutOfFax", "optedOut", {}),
        ("Interests__c", "tags", {}),
    ),
    "Lead": (("Street", "addressStreet", {}), ("HasOptedOutOfFax", "optedOut", {}), ("Interests__c", "tags", {})),
}
OF_THE_SYSTEM = {"SystemModstamp", "LastModifiedDate", "LastModifiedById", "Name", "MailingAddress", "Address"}  # follow from any write
SMALL_PRINT = {"quiet", "visually-hidden", "nowrap"}  # what a page adds to a value
MANY_BYTES = "Žofie 中村 🙂🇮🇪 e\u0301 العربية \u202eexe"
FORMULA = "=cmd|' /C calc'!A0;\"&amp;' -- \\"


class Tables(HTMLParser):
    """The tables of a page: rows of cells as a person reads them, without small print, and each cell's own label."""

    def __init__(self, page):
        super().__init__()
        self.rows, self._quiet, self._is_cell = [], [], False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._is_cell = True
            self.rows[-1].append("")
        if tag in ("span", "a"):
            self._quiet.append(not SMALL_PRINT.isdisjoint((dict(attributes).get("class") or "").split()))

    def handle_endtag(self, tag):
        if tag in ("span", "a"):
            self._quiet.pop()
        if tag in ("td", "th"):
            self._is_cell = False
            self.rows[-1][-1] = self.rows[-1][-1].strip()

    def handle_data(self, data):
        if self._is_cell and not any(self._quiet):
            self.rows[-1][-1] += data

    def under(self, *heads):
        """Returns the cells below these heads, by the first of them, of the table that has them all."""
        start = next(n for n, row in enumerate(self.rows) if set(heads) <= set(row))
        places = [self.rows[start].index(head) for head in heads]
        found = {}
        for row in self.rows[start + 1 :]:
            if len(row) != len(self.rows[start]):
                break
            found[row[places[0]]] = tuple(row[place] for place in places[1:])
        return found


class Desk:
    """The pages, and simple-salesforce beside them."""

    def __init__(self, box, client, session):
        self.box, self.client = box, client
        token = box.world.salesforce.credentials()["access_token"]
        self.force = Salesforce(instance_url=base_url("salesforce"), session_id=token, session=session, version="67.0")

    def read(self, type_, id_):
        """Returns every field of a record as simple-salesforce reads it."""
        record = dict(getattr(self.force, type_).get(id_))
        record.pop("attributes")
        return record

    def page(self, where, **asked):
        answer = self.client.get(where, asked)
        assert answer.status_code == 200, (where, answer.status_code)
        return answer.content.decode()

    def post(self, where, **values):
        answer = self.client.post(where, values, follow=True)
        assert answer.status_code == 200, (where, answer.status_code)
        return answer.content.decode()

    def now(self, type_, id_):
        """Returns field -> what the record's page says that Salesforce holds."""
        rows = Tables(self.page(f"/records/salesforce/{type_}/{id_}/")).under("Salesforce field", "Salesforce")
        return {name: value for name, (value,) in rows.items()}

    def write(self, type_, id_):
        """Returns the last write in Salesforce that the record's history leads to."""
        history = self.page(f"/records/salesforce/{type_}/{id_}/history/")
        writes = Operation.objects.in_bulk([int(pk) for pk in re.findall(r'href="/journal/(\d+)/"', history)])
        return max((op for op in writes.values() if op.connection == self.box.sync_pass.crm), key=lambda op: op.pk)

    def written(self, type_, id_):
        """Returns field -> (before, after), as the page of that write says."""
        return Tables(self.page(f"/journal/{self.write(type_, id_).pk}/")).under("Field", "Before", "After")

    def says_what_is_there(self, type_, id_):
        """Tells whether the record's page shows each mapped field as simple-salesforce reads it."""
        now, read = self.now(type_, id_), self.read(type_, id_)
        mapped = set(FieldRule.objects.filter(table__crm_object=type_).values_list("crm_field", flat=True))
        assert now == {name: shown(name, read[name]) for name in mapped}
        return True


def shown(name, value):
    """Returns how a page writes a value of Salesforce's JSON."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "–" if value is None else value.replace(";", ", ") if name == "Interests__c" else value
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"


def changes(before, after):
    """Returns field -> (before, after), as pages write them, of all that became another value."""
    names = {n for n in after if before.get(n) != after[n]} - OF_THE_SYSTEM
    return {n: (shown(n, before.get(n)), shown(n, after[n])) for n in names}


def hidden(page, name):
    """Returns the hidden fields of a form whose names begin so."""
    return {n: unescape(v) for n, v in re.findall(rf'<input type="hidden" name="({name}[^"]*)" value="([^"]*)">', page)}


@pytest.fixture
def desk(client, monkeypatch):
    box = conflicting()
    for table in MappingTable.objects.all():
        for crm_field, peer_field, more in MORE[table.crm_object]:
            FieldRule.objects.create(table=table, crm_field=crm_field, peer_field=peer_field, direction="both", **more)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    log_in(client, "operator")
    with requests.Session() as session:
        session.mount("https://", SandboxAdapter(box.world))
        yield Desk(box, client, session)


def test_a_record_that_the_pass_makes_in_the_crm(desk):
    names = {"lastName": HOSTILE[:60], "firstName": "Žofie 🙂", "title": FORMULA, "addressStreet": "1 Main St\nFlat <2>"}
    flags = {"emailOptedOut": True, "callOptedOut": False, "optedOut": True}
    desk.box.world.outreach.create_record(
        "prospects",
        {**names, **flags, "emails": ["ada@acme.example"], "workPhones": [], "tags": ["Pumps", "Valves"], "custom1": MANY_BYTES * 12},
    )
    desk.box.run()

    (made,) = desk.box.people("Lead")
    read = desk.read("Lead", made["Id"])
    assert desk.says_what_is_there("Lead", made["Id"])
    written = desk.written("Lead", made["Id"])
    assert written == {name: ("–", shown(name, read[name])) for name in written}
    own = {"Id", "CreatedDate", "CreatedById", "OwnerId", "Status", "IsUnreadByOwner", "Sync_Key__c", *OF_THE_SYSTEM}
    assert {name for name, value in read.items() if value not in (None, False)} - own <= set(written)
    expected = {"LastName": HOSTILE[:60], "FirstName": "Žofie 🙂", "Title": FORMULA, "Street": "1 Main St\nFlat <2>", "Phone": None}
    expected |= {"HasOptedOutOfEmail": True, "DoNotCall": False, "HasOptedOutOfFax": True, "Company": "[not provided]"}
    expected |= {"Email": "ada@acme.example", "Interests__c": "Pumps;Valves", "Description": MANY_BYTES * 12}
    assert {name: read[name] for name in expected} == expected


def test_a_conflict_that_was_decided_field_by_field(desk):
    binding = desk.box.pair("Lovelace")
    case = desk.box.conflict(binding, title=("CTO", FORMULA), workPhones=("2", []), custom1=("ours", "theirs"))
    id_, before = case.crm_id, desk.read("Contact", case.crm_id)
    page = desk.page(f"/conflicts/{case.pk}/")
    rows = [row for row in Tables(page).rows if len(row) == 4 and row[0] == "Outreach"]
    promised = dict(re.match(rf"Salesforce Contact {id_}: (\w+) becomes (.*)", row[3], re.DOTALL).groups() for row in rows)
    pk = {row.peer_field: row.pk for row in case.fields.all()}
    typed = {f"take-{pk['custom1']}": "typed", f"value-{pk['custom1']}": f" {MANY_BYTES} "}

    desk.post(
        f"/conflicts/{case.pk}/decide/", **hidden(page, "seen-"), **typed, **{f"take-{pk[n]}": "peer" for n in ("title", "workPhones")}
    )

    read = desk.read("Contact", id_)
    assert desk.says_what_is_there("Contact", id_)
    assert desk.written("Contact", id_) == changes(before, read)
    assert (read["Title"], read["Phone"], read["Description"]) == (FORMULA, None, MANY_BYTES)
    assert (promised["Title"], promised["Phone"]) == (shown("Title", FORMULA), "–")
    decided = Tables(desk.page(f"/conflicts/{case.pk}/")).under("Field", "What was decided")
    assert all(said.endswith(f": {shown(name, read[name])}") for name, (said,) in decided.items()) and len(decided) == 3


def test_a_force_update_out_of_outreach_and_its_undo(desk):
    start = {"FirstName": "Ada", "Title": "Buyer", "Department": "Sales", "HasOptedOutOfFax": True, "Interests__c": "Pumps;Service"}
    id_, peer = desk.box.linked("Byrne", "ada@acme.example", MailingStreet="1 Main St\nDublin", **start)
    first = desk.read("Contact", id_)
    edits = {
        "firstName": HOSTILE[:40],
        "title": MANY_BYTES,
        "occupation": None,
        "optedOut": False,
        "tags": ["Valves"],
        "callOptedOut": True,
    }
    desk.box.edit_peer(peer, **edits, addressStreet=None)

    where = f"/prospects/{peer}/sync/"
    page = desk.page(where, source="peer", force="1", blanks="1")
    planned = {
        n: (now, "–" if new == "(blank)" else new) for n, (now, new) in Tables(page).under("Field", "Salesforce", "Salesforce gets").items()
    }
    fields = re.findall(r'<input type="checkbox" name="field" value="(\w+)"', page)
    desk.post(where, source="peer", force="1", blanks="1", field=fields, **hidden(page, "seen-"))

    read = desk.read("Contact", id_)
    assert desk.says_what_is_there("Contact", id_)
    assert planned == desk.written("Contact", id_) == changes(first, read)
    assert (read["FirstName"], read["Title"], read["Interests__c"]) == (HOSTILE[:40], MANY_BYTES, "Valves")
    assert [read[n] for n in ("Department", "MailingStreet", "HasOptedOutOfFax", "DoNotCall")] == [None, None, False, True]

    write = desk.write("Contact", id_)
    undo = f"/runs/{write.run_id}/undo/"
    lines = re.findall(r'<span class="quiet">(\w+): (.*?) becomes (.*?)</span>', desk.page(undo, operation=write.pk), re.DOTALL)
    assert {n: (unescape(now), unescape(then)) for n, now, then in lines} == changes(read, first)
    desk.post(undo, operation=write.pk)

    back = desk.read("Contact", id_)
    assert changes(first, back) == {} and desk.says_what_is_there("Contact", id_)
    assert desk.written("Contact", id_) == changes(read, back)


def test_a_remap_a_pull_and_the_next_pass(desk):
    Policy.objects.update_or_create(pk=1, defaults={"same_email": Policy.SameEmail.CHOOSE})
    contact, peer = desk.box.linked("Byrne", "ada@acme.example", Title="Buyer", Phone="1")
    values = {"Title": FORMULA, "Description": MANY_BYTES * 12, "HasOptedOutOfFax": True, "Interests__c": "Valves;Sensors"}
    lead = desk.box.lead(HOSTILE[:40], "ada@acme.example", Street="2 <b>Quay</b>\nCork", **values)
    before = desk.read("Contact", contact), desk.read("Lead", lead)

    page = desk.page(f"/prospects/{peer}/matches/")
    choice = f"Lead:{lead}"
    desk.post(f"/prospects/{peer}/decide/", decision="update", choice=choice, **hidden(page, f"stamp-{choice}"))
    page = desk.page(f"/prospects/{peer}/sync/", source="crm", force="1")
    planned = Tables(page).under("Field", "Salesforce")
    fields = re.findall(r'<input type="checkbox" name="field" value="(\w+)"', page)
    desk.post(f"/prospects/{peer}/sync/", source="crm", force="1", field=fields, **hidden(page, "seen-"))

    assert (desk.read("Contact", contact), desk.read("Lead", lead)) == before  # nothing was said to be written in Salesforce
    assert {n: value for n, (value,) in planned.items()} == {n: shown(n, before[1][n]) for n in planned} and {"Title", *values} <= set(
        planned
    )
    assert desk.says_what_is_there("Lead", lead)
    desk.box.edit_peer(peer, title=None, emailOptedOut=True, tags=["Pumps"], custom1=HOSTILE)
    desk.box.run()

    read = desk.read("Lead", lead)
    assert desk.written("Lead", lead) == changes(before[1], read) and desk.says_what_is_there("Lead", lead)
    assert (read["Interests__c"], read["HasOptedOutOfEmail"], read["Description"]) == ("Pumps", True, HOSTILE)
    assert desk.read("Contact", contact) == before[0]
