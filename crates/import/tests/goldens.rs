//! Realistic settings of each agent and what they become, as a person sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_import::{Agent, Imported, Input, Role, import};

fn input(name: &str, role: Role, text: &str) -> Input {
    Input { name: name.to_owned(), role, text: text.to_owned() }
}

fn shown(imported: &Imported) -> String {
    let mut out = format!("== config.toml\n{}\n== rules\n{}", imported.config_toml, imported.rules);
    for (name, text) in
        [("requirements.toml", &imported.requirements_toml), ("managed_config.toml", &imported.managed_config_toml)]
    {
        if let Some(text) = text {
            out.push_str(&format!("\n== {name}\n{text}"));
        }
    }
    out.push_str("\n== report\n");
    for line in &imported.report {
        let carried = serde_json::to_value(line.carried).expect("json");
        out.push_str(&format!(
            "{}:{} {} [{}] {}\n",
            line.file,
            line.line,
            line.what,
            carried.as_str().unwrap_or_default(),
            line.why
        ));
    }
    out
}

fn golden(name: &str, agent: Agent, files: &[Input]) {
    let imported = import(agent, files).expect("imported");
    let mut backwards: Vec<Input> = files.to_vec();
    backwards.reverse();
    assert_eq!(import(agent, &backwards).expect("imported"), imported, "the order of files doesn't matter");
    for text in
        [Some(&imported.config_toml), imported.requirements_toml.as_ref(), imported.managed_config_toml.as_ref()]
            .into_iter()
            .flatten()
    {
        text.parse::<toml::Table>().expect("TOML");
    }
    insta::with_settings!({ snapshot_path => "goldens", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, shown(&imported));
    });
}

#[test]
fn claude_code_of_a_careful_team() {
    golden(
        "claude_code_team",
        Agent::ClaudeCode,
        &[
            input(
                "~/.claude/settings.json",
                Role::User,
                r#"{
  "model": "some-model",
  "permissions": {
    "defaultMode": "acceptEdits",
    "allow": ["Bash(npm run test:*)", "Bash(git diff *)", "Bash(make)", "WebFetch(domain:docs.example.com)", "WebSearch", "mcp__issues__search"],
    "ask": ["Bash(git push:*)", "mcp__issues__close"],
    "deny": ["Bash(curl:*)", "Bash(rm -rf *)", "Read(./.env)", "Read(~/.ssh/**)", "Read(*.pem)", "Edit(./db/**)", "WebFetch(domain:evil.example)"],
    "additionalDirectories": ["~/shared/docs", "../sibling"]
  },
  "env": { "NODE_ENV": "development", "CLAUDE_CODE_ENABLE_TELEMETRY": "1" },
  "hooks": { "PreToolUse": [] }
}"#,
            ),
            input(
                ".mcp.json",
                Role::Project,
                r#"{ "mcpServers": {
  "issues": { "command": "issues-mcp", "args": ["--stdio"], "env": { "TOKEN": "${TOKEN}" } },
  "remote": { "type": "http", "url": "https://mcp.example.com/v1", "headers": { "X-Key": "k" } }
} }"#,
            ),
            input(".claude/settings.local.json", Role::Project, r#"{ "enabledMcpjsonServers": ["issues"] }"#),
        ],
    );
}

#[test]
fn claude_code_with_its_sandbox_and_an_administrator() {
    golden(
        "claude_code_managed",
        Agent::ClaudeCode,
        &[
            input(
                "/etc/claude-code/managed-settings.json",
                Role::Managed,
                r#"{
  "permissions": {
    "disableBypassPermissionsMode": "disable",
    "deny": ["Bash(sudo:*)", "Read(//etc/shadow)", "Read(./secrets/**)"],
    "ask": ["Bash(terraform apply:*)"]
  },
  "allowManagedHooksOnly": true,
  "allowedMcpServers": [],
  "sandbox": {
    "network": { "allowManagedDomainsOnly": true, "allowedDomains": ["*.example.com", "registry.npmjs.org:443"], "deniedDomains": ["telemetry.example.com"] }
  }
}"#,
            ),
            input(
                "~/.claude/settings.json",
                Role::User,
                r#"{
  "sandbox": {
    "enabled": true,
    "allowUnsandboxedCommands": false,
    "excludedCommands": ["docker"],
    "filesystem": { "allowWrite": ["~/.cache/build"], "denyRead": ["~/.aws"], "denyWrite": ["~/.cache/build/keep"] },
    "network": { "allowedDomains": ["github.com"], "allowUnixSockets": ["/var/run/docker.sock"], "allowLocalBinding": true },
    "credentials": { "files": [{ "path": "~/.netrc", "mode": "deny" }], "envVars": [{ "name": "NPM_AUTH", "mode": "deny" }] }
  }
}"#,
            ),
        ],
    );
}

