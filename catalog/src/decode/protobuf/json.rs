//! Messages as JSON text: what is set, under the names of the .proto file; numbers of 64 bits as numbers.

use super::super::cell::Cell;
use super::super::written;
use super::types::{Field, Kind, Label, MessageId};
use super::value::Reading;
use super::wire::Raw;

impl Reading<'_> {
    /// Adds a message.
    pub(super) fn json_message(&self, id: MessageId, parts: &[Raw], json: &mut String) {
        let collected = self.collect(id, parts);
        let mut before = '{';
        for (field, found) in self.types.message(id).fields.iter().zip(&collected) {
            if found.is_empty() {
                continue;
            }
            json.push(std::mem::replace(&mut before, ','));
            written::text(&field.name, json);
            json.push(':');
            self.json_field(field, found, json);
        }
        json.push_str(if before == '{' { "{}" } else { "}" });
    }

    /// Adds a field's value.
    pub(super) fn json_field(&self, field: &Field, found: &[Raw], json: &mut String) {
        match field.label {
            Label::Singular { .. } => self.json_value(field.kind, found, json),
            Label::Repeated => {
                let mut before = '[';
                for value in self.values(field.kind, found) {
                    json.push(std::mem::replace(&mut before, ','));
                    self.json_value(field.kind, &[value], json);
                }
                json.push_str(if before == '[' { "[]" } else { "]" });
            }
            Label::Map => {
                let mut before = '{';
                for (key, kind, value) in self.entries(field, found) {
                    json.push(std::mem::replace(&mut before, ','));
                    written::text(&key, json);
                    json.push(':');
                    self.json_value(kind, value.as_slice(), json);
                }
                json.push_str(if before == '{' { "{}" } else { "}" });
            }
        }
    }

    fn json_value(&self, kind: Kind, parts: &[Raw], json: &mut String) {
        match kind {
            Kind::Message(id) => self.json_message(id, parts, json),
            Kind::Uint64 | Kind::Fixed64 => self.scalar(kind, Some(parts), |cell| match cell {
                Cell::Text(number) => json.push_str(number),
                other => written::scalar(other, json),
            }),
            kind => self.scalar(kind, Some(parts), |cell| written::scalar(cell, json)),
        }
    }
}
