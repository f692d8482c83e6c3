//! A request's header fields, as a view: whatever library holds them.
//!
//! The methods that sign header fields (RFC 9421) need fields nobody can name in
//! advance, so they ask for them by name. This module parses nothing.

/// Header fields that can be asked for by name, also while a check waits on another thread.
pub trait FieldLines: Sync {
    /// The values of all field lines with this lower-case name, in the order received, as the
    /// bytes between the colon and the line's end. Empty if there is none.
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]>;
}

/// No field at all.
impl FieldLines for () {
    fn lines<'s>(&'s self, _name: &str) -> Vec<&'s [u8]> {
        Vec::new()
    }
}

/// A view through a reference.
impl<T: FieldLines + ?Sized> FieldLines for &T {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        (**self).lines(name)
    }
}

/// Pairs of a lower-case name and a value, in the order received.
impl FieldLines for [(&str, &[u8])] {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        self.iter()
            .filter(|(field, _)| *field == name)
            .map(|(_, value)| *value)
            .collect()
    }
}

/// Whether a name of a field or method may contain this byte: `tchar` of RFC 9110 section 5.6.2.
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::FieldLines;

    #[test]
    fn lines_come_in_the_order_received() {
        let fields: &[(&str, &[u8])] = &[("a", b"1"), ("b", b"2"), ("a", b"3")];
        assert_eq!(fields.lines("a"), [b"1", b"3"]);
        assert!(fields.lines("c").is_empty());
        assert!(().lines("a").is_empty());
    }
}
