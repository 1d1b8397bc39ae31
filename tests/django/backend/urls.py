"""A few of the backend's own addresses, and one by which tests have things done."""
from django.urls import path

from social import views

urlpatterns = [
    path("api/auth/profile/", views.Profile.as_view()),
    path("api/posts/", views.Posts.as_view()),
    path("fixture/<str:action>/", views.Act.as_view()),
]
