//! Components: which part of a message is covered, and its value
//! (RFC 9421 sections 2.1 and 2.2).
//!
//! A component that cannot be had exactly is an error, never an empty value:
//! unknown names and parameters, missing fields and members, values that are
//! not ASCII or hold a line break, and query parameters that occur twice. Line
//! folding is not undone; a message that has it does not get this far.

use std::fmt;

use super::message::{SignedMessage, SignedRequest};
use super::query;
use crate::fields::FieldLines;
use crate::structured::{BareItem, Dictionary, Item, List, Parameters};

/// The most members of a field that are looked at for `key` and `sf`.
const MAX_MEMBERS: usize = 64;

/// A component identifier: a name and parameters (RFC 9421 section 2).
///
/// Two are the same whatever the order of their parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct Component {
    name: String,
    options: Options,
    /// As it stands in the signature base.
    text: Text,
}

/// The identifier in the spelling received; not a part of what it identifies.
#[derive(Clone)]
struct Text(String);

impl PartialEq for Text {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Text {}

#[derive(Clone, Default, PartialEq, Eq)]
struct Options {
    structured: bool,
    bytes: bool,
    trailer: bool,
    of_request: bool,
    key: Option<String>,
    name: Option<String>,
}

/// Why a component has no value. It holds nothing of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentError {
    /// The message has no such field, member or query parameter.
    Absent,
    /// The query parameter occurs more than once.
    Ambiguous,
    /// The identifier is not one: its form, its name, or parameters that do not go together.
    Invalid,
    /// The field is not the structured field the identifier says it is.
    NotStructured,
    /// The value has a byte outside ASCII or a line break.
    Unprintable,
}

impl fmt::Display for ComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "the message does not have it",
            Self::Ambiguous => "it occurs more than once",
            Self::Invalid => "there is no such component",
            Self::NotStructured => "the field is not a structured field",
            Self::Unprintable => "its value is not ASCII text on one line",
        })
    }
}

impl std::error::Error for ComponentError {}

impl Component {
    /// The component with this name and no parameters: a field in lower case, or a derived
    /// component such as `@method`.
    ///
    /// # Errors
    /// [`ComponentError::Invalid`] for what is neither.
    pub fn new(name: &str) -> Result<Self, ComponentError> {
        Self::read(&Item {
            value: BareItem::String(name.to_owned()),
            parameters: Parameters::default(),
        })
    }

    /// The same, of the request that a response answers (`req`, RFC 9421 section 2.4).
    ///
    /// # Errors
    /// [`ComponentError::Invalid`]
    pub fn of_request(name: &str) -> Result<Self, ComponentError> {
        let mut parameters = Parameters::default();
        parameters.set("req", BareItem::Boolean(true));
        Self::read(&Item {
            value: BareItem::String(name.to_owned()),
            parameters,
        })
    }

    /// One member of a dictionary field (`key`, RFC 9421 section 2.1.2).
    ///
    /// # Errors
    /// [`ComponentError::Invalid`]
    pub fn member(name: &str, key: &str) -> Result<Self, ComponentError> {
        let mut parameters = Parameters::default();
        parameters.set("key", BareItem::String(key.to_owned()));
        Self::read(&Item {
            value: BareItem::String(name.to_owned()),
            parameters,
        })
    }

    /// Reads an identifier as it stands in `Signature-Input`.
    ///
    /// # Errors
    /// [`ComponentError::Invalid`]
    pub fn read(item: &Item) -> Result<Self, ComponentError> {
        let name = item.value.as_string().ok_or(ComponentError::Invalid)?;
        let options = Options::read(&item.parameters)?;
        let fits = match name.strip_prefix('@') {
            Some(_) => options.fit_derived(name),
            None => is_field_name(name) && options.fit_field(),
        };
        if !fits {
            return Err(ComponentError::Invalid);
        }
        Ok(Self {
            name: name.to_owned(),
            options,
            text: Text(item.to_string()),
        })
    }

