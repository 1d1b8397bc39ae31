"""What tests have done through the ORM, each by its name; arguments and answers are JSON."""
import datetime
import uuid

from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, transaction
from rest_framework_simplejwt.tokens import AccessToken

from social import models
from social.models import (
    ChatParticipant, ChatRoom, Comment, CommentLike, Friendship, Message, Notification, Post, PostReaction, PostShare,
    User, UserFollow,
)

ACTIONS = {}


def action(function):
    ACTIONS[function.__name__] = function
    return function


def plain(row):
    """A row's columns as JSON has them; times as they stand in the database."""
    values = {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if isinstance(value, uuid.UUID):
            value = str(value)
        elif isinstance(value, datetime.datetime):
            value = value.isoformat(timespec="microseconds")
        values[field.attname] = value
    return values


def user(name):
    return User.objects.get(username=name)


@action
def make_user(username, password=None, **fields):
    row = User(username=username, email=f"{username}@example.com", display_name=fields.pop("display_name", username))
    for name, value in fields.items():
        setattr(row, name, value)
    # Hashing takes half a second: only who logs in has a password.
    row.password = make_password(password)
    row.save()
    return {**plain(row), "token": str(AccessToken.for_user(row))}


@action
def checks_password(username, password):
    return {"is_right": check_password(password, user(username).password), "stored": user(username).password}


@action
def set_active(username, is_active):
    User.objects.filter(username=username).update(is_active=is_active)
    return {}


@action
def follow(follower, following):
    return plain(UserFollow.objects.create(follower=user(follower), following=user(following)))


@action
def unfollow(follower, following):
    return {"rows": UserFollow.objects.filter(follower=user(follower), following=user(following)).delete()[0]}


@action
def befriend(one, other):
    one, other = sorted([user(one), user(other)], key=lambda row: row.id.hex)
    return plain(Friendship.objects.create(user1=one, user2=other))


@action
def unfriend(one, other):
    one, other = sorted([user(one), user(other)], key=lambda row: row.id.hex)
    return {"rows": Friendship.objects.filter(user1=one, user2=other).delete()[0]}


@action
def post(author, in_transaction=False, **fields):
    if in_transaction:
        # What ATOMIC_REQUESTS does: the event is published before the commit.
        with transaction.atomic():
            row = Post.objects.create(user=user(author), **fields)
            with connection.cursor() as cursor:
                cursor.execute("SELECT SLEEP(0.3)")
        return plain(row)
    return plain(Post.objects.create(user=user(author), **fields))


@action
def edit_post(post, **fields):
    row = Post.objects.get(id=post)
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    return plain(row)


@action
def delete_post(post):
    with transaction.atomic():
        row = Post.objects.get(id=post)
        row.delete()
    return {}


def recount(post):
    """After the change, and without touching `updated_at`."""
    row = Post.objects.get(id=post.id)
    counts = {"likes_count": "like", "celebrations_count": "celebration", "golazos_count": "golazo"}
    for column, kind in counts.items():
        setattr(row, column, row.reactions.filter(reaction_type=kind).count())
    row.save(update_fields=list(counts))
    return plain(row)


@action
def react(post, actor, reaction):
    row, who = Post.objects.get(id=post), user(actor)
    PostReaction.objects.filter(post=row, user=who).delete()
    PostReaction.objects.create(post=row, user=who, reaction_type=reaction)
    return recount(row)


@action
def unreact(post, actor):
    row = Post.objects.get(id=post)
    PostReaction.objects.filter(post=row, user=user(actor)).delete()
    return recount(row)


@action
def share(post, actor):
    row = Post.objects.get(id=post)
    PostShare.objects.create(post=row, user=user(actor))
    row.shares_count = row.shares.count()
    row.save(update_fields=["shares_count"])
    return plain(row)


@action
def comment(post, actor, content, parent=None):
    row = Comment.objects.create(post_id=post, user=user(actor), content=content, parent_id=parent)
    on = Post.objects.get(id=post)
    on.comments_count = on.comments.count()
    on.save(update_fields=["comments_count"])
    return plain(row)


@action
def edit_comment(comment, content):
    row = Comment.objects.get(id=comment)
    row.content = content
    row.save()
    return plain(row)


@action
def delete_comment(comment):
    Comment.objects.get(id=comment).delete()
    return {}


@action
def like_comment(comment, actor):
    row = Comment.objects.get(id=comment)
    CommentLike.objects.create(comment=row, user=user(actor))
    row.likes_count = row.likes.count()
    row.save(update_fields=["likes_count"])
    return plain(row)


@action
def unlike_comment(comment, actor):
    row = Comment.objects.get(id=comment)
    CommentLike.objects.filter(comment=row, user=user(actor)).delete()
    row.likes_count = row.likes.count()
    row.save(update_fields=["likes_count"])
    return plain(row)


@action
def room(members, **fields):
    users = [user(name) for name in members]
    row = ChatRoom.objects.create(created_by=users[0], **fields)
    for member in users:
        ChatParticipant.objects.create(chat_room=row, user=member)
    return plain(row)


@action
def leave(room, member):
    return {"rows": ChatParticipant.objects.filter(chat_room_id=room, user=user(member)).delete()[0]}


@action
def message(room, sender, **fields):
    return plain(Message.objects.create(chat_room_id=room, sender=user(sender), **fields))


@action
def notification(recipient, sender, message, late_seconds=0, open_seconds=0, **fields):
    """`late_seconds`: the row's time lies so far back. `open_seconds`: its transaction takes so long."""
    with transaction.atomic():
        row = Notification.objects.create(
            recipient=user(recipient), sender=user(sender), message=message,
            notification_type=fields.pop("notification_type", "mention"), **fields,
        )
        if late_seconds:
            row.created_at -= datetime.timedelta(seconds=late_seconds)
            row.save(update_fields=["created_at"])
        if open_seconds:
            with connection.cursor() as cursor:
                cursor.execute("SELECT SLEEP(%s)", [open_seconds])
    return plain(row)


@action
def rows(table, **filters):
    """Rows as Django's ORM reads them."""
    return [plain(row) for row in getattr(models, table).objects.filter(**filters)]
