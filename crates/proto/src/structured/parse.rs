//! Reading (RFC 9651 section 4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fields;

use super::{BareItem, Dictionary, InnerList, Item, List, Member, Parameters, StructuredError};

impl Dictionary {
    /// Reads a dictionary of at most `max_members` from the lines of a field, which count as
    /// one value joined by commas. No line, and lines of nothing, are an empty dictionary.
    ///
    /// # Errors
    /// [`StructuredError`]
    pub fn parse(lines: &[&[u8]], max_members: usize) -> Result<Self, StructuredError> {
        let text = lines.join(&b", "[..]);
        let mut reader = Reader::new(&text);
        let mut dictionary = Self::default();
        reader.skip_spaces();
        while !reader.is_done() {
            if dictionary.members.len() >= max_members {
                return Err(StructuredError::TooMany);
            }
            let key = reader.key()?;
            let member = if reader.take(b'=') {
                reader.member()?
            } else {
                Member::Item(Item {
                    value: BareItem::Boolean(true),
                    parameters: reader.parameters()?,
                })
            };
            match dictionary
                .members
                .iter_mut()
                .find(|(known, _)| *known == key)
            {
                Some((_, old)) => {
                    *old = member;
                    dictionary.repeated = true;
                }
                None => dictionary.members.push((key, member)),
            }
            reader.next_member()?;
        }
        Ok(dictionary)
    }
}

impl List {
    /// Reads a list of at most `max_members` from the lines of a field.
    ///
    /// # Errors
    /// [`StructuredError`]
    pub fn parse(lines: &[&[u8]], max_members: usize) -> Result<Self, StructuredError> {
        let text = lines.join(&b", "[..]);
        let mut reader = Reader::new(&text);
        let mut members = Vec::new();
        reader.skip_spaces();
        while !reader.is_done() {
            if members.len() >= max_members {
                return Err(StructuredError::TooMany);
            }
            members.push(reader.member()?);
            reader.next_member()?;
        }
        Ok(Self(members))
    }
}

impl Item {
    /// Reads the one item a field holds.
    ///
    /// # Errors
    /// [`StructuredError`]
    pub fn parse(text: &[u8]) -> Result<Self, StructuredError> {
        let mut reader = Reader::new(text);
        reader.skip_spaces();
        let item = reader.item()?;
        reader.skip_spaces();
        if reader.is_done() {
            Ok(item)
        } else {
            Err(reader.fault())
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, StructuredError> {
        let byte = self.peek().ok_or_else(|| self.fault())?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<(), StructuredError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(&fits) {
            self.at = self.at.saturating_add(1);
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    const fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    const fn fault(&self) -> StructuredError {
        StructuredError::Syntax { at: self.at }
    }

    fn skip_spaces(&mut self) {
        self.take_while(|byte| byte == b' ');
    }

    /// After a member: the end, or a comma and another member. A comma at the end is an error.
    fn next_member(&mut self) -> Result<(), StructuredError> {
        let optional_space = |byte| matches!(byte, b' ' | b'\t');
        self.take_while(optional_space);
        if self.is_done() {
            return Ok(());
        }
        self.expect(b',')?;
        self.take_while(optional_space);
        if self.is_done() {
            return Err(self.fault());
        }
        Ok(())
    }

    fn member(&mut self) -> Result<Member, StructuredError> {
        if self.peek() == Some(b'(') {
            self.inner_list().map(Member::InnerList)
        } else {
            self.item().map(Member::Item)
        }
    }

    fn inner_list(&mut self) -> Result<InnerList, StructuredError> {
        self.expect(b'(')?;
        let mut items = Vec::new();
        loop {
            self.skip_spaces();
            if self.take(b')') {
                let parameters = self.parameters()?;
                return Ok(InnerList { items, parameters });
            }
            items.push(self.item()?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(self.fault());
            }
        }
    }

    fn item(&mut self) -> Result<Item, StructuredError> {
        let value = self.bare_item()?;
        let parameters = self.parameters()?;
        Ok(Item { value, parameters })
    }

    fn parameters(&mut self) -> Result<Parameters, StructuredError> {
        let mut parameters = Parameters::default();
        while self.take(b';') {
            self.skip_spaces();
            let name = self.key()?;
            let value = if self.take(b'=') {
                self.bare_item()?
            } else {
                BareItem::Boolean(true)
            };
            parameters.repeated |= parameters.get(&name).is_some();
            parameters.set(&name, value);
        }
        Ok(parameters)
    }

    fn key(&mut self) -> Result<String, StructuredError> {
        if !matches!(self.peek(), Some(b'a'..=b'z' | b'*')) {
            return Err(self.fault());
        }
        let key = self.take_while(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'),
        );
        self.ascii(key)
    }

    fn bare_item(&mut self) -> Result<BareItem, StructuredError> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'"') => self.string().map(BareItem::String),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'*') => self.token().map(BareItem::Token),
            Some(b':') => self.bytes().map(BareItem::Bytes),
            Some(b'?') => self.boolean().map(BareItem::Boolean),
            Some(b'@') => self.date(),
            Some(b'%') => self.display().map(BareItem::Display),
            _ => Err(self.fault()),
        }
    }

