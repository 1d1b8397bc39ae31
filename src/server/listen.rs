//! Opens the listeners of all shards.

use std::io;
use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;
use crate::engine::net::listener;

/// Each address, with one listener for each shard.
pub(super) type Listeners = Vec<(SocketAddr, Vec<TcpListener>)>;

/// Raises the limit of open files to its maximum: each connection is an open file, and many systems begin with 1024
/// below a far higher maximum.
pub(super) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the open-file limit stays as it is (ulimit -n)");
    }
}

/// Opens the listeners. Returns them with the first address, in which a port that the system chose is filled in.
///
/// # Errors
/// When an address is taken or is not this machine's. The text names the address and the setting.
pub(super) fn open(settings: &Settings) -> anyhow::Result<(Listeners, SocketAddr)> {
    let listeners = bind(&settings.listen, settings.shards)?;
    let first = listeners[0].1[0].local_addr()?;
    Ok((listeners, first))
}

/// Opens one listener for each address and shard. If the system chooses the port, it is the same for all shards.
fn bind(addresses: &[SocketAddr], shards: usize) -> anyhow::Result<Listeners> {
    let mut bound = Vec::new();
    for address in addresses {
        match bind_one(*address, shards) {
            Ok(listeners) => bound.push((*address, listeners)),
            // A machine without IPv6 serves its other addresses.
            Err(error) if address.is_ipv6() && addresses.len() > 1 && is_without(&error) => {
                tracing::warn!(%address, "this machine has no such address: not listening there");
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot listen on {address}: choose another with PREGON_LISTEN, for example 127.0.0.1:8001")
                });
            }
        }
    }
    anyhow::ensure!(!bound.is_empty(), "none of PREGON_LISTEN's addresses exists on this machine");
    Ok(bound)
}

/// True if the machine has no such address, or its kernel has no such address family.
fn is_without(error: &io::Error) -> bool {
    let family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(family)
}

fn bind_one(address: SocketAddr, shards: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // Listeners share a port with any program that also shares it. This bind fails if another server has the port.
        drop(TcpListener::bind(address)?);
    }
    let first = listener::listen(address)?;
    let address = first.local_addr()?;
    let others = (1..shards).map(|_| listener::listen(address));
    std::iter::once(Ok(first)).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_is_told_from_a_port_that_is_taken() {
        use rustix::io::Errno;
        let is_without = |errno: Errno| is_without(&io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!(is_without(Errno::AFNOSUPPORT) && is_without(Errno::ADDRNOTAVAIL));
        assert!(!is_without(Errno::ADDRINUSE) && !is_without(Errno::ACCESS));
    }
}
