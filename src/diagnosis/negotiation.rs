//! Subprotocols and extensions: what was offered against what was chosen (RFC 6455 4.1, 9.1, RFC 7692 7.1).

use std::collections::BTreeSet;

use super::Code;
use super::text::short;
use crate::http::{Fields, is_token};
use crate::websocket::{ExtensionFault, Extensions, Subprotocol};

/// What is wrong with the choices of a 101: which rule, and what was seen.
pub(super) fn faults(request: &Fields, answer: &Fields) -> Vec<(Code, String)> {
    let mut found = Vec::new();
    match Subprotocol::of(request, answer) {
        Subprotocol::NotOffered(name) => found.push((
            Code::SubprotocolNotOffered,
            format!("subprotocol \"{}\" was not offered", short(&name)),
        )),
        Subprotocol::Several => found.push((
            Code::SubprotocolNotOffered,
            format!(
                "several subprotocols at once: {}",
                short(
                    &answer
                        .combined("sec-websocket-protocol")
                        .unwrap_or_default()
                )
            ),
        )),
        Subprotocol::Unused | Subprotocol::NotChosen | Subprotocol::Chosen(_) => {}
    }
    let chosen = Extensions::chosen(answer);
    let against = if chosen.list.is_empty() {
        Vec::new()
    } else {
        chosen.faults_against(&Extensions::offered(request))
    };
    for fault in chosen.faults.iter().chain(&against) {
        let (code, shows) = describe(fault);
        // One of each kind says it: the fields themselves are in the report.
        if found.iter().all(|(other, _)| *other != code) {
            found.push((code, shows));
        }
    }
    found
}

/// What is wrong with the offers of a request by themselves, as the object of a sentence.
pub(super) fn malformed_offer(request: &Fields) -> Option<String> {
    const FIELD: &str = "sec-websocket-protocol";
    let mut offered = BTreeSet::new();
    for name in request.list(FIELD) {
        // RFC 6455 4.1 step 10: tokens, each of them once.
        if !name.bytes().all(is_token) {
            return Some(format!(
                "the subprotocol \"{}\", which is no token",
                short(&name)
            ));
        }
        if let Some(name) = offered.replace(name) {
            return Some(format!("the subprotocol \"{}\" twice", short(&name)));
        }
    }
    if offered.is_empty() && request.count(FIELD) > 0 {
        return Some("an empty Sec-WebSocket-Protocol".to_owned());
    }
    let fault = Extensions::offered(request).faults.into_iter().next()?;
    Some(format!(
        "an offer that is not valid: {}",
        describe(&fault).1
    ))
}

fn describe(fault: &ExtensionFault) -> (Code, String) {
    let invalid = Code::ExtensionParametersInvalid;
    match fault {
        ExtensionFault::NotOffered(name) => (
            Code::ExtensionNotOffered,
            format!("extension {} was not offered", short(name)),
        ),
        ExtensionFault::Malformed(text) => (
            invalid,
            format!("extension \"{}\" is malformed", short(text)),
        ),
        ExtensionFault::RepeatedParameter(name) => (
            invalid,
            format!("extension parameter {} twice", short(name)),
        ),
        ExtensionFault::UnknownParameter(name) => (
            invalid,
            format!("unknown extension parameter {}", short(name)),
        ),
        ExtensionFault::BadValue(name) => (
            invalid,
            format!("extension parameter {} has no valid value", short(name)),
        ),
        ExtensionFault::ChosenTwice(name) => (invalid, format!("extension {} twice", short(name))),
        ExtensionFault::AgainstOffer(name) => (
            invalid,
            format!("extension parameter {} does not fit the offer", short(name)),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn check(name: &str, offered: &str, chosen: &str) -> Option<Code> {
        let head = |value: &str| {
            let field = [(name, value)];
            Fields::of(if value.is_empty() { &[] } else { &field })
        };
        faults(&head(offered), &head(chosen))
            .into_iter()
            .next()
            .map(|(code, _)| code)
    }

    #[test]
    fn subprotocols() {
        for (offered, chosen, fault) in [
            ("a, b", "b", None),
            ("a, b", "c", Some(Code::SubprotocolNotOffered)),
            ("a, b", "a, b", Some(Code::SubprotocolNotOffered)),
            ("mqtt", "MQTT", Some(Code::SubprotocolNotOffered)),
            ("", "x", Some(Code::SubprotocolNotOffered)),
            ("x", "", None),
        ] {
            assert_eq!(
                check("Sec-WebSocket-Protocol", offered, chosen),
                fault,
                "{offered} -> {chosen}"
            );
        }
    }

    #[test]
    fn offers_by_themselves() {
        let (protocol, extensions) = ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions");
        for (name, value, wrong) in [
            (protocol, "a, b.v2+json", None),
            (protocol, "", Some("empty")),
            (protocol, "a, a", Some("twice")),
            (protocol, "Bearer x", Some("no token")),
            (protocol, "a/b", Some("no token")),
            (
                extensions,
                "permessage-deflate; client_max_window_bits",
                None,
            ),
            (extensions, "x-webkit-deflate-frame", None),
            (
                extensions,
                "permessage-deflate; server_max_window_bits=99",
                Some("no valid value"),
            ),
        ] {
            let got = malformed_offer(&Fields::of(&[(name, value)]));
            match wrong {
                None => assert_eq!(got, None, "{value}"),
                Some(words) => assert!(got.unwrap().contains(words), "{value}"),
            }
        }
    }

    #[test]
    fn extensions_and_their_parameters() {
        let invalid = Some(Code::ExtensionParametersInvalid);
        for (offered, chosen, fault) in [
            ("permessage-deflate", "permessage-deflate", None),
            (
                "permessage-deflate; client_max_window_bits",
                "permessage-deflate; client_max_window_bits=12; server_max_window_bits=10",
                None,
            ),
            (
                "permessage-deflate",
                "permessage-deflate; client_max_window_bits=12",
                invalid,
            ),
            (
                "permessage-deflate",
                "permessage-deflate; server_max_window_bits=7",
                invalid,
            ),
            ("permessage-deflate", "permessage-deflate; magic", invalid),
            (
                "x-other",
                "permessage-deflate",
                Some(Code::ExtensionNotOffered),
            ),
        ] {
            assert_eq!(
                check("Sec-WebSocket-Extensions", offered, chosen),
                fault,
                "{offered} -> {chosen}"
            );
        }
    }
}
