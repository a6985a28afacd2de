from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reconciliation", "0027_mailbox_life"),
    ]

    operations = [
        migrations.AlterField(
            model_name="case",
            name="kind",
            field=models.CharField(
                choices=[
                    ("duplicate", "Duplicate"),
                    ("error", "Error"),
                    ("mapping", "Mapping"),
                    ("conflict", "Conflict"),
                    ("remap", "Remap"),
                    ("deletion", "Deletion"),
                    ("exists", "Contact exists"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="binding",
            name="lacks",
            field=models.CharField(blank=True, max_length=255, null=True),
        ),
        migrations.AddIndex(
            model_name="binding",
            index=models.Index(condition=models.Q(("lacks__isnull", False)), fields=["-id"], name="binding_incomplete"),
        ),
    ]
