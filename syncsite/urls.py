"""The admin site is the whole product, so it lives at the root."""

from django.urls import path

try:
    from reconciliation.admin import site
except ImportError as missing:
    if missing.name != "reconciliation.admin":
        raise
    from django.contrib.admin import site

urlpatterns = [
    path("", site.urls),
]
