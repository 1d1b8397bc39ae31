//! The metrics registry: what is measured, in which buckets, and how Prometheus reads it.

pub mod alarm;
mod thinned;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use thinned::{
    handshake_refused, limit_hit, push_refused, session_let_go, tell_left_out, tls_refused, wrong_admin_key,
};

/// Seconds: from a microsecond to ten seconds.
const SECONDS: &[f64] = &[
    0.000_001, 0.000_01, 0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Buckets for the number of writes in a batch.
const BATCH: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Installs the registry of the process. A second call returns another registry, which stays empty.
pub fn install() -> Registry {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batch_size".into()), BATCH))
        .unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
        metrics::gauge!("pregon_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    }
    let process = metrics_process::Collector::default();
    process.describe();
    Registry { handle, process }
}

/// Everything that was measured so far.
#[derive(Clone)]
pub struct Registry {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// The measurements as Prometheus reads them, with the process's own figures as they are now.
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Keeps histograms from growing. To be called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn describe() {
    describe_gauge!("pregon_sessions", "Open sessions of a shard.");
    describe_gauge!("pregon_feed_sessions", "Open feed sockets of a shard.");
    describe_gauge!("pregon_feeds", "Users with feed sockets on a shard.");
    describe_gauge!("pregon_feed_subscriptions", "Whom the feeds of a shard hear, together.");
    describe_gauge!("pregon_rooms", "Rooms, posts, feeds and notifications with listeners on a shard.");
    describe_gauge!("pregon_inbox_depth", "Messages that wait in a shard's inbox.");
    describe_gauge!("pregon_outbox_high_water_bytes", Unit::Bytes, "Most that one session owed in the last moment.");
    describe_gauge!("pregon_chunk_bytes", Unit::Bytes, "Memory in chunks of frames that wait.");
    describe_gauge!("pregon_debt_bytes", Unit::Bytes, "Memory of frames copied for sessions whose sockets are full.");
    describe_gauge!("pregon_token_keys", "Keys that check tokens, of a file of keys.");
    describe_counter!("pregon_token_key_reloads_total", "Changes of the file of keys, by whether its keys were taken.");
    describe_gauge!("pregon_memory_bound_bytes", Unit::Bytes, "What may wait in memory, by part.");
    describe_gauge!("pregon_memory_used_bytes", Unit::Bytes, "What waits in memory, by part.");
    describe_counter!("pregon_shed_total", "What was refused or let go for want of room, by what it was.");
    describe_counter!("pregon_sessions_stale_total", "Sessions reset by a fault of this program: please report it.");
    describe_counter!("pregon_frames_in_total", "Messages and control frames from clients.");
    describe_counter!("pregon_bytes_in_total", Unit::Bytes, "Bytes from clients' sockets.");
    describe_counter!("pregon_frames_out_total", "Deliveries: publications put into outboxes.");
    describe_counter!("pregon_bytes_out_total", Unit::Bytes, "Bytes that sockets took.");
    describe_counter!("pregon_deflate_texts_total", "Texts for clients that know compression, by what became of them.");
    describe_counter!(
        "pregon_deflate_bytes_total",
        Unit::Bytes,
        "Their bytes, before and after, once for all who listen."
    );
    describe_counter!("pregon_deflate_microseconds_total", Unit::Microseconds, "Time that compressing them took.");
    describe_counter!("pregon_inflate_messages_total", "Messages of clients that came compressed.");
    describe_counter!("pregon_inflate_bytes_total", Unit::Bytes, "Their bytes, before and after they were inflated.");
    describe_counter!("pregon_inflate_microseconds_total", Unit::Microseconds, "Time that inflating them took.");
    describe_counter!("pregon_writes_total", "Writes to sockets; deliveries per write is what coalescing gives.");
    describe_counter!("pregon_sessions_admitted_total", "Handshakes that became sessions.");
    describe_counter!("pregon_sessions_refused_total", "Handshakes that were refused inside their socket.");
    describe_counter!("pregon_frames_refused_total", "Frames of clients that came too fast, by kind.");
    describe_counter!("pregon_frames_faulty_total", "Frames of clients that are no request, and got an error.");
    describe_counter!(
        "pregon_frames_skipped_total",
        "Typing, presence and signals not given to sockets that are behind."
    );
    describe_counter!("pregon_sessions_too_slow_total", "Sessions let go with 4008.");
    describe_gauge!("pregon_sessions_by_kind", "Open sessions of a shard by what they listen to.");
    describe_counter!("pregon_closes_total", "Sessions that ended, by the close code and by who ended them.");
    describe_counter!("pregon_sessions_let_go_total", "Sessions that the server ended, by why.");
    describe_counter!("pregon_errands_total", "What sockets of `pregon.v1` had looked up, by what it was.");
    describe_counter!("pregon_errand_queries_total", "Queries for that to the database, for all at once.");
    describe_counter!("pregon_handshakes_refused_total", "Handshakes that were refused, by why.");
    describe_counter!("pregon_limits_hit_total", "Requests and sockets that a limit refused or held back, by limit.");
    describe_histogram!(
        "pregon_delivery_seconds",
        Unit::Seconds,
        "From the commit, or from what caused it, to the sockets."
    );
    describe_counter!("pregon_logins_total", "Attempts to log in by how they came out.");
    describe_counter!("pregon_frames_coalesced_total", "Frames that were never sent, since a later one said more.");
    describe_histogram!("pregon_turn_seconds", Unit::Seconds, "One turn of a shard's loop that wrote something.");
    describe_gauge!("pregon_lane_queue", "Writes that wait for a lane.");
    describe_histogram!("pregon_lane_batch_size", "Writes of one transaction.");
    describe_histogram!("pregon_lane_commit_seconds", Unit::Seconds, "One transaction, from BEGIN to COMMIT.");
    describe_counter!("pregon_lane_writes_total", "Writes by how they came out.");
    describe_gauge!("pregon_django_redis", "1: Django's channel layer is listened to; 0: its Redis is away.");
    describe_counter!("pregon_lane_retries_total", "Batches that began anew.");
    describe_gauge!("pregon_nodes_seen", "MySQL: servers on this database; 0: it could not be found out.");
    describe_counter!("pregon_admin_requests_total", "What operators asked, by verb and how it came out.");
    describe_counter!("pregon_admin_sessions_total", "Sessions that operators told something, cut, or had move.");
    describe_push();
    describe_others();
    describe_counter!("pregon_tls_handshakes_total", "TLS handshakes by what became of them.");
    describe_gauge!("pregon_tls_handshakes_under_way", "TLS handshakes that have begun and not ended.");
    describe_counter!("pregon_tls_refused_total", "TLS handshakes that came to nothing, by why.");
    describe_gauge!(
        "pregon_tls_certificate_not_after_seconds",
        Unit::Seconds,
        "When the certificate ends (Unix time)."
    );
    describe_counter!("pregon_tls_certificate_reads_total", "How often the certificate was read, by how it came out.");
    describe_gauge!("pregon_wal_bytes", Unit::Bytes, "SQLite's write-ahead log.");
    describe_gauge!("pregon_database_bytes", Unit::Bytes, "SQLite's file.");
    describe_counter!("pregon_http_requests_total", "REST requests by method, route and status.");
    describe_histogram!("pregon_http_request_seconds", Unit::Seconds, "A REST request, until its answer is made.");
    describe_counter!("pregon_answers_refused_total", "Answers that were 503 since too many waited for their readers.");
    describe_counter!("pregon_media_removed_total", "Files that no row named any more.");
    describe_counter!("pregon_feed_lists_total", "Lists of whom a user hears, by where they came from.");
    describe_gauge!("pregon_io", "1 for the back end by which frames leave.");
    describe_gauge!("pregon_build_info", "1, with the version.");
    describe_gauge!("pregon_rate_limits", "1: rates are limited; 0: they are not, as for load tests.");
}

fn describe_push() {
    describe_counter!("pregon_push_topics_total", "Topics with something to be pushed, by what became of them.");
    describe_counter!("pregon_push_skipped_total", "Browsers that were not told since their user has a socket.");
    describe_counter!("pregon_push_total", "Attempts to send a push, by how they came out.");
    describe_gauge!("pregon_push_waiting", "What waits to be pushed, or is sent, by queue.");
    describe_histogram!("pregon_push_seconds", Unit::Seconds, "From the commit until the push service took the push.");
}

/// Other nodes, and Django.
fn describe_others() {
    describe_gauge!("pregon_django_groups", "Groups of Django's channel layer with listeners here.");
    describe_counter!("pregon_django_bells_total", "Messages of the channel layer by what became of them.");
    describe_counter!("pregon_django_adopted_total", "Rows Django added, by the node that gave them their places.");
    describe_histogram!("pregon_django_tail_seconds", Unit::Seconds, "One look for rows that Django added.");
    describe_histogram!(
        "pregon_django_follows_seconds",
        Unit::Seconds,
        "One look at whom users with open feeds follow."
    );
    describe_gauge!("pregon_bus_up", "Several nodes: 1 while all connections to Redis work.");
    describe_gauge!("pregon_bus_peers", "Several nodes: the others that are heard.");
    describe_counter!("pregon_bus_appended_total", "Events given to other nodes by Redis.");
    describe_histogram!("pregon_bus_append_seconds", Unit::Seconds, "One pipeline of events to Redis.");
    describe_histogram!(
        "pregon_bus_lag_seconds",
        Unit::Seconds,
        "From an event's time on its node to its coming here."
    );
    describe_counter!("pregon_bus_dropped_total", "What the queue to Redis, or the one from it, had no room for.");
    describe_counter!("pregon_bus_unreadable_total", "Entries and bells that cannot be read: another version?");
    describe_counter!("pregon_bus_looks_total", "Looks at the log for what did not come by Redis.");
    describe_counter!(
        "pregon_sequence_total",
        "Events of other nodes: doubled, holes, fills from the log, lost; topics forgotten too early."
    );
    describe_gauge!("pregon_sequence_held", "Events that wait for those before them.");
}
