//! Every operation of the REST API.

use super::bodies::*;
use super::{Operation, answer, delete, get, list, nothing, patch, post, put};

/// All of them.
pub fn all() -> Vec<Operation> {
    [accounts(), rooms(), messages(), people(), posts(), notifications(), site()].concat()
}

fn accounts() -> Vec<Operation> {
    vec![
        post("/auth/login", "Logs in").open().body::<Login>().gives(&[answer::<LoggedIn>(200)]),
        post("/auth/register", "Makes an account").open().body::<Registration>().gives(&[answer::<Registered>(201)]),
        post("/auth/refresh", "Exchanges a refresh token").open().body::<Refresh>().gives(&[answer::<Pair>(200)]),
        get("/auth/profile", "The caller's own profile").gives(&[answer::<FullProfile>(200)]),
        patch("/auth/profile", "Changes the caller's own profile")
            .body::<ProfileChange>()
            .files(&["avatar", "cover_photo"])
            .gives(&[answer::<FullProfile>(200)]),
        put("/auth/profile", "The same").body::<ProfileChange>().files(&["avatar", "cover_photo"]).gives(&[answer::<
            FullProfile,
        >(
            200
        )]),
        post("/auth/upload-avatar", "Stores the caller's picture")
            .files(&["avatar"])
            .gives(&[answer::<AvatarChanged>(200)]),
        post("/auth/upload-cover", "Stores the caller's cover picture")
            .files(&["cover_photo"])
            .gives(&[answer::<CoverChanged>(200)]),
        get("/auth/verify", "Whose the token is").gives(&[answer::<Verified>(200)]),
        post("/auth/ticket", "A ticket for one socket of pregon.v1").gives(&[answer::<Ticket>(200)]),
        post("/auth/logout", "Ends the caller's login").body::<Logout>().gives(&[answer::<Done>(200)]),
        post("/auth/change-password", "Changes the password and ends all other logins")
            .body::<PasswordChange>()
            .gives(&[answer::<Done>(200)]),
    ]
}

fn rooms() -> Vec<Operation> {
    vec![
        get("/messaging/chats", "The caller's rooms").query(&["page", "chat_type", "is_active"]).gives(&[answer::<
            RoomsPage,
        >(
            200
        )]),
        post("/messaging/chats", "Makes a room").body::<NewRoom>().may(&[403]).gives(&[answer::<RoomMade>(201)]),
        get("/messaging/chats/{room}", "A room with a page of its participants")
            .query(&["participants_page"])
            .gives(&[answer::<Room>(200)]),
        patch("/messaging/chats/{room}", "Changes a group")
            .body::<RoomChange>()
            .files(&["avatar"])
            .may(&[403])
            .gives(&[answer::<Room>(200)]),
        put("/messaging/chats/{room}", "The same")
            .body::<RoomChange>()
            .files(&["avatar"])
            .may(&[403])
            .gives(&[answer::<Room>(200)]),
        patch("/messaging/chats/{room}/settings", "Changes the caller's own settings of a room")
            .body::<SettingsChange>()
            .gives(&[answer::<SettingsChanged>(200)]),
        patch("/messaging/chats/{room}/chat-settings", "The same")
            .body::<SettingsChange>()
            .gives(&[answer::<SettingsChanged>(200)]),
        post("/messaging/chats/{room}/set_role", "Gives a participant a role")
            .body::<RoleChange>()
            .may(&[403])
            .gives(&[answer::<Done>(200)]),
        post("/messaging/chats/{room}/add_participant", "Adds somebody to a group")
            .body::<UserId>()
            .may(&[403, 409])
            .gives(&[answer::<Done>(200)]),
        post("/messaging/chats/{room}/remove_participant", "Removes somebody from a group")
            .body::<UserId>()
            .may(&[403])
            .gives(&[answer::<Done>(200)]),
        post("/messaging/chats/{room}/leave", "Leaves a group").may(&[400, 403]).gives(&[answer::<Done>(200)]),
    ]
}

