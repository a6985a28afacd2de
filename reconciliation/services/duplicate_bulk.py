"""Many duplicates at once: organisation and account bear one name and one domain, so that the link needs no thought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser

from connectors.contract import Record, Ref
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import Decision as Decided
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION, same_domain
from reconciliation.services.duplicates import Decision, DecisionPlan, DecisionRefused, Link, check_fresh, link_all, plan_link
from reconciliation.store import decode_fields

MOST_AT_ONCE = 200
CASES_LOOKED_AT = 600
LINKS_A_CALL = 100


@dataclass(frozen=True, slots=True)
class EqualDomain:
    """One open case whose only free candidate with the organisation's name has its domain too."""

    case: Case
    peer_id: str
    peer_name: str
    domain: str
    plan: DecisionPlan

    @property
    def key(self) -> str:
        """What a form sends back: case, account and what the preview rested on."""
        return f"{self.case.pk}|{self.peer_id}|{self.plan.stamp}"


def equal_domains() -> list[EqualDomain]:
    """Returns the open cases that bulk linking offers, oldest first, at most MOST_AT_ONCE. Reads nothing remote."""
    cases = list(
        Case.objects.filter(kind=Case.Kind.DUPLICATE, state=Case.State.OPEN, reason="name_match")
        .select_related("sync_pass__crm", "sync_pass__peer")
        .order_by("pk")[:CASES_LOOKED_AT]
    )
    ids = {c["peer_id"] for case in cases for c in case.candidates}
    held = set(Binding.objects.filter(peer_type=ACCOUNT, peer_id__in=ids, is_tombstone=False).values_list("peer_id", flat=True))
    found = []
    for case in cases:
        free = {c["peer_id"]: decode_fields(c["fields"]) for c in case.candidates if c["peer_id"] and c["peer_id"] not in held}
        peer_id, domain = same_domain(decode_fields(case.crm_fields), free)
        if peer_id:
            name = next(c["name"] for c in case.candidates if c["peer_id"] == peer_id)
            found.append(EqualDomain(case, peer_id, name, domain, plan_link(case, peer_id, {})))
    return found[:MOST_AT_ONCE]


def duplicates_link(keys: Sequence[str], user: AbstractBaseUser, *, wiring: Wiring | None = None) -> tuple[int, int]:
    """Links what was chosen, a hundred a call, and returns how many were linked and how many refused; each stands as an
    event in the run. A row that changed since it was shown is refused. Raises Busy, ConnectorError."""
    keys = _one_a_case(keys)[:MOST_AT_ONCE]
    known = next(filter(None, (_chosen(key, user, wiring) for key in keys)), None)
    if known is None:
        return 0, len(keys)
    sync_pass = known[0].sync_pass
    what = f"Link {len(keys)} duplicate{'s' if len(keys) > 1 else ''} with equal domain."
    refused = 0
    with at_work(sync_pass, by=str(user), what=what, wiring=wiring) as context:
        for start in range(0, len(keys), LINKS_A_CALL):
            wanted = keys[start : start + LINKS_A_CALL]
            part = list(filter(None, (_chosen(key, user, wiring) for key in wanted)))
            refused += len(wanted) - len(part)  # removed since they were shown
            links = [link for _, link, refusal in part if not refusal]
            refusals = dict(zip((link.case.pk for link in links), link_all(context, links), strict=True))
            context.ledger.seen += len(part)
            for case, link, refusal in part:
                sentence = refusal or refusals[case.pk]
                refused += bool(sentence)
                record = Record(Ref(sync_pass.crm.system, ORGANISATION, case.crm_id), {"name": case.name})
                outcome, reason = (Outcome.EXCLUDED, "changed_meanwhile") if sentence else (Outcome.UPDATED, "linked")
                peer = str(Ref(sync_pass.peer.system, ACCOUNT, link.peer_id))
                context.record([(Decided(record, outcome, reason, sentence or "Linked by staff: equal name and domain."), peer, None)])
    return len(keys) - refused, refused


def _one_a_case(keys: Sequence[str]) -> list[str]:
    """Returns the first key of each case: an organisation has one account."""
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(key.partition("|")[0], key)
    return list(first.values())


def _chosen(key: str, user: AbstractBaseUser, wiring: Wiring | None) -> tuple[Case, Link, str] | None:
    """Returns the case, the link and "" or why it is refused already; None when there is no such case (any more)."""
    pk, peer_id, stamp = key.split("|", 2)
    rows = Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping")
    case = rows.filter(pk=int(pk), kind=Case.Kind.DUPLICATE).first()
    if case is None:
        return None
    decision = Decision(case, user, stamp=stamp, reason="equal domain", wiring=wiring)
    try:
        return case, Link(decision, check_fresh(decision), peer_id), ""
    except DecisionRefused as refusal:
        return case, Link(decision, case, peer_id), str(refusal)
