"""The tables that the backend and pregon share: names, columns and indexes as an existing deployment has them."""
import random
import string
import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


def short_id():
    """Eight letters or digits."""
    return "".join(random.choices(string.ascii_uppercase + string.digits, k=8))


class Row(models.Model):
    """Every row has a UUIDv4 that the application makes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        abstract = True


def user(related_name):
    return models.ForeignKey("social.User", models.CASCADE, related_name=related_name)


class User(AbstractUser, Row):
    email = models.EmailField(unique=True)
    username = models.CharField(max_length=30, unique=True)
    display_name = models.CharField(max_length=100)
    avatar = models.CharField(max_length=100, null=True)
    cover_photo = models.CharField(max_length=100, null=True)
    bio = models.TextField(blank=True, default="")
    position = models.CharField(max_length=100, default="")
    team = models.CharField(max_length=100, default="")
    contact_number = models.CharField(max_length=20, default="")
    interests = models.JSONField(default=list)
    social_links = models.JSONField(default=list)
    is_private = models.BooleanField(default=False)
    show_email = models.BooleanField(default=False)
    show_phone = models.BooleanField(default=False)
    followers_count = models.PositiveIntegerField(default=0)
    following_count = models.PositiveIntegerField(default=0)
    posts_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_active = models.DateTimeField(auto_now=True)
    is_verified = models.BooleanField(default=False)
    email_verified = models.BooleanField(default=False)
    account_type = models.CharField(max_length=20, default="user")
    company_name = models.CharField(max_length=200, default="")
    industry = models.CharField(max_length=100, default="")
    website = models.CharField(max_length=200, default="")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["username", "display_name"]

    class Meta:
        db_table = "users"
        indexes = [
            models.Index(fields=["email"], name="users_email_4b85f2_idx"),
            models.Index(fields=["username"], name="users_usernam_baeb4b_idx"),
            models.Index(fields=["is_active", "-created_at"], name="users_is_acti_af9e1a_idx"),
        ]


class UserFollow(Row):
    follower = user("following_set")
    following = user("follower_set")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "user_follows"
        unique_together = [("follower", "following")]
        indexes = [
            models.Index(fields=["follower", "-created_at"], name="user_follow_followe_5ed1bd_idx"),
            models.Index(fields=["following", "-created_at"], name="user_follow_followi_7c1ee1_idx"),
        ]


class Friendship(Row):
    """`user1` is the smaller of the two."""

    user1 = user("friendships_1")
    user2 = user("friendships_2")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "friendships"
        unique_together = [("user1", "user2")]


class FriendRequest(Row):
    sender = user("sent_requests")
    receiver = user("received_requests")
    status = models.CharField(max_length=10, default="pending")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "friend_requests"
        unique_together = [("sender", "receiver")]


class ChatRoom(Row):
    name = models.CharField(max_length=100, default="")
    chat_type = models.CharField(max_length=15, default="private")
    description = models.TextField(default="")
    avatar = models.CharField(max_length=100, null=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_activity = models.DateTimeField(auto_now_add=True)
    created_by = user("created_rooms")

    class Meta:
        db_table = "chat_rooms"
        indexes = [
            models.Index(fields=["chat_type", "-last_activity"], name="chat_rooms_chat_ty_cd4e3a_idx"),
            models.Index(fields=["created_by", "-created_at"], name="chat_rooms_created_b6023e_idx"),
        ]


class ChatParticipant(Row):
    chat_room = models.ForeignKey(ChatRoom, models.CASCADE, related_name="participants")
    user = user("chat_participations")
    role = models.CharField(max_length=10, default="member")
    other_user_nickname = models.CharField(max_length=50, default="")
    chat_background = models.CharField(max_length=20, default="")
    chat_color = models.CharField(max_length=30, default="")
    other_message_color = models.CharField(max_length=30, default="")
    notifications_enabled = models.BooleanField(default=True)
    sound_enabled = models.BooleanField(default=True)
    is_muted = models.BooleanField(default=False)
    is_blocked = models.BooleanField(default=False)
    joined_at = models.DateTimeField(auto_now_add=True)
    last_read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "chat_participants"
        unique_together = [("chat_room", "user")]
        indexes = [
            models.Index(fields=["user", "-joined_at"], name="chat_partic_user_id_902601_idx"),
            models.Index(fields=["chat_room", "user"], name="chat_partic_chat_ro_329d69_idx"),
        ]


class Message(Row):
    chat_room = models.ForeignKey(ChatRoom, models.CASCADE, related_name="messages")
    sender = user("sent_messages")
    content = models.TextField(default="")
    message_type = models.CharField(max_length=15, default="text")
    image = models.CharField(max_length=100, null=True)
    video = models.CharField(max_length=100, null=True)
    audio = models.CharField(max_length=100, null=True)
    file_url = models.CharField(max_length=200, default="")
    file_name = models.CharField(max_length=255, default="")
    file_size = models.PositiveIntegerField(null=True)
    reply_to = models.ForeignKey("self", models.SET_NULL, null=True, related_name="answers")
    story_id = models.UUIDField(null=True)
    is_edited = models.BooleanField(default=False)
    is_deleted = models.BooleanField(default=False)
    deleted_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "messages"
        indexes = [
            models.Index(fields=["chat_room", "created_at"], name="messages_chat_ro_6c0442_idx"),
            models.Index(fields=["sender", "-created_at"], name="messages_sender__7375e3_idx"),
            models.Index(fields=["chat_room", "is_deleted", "created_at"], name="messages_chat_ro_134f80_idx"),
        ]


class MessageReaction(Row):
    message = models.ForeignKey(Message, models.CASCADE, related_name="reactions")
    user = user("message_reactions")
    reaction_type = models.CharField(max_length=10)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "message_reactions"
        unique_together = [("message", "user", "reaction_type")]
        indexes = [
            models.Index(fields=["message", "reaction_type"], name="message_rea_message_57565e_idx"),
            models.Index(fields=["user", "-created_at"], name="message_rea_user_id_97e8d1_idx"),
        ]


class MessageRead(Row):
    message = models.ForeignKey(Message, models.CASCADE, related_name="reads")
    user = user("message_reads")
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "message_reads"
        unique_together = [("message", "user")]
        indexes = [
            models.Index(fields=["user", "-read_at"], name="message_rea_user_id_59f535_idx"),
            models.Index(fields=["message", "user"], name="message_rea_message_19da3c_idx"),
        ]


class Post(Row):
    short_id = models.CharField(max_length=8, unique=True, default=short_id)
    user = user("posts")
    content = models.TextField(default="")
    images = models.JSONField(default=list)
    video = models.CharField(max_length=100, null=True)
    thumbnail = models.CharField(max_length=100, null=True)
    podcast_url = models.CharField(max_length=200, default="")
    streaming_url = models.CharField(max_length=200, default="")
    post_type = models.CharField(max_length=20, default="text")
    category = models.CharField(max_length=20, default="")
    likes_count = models.PositiveIntegerField(default=0)
    celebrations_count = models.PositiveIntegerField(default=0)
    golazos_count = models.PositiveIntegerField(default=0)
    comments_count = models.PositiveIntegerField(default=0)
    shares_count = models.PositiveIntegerField(default=0)
    views_count = models.PositiveIntegerField(default=0)
    is_pinned = models.BooleanField(default=False)
    is_archived = models.BooleanField(default=False)
    allow_comments = models.BooleanField(default=True)
    is_public = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "posts"
        indexes = [
            models.Index(fields=["user", "-created_at"], name="posts_user_id_dfa368_idx"),
            models.Index(fields=["category", "-created_at"], name="posts_categor_b285e2_idx"),
            models.Index(fields=["post_type", "-created_at"], name="posts_post_ty_2afc3b_idx"),
            models.Index(fields=["is_public", "-created_at"], name="posts_is_publ_6eff95_idx"),
        ]


class PostReaction(Row):
    post = models.ForeignKey(Post, models.CASCADE, related_name="reactions")
    user = user("post_reactions")
    reaction_type = models.CharField(max_length=15)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "post_reactions"
        unique_together = [("user", "post", "reaction_type")]
        indexes = [
            models.Index(fields=["post", "reaction_type"], name="post_reacti_post_id_6674a6_idx"),
            models.Index(fields=["user", "-created_at"], name="post_reacti_user_id_d13d8c_idx"),
        ]


class Comment(Row):
    post = models.ForeignKey(Post, models.CASCADE, related_name="comments")
    user = user("comments")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="replies")
    content = models.TextField()
    image = models.CharField(max_length=100, null=True)
    likes_count = models.PositiveIntegerField(default=0)
    replies_count = models.PositiveIntegerField(default=0)
    is_edited = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "comments"
        indexes = [
            models.Index(fields=["post", "created_at"], name="comments_post_id_015fcc_idx"),
            models.Index(fields=["parent", "created_at"], name="comments_parent__149355_idx"),
            models.Index(fields=["user", "-created_at"], name="comments_user_id_a80af7_idx"),
        ]


class CommentLike(Row):
    comment = models.ForeignKey(Comment, models.CASCADE, related_name="likes")
    user = user("comment_likes")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "comment_likes"
        unique_together = [("user", "comment")]
        indexes = [
            models.Index(fields=["comment", "-created_at"], name="comment_lik_comment_9e1199_idx"),
            models.Index(fields=["user", "-created_at"], name="comment_lik_user_id_219cf2_idx"),
        ]


class PostShare(Row):
    post = models.ForeignKey(Post, models.CASCADE, related_name="shares")
    user = user("shares")
    message = models.TextField(default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "post_shares"
        unique_together = [("user", "post")]


class PostBookmark(Row):
    post = models.ForeignKey(Post, models.CASCADE, related_name="bookmarks")
    user = user("bookmarks")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "post_bookmarks"
        unique_together = [("user", "post")]


class Story(Row):
    user = user("stories")
    media = models.CharField(max_length=100)
    media_type = models.CharField(max_length=10)
    thumbnail = models.CharField(max_length=100, null=True)
    views_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "stories"


class Notification(Row):
    recipient = user("notifications")
    sender = user("sent_notifications")
    notification_type = models.CharField(max_length=20)
    post_id = models.UUIDField(null=True)
    comment_id = models.UUIDField(null=True)
    friend_request_id = models.UUIDField(null=True)
    story_id = models.UUIDField(null=True)
    message = models.TextField()
    is_read = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notifications"
        indexes = [
            models.Index(fields=["recipient", "-created_at"], name="notificatio_recipie_2d3764_idx"),
            models.Index(fields=["recipient", "is_read"], name="notificatio_recipie_583549_idx"),
            models.Index(fields=["sender", "-created_at"], name="notificatio_sender__6aaec3_idx"),
        ]
