//! The flags and menu of the pages, with an operator's changes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The flags and menu, as they are answered.
#[derive(Debug, Clone)]
pub struct Site {
    pub(super) flags: Vec<u8>,
    pub(super) menu: Vec<u8>,
}

/// An operator's file. Settings that it does not name keep their defaults.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    settings: Map<String, Value>,
    menu: Option<Vec<Entry>>,
}

/// An entry of the menu.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    route_key: String,
    label: String,
    path: String,
    #[serde(default)]
    icon: String,
    #[serde(default = "yes")]
    is_enabled: bool,
    #[serde(default)]
    order: u32,
    #[serde(default = "yes")]
    requires_auth: bool,
    #[serde(default)]
    badge_count: u32,
}

fn yes() -> bool {
    true
}

/// The pages that work with what pregon serves.
fn usual_menu() -> Vec<Entry> {
    let entries = [
        ("feed", "Inicio", "/feed", "Home"),
        ("profile", "Perfil", "/profile", "User"),
        ("users", "Buscar", "/users", "Users"),
        ("notifications", "Notificaciones", "/notifications", "Bell"),
        ("messages", "Mensajes", "/messages", "MessageSquare"),
    ];
    let entry = |(order, (key, label, path, icon)): (u32, (&str, &str, &str, &str))| Entry {
        route_key: key.to_owned(),
        label: label.to_owned(),
        path: path.to_owned(),
        icon: icon.to_owned(),
        is_enabled: true,
        order,
        requires_auth: true,
        badge_count: 0,
    };
    (1..).zip(entries).map(entry).collect()
}

/// Flags of app features that pregon does not serve are off.
fn usual_flags() -> Map<String, Value> {
    let flags = json!({
        "site_name": "pregon",
        "site_description": "",
        "logo_url": "",
        "primary_color": "#00ff88",
        "maintenance_mode": false,
        "maintenance_message": "",
        "show_register_habilidosos_button": false,
        "reality_form_enabled": false,
        "updated_at": null,
    });
    match flags {
        Value::Object(flags) => flags,
        _ => Map::new(),
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::of(&usual_flags(), usual_menu())
    }
}

impl Site {
    fn of(flags: &Map<String, Value>, mut menu: Vec<Entry>) -> Self {
        menu.retain(|entry| entry.is_enabled);
        menu.sort_by_key(|entry| entry.order);
        let json = |written: serde_json::Result<Vec<u8>>| written.expect("maps and texts are JSON");
        Self { flags: json(serde_json::to_vec(flags)), menu: json(serde_json::to_vec(&menu)) }
    }

    /// Reads an operator's file: `{"settings": {…}, "menu": [{"route_key", "label", "path", …}]}`.
    ///
    /// # Errors
    /// What is wrong with the file, as the end of a sentence that begins with "it".
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File =
            serde_json::from_str(text).map_err(|error| format!("does not have the right form: {error}"))?;
        let menu = file.menu.unwrap_or_else(usual_menu);
        let is_path = |path: &str| path.starts_with('/') || path.starts_with("https://") || path.starts_with("http://");
        if let Some(entry) = menu.iter().find(|entry| !is_path(&entry.path)) {
            return Err(format!("has the path {:?}, which begins with neither / nor https://", entry.path));
        }
        let mut flags = usual_flags();
        flags.extend(file.settings);
        Ok(Self::of(&flags, menu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu_of(site: &Site) -> Vec<Value> {
        serde_json::from_slice(&site.menu).unwrap()
    }

    #[test]
    fn a_file_says_what_is_otherwise() {
        assert_eq!(menu_of(&Site::default()).len(), 5);
        assert_eq!(menu_of(&Site::parse("{}").unwrap()), menu_of(&Site::default()));
        let site = Site::parse(
            r#"{"settings": {"maintenance_mode": true, "mine": 7}, "menu": [
                {"route_key": "b", "label": "B", "path": "/b", "order": 2},
                {"route_key": "off", "label": "Off", "path": "/off", "is_enabled": false},
                {"route_key": "a", "label": "A", "path": "https://a.example", "order": 1, "requires_auth": false}
            ]}"#,
        );
        let site = site.unwrap();
        let flags: Map<String, Value> = serde_json::from_slice(&site.flags).unwrap();
        assert_eq!((&flags["maintenance_mode"], &flags["mine"]), (&json!(true), &json!(7)));
        assert_eq!(flags["site_name"], "pregon");
        let menu = menu_of(&site);
        assert_eq!((menu.len(), &menu[0]["route_key"], &menu[1]["route_key"]), (2, &json!("a"), &json!("b")));
        let whole = json!({"route_key": "b", "label": "B", "path": "/b", "icon": "", "is_enabled": true, "order": 2,
            "requires_auth": true, "badge_count": 0});
        assert_eq!(menu[1], whole);
        assert_eq!(menu_of(&Site::parse(r#"{"menu": []}"#).unwrap()).len(), 0, "as the operator says");
    }

    #[test]
    fn a_wrong_file_is_told() {
        for (text, expected) in [
            ("", "does not have the right form"),
            ("[]", "does not have the right form"),
            (r#"{"menus": []}"#, "menus"),
            (r#"{"menu": [{"route_key": "a", "label": "A"}]}"#, "path"),
            (r#"{"menu": [{"route_key": "a", "label": "A", "path": "javascript:x"}]}"#, "neither / nor https://"),
        ] {
            let error = Site::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
