//! Judging a command: its shell line read, each command held against rules, table of programs and policy.

use super::reasons::{self, codes, reason};
use super::{Basis, Case, Stop};
use crate::destructive::{self, Act};
use crate::scopes;
use crate::table::{Cell, Row, cell, is_interactive};
use ringfence_model::action::{Exec, More, Placement};
use ringfence_model::denial::{DenialKind, Evidence};
use ringfence_model::facts::ProgramFacts;
use ringfence_model::grant::{Lasts, Scope};
use ringfence_model::settings::AllowRuns;
use ringfence_model::verdict::{Instead, Offer, QuestionKind};
use ringfence_model::{AbsPath, ApprovalPolicy, Denial, Origin, OsText, SandboxMode, WorldFacts};
use ringfence_rules::{Decision as RuleDecision, Programs, ReadingJudgement};
use ringfence_shell::{Class, ClassifyFacts, Neutralised, Platform, Reading, ReadingClass, classify_reading, read};

/// What must be found out about a command before it can be judged.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// The words that name programs, each once.
    pub programs: Vec<OsText>,
    /// Operands of destructive commands, each once, to be counted up to the threshold.
    pub counted: Vec<OsText>,
    /// The git subcommands for which git's configuration must be looked at.
    pub git: Vec<String>,
}

/// What to gather for a command.
#[must_use]
pub fn inquire(exec: &Exec) -> Inquiry {
    let reading = read(&exec.argv);
    let mut programs: Vec<OsText> = reading.all().filter_map(|command| command.program().cloned()).collect();
    programs.sort();
    programs.dedup();
    let mut counted: Vec<OsText> = destructive::acts(&reading).into_iter().flat_map(|act| act.paths).collect();
    counted.sort();
    counted.dedup();
    let git = reading.commands.iter().filter(|command| command.program_name() == Some("git")).map(|command| {
        let mut words = command.known_prefix().iter().skip(1).filter_map(OsText::as_str);
        words.find(|word| !word.starts_with('-')).unwrap_or_default().to_owned()
    });
    let git = git.collect();
    Inquiry { programs, counted, git }
}

/// The directories in which an agent can put something, in this or an earlier command.
#[must_use]
pub fn agent_places(world: &WorldFacts) -> Vec<AbsPath> {
    let roots = world.roots.iter().filter_map(|root| root.resolved.as_ref().map(|(path, _)| path.clone()));
    let workspace =
        [Some(world.cwd.clone()), Some(world.project_root.clone()), world.tmpdir.clone(), world.slash_tmp.clone()];
    // From `/` everything would lie in the workspace; it is never writable without being forced, and then it is a root.
    let workspace = workspace.into_iter().flatten().filter(|path| *path != AbsPath::root());
    let mut places: Vec<AbsPath> = roots.chain(workspace).collect();
    places.sort();
    places.dedup();
    places
}

/// Everything the judgement of a command rests on; `explain` shows it.
pub(crate) struct Judged {
    pub(crate) reading: Reading,
    pub(crate) rules: ReadingJudgement,
    pub(crate) class: ReadingClass,
    pub(crate) row: Row,
}

pub(super) fn judge(basis: &Basis<'_>, exec: &Exec) -> Case {
    look(basis, exec).1
}

