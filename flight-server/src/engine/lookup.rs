//! What the names in a statement stand for, and which hidden columns its tables expose.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TableName;

use super::error::EngineError;
use super::files::FilesTable;
use super::hidden::HiddenColumn;
use super::sql::{Named, ParsedStatement};
use super::statement_options::StatementOptions;
use super::view::{Available, Found};

/// Finds the tables of one statement, and takes down which it found.
pub(super) struct Lookup<'a> {
    available: &'a Available,
    hides: bool,
    mentions: BTreeSet<&'static str>,
    words: BTreeSet<String>,
    /// Tables over streams, with the hidden columns that they expose.
    pub(super) exposed: BTreeMap<TableName, BTreeSet<String>>,
    /// Tables over files.
    pub(super) files: BTreeMap<TableName, FilesTable>,
    /// Scratch tables and views.
    pub(super) scratch: BTreeSet<String>,
    /// The statement asks which tables there are.
    pub(super) lists_tables: bool,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(available: &'a Available, parsed: &ParsedStatement, options: &StatementOptions) -> Self {
        let hides = options.hide_internal_columns;
        let hidden = HiddenColumn::ALL.into_iter().map(HiddenColumn::name);
        Self {
            available,
            hides,
            mentions: hidden.filter(|name| !hides || parsed.mentions(name)).collect(),
            words: parsed.words().clone(),
            exposed: BTreeMap::new(),
            files: BTreeMap::new(),
            scratch: BTreeSet::new(),
            lists_tables: parsed.lists_tables(),
        }
    }

    pub(super) fn find(&mut self, schema: &str, table: &str, is_qualified: bool) -> Result<Named, EngineError> {
        let name = TableName {
            schema: schema.to_owned(),
            table: table.to_owned(),
        };
        self.lists_tables |= schema == "information_schema";
        let definition = match self.available.find(&name, is_qualified)? {
            Found::OfServer => return Ok(Named::Table(Vec::new())),
            Found::View(view) => {
                self.scratch.insert(name.table);
                return Ok(Named::View(view));
            }
            Found::Scratch => {
                self.scratch.insert(name.table);
                return Ok(match schema == super::scratch::SCHEMA {
                    true => Named::Table(Vec::new()),
                    false => Named::Elsewhere {
                        schema: super::scratch::SCHEMA.to_owned(),
                    },
                });
            }
            Found::Files(table) => {
                self.files.insert(name, table);
                return Ok(Named::Table(Vec::new()));
            }
            Found::Stream(definition) => definition,
        };
        let hidden = definition
            .columns
            .iter()
            .filter(|column| column.hidden && self.words.contains(&column.name));
        let mut shown: BTreeSet<String> = hidden.map(|column| column.name.clone()).collect();
        let mut excluded: Vec<String> = shown.iter().cloned().collect();
        shown.extend(self.mentions.iter().map(|name| (*name).to_owned()));
        if self.hides {
            excluded.extend(self.mentions.iter().map(|name| (*name).to_owned()));
        }
        self.exposed.insert(name, shown);
        Ok(Named::Table(excluded))
    }
}
