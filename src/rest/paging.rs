//! Lists by pages: `?page=N`, and where the pages before and after are.

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::limits;
use crate::protocol::v0::json::{self, Object};
use crate::protocol::v0::object::Presenter;
use crate::rest::error::{Error, Result};
use crate::rest::json_response;
use crate::store::{PageOf, PageRequest};

/// A request's path and query.
#[derive(Debug)]
pub struct Listing {
    path: String,
    pairs: Vec<(String, String)>,
    /// Which rows are asked for.
    pub page: PageRequest,
}

impl Listing {
    /// Pages of the usual size.
    ///
    /// # Errors
    /// 404 when `page` is no number of a page.
    pub fn of(uri: &Uri) -> Result<Self> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        let number = match value(&pairs, "page") {
            None => 1,
            Some(text) => text.trim().parse().ok().filter(|&number| number > 0).ok_or_else(no_such_page)?,
        };
        let page = PageRequest { number, size: limits::PAGE_ROWS };
        Ok(Self { path: uri.path().to_owned(), pairs, page })
    }

    /// Pages whose size `page_size` may choose.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn sized(uri: &Uri) -> Result<Self> {
        let mut listing = Self::of(uri)?;
        let chosen = listing.value("page_size").and_then(|text| text.trim().parse().ok()).filter(|&size| size > 0);
        listing.page.size = chosen.unwrap_or(limits::PAGE_ROWS).min(limits::PAGE_ROWS_MAX);
        Ok(listing)
    }

    /// The first value of a name in the query.
    pub fn value(&self, name: &str) -> Option<&str> {
        value(&self.pairs, name)
    }

    /// The page as clients know it.
    ///
    /// # Errors
    /// 404 for a page after the last.
    pub fn answer<T>(
        &self,
        presenter: &Presenter,
        found: &PageOf<T>,
        write: impl FnMut(&mut Vec<u8>, &T),
    ) -> Result<Response> {
        let PageRequest { number, size } = self.page;
        let before = u64::from(number - 1) * u64::from(size);
        if number > 1 && before >= found.count {
            return Err(no_such_page());
        }
        let has_next = before + u64::from(size) < found.count;
        let next = has_next.then(|| self.address(presenter, number + 1));
        let previous = (number > 1).then(|| self.address(presenter, number - 1));
        let mut out = Vec::with_capacity(1024 * (found.rows.len() + 1));
        Object::open(&mut out)
            .number("count", found.count)
            .text_or_null("next", next.as_deref())
            .text_or_null("previous", previous.as_deref())
            .value("results", |out| json::array(out, &found.rows, write))
            .close();
        Ok(json_response(StatusCode::OK, out))
    }

    /// The same list at another page; the first has no number, as in Django.
    fn address(&self, presenter: &Presenter, number: u32) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let others = self.pairs.iter().filter(|(name, _)| name != "page");
        let mut pairs: Vec<_> = others.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        if number > 1 {
            pairs.push(format!("page={number}"));
        }
        let mark = if pairs.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{}", presenter.public_url, self.path, pairs.join("&"))
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// 404 as REST Framework says it of a page.
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
        let at = |uri: &str, number| listing(uri).unwrap().address(&presenter, number);
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
    fn sizes_are_capped() {
        let size = |uri: &str| Listing::sized(&uri.parse().unwrap()).unwrap().page.size;
        assert_eq!((size("/"), size("/?page_size=7"), size("/?page_size=51"), size("/?page_size=x")), (20, 7, 50, 20));
    }
}
