//! Connections that are in no handshake, and captures as a whole.

use super::*;
use crate::capture::{CaptureId, CaptureInfo};
use crate::diagnosis::{CaptureTotals, diagnose_captures, diagnose_connection};
use crate::hop::ProxyHeader;
use crate::tcp::Copies;

#[test]
fn upgrade_forced_on_ordinary_requests() {
    let mut record = back().record;
    record.ordinary = vec![
        ordinary("/a?token=TOPSECRET", Some("upgrade"), 400, 1.0),
        ordinary("/b", Some("upgrade"), 400, 3.0),
    ];
    let findings = diagnose_connection(&record);
    assert_eq!(codes(&findings), [Code::ConnectionUpgradeForced]);
    assert!(findings[0].detail.contains("1 more"));
    assert!(!format!("{findings:?}").contains("TOPSECRET"));
}

#[test]
fn proxy_header_refused() {
    let mut record = front().record;
    record.proxy_header = Some(ProxyHeader {
        frame: at(0.2),
        version: 1,
        source: None,
    });
    record.ordinary = vec![ordinary("/", None, 400, 0.5)];
    assert_eq!(
        codes(&diagnose_connection(&record)),
        [Code::ProxyProtocolUnexpected]
    );
}

#[test]
fn captures_are_judged_as_a_whole() {
    let info = CaptureInfo {
        frames: 10,
        first_at: Some(at(0.0).at),
        last_at: Some(at(9.0).at),
        dropped: Some(0),
        ..CaptureInfo::unread(CaptureId(0), "case.pcapng")
    };
    let none = CaptureTotals::default();
    assert_eq!(
        codes(&diagnose_captures(std::slice::from_ref(&info), &none)),
        []
    );
    let totals = CaptureTotals {
        copies: [(
            CaptureId(0),
            Copies {
                own: 5,
                shared: 0,
                first: at(1.0),
            },
        )]
        .into(),
        clock_offsets: vec![(CaptureId(0), 2_000_000, at(1.0))],
    };
    let poor = CaptureInfo {
        dropped: Some(7),
        truncated_frames: 3,
        first_truncated: Some(at(2.0)),
        ..info
    };
    assert_eq!(
        codes(&diagnose_captures(&[poor], &totals)),
        [
            Code::CaptureTruncated,
            Code::CaptureDrops,
            Code::CaptureDuplicates,
            Code::ClockOffset
        ]
    );
}
