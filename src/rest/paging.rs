//! Lists in pages: `?page=N`, with the addresses of the previous and next page.

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::limits;
use crate::protocol::v0::json::{self, Object};
use crate::protocol::v0::object::Presenter;
use crate::rest::answer::json_response;
use crate::rest::error::{Error, Result};
use crate::store::{PageOf, PageRequest, Position};

/// The query parameter of a position.
const AFTER: &str = "after";

/// The path and query of a request for a list.
#[derive(Debug)]
pub struct Listing {
    path: String,
    pairs: Vec<(String, String)>,
    /// The requested rows.
    pub page: PageRequest,
}

impl Listing {
    /// A request with the default page size.
    ///
    /// # Errors
    /// 404 if `page` is not a page number.
    pub fn of(uri: &Uri) -> Result<Self> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        let number = match value(&pairs, "page") {
            None => 1,
            Some(text) => text.trim().parse().ok().filter(|&number| number > 0).ok_or_else(no_such_page)?,
        };
        let after = value(&pairs, AFTER).map(|text| position(text).ok_or_else(no_such_page)).transpose()?;
        let page = PageRequest { after, ..PageRequest::numbered(number, limits::PAGE_ROWS) };
        Ok(Self { path: uri.path().to_owned(), pairs, page })
    }

    /// A request that may choose its size by `page_size`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn sized(uri: &Uri) -> Result<Self> {
        let mut listing = Self::of(uri)?;
        let chosen = listing.value("page_size").and_then(|text| text.trim().parse().ok()).filter(|&size| size > 0);
        listing.page.size = chosen.unwrap_or(limits::PAGE_ROWS).min(limits::PAGE_ROWS_MAX);
        Ok(listing)
    }

    /// The first value of a query parameter.
    pub fn value(&self, name: &str) -> Option<&str> {
        value(&self.pairs, name)
    }

    /// The page in the form that clients know.
    ///
    /// # Errors
    /// 404 for a page after the last.
    pub fn answer<T>(
        &self,
        presenter: &Presenter,
        found: &PageOf<T>,
        write: impl FnMut(&mut Vec<u8>, &T),
    ) -> Result<Response> {
        let PageRequest { number, size, .. } = self.page;
        let before = u64::from(number - 1) * u64::from(size);
        if number > 1 && before >= found.count {
            return Err(no_such_page());
        }
        let has_next = before + u64::from(size) < found.count;
        let next = has_next.then(|| self.address(presenter, number + 1, None));
        self.write(presenter, found, next.as_deref(), write)
    }

    /// The page of a list by time, newest first. `next` carries the position of the page's last row, so that new rows
    /// do not shift the following page.
    ///
    /// # Errors
    /// 404 for a page after the last.
    pub fn answer_by_time<T>(
        &self,
        presenter: &Presenter,
        found: &PageOf<T>,
        position: impl Fn(&T) -> Position,
        write: impl FnMut(&mut Vec<u8>, &T),
    ) -> Result<Response> {
        let PageRequest { number, size, after } = self.page;
        let before = if after.is_some() { 0 } else { u64::from(number - 1) * u64::from(size) };
        if after.is_none() && number > 1 && before >= found.count {
            return Err(no_such_page());
        }
        // After a position nothing is counted. A full page may be the last one; an empty page then follows it.
        let is_full = found.rows.len() >= size as usize;
        let has_next = is_full && (after.is_some() || before + u64::from(size) < found.count);
        let last = found.rows.last().map(position);
        let next = has_next.then(|| self.address(presenter, number.saturating_add(1), last));
        self.write(presenter, found, next.as_deref(), write)
    }

    fn write<T>(
        &self,
        presenter: &Presenter,
        found: &PageOf<T>,
        next: Option<&str>,
        write: impl FnMut(&mut Vec<u8>, &T),
    ) -> Result<Response> {
        let number = self.page.number;
        let previous = (number > 1).then(|| self.address(presenter, number - 1, None));
        let mut out = Vec::with_capacity(1024 * (found.rows.len() + 1));
        Object::open(&mut out)
            .number("count", found.count)
            .text_or_null("next", next)
            .text_or_null("previous", previous.as_deref())
            .value("results", |out| json::array(out, &found.rows, write))
            .close();
        Ok(json_response(StatusCode::OK, out))
    }

    /// The address of what is behind a position in this list.
    pub fn behind(&self, presenter: &Presenter, last: Position) -> String {
        self.address(presenter, 1, Some(last))
    }

    /// The address of another page of this list; the first page has no number, as in Django.
    fn address(&self, presenter: &Presenter, number: u32, after: Option<Position>) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let others = self.pairs.iter().filter(|(name, _)| name != "page" && name != AFTER);
        let mut pairs: Vec<_> = others.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        if number > 1 {
            pairs.push(format!("page={number}"));
        }
        if let Some(Position { at, id }) = after {
            let bytes = [&at.0.to_be_bytes()[..], id.as_bytes()].concat();
            pairs.push(format!("{AFTER}={}", URL_SAFE_NO_PAD.encode(bytes)));
        }
        let mark = if pairs.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{}", presenter.public_url, self.path, pairs.join("&"))
    }
}