pub(crate) fn look(basis: &Basis<'_>, exec: &Exec) -> (Judged, Case) {
    let settings = basis.settings;
    let reading = read(&exec.argv);
    let rules = basis.rules.judge_reading(&reading, Programs::AtRunTime);
    let class = classify_reading(&reading, &classify_facts(basis));
    let mode = settings.sandbox_mode.value;
    let policy = settings.approval_policy.value;

    let denied = basis.facts.denials.iter().any(|denial| denial.evidence != Evidence::Guess);
    let wish = wish(basis, exec, denied, policy);
    let (kind, instead) = kind(basis, &class.class, &wish, denied);
    let mut case = Case::new(wish.clone());
    case.reads_only = instead.map(instead_of);

    if exec.argv.is_empty() {
        case.stops.push(Stop::Refuse(reason(
            codes::NOTHING_TO_RUN,
            "the command is empty",
            Origin::builtin("commands"),
            Vec::new(),
        )));
    }
    if !settings.allow_login_shell.value && reading.shell.as_ref().is_some_and(|shell| shell.login) {
        let text = "login shells aren't allowed here: they run start-up files before the command".to_owned();
        let change =
            vec!["allow_login_shell = true".to_owned(), "the same command without `-l` or `--login`".to_owned()];
        case.stops.push(Stop::Refuse(reason(
            codes::LOGIN_SHELL,
            text,
            settings.allow_login_shell.origin.clone(),
            change,
        )));
    }

    for found in rules.commands.iter().chain(&rules.inner).flat_map(|judged| &judged.matches) {
        let why = reasons::by_rule(found);
        match found.decision {
            RuleDecision::Forbidden => case.stops.push(Stop::Refuse(why)),
            RuleDecision::Prompt => case.stops.push(Stop::Ask(QuestionKind::Rule, why)),
            RuleDecision::Allow => case.reasons.push(why),
        }
    }
    if rules.broken {
        let broken =
            basis.rules.broken().iter().map(|broken| Stop::Ask(QuestionKind::Rule, reasons::broken_rules(broken)));
        case.stops.extend(broken);
    }

    let allowed = allowed_by_rules(basis, exec, &reading, &rules, &class, &mut case);
    let row = row(kind, &wish, mode);
    if allowed {
        let gives = allowed_placement(basis, &wish, &mut case);
        // What a rule gives may still be less than what is asked for: then the rest is a request like any other.
        if !gives.covers(&wish) {
            stop_for(basis, Row::Escalation, exec, &mut case);
            case.placement = wish.clone();
        } else {
            case.placement = gives;
            case.reads_only = None;
        }
    } else {
        if class_is_dangerous(&class.class) && row != Row::Dangerous {
            stop_for(basis, Row::Dangerous, exec, &mut case);
        }
        stop_for(basis, row, exec, &mut case);
    }
    explain_class(&class, row, basis.facts.git_runs.as_deref(), &mut case);
    if is_interactive(policy) {
        ask_before_loss(basis, &reading, &rules, allowed, &mut case);
    }
    case.marks = marks(basis, exec, &reading, &case.placement);
    case.offers = offers(basis, exec, &reading, &rules, &class, &case);
    (Judged { reading, rules, class, row }, case)
}

/// Where the command would take place: as it asks, or without what refused it before.
fn wish(basis: &Basis<'_>, exec: &Exec, denied: bool, policy: ApprovalPolicy) -> Placement {
    if basis.settings.sandbox_mode.value == SandboxMode::DangerFullAccess {
        return Placement::Inside;
    }
    match &exec.escalation {
        Some(escalation) if !Placement::Inside.covers(&escalation.want) => escalation.want.clone(),
        _ if denied && matches!(policy, ApprovalPolicy::OnRequest | ApprovalPolicy::Granular(_)) => {
            let found = |path: &AbsPath| {
                basis.facts.world.roots.iter().any(|root| root.requested.value == *path && root.resolved.is_some())
            };
            smallest(&basis.facts.denials, basis.facts.world)
                .filter(|more| more.write.iter().all(found))
                .map_or(Placement::Outside, Placement::With)
        }
        _ if denied => Placement::Outside,
        _ => Placement::Inside,
    }
}

