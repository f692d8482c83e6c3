//! Encodings of Ed25519 points that verification must never accept.
//!
//! With a public key of small order the signature equation holds for any
//! message and a signature nobody needed a private key for: a token bound to
//! such a key would be a bearer token. The backend accepts these keys, as RFC
//! 8032 section 5.1.7 allows, so they are refused here, for keys and for the
//! `R` of a signature alike.
//!
//! Points of mixed order are not detected, which needs curve arithmetic; to
//! sign for one still takes its private key.

/// Whether these 32 bytes encode a point of small order, or a `y` that is not
/// reduced modulo the field's prime, with either sign of `x`.
pub(super) fn is_weak_point(encoded: &[u8; 32]) -> bool {
    let mut y = *encoded;
    if let Some(top) = y.last_mut() {
        *top &= 0x7f;
    }
    SMALL_ORDER_Y.contains(&y) || !is_reduced(&y)
}

/// Whether `y`, least significant byte first and without its sign bit, is below 2^255 - 19.
fn is_reduced(y: &[u8; 32]) -> bool {
    y.iter().rev().lt(PRIME.iter().rev())
}

/// 2^255 - 19.
const PRIME: [u8; 32] = field_edge(0xed);

/// The `y` of the eight points whose order divides the cofactor: one has order
/// 1, one order 2, two order 4 and four order 8 (pairs differ in the sign of `x`).
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    // y = 1: the neutral element.
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    // y = -1: order 2.
    field_edge(0xec),
    // y = 0: order 4.
    [0; 32],
    // The two values of y for order 8.
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// 2^255 - 256 + `low`, least significant byte first.
const fn field_edge(low: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    let [first, .., last] = &mut bytes;
    *first = low;
    *last = 0x7f;
    bytes
}
