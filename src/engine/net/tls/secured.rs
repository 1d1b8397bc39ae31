//! A shard's connections with TLS, and the buffers that they share: reads become plain bytes, stretches become sealed ones.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::{Received, Sealed, Tls};
use crate::engine::net::send::Sender;
use crate::engine::net::stream::Stream;
use crate::engine::net::stretch::{Sent, Stretch};
use crate::limits::{TLS_SEALED_KEPT_BYTES, TLS_VISIT_BYTES_MAX};

/// The TLS of each socket that has it, by the socket's number. Empty where nothing is encrypted.
#[derive(Debug, Default)]
pub struct Secured {
    all: Vec<Option<Box<Tls>>>,
    /// What the last read brought.
    plain: Vec<u8>,
    /// One visit's slices, put together.
    gathered: Vec<u8>,
    /// A stretch's records.
    sealed: Sealed,
    outcomes: Vec<Sent>,
    unsent_bytes: usize,
    partial_bytes: usize,
}

/// One visit of a stretch.
enum Visit {
    /// What became of it without a send.
    Settled(Sent),
    /// So many plain bytes of those that were wanted became these sealed ones.
    Sealed { taken: usize, wanted: usize, record: Range<usize> },
}

/// What one read of a socket brought.
pub(in crate::engine::net) struct Read {
    pub received: Received,
    /// Nothing more comes.
    pub has_ended: bool,
}

impl Secured {
    /// Notes the TLS of a socket, under the socket's number.
    pub(in crate::engine::net) fn adopt(&mut self, token: u32, tls: Box<Tls>) {
        let place = token as usize;
        if self.all.len() <= place {
            self.all.resize_with(place + 1, || None);
        }
        self.unsent_bytes += tls.unsent_bytes();
        self.partial_bytes += tls.partial_bytes();
        self.all[place] = Some(tls);
    }

    /// No socket ever had TLS.
    pub(in crate::engine::net) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a socket's bytes are sealed.
    pub(in crate::engine::net) fn has(&self, token: u32) -> bool {
        self.all.get(token as usize).is_some_and(Option::is_some)
    }

