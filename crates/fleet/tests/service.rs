//! The whole path on one machine, against a real server and against servers that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_config::bundle::{Bundle, PublicKey, UnixTime};
use ringfence_fleet::{
    Client, Draft, FetchError, Roots, SecretKey, Server, Source, Store, StoreError, TlsFiles, Token, Trouble, sign,
    write_atomically,
};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NOW: UnixTime = UnixTime(1_764_093_600);
const DAY: u64 = 86_400;
const TOKEN: &str = "0123456789abcdef-test";

struct Scene {
    dir: tempfile::TempDir,
    key: SecretKey,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("dir"), key: SecretKey::generate().expect("key") }
    }

    fn bundle_path(&self) -> PathBuf {
        self.dir.path().join("served.json")
    }

    fn public(&self) -> PublicKey {
        self.key.public().expect("public key")
    }

    fn bundle(&self, version: u64) -> Bundle {
        self.bundle_by(version, &self.key)
    }

    fn bundle_by(&self, version: u64, key: &SecretKey) -> Bundle {
        let draft = Draft {
            requirements: format!("# version {version}\nallowed_sandbox_modes = [\"read-only\"]\n"),
            audience: "example-fleet".to_owned(),
            version,
            issued_at: NOW,
            lifetime: 7 * DAY,
        };
        sign(draft, key, None, |_| Ok(())).expect("signed")
    }

    fn publish(&self, bundle: &Bundle) {
        write_atomically(&self.bundle_path(), &serde_json::to_vec(bundle).expect("json")).expect("published");
    }

    fn serve(&self, tls: Option<&TlsFiles>) -> Served {
        let token = Token::new(TOKEN, "test").expect("token");
        let statuses = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&statuses);
        let server = Server::bind(loopback(), self.bundle_path(), &[token], tls, move |answered| {
            log.lock().expect("log").push(answered.status);
        })
        .expect("server");
        let address = server.address();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || server.run(Some(stopped)).expect("served"));
        Served { address, statuses, stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self, url: String) -> Client {
        Client {
            source: Source {
                url,
                token: Some(Token::new(TOKEN, "test").expect("token")),
                roots: Roots::System,
                deadline: Duration::from_secs(5),
            },
            keys: vec![self.public()],
            audience: "example-fleet".to_owned(),
            store: Store::below(&self.dir.path().join("state")),
        }
    }

    fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state/cloud").join(name)
    }
}

struct Served {
    address: SocketAddr,
    statuses: Arc<Mutex<Vec<u16>>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn statuses(&self) -> Vec<u16> {
        self.statuses.lock().expect("log").clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("address")
}

/// A server that answers every connection with these bytes; with `hang`, it then keeps the connection open.
fn answering(answer: Vec<u8>, hang: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(loopback()).expect("listener");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    std::thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counter.fetch_add(1, Ordering::SeqCst);
            let mut request = [0u8; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&answer);
            if hang {
                kept.push(stream);
            }
        }
    });
    (url, connections)
}

fn http(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn trouble(client: &Client) -> Trouble {
    client.refresh(NOW).expect_err("refused")
}

#[test]
fn a_policy_travels_from_key_to_machine_and_is_renewed_beside_the_run() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let client = scene.client(served.url());

    let first = client.obtain(NOW, false);
    assert!(first.troubles.is_empty(), "{:?}", first.troubles);
    assert!(first.policy.expect("policy").requirements().contains("read-only"));
    assert!(first.refresh.is_none(), "just fetched");

    let second = client.obtain(NOW.plus(60), false);
    assert_eq!(second.policy.expect("policy").version(), 1);
    assert!(second.refresh.is_none(), "not due");
    assert_eq!(served.statuses(), [200], "the cached policy is used without asking");

    // Due, unchanged: asked with the validator.
    let third = client.obtain(NOW.plus(DAY), false);
    let renewed = third.refresh.expect("due").finish(Duration::from_secs(10)).expect("done").expect("renewed");
    assert!(!renewed.changed);
    assert_eq!(served.statuses(), [200, 304]);
    assert!(client.obtain(NOW.plus(DAY + 60), false).refresh.is_none(), "a 304 counts as asked");

    // Due, changed: this run keeps version 1, the next one has version 2.
    scene.publish(&scene.bundle(2));
    let fourth = client.obtain(NOW.plus(2 * DAY), false);
    assert_eq!(fourth.policy.expect("policy").version(), 1);
    let renewed = fourth.refresh.expect("due").finish(Duration::from_secs(10)).expect("done").expect("renewed");
    assert!(renewed.changed);
    assert_eq!(client.cached(NOW.plus(2 * DAY)).expect("cache").expect("policy").version(), 2);

    // The service goes away: the cached policy holds until its own expiry, and no longer.
    drop(served);
    let held = client.obtain(NOW.plus(6 * DAY), false);
    assert_eq!(held.policy.expect("policy").version(), 2);
    let over = client.obtain(NOW.plus(7 * DAY), true);
    assert!(over.policy.is_none());
    assert_eq!(over.troubles.first().map(Trouble::code), Some("policy-bundle-expired"));
}

