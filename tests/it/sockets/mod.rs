//! The frames of sockets, with any database and any way of sending.

mod chat_endings;
mod chat_frames;
mod chat_refusals;
mod chat_texts;
mod compression;
mod feed_audience;
mod feed_frames;
mod feed_refusals;
mod golden;
mod limits;
mod notification_frames;
mod post_frames;
mod slow;
mod tls;
mod v1;
mod v1_feed;
mod v1_rooms;
