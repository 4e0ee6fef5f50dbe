//! Tables as flights: their descriptors are paths.

use arrow_flight::{Criteria, FlightDescriptor, FlightInfo};
use tonic::Status;

use super::caller::Caller;
use super::flight::Inner;
use super::metadata::default_of;
use super::{status, stream};

/// The statement that a path asks for: all of a table.
///
/// # Errors
/// INVALID_ARGUMENT for a path that is none of `[table]`, `[schema, table]`, `[catalog, schema, table]`.
pub(crate) fn statement_of(path: &[String]) -> Result<String, Status> {
    if !(1..=3).contains(&path.len()) || path.iter().any(String::is_empty) {
        return Err(Status::invalid_argument(
            "a path is [table], [schema, table] or [catalog, schema, table]",
        ));
    }
    let quoted = path.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
    Ok(format!("SELECT * FROM {}", quoted.collect::<Vec<_>>().join(".")))
}

impl Inner {
    /// ListFlights: the tables that the caller may read, each with the path that GetFlightInfo plans.
    pub(crate) fn flights(&self, caller: &Caller, criteria: &Criteria) -> Result<Vec<FlightInfo>, Status> {
        let principal = self.sessions.principal(caller)?;
        let pattern = std::str::from_utf8(&criteria.expression)
            .map_err(|_| Status::invalid_argument("the criteria is a pattern of table names, as text"))?;
        let tables = self.backend.tables(&principal, self.sessions.seen(caller).as_deref());
        let wanted = tables
            .into_iter()
            .filter(|table| pattern.is_empty() || is_like(&table.name, pattern));
        let flight = |table: crate::engine::TableEntry| {
            let path = vec![default_of("catalog").to_owned(), table.schema, table.name];
            FlightInfo::new()
                .with_descriptor(FlightDescriptor::new_path(path))
                .try_with_schema(&*stream::plain_schema(&table.arrow_schema)?)
                .map_err(|error| status::internal("encoding a schema", &error))
        };
        wanted.map(flight).collect()
    }
}

/// `%` is any text, `_` any character, and `\` before them themselves.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut pattern = pattern.chars();
    let Some(first) = pattern.next() else { return name.is_empty() };
    let rest = pattern.as_str();
    let mut left = name.chars();
    match first {
        '%' => name
            .char_indices()
            .map(|(at, _)| at)
            .chain([name.len()])
            .any(|at| is_like(&name[at..], rest)),
        '_' => left.next().is_some() && is_like(left.as_str(), rest),
        '\\' => match pattern.next() {
            Some(escaped) => left.next() == Some(escaped) && is_like(left.as_str(), pattern.as_str()),
            None => name == "\\",
        },
        literal => left.next() == Some(literal) && is_like(left.as_str(), rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let path = |names: &[&str]| statement_of(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(path(&["t"]).unwrap(), r#"SELECT * FROM "t""#);
        assert_eq!(path(&["k", "s", r#"a"; drop"#]).unwrap(), r#"SELECT * FROM "k"."s"."a""; drop""#);
        for wrong in [&[][..], &["a", "b", "c", "d"], &["a", ""]] {
            assert_eq!(path(wrong).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn patterns_are_those_of_like() {
        for (name, pattern, expected) in [
            ("numbers", "numb_rs", true),
            ("numbers", "num%", true),
            ("numbers", "%s", true),
            ("numbers", "%umb%", true),
            ("numbers", "num", false),
            ("a_b", r"a\_b", true),
            ("axb", r"a\_b", false),
            ("日本", "_本", true),
            ("", "%", true),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} like {pattern}");
        }
    }
}
