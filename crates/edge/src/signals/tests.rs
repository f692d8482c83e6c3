//! The follower against a control plane of a few lines.

use std::collections::BTreeMap;
use std::sync::Mutex as StdMutex;

use bytes::Bytes;
use keybound_custody::SoftwareKey;
use keybound_guard::{GuardConfig, IssuerConfig, MemorySink};
use keybound_proto::event::EventKind;
use keybound_proto::jose::{Algorithm, Jkt, Signer};
use keybound_proto::signal::{SecurityEventToken, SignalEvent, Subject};
use keybound_proto::time::{ManualClock, UnixTime};
use keybound_proto::uri::HttpUrl;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;

const NOW: u64 = 1_700_000_000;
const CONTROL: &str = "http://127.0.0.1:9402";

/// What control knows, shared with the follower's transport.
#[derive(Clone)]
struct Control(Arc<Inner>);

struct Inner {
    key: SoftwareKey,
    state: StdMutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    stream: u32,
    kid: &'static str,
    waiting: BTreeMap<String, String>,
    acknowledged: Vec<String>,
    errors: Vec<String>,
    is_down: bool,
    has_forgotten: bool,
    /// How long ago the next signal happened.
    age_ms: u64,
    /// Signals in one answer.
    page: usize,
    /// Signals that are told at the beginning of a stream.
    beginning: Vec<(Subject, u64)>,
}

impl Control {
    fn new() -> Self {
        let key = SoftwareKey::generate(Algorithm::Es256).expect("key");
        let state = State {
            kid: "kb-1",
            page: 1,
            age_ms: 40,
            ..State::default()
        };
        Self(Arc::new(Inner {
            key,
            state: StdMutex::new(state),
            changed: Notify::new(),
        }))
    }

    fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.state.lock().expect("lock"))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let outcome = work(&mut self.0.state.lock().expect("lock"));
        self.0.changed.notify_one();
        outcome
    }

    fn set(
        &self,
        id: &str,
        subject: Subject,
        event: SignalEvent,
        kid: &str,
        audience: &str,
    ) -> String {
        let signal = SecurityEventToken {
            issuer: CONTROL.to_owned(),
            audience: audience.to_owned(),
            id: id.to_owned(),
            issued_at: UnixTime::from_secs(NOW),
            subject,
            event,
            expires_at: None,
            time_ms: NOW * 1000 - self.with_state(|state| state.age_ms),
        };
        signal
            .signing_input(Algorithm::Es256, kid)
            .sign(&self.0.key)
            .expect("signed")
    }

    fn tell(&self, id: &str, subject: Subject, event: SignalEvent) {
        let set = self.set(id, subject, event, "kb-1", "gateway-1");
        self.with(|state| state.waiting.insert(id.to_owned(), set));
    }

    fn create_stream(&self) -> (u16, Bytes) {
        let beginning = self.with(|state| {
            state.stream += 1;
            state.has_forgotten = false;
            state.waiting.clear();
            state.beginning.clone()
        });
        for (index, (subject, _)) in beginning.into_iter().enumerate() {
            self.tell(&format!("begin-{index}"), subject, SignalEvent::Locked);
        }
        let id = self.with(|state| state.stream);
        let text = serde_json::json!({
            "stream_id": format!("s{id}"),
            "aud": "gateway-1",
            "delivery": {"method": "urn:ietf:rfc:8936", "endpoint_url": format!("{CONTROL}/ssf/poll?stream_id=s{id}")},
        });
        (201, Bytes::from(text.to_string()))
    }

    async fn poll(&self, body: &[u8]) -> (u16, Bytes) {
        let body: serde_json::Value = serde_json::from_slice(body).expect("json");
        let texts = |value: &serde_json::Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.map(|text| text.as_str().expect("text").to_owned())
                .collect()
        };
        let acknowledged = texts(&body["ack"]);
        let errors: Vec<String> = body["setErrs"]
            .as_object()
            .expect("object")
            .keys()
            .cloned()
            .collect();
        let (has_forgotten, has_news) = self.with(|state| {
            for id in acknowledged.iter().chain(&errors) {
                state.waiting.remove(id);
            }
            state.acknowledged.extend(acknowledged.clone());
            state.errors.extend(errors.clone());
            (state.has_forgotten, !state.waiting.is_empty())
        });
        if has_forgotten {
            return (404, Bytes::new());
        }
        if !has_news && body["returnImmediately"] != true {
            let long = tokio::time::sleep(Duration::from_secs(20));
            tokio::pin!(long);
            while self.0.state.lock().expect("lock").waiting.is_empty() {
                tokio::select! {
                    () = self.0.changed.notified() => {}
                    () = &mut long => break,
                }
            }
        }
        let (waiting, page) = self.with_state(|state| (state.waiting.clone(), state.page));
        // One at a time, so that a beginning takes several polls.
        let next: BTreeMap<_, _> = waiting.iter().take(page).collect();
        let text = serde_json::json!({"sets": next, "moreAvailable": waiting.len() > page});
        (200, Bytes::from(text.to_string()))
    }
}