    /// The name: `@method`, `content-digest`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The member a `key` parameter selects.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.options.key.as_deref()
    }

    /// Whether it is of the request that a response answers.
    #[must_use]
    pub const fn is_of_request(&self) -> bool {
        self.options.of_request
    }

    /// Whether it stands for the whole derived component, or the whole header field.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.options.key.is_none() && !self.options.trailer
    }

    /// The value in `message` (RFC 9421 section 2.5, step 2.2).
    ///
    /// # Errors
    /// [`ComponentError`]
    pub fn value(&self, message: &SignedMessage<'_>) -> Result<String, ComponentError> {
        let value = match (message, self.options.of_request) {
            (SignedMessage::Request(_), true) => return Err(ComponentError::Invalid),
            (SignedMessage::Request(request), false) => self.in_request(request)?,
            (SignedMessage::Response(response), true) => {
                let request = response.request.as_ref().ok_or(ComponentError::Absent)?;
                self.in_request(request)?
            }
            (SignedMessage::Response(response), false) => match self.name.as_str() {
                "@status" => format!("{:03}", response.status),
                derived if derived.starts_with('@') => return Err(ComponentError::Invalid),
                _ => self.in_fields(response.fields, response.trailers)?,
            },
        };
        if value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        {
            Ok(value)
        } else {
            Err(ComponentError::Unprintable)
        }
    }

    fn in_request(&self, request: &SignedRequest<'_>) -> Result<String, ComponentError> {
        let origin = request.origin;
        Ok(match self.name.as_str() {
            "@method" => request.method.to_owned(),
            "@target-uri" => format!("{}{}", origin.as_str(), request.request_target),
            "@authority" => origin.authority().to_owned(),
            "@scheme" => origin.scheme().name().to_owned(),
            "@request-target" => request.request_target.to_owned(),
            "@path" => request.path().to_owned(),
            "@query" => format!("?{}", request.query().unwrap_or_default()),
            "@query-param" => {
                let name = self.options.name.as_deref().unwrap_or_default();
                query::parameter(request.query().unwrap_or_default(), name)?
            }
            derived if derived.starts_with('@') => return Err(ComponentError::Invalid),
            _ => self.in_fields(request.fields, request.trailers)?,
        })
    }

    fn in_fields(
        &self,
        fields: &dyn FieldLines,
        trailers: Option<&dyn FieldLines>,
    ) -> Result<String, ComponentError> {
        let lines = if self.options.trailer {
            trailers.map(|trailers| trailers.lines(&self.name))
        } else {
            Some(fields.lines(&self.name))
        };
        let lines: Vec<&[u8]> = lines
            .unwrap_or_default()
            .iter()
            .map(|line| line.trim_ascii())
            .collect();
        if lines.is_empty() {
            return Err(ComponentError::Absent);
        }
        if let Some(key) = &self.options.key {
            return member(&lines, key);
        }
        if self.options.bytes {
            let items = lines
                .iter()
                .map(|line| BareItem::Bytes(line.to_vec()).to_string());
            return Ok(items.collect::<Vec<_>>().join(", "));
        }
        if self.options.structured {
            return canonical(&self.name, &lines);
        }
        String::from_utf8(lines.join(&b", "[..])).map_err(|_| ComponentError::Unprintable)
    }
}

impl Options {
    fn read(parameters: &Parameters) -> Result<Self, ComponentError> {
        if parameters.is_repeated() {
            return Err(ComponentError::Invalid);
        }
        let mut options = Self::default();
        for (name, value) in parameters.iter() {
            match (name, value) {
                ("sf", BareItem::Boolean(true)) => options.structured = true,
                ("bs", BareItem::Boolean(true)) => options.bytes = true,
                ("tr", BareItem::Boolean(true)) => options.trailer = true,
                ("req", BareItem::Boolean(true)) => options.of_request = true,
                ("key", BareItem::String(key)) => options.key = Some(key.clone()),
                ("name", BareItem::String(name)) => options.name = Some(name.clone()),
                _ => return Err(ComponentError::Invalid),
            }
        }
        Ok(options)
    }

    /// RFC 9421 section 2.2: derived components take `req`, and `@query-param` needs `name`.
    fn fit_derived(&self, name: &str) -> bool {
        let plain = !self.structured && !self.bytes && !self.trailer && self.key.is_none();
        let known = matches!(
            name,
            "@method"
                | "@target-uri"
                | "@authority"
                | "@scheme"
                | "@request-target"
                | "@path"
                | "@query"
                | "@query-param"
        ) || (name == "@status" && !self.of_request);
        known && plain && self.name.is_some() == (name == "@query-param")
    }

    /// RFC 9421 section 2.1.3: `bs` goes with neither `sf` nor `key`.
    const fn fit_field(&self) -> bool {
        let strict = self.structured || self.key.is_some();
        self.name.is_none() && !(self.bytes && strict)
    }
}

impl fmt::Display for Component {
    /// As it stands in the signature base.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.0)
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.0)
    }
}

fn is_field_name(name: &str) -> bool {
    let fits = |byte: u8| {
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.'
            | b'^'..=b'`' | b'|' | b'~')
    };
    !name.is_empty() && name.bytes().all(fits)
}

fn member(lines: &[&[u8]], key: &str) -> Result<String, ComponentError> {
    let dictionary =
        Dictionary::parse(lines, MAX_MEMBERS).map_err(|_| ComponentError::NotStructured)?;
    let member = dictionary.get(key).ok_or(ComponentError::Absent)?;
    Ok(member.to_string())
}

/// The value in its canonical form, for the fields whose type is known here.
fn canonical(name: &str, lines: &[&[u8]]) -> Result<String, ComponentError> {
    let text = match name {
        "accept-signature"
        | "content-digest"
        | "priority"
        | "repr-digest"
        | "signature"
        | "signature-agent"
        | "signature-input"
        | "signature-key"
        | "want-content-digest"
        | "want-repr-digest" => {
            Dictionary::parse(lines, MAX_MEMBERS).map(|dictionary| dictionary.to_string())
        }
        "accept-ch" | "cache-status" | "client-cert-chain" | "proxy-status" => {
            List::parse(lines, MAX_MEMBERS).map(|list| list.to_string())
        }
        "client-cert" => Item::parse(&lines.join(&b", "[..])).map(|item| item.to_string()),
        _ => return Err(ComponentError::NotStructured),
    };
    text.map_err(|_| ComponentError::NotStructured)
}
