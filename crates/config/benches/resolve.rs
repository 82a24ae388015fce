//! What resolving the settings of one start costs, beside reading the same files and nothing more.
//! Run with `cargo bench -p ringfence-config`; prints a table and ratios of one run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_config::gather::{Contents, Machine, Preference, TrustedError, World};
use ringfence_config::{Places, ProjectFacts, Request, load_from};
use ringfence_model::AbsPath;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const USER: &str = r#"
approval_policy = "on-request"
sandbox_mode = "workspace-write"
git = "commit"
protected_paths = ["vendor", "dist/keys"]
[sandbox_workspace_write]
writable_roots = ["~/.cache/build", "/srv/scratch"]
network_access = true
[network]
enabled = true
presets = ["common-dependencies"]
[network.domains]
"**.example.com" = "allow"
"bad.example.com" = "deny"
[shell_environment_policy]
exclude = ["AWS_*", "GCP_*"]
set = { CI = "1", LANG = "C.UTF-8" }
[limits]
memory = "8GiB"
wall_clock = "30m"
[mcp_servers.docs]
command = "docs-mcp"
args = ["serve", "--port", "0"]
[profiles.ci]
approval_policy = "never"
[otel]
environment = "dev"
exporter = { otlp-http = { endpoint = "https://collector.example.com", protocol = "json" } }
"#;
const PROJECT: &str = "protected_paths = [\"migrations\"]\ndeny_read = [\"/**/*.pem\"]\n[limits]\nprocesses = 500\n";
const REQUIREMENTS: &str = "allowed_approval_policies = [\"untrusted\", \"on-request\"]\nallowed_sandbox_modes = [\"read-only\", \"workspace-write\"]\n[permissions.filesystem]\ndeny_read = [\"/**/*.env\", \"~/.ssh\"]\n";
const SYSTEM: &str = "[history]\nmax_bytes = 10000000\n[projects.\"/srv/app\"]\ntrust_level = \"trusted\"\n";

/// This machine, but files that constrain may lie in a temporary directory, which is never root's all the way; the walk
/// that checks this is made for another file, so that its cost is in the figure.
struct Here;

impl World for Here {
    fn read(&self, file: &Path) -> std::io::Result<Option<Vec<u8>>> {
        Machine::default().read(file)
    }
    fn exists(&self, path: &Path) -> bool {
        Machine::default().exists(path)
    }
    fn read_trusted(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
        let _ = std::hint::black_box(Machine::default().read_trusted(Path::new("/etc/hosts")));
        Ok(Machine::default().read(file)?)
    }
    fn preference(&self, key: &str) -> Result<Option<Preference>, TrustedError> {
        Machine::default().preference(key)
    }
    fn contents(&self, directory: &Path) -> std::io::Result<Option<Contents>> {
        Machine::default().contents(directory)
    }
    fn keep(&self, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
        Machine::default().keep(file, bytes)
    }
    fn hostname(&self) -> Option<String> {
        Machine::default().hostname()
    }
    fn now(&self) -> u64 {
        Machine::default().now()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn measure(rounds: usize, mut run: impl FnMut()) -> (Duration, Duration) {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        run();
        times.push(begun.elapsed());
    }
    (times[0], median(times))
}

fn main() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (home, system, app) = (dir.path().join("home"), dir.path().join("etc"), dir.path().join("app"));
    let own = app.join(".ringfence");
    for directory in [&home, &system, &own] {
        fs::create_dir_all(directory).expect("makes a directory");
    }
    let trust = format!("\n[projects.{:?}]\ntrust_level = \"trusted\"\n", app.display().to_string());
    fs::write(home.join("config.toml"), format!("{USER}{trust}")).expect("writes");
    fs::write(system.join("config.toml"), SYSTEM).expect("writes");
    fs::write(own.join("config.toml"), PROJECT).expect("writes");
    fs::write(system.join("requirements.toml"), REQUIREMENTS).expect("writes");
    // What a project's settings are is recorded once, on the disk; that is no part of an ordinary start.
    let files = [home.join("config.toml"), system.join("config.toml"), own.join("config.toml")];

    let abs = |path: &Path| AbsPath::new(path).expect("absolute");
    let places = Places { system: system.clone(), home: abs(&home) };
    let mut request = Request::new(places, abs(&app));
    request.user_home = Some(abs(&home));
    request.project = Some(ProjectFacts { root: abs(&app), version_controlled: true });
    request.flags.config("limits.open_files=512").expect("a flag");
    let resolve = || match load_from(&request, &Here) {
        Ok(resolved) => drop(std::hint::black_box(resolved)),
        Err(error) => panic!("{error}"),
    };
    ringfence_config::gather::accept(&request.places, &request.cwd, &abs(&app), &Here).expect("records");
    let (cold, warm) = measure(500, resolve);
    let (_, reading) = measure(500, || {
        for file in &files {
            std::hint::black_box(fs::read(file).expect("reads"));
        }
    });
    println!("resolving, first time in the process   {:>8.1} µs   (at most 1000)", cold.as_secs_f64() * 1e6);
    println!("resolving, median of 500               {:>8.1} µs", warm.as_secs_f64() * 1e6);
    println!("only reading the three files           {:>8.1} µs", reading.as_secs_f64() * 1e6);
    println!("ratio of resolving to reading          {:>8.1}", warm.as_secs_f64() / reading.as_secs_f64());
    if cold > Duration::from_millis(1) {
        println!("NOT HELD: resolving cold took more than 1 ms");
        std::process::exit(1);
    }
}
