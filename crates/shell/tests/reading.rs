//! What a command line is: plain or opaque, and which commands are seen in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_model::OsText;
use ringfence_shell::{Reading, read};

fn argv(words: &[&str]) -> Reading {
    read(&words.iter().map(|word| OsText::from(*word)).collect::<Vec<_>>())
}

fn bash(script: &str) -> Reading {
    argv(&["bash", "-c", script])
}

fn shown(reading: &Reading) -> Vec<String> {
    reading.commands.iter().map(ringfence_shell::SimpleCommand::display).collect()
}

fn sees(reading: &Reading, wanted: &str) -> bool {
    let wanted: Vec<&str> = wanted.split(' ').collect();
    reading.all().any(|command| {
        let words: Vec<&str> = command.words.iter().map(|word| word.as_str().unwrap_or("")).collect();
        words.starts_with(&wanted)
    })
}

#[test]
fn plain_lines_are_split() {
    for (script, expected) in [
        ("ls -la", vec!["ls -la"]),
        ("ls && cat f | head -3", vec!["ls", "cat f", "head -3"]),
        ("a || b; c\nd\n", vec!["a", "b", "c", "d"]),
        ("grep -rn 'a;b|c' . ", vec!["grep -rn 'a;b|c' ."]),
        ("echo '$(id)' \"a;b\" x\\ y", vec!["echo '$(id)' 'a;b' 'x y'"]),
        ("ls z 2>/dev/null >/dev/null 2>&1", vec!["ls z"]),
        ("ls \\\n -la", vec!["ls -la"]),
        ("i\\\nd", vec!["id"]),
        ("\\rm r\"\"m 'r'm", vec!["rm rm rm"]),
        ("find . -exec echo {} \\;", vec!["find . -exec echo '{}' ';'"]),
        ("ls --help # all of it", vec!["ls --help"]),
        ("grep \"x$\" f", vec!["grep 'x$' f"]),
        ("echo 'a\\'; id; echo 'b'", vec!["echo 'a\\\\'", "id", "echo b"]),
        ("sort f | uniq -c", vec!["sort f", "uniq -c"]),
        ("echo \"#\" a#b", vec!["echo '#' 'a#b'"]),
    ] {
        let reading = bash(script);
        assert_eq!(reading.opaque, None, "{script}");
        assert_eq!(shown(&reading), expected, "{script}");
    }
}

/// CMD-22: whatever isn't plain is judged whole; what can be seen in it is seen.
#[test]
fn cmd_22_expansions_and_redirections_are_opaque() {
    for (number, (script, seen)) in [
        ("cat f > g", "cat f"),
        ("ls >| g", "ls"),
        ("ls &> g", "ls"),
        ("cat <<E\nx\nE", "cat"),
        ("cat <(id)", "id"),
        ("tee >(id)", "id"),
        ("echo $(id)", "id"),
        ("echo `id`", "id"),
        ("echo \"$(id)\"", "id"),
        ("echo ${x:=$(id)}", "id"),
        ("echo $((a[$(id)]))", "id"),
        ("test -v \"a[$(id)]\"", "id"),
        ("x='a[$(id)]'; [[ $x -eq 1 ]]", ""),
        ("((x))", ""),
        ("echo ${x@P} ${y:x} ${!x}", "echo"),
        ("echo *", "echo"),
        ("echo {a,b}", "echo"),
        ("echo ~", "echo"),
        ("x=1 ls", "ls"),
        ("LD_PRELOAD=./x ls", "ls"),
        ("PAGER=./x git log", "git log"),
        ("GIT_SSH_COMMAND=id git fetch", "git fetch"),
        ("BASH_ENV=./x bash -c 'rm x'", "rm x"),
        ("echo \"${x:-\"$(id)\"}\"", "id"),
        ("echo \"`id`\"", "id"),
        ("cat <<E\n$(id)\nE", "id"),
        ("cat <<E\n`id`\nE", "id"),
        ("bash <<'E'\nrm x\nE", "rm x"),
        ("cat <<< \"$(id)\"", "id"),
        ("echo $(case x in a) id;; esac) rest", "id"),
    ]
    .into_iter()
    .enumerate()
    {
        let reading = bash(script);
        assert!(!reading.is_plain(), "CMD-22.{}: {script}", number + 1);
        assert_eq!(reading.commands.len(), 1);
        assert!(seen.is_empty() || sees(&reading, seen), "CMD-22.{}: {script}: {:?}", number + 1, reading.inner);
    }
    // A here-document that no shell reads is a text.
    assert!(!sees(&bash("cat > f <<'E'\nsudo rm x\nE"), "sudo"));
}

