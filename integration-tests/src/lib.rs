//! Room `integration-tests`.
