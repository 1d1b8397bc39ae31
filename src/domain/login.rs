//! Logins that have ended, together with their tokens.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::user::Account;
use crate::ids::{FamilyId, UserId};

/// The ended logins of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// This login: the user logged out.
    Only(FamilyId),
    /// Every login that had begun except this one, which changed the password.
    AllBut(FamilyId),
}

/// The end of some of a user's logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginEnd {
    /// The user.
    pub user: UserId,
    /// The ended logins.
    pub ended: Ended,
    /// The time of the end.
    pub at: Timestamp,
}

impl LoginEnd {
    /// Whether this login of the user is one of them.
    pub fn ends(&self, family: FamilyId) -> bool {
        match self.ended {
            Ended::Only(ended) => family == ended,
            Ended::AllBut(spared) => family != spared && family.began_ms() <= self.at.0 / 1000,
        }
    }
}

/// The bearer of a token.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The user; `None` when no such user exists.
    pub account: Option<Arc<Account>>,
    /// The token's login has ended.
    pub is_over: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_change_spares_who_asked_and_who_comes_later() {
        let user = UserId::fresh();
        let at = Timestamp(1_769_941_800_123_456);
        let begun = |micros| FamilyId::begun(Timestamp(at.0 + micros));
        let asked = begun(-5_000_000);
        let end = LoginEnd { user, ended: Ended::AllBut(asked), at };
        assert!(!end.ends(asked) && !end.ends(begun(1000)) && !end.ends(FamilyId::issued(1_769_941_801)));
        assert!(end.ends(begun(0)) && end.ends(begun(-1_000_000)));
        assert!(end.ends(FamilyId::issued(1_769_941_800)) && end.ends(FamilyId::issued(0)));
        let end = LoginEnd { user, ended: Ended::Only(asked), at };
        assert!(end.ends(asked) && !end.ends(begun(-5_000_000)));
    }
}
