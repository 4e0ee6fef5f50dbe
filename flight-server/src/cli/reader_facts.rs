//! The shared readers' figures, for `/metrics`.

use std::sync::Arc;

use prometheus_client::metrics::MetricType;
use shard_reader::SegmentCounters;

use crate::cluster::{Cluster, ClusterFigures};
use crate::engine::Engine;
use crate::http::{ConsumerSample, Facts, ShardSample};

/// All readers of the process.
#[derive(Debug)]
pub(super) struct ReaderFacts {
    pub(super) engine: Arc<Engine>,
    /// The other nodes, if there are any.
    pub(super) cluster: Option<Arc<Cluster>>,
}

impl Facts for ReaderFacts {
    fn totals(&self) -> Vec<(&'static str, &'static str, MetricType, u64)> {
        let counters = self.engine.readers().counters();
        let consumers = self.engine.consumers().counts();
        let written = self.engine.written().now();
        let mut totals = vec![
            (
                "records_written",
                "Records put into streams and acknowledged",
                MetricType::Counter,
                written.records,
            ),
            (
                "bytes_written",
                "Bytes of records put into streams: data and partition keys",
                MetricType::Counter,
                written.bytes,
            ),
            (
                "records_put_again",
                "Records that a stream refused at first, and that were put again",
                MetricType::Counter,
                written.retried,
            ),
            (
                "checkpoint_iterations_opened",
                "Iterations of checkpoints that were opened",
                MetricType::Counter,
                consumers.opened,
            ),
            (
                "checkpoint_commits",
                "Iterations of checkpoints that were committed",
                MetricType::Counter,
                consumers.committed,
            ),
            (
                "checkpoint_conflicts",
                "Commits that another owner of the iteration had fenced",
                MetricType::Counter,
                consumers.conflicts,
            ),
            (
                "checkpoint_refusals",
                "Commits refused for want of delivery, or because the store could not be reached",
                MetricType::Counter,
                consumers.refused,
            ),
            (
                "get_records_calls",
                "GetRecords calls, failed ones too",
                MetricType::Counter,
                counters.get_records_calls,
            ),
            (
                "records_fetched",
                "Records received from Kinesis",
                MetricType::Counter,
                counters.records_fetched,
            ),
            (
                "records_refetched",
                "Records received once more",
                MetricType::Counter,
                counters.records_refetched,
            ),
            (
                "aggregate_look_alikes",
                "Records received that begin like a KPL aggregate and are none",
                MetricType::Counter,
                counters.aggregate_look_alikes,
            ),
            (
                "bytes_fetched",
                "Bytes of payloads and partition keys received from Kinesis",
                MetricType::Counter,
                counters.bytes_fetched,
            ),
            (
                "throttles",
                "Calls that Kinesis refused for their rate",
                MetricType::Counter,
                counters.throttles,
            ),
            (
                "iterator_expiries",
                "Iterators that expired",
                MetricType::Counter,
                counters.iterator_expiries,
            ),
            (
                "gaps",
                "Times that records which were to be read were gone",
                MetricType::Counter,
                counters.gaps,
            ),
            (
                "bytes_from_cache",
                "Bytes handed to statements from memory",
                MetricType::Counter,
                counters.bytes_from_cache,
            ),
            (
                "bytes_from_kinesis",
                "Bytes handed to statements that were fetched for them",
                MetricType::Counter,
                counters.bytes_from_kinesis,
            ),
            (
                "bad_records",
                "Bad records that statements met, once for each definition",
                MetricType::Counter,
                self.engine.bad_records(),
            ),
            (
                "fan_out_subscriptions",
                "Subscriptions to shards that began",
                MetricType::Counter,
                counters.subscriptions,
            ),
            (
                "fan_out_resubscriptions",
                "Of these, those that followed one that had ended after its time",
                MetricType::Counter,
                counters.resubscriptions,
            ),
            (
                "fan_out_fallbacks",
                "Times that polling took over from fan-out",
                MetricType::Counter,
                counters.fallbacks,
            ),
            ("fan_out_events", "Events that were pushed", MetricType::Counter, counters.events),
            (
                "evictions",
                "Segments dropped for lack of memory",
                MetricType::Counter,
                counters.evictions,
            ),
            (
                "records_outside_event_time",
                "Records read whose time lies further from their arrival than event_time of their table says",
                MetricType::Counter,
                self.engine.promises().outside_event_time().values().sum(),
            ),
            (
                "held_bytes",
                "Bytes of records and decoded columns in memory",
                MetricType::Gauge,
                counters.held_bytes,
            ),
        ];
        totals.extend(self.engine.readers().segment_counters().iter().flat_map(stored));
        let cluster = self.cluster.as_ref();
        totals.extend(of_cluster(&cluster.map_or(ClusterFigures::ALONE, |cluster| cluster.figures())));
        totals
    }

