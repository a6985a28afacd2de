"""Our admin site: stock Django admin at the root, with navigation by job instead of by model."""

from __future__ import annotations

from functools import update_wrapper
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, path

from reconciliation.admin.people import PeopleAdmin, RolesAdmin
from reconciliation.roles import VIEW
from reconciliation.selectors import open_case_counts, stopped_notice
from reconciliation.views import audit, connections, dashboard, duplicates, errors, journal, mappings, records, runs, schedule, undo


class SyncAdminSite(AdminSite):
    """Pages by job. Each view checks its own permission; nothing is reachable without a log-in."""

    site_title = "Syncsite"
    site_header = "Syncsite"
    index_title = "Dashboard"
    enable_nav_sidebar = False  # our own navigation stands there

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        if request.user.is_authenticated and request.user.has_perm(VIEW):
            context["queue_counts"] = open_case_counts()
            context["notice"] = stopped_notice()
        return context

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """As Django's, and lets our views draw the admin's frame without knowing this module."""

        def framed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.admin_site = self  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

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
            page("runs/<int:pk>/", runs.show, "run_detail"),
            page("runs/<int:pk>/apply/", runs.apply, "run_apply"),
            page("runs/<int:pk>/undo/", undo.show, "run_undo"),
            page("runs/<int:pk>/progress.json", runs.progress, "run_progress"),
            page("runs/<int:pk>/events.csv", runs.export, "run_export"),
            page("events/<int:pk>/", runs.show_event, "event_detail"),
            page("duplicates/", duplicates.show_list, "duplicate_list"),
            page("duplicates/<int:pk>/", duplicates.show, "duplicate_detail"),
            page("duplicates/<int:pk>/decide/", duplicates.decide, "duplicate_decide"),
            page("duplicates/<int:pk>/here/", duplicates.here, "duplicate_here"),
            page("duplicates/bulk/", duplicates.bulk, "duplicate_bulk"),
            page("errors/<int:pk>/decide/", errors.decide, "error_decide"),
            page("errors/", errors.show_list, "error_list"),
            page("errors/retry/", errors.retry, "error_retry"),
            page("errors/<int:pk>/", errors.show, "error_detail"),
            page("without-owner/", records.without_owner, "owner_list"),
            page("without-owner/check/", records.check_owners, "owner_check"),
            page("cases/refresh/", records.refresh_cases, "case_refresh"),
            page("why/", records.why, "why"),
            page("mappings/", mappings.show_list, "mapping_list"),
            page("mappings/<int:pk>/", mappings.edit, "mapping_edit"),
            page("audit/", audit.show_list, "audit"),
            page("audit/verify/", audit.verify, "audit_verify"),
            page("journal/", journal.show_list, "journal"),
            page("journal/<int:pk>/", journal.show, "operation_detail"),
            page("schedule/", schedule.show, "schedule"),
            page("connections/", connections.show_list, "connection_list"),
            page("connections/add/<slug:system>/", connections.add, "connection_add"),
            page("connections/callback/", connections.callback, "connection_callback"),
            page("connections/<int:pk>/", connections.edit, "connection_edit"),
            page("connections/<int:pk>/connect/", connections.connect, "connection_connect"),
            page("connections/<int:pk>/test/", connections.test, "connection_test"),
        ]
        return [*ours, *super().get_urls()]


site = SyncAdminSite(name="admin")
site.register(User, PeopleAdmin)
site.register(Group, RolesAdmin)
