//! Targets for cargo-fuzz.

#[expect(dead_code, reason = "the catalog's tests write the seeds")]
mod targets;

/// Runs a target on these bytes.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    (target.run)(bytes);
}
