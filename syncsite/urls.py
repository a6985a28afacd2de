"""The admin site is the whole product, so it lives at the root; beside it what machines ask for."""

from django.urls import path

from reconciliation.admin import site
from syncsite import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("metrics", health.metrics, name="metrics"),
    path("", site.urls),
]
handler404 = "reconciliation.admin.missing.not_found"
handler403 = "reconciliation.admin.missing.forbidden"
