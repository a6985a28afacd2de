from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reconciliation", "0036_notices"),
    ]

    operations = [
        migrations.AlterField(
            model_name="connection",
            name="system",
            field=models.CharField(
                choices=[
                    ("workbooks", "Workbooks"),
                    ("outreach", "Outreach"),
                    ("salesforce", "Salesforce"),
                    ("microsoft", "Microsoft 365"),
                    ("google", "Google"),
                    ("exchange", "Exchange (on premises)"),
                ],
                max_length=20,
            ),
        ),
    ]
