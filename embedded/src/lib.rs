//! Room `embedded`.