    /// RFC 9651 section 4.2.4: 15 digits, or 12 before and 3 after the point.
    fn number(&mut self) -> Result<BareItem, StructuredError> {
        let start = self.at;
        let fault = StructuredError::Syntax { at: start };
        let sign: i64 = if self.take(b'-') { -1 } else { 1 };
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        let is_decimal = self.peek() == Some(b'.');
        let most = if is_decimal { 12 } else { 15 };
        if whole.is_empty() || whole.len() > most {
            return Err(fault);
        }
        let whole = digits(whole).ok_or(fault)?;
        if !is_decimal {
            return Ok(BareItem::Integer(sign.saturating_mul(whole)));
        }
        self.expect(b'.')?;
        let fraction = self.take_while(|byte| byte.is_ascii_digit());
        let scale = match fraction.len() {
            1 => 100,
            2 => 10,
            3 => 1,
            _ => return Err(fault),
        };
        let thousandths = digits(fraction).ok_or(fault)?.saturating_mul(scale);
        let magnitude = whole.saturating_mul(1000).saturating_add(thousandths);
        Ok(BareItem::Decimal(sign.saturating_mul(magnitude)))
    }

    fn string(&mut self) -> Result<String, StructuredError> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            match self.next()? {
                b'"' => return Ok(text),
                b'\\' => match self.next()? {
                    escaped @ (b'"' | b'\\') => text.push(char::from(escaped)),
                    _ => return Err(self.fault()),
                },
                plain @ b' '..=b'~' => text.push(char::from(plain)),
                _ => return Err(self.fault()),
            }
        }
    }

    fn token(&mut self) -> Result<String, StructuredError> {
        let token =
            self.take_while(|byte| fields::is_token_byte(byte) || matches!(byte, b':' | b'/'));
        self.ascii(token)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, StructuredError> {
        self.expect(b':')?;
        let start = self.at;
        let encoded = self.take_while(|byte| byte != b':');
        self.expect(b':')?;
        STANDARD
            .decode(encoded)
            .map_err(|_| StructuredError::Syntax { at: start })
    }

    fn boolean(&mut self) -> Result<bool, StructuredError> {
        self.expect(b'?')?;
        match self.next()? {
            b'0' => Ok(false),
            b'1' => Ok(true),
            _ => Err(self.fault()),
        }
    }

    fn date(&mut self) -> Result<BareItem, StructuredError> {
        self.expect(b'@')?;
        let start = self.at;
        let seconds = self.number()?.as_integer();
        seconds
            .map(BareItem::Date)
            .ok_or(StructuredError::Syntax { at: start })
    }

    /// RFC 9651 section 4.2.10: escapes are of two lower-case digits.
    fn display(&mut self) -> Result<String, StructuredError> {
        self.expect(b'%')?;
        self.expect(b'"')?;
        let start = self.at;
        let mut bytes = Vec::new();
        loop {
            match self.next()? {
                b'"' => break,
                b'%' => {
                    let high = lower_hex(self.next()?).ok_or_else(|| self.fault())?;
                    let low = lower_hex(self.next()?).ok_or_else(|| self.fault())?;
                    bytes.push(high << 4 | low);
                }
                plain @ b' '..=b'~' => bytes.push(plain),
                _ => return Err(self.fault()),
            }
        }
        String::from_utf8(bytes).map_err(|_| StructuredError::Syntax { at: start })
    }

    fn ascii(&self, text: &[u8]) -> Result<String, StructuredError> {
        String::from_utf8(text.to_vec()).map_err(|_| self.fault())
    }
}

/// At most 15 digits, which fit.
fn digits(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

const fn lower_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit & 0x0f),
        b'a'..=b'f' => Some((digit & 0x0f).wrapping_add(9)),
        _ => None,
    }
}
