//! The words of the SQL that is spoken here, for clients that ask: from the parser's keywords, and from the functions that are registered.

use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

use super::plan::Engine;

/// Keywords, and functions by what they are about. Each list is sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlWords {
    /// Words that have a meaning of their own.
    pub keywords: Vec<String>,
    /// Of numbers.
    pub numeric: Vec<String>,
    /// Of text and bytes.
    pub string: Vec<String>,
    /// Of dates and times.
    pub datetime: Vec<String>,
    /// All others.
    pub system: Vec<String>,
}

impl Engine {
    /// The words of SQL.
    pub fn words(&self) -> SqlWords {
        let mut words = SqlWords {
            keywords: ALL_KEYWORDS.iter().map(|word| (*word).to_owned()).collect(),
            ..SqlWords::default()
        };
        for (name, function) in self.template().scalar_functions() {
            let list = match section(function) {
                "Math Functions" => &mut words.numeric,
                "String Functions" | "Binary String Functions" | "Regular Expression Functions" | "Hashing Functions" => &mut words.string,
                "Time and Date Functions" => &mut words.datetime,
                _ => &mut words.system,
            };
            list.push(name.clone());
        }
        for list in [&mut words.numeric, &mut words.string, &mut words.datetime, &mut words.system] {
            list.sort_unstable();
        }
        words
    }
}

/// The part of the documentation that a function is in.
fn section(function: &ScalarUDF) -> &'static str {
    function.documentation().map_or("", |documentation| documentation.doc_section.label)
}