/// The smallest addition that would have let every refused operation pass, if single permissions can.
#[must_use]
pub fn smallest(denials: &[Denial], world: &WorldFacts) -> Option<More> {
    let mut more = More::default();
    for denial in denials.iter().filter(|denial| denial.evidence != Evidence::Guess) {
        let path = || AbsPath::new(denial.target.raw()).ok();
        match denial.kind {
            DenialKind::FsWrite => {
                let dir = path()?.parent()?;
                let broad = dir == AbsPath::root() || world.home.as_ref().is_some_and(|home| home.is_within(&dir));
                if broad {
                    return None;
                }
                more.write.push(dir);
            }
            DenialKind::FsRead => more.read.push(path()?),
            DenialKind::UnixSocket => more.unix_sockets.push(path()?),
            DenialKind::Network => {
                let target = denial.target.raw();
                more.network.push(target.rsplit_once(':').map_or(target, |(host, _)| host).to_owned());
            }
            DenialKind::ProtectedPath | DenialKind::Process | DenialKind::Syscall | DenialKind::Limit => return None,
        }
    }
    for list in [&mut more.write, &mut more.read, &mut more.unix_sockets] {
        list.sort();
        list.dedup();
    }
    more.network.sort();
    more.network.dedup();
    (!more.is_empty()).then_some(more)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Safe,
    Ordinary,
    Dangerous,
    DeniedBefore,
}

/// What the command is to the table, and how it is run if it is only safe so.
fn kind<'c>(basis: &Basis<'_>, class: &'c Class, wish: &Placement, denied: bool) -> (Kind, Option<&'c Neutralised>) {
    if denied {
        return (Kind::DeniedBefore, None);
    }
    match class {
        Class::Dangerous(_) => (Kind::Dangerous, None),
        Class::Safe(_) => (Kind::Safe, None),
        Class::Ordinary(_) => (Kind::Ordinary, None),
        Class::SafeIfNeutralised(neutralised) => {
            let settings = basis.settings;
            let ordinary = cell(settings.sandbox_mode.value, Row::Ordinary, settings.approval_policy.value);
            let clean = basis.facts.git_runs.as_ref().is_some_and(Vec::is_empty);
            // Where an ordinary command runs anyway, it runs as it was asked for.
            if *wish == Placement::Inside && ordinary != Cell::Run && clean {
                (Kind::Safe, Some(neutralised))
            } else {
                (Kind::Ordinary, None)
            }
        }
    }
}

fn row(kind: Kind, wish: &Placement, mode: SandboxMode) -> Row {
    match kind {
        Kind::DeniedBefore if mode != SandboxMode::DangerFullAccess => Row::DeniedBefore,
        _ if *wish != Placement::Inside => Row::Escalation,
        Kind::Dangerous => Row::Dangerous,
        Kind::Safe => Row::SafeRead,
        Kind::Ordinary | Kind::DeniedBefore => Row::Ordinary,
    }
}

fn class_is_dangerous(class: &Class) -> bool {
    matches!(class, Class::Dangerous(_))
}

/// Adds what the table says of `row`.
fn stop_for(basis: &Basis<'_>, row: Row, exec: &Exec, case: &mut Case) {
    let settings = basis.settings;
    let mode = settings.sandbox_mode.value;
    let said = cell(mode, row, settings.approval_policy.value);
    let why = reasons::by_policy(mode, row, &settings.approval_policy);
    let kind = match row {
        Row::Escalation => QuestionKind::Escalation,
        Row::Dangerous => QuestionKind::Dangerous,
        Row::DeniedBefore => QuestionKind::Denied,
        _ => QuestionKind::Policy,
    };
    match said {
        Cell::Run => case.reasons.push(why),
        // Whether a question is really put is the caller's to know: only a terminal is asked about a mere report.
        Cell::Ask | Cell::Report => case.stops.push(Stop::Ask(kind, why)),
        Cell::Refuse => case.stops.push(Stop::Refuse(why)),
    }
    match row {
        Row::Escalation => {
            if let Some(escalation) = &exec.escalation {
                let text = format!("the agent says: \"{}\"", escalation.justification.display());
                case.reasons.push(reason(codes::ESCALATION, text, Origin::builtin("the agent's request"), Vec::new()));
            }
        }
        Row::DeniedBefore => {
            let denials = basis.facts.denials.iter().filter(|denial| denial.evidence != Evidence::Guess);
            case.reasons.extend(denials.take(5).map(reasons::denied_before));
        }
        _ => {}
    }
}

