//! Which finding is the cause: the one that, once fixed, makes the rest go away.
//!
//! Errors come before warnings, warnings before observations. Among findings of the same severity the order below
//! decides. It follows a request on its way: who could not even be understood, what a proxy lost, who could not be
//! reached, what the client got wrong, what the backend answered, how the session ended, what the capture lacks.

use super::draft::Draft;
use super::{Code, Finding, Severity};

/// All codes, the best cause first.
pub(super) const ORDER: &[Code] = &[
    // No common protocol on a port: nothing after that can be right.
    Code::PlainToTlsPort,
    Code::TlsToPlainPort,
    Code::CertificateRejected,
    Code::ClientCertificateMissing,
    Code::TlsNameUnrecognized,
    Code::TlsHandshakeFailed,
    Code::ProxyProtocolUnexpected,
    Code::ProxyProtocolToBackend,
    Code::Http2WebsocketRefused,
    Code::Http2ConnectionHeader,
    // Not even a connection.
    Code::ConnectRefused,
    Code::ConnectUnanswered,
    // The request did not arrive whole.
    Code::RequestIncomplete,
    Code::RequestHeaderTooBig,
    // A proxy changed it: whatever the backend did is a consequence. What was lost before the first hop seen comes first.
    Code::UpgradeMissing,
    Code::UpgradeNotForwarded,
    Code::UpgradeAltered,
    Code::UpgradeAdded,
    Code::ConnectionMissing,
    Code::ConnectionNotForwarded,
    Code::Http10ToBackend,
    Code::Http2ToBackend,
    Code::CgiToBackend,
    Code::KeyNotForwarded,
    Code::KeyRewritten,
    Code::VersionNotForwarded,
    Code::SubprotocolNotForwarded,
    Code::ExtensionsNotForwarded,
    Code::ConnectionUpgradeForced,
    // The backend could not be reached.
    Code::BackendTlsRejected,
    Code::TlsToPlainBackend,
    Code::BackendRefused,
    Code::BackendUnreachable,
    Code::BackendConnectTimeout,
    Code::NoLiveBackend,
    // The client's own request.
    Code::MethodNotGet,
    Code::HostMissing,
    Code::HeaderDuplicated,
    Code::KeyMissing,
    Code::KeyInvalid,
    Code::VersionMissing,
    Code::VersionUnsupported,
    Code::OfferInvalid,
    Code::Http10Request,
    // The backend was reached and gave no usable answer.
    Code::InterimResponse,
    Code::BackendInvalidResponse,
    Code::BackendHeaderTooBig,
    Code::BackendClosedEarly,
    Code::BackendResetEarly,
    Code::BackendTimeout,
    Code::ClientGaveUp,
    Code::ProxyOverloaded,
    Code::ProxyProtocolMissing,
    Code::NoAnswer,
    // A 101 that the client must refuse: first what the proxy took away from it.
    Code::AcceptNotReturned,
    Code::UpgradeNotReturned,
    Code::AcceptMismatch,
    Code::AcceptMissing,
    Code::AnswerUpgradeMissing,
    Code::AnswerUpgradeWrong,
    Code::AnswerConnectionMissing,
    Code::SubprotocolNotOffered,
    Code::ExtensionNotOffered,
    Code::ExtensionParametersInvalid,
    Code::SubprotocolNotChosen,
    // Refusals: those with a reason before those that only have a status.
    Code::StatusChanged,
    Code::OriginHostMismatch,
    Code::SessionAffinityLost,
    Code::PathRewritten,
    Code::Redirected,
    Code::Unauthorized,
    Code::Forbidden,
    Code::TooManyRequests,
    Code::ServiceUnavailable,
    Code::UpgradeRequired,
    Code::MethodNotAllowed,
    Code::NotFound,
    Code::BadRequest,
    Code::AnsweredAsPage,
    Code::GatewayTimeout,
    Code::BadGateway,
    Code::ServerError,
    Code::RefusedOtherwise,
    // After the 101: what is wrong with the bytes, then who did not read or could not be reached, then who ended it.
    Code::CompressionNotNegotiated,
    Code::FrameFault,
    Code::ClientNotReading,
    Code::BackendNotReading,
    Code::NetworkLoss,
    Code::ConnectionVanished,
    Code::ClosedWithError,
    Code::SilentAfter101,
    Code::IdleTimeout,
    Code::IdleTimeoutInFront,
    Code::CutMidFrame,
    Code::BackendReset,
    Code::BackendClosedWithoutClose,
    Code::ProxyCrashed,
    Code::ProxyRestarted,
    Code::ProxyClosed,
    Code::ClosedRightAfter101,
    Code::HalfClosed,
    Code::ClientReset,
    Code::ClientLeft,
    // Observations.
    Code::BackendRetried,
    Code::HostRewritten,
    Code::TokenCaseRejected,
    Code::ProbeArtefact,
    Code::BackendNotContacted,
    // The capture.
    Code::CaptureOneSided,
    Code::CaptureTruncated,
    Code::CaptureGap,
    Code::CaptureDrops,
    Code::CaptureMidStream,
    Code::BackendHopNotSeen,
    Code::ClientHopNotSeen,
    Code::PairingAmbiguous,
    Code::CaptureDuplicates,
    Code::ClockOffset,
];

