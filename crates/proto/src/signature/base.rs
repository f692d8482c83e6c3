//! The signature base (RFC 9421 section 2.5): the text that is signed.

use super::component::{Component, ComponentError};
use super::message::SignedMessage;
use crate::cause::Cause;
use crate::rejection::Rejection;
use crate::structured::InnerList;

/// The most components one signature covers.
const MAX_COMPONENTS: usize = 64;

/// The largest signature base, in bytes. Covered fields are bounded by the size of the head;
/// this bounds covering one field in many ways.
const MAX_BASE_BYTES: usize = 65_536;

/// The covered components and the text of `@signature-params`.
pub(super) struct Covered {
    pub(super) components: Vec<Component>,
    /// The canonical text of the inner list with its parameters in the order received
    /// (RFC 9421 section 2.3).
    text: String,
}

impl Covered {
    pub(super) fn read(list: &InnerList) -> Result<Self, Rejection> {
        if list.items.len() > MAX_COMPONENTS {
            return Err(Rejection::new(Cause::HttpsigSize)
                .expected(format!("at most {MAX_COMPONENTS} components"))
                .got(format!("{}", list.items.len())));
        }
        let mut components: Vec<Component> = Vec::with_capacity(list.items.len());
        for item in &list.items {
            let component = Component::read(item).map_err(|error| {
                Rejection::new(Cause::HttpsigComponent)
                    .expected(error.to_string())
                    .got(item.to_string())
            })?;
            if components.contains(&component) {
                return Err(Rejection::new(Cause::HttpsigComponent)
                    .expected("each component once")
                    .got(component.to_string()));
            }
            components.push(component);
        }
        Ok(Self {
            components,
            text: list.to_string(),
        })
    }
}

/// The base of a signature that was received.
pub(super) fn base(message: &SignedMessage<'_>, covered: &Covered) -> Result<String, Rejection> {
    write(message, &covered.components, &covered.text).map_err(|(component, error)| {
        Rejection::new(Cause::HttpsigComponent)
            .expected(error.to_string())
            .got(component.to_string())
    })
}

/// The base, or the component that has no value.
pub(super) fn write(
    message: &SignedMessage<'_>,
    components: &[Component],
    parameters: &str,
) -> Result<String, (Component, ComponentError)> {
    let mut text = String::with_capacity(1024);
    for component in components {
        let value = component
            .value(message)
            .map_err(|error| (component.clone(), error))?;
        text.push_str(&component.to_string());
        text.push_str(": ");
        text.push_str(&value);
        text.push('\n');
        if text.len() > MAX_BASE_BYTES {
            return Err((component.clone(), ComponentError::Unprintable));
        }
    }
    text.push_str("\"@signature-params\": ");
    text.push_str(parameters);
    Ok(text)
}
