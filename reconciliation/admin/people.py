"""Users and groups: who may log in follows from the roles, so that nobody has to tick a box besides."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from reconciliation.roles import ROLES
from reconciliation.services.audit import audit


class PeopleAdmin(UserAdmin):
    """Stock users, with their roles in the list; a person with a role may log in (Staff status)."""

    list_display = ("username", "first_name", "last_name", "email", "roles", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        names = [group.name for group in user.groups.all()]
        return ", ".join(["superuser"] * user.is_superuser + names) or "none: cannot log in"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        user: User = form.instance
        if not user.is_staff and (user.is_superuser or user.groups.filter(name__in=ROLES).exists()):
            User.objects.filter(pk=user.pk).update(is_staff=True)
        roles = sorted(user.groups.values_list("name", flat=True))
        audit(request.user, "change user" if change else "add user", user.get_username(), changed=form.changed_data, roles=roles)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        name = obj.get_username()
        super().delete_model(request, obj)
        audit(request.user, "delete user", name)


class RolesAdmin(GroupAdmin):
    """Stock groups; their changes are recorded."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        audit(request.user, "change role", str(form.instance), changed=form.changed_data)