impl ControlTransport for Control {
    async fn fetch(&self, url: &HttpUrl) -> Result<Vec<u8>, TransportError> {
        let (is_down, kid) = self
            .0
            .state
            .lock()
            .map(|state| (state.is_down, state.kid))
            .expect("lock");
        if is_down {
            return Err(TransportError::Setup);
        }
        let text = match url.path() {
            "/.well-known/ssf-configuration" => serde_json::json!({
                "issuer": CONTROL,
                "jwks_uri": format!("{CONTROL}/jwks"),
                "configuration_endpoint": format!("{CONTROL}/ssf/streams"),
            })
            .to_string(),
            _ => format!(
                r#"{{"keys":[{}]}}"#,
                self.0.key.public_key().to_jwk_with(kid, Algorithm::Es256)
            ),
        };
        Ok(text.into_bytes())
    }

    async fn post(
        &self,
        url: &HttpUrl,
        body: Bytes,
        _: Duration,
    ) -> Result<(u16, Bytes), TransportError> {
        if self.0.state.lock().expect("lock").is_down {
            return Err(TransportError::Setup);
        }
        match url.path() {
            "/ssf/streams" => Ok(self.create_stream()),
            _ => Ok(self.poll(&body).await),
        }
    }
}

struct World {
    control: Control,
    guard: Guard,
    clock: ManualClock,
    sink: MemorySink,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::at(NOW);
        let issuer = IssuerConfig::new(HttpUrl::parse("http://127.0.0.1:9400").expect("url"));
        let mut config = GuardConfig::new("gateway-1", vec![issuer], [7; 32]);
        config.revocation_max_age = Some(60);
        let sink = MemorySink::default();
        let guard = Guard::new(config, Arc::new(clock.clone()), Arc::new(sink.clone()));
        Self {
            control: Control::new(),
            guard: guard.expect("guard"),
            clock,
            sink,
            directory: TempDir::new().expect("directory"),
        }
    }

    fn open(&self) -> Result<Follower<Control>, FollowError> {
        Follower::open(
            FollowConfig::new(
                Origin::parse(CONTROL).expect("origin"),
                self.directory.path().join("state"),
                "gateway-1",
            ),
            self.control.clone(),
            self.guard.clone(),
            Arc::new(self.sink.clone()),
            Arc::new(self.clock.clone()),
        )
    }

    /// Follows until `done` holds.
    async fn follow_until(&self, done: impl Fn(&Self) -> bool) {
        let (trigger, shutdown) = Shutdown::new();
        let follower = self.open().expect("follower");
        let following = tokio::spawn(follower.run(shutdown));
        let waiting = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), waiting)
            .await
            .expect("in time");
        trigger.drain(Duration::ZERO);
        following.await.expect("follower ends");
    }

    fn locked(&self) -> usize {
        self.guard.revocations().len()
    }
}

fn key(number: u8) -> Subject {
    Subject::Key(Jkt::from_bytes([number; 32]))
}

fn acknowledged(world: &World) -> Vec<String> {
    world.control.with(|state| state.acknowledged.clone())
}

