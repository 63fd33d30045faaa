//! The stable names of findings.

/// Declares the codes once: the variant, the name in reports, and the list of all.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The stable name of a finding, as CONTRACT and `hop101 explain` use it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)*
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
        }
    };
}

codes! {
    UpgradeNotForwarded = "upgrade-not-forwarded",
    ConnectionNotForwarded = "connection-not-forwarded",
    Http10ToBackend = "http10-to-backend",
    UpgradeAltered = "upgrade-altered",
    ConnectionUpgradeForced = "connection-upgrade-forced",
    UpgradeAdded = "upgrade-added",
    UpgradeMissing = "upgrade-missing",
    ConnectionMissing = "connection-missing",
    OriginHostMismatch = "origin-host-mismatch",
    HostRewritten = "host-rewritten",
    KeyNotForwarded = "key-not-forwarded",
    KeyRewritten = "key-rewritten",
    VersionNotForwarded = "version-not-forwarded",
    SubprotocolNotForwarded = "subprotocol-not-forwarded",
    ExtensionsNotForwarded = "extensions-not-forwarded",
    AcceptNotReturned = "accept-not-returned",
    UpgradeNotReturned = "upgrade-not-returned",
    StatusChanged = "status-changed",
    PathRewritten = "path-rewritten",
    InterimResponse = "interim-response",
    BadRequest = "bad-request",
    Unauthorized = "unauthorized",
    Forbidden = "forbidden",
    NotFound = "not-found",
    MethodNotAllowed = "method-not-allowed",
    UpgradeRequired = "upgrade-required",
    TooManyRequests = "too-many-requests",
    ServerError = "server-error",
    BadGateway = "bad-gateway",
    ServiceUnavailable = "service-unavailable",
    GatewayTimeout = "gateway-timeout",
    Redirected = "redirected",
    AnsweredAsPage = "answered-as-page",
    RefusedOtherwise = "refused-otherwise",
    SessionAffinityLost = "session-affinity-lost",
    BackendNotContacted = "backend-not-contacted",
    BackendRefused = "backend-refused",
    NoLiveBackend = "no-live-backend",
    BackendConnectTimeout = "backend-connect-timeout",
    BackendUnreachable = "backend-unreachable",
    BackendClosedEarly = "backend-closed-early",
    BackendResetEarly = "backend-reset-early",
    BackendRetried = "backend-retried",
    BackendTimeout = "backend-timeout",
    BackendHeaderTooBig = "backend-header-too-big",
    BackendInvalidResponse = "backend-invalid-response",
    ClientGaveUp = "client-gave-up",
    RequestIncomplete = "request-incomplete",
    RequestHeaderTooBig = "request-header-too-big",
    ProxyOverloaded = "proxy-overloaded",
    NoAnswer = "no-answer",
    ConnectRefused = "connect-refused",
    ConnectUnanswered = "connect-unanswered",
    VersionMissing = "version-missing",
    VersionUnsupported = "version-unsupported",
    KeyMissing = "key-missing",
    KeyInvalid = "key-invalid",
    HeaderDuplicated = "header-duplicated",
    HostMissing = "host-missing",
    OfferInvalid = "offer-invalid",
    MethodNotGet = "method-not-get",
    Http10Request = "http10-request",
    TokenCaseRejected = "token-case-rejected",
    ProbeArtefact = "probe-artefact",
    AcceptMismatch = "accept-mismatch",
    AcceptMissing = "accept-missing",
    AnswerUpgradeMissing = "answer-upgrade-missing",
    AnswerUpgradeWrong = "answer-upgrade-wrong",
    AnswerConnectionMissing = "answer-connection-missing",
    SubprotocolNotOffered = "subprotocol-not-offered",
    SubprotocolNotChosen = "subprotocol-not-chosen",
    ExtensionNotOffered = "extension-not-offered",
    ExtensionParametersInvalid = "extension-parameters-invalid",
    PlainToTlsPort = "plain-to-tls-port",
    TlsToPlainPort = "tls-to-plain-port",
    TlsToPlainBackend = "tls-to-plain-backend",
    BackendTlsRejected = "backend-tls-rejected",
    CertificateRejected = "certificate-rejected",
    ClientCertificateMissing = "client-certificate-missing",
    TlsNameUnrecognized = "tls-name-unrecognized",
    TlsHandshakeFailed = "tls-handshake-failed",
    Http2WebsocketRefused = "http2-websocket-refused",
    Http2ConnectionHeader = "http2-connection-header",
    Http2ToBackend = "http2-to-backend",
    CgiToBackend = "cgi-to-backend",
    ProxyProtocolMissing = "proxy-protocol-missing",
    ProxyProtocolUnexpected = "proxy-protocol-unexpected",
    ProxyProtocolToBackend = "proxy-protocol-to-backend",
    IdleTimeout = "idle-timeout",
    IdleTimeoutInFront = "idle-timeout-in-front",
    ConnectionVanished = "connection-vanished",
    ClosedWithError = "closed-with-error",
    BackendClosedWithoutClose = "backend-closed-without-close",
    BackendReset = "backend-reset",
    ClientLeft = "client-left",
    ClientReset = "client-reset",
    CutMidFrame = "cut-mid-frame",
    SilentAfter101 = "silent-after-101",
    ClosedRightAfter101 = "closed-right-after-101",
    FrameFault = "frame-fault",
    CompressionNotNegotiated = "compression-not-negotiated",
    ClientNotReading = "client-not-reading",
    BackendNotReading = "backend-not-reading",
    ProxyClosed = "proxy-closed",
    ProxyRestarted = "proxy-restarted",
    ProxyCrashed = "proxy-crashed",
    HalfClosed = "half-closed",
    NetworkLoss = "network-loss",
    BackendHopNotSeen = "backend-hop-not-seen",
    ClientHopNotSeen = "client-hop-not-seen",
    PairingAmbiguous = "pairing-ambiguous",
    CaptureMidStream = "capture-mid-stream",
    CaptureOneSided = "capture-one-sided",
    CaptureTruncated = "capture-truncated",
    CaptureGap = "capture-gap",
    CaptureDrops = "capture-drops",
    CaptureDuplicates = "capture-duplicates",
    ClockOffset = "clock-offset",
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
