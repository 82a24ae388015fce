//! How much a confined start costs, as ratios in one run: bare, from the library alone, from a prepared sandbox, `bwrap`
//! where it is installed, and the program named by `RINGFENCE_BENCH_BINARY` (`cargo xtask dist` makes it), also in a
//! workspace of many files.
//!
//! `cargo bench -p ringfence-sandbox --bench start`. Every kind is run in turn, so that a busy machine slows all alike;
//! what counts are the ratios of medians. `RINGFENCE_BENCH_FILES` is the number of files in that workspace (a million),
//! `RINGFENCE_BENCH_ARGUMENTS` what comes before the command (`sandbox --`).
#![allow(clippy::type_complexity, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(target_os = "linux")]
mod linux {
    use ringfence_model::confinement::{
        Confinement, EnvVar, NetworkWish, Protected, ReadBase, Reads, Tmp, UnixSockets, WritableRoot,
    };
    use ringfence_model::facts::{FileId, FileKind};
    use ringfence_model::limits::Limits;
    use ringfence_model::mode::{AbsentHold, Backend, GitAccess};
    use ringfence_model::{AbsPath, Origin, OsText, SandboxMode, Sourced};
    use ringfence_sandbox::{Command, Options, Sandbox, Stdio, compile};
    use std::error::Error;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    const ROUNDS: usize = 200;
    const PROGRAM: &str = "the program";
    const PROGRAM_CROWDED: &str = "in many files";

    fn wish(root: &Path) -> Result<Confinement, Box<dyn Error>> {
        let origin = Origin::builtin("bench");
        let meta = std::fs::metadata(root)?;
        let path = AbsPath::new(std::fs::canonicalize(root)?)?;
        let git = path.join(".git")?;
        Ok(Confinement {
            mode: Sourced::new(SandboxMode::WorkspaceWrite, origin.clone()),
            cwd: path.clone(),
            roots: vec![WritableRoot {
                path,
                id: FileId { device: meta.dev(), inode: meta.ino() },
                origin: origin.clone(),
            }],
            protected: vec![Protected {
                path: git,
                found: Some(FileKind::Directory),
                reason: "bench".into(),
                origin: origin.clone(),
            }],
            reads: Reads {
                base: Sourced::new(ReadBase::Everything, origin.clone()),
                also: Vec::new(),
                denied: Vec::new(),
            },
            tmp: Sourced::new(Tmp::Shared, origin.clone()),
            network: Sourced::new(NetworkWish::Off, origin.clone()),
            allow_local_binding: Sourced::new(false, origin.clone()),
            unix_sockets: UnixSockets::Only(Vec::new()),
            git: Sourced::new(GitAccess::ReadOnly, origin.clone()),
            git_dirs: Vec::new(),
            environment: vec![EnvVar {
                name: OsText::new("PATH"),
                value: OsText::new("/usr/bin:/bin"),
                origin: origin.clone(),
            }],
            environment_dropped: Vec::new(),
            limits: Limits::default(),
            keep_background: Sourced::new(false, origin.clone()),
            backend: Sourced::new(Backend::Auto, origin.clone()),
            absent_protected: Sourced::new(AbsentHold::Broker, origin),
        })
    }

    fn timed(run: &mut dyn FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
        let began = Instant::now();
        run()?;
        Ok(began.elapsed())
    }

    fn outside(argv: Vec<String>) -> impl FnMut() -> Result<(), Box<dyn Error>> {
        move || {
            let (program, arguments) = argv.split_first().ok_or("no program")?;
            let status = std::process::Command::new(program).args(arguments).status()?;
            if status.success() { Ok(()) } else { Err(format!("{program}: {status}").into()) }
        }
    }

    fn command() -> Command {
        let mut command = Command::new(["/bin/true"]);
        command.stdin = Stdio::Inherit;
        command
    }

