//! `ringfence proxy`: the judging proxy alone, and the connector for `ssh`.

use super::ask;
use crate::args::proxy::{ConnectArgs, ProxyArgs, ProxyCommand};
use crate::out::{Failure, notices};
use crate::start;
use ringfence::network::NetworkError;
use ringfence::network::egress::event::{Event, Verdict};
use ringfence::network::egress::host::Target;
use ringfence::network::egress::standalone::{Listen, RunError, Serves};
use ringfence::{Opening, Session};
use ringfence_model::report::status;
use ringfence_model::settings::ManagedNetwork;
use ringfence_model::{Origin, Sourced};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::ExitCode;

/// Runs the proxy until it is ended.
pub fn main(args: &ProxyArgs) -> Result<ExitCode, Failure> {
    if let Some(ProxyCommand::Connect(connect)) = &args.other {
        return connect_through(connect);
    }
    if args.shared.network.as_deref() == Some("off") {
        return Err(Failure::new("a proxy without a network lets nothing through")
            .origin(Origin::flag("--network"))
            .hint("leave `--network` out: which hosts can be reached is `[network.domains]`'s to say"));
    }
    let mut ready = start::ready(&args.shared, &[])?;
    // Running it says that there is network, through it: whether commands of this machine have any is another matter.
    let network = &mut ready.resolved.settings.network;
    for switch in [&mut network.access, &mut network.proxy] {
        *switch = Sourced::new(true, Origin::builtin("`ringfence proxy`"));
    }
    if !args.shared.json {
        notices::print(&start::notices(&ready));
    }
    let settings = ready.resolved.settings.network.managed.clone();
    let mut listen = Listen::from_settings(&ready.resolved.settings.network);
    if !args.http.is_empty() || !args.socks.is_empty() {
        listen = Listen { http: args.http.clone(), socks: args.socks.clone(), ..Listen::default() };
    }
    listen.metrics.extend(args.metrics);
    let opening = Opening {
        start: Some(ready.start),
        resolved: Some(ready.resolved),
        ignore_user: args.shared.ignore_user_config,
        approver: ask::terminal(),
        ..Opening::default()
    };
    let session = Session::open(opening).map_err(|error| Failure::from_error(&error))?;
    let json = args.shared.json;
    let seen = move |event: &Event| print(event, json);
    let done = session.run_proxy(
        &listen,
        |listening, _| say_where(listening),
        seen,
        |ended| {
            // Until somebody ends it in place of an answer; else it goes on until the process ends.
            let _ = ended.recv();
        },
    );
    done.map_err(|error| failure(&error, args, &settings))?;
    Ok(ExitCode::SUCCESS)
}

/// Why there is no proxy, and what to do.
fn failure(error: &NetworkError, args: &ProxyArgs, settings: &ManagedNetwork) -> Failure {
    let failure = Failure::from_error(error);
    let failure = match error.origin() {
        Some(origin) => failure.origin(origin.clone()),
        None => failure,
    };
    match error {
        NetworkError::Ended { .. } => failure.status(status::DENIED),
        NetworkError::Alone(RunError::Listen { address, what, cause }) => {
            let (flag, named, setting) = match what {
                Serves::Http => ("--http", !args.http.is_empty(), Some(&settings.http_port.origin)),
                Serves::Socks5 => ("--socks", !args.socks.is_empty(), Some(&settings.socks_port.origin)),
                Serves::Metrics => ("--metrics", true, None),
            };
            let failure = match setting.filter(|origin| !named && origin.is_explicit()) {
                Some(origin) => failure.origin(origin.clone()),
                None => failure,
            };
            match cause.kind() {
                ErrorKind::AddrInUse => failure.hint(format!(
                    "something listens there already (`ss -ltnp` shows what): end it, or name another place with `{flag}`"
                )),
                ErrorKind::PermissionDenied if address.port() < 1024 => failure.hint(format!(
                    "ports below 1024 are for root, or for whoever has the capability `net_bind_service`: name a higher \
                     one, such as `{flag} {}:{}`",
                    address.ip(),
                    address.port() + 8000
                )),
                ErrorKind::AddrNotAvailable => failure
                    .hint("no interface of this machine has that address (`ip -brief address` shows those there are)"),
                _ => failure,
            }
        }
        _ => failure,
    }
}

