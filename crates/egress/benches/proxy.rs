//! The proxy against no proxy, tinyproxy, squid and sandbox-runtime, in one run, as ratios. `cargo bench -p
//! ringfence-egress`.
//!
//! Every contender is a process of its own; origin and clients are threads of this one. One contender is no proxy at all:
//! a bare relay that judges nothing and knows only the origin, to say what any relay could reach on this machine.
//! `RINGFENCE_BENCH_MIB` sets the size of the large transfer (1024), `RINGFENCE_BENCH_ROUNDS` the number of small
//! requests (4000), `RINGFENCE_BENCH_ROWS` limits rows to those whose title begins with one of a list set apart by `;`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_egress::bridge::Options;
use ringfence_egress::event::NoSink;
use ringfence_egress::host::Target;
use ringfence_egress::policy::{Decision, Policy};
use ringfence_egress::proxy::Limits;
use ringfence_egress::standalone::{self, Listen};
use ringfence_model::network::NetworkProtocol;
use ringfence_model::settings::{ManagedNetwork, NetworkSettings, ProxyMode};
use ringfence_model::{Origin, Sourced};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
#[path = "proxy/relay.rs"]
mod relay;

const SMALL: usize = 1024;
const CHILD: &str = "RINGFENCE_BENCH_ORIGIN";
const RELAY: &str = "RINGFENCE_BENCH_RELAY";

