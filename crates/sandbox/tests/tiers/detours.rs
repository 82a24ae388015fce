//! Second ways to what is held: by descriptors instead of names, by what a file given as input brings along, by other
//! addresses of the same port, by what is the host's own where there are no namespaces. In every tier, with honest twins.

use super::{World, backend, run, run_with, tiers};
use ringfence_model::Tier;
use ringfence_model::report::Exit;
use std::io::{Seek, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Runs a Python program inside; whether it ended well.
fn python(world: &World, tier: Tier, program: &str) -> bool {
    std::fs::write(world.path("ws/act.py"), program).unwrap();
    run(&world.wish(backend(tier)), "exec python3 act.py").unwrap().0.exit == Exit::Code(0)
}

#[test]
fn fs_09_what_was_removed_while_open_stays_denied() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "fs_09_what_was_removed_while_open_stays_denied") {
        std::fs::write(world.path("ws/src/.env"), "KEY").unwrap();
        std::fs::write(world.path("ws/src/plain"), "x").unwrap();
        let act = |name: &str, gone: &str| {
            format!("import os\nd=os.open('src/{name}', os.O_PATH)\n{gone}\nassert open(f'/proc/self/fd/{{d}}').read()")
        };
        assert!(!python(&world, tier, &act(".env", "os.unlink('src/.env')")), "{tier}: removed");
        std::fs::write(world.path("ws/src/.env"), "KEY").unwrap();
        let over = "open('src/new', 'w').close(); os.rename('src/new', 'src/.env')";
        assert!(!python(&world, tier, &act(".env", over)), "{tier}: replaced");
        assert!(python(&world, tier, &act("plain", "os.unlink('src/plain')")), "{tier}: an honest file");
    }
}

#[test]
fn fs_07_a_descriptor_gives_no_second_name_to_a_protected_file() {
    let world = World::new();
    let link = |file: &str, how: &str| {
        format!(
            "import ctypes, os\nc=ctypes.CDLL(None)\nd=os.open('{file}', os.O_RDONLY)\n\
             r=c.linkat({how}, -100, b'second', {})\nassert r==0\nopen('second', 'a').write('evil')",
            if how.starts_with("d,") { "0x1000" } else { "0x400" }
        )
    };
    let by_proc = "-100, b'/proc/self/fd/%d' % d";
    for tier in tiers(|backend| world.wish(backend), "fs_07_a_descriptor_gives_no_second_name_to_a_protected_file") {
        for file in [".git/config", ".git/HEAD", "../out/keep"] {
            for how in [by_proc, "d, b''"] {
                assert!(!python(&world, tier, &link(file, how)), "{tier}: {file} by {how}");
                let _ = std::fs::remove_file(world.path("ws/second"));
            }
        }
        std::fs::write(world.path("ws/src/plain"), "x").unwrap();
        assert!(python(&world, tier, &link("src/plain", by_proc)), "{tier}: an honest link");
        let temporary = "import ctypes, os\nd=os.open('.', os.O_TMPFILE | os.O_RDWR)\n\
                         assert ctypes.CDLL(None).linkat(-100, b'/proc/self/fd/%d' % d, -100, b'made', 0x400)==0\nos.unlink('made')";
        assert!(python(&world, tier, temporary), "{tier}: a temporary file gets its name");
        assert!(std::fs::read_to_string(world.path("ws/.git/HEAD")).unwrap().starts_with("ref: "), "{tier}");
        let _ = std::fs::remove_file(world.path("ws/second"));
        world.reset();
    }
}

