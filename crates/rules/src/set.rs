//! All rules that count, and which of them match a command.

use crate::decision::{Decision, strictest};
use crate::language::{self, Limits};
use crate::program;
use crate::rule::{Alternatives, Broken, HostExecutable, NetworkDecision, NetworkRule, PrefixRule};
use ringfence_model::{Notice, Origin, OsText};
use ringfence_shell::{Reading, SimpleCommand};
use std::collections::HashMap;

/// A rule file to load.
#[derive(Debug, Clone)]
pub struct RuleFile<'a> {
    /// The file, for origins; its line is set per rule.
    pub origin: Origin,
    /// Its bytes.
    pub text: &'a [u8],
    /// What its layer may say.
    pub permit: Permit,
}

/// What a source may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Everything.
    Everything,
    /// Only what tightens: `prompt` and `forbidden` rules, network rules that ask or deny. A project's file.
    TightenOnly,
}

/// A rule from an administrator's requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementRule {
    /// What the command must begin with.
    pub pattern: Vec<Alternatives>,
    /// `prompt` or `forbidden`.
    pub decision: Decision,
    /// Why.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// How the program's word is compared with a rule's first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// As it stands.
    Exact,
    /// As it stands, and where no rule matches so, an absolute path by its base name (`host_executable` permitting).
    ByBaseName,
    /// As [`Programs::ByBaseName`], but rules that prompt or forbid by base name count even where a rule matches the
    /// path as it stands: so that no added rule can hide a stricter one. This is what holds when something runs.
    AtRunTime,
}

/// A rule that matched a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMatch {
    /// The command's tokens that the pattern covered; the first is the rule's own token.
    pub matched_prefix: Vec<String>,
    /// What the rule says.
    pub decision: Decision,
    /// The program's path, normalised, when the rule matched by base name.
    pub resolved_program: Option<String>,
    /// Why, in the rule's author's words.
    pub justification: Option<String>,
    /// Where the rule stands.
    pub origin: Origin,
}

/// What all rules together say of one command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Every rule that matched, in the order of files and rules.
    pub matches: Vec<RuleMatch>,
    /// The strictest of their decisions; none when nothing matched.
    pub decision: Option<Decision>,
}

/// What all rules together say of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingJudgement {
    /// Per command that is judged, in the reading's order.
    pub commands: Vec<Judgement>,
    /// Per command that was seen inside: only `prompt` and `forbidden` rules.
    pub inner: Vec<Judgement>,
    /// What holds for the line: the strictest of all. `allow` only if every command is allowed by a rule.
    pub decision: Option<Decision>,
    /// Whether a source couldn't be loaded, so that the line might have been forbidden.
    pub broken: bool,
}

/// The rules of every source, in order.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    home: Option<String>,
    rules: Vec<PrefixRule>,
    /// First token → positions in `rules`, ascending; a token that a pattern names twice is there twice.
    by_first: HashMap<String, Vec<u32>>,
    hosts: HashMap<String, HostExecutable>,
    network: Vec<NetworkRule>,
    broken: Vec<Broken>,
}

