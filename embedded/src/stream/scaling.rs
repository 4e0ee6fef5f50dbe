//! `UpdateShardCount`: from the open shards to equal ones by splits and merges, through intermediate shards where needed, as AWS does it.

use super::hash::uniform_ranges;

/// An open shard, by number and hash key range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    pub(crate) number: u32,
    pub(crate) start: u128,
    pub(crate) end: u128,
}

/// One step of a plan. A split makes two shards with the next two numbers, lower range first; a merge makes one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Split { shard: u32, at: u128 },
    Merge { shard: u32, adjacent: u32 },
}

/// The steps that lead from `open` to `target` equal shards; `next` is the number that the next shard will get. First every shard is split at the
/// new boundaries inside it, then the pieces of each new shard are merged, from the lowest on. Shards that fit already stay as they are.
pub(crate) fn plan(open: &[Piece], mut next: u32, target: u32) -> Vec<Step> {
    let mut open = open.to_vec();
    open.sort_by_key(|piece| piece.start);
    let ranges = uniform_ranges(target);
    let mut steps = Vec::new();

    let mut pieces = Vec::new();
    for mut piece in open {
        let inside = ranges.partition_point(|range| range.0 <= piece.start)..ranges.partition_point(|range| range.0 <= piece.end);
        for &(at, _) in &ranges[inside] {
            steps.push(Step::Split { shard: piece.number, at });
            pieces.push(Piece {
                number: next,
                start: piece.start,
                end: at - 1,
            });
            piece = Piece {
                number: next + 1,
                start: at,
                end: piece.end,
            };
            next += 2;
        }
        pieces.push(piece);
    }

    let mut pieces = pieces.into_iter().peekable();
    for (_, end) in ranges {
        let Some(mut merged) = pieces.next() else { break };
        while let Some(adjacent) = pieces.next_if(|piece| piece.end <= end) {
            steps.push(Step::Merge {
                shard: merged.number,
                adjacent: adjacent.number,
            });
            merged = Piece {
                number: next,
                start: merged.start,
                end: adjacent.end,
            };
            next += 1;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uniform(count: u32) -> Vec<Piece> {
        let numbered = uniform_ranges(count).into_iter().zip(0..);
        numbered.map(|((start, end), number)| Piece { number, start, end }).collect()
    }

    /// Carries a plan out, checking each step.
    fn carry_out(open: &[Piece], steps: &[Step]) -> Vec<Piece> {
        let mut open = open.to_vec();
        let mut next = open.iter().map(|piece| piece.number).max().unwrap() + 1;
        let take = |open: &mut Vec<Piece>, number: u32| {
            let at = open.iter().position(|piece| piece.number == number).expect("the shard is open");
            open.remove(at)
        };
        for step in steps {
            match *step {
                Step::Split { shard, at } => {
                    let parent = take(&mut open, shard);
                    assert!(parent.start < at && at <= parent.end);
                    open.push(Piece {
                        number: next,
                        start: parent.start,
                        end: at - 1,
                    });
                    open.push(Piece {
                        number: next + 1,
                        start: at,
                        end: parent.end,
                    });
                    next += 2;
                }
                Step::Merge { shard, adjacent } => {
                    let (lower, upper) = (take(&mut open, shard), take(&mut open, adjacent));
                    assert_eq!(lower.end + 1, upper.start);
                    open.push(Piece {
                        number: next,
                        start: lower.start,
                        end: upper.end,
                    });
                    next += 1;
                }
            }
        }
        open.sort_by_key(|piece| piece.start);
        open
    }

    #[test]
    fn doubling_splits_every_shard_in_half() {
        let half = 1 << 127;
        let steps = plan(&uniform(2), 2, 4);
        assert_eq!(
            steps,
            [
                Step::Split { shard: 0, at: half / 2 },
                Step::Split {
                    shard: 1,
                    at: half + half / 2
                }
            ]
        );
    }

    #[test]
    fn two_to_three_goes_through_intermediate_shards() {
        let third = 113_427_455_640_312_821_154_458_202_477_256_070_485;
        let expected = [
            Step::Split { shard: 0, at: third },
            Step::Split { shard: 1, at: 2 * third },
            Step::Merge { shard: 3, adjacent: 4 },
        ];
        assert_eq!(plan(&uniform(2), 2, 3), expected);
    }

    #[test]
    fn equal_shards_stay() {
        assert_eq!(plan(&uniform(5), 5, 5), []);
    }

    proptest! {
        #[test]
        fn any_plan_ends_in_equal_shards(mut cuts in prop::collection::btree_set(1_u128.., 0..12), target in 1_u32..40) {
            cuts.insert(0);
            let starts: Vec<u128> = cuts.into_iter().collect();
            let ends = starts.iter().skip(1).map(|start| start - 1).chain([u128::MAX]);
            let open: Vec<Piece> =
                starts.iter().zip(ends).zip(0..).map(|((start, end), number)| Piece { number, start: *start, end }).collect();
            let next = u32::try_from(open.len()).unwrap();
            let result = carry_out(&open, &plan(&open, next, target));
            let ranges: Vec<(u128, u128)> = result.iter().map(|piece| (piece.start, piece.end)).collect();
            prop_assert_eq!(ranges, uniform_ranges(target));
        }
    }
}
