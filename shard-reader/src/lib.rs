//! How records get here: positions, sources, the shared reader, segments.
