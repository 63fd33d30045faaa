//! What a refusal means where it is known who answered: the cause, the fix, the directive and the log line then differ.
//!
//! The entry of a code speaks of both; a finding about one of them must not send its reader to the other.

use super::answer::{EXEMPT, LIMIT, SAME_PATH};
use super::forwarding::UPGRADE_SNIPPET;
use super::{PASSED_ON, Told};
use crate::diagnosis::{AnsweredBy, Code};

/// The texts for a challenge that the client met, whoever made it.
pub(in crate::diagnosis) const CHALLENGE_MET: Told = Told {
    why: "Schemes that authenticate a connection (Negotiate, NTLM) begin with a refusal.",
    fix: "Nothing to change: the handshake that follows on the same connection tells how it came out.",
    template: "",
    log: "nothing in the error log; the access log has the status",
};

/// The texts for a 503 of a balancer that is not nginx.
pub(in crate::diagnosis) const BALANCER: Told = Told {
    why: "A balancer says so when none of its servers is up, or none takes the connection.",
    fix: "Read its log and the state of its health checks, and capture between it and its servers.",
    template: "",
    log: "nothing: it is not nginx's answer",
};

/// The texts for a refusal by this party; `None` where the entry's own fit.
pub(in crate::diagnosis) const fn told_by(code: Code, by: AnsweredBy) -> Option<&'static Told> {
    match by {
        AnsweredBy::Backend => by_backend(code),
        AnsweredBy::Proxy => by_proxy(code),
        AnsweredBy::Unknown => None,
    }
}

const fn by_backend(code: Code) -> Option<&'static Told> {
    Some(match code {
        Code::BadRequest => &Told {
            why: "A path at which the application serves no WebSocket, a request that breaks a rule of RFC 6455, or an application that does not trust the proxy: X-Forwarded-*, Host, Origin.",
            fix: "Read the answer's body and the application's log. Compare the path with what it serves, then what it expects of the proxy: its list of trusted proxies and allowed hosts, X-Forwarded-Proto and Host as it expects them.",
            template: "# beside the other proxy_set_header lines of this path\nproxy_set_header Host $http_host;\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Proto $scheme;",
            log: PASSED_ON,
        },
        Code::Unauthorized => &Told {
            why: "The application wants a session or a token that the WebSocket request did not carry, or that it does not accept.",
            fix: "Give the WebSocket request credentials that a browser can send: a cookie of the same site, a token in the address, or a subprotocol. nginx passes Cookie and Authorization on.",
            template: "",
            log: PASSED_ON,
        },
        Code::Forbidden => &Told {
            why: "The backend checks Origin against Host or a list of its own, distrusts the proxy, its access rules refuse, or it serves no WebSocket at this path.",
            fix: "Pass Host on unchanged, add the public origin to the application's list, and read its log.",
            template: "# beside the other proxy_set_header lines of this path\nproxy_set_header Host $http_host;",
            log: PASSED_ON,
        },
        Code::NotFound => &Told {
            why: "The application serves no WebSocket at the path that it was asked for, or did not see an upgrade.",
            fix: "Compare the path in the backend's request with what the application serves; a proxy_pass with a path of its own changes it.",
            template: "",
            log: PASSED_ON,
        },
        Code::MethodNotAllowed => &Told {
            why: "The application does not take this method at this path, or did not see an upgrade.",
            fix: "Compare path and method with what the application serves.",
            template: "",
            log: PASSED_ON,
        },
        Code::UpgradeRequired => &Told {
            why: "No proxy that is seen here lost anything: the request reached it complete. If it is a proxy itself, the upgrade was lost there; else it wants another version, or serves the WebSocket elsewhere.",
            fix: "Capture on that host as well. A proxy there has to forward Upgrade and Connection, as this one does.",
            template: "",
            log: PASSED_ON,
        },
        Code::TooManyRequests => &Told {
            why: "A limit of the application. If it sees no client address, all clients count as one: the proxy.",
            fix: "Raise the application's limit, tell it who the client is, and let clients wait longer between attempts.",
            template: "# beside the other proxy_set_header lines of this path\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            log: PASSED_ON,
        },
        Code::ServiceUnavailable => &Told {
            why: "The application is overloaded, starting, stopping, or in maintenance.",
            fix: "Read the backend's log at that time; give it more capacity.",
            template: "",
            log: PASSED_ON,
        },
        Code::ServerError => &Told {
            why: "An error in the application.",
            fix: "Read the backend's log at the time of the frame given.",
            template: "",
            log: PASSED_ON,
        },
        Code::BadGateway => &Told {
            why: "The backend is a gateway itself: what stands behind it refused, closed early, reset, or sent what is no HTTP.",
            fix: "Read the log of that gateway, and capture between it and what stands behind it.",
            template: "",
            log: PASSED_ON,
        },
        Code::GatewayTimeout => &Told {
            why: "The backend is a gateway itself: what stands behind it did not answer in time.",
            fix: "Read the log of that gateway, and capture between it and what stands behind it.",
            template: "",
            log: PASSED_ON,
        },
        Code::Redirected => &Told {
            why: "A login page, a canonical host, a trailing slash, or an application that believes it was asked over http.",
            fix: "Open the final address with ws or wss; tell the application the scheme that the client used.",
            template: "",
            log: PASSED_ON,
        },
        Code::AnsweredAsPage => &Told {
            why: "The path is not the WebSocket's, or the application ignores upgrades.",
            fix: "Check the path, and that the WebSocket server listens where proxy_pass points.",
            template: "",
            log: PASSED_ON,
        },
        _ => return None,
    })
}

