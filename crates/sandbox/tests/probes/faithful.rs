//! The kernel agrees with the slow reading of a wish: sampled wishes over a small tree, every path of it tried.

use super::harness::{Failure, Probe, Scratch, Verdict, Wish, expect};
use ringfence_model::AbsPath;
use std::fmt::Write as _;

pub const PROBES: &[Probe] = &[("faithful_the_kernel_says_what_the_wish_says", sampled)];

const PLACES: &[&str] = &["ws", "ws/a", "ws/a/b", "ws/a/b/c", "ws/b", "ws/b/a", "other", "other/a", "out"];

/// A small generator: the same samples every time.
struct Samples(u64);

impl Samples {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

fn sampled(scratch: &Scratch) -> Verdict {
    for place in PLACES {
        std::fs::create_dir_all(scratch.path(place))?;
        std::fs::write(scratch.path(place).join("file"), "x\n")?;
    }
    let mut samples = Samples(7);
    for round in 0..24 {
        let mut wish = scratch.wish();
        wish.0.roots.clear();
        wish.0.protected.clear();
        for _ in 0..=samples.next(2) {
            wish = wish.root(&scratch.path(PLACES[samples.next(8)]));
        }
        for _ in 0..samples.next(3) {
            let path = scratch.path(PLACES[1 + samples.next(5)]);
            wish = wish.protect(&AbsPath::new(path).expect("absolute"));
        }
        if samples.next(2) == 0 {
            wish = wish.deny(&scratch.path(PLACES[1 + samples.next(5)]));
        }
        wish.0.cwd = AbsPath::new("/").expect("absolute");
        one(scratch, wish, round)?;
    }
    let _ = std::fs::remove_file(scratch.path("out/file"));
    Ok(())
}

fn one(scratch: &Scratch, wish: Wish, round: usize) -> Verdict {
    let mut script = String::new();
    let mut wanted = Vec::new();
    for place in PLACES {
        let path = scratch.path(place).join("file");
        let asked = AbsPath::new(&path).expect("absolute");
        wanted.push((place, super::common::may_read(&wish.0, &asked), super::common::may_write(&wish.0, &asked)));
        let path = path.display();
        let _ =
            write!(script, "(: <{path}) 2>/dev/null && echo r {place}; (: >>{path}) 2>/dev/null && echo w {place}; ");
    }
    script.push_str("exit 0");
    let shown = format!("{:?} {:?} {:?}", wish.0.roots, wish.0.protected, wish.0.reads.denied);
    let seen = scratch.sh(wish, &script)?;
    for (place, read, write) in wanted {
        let did = |what: &str| seen.out.lines().any(|line| line == format!("{what} {place}"));
        if (did("r"), did("w")) != (read, write) {
            let what = format!(
                "round {round}, {place}: read {} for {read}, written {} for {write}; {shown}",
                did("r"),
                did("w")
            );
            return Err(Failure::Broken(what));
        }
    }
    expect(true, "")
}
