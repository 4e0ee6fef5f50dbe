//! Writing what was fetched to disk, behind the tail and never in its way.
//!
//! One task per stream. A shard is due when enough of its records are not on disk, when the first of these has waited long enough, when the shard has
//! ended, or when memory has no room for some of them. Runs that touch become one file.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::context::StreamContext;
use super::shard::{Shard, ShardState};
use crate::segments::{FileName, FirstRecord, Run, Saved, SegmentStore, StoredShard, StoredStream, Upload, blocking, is_storable};
use crate::{Position, ShardId};

/// What is not on disk at the end has so long to get there.
const FLUSH: Duration = Duration::from_secs(3);
/// And to object storage.
const LAST_UPLOADS: Duration = Duration::from_secs(4);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(30);
/// Files whose records have expired are looked for so often.
const SWEEP: Duration = Duration::from_secs(600);
/// Files that wait to be copied to object storage; more are left to the next list.
const UPLOADS: usize = 256;

/// Stored segments of a stream, and which shards are to be written when.
#[derive(Debug)]
pub(super) struct StreamStorage {
    store: Arc<SegmentStore>,
    stream: Arc<StoredStream>,
    due: Mutex<BTreeSet<(Instant, ShardId)>>,
    changed: Notify,
    /// Until the writer has ended.
    uploads: Mutex<Option<mpsc::Sender<Upload>>>,
    queue: Mutex<Option<mpsc::Receiver<Upload>>>,
}

/// Stored segments of a shard.
#[derive(Clone, Debug)]
pub(super) struct ShardStorage {
    pub(super) files: Arc<StoredShard>,
    pub(super) stream: Arc<StreamStorage>,
}

/// What of a shard is not on disk.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    since: Option<Instant>,
    bytes: u64,
    /// Everything is to be written, whatever its size and age.
    urgent: bool,
}

impl StreamStorage {
    pub(super) fn new(store: Arc<SegmentStore>, stream: Arc<StoredStream>) -> Arc<Self> {
        let (uploads, queue) = mpsc::channel(UPLOADS);
        Arc::new(Self {
            store,
            stream,
            due: Mutex::default(),
            changed: Notify::new(),
            uploads: Mutex::new(Some(uploads)),
            queue: Mutex::new(Some(queue)),
        })
    }

    pub(super) fn shard(self: &Arc<Self>, id: &ShardId) -> ShardStorage {
        ShardStorage {
            files: self.stream.shard(id),
            stream: Arc::clone(self),
        }
    }

    pub(super) fn store(&self) -> &Arc<SegmentStore> {
        &self.store
    }

    pub(super) fn stream(&self) -> &Arc<StoredStream> {
        &self.stream
    }

    fn due_at(&self, at: Instant, shard: &ShardId) {
        self.due.lock().insert((at, shard.clone()));
        self.changed.notify_one();
    }

