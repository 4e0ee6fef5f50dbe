//! What Kinesis promises, asked through the AWS SDK, of our own service and of services that nobody here wrote.
//!
//! A promise is a function of a service; the table at the end makes it a test for each. Where a service is listed to break a promise
//! ([`integration_tests::backends::Deviation`]), the test wants to see it broken, so that the list stays true.

mod fan_out;
mod iterators;
mod lifecycle;
mod paging;
mod records;
mod resharding;
mod routing;
mod service;
mod shard_listing;
mod tail;
mod throttling;
mod validation;

use std::pin::Pin;
use std::time::Duration;

use integration_tests::backends::{Backend, Deviation};
use service::{Checked, Failure, Service};

/// A promise may take this long; a service that hangs fails it.
const TIMEOUT: Duration = Duration::from_secs(150);

type Check = for<'s> fn(&'s Service) -> Pin<Box<dyn Future<Output = Checked> + Send + 's>>;

fn examine(backend: Backend, promise: &str, broken_by: &[Deviation], check: Check) {
    let running = backend.shared().unwrap_or_else(|error| panic!("{error:#}"));
    let expected: Vec<_> = backend
        .deviations()
        .iter()
        .filter(|deviation| broken_by.contains(deviation))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let outcome = runtime.block_on(async {
        let service = Service::new(backend, running);
        let outcome = match tokio::time::timeout(TIMEOUT, check(&service)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Service(format!("no answer within {TIMEOUT:?}"))),
        };
        service.delete_streams().await;
        outcome
    });
    let output = || running.output().unwrap_or_default();
    match (outcome, expected.is_empty()) {
        (Ok(()), true) => {}
        // what depends on the service's timing may be kept by chance
        (Ok(()), false) if expected.iter().any(|deviation| !deviation.is_certain()) => {}
        (Ok(()), false) => panic!("{backend:?} keeps {promise} although it is listed to break it by {expected:?}: correct the list"),
        (Err(Failure::Broken(reason)), false) => println!("{backend:?} breaks {promise} as listed ({expected:?}): {reason}"),
        (Err(Failure::Broken(reason)), true) => panic!("{backend:?} breaks {promise}: {reason}\n{}", output()),
        (Err(Failure::Service(reason)), _) => panic!("{backend:?}, asked for {promise}: {reason}\n{}", output()),
    }
}

/// The same of our own service by boto3, which reads the frames of events by code of its own.
#[test]
fn boto3_reads_the_subscriptions_of_the_embedded_service() {
    let running = Backend::Embedded.shared().unwrap();
    integration_tests::server::run_script("fan_out.py", &[&running.endpoint]).unwrap();
}

/// One module of tests for each service.
macro_rules! promises {
    ($($module:ident::$check:ident $([$($deviation:ident),+])?;)+) => {
        promises!(@service embedded, Embedded, [$($module::$check [$($($deviation),+)?])+]);
        promises!(@service ferrokinesis, Ferrokinesis, [$($module::$check [$($($deviation),+)?])+]);
        promises!(@service roto, Roto, [$($module::$check [$($($deviation),+)?])+]);
        promises!(@service ministack, Ministack, [$($module::$check [$($($deviation),+)?])+]);
        promises!(@service kinesis_local, KinesisLocal, [$($module::$check [$($($deviation),+)?])+]);
    };
    (@service $name:ident, $backend:ident, [$($module:ident::$check:ident [$($deviation:ident),*])+]) => {
        mod $name {
            $(
                #[test]
                fn $check() {
                    super::examine(
                        super::Backend::$backend,
                        stringify!($check),
                        &[$(super::Deviation::$deviation),*],
                        |service| Box::pin(super::$module::$check(service)),
                    );
                }
            )+
        }
    };
}

