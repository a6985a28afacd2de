import django.db.models.deletion
from django.db import migrations, models

PASS, TITLE, TABLE = "emails", "E-mails", "E-mails to Salesforce"


def make_pass(apps, schema_editor):
    """Where Salesforce and a mail system are connected already, the pass is there to be looked at, switched off."""
    rows = apps.get_model("reconciliation", "SyncPass").objects
    contacts = rows.filter(name="contacts").first()
    if contacts is None or rows.filter(name=PASS).exists():
        return
    names = {"crm_object": "EmailMessage", "peer_object": "mail"}
    table, _ = apps.get_model("reconciliation", "MappingTable").objects.get_or_create(name=TABLE, defaults=names)
    said = contacts.settings.get("mailbox_settings")
    common = {"title": TITLE, "crm_id": contacts.crm_id, "peer_id": contacts.peer_id, "mapping_id": table.pk, "interval_seconds": 1800}
    rows.create(name=PASS, settings={"mailbox_settings": said} if said else {}, **common)


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0033_events")]

    operations = [
        migrations.CreateModel(
            name="Email",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waits"),
                            ("claimed", "Is being saved"),
                            ("refused", "Refused"),
                            ("saved", "In the CRM"),
                            ("deleted", "Deleted in the CRM"),
                            ("taken_back", "Taken back"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("claim", models.CharField(blank=True, max_length=64)),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
                ("draft_id", models.CharField(blank=True, max_length=64)),
                ("crm_type", models.CharField(blank=True, max_length=40)),
                ("crm_id", models.CharField(blank=True, max_length=64)),
                ("message_id", models.CharField(blank=True, max_length=765)),
                ("subject", models.CharField(blank=True, max_length=255)),
                ("sender", models.CharField(blank=True, max_length=320)),
                ("recipients", models.CharField(blank=True, max_length=1000)),
                ("is_outgoing", models.BooleanField(default=False)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("why", models.CharField(blank=True, max_length=20)),
                ("by", models.CharField(blank=True, max_length=150)),
                ("links", models.JSONField(blank=True, default=dict)),
                ("left_out", models.JSONField(blank=True, default=list)),
                ("reason", models.CharField(blank=True, max_length=60)),
                ("sentence", models.TextField(blank=True)),
                ("since", models.DateTimeField()),
                ("saved_at", models.DateTimeField(blank=True, null=True)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                (
                    "connection",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="reconciliation.connection"),
                ),
                (
                    "holder",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="reconciliation.syncpass",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["state", "-id"], name="email_state"),
                    models.Index(fields=["-sent_at", "-id"], name="email_sent_at"),
                    models.Index(condition=models.Q(("state", "claimed")), fields=["holder"], name="email_claimed"),
                    models.Index(condition=models.Q(("crm_id", ""), _negated=True), fields=["crm_id"], name="email_crm_id"),
                ],
                "constraints": [models.UniqueConstraint(fields=("connection", "key"), name="one_row_per_email")],
            },
        ),
        migrations.CreateModel(
            name="EmailCopy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("mail_id", models.CharField(max_length=1000)),
                ("why", models.CharField(max_length=20)),
                ("by", models.CharField(blank=True, max_length=150)),
                ("is_open", models.BooleanField(default=True)),
                ("is_gone", models.BooleanField(default=False)),
                ("seen_at", models.DateTimeField()),
                (
                    "email",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="copies", to="reconciliation.email"),
                ),
                (
                    "sync_pass",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="email_copies", to="reconciliation.syncpass"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "e-mail copies",
                "indexes": [models.Index(condition=models.Q(("is_open", True)), fields=["sync_pass"], name="email_copy_open")],
                "constraints": [models.UniqueConstraint(fields=("sync_pass", "mail_id"), name="one_row_per_email_copy")],
            },
        ),
        migrations.CreateModel(
            name="MailThread",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("thread", models.CharField(max_length=1000)),
                ("subject", models.CharField(blank=True, max_length=255)),
                ("chosen_by", models.CharField(blank=True, max_length=150)),
                ("chosen_at", models.DateTimeField()),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="mail_threads", to="reconciliation.mailbox"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("mailbox", "thread"), name="one_row_per_mail_thread")],
            },
        ),
        migrations.RunPython(make_pass, migrations.RunPython.noop),
    ]
