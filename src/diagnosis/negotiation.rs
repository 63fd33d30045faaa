//! Subprotocols and extensions: what was offered against what was chosen (RFC 6455 4.1, 9.1, RFC 7692 7.1).

use super::Code;
use super::text::short;
use crate::http::Fields;

/// What is wrong with the choices of a 101: which rule, and what was seen.
pub(super) fn faults(request: &Fields, answer: &Fields) -> Vec<(Code, String)> {
    let mut found = Vec::new();
    found.extend(subprotocol(request, answer).map(|text| (Code::SubprotocolNotOffered, text)));
    found.extend(extensions(request, answer));
    found
}

fn subprotocol(request: &Fields, answer: &Fields) -> Option<String> {
    const NAME: &str = "sec-websocket-protocol";
    let chosen: Vec<_> = answer.list(NAME).collect();
    if chosen.len() > 1 {
        return Some(format!(
            "{} subprotocols at once: {}",
            chosen.len(),
            short(&chosen.join(", "))
        ));
    }
    // Subprotocol names are compared with their case (RFC 6455 4.1: no "ASCII case-insensitive" here).
    let one = chosen.first()?;
    (!request.list(NAME).any(|offered| offered == *one))
        .then(|| format!("subprotocol {} was not offered", short(one)))
}

/// `name; param; param=value` in its parts.
struct Extension {
    name: String,
    params: Vec<(String, Option<String>)>,
}

fn parse(fields: &Fields) -> Vec<Extension> {
    fields
        .list("sec-websocket-extensions")
        .map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let params = parts
                .filter(|part| !part.is_empty())
                .map(|part| match part.split_once('=') {
                    Some((name, value)) => (
                        name.trim().to_ascii_lowercase(),
                        Some(value.trim().trim_matches('"').to_owned()),
                    ),
                    None => (part.to_ascii_lowercase(), None),
                })
                .collect();
            Extension { name, params }
        })
        .collect()
}

fn extensions(request: &Fields, answer: &Fields) -> Option<(Code, String)> {
    let offered = parse(request);
    for chosen in parse(answer) {
        let offers: Vec<_> = offered.iter().filter(|o| o.name == chosen.name).collect();
        if offers.is_empty() {
            return Some((
                Code::ExtensionNotOffered,
                format!("extension {} was not offered", short(&chosen.name)),
            ));
        }
        if chosen.name == "permessage-deflate"
            && let Some(why) = deflate(&chosen, &offers)
        {
            return Some((Code::ExtensionParametersInvalid, why));
        }
    }
    None
}

/// RFC 7692 7.1: the parameters of an answer to one of the offers.
fn deflate(chosen: &Extension, offers: &[&Extension]) -> Option<String> {
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &chosen.params {
        if seen.contains(&name.as_str()) {
            return Some(format!("parameter {} twice", short(name)));
        }
        seen.push(name);
        let bits = value
            .as_deref()
            .and_then(|value| value.parse::<u8>().ok())
            .is_some_and(|bits| (8..=15).contains(&bits));
        let fine = match name.as_str() {
            "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
            "server_max_window_bits" | "client_max_window_bits" => bits,
            _ => false,
        };
        if !fine {
            return Some(format!(
                "parameter {}{}",
                short(name),
                value
                    .as_deref()
                    .map_or(String::new(), |v| format!("={}", short(v)))
            ));
        }
    }
    // RFC 7692 7.1.2.2: the answer may limit the client's window only if the offer says that the client can.
    let limits_client = seen.contains(&"client_max_window_bits");
    let may_limit = offers.iter().any(|offer| {
        offer
            .params
            .iter()
            .any(|(name, _)| name == "client_max_window_bits")
    });
    (limits_client && !may_limit).then(|| "client_max_window_bits was not offered".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::diagnosis::testkit::fields;

    fn check(offered: &str, chosen: &str) -> Option<Code> {
        faults(&fields(offered), &fields(chosen))
            .into_iter()
            .next()
            .map(|(code, _)| code)
    }

    #[test]
    fn subprotocols() {
        let name = "Sec-WebSocket-Protocol";
        for (offered, chosen, fault) in [
            ("a, b", "b", None),
            ("a, b", "c", Some(Code::SubprotocolNotOffered)),
            ("a, b", "a, b", Some(Code::SubprotocolNotOffered)),
            ("mqtt", "MQTT", Some(Code::SubprotocolNotOffered)),
        ] {
            assert_eq!(
                check(&format!("{name}: {offered}"), &format!("{name}: {chosen}")),
                fault,
                "{offered} -> {chosen}"
            );
        }
        assert_eq!(
            check("", "Sec-WebSocket-Protocol: x"),
            Some(Code::SubprotocolNotOffered)
        );
        assert_eq!(check("Sec-WebSocket-Protocol: x", ""), None);
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
                "permessage-deflate, x-other",
                "Permessage-Deflate; server_no_context_takeover",
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
            (
                "permessage-deflate",
                "permessage-deflate; server_max_window_bits",
                invalid,
            ),
            (
                "permessage-deflate",
                "permessage-deflate; server_no_context_takeover=1",
                invalid,
            ),
            (
                "permessage-deflate",
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                invalid,
            ),
            ("permessage-deflate", "permessage-deflate; magic", invalid),
            (
                "x-other",
                "permessage-deflate",
                Some(Code::ExtensionNotOffered),
            ),
        ] {
            let name = "Sec-WebSocket-Extensions";
            assert_eq!(
                check(&format!("{name}: {offered}"), &format!("{name}: {chosen}")),
                fault,
                "{offered} -> {chosen}"
            );
        }
    }
}
