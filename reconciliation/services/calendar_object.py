"""Keeps calendars in agreement with an object of the CRM other than Event, as an organisation configures it (S4.18)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from connectors.contract import Schema
from connectors.errors import ConnectorError
from connectors.salesforce.events import WHEN
from reconciliation.core.counting import counted
from reconciliation.defaults.events import EVENTS_PASS
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, FieldRule, MappingTable, MappingVersion, RecordType, SyncPass
from reconciliation.passes.events import CRM_EVENT
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

SETTING = "calendar_object"
INSTANT, YES_NO = "datetime", "boolean"


@dataclass(frozen=True, slots=True)
class CalendarObject:
    """An object of the CRM that holds what takes place, with the fields that say when. `all_day` "": it has no such field."""

    name: str
    start: str
    end: str
    all_day: str = ""
    title: str = "Name"  # the field that holds the subject

    @property
    def setting(self) -> list[str]:
        return [self.name, self.start, self.end, *([self.all_day] if self.all_day else [])]


def calendar_object_of(sync_pass: SyncPass) -> str:
    """Returns the object that calendars are kept in agreement with."""
    row = RecordType.objects.filter(sync_pass=sync_pass, is_on=True).order_by("order", "pk").first()
    return row.crm_object if row is not None else CRM_EVENT


def calendar_object_choose(
    sync_pass: SyncPass, chosen: CalendarObject | None, user: AbstractBaseUser, *, wiring: Wiring | None = None
) -> None:
    """Keeps calendars in agreement with this object from now on, None: with Event again. Raises DecisionRefused where events are linked
    already, or the object does not have what it takes."""
    if sync_pass.kind != EVENTS_PASS:
        raise DecisionRefused("Only the pass over calendars can do that. Nothing was saved.")
    before, after = calendar_object_of(sync_pass), chosen.name if chosen is not None else CRM_EVENT
    linked = Binding.objects.filter(sync_pass__parent=sync_pass, crm_type=before, is_tombstone=False).count()
    if before != after and linked:
        raise DecisionRefused(
            f"{counted(linked, 'calendar item is', 'calendar items are')} kept as {before}. End their sync first: each would be made "
            f"a second time as {after}. "
            "Nothing was saved."
        )
    if chosen is not None:
        _refuse_unfit(chosen, _described(sync_pass.crm, chosen.name, wiring or Wiring()), sync_pass.crm)
    with transaction.atomic():
        _save(sync_pass, chosen)
        audit(user, "choose object of calendars", sync_pass.title, before=before, after=after)


def _described(crm: Connection, name: str, wiring: Wiring) -> Schema:
    try:
        connector = wiring.open_connector(crm)
        try:
            return connector.schema(name)
        finally:
            connector.close()
    except ConnectorError as error:
        raise DecisionRefused(f"{name[:80]} could not be looked at: {error.sentence} Nothing was saved.") from error


def _refuse_unfit(chosen: CalendarObject, schema: Schema, crm: Connection) -> None:
    fields = schema.attributes
    wanted = [
        (chosen.start, INSTANT),
        (chosen.end, INSTANT),
        *([(chosen.all_day, YES_NO)] if chosen.all_day else []),
        (chosen.title, "text"),
    ]
    for name, type_ in wanted:
        if name not in fields:
            raise DecisionRefused(f"{chosen.name} has no field {name[:80]!r} that our user may see. Nothing was saved.")
        if fields[name].type != type_:
            words = {INSTANT: "a date with time", YES_NO: "a checkbox"}.get(type_, "a text")
            raise DecisionRefused(f"{chosen.name}.{name} is {fields[name].type}, and should be {words}. Nothing was saved.")
    if "OwnerId" not in fields:
        raise DecisionRefused(f"{chosen.name} has no owner of its own, so nobody knows whose calendar it belongs to. Nothing was saved.")
    marker = str((crm.settings or {}).get("external_id_field") or "Sync_Key__c")
    if marker not in fields:
        raise DecisionRefused(
            f"{chosen.name} has no field {marker}: make it there, a unique external id, so that nothing is made twice. Nothing was saved."
        )


def _save(sync_pass: SyncPass, chosen: CalendarObject | None) -> None:
    crm = Connection.objects.select_for_update().get(pk=sync_pass.crm_id)
    kept = {name: value for name, value in (crm.settings or {}).items() if name != SETTING}
    crm.settings = {**kept, **({SETTING: chosen.setting} if chosen is not None else {})}
    crm.save(update_fields=["settings"])
    name = chosen.name if chosen is not None else CRM_EVENT
    if chosen is not None:
        table, is_new = MappingTable.objects.get_or_create(
            name=f"{name} and calendars", defaults={"crm_object": name, "peer_object": "event"}
        )
        if is_new:
            pairs = ((chosen.title, "subject"), (WHEN, "when"))
            FieldRule.objects.bulk_create(
                FieldRule(table=table, crm_field=crm_field, peer_field=peer_field, direction="both", is_standard=True)
                for crm_field, peer_field in pairs
            )
            MappingVersion.keep(table, reason="The standard fields.")
        of = {"peer_object": "event", "mapping": table, "order": 1, "outbound_create": True}
        RecordType.objects.get_or_create(sync_pass=sync_pass, crm_object=name, defaults=of)
    RecordType.objects.filter(sync_pass=sync_pass).exclude(crm_object=name).update(is_on=False)
    RecordType.objects.filter(sync_pass=sync_pass, crm_object=name).update(is_on=True)
    children = SyncPass.objects.filter(parent=sync_pass)
    children.update(feed_at=None, cursor="")  # everything is compared with the other object
