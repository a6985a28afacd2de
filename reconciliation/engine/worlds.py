"""Notices when a sandbox began a new world: what was learnt of the old one is forgotten, and that is said."""

from __future__ import annotations

import logging

import requests
from django.utils import timezone

from reconciliation.models import (
    Activity,
    ActivityFeed,
    Binding,
    Case,
    Connection,
    CrmFeed,
    CrmView,
    HookDelivery,
    Import,
    MadePerson,
    Mailbox,
    Operation,
    PeerName,
    ProspectMatches,
    RecordType,
    RememberedPair,
    RemoteUser,
    Run,
    RunEvent,
    SearchKey,
    SyncPass,
    Tombstone,
    UnresolvedPerson,
    UserPair,
)

log = logging.getLogger(__name__)
FORGOTTEN = "The sandbox began a new world: what was learnt of the earlier one (links, runs, journal, cases) was forgotten."


def check(sync_pass: SyncPass) -> bool:
    """Returns whether the pass's sandbox is another world than the one it knew; True means that everything learnt was
    forgotten. Real connections, and a sandbox that does not answer, are left to the run itself."""
    control_url = sync_pass.peer.settings.get("control_url", "") if sync_pass.peer.is_sandbox else ""
    if not control_url:
        return False
    try:
        with requests.Session() as session:
            session.trust_env = False
            world_id = str(session.get(control_url, headers={"Accept": "application/json"}, timeout=5).json()["world_id"])
    except (requests.RequestException, ValueError, KeyError):
        return False
    forgot = forget_other_worlds(sync_pass, world_id)
    if forgot:
        log.warning("the sandbox is another world; what was learnt of the earlier one was forgotten")
    return forgot


def forget_other_worlds(sync_pass: SyncPass, world_id: str) -> bool:
    """Forgets what was learnt of another sandbox world: its ids mean nothing in this one. All systems of a sandbox change
    their world together, so every pass between them forgets. Returns whether the given pass did."""
    connections = Connection.objects.filter(is_sandbox=True)
    known = set(connections.exclude(world_id="").values_list("world_id", flat=True))
    connections.update(world_id=world_id)
    if not known or known == {world_id}:
        return False
    passes = list(SyncPass.objects.filter(crm__is_sandbox=True, peer__is_sandbox=True))
    for each in passes:
        _forget(each)
    RemoteUser.objects.filter(connection__in=connections).delete()
    CrmFeed.objects.filter(connection__in=connections).delete()
    CrmView.objects.filter(connection__in=connections).delete()
    boxes = Mailbox.objects.filter(connection__in=connections)
    MadePerson.objects.filter(connection__in=connections).delete()
    UnresolvedPerson.objects.filter(mailbox__in=boxes).delete()
    boxes.update(folder_id="", secrets={}, refresh_used_at=None, renewal_begun_at=None)
    boxes.update(crm_user_id="", crm_user_name="", crm_user_chosen=False, match_says="", matched_at=None)  # of the earlier world
    HookDelivery.objects.filter(connection__in=connections).delete()
    return sync_pass in passes


def _forget(sync_pass: SyncPass) -> None:
    """Leaves the pass as it was made, and a run that says why."""
    Import.objects.filter(sync_pass=sync_pass).delete()
    RunEvent.objects.filter(run__sync_pass=sync_pass).delete()
    Case.objects.filter(sync_pass=sync_pass).delete()
    Operation.objects.filter(run__sync_pass=sync_pass).delete()
    Run.objects.filter(sync_pass=sync_pass).delete()
    for model in (SearchKey, Tombstone, Binding, PeerName, RememberedPair, ProspectMatches, UserPair, Activity):
        model.objects.filter(sync_pass=sync_pass).delete()
    now = timezone.now()
    Run.objects.create(sync_pass=sync_pass, kind=Run.Kind.STAFF, state=Run.State.FINISHED, started_at=now, ended_at=now, note=FORGOTTEN)
    anew = {"sweep_started_at": None, "sweep_is_full": False, "position_at": None, "position_id": ""}
    begins = {"last_run_time": now.replace(microsecond=0), **anew}
    of_mailbox = {"cursor": "", "feed_at": None}
    SyncPass.objects.filter(pk=sync_pass.pk).update(**begins, **of_mailbox, names_read_until=None, trouble_count=0, next_due_at=None)
    RecordType.objects.filter(sync_pass=sync_pass).update(**begins)
    ActivityFeed.objects.filter(sync_pass=sync_pass).update(**begins)
