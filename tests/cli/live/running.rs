//! A running `hop101 live`: its lines with the time of each, and what it says.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus};

use super::*;

/// A running `hop101 live`.
pub(super) struct Live {
    pub(super) child: Child,
    out: Receiver<(f64, String)>,
    messages: Receiver<String>,
    pub(super) said: String,
}

impl Live {
    pub(super) fn begin(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send_line, out) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = send_line.send((seconds_now(), line));
            }
        });
        let (send_message, messages) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = send_message.send(line);
            }
        });
        Self {
            child,
            out,
            messages,
            said: String::new(),
        }
    }

    pub(super) fn wait_for_message(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while !self.said.contains(part) {
            let left = until.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(line) => self.said += &(line + "\n"),
                Err(_) => panic!("it did not say {part:?} but {:?}", self.said),
            }
        }
        self.said.clone()
    }

    /// The first line that has `part` in it, and when it came.
    pub(super) fn line_with(&self, part: &str) -> (f64, String) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.out.recv_timeout(left);
            let line = line.unwrap_or_else(|_| {
                let said: Vec<String> = self.messages.try_iter().collect();
                panic!("no line has {part:?}; it said {said:?}")
            });
            if line.1.contains(part) {
                return line;
            }
        }
    }

    /// The handshake's line of JSON, and how long after its answer it came.
    pub(super) fn handshake(&self) -> (f64, Value) {
        let (at, line) = self.line_with(r#""type":"handshake""#);
        let value: Value = serde_json::from_str(&line).unwrap();
        // Without an answer there is nothing to compare with.
        let answered = value["hops"][0]["response"]["at"].as_str();
        (at - answered.map_or(at, seconds), value)
    }

    pub(super) fn signal(&self, signal: &str) {
        // `ip netns exec` becomes the program, so its number is the child's.
        run(Command::new("kill").args([signal, &self.child.id().to_string()]));
    }

    /// Waits for its end; what it still printed.
    pub(super) fn end(mut self) -> (ExitStatus, String, String) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end: {}", self.said);
            std::thread::sleep(Duration::from_millis(10));
        };
        let out: Vec<String> = self.out.iter().map(|(_, line)| line + "\n").collect();
        let said: Vec<String> = self.messages.iter().map(|line| line + "\n").collect();
        (status, out.concat(), self.said.clone() + &said.concat())
    }

    pub(super) fn stop(self) -> (ExitStatus, String, String) {
        self.signal("-INT");
        self.end()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn seconds_now() -> f64 {
    seconds(&jiff::Timestamp::now().to_string())
}

pub(super) fn seconds(at: &str) -> f64 {
    let at: jiff::Timestamp = at.parse().unwrap();
    Duration::try_from(at.duration_since(jiff::Timestamp::UNIX_EPOCH))
        .unwrap()
        .as_secs_f64()
}
