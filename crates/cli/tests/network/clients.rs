//! Clients of every day, each as people use it, in the sandbox: through the proxy, and without knowing of one.

use super::common::{have, skip};
use super::{SERVER_2, World, registries};
use std::process::Command;

#[test]
fn transparent_clients_of_every_day_work_without_a_proxy() {
    let test = "transparent_clients_of_every_day_work_without_a_proxy";
    let Some(mut world) = World::new(test, true) else { return };
    world.with_clients(test);
    clients(
        test,
        &world,
        "unset JAVA_TOOL_OPTIONS $(env | sed -n 's/^\\([A-Za-z_]*[pP][rR][oO][xX][yY][A-Za-z_]*\\)=.*/\\1/p'); ",
    );
}

#[test]
fn clients_of_every_day_work_through_the_proxy() {
    let test = "clients_of_every_day_work_through_the_proxy";
    let Some(mut world) = World::new(test, false) else { return };
    world.with_clients(test);
    clients(test, &world, "");
}

#[test]
fn clients_of_every_day_work_where_the_sandbox_shares_the_machines_network() {
    let test = "clients_of_every_day_work_where_the_sandbox_shares_the_machines_network";
    let Some(mut world) = World::with(test, false, "[linux]\nbackend = \"landlock\"\n") else { return };
    let ran = world.inside("true");
    if ran.status == 125 {
        return skip(test, ran.err.lines().next().unwrap_or("the landlock tier can't be had here"));
    }
    world.with_clients(test);
    clients(test, &world, "");
}

