//! Acts on processes, and on what a process is given at its start.

use super::inputs::Inputs;
use ringfence_sandbox::attack::{self, OnProcess};
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

pub fn signal(i: &Inputs) -> io::Result<()> {
    attack::on_process(i.victim, OnProcess::Signal)
}

pub fn signal_all(_: &Inputs) -> io::Result<()> {
    // Signal 0 asks without sending; the victim is judged by the acts that name it.
    attack::signal(-1, 0).and_then(|()| Err(io::ErrorKind::NotFound.into()))
}

pub fn trace(i: &Inputs) -> io::Result<()> {
    attack::on_process(i.victim, OnProcess::Trace)
}

pub fn priority(i: &Inputs) -> io::Result<()> {
    attack::on_process(i.victim, OnProcess::Priority)
}

pub fn shared_memory(i: &Inputs) -> io::Result<()> {
    attack::shared_memory(i.victim_memory)
}

pub fn memory(i: &Inputs) -> io::Result<()> {
    attack::on_process(i.victim, OnProcess::ReadMemory(i.victim_byte))
}

pub fn open(i: &Inputs) -> io::Result<()> {
    attack::on_process(i.victim, OnProcess::Open)
}

pub fn limits(i: &Inputs) -> io::Result<()> {
    attack::on_process(i.victim, OnProcess::Limit)
}

pub fn environment(i: &Inputs) -> io::Result<()> {
    // The number may belong to a process inside as well: only the secret counts.
    let mut last = io::ErrorKind::NotFound.into();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        match std::fs::read(entry.path().join("environ")) {
            Ok(text) if contains(&text, i.secret.as_bytes()) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

/// Leaves a daemon behind and ends.
pub fn linger(i: &Inputs) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let mut args = vec!["__attack".into(), "survive-parent".into()];
    args.extend(i.to_args());
    let mut child = Command::new(program)
        .args(args)
        .env("RINGFENCE_PROVE_DETACH", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // It must be alive and writing when this command ends, else there is nothing to judge.
    for _ in 0..200 {
        if std::fs::metadata(beat_file(i)).is_ok_and(|meta| meta.len() > 0) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("the daemon ended by itself: {status}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Where a daemon writes its beats.
pub fn beat_file(i: &Inputs) -> std::path::PathBuf {
    i.root.join("beats")
}

/// Writes a byte every few milliseconds for as long as it lives, at most 10 s.
pub fn beat(i: &Inputs) -> io::Result<()> {
    if std::env::var_os("RINGFENCE_PROVE_DETACH").is_some() {
        attack::detach()?;
    }
    for _ in 0..500 {
        std::fs::OpenOptions::new().append(true).create(true).open(beat_file(i))?.write_all(b".")?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub fn secret_variable(i: &Inputs) -> io::Result<()> {
    if std::env::vars_os().any(|(_, value)| contains(value.as_encoded_bytes(), i.secret.as_bytes())) {
        return Ok(());
    }
    Err(io::ErrorKind::NotFound.into())
}

pub fn descriptors(_: &Inputs) -> io::Result<()> {
    // Numbers first: the directory's own descriptor is among them and gone once the list is complete.
    let numbers: Vec<_> = std::fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.file_name()).collect();
    let extra = numbers.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok()).filter(|fd| *fd > 2).any(|fd| {
        // Still there after the listing: it was handed to this process.
        std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok()
    });
    if extra { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

pub fn own_child(_: &Inputs) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program)
        .args(["__attack", "wait"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let result = attack::on_process(pid, OnProcess::Signal);
    if result.is_err() {
        child.kill()?;
    }
    child.wait()?;
    result
}
