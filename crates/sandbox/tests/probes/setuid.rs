//! No set-user-id file can be left behind.

use super::harness::{Probe, Scratch, Verdict, expect};
use std::os::unix::fs::PermissionsExt;

pub const PROBES: &[Probe] = &[("fs_15_no_set_user_id_bit_is_set", bits)];

fn bits(scratch: &Scratch) -> Verdict {
    let script = "cp /bin/true t; chmod 4755 t; chmod u+s t; chmod 2755 t; install -m 4755 /bin/true u; \
                  python3 -c 'import os; os.open(\"v\", os.O_CREAT|os.O_WRONLY, 0o4755)'; \
                  python3 -c 'import os; os.mknod(\"w\", 0o104755)'; setcap cap_setuid+ep t; exit 0";
    scratch.sh(scratch.wish(), script)?;
    for entry in std::fs::read_dir(scratch.path("ws"))? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode();
        expect(mode & 0o6000 == 0, format!("{:?} has mode {mode:o}", entry.file_name()))?;
    }
    scratch
        .sh(scratch.wish(), "cp /bin/true ok && chmod 755 ok && chmod u+x,g-w ok && install -m 700 ok ok2 && ./ok2")?
        .works()
}
