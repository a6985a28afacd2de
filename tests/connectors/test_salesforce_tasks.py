"""Tasks of Salesforce in the words of task lists: one instant for the two fields of a reminder (reference 13.8)."""

from datetime import UTC, datetime

import pytest

from connectors.contract import Attribute, Record, Ref, Schema, Write
from connectors.errors import Rejected
from connectors.salesforce.our_fields import OurFields
from connectors.salesforce.tasks import REMINDER
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from tests.boxes import connect_salesforce
from tests.sandboxed import Clock

REF = Ref("salesforce", "Task", "00TAA0000012345YAA")
OURS = OurFields()
AT = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)


def test_a_reminder_is_read_as_one_instant():
    def read(**fields):
        return OURS.with_ours(Record(REF, fields)).fields

    assert read(IsReminderSet=True, ReminderDateTime=AT)[REMINDER] == AT
    assert read(IsReminderSet=False, ReminderDateTime=AT)[REMINDER] is None
    assert read(IsReminderSet=True, ReminderDateTime=None)[REMINDER] is None
    assert REMINDER not in read(IsReminderSet=True)  # what was not read is not told


def test_a_reminder_is_written_as_both_fields():
    assert OURS.real_columns("Task", ["Subject", REMINDER]) == ["Subject", "IsReminderSet", "ReminderDateTime"]
    assert OURS.real_fields("Task", {REMINDER: AT, "Subject": "x"}) == {"Subject": "x", "IsReminderSet": True, "ReminderDateTime": AT}
    assert OURS.real_fields("Task", {REMINDER: None}) == {"IsReminderSet": False}
    with pytest.raises(Rejected, match="no time of a reminder"):
        OURS.real_fields("Task", {REMINDER: "tomorrow"})


def test_only_tasks_have_it_and_only_where_salesforce_describes_what_it_stands_for():
    assert OURS.real_columns("Contact", [REMINDER]) == [REMINDER] and OURS.real_fields("Contact", {REMINDER: "x"}) == {REMINDER: "x"}
    both = {name: Attribute(name, name, "text") for name in ("IsReminderSet", "ReminderDateTime")}
    assert REMINDER in OURS.with_our_attributes(Schema("Task", both)).attributes
    assert (
        OURS.with_our_attributes(Schema("Task", {})).attributes == {}
        and REMINDER not in OURS.with_our_attributes(Schema("Lead", both)).attributes
    )


@pytest.mark.django_db
def test_a_reminder_goes_to_the_played_salesforce_and_comes_back():
    clock = Clock()
    world = World(scenario="empty", now=clock)
    connector = open_connector(connect_salesforce(world), adapter=SandboxAdapter(world), db_now=clock, now=clock, clock=clock.seconds)

    (made,) = connector.write("Task", [Write("Task", {"Subject": "Call", REMINDER: AT}, "k")])
    (read,) = connector.read("Task", [made.record.ref.id], ["Subject", REMINDER])

    assert made.error is None and read.fields["Subject"] == "Call" and read.fields[REMINDER] == AT
    (cleared,) = connector.write("Task", [Write("Task", {REMINDER: None}, "k", ref=read.ref, version=read.version)])
    assert cleared.error is None
    assert [r.fields[REMINDER] for r in connector.read("Task", [read.ref.id], [REMINDER])] == [None]
    assert connector.schema("Task").attributes[REMINDER].type == "datetime"
    connector.close()