#[test]
fn fs_01_what_is_given_to_be_read_is_not_changed() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "fs_01_what_is_given_to_be_read_is_not_changed") {
        let wish = world.wish(backend(tier));
        let open = |name: &str| OwnedFd::from(std::fs::File::open(world.path(name)).unwrap());
        let state = |name: &str| {
            let meta = std::fs::metadata(world.path(name)).unwrap();
            (meta.permissions(), meta.modified().unwrap(), std::fs::read(world.path(name)).unwrap())
        };
        for (name, line) in [
            ("out/keep", "python3 -c 'import os; os.fchmod(0, 0o777)'"),
            ("out/keep", "python3 -c 'import os; os.utime(0, (1, 1))'"),
            ("out/keep", "echo evil >> /proc/self/fd/0"),
            (".git/config", "echo evil >> /proc/self/fd/0"),
            (".git/config", "exec 7<&0 && echo evil >> /dev/fd/7"),
        ] {
            let name = if name.starts_with('.') { format!("ws/{name}") } else { name.to_owned() };
            let before = state(&name);
            let (outcome, _) = run_with(&wish, line, open(&name)).unwrap();
            assert_ne!(outcome.exit, Exit::Code(0), "{tier}: {name}: {line}");
            assert_eq!(state(&name), before, "{tier}: {name}: {line}");
        }
        // A directory brings along the host's mounts of all that is below it, and above.
        for line in [
            "echo x > /proc/self/fd/0/../out/new",
            "echo evil >> /proc/self/fd/0/.git/config",
            "echo x > /proc/self/fd/0/.git/hooks/new",
            "rm /proc/self/fd/0/.git/HEAD",
        ] {
            let (outcome, _) = run_with(&wish, line, open("ws")).unwrap();
            assert_ne!(outcome.exit, Exit::Code(0), "{tier}: {line}");
        }
        world.reset();
        assert!(!world.path("ws/.git/hooks/new").exists() && world.path("ws/.git/HEAD").exists(), "{tier}");
    }
}

#[test]
fn a_file_given_as_input_is_read_on_where_it_was_and_so_is_what_follows() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "a_file_given_as_input_is_read_on_where_it_was") {
        let wish = world.wish(backend(tier));
        for name in ["out/keep", "ws/lines"] {
            std::fs::write(world.path("ws/lines"), "keep\n").unwrap();
            let mut file = std::fs::File::open(world.path(name)).unwrap();
            file.seek(std::io::SeekFrom::Start(1)).unwrap();
            let (outcome, said) =
                run_with(&wish, "head -c 2; ls /proc/self/fd/0 >/dev/null", file.try_clone().unwrap()).unwrap();
            assert_eq!((outcome.exit, said.as_str()), (Exit::Code(0), "ee"), "{tier}: {name}");
            assert_eq!(file.stream_position().unwrap(), 3, "{tier}: {name}");
        }
        // As a shell's here-document: a file that has no name any more.
        let mut gone = tempfile::tempfile_in(world.path("out")).unwrap();
        gone.write_all(b"here\n").unwrap();
        gone.rewind().unwrap();
        let (_, said) = run_with(&wish, "cat", gone).unwrap();
        assert_eq!(said, "here\n", "{tier}");
        let (_, said) = run_with(&wish, "readlink /proc/self/fd/0", std::fs::File::open("/dev/null").unwrap()).unwrap();
        assert_eq!(said, "/dev/null\n", "{tier}");
    }
}

#[test]
fn net_04_a_port_that_was_bound_inside_is_nobody_elses() {
    let world = World::new();
    let other = TcpListener::bind(("127.0.0.2", 0)).unwrap();
    let port = other.local_addr().unwrap().port();
    let six = TcpListener::bind(("::1", port));
    let datagrams = UdpSocket::bind(("127.0.0.2", 0)).unwrap();
    let udp = datagrams.local_addr().unwrap().port();
    datagrams.set_nonblocking(true).unwrap();
    for tier in tiers(|backend| world.wish(backend), "net_04_a_port_that_was_bound_inside_is_nobody_elses") {
        let reach = |host: &str| {
            format!(
                "import socket as s\nb=s.socket(); b.bind(('127.0.0.1', {port})); b.listen()\ns.create_connection(('{host}', {port}), 2)"
            )
        };
        assert!(!python(&world, tier, &reach("127.0.0.2")), "{tier}: another address of loopback");
        if six.is_ok() {
            assert!(!python(&world, tier, &reach("::1")), "{tier}: loopback of the other version");
        }
        assert!(python(&world, tier, &reach("127.0.0.1")), "{tier}: its own");
        python(
            &world,
            tier,
            &format!(
                "import socket as s\nb=s.socket(s.AF_INET, s.SOCK_DGRAM); b.bind(('127.0.0.1', {udp}))\n\
                 c=s.socket(s.AF_INET, s.SOCK_DGRAM); c.sendto(b'x', ('127.0.0.2', {udp}))"
            ),
        );
        assert!(datagrams.recv(&mut [0; 8]).is_err(), "{tier}: a datagram to another address of loopback");
        let later = "import os, socket as s, time\nb=s.socket(); b.bind(('127.0.0.3', 0)); p=b.getsockname()[1]; b.close()\n\
             open('freed', 'w').write(str(p)); os.rename('freed', 'free')\n\
             while not os.path.exists('taken'): time.sleep(.01)\ns.create_connection(('127.0.0.3', p), 2)";
        let ws = world.path("ws");
        let taker = std::thread::spawn(move || take_over(&ws));
        assert!(!python(&world, tier, later), "{tier}: a port that somebody else took over");
        drop(taker.join().unwrap());
        for name in ["free", "taken"] {
            std::fs::remove_file(world.path("ws").join(name)).unwrap();
        }
        let answered = "import socket as s\na=s.socket(s.AF_INET, s.SOCK_DGRAM); a.bind(('127.0.0.1', 0))\n\
                        c=s.socket(s.AF_INET, s.SOCK_DGRAM); c.sendto(b'q', a.getsockname())\n\
                        m, who=a.recvfrom(9); a.sendto(b'r', who); assert c.recv(9)==b'r' and c.getsockname()[0]=='127.0.0.1'\n\
                        d=s.socket(s.AF_INET, s.SOCK_DGRAM); d.connect(a.getsockname()); d.send(b'q')\n\
                        m, who=a.recvfrom(9); a.sendto(b'r', who); assert d.recv(9)==b'r'";
        // In a network of its own, a socket without an address keeps having none.
        let answered = match tier {
            Tier::Landlock => answered.to_owned(),
            _ => answered.replace(" and c.getsockname()[0]=='127.0.0.1'", ""),
        };
        assert!(python(&world, tier, &answered), "{tier}: whoever asked by a datagram is answered");
    }
}

