//! User records of aggregates and the hash keys of the shard that holds them.

use std::ops::Range;

use datafusion::arrow::array::{BooleanArray, BooleanBuilder};
use shard_reader::{HashRange, Records};

use super::super::statement_options::KplDedup;

/// Whether each row's hash key lies in the shard's range: true for a record that is no aggregate, NULL where the range is not known.
pub(super) fn hash_in_range(records: &Records, range: Option<HashRange>) -> BooleanArray {
    let Some(range) = range else {
        return BooleanArray::new_null(records.len());
    };
    if records.hash_keys().is_none() {
        return BooleanArray::from(vec![true; records.len()]);
    }
    (0..records.len()).map(|row| Some(in_range(records, row, range))).collect()
}

/// The rows that the rule leaves, of `rows` of a segment; `None` if that is all of them.
///
/// KCL's rule is about whole aggregates: one of which a user record lies outside the shard's range vanishes. A segment holds aggregates whole, so the
/// rule is applied to them even where `rows` are a part of one.
pub(super) fn kept(rule: KplDedup, segment: &Records, rows: &Range<usize>, range: Option<HashRange>) -> Option<BooleanArray> {
    let range = range.filter(|_| rule == KplDedup::HashRange && segment.hash_keys().is_some())?;
    let follows = |row: usize| segment.subs().value(row) > 0;
    let first = (0..=rows.start).rfind(|row| !follows(*row)).unwrap_or(0);
    let mut kept = BooleanBuilder::with_capacity(rows.len());
    let (mut record, mut all) = (first, true);
    while record < rows.end {
        let end = (record + 1..segment.len()).find(|row| !follows(*row)).unwrap_or(segment.len());
        let stays = (record..end).all(|row| in_range(segment, row, range));
        all &= stays;
        let inside = record.max(rows.start)..end.min(rows.end);
        kept.append_n(inside.len(), stays);
        record = end;
    }
    (!all).then(|| kept.finish())
}

fn in_range(records: &Records, row: usize, range: HashRange) -> bool {
    records.hash_key(row).is_none_or(|key| range.contains(key))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Array;
    use shard_reader::RecordsBuilder;

    use super::*;

    const RANGE: Option<HashRange> = Some(HashRange { start: 10, end: 19 });

    /// A plain record, an aggregate inside the range, one with a user record outside it, a plain record, one wholly outside.
    fn segment() -> Records {
        let mut builder = RecordsBuilder::with_capacity(0, 0, 0);
        builder.push(1.into(), Some("a"), None, b"");
        for (sequence, keys) in [(2u64, &[10u128, 19][..]), (3, &[12, 15, 20, 11]), (5, &[9])] {
            if sequence == 5 {
                builder.push(4.into(), Some("a"), None, b"");
            }
            for (sub, key) in (0u32..).zip(keys) {
                builder.push_user_record((sequence.into(), sub), *key, Some("a"), None, b"");
            }
        }
        builder.finish()
    }

    fn rows(mask: &BooleanArray) -> Vec<bool> {
        mask.iter().map(|value| value.expect("no value is null")).collect()
    }

    #[test]
    fn the_rule_is_about_whole_aggregates_whatever_part_is_read() {
        let segment = segment();
        let whole = [true, true, true, false, false, false, false, true, false];
        for start in 0..segment.len() {
            for end in start + 1..=segment.len() {
                let expected = whole[start..end].to_vec();
                let kept = kept(KplDedup::HashRange, &segment, &(start..end), RANGE);
                assert_eq!(
                    kept.as_ref().map_or_else(|| vec![true; end - start], rows),
                    expected,
                    "{start}..{end}"
                );
                assert_eq!(kept.is_none(), expected.iter().all(|stays| *stays), "{start}..{end}");
            }
        }
        assert!(kept(KplDedup::None, &segment, &(0..9), RANGE).is_none());
        assert!(kept(KplDedup::HashRange, &segment, &(0..9), None).is_none());
        assert!(kept(KplDedup::HashRange, &segment.slice(0, 1), &(0..1), RANGE).is_none());
    }

    #[test]
    fn each_row_is_judged_by_its_own_hash_key() {
        let segment = segment();
        let own = [true, true, true, true, true, false, true, true, false];
        assert_eq!(rows(&hash_in_range(&segment, RANGE)), own);
        assert_eq!(hash_in_range(&segment, None).null_count(), 9);
        assert_eq!(rows(&hash_in_range(&segment.slice(0, 1), RANGE)), [true]);
    }
}
