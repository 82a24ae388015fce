//! What can't be read stays unread.

use super::harness::{Probe, Scratch, Verdict, expect};

pub const PROBES: &[Probe] = &[
    ("fs_09_a_denied_directory_gives_nothing_away", directory),
    ("fs_09_a_denied_file_gives_nothing_away", file),
    ("fs_10_a_mask_is_refusal_not_emptiness", refusal),
    ("fs_09_a_denied_path_in_a_root_can_not_be_moved_away", moved),
];

fn directory(scratch: &Scratch) -> Verdict {
    let secret = scratch.path("secret");
    let path = secret.display().to_string();
    let script = format!(
        "cat {path}/key; ls -la {path}; cat /proc/self/root{path}/key; tar cf - {path}; ln {path}/key k; cat k; mv {path} s; cat s/key; cp -r {path} c; cat c/key; chmod 700 c"
    );
    let seen = scratch.sh(scratch.wish().deny(&secret), &script)?;
    expect(!seen.out.contains("s3cret") && !seen.out.contains("key"), format!("a secret came out: {seen:?}"))?;
    let seen = scratch.sh(scratch.wish(), &format!("cat {path}/key"))?;
    expect(seen.out == "s3cret\n", "what isn't denied can be read")
}

fn file(scratch: &Scratch) -> Verdict {
    let secret = scratch.path("secret/key");
    let path = secret.display().to_string();
    let script =
        format!("cat {path}; dd if={path}; sh {path}; ln {path} k; cat k; cat <{path}; chmod 777 {path}; cat {path}");
    let seen = scratch.sh(scratch.wish().deny(&secret), &script)?;
    expect(!seen.out.contains("s3cret") && !seen.err.contains("s3cret"), format!("a secret came out: {seen:?}"))
}

fn refusal(scratch: &Scratch) -> Verdict {
    let secret = scratch.path("secret");
    let script = format!("cat {0}/key || echo refused; ls {0} || echo refused", secret.display());
    let seen = scratch.sh(scratch.wish().deny(&secret), &script)?;
    expect(seen.out == "refused\nrefused\n" && seen.err.contains("Permission denied"), format!("{seen:?}"))?;
    let key = scratch.path("secret/key");
    let seen = scratch.sh(scratch.wish().deny(&key), &format!("cat {} || echo refused", key.display()))?;
    expect(seen.out == "refused\n" && seen.err.contains("Permission denied"), format!("{seen:?}"))
}

fn moved(scratch: &Scratch) -> Verdict {
    std::fs::create_dir_all(scratch.path("ws/private/keys"))?;
    std::fs::write(scratch.path("ws/private/keys/k"), "s3cret\n")?;
    let denied = scratch.path("ws/private/keys");
    let script =
        "mv private p2; cat p2/keys/k; mv private/keys k2; cat k2/k; rm -rf private; cat private/keys/k; exit 0";
    let seen = scratch.sh(scratch.wish().deny(&denied), script)?;
    expect(!seen.out.contains("s3cret"), format!("a secret came out: {seen:?}"))?;
    expect(scratch.path("ws/private/keys/k").exists(), "the secret was removed")
}