/// Listens at the port that was bound inside, once it is free.
fn take_over(ws: &Path) -> TcpListener {
    let port = loop {
        if let Ok(text) = std::fs::read_to_string(ws.join("free")) {
            break text.parse().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let taken = TcpListener::bind(("127.0.0.3", port)).unwrap();
    std::fs::write(ws.join("taken"), "").unwrap();
    taken
}

#[test]
fn net_01_nothing_on_loopback_takes_a_detour_past_it() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "net_01_nothing_on_loopback_takes_a_detour_past_it") {
        // Elsewhere there is only the sandbox's own network to go round in.
        if tier != Tier::Landlock {
            continue;
        }
        for (family, level, option) in [
            ("AF_INET6", 41, 57),
            ("AF_INET6", 41, 6),
            ("AF_INET6", 41, 76),
            ("AF_INET", 0, 4),
            ("AF_INET", 0, 50),
            ("AF_INET", 1, 25),
            ("AF_INET", 1, 62),
        ] {
            let act = format!(
                "import errno, socket as s\ntry: s.socket(s.{family}, s.SOCK_DGRAM).setsockopt({level}, {option}, b'\\0'*8)\n\
                 except OSError as e: assert e.errno==errno.EPERM"
            );
            assert!(python(&world, tier, &act), "{tier}: option {option} of level {level} is refused for what it is");
        }
        let bound = "import socket as s\nfor family, host in ((s.AF_INET, '0.0.0.0'), (s.AF_INET6, '::'), (s.AF_INET6, '::ffff:0.0.0.0')):\n\
                     \x20for kind in (s.SOCK_STREAM, s.SOCK_DGRAM):\n\
                     \x20 c=s.socket(family, kind); c.bind((host, 0)); assert c.getsockname()[0] in ('127.0.0.1', '::1', '::ffff:127.0.0.1')";
        assert!(python(&world, tier, bound), "{tier}: what is bound to every address is reached by loopback alone");
        let honest = "import socket as s\nc=s.socket(); c.setsockopt(s.SOL_SOCKET, s.SO_REUSEADDR, 1)\n\
                      c.setsockopt(s.IPPROTO_TCP, s.TCP_NODELAY, 1); c.setsockopt(0, s.IP_TOS, 16)\n\
                      s.socket(s.AF_INET6).setsockopt(41, 26, 1)";
        assert!(python(&world, tier, honest), "{tier}: other options");
    }
}

