//! Real work inside the sandbox: tools people use, doing what they do. Each is skipped, with the reason, where the tool
//! isn't installed or doesn't work without a sandbox either.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, Ran, confines, have, skip};
use std::process::Command;

/// Runs `script` with `sh` in the workspace, first without a sandbox (on a copy of the place), then inside.
#[track_caller]
fn works(test: &str, tools: &[&str], files: &[(&str, &str)], script: &str) {
    if !confines(test) || !tools.iter().all(|tool| have(test, tool)) {
        return;
    }
    let bare = Place::new();
    let inside = Place::new();
    for place in [&bare, &inside] {
        for (name, text) in files {
            place.write(&format!("ws/{name}"), text);
        }
    }
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(bare.path("ws")).env("HOME", bare.path("home"));
    let outside = Ran::of(&mut command);
    if outside.status != 0 {
        let why = outside.err.lines().last().unwrap_or("no message").to_owned();
        skip(test, &format!("doesn't work here without a sandbox either: {why}"));
        return;
    }
    let mut command = inside.command(["sandbox", "-s", "workspace-write", "--", "sh", "-c", script]);
    // What the tools need to find themselves: rustup and pyenv keep theirs in the real home, readable inside.
    for name in ["CARGO_HOME", "RUSTUP_HOME", "PYENV_ROOT"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from).unwrap_or_default();
    if std::env::var_os("RUSTUP_HOME").is_none() && home.join(".rustup").is_dir() {
        command.env("RUSTUP_HOME", home.join(".rustup"));
    }
    Ran::of(&mut command).ends(0);
}

#[test]
fn a_c_program_is_built_and_run() {
    works(
        "a_c_program_is_built_and_run",
        &["gcc"],
        &[("main.c", "#include <stdio.h>\nint main(void) { puts(\"built\"); return 0; }\n")],
        "gcc -O1 -o prog main.c && ./prog | grep -q built",
    );
}

#[test]
fn sqlite_writes_with_its_journal() {
    works(
        "sqlite_writes_with_its_journal",
        &["sqlite3"],
        &[],
        "sqlite3 d.db 'pragma journal_mode=wal; create table t(x); insert into t values (1),(2); select sum(x) from t' | \
         grep -q 3",
    );
}

#[test]
fn git_reads_the_repository() {
    works(
        "git_reads_the_repository",
        &["git"],
        &[("a.txt", "one\n")],
        "git status --porcelain | grep -q a.txt && git diff >/dev/null && git log --oneline -1 2>&1 | grep -q . && \
         git rev-parse --git-dir",
    );
}

#[test]
fn git_cannot_commit_by_default_and_can_when_set() {
    let test = "git_cannot_commit_by_default_and_can_when_set";
    if !confines(test) || !have(test, "git") {
        return;
    }
    let place = Place::new();
    std::fs::remove_dir_all(place.path("ws/.git")).expect("removed");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(args).current_dir(place.path("ws")).env("HOME", place.path("home"));
        Ran::of(&mut command)
    };
    git(&["init", "-q", "-b", "main"]).ends(0);
    git(&["config", "user.email", "a@example.com"]).ends(0);
    git(&["config", "user.name", "A"]).ends(0);
    place.write("ws/a.txt", "one\n");
    assert_ne!(place.sh("git add a.txt").status, 0);
    let script = "git add a.txt && git commit -q -m one && git log --oneline | grep -q one";
    let commit = place.run(["sandbox", "-s", "workspace-write", "-c", "git=commit", "--", "sh", "-c", script]);
    if commit.status == 125 {
        skip(test, "`git = \"commit\"` can't be held on this host");
        return;
    }
    commit.ends(0);
    let hook = "echo x > .git/hooks/pre-commit; git config core.hooksPath /x";
    assert_ne!(place.run(["sandbox", "-s", "workspace-write", "-c", "git=commit", "--", "sh", "-c", hook]).status, 0);
    assert!(!place.path("ws/.git/hooks/pre-commit").exists());
    assert!(!place.read("ws/.git/config").contains("hooksPath"));
}

