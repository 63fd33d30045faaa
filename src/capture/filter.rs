//! `--filter`: BPF expressions (pcap-filter(7)), compiled by libpcap for each link type as it turns up.
//!
//! libpcap sees the outermost packet only: `tcp port 80` matches neither tagged nor tunnelled packets, nor fragments
//! but the first, and `len` is the captured length.

use super::error::{CaptureError, Problem};
use super::{Frame, LinkType};

/// A filter expression.
pub struct Filter {
    expression: String,
    /// Compiled programs; `None` where the expression does not make sense.
    programs: Vec<(LinkType, Option<Program>)>,
}

impl Filter {
    /// Checks the expression; without the feature `live` there is no compiler for it.
    ///
    /// An expression is accepted if it compiles for Ethernet or for another of the usual link types, as some only make
    /// sense for one (`ether host` for Ethernet, `ifindex` for Linux cooked).
    pub fn compile(expression: &str) -> Result<Self, CaptureError> {
        let mut filter = Self {
            expression: expression.to_owned(),
            programs: Vec::new(),
        };
        let mut first_error = None;
        for link in [LinkType::ETHERNET, LinkType::LINUX_SLL2, LinkType::RAW] {
            match filter.program(link) {
                Ok(program) => {
                    filter.programs.push((link, Some(program)));
                    return Ok(filter);
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(filter), Err)
    }

    /// Whether a frame matches.
    ///
    /// An expression that does not compile for the frame's link type is an error the first time; further frames of
    /// that link type do not match.
    #[inline]
    pub fn matches(&mut self, frame: &Frame<'_>) -> Result<bool, CaptureError> {
        match self.programs.iter().find(|(link, _)| *link == frame.link) {
            Some((_, Some(program))) => Ok(program.matches(frame.data)),
            Some((_, None)) => Ok(false),
            None => self.matches_new(frame),
        }
    }

    #[cold]
    fn matches_new(&mut self, frame: &Frame<'_>) -> Result<bool, CaptureError> {
        match self.program(frame.link) {
            Ok(program) => {
                let matches = program.matches(frame.data);
                self.programs.push((frame.link, Some(program)));
                Ok(matches)
            }
            Err(error) => {
                self.programs.push((frame.link, None));
                Err(error)
            }
        }
    }

    fn program(&self, link: LinkType) -> Result<Program, CaptureError> {
        Program::compile(&self.expression, link)
            .map_err(|problem| CaptureError::new(format!("filter '{}'", self.expression), problem))
    }
}

#[cfg(feature = "live")]
struct Program(pcap::BpfProgram);

#[cfg(feature = "live")]
impl Program {
    fn compile(expression: &str, link: LinkType) -> Result<Self, Problem> {
        let failed = |error: pcap::Error| Problem::Filter {
            link: link.name(),
            message: error.to_string(),
        };
        // Files number raw IP 101; libpcap itself knows it by the number of this system (12 on Linux).
        let dlt = match link {
            LinkType::RAW | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD => LinkType::DLT_RAW,
            other => other,
        };
        let number = i32::try_from(dlt.0).unwrap_or(i32::MAX);
        let handle = pcap::Capture::dead(pcap::Linktype(number)).map_err(failed)?;
        handle.compile(expression, true).map(Self).map_err(failed)
    }

    fn matches(&self, data: &[u8]) -> bool {
        self.0.filter(data)
    }
}

#[cfg(not(feature = "live"))]
enum Program {}

#[cfg(not(feature = "live"))]
impl Program {
    fn compile(_: &str, _: LinkType) -> Result<Self, Problem> {
        Err(Problem::NotBuilt {
            what: "--filter",
            feature: "live",
            advice: "use --port, or filter the file with tcpdump -r first",
        })
    }

    fn matches(&self, _: &[u8]) -> bool {
        match *self {}
    }
}
