//! Connection to exchange: the heads of HTTP/1 requests and answers, bodies skipped (RFC 9112).
//!
//! ```text
//!   Chunk, Gap, end        +--------------+   Request, Interim, Response,
//!   of both directions --> | Conversation | --> Body, PartialHead, NotHttp
//!   (probe: is it HTTP?)   +--------------+   Switched: the rest belongs to the next protocol
//! ```
//!
//! A head is complete or it is a `PartialHead` that says why: a field that may lie in a hole is never "missing".
//! Memory per connection is bounded: one head of `MAX_HEAD` per direction, one body excerpt, a queue of requests
//! without answers, and the client's bytes behind a request that asked to switch.
mod answers;
mod body;
mod cgi;
mod conversation;
mod event;
mod gather;
mod head;
mod held;
mod parse;
mod probe;
mod proxy;
mod requests;
mod said;
#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;

pub use cgi::{AnsweredIn, CGI_REQUEST_MAX, Cgi, CgiFound, CgiReader, CgiRequest};
pub use conversation::Conversation;
pub use event::{HttpEvent, PartialWhy};
pub use head::{Fields, HeadFault, RequestHead, ResponseHead, Span};
pub(crate) use head::{has_item, is_named, version};
pub use held::{Handover, Held};
pub(crate) use probe::is_token;
pub use probe::{PROBE_MAX, Probe, probe};
pub use proxy::{ProxyHeader, proxy_header};
pub use said::said;

/// The largest head we read: nginx accepts up to 4 x 8 KiB by default (`large_client_header_buffers`), servers
/// seldom more than 64 KiB. Longer ones are reported as a limit.
pub const MAX_HEAD: usize = 64 * 1024;

/// How much of an answer's body is kept: enough for the error pages of nginx and of frameworks.
pub const BODY_EXCERPT: usize = 1024;

/// How much is kept of bytes that are no HTTP: enough to name the protocol.
pub const RAW_EXCERPT: usize = 64;
