"""G14: what somebody types in Outreach between our read and our write is overwritten unseen. The webhook tells of it, the
journal keeps it, people read and restore it."""

import random
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from connectors.contract import Ref
from reconciliation import jobs
from reconciliation.engine.overwritten import ROWS_A_BATCH, work_off
from reconciliation.models import HookDelivery, Operation, RecordType, SyncPass
from reconciliation.models.journal import LOSERS, VERSION
from reconciliation.services.record_history import field_history
from reconciliation.services.undo import undo
from reconciliation.services.webhooks import hooks_switch_on
from tests.paired import paired
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


class Post:
    """Takes the place of the sandbox's sender: what it delivers comes to our receiver in process."""

    def __init__(self):
        self.held, self.holds, self.statuses = [], False, []

    def send(self, deliveries):
        for item in deliveries:
            self.held.append(item)
        if not self.holds:
            self.let_go()

    def let_go(self):
        waiting, self.held = self.held, []
        for item in waiting:
            where = "/" + item.url.partition("://")[2].partition("/")[2]
            given = {k: v for k, v in item.headers.items() if k != "Content-Type"}
            self.statuses.append(Client().post(where, item.body, content_type="application/json", headers=given).status_code)


@pytest.fixture
def box(settings, tmp_path):
    """A linked organisation, with the receiver on."""
    settings.HOOK_SPOOL = tmp_path / "hooks"
    box = make(at=timezone.now().replace(microsecond=0))
    box.id = box.organisation("Acme", industry="Food")
    box.run()
    box.post = box.world._sender = Post()
    hooks_switch_on(box.sync_pass.peer, None, wiring=box.wiring)
    box.account = int(box.accounts("Acme")[0]["id"])
    return box


def edited_meanwhile(box, *edits):
    """Lets somebody edit the account in Outreach just before each of our next PATCHes of it arrives."""
    waiting, handle = list(edits), box.world.handle

    def handled(name, request):
        if request.method == "PATCH" and "/accounts/" in request.path and waiting:
            box.world.outreach.update_record("accounts", box.account, waiting.pop(0))
        return handle(name, request)

    box.world.handle = handled


def write(box):
    return Operation.objects.filter(kind="update", object_type="account").latest("pk")


def losers(box):
    return write(box).origin.get(LOSERS)


def account(box):
    return box.world.outreach.get_record("accounts", box.account)


def test_g14_a_value_overwritten_unseen_is_in_the_journal(box):
    edited_meanwhile(box, {"industry": "Typed by a user"})
    box.edit(box.id, industry="Health")
    box.run()
    assert account(box)["industry"] == "Health" and losers(box) is None

    done = work_off(box.sync_pass.peer, box.clock())

    assert losers(box) == {"industry": "Typed by a user"} and write(box).before["industry"] == "Food"
    assert done.values == 1 and set(box.post.statuses) == {200}
    notes = list(HookDelivery.objects.exclude(note="").values_list("note", flat=True))
    assert notes == [f"Our write {write(box).pk} replaced a user's edit of industry."]


def test_g14_it_is_read_in_journal_and_history_and_restored(box, client):
    edited_meanwhile(box, {"industry": "Typed by a user"})
    box.edit(box.id, industry="Health")
    box.run()
    jobs.work_off_deliveries()
    call_command("migrate", verbosity=0)
    olga = User.objects.create_user("olga", password="x", is_staff=True)
    olga.groups.add(Group.objects.get(name="operator"))
    client.force_login(olga)

    page = client.get(f"/journal/{write(box).pk}/").content.decode()
    assert "Typed by a user" in page and "overwritten unseen" in page
    change = field_history(box.sync_pass, Ref("workbooks", "organisation", str(box.id)), "industry").changes[0]
    assert (change.before, change.after, change.how) == ("Typed by a user", "Health", "Conflict rule")
    (line,) = undo(box.sync_pass, [write(box)], olga, field="industry", wiring=box.wiring)
    assert line.is_possible and line.changes == [("industry", "Health", "Typed by a user")]
    assert account(box)["industry"] == "Typed by a user"


def test_a_write_that_overwrote_nothing_leaves_nothing(box):
    box.edit(box.id, industry="Health")
    box.run()

    assert work_off(box.sync_pass.peer, box.clock()).values == 0 and losers(box) is None
    assert HookDelivery.objects.get(action="updated").note == f"Our write {write(box).pk}."


def test_edits_of_users_alone_are_theirs_and_wake(box):
    box.world.outreach.update_record("accounts", box.account, {"industry": "Typed"})
    box.world.keep()

    done = work_off(box.sync_pass.peer, box.clock())

    assert (done.deliveries, done.values) == (1, 0) and done.told_at is not None
    assert HookDelivery.objects.get().note == ""


def test_a_user_who_types_later_what_we_wrote_once_makes_no_loss(box):
    box.edit(box.id, industry="Health")
    box.run()
    for typed in ("Elsewhere", "Health"):
        box.clock.forward(60)
        box.world.outreach.update_record("accounts", box.account, {"industry": typed})
        box.world.keep()

    assert work_off(box.sync_pass.peer, box.clock()).values == 0 and losers(box) is None
    assert write(box).exchange[VERSION]  # that is how they are told apart


