//! Issuer, control plane, gateway and a recording upstream on loopback sockets.

mod agent;
mod logs;
mod parts;
mod requests;
mod upstream;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keybound_control::{KeyPurpose, Store};
use keybound_custody::SoftwareKey;
use keybound_guard::Guard;
use keybound_proto::jose::Algorithm;
use keybound_proto::time::{Clock, ManualClock, UnixTime};
use tempfile::TempDir;

pub use self::agent::Agent;
use self::parts::Part;
pub use self::upstream::{RecordedRequest, Upstream};

/// What a test changes about the world before it starts.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// The algorithm of the agents' proof keys.
    pub proof_algorithm: Algorithm,
    /// Records the gateway's replay log holds.
    pub replay_capacity: usize,
    /// Live records of one key.
    pub replay_per_sender: usize,
    /// Address of the replay log that gateways share; `None`: in memory.
    pub replay: Option<String>,
    /// Whether the route `/approvals` requires nonces.
    pub route_nonce: bool,
    /// Whether the issuer requires nonces.
    pub issuer_nonce: bool,
    /// Seconds after which an unheard revocation feed refuses requests.
    pub revocation_max_age: Option<u64>,
    /// Who may register: `open`, `closed`, or `token` with the initial access token `initial`.
    pub registration: String,
    /// Whether the gateway asks the issuer about every token instead of verifying it.
    pub introspection: bool,
    /// Whether the issuer takes client certificates; its client `certificate-bound` then must
    /// have one.
    pub certificates: bool,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            proof_algorithm: Algorithm::EdDsa,
            replay_capacity: 100_000,
            replay_per_sender: 50_000,
            replay: None,
            route_nonce: false,
            issuer_nonce: false,
            revocation_max_age: None,
            registration: "open".to_owned(),
            introspection: false,
            certificates: false,
        }
    }
}

/// Everything, running. Dropping it ends it.
#[derive(Debug)]
pub struct World {
    /// The issuer's URL, without a final slash.
    pub issuer: String,
    /// The gateway's origin.
    pub gateway: String,
    /// The control plane's origin.
    pub control: String,
    /// The clock of every part.
    pub clock: ManualClock,
    /// The client most tests act as.
    pub agent: Agent,
    /// A client that authenticates by secret: id and secret.
    pub secret_client: (String, String),
    /// What stands behind the gateway.
    pub upstream: Upstream,
    options: WorldOptions,
    store: Store,
    guard: Guard,
    pub(crate) issuer_key: (String, Arc<SoftwareKey>),
    jwks_fetches: Arc<AtomicUsize>,
    silent: (std::net::TcpListener, String),
    directory: TempDir,
    issuer_part: Option<Part>,
    control_part: Part,
    gateway_part: Option<Part>,
}

impl World {
    /// A world with the default options.
    pub async fn start() -> Self {
        Self::with(WorldOptions::default()).await
    }

    /// A world with these options.
    pub async fn with(options: WorldOptions) -> Self {
        logs::capture();
        let clock = ManualClock::at(wall_clock());
        let directory = TempDir::new().expect("a temporary directory");
        let upstream = Upstream::start().await;
        let silent = parts::silent_upstream();
        let places = parts::Places::bind().await;
        let mut agent = Agent::new("agent");
        if options.proof_algorithm != Algorithm::EdDsa {
            agent.proof_key =
                Arc::new(SoftwareKey::generate(options.proof_algorithm).expect("a key"));
        }
        let store = parts::open_store(directory.path(), &clock);
        let secret_client = ("with-secret".to_owned(), parts::client_secret());
        let jwks_fetches = Arc::new(AtomicUsize::new(0));
        let (issuer, gateway, control) = places.origins();
        let setting = parts::Setting {
            issuer: &issuer,
            gateway: &gateway,
            control: &control,
            options: &options,
            clock: &clock,
            store: &store,
            directory: directory.path(),
            upstream: &upstream.origin,
            silent: &silent.1,
        };
        let issuer_part = parts::start_issuer(
            &setting,
            places.issuer,
            &secret_client,
            Arc::clone(&jwks_fetches),
        )
        .await;
        let control_part = parts::start_control(&setting, places.control).await;
        let (gateway_part, guard) = parts::start_gateway(&setting, places.gateway, true);
        let issuer_key = issuer_key(&store).await;
        Self {
            issuer,
            gateway,
            control,
            clock,
            agent,
            secret_client,
            upstream,
            store,
            guard,
            issuer_key,
            jwks_fetches,
            issuer_part: Some(issuer_part),
            control_part,
            gateway_part: Some(gateway_part),
            directory,
            silent,
            options,
        }
    }