#[tokio::test(start_paused = true)]
async fn signals_that_do_not_verify_change_nothing_and_are_reported() {
    let world = World::new();
    let forged = Control::new();
    for (id, set) in [
        (
            "forged",
            forged.set("forged", key(1), SignalEvent::Locked, "kb-1", "gateway-1"),
        ),
        (
            "elsewhere",
            world.control.set(
                "elsewhere",
                key(1),
                SignalEvent::Locked,
                "kb-1",
                "gateway-2",
            ),
        ),
        (
            "renamed",
            world
                .control
                .set("other", key(1), SignalEvent::Locked, "kb-1", "gateway-1"),
        ),
        ("garbage", "not a token".to_owned()),
    ] {
        world
            .control
            .with(|state| state.waiting.insert(id.to_owned(), set));
    }
    // A new stream forgets what waits; these must arrive on a running one.
    let waiting = world
        .control
        .with(|state| std::mem::take(&mut state.waiting));
    let connected = |world: &World| {
        world
            .sink
            .events()
            .iter()
            .any(|event| event.kind == EventKind::GatewayConnected)
    };
    world.follow_until(connected).await;
    world.control.with(|state| state.waiting = waiting);
    world
        .follow_until(|world| world.control.with(|state| state.errors.len() == 4))
        .await;
    assert_eq!(world.locked(), 0);
    assert!(acknowledged(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_view_is_not_replaced_by_an_empty_one() {
    let world = World::new();
    let state = world.directory.path().join("state");
    std::fs::create_dir(&state).expect("directory");
    std::fs::write(state.join("revocations.json"), b"{\"view\":{\"entr").expect("write");
    assert!(matches!(world.open(), Err(FollowError::Damaged { .. })));
}

#[tokio::test(start_paused = true)]
async fn f_20_a_silent_control_makes_the_view_stale_and_is_found_again() {
    let world = World::new();
    world
        .follow_until(|world| world.guard.revocations().is_current())
        .await;
    world.control.with(|state| state.is_down = true);
    let (trigger, shutdown) = Shutdown::new();
    let follower = world.open().expect("follower");
    let status = follower.status();
    let following = tokio::spawn(follower.run(shutdown));
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.clock.advance_secs(61);
    assert!(!world.guard.revocations().is_current());
    assert!(!status.check().ok);
    world.control.with(|state| state.is_down = false);
    while !world.guard.revocations().is_current() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(status.check().ok);
    trigger.drain(Duration::ZERO);
    following.await.expect("follower ends");
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_applied_recorded_with_its_time_and_acknowledged() {
    let world = World::new();
    world
        .follow_until(|world| world.guard.revocations().is_current())
        .await;
    world.control.tell("one", key(1), SignalEvent::Locked);
    world
        .follow_until(|world| acknowledged(world) == ["one"])
        .await;
    assert_eq!(world.locked(), 1);
    let events = world.sink.events();
    let applied = events
        .iter()
        .find(|event| event.kind == EventKind::LockApplied);
    assert_eq!(applied.and_then(|event| event.propagation_ms), Some(40));
    world.control.tell("two", key(1), SignalEvent::Released);
    world
        .follow_until(|world| acknowledged(world).len() == 2)
        .await;
    assert_eq!(world.locked(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_view_survives_a_restart_and_goes_on_from_its_stream() {
    let mut world = World::new();
    world
        .follow_until(|world| world.guard.revocations().is_current())
        .await;
    world.control.tell("one", key(1), SignalEvent::Locked);
    world
        .follow_until(|world| acknowledged(world) == ["one"])
        .await;
    let fresh = World::new();
    world.guard = fresh.guard;
    assert_eq!(world.locked(), 0);
    world.open().expect("follower");
    assert_eq!(world.locked(), 1, "restored before control is asked");
    assert!(
        !world.guard.revocations().is_current(),
        "a kept view is no sign of life"
    );
    world.control.tell("two", key(2), SignalEvent::Locked);
    world
        .follow_until(|world| acknowledged(world).len() == 2)
        .await;
    assert_eq!(
        world.control.with(|state| state.stream),
        1,
        "the same stream"
    );
    assert_eq!(world.locked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_stream_begins_anew_and_replaces_the_view_as_a_whole() {
    let world = World::new();
    world
        .control
        .with(|state| state.beginning = vec![(key(1), 0), (key(2), 0)]);
    world
        .follow_until(|world| world.guard.revocations().is_current())
        .await;
    assert_eq!(world.locked(), 2);
    // Released while nobody followed, and control has forgotten the stream.
    world.control.with(|state| {
        state.beginning = vec![(key(2), 0), (key(3), 0), (key(4), 0)];
        state.has_forgotten = true;
    });
    world.follow_until(|world| world.locked() == 3).await;
    assert_eq!(world.control.with(|state| state.stream), 2);
    let query = world.guard.revocations().snapshot();
    assert!(
        query
            .entries
            .iter()
            .all(|entry| entry.value != Jkt::from_bytes([1; 32]).to_string())
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_key_of_control_is_fetched_before_a_signal_is_judged() {
    let world = World::new();
    world
        .follow_until(|world| world.guard.revocations().is_current())
        .await;
    let set = world
        .control
        .set("one", key(1), SignalEvent::Locked, "kb-2", "gateway-1");
    world.control.with(|state| {
        state.waiting.insert("one".to_owned(), set);
    });
    let (trigger, shutdown) = Shutdown::new();
    let following = tokio::spawn(world.open().expect("follower").run(shutdown));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.locked(), 0, "no such key yet");
    assert!(acknowledged(&world).is_empty(), "and nothing given up");
    world.control.with(|state| state.kid = "kb-2");
    while acknowledged(&world).is_empty() {
        world.clock.advance_secs(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(world.locked(), 1);
    trigger.drain(Duration::ZERO);
    following.await.expect("follower ends");
}

#[tokio::test(start_paused = true)]
async fn a_lock_and_its_release_in_one_answer_are_applied_in_their_order() {
    let world = World::new();
    world
        .follow_until(|world| world.guard.revocations().is_current())
        .await;
    world.control.with(|state| state.page = 10);
    // The answer's members come in the order of their names, which is not that of time.
    for (id, event, age_ms) in [
        ("b-first", SignalEvent::Locked, 50),
        ("a-second", SignalEvent::Released, 30),
    ] {
        world.control.with(|state| state.age_ms = age_ms);
        world.control.tell(id, key(1), event);
    }
    world
        .follow_until(|world| acknowledged(world).len() == 2)
        .await;
    assert_eq!(world.locked(), 0);
}
