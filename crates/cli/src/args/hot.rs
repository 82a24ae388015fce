//! The short way for `run` and `sandbox`: only that subcommand's parser is built, since start-up time is the product.

use super::decide::DecideArgs;
use super::platform;
use super::{Cli, Command, RunArgs};
use clap::{Args, FromArgMatches};
use std::ffi::OsString;

/// Parses `ringfence run …` and `ringfence sandbox …`; none for everything else. What it accepts, refuses and prints as
/// help is what the full parser does.
#[must_use]
pub fn hot_path(args: &[OsString]) -> Option<Result<Cli, clap::Error>> {
    let command = match args.get(1)?.to_str()? {
        "run" => read::<DecideArgs>(RUN, args).map(Command::Run),
        "sandbox" | "debug" => sandbox(args).map(Command::Sandbox),
        _ => return None,
    };
    Some(command.map(|command| Cli { command: Some(command) }))
}

/// Whether this is going to be a command in namespaces: guessed before anything is parsed. Wrong guesses cost only time.
#[must_use]
pub fn confines(args: &[OsString]) -> bool {
    let own = args.iter().skip(1).take_while(|arg| *arg != "--");
    let first = own.clone().next().is_some_and(|arg| arg == "sandbox" || arg == "debug");
    let otherwise = |arg: &OsString| {
        arg == "--dry-run" || arg == "--help" || arg == "-h" || arg.to_str().is_some_and(|arg| arg.contains("backend"))
    };
    first && !own.skip(1).any(otherwise)
}

/// Name and description, as the full parser has them.
type Named = (&'static str, &'static str);

const RUN: Named =
    ("ringfence run", "Run one command as an agent's command is run: decide, ask if need be, confine, record");
const SANDBOX: Named = ("ringfence sandbox", "Run a command in the sandbox, without asking anything");

fn command<T: Args>((name, about): Named) -> clap::Command {
    T::augment_args(clap::Command::new(name).bin_name(name)).about(about)
}

fn read<T: Args + FromArgMatches>(named: Named, args: &[OsString]) -> Result<T, clap::Error> {
    let tail = args.get(1..).unwrap_or_default();
    command::<T>(named).try_get_matches_from(tail).and_then(|matches| T::from_arg_matches(&matches))
}

