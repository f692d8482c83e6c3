//! Strict DER (X.690 sections 8 to 11): the rules a lenient parser lets slip.
//!
//! Only the form is checked: definite lengths in their shortest form, constructed encodings for
//! SEQUENCE, SET and context tags only, canonical BOOLEAN, shortest INTEGER, times in the one
//! form of RFC 5280 section 4.1.2.5. What the values mean is read elsewhere.

/// Deeper nesting than any certificate has.
const MAX_DEPTH: usize = 24;

/// Whether `bytes` are exactly one strict DER element.
pub(super) fn is_one_strict_element(bytes: &[u8]) -> bool {
    element(bytes, MAX_DEPTH).is_some_and(<[u8]>::is_empty)
}

/// Tag, contents and what follows.
pub(super) fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    // Tag numbers from 31 on take more bytes; certificates have none.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = length(rest)?;
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// A definite length in its shortest form (X.690 section 10.1), below 16 MiB.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..=0x7f, rest @ ..] => Some((usize::from(*short), rest)),
        [0x81, one @ 0x80..=0xff, rest @ ..] => Some((usize::from(*one), rest)),
        [0x82, high @ 1..=0xff, low, rest @ ..] => {
            Some((usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        [0x83, high @ 1..=0xff, middle, low, rest @ ..] => {
            let value = u32::from_be_bytes([0, *high, *middle, *low]);
            Some((usize::try_from(value).ok()?, rest))
        }
        _ => None,
    }
}

fn element(bytes: &[u8], depth: usize) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    let (tag, contents, rest) = split(bytes)?;
    let constructed = tag & 0x20 != 0;
    let universal = tag & 0xc0 == 0;
    let well_formed = match (universal, constructed) {
        (true, true) => matches!(tag, SEQUENCE | SET) && all(contents, depth),
        (false, true) => all(contents, depth),
        (true, false) => primitive(tag, contents),
        (false, false) => true,
    };
    well_formed.then_some(rest)
}

fn all(mut contents: &[u8], depth: usize) -> bool {
    while !contents.is_empty() {
        match element(contents, depth) {
            Some(rest) => contents = rest,
            None => return false,
        }
    }
    true
}

fn primitive(tag: u8, contents: &[u8]) -> bool {
    match tag {
        BOOLEAN => matches!(contents, [0 | 0xff]),
        INTEGER => match contents {
            [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => false,
            [_, ..] => true,
        },
        BIT_STRING => matches!(contents, [0..=7, ..]),
        SEQUENCE_PRIMITIVE | SET_PRIMITIVE => false,
        UTC_TIME => is_zulu(contents, 13),
        GENERALIZED_TIME => is_zulu(contents, 15),
        _ => true,
    }
}

fn is_zulu(contents: &[u8], length: usize) -> bool {
    contents.len() == length
        && contents
            .split_last()
            .is_some_and(|(last, digits)| *last == b'Z' && digits.iter().all(u8::is_ascii_digit))
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE_PRIMITIVE: u8 = 0x10;
const SET_PRIMITIVE: u8 = 0x11;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::is_one_strict_element;

    #[test]
    fn other_encodings_of_the_same_value_are_refused() {
        for bytes in [
            &[0x30, 0x80, 0x00, 0x00][..],   // indefinite length
            &[0x30, 0x81, 0x00],             // long form where the short one does
            &[0x30, 0x82, 0x00, 0x00],       // a leading zero in the length
            &[0x01, 0x01, 0x01],             // TRUE is 0xff
            &[0x02, 0x02, 0x00, 0x7f],       // a leading zero in the number
            &[0x02, 0x00],                   // no number
            &[0x24, 0x02, 0x04, 0x00],       // an octet string in pieces
            &[0x30, 0x00, 0x00],             // something after the element
            &[0x30, 0x03, 0x02, 0x02, 0x01], // a member longer than its parent
            &[0x1f, 0x1f, 0x00],             // a tag of two bytes
            &[0x30],                         // no length
            &[
                0x17, 0x0b, b'1', b'8', b'1', b'0', b'1', b'8', b'1', b'2', b'3', b'7', b'Z',
            ], // no seconds
            &[],
        ] {
            assert!(!is_one_strict_element(bytes), "{bytes:02x?}");
        }
        assert!(is_one_strict_element(&[0x30, 0x03, 0x02, 0x01, 0x05]));
        assert!(is_one_strict_element(&[0x01, 0x01, 0xff]));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            let mut bytes = vec![0x30, 0x00];
            for _ in 1..depth {
                let mut outer = vec![0x30, u8::try_from(bytes.len()).unwrap()];
                outer.append(&mut bytes);
                bytes = outer;
            }
            bytes
        };
        assert!(is_one_strict_element(&nested(24)));
        assert!(!is_one_strict_element(&nested(25)));
    }
}
