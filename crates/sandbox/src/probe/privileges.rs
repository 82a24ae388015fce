//! Whose rights this process has: root with or without `CAP_SYS_ADMIN`, or an ordinary user; what already confines it.

use super::Finding;
use super::surroundings::Surroundings;
use crate::host::Tried;

pub(super) fn probe(around: &Surroundings) -> Finding {
    let who = match (around.uid, around.sys_admin) {
        (0, true) => "root".to_owned(),
        (0, false) => "root without CAP_SYS_ADMIN, treated as an ordinary user".to_owned(),
        (uid, true) => format!("user {uid} with CAP_SYS_ADMIN"),
        (uid, false) => format!("ordinary user {uid}"),
    };
    let mut detail = who;
    if around.no_new_privs {
        detail.push_str("; no_new_privs is set already");
    }
    if around.seccomp_mode == 2 {
        detail.push_str("; inside an outer seccomp filter");
    }
    if let Some(label) = around.apparmor_label.as_deref().filter(|label| *label != "unconfined") {
        detail.push_str("; AppArmor ");
        detail.push_str(label);
    }
    Finding::new("privileges", Tried::Works, "/proc/self/status", "how namespaces are made").detail(detail)
}