def test_an_unanswered_write_is_found_without_the_stamp_of_an_answer(box):
    edited_meanwhile(box, {"industry": "Typed"})
    box.edit(box.id, industry="Health")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "PATCH", "path": "/api/v2/accounts/{id}", "times": 1})
    box.run()
    assert Operation.objects.filter(kind="update").earliest("pk").state in ("sent", "confirmed")

    work_off(box.sync_pass.peer, box.clock())

    kept = [op.origin[LOSERS] for op in Operation.objects.filter(kind="update", origin__has_key=LOSERS)]
    assert kept == [{"industry": "Typed"}]


def test_a_delivery_that_comes_before_the_answer_is_worked_off_alike(box):
    edited_meanwhile(box, {"industry": "Typed"})
    settle = box.post.let_go

    def at_once():
        settle()
        work_off(box.sync_pass.peer, box.clock())

    box.post.let_go = at_once
    box.edit(box.id, industry="Health")
    box.run()

    assert losers(box) == {"industry": "Typed"} and write(box).state == "confirmed"


@pytest.mark.parametrize("seed", range(4))
def test_i11_repeated_shuffled_and_late_deliveries_come_to_the_same(box, seed):
    box.post.holds = True
    edited_meanwhile(box, *({"industry": f"Typed {n}"} for n in range(6)))
    for n in range(6):
        box.edit(box.id, industry=f"Ours {n}")
        box.run()
    chance = random.Random(seed)
    box.post.held += chance.sample(box.post.held, 4)
    chance.shuffle(box.post.held)
    late = box.post.held[:3]
    del box.post.held[:3]
    box.post.let_go()
    work_off(box.sync_pass.peer, box.clock())
    box.post.held = late
    box.post.let_go()
    work_off(box.sync_pass.peer, box.clock() + timedelta(hours=3))

    ops = Operation.objects.filter(kind="update", object_type="account").order_by("pk")
    assert [op.origin[LOSERS] for op in ops] == [{"industry": f"Typed {n}"} for n in range(6)]


def test_beside_a_value_that_a_rule_let_lose_the_unseen_one_is_kept(box):
    """The rule goes one way, so an edit there loses by it; another one right after that is lost unseen."""
    box.world.outreach.update_record("accounts", box.account, {"industry": "Seen"})
    edited_meanwhile(box, {"industry": "Unseen"})
    box.edit(box.id, industry="Health")
    box.run()
    assert losers(box) == {"industry": "Seen"}

    work_off(box.sync_pass.peer, box.clock())

    assert losers(box) == {"industry": "Unseen"} and write(box).before["industry"] == "Seen"


def test_many_are_worked_off_in_batches_and_goes_on_where_it_stopped(box):
    now = timezone.now()
    body = {"data": {"type": "account", "id": box.account, "attributes": {}}, "meta": {"eventName": "account.updated"}}
    HookDelivery.objects.bulk_create(
        HookDelivery(connection=box.sync_pass.peer, digest=str(n), body=body, received_at=now) for n in range(ROWS_A_BATCH + 5)
    )

    first = work_off(box.sync_pass.peer, now, budget_seconds=-1)
    second = work_off(box.sync_pass.peer, now)

    assert (first.deliveries, first.is_complete) == (ROWS_A_BATCH, False) and (second.deliveries, second.is_complete) == (5, True)


def test_a_two_way_run_begins_with_what_was_told(box):
    RecordType.objects.create(sync_pass=box.sync_pass, crm_object="Account", peer_object="account", mapping=box.sync_pass.mapping)
    HookDelivery.objects.create(connection=box.sync_pass.peer, digest="x", body={"data": 1}, received_at=timezone.now())

    jobs._work_off_before(box.sync_pass)

    assert HookDelivery.objects.get(digest="x").state == "refused"


def test_nothing_that_was_stored_breaks_the_work(box):
    now = timezone.now()
    meta = {"eventName": "account.updated"}
    good = {"type": "account", "id": 1, "attributes": {"name": "x"}}
    related = (1, None, {"id": 2}, {"data": None})
    odd = [[], "x", None, {"data": {**good, "attributes": 3, "relationships": 4}, "meta": meta}]
    odd += [{"data": good, "meta": meta, "beforeUpdate": v} for v in (1, [], {"attributes": []}, {"name": {"id": [1]}})]
    odd += [{"data": {**good, "relationships": {"owner": v, "x": {"data": 3}}}, "meta": meta} for v in related]
    for n, body in enumerate(odd):
        HookDelivery.objects.create(connection=box.sync_pass.peer, digest=f"odd{n}", body=body or {}, received_at=now)

    assert work_off(box.sync_pass.peer, now).deliveries == len(odd)
    assert not HookDelivery.objects.filter(state="waiting").exists()


