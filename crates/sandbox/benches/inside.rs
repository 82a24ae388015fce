//! What work costs inside, against the same work outside, in one run: `git status` on a large tree, a C build, unpacking
//! many small files on disk and on tmpfs. Each in every tier that starts here.
//!
//! `RINGFENCE_BENCH_BINARY=$(cargo xtask dist) cargo bench -p ringfence-sandbox --bench inside`. Outside and inside take
//! turns; what counts are the ratios of medians, the start of the program included. `RINGFENCE_BENCH_ROUNDS` is how often
//! (5). Scratch directories are made in the working directory's file system and, as root, in one mounted for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/tmpfs.rs"]
mod tmpfs;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Files to unpack; the tree for `git status` has ten times as many.
const FILES: usize = 20_000;
const SOURCES: usize = 40;
const TIERS: [&str; 3] = ["namespaces", "bwrap", "landlock"];

fn main() -> Result<()> {
    let Some(binary) = std::env::var_os("RINGFENCE_BENCH_BINARY").map(PathBuf::from) else {
        println!("SKIPPED: inside: `RINGFENCE_BENCH_BINARY` names no program (`cargo xtask dist` makes one)");
        return Ok(());
    };
    let rounds = std::env::var("RINGFENCE_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let disk = tempfile::tempdir_in(std::env::current_dir()?)?;
    let memory = tmpfs::Tmpfs::mount()?;
    let tiers: Vec<&str> = TIERS.into_iter().filter(|tier| starts(&binary, tier, disk.path())).collect();
    for tier in TIERS.iter().filter(|tier| !tiers.contains(tier)) {
        println!("SKIPPED: the {tier} tier doesn't start here");
    }
    let archive = disk.path().join("archive.tar");
    pack(&archive)?;
    let mut works = vec![status(&disk.path().join("tree"))?, build(&disk.path().join("build"))?];
    works.push(unpack("unpack, disk", &disk.path().join("unpack"), &archive)?);
    if let Some(memory) = &memory {
        works.push(unpack("unpack, tmpfs", &memory.path().join("unpack"), &archive)?);
    } else {
        println!("SKIPPED: unpacking on tmpfs: this user may not mount one");
    }
    print!("{:<16} {:>11}", "", "outside ms");
    tiers.iter().for_each(|tier| print!(" {tier:>12}"));
    println!();
    for work in &works {
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); tiers.len() + 1];
        for round in 0..=rounds {
            for (index, times) in times.iter_mut().enumerate() {
                let tier = index.checked_sub(1).and_then(|index| tiers.get(index));
                let time = work.run(tier.map(|tier| (binary.as_path(), *tier)))?;
                // The first round fills the caches.
                if round > 0 {
                    times.push(time);
                }
            }
        }
        let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
        let outside = medians.first().copied().unwrap_or(f64::NAN);
        print!("{:<16} {:>11.1}", work.name, outside * 1e3);
        medians.iter().skip(1).for_each(|inside| print!(" {:>11.3}×", inside / outside));
        println!();
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

fn starts(binary: &Path, tier: &str, at: &Path) -> bool {
    inside(binary, tier, at).arg("/bin/true").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn inside(binary: &Path, tier: &str, at: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["sandbox", "-s", "workspace-write", "-c", &format!("linux.backend=\"{tier}\""), "--"]);
    command.current_dir(at);
    command
}

/// Something that takes a while.
struct Work {
    name: &'static str,
    at: PathBuf,
    /// Before each time, untimed and outside.
    before: Option<Vec<String>>,
    argv: Vec<String>,
}

impl Work {
    fn run(&self, sandbox: Option<(&Path, &str)>) -> Result<Duration> {
        if let Some(before) = &self.before {
            ok(Command::new(&before[0]).args(&before[1..]).current_dir(&self.at))?;
        }
        let mut command = match sandbox {
            Some((binary, tier)) => {
                let mut command = inside(binary, tier, &self.at);
                command.args(&self.argv);
                command
            }
            None => {
                let mut command = Command::new(&self.argv[0]);
                command.args(&self.argv[1..]).current_dir(&self.at);
                command
            }
        };
        let began = Instant::now();
        ok(&mut command)?;
        Ok(began.elapsed())
    }
}

fn ok(command: &mut Command) -> Result<()> {
    // What isn't held in a tier is said each time.
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Files in directories of a hundred.
fn files(at: &Path, count: usize) -> Result<()> {
    for number in 0..count {
        let directory = at.join(format!("{:04}", number / 100));
        if number % 100 == 0 {
            std::fs::create_dir_all(&directory)?;
        }
        std::fs::write(directory.join(format!("{number}.txt")), format!("file {number}\n"))?;
    }
    Ok(())
}

fn status(at: &Path) -> Result<Work> {
    files(at, 10 * FILES)?;
    for line in ["init -q .", "add -A", "-c user.name=bench -c user.email=bench@localhost commit -q -m files"] {
        ok(Command::new("git").args(line.split(' ')).current_dir(at))?;
    }
    Ok(Work { name: "git status", at: at.to_path_buf(), before: None, argv: words("git status --short") })
}

fn build(at: &Path) -> Result<Work> {
    std::fs::create_dir_all(at)?;
    let mut makefile = String::from("all: $(patsubst %.c,%.o,$(wildcard *.c))\n\t$(CC) -o all $^\n");
    makefile.push_str("%.o: %.c\n\t$(CC) -O1 -c -o $@ $<\n");
    std::fs::write(at.join("Makefile"), makefile)?;
    for source in 0..SOURCES {
        let mut text = String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n");
        for function in 0..60 {
            writeln!(
                text,
                "int f{source}_{function}(int n) {{ char b[64]; snprintf(b, sizeof b, \"%d\", n * {function}); \
                 return (int)strlen(b) + atoi(b); }}"
            )?;
        }
        if source == 0 {
            text.push_str("int main(void) { return f0_1(0) - 1; }\n");
        }
        std::fs::write(at.join(format!("s{source}.c")), text)?;
    }
    let before = words("sh -c").into_iter().chain(["rm -f *.o all".to_owned()]).collect();
    Ok(Work { name: "C build", at: at.to_path_buf(), before: Some(before), argv: words("make -s -j2") })
}

fn pack(archive: &Path) -> Result<()> {
    let made = tempfile::tempdir()?;
    files(made.path(), FILES)?;
    ok(Command::new("tar").arg("-cf").arg(archive).arg("-C").arg(made.path()).arg("."))
}

fn unpack(name: &'static str, at: &Path, archive: &Path) -> Result<Work> {
    std::fs::create_dir_all(at)?;
    let before = words("sh -c").into_iter().chain(["rm -rf out && mkdir out".to_owned()]).collect();
    let argv = ["tar", "-xf", &archive.display().to_string(), "-C", "out"].map(str::to_owned).to_vec();
    Ok(Work { name, at: at.to_path_buf(), before: Some(before), argv })
}
