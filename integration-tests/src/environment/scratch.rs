//! Directories for what one run of the tests writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow};

use super::target_directory;

/// A new directory below the target directory. It is removed by the first run of the tests after this process has ended, because what lives as long
/// as the process has no moment to remove it itself.
pub fn scratch_directory(name: &str) -> anyhow::Result<PathBuf> {
    static OWN: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let own = OWN
        .get_or_init(|| own_directory().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!(error.clone()))?;
    let directory = own.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    Ok(directory)
}

fn own_directory() -> anyhow::Result<PathBuf> {
    let base = target_directory()?.join("test-scratch");
    fs::create_dir_all(&base).with_context(|| format!("creating {}", base.display()))?;
    for entry in fs::read_dir(&base)? {
        let path = entry?.path();
        let ended = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| !Path::new("/proc").join(name).exists());
        if ended {
            // Another executable may be removing it at the same time.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(base.join(std::process::id().to_string()))
}