# --- two-way --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def pair(settings, tmp_path):
    """A contact and its prospect at rest, kept in agreement both ways, with the receiver on."""
    settings.HOOK_SPOOL = tmp_path / "hooks"
    box = paired()
    box.contact_id, box.prospect_id = box.linked("Kaur", "kaur@acme.example", Title="Old")
    box.post = box.world._sender = Post()
    hooks_switch_on(box.sync_pass.peer, None, wiring=box.wiring)
    return box


def typed_meanwhile(box, **values):
    """Lets somebody edit the prospect just before our next PATCH of it arrives."""
    handle, waiting = box.world.handle, [values]

    def handled(name, request):
        if name == "outreach" and request.method == "PATCH" and waiting:
            box.edit_peer(box.prospect_id, **waiting.pop())
        return handle(name, request)

    box.world.handle = handled


def test_g14_a_prospects_value_typed_at_the_same_moment_is_kept_and_restored(pair, admin_user):
    typed_meanwhile(pair, title="Typed by a user", firstName="Asha")
    pair.edit_crm("Contact", pair.contact_id, Title="Ours")
    run = pair.run()
    assert pair.peer(pair.prospect_id)["title"] == "Ours"

    assert work_off(pair.sync_pass.peer, pair.clock()).values == 1

    op = run.operations.get(object_type="prospect")
    assert (op.before, op.after, op.origin[LOSERS]) == ({"title": "Old"}, {"title": "Ours"}, {"title": "Typed by a user"})
    pair.run()
    assert pair.crm("Contact", pair.contact_id)["FirstName"] == "Asha"  # what we did not overwrite came over
    (line,) = undo(pair.sync_pass, [op], admin_user, field="title", wiring=pair.wiring)
    assert line.is_possible and pair.peer(pair.prospect_id)["title"] == "Typed by a user"


def test_a_two_way_pass_is_woken_by_a_users_edit_and_finds_it(pair):
    SyncPass.objects.update(run_requested_at=None)
    pair.edit_peer(pair.prospect_id, title="Typed")
    pair.world.keep()

    assert SyncPass.objects.get(name="prospects").run_requested_at is not None
    pair.run()
    assert pair.crm("Contact", pair.contact_id)["Title"] == "Typed"
    assert work_off(pair.sync_pass.peer, pair.clock()).values == 0


def test_i6_deliveries_of_our_own_writes_change_nothing_when_they_are_worked_off(pair):
    pair.edit_crm("Contact", pair.contact_id, Title="Ours", Email="new@acme.example", Phone="+44 20 7946 0000")
    pair.run()
    assert work_off(pair.sync_pass.peer, pair.clock()).told_at is None  # ours, so nobody is woken for it
    pair.writes()
    pair.run()

    assert pair.writes() == {} and not Operation.objects.filter(origin__has_key=LOSERS).exists()


def test_g14_an_edit_within_the_second_of_the_version_passes_the_condition_and_is_kept_and_restored(pair, admin_user):
    """Salesforce's condition counts whole seconds: an edit in the second of the one that we read passes it unseen
    (engine-rules 31). What stood there comes with the answer to our write, without any webhook."""
    handle, waiting = pair.world.handle, ["Typed by a user"]

    def handled(name, request):
        if name == "salesforce" and request.body and b'"PATCH"' in request.body and waiting:
            pair.edit_crm("Contact", pair.contact_id, Title=waiting.pop())
        return handle(name, request)

    pair.edit_peer(pair.prospect_id, title="Ours")
    pair.clock.forward(600)
    pair.edit_crm("Contact", pair.contact_id, Description="in the same second")
    pair.world.handle = handled

    run = pair.run(forward=0)

    op = run.operations.get(object_type="Contact")
    assert not waiting and pair.crm("Contact", pair.contact_id)["Title"] == "Ours"
    assert (op.before, op.after, op.origin[LOSERS]) == ({"Title": "Old"}, {"Title": "Ours"}, {"Title": "Typed by a user"})
    (line,) = undo(pair.sync_pass, [op], admin_user, field="Title", wiring=pair.wiring)
    assert line.is_possible and pair.crm("Contact", pair.contact_id)["Title"] == "Typed by a user"


def test_an_edit_in_a_later_second_is_no_loss_since_the_write_is_refused_and_merged_anew(pair):
    handle, waiting = pair.world.handle, ["Typed by a user"]

    def handled(name, request):
        if name == "salesforce" and request.body and b'"PATCH"' in request.body and waiting:
            pair.clock.forward(2)
            pair.edit_crm("Contact", pair.contact_id, Title=waiting.pop())
        return handle(name, request)

    pair.edit_peer(pair.prospect_id, title="Ours", firstName="Asha")
    pair.world.handle = handled

    run = pair.run()

    assert not waiting and not any(
        op.origin.get(LOSERS, {}).get("Title") == "Typed by a user" for op in run.operations.filter(object_type="Contact")
    )
    assert pair.crm("Contact", pair.contact_id)["FirstName"] == "Asha"
