//! What close codes say (RFC 6455 7.4, IANA WebSocket Close Code Number Registry).

/// What a close code means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The session did what it should.
    Normal,
    /// An end that its sender planned: clients should come back.
    Planned(&'static str),
    /// Known to the application only.
    Private(&'static str),
    /// Something was wrong.
    Error(&'static str),
}

/// The meaning of a code.
pub(super) const fn meaning(code: u16) -> Meaning {
    match code {
        1000 | 1001 => Meaning::Normal,
        1002 => Meaning::Error("protocol error"),
        1003 => Meaning::Error("unsupported data"),
        1007 => Meaning::Error("invalid payload data, such as text that is no UTF-8"),
        1008 => Meaning::Error("policy violation"),
        1009 => Meaning::Error("message too big for the receiver"),
        1010 => Meaning::Error("a mandatory extension was not negotiated"),
        1011 => Meaning::Error("internal error"),
        1012 => Meaning::Planned("service restart"),
        1013 => Meaning::Planned("try again later"),
        1014 => Meaning::Error("bad gateway"),
        1004 | 1005 | 1006 | 1015 => Meaning::Error("a code that must not be sent"),
        3000 => Meaning::Error("unauthorized"),
        3003 => Meaning::Error("forbidden"),
        3008 => Meaning::Error("timeout"),
        3001..=3999 => Meaning::Error("a registered code of a library or framework"),
        4000..=4999 => Meaning::Private("a private code of the application"),
        _ => Meaning::Error("a code that is not defined"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_ends_are_the_two_of_the_rfc() {
        for code in 0..=u16::MAX {
            assert_eq!(
                meaning(code) == Meaning::Normal,
                code == 1000 || code == 1001,
                "{code}"
            );
        }
    }

    #[test]
    fn codes_that_must_not_be_sent() {
        for code in [1004, 1005, 1006, 1015] {
            assert_eq!(
                meaning(code),
                Meaning::Error("a code that must not be sent")
            );
        }
    }
}
