//! Every grant with every way to bind, from one table: what was bound stays bound to the same with
//! the right evidence, and nothing comes out with another's or without.

use keybound_custody::{Signer, SoftwareKey};
use keybound_issuer::config::{
    Approval, AuthorizationConfig, CertificateRenewal, CertificateUse, CertificatesConfig,
    GrantType, IssuerConfig,
};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::jose::Algorithm;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;
use rcgen::KeyPair;
use serde_json::Value;

use crate::certificates::{ALIAS, REQUIRED, request, self_signed};
use crate::world::{MAIN, Reply, SECRET, World, basic, claims, encode, full, proof};

const REDIRECT: &str = "http://127.0.0.1/callback";
const VERIFIER: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Key,
    Certificate,
    Both,
}

impl Bound {
    const ALL: [Self; 3] = [Self::Key, Self::Certificate, Self::Both];

    const fn by_key(self) -> bool {
        matches!(self, Self::Key | Self::Both)
    }

    const fn by_certificate(self) -> bool {
        matches!(self, Self::Certificate | Self::Both)
    }

    const fn usage(self) -> CertificateUse {
        match self {
            Self::Key => CertificateUse {
                required: false,
                sufficient: false,
                renewal: CertificateRenewal::Refused,
            },
            Self::Certificate => REQUIRED,
            Self::Both => CertificateUse {
                sufficient: false,
                ..REQUIRED
            },
        }
    }
}

/// What a holder has.
struct Holding {
    key: SoftwareKey,
    certificate: PeerCertificate,
}

impl Holding {
    fn new() -> Self {
        Self {
            key: SoftwareKey::generate(Algorithm::Es256).unwrap(),
            certificate: self_signed("holder", &KeyPair::generate().unwrap()),
        }
    }
}

struct Table {
    world: World,
    bound: Bound,
    mine: Holding,
    other: Holding,
}

impl Table {
    async fn new(bound: Bound) -> Self {
        let change = |config: &mut IssuerConfig| {
            full(config);
            config.certificates = Some(CertificatesConfig {
                alias: Some(HttpUrl::parse(ALIAS).unwrap()),
            });
            config.authorization = Some(AuthorizationConfig {
                code_ttl: 60,
                request_ttl: 90,
                pushed_only: false,
                approval: Approval::Automatic {
                    identity: "person".to_owned(),
                },
            });
            let client = &mut config.clients[0];
            assert_eq!(client.id, "basic");
            client.grants = GrantType::ALL.to_vec();
            client.redirect_uris = vec![REDIRECT.to_owned()];
            client.certificate = bound.usage();
        };
        Self {
            world: World::with(change).await,
            bound,
            mine: Holding::new(),
            other: Holding::new(),
        }
    }

    /// A token request with the evidence of this key and certificate, as far as there is any.
    async fn ask(
        &self,
        form: &[(&str, &str)],
        key: Option<&Holding>,
        certificate: Option<&Holding>,
    ) -> Reply {
        let subject = form.iter().find(|(name, _)| *name == "subject_token");
        let proof = key.map(|holding| {
            proof(&holding.key, "/token", self.world.now(), |claims| {
                if let Some((_, token)) = subject {
                    claims["ath"] = TokenHash::of(token.as_bytes()).to_ath().into();
                }
            })
        });
        let authorization = basic("basic", SECRET);
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(proof.as_deref().map(|proof| ("dpop", proof)));
        let certificate = certificate.map(|holding| &holding.certificate);
        let request = request("/token", form, &headers, certificate);
        self.world.send(request).await
    }

    /// The same with all that binds, and nothing else.
    async fn ask_as(&self, form: &[(&str, &str)], who: &Holding) -> Reply {
        let key = self.bound.by_key().then_some(who);
        let certificate = self.bound.by_certificate().then_some(who);
        self.ask(form, key, certificate).await
    }