fn sandbox(args: &[OsString]) -> Result<RunArgs, clap::Error> {
    let run: RunArgs = read(SANDBOX, args)?;
    match platform::spelled(args, &run.command) {
        None => Ok(run),
        Some((platform, rest)) if platform.is_here() => read(SANDBOX, &rest),
        Some((platform, _)) => {
            let name = platform.name();
            let text = format!("the {name} sandbox exists on {name} only, and this isn't {name}");
            Err(command::<RunArgs>(SANDBOX).error(clap::error::ErrorKind::InvalidValue, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<RunArgs, clap::Error> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match hot_path(&args).expect("a hot command")?.command {
            Some(Command::Run(DecideArgs { run, .. }) | Command::Sandbox(run)) => Ok(run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_platform_word_goes_and_a_command_of_that_name_stays() {
        assert_eq!(read("ringfence sandbox linux -- ls -l").expect("parses").command, ["ls", "-l"]);
        assert_eq!(read("ringfence sandbox landlock ls").expect("parses").command, ["ls"]);
        assert_eq!(read("ringfence debug linux -s read-only -- ls").expect("parses").command, ["ls"]);
        assert_eq!(read("ringfence sandbox -s read-only linux -- ls").expect("parses").command, ["ls"]);
        assert_eq!(read("ringfence sandbox -- linux").expect("parses").command, ["linux"]);
        assert_eq!(read("ringfence run linux").expect("parses").command, ["linux"]);
        let error = read("ringfence sandbox windows -- dir").expect_err("not here").to_string();
        assert!(error.contains("Windows only"), "{error}");
        assert!(read("ringfence sandbox linux").is_err());
    }

    #[test]
    fn what_will_be_confined_is_known_beforehand() {
        let guess = |line: &str| confines(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(guess("ringfence sandbox ls") && guess("ringfence debug -s read-only -- ls --help"));
        assert!(!guess("ringfence sandbox -c linux.backend=landlock -- ls"));
        assert!(!guess("ringfence sandbox --dry-run ls") && !guess("ringfence sandbox --help"));
        assert!(!guess("ringfence") && !guess("ringfence run ls") && !guess("ringfence -- sandbox"));
    }

    #[test]
    fn flags_of_the_command_stay_with_it() {
        let run = read("ringfence run -s read-only --timeout 3s -- git -c x=y --json log").expect("parses");
        assert_eq!(run.command, ["git", "-c", "x=y", "--json", "log"]);
        assert!(!run.shared.json && run.shared.config.is_empty());
        let run = read("ringfence run ls --json").expect("parses");
        assert_eq!(run.command, ["ls", "--json"]);
    }

    #[test]
    fn a_mistyped_option_is_no_command() {
        for (line, meant) in [
            ("sandbox --keep-backgroun -- true", "--keep-background"),
            ("run --log-denial true", "--log-denials"),
            ("sandbox -s read-only --timout 3s true", "--timeout"),
        ] {
            let error = read(&format!("ringfence {line}")).expect_err(line);
            assert_eq!(error.kind(), clap::error::ErrorKind::UnknownArgument, "{line}");
            assert!(error.to_string().contains(meant), "{error}");
        }
        assert!(read("ringfence sandbox -x true").is_err());
        assert_eq!(
            read("ringfence sandbox -- --keep-backgroun true").expect("parses").command,
            ["--keep-backgroun", "true"]
        );
        assert_eq!(read("ringfence run -- -x -y").expect("parses").command, ["-x", "-y"]);
    }

    #[test]
    fn yolo_excludes_what_it_overrides() {
        for line in ["--yolo -s read-only", "--yolo -a never", "--full-auto --yolo"] {
            let error = read(&format!("ringfence run {line} -- ls")).expect_err(line);
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{line}");
        }
        assert!(read("ringfence run --dangerously-bypass-approvals-and-sandbox -- ls").expect("parses").shared.yolo);
    }

    /// What people type, and what they mistype. No platform words: the full parser doesn't know them.
    const WORDS: &[&str] = &[
        "-s",
        "read-only",
        "--sandbox=read-only",
        "-a",
        "never",
        "--full-auto",
        "--yolo",
        "-C",
        "/tmp",
        "-C/tmp",
        "--add-dir",
        "-p",
        "-c",
        "git=commit",
        "-cgit=commit",
        "--config",
        "--network",
        "off",
        "--network=proxy",
        "--network=sometimes",
        "--json",
        "--json=yes",
        "--search",
        "--env",
        "A=b",
        "--timeout",
        "3s",
        "--report",
        "--dry-run",
        "--log-denials",
        "--log-denial",
        "--keep-background",
        "--keep-backgroun",
        "--session",
        "--escalate",
        "write=/x",
        "--justification",
        "--agent",
        "-x",
        "-",
        "--",
        "---",
        "-sx",
        "-hs",
        "-h",
        "--help",
        "--version",
        "",
        "ls",
        "-l",
        "--color=auto",
        "linux-x",
    ];

    proptest::proptest! {
        #[test]
        fn the_short_way_says_what_the_full_parser_says(
            which in proptest::sample::select(vec!["run", "sandbox", "debug"]),
            words in proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..7),
        ) {
            use clap::Parser;
            let args: Vec<OsString> = ["ringfence", which].iter().chain(&words).map(OsString::from).collect();
            let said = |parsed: Result<Cli, clap::Error>| match parsed {
                Ok(cli) => Ok(format!("{cli:?}")),
                Err(error) => Err((error.kind(), error.to_string())),
            };
            proptest::prop_assert_eq!(said(hot_path(&args).expect("a hot command")), said(Cli::try_parse_from(&args)));
        }
    }
}
