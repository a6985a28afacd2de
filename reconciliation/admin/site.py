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

from reconciliation.admin.navigation import navigation_of, own_navigation
from reconciliation.admin.people import PeopleAdmin, RolesAdmin
from reconciliation.admin.routes import ROUTES
from reconciliation.roles import OWN_MAILBOX, VIEW
from reconciliation.selectors import frame
from reconciliation.services.log_ins import acting
from reconciliation.services.second_factor import what_log_in_lacks
from reconciliation.views import (
    dashboard,
    log_ins,
    my_mailbox,
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
            said = frame()
            context["queue_counts"] = said.counts
            context["navigation"] = navigation_of(request, said.counts)
            context["notice"], context["writes_stopped"] = said.notice, said.writes_stopped
        elif request.user.is_authenticated and request.user.has_perm(OWN_MAILBOX):
            context["navigation"] = own_navigation(request)
        return context

    def has_permission(self, request: HttpRequest) -> bool:
        """As Django's, and lets a mailbox user in: each page asks for its own permission, and theirs asks for that alone."""
        return super().has_permission(request) or (request.user.is_active and request.user.has_perm(OWN_MAILBOX))

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
        if not request.user.has_perm(VIEW) and request.user.has_perm(OWN_MAILBOX):
            return redirect("admin:my_mailbox")
        return dashboard.show(request)

    def open_view(self, view: Any) -> Any:
        """As `admin_view`, for pages that need no log-in."""

        def framed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.admin_site = self  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        return update_wrapper(framed, view)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        ours = [path(route, self.admin_view(view), name=name) for route, view, name in ROUTES]
        link = path("sign-in/<str:token>/", self.open_view(my_mailbox.sign_in), name="mailbox_link")
        return [*ours, link, *super().get_urls()]


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
