//! What a handshake settles beside the upgrade itself: the subprotocol (RFC 6455 §1.9) and the extensions (§9).

use super::deflate;
use super::handshake::protocols;
use super::packing::Packing;

/// The language of a connection's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subprotocol {
    /// That of clients that name none.
    #[default]
    Unnamed,
    /// `pregon.v1`: one socket for many topics.
    V1,
}

impl Subprotocol {
    /// All of them, the usual one first.
    pub const ALL: &[Self] = &[Self::Unnamed, Self::V1];
}

/// What a connection's two ends have agreed on. Made once, from the request, before anybody judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Negotiation {
    /// What is said.
    pub subprotocol: Subprotocol,
    /// How it travels.
    pub packing: Packing,
}

/// Subprotocols that are spoken under a name.
const SPOKEN: [(&str, Subprotocol); 1] = [("pregon.v1", Subprotocol::V1)];

impl Negotiation {
    /// From all lines of `Sec-WebSocket-Protocol` and of `Sec-WebSocket-Extensions`: the first of the client's offers that
    /// is known here. The others are passed over, as both sections allow. Messages are compressed only if `may_deflate`.
    pub fn of<'a>(
        offered: impl IntoIterator<Item = &'a str>,
        extensions: impl IntoIterator<Item = &'a str>,
        may_deflate: bool,
    ) -> Self {
        let subprotocol = protocols(offered).find_map(|name| found(&SPOKEN, name));
        let window = protocols(extensions).filter(|_| may_deflate).find_map(deflate::offered);
        Self { subprotocol: subprotocol.unwrap_or_default(), packing: window.map_or(Packing::Plain, Packing::Deflated) }
    }

    /// The answer's lines: what is agreed on is named, and nothing else may be.
    pub fn lines(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let subprotocol = name_of(&SPOKEN, self.subprotocol).map(|name| ("sec-websocket-protocol", name));
        let extension = match self.packing {
            Packing::Plain => None,
            Packing::Deflated(window) => Some(("sec-websocket-extensions", window.answer())),
        };
        subprotocol.into_iter().chain(extension)
    }
}

fn found<T: Copy>(known: &[(&'static str, T)], name: &str) -> Option<T> {
    known.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
}

fn name_of<T: Copy + PartialEq>(known: &[(&'static str, T)], wanted: T) -> Option<&'static str> {
    known.iter().find(|(_, what)| *what == wanted).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_agreed_on() {
        let offers = [
            (vec![], vec![]),
            (vec!["pregon.v0, chat", "token.a.b.c"], vec!["x-webkit-deflate-frame", "deflate-frame"]),
            (vec![" , ,"], vec![";", "permessage-deflate;server_no_context_takeover=\"1\""]),
        ];
        for (protocols, extensions) in offers {
            let agreed = Negotiation::of(protocols, extensions, true);
            assert_eq!(agreed, Negotiation::default());
            assert_eq!(agreed.lines().count(), 0, "an answer that names what was not agreed on fails the handshake");
        }
    }

    #[test]
    fn the_name_of_what_is_spoken_is_given_back_alone() {
        let agreed = Negotiation::of(["token.a.b.c, pregon.v1"], [], true);
        assert_eq!(agreed.subprotocol, Subprotocol::V1);
        assert_eq!(Vec::from_iter(agreed.lines()), [("sec-websocket-protocol", "pregon.v1")]);
    }

    #[test]
    fn compression_is_agreed_on_where_it_may_be() {
        let offers = || ["permessage-deflate; server_max_window_bits=7, permessage-deflate; client_max_window_bits"];
        let agreed = Negotiation::of([], offers(), true);
        assert_eq!(agreed.packing, Packing::Deflated(deflate::Window::Usual), "the first offer that can be accepted");
        let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(Vec::from_iter(agreed.lines()), [("sec-websocket-extensions", answer)]);
        assert_eq!(Negotiation::of([], offers(), false), Negotiation::default());
    }

    #[test]
    fn the_clients_first_known_offer_is_found_by_its_exact_name() {
        let known = [("b.v1", 'b'), ("a.v1", 'a')];
        let first = |lines: &[&'static str]| protocols(lines.iter().copied()).find_map(|name| found(&known, name));
        assert_eq!(first(&["x, a.v1", "b.v1"]), Some('a'), "the client's order counts, not ours");
        assert_eq!((first(&["A.v1"]), first(&["a.v"]), first(&[])), (None, None, None));
        assert_eq!((name_of(&known, 'b'), name_of(&known, 'c')), (Some("b.v1"), None));
    }
}