/// CMD-23: every command is found, or the line is opaque.
#[test]
fn cmd_23_each_command_is_found_or_the_line_is_opaque() {
    for (number, script) in [
        "ls & id",
        "ls |& id",
        "ls; id",
        "ls\nid",
        "ls\r\nid",
        "{ id; }",
        "(id)",
        "! id",
        "coproc id",
        "f(){ id;}; f",
        "function f { id; }; f",
        "function f() { id; }",
        "coproc X { id; }",
        "alias ls=id",
        "eval id",
        "eval 'ls; id'",
        "exec -a ls id",
        "command -p id",
        "builtin eval id",
        "trap id DEBUG",
        "mapfile -C id -c 1 a",
        "compgen -C id x",
        "case x in x) id;; esac",
        "case x in (x) ls; id;; esac",
        "if true; then id; fi",
        "for i in a; do id; done",
        "for i do id; done",
        "while id; do ls; done",
        "until ls; do id; done",
        "$'\\x69d'",
        "i\"\"d",
        "\\id",
        "time id",
        "time -p id",
        "ls && { id; }",
        "if true; then ls; elif id; then ls; else ls; fi",
        "select x in a; do id; done",
        "[[ -n x ]] && id",
        "x=(a $(id))",
        "env -S 'id -u'",
        "bash -c 'bash -c id'",
        "echo id | bash",
        "printf 'i\\0d' | bash",
        "bash <<< id",
        "(ls; (ls; (id)))",
        "\"i\"'d'",
        "env 'BASH_FUNC_ls%%=() { x; }' id",
    ]
    .into_iter()
    .enumerate()
    {
        let reading = bash(script);
        assert!(sees(&reading, "id"), "CMD-23.{}: {script:?}: {reading:?}", number + 1);
    }
    for script in ["id${IFS}-u", "/bin/i[d]", "PS4='$(id)'; set -x", "ls # x\nid", "`", "'", "$(", "a=1"] {
        let reading = bash(script);
        assert!(!reading.is_plain(), "{script}");
    }
    // These run something by means of a command that is itself found.
    for (script, found) in [("hash -p ./x ls; ls", "hash -p"), (". ./x", "."), ("source x", "source")] {
        assert!(sees(&bash(script), found), "{script}");
    }
}

/// CMD-26: options of the shell itself.
#[test]
fn cmd_26_options_of_the_shell_are_read() {
    for (words, plain, login) in [
        (&["bash", "-c", "ls", "evil"][..], true, false),
        (&["bash", "-ec", "ls"], true, false),
        (&["bash", "-euo", "pipefail", "-c", "ls"], true, false),
        (&["bash", "-lc", "ls"], true, true),
        (&["/bin/bash", "--login", "-c", "ls"], true, true),
        (&["-bash", "-c", "ls"], true, true),
        (&["bash", "-c", "ls", "--"], true, false),
        (&["bash", "-c", "--", "ls"], true, false),
        (&["zsh", "-c", "ls"], true, false),
        (&["bash", "--rcfile", "x", "-ic", "ls"], false, false),
        (&["bash", "-O", "extglob", "-c", "ls"], false, false),
        (&["bash", "-xc", "ls"], false, false),
        (&["bash", "-o", "posix", "-c", "ls"], false, false),
        (&["bash", "script.sh"], false, false),
        (&["bash"], false, false),
        (&["sh", "-s"], false, false),
        (&["bash", "-c"], false, false),
        (&["fish", "-c", "ls"], false, false),
        (&["bash", "--weird", "-c", "ls"], false, false),
    ] {
        let reading = argv(words);
        assert_eq!(reading.is_plain(), plain, "CMD-26: {words:?}: {:?}", reading.opaque);
        assert_eq!(reading.shell.as_ref().map(|shell| shell.login), Some(login), "CMD-26: {words:?}");
        if words.contains(&"ls") {
            assert!(sees(&reading, "ls"), "CMD-26: {words:?}");
        }
    }
}

