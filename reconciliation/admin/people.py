"""Users and groups: who may log in follows from the roles, so that nobody has to tick a box besides."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path

from reconciliation.roles import STAFF_ROLES
from reconciliation.services.audit import audit
from reconciliation.views.exports import Column, export_rows

COLUMNS = (
    Column("username", lambda u: u.username),
    Column("first name", lambda u: u.first_name),
    Column("last name", lambda u: u.last_name),
    Column("e-mail", lambda u: u.email),
    Column("roles", lambda u: role_names(u)),
    Column("active", lambda u: u.is_active),
    Column("last login", lambda u: u.last_login),
)

DELETED = {"user": "user", "group": "role"}  # model -> what the audit log calls it


def role_names(user: User) -> str:
    return ", ".join(["superuser"] * user.is_superuser + [group.name for group in user.groups.all()])


class RecordedDeletes:
    """Mixed into a stock admin: each row that is deleted, alone or with others, stands in the audit log."""

    opts: Any  # of the admin it is mixed into

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        name = str(obj)
        with transaction.atomic():  # what cannot be recorded is not deleted
            super().delete_model(request, obj)  # type: ignore[misc]
            audit(request.user, f"delete {DELETED[self.opts.model_name]}", name)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)


class PeopleAdmin(RecordedDeletes, UserAdmin):
    """Stock users, with their roles in the list; a person with a role may log in (Staff status)."""

    list_display = ("username", "first_name", "last_name", "email", "roles", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    readonly_fields = ("last_login", "date_joined")  # what happened is not typed

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        return super().changelist_view(request, {"title": "Users", **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return role_names(user) or "none: cannot log in"

    def get_urls(self) -> list[URLPattern]:
        return [path("export.csv", self.admin_site.admin_view(self.export), name="auth_user_export"), *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The people that the list shows, with its filters and search."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            shown = self.get_changelist_instance(request)
        except IncorrectLookupParameters:  # as the list does
            return redirect("admin:auth_user_changelist")
        return export_rows(request, "users", COLUMNS, shown.get_queryset(request))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        user: User = form.instance
        if not user.is_staff and (user.is_superuser or user.groups.filter(name__in=STAFF_ROLES).exists()):
            User.objects.filter(pk=user.pk).update(is_staff=True)
        roles = sorted(user.groups.values_list("name", flat=True))
        audit(request.user, "change user" if change else "add user", user.get_username(), changed=form.changed_data, roles=roles)


class RolesAdmin(RecordedDeletes, GroupAdmin):
    """Stock groups; their changes are recorded."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        return super().changelist_view(request, {"title": "Roles", **(extra_context or {})})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        audit(request.user, "change role", str(form.instance), changed=form.changed_data)
