//! The stable names of findings, and what the catalogue says of each.

use super::{
    Entry, answer, answer_101, capture, client_request, connect, forwarding, proxy_protocol,
    session, tls, upstream,
};

/// Declares the codes once: the variant, the name in reports, the entry, and the list of all.
macro_rules! codes {
    ($($variant:ident = $name:literal => $entry:path,)*) => {
        /// The stable name of a finding, as CONTRACT and `hop101 explain` use it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Code {
            /// All codes, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means.
            pub fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$variant => &$entry,)*
                }
            }
        }
    };
}

codes! {
    UpgradeNotForwarded = "upgrade-not-forwarded" => forwarding::UPGRADE_NOT_FORWARDED,
    ConnectionNotForwarded = "connection-not-forwarded" => forwarding::CONNECTION_NOT_FORWARDED,
    Http10ToBackend = "http10-to-backend" => forwarding::HTTP10_TO_BACKEND,
    UpgradeAltered = "upgrade-altered" => forwarding::UPGRADE_ALTERED,
    ConnectionUpgradeForced = "connection-upgrade-forced" => forwarding::CONNECTION_UPGRADE_FORCED,
    UpgradeAdded = "upgrade-added" => forwarding::UPGRADE_ADDED,
    UpgradeMissing = "upgrade-missing" => forwarding::UPGRADE_MISSING,
    ConnectionMissing = "connection-missing" => forwarding::CONNECTION_MISSING,
    OriginHostMismatch = "origin-host-mismatch" => forwarding::ORIGIN_HOST_MISMATCH,
    HostRewritten = "host-rewritten" => forwarding::HOST_REWRITTEN,
    KeyNotForwarded = "key-not-forwarded" => forwarding::KEY_NOT_FORWARDED,
    KeyRewritten = "key-rewritten" => forwarding::KEY_REWRITTEN,
    VersionNotForwarded = "version-not-forwarded" => forwarding::VERSION_NOT_FORWARDED,
    SubprotocolNotForwarded = "subprotocol-not-forwarded" => forwarding::SUBPROTOCOL_NOT_FORWARDED,
    ExtensionsNotForwarded = "extensions-not-forwarded" => forwarding::EXTENSIONS_NOT_FORWARDED,
    AcceptNotReturned = "accept-not-returned" => forwarding::ACCEPT_NOT_RETURNED,
    UpgradeNotReturned = "upgrade-not-returned" => forwarding::UPGRADE_NOT_RETURNED,
    StatusChanged = "status-changed" => forwarding::STATUS_CHANGED,
    PathRewritten = "path-rewritten" => forwarding::PATH_REWRITTEN,
    InterimResponse = "interim-response" => answer::INTERIM_RESPONSE,
    BadRequest = "bad-request" => answer::BAD_REQUEST,
    Unauthorized = "unauthorized" => answer::UNAUTHORIZED,
    Forbidden = "forbidden" => answer::FORBIDDEN,
    NotFound = "not-found" => answer::NOT_FOUND,
    MethodNotAllowed = "method-not-allowed" => answer::METHOD_NOT_ALLOWED,
    UpgradeRequired = "upgrade-required" => answer::UPGRADE_REQUIRED,
    TooManyRequests = "too-many-requests" => answer::TOO_MANY_REQUESTS,
    ServerError = "server-error" => answer::SERVER_ERROR,
    BadGateway = "bad-gateway" => answer::BAD_GATEWAY,
    ServiceUnavailable = "service-unavailable" => answer::SERVICE_UNAVAILABLE,
    GatewayTimeout = "gateway-timeout" => answer::GATEWAY_TIMEOUT,
    Redirected = "redirected" => answer::REDIRECTED,
    AnsweredAsPage = "answered-as-page" => answer::ANSWERED_AS_PAGE,
    RefusedOtherwise = "refused-otherwise" => answer::REFUSED_OTHERWISE,
    SessionAffinityLost = "session-affinity-lost" => answer::SESSION_AFFINITY_LOST,
    BackendNotContacted = "backend-not-contacted" => answer::BACKEND_NOT_CONTACTED,
    BackendRefused = "backend-refused" => upstream::BACKEND_REFUSED,
    NoLiveBackend = "no-live-backend" => upstream::NO_LIVE_BACKEND,
    BackendConnectTimeout = "backend-connect-timeout" => upstream::BACKEND_CONNECT_TIMEOUT,
    BackendUnreachable = "backend-unreachable" => upstream::BACKEND_UNREACHABLE,
    BackendClosedEarly = "backend-closed-early" => upstream::BACKEND_CLOSED_EARLY,
    BackendResetEarly = "backend-reset-early" => upstream::BACKEND_RESET_EARLY,
    BackendRetried = "backend-retried" => upstream::BACKEND_RETRIED,
    BackendTimeout = "backend-timeout" => upstream::BACKEND_TIMEOUT,
    BackendHeaderTooBig = "backend-header-too-big" => upstream::BACKEND_HEADER_TOO_BIG,
    BackendInvalidResponse = "backend-invalid-response" => upstream::BACKEND_INVALID_RESPONSE,
    ClientGaveUp = "client-gave-up" => upstream::CLIENT_GAVE_UP,
    RequestIncomplete = "request-incomplete" => upstream::REQUEST_INCOMPLETE,
    RequestHeaderTooBig = "request-header-too-big" => upstream::REQUEST_HEADER_TOO_BIG,
    ProxyOverloaded = "proxy-overloaded" => upstream::PROXY_OVERLOADED,
    NoAnswer = "no-answer" => upstream::NO_ANSWER,
    ConnectRefused = "connect-refused" => connect::CONNECT_REFUSED,
    ConnectUnanswered = "connect-unanswered" => connect::CONNECT_UNANSWERED,
    VersionMissing = "version-missing" => client_request::VERSION_MISSING,
    VersionUnsupported = "version-unsupported" => client_request::VERSION_UNSUPPORTED,
    KeyMissing = "key-missing" => client_request::KEY_MISSING,
    KeyInvalid = "key-invalid" => client_request::KEY_INVALID,
    HeaderDuplicated = "header-duplicated" => client_request::HEADER_DUPLICATED,
    HostMissing = "host-missing" => client_request::HOST_MISSING,
    OfferInvalid = "offer-invalid" => client_request::OFFER_INVALID,
    MethodNotGet = "method-not-get" => client_request::METHOD_NOT_GET,
    Http10Request = "http10-request" => client_request::HTTP10_REQUEST,
    TokenCaseRejected = "token-case-rejected" => answer::TOKEN_CASE_REJECTED,
    ProbeArtefact = "probe-artefact" => client_request::PROBE_ARTEFACT,
    AcceptMismatch = "accept-mismatch" => answer_101::ACCEPT_MISMATCH,
    AcceptMissing = "accept-missing" => answer_101::ACCEPT_MISSING,
    AnswerUpgradeMissing = "answer-upgrade-missing" => answer_101::ANSWER_UPGRADE_MISSING,
    AnswerUpgradeWrong = "answer-upgrade-wrong" => answer_101::ANSWER_UPGRADE_WRONG,
    AnswerConnectionMissing = "answer-connection-missing" => answer_101::ANSWER_CONNECTION_MISSING,
    SubprotocolNotOffered = "subprotocol-not-offered" => answer_101::SUBPROTOCOL_NOT_OFFERED,
    SubprotocolNotChosen = "subprotocol-not-chosen" => answer_101::SUBPROTOCOL_NOT_CHOSEN,
    ExtensionNotOffered = "extension-not-offered" => answer_101::EXTENSION_NOT_OFFERED,
    ExtensionParametersInvalid = "extension-parameters-invalid" => answer_101::EXTENSION_PARAMETERS_INVALID,
    PlainToTlsPort = "plain-to-tls-port" => tls::PLAIN_TO_TLS_PORT,
    TlsToPlainPort = "tls-to-plain-port" => tls::TLS_TO_PLAIN_PORT,
    TlsToPlainBackend = "tls-to-plain-backend" => tls::TLS_TO_PLAIN_BACKEND,
    BackendTlsRejected = "backend-tls-rejected" => tls::BACKEND_TLS_REJECTED,
    CertificateRejected = "certificate-rejected" => tls::CERTIFICATE_REJECTED,
    ClientCertificateMissing = "client-certificate-missing" => tls::CLIENT_CERTIFICATE_MISSING,
    TlsNameUnrecognized = "tls-name-unrecognized" => tls::TLS_NAME_UNRECOGNIZED,
    TlsHandshakeFailed = "tls-handshake-failed" => tls::TLS_HANDSHAKE_FAILED,
    Http2WebsocketRefused = "http2-websocket-refused" => tls::HTTP2_WEBSOCKET_REFUSED,
    Http2ConnectionHeader = "http2-connection-header" => tls::HTTP2_CONNECTION_HEADER,
    Http2ToBackend = "http2-to-backend" => forwarding::HTTP2_TO_BACKEND,
    CgiToBackend = "cgi-to-backend" => forwarding::CGI_TO_BACKEND,
    ProxyProtocolMissing = "proxy-protocol-missing" => proxy_protocol::PROXY_PROTOCOL_MISSING,
    ProxyProtocolUnexpected = "proxy-protocol-unexpected" => proxy_protocol::PROXY_PROTOCOL_UNEXPECTED,
    ProxyProtocolToBackend = "proxy-protocol-to-backend" => proxy_protocol::PROXY_PROTOCOL_TO_BACKEND,
    IdleTimeout = "idle-timeout" => session::IDLE_TIMEOUT,
    IdleTimeoutInFront = "idle-timeout-in-front" => session::IDLE_TIMEOUT_IN_FRONT,
    ConnectionVanished = "connection-vanished" => session::CONNECTION_VANISHED,
    ClosedWithError = "closed-with-error" => session::CLOSED_WITH_ERROR,
    BackendClosedWithoutClose = "backend-closed-without-close" => session::BACKEND_CLOSED_WITHOUT_CLOSE,
    BackendReset = "backend-reset" => session::BACKEND_RESET,
    ClientLeft = "client-left" => session::CLIENT_LEFT,
    ClientReset = "client-reset" => session::CLIENT_RESET,
    CutMidFrame = "cut-mid-frame" => session::CUT_MID_FRAME,
    SilentAfter101 = "silent-after-101" => session::SILENT_AFTER_101,
    ClosedRightAfter101 = "closed-right-after-101" => session::CLOSED_RIGHT_AFTER_101,
    FrameFault = "frame-fault" => session::FRAME_FAULT,
    CompressionNotNegotiated = "compression-not-negotiated" => session::COMPRESSION_NOT_NEGOTIATED,
    ClientNotReading = "client-not-reading" => session::CLIENT_NOT_READING,
    BackendNotReading = "backend-not-reading" => session::BACKEND_NOT_READING,
    ProxyClosed = "proxy-closed" => session::PROXY_CLOSED,
    ProxyRestarted = "proxy-restarted" => session::PROXY_RESTARTED,
    ProxyCrashed = "proxy-crashed" => session::PROXY_CRASHED,
    HalfClosed = "half-closed" => session::HALF_CLOSED,
    NetworkLoss = "network-loss" => session::NETWORK_LOSS,
    BackendHopNotSeen = "backend-hop-not-seen" => capture::BACKEND_HOP_NOT_SEEN,
    ClientHopNotSeen = "client-hop-not-seen" => capture::CLIENT_HOP_NOT_SEEN,
    PairingAmbiguous = "pairing-ambiguous" => capture::PAIRING_AMBIGUOUS,
    CaptureMidStream = "capture-mid-stream" => capture::CAPTURE_MID_STREAM,
    CaptureOneSided = "capture-one-sided" => capture::CAPTURE_ONE_SIDED,
    CaptureTruncated = "capture-truncated" => capture::CAPTURE_TRUNCATED,
    CaptureGap = "capture-gap" => capture::CAPTURE_GAP,
    CaptureDrops = "capture-drops" => capture::CAPTURE_DROPS,
    CaptureDuplicates = "capture-duplicates" => capture::CAPTURE_DUPLICATES,
    ClockOffset = "clock-offset" => capture::CLOCK_OFFSET,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == name)
            .ok_or(UnknownCode)
    }
}

/// No finding has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no finding has this name; `hop101 explain` lists all")]
pub struct UnknownCode;
