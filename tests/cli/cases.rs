//! One small capture for every finding code, with what must be said about it: `tests/cases/CODE/case.toml`.

use std::fmt::Write;
use std::path::PathBuf;
use std::{fs, thread};

use hop101::diagnosis::Code;
use serde_json::Value;

use crate::expected::{Expected, codes, strings};
use crate::support::{read_json, root};

/// A case as it is written down.
struct Case {
    code: Code,
    files: Vec<PathBuf>,
    origin: String,
    expected: Expected,
}

impl Case {
    fn of(code: Code) -> Self {
        let folder = root().join("tests/cases").join(code.as_str());
        let path = folder.join("case.toml");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{code} has no case: {}: {error}", path.display()));
        let mut case: Value =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{code}: {error}"));
        none_to_null(&mut case["handshakes"]);
        let mut files: Vec<_> = case["files"].as_array().unwrap().iter().collect();
        Self {
            code,
            files: files
                .drain(..)
                .map(|file| folder.join(file.as_str().unwrap()))
                .collect(),
            origin: case["origin"].as_str().unwrap().to_owned(),
            expected: Expected(case),
        }
    }

    /// A row of the matrix, and what is wrong.
    fn check(&self) -> (String, Vec<String>) {
        let (report, output) = read_json(&self.files, &[]);
        let mut wrong = self.expected.differences(&report);
        if !strings(&self.expected.0["required"]).contains(self.code.as_str()) {
            wrong.push("the case does not require its own code".to_owned());
        }
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
            "{:28}  {:38}  {wanted:44}  {:44}  {others:44}  {}",
            self.code,
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
    let check = |codes: &[Code]| {
        codes
            .iter()
            .map(|&code| (code, Case::of(code).check()))
            .collect::<Vec<_>>()
    };
    let (front, back) = Code::ALL.split_at(Code::ALL.len() / 2);
    let rows = thread::scope(|scope| {
        let other = scope.spawn(|| check(back));
        let mut rows = check(front);
        rows.extend(other.join().unwrap());
        rows
    });
    let mut wrong = String::new();
    for (code, (row, problems)) in &rows {
        println!("{row}");
        for problem in problems {
            writeln!(wrong, "{code}: {problem}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_case_is_the_case_of_a_code() {
    for entry in fs::read_dir(root().join("tests/cases")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            assert!(
                name.parse::<Code>().is_ok(),
                "tests/cases/{name} is the case of no code"
            );
        }
    }
}
