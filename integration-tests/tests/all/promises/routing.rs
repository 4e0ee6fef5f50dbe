//! Which shard a record goes to.

use aws_sdk_kinesis::primitives::Blob;
use md5::{Digest as _, Md5};

use super::service::{Checked, Service, promise, promise_eq, range};

pub(super) async fn shards_divide_the_whole_key_space(service: &Service) -> Checked {
    for count in [1, 3, 5] {
        let stream = service.stream(count).await?;
        let mut ranges = Vec::new();
        for shard in service.shards(&stream).await? {
            ranges.push(range(&shard)?);
        }
        ranges.sort_unstable();
        promise_eq!(ranges.len(), count as usize, "shards");
        promise_eq!(ranges[0].0, 0, "the first range's start");
        promise_eq!(ranges[ranges.len() - 1].1, u128::MAX, "the last range's end");
        for pair in ranges.windows(2) {
            promise_eq!(pair[0].1.wrapping_add(1), pair[1].0, "neighbours");
        }
    }
    Ok(())
}

pub(super) async fn partition_keys_go_where_their_md5_lies(service: &Service) -> Checked {
    let stream = service.stream(4).await?;
    let shards = service.shards(&stream).await?;
    let records: Vec<(String, Vec<u8>)> = (0..120)
        .map(|number| (format!("Schlüssel {number} ☂"), number.to_string().into_bytes()))
        .collect();
    let placed = service.put_all(&stream, &records).await?;
    let mut used = std::collections::BTreeSet::new();
    for ((key, _), (shard, _)) in records.iter().zip(&placed) {
        let hash = u128::from_be_bytes(Md5::digest(key.as_bytes()).into());
        let Some(owner) = shards.iter().find(|candidate| candidate.shard_id() == shard) else {
            promise!(false, "{shard} is not listed");
            continue;
        };
        let (start, end) = range(owner)?;
        promise!(
            (start..=end).contains(&hash),
            "key {key} hashes to {hash} and went to {start}..={end}"
        );
        used.insert(shard);
    }
    promise_eq!(used.len(), 4, "shards used by 120 keys");
    // The answer is not all: the record must be there.
    for shard in &shards {
        let expected = placed.iter().filter(|(id, _)| id == shard.shard_id()).count();
        promise_eq!(
            service.read_all(&stream, shard.shard_id()).await?.len(),
            expected,
            "records of {}",
            shard.shard_id()
        );
    }
    Ok(())
}

pub(super) async fn an_explicit_hash_key_wins_over_the_partition_key(service: &Service) -> Checked {
    let stream = service.stream(3).await?;
    for shard in service.shards(&stream).await? {
        let (start, end) = range(&shard)?;
        for hash in [start, end] {
            let put = service
                .client
                .put_record()
                .stream_name(&stream)
                .partition_key("the same")
                .explicit_hash_key(hash.to_string());
            let answer = put.data(Blob::new("x")).send().await?;
            promise_eq!(answer.shard_id(), shard.shard_id(), "the shard of hash key {hash}");
        }
        promise_eq!(
            service.read_all(&stream, shard.shard_id()).await?.len(),
            2,
            "records of {}",
            shard.shard_id()
        );
    }
    Ok(())
}
