//! Messages as read: whole, in pages, as replies show them.
