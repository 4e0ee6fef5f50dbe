//! The tail: where a shard ends now; and where a range begins.
//!
//! A shard that was never read is looked at from the start that is asked for (one page may be all there is). If that does not show the tip, its last
//! record is looked for from a minute ago, then an hour, 60 hours, and at last from the horizon; and before all that from 5 s ago, if that first page was
//! full of a short time: such a shard may take megabytes a second. Unless the first cursor is already that close: then it simply goes on, so that a stream
//! that was loaded a moment ago is fetched once.

use std::time::Duration;

use tokio::time::Instant;

use super::actor::{Actor, Closing};
use super::fetch::{Failure, Run};
use super::shard::{Horizon, Tip};
use super::snapshot::TipKind;
use crate::{OpenAt, Page, Position, SourceErrorKind};

const PROBE_AGES: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(60),
    Duration::from_secs(3600),
    Duration::from_secs(216_000),
];
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) enum Tail {
    /// To be looked for, beginning with this probe.
    Cold { step: usize },
    /// A cursor by time, no record seen yet.
    Probe { step: usize, run: Run },
    /// Reading on from a known position.
    Live(Run),
}

impl Actor {
    pub(super) async fn read_tail(&mut self) -> Result<(), Failure> {
        let tail = std::mem::replace(&mut self.tail, Tail::Cold { step: 0 });
        let tail = match tail {
            Tail::Cold { step } => self.look_for_tip(step),
            known => known,
        };
        match tail {
            Tail::Probe { step, mut run } => match self.read_probe(step, &mut run).await {
                Ok(next) => {
                    self.tail = next.unwrap_or(if run.position.is_some() {
                        Tail::Live(run)
                    } else {
                        Tail::Probe { step, run }
                    });
                    Ok(())
                }
                // a probe by time that is refused tells nothing: look further back
                Err(Failure::Source(error)) if error.kind == SourceErrorKind::Invalid => {
                    self.tail = Tail::Cold { step: step + 1 };
                    Ok(())
                }
                Err(failure) => {
                    self.tail = Tail::Probe { step, run };
                    Err(failure)
                }
            },
            Tail::Live(mut run) => {
                let done = self.read_live(&mut run).await;
                if self.resumed && self.is_far_behind(&run) {
                    self.resumed = false;
                    self.shard.state.lock().tail = None;
                    self.keep(run);
                } else {
                    self.tail = Tail::Live(run);
                }
                done
            }
            Tail::Cold { .. } => Ok(()),
        }
    }

    /// The next place to look for the last record.
    fn look_for_tip(&mut self, step: usize) -> Tail {
        let now_ms = self.context.now_ms();
        let front = self.runs.iter().enumerate().max_by_key(|(_, run)| run.position);
        let hot = front.is_some_and(|(_, run)| run.hot);
        let front = front.map(|(index, _)| index);
        let step = if hot { step } else { step.max(1) };
        let age = PROBE_AGES.get(step).copied().filter(|age| *age < self.context.retention());
        let time = age.map(|age| now_ms - age.as_millis() as i64);
        if let Some(front) = front {
            let run = &self.runs[front];
            let later = time.is_none_or(|time| run.last_arrival.is_some_and(|arrival| time <= arrival));
            let near = age.is_none_or(|age| {
                run.behind
                    .is_some_and(|(behind, at)| Duration::from_millis(behind).saturating_add(at.elapsed()) <= age)
            });
            if run.position.is_some() && (later || near) {
                return Tail::Live(self.runs.remove(front));
            }
        }
        match time {
            Some(time) => Tail::Probe {
                step,
                run: Run::at_place(OpenAt::Timestamp(time)),
            },
            None => Tail::Live(Run::at(Position::TrimHorizon)),
        }
    }

