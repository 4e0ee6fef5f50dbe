//! Runs of records that this process holds.

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;
use shard_reader::SegmentFacts;

use super::super::error::EngineError;
use super::columns::{number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct Segments;

struct Row {
    stream: String,
    segment: SegmentFacts,
}

#[async_trait]
impl SystemTable for Segments {
    fn name(&self) -> &'static str {
        "segments"
    }

    fn comment(&self) -> &'static str {
        "runs of records that are held, and where"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("stream"),
            text_field("shard"),
            text_field("storage"),
            text_field("first_sequence"),
            text_field("last_sequence"),
            number_field("records"),
            number_field("bytes"),
            number_field("decoded_bytes"),
            time_field("first_arrival"),
            time_field("last_arrival"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut rows: Vec<Row> = facts
            .streams()
            .iter()
            .flat_map(|stream| {
                let name = stream.name().to_owned();
                stream.segments().into_iter().map(move |segment| Row {
                    stream: name.clone(),
                    segment,
                })
            })
            .collect();
        rows.sort_by(|left, right| {
            (&left.stream, &left.segment.shard, left.segment.first).cmp(&(&right.stream, &right.segment.shard, right.segment.first))
        });
        Ok(vec![
            text(&rows, |row| Some(&row.stream)),
            text(&rows, |row| Some(&row.segment.shard)),
            text(&rows, |row| Some(row.segment.storage)),
            text(&rows, |row| Some(row.segment.first.padded())),
            text(&rows, |row| Some(row.segment.last.padded())),
            number(&rows, |row| Some(row.segment.records)),
            number(&rows, |row| Some(row.segment.bytes)),
            number(&rows, |row| Some(row.segment.decoded_bytes)),
            time(&rows, |row| row.segment.arrivals.map(|(first, _)| first)),
            time(&rows, |row| row.segment.arrivals.map(|(_, last)| last)),
        ])
    }
}
