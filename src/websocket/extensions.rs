//! Sec-WebSocket-Extensions: its grammar (RFC 6455 9.1), permessage-deflate (RFC 7692 7.1), offer against answer.

use std::fmt;

use crate::http::{Fields, is_token};

/// The field's name.
const FIELD: &str = "sec-websocket-extensions";

/// The extension of RFC 7692.
const DEFLATE: &str = "permessage-deflate";

/// Elements read of a list, and parameters of an element: browsers send one element with two. They are compared with each
/// other, and a head has room for ten thousand.
const MAX_LISTED: usize = 64;

/// How much is told of what is malformed.
const MAX_TOLD: usize = 64;

/// One element of the list: an extension, with its parameters in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: Box<str>,
    /// Parameters: name, and value where there is one (quotes taken off).
    pub params: Vec<(Box<str>, Option<Box<str>>)>,
}

impl Extension {
    /// Whether it has a parameter.
    fn has(&self, name: &str) -> bool {
        self.params
            .iter()
            .any(|(param, _)| param.eq_ignore_ascii_case(name))
    }

    /// A parameter's value as a window size.
    fn window_bits(&self, name: &str) -> Option<u8> {
        let mut params = self.params.iter();
        let (_, value) = params.find(|(param, _)| param.eq_ignore_ascii_case(name))?;
        bits(value.as_deref()?)
    }
}

/// As it would be sent.
impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, "; {name}={value}")?,
                None => write!(f, "; {name}")?,
            }
        }
        Ok(())
    }
}

/// What is wrong with a Sec-WebSocket-Extensions field, or with an answer to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExtensionFault {
    /// An element that does not follow the grammar (RFC 6455 9.1), or is one of more than anybody needs, as sent.
    Malformed(Box<str>),
    /// The same parameter twice in one element (RFC 7692 7): which.
    RepeatedParameter(Box<str>),
    /// A parameter that permessage-deflate does not define (RFC 7692 7): which.
    UnknownParameter(Box<str>),
    /// A parameter with a value that it must not have, or without one that it must have (RFC 7692 7.1): which.
    BadValue(Box<str>),
    /// The answer has an extension that was not offered (RFC 6455 4.1): which.
    NotOffered(Box<str>),
    /// The answer has an extension twice: which.
    ChosenTwice(Box<str>),
    /// The answer has a parameter that the offer does not allow, or lacks one that the offer demands (RFC 7692 7.1):
    /// which.
    AgainstOffer(Box<str>),
}

/// All Sec-WebSocket-Extensions fields of a head, read as one list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// The elements that could be read, in order.
    pub list: Vec<Extension>,
    /// What is wrong with them by themselves, in order.
    pub faults: Vec<ExtensionFault>,
}

impl Extensions {
    /// Reads the fields of a request.
    pub fn offered(fields: &Fields) -> Self {
        Self::read(fields, false)
    }

    /// Reads the fields of an answer.
    pub fn chosen(fields: &Fields) -> Self {
        Self::read(fields, true)
    }

    fn read(fields: &Fields, is_answer: bool) -> Self {
        let mut all = Self::default();
        let elements = fields
            .all(FIELD)
            .flat_map(|value| split(value, b','))
            .map(<[u8]>::trim_ascii)
            // RFC 9110 5.6.1: empty elements of a list are ignored.
            .filter(|element| !element.is_empty());
        for (place, element) in elements.enumerate() {
            match extension(element) {
                Some(extension) if place < MAX_LISTED => {
                    parameter_faults(&extension, is_answer, &mut all.faults);
                    all.list.push(extension);
                }
                _ => all.faults.push(malformed(element)),
            }
            // The first one beyond is told, and no more.
            if place == MAX_LISTED {
                break;
            }
        }
        all
    }

