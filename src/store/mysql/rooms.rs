//! Rooms: listed, entered.
