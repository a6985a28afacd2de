"""What a page of a mailbox asks the CRM beside the records themselves: where new contacts belong, and what the mailbox's
user may do there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connectors.contract import Record
from reconciliation.core.companies import Account, account_for, company_of
from reconciliation.core.operations import CaseOpening
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.passes.contacts import NO_RIGHT
from reconciliation.passes.pairs import Outcome, PairDecision, excluded


def accounts_of(context: RunContext, items: Sequence[Record]) -> dict[str, Account]:
    """Returns the account that each of these new contacts would belong to, by its id (S1.13 to S1.19): all companies of a
    page in one search by name, and one for the parts of names."""
    if context.terms.account_id:
        one = Account(context.terms.account_id, "All new contacts belong to one account, by the pass's setting.")
        return {item.ref.id: one for item in items}
    companies = {item.ref.id: company_of(item) for item in items}
    names = sorted(set(filter(None, companies.values())))
    connector = context.crm.connector
    exact = connector.accounts_named(names) if names else {}
    rest = [name for name in names if not exact.get(name)]
    containing = connector.accounts_containing(rest, most=2) if rest else {}
    return {id_: account_for(name, exact.get(name, ()), containing.get(name, ())) for id_, name in companies.items()}


def hidden_of(context: RunContext, contacts: Sequence[Record]) -> frozenset[str]:
    """Returns the ids of those contacts that are not in the mailbox's view, all of them where the view cannot be used."""
    view = context.view
    shown = view.shown(contacts) if view is not None and view.is_usable else set()
    return frozenset(c.ref.id for c in contacts) - shown


def look_at_rights(context: RunContext, work: PairWork, ids: Sequence[str]) -> None:
    """Takes back decisions to change what the mailbox's user may not change, and to show what that user may not see: each is
    an issue of the mailbox."""
    asked: dict[str, list[str]] = {}
    for id_ in ids:
        decision = work.decisions.get(id_)
        for target in _asks_for(context, decision) if decision is not None else ():
            asked.setdefault(target, []).append(id_)
    if not asked:
        return
    allowed = context.crm.connector.may_change(context.terms.user_id, list(asked))
    for target, some in asked.items():
        may = allowed[target]
        for id_ in some:
            decision = work.decisions[id_]
            kinds = {intent.kind for intent in decision.intents if intent.side == "crm"}
            if decision.is_link and not may.read:  # the item would be left to nobody, so a person is told
                work.decide(replace(_not_allowed(context, decision, target, "see"), is_link=False, intents=(), merge=None))
            elif not may.read and not kinds:
                sentence = f"The mailbox's user may not see Contact {target}; nothing of it is shown in the folder."
                work.decide(excluded(decision.record, "not_readable", sentence, crm=decision.crm))
            elif ("update" in kinds and not may.edit) or ("delete" in kinds and not may.delete):
                work.decide(_not_allowed(context, decision, target, "delete" if "delete" in kinds else "edit"))


def _asks_for(context: RunContext, decision: PairDecision) -> list[str]:
    """Returns the CRM records that a decision needs a right to."""
    targets = [i.target_id for i in decision.intents if i.side == "crm" and i.target_id]
    is_made = decision.outcome is Outcome.CREATED and decision.intents and decision.intents[0].side == "peer"
    is_written = any(i.side == "peer" and i.kind == "update" for i in decision.intents)
    is_shown = decision.crm is not None and (is_made or is_written or decision.is_link)
    if is_shown and decision.crm.fields.get("OwnerId") != context.terms.user_id:
        targets.append(decision.crm.ref.id)
    return targets


def _not_allowed(context: RunContext, decision: PairDecision, target: str, verb: str) -> PairDecision:
    sentence = f"The mailbox's user may not {verb} Contact {target} in {context.terms.crm_name}; nothing was changed there."
    remedy = f"Give the user the right to {verb} it and press Retry, or take the edit back in the mailbox."
    refused = replace(
        decision, outcome=Outcome.FAILED, reason=NO_RIGHT, sentence=sentence, case=CaseOpening("error", NO_RIGHT, sentence, remedy)
    )
    if decision.is_link:  # it is this contact all the same: without the link the folder would get a second one of it
        return replace(refused, intents=tuple(i for i in decision.intents if i.side == "peer"))
    return replace(refused, intents=(), merge=None)
