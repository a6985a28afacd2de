"""What a person may do, read once a request: Django's own backend asks twice, for the person's and for the roles' permissions."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser, Permission, User


class PermissionsInOneQuery:
    """Stands before Django's ModelBackend and fills the cache that this reads. It logs nobody in, so that sessions stay what
    they are."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        return None

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Any = None) -> bool:
        fill(user_obj)
        return False  # ModelBackend answers, from the cache

    def has_module_perms(self, user_obj: User | AnonymousUser, app_label: str) -> bool:
        fill(user_obj)
        return False


def fill(user: Any) -> None:
    """Keeps the permissions of a person at the person, where ModelBackend looks for them."""
    if not user.is_active or user.is_anonymous or user.is_superuser or hasattr(user, "_perm_cache"):
        return
    names = ("content_type__app_label", "codename")
    own = Permission.objects.filter(user=user).order_by().values_list(*names)
    of_roles = Permission.objects.filter(group__user=user).order_by().values_list(*names)
    user._perm_cache = {f"{app}.{codename}" for app, codename in own.union(of_roles)}
