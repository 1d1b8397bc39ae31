//! The load's own HTTP requests, over open connections on the same thread as the sockets.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{connect, resolve};
use crate::client::Links;
use crate::options::Common;

struct Slot<J> {
    /// The caller's note about its request.
    job: Option<J>,
    is_open: bool,
}

/// Connections for requests, each with at most one under way. `J` is the caller's note about a request.
pub struct Pool<J> {
    server: SocketAddr,
    /// The number of its first link; the others follow.
    first: usize,
    slots: Vec<Slot<J>>,
    free: Vec<usize>,
}

impl<J> Pool<J> {
    /// `count` connections, starting with the next link number.
    pub fn open(links: &mut Links, server: SocketAddr, count: usize) -> Result<Self> {
        let mut first = None;
        for _ in 0..count {
            let link = links.open_http(server, None)?;
            first.get_or_insert(link);
        }
        Ok(Self {
            server,
            first: first.context("at least one connection for requests")?,
            slots: (0..count).map(|_| Slot { job: None, is_open: true }).collect(),
            free: (0..count).rev().collect(),
        })
    }

    /// Whether another request can go now.
    pub fn is_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Sends a request on a free connection, which the server may have closed in the meantime.
    pub fn send(&mut self, links: &mut Links, request: &[u8], job: J) -> Result<()> {
        let slot = self.free.pop().context("a free connection")?;
        let link = self.first + slot;
        if !std::mem::replace(&mut self.slots[slot].is_open, true) {
            links.reopen_http(link, self.server, connect::source(self.server, link))?;
        }
        self.slots[slot].job = Some(job);
        links.send(link, request);
        Ok(())
    }

    /// The note of the answered request.
    pub fn answered(&mut self, link: usize) -> Option<J> {
        let slot = link.checked_sub(self.first)?;
        let job = self.slots.get_mut(slot)?.job.take();
        if job.is_some() {
            self.free.push(slot);
        }
        job
    }

    /// A connection ended. `None` if it is not one of these, else the note of the unanswered request, if any.
    pub fn closed(&mut self, link: usize) -> Option<Option<J>> {
        let slot = link.checked_sub(self.first)?;
        self.slots.get_mut(slot)?.is_open = false;
        Some(self.answered(link))
    }
}

/// The address of the tested server's REST API.
pub fn api_address(common: &Common) -> Result<SocketAddr> {
    match &common.api {
        Some(url) => resolve(&url.replacen("http", "ws", 1)).with_context(|| format!("--api {url}")),
        None => resolve(&common.url),
    }
}
