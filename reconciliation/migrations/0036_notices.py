import django.db.models.deletion
from django.db import migrations, models

import reconciliation.models.encrypted


class Migration(migrations.Migration):
    dependencies = [
        ("reconciliation", "0035_linking"),
    ]

    operations = [
        migrations.AddField(
            model_name="syncpass",
            name="looked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="syncpass",
            name="notices_heard",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="syncpass",
            name="notices_told",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.CreateModel(
            name="InstaSync",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("on_created", models.BooleanField(default=True)),
                ("on_updated", models.BooleanField(default=True)),
                ("on_deleted", models.BooleanField(default=True)),
                ("spacing_seconds", models.PositiveIntegerField(default=60)),
                ("look_seconds", models.PositiveIntegerField(default=180)),
                ("address", models.CharField(blank=True, max_length=300)),
                (
                    "reached",
                    models.CharField(
                        blank=True, choices=[("", "Not tried yet"), ("yes", "Reached"), ("no", "Not reached")], default="", max_length=3
                    ),
                ),
                ("reached_at", models.DateTimeField(blank=True, null=True)),
                ("reached_says", models.TextField(blank=True)),
                ("checks", models.JSONField(blank=True, default=list)),
                ("tested_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_insta_sync")],
            },
        ),
        migrations.CreateModel(
            name="CalendarWatch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Is being made"), ("on", "Watched"), ("failed", "Not watched")],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("why", models.TextField(blank=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("subscription_id", models.CharField(blank=True, max_length=255)),
                ("secrets", reconciliation.models.encrypted.EncryptedJSONField(blank=True, default=dict, editable=False)),
                ("changes", models.CharField(blank=True, max_length=60)),
                ("address", models.CharField(blank=True, max_length=300)),
                ("due_at", models.DateTimeField()),
                ("made_at", models.DateTimeField(blank=True, null=True)),
                ("renewed_at", models.DateTimeField(blank=True, null=True)),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                (
                    "mailbox",
                    models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="watch", to="reconciliation.mailbox"),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["due_at"], name="calendar_watch_due")],
            },
        ),
        migrations.CreateModel(
            name="MeetingNotice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64)),
                ("what", models.CharField(max_length=10)),
                ("event_id", models.CharField(blank=True, max_length=255)),
                ("kind", models.CharField(blank=True, max_length=12)),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Waits for a run"), ("done", "Carried over"), ("left", "No meeting"), ("off", "Switched off")],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("received_at", models.DateTimeField()),
                ("done_at", models.DateTimeField(blank=True, null=True)),
                (
                    "mailbox",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="notices", to="reconciliation.mailbox"),
                ),
                (
                    "run",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="reconciliation.run"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("state", "waiting")), fields=["mailbox", "id"], name="notice_waiting"),
                    models.Index(fields=["received_at"], name="notice_received"),
                    models.Index(fields=["mailbox", "event_id", "-id"], name="notice_event"),
                    models.Index(fields=["mailbox", "-received_at"], name="notice_newest"),
                ],
                "constraints": [models.UniqueConstraint(fields=("mailbox", "digest"), name="one_row_per_notice")],
            },
        ),
    ]
