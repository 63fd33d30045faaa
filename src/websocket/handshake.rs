//! The fields of an opening handshake, judged one by one (RFC 6455 4.1 and 4.2): pure functions over heads.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::http::Fields;

/// The version of RFC 6455.
pub const VERSION: &str = "13";

/// The nonce in the examples of RFC 6455 1.3: recipes and load tools send it.
const SAMPLE_KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// Reads base64 as careless encoders write it: bits behind the last byte that are not zero.
const SLOPPY: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// What a Sec-WebSocket-Key is (RFC 6455 4.1 item 7: 16 bytes in base64).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// 16 bytes.
    Valid,
    /// The sample nonce of RFC 6455: valid, and never random.
    Sample,
    /// 16 bytes, but bits that must be zero are not: servers that decode strictly refuse it.
    Sloppy,
    /// The word `test`, as popular recipes have it.
    Test,
    /// Base64 of so many bytes other than 16.
    WrongLength(usize),
    /// No base64.
    NotBase64,
}

impl Key {
    /// Judges a key, white space around it taken off.
    pub fn of(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        if value == SAMPLE_KEY {
            return Self::Sample;
        }
        if value == b"test" {
            return Self::Test;
        }
        match (BASE64_STANDARD.decode(value), SLOPPY.decode(value)) {
            (Ok(bytes), _) if bytes.len() == 16 => Self::Valid,
            (Err(_), Ok(bytes)) if bytes.len() == 16 => Self::Sloppy,
            (Ok(bytes), _) | (Err(_), Ok(bytes)) => Self::WrongLength(bytes.len()),
            (Err(_), Err(_)) => Self::NotBase64,
        }
    }

    /// Whether a server may accept it: it stands for 16 bytes.
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::Sample | Self::Sloppy)
    }
}

/// What a request says about its version (RFC 6455 4.1 item 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 13.
    Supported,
    /// No Sec-WebSocket-Version.
    Missing,
    /// Another one, or several.
    Unsupported,
}

impl Version {
    /// Judges the fields of a request.
    pub fn of(request: &Fields) -> Self {
        let mut values = request.all("sec-websocket-version");
        match (values.next(), values.next()) {
            (None, _) => Self::Missing,
            (Some(value), None) if value.trim_ascii() == VERSION.as_bytes() => Self::Supported,
            _ => Self::Unsupported,
        }
    }
}

/// The versions that an answer says the server supports (RFC 6455 4.4), in order.
pub fn versions_offered(answer: &Fields) -> Vec<String> {
    answer
        .list("sec-websocket-version")
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// What an answer chose of the offered subprotocols (RFC 6455 4.1, 4.2.2 step 5.5). Compared with case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subprotocol {
    /// Neither offered nor chosen.
    Unused,
    /// Offered, and none chosen: browsers give up then.
    NotChosen,
    /// One of the offered ones.
    Chosen(Box<str>),
    /// One that was not offered.
    NotOffered(Box<str>),
    /// Several at once.
    Several,
}

impl Subprotocol {
    /// Judges an answer.
    pub fn of(request: &Fields, answer: &Fields) -> Self {
        const FIELD: &str = "sec-websocket-protocol";
        let mut chosen = answer.list(FIELD);
        match (chosen.next(), chosen.next()) {
            (None, _) if answer.count(FIELD) == 0 && request.list(FIELD).next().is_none() => {
                Self::Unused
            }
            // An empty value is no choice (RFC 6455 4.2.2 step 5.5).
            (None, _) if request.list(FIELD).next().is_none() => Self::NotOffered("".into()),
            (None, _) => Self::NotChosen,
            (Some(_), Some(_)) => Self::Several,
            (Some(one), None) if request.list(FIELD).any(|offered| offered == one) => {
                Self::Chosen(one.into())
            }
            (Some(one), None) => Self::NotOffered(one.into()),
        }
    }
}

/// Fields of a handshake that must not be repeated (RFC 6455 11.3, RFC 9112 3.2) and are, in the order given here.
pub fn repeated_fields(fields: &Fields) -> Vec<&'static str> {
    const SINGLE: [&str; 6] = [
        "Host",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Accept",
        "Origin",
        "Content-Length",
    ];
    SINGLE
        .into_iter()
        .filter(|name| fields.count(name) > 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        for (key, expected) in [
            ("949HZYvm7OUyj3i01ckTsQ==", Key::Valid),
            (" 949HZYvm7OUyj3i01ckTsQ==\t", Key::Valid),
            ("dGhlIHNhbXBsZSBub25jZQ==", Key::Sample),
            // The last sextet has bits that belong to no byte.
            ("949HZYvm7OUyj3i01ckTsR==", Key::Sloppy),
            ("test", Key::Test),
            ("dGVzdA==", Key::WrongLength(4)),
            ("dGhlIHNhbXBsZSBub25jZSEh", Key::WrongLength(18)),
            ("", Key::WrongLength(0)),
            ("949HZYvm7OUyj3i01ckTsQ", Key::NotBase64),
            ("not base64 at all", Key::NotBase64),
        ] {
            assert_eq!(Key::of(key.as_bytes()), expected, "{key}");
        }
        assert!(Key::Sloppy.is_valid() && !Key::Test.is_valid());
    }

    #[test]
    fn versions_are_judged() {
        const FIELD: &str = "Sec-WebSocket-Version";
        for (fields, expected) in [
            (&[(FIELD, "13")][..], Version::Supported),
            (&[], Version::Missing),
            (&[(FIELD, "8")], Version::Unsupported),
            (&[(FIELD, "13"), (FIELD, "13")], Version::Unsupported),
            (&[(FIELD, "13, 8")], Version::Unsupported),
        ] {
            assert_eq!(Version::of(&Fields::of(fields)), expected, "{fields:?}");
        }
        let answer = Fields::of(&[(FIELD, "13"), (FIELD, "8, 7")]);
        assert_eq!(versions_offered(&answer), ["13", "8", "7"]);
    }

    #[test]
    fn subprotocols_are_held_against_the_offer() {
        const FIELD: &str = "Sec-WebSocket-Protocol";
        for (offered, answered, expected) in [
            (&[][..], &[][..], Subprotocol::Unused),
            (&["a, b"], &[], Subprotocol::NotChosen),
            (&["a", "b"], &["b"], Subprotocol::Chosen("b".into())),
            (&["a"], &["A"], Subprotocol::NotOffered("A".into())),
            (&[], &["a"], Subprotocol::NotOffered("a".into())),
            (&[], &[""], Subprotocol::NotOffered("".into())),
            (&["a"], &[""], Subprotocol::NotChosen),
            (&["a, b"], &["a, b"], Subprotocol::Several),
        ] {
            let of = |values: &[&str]| {
                let fields: Vec<_> = values.iter().map(|value| (FIELD, *value)).collect();
                Fields::of(&fields)
            };
            assert_eq!(
                Subprotocol::of(&of(offered), &of(answered)),
                expected,
                "{offered:?} {answered:?}"
            );
        }
    }

    #[test]
    fn repeated_fields_are_named() {
        let fields = Fields::of(&[
            ("host", "a"),
            ("Host", "b"),
            ("Sec-WebSocket-Key", "x"),
            ("Sec-WebSocket-Protocol", "a"),
            ("Sec-WebSocket-Protocol", "b"),
        ]);
        assert_eq!(repeated_fields(&fields), ["Host"]);
    }
}
