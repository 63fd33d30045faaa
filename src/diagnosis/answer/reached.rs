//! What reached a backend that refused, and what did not: whether anything is left for the proxy to repair.

use crate::diagnosis::story::Story;
use crate::diagnosis::text::{list, path, short};
use crate::diagnosis::view::RequestView;
use crate::http::RequestHead;

/// What applications know a user by, as it is spelled.
const CREDENTIALS: [&str; 2] = ["Authorization", "Cookie"];

/// Web servers that take an upgrade for an ordinary request, by what they say of themselves: those that speak WSGI (PEP 3333),
/// and uvicorn without a library for WebSocket, which otherwise answers 403 to what it does not serve. The name, why, and what
/// to do.
const ORDINARY: &[(&str, &str, &str)] = &[
    (
        "gunicorn",
        "gunicorn speaks WSGI, through which an ASGI application (Django Channels, FastAPI) serves its pages and no WebSocket.",
        "If the application is an ASGI one, let gunicorn run it with uvicorn's worker, or use uvicorn, daphne or hypercorn.",
    ),
    (
        "WSGIServer",
        "through WSGI an ASGI application (Django Channels) serves its pages and no WebSocket.",
        "If the application is an ASGI one, put `daphne` first in INSTALLED_APPS (Django's runserver), or use uvicorn, daphne or hypercorn.",
    ),
    (
        "waitress",
        "waitress speaks WSGI, through which an ASGI application serves its pages and no WebSocket.",
        "If the application is an ASGI one, run it with uvicorn, daphne or hypercorn.",
    ),
    (
        "uvicorn",
        "uvicorn takes an upgrade for an ordinary request where no library for WebSocket is installed (its log: `No supported WebSocket library detected`).",
        "Install what uvicorn needs for WebSocket: `pip install 'uvicorn[standard]'`.",
    ),
];

/// Whether the backend got a complete upgrade request for the path that the client asked for: then no proxy is at fault
/// for the path.
pub(super) fn is_unchanged(story: &Story<'_>) -> bool {
    let Some(got) = &story.inner.exchange().request else {
        return false;
    };
    let mut links = story.links().peekable();
    let same = links.peek().is_some()
        && links.all(|link| {
            link.requests()
                .is_some_and(|(before, after)| path(before.target()) == path(after.target()))
        });
    same && got.is_whole_upgrade()
}

/// What to do where nothing is wrong with the request: the path may have a part that the application does not know.
pub(super) fn fix_of_path(story: &Story<'_>) -> Option<String> {
    if !is_unchanged(story) {
        return None;
    }
    if let Some((_, _, fix)) = ordinary(story, 404) {
        return Some(format!(
            "{fix} Else compare the path with what the application serves, to the last slash: it arrived as the client asked for it."
        ));
    }
    let target = story.inner.exchange().request.as_ref()?.target();
    let first = path(target).split('/').nth(1).unwrap_or_default();
    let arrived = "Compare the path with what the application serves, to the last slash: the client asked for this one, and it arrived unchanged.";
    let has_prefix = first.len() + 2 < path(target).len();
    Some(if has_prefix {
        let prefix = short(first);
        format!(
            "{arrived} If the application does not know /{prefix}/, either end both the location and proxy_pass with a slash, which takes it away, or give the application its base path."
        )
    } else {
        arrived.to_owned()
    })
}

/// What a web server says of itself that took the upgrade for an ordinary request.
pub(super) fn taken_for_ordinary(story: &Story<'_>, status: u16) -> Option<String> {
    let (server, why, _) = ordinary(story, status)?;
    Some(format!("It says `Server: {server}`: {why}"))
}

fn ordinary(story: &Story<'_>, status: u16) -> Option<(String, &'static str, &'static str)> {
    let got = story.inner.exchange().request.as_ref()?;
    if !matches!(status, 200 | 404 | 405) || !got.is_whole_upgrade() {
        return None;
    }
    let answer = story.inner.exchange().response.as_ref()?;
    let server = answer.fields.first("server")?;
    // gunicorn's own worker for ASGI names itself `gunicorn/asgi`.
    let asgi = server.to_ascii_lowercase().contains("asgi");
    let mut known = ORDINARY.iter();
    let &(_, why, fix) = known.find(|(name, ..)| server.starts_with(name) && !asgi)?;
    Some((short(&server), why, fix))
}

/// Credentials that the client sent and a proxy did not pass on.
pub(super) fn lost_credentials(story: &Story<'_>) -> Option<String> {
    let sent = |head: &RequestHead, name: &str| head.fields.count(name) > 0;
    let lost = |name: &str| {
        let mut forwarded = story.forwarded();
        forwarded.any(|(before, after)| sent(before, name) && !sent(after, name))
    };
    let names = CREDENTIALS.iter().filter(|name| lost(name));
    let names: Vec<String> = names.map(|&name| name.to_owned()).collect();
    (!names.is_empty()).then(|| list(&names))
}
