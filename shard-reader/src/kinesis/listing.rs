//! ListShards, whole: each shard once.

use std::collections::BTreeSet;

use aws_sdk_kinesis::types::Shard;

use super::errors::classify;
use super::{KinesisSource, StreamName};
use crate::{PositionError, SequenceNumber, ShardId, ShardInfo, SourceError, SourceErrorKind};

/// The most that one reply holds (ListShards, MaxResults).
const MOST: i32 = 10_000;
/// More pages than any stream has; a service that never ends its list is broken.
const PAGES: usize = 1000;

/// One call of ListShards.
pub(super) enum Ask {
    First,
    /// `NextToken` stands alone: no stream beside it.
    Next(String),
    /// As many as one reply holds, after this shard.
    Most(Option<String>),
}

/// One reply of ListShards.
pub(super) struct Part {
    pub(super) shards: Vec<Shard>,
    pub(super) next: Option<String>,
}

/// What answers ListShards.
pub(super) trait Lister: Sync {
    fn ask(&self, ask: Ask) -> impl Future<Output = Result<Part, SourceError>> + Send;
}

pub(super) struct StreamLister<'a> {
    pub(super) source: &'a KinesisSource,
    pub(super) stream: &'a str,
}

impl Lister for StreamLister<'_> {
    async fn ask(&self, ask: Ask) -> Result<Part, SourceError> {
        let StreamName { name, arn } = StreamName::of(self.stream);
        let request = self.source.client.list_shards();
        let request = match ask {
            Ask::First => request.set_stream_name(name).set_stream_arn(arn),
            Ask::Next(token) => request.next_token(token),
            Ask::Most(after) => request
                .set_stream_name(name)
                .set_stream_arn(arn)
                .max_results(MOST)
                .set_exclusive_start_shard_id(after),
        };
        let reply = request
            .send()
            .await
            .map_err(|error| classify(&error, &format!("ListShards of {}", self.stream)))?;
        let shards = reply.shards.unwrap_or_default();
        let ranges = shards.iter().filter_map(|shard| shard.sequence_number_range.as_ref());
        self.source.note_padding(ranges.map(|range| range.starting_sequence_number()));
        Ok(Part {
            shards,
            next: reply.next_token,
        })
    }
}

/// Follows `NextToken`. A service whose paging is broken (a token that it rejects or gives again, a shard that comes twice) is asked for everything in
/// one call; if even that is a part only, the answer is an error, never a part.
pub(super) async fn list_shards(lister: &impl Lister) -> Result<Vec<ShardInfo>, SourceError> {
    let first = lister.ask(Ask::First).await?;
    let mut shards = first.shards;
    let mut token = first.next;
    let mut tokens = BTreeSet::new();
    while let Some(next) = token {
        if !tokens.insert(next.clone()) || tokens.len() > PAGES {
            return infos(in_one_call(lister).await?);
        }
        match lister.ask(Ask::Next(next)).await {
            Ok(part) => {
                shards.extend(part.shards);
                token = part.next;
            }
            Err(error) if error.is_retryable() || error.kind == SourceErrorKind::Denied => return Err(error),
            Err(_) => return infos(in_one_call(lister).await?),
        }
    }
    if distinct(&shards) {
        infos(shards)
    } else {
        infos(in_one_call(lister).await?)
    }
}

async fn in_one_call(lister: &impl Lister) -> Result<Vec<Shard>, SourceError> {
    let mut shards: Vec<Shard> = Vec::new();
    loop {
        let after = shards.last().map(|shard| shard.shard_id.clone());
        let part = lister.ask(Ask::Most(after)).await?;
        let (empty, more) = (part.shards.is_empty(), part.next.is_some());
        shards.extend(part.shards);
        if !distinct(&shards) || (more && empty) {
            return Err(SourceError::new(
                SourceErrorKind::Invalid,
                "ListShards: the service's paging gives no whole list",
            ));
        }
        if !more {
            return Ok(shards);
        }
    }
}

fn distinct(shards: &[Shard]) -> bool {
    shards.iter().map(Shard::shard_id).collect::<BTreeSet<_>>().len() == shards.len()
}

