//! Tables as jobs and readers see them, over directories and memory.

mod publishing;
mod rows;
