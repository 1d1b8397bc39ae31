"""What the backend publishes: to the feeds of a post's followers and author, and to the post's own group.

Order, counts from before the change and silent removals are as an existing backend has them.
"""
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from social.models import Comment, CommentLike, Notification, Post, PostReaction, UserFollow

TEXTS = {
    "like": "{} le dio me gusta a tu publicación",
    "celebration": "{} celebró tu publicación",
    "golazo": "{} dijo ¡Golazo! a tu publicación",
    "comment": "{} comentó tu publicación",
    "reply": "{} respondió a tu comentario",
    "follow": "{} comenzó a seguirte",
}


def publish(group, event):
    async_to_sync(get_channel_layer().group_send)(group, event)


def to_feeds(post, event):
    followers = UserFollow.objects.filter(following=post.user).values_list("follower_id", flat=True)
    for user in [*followers, post.user_id]:
        publish(f"feed_{user}", event)


def profile(user):
    return {"id": str(user.id), "username": user.username, "display_name": user.display_name}


def post_data(post):
    return {
        "id": str(post.id),
        "short_id": post.short_id,
        "user": profile(post.user),
        "content": post.content,
        "images": post.images,
        "likes_count": post.likes_count,
        "celebrations_count": post.celebrations_count,
        "golazos_count": post.golazos_count,
        "comments_count": post.comments.count(),
        "shares_count": post.shares_count,
        "is_public": post.is_public,
        "created_at": post.created_at.isoformat(),
        "updated_at": post.updated_at.isoformat(),
    }


def comment_data(comment):
    return {
        "id": str(comment.id),
        "user": profile(comment.user),
        "content": comment.content,
        "likes_count": comment.likes_count,
        "created_at": comment.created_at.isoformat(),
        "updated_at": comment.updated_at.isoformat(),
        "replies": [],
    }


def notify(recipient, sender, kind, **references):
    if recipient != sender:
        message = TEXTS[kind].format(sender.display_name)
        Notification.objects.create(
            recipient=recipient, sender=sender, notification_type=kind, message=message, **references
        )


@receiver(post_save, sender=Post)
def post_saved(instance, created, **_):
    event = {"type": "new_post" if created else "post_updated", "post_data": post_data(instance)}
    to_feeds(instance, event)
    if not created:
        publish(f"post_{instance.id}", event)


@receiver(post_delete, sender=Post)
def post_deleted(instance, **_):
    to_feeds(instance, {"type": "post_deleted", "post_id": str(instance.id)})


@receiver(post_save, sender=PostReaction)
def reacted(instance, created, **_):
    if not created:
        return
    post = instance.post
    data = {
        "post_id": str(post.id),
        "likes_count": post.likes_count,
        "celebrations_count": post.celebrations_count,
        "golazos_count": post.golazos_count,
        "user_reaction": {"user_id": str(instance.user_id), "reaction_type": instance.reaction_type},
    }
    event = {"type": "post_reaction", "post_id": str(post.id), "reaction_data": data}
    to_feeds(post, event)
    publish(f"post_{post.id}", event)
    notify(post.user, instance.user, instance.reaction_type, post_id=post.id)


@receiver(post_save, sender=Comment)
def commented(instance, created, **_):
    kind = "new_comment" if created else "comment_updated"
    publish(f"post_{instance.post_id}", {"type": kind, "comment_data": comment_data(instance)})
    if created:
        references = {"post_id": instance.post_id, "comment_id": instance.id}
        notify(instance.post.user, instance.user, "comment", **references)
        if instance.parent:
            notify(instance.parent.user, instance.user, "reply", **references)


@receiver(post_delete, sender=Comment)
def uncommented(instance, **_):
    publish(f"post_{instance.post_id}", {"type": "comment_deleted", "comment_id": str(instance.id)})


@receiver(post_save, sender=CommentLike)
def liked(instance, created, **_):
    if created:
        comment = instance.comment
        event = {"type": "comment_like", "comment_id": str(comment.id), "likes_count": comment.likes_count}
        publish(f"post_{comment.post_id}", event)


@receiver(post_save, sender=UserFollow)
def followed(instance, created, **_):
    if created:
        notify(instance.following, instance.follower, "follow")
