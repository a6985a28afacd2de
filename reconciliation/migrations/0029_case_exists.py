from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reconciliation", "0026_case_deletion"),
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
    ]
