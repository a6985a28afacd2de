import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reconciliation", "0032_outreach_activities"),
    ]

    operations = [
        migrations.AlterField(
            model_name="tombstone",
            name="why",
            field=models.CharField(
                choices=[
                    ("crm", "Deleted in Workbooks"),
                    ("undo", "Made by a run and deleted by its undo"),
                    ("gone", "Deleted in the CRM"),
                    ("peer", "Deleted in Outreach"),
                    ("merged", "Merged in the CRM into a record that is linked elsewhere"),
                    ("moved", "Its link was moved to another record"),
                    ("taken_out", "Taken out of the folder: personal again"),
                    ("again", "Deleted in the mailbox, made again from the CRM"),
                    ("mailbox", "Deleted in the mailbox"),
                    ("view", "Left the view and was removed from the mailbox"),
                    ("handed", "A colleague's mailbox carries it on"),
                    ("cancelled", "Cancelled in the mailbox"),
                    ("private", "Turned private in the mailbox"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="MailboxItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("object_type", models.CharField(max_length=20)),
                ("item_id", models.CharField(max_length=255)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("seen", "Not shared"),
                            ("linked", "In Salesforce"),
                            ("colleague", "Carried by a colleague's mailbox"),
                            ("ended", "Not shared any more"),
                        ],
                        default="linked",
                        max_length=10,
                    ),
                ),
                ("why", models.CharField(max_length=10)),
                ("reason", models.CharField(blank=True, max_length=40)),
                ("sentence", models.TextField(blank=True)),
                ("name", models.CharField(blank=True, max_length=255)),
                ("occasion", models.CharField(blank=True, max_length=64)),
                ("series_id", models.CharField(blank=True, max_length=255)),
                ("starts_at", models.DateTimeField(blank=True, null=True)),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("was_marked", models.BooleanField(default=False)),
                ("was_own_meeting", models.BooleanField(default=False)),
                ("was_cancelled", models.BooleanField(default=False)),
                ("is_private", models.BooleanField(default=False)),
                ("guests", models.PositiveIntegerField(default=0)),
                ("guests_key", models.CharField(blank=True, max_length=40)),
                ("crm_type", models.CharField(blank=True, max_length=40)),
                ("crm_id", models.CharField(blank=True, max_length=64)),
                ("links", models.JSONField(blank=True, default=dict)),
                ("held", models.JSONField(blank=True, default=list)),
                ("is_held", models.BooleanField(default=False)),
                ("mails_asked_at", models.DateTimeField(blank=True, null=True)),
                ("mails_asked_by", models.CharField(blank=True, max_length=150)),
                ("share_asked_at", models.DateTimeField(blank=True, null=True)),
                ("share_asked_by", models.CharField(blank=True, max_length=150)),
                ("since", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                (
                    "sync_pass",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="items", to="reconciliation.syncpass"),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("occasion", ""), _negated=True), fields=["occasion"], name="mailbox_item_occasion"),
                    models.Index(
                        condition=models.Q(("series_id", ""), _negated=True), fields=["sync_pass", "series_id"], name="mailbox_item_series"
                    ),
                    models.Index(fields=["sync_pass", "starts_at"], name="mailbox_item_starts"),
                    models.Index(condition=models.Q(("crm_id", ""), _negated=True), fields=["crm_id"], name="mailbox_item_crm"),
                    models.Index(condition=models.Q(("is_held", True)), fields=["sync_pass"], name="mailbox_item_held"),
                ],
                "constraints": [models.UniqueConstraint(fields=("sync_pass", "object_type", "item_id"), name="one_row_per_mailbox_item")],
            },
        ),
    ]
