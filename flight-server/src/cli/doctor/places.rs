//! The places of `allow.read` and `allow.write`: what a server does there, done once.
//!
//! Object storage has no dry run. Where the configuration allows writing, an object is put whose name begins with `_`, which no reader takes for rows,
//! and deleted again.

use std::collections::BTreeMap;
use std::path::Path as LocalPath;
use std::sync::Arc;

use futures::StreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use shard_reader::{RemoteOptions, connect_object_store};
use uuid::Uuid;

use super::super::object_storage;
use super::report::{Outcome, Report};
use crate::config::Config;

const FIRST: &[u8] = b"put by `shardflight doctor`, and to be deleted by it";
const SECOND: &[u8] = b"this must not replace what is there";

/// Looks at each place, and tries to write where that is allowed.
pub(super) async fn check(config: &Config, report: &mut Report) {
    let options = object_storage::of_lake(config);
    let mut places: BTreeMap<&str, bool> = BTreeMap::new();
    places.extend(config.allow.read.iter().map(|place| (place.as_str(), false)));
    places.extend(config.allow.write.iter().map(|place| (place.as_str(), true)));
    for (place, writes) in places {
        check_place(place, writes, &options, report).await;
    }
}

async fn check_place(place: &str, writes: bool, options: &RemoteOptions, report: &mut Report) {
    let about = format!("place {place}");
    if let Some(directory) = place.strip_prefix("file://")
        && !LocalPath::new(directory).is_dir()
    {
        return check_absent(directory, writes, &about, report);
    }
    let (store, prefix) = match connect_object_store(place, options).await {
        Ok(connected) => connected,
        Err(error) => return report.add(&about, "settings", Outcome::Failed, error.to_string()),
    };
    let listed = check_list(store.as_ref(), &prefix, &about, report).await;
    if !listed {
        return;
    }
    let probe = prefix.join(format!("_shardflight-doctor-{}", Uuid::new_v4()));
    check_missing(store.as_ref(), &probe, &about, report).await;
    if writes {
        check_writes(&store, &probe, &about, report).await;
    }
}

/// A directory that is made by who writes first, or a file that is read.
fn check_absent(path: &str, writes: bool, about: &str, report: &mut Report) {
    match (LocalPath::new(path).is_file(), writes) {
        (true, false) => report.add(about, "ListBucket", Outcome::Ok, "a file of this machine"),
        (_, true) => report.add(
            about,
            "ListBucket",
            Outcome::Note,
            "is no directory of this machine; who writes first makes it",
        ),
        (false, false) => report.add(
            about,
            "ListBucket",
            Outcome::Warning,
            "is not on this machine: tables over it cannot be read",
        ),
    }
}

async fn check_list(store: &dyn ObjectStore, prefix: &Path, about: &str, report: &mut Report) -> bool {
    match store.list(Some(prefix)).next().await {
        Some(Ok(object)) => report.add(
            about,
            "ListBucket",
            Outcome::Ok,
            format!("has objects, {} for one", object.location),
        ),
        None => report.add(about, "ListBucket", Outcome::Ok, "nothing is there yet"),
        Some(Err(error)) => {
            report.add(about, "ListBucket", Outcome::Failed, denied("s3:ListBucket on the bucket", &error));
            return false;
        }
    }
    true
}

/// Who may not list a bucket is told by S3 that an object is forbidden, where it is not there: a lake that is still empty could not be begun.
async fn check_missing(store: &dyn ObjectStore, probe: &Path, about: &str, report: &mut Report) {
    match store.head(probe).await {
        Err(StoreError::NotFound { .. }) => report.add(about, "GetObject", Outcome::Ok, "what is not there is said not to be there"),
        Ok(_) => report.add(
            about,
            "GetObject",
            Outcome::Failed,
            format!("{probe} is said to be there, and nobody put it"),
        ),
        Err(error) => {
            let right = "s3:GetObject, and s3:ListBucket in a way that holds for requests without a prefix too (StringLikeIfExists): without it S3 answers 403 for \
                         what is not there";
            report.add(about, "GetObject", Outcome::Failed, denied(right, &error));
        }
    }
}

async fn check_writes(store: &Arc<dyn ObjectStore>, probe: &Path, about: &str, report: &mut Report) {
    let create = |bytes: &'static [u8]| store.put_opts(probe, PutPayload::from_static(bytes), PutOptions::from(PutMode::Create));
    if let Err(error) = create(FIRST).await {
        report.add(about, "PutObject", Outcome::Failed, denied("s3:PutObject", &error));
        // an answer that was lost may have been a success
        if !matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }) {
            check_delete(store.as_ref(), probe, about, report).await;
        }
        return;
    }
    report.add(about, "PutObject", Outcome::Ok, "an object was put");
    match create(SECOND).await {
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
            report.add(about, "conditional put", Outcome::Ok, "a second object of that name was refused");
        }
        Ok(_) => {
            let text = "a second PUT of the same name, with `If-None-Match: *`, replaced the first: jobs that write here can lose and double rows. Use storage \
                        that honours it, as S3 does, or a directory";
            report.add(about, "conditional put", Outcome::Failed, text);
        }
        Err(error) => report.add(about, "conditional put", Outcome::Failed, error.to_string()),
    }
    check_delete(store.as_ref(), probe, about, report).await;
    check_multipart(store.as_ref(), probe, about, report).await;
}

async fn check_delete(store: &dyn ObjectStore, probe: &Path, about: &str, report: &mut Report) {
    match store.delete(probe).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => report.add(about, "DeleteObject", Outcome::Ok, "it was deleted"),
        Err(error) => {
            let text = format!("{}; the object {probe} stays", denied("s3:DeleteObject", &error));
            report.add(about, "DeleteObject", Outcome::Failed, text);
        }
    }
}

/// A large file is put in parts. One that is begun and not given up is charged, unseen.
async fn check_multipart(store: &dyn ObjectStore, probe: &Path, about: &str, report: &mut Report) {
    let ended = match store.put_multipart(probe).await {
        Ok(mut upload) => upload.abort().await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => report.add(about, "multipart upload", Outcome::Ok, "one was begun, and given up"),
        Err(error) => {
            let text = denied("s3:PutObject and s3:AbortMultipartUpload", &error);
            report.add(about, "multipart upload", Outcome::Failed, text);
        }
    }
}

fn denied(right: &str, error: &StoreError) -> String {
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => format!("denied, it needs {right}: {error}"),
        _ => error.to_string(),
    }
}