    fn consumers(&self) -> Vec<ConsumerSample> {
        let lags = self.engine.consumers().lags().into_iter();
        lags.map(|(consumer, lag_ms)| ConsumerSample {
            checkpoint: consumer.name.to_string(),
            stream: consumer.stream.to_string(),
            lag_ms,
        })
        .collect()
    }

    fn shards(&self) -> Vec<ShardSample> {
        let streams = self.engine.readers().streams();
        let shards = streams
            .iter()
            .flat_map(|stream| stream.shards().into_iter().map(|shard| (stream.name().to_owned(), shard)));
        let sample = |(stream, shard): (String, shard_reader::ShardFacts)| ShardSample {
            stream,
            shard: shard.info.id.to_string(),
            lag_ms: shard.millis_behind,
            records: shard.counters.records_fetched,
            bytes: shard.counters.bytes_fetched,
            calls: shard.counters.get_records_calls,
            throttles: shard.counters.throttles,
            expiries: shard.counters.iterator_expiries,
            gaps: shard.counters.gaps,
            held_records: shard.records,
            held_bytes: shard.bytes,
            segments: shard.segments as u64,
            scans: shard.scans as u64,
        };
        shards.map(sample).collect()
    }
}

/// Of segments on disk.
fn stored(counters: &SegmentCounters) -> Vec<(&'static str, &'static str, MetricType, u64)> {
    use MetricType::{Counter, Gauge};
    vec![
        ("stored_segments", "Segments on disk", Gauge, counters.files),
        ("stored_bytes", "Bytes of segments on disk", Gauge, counters.disk_bytes),
        ("segments_written", "Segments written to disk", Counter, counters.written),
        ("segment_bytes_written", "Bytes written to disk", Counter, counters.written_bytes),
        ("segment_parts_loaded", "Parts of segments read from disk", Counter, counters.loaded),
        (
            "segment_bytes_loaded",
            "Bytes of payloads and partition keys read from disk",
            Counter,
            counters.loaded_bytes,
        ),
        (
            "segments_damaged",
            "Segments dropped because they were damaged",
            Counter,
            counters.damaged,
        ),
        (
            "segments_deleted",
            "Segments deleted: past retention, merged, or for lack of disk",
            Counter,
            counters.deleted,
        ),
        ("segments_uploaded", "Segments copied to object storage", Counter, counters.uploaded),
        (
            "segments_fetched",
            "Segments fetched from object storage",
            Counter,
            counters.fetched,
        ),
        (
            "segment_disk_failures",
            "Failed writes and deletions of segments",
            Counter,
            counters.disk_failures,
        ),
        (
            "segment_store_failures",
            "Failed calls of object storage",
            Counter,
            counters.store_failures,
        ),
        (
            "segment_runs_not_kept",
            "Runs of records dropped from memory before they were on disk",
            Counter,
            counters.not_kept,
        ),
    ]
}

/// Of nodes that share the work.
fn of_cluster(figures: &ClusterFigures) -> Vec<(&'static str, &'static str, MetricType, u64)> {
    use MetricType::{Counter, Gauge};
    vec![
        ("cluster_members", "Nodes that are listed, this one too", Gauge, figures.members),
        ("cluster_live", "Nodes that answer, this one too", Gauge, figures.live),
        (
            "cluster_pins_asked",
            "Shards that other nodes were asked to pin",
            Counter,
            figures.pins_asked,
        ),
        (
            "cluster_pins_failed",
            "Of these, those that they did not pin, so that this node did",
            Counter,
            figures.pins_failed,
        ),
        ("cluster_pins_served", "Shards pinned for other nodes", Counter, figures.pins_served),
        ("cluster_tasks", "Tasks of other nodes' statements", Counter, figures.tasks),
        (
            "cluster_relayed_calls",
            "Calls of clients relayed to the nodes that hold their sessions",
            Counter,
            figures.relayed,
        ),
    ]
}
