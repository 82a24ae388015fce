//! Real programs through the proxy, to a local origin, with the variables that a sandbox sets.

use super::world::*;
use crate::event::Verdict;
use ringfence_model::proxy_env::{ProxyPlace, variables};
use std::collections::HashMap;
use std::process::{Command, Output};
use std::sync::Arc;

/// A command with nothing of this machine's own proxy settings; none, said so, if the program isn't here.
fn program(test: &str, name: &str, world: &World) -> Option<Command> {
    let found = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .any(|dir| dir.join(name).is_file());
    if !found {
        eprintln!("SKIPPED: {test}: `{name}` isn't on this machine");
        return None;
    }
    let mut command = Command::new(name);
    for (variable, _) in std::env::vars_os() {
        let lower = variable.to_string_lossy().to_lowercase();
        if lower.contains("proxy")
            || lower.starts_with("pip_")
            || lower.starts_with("npm_")
            || lower.starts_with("cargo_")
        {
            command.env_remove(variable);
        }
    }
    let place = ProxyPlace {
        http_port: world.http.port(),
        socks_port: world.socks.port(),
        ca_file: None,
        java_trust: None,
        connector: None,
    };
    // The Java variable makes every Java program talk; nothing here is one.
    command.envs(variables(&place).into_iter().filter(|(name, _)| *name != "JAVA_TOOL_OPTIONS"));
    Some(command)
}

