//! Live capture on loopback, where the tests may open it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may"
)]

use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime};

use super::*;

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

/// Loopback, or `None` with a printed line where packet sockets are not allowed.
fn open(options: &Options, limit: Option<u64>) -> Option<Live> {
    match Live::open(options, limit) {
        Err(LiveError::Permission { .. }) => {
            println!("skipped: no permission to capture");
            None
        }
        other => Some(other.unwrap()),
    }
}

fn on(interfaces: &[&str], port: u16) -> Options {
    Options {
        interfaces: interfaces.iter().map(ToString::to_string).collect(),
        buffer: 1 << 20,
        filter: Some(format!("udp dst port {port}")),
        ..Options::default()
    }
}

/// Sends numbered datagrams to a port of ours; nobody else's traffic matches the filter then.
fn socket() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn gather(live: &mut Live, wanted: usize) -> Vec<(u64, u32, Vec<u8>)> {
    let mut got = Vec::new();
    let until = Instant::now() + Duration::from_secs(5);
    while got.len() < wanted && Instant::now() < until {
        live.deliver(Duration::from_millis(50), now, &mut |frame, _| {
            let end = frame.data.len() - 2;
            got.push((
                frame.id.number().0,
                frame.interface,
                frame.data[end..].to_vec(),
            ));
        })
        .unwrap();
    }
    got
}

#[test]
fn frames_come_numbered_with_their_times() {
    let (socket, port) = socket();
    let Some(mut live) = open(&on(&["lo", "lo"], port), None) else {
        return;
    };
    let before = now();
    for number in 0..5_u8 {
        socket
            .send_to(&[number, 0xaa], ("127.0.0.1", port))
            .unwrap();
    }
    let got = gather(&mut live, 5);
    let expected: Vec<_> = (0..5_u8)
        .map(|n| (u64::from(n) + 1, 0, vec![n, 0xaa]))
        .collect();
    assert_eq!(
        got, expected,
        "once each although the interface was named twice"
    );
    let info = live.info();
    assert_eq!(
        (info.frames, info.bytes, info.path.as_str()),
        (5, 5 * 44, "lo")
    );
    let (first, last) = (info.first_at.unwrap(), info.last_at.unwrap());
    assert!(
        before <= first && first <= last && last <= now(),
        "nanoseconds, not microseconds"
    );
    assert_eq!(live.drops(), Drops::default());
}

#[test]
fn the_limit_is_kept_to_the_frame() {
    let (socket, port) = socket();
    let Some(mut live) = open(&on(&["lo"], port), Some(3)) else {
        return;
    };
    for number in 0..9_u8 {
        socket
            .send_to(&[number, 0xbb], ("127.0.0.1", port))
            .unwrap();
    }
    let got = gather(&mut live, 3);
    assert_eq!(got.len(), 3);
    assert!(live.is_over());
    live.deliver(Duration::from_millis(300), now, &mut |_, _| {
        panic!("one frame too many")
    })
    .unwrap();
}

#[test]
fn several_interfaces_are_one_capture_in_the_order_of_time() {
    let (socket, port) = socket();
    // The same packets are seen on both; cooked capture begins with 20 other bytes.
    let Some(mut live) = open(&on(&["lo", "any"], port), None) else {
        return;
    };
    for number in 0..50_u8 {
        socket
            .send_to(&[number, 0xcc], ("127.0.0.1", port))
            .unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    // `any` sees a packet on loopback leave and arrive.
    let got = gather(&mut live, 100);
    assert!(got.len() >= 100, "{}", got.len());
    let payloads: Vec<u8> = got.iter().map(|(_, _, data)| data[0]).collect();
    assert!(payloads.is_sorted(), "{payloads:?}");
    let numbers: Vec<u64> = got.iter().map(|(number, ..)| *number).collect();
    assert!(numbers.iter().copied().eq(1..=got.len() as u64));
    assert_eq!(live.info().link_types.len(), 2);
}

#[test]
fn errors_say_what_to_do() {
    let unknown = Live::open(&on(&["no-such-dev0"], 1), None)
        .err()
        .unwrap()
        .to_string();
    assert!(
        unknown.starts_with("no-such-dev0: no such interface; there are: ")
            && unknown.contains("lo"),
        "{unknown}"
    );
    let options = Options {
        filter: Some("tcp port".to_owned()),
        ..on(&["lo"], 1)
    };
    match Live::open(&options, None).err().unwrap() {
        LiveError::Permission { .. } => println!("skipped: no permission to capture"),
        error => {
            let text = error.to_string();
            assert!(
                text.contains("syntax error") && text.contains("from column 5 on (\"port\")"),
                "{text}"
            );
        }
    }
}

#[test]
fn interfaces_are_listed() {
    let all = interfaces().unwrap();
    assert!(all.iter().any(|one| one.name == "lo" && one.loopback));
}
