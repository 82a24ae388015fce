//! The least that a relay can do: one thread, one wait for everything that is ready, one read and one write for each part
//! of it. What comes in bulk never leaves the kernel (`splice(2)`). It judges nothing, and knows one destination.

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

const LISTENER: u64 = u64::MAX;
const PIPE: usize = 1 << 20;

/// One side of a tunnel.
struct Side {
    stream: TcpStream,
    /// Read from it and not yet written to the other.
    rest: Vec<u8>,
    ended: bool,
    /// What it sends in bulk goes through it.
    pipe: Option<(OwnedFd, OwnedFd)>,
    /// Bytes in the pipe.
    held: usize,
}

impl Side {
    fn has_rest(&self) -> bool {
        !self.rest.is_empty() || self.held > 0
    }
}

/// Serves until it is killed; says first where it listens.
pub fn serve(origin: SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("{}", listener.local_addr().unwrap());
    let poll = epoll::create(CreateFlags::CLOEXEC).unwrap();
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).unwrap();
    let (mut tunnels, mut buffer) = (Vec::new(), vec![0; 256 << 10]);
    let mut ready = Vec::with_capacity(256);
    loop {
        ready.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut ready), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
        for &Event { data, flags } in &ready {
            match data.u64() {
                LISTENER => {
                    while let Ok((client, _)) = listener.accept() {
                        begin(&poll, &mut tunnels, client, origin);
                    }
                }
                token => {
                    let ends = flags.contains(EventFlags::RDHUP);
                    turn(&mut tunnels, usize::try_from(token).unwrap(), ends, &mut buffer);
                }
            }
        }
    }
}

fn begin(poll: &OwnedFd, tunnels: &mut Vec<Option<[Side; 2]>>, mut client: TcpStream, origin: SocketAddr) {
    client.set_nonblocking(false).unwrap();
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut part) {
            Ok(count @ 1..) => head.extend_from_slice(&part[..count]),
            _ => return,
        }
    }
    let server = TcpStream::connect(origin).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let place = tunnels.iter().position(Option::is_none).unwrap_or(tunnels.len());
    let side = |(index, stream): (usize, TcpStream)| {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let data = EventData::new_u64((place * 2 + index) as u64);
        epoll::add(poll, &stream, data, EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET).unwrap();
        Side { stream, rest: Vec::new(), ended: false, pipe: None, held: 0 }
    };
    let sides = [(0, client), (1, server)].map(side);
    match tunnels.get_mut(place) {
        Some(free) => *free = Some(sides),
        None => tunnels.push(Some(sides)),
    }
}

/// Moves what one side has, and what waited for it.
fn turn(tunnels: &mut [Option<[Side; 2]>], token: usize, ends: bool, buffer: &mut [u8]) {
    let (place, index) = (token / 2, token % 2);
    let Some(sides) = tunnels.get_mut(place).and_then(Option::as_mut) else { return };
    let alive =
        pass(sides, index, ends, buffer) && (!sides[1 - index].has_rest() || pass(sides, 1 - index, true, buffer));
    if !alive || sides.iter().all(|side| side.ended && !side.has_rest()) {
        tunnels[place] = None;
    }
}

/// Reads from one side and writes to the other until one of them has to be waited for. False: the tunnel is broken.
fn pass(sides: &mut [Side; 2], index: usize, ends: bool, buffer: &mut [u8]) -> bool {
    let [first, second] = sides;
    let (from, to) = if index == 0 { (first, second) } else { (second, first) };
    loop {
        while !from.rest.is_empty() {
            match to.stream.write(&from.rest) {
                Ok(count) => drop(from.rest.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        if let Some((out, _)) = &from.pipe {
            while from.held > 0 {
                match splice(out, None, &to.stream, None, from.held, flags) {
                    Ok(count) => from.held -= count,
                    Err(Errno::AGAIN) => return true,
                    Err(_) => return false,
                }
            }
        }
        if from.ended {
            return true;
        }
        if let Some((_, into)) = &from.pipe {
            match splice(&from.stream, None, into, None, PIPE, flags) {
                Ok(0) => {
                    from.ended = true;
                    let _ = to.stream.shutdown(Shutdown::Write);
                }
                Ok(count) => from.held = count,
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
            continue;
        }
        match from.stream.read(buffer) {
            Ok(0) => {
                from.ended = true;
                let _ = to.stream.shutdown(Shutdown::Write);
                return true;
            }
            Ok(count) => {
                let written = match to.stream.write(&buffer[..count]) {
                    Ok(written) => written,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(_) => return false,
                };
                from.rest.extend_from_slice(&buffer[written..count]);
                if count == buffer.len() {
                    let (out, into) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
                    let _ = fcntl_setpipe_size(&into, PIPE);
                    from.pipe = Some((out, into));
                }
                // A part that didn't fill the buffer was all there was: an event tells when there is more.
                if count < buffer.len() && from.rest.is_empty() && !ends {
                    return true;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
    }
}