    /// What is wrong with an answer's choice (`self`), given the offer.
    pub fn faults_against(&self, offered: &Self) -> Vec<ExtensionFault> {
        let mut faults = Vec::new();
        for (place, chosen) in self.list.iter().enumerate() {
            let earlier = self.list.iter().take(place);
            if earlier
                .into_iter()
                .any(|other| other.name.eq_ignore_ascii_case(&chosen.name))
            {
                faults.push(ExtensionFault::ChosenTwice(chosen.name.clone()));
                continue;
            }
            let mut offers = offered
                .list
                .iter()
                .filter(|offer| offer.name.eq_ignore_ascii_case(&chosen.name))
                .peekable();
            if offers.peek().is_none() {
                faults.push(ExtensionFault::NotOffered(chosen.name.clone()));
            } else if chosen.name.eq_ignore_ascii_case(DEFLATE) {
                // RFC 7692 5: several offers are alternatives, one of them must fit.
                let misfit = offers
                    .map(|offer| misfit(offer, chosen))
                    .min_by_key(Option::is_some);
                if let Some(Some(param)) = misfit {
                    faults.push(ExtensionFault::AgainstOffer(param.into()));
                }
            }
        }
        faults
    }
}

/// What a 101 agreed on for permessage-deflate (RFC 7692 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeflateParams {
    /// The server forgets its window after each message.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message.
    pub client_no_context_takeover: bool,
    /// The server's window in bits, where limited.
    pub server_max_window_bits: Option<u8>,
    /// The client's window in bits, where limited.
    pub client_max_window_bits: Option<u8>,
}

impl DeflateParams {
    /// What the fields of a 101 say; `None` when they do not choose permessage-deflate.
    pub fn agreed(answer: &Fields) -> Option<Self> {
        let chosen = Extensions::chosen(answer);
        let deflate = chosen
            .list
            .iter()
            .find(|extension| extension.name.eq_ignore_ascii_case(DEFLATE))?;
        Some(Self {
            server_no_context_takeover: deflate.has("server_no_context_takeover"),
            client_no_context_takeover: deflate.has("client_no_context_takeover"),
            server_max_window_bits: deflate.window_bits("server_max_window_bits"),
            client_max_window_bits: deflate.window_bits("client_max_window_bits"),
        })
    }
}

/// A window size: 8 to 15, decimal, no leading zero (RFC 7692 7.1.2).
fn bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok()?;
    ((8..=15).contains(&bits) && !value.starts_with(['0', '+'])).then_some(bits)
}

fn parameter_faults(extension: &Extension, is_answer: bool, faults: &mut Vec<ExtensionFault>) {
    for (place, (name, value)) in extension.params.iter().enumerate() {
        let mut earlier = extension.params.iter().take(place);
        if earlier.any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            faults.push(ExtensionFault::RepeatedParameter(name.clone()));
            continue;
        }
        if !extension.name.eq_ignore_ascii_case(DEFLATE) {
            continue;
        }
        let fits = match (name.to_ascii_lowercase().as_str(), value.as_deref()) {
            ("server_no_context_takeover" | "client_no_context_takeover", value) => value.is_none(),
            ("server_max_window_bits" | "client_max_window_bits", Some(value)) => {
                bits(value).is_some()
            }
            // RFC 7692 7.1.2.2: a hint that the client knows the parameter.
            ("client_max_window_bits", None) => !is_answer,
            ("server_max_window_bits", None) => false,
            _ => {
                faults.push(ExtensionFault::UnknownParameter(name.clone()));
                continue;
            }
        };
        if !fits {
            faults.push(ExtensionFault::BadValue(name.clone()));
        }
    }
}

/// The parameter by which an answer does not fit an offer of permessage-deflate (RFC 7692 7.1).
fn misfit(offer: &Extension, chosen: &Extension) -> Option<&'static str> {
    let offers = |name| offer.has(name);
    let chooses = |name| chosen.has(name);
    let (server_bits, client_bits) = ("server_max_window_bits", "client_max_window_bits");
    if offers("server_no_context_takeover") && !chooses("server_no_context_takeover") {
        return Some("server_no_context_takeover");
    }
    if let Some(limit) = offer.window_bits(server_bits)
        && chosen
            .window_bits(server_bits)
            .is_none_or(|bits| bits > limit)
    {
        return Some(server_bits);
    }
    if chooses(client_bits) {
        if !offers(client_bits) {
            return Some(client_bits);
        }
        // RFC 7692 7.1.2.2: the value in the answer is at most the offered one.
        if let (Some(limit), Some(bits)) = (
            offer.window_bits(client_bits),
            chosen.window_bits(client_bits),
        ) && bits > limit
        {
            return Some(client_bits);
        }
    }
    None
}