/// Whether rules allow every command of the line, in a way that counts here.
fn allowed_by_rules(
    basis: &Basis<'_>,
    exec: &Exec,
    reading: &Reading,
    rules: &ReadingJudgement,
    class: &ReadingClass,
    case: &mut Case,
) -> bool {
    if rules.decision != Some(RuleDecision::Allow) || rules.broken {
        return false;
    }
    // A rule names the outer words. What is dangerous inside a script or behind a wrapper it has never seen.
    if let Class::Dangerous(finding) = &class.class
        && finding.command.as_ref().is_some_and(|inner| !reading.commands.contains(inner))
    {
        let text = format!("the rule that allows `{}` doesn't cover what is inside it: {}", shown(exec), finding.why);
        case.reasons.push(reason(codes::RULE_NOT_APPLIED, text, Origin::builtin("command table"), Vec::new()));
        return false;
    }
    for (command, judged) in reading.commands.iter().zip(&rules.commands) {
        let Some(word) = command.program() else { return false };
        let named_by_path = judged.matches.iter().any(|found| {
            found.resolved_program.is_none() && found.matched_prefix.first().is_some_and(|token| token.contains('/'))
        });
        let from_writable = program(&basis.facts.programs, word).is_none_or(|program| program.from_writable);
        if from_writable && !named_by_path {
            let text = format!(
                "the rule that allows `{}` doesn't count: the program could come from a directory an agent can write",
                word.display()
            );
            let origin = judged.matches.first().map_or_else(|| Origin::builtin("rules"), |found| found.origin.clone());
            case.reasons.push(reason(
                codes::RULE_NOT_APPLIED,
                text,
                origin,
                vec!["a `PATH` without such directories".to_owned()],
            ));
            return false;
        }
    }
    true
}

fn program<'p>(programs: &'p [ProgramFacts], word: &OsText) -> Option<&'p ProgramFacts> {
    programs.iter().find(|program| program.requested == *word)
}

/// Where a command that rules allow takes place.
fn allowed_placement(basis: &Basis<'_>, wish: &Placement, case: &mut Case) -> Placement {
    let settings = basis.settings;
    if settings.sandbox_mode.value == SandboxMode::DangerFullAccess {
        return wish.clone();
    }
    if settings.allow_runs.value == AllowRuns::Sandboxed {
        return Placement::Inside;
    }
    if let Some(denied) = settings.filesystem.deny_read.iter().find(|denied| denied.origin.layer().is_requirement()) {
        let text =
            "the rule would let it leave the sandbox, but a requirement denies reading what only the sandbox holds";
        case.reasons.push(reason(codes::RULE_NOT_APPLIED, text, denied.origin.clone(), Vec::new()));
        return Placement::Inside;
    }
    case.placed_by = case.reasons.iter().find(|reason| reason.kind == codes::RULE).map(|reason| reason.source.clone());
    Placement::Outside
}

fn explain_class(class: &ReadingClass, row: Row, git_runs: Option<&[String]>, case: &mut Case) {
    let (name, finding) = match &class.class {
        Class::Safe(finding) => ("a known-safe read", finding),
        Class::SafeIfNeutralised(neutralised) if row == Row::SafeRead => {
            ("a safe read as it is run", &neutralised.finding)
        }
        Class::SafeIfNeutralised(neutralised) => ("an ordinary command", &neutralised.finding),
        Class::Ordinary(finding) => ("an ordinary command", finding),
        Class::Dangerous(finding) => ("dangerous", finding),
    };
    let but = match (&class.class, git_runs) {
        (Class::SafeIfNeutralised(_), None) => "; but git's configuration here can't be read to its end".to_owned(),
        (Class::SafeIfNeutralised(_), Some(keys)) if !keys.is_empty() => {
            let keys: Vec<String> =
                keys.iter().map(|key| format!("`{}`", ringfence_model::text::escape(key))).collect();
            format!("; but git's configuration here makes it run a program or fetch: {}", keys.join(", "))
        }
        _ => String::new(),
    };
    let text = format!("{name}: {}{but}", finding.why);
    let why = reason(codes::CLASS, text, Origin::builtin("command table"), Vec::new());
    // Where it is why somebody is asked, it comes right behind the policy.
    case.reasons.insert(0, why);
}

