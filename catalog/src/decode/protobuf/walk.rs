//! A message's bytes, from end to end: whether they are one, and what in them columns ask for.

use super::types::{Field, Kind, Label, Message, MessageId, Types};
use super::wire::{Broken, Fields, MOST_DEPTH, Raw, fits, packs, too_deep, values};

/// What columns take of a message.
#[derive(Debug)]
pub(super) struct Step {
    /// Of each field.
    fields: Vec<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Columns that take the field's values.
    places: Vec<usize>,
    /// What columns take of the message in it.
    inner: Option<Box<Step>>,
}

/// What a column is.
#[derive(Debug)]
pub(super) enum Target {
    /// Nothing that the message has.
    Nothing,
    /// The whole message, of that type.
    Whole(MessageId),
    /// A field of a message.
    Field(MessageId, usize),
    /// One value of a repeated field, or of a map, or what is in it.
    Within(MessageId, usize, Box<Within>),
}

#[derive(Debug)]
pub(super) struct Within {
    /// Index or key.
    pub(super) key: String,
    /// What is taken of the message there; `None` = the value itself.
    pub(super) inner: Option<(MessageId, Option<Step>, Target)>,
}

/// What was found of one row's columns.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Of each column the values of its field, as far as they count.
    pub(super) values: Vec<Vec<Raw>>,
    /// Of each column whether the message is there that its field is in.
    pub(super) parents: Vec<bool>,
}

impl Found {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            values: vec![Vec::new(); columns],
            parents: vec![false; columns],
        }
    }

    pub(super) fn clear(&mut self) {
        self.values.iter_mut().for_each(Vec::clear);
        self.parents.fill(false);
    }
}

/// The rest of a column's path, and the column.
type Path<'p> = (usize, &'p [String]);

impl Step {
    /// Paths from a message on, none of them empty; `None` if none of them leads anywhere.
    pub(super) fn bind(types: &Types, id: MessageId, paths: &[Path<'_>], targets: &mut [Target]) -> Option<Self> {
        let message = types.message(id);
        let mut fields: Vec<Taken> = message.fields.iter().map(|_| Taken::default()).collect();
        let mut deeper: Vec<Vec<Path<'_>>> = vec![Vec::new(); fields.len()];
        for (column, path) in paths {
            let Some((name, rest)) = path.split_first() else { continue };
            let Some(place) = message.by_name(name) else { continue };
            let field = &message.fields[place];
            match (field.label, field.kind) {
                _ if rest.is_empty() => targets[*column] = Target::Field(id, place),
                (Label::Singular { .. }, Kind::Message(_)) => {
                    deeper[place].push((*column, rest));
                    continue;
                }
                (Label::Repeated | Label::Map, _) => match Within::bind(types, field, rest) {
                    Some(within) => targets[*column] = Target::Within(id, place, Box::new(within)),
                    None => continue,
                },
                _ => continue,
            }
            fields[place].places.push(*column);
        }
        for (place, paths) in deeper.iter().enumerate() {
            if let (Kind::Message(inner), false) = (message.fields[place].kind, paths.is_empty()) {
                fields[place].inner = Self::bind(types, inner, paths, targets).map(Box::new);
            }
        }
        let any = fields.iter().any(|field| !field.places.is_empty() || field.inner.is_some());
        any.then_some(Self { fields })
    }

    /// Forgets what was found of a member of a oneof, of which another has been set since.
    fn forget(taken: &Taken, found: &mut Found) {
        for place in &taken.places {
            found.values[*place].clear();
        }
        if let Some(inner) = &taken.inner {
            for taken in &inner.fields {
                for place in &taken.places {
                    found.parents[*place] = false;
                }
                Self::forget(taken, found);
            }
        }
    }
}

impl Within {
    fn bind(types: &Types, field: &Field, path: &[String]) -> Option<Self> {
        let (key, rest) = path.split_first()?;
        let kind = match (field.label, field.kind) {
            (Label::Map, Kind::Message(entry)) => types
                .message(entry)
                .by_number(2)
                .map(|value| types.message(entry).fields[value].kind)?,
            (_, kind) => {
                key.parse::<usize>().ok()?;
                kind
            }
        };
        let inner = match (kind, rest) {
            (_, []) => None,
            (Kind::Message(message), rest) => {
                let mut target = [Target::Nothing];
                let step = Step::bind(types, message, &[(0, rest)], &mut target)?;
                let [target] = target;
                Some((message, Some(step), target))
            }
            _ => return None,
        };
        Some(Self { key: key.clone(), inner })
    }
}

/// Goes over a message. What of it columns take is added to what was found of an earlier part of the same message, as parts of messages are merged.
pub(super) fn message(
    types: &Types,
    id: MessageId,
    step: Option<&Step>,
    record: &[u8],
    range: (usize, usize),
    depth: usize,
    found: &mut Found,
) -> Result<(), Broken> {
    if depth > MOST_DEPTH {
        return Err(too_deep());
    }
    let message_type = types.message(id);
    if let Some(step) = step {
        for place in step.fields.iter().flat_map(|taken| &taken.places) {
            found.parents[*place] = true;
        }
    }
    let mut fields = Fields::new(record, range);
    while let Some((number, raw)) = fields.next()? {
        let Some(place) = message_type.by_number(number) else { continue };
        let field = &message_type.fields[place];
        check(field, raw, record)?;
        let taken = step.map(|step| &step.fields[place]);
        let inner = taken.and_then(|taken| taken.inner.as_deref());
        if let (Some(step), Some(oneof)) = (step, field.oneof) {
            forget_others(message_type, step, oneof, place, found);
        }
        for place in taken.iter().flat_map(|taken| &taken.places) {
            let values = &mut found.values[*place];
            // Of a scalar the last counts; parts of a message are merged.
            if matches!(field.label, Label::Singular { .. }) && !is_message(field.kind) {
                values.clear();
            }
            values.push(raw);
        }
        match (field.kind, raw) {
            (Kind::Message(inner_id), Raw::Range(start, end)) => message(types, inner_id, inner, record, (start, end), depth + 1, found)?,
            (Kind::Wrapper(inner_id), Raw::Range(start, end)) => message(types, inner_id, None, record, (start, end), depth + 1, found)?,
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn is_message(kind: Kind) -> bool {
    matches!(kind, Kind::Message(_) | Kind::Timestamp | Kind::Duration | Kind::Wrapper(_))
}

fn forget_others(message: &Message, step: &Step, oneof: usize, place: usize, found: &mut Found) {
    for (other, taken) in step.fields.iter().enumerate() {
        if other != place && message.fields[other].oneof == Some(oneof) {
            Step::forget(taken, found);
        }
    }
}

/// Refuses a value that is none of its field's.
fn check(field: &Field, raw: Raw, record: &[u8]) -> Result<(), Broken> {
    if fits(field.kind, raw) {
        // What is inside of times is numbers, which are looked at when they are read.
        if let (Kind::Timestamp | Kind::Duration, Raw::Range(start, end)) = (field.kind, raw) {
            let mut fields = Fields::new(record, (start, end));
            while fields.next()?.is_some() {}
        }
        return Ok(());
    }
    if field.label == Label::Repeated && packs(field.kind) && matches!(raw, Raw::Range(..)) {
        return values(field.kind, raw, record).try_for_each(|value| value.map(drop));
    }
    Err(format!("{} is written as what it is not", field.described()))
}