fn infos(shards: Vec<Shard>) -> Result<Vec<ShardInfo>, SourceError> {
    let one = |shard: Shard| {
        let id = shard.shard_id.clone();
        info(shard).map_err(|error| SourceError {
            source: Some(std::sync::Arc::new(error.clone())),
            ..SourceError::new(SourceErrorKind::Invalid, format!("ListShards: shard {id}: {error}"))
        })
    };
    shards.into_iter().map(one).collect()
}

fn info(shard: Shard) -> Result<ShardInfo, PositionError> {
    let hash = |text: Option<&str>, default: u128| text.and_then(|text| text.parse().ok()).unwrap_or(default);
    let hashes = shard.hash_key_range.as_ref();
    let number = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::parse::<SequenceNumber>).transpose();
    let numbers = shard.sequence_number_range.as_ref();
    let starting_sequence = number(numbers.map(|range| range.starting_sequence_number()))?;
    // a bound below the start bounds nothing (some services write the largest number of a type of theirs): the shard is closed all the same
    let ending_sequence = number(numbers.and_then(|range| range.ending_sequence_number()))?.map(|ending| {
        if Some(ending) < starting_sequence {
            SequenceNumber::MAX
        } else {
            ending
        }
    });
    Ok(ShardInfo {
        hash_start: hash(hashes.map(|range| range.starting_hash_key()), 0),
        hash_end: hash(hashes.map(|range| range.ending_hash_key()), u128::MAX),
        starting_sequence,
        ending_sequence,
        id: ShardId::from(shard.shard_id),
        parent: shard.parent_shard_id.map(ShardId::from),
        adjacent_parent: shard.adjacent_parent_shard_id.map(ShardId::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a service pages.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Paging {
        Right,
        /// The token is refused (ferrokinesis, moto).
        Refused,
        /// The token is accepted, and the list begins anew.
        Anew,
        /// The same token again and again, with nothing.
        Endless,
        /// Everything is a part, whatever is asked.
        Hopeless,
    }

    struct Pages {
        paging: Paging,
        count: usize,
    }

    impl Lister for Pages {
        async fn ask(&self, ask: Ask) -> Result<Part, SourceError> {
            let whole = |from: usize, most: usize| {
                let to = (from + most).min(self.count);
                let shard = |number| Shard::builder().shard_id(format!("shardId-{number:012}")).build().unwrap();
                Part {
                    shards: (from..to).map(shard).collect(),
                    next: (to < self.count).then(|| to.to_string()),
                }
            };
            Ok(match (ask, self.paging) {
                (Ask::First, _) => whole(0, 1000),
                (Ask::Most(_), Paging::Hopeless) => Part {
                    next: Some("1".into()),
                    ..whole(0, 1000)
                },
                (Ask::Most(after), _) => whole(
                    after.map_or(0, |after| after.trim_start_matches("shardId-").parse::<usize>().unwrap() + 1),
                    10_000,
                ),
                (Ask::Next(_), Paging::Refused) => return Err(SourceError::new(SourceErrorKind::NotFound, "no stream of that name")),
                (Ask::Next(token), Paging::Right) => whole(token.parse().unwrap(), 1000),
                (Ask::Next(_), Paging::Anew | Paging::Hopeless) => whole(0, 1000),
                (Ask::Next(token), Paging::Endless) => Part {
                    shards: Vec::new(),
                    next: Some(token),
                },
            })
        }
    }

    #[tokio::test]
    async fn every_shard_once_however_the_service_pages() {
        for paging in [Paging::Right, Paging::Refused, Paging::Anew, Paging::Endless] {
            for count in [1, 1000, 1001, 2500, 12_000] {
                let listed = list_shards(&Pages { paging, count }).await.unwrap();
                let expected: Vec<_> = (0..count).map(|number| ShardId::from(format!("shardId-{number:012}"))).collect();
                assert_eq!(
                    listed.into_iter().map(|shard| shard.id).collect::<Vec<_>>(),
                    expected,
                    "{paging:?}, {count}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_part_is_never_taken_for_the_whole() {
        let error = list_shards(&Pages {
            paging: Paging::Hopeless,
            count: 2500,
        })
        .await
        .unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Invalid);
    }
}
