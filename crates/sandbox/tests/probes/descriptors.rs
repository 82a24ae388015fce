//! Only the descriptors of the plan are inherited.

use super::harness::{Probe, Scratch, Verdict, expect};

pub const PROBES: &[Probe] = &[("fs_02_no_other_descriptor_is_inherited", inherited)];

fn inherited(scratch: &Scratch) -> Verdict {
    let file = std::fs::File::open(scratch.path("out"))?;
    ringfence_sandbox::attack::keep_on_exec(&file)?;
    let seen =
        scratch.sh(scratch.wish(), "for f in /proc/self/fd/*; do readlink $f; done; cd /proc/self/fd && echo *")?;
    let last = seen.out.lines().last().unwrap_or_default();
    expect(
        last.split(' ').filter(|number| number.parse::<u32>().is_ok_and(|number| number <= 2)).count() == 3,
        format!("{seen:?}"),
    )?;
    expect(!seen.out.contains("/out"), format!("a directory outside was inherited: {seen:?}"))
}
