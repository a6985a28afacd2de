"""The admin site is the whole product, so it lives at the root."""

from django.urls import path

from reconciliation.admin import site

urlpatterns = [
    path("", site.urls),
]
