//! How values that are no JSON types are written: as their `Display` texts.
//!
//! Times and ids so have one form everywhere in the document.

use std::fmt::Display;

use serde::Serializer;

/// Writes a value as its `Display` text.
pub(in crate::report) fn text<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Writes a value as its `Display` text, or null.
#[allow(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn text_or_null<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// Writes values as their `Display` texts.
pub(super) fn texts<T: Display, S: Serializer>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}