    /// Waits until a shard is due.
    async fn next(&self) -> ShardId {
        loop {
            let first = self.due.lock().first().cloned();
            match first {
                Some((at, shard)) if at <= Instant::now() => {
                    self.due.lock().retain(|(at, other)| *other != shard || *at > Instant::now());
                    return shard;
                }
                Some((at, _)) => drop(tokio::time::timeout_at(at, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// Copies a file to object storage, in time.
    pub(super) fn upload(&self, shard: &Arc<StoredShard>, file: FileName, replaced: Vec<crate::segments::SegmentName>) {
        if self.store.settings().remote.is_none() {
            return;
        }
        let shard = Arc::clone(shard);
        let upload = Upload { shard, file, replaced };
        let sent = self.uploads.lock().as_ref().is_some_and(|uploads| uploads.try_send(upload).is_ok());
        if !sent {
            self.store.upload_skipped();
        }
    }
}

impl ShardState {
    /// Records came that are not on disk.
    pub(super) fn came(&mut self, bytes: u64) {
        let Some(storage) = &self.storage else { return };
        let settings = storage.stream.store.settings();
        let now = Instant::now();
        self.unsaved.bytes += bytes;
        if self.unsaved.since.is_none() {
            self.unsaved.since = Some(now);
            storage.stream.due_at(now + settings.seal_age, storage.files.id());
        }
        if self.unsaved.bytes >= settings.seal_bytes {
            self.unsaved.bytes = 0;
            storage.stream.due_at(now, storage.files.id());
        }
    }

    /// Everything is to be written now.
    pub(super) fn save_soon(&mut self) {
        let Some(storage) = &self.storage else { return };
        if !std::mem::replace(&mut self.unsaved.urgent, true) {
            storage.stream.due_at(Instant::now(), storage.files.id());
        }
    }

    /// The service no longer has what lies before: it is not ours to give.
    pub(super) fn drop_before(&mut self, position: Position) {
        self.coverage.drop_before(position);
        self.seen.drop_before(position);
        if let Some(storage) = &self.storage
            && storage.files.drop_before(position)
        {
            storage.stream.due_at(Instant::now(), storage.files.id());
        }
    }

    /// What was known of the oldest record is out of date.
    pub(super) fn forget_first(&mut self) {
        if let Some(storage) = &self.storage {
            storage.files.forget_first();
            storage.stream.due_at(Instant::now(), storage.files.id());
        }
    }

    /// The next run of records to write: one that is long enough, or any with `all`.
    fn unsaved_run(&self, files: &StoredShard, all: bool, enough: u64) -> Option<Run> {
        let leaving = files.leaving();
        let mut held: Vec<_> = self
            .coverage
            .stretches()
            .map(|(from, stretch)| (from, stretch.to, stretch.segment.records()))
            .chain(leaving.iter().map(|part| (part.from, part.to, &part.records)))
            .collect();
        held.sort_by_key(|(from, ..)| *from);
        let mut run = Run::default();
        let mut bytes = 0;
        let is_due = |run: &Run, bytes: u64| !run.parts.is_empty() && (all || bytes >= enough);
        for (from, to, records) in held {
            for (from, to) in files.unsaved(from, to) {
                // held twice: in memory again, and still on its way to disk
                let from = from.max(run.to);
                if from >= to {
                    continue;
                }
                if from > run.to {
                    if is_due(&run, bytes) {
                        return Some(run);
                    }
                    run = Run { from, ..Run::default() };
                    bytes = 0;
                }
                run.to = to;
                let rows = records.lower_bound(from)..records.lower_bound(to);
                if rows.is_empty() {
                    continue;
                }
                let piece = records.slice(rows.start, rows.len());
                if !is_storable(&piece) {
                    files.pass(from, to);
                    run.to = from;
                    if is_due(&run, bytes) {
                        return Some(run);
                    }
                    run = Run { to, ..Run::default() };
                    bytes = 0;
                    continue;
                }
                bytes += piece.wire_bytes(0..piece.len());
                run.parts.push(piece);
                if bytes >= enough {
                    return Some(run);
                }
            }
        }
        is_due(&run, bytes).then_some(run)
    }
}

/// The task that writes a stream's segments; the other one copies them to object storage.
pub(super) async fn write(context: Arc<StreamContext>, storage: Arc<StreamStorage>) {
    let mut sweep = tokio::time::interval_at(Instant::now() + SWEEP, SWEEP);
    loop {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => break,
            shard = storage.next() => {
                if let Some(shard) = context.known_shard(&shard) {
                    storage.save(&context, &shard, false).await;
                }
            }
            _ = sweep.tick() => storage.expire(context.cutoff_ms()).await,
        }
    }
    let flush = async {
        for shard in context.shards() {
            storage.save(&context, &shard, true).await;
        }
    };
    if tokio::time::timeout(FLUSH, flush).await.is_err() {
        tracing::warn!(stream = %context.stream, "not all records could be stored before the end: those are read again");
    }
    drop(storage.uploads.lock().take());
}

/// Copies files to object storage, one after the other, until the writer has ended.
pub(super) async fn upload(context: Arc<StreamContext>, storage: Arc<StreamStorage>) {
    let Some(mut queue) = storage.queue.lock().take() else { return };
    let all = async {
        while let Some(upload) = queue.recv().await {
            upload.run().await;
        }
    };
    let too_late = async {
        context.stop.cancelled().await;
        tokio::time::sleep(LAST_UPLOADS).await;
    };
    tokio::select! {
        () = all => {}
        // a list shows them missing, and they are copied then
        () = too_late => tracing::warn!(stream = %context.stream, "not all stored segments could be copied to object storage before the end"),
    }
}

impl StreamContext {
    /// Asks object storage what other nodes have stored of a shard, before Kinesis is asked for it.
    pub(super) async fn look_in_store(&self, shard: &Shard) {
        let storage = shard.state.lock().storage.clone();
        let Some(ShardStorage { files, stream }) = storage else { return };
        if !files.list_is_due() {
            return;
        }
        for file in files.list().await {
            stream.upload(&files, file, Vec::new());
        }
        shard.changed();
    }
}

impl StreamStorage {
    async fn save(self: &Arc<Self>, context: &StreamContext, shard: &Arc<Shard>, flush: bool) {
        let settings = self.store.settings();
        let (files, all) = {
            let mut state = shard.state.lock();
            let Some(storage) = state.storage.clone() else { return };
            let aged = state.unsaved.since.is_some_and(|since| since.elapsed() >= settings.seal_age);
            let all = flush || aged || state.unsaved.urgent;
            if all {
                state.unsaved = Unsaved::default();
            }
            (storage.files, all)
        };
        loop {
            let run = shard.state.lock().unsaved_run(&files, all, settings.seal_bytes);
            let Some(run) = run else { break };
            let saved = self.in_turn(&files, move |files| files.save(run)).await;
            match saved {
                Ok(saved) => self.saved(&files, saved),
                Err(error) => {
                    self.failed(shard, &files, &error).await;
                    return;
                }
            }
            if !flush && context.stop.is_cancelled() {
                return;
            }
        }
        let (first, end) = {
            let state = shard.state.lock();
            let first = state.horizon.and_then(|horizon| {
                let arrival_ms = horizon.arrival_ms?;
                let start = horizon.start;
                Some(FirstRecord { start, arrival_ms })
            });
            (first, state.closed_at)
        };
        let marked = self.in_turn(&files, move |files| {
            files.empty_trash();
            let first = first
                .filter(|first| files.mark_first(*first).unwrap_or_default())
                .map(FileName::First);
            let end = match end {
                Some(end) if files.mark_end(end)? => Some(FileName::End(end)),
                _ => None,
            };
            Ok([first, end])
        });
        match marked.await {
            Ok(marks) => marks.into_iter().flatten().for_each(|mark| self.upload(&files, mark, Vec::new())),
            Err(error) => self.failed(shard, &files, &error).await,
        }
    }

    fn saved(&self, files: &Arc<StoredShard>, saved: Saved) {
        if let Some(written) = saved.written {
            self.upload(files, FileName::Segment(written), saved.replaced);
        }
    }

    /// Runs work that blocks, in turn, and then keeps the directory within its budget.
    async fn in_turn<T: Send + 'static>(
        &self,
        files: &Arc<StoredShard>,
        work: impl FnOnce(&StoredShard) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let _turn = self.store.writes().acquire().await.map_err(io::Error::other)?;
        let (files, store) = (Arc::clone(files), Arc::clone(&self.store));
        let done = blocking(move || {
            let done = work(&files);
            store.reclaim();
            done
        });
        done.await.map_err(io::Error::other)?
    }

    /// A full or failing disk costs speed alone.
    async fn failed(&self, shard: &Shard, files: &Arc<StoredShard>, error: &io::Error) {
        if self.stream.is_deleted() {
            return;
        }
        tracing::warn!(shard = %shard.id, %error, "segments cannot be written; this is tried again");
        self.store.disk_failed();
        files.let_go();
        if error.kind() == io::ErrorKind::StorageFull {
            let store = Arc::clone(&self.store);
            // that it cannot be done is logged and counted there
            let _ = blocking(move || store.make_room()).await;
        }
        let mut state = shard.state.lock();
        let again = Instant::now() + RETRY;
        let since = again.checked_sub(self.store.settings().seal_age).unwrap_or(again);
        state.unsaved.since.get_or_insert(since);
        drop(state);
        self.due_at(again, &shard.id);
    }

    /// Deletes what has expired.
    async fn expire(&self, cutoff_ms: i64) {
        for files in self.stream.known_shards() {
            let expired = self.in_turn(&files, move |files| {
                files.expire(cutoff_ms);
                files.empty_trash();
                Ok(())
            });
            if expired.await.is_err() {
                return;
            }
            let objects = files.expired_objects(cutoff_ms);
            files.delete_objects(&objects).await;
        }
    }
}
