//! Every operation of the API: who may do it, what it takes, and what it answers.

use serde_json::{Value, json};

use crate::rest::schema::objects::{flag, id, list, message, number, object, of, or_null, page, text};

/// What a request brings.
pub(super) enum Body {
    /// Nothing.
    None,
    /// These fields, as JSON or a form.
    Fields(Value),
    /// These fields, and files by the names of their fields; as a form.
    Files(Value, &'static [&'static str]),
}

impl Body {
    /// As it stands in the document.
    pub fn written(&self) -> Option<Value> {
        let fields = match self {
            Self::None => return None,
            Self::Fields(fields) | Self::Files(fields, _) => fields,
        };
        let mut content = json!({"application/json": {"schema": fields}});
        if let Self::Files(_, files) = self {
            let mut form = fields.clone();
            for file in *files {
                form["properties"][*file] = json!({"type": "string", "format": "binary"});
            }
            content["multipart/form-data"] = json!({"schema": form});
        }
        // What is required is said by the fields.
        Some(json!({"content": content, "required": true}))
    }
}

/// A method on a path.
pub(super) struct Operation {
    pub method: &'static str,
    /// Below `/api`, as the router has it.
    pub path: &'static str,
    pub summary: &'static str,
    pub needs_token: bool,
    /// Names and kinds of parameters: `text`, `number` or `flag`.
    pub query: &'static [(&'static str, &'static str)],
    pub body: Body,
    /// Good answers by status; `None` without a body.
    pub answers: Vec<(u16, Option<Value>)>,
    /// Statuses of bad ones, beside those that any operation of its kind has.
    pub fails: Vec<u16>,
}

impl Operation {
    fn takes(self, fields: Value) -> Self {
        Self { body: Body::Fields(fields), ..self }
    }

    fn takes_files(self, fields: Value, files: &'static [&'static str]) -> Self {
        Self { body: Body::Files(fields, files), ..self }
    }

    fn asks(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    fn answers(mut self, status: u16, schema: Value) -> Self {
        self.answers.push((status, Some(schema)));
        self
    }

    fn answers_nothing(mut self, status: u16) -> Self {
        self.answers.push((status, None));
        self
    }

    fn fails(mut self, statuses: &[u16]) -> Self {
        self.fails.extend(statuses);
        self
    }

    fn open_to_all(self) -> Self {
        Self { needs_token: false, ..self }
    }
}

fn operation(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    let (query, body) = (&[] as &[_], Body::None);
    Operation { method, path, summary, needs_token: true, query, body, answers: Vec::new(), fails: Vec::new() }
}

fn get(path: &'static str, summary: &'static str) -> Operation {
    operation("GET", path, summary)
}

fn post(path: &'static str, summary: &'static str) -> Operation {
    operation("POST", path, summary)
}

fn delete(path: &'static str, summary: &'static str) -> Operation {
    operation("DELETE", path, summary)
}

/// PATCH and PUT, which do the same.
fn change(path: &'static str, summary: &'static str, shape: impl Fn(Operation) -> Operation) -> [Operation; 2] {
    ["PATCH", "PUT"].map(|method| shape(operation(method, path, summary)))
}

const PAGE: &[(&str, &str)] = &[("page", "number")];
const PAGE_AFTER: &[(&str, &str)] = &[("page", "number"), ("after", "text")];

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    [auth(), rooms(), messages(), people(), posts(), comments(), notifications(), site()]
        .into_iter()
        .flatten()
        .collect()
}

