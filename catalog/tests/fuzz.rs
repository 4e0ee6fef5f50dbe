//! The fuzz targets (`fuzz/src/targets.rs`) on their seeds and on mutations of these, always the same ones. `FUZZ_ITERATIONS` says how many per target.

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use self::targets::TARGETS;

/// Mutations of each target's seeds.
const ITERATIONS: usize = 1_000;
/// What no input of some kilobytes may take, on a busy machine without optimization.
const MOST_TIME: Duration = Duration::from_secs(20);
/// Bytes that mean something to one format or another.
const TELLING: [u8; 16] = [0, 1, 2, 3, 0x0a, b'"', b'\\', b'[', b'{', b'}', b' ', 0x7f, 0x80, 0xc3, 0xfe, 0xff];

/// Marsaglia's xorshift64*: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).map_or(0, |number| number % limit.max(1))
    }
}

/// One to four changes to some bytes.
fn mutated(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let length = numbers.below(16).min(bytes.len() - at);
        match numbers.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = TELLING[numbers.below(TELLING.len())],
            2 => drop(bytes.drain(at..at + length)),
            3 => bytes.insert(at, TELLING[numbers.below(TELLING.len())]),
            4 => {
                let copied = bytes[at..at + length].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, copied);
            }
            5 => bytes.truncate(at),
            6 => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            // A long number where one of a byte may stand, of those formats that have such.
            _ => {
                let to = (at + 1).min(bytes.len());
                bytes.splice(at..to, [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
            }
        }
    }
    bytes
}

#[test]
fn targets_hold_on_seeds_and_mutations() {
    let iterations = std::env::var("FUZZ_ITERATIONS").map_or(ITERATIONS, |text| text.parse().expect("FUZZ_ITERATIONS is a number"));
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(seeds.iter().any(|seed| !seed.is_empty()), "{} has seeds", target.name);
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for round in 0..seeds.len() + iterations {
            let bytes = match seeds.get(round) {
                Some(seed) => seed.clone(),
                None => mutated(&seeds, &mut numbers),
            };
            let started = Instant::now();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))) {
                let why = panic.downcast_ref::<String>().map_or("it panics", String::as_str);
                panic!("{} on {bytes:?}, {:?}: {why}", target.name, String::from_utf8_lossy(&bytes));
            }
            assert!(
                started.elapsed() < MOST_TIME,
                "{} takes {:?} for {bytes:?}",
                target.name,
                started.elapsed()
            );
        }
    }
}

/// What cargo-fuzz begins with (`.ci/fuzz`).
#[test]
fn seeds_are_written_for_cargo_fuzz() {
    let seeds = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-seeds");
    for target in TARGETS {
        let folder = seeds.join(target.name);
        std::fs::create_dir_all(&folder).expect("a folder for seeds");
        for (index, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{index}")), seed).expect("a seed is written");
        }
    }
}