    /// Works with one connection, and keeps the sums.
    fn with<R>(&mut self, token: u32, work: impl FnOnce(&mut Tls, &mut Buffers<'_>) -> R) -> Option<R> {
        let tls = self.all.get_mut(token as usize)?.as_mut()?;
        self.unsent_bytes -= tls.unsent_bytes();
        self.partial_bytes -= tls.partial_bytes();
        let mut buffers = Buffers { plain: &mut self.plain, gathered: &mut self.gathered, sealed: &mut self.sealed };
        let result = work(tls, &mut buffers);
        self.unsent_bytes += tls.unsent_bytes();
        self.partial_bytes += tls.partial_bytes();
        Some(result)
    }

    /// Reads a socket once. What its peer said is in [`Self::take_plain`]. `None` for a socket without TLS.
    pub(in crate::engine::net) fn read(
        &mut self,
        token: u32,
        stream: &Stream,
        scratch: &mut [u8],
    ) -> Option<io::Result<Read>> {
        self.with(token, |tls, buffers| {
            buffers.plain.clear();
            let received = tls.receive(&mut stream.socket(), scratch, buffers.plain)?;
            if tls.unsent_bytes() > 0 {
                // An alert, or the answer to a question about keys. If the socket is full or broken, the next event says so.
                let _ = tls.flush(&mut stream.socket());
            }
            Ok(Read { received, has_ended: received.bytes == 0 || tls.end().is_some() })
        })
    }

    /// Lends out what the last read brought. It is given back by [`Self::give_plain`].
    pub(in crate::engine::net) fn take_plain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plain)
    }

    pub(in crate::engine::net) fn give_plain(&mut self, plain: Vec<u8>) {
        self.plain = plain;
    }

    /// The socket takes bytes again: sends what waits here. True if nothing waits any more.
    pub(in crate::engine::net) fn flush(&mut self, token: u32, stream: &Stream) -> bool {
        let flushed = self.with(token, |tls, _| {
            // A broken connection is found out by the next read.
            let is_empty = tls.flush(&mut stream.socket()).unwrap_or(false);
            if is_empty && std::mem::take(&mut tls.is_finishing) {
                let _ = stream.finish();
            }
            is_empty
        });
        flushed.unwrap_or(true)
    }

    /// Says that nothing more will be sent, and then closes the server's side of the socket.
    pub(in crate::engine::net) fn finish(&mut self, token: u32, stream: &Stream) {
        self.with(token, |tls, _| {
            tls.say_goodbye();
            tls.is_finishing = true;
        });
        self.flush(token, stream);
    }

    /// Forgets a socket that is about to be closed. If all that was sealed is sent, its peer is told that this is the end.
    pub(in crate::engine::net) fn close(&mut self, token: u32, stream: &Stream) {
        let Some(mut tls) = self.all.get_mut(token as usize).and_then(Option::take) else { return };
        self.unsent_bytes -= tls.unsent_bytes();
        self.partial_bytes -= tls.partial_bytes();
        tls.say_goodbye();
        let _ = tls.flush(&mut stream.socket());
    }

    /// Forgets a socket whose peer is told nothing.
    pub(in crate::engine::net) fn forget(&mut self, token: u32) {
        let Some(tls) = self.all.get_mut(token as usize).and_then(Option::take) else { return };
        self.unsent_bytes -= tls.unsent_bytes();
        self.partial_bytes -= tls.partial_bytes();
    }

    /// If more than `bytes_max` of records is held whose end has not come: who holds most, until less is held than an eighth below
    /// that. What they hold is forgotten, and they have to go. With each: whether its peer can be told so.
    pub(in crate::engine::net) fn hoarders(&mut self, bytes_max: usize) -> Vec<(u32, bool)> {
        if self.partial_bytes <= bytes_max {
            return Vec::new();
        }
        let holds = |(token, tls): (u32, &Option<Box<Tls>>)| Some((tls.as_ref()?.partial_bytes(), token));
        let mut holders: Vec<(usize, u32)> = (0..).zip(&self.all).filter_map(holds).collect();
        holders.retain(|(bytes, _)| *bytes > 0);
        holders.sort_unstable_by(|one, other| other.cmp(one));
        let mut gone = Vec::new();
        for (_, token) in holders {
            if self.partial_bytes <= bytes_max / 8 * 7 {
                break;
            }
            let can_be_told = self.with(token, |tls, _| tls.deafen());
            gone.push((token, can_be_told.unwrap_or(false)));
        }
        gone
    }

    /// Seals each visit's bytes and sends the records; appends one outcome for each visit, in order. Of a visit only what one record
    /// holds is sealed. Bytes that were sealed are taken, whatever the socket does: what it leaves is kept here, and then the
    /// outcome is [`Sent::Part`].
    pub(in crate::engine::net) fn send(
        &mut self,
        streams: &[Option<Stream>],
        sender: &mut Sender,
        stretch: &Stretch<'_>,
        outcomes: &mut Vec<Sent>,
    ) {
        let visits: Vec<Visit> = stretch.visits().map(|(token, slices)| self.seal(token, streams, slices)).collect();
        let sealed = std::mem::take(&mut self.sealed);
        let mut sent = std::mem::take(&mut self.outcomes);
        let mut records = Stretch::with_capacity(visits.len());
        for ((token, _), visit) in stretch.visits().zip(&visits) {
            if let Visit::Sealed { record, .. } = visit {
                records.visit(token, &[IoSlice::new(&sealed.bytes()[record.clone()])]);
            }
        }
        sender.send(streams, &records, &mut sent);
        drop(records);
        let mut sends = sent.iter();
        for ((token, _), visit) in stretch.visits().zip(visits) {
            outcomes.push(match visit {
                Visit::Settled(outcome) => outcome,
                Visit::Sealed { taken, wanted, record } => match sends.next() {
                    Some(Sent::All) if taken == wanted => Sent::All,
                    Some(Sent::All) => Sent::First(taken),
                    Some(Sent::Part(count)) => {
                        self.with(token, |tls, _| tls.keep(&sealed.bytes()[record.start + count..record.end]));
                        Sent::Part(taken)
                    }
                    Some(Sent::First(_) | Sent::Broken) | None => Sent::Broken,
                },
            });
        }
        sent.clear();
        (self.sealed, self.outcomes) = (sealed, sent);
        self.sealed.clear(TLS_SEALED_KEPT_BYTES);
    }

    fn seal(&mut self, token: u32, streams: &[Option<Stream>], slices: &[IoSlice<'_>]) -> Visit {
        let Some(stream) = streams.get(token as usize).and_then(Option::as_ref) else {
            return Visit::Settled(Sent::Broken);
        };
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let visit = self.with(token, |tls, Buffers { gathered, sealed, .. }| {
            match tls.flush(&mut stream.socket()) {
                Ok(true) => {}
                Ok(false) => return Visit::Settled(Sent::Part(0)),
                Err(_) => return Visit::Settled(Sent::Broken),
            }
            let taken = wanted.min(TLS_VISIT_BYTES_MAX);
            let plain = match slices {
                [one] => &one[..taken],
                many => {
                    gathered.clear();
                    for slice in many {
                        gathered.extend_from_slice(&slice[..slice.len().min(taken - gathered.len())]);
                    }
                    &gathered[..]
                }
            };
            let start = sealed.bytes().len();
            sealed.make_room(taken);
            match tls.seal(plain, sealed) {
                Ok(()) => Visit::Sealed { taken, wanted, record: start..sealed.bytes().len() },
                Err(_) => Visit::Settled(Sent::Broken),
            }
        });
        // Every socket here has its TLS: a listener is either encrypted or not.
        visit.unwrap_or(Visit::Settled(Sent::Broken))
    }

    /// Sealed bytes that sockets have not taken, of all.
    pub(in crate::engine::net) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// The same of one socket.
    pub(in crate::engine::net) fn unsent_bytes_of(&self, token: u32) -> usize {
        self.all.get(token as usize).and_then(Option::as_ref).map_or(0, |tls| tls.unsent_bytes())
    }

    /// Bytes of records whose end has not come, of all.
    pub(in crate::engine::net) fn partial_bytes(&self) -> usize {
        self.partial_bytes
    }
}

/// The buffers that all connections share.
struct Buffers<'a> {
    plain: &'a mut Vec<u8>,
    gathered: &'a mut Vec<u8>,
    sealed: &'a mut Sealed,
}

#[cfg(test)]
mod tests;