const fn by_proxy(code: Code) -> Option<&'static Told> {
    Some(match code {
        Code::BadRequest => &Told {
            why: "nginx itself refuses requests that are malformed: a header line that it cannot read, a Host that is missing or there twice; or `return 400` in its configuration says so.",
            fix: "Read nginx's error log at level info, which names the reason; then repair the client, or what stands in front of nginx and changes the request.",
            template: "error_log /var/log/nginx/error.log info;",
            log: "[info] client sent ... while reading client request headers: the reason stands there",
        },
        Code::Unauthorized => &Told {
            why: "auth_basic, auth_request or the like covers the WebSocket path.",
            fix: "Give the WebSocket request credentials that a browser can send, or exempt the path in nginx and authenticate in the application.",
            template: EXEMPT,
            log: "[info] no user/password was provided for basic authentication; [error] user \"...\": password mismatch, or user \"...\" was not found in \"...\" (auth_basic); nothing for auth_request",
        },
        Code::Forbidden => &Told {
            why: "deny, a WAF rule, a directory without an index, or an auth_request that refuses.",
            fix: "Correct the access rule of the location that serves this path, or what the auth service decides.",
            template: "# in the location that serves this path\nallow 192.0.2.0/24;   # those who may\ndeny all;",
            log: "[error] access forbidden by rule, or directory index of \"...\" is forbidden; nothing for auth_request",
        },
        Code::NotFound => &Told {
            why: "No location with proxy_pass matches the path: nginx looks for a file, or `return 404` says so.",
            fix: "Compare the path with the locations; give it one that passes it to the backend.",
            template: UPGRADE_SNIPPET,
            log: "[error] open() \"...\" failed (2: No such file or directory), if nginx looked for a file",
        },
        Code::MethodNotAllowed => &Told {
            why: "A location that serves files answers instead of the backend: nginx takes only GET and HEAD there.",
            fix: "Use GET, and give the path a location that passes it to the backend.",
            template: UPGRADE_SNIPPET,
            log: "nothing is logged: the access log has the status",
        },
        Code::TooManyRequests => &Told {
            why: "limit_req or limit_conn with status 429. An open tunnel counts as one connection for limit_conn all the time.",
            fix: "Raise the limit for the WebSocket path, and let clients wait longer between attempts.",
            template: LIMIT,
            log: "[error] limiting connections by zone \"...\", or [error] limiting requests, excess: ... by zone \"...\"",
        },
        Code::ServiceUnavailable => &Told {
            why: "limit_conn and limit_req refuse with 503 by default; balancers say so when no backend is healthy.",
            fix: "Raise the limit or the capacity. Remember that every open tunnel counts for limit_conn.",
            template: LIMIT,
            log: "[error] limiting connections by zone \"...\", or [error] limiting requests, excess: ... by zone \"...\"",
        },
        Code::ServerError => &Told {
            why: "An error in nginx's configuration or in what it asks first: a rewrite loop, an auth service that answers neither 2xx nor 401 nor 403.",
            fix: "Read nginx's error log at the time of the frame given.",
            template: "",
            log: "[error] or [alert] with the reason, such as auth request unexpected status: ... while sending to client",
        },
        Code::Redirected => &Told {
            why: "`return 301 https://...`, a canonical host, or a trailing slash: `location /ws/` and a request for `/ws` is nginx's own 301.",
            fix: "Open the final address with ws or wss; in nginx let the location match the path that clients use.",
            template: SAME_PATH,
            log: "nothing is logged: the access log has the status",
        },
        Code::AnsweredAsPage => &Told {
            why: "A location that serves files or a page (`try_files ... /index.html`, `return 200`) answers for the path.",
            fix: "Give the path a location that passes it to the WebSocket backend.",
            template: UPGRADE_SNIPPET,
            log: "nothing is logged: the access log has the status",
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of a case must be as complete as those of its entry, and speak of nobody but who answered.
    #[test]
    fn what_one_party_answered_is_not_blamed_on_the_other() {
        let mut told = 0;
        for &code in Code::ALL {
            for by in [AnsweredBy::Backend, AnsweredBy::Proxy] {
                let Some(texts) = told_by(code, by) else {
                    continue;
                };
                told += 1;
                for text in [texts.why, texts.fix, texts.log] {
                    assert!(!text.is_empty() && text.trim() == text, "{code}: {text:?}");
                }
                let all = [texts.why, texts.fix, texts.template, texts.log].concat();
                let alien: &[&str] = match by {
                    AnsweredBy::Backend => {
                        &["limit_", "auth_basic", "auth_request", "[error]", "[info]"]
                    }
                    _ => &["The application", "Read the backend's log", "X-Forwarded"],
                };
                for word in alien {
                    assert!(!all.contains(word), "{code} by {by:?}: {word}");
                }
                assert_eq!(
                    texts.template.matches('{').count(),
                    texts.template.matches('}').count()
                );
            }
        }
        assert!(told > 20);
        assert!(told_by(Code::Forbidden, AnsweredBy::Unknown).is_none());
    }
}
