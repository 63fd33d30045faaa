//! What a refused request says of its origin, and so what the refusal may be for.

use crate::diagnosis::forwarding::origin_is_host;
use crate::diagnosis::kept::without_port;
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
    /// It does, and names https, as this field does that a proxy added: it counts for whoever trusts it.
    SameIfTrusted(&'static str),
    /// It names another site than the Host that the client asked for.
    Other { origin: String, host: String },
    /// It names this Host with another port, or the only one of the two.
    OtherPort { origin: String, host: String },
}

impl Origin {
    /// Of a request that is whole on the first hop and on the last one.
    pub(super) fn of(story: &Story<'_>) -> Option<Self> {
        let (asked, got) = (fields(story.outer)?, fields(story.inner)?);
        let Some(origin) = got.first("origin") else {
            return (asked.count("origin") == 0).then_some(Self::Missing);
        };
        if origin_is_host(&origin, &got.first("host")?) {
            return Some(match scheme(story) {
                Scheme::Same => Self::Same,
                Scheme::Told(field) => Self::SameIfTrusted(field),
                Scheme::Untold => Self::SameButHttps,
            });
        }
        let host = asked.first("host")?;
        Self::other(&origin, &host)
    }

    /// Unless it names this Host.
    fn other(origin: &str, host: &str) -> Option<Self> {
        if origin_is_host(origin, host) {
            return None;
        }
        let same_name = origin.contains("://")
            && origin_is_host(
                without_port(origin.trim_end_matches('/')),
                without_port(host),
            );
        let (origin, host) = (short(origin), short(host));
        Some(if same_name {
            Self::OtherPort { origin, host }
        } else {
            Self::Other { origin, host }
        })
    }

    /// What the client's request alone tells, where it is not known who refused it; `None` if it names the Host that it asked
    /// for, which a proxy may have changed.
    pub(super) fn asked(story: &Story<'_>) -> Option<Self> {
        let asked = fields(story.outer)?;
        let Some(origin) = asked.first("origin") else {
            return Some(Self::Missing);
        };
        let host = asked.first("host")?;
        Self::other(&origin, &host)
    }

    /// What that tells of a 403.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Missing => "The request has no Origin, as those of programs: some applications refuse that as well.".to_owned(),
            Self::Same => "Origin names the Host that it was asked with: a comparison of the two is not the reason.".to_owned(),
            Self::SameButHttps => "Origin names the Host that it was asked with.".to_owned(),
            Self::SameIfTrusted(field) => format!(
                "Origin names the Host that it was asked with, and https as {field} does: a server that compares the scheme too takes it for another site's unless it trusts that field."
            ),
            Self::Other { origin, host } => format!(
                "Origin is {origin} and the client asked for Host {host}: only a list of origins lets another site in."
            ),
            Self::OtherPort { origin, host } => {
                let sent = if without_port(host) == host {
                    "`Host $host`"
                } else {
                    "`Host $host:$server_port`"
                };
                format!(
                    "Origin is {origin} and the client asked for Host {host}: they differ in the port alone, as they do behind a proxy in front that sends {sent}, and on a page of another port."
                )
            }
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
            Self::SameIfTrusted(_) => {
                "Compare the path with what it serves, and read its log: look at which proxy and which field it trusts for the client's scheme, or add the public origin to its list; then for what it knows a user by (cookie, token), and at its access rules."
            }
            Self::Other { .. } => "Add this origin to the application's list, and read its log.",
            Self::OtherPort { .. } => {
                "Let a proxy in front pass Host on as it came (`Host $http_host`), or add this origin to the application's list; and read its log."
            }
        }
    }

    /// What to do about a 403 of which it is not known who answered it, application or proxy.
    pub(super) const fn fix_of_unknown(&self) -> &'static str {
        match self {
            Self::Other { .. } | Self::OtherPort { .. } => {
                "Add this origin to the list of whoever checks it, or correct the access rule."
            }
            _ => {
                "If origins are checked, let the client send one that is allowed; else correct the access rule."
            }
        }
    }
}

fn fields(hop: &Hop) -> Option<&Fields> {
    Some(&hop.exchange().request.as_ref()?.fields)
}

/// What a server that compares an origin's scheme too finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Its own: the origin is no https one, or the server was asked over TLS.
    Same,
    /// Another than its own, unless it trusts this field, which says that the client used https.
    Told(&'static str),
    /// Another than its own.
    Untold,
}

/// Whether the text of the answer names the origin as the reason.
pub(in crate::diagnosis) fn speaks_of_origin(story: &Story<'_>) -> bool {
    let hops = [story.inner, story.outer].into_iter();
    let mut said = hops.filter_map(|hop| hop.exchange().said());
    said.any(|said| contains(said.as_bytes(), "origin"))
}

/// The field of the last request that says that the client used https.
pub(super) fn told_https(story: &Story<'_>) -> Option<&'static str> {
    const TOLD_BY: [(&str, &str); 6] = [
        ("x-forwarded-proto", "X-Forwarded-Proto"),
        ("x-forwarded-scheme", "X-Forwarded-Scheme"),
        ("x-forwarded-protocol", "X-Forwarded-Protocol"),
        ("x-forwarded-ssl", "X-Forwarded-Ssl"),
        ("front-end-https", "Front-End-Https"),
        ("forwarded", "Forwarded"),
    ];
    let fields = fields(story.inner)?;
    let told = TOLD_BY.iter().find(|(name, _)| {
        let said = fields.combined(name).unwrap_or_default();
        ["https", "wss", "on"]
            .iter()
            .any(|word| contains(said.as_bytes(), word))
    });
    told.map(|(_, field)| *field)
}

fn scheme(story: &Story<'_>) -> Scheme {
    let Some(fields) = fields(story.inner) else {
        return Scheme::Same;
    };
    let origin = fields.first("origin").unwrap_or_default();
    let is_https = origin
        .get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if !is_https || story.inner.record.tls.is_some() {
        return Scheme::Same;
    }
    told_https(story).map_or(Scheme::Untold, Scheme::Told)
}

/// Some servers compare the scheme of an origin too, and refuse one of https where they know of none.
pub(super) fn untold_https(story: &Story<'_>, status: u16) -> Option<String> {
    let fields = fields(story.inner)?;
    let (origin, host) = (fields.first("origin")?, fields.first("host")?);
    let same = origin_is_host(&origin, &host);
    (matches!(status, 400 | 403 | 404) && same && scheme(story) == Scheme::Untold).then(|| {
        format!(
            "Origin is {}, and nothing else in the request says https: a server that compares the scheme too takes it for another site's (Spring answers 403 then, Flask-SocketIO 400, Rails' Action Cable 404).",
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