promises! {
    lifecycle::a_stream_is_created_described_listed_and_deleted;
    lifecycle::a_name_is_taken_once;
    lifecycle::an_unknown_stream_is_not_found;
    lifecycle::a_stream_on_demand_has_four_shards [OnDemandRefused, OnDemandOneShard];
    lifecycle::retention_goes_up_and_down_within_its_bounds;
    lifecycle::an_arn_names_a_stream_in_every_call [ArnRefused];

    routing::shards_divide_the_whole_key_space;
    routing::partition_keys_go_where_their_md5_lies;
    routing::an_explicit_hash_key_wins_over_the_partition_key;

    records::sequence_numbers_increase_and_reading_follows_them;
    records::sequence_numbers_have_56_digits [ShortSequenceNumbers];
    records::records_come_back_byte_for_byte;
    records::a_batch_answers_for_each_entry_in_order;
    records::arrival_times_are_in_milliseconds [ArrivalInWholeSeconds];

    iterators::trim_horizon_starts_at_the_first_record;
    iterators::latest_starts_after_the_last_record;
    iterators::at_sequence_number_includes_the_record;
    iterators::after_sequence_number_excludes_the_record;
    iterators::at_timestamp_is_exact_to_the_millisecond [ArrivalInWholeSeconds];
    iterators::at_timestamp_before_the_first_record_starts_there;
    iterators::at_timestamp_after_the_last_record_finds_nothing [TimestampAfterLastReadsAll];
    iterators::an_iterator_gives_the_same_page_again;
    iterators::an_iterator_that_is_none_is_refused [BadIteratorOtherError];
    iterators::an_iterator_of_an_unknown_shard_is_not_found;

    paging::limit_cuts_pages_that_join_without_a_seam;
    paging::a_page_holds_ten_thousand_records_at_most;
    paging::a_page_holds_ten_megabytes_at_most [NoPageByteCap];
    paging::a_limit_beyond_ten_thousand_is_refused [LimitUnchecked];
    paging::an_empty_shard_answers_empty_pages_at_its_tip;
    paging::millis_behind_latest_tells_a_lag [NeverBehind];

    shard_listing::pages_join_to_the_whole_list [NextTokenBroken];
    shard_listing::after_shard_id_lists_the_rest [ShardFilterIgnored];
    shard_listing::at_latest_lists_open_shards_only [ShardFilterIgnored, ClosedShardsDeleted];
    shard_listing::at_timestamp_lists_what_was_open_then [TimeFilterListsClosed, ShardFilterIgnored, TimeShardFilterRefused, ClosedShardsDeleted];
    shard_listing::from_timestamp_lists_what_was_open_since [TimeFilterListsClosed, ShardFilterIgnored, TimeShardFilterRefused, ClosedShardsDeleted];
    shard_listing::from_trim_horizon_lists_closed_shards_too [ClosedShardsDeleted];

    resharding::a_split_closes_the_parent_and_divides_its_range [ClosedShardsDeleted];
    resharding::a_merge_closes_both_parents [ClosedShardsDeleted];
    resharding::records_go_to_the_children_after_a_split;
    resharding::a_closed_shard_stays_readable_and_ends [ClosedShardsDeleted];
    resharding::the_end_of_a_shard_names_its_children [ClosedShardsDeleted, NoChildShards];
    resharding::update_shard_count_leaves_a_lineage [ClosedShardsDeleted, UpdateWithoutLineage];
    resharding::update_shard_count_at_most_doubles [UpdateBeyondDouble];
    resharding::only_open_shards_and_neighbours_are_resharded [MergeUnchecked];

    validation::more_than_500_records_are_refused [BatchCountUnchecked];
    validation::a_record_beyond_one_mebibyte_is_refused;
    validation::partition_keys_have_1_to_256_characters;
    validation::an_explicit_hash_key_is_a_128_bit_number [ExplicitHashKeyUnchecked];
    validation::an_empty_batch_is_refused [EmptyBatchAccepted];

    fan_out::a_consumer_is_registered_listed_and_deregistered [ConsumerWithoutStream];
    fan_out::a_stream_with_consumers_is_deleted_by_force_only [DeletesWithConsumers];
    fan_out::a_subscription_pushes_records_as_they_come [NoSubscriptions];
    fan_out::a_subscription_starts_where_it_is_told [NoSubscriptions, SubscriptionsStartAtHorizon];
    fan_out::a_subscription_goes_on_after_its_continuation [NoSubscriptions, SubscriptionsStartAtHorizon];
    fan_out::an_idle_subscription_beats_and_advances [NoSubscriptions, SubscriptionsStartAtHorizon, IdleContinuationStands];
    fan_out::the_end_of_a_shard_ends_its_subscription_and_names_its_children [NoSubscriptions, SubscriptionEndUntold];
    fan_out::consumer_and_shard_have_one_subscription [NoSubscriptions, SubscriptionsNotExclusive, SubscriptionsRefusedByEvent];

    tail::four_writers_and_a_tailing_reader_agree;
}
