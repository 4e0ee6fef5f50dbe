//! Compares checkpoint, lake and stream of a job.

use lake::Mark;
use shard_reader::checkpoints::{Ends, Head, IterationStart};

use super::error::OffloadError;
use super::jobs::Jobs;
use super::step::check_stream;
use crate::engine::{Engine, EngineError, JobPlan};

/// One line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub is_right: bool,
    /// In words.
    pub text: String,
}

impl Finding {
    fn right(text: impl Into<String>) -> Self {
        Self {
            is_right: true,
            text: text.into(),
        }
    }

    fn wrong(text: impl Into<String>) -> Self {
        Self {
            is_right: false,
            text: text.into(),
        }
    }
}

impl Jobs {
    /// Compares; nothing is changed.
    ///
    /// # Errors
    /// If there is no such job, or something of it cannot be asked.
    pub async fn check(&self, name: &str) -> Result<Vec<Finding>, OffloadError> {
        self.look().await?;
        let definition = self.definition(name)?;
        let mut stepper = self.stepper(std::sync::Arc::clone(&definition));
        let engine = stepper.engine()?;
        let (plan, lake) = stepper.open(&engine).await?;
        let mut findings = vec![Finding::right(format!(
            "statement: reads table {} of stream {}",
            plan.table(),
            plan.stream()
        ))];
        if definition.paused {
            findings.push(Finding::right("it is paused: ALTER OFFLOAD … RESUME lets it go on"));
        }
        let mark = lake.table.published().await?.map(|published| published.mark);
        match &mark {
            None => findings.push(Finding::right(format!("lake: nothing is published at {} yet", definition.location))),
            Some(mark) => {
                let age = mark.ends.as_of_ms.map_or_else(|| "an unknown moment".to_owned(), moment);
                findings.push(Finding::right(format!(
                    "lake: iteration {} is published, complete to {age}",
                    mark.iteration
                )));
                if let Err(error) = check_stream(&definition, &plan, mark) {
                    findings.push(Finding::wrong(error.to_string()));
                }
                findings.extend(expiry(&plan, mark));
            }
        }
        let store = engine.consumers().store();
        let head = store.head(&plan.consumer()).await.map_err(EngineError::from)?;
        findings.push(compare(&engine, &plan, head.as_ref(), mark.as_ref()).await?);
        Ok(findings)
    }
}

fn moment(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).map_or_else(|| ms.to_string(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// Whether records behind the publication may be gone.
fn expiry(plan: &JobPlan, mark: &Mark) -> Option<Finding> {
    let until = mark.ends.kept_until_ms(mark.ends.retention_ms)?;
    let now = plan.now_ms();
    (until < now).then(|| {
        Finding::wrong(format!(
            "stream: records behind the publication may have expired unread since {}",
            moment(until)
        ))
    })
}

async fn compare(engine: &Engine, plan: &JobPlan, head: Option<&Head>, mark: Option<&Mark>) -> Result<Finding, OffloadError> {
    let (head, mark) = match (head, mark) {
        (None, None) => return Ok(Finding::right("checkpoint: nothing is consumed yet")),
        (None, Some(_)) => {
            return Ok(Finding::wrong(
                "checkpoint: there is none; the next run makes it from what is published",
            ));
        }
        (Some(head), None) => {
            return Ok(match &head.committed {
                Some((number, ..)) => Finding::wrong(format!(
                    "checkpoint: iteration {number} is committed, and nothing is published: was the table removed? DROP OFFLOAD and CREATE OFFLOAD begin anew"
                )),
                None => Finding::right("checkpoint: no iteration is committed yet"),
            });
        }
        (Some(head), Some(mark)) => (head, mark),
    };
    if head.stream.created_ms != plan.created_ms() {
        return Ok(Finding::wrong("checkpoint: it is of a stream that was deleted and created anew"));
    }
    if starts_at(engine, plan, head.start).await?.as_ref() == Some(&mark.ends) {
        let open = head
            .open
            .as_ref()
            .map_or_else(String::new, |open| format!(", and iteration {} is open", open.number));
        return Ok(Finding::right(format!("checkpoint: it stands where the publication does{open}")));
    }
    Ok(Finding::wrong(format!(
        "checkpoint: it does not stand where iteration {} is published; the next run brings it there",
        mark.iteration
    )))
}

async fn starts_at(engine: &Engine, plan: &JobPlan, start: IterationStart) -> Result<Option<Ends>, OffloadError> {
    let (store, consumer) = (engine.consumers().store(), plan.consumer());
    Ok(match start {
        IterationStart::Base(number) => store
            .base(&consumer, number)
            .await
            .map_err(EngineError::from)?
            .map(|base| base.ends),
        IterationStart::After(number) => store
            .iteration(&consumer, number)
            .await
            .map_err(EngineError::from)?
            .map(|iteration| iteration.ends),
    })
}
