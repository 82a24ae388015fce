//! The part of the kernel that can be reached is the ordinary one.

use super::attacks::KERNEL;
use super::harness::{Probe, Scratch, Verdict, expect};

pub const PROBES: &[Probe] =
    &[("proc_08_forbidden_calls_are_refused", calls), ("proc_06_the_terminal_takes_no_typed_commands", terminal)];

fn calls(scratch: &Scratch) -> Verdict {
    for act in KERNEL {
        let name = format!("{act:?}");
        let seen = scratch.attack(scratch.wish(), &["kernel", &name])?;
        expect(!seen.out.contains("did"), format!("{name} got through"))?;
    }
    scratch.sh(scratch.wish(), "python3 -c 'import threading,subprocess; t=threading.Thread(target=lambda: subprocess.run([\"true\"])); t.start(); t.join()' || ! command -v python3")?.works()
}

fn terminal(scratch: &Scratch) -> Verdict {
    for name in ["TypeInto", "TypeIntoHigh"] {
        let seen = scratch.attack(scratch.wish(), &["kernel", name])?;
        expect(!seen.out.contains("did"), format!("{name} got through"))?;
        expect(seen.out.contains("not permitted"), format!("{name} was refused by chance: {seen:?}"))?;
    }
    Ok(())
}
