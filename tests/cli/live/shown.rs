//! What failed is shown within a second, in a flood too.

use super::*;

/// From the packet that decided to the line about it.
const LATENCY_MAX: f64 = 1.0;

/// Every kind of outcome that the lab can make.
const SCENARIOS: &str = "upgrade-not-forwarded key-invalid forbidden not-found-by-backend backend-refused \
    backend-closed-early backend-timeout client-gave-up accept-mismatch plain-to-tls-port \
    certificate-rejected idle-timeout backend-reset closed-with-error healthy-auth-request \
    many-clients plain-http keys-upgrade-not-forwarded keys-not-found keys-idle-timeout \
    keys-both-hops-not-forwarded keys-closed-with-error";

/// Real nginx: every outcome is shown within a second, and the final report is what `read` makes of the file written.
#[test]
fn outcomes_are_shown_within_a_second_and_the_report_is_that_of_read() {
    if Space::new().is_none() || !["nginx", "nft", "node", "npm"].into_iter().all(have) {
        return;
    }
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("tests/lab/live.py"))
        .args(["--jobs", "6", "--hop101", env!("CARGO_BIN_EXE_hop101")])
        .args(SCENARIOS.split_whitespace())
        .output()
        .unwrap();
    let rows = text(&output.stdout);
    println!("{rows}");
    assert!(
        rows.contains(" 0 failed") && output.status.success(),
        "{rows}{}",
        text(&output.stderr)
    );
}

/// How long a process waited for a processor that others had, in seconds, as it goes: other tests run at the same time.
struct Waited {
    stop: Sender<()>,
    samples: std::thread::JoinHandle<Vec<(f64, f64)>>,
}

impl Waited {
    fn of(process: u32) -> Self {
        let (stop, stopped) = channel();
        let samples = std::thread::spawn(move || {
            let mut samples = Vec::new();
            while stopped.recv_timeout(Duration::from_millis(5)).is_err() {
                // Time on a processor, time waiting for one, both in nanoseconds (Documentation/scheduler/sched-stats).
                let text = std::fs::read_to_string(format!("/proc/{process}/schedstat"));
                let text = text.unwrap_or_default();
                let nanos = text
                    .split_whitespace()
                    .nth(1)
                    .and_then(|one| one.parse().ok());
                samples.push((seconds_now(), nanos.unwrap_or(0.0) / 1e9));
            }
            samples
        });
        Self { stop, samples }
    }

    /// Between these two moments.
    fn between(self, from: f64, to: f64) -> f64 {
        self.stop.send(()).unwrap();
        let samples = self.samples.join().unwrap();
        let at = |moment: f64| {
            let before = samples.iter().rev().find(|(at, _)| *at <= moment);
            before.map_or(0.0, |&(_, waited)| waited)
        };
        at(to) - at(from)
    }
}

/// One handshake fails in the middle of a flood: it is shown in time, for what it is. Of three floods one has to show how
/// fast it is, all how right.
fn a_failure_is_shown_in_a_flood(kinds: &[&str], rate: &str) {
    let Some(space) = Space::new() else { return };
    let mut latencies = Vec::new();
    for _ in 0..3 {
        latencies.push(shown_in_a_flood(&space, kinds, rate));
        if latencies.iter().any(|&late| late < LATENCY_MAX) {
            return;
        }
    }
    panic!("shown after {latencies:?} s");
}

/// How many seconds after its packet the failure was shown.
fn shown_in_a_flood(space: &Space, kinds: &[&str], rate: &str) -> f64 {
    let _ = std::fs::remove_dir_all(space.path("kept"));
    let live = space.live("-i lo --format jsonl -Z root --evidence kept");
    let waited = Waited::of(live.child.id());
    let script = root().join("tests/lab/peers/flood.py");
    let flood = space
        .inside(&["/usr/bin/python3", script.to_str().unwrap(), "6", rate])
        .args(kinds)
        .output()
        .unwrap();
    let flood: Value =
        serde_json::from_slice(&flood.stdout).unwrap_or_else(|_| panic!("{}", text(&flood.stderr)));
    assert_eq!(flood["answered"], true);
    let (late, shake) = loop {
        let (late, shake) = live.handshake();
        if shake["hops"][0]["response"]["server"] == "flooded" {
            break (late, shake);
        }
    };
    assert_eq!(
        (&shake["verdict"], &shake["cause"]),
        (&"failed".into(), &"forbidden".into())
    );
    let answered = seconds(shake["hops"][0]["response"]["at"].as_str().unwrap());
    let waited = waited.between(answered, answered + late);
    let (status, out, said) = live.stop();
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    println!(
        "{kinds:?}: {} packets sent, {} captured, shown after {late:.2} s, {waited:.2} s without a processor",
        flood["sent"], summary["captures"][0]["frames"]
    );
    assert_eq!(status.code(), Some(1), "{said}");
    let kept = std::fs::read_dir(space.path("kept")).unwrap().count();
    assert!(kept >= 1, "no evidence");
    late - waited
}

#[test]
fn a_failure_in_a_flood_of_syns_and_garbage_is_still_shown() {
    a_failure_is_shown_in_a_flood(&["syns", "frames"], "10000");
}

#[test]
fn a_failure_in_a_flood_of_handshakes_with_the_same_key_is_still_shown() {
    a_failure_is_shown_in_a_flood(&["heads"], "500");
}