#[test]
fn an_overdue_renewal_is_not_lost_when_the_run_is_short() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let client = scene.client(served.url());
    drop(client.refresh(NOW).expect("fetched"));
    scene.publish(&scene.bundle(2));
    // As a command that is done at once.
    client.obtain(NOW.plus(2 * 60 * 60), false).refresh.expect("due").settle();
    assert_eq!(client.cached(NOW.plus(2 * 60 * 60)).expect("cache").expect("policy").version(), 2);
    // Merely due: nobody waits. A service that never answers shows it.
    drop(served);
    let deaf = TcpListener::bind(loopback()).expect("listens");
    let mut client = client;
    let entry = client.store.cached().expect("cache").expect("there");
    client.source.url = format!("http://{}", deaf.local_addr().expect("address"));
    let moved = ringfence_config::bundle::CacheEntry::new(client.source.url.clone(), None, NOW, entry.bundle);
    let verified = client.cached(NOW).err();
    assert!(verified.is_none(), "{verified:?}");
    write_atomically(&scene.dir.path().join("state/cloud/bundle.json"), &moved.to_bytes()).expect("written");
    let began = std::time::Instant::now();
    client.obtain(NOW.plus(20 * 60), false).refresh.expect("due").settle();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    client.obtain(NOW.plus(2 * 60 * 60), false).refresh.expect("due").settle();
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(4), "a short while at most: {waited:?}");
}

#[test]
fn status_tells_what_is_in_force_without_asking() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(3));
    let served = scene.serve(None);
    let client = scene.client(served.url());
    assert_eq!(client.status(NOW).in_force, None);
    drop(client.refresh(NOW).expect("fetched"));
    let status = client.status(NOW.plus(1));
    let policy = status.in_force.expect("in force");
    assert_eq!((policy.version, policy.key), (3, scene.public().to_string()));
    assert_eq!((status.highest_seen, status.troubles.len()), (Some(3), 0));
    assert_eq!(client.status(NOW.plus(30 * DAY)).troubles.len(), 1, "expired");
    assert_eq!(served.statuses(), [200]);
}

#[test]
fn the_server_hands_out_policy_for_a_token_only_and_nothing_else_ever() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    for token in [None, Some("another-token-entirely")] {
        let mut client = scene.client(served.url());
        client.source.token = token.map(|text| Token::new(text, "test").expect("token"));
        let expected = FetchError::Unauthorized { status: 401, missing: token.is_none() };
        assert!(matches!(trouble(&client), Trouble::Fetch(error) if error == expected));
    }
    let elsewhere = scene.client(format!("{}/other", served.url()));
    assert!(matches!(trouble(&elsewhere), Trouble::Fetch(FetchError::Status { status: 404 })));
    // A half-written file in its place is withheld, not passed on.
    let whole = std::fs::read(scene.bundle_path()).expect("bundle");
    std::fs::write(scene.bundle_path(), &whole[..whole.len() / 2]).expect("cut off");
    let client = scene.client(served.url());
    assert!(matches!(trouble(&client), Trouble::Fetch(FetchError::Status { status: 503 })));
    std::fs::write(scene.bundle_path(), &whole).expect("mended");
    assert!(client.refresh(NOW).is_ok(), "mended without a restart");
}