fn main() {
    if let Ok(origin) = std::env::var(CHILD) {
        return serve(&origin);
    }
    #[cfg(target_os = "linux")]
    if let Ok(origin) = std::env::var(RELAY) {
        return relay::serve(SocketAddr::from(([127, 0, 0, 1], origin.parse().unwrap())));
    }
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (mib, rounds): (usize, usize) = (number("RINGFENCE_BENCH_MIB", 1024), number("RINGFENCE_BENCH_ROUNDS", 4000));
    let origin = origin();
    let mut contenders = vec![Contender { name: "direct", at: None, process: None }];
    #[cfg(target_os = "linux")]
    contenders.push(child("bare relay", RELAY, origin));
    contenders.push(child("ringfence", CHILD, origin));
    contenders.extend(tinyproxy());
    contenders.extend(squid());
    contenders.extend(sandbox_runtime());
    println!("1 KiB answers, {rounds} requests; {mib} MiB transfers; every process and thread on the same machine\n");
    println!("| | {} |", contenders.iter().map(|contender| contender.name).collect::<Vec<_>>().join(" | "));
    println!("| --- |{}", " --- |".repeat(contenders.len()));
    row("tunnel, kept: median round trip, µs", &contenders, |contender| median_round_trip(contender, origin, rounds));
    row("tunnel, kept, 64 connections: requests/s", &contenders, |contender| many_tunnels(contender, origin, rounds));
    row("tunnel, new each time: median, µs", &contenders, |contender| {
        fresh(contender, origin, rounds / 8, Way::Tunnel)
    });
    row("tunnel, new each time, 64 connections: requests/s", &contenders, |contender| {
        many_fresh(contender, origin, rounds, Way::Tunnel)
    });
    row("plain, kept: median round trip, µs", &contenders, |contender| plain_kept(contender, origin, rounds));
    row("plain, new each time: median, µs", &contenders, |contender| fresh(contender, origin, rounds / 8, Way::Plain));
    row("plain, 64 connections, new each time: requests/s", &contenders, |contender| {
        many_fresh(contender, origin, rounds, Way::Plain)
    });
    row("tunnel, large: MiB/s", &contenders, |contender| large(contender, origin, mib, Way::Tunnel));
    row("plain, large: MiB/s", &contenders, |contender| large(contender, origin, mib, Way::Plain));
    row("tunnel, 64 large ones at once: MiB/s", &contenders, |contender| many_large(contender, origin, mib));
    if wanted("idle") {
        idle(&contenders, origin);
    }
    if wanted("decision") {
        decision();
    }
    for contender in &mut contenders {
        if let Some(process) = &mut contender.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

struct Contender {
    name: &'static str,
    at: Option<SocketAddr>,
    process: Option<Child>,
}

/// Whether a row is asked for.
fn wanted(title: &str) -> bool {
    std::env::var("RINGFENCE_BENCH_ROWS").map_or(true, |rows| rows.split(';').any(|row| title.starts_with(row)))
}

fn row(title: &str, contenders: &[Contender], measure: impl Fn(&Contender) -> f64) {
    if !wanted(title) {
        return;
    }
    // The origin alone is no proxy for plain requests: it isn't asked in absolute form.
    let figures: Vec<Option<f64>> = contenders
        .iter()
        .map(|contender| (!(title.starts_with("plain") && contender.name == "bare relay")).then(|| measure(contender)))
        .collect();
    let direct = figures[0].unwrap_or(1.0);
    let cells: Vec<String> = figures
        .iter()
        .enumerate()
        .map(|(index, figure)| match figure {
            None => "–".to_owned(),
            Some(figure) if index == 0 => format!("{figure:.0}"),
            Some(figure) => format!("{figure:.0} ({:.2}×)", figure / direct),
        })
        .collect();
    println!("| {title} | {} |", cells.join(" | "));
}

// Contenders.

/// This very program as a process of its own: the proxy, or the bare relay.
fn child(name: &'static str, what: &str, origin: SocketAddr) -> Contender {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .env(what, origin.port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Contender { name, at: Some(line.trim().parse().unwrap()), process: Some(process) }
}

/// The child: the proxy alone, until standard input closes.
fn serve(origin_port: &str) {
    let settings = settings(vec![format!("127.0.0.1:{origin_port}")]);
    let options = Options {
        sandbox: "bench".to_owned(),
        settings: &settings,
        rules: &[],
        grants: Vec::new(),
        asker: None,
        sink: Arc::new(NoSink),
        limits: Limits::default(),
        upstream: None,
        datagrams: false,
        can_escalate: false,
    };
    let listen = Listen { http: vec!["127.0.0.1:0".parse().unwrap()], socks: Vec::new(), metrics: Vec::new() };
    let proxy = standalone::run(options, &listen).unwrap();
    println!("{}", proxy.listening.http[0]);
    let _ = std::io::stdin().read(&mut [0; 1]);
}

fn settings(allow: Vec<String>) -> NetworkSettings {
    fn set<T>(value: T) -> Sourced<T> {
        Sourced::new(value, Origin::builtin("bench"))
    }
    NetworkSettings {
        access: set(true),
        proxy: set(true),
        allow_local_binding: set(false),
        managed: ManagedNetwork {
            allow: allow.into_iter().map(set).collect(),
            deny: Vec::new(),
            presets: Vec::new(),
            mode: set(ProxyMode::Full),
            methods: Vec::new(),
            paths: Vec::new(),
            unix_sockets: Vec::new(),
            enable_socks5: set(false),
            enable_socks5_udp: set(false),
            allow_upstream_proxy: set(false),
            allow_sni_mismatch: Vec::new(),
            dangerously_allow_non_loopback_proxy: set(false),
            intercept: Vec::new(),
            tunnel_pinned: set(false),
            secrets: Vec::new(),
            transparent: set(false),
            managed_domains_only: None,
            http_port: set(0),
            socks_port: set(0),
        },
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(name: &'static str, program: &str, arguments: &[&str], port: u16) -> Option<Contender> {
    let process = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let Some(mut process) = process else {
        println!("SKIPPED: {name}: not on this machine");
        return None;
    };
    for _ in 0..600 {
        if TcpStream::connect(at).is_ok() {
            return Some(Contender { name, at: Some(at), process: Some(process) });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("SKIPPED: {name}: it doesn't listen");
    let _ = process.kill();
    None
}

fn tinyproxy() -> Option<Contender> {
    let port = free_port();
    let file = std::env::temp_dir().join(format!("bench-tinyproxy-{port}.conf"));
    let text = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 5000\nAllow 127.0.0.1\nLogLevel Critical\nDisableViaHeader Yes\n"
    );
    std::fs::write(&file, text).unwrap();
    start("tinyproxy", "tinyproxy", &["-d", "-c", file.to_str().unwrap()], port)
}

fn squid() -> Option<Contender> {
    let port = free_port();
    let directory = std::env::temp_dir().join(format!("bench-squid-{port}"));
    std::fs::create_dir_all(&directory).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let at = directory.display();
    let text = format!(
        "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log {at}/log\ncache_mem 8 MB\n\
         pid_filename {at}/pid\ncoredump_dir {at}\nmax_filedescriptors 16384\nvia off\nforwarded_for delete\n\
         pinger_enable off\nshutdown_lifetime 1 seconds\n"
    );
    let file = directory.join("squid.conf");
    std::fs::write(&file, text).unwrap();
    start("squid", "/usr/sbin/squid", &["-N", "-n", &format!("bench{port}"), "-f", file.to_str().unwrap()], port)
}

/// The package is looked for in `RINGFENCE_BENCH_SANDBOX_RUNTIME`, then among npm's global ones.
fn sandbox_runtime() -> Option<Contender> {
    let global = || {
        let root = Command::new("npm").args(["root", "-g"]).output().ok()?;
        let root = String::from_utf8(root.stdout).ok()?;
        Some(format!("{}/@anthropic-ai/sandbox-runtime", root.trim()))
    };
    let package = std::env::var("RINGFENCE_BENCH_SANDBOX_RUNTIME").ok().or_else(global)?;
    let module = format!("{package}/dist/sandbox/http-proxy.js");
    if !std::path::Path::new(&module).exists() {
        println!("SKIPPED: sandbox-runtime: no such package among npm's global ones");
        return None;
    }
    let port = free_port();
    let code = "const [module, port] = process.argv.slice(1); const { createHttpProxyServer } = await import(module); \
        createHttpProxyServer({ filter: (port, host) => host === '127.0.0.1' }).listen(Number(port), '127.0.0.1');";
    let arguments = ["--input-type=module", "-e", code, &module, &port.to_string()];
    start("sandbox-runtime", "node", &arguments, port)
}

// Origin: `GET /small` answers 1 KiB, `GET /large/N` answers N MiB.

fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || answer(stream));
        }
    });
    at
}

