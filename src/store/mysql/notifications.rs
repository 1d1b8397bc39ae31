//! Notifications and friend requests as read.