#[test]
fn a_server_in_the_clear_off_this_machine_or_without_tokens_does_not_start() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let token = [Token::new(TOKEN, "test").expect("token")];
    let any = "0.0.0.0:0".parse().expect("address");
    assert!(Server::bind(any, scene.bundle_path(), &token, None, |_| {}).is_err());
    assert!(Server::bind(loopback(), scene.bundle_path(), &[], None, |_| {}).is_err());
    assert!(Server::bind(loopback(), scene.dir.path().join("none"), &token, None, |_| {}).is_err());
}

#[test]
fn over_tls_only_a_vouched_for_service_is_believed() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("certificate");
    let files = TlsFiles { certificate: scene.dir.path().join("c.pem"), key: scene.dir.path().join("k.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).expect("certificate");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("key");
    let served = scene.serve(Some(&files));
    let mut client = scene.client(format!("https://127.0.0.1:{}", served.address.port()));
    client.source.roots = Roots::Pem(made.cert.pem().into_bytes());
    assert_eq!(client.refresh(NOW).expect("fetched").policy.version(), 1);
    // Someone else's certificate, and the machine's own authorities, don't vouch for it.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("certificate");
    client.source.roots = Roots::Pem(other.cert.pem().into_bytes());
    assert!(matches!(trouble(&client), Trouble::Fetch(FetchError::Tls { .. })), "{:?}", trouble(&client));
    // A connection that never shakes hands holds up nobody.
    let _silent = TcpStream::connect(served.address).expect("connect");
    client.source.roots = Roots::Pem(made.cert.pem().into_bytes());
    assert!(client.refresh(NOW).is_ok());
    client.source.roots = Roots::Pem(b"no certificate here".to_vec());
    assert!(matches!(trouble(&client), Trouble::Fetch(FetchError::Roots { .. })));
}

#[test]
fn cf_07_error_page_web_page_and_garbage() {
    let scene = Scene::new();
    let html = b"<!doctype html><html><body>Sign in</body></html>";
    for (answer, expected) in [
        (http("500 Internal Server Error", b"oops"), "answered 500"),
        (http("200 OK", html), "it is a web page"),
        (http("200 OK", b""), "it is empty"),
        (http("200 OK", b"{\"version\":1"), "it ends in the middle"),
        (http("204 No Content", b""), "answered 204"),
        (http("304 Not Modified", b""), "answered 304"),
        (b"\0\0\0 not HTTP\r\n\r\n".to_vec(), "can't be read"),
        (b"".to_vec(), "can't be read"),
    ] {
        let (url, _) = answering(answer, false);
        let client = scene.client(url);
        let found = trouble(&client);
        assert!(found.to_string().contains(expected), "{found} / {expected}");
        assert!(!scene.state("bundle.json").exists(), "nothing is kept");
        assert_eq!(client.status(NOW).last_attempt.and_then(|attempt| attempt.trouble), Some(found.to_string()));
    }
}

#[test]
fn cf_07_ten_gibibytes_end_at_the_bound() {
    let scene = Scene::new();
    // Announced and sent without end; and endless in chunks.
    let mut announced = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n".to_vec();
    announced.resize(announced.len() + (3 << 20), b' ');
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..48 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    let mut headers = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    headers.resize(1 << 20, b'a');
    for (answer, what) in [(announced, "announced"), (chunked, "chunked"), (headers, "headers")] {
        let (url, _) = answering(answer, true);
        let found = trouble(&scene.client(url));
        let bounded = matches!(found, Trouble::Fetch(FetchError::TooLarge | FetchError::Protocol { .. }));
        assert!(bounded, "{what}: {found:?}");
    }
}

#[test]
fn cf_07_a_server_that_never_answers_or_drips() {
    let scene = Scene::new();
    for answer in
        [b"".to_vec(), b"HTTP/1.1 200 OK\r\n".to_vec(), b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec()]
    {
        let (url, _) = answering(answer, true);
        let mut client = scene.client(url);
        client.source.deadline = Duration::from_millis(300);
        assert!(matches!(trouble(&client), Trouble::Fetch(FetchError::Deadline { .. })));
    }
}

#[test]
fn cf_07_redirects_are_not_followed() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let (url, _) = answering(http(&format!("{status}\r\nlocation: {}/v1/policy", served.url()), b""), false);
        let found = trouble(&scene.client(url));
        assert!(matches!(found, Trouble::Fetch(FetchError::Redirect { .. })), "{found:?}");
    }
    assert!(served.statuses().is_empty(), "neither request nor token went there");
    let plain = scene.client("http://policy.example.com".to_owned());
    assert!(matches!(trouble(&plain), Trouble::Fetch(FetchError::Insecure { .. })));
}