#[test]
fn ipc_02_shared_memory_of_others_keeps_its_content_mode_and_name() {
    let world = World::new();
    let name = format!("ringfence-test-{}", std::process::id());
    let shared = Path::new("/dev/shm").join(&name);
    if std::fs::write(&shared, "theirs").is_err() {
        println!("SKIPPED: ipc_02_shared_memory_of_others_keeps_its_content_mode_and_name: no /dev/shm");
        return;
    }
    for tier in tiers(|backend| world.wish(backend), "ipc_02_shared_memory_of_others_keeps_its_content_mode_and_name") {
        for act in [
            format!("os.truncate('/dev/shm/{name}', 0)"),
            format!("os.chmod('/dev/shm/{name}', 0o777)"),
            format!("os.utime('/dev/shm/{name}', (1, 1))"),
            format!("os.link('/dev/shm/{name}', '/dev/shm/{name}-mine')"),
            format!("os.rename('/dev/shm/{name}', '/dev/shm/{name}-mine')"),
            format!("os.setxattr('/dev/shm/{name}', 'user.x', b'x')"),
        ] {
            assert!(!python(&world, tier, &format!("import os\n{act}")), "{tier}: {act}");
        }
        let meta = std::fs::metadata(&shared).unwrap();
        assert_eq!(std::fs::read_to_string(&shared).unwrap(), "theirs", "{tier}");
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&meta), 1, "{tier}");
        let honest = format!(
            "import os\nf='/dev/shm/{name}-f'; open(f, 'w').close(); os.chmod(f, 0o600); os.truncate(f, 9)\n\
             os.link(f, f + 'g'); os.rename(f + 'g', f + 'h'); os.unlink(f); os.unlink(f + 'h')\n\
             m=os.memfd_create('x'); d=os.open(f'/proc/self/fd/{{m}}', os.O_RDWR); os.write(d, b'x')"
        );
        assert!(python(&world, tier, &honest), "{tier}: its own, and memory without a name");
    }
    std::fs::remove_file(&shared).unwrap();
}

/// The mode is the one that the devices have, so that nothing is lost if an act gets through.
#[test]
fn fs_13_devices_of_everybody_keep_their_modes_and_times() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "fs_13_devices_of_everybody_keep_their_modes_and_times") {
        let node = world.path("out/null");
        if !node.exists() {
            let made = std::process::Command::new("mknod").arg(&node).args(["c", "1", "3"]).output();
            println!("as root only: a device elsewhere: {:?}", made.map(|made| made.status));
        }
        for act in [
            "open('../out/null', 'w')",
            "os.chmod('/dev/null', 0o666)",
            "os.utime('/dev/zero')",
            "os.chown('/dev/full', os.getuid(), os.getgid())",
            "os.fchmod(os.open('/dev/null', os.O_RDWR), 0o666)",
            "os.fchmod(0, 0o666)",
        ] {
            assert!(!python(&world, tier, &format!("import os\n{act}")), "{tier}: {act}");
        }
        assert!(
            python(&world, tier, "open('/dev/null', 'w').write('x'); assert open('/dev/zero', 'rb').read(1)==b'\\0'"),
            "{tier}"
        );
    }
}

#[test]
fn proc_06_a_terminal_that_took_the_number_of_one_made_inside_is_not_opened() {
    let world = World::new();
    let test = "proc_06_a_terminal_that_took_the_number_of_one_made_inside_is_not_opened";
    for tier in tiers(|backend| world.wish(backend), test) {
        let program = "import os, time\nmade=[os.openpty() for _ in range(8)]\nnames=[os.ttyname(b) for a, b in made]\n\
                       for a, b in made: os.close(a); os.close(b)\nopen('closed', 'w').close()\n\
                       while not os.path.exists('opened'): time.sleep(.01)\n\
                       def opens(name):\n try: os.close(os.open(name, os.O_RDWR | os.O_NOCTTY))\n except OSError: return False\n return True\n\
                       assert any([opens(name) for name in names])";
        let outside = "import os, time\nwhile not os.path.exists('closed'): time.sleep(.01)\n\
                       made=[os.openpty() for _ in range(40)]\nopen('opened', 'w').close()\n\
                       while os.path.exists('closed'): time.sleep(.01)";
        let mut other =
            std::process::Command::new("python3").args(["-c", outside]).current_dir(world.path("ws")).spawn().unwrap();
        assert!(!python(&world, tier, program), "{tier}");
        std::fs::remove_file(world.path("ws/closed")).unwrap();
        other.wait().unwrap();
        std::fs::remove_file(world.path("ws/opened")).unwrap();
        let honest = "import os\na, b=os.openpty(); c=os.open(os.ttyname(b), os.O_RDWR | os.O_NOCTTY); os.write(c, b'x'); assert os.read(a, 1)==b'x'";
        assert!(python(&world, tier, honest), "{tier}: its own");
    }
}

