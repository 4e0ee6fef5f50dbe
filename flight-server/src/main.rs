//! The program `shardflight`.

use std::process::ExitCode;

/// musl's allocator takes one lock for all threads, and batches are made and dropped on all of them.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flight_server::cli::main()
}
