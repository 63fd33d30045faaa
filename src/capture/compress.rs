//! Compressed inputs: told by their magic number, read as a stream, with a bound on how far they may inflate.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Problem;

/// How far a stream may inflate, as a factor of the compressed bytes read. Captures shrink 2 to 20 times, a SYN scan or
/// zero-filled payload up to 100 times; more is a bomb, made to keep the reader busy.
pub(super) const MAX_INFLATION: u64 = 250;

/// Decompressed bytes below which the factor is not looked at: a second's work, whatever the input.
const FREE_INFLATION: u64 = 1 << 30;

/// Memory that an xz stream may make the decoder use: `xz -9` needs 65 MiB.
#[cfg(feature = "compress")]
const MAX_XZ_MEMORY: u64 = 192 << 20;

/// Compressed bytes per read(2).
const INPUT_BUFFER: usize = 128 << 10;

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Xz,
    Lz4,
}

impl Compression {
    /// By the first bytes of the input.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // RFC 8878 3.1.1: a frame; 3.1.2: a skippable frame, as parallel compressors put first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    /// As reports call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
        }
    }

    /// The decompressed bytes of `source`.
    ///
    /// `compressed` says how many bytes of it were read so far.
    pub(super) fn inflate(
        self,
        source: impl Read + Send + 'static,
        compressed: Arc<AtomicU64>,
    ) -> Result<Box<dyn Read + Send>, Problem> {
        let inflated = self.decoder(BufReader::with_capacity(INPUT_BUFFER, source))?;
        Ok(Box::new(Bounded {
            inflated,
            compressed,
            produced: 0,
        }))
    }

    #[cfg(feature = "compress")]
    fn decoder<R: io::BufRead + Send + 'static>(
        self,
        source: R,
    ) -> Result<Box<dyn Read + Send>, Problem> {
        let failed = |source| Problem::Open { source };
        Ok(match self {
            Self::Gzip => Box::new(Gzip::new(source)),
            Self::Zstd => {
                Box::new(zstd::stream::read::Decoder::with_buffer(source).map_err(failed)?)
            }
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    MAX_XZ_MEMORY,
                    liblzma::stream::CONCATENATED,
                )
                .map_err(|e| failed(e.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
            Self::Lz4 => Box::new(Lz4 {
                decoder: Some(lz4_flex::frame::FrameDecoder::new(source)),
            }),
        })
    }

    #[cfg(not(feature = "compress"))]
    fn decoder<R: io::BufRead + Send + 'static>(
        self,
        source: R,
    ) -> Result<Box<dyn Read + Send>, Problem> {
        match self {
            Self::Gzip => Ok(Box::new(Gzip::new(source))),
            Self::Zstd | Self::Xz | Self::Lz4 => Err(Problem::NotBuilt {
                what: match self {
                    Self::Zstd => "reading zstd captures",
                    Self::Xz => "reading xz captures",
                    _ => "reading lz4 captures",
                },
                feature: "compress",
                advice: "decompress the file first",
            }),
        }
    }
}

/// gzip members one after another, as rotated captures are joined with cat. Zeros behind a member are padding, which tapes
/// and block devices add and gzip(1) ignores.
struct Gzip<R: io::BufRead> {
    member: Option<flate2::bufread::GzDecoder<R>>,
}

impl<R: io::BufRead> Gzip<R> {
    fn new(source: R) -> Self {
        Self {
            member: Some(flate2::bufread::GzDecoder::new(source)),
        }
    }
}

impl<R: io::BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let got = member.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            let Some(mut source) = self
                .member
                .take()
                .map(flate2::bufread::GzDecoder::into_inner)
            else {
                break;
            };
            if skip_zeros(&mut source)? {
                *self = Self::new(source);
            }
        }
        Ok(0)
    }
}

/// Passes zeros over; whether anything follows them.
fn skip_zeros(source: &mut impl io::BufRead) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        let all = bytes.len();
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        source.consume(zeros);
        if all == 0 || zeros < all {
            return Ok(all > 0);
        }
    }
}

/// lz4 frames one after another, each with a decoder of its own: one does not begin anew.
#[cfg(feature = "compress")]
struct Lz4<R: Read> {
    decoder: Option<lz4_flex::frame::FrameDecoder<R>>,
}

#[cfg(feature = "compress")]
impl<R: io::BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut decoder) = self.decoder.take() {
            let got = decoder.read(buffer)?;
            if got > 0 {
                self.decoder = Some(decoder);
                return Ok(got);
            }
            let mut source = decoder.into_inner();
            if !source.fill_buf()?.is_empty() {
                self.decoder = Some(lz4_flex::frame::FrameDecoder::new(source));
            }
        }
        Ok(0)
    }
}

/// The error that ends a stream which inflates too far.
#[derive(Debug, thiserror::Error)]
#[error("inflates more than {MAX_INFLATION} to 1")]
pub(super) struct TooLarge;

/// Ends a stream that inflates too far.
struct Bounded {
    inflated: Box<dyn Read + Send>,
    compressed: Arc<AtomicU64>,
    produced: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self
            .compressed
            .load(Ordering::Relaxed)
            .saturating_mul(MAX_INFLATION)
            .max(FREE_INFLATION);
        if self.produced > allowed {
            return Err(io::Error::other(TooLarge));
        }
        let got = self.inflated.read(buffer)?;
        self.produced += got as u64;
        Ok(got)
    }
}
