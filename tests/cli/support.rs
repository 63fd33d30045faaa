//! What the themes share: running the built binary, reading its JSON, and the rule for missing tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file in `samples/`.
pub(crate) fn sample(name: &str) -> PathBuf {
    root().join("samples").join(name)
}

/// The built binary, without the environment's wishes as to colour and width.
pub(crate) fn hop101() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hop101"));
    command
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .env_remove("CLICOLOR_FORCE")
        .current_dir(root());
    command
}

/// Runs `hop101 read FILES... --format json ARGS...`.
pub(crate) fn read_json(files: &[PathBuf], args: &[&str]) -> (Value, Output) {
    let output = hop101()
        .arg("read")
        .args(files)
        .args(["--format", "json"])
        .args(args)
        .output()
        .unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{files:?}: {error}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
    (value, output)
}

/// The same, read with TLS key logs.
pub(crate) fn read_json_with(
    files: &[PathBuf],
    keys: &[PathBuf],
    args: &[&str],
) -> (Value, Output) {
    let mut all: Vec<&str> = Vec::new();
    for log in keys {
        all.extend(["--keylog", log.to_str().unwrap()]);
    }
    all.extend(args);
    read_json(files, &all)
}

/// Whether a tool is there. A test whose tool is missing says so; under CI=true it fails.
pub(crate) fn have(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    if !found {
        missing(&format!("{tool} is not installed"));
    }
    found
}

/// A test cannot run here: fails under CI=true, else says why.
pub(crate) fn missing(why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{why}, and CI runs every test"
    );
    eprintln!("not run: {why}");
}
