"""Mapping tables: their rows, edited in place, with the real fields of both systems to choose from."""

from __future__ import annotations

import re
from dataclasses import replace

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from connectors.errors import ConnectorError
from reconciliation.core.transforms import TRANSFORMS
from reconciliation.defaults.activities import ACTIVITY_OBJECT
from reconciliation.models import FieldRule, MappingTable
from reconciliation.roles import ADMINISTER, VIEW
from reconciliation.services.mappings import (
    MappingRefused,
    RowChange,
    fill,
    impact_of,
    mapping_save,
    pass_of,
    systems_of_tables,
    value_map_of,
)
from reconciliation.views.page import page, render, whole_number

NO_SYSTEMS = ("CRM", "Other system's")  # of a table that no pass uses
MOST_MAPPED = 8_000  # characters of a value map
WHEN_IT_ARRIVES = (
    "Records that the next runs read anyway are compared under it at once; the others when they are edited, or with the full comparison."
)


@page(VIEW)
def show_list(request: HttpRequest) -> HttpResponse:
    systems, rows = systems_of_tables(), MappingTable.objects.exclude(peer_object=ACTIVITY_OBJECT).prefetch_related("rules")
    tables = [(table, *systems.get(table.pk, NO_SYSTEMS)) for table in rows]
    return render(request, "admin/reconciliation/mapping/list.html", "Mappings", tables=tables)


def _options(schema: dict, names: list[str]) -> list[tuple[str, str]]:
    """Returns (name, title) of every field to choose from, those in use first known or not."""
    known = {name: str(a.get("title") or name) for name, a in schema.items()}
    return sorted({**{n: n for n in names}, **known}.items(), key=lambda option: _natural(option[1]))


def _natural(text: str) -> list[tuple[int, str]]:
    """Returns a sort key that puts custom2 before custom10."""
    return [(int(part), "") if part.isdecimal() else (0, part.casefold()) for part in re.split(r"(\d+)", text)]


@page(ADMINISTER)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    table = get_object_or_404(MappingTable, pk=pk)
    sync_pass = pass_of(table)
    if sync_pass is None or sync_pass.is_of_activities or sync_pass.is_of_emails:
        raise Http404
    rows = list(table.rules.all())
    shown = None
    is_two_way = sync_pass.is_two_way
    reason = request.POST.get("reason", "").strip()[:900]
    if request.method == "POST":
        changes = {row.pk: _read(request, str(row.pk)) for row in rows}
        added = _read(request, "new") if request.POST.get("new-peer_field") else None
        try:
            if is_two_way:
                changes = {row.pk: _both_ways(request, str(row.pk), changes[row.pk]) for row in rows}
                added = _both_ways(request, "new", added) if added is not None else None
            if request.POST.get("what") != "impact":
                edited = whole_number(request.POST.get("version", ""))
                rests_on = -1 if edited is None else edited
                first_link = request.POST.get("on_first_link", "")
                version = mapping_save(sync_pass, changes, added, first_link, request.user, rests_on=rests_on, reason=reason)
                messages.success(request, f"Saved as version {version}. {WHEN_IT_ARRIVES}")
                return redirect("admin:mapping_edit", pk)
            shown = impact_of(sync_pass, changes, added)
        except MappingRefused as refusal:
            messages.error(request, f"Nothing was saved. {refusal}")
        except ConnectorError as error:
            messages.error(request, f"{error.sentence}. {error.remedy}")
        # What was entered stays in the form until it is saved or left.
        for row in rows:
            fill(row, changes[row.pk])
    crm_schema = (sync_pass.crm.schema_cache or {}).get(table.crm_object, {})
    peer_schema = (sync_pass.peer.schema_cache or {}).get(table.peer_object, {})
    return render(
        request,
        "admin/reconciliation/mapping/edit.html",
        table.name,
        table=table,
        rests_on=request.POST.get("version", table.version),
        rows=rows,
        reason=reason,
        impact=shown,
        new=added if request.method == "POST" else None,
        on_first_link=request.POST.get("on_first_link", table.on_first_link),
        first_link_choices=MappingTable._meta.get_field("on_first_link").choices,
        crm_options=_options(crm_schema, [r.crm_field for r in rows]),
        peer_options=_options(peer_schema, [r.peer_field for r in rows]),
        transforms=list(TRANSFORMS),
        is_two_way=is_two_way,
        directions=FieldRule.Direction.choices,
        winners=FieldRule.Survivorship.choices,
        peer_title=sync_pass.peer.get_system_display(),
        has_schema=bool(peer_schema),
        crm_title=sync_pass.crm.get_system_display(),
    )


def _both_ways(request: HttpRequest, prefix: str, change: RowChange) -> RowChange:
    """Adds to a row what only tables of two-way passes have. Raises MappingRefused for a value map that is none."""

    def given(name: str, most: int = 255) -> str:
        return request.POST.get(f"{prefix}-{name}", "").strip()[:most]

    return replace(
        change,
        direction=given("direction") or FieldRule.Direction.BOTH,
        survivorship=given("survivorship") or FieldRule.Survivorship.LATEST,
        blank_to_crm=given("blank_to_crm") == "1",
        value_map=value_map_of(given("value_map", MOST_MAPPED)),
        default_in_peer=given("default_in_peer"),
        default_in_crm=given("default_in_crm"),
    )


def _read(request: HttpRequest, prefix: str) -> RowChange:
    def given(name: str) -> str:
        return request.POST.get(f"{prefix}-{name}", "").strip()[:120]

    return RowChange(
        given("crm_field"),
        given("peer_field"),
        given("transform") or "same",
        is_enabled=given("is_enabled") == "1",
        blank_to_peer=given("blank_to_peer") == "1",
        is_removed=given("is_removed") == "1",
    )
