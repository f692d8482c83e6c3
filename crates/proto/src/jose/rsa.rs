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
    if !MODULUS_BITS.contains(&bits) || !is_odd(n) || has_roca_fingerprint(n) {
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

/// Whether the modulus has the structure of the keys that one vendor's chips
/// made and that can be factored (CVE-2017-15361): primes of the form
/// `k * M + (65537^a mod M)`, with `M` a product of the first primes.
///
/// Modulo each prime factor of `M` such a modulus is a power of 65537. A sound
/// modulus passes for one with a probability of about 4 in 10^9.
fn has_roca_fingerprint(n: &[u8]) -> bool {
    ROCA_PRIMES
        .iter()
        .all(|prime| is_power_of_65537(remainder(n, *prime), *prime))
}

/// The prime factors of `M` modulo which 65537 does not generate every residue.
const ROCA_PRIMES: [u16; 17] = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
];

fn remainder(number: &[u8], prime: u16) -> u32 {
    let prime = u32::from(prime);
    number.iter().fold(0, |rest, byte| {
        // Below 2^8 * prime, so this neither overflows nor divides by zero.
        ((rest << 8) | u32::from(*byte))
            .checked_rem(prime)
            .unwrap_or(0)
    })
}

fn is_power_of_65537(residue: u32, prime: u16) -> bool {
    let prime = u32::from(prime);
    let next = |power: &u32| power.wrapping_mul(65537).checked_rem(prime);
    std::iter::successors(Some(1), next)
        .take(prime as usize)
        .any(|power| power == residue)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|low| low & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 65537^`exponent`, which has the fingerprint by construction.
    fn power(exponent: usize) -> Vec<u8> {
        let mut limbs = vec![1_u16];
        for _ in 0..exponent {
            let mut shifted = vec![0];
            shifted.extend(&limbs);
            let mut carry = 0;
            for (index, limb) in shifted.iter_mut().enumerate() {
                let sum =
                    u32::from(*limb) + u32::from(limbs.get(index).copied().unwrap_or(0)) + carry;
                *limb = sum as u16;
                carry = sum >> 16;
            }
            assert_eq!(carry, 0);
            limbs = shifted;
        }
        let bytes: Vec<u8> = limbs
            .iter()
            .rev()
            .flat_map(|limb| limb.to_be_bytes())
            .collect();
        bytes.into_iter().skip_while(|byte| *byte == 0).collect()
    }

    #[test]
    fn sc_022_a_factorable_structure_is_refused() {
        assert_eq!(power(2), 4_295_098_369_u64.to_be_bytes()[3..]);
        let n = power(128);
        assert_eq!(n.len(), 257, "a modulus of 2049 bits");
        assert_eq!(check(&n, &[1, 0, 1]), Err(JwkError::WeakKey));

        let mut other = n;
        *other.last_mut().unwrap() ^= 2;
        assert_eq!(check(&other, &[1, 0, 1]), Ok(()));
    }

    #[test]
    fn sc_022_sizes_and_exponents() {
        let n = |bytes: usize, top: u8| {
            let mut n = vec![0x5b; bytes];
            n[0] = top;
            n
        };
        for (n, e, cause) in [
            (vec![], vec![3], JwkError::Malformed { member: "n" }),
            (n(257, 0), vec![3], JwkError::Malformed { member: "n" }),
            (n(128, 0x80), vec![3], JwkError::WeakKey),
            (n(256, 0x7f), vec![3], JwkError::WeakKey),
            (n(513, 0x01), vec![3], JwkError::WeakKey),
            (n(2048, 0x80), vec![3], JwkError::WeakKey),
            (n(256, 0x80), vec![], JwkError::Malformed { member: "e" }),
            (n(256, 0x80), vec![0], JwkError::Malformed { member: "e" }),
            (
                n(256, 0x80),
                vec![0, 3],
                JwkError::Malformed { member: "e" },
            ),
            (n(256, 0x80), vec![1], JwkError::WeakKey),
            (n(256, 0x80), vec![2], JwkError::WeakKey),
            (n(256, 0x80), vec![1, 0, 0], JwkError::WeakKey),
            (n(256, 0x80), vec![1, 0, 0, 0, 1], JwkError::WeakKey),
        ] {
            assert_eq!(check(&n, &e), Err(cause), "{} {e:?}", n.len());
        }
        let mut even = n(256, 0x80);
        *even.last_mut().unwrap() = 0x5a;
        assert_eq!(check(&even, &[3]), Err(JwkError::WeakKey));

        for (n, e) in [
            (n(256, 0x80), vec![3]),
            (n(512, 0xff), vec![1, 0, 1]),
            (n(256, 0xff), vec![0xff; 4]),
        ] {
            assert_eq!(check(&n, &e), Ok(()));
        }
    }
}
