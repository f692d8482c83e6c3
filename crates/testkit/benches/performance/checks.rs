//! One check in the guard, for each method of binding, against the bare cryptographic operations
//! it cannot do without.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use keybound_custody::SoftwareKey;
use keybound_guard::keys::IssuerConfig;
use keybound_guard::workload::TrustDomainConfig;
use keybound_guard::{Fields, Guard, GuardConfig, NullSink, Route};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::jose::Algorithm;
use keybound_proto::time::ManualClock;
use keybound_proto::uri::{HttpUrl, Htu, Origin};
use keybound_proto::verify::{HeaderField, Message, Presented};
use keybound_proto::workload::IdentityRule;
use tokio::runtime::Runtime;

use crate::bare::{BATCH, Bare, per_operation};
use crate::load::KeyServer;
use crate::methods::{self, Mesh, Method};
use crate::roles::{NOW, RESOURCE};
use crate::row::{REPORTED, median, print};

pub(crate) const ORIGIN: &str = "https://api.example.com";
pub(crate) const PATH: &str = "/approvals";

/// A request as it comes, apart from its method and URL.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) authorization: Option<String>,
    pub(crate) proof: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) certificate: Option<PeerCertificate>,
}

/// Requests that differ in what must not come twice, and in the token if asked for.
pub(crate) struct Requests {
    pub(crate) requests: Vec<Request>,
    pub(crate) bare: Vec<Bare>,
}

/// Whom the guard trusts.
pub(crate) struct World {
    pub(crate) issuer: SoftwareKey,
    pub(crate) issuer_url: String,
    pub(crate) mesh: Mesh,
    guard: Guard,
    route: Route,
}

pub(crate) fn run(quick: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for method in Method::ALL {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let world = World::new(method, algorithm);
            for seen in [true, false] {
                let (ours, bare) = measure(&runtime, &world, (method, algorithm, seen), quick);
                report((method, algorithm, seen), ours, bare);
            }
        }
    }
}

type Case = (Method, Algorithm, bool);

fn report((method, algorithm, seen): Case, ours: f64, bare: f64) {
    let state = if seen {
        "token seen before"
    } else {
        "token not seen before"
    };
    let what = format!(
        "one {} check in the guard, {}, {state}",
        method.name(),
        algorithm.name()
    );
    let at_most = |limit: f64| (format!("at most {limit:.2} x"), ours <= limit * bare);
    let (target, met) = match (method, seen) {
        (Method::Dpop, true) => at_most(1.10),
        (Method::Dpop, false) => at_most(1.08),
        (Method::Mtls, true) => ("under 2 us".to_owned(), ours < 2.0),
        _ => (REPORTED.0.to_owned(), REPORTED.1),
    };
    print(
        &what,
        "us",
        ours,
        (method.baseline(seen), bare),
        (&target, met),
    );
}

/// Microseconds of a check and of what it cannot do without.
fn measure(runtime: &Runtime, world: &World, case: Case, quick: bool) -> (f64, f64) {
    let count = if quick { 200 } else { 1_000 };
    let samples = if quick { 3 } else { 15 };
    let mut ours = Vec::new();
    let mut bare = Vec::new();
    for _ in 0..samples {
        let requests = methods::requests(world, case, count);
        // The first batch lets the guard know the issuer's keys and, where wanted, the token.
        let starts = (0..count).step_by(BATCH);
        for start in starts {
            let numbers = start..(start + BATCH).min(count);
            let time = runtime.block_on(world.batch(&requests.requests[numbers.clone()]));
            if start > 0 {
                ours.push(time);
                bare.push(sum(&requests.bare, numbers));
            }
        }
    }
    (median(ours), median(bare))
}

fn sum(bare: &[Bare], numbers: Range<usize>) -> f64 {
    bare.iter().map(|bare| bare.batch(numbers.clone())).sum()
}

impl World {
    fn new(method: Method, algorithm: Algorithm) -> Self {
        let signs = method.issuer_algorithm(algorithm);
        let issuer = SoftwareKey::generate(signs).expect("a key");
        let server = KeyServer::start(&issuer);
        let mesh = Mesh::new();
        let mut route = Route::new("bench", RESOURCE);
        let mut domains = Vec::new();
        if method == Method::Wimse {
            domains.push(mesh.domain.clone());
            route.identities = vec![IdentityRule::parse(methods::IDENTITIES).expect("a rule")];
        }
        Self {
            guard: guard(&server.url, domains),
            issuer,
            issuer_url: server.url,
            mesh,
            route,
        }
    }

    /// Microseconds per check.
    async fn batch(&self, requests: &[Request]) -> f64 {
        let target = Htu::parse(&format!("{ORIGIN}{PATH}")).expect("a URL");
        let origin = Origin::parse(ORIGIN).expect("an origin");
        let start = Instant::now();
        for request in requests {
            let presented = Presented {
                method: "GET",
                target: &target,
                authorization: field(request.authorization.as_deref()),
                proof: field(request.proof.as_deref()),
                message: Message {
                    certificate: request.certificate.as_ref(),
                    certificate_hash: None,
                    origin: Some(&origin),
                    request_target: PATH,
                    fields: &Fields(&request.headers),
                    has_content: false,
                },
            };
            let checked = self.guard.check(&presented, &self.route).await;
            checked.expect("a good request");
        }
        per_operation(start, requests.len())
    }
}

fn field(text: Option<&str>) -> HeaderField<'_> {
    text.map_or(HeaderField::Absent, |text| {
        HeaderField::One(text.as_bytes())
    })
}

fn guard(issuer: &str, trust_domains: Vec<TrustDomainConfig>) -> Guard {
    let mut trusted = IssuerConfig::new(HttpUrl::parse(issuer).expect("a URL"));
    trusted.algorithms = keybound_proto::jose::AlgorithmSet::PROOF_DEFAULT;
    let mut config = GuardConfig::new("bench", vec![trusted], [1; 32]);
    config.trust_domains = trust_domains;
    config.replay.first_run = true;
    config.replay.capacity = 4_000_000;
    config.replay.per_sender = 1_000_000;
    Guard::new(config, Arc::new(ManualClock::at(NOW)), Arc::new(NullSink)).expect("a guard")
}