    /// The time of every part.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Stops the gateway and starts it again on the same port, its memory gone.
    pub async fn restart_gateway(&mut self) {
        let part = self.gateway_part.take().expect("a running gateway");
        let address = part.address;
        part.stop().await;
        let bound = parts::bind_gateway(address).await;
        let setting = parts::Setting {
            issuer: &self.issuer,
            gateway: &self.gateway,
            control: &self.control,
            options: &self.options,
            clock: &self.clock,
            store: &self.store,
            directory: self.directory.path(),
            upstream: &self.upstream.origin,
            silent: &self.silent.1,
        };
        let (part, guard) = parts::start_gateway(&setting, bound, false);
        self.gateway_part = Some(part);
        self.guard = guard;
    }

    /// Stops the issuer: its keys and tokens can no longer be fetched.
    pub async fn stop_issuer(&mut self) {
        self.issuer_part
            .take()
            .expect("a running issuer")
            .stop()
            .await;
    }

    /// Stops the control plane: the gateway hears of no revocation any more.
    pub async fn stop_control(&mut self) {
        let dead = Part::dead(self.control_part.address);
        std::mem::replace(&mut self.control_part, dead).stop().await;
    }

    /// Makes every attempt to record a token fail, as a broken disk would.
    pub fn break_store(&self) {
        self.rename_table("tokens", "tokens_gone");
    }

    /// Ends what [`World::break_store`] began.
    pub fn mend_store(&self) {
        self.rename_table("tokens_gone", "tokens");
    }

    fn rename_table(&self, from: &str, to: &str) {
        let connection = rusqlite::Connection::open(self.directory.path().join("keybound.db"))
            .expect("the database");
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .expect("a connection");
        let statement = format!("ALTER TABLE {from} RENAME TO {to}");
        connection.execute_batch(&statement).expect("the table");
    }

    /// The store behind issuer and control plane.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The gateway's guard.
    #[must_use]
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// How often somebody fetched the issuer's keys.
    #[must_use]
    pub fn jwks_fetches(&self) -> usize {
        self.jwks_fetches.load(Ordering::SeqCst)
    }

    /// Everything the process has logged so far, by whichever test.
    #[must_use]
    pub fn logs(&self) -> String {
        logs::text()
    }

    /// The gateway's metrics in Prometheus text form.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.guard.render_metrics()
    }

    /// Live records in the gateway's replay log.
    #[must_use]
    pub fn replay_entries(&self) -> u64 {
        let metrics = self.metrics();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("keybound_replay_store_entries"));
        let value = line
            .and_then(|line| line.rsplit(' ').next())
            .and_then(|value| value.parse().ok());
        value.expect("the metric of the replay log")
    }

    /// The bytes of the database and its write-ahead log, as text with holes.
    #[must_use]
    pub fn database_bytes(&self) -> String {
        let mut text = String::new();
        for file in std::fs::read_dir(self.directory.path()).expect("the directory") {
            let path: PathBuf = file.expect("an entry").path();
            if path.is_file() {
                let bytes = std::fs::read(&path).expect("a readable file");
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        text
    }
}

/// The present, in seconds. Peers of the world stamp answers with the system's time, and
/// holders learn from those stamps, so the hand-driven clock starts there.
#[expect(
    clippy::disallowed_methods,
    reason = "the one reading of the system's clock in the harness"
)]
fn wall_clock() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs()
}

async fn issuer_key(store: &Store) -> (String, Arc<SoftwareKey>) {
    let keys = store
        .signing_keys(KeyPurpose::Issuer)
        .await
        .expect("the issuer's keys");
    let now = keys
        .iter()
        .min_by_key(|key| key.active_from)
        .expect("a signing key");
    let key = SoftwareKey::from_pkcs8_der(&now.pkcs8).expect("a stored key");
    (now.kid.clone(), Arc::new(key))
}