/// Reads a position that [`Listing::address`] wrote. Nothing else makes one.
fn position(text: &str) -> Option<Position> {
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (at, id) = bytes.split_at(8);
    let at = Timestamp(i64::from_be_bytes(at.try_into().ok()?));
    Some(Position { at, id: Uuid::from_slice(id).ok()? })
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// 404 in REST Framework's words for pages.
pub fn no_such_page() -> Error {
    Error::Detail(StatusCode::NOT_FOUND, "Página inválida.".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(uri: &str) -> Result<Listing> {
        Listing::of(&uri.parse().unwrap())
    }

    #[test]
    fn a_page_names_its_neighbours() {
        let presenter = Presenter::new("https://chat.example", true);
        let at = |uri: &str, number| listing(uri).unwrap().address(&presenter, number, None);
        assert_eq!(at("/api/x/", 2), "https://chat.example/api/x/?page=2");
        assert_eq!(at("/api/x/?page=2&q=a%20b", 1), "https://chat.example/api/x/?q=a%20b");
        assert_eq!(at("/api/x/?page=2", 1), "https://chat.example/api/x/");
    }

    #[test]
    fn a_bad_page_is_not_found() {
        for bad in ["/?page=0", "/?page=-1", "/?page=x", "/?page=", "/?page=4294967296"] {
            assert!(matches!(listing(bad), Err(Error::Detail(StatusCode::NOT_FOUND, _))), "{bad}");
        }
        let presenter = Presenter::new("", true);
        let answer = |uri: &str, count| {
            listing(uri).unwrap().answer(&presenter, &PageOf::<()> { count, rows: vec![] }, |_, ()| {}).is_ok()
        };
        assert!(answer("/", 0) && answer("/?page=2", 21) && !answer("/?page=2", 20));
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let presenter = Presenter::new("https://chat.example", true);
        let last = Position { at: Timestamp(1_769_941_800_000_001), id: Uuid::from_u128(7) };
        let address = listing("/api/x/?q=a&after=x&page=2").map(drop);
        assert!(matches!(address, Err(Error::Detail(StatusCode::NOT_FOUND, _))), "no position");
        let address = listing("/api/x/?q=a").unwrap().address(&presenter, 2, Some(last));
        let query = address.strip_prefix("https://chat.example").unwrap();
        let next = listing(query).unwrap();
        assert_eq!((next.page.number, next.page.after), (2, Some(last)));
        assert_eq!(next.address(&presenter, 1, None), "https://chat.example/api/x/?q=a");
    }

    #[test]
    fn sizes_are_capped() {
        let size = |uri: &str| Listing::sized(&uri.parse().unwrap()).unwrap().page.size;
        assert_eq!((size("/"), size("/?page_size=7"), size("/?page_size=51"), size("/?page_size=x")), (20, 7, 50, 20));
    }
}
