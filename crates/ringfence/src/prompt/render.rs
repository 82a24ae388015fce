//! What a question looks like: the act itself first and whole, then why, what it could touch, and the answers with what
//! each of them gives.

use crate::approver::Asked;
use ringfence_model::AbsPath;
use ringfence_model::action::{Action, Placement, display_argv};
use ringfence_model::grant::Lasts;
use ringfence_model::text;
use ringfence_model::verdict::Offer;

/// How the terminal can show things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub rows: usize,
    /// It shows box-drawing characters.
    pub unicode: bool,
    /// It shows bold text, and the person wants it.
    pub color: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 80, rows: 24, unicode: true, color: false }
    }
}

/// The lines of one question, without the line of keys' cursor. Nothing is cut: what is long is wrapped.
#[must_use]
pub fn question(asked: &Asked, look: Look) -> Vec<String> {
    let mut page = Page::new(look);
    page.top("ringfence asks");
    page.text(&heading(asked));
    page.gap();
    for line in act(&asked.action) {
        page.indented(&line);
    }
    page.gap();
    page.field("in", &asked.cwd.display());
    for (index, reason) in asked.reasons.iter().enumerate() {
        let label = if index == 0 { "why" } else { "" };
        let origin = match reason.source.is_explicit() {
            true => format!(" ({})", reason.source),
            false => String::new(),
        };
        page.field(label, &format!("{}{origin}", text::escape_controls(&reason.text)));
    }
    for (index, what) in wishes(&asked.question.wish).iter().enumerate() {
        page.field(if index == 0 { "gives" } else { "" }, what);
    }
    for mark in asked.question.marks.iter().chain(&odd_letters(&asked.action)) {
        page.field("look", &text::escape_controls(mark));
    }
    page.rule();
    page.field("y", "yes, this once");
    for (key, label) in session_keys(&asked.question.offers) {
        page.field(&key, &text::escape_controls(&label));
    }
    if let Some(offer) = asked.question.offers.iter().find(|offer| offer.lasts == Lasts::Always) {
        page.field("a", &text::escape_controls(&offer.text));
    }
    page.field("n", "no");
    page.field("e", "no, and say what to do instead");
    page.field("q", "no, and stop the run");
    page.bottom();
    page.lines
}

/// The lines of several questions as one list.
#[must_use]
pub fn list(asked: &[Asked], look: Look) -> Vec<String> {
    let mut page = Page::new(look);
    page.top("ringfence asks");
    page.text(&format!("{} requests came within a few seconds:", asked.len()));
    page.gap();
    for (index, one) in asked.iter().enumerate() {
        let place = match &one.question.wish {
            Placement::Inside => "",
            Placement::With(_) => "  [with more than the sandbox gives]",
            Placement::Outside => "  [outside the sandbox]",
        };
        page.field(&format!("{}.", index + 1), &format!("{}{place}", one.action.display()));
    }
    page.rule();
    page.field("y", "yes to all of these, this once");
    page.field("o", "ask one by one");
    page.field("n", "no to all");
    page.field("q", "no to all, and stop the run");
    page.bottom();
    page.lines
}

/// The lines of the question whether a project is trusted; `changes` says what changed of its own settings since it was.
#[must_use]
pub fn trust(root: &AbsPath, changes: &[String], look: Look) -> Vec<String> {
    let mut page = Page::new(look);
    page.top("ringfence asks");
    page.text(match changes {
        [] => "Do you trust this project?",
        _ => "The project's own settings changed since you trusted them. Do you still?",
    });
    page.gap();
    page.indented(&root.display());
    page.gap();
    for change in changes {
        page.indented(&text::escape_controls(change));
    }
    page.rule();
    if changes.is_empty() {
        page.field("y", "yes: commands may write here, and its own settings and rules count where they tighten");
    } else {
        page.field("y", "yes: they count as they are now");
    }
    page.field("n", "no: commands only read here, and every one but known reads asks");
    page.field("l", "later: its own settings aren't read, and the next start asks again");
    page.field("q", "stop here");
    page.bottom();
    page.lines
}

/// The session offers with their keys: `s`, or `s1`, `s2` where there are several.
pub(super) fn session_offers(offers: &[Offer]) -> Vec<usize> {
    offers.iter().enumerate().filter(|(_, offer)| offer.lasts == Lasts::Session).map(|(index, _)| index).collect()
}

fn session_keys(offers: &[Offer]) -> Vec<(String, String)> {
    let indexes = session_offers(offers);
    let several = indexes.len() > 1;
    let with_key = |(position, index): (usize, &usize)| {
        let offer = offers.get(*index)?;
        let key = if several { format!("s {}", position + 1) } else { "s".to_owned() };
        Some((key, offer.text.clone()))
    };
    indexes.iter().enumerate().filter_map(with_key).collect()
}

