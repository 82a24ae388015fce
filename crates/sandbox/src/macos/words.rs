//! From a plan to what `sandbox-exec` is given. Pure.

use crate::enforced::StartError;
use crate::plan::{Act, Plan};
use ringfence_model::OsText;
use ringfence_model::report::{Exit, LimitKind};
use std::ffi::OsString;

/// The program that applies a profile, by its absolute path: one of another name or place is never asked.
pub(crate) const PROGRAM: &str = "/usr/bin/sandbox-exec";

/// Kind of the step that holds the profile, a rule a line.
pub(crate) const PROFILE: &str = "seatbelt-profile";
/// Kind of the step that holds the profile's parameters, an argument a line.
pub(crate) const PARAMETERS: &str = "seatbelt-parameters";

/// The arguments of [`PROGRAM`] that run `argv` under `plan`.
pub(crate) fn arguments(plan: &Plan, argv: &[OsText]) -> Result<Vec<OsString>, StartError> {
    let native = |wanted: &str| {
        plan.steps.iter().find_map(|step| match &step.act {
            Act::Native { kind, lines } if kind == wanted => Some(lines.as_slice()),
            _ => None,
        })
    };
    let foreign = |why: &str| StartError::Foreign { why: why.to_owned() };
    let profile = native(PROFILE).ok_or_else(|| foreign("it has no profile"))?;
    let lines: Option<Vec<&str>> = profile.iter().map(OsText::as_str).collect();
    let text = lines.ok_or_else(|| foreign("its profile isn't text"))?.join("\n");
    if argv.is_empty() {
        return Err(foreign("the command has no program"));
    }
    let mut out = vec![OsString::from("-p"), OsString::from(text)];
    out.extend(native(PARAMETERS).unwrap_or_default().iter().map(|line| line.as_os_str().to_owned()));
    // What follows is the command's, whatever it begins with.
    out.push(OsString::from("--"));
    out.extend(argv.iter().map(|argument| argument.as_os_str().to_owned()));
    Ok(out)
}

/// How a command ended, by its wait status taken apart; `timed_out` if the supervisor ended it for its time.
pub(crate) fn exit(code: Option<i32>, signal: Option<i32>, timed_out: bool, limits: &[LimitKind]) -> Exit {
    if timed_out {
        return Exit::Timeout;
    }
    // A shell reports the signal that ended what it started as its own status.
    let told = signal.or_else(|| code.filter(|code| *code > 128).map(|code| code - 128));
    let limit = match told {
        Some(SIGXCPU) => Some(LimitKind::CpuTime),
        Some(SIGXFSZ) => Some(LimitKind::FileSize),
        _ => None,
    };
    match (limit.filter(|limit| limits.contains(limit)), code, signal) {
        (Some(limit), ..) => Exit::Limit(limit),
        (None, Some(code), _) => Exit::Code(code),
        (None, None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// The same on every system that has them.
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_command_ended_is_read_off_its_status() {
        let all = [LimitKind::CpuTime, LimitKind::FileSize];
        assert_eq!(exit(Some(3), None, false, &all), Exit::Code(3));
        assert_eq!(exit(None, Some(9), false, &all), Exit::Signal(9));
        assert_eq!(exit(None, Some(24), false, &all), Exit::Limit(LimitKind::CpuTime));
        assert_eq!(exit(Some(128 + 25), None, false, &all), Exit::Limit(LimitKind::FileSize));
        assert_eq!(exit(None, Some(24), false, &[]), Exit::Signal(24));
        assert_eq!(exit(None, Some(9), true, &[]), Exit::Timeout);
    }
}