/// CMD-27: prompt and forbid see through wrappers, quoting and lengths.
#[test]
fn cmd_27_what_a_rule_forbids_is_seen_behind_wrappers() {
    for line in [
        "sudo rm x",
        "sudo -u root rm x",
        "sudo -uroot -- rm x",
        "sudo A=b rm x",
        "env rm x",
        "env -i A=b rm x",
        "env -u X rm x",
        "xargs rm x",
        "xargs -0 -n 1 rm x",
        "xargs -I {} rm x",
        "busybox rm x",
        "command rm x",
        "nohup nice -n 5 rm x",
        "nice -5 rm x",
        "timeout 5 rm x",
        "timeout -s KILL 5s rm x",
        "timeout --signal KILL 5 rm x",
        "stdbuf -oL rm x",
        "setsid -w rm x",
        "ssh host rm x",
        "ssh -p 22 host rm x",
        "flock f rm x",
        "flock -w 3 f rm x",
        "watch -n 1 rm x",
        "doas rm x",
        "exec -a y rm x",
        "find . -name a -exec rm x ;",
        "find . -execdir rm x +",
        "fd -x rm x",
        "strace -f -o out rm x",
        "taskset 1 rm x",
        "chroot / rm x",
        "unshare -r rm x",
        "parallel rm x",
        "sudo --unknown rm x",
        "sudo --unknown value rm x",
        "git bisect run rm x",
        "time rm x",
        "ionice -c 3 rm x",
        "setpriv --reuid 1 rm x",
        "systemd-run --unit x rm x",
        "/usr/bin/env rm x",
        "sudo -s rm x",
        "sudo sudo sudo sudo env nice timeout 1 rm x",
        "builtin rm x",
        "script -q f rm x",
        "toybox rm x",
        "proot -r / rm x",
    ] {
        let reading = argv(&line.split(' ').collect::<Vec<_>>());
        assert!(sees(&reading, "rm x"), "CMD-27: {line}: {:?}", reading.inner);
        assert_eq!(reading.commands.len(), 1, "an allow rule sees only the outer words");
    }
    for words in [
        &["bash", "-c", "rm x"][..],
        &["su", "-c", "rm x"],
        &["script", "-c", "rm x"],
        &["sudo", "bash", "-c", "ls; rm x"],
        &["flock", "f", "-c", "rm x"],
        &["watch", "rm x"],
        &["ssh", "h", "cd d && rm x"],
        &["ssh", "-oProxyCommand=rm x", "h"],
        &["ssh", "-o", "ProxyCommand=rm x", "h"],
        &["env", "-Srm x"],
        &["env", "-S", "rm x"],
        &["git", "-c", "alias.x=!rm x", "x"],
        &["git", "rebase", "-x", "rm x"],
        &["git", "submodule", "foreach", "rm x"],
        &["runuser", "-u", "n", "--", "rm", "x"],
        &["eval", "rm", "x"],
        &["bash", "-c", "\\rm x"],
        &["bash", "-c", "r\"\"m x"],
        &["cmd", "/c", "dir & rm x"],
        &["powershell", "-Command", "ls; rm x"],
        &["fish", "-c", "echo (rm x)"],
    ] {
        assert!(sees(&argv(words), "rm x"), "CMD-27: {words:?}");
    }
    let long = "true;".repeat(60) + "rm x";
    assert!(sees(&bash(&long), "rm x"));
    assert_eq!(bash(&long).commands.len(), 61);
    let huge = "true;".repeat(100_000) + "rm x";
    assert!(sees(&bash(&huge), "rm x"), "no length hides a command");
    let deep = "sudo ".repeat(20) + "rm x";
    assert!(argv(&deep.split(' ').collect::<Vec<_>>()).too_deep, "too deep is said, not ignored");
}

