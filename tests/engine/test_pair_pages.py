"""A page of a two-way pass as a whole: what it costs the database, and refusals that are no fault of a record."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.errors import Rejected
from reconciliation.engine.mapping_trouble import equal_refusals
from reconciliation.models import Case, Difference, FieldRule, LookAgain, MappingTable, Operation, SyncPass
from reconciliation.services.mappings import mapping_save
from tests.paired import paired

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def pages():
    """Returns both sides, with as many rows in an answer as a real organisation gives."""
    box = paired()
    box.world.salesforce.set_switches({"page_size": 2000})
    return box


@pytest.mark.parametrize("other_title", [None, "Chef"])
def test_a_record_that_is_made_or_linked_costs_a_wave_of_its_own_and_nothing_else(other_title):
    box = pages()
    for table in MappingTable.objects.all():
        FieldRule.objects.create(
            table=table, crm_field="OwnerId", peer_field="owner", direction="to_peer", transform="user by user mapping"
        )
    box.run()
    costs = []
    for n in (5, 15):
        for i in range(n):
            box.contact(f"N{n}x{i}", f"n{n}x{i}@x.example", Title="Boss")
            if other_title:
                box.prospect(f"N{n}x{i}", f"n{n}x{i}@x.example", title=other_title)
        with CaptureQueriesContext(connection) as queries:
            box.run()
        costs.append(len(queries))

    assert len(box.prospects()) == 20 and Difference.objects.count() == (20 if other_title else 0)
    # Claim, settle, binding, lease, and a transaction: without workers every write is a wave of its own.
    assert costs[1] - costs[0] <= 6 * 10, costs


def test_rule_3_equal_refusals_in_a_row_are_one_case_of_the_mapping():
    box = pages()
    for i in range(12):
        box.contact(f"N{i}", f"n{i}@x.example")
    fault = box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/prospects"})

    run = box.run()

    assert (run.state, run.failed, run.held) == ("held", 0, 12)
    assert Case.objects.get().kind == "mapping" and LookAgain.objects.count() == 12
    box.world.faults.all.remove(fault)
    box.calls()
    assert box.run().state == "held" and box.calls() == {}
    mapping_save(SyncPass.objects.get(), {}, None)
    assert box.run().created == 12 and not Case.objects.filter(state="open").exists()


def sent(*words):
    """Returns writes of one kind as they were answered; "" went through."""
    for n, word in enumerate(words):
        yield (
            Operation(pk=n, connection_id=1, object_type="prospect", kind="create", state="rejected" if word else "confirmed"),
            Rejected(word, system="outreach") if word else None,
        )


@pytest.mark.parametrize(
    ("answers", "blamed"),
    [
        (["bad"] * 10, 10),
        (["bad"] * 9, 0),
        (["bad"] * 9 + [""] + ["bad"] * 9, 0),
        (["bad"] * 10 + [""] + ["bad"], 11),
        (["bad", "worse"] * 10, 0),
    ],
)
def test_only_refusals_in_a_row_blame_the_mapping(answers, blamed):
    assert len(equal_refusals(sent(*answers))) == blamed
