//! The shipped lists of hosts: data with a date and a source for each group.

use ringfence_model::domain::DomainPattern;

const COMMON: &str = include_str!("../../data/common-dependencies.txt");

/// One host of a shipped list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresetHost {
    /// Which hosts.
    pub pattern: DomainPattern,
    /// The group it stands in.
    pub group: String,
    /// The document it was taken from.
    pub source: String,
    /// Its line in the shipped file.
    pub line: u32,
}

/// A shipped list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// When it was last looked through, `YYYY-MM-DD`.
    pub date: String,
    /// Its hosts.
    pub hosts: Vec<PresetHost>,
}

/// Names that `presets` accepts.
pub const PRESET_NAMES: [&str; 3] = ["none", "common-dependencies", "all"];

/// Package registries, source hosts and distribution mirrors.
#[must_use]
pub fn common_dependencies() -> Preset {
    let mut preset = Preset { date: String::new(), hosts: Vec::new() };
    let (mut group, mut source) = (String::new(), String::new());
    for (line, text) in (1..).zip(COMMON.lines()) {
        let text = text.trim();
        if let Some(date) = text.strip_prefix("date ") {
            preset.date = date.to_owned();
        } else if let Some((name, address)) =
            text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).and_then(|text| text.split_once(" | "))
        {
            group = name.to_owned();
            source = address.to_owned();
        } else if !text.is_empty()
            && !text.starts_with('#')
            && let Ok(pattern) = text.parse()
        {
            preset.hosts.push(PresetHost { pattern, group: group.clone(), source: source.clone(), line });
        }
    }
    preset
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use ringfence_model::domain::HostPattern;

    #[test]
    fn every_line_of_the_shipped_list_is_a_host_with_a_source_and_none_stands_twice() {
        let preset = common_dependencies();
        let lines = COMMON.lines().map(str::trim);
        let hosts =
            lines.filter(|text| !text.is_empty() && !text.starts_with(['#', '[']) && !text.starts_with("date "));
        assert_eq!(preset.hosts.len(), hosts.count(), "a line isn't a pattern");
        assert_eq!(preset.date.len(), 10);
        let mut seen = std::collections::HashSet::new();
        for host in &preset.hosts {
            assert!(host.source.starts_with("https://"), "{host:?}");
            assert!(seen.insert(host.pattern.clone()), "{} stands twice", host.pattern);
            assert!(!host.pattern.is_everything());
            match host.pattern.host() {
                HostPattern::Exact(name) | HostPattern::Below(name) | HostPattern::At(name) => {
                    assert!(name.contains('.'), "{name} is a whole top-level domain");
                    assert!(Host::parse(name.as_bytes()).is_ok());
                }
                _ => panic!("{} is not a public name", host.pattern),
            }
        }
    }
}