fn answer(mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(4096, stream.try_clone().ok()?);
    let small = format!("HTTP/1.1 200 OK\r\nContent-Length: {SMALL}\r\n\r\n{}", "x".repeat(SMALL));
    loop {
        let head = read_head(&mut reader)?;
        if let Some(mib) = head.split("/large/").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok()) {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", mib << 20).ok()?;
            let block = vec![b'x'; 1 << 20];
            for _ in 0..mib {
                stream.write_all(&block).ok()?;
            }
        } else {
            stream.write_all(small.as_bytes()).ok()?;
        }
        if head.to_ascii_lowercase().contains("connection: close") {
            return None;
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

// Clients.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Tunnel,
    Plain,
}

/// A connection that reaches the origin, and what its requests begin with.
fn open(contender: &Contender, origin: SocketAddr, way: Way) -> (TcpStream, String) {
    let stream = TcpStream::connect(contender.at.unwrap_or(origin)).unwrap();
    stream.set_nodelay(true).unwrap();
    if contender.at.is_none() {
        return (stream, String::new());
    }
    if way == Way::Plain {
        return (stream, format!("http://{origin}"));
    }
    let mut stream = stream;
    write!(stream, "CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.") && head[8..].starts_with(b" 200"), "{}", String::from_utf8_lossy(&head));
    (stream, String::new())
}

/// One request and its answer; false if the connection turned out to be closed.
fn ask(stream: &mut TcpStream, base: &str, origin: SocketAddr, more: &str, buffer: &mut [u8]) -> bool {
    let request = format!("GET {base}/small HTTP/1.1\r\nHost: {origin}\r\n{more}\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let mut seen = 0;
    let end = loop {
        let count = stream.read(&mut buffer[seen..]).unwrap_or(0);
        if count == 0 {
            return false;
        }
        seen += count;
        if let Some(end) = buffer[..seen].windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    assert!(buffer[8..].starts_with(b" 200"), "{}", String::from_utf8_lossy(&buffer[..end]));
    while seen < end + SMALL {
        let count = stream.read(&mut buffer[seen..]).unwrap();
        assert!(count > 0, "closed early");
        seen += count;
    }
    true
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn median_round_trip(contender: &Contender, origin: SocketAddr, rounds: usize) -> f64 {
    kept(contender, origin, rounds, Way::Tunnel)
}

fn plain_kept(contender: &Contender, origin: SocketAddr, rounds: usize) -> f64 {
    kept(contender, origin, rounds, Way::Plain)
}

fn kept(contender: &Contender, origin: SocketAddr, rounds: usize, way: Way) -> f64 {
    let mut buffer = vec![0; 8192];
    let (mut stream, mut base) = open(contender, origin, way);
    let times = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            // Some proxies close a plain connection after each answer: then a new one is part of the price.
            while !ask(&mut stream, &base, origin, "", &mut buffer) {
                (stream, base) = open(contender, origin, way);
            }
            began.elapsed()
        })
        .collect();
    median(times)
}

fn fresh(contender: &Contender, origin: SocketAddr, rounds: usize, way: Way) -> f64 {
    let mut buffer = vec![0; 8192];
    let times = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            let (mut stream, base) = open(contender, origin, way);
            assert!(ask(&mut stream, &base, origin, "Connection: close\r\n", &mut buffer));
            began.elapsed()
        })
        .collect();
    median(times)
}