fn ask_before_loss(basis: &Basis<'_>, reading: &Reading, rules: &ReadingJudgement, allowed: bool, case: &mut Case) {
    let above = &basis.settings.destructive_ask_above;
    let acts = destructive::acts(reading);
    let Some((act, files)) = destructive::finding(&acts, &basis.facts.touched, above.value) else { return };
    if allowed && rule_names(rules, act) {
        return;
    }
    let count = match files {
        Some(files) if files > above.value => format!(" (more than {} files)", above.value),
        _ => String::new(),
    };
    let mut change = vec!["an `allow` rule that names the option".to_owned()];
    if files.is_some() {
        change.insert(0, "destructive.ask_above".to_owned());
    }
    let why = reason(codes::DESTRUCTIVE, format!("{}{count}", act.what), above.origin.clone(), change);
    case.stops.push(Stop::Ask(QuestionKind::Destructive, why));
}

/// Whether a rule that allows was written with this very option in mind.
fn rule_names(rules: &ReadingJudgement, act: &Act) -> bool {
    let word = act.word.as_str().unwrap_or_default();
    rules.commands.iter().flat_map(|judged| &judged.matches).any(|found| {
        found.decision == RuleDecision::Allow && found.matched_prefix.iter().skip(1).any(|token| token == word)
    })
}

/// Whether every command of the line begins with `prefix`; what isn't plain never does.
pub(super) fn prefix_covers(prefix: &[OsText], exec: &Exec) -> bool {
    let reading = read(&exec.argv);
    !prefix.is_empty()
        && reading.is_plain()
        && !reading.commands.is_empty()
        && reading.inner.is_empty()
        && reading.commands.iter().all(|command| command.known_prefix().starts_with(prefix))
}

fn marks(basis: &Basis<'_>, exec: &Exec, reading: &Reading, placement: &Placement) -> Vec<String> {
    let world = basis.facts.world;
    let mut marks = Vec::new();
    match placement {
        Placement::Inside => {}
        Placement::Outside => marks.push("runs without the sandbox: it can do whatever you can".to_owned()),
        Placement::With(more) => {
            for path in &more.write {
                if *path == AbsPath::root() {
                    marks.push("could write everywhere".to_owned());
                } else if world.home.as_ref().is_some_and(|home| home.is_within(path)) {
                    marks.push(format!("could write everything under `{}`, your home with it", path.display()));
                } else if let Some(name) = protected_above(path) {
                    marks.push(format!("could write `{}`, a protected path: {name}", path.display()));
                }
            }
            if more.network.iter().any(|host| host == "*") {
                marks.push("could reach every host".to_owned());
            }
            marks.extend(
                more.unix_sockets.iter().map(|path| format!("could talk to whatever listens on `{}`", path.display())),
            );
        }
    }
    if let Some(opaque) = &reading.opaque
        && let Some(why) = opaque.why.first()
    {
        marks.push(format!("a script that can't be judged command by command ({})", why.what));
    }
    let deceptive =
        exec.argv.iter().any(|word| word.display().as_bytes() != word.as_bytes() && !only_backslashes(word));
    if deceptive {
        marks.push("has characters that don't show as they are; they are escaped here".to_owned());
    }
    marks
}

