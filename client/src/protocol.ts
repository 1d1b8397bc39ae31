// The frames of pregon.v1, made from the types in src/protocol/v1/schema.rs: UPDATE_DOCS=1 cargo test --lib the_protocol_is_documented

/** The message that another one answers. */
export type Answered = { content: string; id: string; message_type: string; username: string };

/** A frame of a client. */
export type ClientFrame = 
  | { type: "auth"; id?: RequestId | null; ticket?: string | null; token?: string | null }
  | { type: "subscribe"; cursor?: string | null; id?: RequestId | null; topic: string }
  | { type: "unsubscribe"; id?: RequestId | null; topic: string }
  | { type: "chat_message"; client_id?: string | null; content: string; id?: RequestId | null; message_type?: string | null; reply_to?: string | null; topic: string }
  | { type: "edit_message"; content: string; id?: RequestId | null; message_id: string; topic: string }
  | { type: "delete_message"; id?: RequestId | null; message_id: string; topic: string }
  | { type: "react_message"; id?: RequestId | null; message_id: string; reaction_type: string; topic: string }
  | { type: "read_message"; id?: RequestId | null; message_id: string; topic: string }
  | { type: "typing"; id?: RequestId | null; is_typing: boolean; topic: string }
  | { type: "signal"; data: unknown; echo?: boolean | null; id?: RequestId | null; topic: string }
  | { type: "room_info"; id?: RequestId | null; topic: string }
  | { type: "roster"; after?: string | null; id?: RequestId | null; limit?: number | null; topic: string }
  | { type: "unread"; id?: RequestId | null; topic: string }
  | { type: "readers"; after?: string | null; id?: RequestId | null; limit?: number | null; message_id: string; topic: string }
  | { type: "mark_read"; id?: RequestId | null; notification_id: string }
  | { type: "ping"; id?: RequestId | null };

export type Durability = 
  | "stored"
  | "replicated";

/** Somebody who takes part in a room. */
export type Member = { avatar?: string | null; display_name: string; id: string; present: boolean; role: string; username: string };

/** A message without what is usual. `at` is in microseconds since 1970. */
export type Message = { at: number; audio?: string | null; client_id?: string | null; content: string; file_name?: string | null; file_size?: number | null; file_url?: string | null; id: string; image?: string | null; is_edited?: boolean | null; message_type?: string | null; reply_to?: Answered | null; story_id?: string | null; user: number; video?: string | null };

/** An event in the words of the older sockets. */
export type OlderEvent = { type: string; [key: string]: unknown };

export type OwnEvent = 
  | ({ type: "message" } & Message)
  | ({ type: "message_edited" } & Message)
  | { type: "message_deleted"; message_id: string; user_id: string }
  | { type: "message_read"; count: number; message_ids: (string)[]; user: number }
  | { type: "message_reaction"; added: boolean; message_id: string; reaction_type: string; user: number }
  | { type: "room_changed"; user_id: string }
  | { type: "presence_count"; present: number }
  | { type: "comments_deleted"; comment_ids: (string)[]; comments_count: number }
  | { type: "post_shared"; shares_count: number }
  | { type: "notifications_read"; count: number; notification_ids: (string)[] }
  | { type: "notifications_deleted"; notification_ids: (string)[]; unread_count: number };

export type Person = { id: string; username: string };

/** Somebody who has read a message; `at` is in microseconds since 1970. */
export type Reader = { at: number; avatar?: string | null; display_name: string; id: string; username: string };

/** A client's name for its request, given back with the reply. */
export type RequestId = number | string;

/** What a client does after an error. */
export type Retry = 
  | "never"
  | "fix"
  | "later";

/** A frame of the server. */
export type ServerFrame = 
  | { type: "welcome"; id?: RequestId | null; token_expires: number; topics_max: number; user: Person }
  | { type: "refreshed"; id?: RequestId | null; token_expires: number }
  | { type: "subscribed"; cursor?: string | null; id?: RequestId | null; resumed: boolean; topic: string }
  | { type: "gap"; cursor?: string | null; refetch: string; topic: string }
  | { type: "unsubscribed"; code?: string | null; id?: RequestId | null; retry?: Retry | null; retry_after_ms?: number | null; text?: string | null; topic: string }
  | { type: "error"; code: string; id?: RequestId | null; retry: Retry; retry_after_ms?: number | null; text: string; topic?: string | null }
  | { type: "ack"; client_id?: string | null; cursor?: string | null; durability: Durability; id?: RequestId | null; message_id?: string | null; repeated: boolean }
  | { type: "room_info"; id?: RequestId | null; participants: number; present: number; topic: string }
  | { type: "roster"; id?: RequestId | null; members: (Member)[]; next?: string | null; participants: number; present: number; topic: string }
  | { type: "unread"; count: number; id?: RequestId | null; last_read_at: number; more: boolean; topic: string }
  | { type: "readers"; count: number; id?: RequestId | null; message_id: string; next?: string | null; readers: (Reader)[]; topic: string }
  | { type: "pong"; id?: RequestId | null }
  | { type: "users"; topic: string; users: (User)[] }
  | { type: "event"; cursor?: string | null; event: TopicEvent; topic: string }
  | { type: "skipped" }
  | { type: "drain"; move_after_ms: number; move_within_ms: number }
  | { type: "notice"; text: string; topic?: string | null };

export type TopicEvent = OwnEvent | OlderEvent;

/** A user and the number that stands for them in the topic. */
export type User = { avatar?: string | null; display_name?: string | null; id: string; n: number; username: string };
