//! The layer table of `ARCHITECTURE.md` as data: who may import whom, and which outside crates may appear where.

/// One crate of the workspace.
pub struct Layer {
    /// Its package.
    pub package: &'static str,
    /// Crates of the workspace it may import.
    pub may: &'static [&'static str],
}

const fn layer(package: &'static str, may: &'static [&'static str]) -> Layer {
    Layer { package, may }
}

/// Bottom first.
pub const LAYERS: &[Layer] = &[
    layer("ringfence-model", &[]),
    layer("ringfence-config", &["ringfence-model"]),
    layer("ringfence-shell", &["ringfence-model"]),
    layer("ringfence-rules", &["ringfence-model", "ringfence-shell"]),
    layer("ringfence-policy", &["ringfence-model", "ringfence-rules", "ringfence-shell"]),
    layer("ringfence-sandbox", &["ringfence-model"]),
    layer("ringfence-egress", &["ringfence-model"]),
    layer("ringfence-audit", &["ringfence-model"]),
    layer(
        "ringfence",
        &[
            "ringfence-model",
            "ringfence-config",
            "ringfence-shell",
            "ringfence-rules",
            "ringfence-policy",
            "ringfence-sandbox",
            "ringfence-egress",
            "ringfence-audit",
        ],
    ),
    layer("ringfence-fleet", &["ringfence-model", "ringfence-config"]),
    layer("ringfence-import", &["ringfence-model", "ringfence-config", "ringfence-rules", "ringfence-shell"]),
    layer(
        "ringfence-cli",
        &[
            "ringfence",
            "ringfence-model",
            "ringfence-config",
            "ringfence-shell",
            "ringfence-rules",
            "ringfence-policy",
            "ringfence-sandbox",
            "ringfence-egress",
            "ringfence-audit",
            "ringfence-fleet",
            "ringfence-import",
        ],
    ),
    layer("xtask", &["ringfence-cli", "ringfence-config"]),
];

/// An outside crate, or a family of them, that may be imported by few only.
pub struct Confined {
    /// Names that begin so.
    pub prefix: &'static str,
    /// Packages that may import it.
    pub only: &'static [&'static str],
    /// Why.
    pub why: &'static str,
}

const ASYNC: &[&str] = &["ringfence-egress", "ringfence-fleet", "ringfence-mcp", "ringfence-otel"];
const NO_ASYNC: &str = "the core is synchronous: async lives at the edges, and start-up time is the product";

/// The outside crates with a place of their own.
pub const CONFINED: &[Confined] = &[
    Confined { prefix: "clap", only: &["ringfence-cli", "xtask"], why: "only the command line parses arguments" },
    Confined { prefix: "tokio", only: ASYNC, why: NO_ASYNC },
    Confined { prefix: "hyper", only: ASYNC, why: NO_ASYNC },
    Confined { prefix: "axum", only: ASYNC, why: NO_ASYNC },
    Confined { prefix: "hickory", only: ASYNC, why: NO_ASYNC },
    Confined { prefix: "libc", only: &["ringfence-sandbox"], why: "raw system calls live in the sandbox's `sys`" },
    Confined { prefix: "seccompiler", only: &["ringfence-sandbox"], why: "only the sandbox confines" },
    Confined { prefix: "landlock", only: &["ringfence-sandbox"], why: "only the sandbox confines" },
    Confined { prefix: "starlark", only: &["ringfence-rules"], why: "rules are evaluated in one place" },
    Confined { prefix: "tree-sitter", only: &["ringfence-shell"], why: "command lines are read in one place" },
];

/// A source file that may be longer than 800 product lines, with the reason and the date.
pub const LONG_FILES: &[(&str, &str)] = &[];

/// The most packages that a package of the plain run path may link, itself included: what confines, and the library with
/// its decision but without its proxy.
pub const RUN_PATH: &[(&str, usize)] = &[("ringfence-sandbox", 32), ("ringfence-config", 48), ("ringfence", 190)];
