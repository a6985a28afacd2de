"""What a page of a mailbox asks the CRM beside the records themselves: where new contacts belong, and what the mailbox's
user may do there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connectors.contract import Record
from reconciliation.core.companies import Account, account_for, company_of
from reconciliation.core.mailbox_settings import ALLOWED
from reconciliation.core.operations import CaseOpening
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.passes.contacts import ACCOUNT, NO_RIGHT, with_account
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


def complete(context: RunContext, work: PairWork, ids: Sequence[str]) -> None:
    """Finds the account of contacts that were made from this mailbox without one, once their item names its company (S4.34)."""
    items = [item for id_ in ids if (item := _lacking_account(work, id_)) is not None]
    accounts = accounts_of(context, items) if items else {}
    for id_, account in accounts.items():
        if account.id:
            work.decide(with_account(work.decisions[id_], account.id, account.why))


def _lacking_account(work: PairWork, id_: str) -> Record | None:
    """Returns the item of a link whose contact has no account, where it names a company."""
    binding, decision = work.bindings.get(id_), work.decisions.get(id_)
    if binding is None or decision is None or ACCOUNT not in (binding.lacks or "").split(","):
        return None
    return decision.record if decision.crm is not None and company_of(decision.record) else None


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
                refused = _not_allowed(context, decision, target, "delete" if "delete" in kinds else "edit")
                # Who answered a question is told at once; an issue beside it would only say the same.
                work.decide(replace(refused, case=None) if decision.peer_id in context.terms.ends else refused)
            elif _asks_to_delete(context, decision) and not may.delete:
                work.decide(_asked_in_vain(context, decision))


def _asks_for(context: RunContext, decision: PairDecision) -> list[str]:
    """Returns the CRM records that a decision needs a right to."""
    targets = [i.target_id for i in decision.intents if i.side == "crm" and i.target_id]
    is_made = decision.outcome is Outcome.CREATED and decision.intents and decision.intents[0].side == "peer"
    is_written = any(i.side == "peer" and i.kind == "update" for i in decision.intents)
    if decision.crm is None:
        return targets
    is_shown = (is_made or is_written or decision.is_link) and decision.crm.fields.get("OwnerId") != context.terms.user_id
    return [*targets, decision.crm.ref.id] if is_shown or _asks_to_delete(context, decision) else targets


def _asks_to_delete(context: RunContext, decision: PairDecision) -> bool:
    """Tells whether a person is asked if the contact shall be deleted in the CRM."""
    return decision.case is not None and decision.case.kind == "deletion" and context.terms.deletion == ALLOWED


def _asked_in_vain(context: RunContext, decision: PairDecision) -> PairDecision:
    """Says with the question that one of its answers cannot be carried out just now."""
    sentence = f"{decision.sentence} The mailbox's user may not delete it in {context.terms.crm_name}."
    remedy = "Make it again, or end the link only; deleting it there needs the user's right to."
    return replace(decision, sentence=sentence, case=replace(decision.case, sentence=sentence, remedy=remedy))


def _not_allowed(context: RunContext, decision: PairDecision, target: str, verb: str) -> PairDecision:
    sentence = f"The mailbox's user may not {verb} Contact {target} in {context.terms.crm_name}; nothing was changed there."
    remedy = f"Give the user the right to {verb} it and press Retry, or take the edit back in the mailbox."
    refused = replace(
        decision, outcome=Outcome.FAILED, reason=NO_RIGHT, sentence=sentence, case=CaseOpening("error", NO_RIGHT, sentence, remedy)
    )
    if decision.is_link:  # it is this contact all the same: without the link the folder would get a second one of it
        return replace(refused, intents=tuple(i for i in decision.intents if i.side == "peer"))
    return replace(refused, intents=(), merge=None)
