//! How a machine gets its policy: the cached one at once, a newer one beside the run, a first one within a short deadline.
//!
//! Nothing here stops a run. Whether going on without a policy is allowed (`[cloud] required`) is for whoever asked.

use crate::fetch::{self, FetchError, Fetched, Source};
use crate::store::{Attempt, Store, StoreError};
use ringfence_config::bundle::{self, Bundle, BundleError, CacheEntry, PublicKey, Seen, UnixTime, Verified};
use ringfence_model::Notice;
use serde::Serialize;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A cached policy younger than this isn't asked about again.
const REFRESH_AFTER: u64 = 15 * 60;

/// A cached policy that wasn't confirmed for this long, or is used no longer than this, is overdue: a run waits for its
/// renewal at its end. Otherwise whoever only runs short commands would never get a new one.
const OVERDUE: u64 = 60 * 60;

/// The most that a run waits at its end for an overdue renewal.
const GRACE: Duration = Duration::from_secs(2);

/// After a failure the service is left in peace for this long.
const RETRY_AFTER: u64 = 60;

/// A machine's or user's access to one policy service.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where policy comes from.
    pub source: Source,
    /// Who may sign it.
    pub keys: Vec<PublicKey>,
    /// Whom it must be for.
    pub audience: String,
    /// Where it is kept.
    pub store: Store,
}

/// Why a policy isn't used, or wasn't renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// It doesn't deserve belief.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It didn't arrive.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It can't be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The service failed moments ago and isn't asked again yet.
    #[error("the policy service failed at {at} and isn't asked again before {again}: {trouble}")]
    Waiting {
        /// When it failed.
        at: UnixTime,
        /// When it is asked again.
        again: UnixTime,
        /// What went wrong then.
        trouble: String,
    },
}

impl Trouble {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bundle(error) => error.code(),
            Self::Fetch(_) => "policy-not-fetched",
            Self::Store(_) => "policy-state",
            Self::Waiting { .. } => "policy-service-waiting",
        }
    }

    /// As a person is told, once.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let hint = match self {
            Self::Bundle(error) => error.hint(),
            Self::Fetch(FetchError::Unauthorized { .. }) => Some("ask whoever runs the policy service for a token"),
            Self::Fetch(FetchError::Insecure { .. } | FetchError::Redirect { .. } | FetchError::Url { .. }) => {
                Some("correct `[cloud] url`")
            }
            _ => Some("`ringfence policy status` shows what is in force and what was tried"),
        };
        Notice { code: self.code().to_owned(), text: self.to_string(), origin: None, hint: hint.map(str::to_owned) }
    }
}

/// What a start has to go on.
#[must_use]
pub struct Obtained {
    /// The policy in force; `None`: there is none.
    pub policy: Option<Verified>,
    /// What went wrong on the way.
    pub troubles: Vec<Trouble>,
    /// A renewal that goes on beside the run.
    pub refresh: Option<Refresh>,
}

/// What a renewal brought.
#[derive(Debug)]
#[must_use]
pub struct Refreshed {
    /// The policy now in the cache.
    pub policy: Verified,
    /// Whether it is another than before.
    pub changed: bool,
}

/// A renewal that goes on beside the run. Dropping it lets it go on; the process's end ends it, at any point safely.
pub struct Refresh {
    result: Receiver<Result<Refreshed, Trouble>>,
    overdue: bool,
}

impl Refresh {
    /// Waits at most `grace` for the result; `None`: not yet done.
    #[must_use]
    pub fn finish(self, grace: Duration) -> Option<Result<Refreshed, Trouble>> {
        self.result.recv_timeout(grace).ok()
    }

    /// At the end of a run: an overdue renewal gets a short while, one that is merely due gets none.
    pub fn settle(self) {
        if self.overdue {
            // What became of it is in the cache and in `policy status`.
            drop(self.finish(GRACE));
        }
    }
}

impl Client {
    /// The cached policy, if it is still to be believed. No network; two small files and one signature.
    pub fn cached(&self, now: UnixTime) -> Result<Option<Verified>, Trouble> {
        Ok(self.cached_entry(now)?.map(|(_, verified)| verified))
    }

    fn cached_entry(&self, now: UnixTime) -> Result<Option<(CacheEntry, Verified)>, Trouble> {
        // What another service gave is as good as nothing: it counts versions from its own beginning.
        let Some(entry) = self.store.cached()?.filter(|entry| entry.url == self.source.url) else { return Ok(None) };
        let seen = self.store.seen()?;
        let verified = self.verify(&entry.bundle, now, seen.get(&self.audience))?;
        Ok(Some((entry, verified)))
    }

    fn verify(&self, found: &Bundle, now: UnixTime, seen: Option<&Seen>) -> Result<Verified, Trouble> {
        Ok(bundle::verify_bundle(found, &self.keys, &self.audience, now, seen)?)
    }

