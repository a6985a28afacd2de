"""What a report of an unforeseen error may show; `settings.DEFAULT_EXCEPTION_REPORTER_FILTER` names it."""

import re
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class SecretsHidden(SafeExceptionReporterFilter):
    """Django's filter, which masks settings by their names, for addresses with passwords in them and for forms too."""

    hidden_settings = re.compile("API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|URL|LOCATION|REDIS|^CODE$|PRIVATE", re.IGNORECASE)

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        if request is None:
            return {}
        shown = request.POST.copy()
        for name in shown:
            if self.hidden_settings.search(name):
                shown[name] = self.cleansed_substitute
        return shown

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        """Local variables may hold anything, so none is shown."""
        return [(name, self.cleansed_substitute) for name in tb_frame.f_locals]