#[test]
fn gemini_settings_and_policies() {
    golden(
        "gemini_cli",
        Agent::GeminiCli,
        &[
            input(
                "~/.gemini/settings.json",
                Role::User,
                r#"{
  // comments are accepted here
  "general": { "defaultApprovalMode": "auto_edit" },
  "tools": {
    "allowed": ["run_shell_command(npm test)", "write_file"],
    "exclude": ["run_shell_command(rm)", "google_web_search"],
    "sandbox": "docker"
  },
  "mcpServers": {
    "docs": { "command": "docs-mcp", "trust": true, "includeTools": ["search", "get"], "excludeTools": ["get"], "timeout": 30000 },
    "old": { "httpUrl": "https://old.example.com/mcp" }
  },
  "mcp": { "excluded": ["old"] },
  "security": { "folderTrust": { "enabled": true }, "environmentVariableRedaction": { "blocked": ["INTERNAL_ID"], "allowed": ["PUBLIC_KEY"] } },
  "ui": { "theme": "x" },
}"#,
            ),
            input(
                "~/.gemini/policies/rules.toml",
                Role::User,
                r#"
[[rule]]
toolName = "run_shell_command"
commandPrefix = ["git", "cargo build"]
decision = "allow"
priority = 100

[[rule]]
toolName = "run_shell_command"
commandRegex = "git (commit|push)"
decision = "ask_user"
priority = 200

[[rule]]
toolName = "run_shell_command"
commandPrefix = "rm -rf"
decision = "deny"
priority = 900
denyMessage = "deletion is permanent"

[[rule]]
mcpName = "docs"
toolName = "delete"
decision = "deny"
priority = 500

[[rule]]
toolName = "run_shell_command"
commandPrefix = "make"
decision = "allow"
modes = ["yolo"]
priority = 10
"#,
            ),
            input(
                "/etc/gemini-cli/policies/admin.toml",
                Role::Managed,
                "[[rule]]\ntoolName = \"run_shell_command\"\ncommandPrefix = \"ssh\"\ndecision = \"deny\"\npriority = 1\ndenyMessage = \"use the bastion\"\n",
            ),
        ],
    );
}

#[test]
fn sandbox_runtime_settings() {
    golden(
        "srt",
        Agent::Srt,
        &[input(
            "~/.srt-settings.json",
            Role::User,
            r#"{
  "network": {
    "allowedDomains": ["github.com", "*.github.com", "api.example.com:8443"],
    "deniedDomains": ["malicious.com", "github.com:22"],
    "allowUnixSockets": ["/var/run/docker.sock"],
    "allowLocalBinding": false
  },
  "filesystem": {
    "denyRead": ["/home", "~/.ssh", "**/.env"],
    "allowRead": ["."],
    "allowWrite": [".", "/tmp", "build/*.o"],
    "denyWrite": [".env", "config/production.json"]
  },
  "ignoreViolations": { "*": ["/usr/bin"] },
  "enableWeakerNestedSandbox": true
}"#,
        )],
    );
}

