//! The rule on `Origin`: which web pages may call, by socket or across origins (CORS).

use url::Url;

/// One allowed origin.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// `*`: any origin.
    Any,
    /// A host name, with any scheme and port.
    Host(String),
    /// `.example.com`: the domain and all its subdomains.
    Below(String),
    /// Scheme, host and port must all match.
    Exact { scheme: String, host: String, port: u16 },
}

/// The rules for `Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The allowed origins. `None` allows the host that the request names.
    entries: Option<Vec<Entry>>,
    /// Whether localhost, 127.0.0.1 and `[::1]` are allowed. Only used when there is no list.
    loopback: bool,
    /// Whether a request without `Origin` is refused.
    required: bool,
}

impl Rules {
    /// No list: allows pages of the same host and, if the server `listens_on_loopback`, pages of this machine.
    pub fn same_host(listens_on_loopback: bool) -> Self {
        Self { entries: None, loopback: listens_on_loopback, required: false }
    }

    /// A list as in Django's `ALLOWED_HOSTS`: `example.com`, `.example.com`, `https://example.com:8443`, `*`.
    ///
    /// # Errors
    /// The entry that cannot be read.
    pub fn list<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let entries = entries.into_iter().map(|text| Entry::parse(text).ok_or(text)).collect::<Result<_, _>>()?;
        Ok(Self { entries: Some(entries), loopback: false, required: false })
    }

    /// Sets whether a request without `Origin` is refused. Browsers always send one; other programs rarely do.
    #[must_use]
    pub fn require(mut self, required: bool) -> Self {
        self.required = required;
        self
    }

    /// Whether a page of `origin` may call this server, which the request names `host` (in its `Host` header).
    pub fn allows(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else { return !self.required };
        if self.entries.as_ref().is_some_and(|entries| entries.contains(&Entry::Any)) {
            return true;
        }
        let Some(origin) = Origin::parse(origin) else { return false };
        match &self.entries {
            Some(entries) => entries.iter().any(|entry| entry.matches(&origin)),
            None => origin.host == host_name(host) || (self.loopback && is_loopback_name(&origin.host)),
        }
    }
}

/// The rule on `Host`: the names that this server answers to. Without it, an attacker who points a domain at 127.0.0.1
/// would share the origin of a server on the visitor's own machine (DNS rebinding).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Option<Rules>);

impl Hosts {
    /// Allows any name: a proxy in front knows its own names.
    pub fn any() -> Self {
        Self(None)
    }

    /// Allows this machine's own names and those of allowed origins.
    pub fn of_this_machine(origins: Rules) -> Self {
        Self(Some(origins))
    }

    /// Whether a request to `host` is meant for this server. A request without `Host` does not come from a browser.
    pub fn allow(&self, host: Option<&str>) -> bool {
        let (Some(rules), Some(host)) = (&self.0, host) else { return true };
        let name = host_name(host);
        let is_listed = |entry: &Entry| match entry {
            Entry::Any => true,
            Entry::Host(other) | Entry::Exact { host: other, .. } => name == *other,
            Entry::Below(_) => entry.matches(&Origin { scheme: String::new(), host: name.clone(), port: None }),
        };
        is_loopback_name(&name) || rules.entries.iter().flatten().any(is_listed)
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self::Any);
        }
        if text.contains("://") {
            let Origin { scheme, host, port } = Origin::parse(text)?;
            return Some(Self::Exact { scheme, host, port: port? });
        }
        let (domain, below) = match text.strip_prefix('.') {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        let name = host_name(domain);
        if name.is_empty() || name.contains(['/', '*', '@', ' ']) {
            return None;
        }
        Some(if below { Self::Below(name) } else { Self::Host(name) })
    }

    fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Host(host) => origin.host == *host,
            Self::Below(domain) => {
                origin.host == *domain
                    || origin.host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            Self::Exact { scheme, host, port } => {
                origin.scheme == *scheme && origin.host == *host && origin.port == Some(*port)
            }
        }
    }
}

/// The three parts of RFC 6454 §4.
struct Origin {
    scheme: String,
    host: String,
    /// The written port, or the scheme's default; `None` for schemes without a default.
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("://")?;
        // What a parser of addresses forgives: no browser writes an origin so.
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let is_blank = |letter: char| letter.is_whitespace() || letter.is_control();
        if text.contains(is_blank) || authority.contains(['/', '\\', '@', '?', '#', ',']) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        (!host.is_empty()).then(|| Self { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default() })
    }
}

