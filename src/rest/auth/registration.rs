//! Checks the fields of `register/`, and reports all faults at once.

use crate::access::password;
use crate::access::rate::TooMany;
use crate::domain::user::NewUser;
use crate::rest::error::{Error, Result};
use crate::rest::fields::{Faults, Fields, Length, up_to};
use crate::store::Accounts;

/// Longer than any real password; bounds the work of hashing.
pub const PASSWORD_CHARS: usize = 1024;

const USERNAME: Length =
    Length { min: 3, max: 30, min_text: Some("El nombre de usuario debe tener al menos 3 caracteres.") };
const DISPLAY_NAME: Length =
    Length { min: 2, max: 100, min_text: Some("El nombre para mostrar debe tener al menos 2 caracteres.") };
const PASSWORD: Length = Length { min: 8, max: PASSWORD_CHARS, min_text: None };

/// Names that nobody may register: words that occur in paths in place of a username, and names that look official.
const RESERVED: &[&str] = &[
    "admin",
    "api",
    "auth",
    "block",
    "blocked",
    "chat",
    "follow",
    "followers",
    "following",
    "friends",
    "media",
    "me",
    "messaging",
    "notifications",
    "posts",
    "pregon",
    "profile",
    "search",
    "soporte",
    "sos",
    "suggested",
    "unfollow",
    "users",
];

/// Whether this lower-case name is reserved.
pub fn is_reserved(username: &str) -> bool {
    RESERVED.contains(&username)
}

/// The new user without a password hash, and the password. `pay` counts the answer that an address or a name is taken.
///
/// # Errors
/// 400 with every fault, or the error of `pay`.
pub async fn check(
    store: &dyn Accounts,
    fields: &Fields,
    pay: impl FnOnce() -> Result<(), TooMany>,
) -> Result<(NewUser, String)> {
    let mut faults = Faults::default();
    let user = NewUser {
        email: email(fields, &mut faults),
        username: username(fields, &mut faults),
        display_name: display_name(fields, &mut faults),
        password_hash: String::new(),
        position: fields.optional("position", up_to(100), &mut faults).unwrap_or_default(),
        team: fields.optional("team", up_to(100), &mut faults).unwrap_or_default(),
        bio: fields.optional("bio", up_to(500), &mut faults).unwrap_or_default(),
        contact_number: fields.optional("contact_number", up_to(20), &mut faults).unwrap_or_default(),
        account_type: account_type(fields, &mut faults),
        company_name: fields.optional("company_name", up_to(200), &mut faults).unwrap_or_default(),
        industry: fields.optional("industry", up_to(100), &mut faults).unwrap_or_default(),
        website: address(fields, "website", &mut faults),
    };
    let password = fields.required("password", PASSWORD, &mut faults).unwrap_or_default();
    let again = fields.required("password_confirm", up_to(PASSWORD_CHARS), &mut faults).unwrap_or_default();
    let is_email_taken = !user.email.is_empty() && store.credentials(&user.email).await?.is_some();
    let is_username_taken = !user.username.is_empty() && store.credentials(&user.username).await?.is_some();
    if is_email_taken || is_username_taken {
        pay()?;
    }
    if is_email_taken {
        faults.add("email", EMAIL_TAKEN);
    }
    if is_username_taken {
        faults.add("username", USERNAME_TAKEN);
    }
    faults.result()?;
    // As in Django, fields are compared with each other only if each is valid by itself.
    let mut faults = Faults::default();
    if password != again {
        faults.add("password_confirm", "Las contraseñas no coinciden.");
    }
    check_strength("password", &password, &mut faults);
    faults.result()?;
    Ok((user, password))
}

const EMAIL_TAKEN: &str = "Ya existe Usuario con este Email.";
const USERNAME_TAKEN: &str = "Ya existe Usuario con este Nombre de usuario.";

