//! TLS keys: however they come the report is the same, and none of them is ever in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cases::Case;
use crate::pipeline::keys_in;
use crate::support::{hop101, read_json, read_json_with, root, sample};

/// A file of a case with keys.
fn file_of(case: &str, name: &str) -> PathBuf {
    root().join("tests/cases/with-keys").join(case).join(name)
}

/// A report without what it says of the file, and of where the keys were.
fn story(mut report: Value) -> Value {
    report["captures"] = Value::Null;
    for connection in report["connections"].as_array_mut().unwrap() {
        connection["tls"]["keys_in_capture"] = Value::Null;
    }
    report
}

/// One session with TLS on both hops: the capture without its keys, and each key log.
struct BothHops {
    folder: tempfile::TempDir,
    capture: PathBuf,
    logs: [PathBuf; 2],
}

impl BothHops {
    /// The keys of a sample, taken out of it again.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let with_keys = sample("wss-both-hops.pcapng");
        let capture = folder.path().join("capture.pcapng");
        fs::write(&capture, without_secrets(&fs::read(&with_keys).unwrap())).unwrap();
        let keys = String::from_utf8(keys_in(&with_keys)).unwrap();
        // The client speaks TLS 1.3, nginx towards the backend TLS 1.2.
        let (of_backend, of_client): (Vec<&str>, Vec<&str>) = keys
            .lines()
            .partition(|line| line.starts_with("CLIENT_RANDOM"));
        let logs = [("client.log", of_client), ("backend.log", of_backend)].map(|(name, lines)| {
            let path = folder.path().join(name);
            fs::write(&path, lines.join("\n")).unwrap();
            path
        });
        Self {
            folder,
            capture,
            logs,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A little-endian pcapng file without its decryption secrets blocks.
pub(crate) fn without_secrets(file: &[u8]) -> Vec<u8> {
    const DECRYPTION_SECRETS: u32 = 10;
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut rest = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let next = at + number(at + 4) as usize;
        if number(at) != DECRYPTION_SECRETS {
            rest.extend_from_slice(&file[at..next]);
        }
        at = next;
    }
    assert!(rest.len() < file.len());
    rest
}

#[test]
fn however_they_come_the_report_is_the_same() {
    let both = BothHops::new();
    let wanted = story(read_json(&[sample("wss-both-hops.pcapng")], &[]).0);
    assert_eq!(wanted["handshakes"][0]["hops"].as_array().unwrap().len(), 2);
    let capture = [both.capture.clone()];
    let [client, backend] = &both.logs;
    let read = |logs: &[PathBuf]| story(read_json_with(&capture, logs, &[]).0);

    assert_eq!(read(&[client.clone(), backend.clone()]), wanted);
    assert_eq!(read(&[backend.clone(), client.clone()]), wanted);
    assert_ne!(read(std::slice::from_ref(client)), wanted);

    let together = both.path("together.log");
    let lines = [client, backend].map(|log| fs::read_to_string(log).unwrap());
    // As another system writes them, with what is no key between them.
    let text = lines
        .join("\n# nothing\n\nRSA 00 00\n")
        .replace('\n', "\r\n");
    fs::write(&together, text).unwrap();
    assert_eq!(read(std::slice::from_ref(&together)), wanted);
    assert_eq!(
        story(read_json_with(&capture, &[together], &["--threads", "4"]).0),
        wanted
    );

    let piped = hop101()
        .args(["read", "-", "--format", "json", "--keylog"])
        .arg(client)
        .arg("--keylog")
        .arg(backend)
        .stdin(File::open(&both.capture).unwrap())
        .output()
        .unwrap();
    assert_eq!(
        story(serde_json::from_slice(&piped.stdout).unwrap()),
        wanted
    );
}

#[test]
fn keys_behind_the_packets_of_a_file_are_known_to_json_lines() {
    let capture = file_of("behind-the-packets", "behind-any.pcapng");
    let output = hop101()
        .arg("read")
        .arg(&capture)
        .args(["--format", "jsonl"])
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let handshakes: Vec<Value> = lines
        .filter(|line: &Value| line["type"] == "handshake")
        .collect();
    let report = read_json(&[capture], &[]).0;
    let wanted = report["handshakes"].as_array().unwrap();
    assert_eq!(handshakes.len(), wanted.len());
    for (line, wanted) in handshakes.iter().zip(wanted) {
        assert_eq!(line["hops"], wanted["hops"]);
        assert_eq!(line["verdict"], wanted["verdict"]);
    }
}

/// Standard input cannot be read again: the session stays closed, and all else is told.
#[test]
fn keys_behind_the_packets_of_a_redirected_file_leave_the_report_whole() {
    let capture = file_of("behind-the-packets", "behind-any.pcapng");
    let output = hop101()
        .args(["read", "-", "--format", "json"])
        .stdin(File::open(&capture).unwrap())
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = read_json(std::slice::from_ref(&capture), &[]).0;
    assert_eq!(
        report["captures"][0]["frames"],
        named["captures"][0]["frames"]
    );
    assert_eq!(report["captures"][0]["damage"], Value::Null);
    let notes = report["limits"].as_array().unwrap();
    assert!(notes.iter().any(|limit| limit["kind"] == "tls-keys"));
}

#[test]
fn none_of_them_is_in_a_report() {
    let mut looked_for = 0;
    for case in [
        "views",
        "injected",
        "behind-the-packets",
        "other-secrets",
        "tls12-aes128-gcm",
    ] {
        let folder = root().join("tests/cases/with-keys").join(case);
        let cases = Case::with_keys();
        let case = cases
            .iter()
            .find(|one| one.files[0].starts_with(&folder))
            .unwrap();
        let secrets = secrets_of(&case.files[0], &case.keys);
        for form in ["table", "json", "jsonl", "markdown", "html"] {
            let output = hop101()
                .arg("read")
                .args(&case.files)
                .args(
                    case.keys
                        .iter()
                        .flat_map(|log| [Path::new("--keylog"), log]),
                )
                .args(["--format", form, "-v", "--redact", "none"])
                .output()
                .unwrap();
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).to_lowercase();
            assert!(!text.is_empty());
            for secret in &secrets {
                assert!(!text.contains(secret), "{folder:?} {form}");
                looked_for += 1;
            }
        }
    }
    assert!(looked_for >= 50, "{looked_for}");
}

