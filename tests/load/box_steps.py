"""Steps of the measures over mailboxes, each a process of its own that prints JSON.

`box_steps.py connect CONTROL SYSTEM COUNT VIEWS` adds COUNT mailboxes to the mail system,
box1@example.test and so on, which mirror one of VIEWS saved views each, or with 0 what their user owns.
`box_steps.py connect_items CONTROL SYSTEM COUNT` adds them with the passes over calendars, tasks and e-mails; everything is shared.
`box_steps.py run SHARE SHARES [ROUNDS]` runs the pass over every SHARES-th mailbox, ROUNDS times: the sums of the last
round, CPU seconds and seconds of each round, and peak resident memory in MiB.
`box_steps.py one ADDRESS [ROUNDS]` runs it over that mailbox: CPU seconds of the cheapest run, which in a process that stays is a
later one; and of the last its seconds, its state, and how many it updated."""

from __future__ import annotations

import json
import resource
import sys
import time

import django

SHARED = ("events", "tasks", "emails")
VIEW = {"object": "Contact", "scope": "everything"}


def connect(control: str, system: str, count: str, kinds: str = "0") -> None:
    import requests

    from reconciliation.engine.connections import open_connector
    from reconciliation.models import Connection
    from reconciliation.services.mailboxes import mailbox_add, pass_over
    from reconciliation.services.set_up import contacts_pass

    with requests.Session() as http:
        http.trust_env = False
        users = [_user(http, control, n) for n in range(1, int(count) + 1)]
        views = [{**VIEW, "name": f"Kind{n}", "label": f"Kind {n}", "where": f"Title = 'Kind {n}'"} for n in range(int(kinds))]
        http.post(f"{control}/switches", json={"salesforce": {"list_views": views}}, timeout=30).raise_for_status()
    sides = [Connection.objects.get(system=name, is_sandbox=True) for name in ("salesforce", system)]
    parent = contacts_pass(*sides)
    saved = [v.id for v in open_connector(sides[0]).views("Contact") if v.title.startswith("Kind ")]
    assert len(saved) == int(kinds), saved
    for n, user in enumerate(users, 1):
        mailbox = mailbox_add(sides[1], f"box{n}@example.test", None, crm_user_id=user)
        if saved:
            mailbox.settings = {"view": saved[n % len(saved)]}
            mailbox.save(update_fields=["settings"])
        pass_over(parent, mailbox)
    print(json.dumps(users))


def connect_items(control: str, system: str, count: str) -> None:
    import requests

    from reconciliation.models import Connection
    from reconciliation.services.mailboxes import mailbox_add, pass_over
    from reconciliation.services.set_up import emails_pass, events_pass, tasks_pass

    with requests.Session() as http:
        http.trust_env = False
        users = [_user(http, control, n) for n in range(1, int(count) + 1)]
    sides = [Connection.objects.get(system=name, is_sandbox=True) for name in ("salesforce", system)]
    parents = [make(*sides) for make in (events_pass, tasks_pass, emails_pass)]
    for n, user in enumerate(users, 1):
        mailbox = mailbox_add(sides[1], f"box{n}@example.test", None, crm_user_id=user)
        mailbox.settings = dict.fromkeys((*SHARED, *(f"share_{name}" for name in SHARED)), True)
        mailbox.save(update_fields=["settings"])
        for parent in parents:
            pass_over(parent, mailbox)
    print(json.dumps(users))


def _user(http: object, control: str, n: int) -> str:
    values = {"Username": f"box{n}@example.test", "FirstName": "Box", "LastName": str(n), "Email": f"box{n}@example.test", "Alias": f"b{n}"}
    answer = http.post(f"{control}/records/salesforce/User", json=values, timeout=30)  # type: ignore[attr-defined]
    answer.raise_for_status()
    return str(answer.json()["Id"])


def run(share: str, shares: str, rounds: str = "1") -> None:
    from reconciliation.engine.context import Order
    from reconciliation.engine.runner import run_pass
    from reconciliation.models import SyncPass

    related = ("crm", "peer", "mapping", "parent", "mailbox__group")
    rows = SyncPass.objects.select_related(*related).filter(mailbox__isnull=False).order_by("pk")
    keys = list(rows.values_list("pk", flat=True))[int(share) :: int(shares)]
    spent, seconds, ledgers = [], [], []
    for _ in range(int(rounds)):
        cpu, at = _cpu(), time.monotonic()
        ledgers = [run_pass(rows.get(pk=key), Order()).as_dict() for key in keys]  # each read by itself, as a task does
        spent.append(_cpu() - cpu)
        seconds.append(time.monotonic() - at)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sums = {name: sum(ledger[name] for ledger in ledgers) for name in ("seen", "created", "updated", "unchanged", "failed", "held")}
    states = sorted({ledger["state"] for ledger in ledgers})
    print(json.dumps({"cpu": spent, "seconds": seconds, "peak": round(peak, 1), "states": states, **sums}))


def one(address: str, rounds: str = "1") -> None:
    """Runs the pass over one mailbox and prints what the run alone cost, without the start of its process."""
    from reconciliation.engine.context import Order
    from reconciliation.engine.runner import run_pass
    from reconciliation.models import Connection, Mailbox
    from reconciliation.services.mailboxes import pass_over
    from reconciliation.services.set_up import contacts_pass

    mailbox = Mailbox.objects.select_related("connection").get(address=address)
    parent, spent = contacts_pass(Connection.objects.get(system="salesforce"), mailbox.connection), []
    for _ in range(int(rounds)):
        over = pass_over(parent, mailbox)
        cpu, at = _cpu(), time.monotonic()
        done = run_pass(over, Order())
        spent.append(_cpu() - cpu)
    print(json.dumps({"cpu": min(spent), "seconds": time.monotonic() - at, "state": done.state, "updated": done.updated}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    django.setup()
    {"connect": connect, "connect_items": connect_items, "run": run, "one": one}[sys.argv[1]](*sys.argv[2:])
