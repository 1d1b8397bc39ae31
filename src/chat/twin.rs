//! Twin suppression: the same message that comes over both transports is one message.
