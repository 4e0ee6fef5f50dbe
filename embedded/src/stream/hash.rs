//! Hash keys: where a partition key lies.

use md5::{Digest, Md5};

/// The largest hash key, 2^128 - 1.
pub(crate) const HASH_MAX: u128 = u128::MAX;

/// The MD5 of a partition key as a big-endian integer, as Kinesis maps keys to shards.
pub(crate) fn hash_of_key(key: &str) -> u128 {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Md5::digest(key.as_bytes()));
    u128::from_be_bytes(digest)
}

/// The hash key ranges (first and last key) of a stream of `count` equal shards; the last takes the remainder.
pub(crate) fn uniform_ranges(count: u32) -> Vec<(u128, u128)> {
    if count <= 1 {
        return vec![(0, HASH_MAX)];
    }
    let count = u128::from(count);
    // 2^128 itself does not fit; it divides evenly only by powers of two, of which u128::MAX then lacks one unit.
    let width = HASH_MAX / count + u128::from(HASH_MAX % count == count - 1);
    (0..count)
        .map(|shard| (width * shard, if shard + 1 == count { HASH_MAX } else { width * (shard + 1) - 1 }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_md5() {
        // python3 -c "import hashlib; print(int(hashlib.md5(b'user-1').hexdigest(), 16))"
        assert_eq!(hash_of_key("user-1"), 285_573_413_173_782_752_570_879_317_399_258_818_820);
        assert_eq!(hash_of_key(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    }

    #[test]
    fn ranges_are_those_that_aws_gives() {
        // 2^128 // 3 and 2^128 // 4, as DescribeStream shows them.
        let thirds = uniform_ranges(3);
        assert_eq!(thirds[1].0, 113_427_455_640_312_821_154_458_202_477_256_070_485);
        assert_eq!(thirds[2], (226_854_911_280_625_642_308_916_404_954_512_140_970, u128::MAX));
        let quarters = uniform_ranges(4);
        assert_eq!(quarters[0], (0, 85_070_591_730_234_615_865_843_651_857_942_052_863));
        assert_eq!(uniform_ranges(1), [(0, u128::MAX)]);
    }

    #[test]
    fn ranges_cover_all_keys_once() {
        for count in 1..200 {
            let ranges = uniform_ranges(count);
            assert_eq!(ranges.len(), count as usize);
            assert_eq!(ranges[0].0, 0);
            assert_eq!(ranges[ranges.len() - 1].1, u128::MAX);
            assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        }
    }
}
