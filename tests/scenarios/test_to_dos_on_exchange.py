"""Tasks on an Exchange server: ids change with a move there, and a list tells no deletion of what it never named."""

import pytest

from reconciliation.models import MailboxItem
from tests.to_dos import OUR_LIST, ToDos, to_dos

pytestmark = pytest.mark.django_db


@pytest.fixture
def box() -> ToDos:
    return to_dos("exchange")


def test_a_task_that_is_dragged_into_another_list_keeps_its_link(box: ToDos) -> None:
    task = box.note("Call Bo")
    box.run()
    (before,) = box.links().items()

    box.amend(task, list=OUR_LIST)
    box.run()
    (after,) = box.links().items()
    box.edit_task(after[0], Subject="Call Bo Li")
    box.run()

    assert after[0] == before[0] and after[1] != before[1] and len(box.tasks_there()) == 1
    assert box.task_of(task)["title"] == "Call Bo Li" and box.task_of(task)["list"] == OUR_LIST
    assert MailboxItem.objects.get(sync_pass=box.passes[box.mine]).item_id == after[1]
    box.rest()


def test_a_task_that_we_made_and_its_user_deleted_before_the_next_round_is_heard_of(box: ToDos) -> None:
    box.task("Send offer")
    box.run()
    (made,) = box.to_dos()

    box.drop_task(made["id"])
    box.run()

    assert box.links() == {} or made["id"] not in box.links().values()
    box.rest()
