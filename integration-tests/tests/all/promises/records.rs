//! What is put is what is read, in order.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::service::{Checked, Service, arrival, entry, numeric, promise, promise_eq, texts};

pub(super) async fn sequence_numbers_increase_and_reading_follows_them(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let mut sequences = Vec::new();
    for number in 0..5 {
        sequences.push(service.put(&stream, &format!("k{number}"), &number.to_string()).await?);
    }
    let batch: Vec<_> = (5..105)
        .map(|number| (format!("k{number}"), number.to_string().into_bytes()))
        .collect();
    sequences.extend(service.put_all(&stream, &batch).await?.into_iter().map(|(_, sequence)| sequence));
    for pair in sequences.windows(2) {
        promise!(numeric(&pair[0]) < numeric(&pair[1]), "{} is not before {}", pair[0], pair[1]);
    }
    let shard = service.shards(&stream).await?.remove(0);
    let records = service.read_all(&stream, shard.shard_id()).await?;
    promise_eq!(
        records.iter().map(|record| record.sequence_number().to_owned()).collect::<Vec<_>>(),
        sequences,
        "read sequence numbers"
    );
    promise_eq!(
        texts(&records),
        (0..105).map(|number| number.to_string()).collect::<Vec<_>>(),
        "read data"
    );
    Ok(())
}

pub(super) async fn sequence_numbers_have_56_digits(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let sequence = service.put(&stream, "k", "d").await?;
    promise!(
        sequence.len() == 56 && sequence.bytes().all(|digit| digit.is_ascii_digit()),
        "sequence number {sequence}"
    );
    Ok(())
}

pub(super) async fn records_come_back_byte_for_byte(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let records = vec![
        ("a".to_owned(), every_byte),
        ("key with spaces, \"quotes\" and ☃".to_owned(), b"{\"json\": 1}".to_vec()),
        ("x".repeat(256), vec![0]),
        (
            "large".to_owned(),
            (0..50_000_u32).map(|number| (number * 31 % 251) as u8).collect(),
        ),
    ];
    let placed = service.put_all(&stream, &records).await?;
    let read = service.read_all(&stream, &placed[0].0).await?;
    let read: Vec<_> = read
        .iter()
        .map(|record| {
            (
                record.partition_key().unwrap_or_default().to_owned(),
                record.data().as_ref().to_vec(),
            )
        })
        .collect();
    promise!(
        read == records,
        "{} of {} records differ",
        read.iter().zip(&records).filter(|(a, b)| a != b).count(),
        records.len()
    );
    Ok(())
}

pub(super) async fn a_batch_answers_for_each_entry_in_order(service: &Service) -> Checked {
    let stream = service.stream(2).await?;
    let entries: Vec<_> = (0..40)
        .map(|number| entry(&format!("k{number}"), format!("{number}").as_bytes()))
        .collect();
    let answer = service
        .client
        .put_records()
        .stream_name(&stream)
        .set_records(Some(entries))
        .send()
        .await?;
    promise_eq!(answer.failed_record_count(), Some(0), "FailedRecordCount");
    promise_eq!(answer.records().len(), 40, "entries");
    for shard in service.shards(&stream).await? {
        let expected: Vec<_> = (0..40)
            .zip(answer.records())
            .filter(|(_, result)| result.shard_id() == Some(shard.shard_id()))
            .map(|(number, result)| (number.to_string(), result.sequence_number().unwrap_or_default().to_owned()))
            .collect();
        let read = service.read_all(&stream, shard.shard_id()).await?;
        let read: Vec<_> = read
            .iter()
            .map(|record| (super::service::text(record), record.sequence_number().to_owned()))
            .collect();
        promise_eq!(read, expected, "what {} holds", shard.shard_id());
    }
    Ok(())
}

pub(super) async fn arrival_times_are_in_milliseconds(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let before = now();
    for number in 0..4 {
        service.put(&stream, "k", &number.to_string()).await?;
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    let after = now();
    let shard = service.shards(&stream).await?.remove(0);
    let records = service.read_all(&stream, shard.shard_id()).await?;
    promise_eq!(records.len(), 4, "records");
    let mut last = before;
    for record in &records {
        let time = arrival(record)?;
        promise!(time >= last && time <= after, "arrived at {time}, not within {last}..={after}");
        last = time;
    }
    let distinct: std::collections::BTreeSet<_> = records.iter().map(arrival).collect::<Result<_, _>>()?;
    promise_eq!(distinct.len(), 4, "different arrival times of records put 7 ms apart");
    Ok(())
}
