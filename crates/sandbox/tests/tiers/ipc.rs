//! Shared memory, semaphores and queues of System V in every tier: what is made inside works and is gone afterwards, however
//! the sandbox ends; what is made outside isn't reached by key, by number, or by place.

use super::{World, backend, run, tiers};
use ringfence_model::confinement::Confinement;
use ringfence_model::mode::{Backend, Tier};
use ringfence_model::report::Exit;
use ringfence_model::units::ByteSize;
use ringfence_model::{Origin, Sourced};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SCRIPT: &str = include_str!("ipc.py");

/// Objects that the host has, by kind and number.
fn objects() -> BTreeSet<String> {
    let kinds = ["shm", "sem", "msg"];
    let lines = kinds.iter().flat_map(|kind| {
        let text = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let numbers: Vec<_> = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        numbers.iter().map(|number| format!("{kind} {number}")).collect::<Vec<_>>()
    });
    lines.collect()
}

/// That nothing is there which wasn't. Others' come and go, so it may take a moment to be so.
fn assert_nothing_is_left(before: &BTreeSet<String>, what: &str) {
    let left = || objects().difference(before).cloned().collect::<Vec<_>>();
    for _ in 0..100 {
        if left().is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}: {:?}", left());
}

/// A program outside with objects of its own, and their numbers.
struct Outside(Child, String);

impl Outside {
    fn start() -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", SCRIPT, "outside"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        let mut out = BufReader::new(out);
        out.read_line(&mut line).unwrap();
        child.stdout = Some(out.into_inner());
        Self(child, line.trim().to_owned())
    }

    /// Whether everything of it is as it was.
    fn ends_intact(mut self) -> bool {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let _ = self.0.wait();
        said.trim() == "intact"
    }
}

fn script(world: &World) {
    std::fs::write(world.path("ws/ipc.py"), SCRIPT).unwrap();
}

#[test]
fn ipc_03_objects_made_inside_are_shared_those_of_the_host_are_out_of_reach_and_none_is_left() {
    let world = World::new();
    script(&world);
    let test = "ipc_03_objects_made_inside_are_shared_those_of_the_host_are_out_of_reach_and_none_is_left";
    for tier in tiers(|backend| world.wish(backend), test) {
        let outside = Outside::start();
        let before = objects();
        let line = format!("python3 ipc.py inside {} 2>&1", outside.1);
        let (outcome, said) = run(&world.wish(backend(tier)), &line).unwrap();
        assert_eq!((outcome.exit, said.as_str()), (Exit::Code(0), "done\n"), "{tier}");
        assert_nothing_is_left(&before, tier.name());
        let told = outcome.denials.iter().any(|denial| denial.rule == "ipc-outside");
        assert_eq!(told, tier == Tier::Landlock, "{tier}: {:?}", outcome.denials);
        assert!(outside.ends_intact(), "{tier}");
        // Background work has them for as long as it goes on.
        let mut wish = world.wish(backend(tier));
        wish.keep_background = Sourced::new(true, Origin::builtin("test"));
        let before = objects();
        let line = "(python3 -c 'import time; time.sleep(0.6)'; python3 ipc.py leave >late) & python3 ipc.py leave";
        assert_eq!(run(&wish, line).unwrap().0.exit, Exit::Code(0), "{tier}");
        assert_eq!(std::fs::read_to_string(world.path("ws/late")).unwrap(), "done\n", "{tier}");
        assert_nothing_is_left(&before, tier.name());
    }
}

#[test]
fn ipc_03_nothing_is_left_when_the_supervisor_is_killed() {
    let world = World::new();
    let test = "ipc_03_nothing_is_left_when_the_supervisor_is_killed";
    for tier in tiers(|backend| world.wish(backend), test) {
        let before = objects();
        let mut me = Command::new(std::env::current_exe().unwrap());
        me.args(["ipc::supervisor", "--exact", "--ignored", "--nocapture", "-q"]).stdout(Stdio::piped());
        me.env("RINGFENCE_TEST_TIER", tier.name());
        let mut me = me.spawn().unwrap();
        let said = BufReader::new(me.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut ready = said.filter_map(|line| line.strip_prefix("ready ").map(str::to_owned));
        let victim = ready.next().unwrap_or_else(|| panic!("{tier}: it did not come so far"));
        assert!(tier != Tier::Landlock || objects().difference(&before).count() >= 9, "{tier}: they are the host's");
        me.kill().unwrap();
        let _ = me.wait();
        let _ = Command::new("kill").arg(victim).status();
        assert_nothing_is_left(&before, tier.name());
    }
}

/// The supervisor that is killed.
#[test]
#[ignore = "the inside of another test"]
fn supervisor() {
    let Ok(tier) = std::env::var("RINGFENCE_TEST_TIER") else { return };
    let world = World::new();
    script(&world);
    let wish = world.wish(Backend::from_name(&tier).unwrap());
    let (ready, victim) = (world.path("ws/ready"), world.victim);
    let watch = std::thread::spawn(move || {
        while !ready.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        println!("ready {victim}");
    });
    let _ = run(&wish, "python3 ipc.py leave && echo >ready; sleep 60");
    let _ = watch.join();
}

#[test]
fn dos_01_shared_memory_counts_as_memory() {
    let world = World::new();
    let limited = |backend| -> Confinement {
        let mut wish = world.wish(backend);
        wish.limits.memory = Some(Sourced::new(ByteSize(100 << 20), Origin::builtin("test")));
        wish
    };
    // Made, filled, and let go of: no process has it attached, and it is there.
    let act = "import ctypes\nc = ctypes.CDLL(None)\nc.shmat.restype = ctypes.c_void_p\nc.shmdt.argtypes = [ctypes.c_void_p]\n\
               for round in range(8):\n id = c.shmget(0, 40 << 20, 0o1600)\n if id < 0: break\n at = c.shmat(id, None, 0)\n \
               ctypes.memset(ctypes.c_void_p(at), 1, 40 << 20)\n c.shmdt(at)\n print(round, flush=True)\n";
    std::fs::write(world.path("ws/fill.py"), act).unwrap();
    for tier in tiers(limited, "dos_01_shared_memory_counts_as_memory") {
        if tier != Tier::Landlock {
            continue;
        }
        let (_, said) = run(&limited(backend(tier)), "python3 fill.py").unwrap();
        assert!((1..=2).contains(&said.lines().count()), "{tier}: {said}");
    }
}
