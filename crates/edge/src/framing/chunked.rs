//! The chunked coding (RFC 9112 section 7.1) without extensions and trailer fields.

use super::Violation;

/// Most digits of a chunk size; 8 digits are 4 GiB.
const SIZE_DIGITS: u8 = 8;

/// Follows a chunked body through buffers cut at any byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the size line: digits seen and the value so far.
    Size { digits: u8, value: u64 },
    /// After the carriage return of a size line.
    SizeEnd { value: u64 },
    /// In chunk data: bytes still to come.
    Data { left: u64 },
    /// After chunk data: the carriage return must follow.
    DataReturn,
    /// After chunk data: the line feed must follow.
    DataEnd,
    /// After the last chunk: the carriage return of the empty line must follow.
    LastReturn,
    /// After the last chunk: the line feed of the empty line must follow.
    LastEnd,
}

/// How far a buffer was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    /// Bytes of the buffer that belong to the body and keep the rules.
    pub(super) bytes: usize,
    /// Whether the body ended with them.
    pub(super) ended: bool,
}

impl Chunks {
    /// The state before the first byte of a body.
    pub(super) const START: Self = Self::Size {
        digits: 0,
        value: 0,
    };

    /// Checks as much of `buffer` as belongs to this body.
    ///
    /// Bytes before a broken rule in the same buffer are withheld too: the body is void.
    pub(super) fn check(&mut self, buffer: &[u8]) -> Result<Checked, Violation> {
        let mut at = 0;
        while let Some(&byte) = buffer.get(at) {
            if let Self::Data { left } = *self {
                let taken = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len() - at);
                at += taken;
                let left = left - taken as u64;
                *self = if left == 0 {
                    Self::DataReturn
                } else {
                    Self::Data { left }
                };
                continue;
            }
            at += 1;
            match self.step(byte)? {
                Some(next) => *self = next,
                None => {
                    return Ok(Checked {
                        bytes: at,
                        ended: true,
                    });
                }
            }
        }
        Ok(Checked {
            bytes: at,
            ended: false,
        })
    }

    /// One byte outside chunk data; `None` means that the body ended with it.
    fn step(self, byte: u8) -> Result<Option<Self>, Violation> {
        match (self, byte) {
            (Self::Size { digits, value }, _) => size_byte(digits, value, byte).map(Some),
            (Self::SizeEnd { value: 0 }, b'\n') => Ok(Some(Self::LastReturn)),
            (Self::SizeEnd { value }, b'\n') => Ok(Some(Self::Data { left: value })),
            (Self::SizeEnd { .. }, _) => Err(Violation::BareCarriageReturn),
            (Self::DataReturn, b'\r') => Ok(Some(Self::DataEnd)),
            (Self::DataEnd, b'\n') => Ok(Some(Self::START)),
            (Self::DataReturn | Self::DataEnd, _) => Err(Violation::ChunkData),
            (Self::LastReturn, b'\r') => Ok(Some(Self::LastEnd)),
            (Self::LastReturn, b'\n') => Err(Violation::BareLineFeed),
            (Self::LastReturn, _) => Err(Violation::Trailer),
            (Self::LastEnd, b'\n') => Ok(None),
            (Self::LastEnd, _) => Err(Violation::BareCarriageReturn),
            (Self::Data { .. }, _) => Err(Violation::ChunkData),
        }
    }
}

/// One byte of a size line.
fn size_byte(digits: u8, value: u64, byte: u8) -> Result<Chunks, Violation> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(Chunks::SizeEnd { value }),
        b'\n' => return Err(Violation::BareLineFeed),
        b';' if digits > 0 => return Err(Violation::ChunkExtension),
        _ => return Err(Violation::ChunkSize),
    };
    if digits == SIZE_DIGITS {
        return Err(Violation::ChunkSize);
    }
    Ok(Chunks::Size {
        digits: digits + 1,
        value: value * 16 + u64::from(digit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_whole(body: &[u8]) -> Result<Checked, Violation> {
        let mut chunks = Chunks::START;
        chunks.check(body)
    }

    #[test]
    fn sc_250_chunk_games_are_refused() {
        for (body, violation) in [
            (
                &b"5;a=b\r\nhello\r\n0\r\n\r\n"[..],
                Violation::ChunkExtension,
            ),
            (b"5;\r\nhello\r\n0\r\n\r\n", Violation::ChunkExtension),
            (b"0x5\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"+5\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"-1\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b" 5\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"5 \r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"5\t\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"1_0\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"000000005\r\nhello\r\n0\r\n\r\n", Violation::ChunkSize),
            (b"ffffffffffffffff1\r\n", Violation::ChunkSize),
            (b"5\nhello\r\n0\r\n\r\n", Violation::BareLineFeed),
            (b"5\rhello\r\n0\r\n\r\n", Violation::BareCarriageReturn),
            (b"5\r\nhello\n0\r\n\r\n", Violation::ChunkData),
            (b"5\r\nhelloX\r\n0\r\n\r\n", Violation::ChunkData),
            (b"5\r\nhello\rX0\r\n\r\n", Violation::ChunkData),
            (b"5\r\nhello\r\n0\n\r\n", Violation::BareLineFeed),
            (b"5\r\nhello\r\n0\r\n\n", Violation::BareLineFeed),
            (b"5\r\nhello\r\n0\r\nx: y\r\n\r\n", Violation::Trailer),
            (b"5\r\nhello\r\n0\r\n\rX", Violation::BareCarriageReturn),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(check_whole(body), Err(violation), "{shown:?}");
        }
    }

    #[test]
    fn a_body_ends_where_it_says_whatever_follows() {
        let body = b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
        let ended = Checked {
            bytes: body.len() - 16,
            ended: true,
        };
        assert_eq!(check_whole(body), Ok(ended));
    }

    #[test]
    fn the_cut_of_the_buffers_does_not_matter() {
        let body = b"5\r\nhello\r\n0a\r\n0123456789\r\n0\r\n\r\n";
        for size in 1..body.len() {
            let mut chunks = Chunks::START;
            let mut ends = Vec::new();
            for part in body.chunks(size) {
                let checked = chunks.check(part).expect("valid body");
                assert_eq!(checked.bytes, part.len());
                ends.push(checked.ended);
            }
            assert_eq!(ends.iter().filter(|ended| **ended).count(), 1);
            assert_eq!(ends.last(), Some(&true));
        }
    }
}
