#!/usr/bin/env python3
"""Prints, in hexadecimal, what the installed channels-redis puts into a process's queue: `capture.py redis://…`.

The unit tests of src/django/channels.rs read what this printed once.
"""
import asyncio
import sys

import redis.asyncio
from channels_redis.core import RedisChannelLayer

ANA = "c29e1460-2438-4c40-a229-7c210c701b1c"
POST = "fb349c61-b203-43fa-a906-87fa47e3c37e"
COMMENT = "38ee9ed1-7aaf-42d2-a3b9-926f38f8086b"
PROCESS = "specific.0123456789abcdef0123456789abcdef!"
POST_DATA = {
    "id": POST, "user": {"id": ANA, "display_name": "Ana Pérez", "followers_count": 1, "interests": []},
    "content": "¡hola!", "images": [], "video": None, "likes_count": 0, "is_public": True,
    "comments": [{"id": COMMENT, "replies": [{"id": COMMENT, "replies": []}]}],
}
EVENTS = [
    (f"feed_{ANA}", {"type": "new_post", "post_data": POST_DATA}),
    (f"post_{POST}", {"type": "post_updated", "post_data": POST_DATA}),
    (f"feed_{ANA}", {"type": "post_deleted", "post_id": POST}),
    (f"feed_{ANA}", {"type": "post_reaction", "post_id": POST, "reaction_data": {
        "post_id": POST, "likes_count": 1, "celebrations_count": 0, "golazos_count": 0,
        "user_reaction": {"user_id": ANA, "reaction_type": "like"}}}),
    (f"post_{POST}", {"type": "new_comment", "comment_data": {"id": COMMENT, "user": {"id": ANA}, "content": "ñ"}}),
    (f"post_{POST}", {"type": "comment_updated", "comment_data": {"id": COMMENT, "user": {"id": ANA}}}),
    (f"post_{POST}", {"type": "comment_deleted", "comment_id": COMMENT}),
    (f"post_{POST}", {"type": "comment_like", "comment_id": COMMENT, "likes_count": 3}),
]


async def main(url):
    layer = RedisChannelLayer(hosts=[url])
    client = redis.asyncio.from_url(url)
    for group, event in EVENTS:
        await layer.group_add(group, PROCESS + group)
        await layer.group_send(group, event)
        [(element, _)] = await client.zpopmin("asgi" + PROCESS)
        print(f"{group} {event['type']} {element.hex()}")
        await layer.group_discard(group, PROCESS + group)
    await layer.send(PROCESS + f"post_{POST}", {"type": "comment_deleted", "comment_id": COMMENT})
    [(element, _)] = await client.zpopmin("asgi" + PROCESS)
    print(f"post_{POST} direct {element.hex()}")
    print("keys", sorted(await client.keys()), file=sys.stderr)


asyncio.run(main(sys.argv[1]))