/// `extension = token *( ";" token [ "=" ( token | quoted-string ) ] )`
fn extension(element: &[u8]) -> Option<Extension> {
    let mut parts = split(element, b';').map(<[u8]>::trim_ascii);
    let name = token(parts.next()?)?;
    let mut params = Vec::new();
    for part in parts {
        let mut sides = part.splitn(2, |&byte| byte == b'=');
        let param = token(sides.next()?.trim_ascii())?;
        let value = match sides.next() {
            None => None,
            Some(value) => Some(value_of(value.trim_ascii())?),
        };
        if params.len() == MAX_LISTED {
            return None;
        }
        params.push((param, value));
    }
    Some(Extension { name, params })
}

fn token(bytes: &[u8]) -> Option<Box<str>> {
    let is_one = !bytes.is_empty() && bytes.iter().copied().all(is_token);
    is_one.then(|| lossy(bytes))
}

/// A token, or a quoted string whose content is a token (RFC 6455 9.1).
fn value_of(bytes: &[u8]) -> Option<Box<str>> {
    match bytes {
        [b'"', inner @ .., b'"'] => {
            let mut content = Vec::with_capacity(inner.len());
            let mut inner = inner.iter();
            while let Some(&byte) = inner.next() {
                content.push(if byte == b'\\' { *inner.next()? } else { byte });
            }
            token(&content)
        }
        _ => token(bytes),
    }
}

/// Splits at a separator that does not stand in a quoted string.
fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    bytes.split(move |&byte| {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        }
        !quoted && byte == separator
    })
}

fn malformed(element: &[u8]) -> ExtensionFault {
    let told = element.get(..MAX_TOLD).unwrap_or(element);
    let mut text = String::from_utf8_lossy(told).into_owned();
    if told.len() < element.len() {
        text.push('…');
    }
    ExtensionFault::Malformed(text.into())
}