    /// One page of a probe; the next state if the probe found nothing up to the tip.
    async fn read_probe(&mut self, step: usize, run: &mut Run) -> Result<Option<Tail>, Failure> {
        let Some(page) = self.fetch(run, self.page_limit()).await? else {
            return Ok(None);
        };
        let tip = run.complete_as_of(&page);
        let asked = run.asked_time();
        self.absorb(run, &page)?;
        self.last_tail_read = Instant::now();
        if run.position.is_some() {
            if let Some(time) = asked {
                let _ = self.first_since(time, &page);
            }
            self.tail_read(run, &page, tip).await?;
            return Ok(None);
        }
        if page.next.is_none() {
            // The list of shards then tells the bound of its sequence numbers, or else the end is looked for further back.
            self.closing = Some(Closing {
                position: None,
                children: page.children.clone(),
            });
            return Ok(Some(Tail::Cold { step: step + 1 }));
        }
        match tip {
            // such a service needs the rule's two seconds for each step: go to the end at once
            Some((_, TipKind::Assumed)) => Ok(Some(Tail::Cold { step: PROBE_AGES.len() })),
            Some((as_of, _)) if self.is_tip(as_of, page.requested_at) => Ok(Some(Tail::Cold { step: step + 1 })),
            _ => {
                self.pause_after(&page);
                Ok(None)
            }
        }
    }

    /// One page at the tail.
    async fn read_live(&mut self, run: &mut Run) -> Result<(), Failure> {
        let Some(page) = self.fetch(run, self.page_limit()).await? else {
            return Ok(());
        };
        let tip = run.complete_as_of(&page);
        let from_horizon = run.position == Some(Position::TrimHorizon);
        self.absorb(run, &page)?;
        self.last_tail_read = Instant::now();
        let known_empty = from_horizon && page.records.is_empty();
        if known_empty && (page.next.is_none() || tip.is_some_and(|(as_of, _)| self.is_tip(as_of, page.requested_at))) {
            let mut state = self.shard.state.lock();
            state.horizon.get_or_insert(Horizon {
                start: Position::TrimHorizon,
                arrival_ms: None,
                observed: Some(page.requested_at),
            });
        }
        self.tail_read(run, &page, tip).await
    }

    /// Whether the tip is to be looked for elsewhere: a statement is not to wait for all that came since this position was the tip.
    fn is_far_behind(&self, run: &Run) -> bool {
        let known = self.shard.state.lock().tip.is_some();
        !known && self.closing.is_none() && run.behind.is_some_and(|(behind, _)| Duration::from_millis(behind) > PROBE_AGES[1])
    }

    /// A page was read by the cursor that is the tail.
    pub(super) async fn tail_read(&mut self, run: &Run, page: &Page, tip: Option<(Instant, TipKind)>) -> Result<(), Failure> {
        let Some(end) = run.position else { return Ok(()) };
        self.shard.state.lock().tail = Some(end);
        if page.next.is_none() {
            self.closing = Some(Closing {
                position: Some(end),
                children: page.children.clone(),
            });
            return Ok(());
        }
        let reached = tip.is_some_and(|(as_of, _)| self.is_tip(as_of, page.requested_at));
        if let Some((as_of, kind)) = tip {
            let ending = self.ending_at(end).await?;
            let mut state = self.shard.state.lock();
            let known = state.tip.filter(|known| known.as_of > as_of);
            state.tip = Some(known.map_or(Tip { as_of, end, kind }, |known| Tip { end, ..known }));
            state.scans_at_tip(end, (as_of, kind), ending);
        }
        self.at_tip = reached;
        if reached {
            self.short_replies = 0;
        } else {
            self.pause_after(page);
        }
        Ok(())
    }

    /// A service without a budget is not to be asked in a tight loop while it has little to say.
    pub(super) fn pause_after(&mut self, page: &Page) {
        if page.full {
            self.short_replies = 0;
            return;
        }
        let pause = SHORTEST_PAUSE.saturating_mul(1 << self.short_replies.min(10)).min(LONGEST_PAUSE);
        self.short_replies += 1;
        self.rate.pause(pause);
    }

    /// Registers the children, then says that the shard has ended.
    pub(super) async fn close(&mut self) -> Result<(), Failure> {
        let Some(closing) = &self.closing else { return Ok(()) };
        self.rate.call();
        self.context.list(Instant::now()).await.map_err(Failure::Source)?;
        self.recovered();
        for child in &closing.children {
            self.context.register_child(child, &self.shard.id);
        }
        let closed = closing.position;
        self.closing = None;
        let mut state = self.shard.state.lock();
        if let Some(end) = closed.filter(|_| state.closed_at.is_none()) {
            state.close_at(end);
            state.save_soon();
        }
        Ok(())
    }

    pub(super) fn page_limit(&self) -> u32 {
        self.context.shared.config.page_limit
    }
}
