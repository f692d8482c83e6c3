//! What a verifier asks of a signature beyond its being valid (RFC 9421
//! section 3.2.1): which one counts, what it must cover, which parameters it
//! must and must not have, and when it was made.

use super::algorithm::SignatureAlgorithms;
use crate::dpop::ProofWindow;

/// A policy. The profiles in this module are made of them.
#[derive(Clone, Copy, Debug)]
pub struct SignatureRules<'a> {
    /// Which signature of the message counts. Labels never decide.
    pub select: Select<'a>,
    /// What must be covered.
    pub cover: &'a [Cover<'a>],
    /// Parameters that must be there: `created`, `nonce`, `wimse-aud`.
    pub require: &'a [&'a str],
    /// Parameters that must not be there.
    pub forbid: &'a [&'a str],
    /// How far `created` may be from now, where it is there.
    pub window: ProofWindow,
    /// The most seconds from `created` to `expires`, where both are there.
    pub max_lifetime: Option<u64>,
    /// Algorithms that are taken.
    pub algorithms: SignatureAlgorithms,
    /// Where the message may carry the key itself.
    pub inline_key: InlineKeySource,
    /// The most bytes of `Signature-Input` and `Signature` together.
    pub max_bytes: usize,
}

impl Default for SignatureRules<'_> {
    /// The only signature there is, over method and target, made in the last 60 seconds, with an
    /// elliptic curve.
    fn default() -> Self {
        Self {
            select: Select::Only,
            cover: const { &[Cover::always("@method"), Cover::always("@target-uri")] },
            require: &["created"],
            forbid: &[],
            window: ProofWindow::default(),
            max_lifetime: None,
            algorithms: SignatureAlgorithms::CURVES,
            inline_key: InlineKeySource::None,
            max_bytes: 8192,
        }
    }
}

/// Which signature counts. Two that fit are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select<'a> {
    /// The one whose `keyid` is this.
    KeyId(&'a str),
    /// The one there is; another signature beside it is refused.
    Only,
    /// The one whose `tag` is this.
    Tag(&'a str),
}

/// Where the key may come from, other than from what the caller trusts already. Such a key is
/// nobody's until it is compared with a key or thumbprint that the caller trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InlineKeySource {
    /// Keys in the message are not looked at.
    None,
    /// The parameters `alg` and `pub` (draft-richer-oauth-httpsig-03 section 4).
    Parameters,
    /// The member of the same label in `Signature-Key`, scheme `hwk`
    /// (draft-hardt-httpbis-signature-key-04), which must be covered.
    SignatureKey,
}

/// One thing that must be covered.
#[derive(Clone, Copy, Debug)]
pub struct Cover<'a> {
    /// One of these must be: derived components or whole fields.
    pub(super) any_of: &'a [&'a str],
    pub(super) name: &'a str,
    pub(super) when: When,
    /// Whether the component is one of the request that a response answers.
    pub(super) of_request: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Where the message has the field.
    Present,
}

impl<'a> Cover<'a> {
    /// A component that must be covered: `@method`, `authorization`.
    #[must_use]
    pub const fn always(name: &'a str) -> Self {
        Self {
            any_of: &[],
            name,
            when: When::Always,
            of_request: false,
        }
    }

    /// A field that must be covered where the message has it.
    #[must_use]
    pub const fn if_present(name: &'a str) -> Self {
        Self {
            when: When::Present,
            ..Self::always(name)
        }
    }

    /// At least one of these must be covered.
    #[must_use]
    pub const fn any_of(names: &'a [&'a str]) -> Self {
        Self {
            any_of: names,
            ..Self::always("")
        }
    }

    /// The same, of the request that a response answers.
    #[must_use]
    pub const fn of_request(self) -> Self {
        Self {
            of_request: true,
            ..self
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let alone = self.any_of.is_empty().then_some(self.name);
        self.any_of.iter().copied().chain(alone)
    }
}