#[test]
fn cf_07_replay_and_downgrade_from_the_service() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(5));
    let served = scene.serve(None);
    let client = scene.client(served.url());
    drop(client.refresh(NOW).expect("fetched"));
    scene.publish(&scene.bundle(4));
    assert_eq!(trouble(&client).code(), "policy-bundle-downgrade");
    assert_eq!(client.cached(NOW).expect("cache").expect("policy").version(), 5, "what was in force stays");
    // Emptying the cache opens no way back.
    std::fs::remove_file(scene.state("bundle.json")).expect("removed");
    let without = client.obtain(NOW, true);
    assert!(without.policy.is_none());
    assert_eq!(without.troubles.last().map(Trouble::code), Some("policy-bundle-downgrade"));
    // Nor does putting the older bundle into the cache by hand.
    scene.publish(&scene.bundle(5));
    drop(client.refresh(NOW).expect("fetched"));
    let cache = std::fs::read_to_string(scene.state("bundle.json")).expect("cache");
    let old = serde_json::to_value(scene.bundle(4)).expect("json");
    let mut edited: serde_json::Value = serde_json::from_str(&cache).expect("json");
    edited["bundle"] = old;
    std::fs::write(scene.state("bundle.json"), edited.to_string()).expect("edited");
    assert_eq!(client.cached(NOW).expect_err("refused").code(), "policy-bundle-downgrade");
}

#[test]
fn cf_07_cache_edited_cut_off_or_gone() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let client = scene.client(served.url());
    drop(client.refresh(NOW).expect("fetched"));
    let whole = std::fs::read_to_string(scene.state("bundle.json")).expect("cache");
    for (edited, code) in [
        (whole.replace("read-only", "danger-full-access"), "policy-bundle-signature"),
        (whole[..whole.len() / 2].to_owned(), "policy-state"),
        (String::new(), "policy-state"),
    ] {
        std::fs::write(scene.state("bundle.json"), edited).expect("edited");
        assert_eq!(client.cached(NOW).expect_err("refused").code(), code);
        let mended = client.obtain(NOW, false);
        assert_eq!(mended.policy.expect("fetched anew").version(), 1);
        assert_eq!(mended.troubles.first().map(Trouble::code), Some(code), "and reported");
    }
    // The edited cache never sent its validator: the answers were whole policies.
    assert!(served.statuses().iter().all(|status| *status == 200), "{:?}", served.statuses());
    // History that can't be read holds off everything: it is what tells a replay.
    std::fs::write(scene.state("seen.json"), "{").expect("edited");
    assert!(matches!(client.cached(NOW), Err(Trouble::Store(StoreError::Content { .. }))));
    assert!(client.obtain(NOW, true).policy.is_none());
}

#[test]
fn cf_07_partial_write_leaves_the_old_policy() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let client = scene.client(served.url());
    drop(client.refresh(NOW).expect("fetched"));
    // A crash in the middle of the next write: part of the file, under the name it has before it is whole.
    std::fs::write(scene.state(".bundle.json.1.0"), "{\"format\": 1, \"url").expect("left behind");
    assert_eq!(client.cached(NOW).expect("cache").expect("policy").version(), 1);
    // A crash between policy and mark: the newer policy stands under the older mark.
    scene.publish(&scene.bundle(2));
    let mark = std::fs::read(scene.state("seen.json")).expect("mark");
    drop(client.refresh(NOW).expect("fetched"));
    std::fs::write(scene.state("seen.json"), mark).expect("as before");
    assert_eq!(client.cached(NOW).expect("cache").expect("policy").version(), 2);
}

