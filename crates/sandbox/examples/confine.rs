//! Runs a command in a sandbox described by flags, without settings or policy: for trying the sandbox alone.
//!
//! `confine [--root DIR]… [--protect PATH]… [--deny PATH]… [--network on] [--private-tmp] [--read-only] [--backend NAME] [--json] -- COMMAND…`

#[cfg(target_os = "linux")]
mod linux {
    use ringfence_model::confinement::{
        Confinement, DeniedRead, EnvVar, NetworkWish, PathPattern, Protected, ReadBase, Reads, Tmp, UnixSockets,
        WritableRoot,
    };
    use ringfence_model::facts::{FileId, FileKind};
    use ringfence_model::limits::Limits;
    use ringfence_model::mode::{AbsentHold, Backend, GitAccess};
    use ringfence_model::{AbsPath, Origin, OsText, SandboxMode, Sourced};
    use ringfence_sandbox::{Ahead, Command, Options, Sandbox, Signals, compile};
    use std::error::Error;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    fn resolve(path: &Path) -> Result<AbsPath, Box<dyn Error>> {
        Ok(AbsPath::new(std::fs::canonicalize(path)?)?)
    }

    fn root(path: &AbsPath, origin: &Origin) -> Result<WritableRoot, Box<dyn Error>> {
        let meta = std::fs::metadata(path)?;
        let id = FileId { device: meta.dev(), inode: meta.ino() };
        Ok(WritableRoot { path: path.clone(), id, origin: origin.clone() })
    }

    pub fn main() -> Result<u8, Box<dyn Error>> {
        let ahead = Ahead::begin();
        let mut arguments = std::env::args_os().skip(1);
        let origin = |flag: &str| Origin::flag(flag);
        let cwd = resolve(&std::env::current_dir()?)?;
        let mut roots = Vec::new();
        let mut protect = Vec::new();
        let mut denied = Vec::new();
        let (mut network, mut tmp, mut json, mut only_plan) = (NetworkWish::Off, Tmp::Shared, false, false);
        let (mut mode, mut backend) = (SandboxMode::WorkspaceWrite, Backend::Auto);
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or("a value is missing");
            match flag.to_str() {
                Some("--root") => roots.push(root(&resolve(Path::new(&value()?))?, &origin("--root"))?),
                Some("--protect") => protect.push(AbsPath::new(std::path::absolute(value()?)?)?),
                Some("--deny") => denied.push(AbsPath::new(std::path::absolute(value()?)?)?),
                Some("--network") if value()? == "on" => network = NetworkWish::On,
                Some("--private-tmp") => tmp = Tmp::Private,
                Some("--read-only") => mode = SandboxMode::ReadOnly,
                Some("--full-access") => mode = SandboxMode::DangerFullAccess,
                Some("--backend") => {
                    let name = value()?;
                    backend = name.to_str().and_then(Backend::from_name).ok_or("no such backend")?;
                }
                Some("--plan") => only_plan = true,
                Some("--json") => json = true,
                Some("--") => break,
                _ => return Err(format!("unknown flag {flag:?}").into()),
            }
        }
        let argv: Vec<OsText> = arguments.map(OsText::new).collect();
        roots.sort();
        let whole: Vec<WritableRoot> = roots.clone();
        roots.retain(|inner| !whole.iter().any(|outer| outer.path != inner.path && inner.path.is_within(&outer.path)));
        let defaults = [".git", ".ringfence", ".agents", ".codex"];
        for root in &whole {
            protect.extend(defaults.iter().filter_map(|name| root.path.join(name).ok()));
        }
        let mut protected: Vec<Protected> = protect
            .into_iter()
            .map(|path| Protected {
                found: std::fs::symlink_metadata(&path).ok().map(|meta| match meta.file_type() {
                    kind if kind.is_dir() => FileKind::Directory,
                    kind if kind.is_file() => FileKind::File,
                    kind if kind.is_symlink() => FileKind::Symlink,
                    _ => FileKind::Other,
                }),
                path,
                reason: "agents and tools take orders from it".into(),
                origin: Origin::builtin("protected names"),
            })
            .collect();
        protected.sort();
        let environment = std::env::vars_os()
            .map(|(name, value)| EnvVar {
                name: OsText::new(name),
                value: OsText::new(value),
                origin: Origin::builtin("inherited"),
            })
            .collect();
        let default = |key: &str| Origin::builtin(format!("default of `{key}`"));
        let wish = Confinement {
            mode: Sourced::new(mode, origin("--root")),
            cwd,
            roots: if mode == SandboxMode::ReadOnly { Vec::new() } else { roots },
            protected,
            reads: Reads {
                base: Sourced::new(ReadBase::Everything, default("permissions")),
                also: Vec::new(),
                denied: denied
                    .into_iter()
                    .map(|path| DeniedRead { pattern: PathPattern::Path(path), origin: origin("--deny") })
                    .collect(),
            },
            tmp: Sourced::new(tmp, origin("--private-tmp")),
            network: Sourced::new(network, origin("--network")),
            allow_local_binding: Sourced::new(false, default("allow_local_binding")),
            unix_sockets: UnixSockets::Only(Vec::new()),
            git: Sourced::new(GitAccess::ReadOnly, default("git")),
            git_dirs: Vec::new(),
            environment,
            environment_dropped: Vec::new(),
            limits: Limits::default(),
            keep_background: Sourced::new(false, default("keep_background")),
            backend: Sourced::new(backend, origin("--backend")),
            absent_protected: Sourced::new(AbsentHold::Broker, default("absent_protected")),
        };
        let plan = compile(&wish, &ringfence_sandbox::probe::quick(), &Options::default())?;
        if only_plan {
            if json {
                println!("{:#}", ringfence_sandbox::compile::print::json(&plan));
            } else {
                print!("{}", ringfence_sandbox::compile::print::text(&plan));
            }
            return Ok(0);
        }
        let sandbox = Sandbox::new(plan)?;
        let mut command = Command::new(argv);
        command.signals = Signals::Forward;
        match sandbox.spawn_ahead(ahead, command, None) {
            Ok(running) => Ok(running.wait().exit.status()),
            Err(error) => {
                eprint!("confine: could not {error}");
                let mut cause = error.source();
                while let Some(next) = cause {
                    eprint!(": {next}");
                    cause = next.source();
                }
                eprintln!();
                Ok(error.status())
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match linux::main() {
        Ok(status) => std::process::ExitCode::from(status),
        Err(error) => {
            eprintln!("confine: {error}");
            std::process::ExitCode::from(125)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
