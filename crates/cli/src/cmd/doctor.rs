//! `ringfence doctor`: what this host can enforce, found by trying, and the fix for each shortfall.

use crate::args::DoctorArgs;
use crate::out::{Failure, Paint, json, table};
use ringfence_model::{Tier, text};
use ringfence_sandbox::host::{System, Tried};
use ringfence_sandbox::probe::{Finding, Survey, survey};
use serde::Serialize;
use std::fmt::Write as _;
use std::process::ExitCode;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    /// The tier that `linux.backend = "auto"` takes; null where nothing holds.
    tier: Option<Tier>,
    tiers: Vec<Tier>,
    facts: &'a ringfence_sandbox::host::HostFacts,
    findings: &'a [Finding],
}

/// Surveys the host; exit status 1 if no tier holds here.
pub fn main(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let survey = survey();
    let tiers = survey.facts.tiers();
    if args.json {
        json::print(&Document {
            schema: "ringfence.dev/v1/doctor",
            version: env!("CARGO_PKG_VERSION"),
            tier: tiers.first().copied(),
            tiers: tiers.clone(),
            facts: &survey.facts,
            findings: &survey.findings,
        })?;
    } else {
        json::text_out(render(&survey, &tiers, args.verbose, Paint::stdout()).trim_end());
    }
    Ok(ExitCode::from(u8::from(tiers.is_empty())))
}

fn render(survey: &Survey, tiers: &[Tier], verbose: bool, paint: Paint) -> String {
    let mut out = String::new();
    let detail = |name: &str| {
        survey
            .findings
            .iter()
            .find(|finding| finding.name == name)
            .and_then(|finding| finding.detail.as_deref())
            .map(text::escape)
    };
    let tier = match tiers {
        [] => paint.bad("none: commands can't be confined here"),
        [only] => paint.good(only.name()),
        [first, others @ ..] => {
            let others: Vec<_> = others.iter().map(|tier| tier.name()).collect();
            format!("{}   (would also work: {})", paint.good(first.name()), others.join(", "))
        }
    };
    let system = survey.facts.system;
    // Elsewhere than on Linux nobody looks for these.
    let kernel = detail("kernel").map(|kernel| format!(" {kernel}")).unwrap_or_default();
    let rows = [
        ("host", Some(format!("{}{kernel}, {}", system.name(), survey.facts.arch))),
        ("running as", detail("privileges")),
        ("container", detail("container")),
        ("tier", Some(tier)),
    ];
    let rows: Vec<_> = rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?])).collect();
    out.push_str(&table::columns(&rows, ""));

    let (works, fails): (Vec<_>, Vec<_>) = survey.findings.iter().partition(|finding| finding.tried.works());
    if verbose {
        out.push_str("\nworks here\n");
        let rows: Vec<_> = works
            .iter()
            .map(|finding| {
                let detail = finding.detail.as_deref().map(text::escape).unwrap_or_default();
                vec![finding.name.clone(), detail, finding.source.clone()]
            })
            .collect();
        out.push_str(&table::columns(&rows, "  "));
    }
    if fails.iter().any(|finding| matches!(finding.tried, Tried::Fails { .. })) {
        out.push_str("\nnot available here\n");
    }
    for finding in fails {
        let Tried::Fails { why, remedy } = &finding.tried else { continue };
        let _ = writeln!(out, "  {}", paint.warn(&finding.name));
        let _ = writeln!(out, "    found    {}", text::escape(why));
        let _ = writeln!(out, "    serves   {}", finding.serves);
        if let Some(remedy) = remedy {
            let _ = writeln!(out, "    fix      {remedy}");
        }
    }
    if tiers.is_empty() {
        out.push_str(
            "\nUntil then: let the container or virtual machine be the isolation, and use `--sandbox \
             danger-full-access` inside it.\n",
        );
    } else if system == System::Linux {
        let _ = writeln!(
            out,
            "\n{} features work. Next: `ringfence prove` attacks the sandbox and shows that it holds.",
            works.len()
        );
    } else {
        out.push_str("\n`ringfence status` lists what this system can't hold.\n");
    }
    out
}
