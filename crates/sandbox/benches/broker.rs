//! What a brokered create costs more than a bare one, in one run, on tmpfs: `cargo bench -p ringfence-sandbox --bench broker`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
#[path = "common/tmpfs.rs"]
mod tmpfs;

#[cfg(target_os = "linux")]
mod linux {
    use super::tmpfs::Tmpfs;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Instant;

    const FILES: u32 = 20_000;
    const ROUNDS: usize = 5;

    pub fn main() {
        if let Some(dir) = std::env::var_os("RINGFENCE_BENCH_INSIDE") {
            return inside(&PathBuf::from(dir));
        }
        let Some(confine) = confine() else {
            println!("SKIPPED: broker: the example `confine` isn't built (cargo build --release --example confine)");
            return;
        };
        let Some(tmpfs) = Tmpfs::mount().unwrap() else {
            println!("SKIPPED: broker: this user may not mount a tmpfs, and a disk would drown the figures");
            return;
        };
        let dir = tmpfs.path().to_path_buf();
        let _ = std::fs::create_dir_all(dir.join("ws"));
        let own = std::env::current_exe().unwrap_or_default();
        let ws = dir.join("ws");
        let mut bare = Vec::new();
        let mut brokered = Vec::new();
        for _ in 0..ROUNDS {
            bare.push(time(Command::new(&own).env("RINGFENCE_BENCH_INSIDE", &ws)));
            let mut command = Command::new(&confine);
            command.arg("--root").arg(&ws).arg("--").arg(&own).env("RINGFENCE_BENCH_INSIDE", &ws).current_dir(&ws);
            brokered.push(time(&mut command));
        }
        let kinds = [
            "create, by absolute path",
            "create, by bare name",
            "create, one directory down",
            "overwrite",
            "create anew (O_EXCL)",
            "plain open",
        ];
        println!("{:<30} {:>9} {:>9} {:>9} {:>7}", "per call, median", "bare", "brokered", "more", "ratio");
        for (index, kind) in kinds.iter().enumerate() {
            let (a, b) = (median(&bare, index), median(&brokered, index));
            println!("{kind:<30} {a:>6.2} µs {b:>6.2} µs {:>6.2} µs {:>7.2}", b - a, b / a);
        }
        flood(&confine, &own, &ws);
    }

    /// What others notice while one sandbox does nothing but ask its broker, against as many processes that only compute.
    fn flood(confine: &Path, own: &Path, ws: &Path) {
        let flooding = |line: &str| {
            let mut command = Command::new(confine);
            command.arg("--root").arg(ws).args(["--", "sh", "-c", line]).current_dir(ws);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let endless = |act: &str| format!("for i in 1 2 3 4; do (while :; do {act}; done) & done; wait");
        let (busy, asking) = (endless(":"), endless(": > flood$$"));
        println!("\n{:<30} {:>12} {:>12} {:>7}", "with 4 others, per call", "computing", "asking", "ratio");
        for (who, confined) in [("create outside any sandbox", false), ("create in another sandbox", true)] {
            let [computing, asking] = [&busy, &asking].map(|line| {
                let mut others = flooding(line);
                std::thread::sleep(std::time::Duration::from_millis(300));
                let rounds = (0..3).map(|_| {
                    let mut command = Command::new(if confined { confine } else { own });
                    if confined {
                        command.arg("--root").arg(ws).arg("--").arg(own);
                    }
                    time(command.env("RINGFENCE_BENCH_INSIDE", ws).current_dir(ws))
                });
                let rounds: Vec<_> = rounds.collect();
                let _ = others.kill();
                let _ = others.wait();
                median(&rounds, 0)
            });
            println!("{who:<30} {computing:>9.2} µs {asking:>9.2} µs {:>7.2}", asking / computing);
        }
    }

    fn confine() -> Option<PathBuf> {
        let own = std::env::current_exe().ok()?;
        let found = own.parent()?.parent()?.join("examples/confine");
        found.is_file().then_some(found)
    }

    fn time(command: &mut Command) -> Vec<f64> {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    fn median(rounds: &[Vec<f64>], index: usize) -> f64 {
        let mut all: Vec<f64> = rounds.iter().filter_map(|round| round.get(index).copied()).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn each(mut act: impl FnMut(u32)) -> f64 {
        let start = Instant::now();
        for number in 0..FILES {
            act(number);
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(FILES)
    }

    fn inside(ws: &Path) {
        let clear = || {
            let _ = std::fs::remove_dir_all(ws.join("d"));
            let _ = std::fs::create_dir(ws.join("d"));
        };
        let _ = std::env::set_current_dir(ws);
        let mut results = Vec::new();
        clear();
        let absolute = ws.join("d");
        results.push(each(|n| drop(std::fs::File::create(absolute.join(n.to_string())))));
        clear();
        let _ = std::env::set_current_dir(&absolute);
        results.push(each(|n| drop(std::fs::File::create(n.to_string()))));
        let _ = std::env::set_current_dir(ws);
        clear();
        results.push(each(|n| drop(std::fs::File::create(format!("d/{n}")))));
        results.push(each(|n| drop(std::fs::File::create(format!("d/{n}")))));
        clear();
        results.push(each(|n| drop(std::fs::File::create_new(format!("d/{n}")))));
        results.push(each(|n| drop(std::fs::File::open(format!("d/{n}")))));
        clear();
        let mut out = std::io::stdout();
        for result in results {
            let _ = writeln!(out, "{result:.3}");
        }
    }
}
