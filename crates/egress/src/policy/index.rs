//! Finding the patterns that can match a host without looking at the others: by label suffix.

use crate::host::Host;
use ringfence_model::domain::{DomainPattern, HostPattern};
use std::collections::HashMap;
use std::net::IpAddr;

/// Patterns by what they can match. A pattern's number is the order it was added in.
#[derive(Debug, Default)]
pub(crate) struct Index {
    names: HashMap<Box<str>, Slot>,
    addresses: HashMap<IpAddr, Vec<u32>>,
    everything: Vec<u32>,
    next: u32,
    /// Bytes of the longest name: longer suffixes need no look.
    longest: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// Patterns that mean this very name.
    here: Vec<u32>,
    /// Patterns that mean names below.
    below: Vec<u32>,
}

impl Index {
    /// Adds a pattern under the next number.
    pub(crate) fn add(&mut self, pattern: &DomainPattern) {
        let number = self.next;
        self.next += 1;
        match pattern.host() {
            HostPattern::Everything => self.everything.push(number),
            HostPattern::Address(address) => self.addresses.entry(*address).or_default().push(number),
            HostPattern::Exact(name) => self.slot(name).here.push(number),
            HostPattern::Below(apex) => self.slot(apex).below.push(number),
            HostPattern::At(apex) => {
                let slot = self.slot(apex);
                slot.here.push(number);
                slot.below.push(number);
            }
        }
    }

    fn slot(&mut self, name: &str) -> &mut Slot {
        self.longest = self.longest.max(name.len());
        self.names.entry(name.into()).or_default()
    }

    /// Calls `visit` with every pattern that means this host on some port.
    pub(crate) fn visit(&self, host: &Host, mut visit: impl FnMut(u32)) {
        self.everything.iter().copied().for_each(&mut visit);
        match host {
            Host::Address(address) => self.addresses.get(address).into_iter().flatten().copied().for_each(visit),
            Host::Name(name) => {
                let mut suffix: &str = name;
                let mut is_whole = true;
                loop {
                    if suffix.len() <= self.longest
                        && let Some(slot) = self.names.get(suffix)
                    {
                        let numbers = if is_whole { &slot.here } else { &slot.below };
                        numbers.iter().copied().for_each(&mut visit);
                    }
                    match suffix.split_once('.') {
                        Some((_, parent)) => suffix = parent,
                        None => return,
                    }
                    is_whole = false;
                }
            }
        }
    }
}

/// A set of patterns that only says yes or no.
#[derive(Debug, Default)]
pub(crate) struct PatternSet {
    index: Index,
    patterns: Vec<DomainPattern>,
}

impl PatternSet {
    pub(crate) fn add(&mut self, pattern: DomainPattern) {
        self.index.add(&pattern);
        self.patterns.push(pattern);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(crate) fn matches(&self, host: &Host, port: u16) -> bool {
        let mut found = false;
        self.visit(host, port, |_| found = true);
        found
    }

    /// Calls `visit` with the number of every pattern that means this host on this port.
    pub(crate) fn visit(&self, host: &Host, port: u16, mut visit: impl FnMut(usize)) {
        self.index.visit(host, |number| {
            let number = number as usize;
            if self.patterns.get(number).is_some_and(|pattern| pattern.ports().include(port)) {
                visit(number);
            }
        });
    }
}