#[test]
fn codex_home_and_system_files() {
    golden(
        "codex",
        Agent::Codex,
        &[
            input(
                "~/.codex/config.toml",
                Role::User,
                r#"
model = "some-model"
approval_policy = "on-request"
sandbox_mode = "workspace-write"
notify = ["notify-send"]

[sandbox_workspace_write]
writable_roots = ["/home/u/shared"]
network_access = false

[shell_environment_policy]
exclude = ["AWS_*"]
experimental_use_profile = true

[mcp_servers.docs]
command = "docs-mcp"
args = ["serve"]
env = { TOKEN = "secret-value" }
http_headers = { a = "b" }

[projects."/home/u/app"]
trust_level = "trusted"

[features]
network_proxy = true
some_experiment = true

[tui]
theme = "x"
"#,
            ),
            input(
                "~/.codex/ci.config.toml",
                Role::Profile,
                "approval_policy = \"never\"\nsandbox_mode = \"read-only\"\n",
            ),
            input(
                "~/.codex/rules/default.rules",
                Role::User,
                "prefix_rule(\n    pattern = [\"git\", [\"push\", \"fetch\"]],\n    decision = \"prompt\",\n    match = [\"git push\"],\n)\n",
            ),
            input(
                "/etc/codex/config.toml",
                Role::System,
                "approval_policy = \"untrusted\"\nweb_search = \"disabled\"\n",
            ),
            input(
                "/etc/codex/managed_config.toml",
                Role::ManagedDefaults,
                "sandbox_mode = \"read-only\"\nmodel = \"m\"\n",
            ),
            input(
                "/etc/codex/requirements.toml",
                Role::Managed,
                r#"
allowed_approval_policies = ["untrusted", "on-request", "someday"]
allowed_sandbox_modes = ["workspace-write"]
allowed_login_methods = ["sso"]
unknown_constraint = true

[rules]
prefix_rules = [ { pattern = [{ token = "git" }, { any_of = ["push", "commit"] }], decision = "prompt", justification = "review first" } ]

[mcp_servers.docs]
identity = { command = "docs-mcp" }

[experimental_network]
enabled = true
domains = { "**.example.com" = "allow" }
"#,
            ),
        ],
    );
}

#[test]
fn a_file_that_cannot_be_read_stops_the_import() {
    for (agent, name, text, said) in [
        (
            Agent::ClaudeCode,
            "s/settings.json",
            "{ \"permissions\": { \"deny\": \"Bash\" } }",
            "must be a list of texts",
        ),
        (Agent::ClaudeCode, "s/settings.json", "{ \"permissions\": { \"deny\": [1] } }", "must be a list of texts"),
        (
            Agent::ClaudeCode,
            "s/settings.json",
            "{ \"permissions\": {}, \"permissions\": {} }",
            "1:35: this key stands here twice",
        ),
        (Agent::GeminiCli, "p/x.toml", "[[rule]]\ntoolName = \"*\"\n", "`rule.decision` must be"),
        (Agent::Srt, "x.json", "{", "the file ends in the middle"),
        (Agent::Codex, "config.toml", "a = 1\na = 2\n", "config.toml:2:"),
        (Agent::Codex, "config.toml", "\u{feff}a = 1\n", "byte order mark"),
    ] {
        let error = import(agent, &[input(name, Role::User, text)]).expect_err(text);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn nothing_of_a_source_breaks_out_of_comment_or_string() {
    let nasty = "a\\u0007\\n\\\"]\\u202e # x";
    let text = format!(
        "{{ \"permissions\": {{ \"deny\": [\"Bash({nasty}:*)\", \"Read(//{nasty})\", \"Edit(//x\\\"y)\"] }}, \"env\": {{ \"A{nasty}\": \"{nasty}\" }} }}"
    );
    let imported =
        import(Agent::ClaudeCode, &[input("~/.claude/se\nttings.json", Role::Managed, &text)]).expect("imported");
    for text in [Some(&imported.config_toml), imported.requirements_toml.as_ref()].into_iter().flatten() {
        text.parse::<toml::Table>().expect("TOML");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }
    assert!(
        imported.rules.lines().all(|line| line.is_empty() || line.starts_with('#') || line.starts_with("prefix_rule("))
    );
}

#[test]
fn secrets_are_copied_but_never_reported() {
    let config = "[mcp_servers.a]\ncommand = \"a\"\nenv = { TOKEN = \"hunter2hunter2\" }\n[shell_environment_policy]\nset = { K = \"hunter2hunter2\" }\n";
    let imported = import(Agent::Codex, &[input("config.toml", Role::User, config)]).expect("imported");
    assert!(imported.config_toml.contains("hunter2"));
    assert!(!serde_json::to_string(&imported.report).expect("json").contains("hunter2"));
    assert!(!imported.config_toml.lines().any(|line| line.starts_with('#') && line.contains("hunter2")));
}
