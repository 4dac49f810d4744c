"""The outbox, the lease of relays on databases that can't skip locked rows, the positions of feeds."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="RelayLease",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("holder", models.CharField(blank=True, max_length=64)),
                ("expires_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="FeedPosition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("feed", models.CharField(max_length=32)),
                ("reader", models.CharField(max_length=64)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("feed", "reader"), name="realtime_feed_reader")],
            },
        ),
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.CharField(max_length=64)),
                ("type", models.CharField(max_length=64)),
                ("channels", models.JSONField()),
                ("payload", models.BinaryField()),
                ("timestamp", models.DateTimeField()),
                ("version", models.CharField(blank=True, max_length=16)),
                ("key", models.CharField(blank=True, max_length=64)),
                ("traceparent", models.CharField(blank=True, max_length=55)),
                (
                    "state",
                    models.PositiveSmallIntegerField(choices=[(0, "waiting"), (1, "sent"), (2, "dead")], default=0),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("refusals", models.PositiveIntegerField(default=0)),
                ("not_before", models.DateTimeField(blank=True, null=True)),
                ("note", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "outbox event",
                "ordering": ["id"],
                "indexes": [
                    models.Index(condition=models.Q(("state", 0)), fields=["id"], name="realtime_outbox_waiting"),
                    models.Index(fields=["state", "sent_at"], name="realtime_outbox_state"),
                ],
            },
        ),
    ]
