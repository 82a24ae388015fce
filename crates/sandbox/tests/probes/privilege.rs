//! No privilege is left, and none can be gained.

use super::harness::{Probe, Scratch, Verdict, expect};

pub const PROBES: &[Probe] =
    &[("proc_07_no_capability_is_left", capabilities), ("proc_07_set_user_id_programs_gain_nothing", programs)];

fn capabilities(scratch: &Scratch) -> Verdict {
    let seen =
        scratch.sh(scratch.wish(), "grep -E '^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status")?;
    let mut words = seen.out.split_whitespace();
    let mut value = |name: &str| {
        words.find(|word| word.trim_end_matches(':') == name);
        words.next().unwrap_or_default().to_owned()
    };
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        let bits = value(name);
        expect(!bits.is_empty() && bits.chars().all(|digit| digit == '0'), format!("{name} is {bits}"))?;
    }
    expect(value("NoNewPrivs") == "1" && value("Seccomp") == "2", format!("{seen:?}"))
}

fn programs(scratch: &Scratch) -> Verdict {
    let seen =
        scratch.sh(scratch.wish(), "unshare -Ur true; su -c true; sudo -n true; mount -t tmpfs x /mnt; exit 0")?;
    expect(seen.out.is_empty(), format!("{seen:?}"))?;
    let seen = scratch.sh(scratch.wish(), "grep -E '^CapEff:' /proc/self/status; id -u")?;
    expect(seen.out.contains("0000000000000000"), format!("{seen:?}"))
}