fn lossy(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::ExtensionFault::{
        AgainstOffer, BadValue, ChosenTwice, Malformed, NotOffered, RepeatedParameter,
        UnknownParameter,
    };
    use super::*;

    fn fields(values: &[&str]) -> Fields {
        let fields: Vec<_> = values.iter().map(|value| (FIELD, *value)).collect();
        Fields::of(&fields)
    }

    #[test]
    fn the_grammar_is_read_over_all_fields() {
        let offered = Extensions::offered(&fields(&[
            "permessage-deflate; client_max_window_bits, x-a;b=\"c\" ; d = e",
            "",
            ", x-b",
        ]));
        let printed: Vec<String> = offered.list.iter().map(ToString::to_string).collect();
        assert_eq!(
            printed,
            [
                "permessage-deflate; client_max_window_bits",
                "x-a; b=c; d=e",
                "x-b"
            ]
        );
        assert_eq!(offered.faults, []);
    }

    #[test]
    fn each_deviation_is_named() {
        let table: &[(&str, bool, ExtensionFault)] = &[
            ("x a", false, Malformed("x a".into())),
            ("x;", false, Malformed("x;".into())),
            ("x;a=", false, Malformed("x;a=".into())),
            ("x;a=\"b c\"", false, Malformed("x;a=\"b c\"".into())),
            ("x;a=\"b", false, Malformed("x;a=\"b".into())),
            ("x;a;A", false, RepeatedParameter("A".into())),
            (
                "permessage-deflate;what",
                false,
                UnknownParameter("what".into()),
            ),
            (
                "permessage-deflate;server_max_window_bits=16",
                false,
                BadValue("server_max_window_bits".into()),
            ),
            (
                "permessage-deflate;server_max_window_bits=08",
                false,
                BadValue("server_max_window_bits".into()),
            ),
            (
                "permessage-deflate;server_max_window_bits",
                false,
                BadValue("server_max_window_bits".into()),
            ),
            (
                "permessage-deflate;client_max_window_bits",
                true,
                BadValue("client_max_window_bits".into()),
            ),
            (
                "permessage-deflate;client_no_context_takeover=1",
                false,
                BadValue("client_no_context_takeover".into()),
            ),
        ];
        for (value, is_answer, fault) in table {
            let read = Extensions::read(&fields(&[value]), *is_answer);
            assert_eq!(read.faults, std::slice::from_ref(fault), "{value}");
        }
        let many: Vec<String> = (0..=MAX_LISTED).map(|n| format!("a{n}")).collect();
        let read = Extensions::offered(&fields(&[&many.join(", "), "b, c"]));
        assert_eq!(read.list.len(), MAX_LISTED);
        assert_eq!(read.faults, [Malformed(format!("a{MAX_LISTED}").into())]);
        let read = Extensions::offered(&fields(&[&many.join(";"), "b"]));
        assert_eq!(read.list.len(), 2, "as many parameters as there may be");
        let read = Extensions::offered(&fields(&[&format!("x;{}", many.join(";")), "b"]));
        let told = &format!("x;{}", many.join(";"))[..MAX_TOLD];
        assert_eq!(
            (read.list.len(), &read.faults[..]),
            (1, &[Malformed(format!("{told}…").into())][..])
        );
        // Extensions that nobody here knows may have any parameter, quoted separators are none.
        let read = Extensions::offered(&fields(&["x;a=\"b\\c\", y"]));
        assert_eq!((read.list.len(), read.faults.len()), (2, 0));
    }

    #[test]
    fn an_answer_is_held_against_the_offer() {
        let deflate = |params: &str| format!("permessage-deflate{params}");
        let table: &[(&str, &str, Option<ExtensionFault>)] = &[
            ("", "", None),
            (";client_max_window_bits", "", None),
            (
                ";client_max_window_bits",
                ";client_max_window_bits=10",
                None,
            ),
            ("", ";server_max_window_bits=10", None),
            ("", ";client_no_context_takeover", None),
            (
                "",
                ";client_max_window_bits=10",
                Some(AgainstOffer("client_max_window_bits".into())),
            ),
            (
                ";client_max_window_bits=9",
                ";client_max_window_bits=10",
                Some(AgainstOffer("client_max_window_bits".into())),
            ),
            (
                ";server_no_context_takeover",
                "",
                Some(AgainstOffer("server_no_context_takeover".into())),
            ),
            (
                ";server_max_window_bits=10",
                ";server_max_window_bits=11",
                Some(AgainstOffer("server_max_window_bits".into())),
            ),
            (
                ";server_max_window_bits=10",
                "",
                Some(AgainstOffer("server_max_window_bits".into())),
            ),
            // A second offer to fall back to.
            (";server_max_window_bits=10, permessage-deflate", "", None),
        ];
        for (offer, answer, fault) in table {
            let offered = Extensions::offered(&fields(&[&deflate(offer)]));
            let chosen = Extensions::chosen(&fields(&[&deflate(answer)]));
            let faults = chosen.faults_against(&offered);
            assert_eq!(
                faults,
                fault.clone().into_iter().collect::<Vec<_>>(),
                "{offer} {answer}"
            );
        }
        let offered = Extensions::offered(&fields(&["x-a"]));
        let chosen = Extensions::chosen(&fields(&["x-b, X-A, x-a"]));
        assert_eq!(
            chosen.faults_against(&offered),
            [NotOffered("x-b".into()), ChosenTwice("x-a".into())]
        );
    }

    #[test]
    fn what_was_agreed_on() {
        assert_eq!(
            DeflateParams::agreed(&fields(&["x-webkit-deflate-frame"])),
            None
        );
        let answer =
            "Permessage-Deflate; server_no_context_takeover; client_max_window_bits=\"11\"";
        assert_eq!(
            DeflateParams::agreed(&fields(&[answer])),
            Some(DeflateParams {
                server_no_context_takeover: true,
                client_no_context_takeover: false,
                server_max_window_bits: None,
                client_max_window_bits: Some(11),
            })
        );
    }
}
