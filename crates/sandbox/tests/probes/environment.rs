//! The environment is the plan's, and tells programs where they are.

use super::harness::{Probe, Scratch, Verdict, expect};

pub const PROBES: &[Probe] =
    &[("env_the_environment_is_exactly_the_plans", exact), ("env_the_capability_file_is_there", capabilities)];

fn exact(scratch: &Scratch) -> Verdict {
    let seen = scratch.run(scratch.wish(), &["/usr/bin/env"])?;
    let mut names: Vec<&str> = seen.out.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    let wanted = ["PATH", "RINGFENCE_CAPABILITIES", "RINGFENCE_SANDBOX", "RINGFENCE_SANDBOX_NETWORK"];
    expect(names == wanted, format!("{names:?}"))?;
    expect(seen.out.contains("RINGFENCE_SANDBOX=namespaces\n") && seen.out.contains("NETWORK=off\n"), seen.out)
}

fn capabilities(scratch: &Scratch) -> Verdict {
    let seen = scratch.sh(scratch.wish(), "cat $RINGFENCE_CAPABILITIES; echo x >$RINGFENCE_CAPABILITIES; rm -f $RINGFENCE_CAPABILITIES; cat $RINGFENCE_CAPABILITIES >/dev/null")?;
    seen.works()?;
    let value: serde_json::Value = serde_json::from_str(&seen.out)?;
    expect(value["schema"] == "ringfence.dev/v1/capabilities" && value["network"]["state"] == "off", seen.out)
}
