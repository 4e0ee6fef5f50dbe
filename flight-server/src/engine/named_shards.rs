//! How many shards the facts of a statement name.

use serde_json::{Value, json};

/// Shards that facts name one by one, some 300 bytes each. Some clients take no message above 4 MiB, the tickets of tens of thousands of shards included.
pub(super) const NAMED_SHARDS: usize = 1000;

/// Adds `shards` to facts, and `more_shards`, the number of those not named, where there are more than [`NAMED_SHARDS`].
pub(super) fn name_shards(facts: &mut Value, shards: impl ExactSizeIterator<Item = Value>) {
    let more = shards.len().saturating_sub(NAMED_SHARDS);
    facts["shards"] = shards.take(NAMED_SHARDS).collect();
    if more > 0 {
        facts["more_shards"] = json!(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_counted() {
        let mut facts = json!({});
        name_shards(&mut facts, (0..1000).map(Value::from));
        assert_eq!(facts["shards"].as_array().map(Vec::len), Some(1000));
        assert!(facts.get("more_shards").is_none());
        name_shards(&mut facts, (0..10_000).map(Value::from));
        assert_eq!(facts["shards"].as_array().map(Vec::len), Some(1000));
        assert_eq!(facts["shards"][999], 999);
        assert_eq!(facts["more_shards"], 9000);
    }
}
