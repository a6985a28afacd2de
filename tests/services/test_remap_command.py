"""`manage.py remap`: its sentences and exit codes."""

import pytest
from django.core.management import call_command

from reconciliation.models import AuditEntry, Policy
from tests.remapping import remapping

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = remapping()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


@pytest.fixture
def run(capsys):
    """Runs the command and returns its exit code with what it printed."""

    def run(*arguments):
        code = 0
        try:
            call_command("remap", *(str(a) for a in arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        out = capsys.readouterr()
        return code, out.out + out.err

    return run


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(box, run):
    contact, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example", Title="Chief")
    box.active(id_, tasks=2, sequences=1)
    box.calls()

    code, said = run(id_, "lead", lead[:15], "--dry-run", "--force-update")

    assert code == 0 and f"externalId becomes {lead}" in said and "2 active tasks, 1 active sequence." in said
    assert "Nothing was written" in said and box.writes() == {} and box.binding(id_).crm_id == contact


def test_s2_7_s2_15_remap_and_force_update(box, run):
    _, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example", Title="Chief")

    code, said = run(id_, "Lead", lead)
    assert code == 0 and "Remapped in run" in said and box.peer(id_)["externalId"] == lead and box.peer(id_)["title"] == "Buyer"
    code, said = run(id_, "Lead", lead, "--force-update")

    assert code == 0 and "already" in said and "Force update wrote" in said and box.peer(id_)["title"] == "Chief"
    assert AuditEntry.objects.filter(action="force update").count() == 1
    assert "nothing; every mapped field agrees" in run(id_, "Lead", lead, "--force-update")[1]


def test_refusals_have_a_sentence_and_a_code(box, run):
    contact, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example")
    taken, _ = box.pair("Diaz", "cleo@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")

    assert run("x", "Lead", lead)[0] == 2 and run(id_, "Account", lead)[0] == 2
    code, said = run(id_, "Lead", "00Q000000000000AAA")
    assert code == 1 and "is no match of this prospect" in said
    assert run(999, "Lead", lead)[0] == 1
    code, said = run(id_, "Contact", taken)
    assert code == 1 and "--move-link" in said and box.binding(id_).crm_id == contact
    Policy.objects.update(same_email="prevent")
    code, said = run(id_, "Lead", lead)
    assert code == 1 and "Remapping is off" in said
    Policy.objects.update(same_email="choose", writes_stopped_at=box.clock.at)
    assert run(id_, "Lead", lead)[0] == 1
    Policy.objects.update(writes_stopped_at=None)
    box.world.faults.add({"kind": "status", "status": 503, "system": "outreach", "times": 99})
    assert run(id_, "Lead", lead)[0] in (1, 4) and box.binding(id_).crm_id == contact


def test_without_connections_it_says_so(db, run):
    assert run(1, "Lead", "x") == (2, "Salesforce and Outreach are not both connected yet. Nothing was done.\n")