async fn run(mut command: Command) -> Output {
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{shown}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// An origin that serves these paths and nothing else.
async fn files(files: HashMap<String, Vec<u8>>) -> u16 {
    let files = Arc::new(files);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let files = Arc::clone(&files);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let body = files.get(request.uri().path()).cloned();
                    async move {
                        let mut response = http::Response::new(http_body_util::Full::new(bytes::Bytes::from(
                            body.clone().unwrap_or_default(),
                        )));
                        if body.is_none() {
                            *response.status_mut() = http::StatusCode::NOT_FOUND;
                        }
                        let kind = if request.uri().path().starts_with("/simple") {
                            "text/html"
                        } else {
                            "application/octet-stream"
                        };
                        response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
                        Ok::<_, std::convert::Infallible>(response)
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    port
}

fn tree(root: &std::path::Path, at: &str, into: &mut HashMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(root).unwrap().flatten() {
        let name = format!("{at}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().unwrap().is_dir() {
            true => tree(&entry.path(), &name, into),
            false => drop(into.insert(name, std::fs::read(entry.path()).unwrap())),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_by_http_and_by_socks() {
    let world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let port = files(HashMap::from([("/x".to_owned(), b"content".to_vec())])).await;
    let test = "curl_by_http_and_by_socks";
    let url = format!("http://a.test:{port}/x");
    let socks = format!("socks5h://{}", world.socks);
    for arguments in [vec![], vec!["-p"], vec!["-x", &socks], vec!["--http1.0"]] {
        let Some(mut curl) = program(test, "curl", &world) else { return };
        curl.args(["-sS", "-m", "20"]).args(arguments).arg(&url);
        assert_eq!(run(curl).await.stdout, b"content");
    }
    let Some(mut curl) = program(test, "curl", &world) else { return };
    curl.args(["-sS", "-m", "20", "-w", "%{http_code} %header{x-proxy-error}", "http://b.test/"]);
    let shown = String::from_utf8(run(curl).await.stdout).unwrap();
    assert!(shown.ends_with("403 blocked-by-allowlist") && shown.contains("\"allow_with\""), "{shown}");
    let Some(mut curl) = program(test, "curl", &world) else { return };
    curl.args(["-sS", "-m", "20", "-T", "/etc/services", "-o", "/dev/null", &url]);
    run(curl).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_clones_through_the_proxy() {
    let world = world(&["git.test:*"], &[]).await;
    world.public("git.test");
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let script = "git init -q . && echo hello > file && git add file && git -c user.name=x -c user.email=x@x commit -qm one && git update-server-info";
    std::fs::create_dir(&source).unwrap();
    let Some(mut make) = program("git_clones_through_the_proxy", "git", &world).map(|_| Command::new("sh")) else {
        return;
    };
    make.args(["-c", script]).current_dir(&source);
    run(make).await;
    let mut served = HashMap::new();
    tree(&source.join(".git"), "/repo.git", &mut served);
    let port = files(served).await;
    let Some(mut clone) = program("git_clones_through_the_proxy", "git", &world) else { return };
    clone.args(["clone", "-q", &format!("http://git.test:{port}/repo.git"), "copy"]).current_dir(directory.path());
    run(clone).await;
    assert_eq!(std::fs::read_to_string(directory.path().join("copy/file")).unwrap(), "hello\n");
    assert!(
        world.events_until(3).await.iter().all(|event| event.verdict == Verdict::Allowed && event.host == "git.test")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pip_and_python_through_the_proxy() {
    let world = world(&["pypi.test:*"], &[]).await;
    world.public("pypi.test");
    let test = "pip_and_python_through_the_proxy";
    let page = b"<!DOCTYPE html><html><body><a href=\"/files/thing-1.0-py3-none-any.whl\">thing-1.0-py3-none-any.whl</a></body></html>";
    let directory = tempfile::tempdir().unwrap();
    let Some(mut make) = program(test, "python3", &world) else { return };
    make.args([
        "-c",
        "import zipfile\nz = zipfile.ZipFile('thing-1.0-py3-none-any.whl', 'w')\nz.writestr('thing.py', 'x = 1')\n\
        z.writestr('thing-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n')\n\
        z.writestr('thing-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
        z.writestr('thing-1.0.dist-info/RECORD', '')\nz.close()",
    ])
    .current_dir(directory.path());
    run(make).await;
    let wheel = std::fs::read(directory.path().join("thing-1.0-py3-none-any.whl")).unwrap();
    let port = files(HashMap::from([
        ("/simple/thing/".to_owned(), page.to_vec()),
        ("/files/thing-1.0-py3-none-any.whl".to_owned(), wheel),
    ]))
    .await;
    let Some(mut pip) = program(test, "python3", &world) else { return };
    pip.args([
        "-m",
        "pip",
        "download",
        "-q",
        "--no-cache-dir",
        "--no-deps",
        "--disable-pip-version-check",
        "--trusted-host",
        "pypi.test",
        "--index-url",
    ])
    .args([&format!("http://pypi.test:{port}/simple/"), "-d", "got", "thing"])
    .current_dir(directory.path());
    run(pip).await;
    assert!(directory.path().join("got/thing-1.0-py3-none-any.whl").exists());
    let Some(mut python) = program(test, "python3", &world) else { return };
    let code = format!(
        "import urllib.request, urllib.error\nprint(urllib.request.urlopen('http://pypi.test:{port}/simple/thing/').status)\n\
         try: urllib.request.urlopen('http://other.test/')\nexcept urllib.error.HTTPError as e: print(e.code, e.headers['x-proxy-error'])\n\
         try:\n    import requests\n    print(requests.get('http://pypi.test:{port}/simple/thing/').status_code)\nexcept ImportError: print(200)\n"
    );
    python.args(["-c", &code]);
    assert_eq!(String::from_utf8(run(python).await.stdout).unwrap(), "200\n403 blocked-by-allowlist\n200\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_through_the_proxy() {
    let world = world(&["npm.test:*"], &[]).await;
    world.public("npm.test");
    let package = br#"{"name":"thing","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"thing","version":"1.0.0","dist":{"tarball":"http://npm.test/x.tgz","shasum":"0"}}}}"#;
    let port = files(HashMap::from([("/thing".to_owned(), package.to_vec())])).await;
    let directory = tempfile::tempdir().unwrap();
    let Some(mut npm) = program("npm_through_the_proxy", "npm", &world) else { return };
    npm.args(["view", "thing", "version", "--registry", &format!("http://npm.test:{port}/")])
        .env("npm_config_cache", directory.path())
        .current_dir(directory.path());
    assert_eq!(String::from_utf8(run(npm).await.stdout).unwrap().trim(), "1.0.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cargo_through_the_proxy() {
    let world = world(&["crates.test:*"], &[]).await;
    world.public("crates.test");
    let index = br#"{"name":"thing","vers":"1.0.0","deps":[],"cksum":"0000000000000000000000000000000000000000000000000000000000000000","features":{},"yanked":false}"#;
    let config = br#"{"dl":"http://crates.test/dl"}"#;
    let port = files(HashMap::from([
        ("/config.json".to_owned(), config.to_vec()),
        ("/th/in/thing".to_owned(), index.to_vec()),
    ]))
    .await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("src")).unwrap();
    std::fs::write(directory.path().join("src/lib.rs"), "").unwrap();
    let manifest = "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\nthing = { version = \"1\", registry = \"local\" }\n";
    std::fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
    let Some(mut cargo) = program("cargo_through_the_proxy", "cargo", &world) else { return };
    cargo
        .args(["generate-lockfile", "-q"])
        .env("CARGO_HOME", directory.path().join("home"))
        .env("CARGO_REGISTRIES_LOCAL_INDEX", format!("sparse+http://crates.test:{port}/"))
        .current_dir(directory.path());
    run(cargo).await;
    assert!(std::fs::read_to_string(directory.path().join("Cargo.lock")).unwrap().contains("name = \"thing\""));
}
