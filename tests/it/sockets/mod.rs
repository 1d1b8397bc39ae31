//! What sockets say and hear, whatever the database and whichever way frames leave.

mod chat_endings;
mod chat_frames;
mod chat_refusals;
mod chat_texts;
mod feed_audience;
mod feed_frames;
mod feed_refusals;
mod golden;
mod notification_frames;
mod post_frames;
