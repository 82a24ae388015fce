//! An agent with an approver of its own: it says yes to commands in a list, no to everything else, and shows what each
//! decision rested on. Nothing runs.
//!
//! ```text
//! cargo run --example own_approver
//! ```

use ringfence::action::Action;
use ringfence::approver::{Approver, Asked, NoAnswer};
use ringfence::config::Overrides;
use ringfence::model::grant::Answer;
use ringfence::{AuthorizeError, Opening, Session};
use std::sync::Arc;

struct List(&'static [&'static str]);

impl Approver for List {
    fn name(&self) -> &str {
        "program"
    }

    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        let Action::Exec(exec) = &asked.action else { return Err(NoAnswer::Nobody) };
        let program = exec.argv.first().and_then(|word| word.as_str()).unwrap_or_default();
        match self.0.contains(&program) {
            true => Ok(Answer::Once),
            false => Ok(Answer::No { say: Some(format!("only {} may run here", self.0.join(", "))) }),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut flags = Overrides::default();
    flags.config("sandbox_mode=read-only")?;
    flags.config("approval_policy=untrusted")?;
    let session = Session::open(Opening { flags, approver: Some(Arc::new(List(&["make"]))), ..Opening::default() })?;
    for argv in [&["ls", "-l"][..], &["make", "test"], &["curl", "https://example.com"]] {
        let action = session.exec(argv.iter().copied());
        println!("{}", action.display());
        match session.authorize(action) {
            Ok(authorization) => {
                for reason in authorization.reasons() {
                    println!("  runs: {}", reason.text);
                }
                session.abandon(authorization);
            }
            Err(AuthorizeError::Denied { say, .. }) => println!("  denied: {}", say.unwrap_or_default()),
            Err(error) => println!("  {error}"),
        }
    }
    Ok(())
}
