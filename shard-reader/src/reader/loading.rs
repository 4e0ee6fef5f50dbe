//! Loading from disk: what scans ask for and a file has, without a call and outside of the budget of calls.
//!
//! A task beside the shard's own, so that neither waits for the other; it ends when no scan wants anything of it. Like a backfill it is driven by demand:
//! at most two parts of files ahead of the furthest scan.

use std::sync::Arc;

use super::context::StreamContext;
use super::shard::{Horizon, Shard};
use crate::Position;
use crate::segments::{Held, Part, StoredShard, blocking};

/// Says that the task has ended, however it did.
struct Running {
    shard: Arc<Shard>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shard.state.lock().loading = false;
        self.shard.changed();
    }
}

impl StreamContext {
    /// Sees to it that what a scan waits for is loaded, or fetched.
    pub(super) fn wake_for_scan(self: &Arc<Self>, shard: &Arc<Shard>) -> Result<(), super::error::ReadError> {
        let wanted = shard.state.lock().wanted(self.cutoff_ms());
        if wanted.load.is_some() {
            self.start_loading(shard);
        }
        if wanted.fetch.is_some() || wanted.load.is_none() {
            self.wake(shard)?;
        }
        Ok(())
    }

    pub(super) fn start_loading(self: &Arc<Self>, shard: &Arc<Shard>) {
        let mut state = shard.state.lock();
        if !std::mem::replace(&mut state.loading, true) {
            // the tracker belongs to the stream's reader, which ends its tasks when it ends
            drop(self.tasks.spawn(load(Arc::clone(self), Arc::clone(shard))));
        }
    }
}

async fn load(context: Arc<StreamContext>, shard: Arc<Shard>) {
    let running = Running { shard: Arc::clone(&shard) };
    let all = async {
        while let Some(point) = wanted(&context, &shard) {
            if let Some(part) = part_at(&context, &shard, point).await {
                let mut state = shard.state.lock();
                state.coverage.insert_loaded(part.from, part.to, &part.records, &shard.maker);
                state.loaded_from(point);
                state.hand_over(part.from, part.to);
                drop(state);
                shard.changed();
                context.shared.budget.reclaim();
            }
        }
    };
    let _ = context.stop.run_until_cancelled(all).await;
    drop(running);
    // what could not be loaded is fetched; whoever came since has found the task running
    let left = shard.state.lock().wanted(context.cutoff_ms());
    if left.load.is_some() || left.fetch.is_some() {
        // that the reader has ended is what the scans find out for themselves
        let _ = context.wake_for_scan(&shard);
    }
}

fn wanted(context: &StreamContext, shard: &Shard) -> Option<Position> {
    shard.state.lock().wanted(context.cutoff_ms()).load
}

/// The part of a file that holds a point. `None`: not there any more, or not yet.
async fn part_at(context: &StreamContext, shard: &Shard, point: Position) -> Option<Part> {
    let storage = shard.state.lock().storage.clone()?;
    let files = storage.files;
    match files.held_at(point, context.cutoff_ms())? {
        Held::Leaving(part) => {
            shard.state.lock().save_soon();
            Some(*part)
        }
        Held::Disk => {
            let _turn = storage.stream.store().loads().acquire().await.ok()?;
            from_disk(&files, point).await
        }
        Held::Store(name) => {
            let store = storage.stream.store();
            let _turn = store.loads().acquire().await.ok()?;
            files.fetch(name).await;
            // before there is no room for it
            let part = from_disk(&files, point).await;
            let store = Arc::clone(store);
            // that it cannot be done is logged and counted there
            let _ = blocking(move || store.reclaim()).await;
            part
        }
    }
}

async fn from_disk(files: &Arc<StoredShard>, point: Position) -> Option<Part> {
    let reader = Arc::clone(files);
    match blocking(move || reader.load(point)).await {
        Ok(part) => part,
        Err(error) => {
            files.drop_at(point, &error);
            None
        }
    }
}

impl Shard {
    /// Whether object storage is to be asked again.
    pub(super) fn lists_are_due(&self) -> bool {
        let state = self.state.lock();
        state.storage.as_ref().is_some_and(|storage| storage.files.list_is_due())
    }

    /// Takes up what an earlier process, or another node, has stored, where this one knows nothing yet: where the shard begins and ends, and where
    /// reading on begins. All of it is checked by use: the record at the tail must be there, the oldest within retention.
    ///
    /// Not while the shard's task runs, which knows better.
    pub(super) fn take_up(&self) {
        let open = self.info.lock().ending_sequence.is_none();
        let mut state = self.state.lock();
        let Some(storage) = &state.storage else { return };
        let remembered = storage.files.remembered();
        if state.horizon.is_none() {
            state.horizon = remembered.first.map(|first| Horizon {
                start: first.start,
                arrival_ms: Some(first.arrival_ms),
                observed: None,
            });
        }
        // of a closed shard the end is known, or its bound: it need not be looked for from here
        if state.tail.is_none() && open {
            state.tail = remembered.last_end;
        }
        drop(state);
        self.take_up_end();
    }

    /// Takes up where the shard has ended, if the service says that it has.
    pub(super) fn take_up_end(&self) {
        let Some(ending) = self.info.lock().ending_sequence else { return };
        let mut state = self.state.lock();
        let Some(storage) = &state.storage else { return };
        let end = storage.files.remembered().end;
        if let Some(end) = end.filter(|end| state.closed_at.is_none() && end.sequence().is_some_and(|last| last <= ending)) {
            state.close_at(end);
        }
    }
}