/// The secrets of key logs, and of those inside a capture, by their first digits.
fn secrets_of(capture: &Path, logs: &[PathBuf]) -> Vec<String> {
    let mut all = keys_in(capture);
    for log in logs {
        all.extend(fs::read(log).unwrap());
    }
    let text = String::from_utf8(all).unwrap();
    let secrets = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().nth(2));
    secrets.map(|secret| secret[..16].to_owned()).collect()
}

#[test]
fn a_key_log_of_another_session_changes_nothing_but_a_note() {
    let capture = [file_of("tls13-aes128", "any.pcapng")];
    let other = [file_of("tls13-aes256", "keys.log")];
    let without = story(read_json(&capture, &[]).0);
    let mut with = story(read_json_with(&capture, &other, &[]).0);
    let notes = with["limits"].as_array_mut().unwrap();
    let place = notes
        .iter()
        .position(|one| one["kind"] == "tls-keys")
        .unwrap();
    notes.remove(place);
    assert_eq!(with, without);
}

#[test]
fn the_advice_passes_by_https_to_a_backend_that_was_asked_inside_tls() {
    for (case, logs, scheme) in [
        (
            "both-hops-not-forwarded",
            &["keys.log", "backend-keys.log"][..],
            "https",
        ),
        ("upgrade-not-forwarded-tls12", &["keys.log"], "http"),
    ] {
        let capture = [file_of(case, "any.pcapng")];
        let logs: Vec<PathBuf> = logs.iter().map(|log| file_of(case, log)).collect();
        let (report, _) = read_json_with(&capture, &logs, &[]);
        let snippet = report["findings"][0]["nginx_snippet"].as_str().unwrap();
        let pass = format!("proxy_pass {scheme}://10.20.0.11:8080;");
        assert!(snippet.contains(&pass), "{case}: {snippet}");
    }
}
