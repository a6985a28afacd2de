from django.apps import AppConfig


class SyncsiteConfig(AppConfig):
    name = "syncsite"
    verbose_name = "Site"

    def ready(self) -> None:
        from syncsite import checks  # noqa: F401  registers the checks