    pub fn main() -> Result<(), Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        std::fs::create_dir(directory.path().join(".git"))?;
        let plan = compile(&wish(directory.path())?, &ringfence_sandbox::probe::quick(), &Options::default())?;
        let single = Sandbox::new(plan.clone())?;
        let prepared = Sandbox::new(plan)?.prepare()?;
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut kinds: Vec<(&str, Box<dyn FnMut() -> Result<(), Box<dyn Error>> + '_>)> = vec![
            ("bare", Box::new(outside(words("/bin/true")))),
            (
                "library, one command",
                Box::new(|| {
                    single.spawn(command(), None)?.wait();
                    Ok(())
                }),
            ),
            (
                "library, prepared",
                Box::new(|| {
                    prepared.spawn(command(), None)?.wait();
                    Ok(())
                }),
            ),
        ];
        if Path::new("/usr/bin/bwrap").exists() {
            let line = "/usr/bin/bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all --die-with-parent /bin/true";
            kinds.push(("bwrap", Box::new(outside(words(line)))));
        }
        let crowded = tempfile::tempdir()?;
        let binary = std::env::var_os("RINGFENCE_BENCH_BINARY").map(PathBuf::from);
        if let Some(binary) = &binary {
            let crowd = std::env::var("RINGFENCE_BENCH_FILES").ok().and_then(|text| text.parse().ok());
            fill(crowded.path(), crowd.unwrap_or(1_000_000))?;
            for (name, workspace) in [(PROGRAM, directory.path()), (PROGRAM_CROWDED, crowded.path())] {
                let mut command = std::process::Command::new(binary);
                let rest = std::env::var("RINGFENCE_BENCH_ARGUMENTS").unwrap_or_else(|_| "sandbox --".to_owned());
                command.args(words(&rest)).arg("/bin/true").current_dir(workspace);
                kinds.push((
                    name,
                    Box::new(move || {
                        let status = command.status()?;
                        if status.success() { Ok(()) } else { Err(format!("{status}").into()) }
                    }),
                ));
            }
        }
        let mut times: Vec<Vec<Duration>> = kinds.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS + 5 {
            for ((_, run), times) in kinds.iter_mut().zip(&mut times) {
                let time = timed(run)?;
                if round >= 5 {
                    times.push(time);
                }
            }
        }
        let medians: Vec<f64> = times
            .iter_mut()
            .map(|times| {
                times.sort_unstable();
                times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
            })
            .collect();
        let of = |name: &str| {
            kinds.iter().zip(&medians).find(|((kind, _), _)| *kind == name).map_or(f64::NAN, |(_, median)| *median)
        };
        println!("{:<22} {:>9} {:>8} {:>9}", "", "median ms", "of bare", "of bwrap");
        for ((name, _), median) in kinds.iter().zip(&medians) {
            println!("{name:<22} {:>9.3} {:>8.2} {:>9.2}", median * 1e3, median / of("bare"), median / of("bwrap"));
        }
        if let Some(binary) = &binary {
            println!("many files: {:+.3} ms", (of(PROGRAM_CROWDED) - of(PROGRAM)) * 1e3);
            println!("resident memory of the supervisor: {} KiB", resident(binary, directory.path())?);
            println!("size of the program: {} KiB", std::fs::metadata(binary)?.len() / 1024);
        }
        Ok(())
    }

    /// Makes so many files, a thousand to a directory.
    fn fill(root: &Path, files: usize) -> Result<(), Box<dyn Error>> {
        std::fs::create_dir(root.join(".git"))?;
        for number in 0..files {
            let directory = root.join(format!("{:04}", number / 1000));
            if number % 1000 == 0 {
                std::fs::create_dir(&directory)?;
            }
            std::fs::File::create(directory.join(format!("{number}")))?;
        }
        Ok(())
    }

    /// `VmRSS` while a command runs, in KiB.
    fn resident(binary: &Path, workspace: &Path) -> Result<u64, Box<dyn Error>> {
        let mut child = std::process::Command::new(binary)
            .args(["sandbox", "--", "/bin/sleep", "1"])
            .current_dir(workspace)
            .spawn()?;
        std::thread::sleep(Duration::from_millis(500));
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        child.wait()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
