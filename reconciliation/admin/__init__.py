"""The admin site: declarations only. What pages do stands in `views`, what people may do in `services`."""

from reconciliation.admin.site import site

__all__ = ["site"]
