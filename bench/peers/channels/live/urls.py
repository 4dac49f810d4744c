"""The one address that Django answers itself."""

from django.urls import path

from live.views import publish

urlpatterns = [path("publish", publish)]
