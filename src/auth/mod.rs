//! Who somebody is: tokens, passwords, and the pages that may call.

pub mod origin;
pub mod password;
pub mod token;