fn messages() -> Vec<Operation> {
    vec![
        get("/messaging/chats/{room}/messages", "The room's history, newest first")
            .query(&["page", "since", "after"])
            .gives(&[answer::<MessagesPage>(200)]),
        get("/messaging/chats/{room}/search", "Messages that have all words of a text")
            .query(&["q", "after"])
            .gives(&[answer::<MessagesFound>(200)]),
        post("/messaging/chats/{room}/send_message", "Sends a message")
            .body::<NewMessage>()
            .files(&["image", "video", "audio"])
            .may(&[403, 409])
            .gives(&[answer::<Message>(201)]),
        post("/messaging/chats/{room}/mark_as_read", "The caller has seen everything").may(&[403]).gives(&[answer::<
            ReadAll,
        >(
            200
        )]),
        get("/messaging/chats/{room}/messages/{message}", "A message").may(&[403]).gives(&[answer::<Message>(200)]),
        patch("/messaging/chats/{room}/messages/{message}", "Changes the caller's own text")
            .body::<NewText>()
            .may(&[403])
            .gives(&[answer::<Message>(200)]),
        put("/messaging/chats/{room}/messages/{message}", "The same").body::<NewText>().may(&[403]).gives(&[answer::<
            Message,
        >(
            200
        )]),
        delete("/messaging/chats/{room}/messages/{message}", "Deletes the caller's own message")
            .may(&[403])
            .gives(&[answer::<Done>(200)]),
        post("/messaging/chats/{room}/messages/{message}/react", "Sets a reaction, or takes it back")
            .body::<Reaction>()
            .may(&[403])
            .gives(&[answer::<MessageReacted>(200)]),
    ]
}

fn people() -> Vec<Operation> {
    vec![
        get("/users", "Finds people").query(&["q", "search", "page", "page_size"]).gives(&[answer::<PeoplePage>(200)]),
        get("/users/search", "Finds people")
            .query(&["q", "search", "page", "page_size"])
            .gives(&[answer::<PeoplePage>(200)]),
        get("/users/suggested", "People whom the caller may like to follow").gives(&[answer::<PeoplePage>(200)]),
        get("/users/friends", "The caller's friends").gives(&[list::<Person>(200)]),
        get("/users/friends/{name}", "Somebody's friends").gives(&[list::<Person>(200)]),
        delete("/users/friends/{name}", "Ends a friendship").may(&[400]).gives(&[answer::<Done>(200)]),
        get("/users/friend-requests", "Open friend requests to and from the caller")
            .gives(&[list::<FriendRequest>(200)]),
        post("/users/friend-requests/send/{name}", "Asks somebody for friendship").may(&[400, 403]).gives(&[answer::<
            FriendRequested,
        >(
            201
        )]),
        delete("/users/friend-requests/{request}", "Withdraws the caller's own request").gives(&[answer::<Done>(200)]),
        post("/users/friend-requests/{request}/respond", "Answers a request")
            .body::<Response>()
            .gives(&[answer::<Done>(200)]),
        get("/users/blocked", "Those whom the caller has blocked").gives(&[list::<Person>(200)]),
        post("/users/block/{name}", "Blocks somebody").may(&[400]).gives(&[answer::<Done>(201), answer::<Done>(200)]),
        delete("/users/block/{name}", "Takes a block back").may(&[400]).gives(&[answer::<Done>(200)]),
        post("/users/follow/{name}", "Follows somebody")
            .may(&[400, 403])
            .gives(&[answer::<Done>(201), answer::<Done>(200)]),
        post("/users/{name}/follow", "The same").may(&[400, 403]).gives(&[answer::<Done>(201), answer::<Done>(200)]),
        delete("/users/unfollow/{name}", "Follows somebody no more").may(&[400]).gives(&[answer::<Done>(200)]),
        get("/users/followers/{name}", "Who follows somebody").gives(&[list::<Person>(200)]),
        get("/users/following/{name}", "Whom somebody follows").gives(&[list::<Person>(200)]),
        get("/users/{name}/posts", "Somebody's posts").query(&["page", "after"]).gives(&[answer::<PostsPage>(200)]),
        get("/users/{name}/posts/stats", "Totals over somebody's posts").gives(&[answer::<AuthorStats>(200)]),
        get("/users/profile", "The caller's own profile").gives(&[answer::<FullProfile>(200)]),
        get("/users/profile/{name}", "Somebody's profile").gives(&[answer::<FullProfile>(200)]),
        post("/users/chat/{name}", "The private room with somebody, made if there is none")
            .may(&[400, 403])
            .gives(&[answer::<ChatFound>(200), answer::<ChatFound>(201)]),
    ]
}

