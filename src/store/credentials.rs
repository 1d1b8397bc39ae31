//! A user's credentials, and their change.

use crate::ids::{FamilyId, UserId};

/// A user who logs in, with the hash to check the password against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user.
    pub user: UserId,
    /// Django's form, `pbkdf2_sha256$…`.
    pub password_hash: String,
    /// Deactivated users may not log in.
    pub is_active: bool,
}

/// A user's new password.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// The user.
    pub user: UserId,
    /// The hash that the old password matched.
    pub old_hash: String,
    /// In Django's form.
    pub new_hash: String,
    /// The login that asked; all others end. `None`: none ends.
    pub spared: Option<FamilyId>,
}
