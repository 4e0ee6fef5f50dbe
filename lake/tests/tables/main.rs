//! Tables as jobs and readers see them, over directories and memory.
#![expect(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod exactly_once;
mod faulty;
mod growing;
mod publishing;
mod rows;
mod upkeep;
