"""The admin site is the whole product, so it lives at the root; beside it what machines ask for."""

from django.urls import path

from reconciliation.admin import site
from reconciliation.views import hooks
from syncsite import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("metrics", health.metrics, name="metrics"),
    path("hooks/outreach/<int:connection_id>/", hooks.outreach, name="outreach_hook"),
    path("hooks/microsoft/", hooks.microsoft, name="microsoft_hook"),
    path("hooks/microsoft/life/", hooks.microsoft, name="microsoft_life_hook"),
    path("", site.urls),
]
handler404 = "reconciliation.admin.missing.not_found"
handler403 = "reconciliation.admin.missing.forbidden"
