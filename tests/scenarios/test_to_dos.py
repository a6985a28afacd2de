"""Seed 004: tasks of mailboxes and of Salesforce in agreement (S4.3, S4.5, S4.13, S4.14, S4.21, S4.26, S4.27)."""

import pytest

from tests.boxes import on_every_mail_system
from tests.to_dos import to_dos

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request):
    return to_dos(request.param)


@on_every_mail_system
def test_s4_21_a_marked_task_goes_up_once(box):
    box.note("Call Bo", due=box.day(), body="About the offer")

    run = box.run()

    assert (run.state, run.created) == ("finished", 1), (run.note, box.events())
    made = box.only()
    assert (made["Subject"], made["ActivityDate"], made["Description"]) == ("Call Bo", box.day(), "About the offer")
    assert made["OwnerId"] == box.users[box.mine] and made["Status"] == "Not Started"
    box.rest()


@on_every_mail_system
def test_s4_21_a_task_in_our_list_goes_up(box):
    box.run()
    box.note("In the list", list="Salesforce Tasks")
    box.run()

    assert box.only()["Subject"] == "In the list", box.events()
    assert box.item().why == "list"
    box.rest()


@on_every_mail_system
def test_s4_14_edits_go_across_both_ways(box):
    task = box.note("Call Bo", due=box.day())
    box.run()
    box.amend(task, title="Call Bo today", status="completed")
    box.run()
    assert (box.only()["Subject"], box.only()["Status"]) == ("Call Bo today", "Completed"), box.events()

    box.edit_task(box.only()["Id"], Subject="Call Bo again", Status="Not Started", ActivityDate=box.day(5))
    box.run()

    shown = box.task_of(task)
    assert (shown["title"], shown["status"], shown["due"]) == ("Call Bo again", "notStarted", box.day(5)), box.events()
    box.rest()


@on_every_mail_system
def test_a_task_of_salesforce_comes_down_to_its_owner_and_once(box):
    box.task("Send offer", ActivityDate=box.day())
    box.task("Another's", owner=box.theirs)
    box.task("A call", TaskSubtype="Call")
    box.run()

    rows = box.to_dos()
    assert [(row["title"], row["due"], row["list"]) for row in rows] == [("Send offer", box.day(), "Salesforce Tasks")], box.events()
    box.rest()
    box.amend(str(rows[0]["id"]), status="completed")
    box.run()
    assert next(row["Status"] for row in box.tasks_there() if row["Subject"] == "Send offer") == "Completed"


def test_what_nobody_marked_stays_unless_new_ones_are_shared(box):
    box.note("Old", shared=False)
    assert box.run().created == 0

    box.set(share_tasks=True)
    box.run()
    box.note("New", shared=False)
    box.run()

    titles = [row["Subject"] for row in box.tasks_there()]
    assert titles == ["New"], box.events()
    box.rest()


@on_every_mail_system
def test_a_task_that_is_taken_out_stays_in_salesforce_and_is_linked_no_more(box):
    task = box.note("Call Bo")
    box.run()

    box.amend(task, **({"categories": []} if box.system != "google" else {"list": "Private things"}))
    box.run()

    assert box.links() == {} and len(box.tasks_there()) == 1 and box.events()[0][1] == "taken_out", box.events()
    box.rest()


@pytest.mark.parametrize(("setting", "left"), [("unlink", 1), ("propagate", 0)])
def test_a_task_deleted_in_the_mailbox_goes_by_the_setting(box, setting, left):
    box.set(task_deletion=setting)
    task = box.note("Call Bo")
    box.run()

    box.drop_task(task)
    box.run()

    assert len(box.tasks_there()) == left and box.links() == {}, box.events()
    box.rest()


@on_every_mail_system
def test_a_deletion_that_is_forbidden_is_taken_back_on_either_side(box):
    box.set(task_deletion="restore", task_removal="restore")
    task = box.note("Call Bo", body="Important")
    box.run()

    box.drop_task(task)
    box.run()
    box.run()
    assert [(row["title"], row["body"]) for row in box.to_dos()] == [("Call Bo", "Important")], box.events()

    box.delete_task(box.only()["Id"])
    box.run()
    box.run()
    assert [row["Subject"] for row in box.tasks_there()] == ["Call Bo"], box.events()
    assert len(box.to_dos()) == 1 and len(box.links()) == 1
    box.rest()


def test_a_task_deleted_in_salesforce_stays_in_the_mailbox_unmarked(box):
    task = box.note("Call Bo")
    box.run()

    box.delete_task(box.only()["Id"])
    box.run()

    assert box.tasks_there() == [] and box.links() == {} and box.task_of(task)["title"] == "Call Bo"
    box.rest()
    if box.system != "google":
        assert box.task_of(task)["categories"] == []


@on_every_mail_system
@pytest.mark.parametrize("fault", ["lost_answer", "drop"])
def test_a_create_whose_answer_is_lost_is_made_once_on_either_side(box, fault):
    box.run()
    box.note("Call Bo")
    box.task("Send offer")
    for system, path in (("salesforce", "/services/data/{v}/composite/sobjects/Task/{field}"), (box.system, None)):
        given = {"system": system, "kind": fault, "times": 1, "method": "PATCH" if system == "salesforce" else "POST"}
        box.world.faults.add(given)
        box.run(forward=1900)
        box.world.faults.clear()
        assert path is None or path
    for _ in range(4):
        box.run(forward=4000)

    assert sorted(row["Subject"] for row in box.tasks_there()) == ["Call Bo", "Send offer"], box.events()
    assert sorted(row["title"] for row in box.to_dos()) == ["Call Bo", "Send offer"], box.events()
    assert len(box.links()) == 2
    box.rest()