/// CMD-24: what only looks like a command isn't it, and is shown for what it is.
#[test]
fn cmd_24_look_alikes_are_never_the_ascii_word() {
    for script in ["r\u{200d}m x", "ls\u{a0}-la", "\u{202e}rm x", "ls \u{3000}x"] {
        let reading = bash(script);
        assert!(!reading.is_plain(), "{script:?}");
        assert!(!sees(&reading, "rm") && !sees(&reading, "ls -la"));
        assert!(reading.inner.iter().all(|command| command.display().is_ascii()), "shown escaped");
    }
    for script in ["\u{455}udo x", "ｒｍ x", "rм x"] {
        assert!(!sees(&bash(script), "sudo") && !sees(&bash(script), "rm"));
    }
    assert!(!bash("l\0s").is_plain());
    // What isn't text is compared as the bytes it is, and shown as them.
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        let raw = |bytes: &[u8]| OsText::new(std::ffi::OsString::from_vec(bytes.to_vec()));
        let reading = read(&[raw(b"r\xffm"), raw(b"x")]);
        assert!(!sees(&reading, "rm x"));
        assert!(reading.commands[0].display().is_ascii(), "{}", reading.commands[0].display());
        let script = read(&[raw(b"bash"), raw(b"-c"), raw(b"ls \xff; rm x")]);
        assert!(!script.is_plain());
    }
}

/// CMD-34: where readers differ, the grammar of the shell named holds, or the line is opaque.
#[test]
fn cmd_34_readers_differ() {
    assert_eq!(shown(&bash("echo 'a\\'; id; echo 'b'")), ["echo 'a\\\\'", "id", "echo b"]);
    for script in ["ls # it's\nid #'", "ls # x \\\nid", "cat <<E\nE \n$(id)\nE", "cat <<E; id\nE"] {
        let reading = bash(script);
        assert!(!reading.is_plain() && sees(&reading, "id"), "{script:?}: {reading:?}");
    }
    assert!(sees(&bash("printf 'i\\0d' | bash"), "id"));
    for script in ["=id", "ls *(e:id:)", "cat =(id)"] {
        assert!(!argv(&["zsh", "-c", script]).is_plain(), "{script}");
    }
    assert!(!argv(&["dash", "-c", "ls &>/dev/null"]).is_plain(), "dash reads `&` there");
    assert!(argv(&["bash", "-c", "ls &>/dev/null"]).is_plain());
    assert!(sees(&argv(&["fish", "-c", "echo (id)"]), "id"));
}

/// Half of a surrogate pair, as bytes that are no UTF-8.
#[cfg(unix)]
fn lone_surrogate() -> OsText {
    use std::os::unix::ffi::OsStringExt as _;
    OsText::new(std::ffi::OsString::from_vec(b"ls \xed\xa0\x80; id".to_vec()))
}

#[cfg(windows)]
fn lone_surrogate() -> OsText {
    use std::os::windows::ffi::OsStringExt as _;
    OsText::new(std::ffi::OsString::from_wide(&[0x6c, 0x73, 0x20, 0xd800]))
}

/// CMD-29: hostile sizes and nestings get an answer.
#[test]
fn cmd_29_hostile_scripts_are_answered() {
    for script in [
        "a ".repeat(1 << 19),
        "(".repeat(100_000),
        "$(".repeat(100_000),
        "`".repeat(100_001),
        "${".repeat(100_000),
        "\"$(".repeat(50_000),
        "{ ".repeat(100_000),
        "if ".repeat(100_000),
        "'".repeat(99_999),
        "cat <<E\n".repeat(1_000),
        "<<A <<B ".repeat(10_000),
        "\\".repeat(99_999),
        "case x in ".repeat(50_000),
        "[[ ".repeat(50_000),
        "a=$((".repeat(50_000),
        ";".repeat(100_000),
        "true;".repeat(4_000),
    ] {
        let reading = bash(&script);
        assert!(!reading.is_plain(), "{:?}…", &script[..20]);
    }
    // Nested a thousand deep, each of them closed.
    let nested = (0..1_000).map(|n| format!("cat <<E{n}\n$(")).collect::<String>();
    assert!(!bash(&nested).is_plain());
    let surrogate = read(&["bash".into(), "-c".into(), lone_surrogate()]);
    assert!(!surrogate.is_plain());
    assert!(bash(&"eval ".repeat(10_000)).too_deep);
    let deep = bash(&("echo ".to_owned() + &"$(".repeat(100) + "rm x" + &")".repeat(100)));
    assert!(deep.too_deep || sees(&deep, "rm x"));
}
