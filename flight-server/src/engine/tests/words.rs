//! What the engine says of its SQL.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn functions_are_listed_once_where_they_belong() {
    let words = World::new(1).engine.words();
    let has = |list: &[String], name: &str| list.iter().any(|known| known == name);
    for (list, names) in [
        (&words.keywords, ["SELECT", "QUALIFY"]),
        (&words.numeric, ["abs", "power"]),
        (&words.string, ["upper", "regexp_like"]),
        (&words.datetime, ["date_trunc", "now"]),
        (&words.system, ["coalesce", "sequence_number"]),
    ] {
        for name in names {
            assert!(has(list, name), "{name} in {list:?}");
        }
        assert!(list.is_sorted(), "{list:?}");
    }
    let functions = [&words.numeric, &words.string, &words.datetime, &words.system];
    let names: BTreeSet<&String> = functions.into_iter().flatten().collect();
    assert_eq!(names.len(), functions.iter().map(|list| list.len()).sum::<usize>());
}
