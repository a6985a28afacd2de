"""Our admin site: stock Django admin at the root, with navigation by job instead of by model."""

from __future__ import annotations

import time
from functools import update_wrapper
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import logout
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, path

from reconciliation.admin.people import PeopleAdmin, RolesAdmin
from reconciliation.roles import VIEW
from reconciliation.selectors import notes, open_case_counts
from reconciliation.services.log_ins import acting
from reconciliation.services.second_factor import what_log_in_lacks
from reconciliation.views import (
    alerts,
    audit,
    connections,
    coverage,
    dashboard,
    differences,
    duplicates,
    errors,
    forgetting,
    journal,
    log_ins,
    mapping_versions,
    mappings,
    records,
    retention,
    runs,
    schedule,
    setup,
    stop_writes,
    support,
    tombstones,
    transfer,
    undo,
)


class SyncAdminSite(AdminSite):
    """Pages by job. Each view checks its own permission; nothing is reachable without a log-in."""

    site_title = "Syncsite"
    site_header = "Syncsite"
    index_title = "Dashboard"
    enable_nav_sidebar = False  # our own navigation stands there
    login_form = log_ins.LogInForm

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        if request.user.is_authenticated and request.user.has_perm(VIEW):
            context["queue_counts"] = open_case_counts()
            above = notes()
            context["notice"], context["writes_stopped"] = above.notice, above.writes_stopped
        return context

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """As Django's, and lets our views draw the admin's frame without knowing this module."""

        def framed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.admin_site = self  # type: ignore[attr-defined]
            if (elsewhere := second_factor_first(request)) is not None:
                return elsewhere
            token = acting.set(request.user if request.user.is_authenticated else None)
            try:
                return view(request, *args, **kwargs)
            finally:
                acting.reset(token)

        return super().admin_view(update_wrapper(framed, view), cacheable)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return dashboard.show(request)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_view(view), name=name)

        ours = [
            page("dashboard/status.json", dashboard.status, "dashboard_status"),
            page("passes/<slug:name>/run/", dashboard.run_pass, "pass_run"),
            page("passes/<slug:name>/preview/", dashboard.preview_pass, "pass_preview"),
            page("passes/<slug:name>/pause/", dashboard.pause_pass, "pass_pause"),
            page("passes/<slug:name>/resume/", dashboard.resume_pass, "pass_resume"),
            page("runs/", runs.show_list, "run_list"),
            page("runs/export.csv", runs.export_list, "run_list_export"),
            page("runs/<int:pk>/", runs.show, "run_detail"),
            page("runs/<int:pk>/apply/", runs.apply, "run_apply"),
            page("runs/<int:pk>/undo/", undo.show, "run_undo"),
            page("runs/<int:pk>/progress.json", runs.progress, "run_progress"),
            page("runs/<int:pk>/events.csv", runs.export, "run_export"),
            page("events/<int:pk>/", runs.show_event, "event_detail"),
            page("duplicates/", duplicates.show_list, "duplicate_list"),
            page("duplicates/export.csv", duplicates.export, "duplicate_export"),
            page("duplicates/<int:pk>/", duplicates.show, "duplicate_detail"),
            page("duplicates/<int:pk>/decide/", duplicates.decide, "duplicate_decide"),
            page("duplicates/<int:pk>/here/", duplicates.here, "duplicate_here"),
            page("duplicates/bulk/", duplicates.bulk, "duplicate_bulk"),
            page("errors/<int:pk>/decide/", errors.decide, "error_decide"),
            page("errors/", errors.show_list, "error_list"),
            page("errors/export.csv", errors.export, "error_export"),
            page("errors/retry/", errors.retry, "error_retry"),
            page("errors/<int:pk>/", errors.show, "error_detail"),
            page("without-owner/", records.without_owner, "owner_list"),
            page("without-owner/export.csv", records.export_without_owner, "owner_export"),
            page("without-owner/check/", records.check_owners, "owner_check"),
            page("cases/refresh/", records.refresh_cases, "case_refresh"),
            page("why/", records.why, "why"),
            page("records/", records.show_list, "record_list"),
            page("records/<slug:system>/<slug:object_type>/<str:record_id>/", records.show, "record_detail"),
            page("records/<slug:system>/<slug:object_type>/<str:record_id>/history/", records.show_history, "record_history"),
            page("records/<slug:system>/<slug:object_type>/<str:record_id>/field/<str:name>/", records.show_field, "record_field"),
            page("differences/", differences.show_list, "difference_list"),
            page("differences/force/", differences.show_force, "difference_force"),
            page("coverage/", coverage.show, "coverage"),
            page("coverage/count/", coverage.count, "coverage_count"),
            page("coverage/<slug:show>/", coverage.show_list, "coverage_list"),
            page("deleted/", tombstones.show_list, "tombstone_list"),
            page("deleted/<int:pk>/", tombstones.show, "tombstone_detail"),
            page("deleted/<int:pk>/restore/", tombstones.carry_out, "tombstone_restore"),
            page("mappings/", mappings.show_list, "mapping_list"),
            page("mappings/<int:pk>/", mappings.edit, "mapping_edit"),
            page("alerts/", alerts.show, "alerts"),
            page("alerts/test/", alerts.test, "alerts_test"),
            page("alerts/chat/", alerts.save_chat, "alerts_chat"),
            page("alerts/chat/test/", alerts.test_chat, "alerts_chat_test"),
            page("mappings/<int:pk>/versions/", mapping_versions.show_list, "mapping_versions"),
            page("mappings/<int:pk>/versions/<int:version>/", mapping_versions.show, "mapping_version"),
            page("mappings/<int:pk>/versions/<int:version>/restore/", mapping_versions.restore, "mapping_restore"),
            page("audit/", audit.show_list, "audit"),
            page("audit/export.csv", audit.export, "audit_export"),
            page("audit/verify/", audit.verify, "audit_verify"),
            page("log-ins/", log_ins.show_list, "log_ins"),
            page("log-ins/unlock/", log_ins.unlock, "log_in_unlock"),
            page("log-ins/remove-second-factor/", log_ins.remove_factor, "second_factor_remove"),
            page("log-ins/require-second-factor/", log_ins.require_factor, "second_factor_require"),
            page("second-factor/", log_ins.my_factor, "second_factor"),
            page("second-factor/start/", log_ins.start_factor, "second_factor_start"),
            page("second-factor/confirm/", log_ins.confirm_factor, "second_factor_confirm"),
            page("second-factor/codes/", log_ins.renew_codes, "second_factor_codes"),
            page("second-factor/stop/", log_ins.stop_factor, "second_factor_stop"),
            page("journal/", journal.show_list, "journal"),
            page("journal/export.csv", journal.export, "journal_export"),
            page("journal/<int:pk>/", journal.show, "operation_detail"),
            page("forget/", forgetting.show_list, "forget_list"),
            page("forget/<int:pk>/", forgetting.show, "forget_detail"),
            page("forget/<int:pk>/decide/", forgetting.decide, "forget_decide"),
            page("retention/", retention.show, "retention"),
            page("retention/prune/", retention.prune_now, "retention_prune"),
            page("support/<slug:kind>/<int:pk>/", support.show, "support"),
            page("support/<slug:kind>/<int:pk>/bundle.json", support.download, "support_download"),
            page("transfer/", transfer.show, "transfer"),
            page("transfer/export/", transfer.export, "transfer_export"),
            page("transfer/import/", transfer.preview, "transfer_import"),
            page("transfer/apply/", transfer.apply, "transfer_apply"),
            page("schedule/", schedule.show, "schedule"),
            page("setup/", setup.show, "setup"),
            page("setup/test/", setup.test, "setup_test"),
            page("setup/fields/", setup.fields, "setup_fields"),
            page("setup/fields/read/", setup.read_fields, "setup_fields_read"),
            page("setup/fields/create/", setup.create_fields, "setup_fields_create"),
            page("setup/owners/", setup.look_at_owners, "setup_owners"),
            page("setup/pilot/", setup.pilot, "setup_pilot"),
            page("setup/pilot/run/", setup.run_pilot, "setup_pilot_run"),
            page("setup/on/", setup.switch_on, "setup_switch_on"),
            page("runs/<int:pk>/confirm/", setup.confirm_preview, "run_confirm"),
            page("writes/stop/", stop_writes.stop, "writes_stop"),
            page("writes/allow/", stop_writes.allow, "writes_allow"),
            page("connections/", connections.show_list, "connection_list"),
            page("connections/add/<slug:system>/", connections.add, "connection_add"),
            page("connections/callback/", connections.callback, "connection_callback"),
            page("connections/<int:pk>/", connections.edit, "connection_edit"),
            page("connections/<int:pk>/connect/", connections.connect, "connection_connect"),
            page("connections/<int:pk>/test/", connections.test, "connection_test"),
        ]
        return [*ours, *super().get_urls()]


FACTOR_ASKED_EVERY_SECONDS = 60  # a rule that is new reaches open sessions within that time, without a query a page
# What a session may do that still owes its second factor.
WITHOUT_FACTOR = {"logout", "jsi18n", "second_factor", "second_factor_start", "second_factor_confirm"}


def second_factor_first(request: HttpRequest) -> HttpResponse | None:
    """Returns where a session goes that must show a code before anything else, None when it may go on."""
    user = request.user
    if not user.is_authenticated or user.is_verified():  # type: ignore[union-attr]
        return None
    now, asked_at = int(time.time()), request.session.get("factor_asked_at", 0)
    if now - asked_at < FACTOR_ASKED_EVERY_SECONDS:
        return None
    lacks = what_log_in_lacks(user)
    if not lacks:
        request.session["factor_asked_at"] = now
    if lacks == "code":  # it began before the second factor did
        logout(request)
        return redirect("admin:login")
    if lacks == "set-up" and (request.resolver_match is None or request.resolver_match.url_name not in WITHOUT_FACTOR):
        return redirect("admin:second_factor")
    return None


site = SyncAdminSite(name="admin")
site.register(User, PeopleAdmin)
site.register(Group, RolesAdmin)
