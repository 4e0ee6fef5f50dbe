//! The servers that share the work.

use std::collections::HashMap;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;

use super::super::error::EngineError;
use super::super::nodes::NodeState;
use super::columns::{flag, flag_field, number, number_field, text, text_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct NodesTable;

struct Row {
    state: NodeState,
    shards: usize,
}

#[async_trait]
impl SystemTable for NodesTable {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn comment(&self) -> &'static str {
        "the servers that share the work; shards_owned counts those of streams that this one has read"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("node"),
            text_field("id"),
            text_field("location"),
            text_field("version"),
            flag_field("alive"),
            flag_field("own"),
            number_field("shards_owned"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut owned: HashMap<Option<String>, usize> = HashMap::new();
        for stream in facts.streams() {
            for shard in stream.shards() {
                *owned.entry(facts.nodes.owner(stream.arn(), &shard.info.id)).or_default() += 1;
            }
        }
        let row = |state: NodeState| Row {
            shards: owned.get(&state.node).copied().unwrap_or_default(),
            state,
        };
        let mut rows: Vec<Row> = facts.nodes.nodes().into_iter().map(row).collect();
        rows.sort_by(|left, right| left.state.node.cmp(&right.state.node));
        Ok(vec![
            text(&rows, |row| row.state.node.as_ref()),
            text(&rows, |row| row.state.id.as_ref()),
            text(&rows, |row| row.state.location.as_ref()),
            text(&rows, |row| row.state.version.as_ref()),
            flag(&rows, |row| Some(row.state.alive)),
            flag(&rows, |row| Some(row.state.own)),
            number(&rows, |row| Some(row.shards)),
        ])
    }
}
