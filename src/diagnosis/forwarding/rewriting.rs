//! Host and path: what a proxy may change on purpose, and what a backend may refuse for it.

use super::{Forwarded, which_answered};
use crate::diagnosis::answer::{session_unknown, speaks_of_origin};
use crate::diagnosis::catalogue::SLASHES;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::story::harmless;
use crate::diagnosis::text::{path, short};
use crate::diagnosis::view::RequestView;
use crate::diagnosis::{Code, Severity};
use crate::hop::Confidence;
use crate::websocket::Key;

/// Whether `origin` names the site `host`: the comparison that backends make.
pub(in crate::diagnosis) fn origin_is_host(origin: &str, host: &str) -> bool {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    authority.trim_end_matches('/').eq_ignore_ascii_case(host)
}

pub(super) fn origin(passed: Forwarded<'_, '_>, out: &mut Vec<Draft>) {
    let (story, before, after) = (passed.story, passed.before, passed.after);
    let Some(answer) = &passed.link.child.exchange().response else {
        return;
    };
    let (Some(host), Some(sent)) = (before.fields.first("host"), after.fields.first("host")) else {
        return;
    };
    if host.eq_ignore_ascii_case(&sent) || !matches!(answer.status, 400 | 403 | 404 | 421) {
        return;
    }
    let proxy = passed.proxy();
    let backend = passed.backend();
    let origin = before.fields.first("origin");
    // A request with a fault of its own is answered 400 for that, and so is one whose refusal names what it lacks.
    let complete = after.is_whole_upgrade();
    let sound = complete
        && after.method() == "GET"
        && after.fields.first("sec-websocket-version").as_deref() == Some("13")
        && after
            .fields
            .first("sec-websocket-key")
            .is_some_and(|key| Key::of(key.as_bytes()).is_valid())
        && session_unknown(story, answer.status).is_none()
        && !out.iter().any(|draft| {
            draft.code() == Code::ExtensionsNotForwarded && draft.severity() == Severity::Error
        });
    let same_site = origin
        .as_deref()
        .is_some_and(|origin| origin_is_host(origin, &host));
    // Another site's page fails that comparison with any Host: what may let it in is a list.
    let guilty = same_site && (answer.status == 403 || (answer.status == 400 && sound));
    match origin {
        Some(origin) if guilty && !origin_is_host(&origin, &sent) => {
            let (sure, because) = if answer.status == 403 || speaks_of_origin(story) {
                (Confidence::Likely, "because")
            } else {
                (Confidence::Guess, "perhaps because")
            };
            out.push(
                passed
                    .about(Code::OriginHostMismatch)
                    .sure(sure)
                    .title(format!(
                        "{backend} answered {}: {proxy} changed Host to {}, Origin is {}",
                        answer.status,
                        short(&sent),
                        short(&origin)
                    ))
                    .headline(format!(
                        "{backend} answered {} {because} {proxy} changed Host from {} to {}, which does not match Origin {}",
                        answer.status,
                        short(&host),
                        short(&sent),
                        short(&origin)
                    )),
            );
        }
        _ if complete => out.push(
            passed
                .about(Code::HostRewritten)
                .title(format!(
                    "{proxy} changed Host from {} to {}",
                    short(&host),
                    short(&sent)
                ))
                .detail(format!(
                    "{backend} answered {}; it may choose its site or check its origin by Host.",
                    answer.status
                )),
        ),
        _ => {}
    }
}

pub(super) fn target(passed: Forwarded<'_, '_>, out: &mut Vec<Draft>) {
    let Forwarded {
        link,
        before,
        after,
        ..
    } = passed;
    let (was, is) = (path(before.target()), path(after.target()));
    let status = link.child.exchange().response.as_ref().map(|r| r.status);
    // An upgrade that arrived and is not found: the path is what is left to be wrong.
    if was == is || !after.has_both_fields() || !matches!(status, Some(404 | 200 | 405)) {
        return;
    }
    let proxy = passed.proxy();
    let backend = passed.backend();
    let mut draft = passed.about(Code::PathRewritten);
    if let Some(prefix) = doubled_slash(was, is).filter(|prefix| harmless(prefix)) {
        draft = draft
            .fix("End both the location and the proxy_pass with a slash: then one slash takes the place of the other.")
            .snippet(SLASHES)
            .location(prefix);
    } else if lost_slash(was, is) {
        draft = draft
            .fix("End the proxy_pass with a slash, as the location does: nginx replaces all that the location matched, its last slash included.")
            .snippet("# in the location that serves this path, and that ends with a slash\nproxy_pass http://{upstream}/...;   # its path ends with one too");
    }
    out.push(
        draft
            .sure(Confidence::Likely.min(link.confidence()))
            .title(format!(
                "{proxy} asked {backend} for {} instead of {}",
                short(is),
                short(was)
            ))
            .headline(format!(
                "{proxy} asked {backend} for {} instead of {}{}",
                short(is),
                short(was),
                which_answered(link.child)
            )),
    );
}

/// Whether `location /a/` and `proxy_pass http://backend/b` made `/bws` of `/a/ws`: what is left of the path follows without the
/// slash that was before it.
fn lost_slash(was: &str, is: &str) -> bool {
    let behind = was.rsplit('/').next().unwrap_or_default();
    let before = is.strip_suffix(behind).filter(|_| !behind.is_empty());
    before.is_some_and(|before| before.len() > 1 && !before.ends_with('/'))
}

/// What a location took away of a path, with the slash behind it, where `location /app` and `proxy_pass http://backend/` made
/// `//ws` of `/app/ws`: the slash of proxy_pass took the place of a prefix without one.
fn doubled_slash<'a>(was: &'a str, is: &str) -> Option<&'a str> {
    let rest = is.strip_prefix("//")?;
    let prefix = was.strip_suffix(rest)?;
    (prefix.len() > 1 && prefix.ends_with('/') && !prefix.ends_with("//")).then_some(prefix)
}
