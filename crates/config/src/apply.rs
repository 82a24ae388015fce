//! Requirements are applied last: an explicit choice that one rejects is an error, a default that one rejects gives way.

use crate::error::ConfigError;
use crate::layers::Overrides;
use crate::node::{Node, at};
use crate::order;
use crate::permissions::Granted;
use crate::stack::Stack;
use ringfence_model::mode::{ApprovalPolicy, Reviewer, SandboxMode, WebSearchMode};
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Layer, Origin, Sourced};
use ringfence_model::requirements::{PolicyName, Requirements, Violation};

/// What a requirement changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Adjustment {
    /// The key.
    pub key: String,
    /// What it would have been.
    pub from: String,
    /// What it is.
    pub to: String,
    /// The requirement's key.
    pub requirement_key: String,
    /// Where the requirement was set.
    pub requirement: Origin,
}

/// Requirements on their way through the settings of one start.
pub struct Applied<'a> {
    pub(crate) requirements: &'a Requirements,
    stack: &'a Stack,
    flags: &'a Overrides,
    pub(crate) adjustments: Vec<Adjustment>,
    pub(crate) notices: Vec<Notice>,
}

impl<'a> Applied<'a> {
    /// Begins.
    #[must_use]
    pub fn new(requirements: &'a Requirements, stack: &'a Stack, flags: &'a Overrides) -> Self {
        Self { requirements, stack, flags, adjustments: Vec::new(), notices: Vec::new() }
    }

    /// What was changed, and what to tell.
    #[must_use]
    pub fn finish(self) -> (Vec<Adjustment>, Vec<Notice>) {
        (self.adjustments, self.notices)
    }

    pub(crate) fn adjust(&mut self, key: &str, from: &str, to: &str, (requirement_key, requirement): (&str, &Origin)) {
        self.notices.push(Notice {
            code: "requirement-fallback".into(),
            text: format!(
                "`{key}` is `{to}`: its default `{from}` isn't allowed by `{requirement_key}` of {requirement}"
            ),
            origin: Some(requirement.clone()),
            hint: None,
        });
        self.adjustments.push(Adjustment {
            key: key.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            requirement_key: requirement_key.to_owned(),
            requirement: requirement.clone(),
        });
    }
}

