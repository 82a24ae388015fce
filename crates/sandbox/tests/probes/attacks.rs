//! Attacks that need more than a shell. Each says `did` or the errno; the judge outside decides what that means.

use ringfence_sandbox::attack::{self, Datagram, OnFile, OnKernel};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the attack that the arguments name.
pub fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["fifo", path] => std::fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"x")),
        ["kernel", name] => kernel(name),
        ["file", act, path] => file(act, Path::new(path)),
        ["host-name"] => attack::set_host_name(b"owned"),
        ["tcp", address] => address.parse().map_err(io::Error::other).and_then(|address| {
            TcpStream::connect_timeout(&address, Duration::from_secs(2)).and_then(|mut stream| stream.write_all(b"x"))
        }),
        ["udp", address] => UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", address)).map(drop),
        ["fast-open", port] => port.parse().map_err(io::Error::other).and_then(|port| attack::fast_open(port, b"x")),
        ["unix", path] => std::os::unix::net::UnixStream::connect(path).and_then(|mut stream| stream.write_all(b"x")),
        ["datagram", path] => attack::datagram_to(Path::new(path), Datagram::PairMessage, b"x"),
        // Not an attack: a supervisor that is killed.
        ["supervise", scratch, mark] => return super::harness::supervise(Path::new(scratch), mark),
        ["loopback", address] => loopback(address),
        ["signal", pid, number] => match (pid.parse(), number.parse()) {
            (Ok(pid), Ok(number)) => attack::signal(pid, number),
            _ => Err(io::Error::other("numbers")),
        },
        _ => Err(io::Error::other(format!("no such attack: {words:?}"))),
    };
    match result {
        Ok(()) => {
            println!("did");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Every act on the kernel.
pub const KERNEL: &[OnKernel] = &[
    OnKernel::UserNamespace,
    OnKernel::Mount,
    OnKernel::Remount,
    OnKernel::Unmount,
    OnKernel::Chroot,
    OnKernel::Bpf,
    OnKernel::Perf,
    OnKernel::Userfaultfd,
    OnKernel::IoUring,
    OnKernel::AddKey,
    OnKernel::Keyctl,
    OnKernel::PacketSocket,
    OnKernel::RawSocket,
    OnKernel::CryptoSocket,
    OnKernel::VsockSocket,
    OnKernel::TypeInto,
    OnKernel::TypeIntoHigh,
];

fn kernel(name: &str) -> io::Result<()> {
    let act = KERNEL.iter().find(|act| format!("{act:?}") == name);
    act.map_or_else(|| Err(io::Error::other("no such act")), |act| attack::on_kernel(*act))
}

/// Listens, connects and exchanges a byte, all inside.
fn loopback(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"x")?;
    let mut byte = [0];
    server.read_exact(&mut byte)
}

fn file(act: &str, path: &Path) -> io::Result<()> {
    let acts = [OnFile::Attribute, OnFile::Times, OnFile::InodeFlags, OnFile::DeviceNode];
    let act = acts.iter().find(|known| format!("{known:?}") == act);
    act.map_or_else(|| Err(io::Error::other("no such act")), |act| attack::on_file(path, *act))
}
