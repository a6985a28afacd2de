import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reconciliation", "0034_mails"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="OwnDomain",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("domain", models.CharField(max_length=253, unique=True)),
                (
                    "source",
                    models.CharField(
                        choices=[("mailboxes", "Mailboxes"), ("users", "Users of the CRM"), ("person", "Entered")],
                        default="person",
                        max_length=10,
                    ),
                ),
                ("is_on", models.BooleanField(default=True)),
                ("by_name", models.CharField(blank=True, max_length=150)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="BlockedAddress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("entry", models.CharField(max_length=254)),
                ("note", models.CharField(blank=True, max_length=200)),
                ("by_name", models.CharField(blank=True, max_length=150)),
                ("at", models.DateTimeField()),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                ("removed_by_name", models.CharField(blank=True, max_length=150)),
                (
                    "by",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="blocked",
                        to="reconciliation.mailbox",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "blocked addresses",
                "indexes": [models.Index(fields=["mailbox", "entry"], name="blocked_of")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("mailbox", None), ("removed_at", None)), fields=("entry",), name="one_block_per_entry_of_all"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("mailbox__isnull", False), ("removed_at", None)),
                        fields=("mailbox", "entry"),
                        name="one_block_per_entry",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MadePerson",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(max_length=254)),
                (
                    "state",
                    models.CharField(
                        choices=[("making", "Being made"), ("made", "Made"), ("refused", "Refused"), ("taken_back", "Taken back")],
                        default="making",
                        max_length=10,
                    ),
                ),
                ("kind", models.CharField(max_length=20)),
                ("record_id", models.CharField(blank=True, max_length=64)),
                ("account_id", models.CharField(blank=True, max_length=64)),
                ("name", models.CharField(blank=True, max_length=255)),
                ("operation_id", models.BigIntegerField(blank=True, null=True)),
                ("item", models.JSONField(blank=True, default=dict)),
                ("why", models.JSONField(blank=True, default=list)),
                ("missing", models.CharField(blank=True, max_length=255)),
                ("reason", models.TextField(blank=True)),
                ("made_at", models.DateTimeField()),
                ("asked_at", models.DateTimeField(blank=True, null=True)),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                ("completed_by_name", models.CharField(blank=True, max_length=150)),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="made_people", to="reconciliation.connection"
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="made_people",
                        to="reconciliation.mailbox",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "made people",
                "indexes": [
                    models.Index(
                        condition=models.Q(("completed_at", None), ("state", "made"), models.Q(("missing", ""), _negated=True)),
                        fields=["-made_at", "-id"],
                        name="made_person_incomplete",
                    ),
                    models.Index(fields=["mailbox", "made_at"], name="made_person_of"),
                    models.Index(condition=models.Q(("state", "making")), fields=["state"], name="made_person_under_way"),
                ],
                "constraints": [models.UniqueConstraint(fields=("connection", "address"), name="one_made_person_per_address")],
            },
        ),
        migrations.CreateModel(
            name="UnresolvedPerson",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(max_length=254)),
                ("name", models.CharField(blank=True, max_length=255)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Unknown"),
                            ("dismissed", "Ignored"),
                            ("blocked", "Blocked"),
                            ("linked", "Linked"),
                            ("made", "Made"),
                            ("found", "Known by now"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("said", models.JSONField(blank=True, default=dict)),
                ("items", models.JSONField(blank=True, default=list)),
                ("count", models.PositiveIntegerField(default=0)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("crm_type", models.CharField(blank=True, max_length=40)),
                ("crm_id", models.CharField(blank=True, max_length=64)),
                ("is_for_all", models.BooleanField(default=False)),
                ("decided_by_name", models.CharField(blank=True, max_length=150)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                (
                    "mailbox",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="unresolved", to="reconciliation.mailbox"),
                ),
            ],
            options={
                "verbose_name_plural": "unresolved people",
                "indexes": [
                    models.Index(condition=models.Q(("state", "open")), fields=["-last_seen_at", "-id"], name="unresolved_open"),
                    models.Index(condition=models.Q(("state", "linked")), fields=["address"], name="unresolved_linked"),
                ],
                "constraints": [models.UniqueConstraint(fields=("mailbox", "address"), name="one_row_per_unresolved_address")],
            },
        ),
    ]
