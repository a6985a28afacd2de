#!/usr/bin/env python3
"""Django's command line; `dev.py` and `make help` show the everyday targets."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncsite.settings")
    try:
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed here: use .venv/bin/python, or run `make demo` first.")
    try:
        settings.INSTALLED_APPS  # noqa: B018  reads the settings, so that a wrong one is a sentence and not a traceback
    except ImproperlyConfigured as error:
        print(f"Settings: {error}", file=sys.stderr)
        sys.exit(2)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
