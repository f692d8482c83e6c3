//! The checks that several sections share. Each answers with the valid value
//! or notes a problem at the key's place.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use keybound_proto::jose::{Algorithm, AlgorithmSet, Signer};
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_proto::verify::Profile;
use zeroize::Zeroizing;

use crate::config::Loaded;
use crate::config::duration;
use crate::config::model::{ProofAlg, ProofSection, StoreSection};
use crate::config::problem::{Place, Problem};
use crate::config::secret::{self, Secret32, SecretError};
use crate::config::source;

/// Collects what is wrong with a configuration.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    loaded: &'a Loaded,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Checker<'a> {
    pub(super) const fn new(loaded: &'a Loaded) -> Self {
        Self {
            loaded,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) const fn loaded(&self) -> &'a Loaded {
        self.loaded
    }

    /// All problems, and all warnings.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>, help: Option<&str>) {
        let problem = Problem::new(key, self.loaded.place(key), message);
        self.problems.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    pub(super) fn warning(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let problem = Problem::new(key, self.loaded.place(key), message).help(help);
        self.warnings.push(problem);
    }

    /// An address to listen on without TLS: loopback only.
    pub(super) fn listen(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let address = self.address(key, text)?;
        if !address.ip().to_canonical().is_loopback() {
            let message = format!("`{key}` would listen off loopback without TLS (`{text}`)");
            let help = "listen on 127.0.0.1; issuer and gateway serve TLS off loopback with `[issuer.tls]` and `[gateway.tls]`";
            self.problem(key, message, Some(help));
            return None;
        }
        Some(address)
    }

    /// An address and a port.
    pub(super) fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let spelled = text
            .strip_prefix("localhost:")
            .map(|port| format!("127.0.0.1:{port}"));
        let parsed = spelled.as_deref().unwrap_or(text).parse::<SocketAddr>();
        if parsed.is_err() {
            let message = format!("`{key}` takes an address and a port, not `{text}`");
            self.problem(
                key,
                message,
                Some("write it like `127.0.0.1:9400` or `[::1]:9400`"),
            );
        }
        parsed.ok()
    }

    /// An absolute URL: `https`, or `http` on loopback.
    pub(super) fn url(&mut self, key: &str, text: &str) -> Option<HttpUrl> {
        let url = match HttpUrl::parse(text) {
            Ok(url) => url,
            Err(error) => {
                let message = format!("`{key}` is no absolute http or https URL: {error}");
                self.problem(key, message, None);
                return None;
            }
        };
        self.confidential(key, url.origin()).then_some(url)
    }

    /// An origin: scheme, host and port, nothing after.
    pub(super) fn origin(&mut self, key: &str, text: &str) -> Option<Origin> {
        let origin = match Origin::parse(text) {
            Ok(origin) => origin,
            Err(error) => {
                let message =
                    format!("`{key}` is no origin (scheme, host, port, nothing after): {error}");
                self.problem(
                    key,
                    message,
                    Some("write it like `https://api.example.com`"),
                );
                return None;
            }
        };
        self.confidential(key, &origin).then_some(origin)
    }

    /// A list of origins.
    pub(super) fn origins(&mut self, key: &str, texts: &[String]) -> Option<Vec<Origin>> {
        let checked: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(position, text)| self.origin(&format!("{key}[{position}]"), text))
            .collect();
        checked.into_iter().collect()
    }

    /// Where requests are forwarded: any origin, for it is the operator's own
    /// network.
    pub(super) fn upstream(&mut self, key: &str, text: &str) -> Option<Origin> {
        match Origin::parse(text) {
            Ok(origin) => Some(origin),
            Err(error) => {
                let message =
                    format!("`{key}` is no origin (scheme, host, port, nothing after): {error}");
                self.problem(key, message, Some("write it like `http://127.0.0.1:8080`"));
                None
            }
        }
    }

    fn confidential(&mut self, key: &str, origin: &Origin) -> bool {
        let confidential = origin.is_confidential();
        if !confidential {
            let message = format!("`{key}` is plain http and not on loopback");
            self.problem(
                key,
                message,
                Some("use https: tokens and proofs would travel readable"),
            );
        }
        confidential
    }

    /// A duration within a range of seconds.
    pub(super) fn duration(
        &mut self,
        key: &str,
        text: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let Some(seconds) = duration::parse(text) else {
            let message = format!("`{key}` takes a duration, not `{text}`");
            self.problem(
                key,
                message,
                Some("write it like `30s`, `5m`, `1h` or `30d`"),
            );
            return None;
        };
        if !range.contains(&seconds) {
            let (least, most) = (
                duration::display(*range.start()),
                duration::display(*range.end()),
            );
            self.problem(
                key,
                format!("`{key}` is `{text}`; it takes {least} to {most}"),
                None,
            );
            return None;
        }
        Some(seconds)
    }

    /// A resource indicator (RFC 8707): an absolute URI without a fragment.
    pub(super) fn resource(&mut self, key: &str, text: &str) -> Option<String> {
        match HttpUrl::parse(text) {
            Ok(_) => Some(text.to_owned()),
            Err(error) => {
                let message = format!("`{key}` is no resource indicator: {error}");
                self.problem(
                    key,
                    message,
                    Some("write an absolute URL such as `https://api.example.com/`"),
                );
                None
            }
        }
    }

    /// Which proofs are accepted.
    pub(super) fn profile(&mut self, key: &str, section: &ProofSection) -> Option<Profile> {
        let past = self.duration(&format!("{key}.past"), &section.past, 1..=300);
        let ahead = self.duration(&format!("{key}.ahead"), &section.ahead, 0..=300);
        let algorithms = self.algorithms(&format!("{key}.algorithms"), &section.algorithms);
        let mut profile = Profile::default();
        profile.window.past = past?;
        profile.window.ahead = ahead?;
        profile.proof_algorithms = algorithms?;
        Some(profile)
    }

    /// A set of algorithms with something in it.
    pub(super) fn algorithms(&mut self, key: &str, names: &[ProofAlg]) -> Option<AlgorithmSet> {
        if names.is_empty() {
            self.problem(
                key,
                format!("`{key}` is empty, so nothing would be accepted"),
                None,
            );
            return None;
        }
        let list: Vec<Algorithm> = names.iter().map(|name| algorithm(*name)).collect();
        Some(AlgorithmSet::of(&list))
    }

    /// The key that encrypts signing keys at rest.
    pub(super) fn store_key(&mut self, section: &StoreSection) -> Option<Secret32> {
        let variable = self.loaded.secrets.key_encryption_key.as_ref();
        let key = "store.key_encryption_key_file";
        match self.secret32(
            key,
            variable,
            source::KEY_ENCRYPTION_KEY,
            section.key_encryption_key_file.as_deref(),
        )? {
            Some(secret) => Some(secret),
            None => {
                let message = "`store` has no key to encrypt signing keys with";
                let help =
                    "name its file with `key_encryption_key_file` (`keybound init` makes one)";
                self.problem("store", message, Some(help));
                None
            }
        }
    }

    /// A secret of 32 bytes from a variable or a file; the inner `None` means
    /// that neither is given.
    pub(super) fn secret32(
        &mut self,
        key: &str,
        variable: Option<&Zeroizing<String>>,
        name: &str,
        file: Option<&str>,
    ) -> Option<Option<Secret32>> {
        if let Some(text) = variable {
            return match secret::decode_secret32(text, || name.to_owned()) {
                Ok(secret) => Some(Some(secret)),
                Err(error) => {
                    let place = Place::Variable(name.to_owned());
                    self.problems
                        .push(Problem::new(key, place, error.to_string()));
                    None
                }
            };
        }
        let Some(file) = file else { return Some(None) };
        match secret::read_secret32(&self.loaded.resolve(file)) {
            Ok(secret) => Some(Some(secret)),
            Err(error) => self.secret_problem(key, &error),
        }
    }

    /// As [`Checker::secret32`], from a file that may hold further secrets.
    pub(super) fn secrets32(
        &mut self,
        key: &str,
        variable: Option<&Zeroizing<String>>,
        name: &str,
        file: Option<&str>,
    ) -> Option<(Option<Secret32>, Vec<Secret32>)> {
        match (variable, file) {
            (None, Some(file)) => match secret::read_secrets32(&self.loaded.resolve(file)) {
                Ok((current, also)) => Some((Some(current), also)),
                Err(error) => self.secret_problem(key, &error),
            },
            _ => {
                let secret = self.secret32(key, variable, name, file)?;
                Some((secret, Vec::new()))
            }
        }
    }

    /// A private text, such as a client secret, from a file.
    pub(super) fn private_text(&mut self, key: &str, file: &str) -> Option<Zeroizing<String>> {
        match secret::read_private(&self.loaded.resolve(file)) {
            Ok(text) => Some(text),
            Err(error) => self.secret_problem(key, &error),
        }
    }

    fn secret_problem<T>(&mut self, key: &str, error: &SecretError) -> Option<T> {
        let help = match error {
            SecretError::Unreadable { .. } => {
                Some("the files `keybound init` makes have mode 0600 and belong to who ran it")
            }
            _ => None,
        };
        self.problem(key, format!("`{key}`: {error}"), help);
        None
    }

    /// A text file that need not be private.
    pub(super) fn text(&mut self, key: &str, file: &str) -> Option<String> {
        let path = self.loaded.resolve(file);
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.problem(
                    key,
                    format!("`{key}`: cannot read `{}`: {error}", path.display()),
                    None,
                );
                None
            }
        }
    }

    /// A private key by its URI; `file:` paths start from the file's directory.
    pub(super) fn signer(&mut self, key: &str, uri: &str) -> Option<Arc<dyn Signer>> {
        match keybound_custody::open(&self.loaded.resolve_key(uri)) {
            Ok(signer) => Some(signer),
            Err(error) => {
                self.problem(
                    key,
                    format!("`{key}`: {}", crate::failure::chain(&error)),
                    None,
                );
                None
            }
        }
    }

    /// The directory a file will be made in has to exist.
    pub(super) fn directory_of(&mut self, key: &str, path: &Path) {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if let Some(missing) = directory.filter(|directory| !directory.is_dir()) {
            let message = format!(
                "`{key}`: the directory `{}` does not exist",
                missing.display()
            );
            let help = format!("make it: `mkdir -m 700 -p {}`", missing.display());
            self.problem(key, message, Some(&help));
        }
    }
}

/// An algorithm by its name in the file.
pub(super) const fn algorithm(name: ProofAlg) -> Algorithm {
    match name {
        ProofAlg::Es256 => Algorithm::Es256,
        ProofAlg::EdDsa => Algorithm::EdDsa,
        ProofAlg::Es384 => Algorithm::Es384,
        ProofAlg::Ps256 => Algorithm::Ps256,
        ProofAlg::Rs256 => Algorithm::Rs256,
    }
}