#[cfg(unix)]
#[test]
fn cf_08_a_home_that_cannot_be_written_is_reported() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let mut client = scene.client(served.url());
    client.store = Store::below(Path::new("/proc/none"));
    let without = client.obtain(NOW, false);
    assert!(without.policy.is_none());
    assert_eq!(without.troubles.first().map(Trouble::code), Some("policy-state"));
}

#[test]
fn cf_07_key_rotation_without_a_gap() {
    let scene = Scene::new();
    let new = SecretKey::generate().expect("key");
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let mut client = scene.client(served.url());
    drop(client.refresh(NOW).expect("fetched"));
    // Signed with a key that isn't configured yet: not used, the old policy stays.
    scene.publish(&scene.bundle_by(2, &new));
    assert_eq!(trouble(&client).code(), "policy-bundle-signature");
    assert_eq!(client.cached(NOW).expect("cache").expect("policy").version(), 1);
    client.keys.push(new.public().expect("public"));
    assert_eq!(client.refresh(NOW).expect("fetched").policy.key(), &new.public().expect("public"));
    // The old key is withdrawn: what it signed no longer counts, cached or not.
    client.keys.remove(0);
    assert_eq!(client.cached(NOW).expect("cache").expect("policy").version(), 2);
    scene.publish(&scene.bundle(3));
    assert_eq!(trouble(&client).code(), "policy-bundle-signature");
    client.keys.clear();
    assert_eq!(client.cached(NOW).expect_err("no key").code(), "policy-bundle-no-keys");
}

#[test]
fn cf_07_other_audience_and_wrong_clock() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let mut client = scene.client(served.url());
    assert_eq!(
        client.refresh(UnixTime(NOW.0 - 365 * DAY)).expect_err("a year behind").code(),
        "policy-bundle-not-yet-valid"
    );
    assert_eq!(client.refresh(NOW.plus(365 * DAY)).expect_err("a year ahead").code(), "policy-bundle-expired");
    client.audience = "other-fleet".to_owned();
    assert_eq!(trouble(&client).code(), "policy-bundle-audience");
}

#[test]
fn two_processes_renewing_at_once_never_step_back() {
    let scene = Scene::new();
    scene.publish(&scene.bundle(1));
    let served = scene.serve(None);
    let client = scene.client(served.url());
    drop(client.refresh(NOW).expect("fetched"));
    let workers: Vec<_> = (2..10)
        .map(|version| {
            let (bundle, client) = (scene.bundle(version), client.clone());
            std::thread::spawn(move || {
                let entry = ringfence_config::bundle::CacheEntry::new(client.source.url.clone(), None, NOW, bundle);
                let keys = &client.keys;
                let verified = ringfence_config::bundle::verify_bundle(&entry.bundle, keys, "example-fleet", NOW, None);
                match client.store.accept(&entry, &verified.expect("verified")) {
                    Ok(()) | Err(StoreError::Overtaken { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("worker");
    }
    assert_eq!(client.cached(NOW).expect("cache").expect("policy").version(), 9);
    assert_eq!(client.status(NOW).highest_seen, Some(9));
}

#[test]
fn a_service_that_just_failed_is_left_in_peace_unless_policy_is_required() {
    let scene = Scene::new();
    let (url, connections) = answering(http("500 Internal Server Error", b""), false);
    let client = scene.client(url);
    assert!(client.obtain(NOW, false).policy.is_none());
    let waiting = client.obtain(NOW.plus(1), false);
    assert!(matches!(waiting.troubles.as_slice(), [Trouble::Waiting { .. }]), "{:?}", waiting.troubles);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert!(client.obtain(NOW.plus(2), true).policy.is_none());
    assert!(client.obtain(NOW.plus(100), false).policy.is_none());
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}