#[test]
fn python_with_processes_and_a_server() {
    works(
        "python_with_processes_and_a_server",
        &["python3"],
        &[(
            "t.py",
            "import multiprocessing as m, socket, threading, urllib.request, http.server, asyncio, tempfile\n\
             def square(x):\n    return x * x\n\
             if __name__ == '__main__':\n\
             \x20   with m.Pool(2) as pool:\n        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]\n\
             \x20   q = m.Queue(); q.put(1); assert q.get() == 1\n\
             \x20   s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n\
             \x20   threading.Thread(target=s.serve_forever, daemon=True).start()\n\
             \x20   url = 'http://localhost:%d/t.py' % s.server_port\n\
             \x20   assert b'multiprocessing' in urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url).read()\n\
             \x20   async def main():\n\
             \x20       p = await asyncio.create_subprocess_exec('true')\n        await p.wait()\n\
             \x20   asyncio.run(main())\n\
             \x20   a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'\n\
             \x20   tempfile.NamedTemporaryFile().write(b'x')\n",
        )],
        "python3 t.py",
    );
}

#[test]
fn a_crate_with_a_localhost_server_is_tested() {
    works(
        "a_crate_with_a_localhost_server_is_tested",
        &["cargo", "gcc"],
        &[
            ("Cargo.toml", "[package]\nname = \"served\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n"),
            (
                "src/lib.rs",
                "#[cfg(test)]\nmod tests {\n    use std::io::{Read, Write};\n    #[test]\n    fn serves() {\n        \
                 let l = std::net::TcpListener::bind(\"127.0.0.1:0\").unwrap();\n        let a = l.local_addr().unwrap();\
                 \n        let t = std::thread::spawn(move || { let (mut s, _) = l.accept().unwrap(); \
                 s.write_all(b\"hi\").unwrap(); });\n        let mut c = std::net::TcpStream::connect(a).unwrap();\n        \
                 let mut b = String::new(); c.read_to_string(&mut b).unwrap();\n        assert_eq!(b, \"hi\");\n        \
                 t.join().unwrap();\n    }\n}\n",
            ),
        ],
        "CARGO_HOME=\"$PWD/.cargo-home\" cargo test -q --offline >log 2>&1 || { cat log >&2; exit 1; }",
    );
}

#[test]
fn node_with_workers_and_a_server() {
    works(
        "node_with_workers_and_a_server",
        &["node"],
        &[(
            "t.js",
            "const http = require('http'), cp = require('child_process'), { Worker } = require('worker_threads');\n\
             cp.execFileSync('true');\n\
             new Worker('require(\"worker_threads\").parentPort.postMessage(1)', { eval: true }).on('message', () => {\n\
             const s = http.createServer((q, r) => r.end('hi')).listen(0, '127.0.0.1', () =>\n\
             http.get({ port: s.address().port, host: '127.0.0.1' }, r => { r.on('data', d => process.exit(d == 'hi' ? 0 : 1)) }));\n\
             });\n",
        )],
        "node t.js",
    );
}

#[test]
fn npm_tests_a_package() {
    works(
        "npm_tests_a_package",
        &["node", "npm"],
        &[
            (
                "package.json",
                "{ \"name\": \"served\", \"version\": \"1.0.0\", \"scripts\": { \"pretest\": \"node -e 0\", \"test\": \"node --test\" } }\n",
            ),
            (
                "served.test.js",
                "const test = require('node:test'), assert = require('node:assert'), http = require('http');\n\
                 test('it serves', async () => {\n\
                 const server = http.createServer((q, r) => r.end('hi'));\n\
                 await new Promise(done => server.listen(0, '127.0.0.1', done));\n\
                 const text = await (await fetch('http://127.0.0.1:' + server.address().port)).text();\n\
                 server.close();\n\
                 assert.equal(text, 'hi');\n\
                 });\n",
            ),
        ],
        "npm_config_cache=\"$PWD/.npm\" npm_config_update_notifier=false npm test >log 2>&1 || { cat log >&2; exit 1; }",
    );
}

#[test]
fn pytest_with_processes() {
    works(
        "pytest_with_processes",
        &["pytest"],
        &[(
            "test_squares.py",
            "import concurrent.futures as f, multiprocessing as m\n\
             def square(x):\n    return x * x\n\
             def test_pool(tmp_path):\n\
             \x20   with m.get_context('spawn').Pool(2) as pool:\n        assert pool.map(square, [1, 2]) == [1, 4]\n\
             \x20   with f.ProcessPoolExecutor(2) as pool:\n        assert list(pool.map(square, [3])) == [9]\n\
             \x20   (tmp_path / 'x').write_text('y')\n\
             def test_shared():\n\
             \x20   value, lock = m.Value('i', 0), m.Lock()\n\
             \x20   with lock:\n        value.value += 1\n    assert value.value == 1\n",
        )],
        "pytest -q >log 2>&1 || { cat log >&2; exit 1; }",
    );
}

