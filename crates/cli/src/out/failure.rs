//! How Ringfence fails: what failed, why, where the setting at fault stands, what to do next.

use super::Paint;
use ringfence_model::origin::Origin;
use ringfence_model::report::status;
use std::error::Error;
use std::process::ExitCode;

/// A failure of Ringfence itself, with the exit status it ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    status: u8,
    text: String,
    causes: Vec<String>,
    because: Vec<String>,
    origin: Option<Origin>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure to start: exit status 125.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status: status::FAILED,
            text: text.into(),
            causes: Vec::new(),
            because: Vec::new(),
            origin: None,
            hints: Vec::new(),
        }))
    }

    /// From an error and what lies behind it.
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // An error that says its cause in its own sentence has said it.
            if !failure.0.causes.last().unwrap_or(&failure.0.text).contains(&text) {
                failure.0.causes.push(text);
            }
            source = cause.source();
        }
        failure
    }

    /// As this, with another exit status.
    #[must_use]
    pub fn status(mut self, status: u8) -> Self {
        self.0.status = status;
        self
    }

    /// As this, with what lies behind it.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// As this, with a further reason of policy.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.0.because.push(reason.into());
        self
    }

    /// As this, with the setting at fault.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<Option<Origin>>) -> Self {
        self.0.origin = origin.into();
        self
    }

    /// As this, with something to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// The exit status it ends with.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        self.0.status
    }

    /// As shown.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let mut lines = vec![format!("{} {}", paint.bad("ringfence:"), self.0.text)];
        lines.extend(self.0.causes.iter().map(|cause| format!("  caused by: {cause}")));
        lines.extend(self.0.because.iter().map(|reason| format!("  because: {reason}")));
        lines.extend(self.0.origin.iter().map(|origin| format!("  set at: {origin}")));
        lines.extend(self.0.hints.iter().map(|hint| format!("  {} {hint}", paint.warn("hint:"))));
        lines.join("\n")
    }

    /// Prints it and gives the exit status.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("{}", self.render(Paint::stderr()));
        ExitCode::from(self.0.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_where_and_what_next() {
        let failure = Failure::new("`/` can't be a writable root")
            .cause("it holds the whole system")
            .origin(Origin::flag("--add-dir"))
            .hint("name a directory below it");
        assert_eq!(
            failure.render(Paint::plain()),
            "ringfence: `/` can't be a writable root\n  caused by: it holds the whole system\n  set at: flag \
             `--add-dir`\n  hint: name a directory below it"
        );
    }
}
