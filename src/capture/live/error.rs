//! What can go wrong with an interface, said in one line with what to do.

use std::io;

/// A live capture that cannot begin, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The kernel does not let us open a packet socket.
    #[error(
        "{interface}: no permission to capture packets: needs root or the capability CAP_NET_RAW; \
         run it with sudo, or grant it once: sudo setcap cap_net_raw+ep $(which hop101)"
    )]
    Permission {
        /// The interface asked for.
        interface: String,
    },
    /// No such interface.
    #[error("{interface}: no such interface; there are: {}", known.join(", "))]
    NoSuchInterface {
        /// The name as given.
        interface: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The interface exists and is down.
    #[error("{interface}: the interface is down; bring it up first: ip link set {interface} up")]
    Down {
        /// Its name.
        interface: String,
    },
    /// The interface was removed or set down while capturing.
    #[error("{interface}: {}", if *removed { "the interface was removed" } else { "the interface went down" })]
    Gone {
        /// Its name.
        interface: String,
        /// It does not exist any more.
        removed: bool,
    },
    /// The filter does not compile.
    #[error("filter '{expression}': {message}{}; see pcap-filter(7)", Place(*good, expression))]
    Filter {
        /// The expression.
        expression: String,
        /// libpcap's words.
        message: String,
        /// Bytes of the expression that make sense by themselves.
        good: usize,
    },
    /// Anything else that libpcap says.
    #[error("{interface}: {message}")]
    Libpcap {
        /// The interface.
        interface: String,
        /// libpcap's words.
        message: String,
    },
    /// Interfaces cannot be listed.
    #[error("interfaces cannot be listed: {message}")]
    List {
        /// libpcap's words.
        message: String,
    },
    /// Waiting for packets failed.
    #[error("waiting for packets failed: {source}")]
    Wait {
        /// The system's words.
        source: io::Error,
    },
}

/// Where an expression stops making sense, as `, from column 12 on ("blah")`.
struct Place<'a>(usize, &'a str);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let &Self(good, expression) = self;
        let Some(rest) = expression.get(good..) else {
            return Ok(());
        };
        let begin = good + rest.len() - rest.trim_start().len();
        let Some(word) = rest.split_whitespace().next() else {
            return f.write_str(", at its end");
        };
        let column = expression
            .get(..begin)
            .map_or(0, |before| before.chars().count())
            + 1;
        write!(f, ", from column {column} on (\"{word}\")")
    }
}