    /// The policy for a start at `now`. A valid cached one is used at once, and renewed beside if it is due; otherwise the
    /// service is asked once, within the source's deadline. `insist`: ask even if it failed a moment ago.
    pub fn obtain(&self, now: UnixTime, insist: bool) -> Obtained {
        let mut troubles = Vec::new();
        match self.cached_entry(now) {
            Ok(Some((entry, verified))) => {
                let overdue = entry.checked_at.plus(OVERDUE) <= now || verified.expires_at() <= now.plus(OVERDUE);
                let refresh = self.is_due(&entry, now).then(|| self.refresh_beside(now, overdue));
                return Obtained { policy: Some(verified), troubles, refresh };
            }
            Ok(None) => {}
            Err(trouble) => troubles.push(trouble),
        }
        match self.recent_failure(now).filter(|_| !insist) {
            Some(waiting) => troubles.push(waiting),
            None => match self.refresh(now) {
                Ok(refreshed) => return Obtained { policy: Some(refreshed.policy), troubles, refresh: None },
                Err(trouble) => troubles.push(trouble),
            },
        }
        Obtained { policy: None, troubles, refresh: None }
    }

    fn is_due(&self, entry: &CacheEntry, now: UnixTime) -> bool {
        // A check from the future says nothing: the clock was set back.
        let fresh = entry.checked_at <= now && now < entry.checked_at.plus(REFRESH_AFTER);
        !fresh && self.recent_failure(now).is_none()
    }

    fn recent_failure(&self, now: UnixTime) -> Option<Trouble> {
        let Attempt { at, trouble } = self.store.last_attempt()?;
        let again = at.plus(RETRY_AFTER);
        let trouble = trouble?;
        (at <= now && now < again).then_some(Trouble::Waiting { at, again, trouble })
    }

    /// Begins a renewal in a thread of its own.
    fn refresh_beside(&self, now: UnixTime, overdue: bool) -> Refresh {
        let (sender, receiver) = channel();
        let client = self.clone();
        let spawned = std::thread::Builder::new().name("policy-refresh".to_owned()).spawn(move || {
            // Nobody may be listening any more; the cache has the result all the same.
            let _ = sender.send(client.refresh(now));
        });
        // A thread that can't be made leaves a closed channel, which reads as "not done"; the next start tries again.
        drop(spawned);
        Refresh { result: receiver, overdue }
    }

    /// Asks the service now, believes or refuses its answer, and keeps a believed one.
    pub fn refresh(&self, now: UnixTime) -> Result<Refreshed, Trouble> {
        let result = self.ask(now);
        let trouble = result.as_ref().err().map(|trouble| trouble.to_string());
        self.store.note_attempt(&Attempt { at: now, trouble });
        result
    }

    fn ask(&self, now: UnixTime) -> Result<Refreshed, Trouble> {
        let seen = self.store.seen()?;
        // "Not modified" is only asked for about a bundle that would be used.
        let cached = self.cached_entry(now).ok().flatten();
        let etag = cached.as_ref().and_then(|(entry, _)| entry.etag.as_deref());
        let (entry, policy, changed) = match (fetch::fetch(&self.source, etag)?, cached) {
            (Fetched::NotModified, Some((entry, policy))) => {
                (CacheEntry::new(entry.url, entry.etag, now, entry.bundle), policy, false)
            }
            (Fetched::NotModified, None) => return Err(FetchError::Status { status: 304 }.into()),
            (Fetched::Bytes { bytes, etag }, cached) => {
                let found = Bundle::parse(&bytes)?;
                let policy = self.verify(&found, now, seen.get(&self.audience))?;
                let changed = cached.is_none_or(|(_, before)| before.seen() != policy.seen());
                (CacheEntry::new(self.source.url.clone(), etag, now, found), policy, changed)
            }
        };
        self.store.accept(&entry, &policy)?;
        Ok(Refreshed { policy, changed })
    }

    /// What is known without asking anybody.
    #[must_use]
    pub fn status(&self, now: UnixTime) -> Status {
        let mut troubles = Vec::new();
        let cached = match self.cached_entry(now) {
            Ok(found) => found.map(|(entry, policy)| CachedPolicy {
                version: policy.version(),
                audience: policy.audience().to_owned(),
                issued_at: policy.issued_at(),
                expires_at: policy.expires_at(),
                checked_at: entry.checked_at,
                url: entry.url,
                key: policy.key().to_string(),
            }),
            Err(trouble) => {
                troubles.push(trouble.to_string());
                None
            }
        };
        let highest_seen = match self.store.seen() {
            Ok(seen) => seen.get(&self.audience).map(|seen| seen.version),
            Err(error) => {
                troubles.push(error.to_string());
                None
            }
        };
        troubles.dedup();
        Status {
            url: self.source.url.clone(),
            audience: self.audience.clone(),
            in_force: cached,
            highest_seen,
            last_attempt: self.store.last_attempt(),
            troubles,
        }
    }
}

/// What `policy status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The service.
    pub url: String,
    /// Whom bundles must be for.
    pub audience: String,
    /// The cached bundle, if it is to be believed now.
    pub in_force: Option<CachedPolicy>,
    /// The highest version accepted for this audience.
    pub highest_seen: Option<u64>,
    /// When the service was last asked, and what went wrong.
    pub last_attempt: Option<Attempt>,
    /// Why the cached bundle isn't used.
    pub troubles: Vec<String>,
}

/// A verified bundle in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CachedPolicy {
    /// Its version.
    pub version: u64,
    /// Whom it is for.
    pub audience: String,
    /// When it was signed.
    pub issued_at: UnixTime,
    /// Until when it is used.
    pub expires_at: UnixTime,
    /// When the service last confirmed it.
    pub checked_at: UnixTime,
    /// Where it came from.
    pub url: String,
    /// Who signed it.
    pub key: String,
}
