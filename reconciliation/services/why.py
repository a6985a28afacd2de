"""Why did this record sync, or not? Both sides now, each condition with its value, binding and cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError
from reconciliation.core.eligibility import ConditionValue, PluginColumns, explain, is_selected
from reconciliation.engine.gather import accounts_by_id
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, FieldRule, RunEvent, SyncPass
from reconciliation.models.prefix import starts_with
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION
from reconciliation.store import mapping_of, organisation_columns


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of one organisation, as of now."""

    ref: Ref
    sentence: str
    record: Record | None
    account: Record | None
    conditions: tuple[ConditionValue, ...]
    binding: Binding | None
    cases: list[Case]
    trouble: str = ""
    rules: tuple[FieldRule, ...] = ()
    columns: PluginColumns | None = None
    crm_url: str = ""

    @property
    def peer_ref(self) -> str:
        return str(Ref(self.binding.sync_pass.peer.system, ACCOUNT, self.binding.peer_id)) if self.binding is not None else ""

    def latest_events(self, most: int) -> list[RunEvent]:
        """Returns what the newest runs came to for it, newest first."""
        return list(RunEvent.objects.filter(crm_ref=str(self.ref)).order_by("-id")[:most])


def find(sync_pass: SyncPass, text: str, *, wiring: Wiring | None = None) -> list[tuple[str, str]]:
    """Returns (organisation id, name) of what a person may mean by an id, a reference, or the start of a name."""
    from reconciliation.core.values import normalise_name

    text = text.strip()
    if text.count(":") == 2 and " " not in text:
        return _by_reference(sync_pass, text)
    if text.isascii() and text.isdigit():
        return [(text, "")]
    key = normalise_name(text)[:200]
    if not key:
        return []
    bound = Binding.objects.filter(starts_with("name_key", key), sync_pass=sync_pass, crm_type=ORGANISATION)
    found = dict(bound.order_by("name_key").values_list("crm_id", "name")[:20])
    waiting = Case.objects.filter(starts_with("name_key", key), sync_pass=sync_pass, state=Case.State.OPEN)
    found.update(waiting.values_list("crm_id", "name")[:20])
    return list(found.items()) or find_by_exact_name(sync_pass, text, wiring or Wiring())


def find_by_exact_name(sync_pass: SyncPass, name: str, wiring: Wiring) -> list[tuple[str, str]]:
    """Returns what Workbooks itself has under this name: the record people ask about may never have been synced."""
    try:
        crm = wiring.open_connector(sync_pass.crm)
    except ConnectorError:
        return []
    try:
        return [(r.ref.id, str(r.fields.get("name") or "")) for r in crm.find(ORGANISATION, "name", [name], ["name"])[:20]]
    except ConnectorError:
        return []
    finally:
        crm.close()


def _by_reference(sync_pass: SyncPass, text: str) -> list[tuple[str, str]]:
    """Returns the organisation that a reference names, itself or by the account it is linked to."""
    system, object_type, id_ = text.split(":")
    if (system, object_type) == (sync_pass.crm.system, ORGANISATION) and id_.isascii() and id_.isdigit():
        return [(id_, text)]
    if (system, object_type) == (sync_pass.peer.system, ACCOUNT):
        rows = Binding.objects.filter(sync_pass=sync_pass, crm_type=ORGANISATION, peer_type=ACCOUNT, peer_id=id_)
        return list(rows.order_by("is_tombstone").values_list("crm_id", "name")[:1])
    return []


def explain_organisation(sync_pass: SyncPass, id_: str, *, wiring: Wiring | None = None) -> Explanation:
    """Returns the explanation; a system that does not answer is said in `trouble`, what we know ourselves is shown."""
    wiring = wiring or Wiring()
    ref = Ref(sync_pass.crm.system, ORGANISATION, id_)
    bindings = Binding.objects.select_related("sync_pass__crm", "sync_pass__peer")
    binding = bindings.filter(sync_pass=sync_pass, crm_type=ORGANISATION, crm_id=id_).first()
    cases = list(Case.objects.filter(sync_pass=sync_pass, crm_id=id_).select_related("decided_by").order_by("-id")[:10])
    rules = tuple(sync_pass.mapping.rules.all())
    record, account, trouble = _read(sync_pass, id_, binding, rules, wiring)
    conditions: tuple[ConditionValue, ...] = ()
    if record is not None:
        conditions = explain(organisation_columns(sync_pass), record.fields, record.updated_at, sync_pass.last_run_time)
    return Explanation(
        ref,
        _sentence(record, conditions, binding, cases, trouble),
        record,
        account,
        conditions,
        binding,
        cases,
        trouble,
        tuple(rule for rule in rules if rule.is_enabled),
        organisation_columns(sync_pass),
        sync_pass.crm.page_address_template.replace("{id}", id_),
    )


def _read(
    sync_pass: SyncPass, id_: str, binding: Binding | None, rules: tuple[FieldRule, ...], wiring: Wiring
) -> tuple[Record | None, Record | None, str]:
    columns = organisation_columns(sync_pass)
    mapping = mapping_of(sync_pass.mapping, sync_pass.peer, rules)
    opened: list[Any] = []
    record = account = None
    try:
        crm = wiring.open_connector(sync_pass.crm)
        opened.append(crm)
        found = crm.read(ORGANISATION, [id_], list(dict.fromkeys(["name", *columns.names, *mapping.crm_fields]))) if id_.isdigit() else []
        record = found[0] if found else None
        if binding is not None and not binding.is_tombstone:
            peer = wiring.open_connector(sync_pass.peer)
            opened.append(peer)
            account = accounts_by_id(peer, mapping, [binding.peer_id]).get(binding.peer_id)
    except ConnectorError as error:
        return record, account, error.sentence
    finally:
        for connector in opened:
            connector.close()
    return record, account, ""


def _sentence(
    record: Record | None, conditions: tuple[ConditionValue, ...], binding: Binding | None, cases: list[Case], trouble: str
) -> str:
    if record is None:
        return f"It could not be read: {trouble}." if trouble else "Workbooks has no such organisation, or our user may not see it."
    if record.is_deleted:
        return "It was deleted in Workbooks; its account stays as it is."
    for case in cases:
        if case.state == Case.State.OPEN:
            return f"It waits for a decision: {case.sentence}"
    failing = [c.title for c in conditions[:3] if not c.holds]
    if failing:
        return f"It is not synced, because it must hold that {' and '.join(failing)}."
    if binding is not None and binding.is_write_back_due:
        return "Its account exists; Id and URL are still to be written back, in the next run."
    if is_selected(conditions):
        return "It is selected by the next run."
    return "It is linked and has not changed since the last run."