/// Mounts go with what they were on. Where they hold a directory, its replacement is said to have been open.
#[test]
fn fs_20_a_protected_directory_that_was_replaced_outside_is_held_or_said_to_be_open() {
    let world = World::new();
    let test = "fs_20_a_protected_directory_that_was_replaced_outside_is_held_or_said_to_be_open";
    for tier in tiers(|backend| world.wish(backend), test) {
        let wish = world.wish(backend(tier));
        let line = "touch ready; until test -e replaced; do sleep .05; done; echo x > .git/new; rm -f ready replaced";
        let ws = world.path("ws");
        let replacer = std::thread::spawn(move || {
            while !ws.join("ready").exists() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            std::fs::rename(ws.join(".git"), ws.join("git-before")).unwrap();
            std::fs::create_dir(ws.join(".git")).unwrap();
            std::fs::write(ws.join("replaced"), "").unwrap();
        });
        let (outcome, _) = run(&wish, line).unwrap();
        replacer.join().unwrap();
        let git = world.path("ws/.git");
        let said = outcome.enforced.iter().any(|step| {
            let text = format!("{:?}", step.result);
            text.contains("was replaced from outside") && text.contains(git.to_str().unwrap())
        });
        assert_eq!(said, tier != Tier::Landlock, "{tier}: {:?}", outcome.enforced);
        assert!(said || !git.join("new").exists(), "{tier}: it was changed, and nobody says so");
        std::fs::remove_dir_all(&git).unwrap();
        std::fs::rename(world.path("ws/git-before"), &git).unwrap();
        let (outcome, _) = run(&wish, "true").unwrap();
        assert!(outcome.enforced.iter().all(|step| !format!("{:?}", step.result).contains("replaced")), "{tier}");
    }
}

#[test]
fn ap_01_a_grant_that_is_copied_runs_nothing() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "ap_01_a_grant_that_is_copied_runs_nothing") {
        let (outcome, _) = run(&world.wish(backend(tier)), "mkdir '/x; $(id)' '/plain'").unwrap();
        let grants = |name: &str| -> Vec<String> {
            let of = outcome.denials.iter().filter(|denial| denial.target.raw().contains(name));
            of.flat_map(|denial| denial.allow_with.clone()).collect()
        };
        assert!(
            grants("id").contains(&"--add-dir '/x; $(id)', once it is there".to_owned()),
            "{tier}: {:?}",
            grants("id")
        );
        assert!(grants("plain").contains(&"--add-dir /plain, once it is there".to_owned()), "{tier}");
    }
}

/// The broker shares its memory with process 1 of the sandbox, and the kernel lets it look into what it shares: as root, whom
/// the files belong to, it handed that memory to the command.
#[test]
fn proc_01_the_memory_of_process_1_is_not_handed_out() {
    let world = World::new();
    for tier in tiers(|backend| world.wish(backend), "proc_01_the_memory_of_process_1_is_not_handed_out") {
        let first = "import os\np='/proc/%d' % os.getppid()\n";
        for name in [
            "mem",
            "task/%d/mem' % os.getppid() + '",
            "environ",
            "maps",
            "smaps",
            "auxv",
            "pagemap",
            "stack",
            "fd/0",
            "exe",
            "cwd",
        ] {
            for flags in ["O_RDONLY", "O_RDWR", "O_WRONLY"] {
                let act = format!("{first}os.open(p + '/{name}', os.{flags})");
                assert!(!python(&world, tier, &act), "{tier}: {name} by {flags}");
            }
        }
        let shown =
            format!("{first}assert all(open(p + '/' + n).read() for n in ('status', 'stat', 'cmdline', 'comm'))");
        assert!(python(&world, tier, &shown), "{tier}: what anybody may see");
        let own = "import os, subprocess, time\nopen('/proc/self/mem', 'r+b').close(); open('/proc/self/maps').read()\n\
                   c=subprocess.Popen(['sleep', '5']); time.sleep(.3)\n\
                   assert 'sleep' in open('/proc/%d/maps' % c.pid).read(); open('/proc/%d/environ' % c.pid, 'rb').read(); c.kill()";
        assert!(python(&world, tier, own), "{tier}: its own and its children's");
    }
}
