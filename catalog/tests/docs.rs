//! The examples of `docs/formats`: a definition (`yaml`), its records (`records`: one a line, in quotes where it holds line ends, `base64:` before bytes) and what they
//! decode to (`rows`: the table, then the verdict of each bad row).

#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::fs;
use std::path::Path;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::util::pretty::pretty_format_batches;
use base64::Engine;
use catalog::{Decoder, TableDefinition};

/// The blocks of a page: their word and their text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(word)) => open = Some((word.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

fn record(line: &str) -> Vec<u8> {
    match line.strip_prefix("base64:") {
        Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded.trim()).unwrap(),
        None if line.starts_with('"') => serde_json::from_str::<String>(line).unwrap().into_bytes(),
        None => line.as_bytes().to_vec(),
    }
}

/// Lines without the padding of tables, so that pages may be laid out as they like.
fn squeezed(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with('+'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn examples_are_true() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats");
    let mut examples = 0;
    for entry in fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = fs::read_to_string(&path).unwrap();
        let blocks = blocks(&page);
        let mut of_page = 0;
        for window in blocks.windows(3) {
            let [(yaml, definition), (records, payloads), (rows, expected)] = window else {
                continue;
            };
            if (&**yaml, &**records, &**rows) != ("yaml", "records", "rows") {
                continue;
            }
            let table = TableDefinition::from_yaml_file(definition, "default", &pages)
                .unwrap_or_else(|error| panic!("{path:?}: {error}\n{definition}"));
            let payloads: Vec<Vec<u8>> = payloads.lines().map(record).collect();
            let all: Vec<usize> = (0..table.columns.len()).collect();
            let decoded = Decoder::new(&table, &all)
                .unwrap()
                .decode(&BinaryArray::from_iter_values(&payloads))
                .unwrap();
            let batch = RecordBatch::try_new(table.arrow_schema(), decoded.columns).unwrap();
            let mut found = pretty_format_batches(&[batch]).unwrap().to_string();
            for bad in &decoded.bad {
                found.push_str(&format!("\nbad {}: {}", bad.row, bad.error));
            }
            assert_eq!(squeezed(&found), squeezed(expected), "{path:?}:\n{found}");
            of_page += 1;
        }
        assert!(of_page > 0, "{path:?} has an example");
        examples += of_page;
    }
    assert!(examples >= 9);
}