/// The answer when another registration was faster.
pub fn taken(email: bool, username: bool) -> Error {
    let mut faults = Faults::default();
    if email {
        faults.add("email", EMAIL_TAKEN);
    }
    if username || !email {
        faults.add("username", USERNAME_TAKEN);
    }
    faults.result().err().unwrap_or(Error::Unavailable)
}

/// Refuses common passwords and passwords of digits only.
pub fn check_strength(name: &str, password: &str, faults: &mut Faults) {
    for weakness in password::weaknesses(password) {
        faults.add(name, weakness.message());
    }
}

fn email(fields: &Fields, faults: &mut Faults) -> String {
    match fields.required("email", up_to(254), faults) {
        Some(text) if is_email(&text) => text.to_lowercase(),
        Some(_) => {
            faults.add("email", "Introduzca una dirección de correo electrónico válida.");
            String::new()
        }
        None => String::new(),
    }
}

pub(super) fn display_name(fields: &Fields, faults: &mut Faults) -> String {
    match fields.required("display_name", DISPLAY_NAME, faults) {
        Some(text) if text.chars().any(char::is_control) => {
            faults.add("display_name", "El nombre para mostrar no puede contener caracteres de control.");
            String::new()
        }
        found => found.unwrap_or_default(),
    }
}

fn username(fields: &Fields, faults: &mut Faults) -> String {
    match fields.required("username", USERNAME, faults) {
        Some(text) if is_reserved(&text.to_ascii_lowercase()) => {
            faults.add("username", "Este nombre de usuario está reservado.");
            String::new()
        }
        Some(text) if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
            text.to_ascii_lowercase()
        }
        Some(_) => {
            faults.add("username", "El username solo puede contener letras, números y guiones bajos");
            String::new()
        }
        None => String::new(),
    }
}

pub(super) fn account_type(fields: &Fields, faults: &mut Faults) -> String {
    match fields.optional("account_type", up_to(20), faults) {
        Some(text) if text == "user" || text == "enterprise" => text,
        Some(text) if text.is_empty() && !fields.has("account_type") => "user".to_owned(),
        Some(text) => {
            faults.add("account_type", format!("\"{text}\" no es una elección válida."));
            text
        }
        None => String::new(),
    }
}

/// An optional web address of at most 200 characters.
pub fn address(fields: &Fields, name: &str, faults: &mut Faults) -> String {
    let text = fields.optional(name, up_to(200), faults).unwrap_or_default();
    if text.is_empty() || is_web_address(&text) {
        return text;
    }
    faults.add(name, "Introduzca una URL válida.");
    String::new()
}

/// `http`, `https` or `ftp`, as in Django; never `javascript:`.
pub(super) fn is_web_address(text: &str) -> bool {
    let rest = text
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https", "ftp", "ftps"].iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    let host = rest.map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    host.is_some_and(|host| host.contains(|c: char| c.is_alphanumeric()))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>'))
}

/// Django's rule, simplified: a local part, one `@`, and a domain with a dot.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_char = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-.".contains(c);
    let local_ok = !local.is_empty()
        && local.chars().all(local_char)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels: Vec<_> = domain.split('.').collect();
    let top_ok = labels.last().is_some_and(|top| top.chars().count() >= 2 && !top.chars().all(char::is_numeric));
    local_ok && (domain == "localhost" || (labels.len() >= 2 && labels.into_iter().all(label_ok) && top_ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_texts() {
        for good in ["ana@example.com", "a.b+c@sub.example.co", "x@localhost", "a@bücher.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "ana", "@x.co", "a@b", "a b@x.co", "a@x..co", ".a@x.co", "a@-x.co", "a@x.1", "a@@x.co"] {
            assert!(!is_email(bad), "{bad}");
        }
        for good in ["http://a.b", "https://example.com/x?y#z", "HTTPS://EXAMPLE.COM", "http://localhost:3000"] {
            assert!(is_web_address(good), "{good}");
        }
        for bad in ["example.com", "javascript://x.y", "http://", "http://a b", "http://a\"b", "data://x"] {
            assert!(!is_web_address(bad), "{bad}");
        }
    }
}
