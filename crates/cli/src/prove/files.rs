//! Acts on files: outside the roots, on protected names, on denied reads.

use super::inputs::Inputs;
use ringfence_sandbox::attack::{self, OnFile};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink as make_link};

const PLANTED: &[u8] = b"planted by ringfence prove\n";

pub fn create(i: &Inputs) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(i.outside.join("new"))?.write_all(PLANTED)
}

pub fn append(i: &Inputs) -> io::Result<()> {
    OpenOptions::new().append(true).open(i.outside.join("keep"))?.write_all(PLANTED)
}

pub fn truncate(i: &Inputs) -> io::Result<()> {
    // O_RDONLY|O_TRUNC: no write access is asked for, yet the file is emptied.
    const O_TRUNC: i32 = 0o1000;
    OpenOptions::new().read(true).custom_flags(O_TRUNC).open(i.outside.join("keep")).map(drop)
}

pub fn unlink(i: &Inputs) -> io::Result<()> {
    fs::remove_file(i.outside.join("keep"))
}

pub fn rename(i: &Inputs) -> io::Result<()> {
    fs::rename(i.outside.join("keep"), i.outside.join("moved"))
}

pub fn rename_in(i: &Inputs) -> io::Result<()> {
    fs::rename(i.outside.join("keep"), i.root.join("taken"))
}

pub fn mkdir(i: &Inputs) -> io::Result<()> {
    fs::create_dir(i.outside.join("directory"))
}

pub fn symlink(i: &Inputs) -> io::Result<()> {
    make_link("keep", i.outside.join("link"))
}

pub fn through_link(i: &Inputs) -> io::Result<()> {
    let link = i.root.join("way-out");
    let _ = fs::remove_file(&link);
    make_link(&i.outside, &link)?;
    let result = fs::write(link.join("through-link"), PLANTED);
    let _ = fs::remove_file(&link);
    result
}

pub fn hard_link(i: &Inputs) -> io::Result<()> {
    let twin = i.root.join("twin");
    fs::hard_link(i.outside.join("keep"), &twin)?;
    fs::write(twin, PLANTED)
}

pub fn through_proc(i: &Inputs) -> io::Result<()> {
    let below = i.outside.strip_prefix("/").unwrap_or(&i.outside);
    fs::write(std::path::Path::new("/proc/self/root").join(below).join("through-proc"), PLANTED)
}

pub fn fifo(i: &Inputs) -> io::Result<()> {
    const O_NONBLOCK: i32 = 0o4000;
    let path = i.outside.join("pipe");
    OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path)?.write_all(PLANTED)
}

pub fn mode(i: &Inputs) -> io::Result<()> {
    fs::set_permissions(i.outside.join("keep"), Permissions::from_mode(0o777))
}

pub fn mode_by_descriptor(i: &Inputs) -> io::Result<()> {
    fs::File::open(i.outside.join("keep"))?.set_permissions(Permissions::from_mode(0o777))
}

pub fn times(i: &Inputs) -> io::Result<()> {
    attack::on_file(&i.outside.join("keep"), OnFile::Times)
}

pub fn attribute(i: &Inputs) -> io::Result<()> {
    attack::on_file(&i.outside.join("keep"), OnFile::Attribute)
}

pub fn inode_flags(i: &Inputs) -> io::Result<()> {
    attack::on_file(&i.outside.join("keep"), OnFile::InodeFlags)
}

pub fn git_config(i: &Inputs) -> io::Result<()> {
    OpenOptions::new().append(true).open(i.root.join(".git/config"))?.write_all(PLANTED)
}

pub fn git_hook(i: &Inputs) -> io::Result<()> {
    fs::write(i.root.join(".git/hooks/pre-commit"), PLANTED)
}

pub fn git_replace(i: &Inputs) -> io::Result<()> {
    fs::rename(i.root.join(".git"), i.root.join("old"))?;
    fs::create_dir(i.root.join(".git"))
}

pub fn absent(i: &Inputs) -> io::Result<()> {
    fs::create_dir(i.root.join(".codex"))
}

pub fn absent_rename(i: &Inputs) -> io::Result<()> {
    let prepared = i.root.join("prepared");
    let _ = fs::create_dir(&prepared);
    let result = fs::rename(&prepared, i.root.join(".agents"));
    let _ = fs::remove_dir(&prepared);
    result
}

pub fn absent_link(i: &Inputs) -> io::Result<()> {
    make_link("elsewhere", i.root.join(".mcp.json"))
}

pub fn orders(i: &Inputs) -> io::Result<()> {
    let directory = i.root.join(".vscode");
    fs::create_dir(&directory)?;
    fs::write(directory.join("tasks.json"), PLANTED)
}

pub fn denied(i: &Inputs) -> io::Result<()> {
    let path = denied_path(i)?;
    if path.is_dir() { fs::read_dir(path).map(drop) } else { fs::read(path).map(drop) }
}

pub fn denied_link(i: &Inputs) -> io::Result<()> {
    let path = denied_path(i)?;
    if path.is_dir() {
        return fs::read_dir(path).map(drop);
    }
    let twin = i.root.join("denied-twin");
    fs::hard_link(path, &twin)?;
    let result = fs::read(&twin).map(drop);
    let _ = fs::remove_file(twin);
    result
}

fn denied_path(i: &Inputs) -> io::Result<&std::path::Path> {
    i.denied.as_deref().ok_or_else(|| io::Error::other("no path is denied"))
}

pub fn setuid(i: &Inputs) -> io::Result<()> {
    let path = i.root.join("set-user-id");
    fs::write(&path, PLANTED)?;
    let result = fs::set_permissions(&path, Permissions::from_mode(0o4755));
    if result.is_err() {
        let _ = fs::remove_file(&path);
    }
    result
}

pub fn device_node(i: &Inputs) -> io::Result<()> {
    let path = i.root.join("node");
    let result = attack::on_file(&path, OnFile::DeviceNode);
    let _ = fs::remove_file(path);
    result
}

pub fn disks(_: &Inputs) -> io::Result<()> {
    let mut last = io::ErrorKind::NotFound.into();
    for path in ["/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/dm-0", "/dev/loop0", "/dev/kvm"]
    {
        match fs::File::open(path) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub fn work(i: &Inputs) -> io::Result<()> {
    let (first, second) = (i.root.join("work"), i.root.join("work-2"));
    fs::write(&first, b"x")?;
    fs::rename(&first, &second)?;
    fs::remove_file(&second)
}

pub fn devices(_: &Inputs) -> io::Result<()> {
    fs::write("/dev/null", b"x")?;
    let mut buffer = [1u8; 4];
    fs::File::open("/dev/zero")?.read_exact(&mut buffer)?;
    if buffer != [0; 4] {
        return Err(io::Error::other("/dev/zero gives something else"));
    }
    fs::File::open("/dev/urandom")?.read_exact(&mut buffer)
}
