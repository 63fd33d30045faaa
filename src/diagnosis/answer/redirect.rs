//! An answer that sends the client elsewhere: where to, and what to do about it.

use super::origin::told_https;
use crate::diagnosis::AnsweredBy;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::story::Story;
use crate::diagnosis::text::{self, contains};
use crate::diagnosis::view::HopView;

/// What tells the scheme of the client to an application, or to nginx behind a balancer.
pub(super) const TOLD_HTTPS: &str = "\
# where TLS ends, beside the other proxy_set_header lines of this path
proxy_set_header X-Forwarded-Proto $scheme;";

/// Where a redirect leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirect {
    /// To the same path with a slash behind it.
    Slash,
    /// To the same path over TLS.
    Https,
    Login,
    Elsewhere,
}

impl Redirect {
    /// Which one it is, by its Location.
    pub(super) fn of(story: &Story<'_>, location: &str) -> Self {
        let asked = story.path();
        let (scheme, rest) = location.split_once("://").unwrap_or(("", location));
        let path = if scheme.is_empty() {
            rest
        } else {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        };
        let path = text::path(path);
        if path.strip_suffix('/') == Some(asked.as_str()) {
            Self::Slash
        } else if scheme.eq_ignore_ascii_case("https") && path == asked {
            Self::Https
        } else if ["login", "signin", "auth", "oauth", "sso"]
            .iter()
            .any(|word| contains(path.as_bytes(), word))
        {
            Self::Login
        } else {
            Self::Elsewhere
        }
    }

    /// What it only does.
    pub(super) fn told(self, story: &Story<'_>, by: AnsweredBy) -> String {
        let used = used_tls(story) || told_https(story).is_some();
        match self {
            Self::Slash => {
                "It only adds a slash: the location ends in a slash and the request does not."
                    .to_owned()
            }
            Self::Https if by == AnsweredBy::Backend && used => {
                // A client inside TLS that nobody opened is joined by times and lengths.
                let sure = story.sealed_front().is_none();
                let used = if sure { "used" } else { "seems to have used" };
                format!("It only changes to https, which the client {used} already.")
            }
            Self::Https => "It only changes to https: open the address with wss.".to_owned(),
            Self::Login => "It leads to a login.".to_owned(),
            Self::Elsewhere => String::new(),
        }
    }

    /// A finding with the advice that helps.
    pub(super) fn advised(self, draft: Draft, story: &Story<'_>, by: AnsweredBy) -> Draft {
        match self {
            Self::Slash => draft,
            Self::Https => advised_of_https(draft, story, by),
            Self::Login => draft
                .fix("Let the client sign in first and send with the WebSocket request what it got: a cookie of the same site, or a token.")
                .snippet(""),
            Self::Elsewhere => draft
                .fix("Open the final address, with ws or wss.")
                .snippet(""),
        }
    }
}

/// Whether the client is seen to use TLS, opened or not, in front of another hop.
fn used_tls(story: &Story<'_>) -> bool {
    let opened = story.outer.record.tls.is_some() && story.inner_hops().next().is_some();
    story.sealed_front().is_some() || opened
}

/// The advice on a redirect that only changes to https: who sends it may not have been told that the client used that.
fn advised_of_https(draft: Draft, story: &Story<'_>, by: AnsweredBy) -> Draft {
    let by_backend = by == AnsweredBy::Backend;
    if by_backend && let Some(field) = told_https(story) {
        return draft
            .fix(format!("{field} says https already: let the application trust that field from this proxy (Django: SECURE_PROXY_SSL_HEADER)."))
            .snippet("");
    }
    if by_backend && used_tls(story) {
        return draft
            .fix("Tell the application that the client used https, and let it trust the proxy (Django: SECURE_PROXY_SSL_HEADER). A client that did not has to open the address with wss.")
            .snippet(TOLD_HTTPS);
    }
    draft
        .fix("Open the address with wss. If the client did, and TLS ends before this hop: tell who redirects that it was https.")
        .snippet(if story.outer.has_device_in_front() {
            TOLD_HTTPS
        } else {
            ""
        })
}
