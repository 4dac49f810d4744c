"""Where the views are."""

from django.contrib import admin
from django.urls import path

from platepal_realtime.django.polling import health

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accept", views.accept),
    path("accept-async", views.accept_async),
    path("publish-async", views.publish_async),
    path("publish", views.publish_now),
    path("keep", views.keep),
    path("place", views.place),
    path("later", views.later),
    path("realtime/health", health),
    path("token", views.TokenView.as_view()),
    path("token/refresh", views.RefreshView.as_view()),
    path("orders", views.OrderView.as_view({"get": "list"})),
]
