//! Connection to exchange: the heads of HTTP/1 requests and answers, bodies skipped (RFC 9112).
mod event;
mod head;

pub use event::{HttpEvent, PartialWhy};
pub use head::{Fields, HeadFault, RequestHead, ResponseHead, Span};

/// The largest head we read: nginx accepts up to 4 x 8 KiB by default (`large_client_header_buffers`), servers
/// seldom more than 64 KiB. Longer ones are reported as a limit.
pub const MAX_HEAD: usize = 64 * 1024;

/// How much of an answer's body is kept: enough for the error pages of nginx and of frameworks.
pub const BODY_EXCERPT: usize = 1024;

/// How much is kept of bytes that are no HTTP: enough to name the protocol.
pub const RAW_EXCERPT: usize = 64;
