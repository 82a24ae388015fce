//! Clients of every day, each as people use it, in the sandbox: through the proxy, and without knowing of one.

use super::common::{have, skip};
use super::{SERVER_2, World};
use std::process::Command;

#[test]
fn transparent_clients_of_every_day_work_without_a_proxy() {
    let test = "transparent_clients_of_every_day_work_without_a_proxy";
    let Some(mut world) = World::new(test, true) else { return };
    world.with_node = have(test, "node") && have(test, "openssl");
    clients(test, &world, "unset $(env | sed -n 's/^\\([A-Za-z_]*[pP][rR][oO][xX][yY][A-Za-z_]*\\)=.*/\\1/p'); ");
}

#[test]
fn clients_of_every_day_work_through_the_proxy() {
    let test = "clients_of_every_day_work_through_the_proxy";
    let Some(mut world) = World::new(test, false) else { return };
    world.with_node = have(test, "node") && have(test, "openssl");
    clients(test, &world, "");
}

#[test]
fn clients_of_every_day_show_the_credential_where_the_sandbox_shares_the_machines_network() {
    let test = "clients_of_every_day_show_the_credential_where_the_sandbox_shares_the_machines_network";
    let Some(mut world) = World::with(test, false, "[linux]\nbackend = \"landlock\"\n") else { return };
    let ran = world.inside("true");
    if ran.status == 125 {
        return skip(test, ran.err.lines().next().unwrap_or("the landlock tier can't be had here"));
    }
    world.with_node = have(test, "node") && have(test, "openssl");
    // Java's own client takes no user name and password for a proxy from anywhere.
    world.with_java = false;
    clients(test, &world, "");
}

#[test]
fn px_11_clients_of_every_day_work_where_tls_is_opened_and_a_credential_is_put_in() {
    let test = "px_11_clients_of_every_day_work_where_tls_is_opened_and_a_credential_is_put_in";
    let more = "[network.tls]\nintercept = [\"allowed.test:443\", \"allowed.test:8443\"]\n\
        [network.secrets.api]\nenv = \"API_TOKEN\"\nhosts = [\"allowed.test:443\"]\nheader = \"Authorization\"\n";
    let Some(mut world) = World::with(test, false, more) else { return };
    world.with_node = have(test, "node") && have(test, "openssl");
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
    /// Java, with its compiler.
    Java,
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
    (Java, "Java", "java -Djava.io.tmpdir=$PWD Get.java 2>&1 | grep -v Picked", "hello from afar"),
];

/// Node's own clients look at proxy variables from this version on; before, they know of none.
const NODE_FETCH: &str = "node -e 'fetch(\"https://allowed.test/hello\").then(r => r.text()).then(console.log)'";
const NODE_WEBSOCKET: &str = "node -e 's = new WebSocket(\"wss://allowed.test/\"); s.onopen = () => s.send(\"a message\"); \
    s.onmessage = m => { console.log(m.data); s.close() }; s.onerror = e => { console.log(e.message); process.exit() }'";

/// Runs each client that is installed, trusting the other machine's own certificate.
fn clients(test: &str, world: &World, before: &str) {
    let cert = world.place.path("world/cert.pem");
    let cert = cert.display();
    let trust = format!("export CERT={cert} SSL_CERT_FILE={cert} NODE_EXTRA_CA_CERTS={cert}");
    clients_with(test, world, &format!("{before} {trust}"), before.is_empty());
}

/// Runs each client that is installed; each prints what it got.
fn clients_with(test: &str, world: &World, before: &str, through: bool) {
    if world.with_node {
        world.place.write("world/server.mjs", SERVER_2);
    }
    repository(world);
    packages(world);
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
            Java if !world.with_java => false,
            Java => {
                let compiles = said("java", &["--list-modules"]).is_some_and(|list| list.contains("jdk.compiler"));
                if !compiles {
                    skip(test, "Java with its compiler isn't installed");
                }
                compiles
            }
        }
    }
}

/// What a program prints, if it is there and ends well.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
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
        try (var from = URI.create("http://allowed.test/hello").toURL().openStream()) {
            System.out.print(new String(from.readAllBytes()));
        }
    }
}
"#,
    );
}

/// A repository for the plain HTTP protocol.
fn repository(world: &World) {
    let script = "mkdir src && cd src && git init -q . && echo 'from the repository' > file && git add file && \
        git -c user.name=x -c user.email=x@x commit -qm one && git update-server-info && cp -r .git ../pages/repo.git";
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(world.place.path("world")).env("HOME", world.place.path("home"));
    let _ = command.output();
}

/// What stands in for package registries: one package each, which is installed and used.
fn packages(world: &World) {
    world.place.write(
        "world/packages.py",
        r#"
import hashlib, io, json, os, tarfile, zipfile
os.makedirs("simple/thing"); os.makedirs("npm"); os.makedirs("index/th/in"); os.makedirs("dl/thing/1.0.0")
open("simple/thing/index.html", "w").write('<!DOCTYPE html><html><body><a href="/thing-1.0-py3-none-any.whl">thing-1.0-py3-none-any.whl</a></body></html>')
z = zipfile.ZipFile("thing-1.0-py3-none-any.whl", "w")
z.writestr("thing.py", "x = 1")
z.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
z.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
z.writestr("thing-1.0.dist-info/RECORD", "")
z.close()
def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name); entry.size = len(text); entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()
package = archive({"package/package.json": '{"name":"thing","version":"1.0.0","main":"index.js"}', "package/index.js": "module.exports = 2"})
open("thing-1.0.0.tgz", "wb").write(package)
dist = {"tarball": "https://allowed.test/thing-1.0.0.tgz", "shasum": hashlib.sha1(package).hexdigest()}
version = {"name": "thing", "version": "1.0.0", "dist": dist}
json.dump({"name": "thing", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}, open("npm/thing", "w"))
crate = archive({"thing-1.0.0/Cargo.toml": '[package]\nname = "thing"\nversion = "1.0.0"\nedition = "2021"\n', "thing-1.0.0/src/lib.rs": "pub const X: u8 = 3;"})
open("dl/thing/1.0.0/download", "wb").write(crate)
json.dump({"dl": "https://allowed.test/dl"}, open("index/config.json", "w"))
json.dump({"name": "thing", "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate).hexdigest(), "features": {}, "yanked": False}, open("index/th/in/thing", "w"))
"#,
    );
    let pages = world.place.path("world/pages");
    let made = Command::new("python3").arg("../packages.py").current_dir(pages).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    world.place.write("ws/crate/src/main.rs", "fn main() { println!(\"{}\", thing::X) }");
    world.place.write(
        "ws/crate/Cargo.toml",
        "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\nthing = { version = \"1\", registry = \"local\" }\n",
    );
}