fn on_64(rounds: usize, work: impl Fn(usize) + Sync) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| work(rounds / 64));
        }
    });
    (rounds / 64 * 64) as f64 / began.elapsed().as_secs_f64()
}

fn many_tunnels(contender: &Contender, origin: SocketAddr, rounds: usize) -> f64 {
    on_64(rounds * 4, |each| {
        let mut buffer = vec![0; 8192];
        let (mut stream, base) = open(contender, origin, Way::Tunnel);
        for _ in 0..each {
            assert!(ask(&mut stream, &base, origin, "", &mut buffer));
        }
    })
}

fn many_fresh(contender: &Contender, origin: SocketAddr, rounds: usize, way: Way) -> f64 {
    on_64(rounds, |each| {
        let mut buffer = vec![0; 8192];
        for _ in 0..each {
            let (mut stream, base) = open(contender, origin, way);
            assert!(ask(&mut stream, &base, origin, "Connection: close\r\n", &mut buffer));
        }
    })
}

fn many_large(contender: &Contender, origin: SocketAddr, mib: usize) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| transfer(contender, origin, mib.div_ceil(64), Way::Tunnel));
        }
    });
    (mib.div_ceil(64) * 64) as f64 / began.elapsed().as_secs_f64()
}

fn transfer(contender: &Contender, origin: SocketAddr, mib: usize, way: Way) {
    let (mut stream, base) = open(contender, origin, way);
    write!(stream, "GET {base}/large/{mib} HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n\r\n").unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut seen = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => seen += count,
        }
    }
    assert!(seen > mib << 20, "{seen} bytes");
}

fn large(contender: &Contender, origin: SocketAddr, mib: usize, way: Way) -> f64 {
    let run = || {
        let began = Instant::now();
        transfer(contender, origin, mib, way);
        mib as f64 / began.elapsed().as_secs_f64()
    };
    let mut speeds = [run(), run(), run()];
    speeds.sort_by(f64::total_cmp);
    speeds[1]
}

fn idle(contenders: &[Contender], origin: SocketAddr) {
    const TUNNELS: usize = 2000;
    let cells: Vec<String> = contenders
        .iter()
        .map(|contender| {
            let Some(process) = &contender.process else { return "–".to_owned() };
            let tunnels: Vec<_> = (0..TUNNELS)
                .map_while(|_| std::panic::catch_unwind(|| open(contender, origin, Way::Tunnel)).ok())
                .collect();
            let resident = resident_mib(process.id());
            if tunnels.len() == TUNNELS {
                format!("{resident:.0}")
            } else {
                format!("{resident:.0} (only {})", tunnels.len())
            }
        })
        .collect();
    println!("| {TUNNELS} idle tunnels: resident memory, MiB | {} |", cells.join(" | "));
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn decision() {
    let mut hosts: Vec<String> =
        (0..10_000).map(|i| format!("{}host{i}.example{}.com", ["", "*.", "**."][i % 3], i % 97)).collect();
    hosts.push("**.wanted.example".to_owned());
    let policy = Policy::compile(&settings(hosts), &[]).unwrap();
    println!();
    for (name, target) in [
        ("allowed, by a wildcard", "a.b.wanted.example:443"),
        ("allowed, exactly", "host9999.example8.com:443"),
        ("unknown", "a.b.c.unknown.example:443"),
    ] {
        let target = Target::parse(target, None).unwrap();
        let rounds = 200_000;
        let began = Instant::now();
        for _ in 0..rounds {
            let decision = policy.decide(black_box(&target), NetworkProtocol::Https);
            black_box(matches!(decision, Decision::Allow(_)));
        }
        println!(
            "decision over 10,001 rules, {name}: {:.0} ns",
            began.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
        );
    }
}