    async fn code(&self) -> String {
        let jkt = self.mine.key.public_key().thumbprint().to_string();
        let challenge = TokenHash::of(VERIFIER.as_bytes()).to_ath();
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", "basic"),
            ("redirect_uri", REDIRECT),
            ("code_challenge_method", "S256"),
            ("code_challenge", &challenge),
            ("resource", MAIN),
        ];
        if self.bound.by_key() {
            query.push(("dpop_jkt", &jkt));
        }
        let reply = self
            .world
            .get(&format!("/authorize?{}", encode(&query)))
            .await;
        let location = reply.headers["location"].to_str().unwrap();
        let code = location
            .split(['?', '&'])
            .find_map(|pair| pair.strip_prefix("code="));
        code.unwrap().to_owned()
    }

    /// Whether the answer has a token that is bound to all that is mine and binds.
    fn is_mine(&self, reply: &Reply) -> bool {
        let answer = reply.json();
        let token = claims(answer["access_token"].as_str().unwrap());
        let jkt = self.mine.key.public_key().thumbprint().to_string();
        let thumbprint = self.mine.certificate.thumbprint().to_string();
        let is = |name: &str, value: &str, wanted: bool| {
            token["cnf"][name]
                == if wanted {
                    Value::from(value)
                } else {
                    Value::Null
                }
        };
        is("jkt", &jkt, self.bound.by_key())
            && is("x5t#S256", &thumbprint, self.bound.by_certificate())
    }

    /// Wrong and absent, in each part that binds; then right.
    async fn check(&self, form: &[(&str, &str)], is_tied: bool) -> Value {
        let place = format!("{:?} {}", self.bound, form[0].1);
        let (mine, other) = (Some(&self.mine), Some(&self.other));
        let mut wrong = vec![(None, None)];
        if self.bound.by_key() && self.bound.by_certificate() {
            wrong.extend([(mine, None), (None, mine)]);
        }
        if is_tied {
            wrong.extend(match self.bound {
                Bound::Key => vec![(other, None), (other, mine), (None, mine)],
                Bound::Certificate => vec![(None, other), (mine, None), (mine, other)],
                Bound::Both => vec![(other, mine), (mine, other), (other, other)],
            });
        }
        for (key, certificate) in wrong {
            let reply = self.ask(form, key, certificate).await;
            assert!(reply.status.is_client_error(), "{place}: {}", reply.text);
            assert!(reply.json().get("access_token").is_none(), "{place}");
        }
        let reply = self.ask_as(form, &self.mine).await;
        assert_eq!(reply.status, 200, "{place}: {}", reply.text);
        assert!(self.is_mine(&reply), "{place}: {}", reply.text);
        reply.json()
    }
}

#[tokio::test]
async fn sc_110_no_grant_loses_or_changes_a_binding() {
    for bound in Bound::ALL {
        let table = Table::new(bound).await;
        let own = [("grant_type", "client_credentials"), ("resource", MAIN)];
        table.check(&own, false).await;

        let code = table.code().await;
        let redeem = [
            ("grant_type", "authorization_code"),
            ("redirect_uri", REDIRECT),
            ("code", &code),
            ("code_verifier", VERIFIER),
        ];
        // A code knows the key it was asked for with; a certificate is shown first with the code.
        let given = table.check(&redeem, bound == Bound::Key).await;

        let refresh = given["refresh_token"].as_str().unwrap();
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let refreshed = table.check(&refresh, true).await;

        for answer in [given, refreshed] {
            let subject = answer["access_token"].as_str().unwrap();
            let exchange = [
                ("grant_type", EXCHANGE),
                ("subject_token", subject),
                ("subject_token_type", ACCESS_TOKEN),
            ];
            let exchanged = table.check(&exchange, true).await;
            let again = exchanged["access_token"].as_str().unwrap();
            let again = [exchange[0], ("subject_token", again), exchange[2]];
            table.check(&again, true).await;
        }
    }
}
