//! What one token request comes to, whatever its grant type, and what of it is kept for later
//! ones.
//!
//! A [`Grant`] says about whom the token is, for what, until when at most, and who has to hold
//! it. [`Grant::holder`] is a demand on what is proven in the request that mints; nothing here
//! looks at a proof. An [`Entitlement`] is what a person or an operator allowed a client to have
//! again and again; narrowing it is the only change there is.

use keybound_proto::cause::Cause;
use keybound_proto::certificate::CertificateThumbprint;
use keybound_proto::jose::Jkt;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{Binding, Delegation};
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::resource::{self, Resource};
use super::scope::Scopes;

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `sub`: the identity the token is about.
    pub identity: String,
    /// `aud`: one resource, or several in the order asked.
    pub audience: Vec<String>,
    /// `scope`; may be empty.
    pub scopes: Scopes,
    /// `authorization_details` (RFC 9396), as JSON text.
    pub details: Option<String>,
    /// Actors and ancestors.
    pub delegation: Delegation,
    /// When the token ends at the latest.
    pub not_after: Option<UnixTime>,
    /// Who has to hold the token.
    pub holder: Holder,
}

/// Who has to hold what is minted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The thumbprint of the key that has to be proven; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// `x5t#S256` of the certificate that has to be proven; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// How many of the two have to be proven at least, whichever they are.
    #[serde(skip)]
    pub factors: usize,
}

impl Holder {
    /// Whoever holds what is minted with this binding.
    #[must_use]
    pub fn of(binding: &Binding) -> Self {
        let certificate = binding.certificate();
        Self {
            // Where a certificate alone binds, its key is no proof of its own.
            jkt: match binding {
                Binding::Constrained(constraint) if constraint.needs_proof() => {
                    constraint.jkt().as_ref().map(Jkt::to_string)
                }
                Binding::Constrained(_) | Binding::Unconstrained(_) => None,
            },
            certificate: certificate.as_ref().map(CertificateThumbprint::to_string),
            factors: 0,
        }
    }

    /// The holder of this key.
    #[must_use]
    pub fn of_key(jkt: &str) -> Self {
        Self {
            jkt: Some(jkt.to_owned()),
            certificate: None,
            factors: 0,
        }
    }

    /// Whether what is proven is what has to be.
    ///
    /// # Errors
    /// [`Cause::GrantKeyMismatch`], [`Cause::ExchangeBinding`].
    pub fn check(&self, binding: &Binding) -> Result<(), Rejection> {
        let proven = Self::of(binding);
        let fits = |wanted: &Option<String>, proven: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| proven.as_ref() == Some(wanted))
        };
        if fits(&self.jkt, &proven.jkt) && fits(&self.certificate, &proven.certificate) {
            let factors =
                usize::from(proven.jkt.is_some()) + usize::from(proven.certificate.is_some());
            return if factors < self.factors {
                Err(Cause::ExchangeBinding.into())
            } else {
                Ok(())
            };
        }
        let wanted = self.jkt.as_ref().or(self.certificate.as_ref());
        let proven = proven.jkt.or(proven.certificate);
        Err(Rejection::new(Cause::GrantKeyMismatch)
            .expected(wanted.cloned().unwrap_or_default())
            .got(proven.unwrap_or_else(|| "no key".to_owned())))
    }
}

/// What a client may have again and again, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// About whom.
    pub identity: String,
    /// The resources, at most.
    pub audience: Vec<String>,
    /// The scopes, at most, as text.
    pub scope: String,
    /// `authorization_details`, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Who has to hold what comes of it.
    #[serde(default)]
    pub holder: Holder,
}

impl Entitlement {
    /// The grant of a request under this entitlement, which may ask for less (RFC 6749
    /// section 6, RFC 8707 section 2.2). Resources that are configured no longer are gone.
    ///
    /// # Errors
    /// [`Cause::ResourceInvalid`], [`Cause::ScopeInvalid`].
    pub fn narrow(
        &self,
        form: &Form<'_>,
        known: &[Resource],
        grant_id: Option<&str>,
    ) -> Result<Grant, Rejection> {
        let asked = form.values("resource");
        let resources = if form.value("resource").is_some() {
            resource::choose(asked, &self.audience, known)?
        } else {
            resource::choose(
                self.audience.iter().map(String::as_str),
                &self.audience,
                known,
            )?
        };
        let entitled = if self.scope.is_empty() {
            Scopes::default()
        } else {
            Scopes::parse(&self.scope)?
        };
        let available = resource::scopes_of(&resources).intersection(&entitled);
        Ok(Grant {
            identity: self.identity.clone(),
            scopes: choose_scopes(form.value("scope"), available)?,
            audience: resource::identifiers(resources),
            details: self.details.clone(),
            delegation: Delegation {
                ancestors: grant_id.map(str::to_owned).into_iter().collect(),
                ..Delegation::default()
            },
            not_after: None,
            holder: self.holder.clone(),
        })
    }
}

/// Everything available where nothing is asked (RFC 6749 section 3.3), else
/// exactly what is asked: a request that exceeds it is refused, not narrowed.
///
/// # Errors
/// [`Cause::ScopeInvalid`].
pub fn choose_scopes(asked: Option<&str>, available: Scopes) -> Result<Scopes, Rejection> {
    let Some(asked) = asked else {
        return Ok(available);
    };
    let asked = Scopes::parse(asked)?;
    match asked.first_outside(&available) {
        Some(outside) => Err(Rejection::new(Cause::ScopeInvalid)
            .expected(available.to_string())
            .got(outside)),
        None => Ok(asked),
    }
}