/// `authority` without its port, in lower case. An IPv6 address keeps its brackets.
fn host_name(authority: &str) -> String {
    let end = match port_text(authority) {
        Some(port) => authority.len() - port.len() - 1,
        None => authority.len(),
    };
    authority[..end].trim_end_matches('.').to_ascii_lowercase()
}

/// The text after the last colon outside brackets.
fn port_text(authority: &str) -> Option<&str> {
    let (_, port) = authority.rsplit_once(':')?;
    (!port.contains(']')).then_some(port)
}

fn is_loopback_name(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_list_the_same_host_is_allowed_whatever_its_port() {
        let rules = Rules::same_host(false);
        for (origin, host) in [
            ("https://chat.example.com", "chat.example.com"),
            ("http://Chat.Example.com:3000", "chat.example.com:8000"),
            ("http://[2001:db8::1]:3000", "[2001:db8::1]:8000"),
            ("https://chat.example.com.", "chat.example.com"),
        ] {
            assert!(rules.allows(Some(origin), host), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://evil.example.com",
            "https://chat.example.com.evil.org",
            "https://evil.org/chat.example.com",
            "https://chat.example.com@evil.org",
            "http://localhost:3000",
            "chat.example.com",
            "null",
            "",
            "https://",
            "https://chat.example.com:x",
            "https://chat.example.com:65536",
            "https:///chat.example.com",
            "https:\\\\chat.example.com",
            "https:chat.example.com",
            " https://chat.example.com",
            "https://chat.example.com\t",
            "https://evil.org\\.chat.example.com",
            "https://evil.org,chat.example.com",
        ] {
            assert!(!rules.allows(Some(origin), "chat.example.com"), "{origin}");
        }
        assert!(!rules.allows(Some("https://"), ""), "no host is no match");
    }

    #[test]
    fn on_loopback_this_machines_pages_are_allowed() {
        let rules = Rules::same_host(true);
        for origin in [
            "http://localhost:3000",
            "https://localhost",
            "capacitor://localhost",
            "http://127.0.0.1:4000",
            "http://[::1]:8000",
        ] {
            assert!(rules.allows(Some(origin), "127.0.0.1:8000"), "{origin}");
        }
        assert!(!rules.allows(Some("http://example.com"), "127.0.0.1:8000"));
        assert!(!rules.allows(Some("http://localhost.evil.org"), "127.0.0.1:8000"));
    }

    #[test]
    fn a_list_is_read_as_django_reads_allowed_hosts() {
        let rules = Rules::list(["app.example.com", ".example.org", "https://exact.example", "http://p.example:81"]);
        let rules = rules.unwrap();
        for origin in [
            "http://app.example.com:1",
            "https://example.org",
            "https://a.b.example.org",
            "https://exact.example",
            "https://exact.example:443",
            "http://p.example:81",
        ] {
            assert!(rules.allows(Some(origin), "any"), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://badexample.org",
            "http://exact.example",
            "https://exact.example:444",
            "http://p.example",
            "http://any",
            "http://localhost",
            "null",
        ] {
            assert!(!rules.allows(Some(origin), "any"), "{origin}");
        }
        assert!(Rules::list(["*"]).unwrap().allows(Some("null"), "any"));
        assert_eq!(Rules::list(["example.com", "https://"]), Err("https://"));
        assert_eq!(Rules::list(["exa mple"]), Err("exa mple"));
    }

    #[test]
    fn a_server_of_this_machine_answers_to_its_names_alone() {
        let alone = Hosts::of_this_machine(Rules::same_host(true));
        for host in ["localhost:8000", "LOCALHOST", "127.0.0.1", "127.0.0.1:1", "[::1]:8000", "localhost."] {
            assert!(alone.allow(Some(host)), "{host}");
        }
        for host in ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!alone.allow(Some(host)), "{host:?}");
            assert!(Hosts::any().allow(Some(host)), "{host:?}");
        }
        assert!(alone.allow(None), "no browser");
        let listed = Rules::list(["app.example.com", ".example.org", "https://exact.example:81"]).unwrap();
        let listed = Hosts::of_this_machine(listed);
        for host in ["app.example.com:8000", "a.example.org", "exact.example", "localhost"] {
            assert!(listed.allow(Some(host)), "{host}");
        }
        assert!(!listed.allow(Some("evil.example")));
    }

    #[test]
    fn a_missing_origin_is_allowed_unless_it_is_demanded() {
        let rules = Rules::same_host(true);
        assert!(rules.allows(None, "localhost"));
        assert!(!rules.require(true).allows(None, "localhost"));
        assert!(!Rules::list(["*"]).unwrap().require(true).allows(None, "localhost"));
    }
}
