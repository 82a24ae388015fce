//! The host's name: in full if it is known.

use super::World;

/// The kernel's name of this host; if that has no dot, the full name that `/etc/hosts` gives for it.
#[cfg(unix)]
pub(super) fn name(world: &dyn World) -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    if name.contains('.') {
        return Some(name);
    }
    let hosts = world.read(std::path::Path::new("/etc/hosts")).ok().flatten();
    let full = hosts.and_then(|hosts| full_name(&String::from_utf8_lossy(&hosts), &name));
    Some(full.unwrap_or(name))
}

#[cfg(not(unix))]
pub(super) fn name(_world: &dyn World) -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// The first name with a dot on a line of a hosts file that also has `short`.
#[cfg_attr(not(unix), allow(dead_code))]
fn full_name(hosts: &str, short: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or("");
        let names: Vec<&str> = line.split_whitespace().skip(1).collect();
        let has = names.iter().any(|name| name.eq_ignore_ascii_case(short));
        let full =
            names.iter().find(|name| name.split_once('.').is_some_and(|(first, _)| first.eq_ignore_ascii_case(short)));
        full.filter(|_| has).map(|full| (*full).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::full_name;

    #[test]
    fn a_hosts_file_gives_the_full_name() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1 a.devbox.example.com a # a.evil.test\n10.0.0.1 b.example.com\n";
        assert_eq!(full_name(hosts, "a").as_deref(), Some("a.devbox.example.com"));
        assert_eq!(full_name(hosts, "A").as_deref(), Some("a.devbox.example.com"));
        assert_eq!(full_name(hosts, "b"), None);
        assert_eq!(full_name(hosts, "localhost"), None);
    }
}
