"""Users with roles, restaurants, orders, and the broadcaster's table of events, as PlatePal has them."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone


class User(AbstractUser):
    role = models.CharField(max_length=16, default="CUSTOMER")


class Restaurant(models.Model):
    owner = models.ForeignKey(User, models.CASCADE, related_name="restaurants")
    name = models.CharField(max_length=100)

    def __str__(self):
        return self.name


class Order(models.Model):
    customer_id = models.BigIntegerField()
    restaurant_id = models.BigIntegerField()
    rider_id = models.BigIntegerField(null=True)
    status = models.CharField(max_length=20, default="PENDING")
    total = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self):
        return f"{self.pk}: {self.status}"


class Event(models.Model):
    """What the broadcaster stores before it sends."""

    event_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    type = models.CharField(max_length=64)
    version = models.CharField(max_length=10, default="1.0")
    aggregate_type = models.CharField(max_length=32)
    aggregate_id = models.CharField(max_length=64)
    payload = models.JSONField()
    timestamp = models.DateTimeField(default=timezone.now)

    def __str__(self):
        return self.type


class MirroredMessage(models.Model):
    """A line for each entry of a feed: a second line for the same position would be a second effect."""

    position = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=64)
    data = models.JSONField()

    def __str__(self):
        return f"{self.position}: {self.kind}"
