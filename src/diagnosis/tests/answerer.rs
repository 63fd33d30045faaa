//! Who gave the answer: the proxy or the backend, where the backend's hop is not in the capture.

use super::*;
use crate::hop::{Confidence, Role};
use crate::tcp::{Opening, Side};

#[test]
fn an_answer_too_fast_for_any_backend() {
    let answer = "HTTP/1.1 200 OK\nServer: nginx/1.22.1";
    for (ms, by) in [(0.65, AnsweredBy::Proxy), (1.5, AnsweredBy::Unknown)] {
        let diagnosis = diagnose(&alone(
            front().ask(ASK, 0.5).answer(answer, ms),
            Role::ClientProxy,
        ));
        assert_eq!(diagnosis.answered_by(), Some(by), "{ms}");
    }
}

/// The backend's hop is not in the capture: who answered follows from what only one of them would write.
#[test]
fn who_answered_follows_from_the_answer_itself() {
    let head = |status: &str, fields: &str| format!("HTTP/1.1 {status}\n{fields}");
    for (answer, body, by, sure) in [
        (
            head("404 Not Found", "Server: nginx/1.22.1"),
            PAGE,
            AnsweredBy::Proxy,
            Confidence::Likely,
        ),
        (
            head("426 X", "Server: nginx\nSec-WebSocket-Version: 13"),
            b"",
            AnsweredBy::Backend,
            Confidence::Likely,
        ),
        (
            head("400 X", "Server: nginx\nX-Powered-By: Express"),
            b"",
            AnsweredBy::Backend,
            Confidence::Likely,
        ),
        (
            head("400 X", "Server: nginx\nContent-Type: application/json"),
            b"{}",
            AnsweredBy::Backend,
            Confidence::Guess,
        ),
        (
            head("503 X", "Server: awselb/2.0"),
            b"",
            AnsweredBy::Proxy,
            Confidence::Likely,
        ),
        (
            head("503 X", "Server: envoy"),
            b"",
            AnsweredBy::Proxy,
            Confidence::Likely,
        ),
        (
            head("503 X", "Server: envoy\nX-Envoy-Upstream-Service-Time: 3"),
            b"",
            AnsweredBy::Backend,
            Confidence::Likely,
        ),
        (
            head("503 X", "Cache-Control: no-cache"),
            b"<h1>503</h1>No server is available to handle this request.",
            AnsweredBy::Proxy,
            Confidence::Likely,
        ),
        (
            head("404 X", "Server: TornadoServer/6.2"),
            b"",
            AnsweredBy::Backend,
            Confidence::Likely,
        ),
        (
            head("404 X", "Server: nginx"),
            b"",
            AnsweredBy::Unknown,
            Confidence::Guess,
        ),
        (
            head("404 X", "Server: cloudflare"),
            b"",
            AnsweredBy::Unknown,
            Confidence::Guess,
        ),
    ] {
        let diagnosis = diagnose(&alone(
            front().ask(ASK, 0.5).answer(&answer, 5.0).body(body),
            Role::ClientProxy,
        ));
        assert_eq!(diagnosis.answered_by(), Some(by), "{answer}");
        let answered = diagnosis.answered.as_ref().unwrap();
        assert_eq!(answered.confidence, sure, "{answer}");
        assert!(!answered.reason.is_empty(), "{answer}");
    }
}

/// A backend that was asked and whose answer was not seen: a proxy answers by itself when it has given up on it, or says that the
/// gateway fails, and never with 101.
#[test]
fn an_answer_without_the_backends_is_the_proxys_only_where_it_gave_up() {
    let status = |status: &str| format!("HTTP/1.1 {status} X\nServer: nginx/1.22.1");
    let open = || back().ask(FORWARDED, 1.2);
    let closed = || open().fin(Side::Client, 4.0);
    let earlier = || back().edit(|c| c.record.connection.opening = Opening::Midstream);
    let (proxy, unknown) = (AnsweredBy::Proxy, AnsweredBy::Unknown);
    for (answer, backend, by) in [
        (status("426"), open(), unknown),
        (status("426"), closed(), proxy),
        (status("504"), open(), proxy),
        (status("503"), open(), unknown),
        (status("503"), closed(), proxy),
        (status("504"), earlier(), unknown),
        (SWITCHED.to_owned(), open(), unknown),
        (SWITCHED.to_owned(), closed(), unknown),
    ] {
        let told = format!("{answer}: {:?}", backend.record.connection.ended);
        let handshake = through(front().ask(ASK, 0.5).answer(&answer, 5.0), backend);
        assert_eq!(diagnose(&handshake).answered_by(), Some(by), "{told}");
    }
}
