//! Places in lists and topics that clients give back, and the queries around them.

use http::Uri;
use pregon::domain::event::Cursor;
use pregon::ids::Topic;
use pregon::rest::paging::Listing;

/// A cursor, a topic's name, or a query.
///
/// # Panics
/// What was read is written differently, or a page is out of its bounds.
pub fn cursors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Ok(topic) = text.parse::<Topic>() {
        assert_eq!(topic.to_string().parse::<Topic>().ok(), Some(topic));
    }
    let Ok(uri) = format!("/api/x/?{text}").parse::<Uri>() else { return };
    for listing in [Listing::of(&uri), Listing::sized(&uri)].into_iter().flatten() {
        assert!(listing.page.number >= 1 && (1..=50).contains(&listing.page.size));
        let _ = listing.value("q");
    }
}
