//! What a refused request says of its origin, and so what the refusal may be for.

use crate::diagnosis::forwarding::origin_is_host;
use crate::diagnosis::story::Story;
use crate::diagnosis::text::{contains, short};
use crate::hop::Hop;
use crate::http::Fields;

/// What a refused request says of its origin. One that only the changed Host makes another site's is `origin-host-mismatch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// There is none.
    Missing,
    /// It names the Host that the backend was asked with.
    Same,
    /// It does, and names https, which nothing else in the request does.
    SameButHttps,
    /// It names another site than the Host that the client asked for.
    Other { origin: String, host: String },
}

impl Origin {
    /// Of a request that is whole on the first hop and on the last one.
    pub(super) fn of(story: &Story<'_>) -> Option<Self> {
        let (asked, got) = (fields(story.outer)?, fields(story.inner)?);
        let Some(origin) = got.first("origin") else {
            return (asked.count("origin") == 0).then_some(Self::Missing);
        };
        if origin_is_host(&origin, &got.first("host")?) {
            return Some(if says_https(story) {
                Self::Same
            } else {
                Self::SameButHttps
            });
        }
        let host = asked.first("host")?;
        (!origin_is_host(&origin, &host)).then(|| Self::Other {
            origin: short(&origin),
            host: short(&host),
        })
    }

    /// What that tells of a 403.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Missing => "The request has no Origin, as those of programs: some applications refuse that as well.".to_owned(),
            Self::Same => "Origin names the Host that it was asked with: a comparison of the two is not the reason.".to_owned(),
            Self::SameButHttps => "Origin names the Host that it was asked with.".to_owned(),
            Self::Other { origin, host } => format!(
                "Origin is {origin} and the client asked for Host {host}: only a list of origins lets another site in."
            ),
        }
    }

    /// What to do about a 403.
    pub(super) const fn fix(&self) -> &'static str {
        match self {
            Self::Missing => {
                "Compare the path with what it serves, and read its log. If it checks origins, let the client send one that it allows."
            }
            Self::Same | Self::SameButHttps => {
                "Compare the path with what it serves, and read its log: look for what it knows a user by (cookie, token), and at its access rules."
            }
            Self::Other { .. } => "Add this origin to the application's list, and read its log.",
        }
    }
}

fn fields(hop: &Hop) -> Option<&Fields> {
    Some(&hop.exchange().request.as_ref()?.fields)
}

/// Whether a server that compares an origin's scheme too finds its own to be the same: the origin is no https one, or the server
/// was asked over TLS, or told that the client was.
fn says_https(story: &Story<'_>) -> bool {
    const TOLD_BY: [&str; 6] = [
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-protocol",
        "x-forwarded-ssl",
        "front-end-https",
        "forwarded",
    ];
    let Some(fields) = fields(story.inner) else {
        return true;
    };
    let origin = fields.first("origin").unwrap_or_default();
    let is_https = origin
        .get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    !is_https
        || story.inner.record.tls.is_some()
        || TOLD_BY.iter().any(|name| {
            let said = fields.combined(name).unwrap_or_default();
            ["https", "wss", "on"]
                .iter()
                .any(|word| contains(said.as_bytes(), word))
        })
}

/// Some servers compare the scheme of an origin too, and refuse one of https where they know of none.
pub(super) fn untold_https(story: &Story<'_>, status: u16) -> Option<String> {
    let fields = fields(story.inner)?;
    let (origin, host) = (fields.first("origin")?, fields.first("host")?);
    let same = origin_is_host(&origin, &host);
    (matches!(status, 403 | 404) && same && !says_https(story)).then(|| {
        format!(
            "Origin is {}, and nothing else in the request says https: a server that compares the scheme too takes it for another site's (Spring answers 403 then, Rails' Action Cable 404).",
            short(&origin)
        )
    })
}

/// Some servers refuse another origin with 404, as if there was nothing.
pub(super) fn other_origin(story: &Story<'_>, status: u16) -> Option<String> {
    let fields = &story.inner.exchange().request.as_ref()?.fields;
    let (origin, host) = (fields.first("origin")?, fields.first("host")?);
    let names_site = origin.contains("://");
    (status == 404 && names_site && !origin_is_host(&origin, &host)).then(|| {
        format!(
            "Origin is {} and Host is {}: some servers, such as Rails' Action Cable, answer 404 to an origin that they do not allow.",
            short(&origin),
            short(&host)
        )
    })
}
