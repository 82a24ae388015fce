//! Writes land only in the writable roots.

use super::harness::{Probe, Scratch, Verdict, expect};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

pub const PROBES: &[Probe] = &[
    ("fs_01_every_kind_of_write_outside_is_refused", writes_outside),
    ("fs_01_metadata_outside_stays", metadata_outside),
    ("fs_01_a_fifo_outside_is_not_written", fifo_outside),
    ("fs_02_detours_through_proc_are_refused", detours),
    ("fs_03_a_link_in_a_root_does_not_lead_out", link_out),
    ("fs_03_an_exchanged_root_is_not_opened", exchanged_root),
    ("fs_19_a_neighbour_with_the_same_beginning_is_outside", neighbour),
    ("fs_mode_read_only_writes_nothing", read_only),
];

fn writes_outside(scratch: &Scratch) -> Verdict {
    let out = scratch.path("out").display().to_string();
    let script = format!(
        "O={out}; echo x >$O/keep; echo x >>$O/keep; : >$O/keep; truncate -s 0 $O/keep; rm -f $O/keep; mv $O/keep $O/k2; \
         mv src $O/; ln src/x $O/hard; ln -s x $O/soft; mkdir $O/dir; mkfifo $O/fifo; touch $O/new; cp /bin/true $O/; \
         rmdir $O; mv $O ${{O}}2; exit 0"
    );
    scratch.sh(scratch.wish(), &script)?;
    scratch.outside_is_intact()?;
    let honest =
        "echo x >a && echo y >>a && mv a b && ln b c && ln -s b d && mkdir -p e/f && mkfifo g && rm -r e && cat b";
    let seen = scratch.sh(scratch.wish(), honest)?;
    seen.works()?;
    expect(std::fs::read(scratch.path("ws/b"))? == b"x\ny\n", "the workspace was not written")
}

fn metadata_outside(scratch: &Scratch) -> Verdict {
    let keep = scratch.path("out/keep").display().to_string();
    let before = std::fs::metadata(&keep)?.modified()?;
    let script = format!(
        "chmod 777 {keep}; chown 12345 {keep}; touch -d 2001-01-01 {keep}; exec 9<{keep}; chmod 777 /proc/self/fd/9; exit 0"
    );
    scratch.sh(scratch.wish(), &script)?;
    for act in ["Attribute", "Times", "InodeFlags"] {
        scratch.attack(scratch.wish(), &["file", act, &keep])?;
    }
    scratch.outside_is_intact()?;
    expect(std::fs::metadata(&keep)?.modified()? == before, "the canary's time was changed")?;
    scratch.sh(scratch.wish(), "touch t && chmod 700 t && touch -d 2001-01-01 t")?.works()
}

fn fifo_outside(scratch: &Scratch) -> Verdict {
    let fifo = scratch.path("out/fifo");
    ringfence_sandbox::attack::make_fifo(&fifo)?;
    let mut reader = std::fs::OpenOptions::new().read(true).custom_flags(0o4000).open(&fifo)?;
    let seen = scratch.attack(scratch.wish(), &["fifo", &fifo.display().to_string()])?;
    let mut bytes = [0u8; 1];
    let got = reader.read(&mut bytes).unwrap_or(0);
    std::fs::remove_file(&fifo)?;
    expect(got == 0, format!("a byte came out of a FIFO outside: {seen:?}"))?;
    scratch.sh(scratch.wish(), "mkfifo p; (echo hi >p &) ; read line <p; test \"$line\" = hi")?.works()
}

fn detours(scratch: &Scratch) -> Verdict {
    let out = scratch.path("out").display().to_string();
    let script = format!(
        "for P in /proc/self/root /proc/1/root /proc/self/cwd/../../../../../..; do echo x >$P{out}/keep; echo x >$P{out}/new; done; \
         exec 9<{out}; echo x >/proc/self/fd/9/keep; echo x >/dev/fd/9/new; cd {out}; echo x >keep; exit 0"
    );
    scratch.sh(scratch.wish(), &script)?;
    scratch.outside_is_intact()
}

fn link_out(scratch: &Scratch) -> Verdict {
    std::os::unix::fs::symlink(scratch.path("out"), scratch.path("ws/shipped"))?;
    let out = scratch.path("out").display().to_string();
    let script = format!(
        "echo x >shipped/keep; ln -s {out} made; echo x >made/new; ln -s {out}/dangling d; echo x >d; ln -s / l; echo x >l{out}/keep; exit 0"
    );
    scratch.sh(scratch.wish(), &script)?;
    scratch.outside_is_intact()?;
    scratch.sh(scratch.wish(), "mkdir real && ln -s real inner && echo x >inner/f && test -s real/f")?.works()
}

fn exchanged_root(scratch: &Scratch) -> Verdict {
    let wish = scratch.wish();
    std::fs::rename(scratch.path("ws"), scratch.path("old"))?;
    std::os::unix::fs::symlink(scratch.path("out"), scratch.path("ws"))?;
    let started = scratch.sh(wish, "echo x >keep");
    expect(started.is_err(), "a root that became a link was opened")?;
    std::fs::remove_file(scratch.path("ws"))?;
    let again = super::harness::Wish(scratch_wish_of_old(scratch)?);
    std::fs::create_dir(scratch.path("ws"))?;
    let started = scratch.sh(again, "echo x >keep");
    expect(started.is_err(), "a root that is another directory now was opened")?;
    scratch.outside_is_intact()
}

/// A wish whose root has the identity of the directory that was moved away.
fn scratch_wish_of_old(scratch: &Scratch) -> Result<ringfence_model::Confinement, super::harness::Failure> {
    std::fs::rename(scratch.path("old"), scratch.path("ws"))?;
    let wish = scratch.wish().0;
    std::fs::rename(scratch.path("ws"), scratch.path("old"))?;
    Ok(wish)
}

fn neighbour(scratch: &Scratch) -> Verdict {
    let evil = scratch.path("ws-evil");
    std::fs::create_dir(&evil)?;
    scratch.sh(scratch.wish(), &format!("echo x >{0}/f; echo x >../ws-evil/g; exit 0", evil.display()))?;
    expect(std::fs::read_dir(&evil)?.count() == 0, "a neighbour of the workspace was written")
}

fn read_only(scratch: &Scratch) -> Verdict {
    let seen = scratch
        .sh(scratch.wish().read_only(), "echo x >f; echo x >src/f; mkdir d; echo x >/tmp/ringfence-probe; exit 0")?;
    expect(
        !scratch.path("ws/f").exists() && !scratch.path("ws/d").exists(),
        format!("read-only was written: {seen:?}"),
    )?;
    expect(!std::path::Path::new("/tmp/ringfence-probe").exists(), "/tmp was written")?;
    scratch.sh(scratch.wish().read_only(), "cat .git/config && echo x >/dev/null && echo x >/dev/shm/f")?.works()
}