fn auth() -> Vec<Operation> {
    let user = || of("UserProfile");
    let texts = |names: [&'static str; 8]| names.map(|name| (name, text()));
    let mut optional = object(texts([
        "position?",
        "team?",
        "bio?",
        "contact_number?",
        "account_type?",
        "company_name?",
        "industry?",
        "website?",
    ]));
    for name in ["email", "username", "display_name", "password", "password_confirm"] {
        optional["properties"][name] = text();
    }
    optional["required"] = json!(["email", "username", "display_name", "password", "password_confirm"]);
    let login = object([("refresh", text()), ("access", text()), ("user", user())]);
    let registered = object([("message", text()), ("user", user()), ("tokens", of("Tokens"))]);
    let password = object([
        ("current_password?", text()),
        ("old_password?", text()),
        ("new_password", text()),
        ("new_password_confirm?", text()),
    ]);
    let picture = |key: &'static str| object([("message", text()), (key, text()), ("user", user())]);
    let mut all = vec![
        post("/auth/login", "Log in by name or e-mail address")
            .takes(object([("login", text()), ("password", text())]))
            .answers(200, login)
            .fails(&[429])
            .open_to_all(),
        post("/auth/register", "Register").takes(optional).answers(201, registered).fails(&[429]).open_to_all(),
        post("/auth/refresh", "Renew a token")
            .takes(object([("refresh", text())]))
            .answers(200, of("Tokens"))
            .fails(&[401])
            .open_to_all(),
        get("/auth/profile", "The caller").answers(200, of("UserDetail")),
        post("/auth/upload-avatar", "Set the caller's picture")
            .takes_files(object([]), &["avatar"])
            .answers(200, picture("avatar_url")),
        post("/auth/upload-cover", "Set the caller's cover")
            .takes_files(object([]), &["cover_photo"])
            .answers(200, picture("cover_photo_url")),
        get("/auth/verify", "Whether the token is good").answers(200, object([("valid", flag()), ("user", user())])),
        post("/auth/ticket", "A ticket for one socket")
            .answers(200, object([("ticket", text()), ("expires_in", number())])),
        post("/auth/logout", "End the caller's login")
            .takes(object([("refresh_token?", text())]))
            .answers(200, message()),
        post("/auth/change-password", "Change the password, and end other logins")
            .takes(password)
            .answers(200, message()),
    ];
    let profile = object([
        ("display_name?", text()),
        ("first_name?", text()),
        ("last_name?", text()),
        ("bio?", text()),
        ("position?", text()),
        ("team?", text()),
        ("contact_number?", text()),
        ("interests?", list(json!({}))),
        ("social_links?", list(json!({}))),
        ("is_private?", flag()),
        ("show_email?", flag()),
        ("show_phone?", flag()),
        ("account_type?", text()),
        ("company_name?", text()),
        ("industry?", text()),
        ("website?", text()),
    ]);
    all.extend(change("/auth/profile", "Change the caller's profile", |one| {
        one.takes_files(profile.clone(), &["avatar", "cover_photo"]).answers(200, of("UserDetail"))
    }));
    all
}

fn rooms() -> Vec<Operation> {
    let new =
        object([("name?", text()), ("description?", text()), ("chat_type?", text()), ("participant_ids", list(id()))]);
    let made = object([
        ("id", id()),
        ("name", text()),
        ("chat_type", text()),
        ("description", text()),
        ("avatar", json!({"type": "null"})),
    ]);
    let settings = || {
        object([
            ("other_user_nickname?", text()),
            ("chat_background?", text()),
            ("chat_color?", text()),
            ("other_message_color?", text()),
            ("notifications_enabled?", flag()),
            ("sound_enabled?", flag()),
            ("is_muted?", flag()),
        ])
    };
    let set = |path| {
        operation("PATCH", path, "Change the caller's settings of a room")
            .takes(settings())
            .answers(200, object([("message", text()), ("chat_settings", of("RoomSettings"))]))
            .fails(&[404])
    };
    let user = || object([("user_id", id())]);
    let muted = |one: Operation| one.answers(200, object([("is_muted", flag())])).fails(&[404]);
    let mut all = vec![
        get("/messaging/chats", "The caller's rooms")
            .asks(&[("page", "number"), ("chat_type", "text"), ("is_active", "flag")])
            .answers(200, page("Room"))
            .fails(&[400, 404]),
        post("/messaging/chats", "Make a room").takes(new).answers(201, made).fails(&[403]),
        get("/messaging/chats/{room}", "A room")
            .asks(&[("participants_page", "number")])
            .answers(200, of("Room"))
            .fails(&[404]),
        post("/messaging/chats/{room}/set_role", "Give a participant a role")
            .takes(object([("user_id", id()), ("role", text())]))
            .answers(200, message())
            .fails(&[403, 404]),
        muted(post("/messaging/chats/{room}/mute", "Have nothing of a room pushed")),
        muted(delete("/messaging/chats/{room}/mute", "Have a room pushed again")),
        set("/messaging/chats/{room}/settings"),
        set("/messaging/chats/{room}/chat-settings"),
        post("/messaging/chats/{room}/add_participant", "Add somebody to a group")
            .takes(user())
            .answers(200, message())
            .fails(&[403, 404, 409]),
        post("/messaging/chats/{room}/remove_participant", "Remove somebody from a group")
            .takes(user())
            .answers(200, message())
            .fails(&[403, 404]),
        post("/messaging/chats/{room}/leave", "Leave a group").answers(200, message()).fails(&[400, 403, 404]),
    ];
    let patch = object([("name?", text()), ("description?", text())]);
    all.extend(change("/messaging/chats/{room}", "Change a group", |one| {
        one.takes_files(patch.clone(), &["avatar"]).answers(200, of("Room")).fails(&[403, 404])
    }));
    all
}

fn messages() -> Vec<Operation> {
    let new = object([
        ("content?", text()),
        ("message_type?", text()),
        ("reply_to?", or_null(id())),
        ("file_url?", text()),
        ("file_name?", text()),
        ("file_size?", or_null(number())),
        ("client_id?", text()),
    ]);
    let one = "/messaging/chats/{room}/messages/{message}";
    let reacted = object([("message", text()), ("reacted", flag()), ("reaction_type?", text())]);
    let mut all = vec![
        get("/messaging/chats/{room}/search", "Find messages of a room")
            .asks(&[("q", "text"), ("after", "text")])
            .answers(200, object([("next", or_null(text())), ("results", list(of("Message")))]))
            .fails(&[400, 404]),
        get("/messaging/chats/{room}/messages", "The messages of a room, newest first")
            .asks(&[("page", "number"), ("after", "text"), ("since", "text")])
            .answers(200, page("Message"))
            .fails(&[400, 404]),
        post("/messaging/chats/{room}/send_message", "Send a message")
            .takes_files(new, &["image", "video", "audio", "file"])
            .answers(201, of("Message"))
            .fails(&[403, 404, 409]),
        post("/messaging/chats/{room}/mark_as_read", "Mark all messages of a room as read")
            .answers(200, object([("message", text()), ("count", number())]))
            .fails(&[403, 404]),
        get(one, "A message").answers(200, of("Message")).fails(&[403, 404]),
        delete(one, "Delete a message").answers(200, message()).fails(&[403, 404, 409]),
        post("/messaging/chats/{room}/messages/{message}/react", "Add a reaction, or take it back")
            .takes(object([("reaction_type", text())]))
            .answers(200, reacted)
            .fails(&[403, 404, 409]),
    ];
    all.extend(change(one, "Edit a message", |one| {
        one.takes(object([("content", text())])).answers(200, of("Message")).fails(&[403, 404, 409])
    }));
    all
}

fn people() -> Vec<Operation> {
    let search = |path, summary| {
        get(path, summary)
            .asks(&[("q", "text"), ("page", "number"), ("page_size", "number")])
            .answers(200, page("Person"))
            .fails(&[404])
    };
    let people = |path, summary| get(path, summary).answers(200, list(of("Person"))).fails(&[404]);
    let follow =
        |path| post(path, "Follow somebody").answers(201, message()).answers(200, message()).fails(&[400, 403, 404]);
    let asked = object([("message", text()), ("friend_request", of("FriendRequest"))]);
    let opened = object([("chat", of("Room")), ("created", flag()), ("message?", text())]);
    let names = object([("id", id()), ("username", text()), ("display_name", text())]);
    let counts = ["likes", "celebrations", "golazos", "comments", "shares", "views"].map(|name| (name, number()));
    let by_type = list(object([("post_type", text()), ("count", number())]));
    let stats = object([("total_posts", number()), ("posts_by_type", by_type), ("total_reactions", object(counts))]);
    vec![
        search("/users", "Find people"),
        search("/users/search", "Find people"),
        get("/users/suggested", "People whom the caller might follow")
            .asks(PAGE)
            .answers(200, page("Person"))
            .fails(&[404]),
        people("/users/friends", "The caller's friends"),
        people("/users/friends/{name}", "Somebody's friends"),
        delete("/users/friends/{name}", "End a friendship").answers(200, message()).fails(&[400, 404]),
        get("/users/friend-requests", "Open friend requests").answers(200, list(of("FriendRequest"))),
        post("/users/friend-requests/send/{name}", "Ask for friendship").answers(201, asked).fails(&[400, 403, 404]),
        delete("/users/friend-requests/{request}", "Take a friend request back").answers(200, message()).fails(&[404]),
        post("/users/friend-requests/{request}/respond", "Answer a friend request")
            .takes(object([("action", json!({"type": "string", "enum": ["accept", "reject"]}))]))
            .answers(200, message())
            .fails(&[403, 404]),
        people("/users/blocked", "Whom the caller has blocked"),
        post("/users/block/{name}", "Block somebody")
            .answers(201, message())
            .answers(200, message())
            .fails(&[400, 404]),
        delete("/users/block/{name}", "Block somebody no more").answers(200, message()).fails(&[400, 404]),
        follow("/users/follow/{name}"),
        follow("/users/{name}/follow"),
        delete("/users/unfollow/{name}", "Follow somebody no more").answers(200, message()).fails(&[400, 404]),
        people("/users/followers/{name}", "Somebody's followers"),
        people("/users/following/{name}", "Whom somebody follows"),
        get("/users/{name}/posts", "Somebody's posts").asks(PAGE_AFTER).answers(200, page("Post")).fails(&[404]),
        get("/users/{name}/posts/stats", "Totals over somebody's posts")
            .answers(200, object([("user", names), ("stats", stats)]))
            .fails(&[404]),
        get("/users/profile", "The caller").answers(200, of("UserDetail")),
        get("/users/profile/{name}", "Somebody").answers(200, of("UserDetail")).fails(&[404]),
        post("/users/chat/{name}", "The private room with somebody")
            .answers(200, opened.clone())
            .answers(201, opened)
            .fails(&[400, 403, 404]),
    ]
}

fn posts() -> Vec<Operation> {
    let fields = || {
        object([
            ("content?", text()),
            ("images?", list(text())),
            ("podcast_url?", text()),
            ("streaming_url?", text()),
            ("post_type?", text()),
            ("category?", text()),
            ("allow_comments?", flag()),
            ("is_public?", flag()),
        ])
    };
    const FILES: &[&str] = &["image", "video", "thumbnail"];
    let added = object([("message", text()), ("reaction?", of("PostReaction")), ("counts", of("Counts"))]);
    let removed = object([("message", text()), ("counts?", of("CountsInShort"))]);
    let given = ["likes", "celebrations", "golazos"].map(|name| (name, number()));
    let mut all = vec![
        get("/posts", "Posts of the caller's circle, or of everybody")
            .asks(&[("page", "number"), ("after", "text"), ("friends_only", "flag")])
            .answers(200, page("Post"))
            .answers_nothing(304)
            .fails(&[404]),
        post("/posts", "Publish a post").takes_files(fields(), FILES).answers(201, of("Post")),
        get("/posts/{post}", "A post").answers(200, of("Post")).fails(&[403, 404]),
        delete("/posts/{post}", "Delete a post").answers_nothing(204).fails(&[403, 404]),
        get("/posts/short/{short_id}", "A post by its short id").answers(200, of("Post")).fails(&[403, 404]),
        post("/posts/{post}/react", "Add, replace or take back a reaction")
            .takes(object([("reaction_type", text())]))
            .answers(201, added.clone())
            .answers(200, added)
            .fails(&[403, 404]),
        delete("/posts/{post}/react", "Take back a reaction").answers(200, removed).fails(&[403, 404]),
        post("/posts/{post}/share", "Share a post")
            .takes(object([("message?", text())]))
            .answers(201, object([("message", text()), ("shares_count", number())]))
            .answers(200, message())
            .fails(&[403, 404]),
        post("/posts/{post}/bookmark", "Add a bookmark")
            .answers(201, message())
            .answers(200, message())
            .fails(&[403, 404]),
        delete("/posts/{post}/bookmark", "Remove a bookmark").answers(200, message()).fails(&[404]),
        get("/posts/my-reactions-count", "Reactions that the caller has given")
            .answers(200, object([("count", number()), ("breakdown", object(given))])),
    ];
    all.extend(change("/posts/{post}", "Edit a post", |one| {
        let mut fields = fields();
        fields["properties"]["is_pinned"] = flag();
        one.takes_files(fields, FILES).answers(200, of("Post")).fails(&[403, 404])
    }));
    all
}

fn comments() -> Vec<Operation> {
    let one = "/posts/comments/{comment}";
    let liked = || object([("message", text()), ("likes_count?", number())]);
    let mut all = vec![
        get("/posts/{post}/comments", "The comments on a post")
            .asks(PAGE)
            .answers(200, page("Comment"))
            .fails(&[403, 404]),
        post("/posts/{post}/comments", "Comment on a post")
            .takes_files(object([("content", text()), ("parent?", or_null(id()))]), &["image"])
            .answers(201, of("Comment"))
            .fails(&[403, 404]),
        get(one, "A comment").answers(200, of("Comment")).fails(&[403, 404]),
        delete(one, "Delete a comment with its replies").answers_nothing(204).fails(&[403, 404]),
        get("/posts/comments/{comment}/replies", "The replies to a comment")
            .asks(PAGE)
            .answers(200, page("Comment"))
            .fails(&[403, 404]),
        post("/posts/comments/{comment}/like", "Like a comment")
            .answers(201, liked())
            .answers(200, liked())
            .fails(&[403, 404]),
        delete("/posts/comments/{comment}/like", "Like a comment no more").answers(200, liked()).fails(&[403, 404]),
    ];
    all.extend(change(one, "Edit a comment", |one| {
        one.takes(object([("content", text())])).answers(200, of("Comment")).fails(&[403, 404])
    }));
    all
}

fn notifications() -> Vec<Operation> {
    let counted = |name: &'static str| object([("message", text()), (name, number())]);
    let subscription = object([
        ("endpoint", text()),
        ("expirationTime?", json!({"type": ["number", "null"]})),
        ("keys", object([("p256dh", text()), ("auth", text())])),
    ]);
    vec![
        get("/notifications", "The caller's notifications")
            .asks(PAGE_AFTER)
            .answers(200, page("Notification"))
            .fails(&[404]),
        get("/notifications/unread-count", "How many are unread").answers(200, object([("unread_count", number())])),
        post("/notifications/mark-all-read", "Mark all as read").answers(200, counted("updated_count")),
        delete("/notifications/clear-all", "Delete all").answers(200, counted("deleted_count")),
        post("/notifications/{notification}/read", "Mark one as read")
            .answers(200, object([("message", text()), ("notification", of("Notification"))]))
            .fails(&[404]),
        delete("/notifications/{notification}/delete", "Delete one").answers_nothing(204).fails(&[404]),
        get("/push/key", "The key that browsers subscribe to pushes with")
            .answers(200, object([("public_key", text())]))
            .fails(&[404])
            .open_to_all(),
        get("/push/subscriptions", "The caller's browsers")
            .answers(200, object([("results", list(of("PushSubscription")))]))
            .fails(&[404]),
        post("/push/subscriptions", "Have a browser told while the caller has no socket")
            .takes(subscription)
            .answers(201, object([("id", id())]))
            .fails(&[404]),
        delete("/push/subscriptions", "Have a browser told no more")
            .takes(object([("endpoint?", text()), ("id?", id())]))
            .answers_nothing(204),
    ]
}

fn site() -> Vec<Operation> {
    let links = json!({"type": "object", "additionalProperties": text()});
    vec![
        get("", "What this server is")
            .answers(200, object([("name", text()), ("version", text()), ("links", links)]))
            .open_to_all(),
        get("/site-settings", "The flags of the pages").answers(200, json!({"type": "object"})).open_to_all(),
        get("/site-settings/menu/enabled", "The menu of the pages").answers(200, list(of("MenuEntry"))).open_to_all(),
        get("/media/albums", "No albums are stored").answers(200, json!({"type": "array", "maxItems": 0})),
        get("/media/albums/{*path}", "An empty album").answers(200, of("Album")),
        get("/schema", "This document").answers(200, json!({"type": "object"})).open_to_all(),
    ]
}
