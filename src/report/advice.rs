//! A capture without a handshake: what was seen instead, and what to capture next time.

use super::view::Report;
use super::words;

/// Something to do, and the command that does it.
pub(super) struct Advice {
    pub(super) text: String,
    pub(super) command: Option<&'static str>,
}

/// What was seen, most of it first: how many, what, what that means.
pub(super) fn seen(report: &Report, most: usize) -> Vec<[String; 3]> {
    // They may be where the handshakes are that were not asked for.
    if report.summary.left_out > 0 {
        return Vec::new();
    }
    let traffic = &report.traffic;
    let mut ports: Vec<(u64, &str, u16)> = traffic
        .ports
        .iter()
        .map(|(&(protocol, port), &count)| (count, protocol, port))
        .collect();
    ports.sort_by(|a, b| (b.0, a.1, a.2).cmp(&(a.0, b.1, b.2)));
    let mut rows: Vec<[String; 3]> = ports
        .iter()
        .take(most)
        .map(|&(count, protocol, port)| {
            let (name, meaning) = words::protocol(protocol);
            [
                words::count(count, "connection"),
                format!("{name}, port {port}"),
                meaning.to_owned(),
            ]
        })
        .collect();
    let unlisted: u64 = ports
        .iter()
        .skip(most)
        .map(|(count, ..)| count)
        .sum::<u64>()
        + traffic.more.values().sum::<u64>();
    if unlisted > 0 {
        rows.push([
            words::count(unlisted, "connection"),
            "on other ports".to_owned(),
            String::new(),
        ]);
    }
    let mut others: Vec<_> = traffic
        .others
        .iter()
        .filter(|(_, count)| **count > 0)
        .collect();
    others.sort_by_key(|(kind, count)| (std::cmp::Reverse(**count), **kind));
    rows.extend(others.iter().take(most).map(|(kind, count)| {
        [
            words::count(**count, "frame"),
            words::other_kind(**kind),
            String::new(),
        ]
    }));
    let rest: u64 = others.iter().skip(most).map(|(_, count)| **count).sum();
    if rest > 0 {
        rows.push([
            words::count(rest, "frame"),
            "of other kinds".to_owned(),
            String::new(),
        ]);
    }
    rows
}

/// What to do to get a capture that tells more.
pub(super) fn next_capture(report: &Report) -> Vec<Advice> {
    let traffic = &report.traffic;
    let has = |name: &str| {
        traffic.ports.keys().any(|(protocol, _)| *protocol == name)
            || traffic.more.contains_key(name)
    };
    let mut advice = vec![Advice {
        text: "Start this on the proxy host, let the client try again, stop it with Ctrl-C:"
            .to_owned(),
        command: Some("tcpdump -i any -s 0 -w case.pcap tcp"),
    }];
    if report.summary.left_out > 0 {
        return advice;
    }
    if has("http-upgrade-required") {
        advice.push(Advice {
            text: "A plain curl, or the address in a browser, asks for no WebSocket. For a curl that does:".to_owned(),
            command: Some("hop101 explain probe-artefact"),
        });
    }
    if has("tls") {
        advice.push(Advice {
            text: "The TLS connections above hide what is inside. The hop from nginx to the backend is in clear in \
                   most setups: make sure that it is captured too (-i any sees loopback and container bridges of this \
                   network namespace). Or let the client write its keys (SSLKEYLOGFILE) and give them with --keylog."
                .to_owned(),
            command: None,
        });
    }
    if has("http2") {
        advice.push(Advice {
            text: "HTTP/2 was seen: a WebSocket inside of it (RFC 8441) is not read; nginx speaks HTTP/1.1 to \
                   the backend, so capture that hop."
                .to_owned(),
            command: None,
        });
    }
    if has("websocket") {
        advice.push(Advice {
            text: "WebSocket sessions were up before the capture began: start capturing before the client connects."
                .to_owned(),
            command: None,
        });
    }
    if traffic
        .others
        .keys()
        .any(|kind| matches!(kind, crate::decode::OtherKind::Udp { port: 443 }))
    {
        advice.push(Advice {
            text: "UDP to port 443 is most likely QUIC: nginx takes no WebSocket over HTTP/3, so the client must fall \
                   back to TCP for it."
                .to_owned(),
            command: None,
        });
    }
    advice
}
