//! The short way for `run` and `sandbox`: only that subcommand's parser is built, since start-up time is the product.

use super::platform;
use super::{Cli, Command, RunArgs};
use clap::{Args, FromArgMatches};
use std::ffi::{OsStr, OsString};

/// Parses `ringfence run …` and `ringfence sandbox …`; none for everything else. What it accepts, refuses and prints as
/// help is what the full parser does.
#[must_use]
pub fn hot_path(args: &[OsString]) -> Option<Result<Cli, clap::Error>> {
    let word = args.get(1)?;
    let make: fn(RunArgs) -> Command = match word.to_str()? {
        "run" => Command::Run,
        "sandbox" | "debug" => Command::Sandbox,
        _ => return None,
    };
    Some(parse(word, args).map(|run| Cli { command: Some(make(run)) }))
}

fn parse(word: &OsStr, args: &[OsString]) -> Result<RunArgs, clap::Error> {
    let sandbox = word != "run";
    let command = || {
        let name = if sandbox { "ringfence sandbox" } else { "ringfence run" };
        RunArgs::augment_args(clap::Command::new(name).bin_name(name)).about(if sandbox {
            "Run a command in the sandbox, without asking anything"
        } else {
            "Run one command as an agent's command is run: decide, ask if need be, confine, record"
        })
    };
    let read = |args: &[OsString]| {
        let tail = args.get(1..).unwrap_or_default();
        command().try_get_matches_from(tail).and_then(|matches| RunArgs::from_arg_matches(&matches))
    };
    let run = read(args)?;
    if !sandbox {
        return Ok(run);
    }
    match platform::spelled(args, &run.command) {
        None => Ok(run),
        Some((platform, rest)) if platform.is_here() => read(&rest),
        Some((platform, _)) => Err(command().error(
            clap::error::ErrorKind::InvalidValue,
            format!(
                "the {} sandbox exists on {} only, and this isn't {}",
                platform.name(),
                platform.name(),
                platform.name()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<RunArgs, clap::Error> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match hot_path(&args).expect("a hot command")?.command {
            Some(Command::Run(run) | Command::Sandbox(run)) => Ok(run),
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
    fn flags_of_the_command_stay_with_it() {
        let run = read("ringfence run -s read-only --timeout 3s -- git -c x=y --json log").expect("parses");
        assert_eq!(run.command, ["git", "-c", "x=y", "--json", "log"]);
        assert!(!run.shared.json && run.shared.config.is_empty());
        let run = read("ringfence run ls --json").expect("parses");
        assert_eq!(run.command, ["ls", "--json"]);
    }

    #[test]
    fn yolo_excludes_what_it_overrides() {
        for line in ["--yolo -s read-only", "--yolo -a never", "--full-auto --yolo"] {
            let error = read(&format!("ringfence run {line} -- ls")).expect_err(line);
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{line}");
        }
        assert!(read("ringfence run --dangerously-bypass-approvals-and-sandbox -- ls").expect("parses").shared.yolo);
    }
}
