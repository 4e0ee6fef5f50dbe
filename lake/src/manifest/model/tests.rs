//! What lies in lakes while versions change, as text that does not: these files were written by hand, and not by this program.

use serde::de::DeserializeOwned;

use super::*;

/// The text is read, and written the same: programs of the version before read it, too.
fn kept<T: Serialize + DeserializeOwned>(golden: &str) -> T {
    let read: T = serde_json::from_str(golden).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), golden.trim_end());
    read
}

#[test]
fn manifests_are_read_and_written_as_ever() {
    let manifest: Manifest = kept(include_str!("manifest.json"));
    assert_eq!(
        (manifest.number, manifest.change, manifest.mark.iteration.0),
        (7, Change::Publication, 6)
    );
    let shards: Vec<_> = manifest
        .mark
        .ends
        .shards
        .iter()
        .map(|(shard, end)| format!("{shard} {}", end.position))
        .collect();
    assert_eq!(
        shards,
        [
            "shardId-000000000000 after:49590338271490256608559692538361571095921575989136588898:4294967295",
            "shardId-000000000001 after:49590338271490256608559692538361571095921575989136588905:3",
            "shardId-000000000002 trim_horizon",
        ]
    );
    let types: Vec<_> = manifest
        .schema
        .arrow()
        .unwrap()
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(types[..2], [DataType::Int64, DataType::Decimal128(10, 2)]);
    assert_eq!(types[3], DataType::Date32);
    assert_eq!(manifest.add[1].partition, [("day".to_owned(), None)]);
    let compaction: Manifest = kept(include_str!("compaction.json"));
    assert_eq!((compaction.change, compaction.stored_as), (Change::Compaction, LakeFormat::Orc));
    let checkpoint: State = kept(include_str!("checkpoint.json"));
    assert_eq!((checkpoint.number, checkpoint.files.len(), checkpoint.left.len()), (20, 1, 1));
}

#[test]
fn what_a_later_version_adds_to_a_manifest_is_no_error_until_its_form_says_so() {
    let golden = include_str!("manifest.json").trim_end();
    let later = golden.replacen("\"form\":1", "\"of_a_later_version\":[1],\"form\":1", 1);
    let manifest: Manifest = serde_json::from_str(&later).unwrap();
    assert_eq!(serde_json::to_string(&manifest).unwrap(), golden);
    let other: Manifest = serde_json::from_str(&golden.replacen("\"form\":1,\"number\":7", "\"form\":2,\"number\":1", 1)).unwrap();
    let refused = State::after(None, other).unwrap_err();
    assert!(refused.contains("a newer version of the program wrote it"), "{refused}");
}