fn say_where(listening: &Listen) {
    for address in &listening.http {
        eprintln!("ringfence: HTTP proxy on {address}");
    }
    for address in &listening.socks {
        eprintln!("ringfence: SOCKS5 proxy on {address}");
    }
    for address in &listening.metrics {
        eprintln!("ringfence: counters at http://{address}/metrics");
    }
}

/// One line for each decision: as JSON on standard output, else for people on standard error.
fn print(event: &Event, json: bool) {
    if json {
        if let Ok(line) = serde_json::to_string(event) {
            // A reader that went away is no reason to stop.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
        return;
    }
    let verdict = match event.verdict {
        Verdict::Allowed => "allowed",
        Verdict::Refused => "refused",
        Verdict::Malformed => "malformed",
        Verdict::Failed => "failed",
    };
    let method = event.method.as_deref().unwrap_or(event.protocol.name());
    let why = if event.detail.is_empty() { &event.rule } else { &event.detail };
    // In one piece: standard error writes every part of a format by itself.
    let line = format!("ringfence: {verdict}: {method} {}:{} ({why})\n", event.host, event.port);
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Asks the proxy for a tunnel and carries standard input and output through it.
fn connect_through(args: &ConnectArgs) -> Result<ExitCode, Failure> {
    use ringfence_model::text::escape;
    let bracketed = if args.host.contains(':') { format!("[{}]", args.host) } else { args.host.clone() };
    // Judged by the proxy; here it must be one host and nothing else, since it becomes a line of a request.
    let target = Target::parse(&format!("{bracketed}:{}", args.port), None)
        .map_err(|error| Failure::new(format!("`{}` is no host", escape(&args.host))).cause(error.to_string()))?;
    let failed = |error: std::io::Error| {
        let failure = Failure::new(format!("could not use the proxy on {}", args.via)).cause(error.to_string());
        match error.kind() {
            ErrorKind::ConnectionRefused => failure.hint("nothing listens there: `ringfence proxy` starts a proxy"),
            _ => failure,
        }
    };
    let mut stream = TcpStream::connect(args.via).map_err(failed)?;
    let authorization = match credential(args.via) {
        Some(basic) => format!("Proxy-Authorization: Basic {basic}\r\n"),
        None => String::new(),
    };
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 {
        let mut byte = [0];
        if stream.read(&mut byte).map_err(failed)? == 0 {
            break;
        }
        head.extend_from_slice(&byte);
    }
    if head.starts_with(b"HTTP/1.1 407") {
        return Err(Failure::new(format!("the proxy on {} wants a user name and password", args.via))
            .hint("they are taken from `HTTPS_PROXY`, where that names the same address"));
    }
    if !head.starts_with(b"HTTP/1.1 200") {
        let mut body = Vec::new();
        let _ = stream.take(16 * 1024).read_to_end(&mut body);
        return Err(refused(&args.host, args.port, &body));
    }
    let mut up = stream.try_clone().map_err(failed)?;
    std::thread::spawn(move || {
        let _ = copy(&mut std::io::stdin().lock(), &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    copy(&mut stream, &mut std::io::stdout().lock()).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// What a refusal says, in words rather than as it came.
fn refused(host: &str, port: u16, body: &[u8]) -> Failure {
    use ringfence_model::text::{escape, escape_bytes};
    let failure = Failure::new(format!("the proxy refused {}:{port}", escape(host)));
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else {
        return failure.cause(escape_bytes(body.trim_ascii()));
    };
    let failure = failure.cause(escape(answer["text"].as_str().unwrap_or("it doesn't say why")));
    match answer["allow_with"].as_array().and_then(|grants| grants.first()?.as_str()) {
        Some(grant) => failure.hint(format!("this would allow it: {}", escape(grant))),
        None => failure,
    }
}

/// The credential for the proxy at this address, if the variables name it with one. Arguments are everybody's to read.
fn credential(via: SocketAddr) -> Option<String> {
    let value = std::env::var("HTTPS_PROXY").ok()?;
    let (userinfo, address) = value.strip_prefix("http://")?.rsplit_once('@')?;
    let same = address.trim_end_matches('/').parse() == Ok(via);
    same.then(|| ringfence::network::egress::proxy::basic(userinfo))
}

/// Copies until the end, flushing as it goes.
fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                to.write_all(buffer.get(..count).unwrap_or_default())?;
                to.flush()?;
            }
        }
    }
}
