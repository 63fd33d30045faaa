//! `hop101 live` in network namespaces of its own. Needs root; each test makes and removes its namespace.

mod ends;
mod privileges;
mod running;
mod shown;
mod space;
mod told;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{have, hop101, missing, read_json, root, sample};
use running::{Live, seconds, seconds_now};
use space::{Space, run};

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
