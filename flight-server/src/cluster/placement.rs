//! Who owns a shard: rendezvous hashing. Each node gives each shard a weight, and the heaviest owns it. So all who know the same nodes agree without a
//! word; and when a node comes or goes, only the shards move that it gets or had.

use sha2::{Digest, Sha256};
use shard_reader::ShardId;

use super::members::Node;

/// Nodes that shards are placed on. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Sorted, each once.
    nodes: Vec<Node>,
    /// What each node's weights are made of.
    seeds: Vec<u64>,
}

impl Placement {
    /// On `own` and `others`.
    pub fn new(own: Node, others: impl IntoIterator<Item = Node>) -> Self {
        let mut nodes: Vec<Node> = others.into_iter().collect();
        nodes.push(own);
        nodes.sort();
        nodes.dedup();
        let seeds = nodes.iter().map(|node| digest(&[node.url.as_str()])).collect();
        Self { nodes, seeds }
    }

    /// All nodes, sorted.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The owner of a shard of the stream with this ARN.
    pub fn owner(&self, stream: &str, shard: &ShardId) -> &Node {
        let shard = digest(&[stream, shard.as_str()]);
        let weights = self.seeds.iter().map(|seed| weight(*seed, shard));
        // Of equal weights the last one wins, which is the same on every node, as they are sorted.
        let heaviest = weights.enumerate().max_by_key(|(_, weight)| *weight);
        &self.nodes[heaviest.map_or(0, |(index, _)| index)]
    }
}

/// Spread evenly over all numbers; the same in all versions and on all machines.
fn digest(parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first)
}

/// Mixes two digests: SplitMix64's finalizer (Steele, Lea, Flood 2014), in which every bit of the input changes every bit of the result.
fn weight(node: u64, shard: u64) -> u64 {
    let mut mixed = node.wrapping_add(shard.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use url::Url;

    use super::*;

    const ARN: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/clicks";

    fn node(number: usize) -> Node {
        Node {
            url: Url::parse(&format!("http://10.0.{}.{}:32011/", number / 256, number % 256)).unwrap(),
        }
    }

    fn placement(numbers: &[usize]) -> Placement {
        Placement::new(node(numbers[0]), numbers[1..].iter().map(|number| node(*number)))
    }

    fn shard(number: usize) -> ShardId {
        format!("shardId-{number:012}").into()
    }

    fn owners(placement: &Placement, shards: usize) -> Vec<Node> {
        (0..shards).map(|number| placement.owner(ARN, &shard(number)).clone()).collect()
    }

    proptest! {
        #[test]
        fn a_node_that_comes_or_goes_moves_its_own_shards_alone(
            numbers in prop::collection::btree_set(0..5_000_usize, 2..20), pick in any::<prop::sample::Index>(),
        ) {
            let numbers: Vec<usize> = numbers.into_iter().collect();
            let one = numbers[pick.index(numbers.len())];
            let rest: Vec<usize> = numbers.iter().copied().filter(|number| *number != one).collect();
            let (with, without) = (owners(&placement(&numbers), 200), owners(&placement(&rest), 200));
            for (with, without) in with.iter().zip(&without) {
                prop_assert!(with == without || *with == node(one), "moved from {} to {}", without.url, with.url);
                prop_assert_ne!(without, &node(one));
            }
        }

        #[test]
        fn whoever_is_asked_the_owner_is_the_same(numbers in prop::collection::vec(0..5_000_usize, 1..12).prop_shuffle(), seed in any::<usize>()) {
            let mut turned = numbers.clone();
            turned.rotate_left(seed % numbers.len());
            turned.push(numbers[0]);
            prop_assert_eq!(owners(&placement(&numbers), 50), owners(&placement(&turned), 50));
        }

        #[test]
        fn shards_are_spread_evenly(first in 0..1_000_usize, nodes in 2..9_usize) {
            let numbers: Vec<usize> = (first..first + nodes).collect();
            let shards = 2_000;
            let mut owned: HashMap<Node, usize> = HashMap::new();
            for owner in owners(&placement(&numbers), shards) {
                *owned.entry(owner).or_default() += 1;
            }
            // Binomial: six standard deviations around the mean, which one of a hundred million fair placements leaves.
            let mean = shards as f64 / nodes as f64;
            let deviation = (mean * (1.0 - 1.0 / nodes as f64)).sqrt();
            for number in numbers {
                let count = owned.get(&node(number)).copied().unwrap_or_default() as f64;
                prop_assert!((count - mean).abs() < 6.0 * deviation, "{count} of {shards} over {nodes} nodes");
            }
        }
    }

    #[test]
    fn the_same_shard_of_two_streams_is_placed_apart() {
        let nodes = placement(&(0..8).collect::<Vec<_>>());
        let apart = (0..100).filter(|number| nodes.owner("a", &shard(*number)) != nodes.owner("b", &shard(*number)));
        // 7 of 8 by chance
        assert!(apart.count() > 70);
    }

    /// Nodes of two versions must agree. From Python: `sha256(len(part) as 8 bytes + part ...)`, its first 8 bytes, and SplitMix64 of these.
    #[test]
    fn placement_does_not_change_between_versions() {
        assert_eq!(digest(&["http://10.0.0.1:32011/"]), 0x7c61_d7f6_fef7_156f);
        assert_eq!(digest(&[ARN, "shardId-000000000000"]), 0x708c_66a0_ba57_6263);
        assert_eq!(weight(0x7c61_d7f6_fef7_156f, 0x708c_66a0_ba57_6263), 0x2d74_2e60_f1e2_8f81);
    }
}
