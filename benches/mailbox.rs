//! The cost of a message to a shard: the queue alone, and the hop to a sleeping thread.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use pregon::engine::session::outbox::Class;
use pregon::engine::shard::port::{Except, Inbox, Publication, ToShard};
use pregon::protocol::form::FrameSet;
use support::rooms::topic;

mod support;

fn publication() -> Arc<Publication> {
    Arc::new(Publication {
        topic: topic(1),
        frames: FrameSet::new(Bytes::from_static(&[0; 113])),
        class: Class::Ephemeral,
        except: Except::Nobody,
        origin: None,
        born: Instant::now(),
    })
}

/// Into the inbox and out of it on one thread: the cost of a message while the shard is awake.
fn queue(criterion: &mut Criterion) {
    let inbox = Inbox::default();
    let publication = publication();
    criterion.bench_function("mailbox/send and pop", |bencher| {
        bencher.iter(|| {
            inbox.send(ToShard::Publish(publication.clone()));
            black_box(inbox.pop())
        });
    });
}

/// There and back between two shards' runtimes that both sleep until the message comes; half of it is one hop.
fn hop(criterion: &mut Criterion) {
    let inboxes = [Arc::new(Inbox::default()), Arc::new(Inbox::default())];
    let echo = std::thread::spawn({
        let [mine, other] = inboxes.clone();
        move || {
            runtime().block_on(async {
                while let ToShard::Publish(publication) = next(&mine).await {
                    other.send(ToShard::Publish(publication));
                }
            });
        }
    });
    let [other, mine] = inboxes;
    let runtime = runtime();
    let publication = publication();
    criterion.bench_function("mailbox/hop to a sleeping shard", |bencher| {
        bencher.iter_custom(|hops| {
            let started = Instant::now();
            runtime.block_on(async {
                for _ in 0..hops.div_ceil(2) {
                    other.send(ToShard::Publish(publication.clone()));
                    black_box(next(&mine).await);
                }
            });
            started.elapsed()
        });
    });
    other.send(ToShard::Drain(Duration::ZERO));
    echo.join().expect("the other thread ends when it is told to drain");
}

/// The runtime of a shard.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn next(inbox: &Inbox) -> ToShard {
    loop {
        if let Some(message) = inbox.pop() {
            return message;
        }
        std::future::poll_fn(|context| inbox.poll_ready(context.waker())).await;
    }
}

criterion_group!(benches, queue, hop);
criterion_main!(benches);