#[test]
fn px_11_clients_of_every_day_work_where_tls_is_opened_and_a_credential_is_put_in() {
    let test = "px_11_clients_of_every_day_work_where_tls_is_opened_and_a_credential_is_put_in";
    let more = "[network.tls]\nintercept = [\"allowed.test:443\", \"allowed.test:8443\"]\n\
        [network.secrets.api]\nenv = \"API_TOKEN\"\nhosts = [\"allowed.test:443\"]\nheader = \"Authorization\"\n";
    let Some(mut world) = World::with(test, false, more) else { return };
    world.with_clients(test);
    // The certificates are those that the sandbox names, and nothing is set for any client.
    clients_with(test, &world, "unset CURL_HOME; export CERT=$SSL_CERT_FILE", true);
    if !have(test, "curl") || !have(test, "openssl") {
        return;
    }
    let script = "echo \"$API_TOKEN\" | cut -c1-4; curl -sm 20 https://allowed.test/who; echo; \
        curl -sm 20 -H \"Authorization: Bearer $API_TOKEN\" https://allowed.test/who; echo; \
        curl -sm 20 -H 'Authorization: mine' https://allowed.test/who; echo; \
        curl -sm 20 -H \"Authorization: $API_TOKEN\" http://allowed.test/who | cut -c1-4";
    let ran = world.inside(script).ends(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    // Inside there is a placeholder; over TLS the host gets the value, in the open it doesn't.
    let [inside, filled, replaced, own, open] = lines[..] else { panic!("{}{}", ran.out, ran.err) };
    assert_ne!(inside, "real", "{}", ran.out);
    assert_eq!(
        [filled, replaced, own, open],
        ["Bearer real-value", "Bearer real-value", "mine", inside],
        "{}",
        ran.err
    );
}

/// What a client needs beside itself.
enum Needs {
    /// A program.
    Program(&'static str),
    /// A module of Python.
    Module(&'static str),
    /// Node, with a certificate to trust.
    Node,
    /// Node of at least this version.
    NodeFrom(u32, u32),
    /// A program on Java, with Java's compiler.
    Java(&'static str),
}

use Needs::{Java, Module, Node, NodeFrom, Program};

/// A client: what it needs, its name, its line of shell, and the last line that it prints.
type Client = (Needs, &'static str, &'static str, &'static str);

const CLIENTS: &[Client] = &[
    (Program("curl"), "curl", "curl -sSm 20 http://allowed.test/hello", "hello from afar"),
    (Program("curl"), "curl, TLS", "curl -sSm 20 --cacert $CERT https://allowed.test/hello", "hello from afar"),
    (Node, "curl, HTTP/2", "curl -sSm 20 --http2 --cacert $CERT https://allowed.test:8443/", "version 2.0"),
    (
        Program("curl"),
        "curl, SOCKS",
        "curl -sSm 20 ${SOCKS_PROXY:+-x $SOCKS_PROXY} --cacert $CERT https://allowed.test/hello",
        "hello from afar",
    ),
    (
        Program("curl"),
        "curl, upload",
        "head -c 3000000 /dev/zero | tr '\\0' a > up; curl -sSm 20 -T up http://allowed.test/x",
        "291000000",
    ),
    (Program("wget"), "wget", "wget -qO- -T 20 --ca-certificate=$CERT https://allowed.test/hello", "hello from afar"),
    (
        Program("git"),
        "git, TLS",
        "git -c http.sslCAInfo=$CERT clone -q https://allowed.test/repo.git copy && cat copy/file",
        "from the repository",
    ),
    (
        Program("pip3"),
        "pip",
        "python3 -m pip install -q --no-deps --no-cache-dir --disable-pip-version-check --cert $CERT \
         -i https://allowed.test/simple/ --target lib thing; PYTHONPATH=lib python3 -c 'import thing; print(thing.x)'",
        "1",
    ),
    (
        Program("npm"),
        "npm",
        "mkdir -p app && cd app && echo '{}' > package.json && npm install --silent --no-audit --no-fund thing \
         --registry https://allowed.test/npm/ --cafile $CERT --cache $PWD/npm && node -e 'console.log(require(\"thing\"))'",
        "2",
    ),
    (
        Program("cargo"),
        "cargo",
        "cd crate && CARGO_HTTP_CAINFO=$CERT CARGO_HOME=$PWD/home \
         CARGO_REGISTRIES_LOCAL_INDEX=sparse+https://allowed.test/index/ cargo run -q",
        "3",
    ),
    (
        Module("requests"),
        "requests",
        "REQUESTS_CA_BUNDLE=$CERT python3 -c 'import requests; print(requests.get(\"https://allowed.test/hello\", timeout=20).text)'",
        "hello from afar",
    ),
    (
        Program("python3"),
        "urllib",
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"https://allowed.test/hello\", timeout=20).read().decode())'",
        "hello from afar",
    ),
    (
        Module("httpx"),
        "httpx",
        "python3 -c 'import httpx; print(httpx.get(\"https://allowed.test/hello\", timeout=20).text)'",
        "hello from afar",
    ),
    (Module("aiohttp"), "aiohttp", "python3 aio.py", "hello from afar, and a message"),
    (Module("websockets"), "websockets", "python3 ws.py ws", "a message, 70000 bytes"),
    (Module("websockets"), "websockets, TLS", "python3 ws.py wss", "a message, 70000 bytes"),
    (Java("java"), "Java", "java -Djava.io.tmpdir=$PWD Get.java 2>&1 | grep -v Picked", "hello from afar"),
    (
        Program("go"),
        "go",
        "cd go && GOPROXY=https://allowed.test/go GOSUMDB=off GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='-mod=mod -modcacherw' \
         GOCACHE=$PWD/cache GOPATH=$PWD/path go run .",
        "4",
    ),
    (
        Java("mvn"),
        "maven",
        "cd maven && mvn -B -q -s settings.xml -Dmaven.repo.local=$PWD/local test:say-maven-plugin:1.0:say 2>&1 \
         | sed 's/\\x1b\\[[0-9]*m//g'",
        "5",
    ),
    (Java("gradle"), "gradle", "cd gradle && gradle -q --no-daemon -g $PWD/home say", "6"),
    (
        Program("docker"),
        "docker, engine",
        "docker -H tcp://allowed.test:80 version --format '{{.Server.Version}}'",
        "7 of a stand-in",
    ),
    (
        Program("docker"),
        "docker, registry",
        "docker manifest inspect allowed.test/thing:1 | grep -o '[a-z.]*manifest[a-z.0-9]*'",
        "vnd.docker.distribution.manifest.v2",
    ),
];

/// Node's own clients look at proxy variables from this version on; before, they know of none.
const NODE_FETCH: &str = "node -e 'fetch(\"https://allowed.test/hello\").then(r => r.text()).then(console.log)'";
const NODE_WEBSOCKET: &str = "node -e 's = new WebSocket(\"wss://allowed.test/\"); s.onopen = () => s.send(\"a message\"); \
    s.onmessage = m => { console.log(m.data); s.close() }; s.onerror = e => { console.log(e.message); process.exit() }'";

/// Runs each client that is installed, trusting the other machine's own certificate.
fn clients(test: &str, world: &World, before: &str) {
    let cert = world.place.path("world/cert.pem");
    let cert = cert.display();
    let mut trust = format!("export CERT={cert} SSL_CERT_FILE={cert} NODE_EXTRA_CA_CERTS={cert}");
    if world.with_java {
        trust.push_str(
            "; keytool -importcert -noprompt -alias one -file $CERT -keystore trust -storetype JKS -storepass changeit 2> keytool; \
             export JAVA_TOOL_OPTIONS=\"$JAVA_TOOL_OPTIONS -Djavax.net.ssl.trustStore=$PWD/trust\"",
        );
    }
    clients_with(test, world, &format!("{before} {trust}"), before.is_empty());
}

/// Runs each client that is installed; each prints what it got.
fn clients_with(test: &str, world: &World, before: &str, through: bool) {
    if world.with_node {
        world.place.write("world/server.mjs", SERVER_2);
    }
    registries::set_up(world);
    programs(world);
    // Where a version manager keeps the compiler, if that is how `cargo` was installed.
    let rustup = std::env::var("RUSTUP_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.rustup")));
    let rustup = rustup.unwrap_or_default();
    // Through a proxy node's own clients learnt to go in 22.21 and 24.5.
    let node = |through_from: (u32, u32), else_from: (u32, u32)| {
        let (major, minor) = if through { through_from } else { else_from };
        NodeFrom(major, minor)
    };
    let own = [
        (node((22, 21), (18, 0)), "node, fetch", NODE_FETCH, "hello from afar"),
        (node((22, 21), (22, 0)), "node, WebSocket", NODE_WEBSOCKET, "a message"),
    ];
    let mut script = format!("{before} HOME=$PWD RUSTUP_HOME={rustup}; ");
    let mut expected = Vec::new();
    for (needs, name, line, wanted) in CLIENTS.iter().chain(&own) {
        if needs.are_here(test, world) {
            script.push_str(&format!("echo \"{name}: $( ({line}) 2>&1 | grep . | tail -1)\"; "));
            expected.push(format!("{name}: {wanted}"));
        }
    }
    let ran = world.inside(&script).ends(0);
    let got: Vec<&str> = ran.out.lines().collect();
    assert_eq!(got, expected, "{}", ran.err);
}

impl Needs {
    /// Whether it is installed; says so if not.
    fn are_here(&self, test: &str, world: &World) -> bool {
        match self {
            Program(program) => have(test, program),
            Module(name) => {
                let found = said("python3", &["-c", &format!("import {name}")]).is_some();
                if !found {
                    skip(test, &format!("Python's `{name}` isn't installed"));
                }
                found
            }
            Node => world.with_node,
            NodeFrom(major, minor) => {
                let version = said("node", &["--version"]).unwrap_or_default();
                let mut parts = version.trim().trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
                let is_new = (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (*major, *minor);
                if !is_new {
                    skip(test, &format!("node {major}.{minor} isn't installed"));
                }
                is_new && world.with_node
            }
            Java(program) => have(test, program) && world.with_java,
        }
    }
}

impl World {
    /// Looks for what several clients need.
    fn with_clients(&mut self, test: &str) {
        self.with_node = have(test, "node") && have(test, "openssl");
        self.with_java = said("java", &["--list-modules"]).is_some_and(|list| list.contains("jdk.compiler"));
        if !self.with_java {
            skip(test, "Java with its compiler isn't installed");
        }
    }
}

/// What a program prints, if it is there and ends well.
pub(super) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Clients that are longer than a line.
fn programs(world: &World) {
    world.place.write(
        "ws/aio.py",
        r#"
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(trust_env=True) as s:
        async with s.get("https://allowed.test/hello") as r: text = (await r.text()).strip()
        async with s.ws_connect("ws://allowed.test/") as ws:
            await ws.send_str("a message")
            print(f"{text}, and {(await ws.receive()).data}")
asyncio.run(main())
"#,
    );
    world.place.write(
        "ws/ws.py",
        r#"
import sys
from websockets.sync.client import connect
with connect(f"{sys.argv[1]}://allowed.test/") as ws:
    ws.send("a message")
    text = ws.recv()
    ws.send("x" * 35000)
    ws.send("x" * 35000)
    print(f"{text}, {len(ws.recv()) + len(ws.recv())} bytes")
"#,
    );
    world.place.write(
        "ws/Get.java",
        r#"
import java.net.URI;
public class Get {
    public static void main(String[] arguments) throws Exception {
        try (var from = URI.create("https://allowed.test/hello").toURL().openStream()) {
            System.out.print(new String(from.readAllBytes()));
        }
    }
}
"#,
    );
}
