//! Access control: tokens, passwords, origins, addresses, rates, and the gate in front of the shards.

pub mod admin_key;
pub(crate) mod bad_tokens;
pub mod client_address;
pub(crate) mod crypto;
pub mod gate;
pub mod jwk;
pub mod key_file;
pub mod keys;
pub mod lifecycle;
pub mod line;
pub mod logins;
pub(crate) mod newcomers;
pub mod origin;
pub mod password;
pub mod rate;
pub(crate) mod reconnects;
pub(crate) mod signature_checks;
pub(crate) mod sockets;
pub mod token;
