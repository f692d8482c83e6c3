//! Which RSA public keys are worth verifying with.

use super::jwk::JwkError;

/// Moduli of 2048 to 4096 bits: shorter ones are too weak, longer ones let a
/// stranger buy CPU time.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// The longest accepted modulus in bytes.
pub(super) const MAX_MODULUS_BYTES: usize = 512;
/// The longest accepted public exponent in bytes.
pub(super) const MAX_EXPONENT_BYTES: usize = 4;

/// Checks modulus and exponent, big-endian without leading zeros.
pub(super) fn check(n: &[u8], e: &[u8]) -> Result<(), JwkError> {
    let [top, ..] = n else {
        return Err(JwkError::Malformed { member: "n" });
    };
    if *top == 0 {
        return Err(JwkError::Malformed { member: "n" });
    }
    // At most 7 leading zero bits in a slice that holds at least one byte.
    let bits = n
        .len()
        .saturating_mul(8)
        .saturating_sub(top.leading_zeros() as usize);
    if !MODULUS_BITS.contains(&bits) || !is_odd(n) {
        return Err(JwkError::WeakKey);
    }
    check_exponent(e)
}

fn check_exponent(e: &[u8]) -> Result<(), JwkError> {
    match e {
        [] | [0, ..] => Err(JwkError::Malformed { member: "e" }),
        [1] => Err(JwkError::WeakKey),
        _ if e.len() > MAX_EXPONENT_BYTES || !is_odd(e) => Err(JwkError::WeakKey),
        _ => Ok(()),
    }
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|low| low & 1 == 1)
}
