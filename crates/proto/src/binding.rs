//! The ways a token is bound to its sender, by name.
//!
//! The names are those of the configuration (`binding_methods`), of events and of
//! metrics. What each method checks is in [`crate::verify`].

use std::fmt;

/// How a sender proves that a token is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingMethod {
    /// A DPoP proof (RFC 9449).
    Dpop,
    /// The client certificate of the TLS connection (RFC 8705).
    Mtls,
    /// A signature over the request (RFC 9421), with the token's key.
    HttpSignature,
    /// A workload's identity token with a proof or a signature by its key (WIMSE).
    Wimse,
}

impl BindingMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Dpop, Self::Mtls, Self::HttpSignature, Self::Wimse];

    /// The method's name in configuration, events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpop => "dpop",
            Self::Mtls => "mtls",
            Self::HttpSignature => "httpsig",
            Self::Wimse => "wimse",
        }
    }

    /// The method with this name, compared exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Dpop => 1,
            Self::Mtls => 2,
            Self::HttpSignature => 4,
            Self::Wimse => 8,
        }
    }
}

impl fmt::Display for BindingMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of methods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BindingMethods(u8);

impl BindingMethods {
    /// Every method.
    pub const ALL: Self = Self::of(&BindingMethod::ALL);

    /// The set of these methods.
    #[must_use]
    pub const fn of(methods: &[BindingMethod]) -> Self {
        let mut bits = 0;
        let mut rest = methods;
        while let [method, after @ ..] = rest {
            bits |= method.bit();
            rest = after;
        }
        Self(bits)
    }

    /// Whether the method is in the set.
    #[must_use]
    pub const fn contains(self, method: BindingMethod) -> bool {
        self.0 & method.bit() != 0
    }

    /// The methods that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The methods of the set.
    pub fn iter(self) -> impl Iterator<Item = BindingMethod> {
        BindingMethod::ALL
            .into_iter()
            .filter(move |method| self.contains(*method))
    }
}

impl fmt::Display for BindingMethods {
    /// The names, separated by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(method.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for BindingMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{BindingMethod, BindingMethods};

    #[test]
    fn a_set_holds_what_it_was_made_of_and_nothing_else() {
        for bits in 0..16_u8 {
            let members: Vec<_> = BindingMethod::ALL
                .into_iter()
                .filter(|method| bits & method.bit() != 0)
                .collect();
            let set = BindingMethods::of(&members);
            assert_eq!(set.iter().collect::<Vec<_>>(), members);
        }
        assert!(!BindingMethods::of(&[]).contains(BindingMethod::Dpop));
    }

    #[test]
    fn names_lead_back_to_their_methods() {
        for method in BindingMethod::ALL {
            assert_eq!(BindingMethod::from_name(method.name()), Some(method));
        }
        assert_eq!(BindingMethod::from_name("DPoP"), None);
        assert_eq!(BindingMethods::ALL.to_string(), "dpop mtls httpsig wimse");
    }
}
