//! What the demonstration shows, compiled in.

/// The first 20,000 lines of 1 August 1995 of the NASA Kennedy Space Center web server's log (Internet Traffic Archive, freely redistributable).
pub(crate) const LOG: &[u8] = include_bytes!("../../demo/nasa_aug01_first20000.log");

/// The table's definition.
pub(crate) const DEFINITION: &str = include_str!("../../demo/nasahttp.yaml");

/// The stream, and the table over it.
pub(crate) const STREAM: &str = "nasahttp";