impl Applied<'_> {
    /// The permission profile in force, if `sandbox_mode` doesn't win over it.
    pub fn permission_profile(&mut self, flags: &Overrides) -> Result<Option<Sourced<String>>, ConfigError> {
        let table = &self.stack.table;
        let chosen = match &flags.permissions {
            Some(flag) => Some(flag.clone()),
            None => at(table, &["default_permissions"])
                .and_then(|node| Some(Sourced::new(node.as_str()?.to_owned(), node.mark.origin())))
                .or_else(|| self.requirements.default_permissions.clone()),
        };
        let Some(chosen) = chosen else { return Ok(None) };
        let by_flag = flags.permissions.is_some();
        let rival = self.stack.mode_chosen.as_ref();
        match rival.filter(|rival| !by_flag || rival.layer() >= Layer::CommandLine) {
            Some(rival) => {
                self.notices.push(Notice {
                    code: "profile-not-in-force".into(),
                    text: format!(
                        "permission profile `{}` isn't in force: `sandbox_mode` or `[sandbox_workspace_write]` is set too, and wins",
                        chosen.value
                    ),
                    origin: Some(rival.clone()),
                    hint: Some("remove one of the two".into()),
                });
                Ok(None)
            }
            None => {
                if let Err(violation) = self.requirements.check_profile(&chosen.value, &chosen.origin) {
                    return Err(ConfigError::NotAllowed(violation));
                }
                Ok(Some(chosen))
            }
        }
    }

    /// The sandbox mode.
    pub fn sandbox_mode(
        &mut self,
        profile: Option<&Sourced<String>>,
        granted: Option<&Granted>,
    ) -> Result<Sourced<SandboxMode>, ConfigError> {
        for flag in self.flags.every(&["sandbox_mode"]) {
            if let Some(mode) = mode_of(flag) {
                let chosen = flag.mark.origin();
                self.requirements.check_sandbox_mode(mode, &chosen).map_err(ConfigError::NotAllowed)?;
                if profile.is_none() {
                    self.requirements.check_plain_mode(mode, &chosen).map_err(ConfigError::NotAllowed)?;
                }
            }
        }
        let set = at(&self.stack.table, &["sandbox_mode"])
            .and_then(|node| Some(Sourced::new(mode_of(node)?, node.mark.origin())));
        if let (Some(profile), Some(granted)) = (profile, granted) {
            let mode = match set {
                Some(set) if set.value < granted.mode => set,
                _ => Sourced::new(granted.mode, profile.origin.clone()),
            };
            self.requirements.check_sandbox_mode(mode.value, &mode.origin).map_err(ConfigError::NotAllowed)?;
            return Ok(mode);
        }
        let check = |mode: SandboxMode, chosen: &Origin| {
            self.requirements.check_sandbox_mode(mode, chosen)?;
            self.requirements.check_plain_mode(mode, chosen)
        };
        if let Some(set) = set {
            check(set.value, &set.origin).map_err(ConfigError::NotAllowed)?;
            return Ok(set);
        }
        let default = self.stack.default_mode.clone();
        let Err(violation) = check(default.value, &default.origin) else {
            return Ok(default);
        };
        let fits = |mode: &SandboxMode| check(*mode, &default.origin).is_ok();
        let modes = [SandboxMode::WorkspaceWrite, SandboxMode::ReadOnly];
        match modes.into_iter().filter(|mode| *mode <= default.value).find(fits) {
            Some(mode) => Ok(self.fall_back("sandbox_mode", (default.value.name(), mode.name()), mode, &violation)),
            None => Err(ConfigError::NotAllowed(violation)),
        }
    }

    fn fall_back<T>(&mut self, key: &str, (from, to): (&str, &str), value: T, violation: &Violation) -> Sourced<T> {
        self.adjust(key, from, to, (&violation.requirement_key, &violation.requirement));
        Sourced::new(value, violation.requirement.clone())
    }

    /// The approval policy.
    pub fn approval_policy(&mut self) -> Result<Sourced<ApprovalPolicy>, ConfigError> {
        for flag in self.flags.every(&["approval_policy"]) {
            if let Some(policy) = order::policy(&flag.value) {
                let chosen = flag.mark.origin();
                self.requirements.check_approval_policy(policy, &chosen).map_err(ConfigError::NotAllowed)?;
                self.exact_legacy_policy(policy, &chosen)?;
            }
        }
        let set = at(&self.stack.table, &["approval_policy"])
            .and_then(|node| Some(Sourced::new(order::policy(&node.value)?, node.mark.origin())));
        if let Some(set) = set {
            self.requirements.check_approval_policy(set.value, &set.origin).map_err(ConfigError::NotAllowed)?;
            if set.value == ApprovalPolicy::OnFailure {
                self.notices.push(Notice {
                    code: "deprecated".into(),
                    text: "`approval_policy = \"on-failure\"` is deprecated".into(),
                    origin: Some(set.origin.clone()),
                    hint: Some("use \"on-request\"".into()),
                });
            }
            return Ok(set);
        }
        let default = self.stack.default_policy.clone();
        let Err(violation) = self.requirements.check_approval_policy(default.value, &default.origin) else {
            return Ok(default);
        };
        let allowed = self.requirements.approval_policies.as_ref().map_or(&[][..], |allowed| &allowed.value);
        match policy_fall_back(default.value, allowed) {
            Some(policy) => {
                let names = (default.value.to_string(), policy.to_string());
                Ok(self.fall_back("approval_policy", (&names.0, &names.1), policy, &violation))
            }
            None => Err(ConfigError::NotAllowed(violation)),
        }
    }

    /// A legacy field allows only its own value; of two tables that both are `granular`, only the very same.
    fn exact_legacy_policy(&self, policy: ApprovalPolicy, chosen: &Origin) -> Result<(), ConfigError> {
        let Some(allowed) = &self.requirements.approval_policies else { return Ok(()) };
        let managed = at(&self.stack.table, &["approval_policy"]).and_then(|node| order::policy(&node.value));
        match (allowed.origin.layer(), managed) {
            (Layer::LegacyRequirements, Some(managed)) if managed != policy => {
                Err(ConfigError::NotAllowed(Box::new(Violation {
                    key: "approval_policy".into(),
                    value: policy.to_string(),
                    chosen: chosen.clone(),
                    allowed: format!("the table that {} has", allowed.origin),
                    requirement_key: "approval_policy".into(),
                    requirement: allowed.origin.clone(),
                })))
            }
            _ => Ok(()),
        }
    }

    /// What web search may reach; where nobody chose, `live` under full access and `cached` else.
    pub fn web_search(&mut self, mode: SandboxMode) -> Result<Sourced<WebSearchMode>, ConfigError> {
        let read = |node: &Node| Some(Sourced::new(WebSearchMode::from_name(node.as_str()?)?, node.mark.origin()));
        for flag in self.flags.every(&["web_search"]).filter_map(read) {
            self.requirements.check_web_search(flag.value, &flag.origin).map_err(ConfigError::NotAllowed)?;
        }
        if let Some(set) = at(&self.stack.table, &["web_search"]).and_then(read) {
            self.requirements.check_web_search(set.value, &set.origin).map_err(ConfigError::NotAllowed)?;
            return Ok(set);
        }
        let default = match mode {
            SandboxMode::DangerFullAccess => WebSearchMode::Live,
            _ => WebSearchMode::Cached,
        };
        let origin = Origin::builtin("default of `web_search`");
        let Err(violation) = self.requirements.check_web_search(default, &origin) else {
            return Ok(Sourced::new(default, origin));
        };
        let cached = self.requirements.check_web_search(WebSearchMode::Cached, &origin).is_ok();
        let found = if cached { WebSearchMode::Cached } else { WebSearchMode::Disabled };
        Ok(self.fall_back("web_search", (default.name(), found.name()), found, &violation))
    }

    /// Who answers.
    pub fn reviewer(&mut self, reviewer: Sourced<Reviewer>) -> Result<Sourced<Reviewer>, ConfigError> {
        for flag in self.flags.every(&["approvals_reviewer"]) {
            let wanted = match flag.as_str() {
                Some("user") => Reviewer::User,
                _ => Reviewer::Program,
            };
            self.requirements.check_reviewer(wanted, &flag.mark.origin()).map_err(ConfigError::NotAllowed)?;
        }
        let Err(violation) = self.requirements.check_reviewer(reviewer.value, &reviewer.origin) else {
            return Ok(reviewer);
        };
        let allowed = self.requirements.reviewers.as_ref().and_then(|allowed| allowed.value.first().copied());
        match allowed {
            Some(allowed) if !reviewer.origin.is_explicit() => {
                let names = (reviewer.value.name(), allowed.name());
                Ok(self.fall_back("approvals_reviewer", names, allowed, &violation))
            }
            _ => Err(ConfigError::NotAllowed(violation)),
        }
    }
}

fn mode_of(node: &Node) -> Option<SandboxMode> {
    SandboxMode::from_name(node.as_str()?)
}

/// The first allowed policy that isn't looser than the default; if none, the strictest allowed.
fn policy_fall_back(default: ApprovalPolicy, allowed: &[PolicyName]) -> Option<ApprovalPolicy> {
    let policies =
        [ApprovalPolicy::OnRequest, ApprovalPolicy::Untrusted, ApprovalPolicy::OnFailure, ApprovalPolicy::Never];
    let fits = |policy: &&ApprovalPolicy| allowed.contains(&PolicyName::of(**policy));
    let asking = ringfence_model::mode::Granular {
        sandbox_approval: true,
        rules: true,
        mcp_elicitations: true,
        request_permissions: true,
        skill_approval: true,
    };
    let granular = ApprovalPolicy::Granular(asking);
    let not_looser = |policy: &&ApprovalPolicy| policy.strictness() >= default.strictness();
    let strict = policies.iter().filter(fits).find(not_looser).copied();
    strict.or_else(|| {
        let all = policies.iter().copied().chain(std::iter::once(granular));
        all.filter(|policy| allowed.contains(&PolicyName::of(*policy))).max_by_key(|policy| policy.strictness())
    })
}
