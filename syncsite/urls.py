"""The admin site is the whole product, so it lives at the root."""

from django.urls import path

from reconciliation.admin import site

urlpatterns = [
    path("", site.urls),
]
handler404 = "reconciliation.admin.missing.not_found"
handler403 = "reconciliation.admin.missing.forbidden"