#[test]
fn here_documents_in_every_shell() {
    for shell in ["bash", "dash", "zsh", "fish"] {
        let script = match shell {
            "fish" => {
                "fish -c 'printf \"a\\nb\\n\" | while read -l x; echo $x; end | grep -c .' | grep -q 2".to_owned()
            }
            _ => format!("{shell} -c 'cat <<E\nin a document\nE\nx=$(echo y); [ \"$x\" = y ]' | grep -q document"),
        };
        works(&format!("here_documents_in_every_shell/{shell}"), &[shell], &[], &script);
    }
}

#[test]
fn a_tracer_on_its_own_child() {
    works("a_tracer_on_its_own_child", &["strace"], &[], "strace -f -o trace.log true && grep -q execve trace.log");
}

#[test]
fn a_full_screen_program_under_tmux() {
    let test = "a_full_screen_program_under_tmux";
    if !confines(test) || !["tmux", "vim", "less"].iter().all(|tool| have(test, tool)) {
        return;
    }
    let place = Place::new();
    place.write("ws/text", &(1..200).map(|n| format!("line {n}\n")).collect::<String>());
    let socket = place.path("home/tmux");
    let tmux = |args: &[&str]| {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&socket).args(["-f", "/dev/null"]).args(args).current_dir(place.path("ws"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", place.path("home")).env("TERM", "screen").env("LANG", "C.UTF-8");
        Ran::of(&mut command)
    };
    let program = common::program();
    let inside = |command: &str| format!("{} sandbox -s workspace-write -- {command}", program.display());
    let until = |what: &str| {
        for _ in 0..100 {
            let screen = tmux(&["capture-pane", "-p"]).out;
            if screen.contains(what) {
                return screen;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("`{what}` never showed:\n{}", tmux(&["capture-pane", "-p"]).out)
    };
    tmux(&["new-session", "-d", "-x", "80", "-y", "24", "sh"]).ends(0);
    let keys = |text: &str| tmux(&["send-keys", text, "Enter"]).ends(0);
    keys(&inside("vim -u NONE text"));
    until("line 20");
    tmux(&["send-keys", ":%s/line 1$/changed/", "Enter"]).ends(0);
    keys(":wq");
    for _ in 0..100 {
        if place.read("ws/text").starts_with("changed\n") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(place.read("ws/text").starts_with("changed\n"));
    keys(&inside("less text"));
    until("line 20");
    tmux(&["send-keys", "G"]).ends(0);
    until("line 199");
    tmux(&["send-keys", "q"]).ends(0);
    // Ctrl-C reaches the command, its status comes back, and the terminal is as before.
    keys(&inside("sleep 100"));
    std::thread::sleep(std::time::Duration::from_millis(700));
    tmux(&["send-keys", "C-c"]).ends(0);
    // A line of its own: a shell drops the rest of a list when a command of it was interrupted.
    keys("echo status $?");
    until("status 130");
    // Ctrl-Z stops it, fg goes on.
    keys(&inside("sh -c 'read x; echo got $x'"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    tmux(&["send-keys", "C-z"]).ends(0);
    until("Stopped");
    keys("fg");
    std::thread::sleep(std::time::Duration::from_millis(300));
    keys("hello");
    until("got hello");
    tmux(&["kill-server"]);
}

/// In a container process 1 is often a program that waits for none but its own children.
#[test]
fn nothing_is_left_behind_for_process_1_to_wait_for() {
    let test = "nothing_is_left_behind_for_process_1_to_wait_for";
    if !confines(test) || !have(test, "python3") {
        return;
    }
    // What is left behind comes to this process, which waits for the program alone. 36 is PR_SET_CHILD_SUBREAPER, the
    // option __WALL.
    let heir = "import ctypes, os, subprocess, sys\n\
                assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n\
                for words in (['sandbox', '--'], ['run', '--']):\n    \
                    subprocess.run([sys.argv[1], *words, 'true'], check=True)\n\
                try:\n    \
                    left = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | 0x40000000)\n    \
                    sys.exit(f'left behind: {left}')\n\
                except ChildProcessError:\n    \
                    pass\n";
    let place = Place::new();
    let model = place.command(["sandbox"]);
    let mut command = Command::new("python3");
    command.args(["-c", heir]).arg(common::program()).current_dir(place.path("ws"));
    command.env_clear().envs(model.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&mut command).ends(0);
}
