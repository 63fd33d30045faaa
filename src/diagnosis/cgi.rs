//! Requests for a WebSocket that a proxy passed on in a protocol of application servers: FastCGI, uwsgi or SCGI.

use super::Code;
use super::catalogue::PASSED_ON;
use super::draft::Draft;
use super::story::{Story, harmless};
use super::text::{path, preview, short};
use super::upstream::{so_the_client_got, with_answer};
use crate::capture::FrameRef;
use crate::hop::{Confidence, ConnectAttempt, Record};
use crate::http::{AnsweredIn, Cgi, CgiRequest};
use crate::tcp::Side;

/// What an application can do behind a protocol that is not FastCGI.
const APPLICATION: &str = "Behind uwsgi and SCGI no application can take a WebSocket but one that answers 101 itself, as with the WebSocket functions of uWSGI; to a server of HTTP such a request is malformed.";

/// Why FastCGI never works.
const FASTCGI: &str = "FastCGI carries a request and its answer, and nothing in both directions behind them: whatever its application answers, no WebSocket comes up.";

/// The directive by which nginx speaks it, and where that stands.
const fn why(cgi: Cgi) -> &'static str {
    match cgi {
        Cgi::FastCgi => {
            "fastcgi_pass applies to the location that serves WebSocket: its own, or the one that takes all paths for PHP."
        }
        Cgi::Uwsgi => {
            "uwsgi_pass applies to the location that serves WebSocket: its own, or the one that takes all paths for Python."
        }
        Cgi::Scgi => {
            "scgi_pass applies to the location that serves WebSocket: its own, or the one that takes all paths for an application."
        }
    }
}

/// What nginx logs of an answer that is not FastCGI: the number is that of its first byte, the H of HTTP as a rule.
const NOT_FASTCGI: &str = "[error] upstream sent unsupported FastCGI protocol version: 72 while reading response header from upstream";

/// What came of a request.
struct Outcome {
    what: String,
    sure: Confidence,
    detail: &'static str,
    log: &'static str,
    shows: Option<(FrameRef, String)>,
}

/// A finding, unless the refusal may have another reason. `proxy`: who asked.
fn outcome(record: &Record, request: &CgiRequest, proxy: &str) -> Option<Outcome> {
    let name = request.cgi.name();
    let backend = record.connection.server;
    let is_fastcgi = request.cgi == Cgi::FastCgi;
    let detail = if is_fastcgi { FASTCGI } else { APPLICATION };
    let spoke = format!("{proxy} spoke {name} to {backend}, which");
    let Some((frame, bytes)) = &request.answer else {
        let end = record.connection.ended.filter(|_| record.is_whole())?;
        let did = match end.by {
            Side::Server => "ended the connection without an answer",
            Side::Client => "did not answer",
        };
        return Some(Outcome {
            what: format!("{spoke} {did}"),
            // An application that hangs looks the same.
            sure: if is_fastcgi {
                Confidence::Likely
            } else {
                Confidence::Guess
            },
            detail,
            log: match end.by {
                Side::Server => {
                    "[error] upstream prematurely closed connection while reading response header from upstream"
                }
                Side::Client => {
                    "[error] upstream timed out (110: Connection timed out) while reading response header from upstream"
                }
            },
            shows: Some((end.frame, format!("the connection ends: {backend} {did}"))),
        });
    };
    let shows = |what: String| Some((*frame, what));
    let begins = || format!("the answer begins with {}", preview(bytes));
    let answered_in = request.answered_in()?;
    if answered_in != AnsweredIn::Kind {
        let is_http = answered_in == AnsweredIn::Http;
        let did = if is_http {
            "answered in HTTP".to_owned()
        } else {
            format!("answered what is no {name}")
        };
        return Some(Outcome {
            what: format!("{spoke} {did}"),
            // nginx lets an application behind SCGI answer so.
            sure: if is_http && request.cgi == Cgi::Scgi {
                Confidence::Likely
            } else {
                Confidence::Certain
            },
            detail: "",
            log: if is_fastcgi { NOT_FASTCGI } else { PASSED_ON },
            shows: shows(begins()),
        });
    }
    let status = request.status();
    // Of the other refusals the application knows the reason: it may be one that takes WebSockets.
    let is_refusal = matches!(status, Some(200 | 400 | 404 | 405 | 426));
    (is_fastcgi && status != Some(101) || is_refusal).then(|| Outcome {
        what: format!(
            "{proxy} passed the request to {backend} in {name}{}",
            status.map_or_else(String::new, |status| format!(", which answered {status}"))
        ),
        sure: if is_fastcgi {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        detail,
        log: PASSED_ON,
        shows: shows(match status {
            Some(status) => format!("the answer in {name}: {status}"),
            None => begins(),
        }),
    })
}

fn draft(record: &Record, request: &CgiRequest, outcome: &Outcome) -> Draft {
    let target = request
        .target
        .as_deref()
        .map_or_else(String::new, |target| {
            format!(" REQUEST_URI {} and", short(target))
        });
    let shows = format!(
        "a request in {} with{target} HTTP_SEC_WEBSOCKET_KEY",
        request.cgi.name()
    );
    let draft = Draft::new(Code::CgiToBackend)
        .sure(outcome.sure)
        .on(record)
        .title(outcome.what.clone())
        .detail(outcome.detail)
        .why(why(request.cgi))
        .log(outcome.log)
        .saw(request.frame, shows);
    match &outcome.shows {
        Some((frame, shows)) => draft.saw(*frame, shows.clone()),
        None => draft,
    }
}

/// What is wrong with a connection of a proxy's that belongs to a handshake.
pub(super) fn of_attempt(story: &Story<'_>, attempt: &ConnectAttempt) -> Option<Draft> {
    let record = &attempt.record;
    let request = record.cgi.as_deref()?;
    let outcome = outcome(record, request, &story.proxy_of_attempt(attempt))?;
    let draft = draft(record, request, &outcome)
        .sure(outcome.sure.min(attempt.confidence))
        .upstream(record.connection.server)
        .headline(format!("{}{}", outcome.what, so_the_client_got(story)));
    Some(with_answer(story, draft))
}

/// What is wrong with a connection whose client hop is not in the capture.
pub(super) fn of_connection(record: &Record) -> Option<Draft> {
    let request = record.cgi.as_deref()?;
    let proxy = record.connection.client.ip().to_string();
    let draft = draft(record, request, &outcome(record, request, &proxy)?);
    let target = request.target.as_deref().map(path);
    Some(match target.filter(|path| harmless(path)) {
        Some(path) => draft.location(path),
        None => draft,
    })
}
