//! Git's configuration, and what in it keeps a read from being safe.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_model::{Layer, Origin};
use ringfence_shell::git::{GitFacts, parse, troubles};

fn origin(file: &str) -> Origin {
    Origin::File { file: file.into(), line: 0, column: 0, layer: Layer::Project }
}

fn keys(text: &str) -> Vec<(String, String)> {
    let entries = parse(text.as_bytes(), &origin(".git/config")).expect(text);
    entries.into_iter().map(|entry| (entry.key(), entry.value)).collect()
}

#[test]
fn files_are_read_as_git_reads_them() {
    for (text, key, value) in [
        ("[core]\n\tfsmonitor = ./x\n", "core.fsmonitor", "./x"),
        ("[CORE]\n FSMonitor=./x # why", "core.fsmonitor", "./x"),
        ("[filter \"A b\"] clean = \"a # b\" ; c", "filter.A b.clean", "a # b"),
        ("[filter \"a\\\"b\\\\\"]\nclean=x", "filter.a\"b\\.clean", "x"),
        ("[diff.External]\ncommand = x\\\n y  ", "diff.external.command", "x y"),
        ("[a]\nb", "a.b", "true"),
        ("[a]\r\nb = c\r\n", "a.b", "c"),
        ("[a]\nb =", "a.b", ""),
        ("[a]\nb = \"x\"  \"y\"", "a.b", "x  y"),
        ("[a]\nb = x\\ty\\\\", "a.b", "x\ty\\"),
        ("\u{feff}[a]\nb = 1", "a.b", "1"),
        ("[a]b=1", "a.b", "1"),
        ("[include]\npath = ../team.cfg", "include.path", "../team.cfg"),
        ("[includeIf \"gitdir:~/w/\"]\npath = x", "includeif.gitdir:~/w/.path", "x"),
    ] {
        assert_eq!(keys(text), [(key.to_owned(), value.to_owned())], "{text:?}");
    }
    for text in
        ["[a", "[]\nb=1", "b = 1", "[a]\nb = \"x", "[a]\nb = \\q", "[a \"b]\nc=1", "[a]\n1=2", "[a]\nb c", "[a]\n=1"]
    {
        assert!(parse(text.as_bytes(), &origin("c")).is_err(), "{text:?}");
    }
    let entry = &parse(b"[a]\n\n  b = 1", &origin("c")).expect("reads")[0];
    assert_eq!(entry.origin.to_string(), "c:3");
    assert_eq!(parse(b"[include]\npath=x", &origin("c")).expect("reads")[0].include(), Some("x"));
}

fn found(subcommand: &str, text: &str, attributes: Option<&str>) -> Vec<String> {
    let facts = GitFacts {
        config: parse(text.as_bytes(), &origin("repo")).expect(text),
        attributes: attributes.map(|text| vec![text.to_owned()]),
    };
    troubles(subcommand, &facts, |origin| origin.to_string().starts_with("own"))
        .into_iter()
        .map(|one| one.key)
        .collect()
}

/// CMD-16, CMD-32: the repository's own configuration that runs something even when neutralised.
#[test]
fn cmd_16_and_32_configuration_that_runs_or_fetches_is_named() {
    for (text, key) in [
        ("[core]\nfsmonitor=./x", "core.fsmonitor"),
        ("[core]\nsshCommand=./x", "core.sshcommand"),
        ("[core]\npager=./x", "core.pager"),
        ("[core]\nhooksPath=.husky", "core.hookspath"),
        ("[core]\nworktree=/", "core.worktree"),
        ("[filter \"x\"]\nclean=./x", "filter.x.clean"),
        ("[filter \"x\"]\nprocess=./x", "filter.x.process"),
        ("[diff \"x\"]\ntextconv=./x", "diff.x.textconv"),
        ("[diff \"x\"]\ncommand=./x", "diff.x.command"),
        ("[diff]\nexternal=./x", "diff.external"),
        ("[gpg]\nprogram=./x", "gpg.program"),
        ("[gpg \"ssh\"]\nprogram=./x", "gpg.ssh.program"),
        ("[log]\nshowSignature=true", "log.showsignature"),
        ("[format]\npretty=%G?", "format.pretty"),
        ("[pretty]\nmine=%GK", "pretty.mine"),
        ("[branch]\nsort=signature", "branch.sort"),
        ("[extensions]\npartialClone=o", "extensions.partialclone"),
        ("[remote \"o\"]\npromisor=true", "remote.o.promisor"),
        ("[remote \"o\"]\nuploadpack=./x", "remote.o.uploadpack"),
        ("[protocol \"ext\"]\nallow=always", "protocol.ext.allow"),
        ("[alias]\nstatus=!id", "alias.status"),
        ("[pager]\nstatus=./x", "pager.status"),
    ] {
        assert_eq!(found("status", text, None), [key], "{text}");
    }
    for text in [
        "[core]\nfsmonitor=false",
        "[core]\nbare=false",
        "[alias]\nst=status",
        "[user]\nname=x",
        "[log]\nshowSignature=false",
        "[remote \"o\"]\nurl=https://x",
        "[filter \"x\"]\nclean=",
    ] {
        assert_eq!(found("status", text, None), [""; 0], "{text}");
    }
    let lfs = "[filter \"lfs\"]\nprocess=git-lfs filter-process\nrequired=true";
    assert_eq!(found("status", lfs, Some("*.png text\n")), [""; 0], "a driver that no attribute names isn't run");
    assert_eq!(found("status", lfs, Some("*.bin filter=lfs diff=lfs\n")), ["filter.lfs.process"]);
}

#[test]
fn a_persons_own_editor_and_pager_are_no_trouble_when_neutralised() {
    let own = parse(b"[core]\neditor=vim\npager=delta\n[filter \"x\"]\nclean=y", &origin("own")).expect("reads");
    let facts = GitFacts { config: own, attributes: None };
    let found = troubles("log", &facts, |origin| origin.to_string().starts_with("own"));
    assert_eq!(found.into_iter().map(|one| one.key).collect::<Vec<_>>(), ["filter.x.clean"]);
}

/// What git would never get to see can still be seen: a file is read up to its first error, and only whole files count.
#[test]
fn a_broken_file_is_read_up_to_the_error_and_is_never_harmless() {
    let text = "[core]\nbare = false\n x = \"open\n y = z";
    let (entries, error) = ringfence_shell::git::config::read(text, &origin("c"));
    assert_eq!(entries.iter().map(ringfence_shell::git::ConfigEntry::key).collect::<Vec<_>>(), ["core.bare"]);
    assert_eq!(error.expect("unfinished").line, 4);
    assert!(parse(text.as_bytes(), &origin("c")).is_err());
}

proptest::proptest! {
    #[test]
    fn no_configuration_panics(text in "(\\PC|[\\[\\]\"\\\\\n= #;a]){0,60}") {
        let (entries, error) = ringfence_shell::git::config::read(&text, &origin("c"));
        proptest::prop_assert_eq!(parse(text.as_bytes(), &origin("c")).ok(), error.is_none().then_some(entries));
    }
}
