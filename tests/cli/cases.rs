//! Small captures with what must be said about them: one for every finding code, `tests/cases/CODE/case.toml`, one for every
//! way that TLS can be read with keys, `tests/cases/with-keys/NAME/case.toml`, and some of applications that end sessions in a
//! way of their own, `tests/cases/with-software/NAME/case.toml`.

use std::fmt::Write;
use std::path::PathBuf;
use std::{fs, thread};

use hop101::diagnosis::Code;
use serde_json::Value;

use crate::expected::{Expected, codes, strings};
use crate::support::{read_json_with, root};

/// The folder of the cases with keys, beside those of the codes.
const WITH_KEYS: &str = "with-keys";

/// The folder of the cases with applications that the lab has not.
const WITH_SOFTWARE: &str = "with-software";

/// A case as it is written down.
pub(crate) struct Case {
    name: String,
    pub(crate) files: Vec<PathBuf>,
    /// Key logs to read them with.
    pub(crate) keys: Vec<PathBuf>,
    origin: String,
    expected: Expected,
}

impl Case {
    /// The case in a folder below `tests/cases`.
    fn named(name: &str) -> Self {
        let folder = root().join("tests/cases").join(name);
        let path = folder.join("case.toml");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{name} has no case: {}: {error}", path.display()));
        let mut case: Value =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        none_to_null(&mut case["handshakes"]);
        let listed = |field: &str| {
            let list = case[field].as_array().into_iter().flatten();
            list.map(|file| folder.join(file.as_str().unwrap()))
                .collect()
        };
        Self {
            name: name.to_owned(),
            files: listed("files"),
            keys: listed("keys"),
            origin: case["origin"].as_str().unwrap().to_owned(),
            expected: Expected(case),
        }
    }

    /// All cases with keys, by name.
    pub(crate) fn with_keys() -> Vec<Self> {
        Self::below(WITH_KEYS)
    }

    /// All cases in a folder of `tests/cases`, by name.
    fn below(within: &str) -> Vec<Self> {
        let folder = root().join("tests/cases").join(within);
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        let named = names.iter().map(|name| format!("{within}/{name}"));
        named.map(|name| Self::named(&name)).collect()
    }

    /// What it is called among those beside it.
    pub(crate) fn name(&self) -> &str {
        self.name.rsplit('/').next().unwrap()
    }

    /// A row of the matrix, and what is wrong.
    fn check(&self) -> (String, Vec<String>) {
        let (report, output) = read_json_with(&self.files, &self.keys, &[]);
        let mut wrong = self.expected.differences(&report);
        let errors = !codes(&report, |severity| severity == "error").is_empty();
        if output.status.code() != Some(i32::from(errors)) {
            wrong.push(format!("exit: {}", output.status));
        }
        let wanted = self.expected.0["handshakes"].as_array();
        let wanted = wanted.map_or_else(|| "open".to_owned(), |list| causes(list));
        let reported = report["handshakes"].as_array().unwrap();
        let mut others = codes(&report, |_| true);
        for handshake in reported {
            others.remove(handshake["cause"].as_str().unwrap_or_default());
        }
        let others = others.into_iter().collect::<Vec<_>>().join(" ");
        let row = format!(
            "{:38}  {:44}  {wanted:44}  {:44}  {others:44}  {}",
            self.name,
            self.origin,
            causes(reported),
            if wrong.is_empty() { "OK" } else { "FAIL" },
        );
        (row, wrong)
    }
}

/// TOML has no null: `"none"` stands for it.
fn none_to_null(value: &mut Value) {
    match value {
        Value::String(text) if text == "none" => *value = Value::Null,
        Value::Array(list) => list.iter_mut().for_each(none_to_null),
        Value::Object(fields) => fields.values_mut().for_each(none_to_null),
        _ => {}
    }
}

/// Verdict and cause of handshakes, the same ones counted.
fn causes(handshakes: &[Value]) -> String {
    let mut said: Vec<(String, u32)> = Vec::new();
    for one in handshakes {
        let cause = &one["cause"];
        let text = match cause {
            Value::Null => one["verdict"].to_string(),
            cause => format!("{} {cause}", one["verdict"]),
        };
        let text = text.replace('"', "");
        match said.last_mut() {
            Some((last, times)) if *last == text => *times += 1,
            _ => said.push((text, 1)),
        }
    }
    let words = said.into_iter().map(|(text, times)| match times {
        1 => text,
        times => format!("{times}x {text}"),
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        "no handshake".to_owned()
    } else {
        words.join(", ")
    }
}

#[test]
fn every_code_has_a_case_and_is_found_in_it() {
    let cases: Vec<_> = Code::ALL
        .iter()
        .map(|code| Case::named(code.as_str()))
        .collect();
    for case in &cases {
        assert!(
            strings(&case.expected.0["required"]).contains(&case.name),
            "the case of {} does not require it",
            case.name
        );
    }
    differ_nowhere(&cases);
}

#[test]
fn sessions_with_keys_are_read() {
    let cases = Case::with_keys();
    assert!(cases.len() > 50, "{} cases", cases.len());
    differ_nowhere(&cases);
}

#[test]
fn applications_and_other_proxies_have_their_own_ways() {
    let cases = Case::below(WITH_SOFTWARE);
    assert!(!cases.is_empty());
    differ_nowhere(&cases);
}

/// Prints the matrix, and fails with all that is wrong in it.
fn differ_nowhere(cases: &[Case]) {
    let check = |cases: &[Case]| cases.iter().map(Case::check).collect::<Vec<_>>();
    let (front, back) = cases.split_at(cases.len() / 2);
    let rows = thread::scope(|scope| {
        let other = scope.spawn(|| check(back));
        let mut rows = check(front);
        rows.extend(other.join().unwrap());
        rows
    });
    let mut wrong = String::new();
    for (case, (row, problems)) in cases.iter().zip(&rows) {
        println!("{row}");
        for problem in problems {
            writeln!(wrong, "{}: {problem}", case.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_case_is_the_case_of_a_code() {
    for entry in fs::read_dir(root().join("tests/cases")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir()
            && ![WITH_KEYS, WITH_SOFTWARE].contains(&name.as_str())
        {
            assert!(
                name.parse::<Code>().is_ok(),
                "tests/cases/{name} is the case of no code"
            );
        }
    }
}
