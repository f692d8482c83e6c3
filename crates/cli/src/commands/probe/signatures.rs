//! What a target wants signed beside the proof (RFC 9421), for the cases of
//! HTTP message signatures.

use clap::Args;
use keybound_probe::SignatureProfile;

/// HTTP message signatures of good requests.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP message signatures")]
pub(super) struct SignatureArguments {
    /// Sign requests with the token's key (RFC 9421), and ask about these signatures
    #[arg(long)]
    sign: bool,

    /// Components to cover, for example `@method,@target-uri,authorization` [default: these and
    /// `content-digest`]
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "sign")]
    sign_components: Vec<String>,

    /// The label of the signature
    #[arg(long, value_name = "LABEL", default_value = "sig1", requires = "sign")]
    sign_label: String,

    /// The `tag` of the signature
    #[arg(long, value_name = "TAG", requires = "sign")]
    sign_tag: Option<String>,

    /// The `keyid` of the signature
    #[arg(long, value_name = "ID", requires = "sign")]
    sign_keyid: Option<String>,

    /// The scheme the token is sent under; with `DPoP`, a proof is sent as well
    #[arg(
        long,
        value_name = "SCHEME",
        default_value = "Bearer",
        requires = "sign"
    )]
    sign_scheme: String,

    /// Send `alg` with the signature
    #[arg(long, requires = "sign")]
    sign_alg: bool,
}

impl SignatureArguments {
    /// The profile, where signatures are asked about.
    pub(super) fn profile(&self) -> Option<SignatureProfile> {
        if !self.sign {
            return None;
        }
        let mut profile = SignatureProfile {
            label: self.sign_label.clone(),
            tag: self.sign_tag.clone(),
            keyid: self.sign_keyid.clone(),
            names_algorithm: self.sign_alg,
            scheme: self.sign_scheme.clone(),
            ..SignatureProfile::default()
        };
        if !self.sign_components.is_empty() {
            profile.components.clone_from(&self.sign_components);
        }
        Some(profile)
    }
}
