//! Asking about a host that no rule names, while its connections are held.
//!
//! Many connections to one destination ask once and share the answer. Questions are bounded in number and in time; what
//! can't be asked is refused.

use crate::host::Target;
use crate::policy::Rule;
use ringfence_model::grant::Lasts;
use ringfence_model::network::NetworkProtocol;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which sandbox wants it.
    pub sandbox: String,
    /// Where to.
    pub target: Target,
    /// How the first connection came.
    pub protocol: NetworkProtocol,
    /// The rule that says to ask; none if no rule names the host.
    pub rule: Option<Rule>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The connections held now.
    Once,
    /// The connections held now, by a grant that lasts as long. Whoever is asked keeps it, gives it again for the next
    /// connections, and can take it back.
    Kept(Lasts),
    /// Every connection to this host and port until the session ends.
    Session,
    /// No, and why.
    No(String),
}

/// A future that can be sent between threads.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Somebody who can be asked.
pub trait Ask: Send + Sync + 'static {
    /// Asks. Writing an "always" rule is the asker's business; here it is a [`Answer::Session`].
    fn ask(&self, question: Question) -> Later<Answer>;
}

/// A question that waits for its answer. Dropping it is a no.
pub struct Pending {
    /// The question.
    pub question: Question,
    /// True once nobody waits for the answer: the session ended, or the time to hold connections is over.
    pub over: Arc<AtomicBool>,
    reply: oneshot::Sender<Answer>,
}

impl Pending {
    /// Answers.
    pub fn answer(self, answer: Answer) {
        // If nobody waits any more, nobody needs it.
        let _ = self.reply.send(answer);
    }
}

/// Somebody who is asked on a thread of their own: questions come out of the receiver, in order.
#[must_use]
pub fn queue() -> (Arc<dyn Ask>, mpsc::Receiver<Pending>) {
    struct Queue(mpsc::Sender<Pending>);

    impl Ask for Queue {
        fn ask(&self, question: Question) -> Later<Answer> {
            let (reply, answer) = oneshot::channel();
            let over = Over(Arc::default());
            let _ = self.0.send(Pending { question, over: Arc::clone(&over.0), reply });
            Box::pin(async move {
                let _over = over;
                answer.await.unwrap_or_else(|_| Answer::No("nobody answered".to_owned()))
            })
        }
    }

    let (sender, receiver) = mpsc::channel();
    (Arc::new(Queue(sender)), receiver)
}

/// Says that a question is over when whoever waited for its answer is gone.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Bounds on questions.
#[derive(Debug, Clone, Copy)]
pub struct AskLimits {
    /// Different destinations asked about at once.
    pub pending: usize,
    /// How long a connection is held at most.
    pub hold: Duration,
}

impl Default for AskLimits {
    fn default() -> Self {
        Self { pending: 32, hold: Duration::from_secs(600) }
    }
}

/// The open questions of one session, and what was granted.
pub(crate) struct Asking {
    asker: Option<Arc<dyn Ask>>,
    limits: AskLimits,
    open: Arc<Mutex<HashMap<Target, watch::Receiver<Option<Answer>>>>>,
}

const NOBODY: &str = "no rule allows it, and nobody can be asked";

impl Asking {
    pub(crate) fn new(asker: Option<Arc<dyn Ask>>, limits: AskLimits) -> Self {
        Self { asker, limits, open: Arc::default() }
    }

    /// Asks, or waits for the answer to the same question.
    pub(crate) async fn ask(&self, question: Question, on_ask: impl FnOnce()) -> Answer {
        let Some(asker) = &self.asker else { return Answer::No(NOBODY.to_owned()) };
        let mut waiting = match self.join(&question.target) {
            Joined::Open(waiting) => waiting,
            Joined::Full => return Answer::No("too many questions are open".to_owned()),
            Joined::New(sender, waiting) => {
                on_ask();
                let (open, target, hold) = (Arc::clone(&self.open), question.target.clone(), self.limits.hold);
                let answer = asker.ask(question);
                // The question outlives the connection that asked first: others may be waiting for it.
                tokio::spawn(async move {
                    let forget = Forget { open, target };
                    let answer = tokio::time::timeout(hold, answer)
                        .await
                        .unwrap_or_else(|_| Answer::No("nobody answered in time".to_owned()));
                    drop(forget);
                    sender.send_replace(Some(answer));
                });
                waiting
            }
        };
        match waiting.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Answer::No(NOBODY.to_owned())),
            Err(_) => Answer::No("the question was broken off".to_owned()),
        }
    }

    fn join(&self, target: &Target) -> Joined {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = open.get(target) {
            return Joined::Open(waiting.clone());
        }
        if open.len() >= self.limits.pending {
            return Joined::Full;
        }
        let (sender, receiver) = watch::channel(None);
        open.insert(target.clone(), receiver.clone());
        Joined::New(sender, receiver)
    }
}

enum Joined {
    Open(watch::Receiver<Option<Answer>>),
    New(watch::Sender<Option<Answer>>, watch::Receiver<Option<Answer>>),
    Full,
}

/// Takes the question off the list, also when the asker panics.
struct Forget {
    open: Arc<Mutex<HashMap<Target, watch::Receiver<Option<Answer>>>>>,
    target: Target,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.target);
    }
}
