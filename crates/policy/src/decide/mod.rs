//! The decision: settings, rules, grants, facts and an action in; a verdict with its reasons out.
//!
//! Pure and total. Several things may each want to stop an action (the policy table, a rule, a broken rule file, what is
//! hard to undo, a requirement); the strictest of them holds, so that adding one never weakens a verdict. Grants are
//! looked at last, and only ever answer a question.

mod connect;
mod edit;
mod exec;
mod reasons;
mod tool;

use crate::confine::{Granted, Request, confine};
use crate::destructive::Touched;
use crate::table;
use ringfence_model::action::{Identity, Placement};
use ringfence_model::facts::ProgramFacts;
use ringfence_model::grant::Scope;
use ringfence_model::report::Reason;
use ringfence_model::verdict::{Decision, Offer, Question, QuestionKind, Refusal, Run};
use ringfence_model::{Action, Denial, Grant, Notice, Origin, Settings, Sourced, Verdict, WorldFacts};
use ringfence_rules::RuleSet;

pub use exec::{Inquiry, agent_places, inquire, smallest};
pub use reasons::codes;

pub(crate) use exec::look as look_at;

/// What the decision must know of one act, gathered beforehand.
#[derive(Debug, Clone)]
pub struct ActFacts<'f> {
    /// The world around it, with every root that the settings, the action and the grants speak of.
    pub world: &'f WorldFacts,
    /// Seconds since 1970.
    pub now: u64,
    /// The session it belongs to.
    pub session: Option<&'f str>,
    /// What an approval would be bound to.
    pub identity: Identity,
    /// What the program words of the command lead to.
    pub programs: Vec<ProgramFacts>,
    /// Whether `PATH` has an entry that is empty, relative, or in a place an agent can write.
    pub path_writable: bool,
    /// For a git read: what of the configuration would run something. Empty: looked at, and nothing would.
    /// None: not looked at, so nothing is safe.
    pub git_runs: Option<Vec<String>>,
    /// How many files the operands of a destructive command stand for.
    pub touched: Vec<Touched>,
    /// What the sandbox refused when this very act was tried before.
    pub denials: Vec<Denial>,
    /// Background processes go on after the command.
    pub keep_background: Sourced<bool>,
}

impl<'f> ActFacts<'f> {
    /// Facts of an act of which nothing but the world is known.
    #[must_use]
    pub fn new(world: &'f WorldFacts, now: u64) -> Self {
        Self {
            world,
            now,
            session: None,
            identity: Identity::default(),
            programs: Vec::new(),
            path_writable: false,
            git_runs: None,
            touched: Vec::new(),
            denials: Vec::new(),
            keep_background: Sourced::default_of(false, "--keep-background"),
        }
    }
}

/// Everything a decision rests on besides the action.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'b> {
    /// The settings.
    pub settings: &'b Settings,
    /// The rules of every source.
    pub rules: &'b RuleSet,
    /// What was granted before.
    pub grants: &'b [Grant],
    /// The facts.
    pub facts: &'b ActFacts<'b>,
}

/// Decides.
#[must_use]
pub fn decide(
    settings: &Settings,
    rules: &RuleSet,
    grants: &[Grant],
    facts: &ActFacts<'_>,
    action: &Action,
) -> Decision {
    let basis = Basis { settings, rules, grants, facts };
    let case = match action {
        Action::Exec(exec) => exec::judge(&basis, exec),
        Action::Edit(edit) => edit::judge_edit(&basis, edit),
        Action::Read(read) => edit::judge_read(&basis, read),
        Action::McpCall(call) => tool::judge_call(&basis, call),
        Action::WebSearch(search) => tool::judge_search(&basis, search),
        Action::Connect(connect) => connect::judge(&basis, connect),
    };
    conclude(&basis, action, case)
}

/// What the judges found: the strictest of what was wanted, and where it would take place.
pub(crate) struct Case {
    /// Where the action takes place if it runs.
    placement: Placement,
    /// The origin of a placement that a rule gives.
    placed_by: Option<Origin>,
    /// It is a read that runs read-only, with the command that is run in its place.
    reads_only: Option<ringfence_model::verdict::Instead>,
    /// What wants to stop it.
    stops: Vec<Stop>,
    /// Why, besides the stops.
    reasons: Vec<Reason>,
    /// Answers to offer.
    offers: Vec<Offer>,
    /// What deserves a second look.
    marks: Vec<String>,
}