fn only_backslashes(word: &OsText) -> bool {
    word.as_str().is_some_and(|text| !text.chars().any(ringfence_model::text::is_deceptive))
}

fn protected_above(path: &AbsPath) -> Option<&'static str> {
    let parts: Vec<_> = path.as_path().components().map(|part| part.as_os_str().to_owned()).collect();
    crate::protected::TABLE
        .iter()
        .find(|row| row.names.iter().any(|name| parts.iter().any(|part| part == name)))
        .map(|row| row.reason)
}

fn offers(
    basis: &Basis<'_>,
    exec: &Exec,
    reading: &Reading,
    rules: &ReadingJudgement,
    class: &ReadingClass,
    case: &Case,
) -> Vec<Offer> {
    let place = match &case.placement {
        Placement::Inside => "",
        Placement::With(_) => ", with what is asked for here",
        Placement::Outside => ", outside the sandbox",
    };
    let mut offers = vec![Offer {
        scope: Scope::Command {
            argv: exec.argv.clone(),
            cwd: exec.cwd.clone(),
            program: basis.facts.identity.program.clone(),
        },
        lasts: Lasts::Session,
        text: format!("exactly this command in `{}`, for this session{place}", exec.cwd.display()),
    }];
    let mild = case.stops.iter().all(|stop| {
        matches!(stop, Stop::Ask(QuestionKind::Policy | QuestionKind::Escalation | QuestionKind::Denied, _))
    });
    if !mild || !reading.is_plain() || !reading.inner.is_empty() || matches!(class.class, Class::Dangerous(_)) {
        return offers;
    }
    // With one rule added, every command of the line must be allowed: so all but one already are.
    let mut open = reading
        .commands
        .iter()
        .zip(&rules.commands)
        .filter(|(_, judged)| judged.decision != Some(RuleDecision::Allow))
        .map(|(command, _)| command);
    let (Some(command), None) = (open.next(), open.next()) else { return offers };
    let wished = exec.escalation.as_ref().and_then(|escalation| escalation.prefix.as_deref());
    let Some(prefix) = scopes::offered_prefix(command.known_prefix(), wished) else { return offers };
    let words = ringfence_model::action::display_argv(&prefix);
    if reading.commands.len() == 1 {
        offers.push(Offer {
            scope: Scope::Prefix { prefix: prefix.clone() },
            lasts: Lasts::Session,
            text: format!("every command that begins with `{words}`, for this session{place}"),
        });
    }
    // A rule gives what rules give, not the single permissions of this request.
    if !matches!(case.placement, Placement::With(_)) {
        let outside = match basis.settings.allow_runs.value {
            AllowRuns::Unsandboxed => ", outside the sandbox",
            AllowRuns::Sandboxed => "",
        };
        let gives_enough =
            case.placement == Placement::Inside || basis.settings.allow_runs.value == AllowRuns::Unsandboxed;
        if gives_enough {
            offers.push(Offer {
                scope: Scope::Prefix { prefix },
                lasts: Lasts::Always,
                text: format!("every command that begins with `{words}`, always{outside}"),
            });
        }
    }
    offers
}

fn shown(exec: &Exec) -> String {
    ringfence_model::action::display_argv(&exec.argv)
}

fn instead_of(neutralised: &Neutralised) -> Instead {
    Instead {
        argv: neutralised.argv.clone(),
        set: neutralised.set.clone(),
        unset: neutralised.unset.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn classify_facts(basis: &Basis<'_>) -> ClassifyFacts {
    let world = basis.facts.world;
    let settings = basis.settings;
    let filtered = crate::environment::filter(&settings.environment, &settings.unix_sockets, &world.environment);
    ClassifyFacts {
        platform: Platform::host(),
        cwd: world.cwd.clone(),
        writable_roots: agent_places(world),
        path_writable: basis.facts.path_writable,
        programs: basis.facts.programs.clone(),
        environment: filtered.kept.into_iter().map(|var| (var.name, var.value)).collect(),
    }
}
