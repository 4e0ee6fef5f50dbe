//! Targets for cargo-fuzz.

mod targets;

/// Runs a target on these bytes.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    (target.run)(bytes);
}

/// The targets' names and seeds.
pub fn seeds() -> impl Iterator<Item = (&'static str, Vec<Vec<u8>>)> {
    targets::TARGETS.iter().map(|target| (target.name, (target.seeds)()))
}