impl RuleSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty set in which `~/` of a `host_executable` path means `home`.
    #[must_use]
    pub fn with_home(home: impl Into<String>) -> Self {
        Self { home: Some(home.into()), ..Self::default() }
    }

    /// Loads a file and runs its examples. A file that can't be loaded adds nothing but an entry of [`RuleSet::broken`].
    /// What the source may not say is left out and comes back as notices.
    pub fn load(&mut self, file: &RuleFile<'_>) -> Vec<Notice> {
        self.load_within(file, &Limits::default())
    }

    /// As [`RuleSet::load`], within other bounds.
    pub fn load_within(&mut self, file: &RuleFile<'_>, limits: &Limits) -> Vec<Notice> {
        self.noting(|set| set.try_load(file, limits, /* examples must hold */ true))
    }

    /// As [`RuleSet::load`], but an example that doesn't hold is no reason to leave the file out: for finding out which do,
    /// with [`run_examples`](crate::run_examples). Not for judging.
    pub fn load_untested(&mut self, file: &RuleFile<'_>) -> Vec<Notice> {
        self.noting(|set| set.try_load(file, &Limits::default(), /* examples must hold */ false))
    }

    fn noting(&mut self, load: impl FnOnce(&mut Self) -> Result<Vec<Notice>, Broken>) -> Vec<Notice> {
        match load(self) {
            Ok(notices) => notices,
            Err(broken) => {
                self.broken.push(broken);
                Vec::new()
            }
        }
    }

    fn try_load(&mut self, file: &RuleFile<'_>, limits: &Limits, tested: bool) -> Result<Vec<Notice>, Broken> {
        let loaded =
            language::load(file.text, &file.origin, self.home.as_deref(), limits).map_err(|error| error.broken())?;
        let mut hosts = self.hosts.clone();
        hosts.extend(loaded.hosts.iter().map(|host| (host.name.clone(), host.clone())));
        if tested {
            crate::list::first_failure(&loaded.rules, &hosts)?;
        }
        let mut notices = Vec::new();
        let tighten_only = file.permit == Permit::TightenOnly;
        if tighten_only {
            // Naming other files for a name would take its rules away from the files they hold for now.
            notices.extend(loaded.hosts.iter().map(|host| ignored(&host.origin, "`host_executable`")));
        } else {
            self.hosts = hosts;
        }
        for rule in loaded.rules {
            if tighten_only && rule.decision == Decision::Allow {
                notices.push(ignored(&rule.origin, "a rule that allows"));
            } else {
                self.push(rule);
            }
        }
        for rule in loaded.network {
            if tighten_only && rule.decision == NetworkDecision::Allow {
                notices.push(ignored(&rule.origin, "a network rule that allows"));
            } else {
                self.network.push(rule);
            }
        }
        Ok(notices)
    }

    /// Adds a rule of the requirements.
    pub fn require(&mut self, rule: RequirementRule) {
        self.push(PrefixRule {
            pattern: rule.pattern,
            decision: rule.decision,
            justification: rule.justification,
            matches: Vec::new(),
            not_matches: Vec::new(),
            origin: rule.origin,
        });
    }

    /// Adds a source that couldn't even be read.
    pub fn push_broken(&mut self, broken: Broken) {
        self.broken.push(broken);
    }

    fn push(&mut self, rule: PrefixRule) {
        let Ok(position) = u32::try_from(self.rules.len()) else { return };
        for token in rule.pattern.first().map(Alternatives::tokens).unwrap_or_default() {
            match self.by_first.get_mut(token) {
                Some(positions) => positions.push(position),
                None => {
                    self.by_first.insert(token.clone(), vec![position]);
                }
            }
        }
        self.rules.push(rule);
    }

    /// Whether there is no rule at all and nothing broken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.network.is_empty() && self.broken.is_empty()
    }

    /// The command rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[PrefixRule] {
        &self.rules
    }

    /// The network rules, in order.
    #[must_use]
    pub fn network_rules(&self) -> &[NetworkRule] {
        &self.network
    }

    /// The `host_executable` entries in force, by name.
    #[must_use]
    pub fn host_executables(&self) -> Vec<&HostExecutable> {
        let mut hosts: Vec<_> = self.hosts.values().collect();
        hosts.sort_by(|one, other| one.name.cmp(&other.name));
        hosts
    }

    /// The sources that couldn't be loaded. While there is one, every command might have been forbidden.
    #[must_use]
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// Every rule that matches `words`, in the order of files and rules.
    #[must_use]
    pub fn matches(&self, words: &[OsText], programs: Programs) -> Vec<RuleMatch> {
        let Some(first) = words.first().and_then(OsText::as_str) else { return Vec::new() };
        let mut found = self.matches_as(first, words, None);
        for other in program::other_spellings(first) {
            found.extend(self.matches_as(&other, words, None));
        }
        if programs == Programs::Exact || (programs == Programs::ByBaseName && !found.is_empty()) {
            return found;
        }
        let Some((path, name)) = program::at(first) else { return found };
        if !host_permits(&self.hosts, &name, &path) {
            return found;
        }
        let allow_counts = found.is_empty();
        let by_name = self.matches_as(&name, words, Some(&path));
        found.extend(by_name.into_iter().filter(|one| allow_counts || one.decision != Decision::Allow));
        found
    }

    fn matches_as(&self, first: &str, words: &[OsText], resolved: Option<&str>) -> Vec<RuleMatch> {
        let positions = self.by_first.get(first).map(Vec::as_slice).unwrap_or_default();
        let candidates = positions.iter().filter_map(|position| self.rules.get(*position as usize));
        candidates.filter_map(|rule| rule_match(rule, first, words, resolved)).collect()
    }

    /// What the rules say of one command, taken as it stands.
    #[must_use]
    pub fn judge(&self, words: &[OsText], programs: Programs) -> Judgement {
        Judgement::of(self.matches(words, programs))
    }

    /// What the rules say of a reading: each command alone, the strictest of all for the line.
    #[must_use]
    pub fn judge_reading(&self, reading: &Reading, programs: Programs) -> ReadingJudgement {
        let judge = |command: &SimpleCommand| self.judge(command.known_prefix(), programs);
        let commands: Vec<Judgement> = reading.commands.iter().map(judge).collect();
        let inner: Vec<Judgement> = reading.inner.iter().map(|command| judge(command).without_allow()).collect();
        let every_allowed = !commands.is_empty() && commands.iter().all(|one| one.decision == Some(Decision::Allow));
        let tightest = commands.iter().chain(&inner).filter_map(|one| one.decision).max();
        let decision = match tightest {
            Some(Decision::Allow) if !every_allowed => None,
            other => other,
        };
        ReadingJudgement { commands, inner, decision, broken: !self.broken.is_empty() }
    }
}