/// Ways in which a session ends badly; of severity warning or above they make it broken.
pub(super) const BAD_ENDINGS: &[Code] = &[
    Code::ClosedWithError,
    Code::ProxyCrashed,
    Code::ProxyRestarted,
    Code::ClosedRightAfter101,
    Code::ClientReset,
    Code::HalfClosed,
];

fn rank(code: Code) -> usize {
    ORDER
        .iter()
        .position(|&other| other == code)
        .unwrap_or(ORDER.len())
}

/// The order of findings in a diagnosis: the cause first.
pub(super) fn key(code: Code, severity: Severity) -> (std::cmp::Reverse<Severity>, usize) {
    (std::cmp::Reverse(severity), rank(code))
}

/// Puts drafts in the order of the diagnosis.
pub(super) fn sort(drafts: &mut [Draft]) {
    drafts.sort_by_key(|draft| key(draft.code(), draft.severity()));
}

/// Findings behind the first one: by severity, then time.
pub(super) fn sort_rest(findings: &mut [Finding]) {
    if let [_, rest @ ..] = findings {
        rest.sort_by_key(|finding| {
            (
                std::cmp::Reverse(finding.severity),
                finding.evidence.first().map(|evidence| evidence.frame),
                rank(finding.code),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_place() {
        for &code in Code::ALL {
            assert_eq!(
                ORDER.iter().filter(|&&other| other == code).count(),
                1,
                "{code}"
            );
        }
        assert_eq!(ORDER.len(), Code::ALL.len());
    }

    #[test]
    fn the_reason_comes_before_the_symptom() {
        for (cause, symptom) in [
            (Code::UpgradeNotForwarded, Code::ConnectionNotForwarded),
            (Code::UpgradeNotForwarded, Code::UpgradeRequired),
            (Code::UpgradeNotForwarded, Code::Http10ToBackend),
            (Code::UpgradeMissing, Code::ConnectionMissing),
            (Code::ConnectionNotForwarded, Code::Http10ToBackend),
            (Code::KeyRewritten, Code::AcceptMismatch),
            (Code::OriginHostMismatch, Code::Forbidden),
            (Code::PathRewritten, Code::NotFound),
            (Code::ExtensionsNotForwarded, Code::Forbidden),
            (Code::BackendRefused, Code::BadGateway),
            (Code::BackendConnectTimeout, Code::ClientGaveUp),
            (Code::BackendConnectTimeout, Code::GatewayTimeout),
            (Code::MethodNotGet, Code::MethodNotAllowed),
            (Code::FrameFault, Code::ClosedWithError),
            (Code::CompressionNotNegotiated, Code::ClosedWithError),
            (Code::NetworkLoss, Code::IdleTimeout),
            (Code::SilentAfter101, Code::IdleTimeout),
        ] {
            assert!(
                key(cause, Severity::Error) < key(symptom, Severity::Error),
                "{cause} before {symptom}"
            );
        }
    }

    #[test]
    fn severity_comes_first() {
        assert!(
            key(Code::ServerError, Severity::Error) < key(Code::UpgradeMissing, Severity::Warning)
        );
        assert!(
            key(Code::ClientReset, Severity::Warning) < key(Code::ProbeArtefact, Severity::Info)
        );
    }
}
