//! What every store of checkpoints must do: run against the file, and against stand-ins of DynamoDB that nobody here wrote.
//!
//! Each check has consumers of its own, so that all may run on one store.

mod case;
mod changes;
mod commits;
mod keeping;
mod races;
mod runs;

use std::sync::Arc;
use std::time::Duration;

pub use changes::{
    a_change_made_again_succeeds, a_consumer_without_a_past_has_no_head, a_reset_gives_up_what_is_open, a_stale_version_changes_nothing,
    iterations_follow_on_one_another, numbers_are_never_used_twice, what_makes_no_sense_is_refused,
};
pub use commits::{
    a_commit_made_again_succeeds, a_commit_of_several_is_all_or_nothing, a_commit_of_several_made_again_succeeds,
    a_fenced_owner_commits_nothing,
};
pub use keeping::{
    a_deleted_consumer_is_forgotten, consumers_are_listed, odd_names_are_names, thousands_of_shards_fit, what_is_given_up_does_not_pile_up,
    what_is_superseded_goes_in_time, what_was_given_up_goes_in_time,
};
#[cfg(test)]
pub(crate) use races::{Raced, race};
pub use races::{deliveries_at_once_are_all_counted, one_of_many_wins_each_number, one_of_many_wins_the_first};
pub use runs::{a_run_is_delivered_by_parts, a_run_of_the_same_text_replaces_it, runs_belong_to_an_owner};

use super::{Violation, both, checks};
use crate::WallClock;
use crate::checkpoints::CheckpointStore;

/// Where checkpoints are kept, to be checked.
pub trait CheckpointService: Send + Sync {
    /// A store with a time for which superseded iterations are kept, and a clock. It need not see what another one holds.
    fn store(&self, keep: Duration, clock: WallClock) -> Arc<dyn CheckpointStore>;
}

/// Runs every check.
///
/// # Errors
/// All violations, each with the check's name.
pub async fn run_checkpoints(service: &dyn CheckpointService) -> Result<(), Vec<Violation>> {
    let store = service.store(crate::checkpoints::DEFAULT_KEEP, WallClock::default());
    let rules = run_checkpoint_rules(service).await;
    let races = checks!(
        &store,
        deliveries_at_once_are_all_counted,
        one_of_many_wins_the_first,
        one_of_many_wins_each_number,
    );
    both(rules, races)
}

/// Runs the checks in which nobody is in anybody's way: they hold even where replies are lost.
///
/// # Errors
/// All violations, each with the check's name.
pub async fn run_checkpoint_rules(service: &dyn CheckpointService) -> Result<(), Vec<Violation>> {
    let store = service.store(crate::checkpoints::DEFAULT_KEEP, WallClock::default());
    let rules = checks!(
        &store,
        a_consumer_without_a_past_has_no_head,
        iterations_follow_on_one_another,
        a_stale_version_changes_nothing,
        a_change_made_again_succeeds,
        a_reset_gives_up_what_is_open,
        numbers_are_never_used_twice,
        what_makes_no_sense_is_refused,
        a_fenced_owner_commits_nothing,
        a_commit_made_again_succeeds,
        a_commit_of_several_is_all_or_nothing,
        a_commit_of_several_made_again_succeeds,
        a_run_is_delivered_by_parts,
        a_run_of_the_same_text_replaces_it,
        runs_belong_to_an_owner,
        consumers_are_listed,
        a_deleted_consumer_is_forgotten,
        odd_names_are_names,
        thousands_of_shards_fit,
        what_is_given_up_does_not_pile_up,
    );
    let keeping = checks!(service, what_is_superseded_goes_in_time, what_was_given_up_goes_in_time);
    both(rules, keeping)
}