fn posts() -> Vec<Operation> {
    const FILES: &[&str] = &["image", "video", "thumbnail"];
    vec![
        get("/posts", "Posts, newest first").query(&["page", "after", "friends_only", "category"]).gives(&[answer::<
            PostsPage,
        >(
            200
        )]),
        post("/posts", "Publishes a post").body::<PostFields>().files(FILES).gives(&[answer::<Post>(201)]),
        get("/posts/{post}", "A post").may(&[403]).gives(&[answer::<Post>(200)]),
        get("/posts/short/{short_id}", "A post by its short name").may(&[403]).gives(&[answer::<Post>(200)]),
        patch("/posts/{post}", "Changes the caller's own post")
            .body::<PostFields>()
            .files(FILES)
            .may(&[403])
            .gives(&[answer::<Post>(200)]),
        put("/posts/{post}", "The same").body::<PostFields>().files(FILES).may(&[403]).gives(&[answer::<Post>(200)]),
        delete("/posts/{post}", "Deletes the caller's own post").may(&[403]).gives(&[nothing(204)]),
        post("/posts/{post}/react", "Sets a reaction, or takes it back")
            .body::<Reaction>()
            .may(&[403])
            .gives(&[answer::<Reacted>(201), answer::<Reacted>(200)]),
        delete("/posts/{post}/react", "Takes the caller's reaction back").may(&[403]).gives(&[answer::<Reacted>(200)]),
        post("/posts/{post}/share", "Shares a post, once")
            .body::<Share>()
            .may(&[403])
            .gives(&[answer::<Shared>(201), answer::<Shared>(200)]),
        post("/posts/{post}/bookmark", "Remembers a post")
            .may(&[403])
            .gives(&[answer::<Done>(201), answer::<Done>(200)]),
        delete("/posts/{post}/bookmark", "Forgets it").may(&[403]).gives(&[answer::<Done>(200)]),
        get("/posts/my-reactions-count", "Reactions that the caller has given").gives(&[answer::<Given>(200)]),
        get("/posts/{post}/comments", "Comments, oldest first")
            .query(&["page"])
            .may(&[403])
            .gives(&[answer::<CommentsPage>(200)]),
        post("/posts/{post}/comments", "Comments on a post")
            .body::<NewComment>()
            .files(&["image"])
            .may(&[403])
            .gives(&[answer::<Comment>(201)]),
        get("/posts/comments/{comment}", "A comment").may(&[403]).gives(&[answer::<Comment>(200)]),
        patch("/posts/comments/{comment}", "Changes the caller's own comment")
            .body::<NewText>()
            .may(&[403])
            .gives(&[answer::<Comment>(200)]),
        put("/posts/comments/{comment}", "The same").body::<NewText>().may(&[403]).gives(&[answer::<Comment>(200)]),
        delete("/posts/comments/{comment}", "Deletes the caller's own comment with its answers")
            .may(&[403])
            .gives(&[nothing(204)]),
        get("/posts/comments/{comment}/replies", "Answers to a comment")
            .query(&["page"])
            .may(&[403])
            .gives(&[answer::<CommentsPage>(200)]),
        post("/posts/comments/{comment}/like", "Likes a comment")
            .may(&[403])
            .gives(&[answer::<Liked>(201), answer::<Liked>(200)]),
        delete("/posts/comments/{comment}/like", "Takes the like back").may(&[403]).gives(&[answer::<Liked>(200)]),
    ]
}

fn notifications() -> Vec<Operation> {
    vec![
        get("/notifications", "The caller's notifications, newest first")
            .query(&["page", "after", "is_read"])
            .gives(&[answer::<NotificationsPage>(200)]),
        get("/notifications/unread-count", "How many are unread").gives(&[answer::<UnreadCount>(200)]),
        post("/notifications/mark-all-read", "All were seen").gives(&[answer::<Updated>(200)]),
        delete("/notifications/clear-all", "Deletes all").gives(&[answer::<Deleted>(200)]),
        post("/notifications/{notification}/read", "One was seen").gives(&[answer::<NotificationRead>(200)]),
        delete("/notifications/{notification}/delete", "Deletes one").gives(&[nothing(204)]),
    ]
}

fn site() -> Vec<Operation> {
    vec![
        get("", "The server's name, version and links").open().gives(&[answer::<Root>(200)]),
        get("/schema", "This document").open().gives(&[answer::<Anything>(200)]),
        get("/site-settings", "Flags of the pages").open().gives(&[answer::<Anything>(200)]),
        get("/site-settings/menu/enabled", "Entries of the menu").open().gives(&[list::<Anything>(200)]),
        get("/media/albums", "No albums").gives(&[list::<Album>(200)]),
        get("/media/albums/{path}", "An empty album").gives(&[answer::<Album>(200)]),
    ]
}
