//! What a report must say about a capture: the form that the lab writes for samples and cases alike.

use std::collections::BTreeSet;

use serde_json::Value;

/// Handshakes in the order of time, codes that must be found and codes that may be.
///
/// A field of a handshake that is missing may have any value, one that is a list any of those; without `handshakes`
/// it is open whether the capture holds any. No other code of severity warning or error may be found.
pub(crate) struct Expected(pub(crate) Value);

impl Expected {
    /// All differences between a report and this, in words.
    pub(crate) fn differences(&self, report: &Value) -> Vec<String> {
        let mut wrong = self.handshakes_that_differ(report);
        wrong.extend(self.findings_that_differ(report));
        wrong.extend(self.tls_that_differs(report));
        wrong
    }

    /// The handshakes that are not as wanted.
    pub(crate) fn handshakes_that_differ(&self, report: &Value) -> Vec<String> {
        let Some(wanted) = self.0["handshakes"].as_array() else {
            return Vec::new();
        };
        let mut handshakes = report["handshakes"].as_array().unwrap().clone();
        let mut wanted = wanted.clone();
        if self.0["unordered"] == true {
            for list in [&mut handshakes, &mut wanted] {
                list.sort_by_key(|one| format!("{} {}", one["verdict"], one["cause"]));
            }
        }
        let mut wrong = Vec::new();
        if handshakes.len() != wanted.len() {
            wrong.push(format!(
                "{} handshakes, not {}",
                handshakes.len(),
                wanted.len()
            ));
        }
        let pairs = handshakes.iter().zip(&wanted);
        wrong.extend(pairs.flat_map(|(got, want)| differences(got, want)));
        wrong
    }

    /// Findings that are missing, and grave ones that nobody expects.
    pub(crate) fn findings_that_differ(&self, report: &Value) -> Vec<String> {
        let all = codes(report, |_| true);
        let grave = codes(report, |severity| severity != "info");
        let required = self.codes("required");
        let mut allowed = self.codes("allowed");
        allowed.extend(required.iter().cloned());
        let lacking = required
            .difference(&all)
            .map(|code| format!("{code} is not found"));
        let unexpected = grave
            .difference(&allowed)
            .map(|code| format!("{code} is not expected"));
        lacking.chain(unexpected).collect()
    }

    /// The TLS connections that were read, and those that were not, unless it is open which.
    pub(crate) fn tls_that_differs(&self, report: &Value) -> Vec<String> {
        let connections = report["connections"].as_array().unwrap().iter();
        let decrypted: Vec<&str> = connections
            .filter_map(|one| one["tls"]["decrypted"].as_bool())
            .map(|read| if read { "yes" } else { "no" })
            .collect();
        let decrypted = Value::from(decrypted.join(" "));
        if fits(&decrypted, self.0.get("decrypted")) {
            return Vec::new();
        }
        vec![format!(
            "decrypted are {decrypted}, not {}",
            self.0["decrypted"]
        )]
    }

    fn codes(&self, which: &str) -> BTreeSet<String> {
        strings(&self.0[which])
    }
}

/// The codes of findings whose severity is as asked for.
pub(crate) fn codes(report: &Value, severity: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|one| severity(one["severity"].as_str().unwrap()))
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

/// A list of strings as a set.
pub(crate) fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// Whether a value is as wanted: a field that is missing may have any value, one that is a list any of those.
fn fits(got: &Value, want: Option<&Value>) -> bool {
    match want {
        None => true,
        Some(Value::Array(any)) => any.contains(got),
        Some(one) => got == one,
    }
}

/// Where one handshake differs from what is wanted of it.
fn differences(got: &Value, want: &Value) -> Vec<String> {
    let hops = got["hops"].as_array().unwrap();
    let of_hops = |field: &str, first: usize| {
        let said = hops.iter().skip(first).map(|hop| hop[field].as_str());
        Value::from(
            said.map(Option::unwrap_or_default)
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    let session = &got["session"];
    let messages = ["to_server", "to_client"].map(|way| session[way]["messages"].to_string());
    let seen = [
        ("verdict", got["verdict"].clone()),
        ("cause", got["cause"].clone()),
        ("headline", got["headline"].clone()),
        ("answered_by", got["answered_by"].clone()),
        ("ended_by", session["ended_by"].clone()),
        ("close_code", session["close"]["code"].clone()),
        ("status", hops[0]["response"]["status"].clone()),
        ("hops", hops.len().into()),
        ("roles", of_hops("role", 0)),
        ("paired_by", of_hops("paired_by", 1)),
        ("messages", messages.join(" ").into()),
    ];
    let wrong = seen
        .iter()
        .filter(|(field, value)| !fits(value, want.get(field)));
    wrong
        .map(|(field, value)| format!("{field} is {value}, not {}", want[field]))
        .collect()
}