/// One thing that wants to stop an action.
pub(crate) enum Stop {
    /// Somebody must be asked.
    Ask(QuestionKind, Reason),
    /// It doesn't run, whoever says yes.
    Refuse(Reason),
}

impl Case {
    fn new(placement: Placement) -> Self {
        Self {
            placement,
            placed_by: None,
            reads_only: None,
            stops: Vec::new(),
            reasons: Vec::new(),
            offers: Vec::new(),
            marks: Vec::new(),
        }
    }

    fn refuse(reason: Reason) -> Self {
        let mut case = Self::new(Placement::Inside);
        case.stops.push(Stop::Refuse(reason));
        case
    }
}

/// From what was found to the verdict: refusals first, then questions the policy lets be asked, then grants.
pub(crate) fn conclude(basis: &Basis<'_>, action: &Action, case: Case) -> Decision {
    let Case { placement, placed_by, reads_only, stops, mut reasons, offers, marks } = case;
    let mut questions = Vec::new();
    let mut refusals = Vec::new();
    for stop in stops {
        match stop {
            Stop::Refuse(reason) => refusals.push(reason),
            Stop::Ask(kind, reason) => {
                if table::may_ask(basis.settings.approval_policy.value, kind) {
                    questions.push((kind, reason));
                } else {
                    refusals.push(reason);
                    refusals.push(reasons::not_asked(&basis.settings.approval_policy, kind));
                }
            }
        }
    }
    if !refusals.is_empty() {
        refusals.extend(questions.into_iter().map(|(_, reason)| reason));
        refusals.append(&mut reasons);
        return refused(refusals);
    }
    let grants: Vec<&Grant> = match questions.iter().map(|(kind, _)| *kind).max_by_key(|kind| weight(*kind)) {
        None => Vec::new(),
        Some(kind) => match covering(basis, action, &placement, kind) {
            Some(grant) => vec![grant],
            None => {
                // Nobody is asked for what couldn't be given.
                let asked = granted(&placement, &Origin::Grant { grant: "the answer".to_owned() });
                if let Err(error) = confine(basis.settings, basis.facts.world, &request(basis, asked, None)) {
                    let mut all = vec![reasons::cannot_confine(&error)];
                    all.extend(questions.into_iter().map(|(_, reason)| reason));
                    all.append(&mut reasons);
                    return refused(all);
                }
                let mut all: Vec<Reason> = questions.into_iter().map(|(_, reason)| reason).collect();
                all.append(&mut reasons);
                let identity = basis.facts.identity.clone();
                let question = Question { kind, wish: placement, marks, offers, identity };
                return Decision { verdict: Verdict::Ask(Box::new(question)), reasons: all };
            }
        },
    };
    let origin = match (grants.first(), placed_by) {
        (Some(grant), _) => Origin::Grant { grant: grant.id.clone() },
        (None, Some(origin)) => origin,
        (None, None) => basis.settings.sandbox_mode.origin.clone(),
    };
    let reads = reads_only.as_ref().map(|_| Origin::builtin("known-safe reads"));
    match confine(basis.settings, basis.facts.world, &request(basis, granted(&placement, &origin), reads)) {
        Ok(confinement) => {
            let mut all: Vec<Reason> = grants.iter().map(|grant| reasons::by_grant(grant)).collect();
            all.extend(questions.into_iter().map(|(_, reason)| reason));
            all.append(&mut reasons);
            let grants = grants.into_iter().map(|grant| grant.id.clone()).collect();
            let run = Run { confinement, placement, instead: reads_only, grants };
            Decision { verdict: Verdict::Run(Box::new(run)), reasons: all }
        }
        Err(error) => {
            let mut all = vec![reasons::cannot_confine(&error)];
            all.append(&mut reasons);
            refused(all)
        }
    }
}

fn refused(reasons: Vec<Reason>) -> Decision {
    let (code, text) = match reasons.first() {
        Some(first) => (first.kind.clone(), first.text.clone()),
        None => (codes::POLICY.to_owned(), "refused".to_owned()),
    };
    Decision { verdict: Verdict::Refuse(Refusal { code, text }), reasons }
}

