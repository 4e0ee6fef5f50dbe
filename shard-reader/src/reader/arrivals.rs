//! What the service has said of arrival times: places before which everything arrived before a time.
//!
//! Arrival times need not ascend, so no record tells anything of the records before it. The service does: asked for the first record that arrived at
//! or after a time, it names a place, and everything before that place arrived earlier. That stays true while the shard grows.

use std::collections::BTreeMap;

use crate::Position;

/// Answers kept: those of the latest times.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Arrivals(BTreeMap<i64, Position>);

impl Arrivals {
    /// Everything before `place` arrived before `time` (ms since the epoch).
    pub(super) fn learn(&mut self, time: i64, place: Position) {
        self.0.insert(time, place);
        if self.0.len() > KEPT {
            self.0.pop_first();
        }
    }

    /// The furthest place before which everything is known to have arrived before `time`.
    pub(super) fn all_before(&self, time: i64) -> Option<Position> {
        self.0.range(..=time).map(|(_, place)| *place).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_for_an_earlier_time_holds_for_a_later_one() {
        let place = |number: u64| Position::Before(number.into());
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.all_before(100), None);
        arrivals.learn(50, place(7));
        arrivals.learn(80, place(9));
        assert_eq!(arrivals.all_before(49), None);
        assert_eq!(arrivals.all_before(50), Some(place(7)));
        assert_eq!(arrivals.all_before(79), Some(place(7)));
        assert_eq!(arrivals.all_before(i64::MAX), Some(place(9)));
        for time in 0..1000 {
            arrivals.learn(time, place(1000 + time as u64));
        }
        assert_eq!(arrivals.0.len(), KEPT);
        assert_eq!(arrivals.all_before(999), Some(place(1999)));
    }
}