impl Judgement {
    fn of(matches: Vec<RuleMatch>) -> Self {
        let decision = matches.iter().fold(None, |held, one| strictest(held, Some(one.decision)));
        Self { matches, decision }
    }

    fn without_allow(mut self) -> Self {
        self.matches.retain(|one| one.decision != Decision::Allow);
        Self::of(self.matches)
    }
}

fn ignored(origin: &Origin, what: &str) -> Notice {
    Notice {
        code: "project-rule-ignored".to_owned(),
        text: format!("{what} is ignored: a project's file may only tighten"),
        origin: Some(origin.clone()),
        hint: Some("put it in your own rules, or list `rules.allow` in `allow_project_overrides`".to_owned()),
    }
}

/// Whether `rule` covers `words`, when the first word is taken as `first`.
pub(crate) fn rule_match(
    rule: &PrefixRule,
    first: &str,
    words: &[OsText],
    resolved: Option<&str>,
) -> Option<RuleMatch> {
    let (head, rest) = rule.pattern.split_first()?;
    if !head.fits(first) {
        return None;
    }
    let mut matched_prefix = Vec::with_capacity(rule.pattern.len());
    matched_prefix.push(first.to_owned());
    let mut given = words.iter().skip(1);
    for alternatives in rest {
        let token = given.next()?.as_str()?;
        if !alternatives.fits(token) {
            return None;
        }
        matched_prefix.push(token.to_owned());
    }
    Some(RuleMatch {
        matched_prefix,
        decision: rule.decision,
        resolved_program: resolved.map(str::to_owned),
        justification: rule.justification.clone(),
        origin: rule.origin.clone(),
    })
}

/// Whether rules for the bare `name` apply to the program at `path`.
pub(crate) fn host_permits(hosts: &HashMap<String, HostExecutable>, name: &str, path: &str) -> bool {
    hosts.get(name).is_none_or(|host| host.paths.iter().any(|listed| listed == path))
}
