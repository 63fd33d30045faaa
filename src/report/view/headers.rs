//! The header fields of a head in their order, in one piece: a report of a large capture has hundreds of thousands.
//!
//! ```text
//!   text  Host|www.example.org|Upgrade|websocket
//!   ends      4               19      26        35
//! ```

use serde::{Serialize, Serializer};

/// Name and value of most fields are no longer together.
const FIELD_BYTES: usize = 40;

/// Names and values, as text.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    text: Box<str>,
    /// Where each name and each value ends: those of heads, which are at most `http::MAX_HEAD` bytes long, and of what
    /// stands for a secret.
    ends: Box<[u32]>,
}

impl Headers {
    /// Fields in their order.
    pub fn new<T: AsRef<str>>(fields: impl Iterator<Item = (T, T)>) -> Self {
        let (fewest, _) = fields.size_hint();
        let mut row = Row::with_room(fewest * FIELD_BYTES, fewest);
        for (name, value) in fields {
            row.push(name.as_ref());
            row.push(value.as_ref());
        }
        row.finish()
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut from = 0;
        let mut next = move |end: u32| {
            let start = std::mem::replace(&mut from, end as usize);
            self.text.get(start..end as usize).unwrap_or_default()
        };
        let (pairs, _) = self.ends.as_chunks();
        pairs
            .iter()
            .map(move |&[name, value]| (next(name), next(value)))
    }

    /// Changes name and value of each; most stay as they are.
    pub(in crate::report) fn edit(&mut self, mut change: impl FnMut(&mut String, &mut String)) {
        let mut new: Option<Row> = None;
        let mut name = String::with_capacity(FIELD_BYTES);
        let mut value = String::with_capacity(self.text.len());
        for (place, (old_name, old_value)) in self.iter().enumerate() {
            old_name.clone_into(&mut name);
            old_value.clone_into(&mut value);
            change(&mut name, &mut value);
            if new.is_none() && (name != old_name || value != old_value) {
                new = Some(self.first(place));
            }
            if let Some(row) = &mut new {
                row.push(&name);
                row.push(&value);
            }
        }
        if let Some(row) = new {
            *self = row.finish();
        }
    }

    /// The first ones, to be continued.
    fn first(&self, fields: usize) -> Row {
        let mut row = Row::with_room(self.text.len(), self.ends.len() / 2);
        for (name, value) in self.iter().take(fields) {
            row.push(name);
            row.push(value);
        }
        row
    }
}

/// Fields while they are written one behind the other.
struct Row {
    text: String,
    ends: Vec<u32>,
}

impl Row {
    fn with_room(bytes: usize, fields: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(2 * fields),
        }
    }

    fn push(&mut self, part: &str) {
        self.text.push_str(part);
        self.ends.push(self.text.len() as u32);
    }

    fn finish(self) -> Headers {
        Headers {
            text: self.text.into_boxed_str(),
            ends: self.ends.into_boxed_slice(),
        }
    }
}

/// As pairs of name and value.
impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_their_order_and_can_be_changed() {
        let fields = [("Host", "a"), ("Empty", ""), ("Größe", "ü"), ("Host", "b")];
        let mut headers = Headers::new(fields.into_iter());
        assert_eq!(headers.iter().collect::<Vec<_>>(), fields);
        headers.edit(|_, _| {});
        assert_eq!(headers.iter().collect::<Vec<_>>(), fields);
        headers.edit(|name, value| {
            if name.starts_with('G') {
                *name = name.to_uppercase();
                value.push_str(" more");
            }
        });
        let changed = [fields[0], fields[1], ("GRÖSSE", "ü more"), fields[3]];
        assert_eq!(headers.iter().collect::<Vec<_>>(), changed);
        let text = serde_json::to_string(&Headers::new(fields.into_iter().take(2)));
        assert_eq!(text.ok().as_deref(), Some(r#"[["Host","a"],["Empty",""]]"#));
        assert_eq!(Headers::default().iter().count(), 0);
    }
}