/// Questions that a narrower yes can't answer weigh more.
fn weight(kind: QuestionKind) -> u8 {
    match kind {
        QuestionKind::Policy | QuestionKind::Host | QuestionKind::Edit | QuestionKind::Tool => 0,
        QuestionKind::Denied | QuestionKind::Escalation | QuestionKind::Elicitation => 1,
        QuestionKind::Rule => 2,
        QuestionKind::Destructive => 3,
        QuestionKind::Dangerous => 4,
    }
}

fn request(basis: &Basis<'_>, granted: Granted, reads_only: Option<Origin>) -> Request {
    Request { keep_background: basis.facts.keep_background.clone(), granted, reads_only }
}

/// What a placement adds, each with the origin that gives it.
fn granted(placement: &Placement, origin: &Origin) -> Granted {
    match placement {
        Placement::Inside => Granted::default(),
        Placement::Outside => Granted { outside: Some(origin.clone()), ..Granted::default() },
        Placement::With(more) => {
            let paths = |paths: &[ringfence_model::AbsPath]| {
                paths.iter().map(|path| Sourced::new(path.clone(), origin.clone())).collect()
            };
            Granted {
                outside: None,
                write: paths(&more.write),
                read: paths(&more.read),
                network: more.network.iter().map(|host| Sourced::new(host.clone(), origin.clone())).collect(),
                unix_sockets: paths(&more.unix_sockets),
            }
        }
    }
}

/// A grant that answers the question, if there is one.
fn covering<'b>(basis: &Basis<'b>, action: &Action, wish: &Placement, kind: QuestionKind) -> Option<&'b Grant> {
    basis.grants.iter().find(|grant| {
        grant.counts(basis.facts.now, basis.facts.session)
            && grant.gives.covers(wish)
            && in_scope(&grant.scope, basis, action, kind)
    })
}

/// Whether a grant of this scope is about this act. Wide scopes answer the mild questions only: a rule that prompts,
/// danger and loss of work are asked about act by act.
fn in_scope(scope: &Scope, basis: &Basis<'_>, action: &Action, kind: QuestionKind) -> bool {
    match (scope, action) {
        (Scope::Exact { identity }, _) => *identity == basis.facts.identity && !identity.act.is_empty(),
        (Scope::Command { argv, cwd, program }, Action::Exec(exec)) => {
            *argv == exec.argv && *cwd == exec.cwd && *program == basis.facts.identity.program
        }
        (Scope::Prefix { prefix }, Action::Exec(exec)) => {
            weight(kind) < weight(QuestionKind::Rule) && exec::prefix_covers(prefix, exec)
        }
        (Scope::Host { host, port }, Action::Connect(connect)) => *host == connect.host && *port == connect.port,
        (Scope::Path { path }, Action::Edit(edit)) => edit.changes.iter().all(|change| change.path.is_within(path)),
        (Scope::Path { path }, Action::Read(read)) => read.path.is_within(path),
        (Scope::Tool { server, tool }, Action::McpCall(call)) => {
            weight(kind) < weight(QuestionKind::Rule) && *server == call.server && *tool == call.tool
        }
        _ => false,
    }
}

/// What a person is told once about the settings and the workspace.
#[must_use]
pub fn notices(settings: &Settings, world: &WorldFacts, rules: &RuleSet) -> Vec<Notice> {
    let mut notices = crate::confine::notices(settings, world);
    if settings.approval_policy.value == ringfence_model::ApprovalPolicy::OnFailure {
        notices.push(Notice {
            code: "on-failure-deprecated".to_owned(),
            text: "the approval policy `on-failure` is deprecated".to_owned(),
            origin: Some(settings.approval_policy.origin.clone()),
            hint: Some("use `on-request`".to_owned()),
        });
    }
    notices.extend(rules.broken().iter().map(|broken| Notice {
        code: "rules-broken".to_owned(),
        text: format!("rules can't be loaded, so every command asks: {}", broken.cause),
        origin: Some(broken.origin.clone()),
        hint: Some("mend the file; `ringfence rules test` checks it".to_owned()),
    }));
    notices
}
