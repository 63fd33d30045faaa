//! FastCGI, uwsgi and SCGI towards a backend: what each answer to them proves.

use super::super::testkit::*;
use super::super::{AnsweredBy, Code, diagnose, diagnose_connection};
use crate::hop::{Confidence, Protocol};
use crate::http::{Cgi, CgiRequest};
use crate::tcp::Side;

const HTTP_400: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
const HTTP_403: &[u8] = b"HTTP/1.1 403 Forbidden\r\n\r\n";
const FASTCGI_404: &[u8] = b"\x01\x06\0\x01\0\x19\0\0Status: 404 Not Found\r\n\r\n";

fn tried_in(cgi: Cgi, answer: &[u8]) -> Conn {
    back().fin(Side::Server, 1.6).edit(|c| {
        c.record.protocol = Protocol::Cgi;
        c.record.exchange_count = 0;
        c.record.cgi = Some(Box::new(CgiRequest {
            cgi,
            key: KEY.as_bytes().into(),
            target: Some("/ws?token=1".into()),
            frame: at(1.2),
            answer: (!answer.is_empty()).then(|| (at(1.5), answer.into())),
        }));
    })
}

#[test]
fn what_came_back_tells_how_sure_the_cause_is() {
    type Row<'a> = (
        Cgi,
        &'a [u8],
        u16,
        Option<(Confidence, &'a str)>,
        AnsweredBy,
    );
    use AnsweredBy::{Backend, Proxy};
    use Confidence::{Guess, Likely};
    let table: [Row<'_>; 8] = [
        (
            Cgi::FastCgi,
            HTTP_400,
            502,
            Some((Likely, "answered in HTTP")),
            Proxy,
        ),
        (
            Cgi::FastCgi,
            FASTCGI_404,
            404,
            Some((Likely, "in FastCGI, which answered 404")),
            Backend,
        ),
        (
            Cgi::FastCgi,
            b"",
            502,
            Some((Likely, "without an answer")),
            Proxy,
        ),
        (
            Cgi::Uwsgi,
            HTTP_400,
            400,
            Some((Likely, "in uwsgi, which answered 400")),
            Backend,
        ),
        (Cgi::Uwsgi, HTTP_403, 403, None, Backend),
        (
            Cgi::Uwsgi,
            b"",
            502,
            Some((Guess, "without an answer")),
            Proxy,
        ),
        (
            Cgi::Scgi,
            HTTP_400,
            400,
            Some((Likely, "answered in HTTP")),
            Backend,
        ),
        (
            Cgi::Scgi,
            b"Status: 403 Forbidden\r\n\r\n",
            403,
            None,
            Backend,
        ),
    ];
    for (cgi, answer, status, expected, by) in table {
        let name = format!("{cgi:?} {}", answer.escape_ascii());
        let got = format!("HTTP/1.1 {status} So\nServer: nginx/1.22.1");
        let client = front().ask(ASK, 0.5).answer(&got, 1.8);
        let diagnosis = diagnose(&tried(client, vec![tried_in(cgi, answer)]));
        let found = diagnosis
            .findings
            .iter()
            .find(|finding| finding.code == Code::CgiToBackend);
        assert_eq!(
            found.map(|one| one.confidence),
            expected.map(|one| one.0),
            "{name}"
        );
        assert_eq!(diagnosis.answered.unwrap().by, by, "{name}");
        if let (Some(found), Some((_, says))) = (found, expected) {
            assert_eq!(diagnosis.cause, Some(Code::CgiToBackend), "{name}");
            assert!(found.title.contains(says), "{name}: {}", found.title);
            // The directive that is there, not the two that are not.
            let directives = ["fastcgi_pass", "uwsgi_pass", "scgi_pass"];
            let named = directives.map(|one| found.cause.contains(one));
            assert_eq!(
                named,
                [Cgi::FastCgi, Cgi::Uwsgi, Cgi::Scgi].map(|one| one == cgi),
                "{name}"
            );
        }
        let unseen = Code::BackendHopNotSeen;
        assert!(
            diagnosis.findings.iter().all(|one| one.code != unseen),
            "{name}"
        );
    }
}

/// A capture on the backend's host has nothing else: the path to configure is that of the variables.
#[test]
fn the_backend_hop_alone_is_enough() {
    let findings = diagnose_connection(&tried_in(Cgi::FastCgi, HTTP_400).record);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].confidence, Confidence::Certain);
    assert!(findings[0].nginx_snippet.contains("location /ws {"));
    assert!(diagnose_connection(&tried_in(Cgi::Uwsgi, HTTP_403).record).is_empty());
    let up = b"HTTP/1.1 101 Web Socket Protocol Handshake\r\n\r\n";
    assert!(diagnose_connection(&tried_in(Cgi::Uwsgi, up).record).is_empty());
}

/// Without an answer a request tells something only where the capture would show one: to the end of the connection, both ways.
#[test]
fn an_answer_that_may_be_lost_accuses_nobody() {
    type Change = fn(&mut crate::tcp::Connection);
    let table: [(&str, Change, bool); 4] = [
        ("all is there", |_| (), true),
        ("no end", |c| c.ended = None, false),
        ("one way", |c| c.to_client.frames = 0, false),
        ("bytes lost", |c| c.to_client.missing_bytes = 9, false),
    ];
    for (what, change, named) in table {
        let asked = tried_in(Cgi::FastCgi, b"").edit(|c| change(&mut c.record.connection));
        let client = front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.8);
        let diagnosis = diagnose(&tried(client, vec![asked]));
        let mut found = diagnosis.findings.iter();
        assert_eq!(
            found.any(|one| one.code == Code::CgiToBackend),
            named,
            "{what}"
        );
        let by = if named {
            AnsweredBy::Proxy
        } else {
            AnsweredBy::Unknown
        };
        assert_eq!(diagnosis.answered.unwrap().by, by, "{what}");
    }
}
