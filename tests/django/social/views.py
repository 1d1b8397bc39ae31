"""The backend's own REST, as far as the proxy leaves it any, and the door for tests."""
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from social.actions import ACTIONS
from social.models import Post
from social.signals import post_data, profile


class Profile(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({**profile(request.user), "served_by": "django"})


class Posts(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        row = Post.objects.create(user=request.user, content=str(request.data.get("content", "")).strip())
        return Response(post_data(row), status=201)


class Act(APIView):
    """`POST /fixture/<action>/` with the arguments as a JSON object. Only ever on loopback."""

    authentication_classes = []
    permission_classes = []

    def post(self, request, action):
        return Response(ACTIONS[action](**request.data))
