//! Whether a replica has what was committed, by what the server says of its semi-synchronous replication.

use crate::domain::write::Durability;

/// MariaDB and older MySQL say `master` where MySQL 8 may say `source`.
pub(super) const STATUS: &str = r"SHOW GLOBAL STATUS LIKE 'Rpl\_semi\_sync\_%'";

/// What a server says of its semi-synchronous replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SemiSync {
    /// The server can do it.
    pub is_known: bool,
    /// Commits wait for a replica. The server ends this when none answers in time, and begins again when one has everything.
    pub is_on: bool,
    /// Replicas that acknowledge.
    pub replicas: u64,
    /// Commits that no replica acknowledged, since the server's start.
    pub unacknowledged: u64,
}

impl SemiSync {
    /// What the rows of [`STATUS`] say.
    pub(super) fn of(rows: &[(String, String)]) -> Self {
        let mut found = Self::default();
        for (name, value) in rows {
            let name = name.to_ascii_lowercase();
            let of_source = ["rpl_semi_sync_master_", "rpl_semi_sync_source_"];
            let Some(name) = of_source.iter().find_map(|prefix| name.strip_prefix(prefix)) else { continue };
            match name {
                "status" => (found.is_known, found.is_on) = (true, value.eq_ignore_ascii_case("on")),
                "clients" => found.replicas = value.parse().unwrap_or(0),
                "no_tx" => found.unacknowledged = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        found
    }

    /// Had every commit between `before` and this one a replica's acknowledgement? Other connections' commits count, too: if one
    /// of them had none, this is not claimed of ours either.
    fn confirms_all_since(&self, before: &Self) -> bool {
        self.is_on && self.replicas > 0 && self.unacknowledged == before.unacknowledged
    }
}

/// What one connection knows, if acknowledgements are to say whether a replica has what was committed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Replication {
    before: Option<SemiSync>,
    last: Durability,
}

impl Replication {
    /// Nothing is known of what was committed before.
    pub fn is_new(&self) -> bool {
        self.before.is_none()
    }

    /// What the server says before the first commit.
    pub fn begin(&mut self, before: Option<SemiSync>) {
        *self = Self { before, last: Durability::Stored };
    }

    /// What the server says behind a commit. Without an answer the commit counts as stored.
    pub fn commit(&mut self, now: Option<SemiSync>) {
        let is_confirmed = self.before.zip(now).is_some_and(|(before, now)| now.confirms_all_since(&before));
        let last = if is_confirmed { Durability::Replicated } else { Durability::Stored };
        *self = Self { before: now, last };
    }

    /// Where the last commit is.
    pub fn last(&self) -> Durability {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rows: &[(&str, &str)]) -> SemiSync {
        let rows: Vec<_> = rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SemiSync::of(&rows)
    }

    #[test]
    fn both_families_of_servers_are_understood() {
        let rows = [("Rpl_semi_sync_slave_status", "ON"), ("Rpl_semi_sync_master_status", "OFF")];
        assert_eq!(said(&rows), SemiSync { is_known: true, ..SemiSync::default() });
        let rows = [
            ("Rpl_semi_sync_source_status", "ON"),
            ("Rpl_semi_sync_source_clients", "2"),
            ("Rpl_semi_sync_source_no_tx", "7"),
        ];
        let expected = SemiSync { is_known: true, is_on: true, replicas: 2, unacknowledged: 7 };
        assert_eq!(said(&rows), expected);
        assert!(!said(&[("Rpl_semi_sync_slave_status", "ON")]).is_known, "it is a replica alone");
    }

    #[test]
    fn a_commit_without_an_acknowledgement_is_not_claimed() {
        let before = SemiSync { is_known: true, is_on: true, replicas: 1, unacknowledged: 3 };
        assert!(before.confirms_all_since(&before));
        assert!(!SemiSync { unacknowledged: 4, ..before }.confirms_all_since(&before));
        assert!(!SemiSync { is_on: false, ..before }.confirms_all_since(&before));
        assert!(!SemiSync { replicas: 0, ..before }.confirms_all_since(&before));
    }
}
