//! The Huffman code of header fields (RFC 7541 5.2, B).
//!
//! The code is canonical: the lengths alone define it. Codes of one length follow each other in the order of symbols.

use std::sync::LazyLock;

/// Bits of the longest code.
const LONGEST: usize = 30;

/// The symbol that ends a string; a decoder must not meet it.
const END: u16 = 256;

/// Bits of the code of each symbol (RFC 7541 B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The symbols by the length of their codes, and the first code of each length.
struct Table {
    first: [u32; LONGEST + 1],
    symbols: [Vec<u16>; LONGEST + 1],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table {
        first: [0; LONGEST + 1],
        symbols: std::array::from_fn(|_| Vec::new()),
    };
    for (symbol, &length) in (0_u16..).zip(&LENGTHS) {
        if let Some(symbols) = table.symbols.get_mut(usize::from(length)) {
            symbols.push(symbol);
        }
    }
    let mut code = 0_u32;
    for (first, symbols) in table.first.iter_mut().zip(&table.symbols) {
        code <<= 1;
        *first = code;
        code += symbols.len() as u32;
    }
    table
});

/// Decodes a string; `None` when it breaks the rules. Gives up beyond `max` bytes.
pub(super) fn decode(bytes: &[u8], max: usize) -> Option<Vec<u8>> {
    let table = &*TABLE;
    let mut out = Vec::new();
    let (mut code, mut length) = (0_u32, 0_usize);
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        let place = code.checked_sub(*table.first.get(length)?);
        let symbols = table.symbols.get(length)?;
        let Some(&symbol) = place.and_then(|place| symbols.get(place as usize)) else {
            continue;
        };
        if symbol == END || out.len() >= max {
            return None;
        }
        out.push(u8::try_from(symbol).ok()?);
        (code, length) = (0, 0);
    }
    // What is left is padding: fewer than eight bits, all ones (RFC 7541 5.2).
    (length < 8 && code == (1 << length) - 1).then_some(out)
}
