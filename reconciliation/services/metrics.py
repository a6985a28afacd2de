"""The figures that a monitor scrapes, in Prometheus' text format, from bounded queries.

All are gauges read from rows: right over any number of processes and restarts. Sums cover the last 24 hours, for a table
of runs that grows for years must not be counted every 15 seconds.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Sum
from django_q.brokers import get_broker

from reconciliation.models import Alert, Connection, HookDelivery, Message, PassLease, Run, SyncPass
from reconciliation.selectors import open_cases
from reconciliation.services.alert_facts import MOST_COUNTED, last_beat, pass_facts
from reconciliation.services.insta_sync import standing_and_figures

log = logging.getLogger(__name__)
OUTCOMES = ("created", "updated", "unchanged", "duplicates", "failed", "held")
MOST_EXCLUDED_READ = 5_000
DAY = timedelta(days=1)


@dataclass(slots=True)
class Family:
    """One metric with its samples: (labels, value)."""

    name: str
    what: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: object) -> None:
        if value is not None:
            self.samples.append(({name: str(v) for name, v in labels.items()}, float(value)))


def exposition(now: datetime) -> str:
    """Returns everything as text. Families without a sample are named all the same."""
    return "".join(_text(family) for family in families(now))


def _text(family: Family) -> str:
    lines = [f"# HELP {family.name} {_escaped(family.what)}", f"# TYPE {family.name} gauge"]
    for labels, value in family.samples:
        inside = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
        lines.append(f"{family.name}{{{inside}}} {value:.15g}" if inside else f"{family.name} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    whole = text.encode("utf-8", "replace").decode()
    return _escaped(whole).replace('"', r"\"")


def families(now: datetime) -> Iterable[Family]:
    names = _names()
    yield from _runs(now, names)
    yield from _passes(now, names)
    yield from _connections()
    yield _cases()
    yield _deliveries()
    yield from _insta_sync(now)
    yield from _machinery(now)
    yield from _told()


def _names() -> dict[int, str]:
    """Returns pass -> name; a pass over mailboxes is one for monitors: a thousand mailboxes are no thousand series."""
    return {pk: whole or name for pk, name, whole in SyncPass.objects.values_list("pk", "name", "parent__name")}


def _runs(now: datetime, names: Mapping[int, str]) -> Iterable[Family]:
    recent = Run.objects.filter(started_at__gte=now - DAY).order_by()
    runs = Family("syncsite_runs_last_day", "Runs that began in the last 24 hours, by their state.")
    records = Family("syncsite_records_last_day", "Records that runs of the last 24 hours had, by outcome.")
    sums: dict[str, Counter[str]] = {}
    counted: Counter[tuple[str, str, str]] = Counter()
    grouped = recent.values("sync_pass_id", "kind", "state").annotate(runs=Count("pk"), **{f"all_{n}": Sum(n) for n in OUTCOMES})
    for row in grouped:
        name = names.get(row["sync_pass_id"], "?")
        counted[name, row["kind"], row["state"]] += row["runs"]
        if row["kind"] != Run.Kind.PREVIEW:
            sums.setdefault(name, Counter()).update({n: row[f"all_{n}"] or 0 for n in OUTCOMES})
    for (name, kind, state), n in counted.items():
        runs.add(n, **{"pass": name, "kind": kind, "state": state})
    excluded = recent.exclude(excluded={}).exclude(kind=Run.Kind.PREVIEW).order_by("-pk")
    for pass_id, reasons in excluded.values_list("sync_pass_id", "excluded")[:MOST_EXCLUDED_READ]:
        sums.setdefault(names.get(pass_id, "?"), Counter())["excluded"] += sum(reasons.values())
    for name, counts in sums.items():
        for outcome in (*OUTCOMES, "excluded"):
            records.add(counts[outcome], **{"pass": name, "outcome": outcome})
    return runs, records


def _passes(now: datetime, names: Mapping[int, str]) -> Iterable[Family]:
    on = Family("syncsite_pass_on", "1 while the pass is switched on and not paused.")
    held = Family("syncsite_pass_held", "1 while a person must look: its mapping or a brake holds it.")
    troubles = Family("syncsite_pass_failures_in_a_row", "Runs in a row that a system's trouble interrupted.")
    age = Family("syncsite_last_run_age_seconds", "Since the pass last began a run.")
    through = Family("syncsite_last_success_age_seconds", "Since a run of the pass last got through.")
    lag = Family("syncsite_lag_seconds", "How long ago the last complete selection began.")
    backlog = Family("syncsite_backlog", "Records of the present sweep still to come.")
    whole = set(SyncPass.objects.whole().values_list("pk", flat=True))
    for facts in pass_facts():
        if facts.id not in whole:  # a mailbox whose plan waits; its pass is counted once
            continue
        label = {"pass": names.get(facts.id, "?")}
        on.add(facts.is_working, **label)
        held.add(facts.is_held or facts.parked is not None, **label)
        troubles.add(facts.trouble_count, **label)
        age.add(_since(facts.last_began_at, now), **label)
        through.add(_since(facts.reached_at, now), **label)
    for name, last_run_time, waiting in SyncPass.objects.whole().order_by("pk").values_list("name", "last_run_time", "backlog"):
        lag.add(_since(last_run_time, now), **{"pass": name})
        backlog.add(waiting or 0, **{"pass": name})
    return on, held, troubles, age, through, lag, backlog


def _since(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else (now - at).total_seconds()


def _connections() -> Iterable[Family]:
    state = Family("syncsite_connection_state", "1 for the state that the connection is in.")
    left = Family("syncsite_calls_remaining", "Calls that the system still allows, as it last said.")
    limit = Family("syncsite_calls_limit", "Calls that the system allows in its window.")
    for row in Connection.objects.order_by("pk").only("name", "system", "state", "calls_remaining", "calls_limit"):
        label = {"connection": row.name, "system": row.system}
        for value in Connection.State.values:
            state.add(row.state == value, **label, state=value)
        left.add(row.calls_remaining, **label)
        limit.add(row.calls_limit, **label)
    return state, left, limit


def _cases() -> Family:
    cases = Family("syncsite_open_cases", f"Cases that wait for a person, by kind; counted up to {MOST_COUNTED + 1}.")
    for kind, count in open_cases(MOST_COUNTED + 1).items():
        cases.add(count, kind=kind)
    return cases


def _deliveries() -> Family:
    waiting = Family("syncsite_deliveries_waiting", "Deliveries of webhooks that were not worked off yet.")
    waiting.add(HookDelivery.objects.filter(state=HookDelivery.State.WAITING).count())
    return waiting


def _insta_sync(now: datetime) -> Iterable[Family]:
    mailboxes = Family("syncsite_insta_sync_mailboxes", "Mailboxes by how changed meetings are noticed.")
    notices = Family("syncsite_notices_last_day", "Notices of changed meetings in the last 24 hours, by what became of them.")
    runs = Family("syncsite_notice_runs_last_day", "Runs that those notices forced.")
    delay = Family("syncsite_notice_delay_seconds", "From a notice of the last 24 hours to the end of the run that carried it over.")
    stands, told = standing_and_figures(now)
    ways = {"notices": stands.watched, "looks": stands.looked_at, "failed": stands.failed, "on_premises": stands.on_premises}
    for way, count in ways.items():
        mailboxes.add(count, way=way)
    for what, count in (("carried", told.carried), ("waiting", told.waiting), ("left", told.left), ("off", told.off)):
        notices.add(count, state=what)
    runs.add(told.runs)
    delay.add(told.median_seconds, quantile="0.5")
    delay.add(told.p95_seconds, quantile="0.95")
    return mailboxes, notices, runs, delay


def _machinery(now: datetime) -> Iterable[Family]:
    beat = Family("syncsite_heartbeat_age_seconds", "Since a task last went through queue and worker.")
    beat.add(_since(last_beat(), now))
    queue = Family("syncsite_queue_depth", "Tasks that wait in the queue.")
    try:
        queue.add(get_broker().queue_size())
    except Exception as error:  # whatever the library of the broker raises: the other figures are worth having
        log.warning("the broker of the queue does not answer: %s", type(error).__name__)
    held = Family("syncsite_lease_held", "1 for each lease that is held, with its holder.")
    for name, holder in PassLease.objects.filter(expires_at__gt=now).order_by("name").values_list("name", "holder")[:200]:
        held.add(1, lease=name, holder=holder)
    return beat, queue, held


def _told() -> Iterable[Family]:
    alerts = Family("syncsite_alerts_open", "Causes that people are told of, by kind.")
    for kind, count in Alert.objects.filter(is_open=True).order_by().values_list("kind").annotate(count=Count("pk")):
        alerts.add(count, kind=kind)
    waiting = Family("syncsite_messages_waiting", "Messages that wait to be sent; counted up to 1000.")
    waiting.add(Message.objects.filter(state__in=(Message.State.WAITING, Message.State.SENDING))[:1000].count())
    return alerts, waiting