fn heading(asked: &Asked) -> String {
    let what = match &asked.action {
        Action::Exec(_) => "The agent wants to run",
        Action::Edit(_) => "The agent wants to change files",
        Action::Read(_) => "The agent wants to read",
        Action::McpCall(_) => "The agent wants to call a tool",
        Action::WebSearch(_) => "The agent wants to search the web",
        Action::Connect(_) => "A command wants to connect",
    };
    match asked.question.wish {
        Placement::Inside => format!("{what}:"),
        Placement::With(_) => format!("{what}, with more than the sandbox gives:"),
        Placement::Outside => format!("{what}, outside the sandbox:"),
    }
}

fn act(action: &Action) -> Vec<String> {
    match action {
        Action::Exec(exec) => vec![display_argv(&exec.argv)],
        Action::Edit(edit) => edit
            .changes
            .iter()
            .map(|change| {
                let kind = serde_json::to_value(change.kind).ok().and_then(|kind| Some(kind.as_str()?.to_owned()));
                format!("{} {}", kind.unwrap_or_default(), change.path.display())
            })
            .collect(),
        other => vec![other.display()],
    }
}

fn wishes(wish: &Placement) -> Vec<String> {
    let Placement::With(more) = wish else { return Vec::new() };
    let mut out = Vec::new();
    out.extend(more.write.iter().map(|path| format!("write under {}", path.display())));
    out.extend(more.read.iter().map(|path| format!("read {}", path.display())));
    out.extend(more.network.iter().map(|host| format!("connect to {}", text::escape(host))));
    out.extend(more.unix_sockets.iter().map(|path| format!("talk to the socket {}", path.display())));
    out
}

/// Letters that look like others: named by their number, since their shape can't be trusted.
fn odd_letters(action: &Action) -> Vec<String> {
    let Action::Exec(exec) = action else { return Vec::new() };
    let odd: Vec<String> = exec
        .argv
        .iter()
        .filter_map(|word| word.as_str())
        .flat_map(str::chars)
        .filter(|c| !c.is_ascii() && c.is_alphanumeric())
        .take(8)
        .map(|c| format!("`{c}` is U+{:04X}", u32::from(c)))
        .collect();
    match odd.is_empty() {
        true => Vec::new(),
        false => vec![format!("has letters outside ASCII, which can look like others: {}", odd.join(", "))],
    }
}

struct Page {
    look: Look,
    lines: Vec<String>,
}

/// Width of the column of labels and keys.
const LABEL: usize = 7;

impl Page {
    fn new(look: Look) -> Self {
        Self { look: Look { width: look.width.clamp(20, 160), ..look }, lines: Vec::new() }
    }

    fn glyph(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.look.unicode { unicode } else { ascii }
    }

    fn top(&mut self, title: &str) {
        let title = if self.look.color { format!("\x1b[1m{title}\x1b[0m") } else { title.to_owned() };
        self.lines.push(format!("{} {title}", self.glyph("┌─", "+-")));
    }

    fn rule(&mut self) {
        self.lines.push(self.glyph("├─", "+-").to_owned());
    }

    fn bottom(&mut self) {
        self.lines.push(self.glyph("└─", "+-").to_owned());
    }

    fn gap(&mut self) {
        self.lines.push(self.glyph("│", "|").to_owned());
    }

    fn text(&mut self, text: &str) {
        self.wrapped("", "", text);
    }

    fn indented(&mut self, text: &str) {
        self.wrapped("  ", "  ", text);
    }

    fn field(&mut self, label: &str, text: &str) {
        let first = format!("{label:<LABEL$}");
        self.wrapped(&first, &" ".repeat(LABEL), text);
    }

    /// Breaks at blanks where there are some, else anywhere; nothing is left out.
    fn wrapped(&mut self, first: &str, next: &str, text: &str) {
        let bar = self.glyph("│", "|");
        let room = self.look.width.saturating_sub(2 + first.chars().count()).max(8);
        let mut rest: Vec<char> = text.chars().collect();
        let mut lead = first.to_owned();
        loop {
            let mut take = rest.len().min(room);
            if take < rest.len() {
                let blank = rest.iter().take(take).rposition(|c| *c == ' ').filter(|at| *at > room / 2);
                take = blank.map_or(take, |at| at + 1);
            }
            let after = rest.split_off(take);
            let line: String = rest.iter().collect();
            self.lines.push(format!("{bar} {lead}{line}"));
            if after.is_empty() {
                return;
            }
            rest = after;
            next.clone_into(&mut lead);
        }
    }
}
