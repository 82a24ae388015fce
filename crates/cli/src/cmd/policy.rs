//! `ringfence policy`: keys, bundles, the small server, and what is in force on this machine.

use crate::out::{Failure, json};
use clap::{Args, Subcommand};
use ringfence::facts::Start;
use ringfence_config::bundle::{Bundle, PublicKey, UnixTime, verify};
use ringfence_config::gather::World as _;
use ringfence_config::layers::Document;
use ringfence_config::node::{Node, Source as Origin, Table, at};
use ringfence_config::requirements::{self, Host, Standing};
use ringfence_config::{ConfigError, Places, Request, Resolved};
use ringfence_fleet as fleet;
use ringfence_model::AbsPath;
use ringfence_model::origin::Layer;
use ringfence_model::units::Span;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `ringfence policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a signing key: the secret half into a new file, the public half on standard output
    Keygen {
        /// The new file
        file: PathBuf,
    },
    /// Sign a requirements file as a policy bundle
    Sign(SignArgs),
    /// Check a bundle as a machine would
    Verify(VerifyArgs),
    /// Hand out a signed bundle to whoever has a token
    Serve(ServeArgs),
    /// Show the policy in force here, without asking the service
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Ask the service now and keep its answer if it is to be believed
    Refresh {
        /// Certificate authorities to trust instead of this machine's, as a PEM file
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
}

/// `ringfence policy sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The requirements file
    pub requirements: PathBuf,
    /// The signing key's file
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Whom the policy is for; machines compare it with `[cloud] audience`
    #[arg(long)]
    pub audience: String,
    /// The version; without it, one more than that of `--previous`
    #[arg(long, required_unless_present = "previous")]
    pub version: Option<u64>,
    /// The bundle in force now; the new version must be higher
    #[arg(long, value_name = "BUNDLE")]
    pub previous: Option<PathBuf>,
    /// How long it is in force
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    pub lifetime: String,
    /// Where to write it, replacing what is there at once; without it, standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `ringfence policy verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The bundle
    pub bundle: PathBuf,
    /// A key that may have signed it; may be given again
    #[arg(long, value_name = "KEY", required = true)]
    pub key: Vec<String>,
    /// Whom it must be for
    #[arg(long)]
    pub audience: String,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `ringfence policy serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The signed bundle; read anew for every request
    pub bundle: PathBuf,
    /// File of accepted tokens, one per line
    #[arg(long, value_name = "FILE")]
    pub tokens: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8470")]
    pub listen: SocketAddr,
    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// Does it.
pub fn main(args: &PolicyArgs) -> Result<ExitCode, Failure> {
    match &args.action {
        Action::Keygen { file } => keygen(file),
        Action::Sign(args) => sign(args),
        Action::Verify(args) => check(args),
        Action::Serve(args) => serve(args),
        Action::Status { json } => show(*json),
        Action::Refresh { ca } => refresh(ca.as_deref()),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::from_error(error)
}

fn keygen(file: &Path) -> Result<ExitCode, Failure> {
    let key = fleet::SecretKey::generate().map_err(|error| failed(&error))?;
    let public = key.public().ok_or_else(|| Failure::new("the random source gave an unusable key; try again"))?;
    key.write(file).map_err(|error| failed(&error))?;
    json::text_out(&public.to_string());
    eprintln!("the secret half is in {}; list the public half under `[cloud] public_keys`", file.display());
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let text = || format!("could not read {}", path.display());
    let bytes = fleet::read_bounded(path, limit).map_err(|error| Failure::new(text()).cause(error.to_string()))?;
    bytes.ok_or_else(|| Failure::new(text()).cause("it doesn't exist"))
}

fn bundle(path: &Path) -> Result<Bundle, Failure> {
    Bundle::parse(&read(path, ringfence_config::bundle::MAX_BUNDLE)?)
        .map_err(|error| Failure::new(format!("{} is not a bundle", path.display())).cause(error.to_string()))
}

fn sign(args: &SignArgs) -> Result<ExitCode, Failure> {
    let key = fleet::SecretKey::read(&args.key).map_err(|error| failed(&error))?;
    let text = read(&args.requirements, ringfence_config::bundle::MAX_REQUIREMENTS)?;
    let requirements =
        String::from_utf8(text).map_err(|_| Failure::new(format!("{} is not UTF-8", args.requirements.display())))?;
    let previous = args.previous.as_deref().map(bundle).transpose()?;
    let next = previous.as_ref().and_then(|previous| previous.version.checked_add(1));
    let version = args.version.or(next).ok_or_else(|| Failure::new("no higher version is left"))?;
    let lifetime: Span = args.lifetime.parse().map_err(|error| Failure::new(format!("{error}")))?;
    let draft = fleet::Draft {
        requirements,
        audience: args.audience.clone(),
        version,
        issued_at: fleet::now(),
        lifetime: lifetime.0.as_secs(),
    };
    let readable = |text: &str| readable(text, &args.requirements);
    let signed = fleet::sign(draft, &key, previous.as_ref(), readable).map_err(|error| failed(&error))?;
    let text = serde_json::to_string(&signed).map_err(|error| failed(&error))?;
    match &args.out {
        Some(path) => fleet::write_atomically(path, format!("{text}\n").as_bytes()).map_err(|error| failed(&error))?,
        None => json::text_out(&text),
    }
    eprintln!("signed version {} for `{}` until {}", signed.version, signed.audience, signed.expires_at);
    Ok(ExitCode::SUCCESS)
}

/// Reads requirements as a machine will that gets them in a bundle.
fn readable(text: &str, file: &Path) -> Result<(), String> {
    let source = Origin::file(file, Layer::CloudRequirements);
    let document = Document::parse(text.as_bytes(), source).map_err(|problem| problem.to_string())?;
    let home = AbsPath::new("/home/somebody").ok();
    let host = Host { name: None, user_home: home.as_ref() };
    requirements::read(&document, host, Standing::Cloud)
        .map(drop)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

#[derive(Serialize)]
struct Verdict {
    schema: &'static str,
    version: u64,
    audience: String,
    issued_at: UnixTime,
    expires_at: UnixTime,
    key: String,
}

fn check(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let keys: Vec<PublicKey> =
        args.key.iter().map(|key| key.parse()).collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    let bytes = read(&args.bundle, ringfence_config::bundle::MAX_BUNDLE)?;
    let verified = verify(&bytes, &keys, &args.audience, fleet::now(), None).map_err(|error| {
        let failure = failed(&error);
        error.hint().map_or(failure.clone(), |hint| failure.hint(hint))
    })?;
    readable(verified.requirements(), &args.bundle)
        .map_err(|why| Failure::new("the signature is good, but the requirements can't be read").cause(why))?;
    let verdict = Verdict {
        schema: "ringfence.dev/v1/policy-bundle",
        version: verified.version(),
        audience: verified.audience().to_owned(),
        issued_at: verified.issued_at(),
        expires_at: verified.expires_at(),
        key: verified.key().to_string(),
    };
    if args.json {
        return json::print(&verdict);
    }
    let Verdict { version, audience, issued_at, expires_at, key, .. } = verdict;
    let audience = ringfence_model::text::escape(&audience);
    json::text_out(&format!(
        "version {version} for `{audience}`, signed {issued_at} by {key}, in force until {expires_at}"
    ));
    Ok(ExitCode::SUCCESS)
}

fn serve(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let tokens = fleet::Token::read_all(&args.tokens).map_err(|error| failed(&error))?;
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    let tls = tls.map(|(certificate, key)| fleet::TlsFiles { certificate, key });
    let log = |answered: fleet::Answered| eprintln!("{} {} {}", fleet::now(), answered.status, answered.why);
    let server = fleet::Server::bind(args.listen, args.bundle.clone(), &tokens, tls.as_ref(), log)
        .map_err(|error| failed(&error))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    eprintln!("serving {} at {scheme}://{}/v1/policy", args.bundle.display(), server.address());
    server.run(None).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// The service that settings and requirements name, read so that it is found even where its absence stops everything.
fn client(ca: Option<&Path>) -> Result<Option<fleet::Client>, Failure> {
    let start = Start::ambient(None).map_err(|error| failed(&error))?;
    let places = Places::of_machine(start.ringfence_home.clone());
    let mut request = Request::new(places.clone(), start.cwd.clone());
    request.user_home.clone_from(&start.home);
    let service = match ringfence_config::load_from(&request, &ringfence::machine()) {
        Ok(resolved) => named(&resolved),
        Err(_) => written(&places)?,
    };
    service.map(|service| client_of(&places, service, ca)).transpose()
}

fn client_of(places: &Places, service: Service, ca: Option<&Path>) -> Result<fleet::Client, Failure> {
    let (url, audience, keys) = service;
    let roots = match ca {
        Some(path) => fleet::Roots::Pem(read(path, 1 << 20)?),
        None => fleet::Roots::System,
    };
    let source = fleet::Source { url, token: token(places)?, roots, deadline: fleet::DEADLINE };
    let store = fleet::Store::below(&places.home.as_path().join("state"));
    Ok(fleet::Client { source, keys, audience, store })
}

/// Loads the settings of a start. A policy that is cached and in force is used at once and renewed beside the run; where
/// there is none, the service is asked once, within its short deadline.
pub fn load(request: &Request) -> Result<Resolved, ConfigError> {
    let mut first = ringfence_config::load_from(request, &ringfence::machine());
    let absent = match &first {
        Ok(resolved) => resolved.notices.iter().any(|notice| notice.code == "no-policy"),
        Err(ConfigError::NoPolicy { .. }) => true,
        Err(_) => return first,
    };
    if !absent {
        if let Ok(resolved) = &first
            && let Some(named) = named(resolved)
            && let Ok(client) = client_of(&request.places, named, None)
        {
            // It goes on in a thread of its own, and ends with the process at the latest: the cache is never half-written.
            crate::beside::renew(client.obtain(fleet::now(), /* insist */ false).refresh);
        }
        return first;
    }
    let service = match &first {
        Ok(resolved) => Ok(named(resolved)),
        Err(_) => written(&request.places),
    };
    let Ok(Some(service)) = service else { return first };
    let Ok(client) = client_of(&request.places, service, None) else { return first };
    let obtained = client.obtain(fleet::now(), /* insist */ first.is_err());
    if obtained.policy.is_some() {
        return ringfence_config::load_from(request, &ringfence::machine());
    }
    match &mut first {
        Ok(resolved) => resolved.notices.extend(obtained.troubles.iter().map(fleet::Trouble::notice)),
        Err(ConfigError::NoPolicy { why, .. }) => {
            if let Some(trouble) = obtained.troubles.last() {
                *why = trouble.to_string();
            }
        }
        Err(_) => {}
    }
    first
}

/// The machine's token, else the user's.
fn token(places: &Places) -> Result<Option<fleet::Token>, Failure> {
    for path in [places.system.join("policy-token"), places.home.as_path().join("policy-token")] {
        match fleet::Token::read_all(&path) {
            Ok(tokens) => return Ok(tokens.into_iter().next()),
            Err(fleet::TokenError::Read { cause, .. })
                if matches!(cause.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(None)
}

type Service = (String, String, Vec<PublicKey>);

/// As resolved settings name it.
fn named(resolved: &Resolved) -> Option<Service> {
    let (cloud, settings) = (&resolved.requirements.cloud, &resolved.settings.cloud);
    let url = cloud.url.as_ref().or(settings.url.as_ref()).map(|url| url.value.clone());
    let audience = cloud.audience.as_ref().or(settings.audience.as_ref()).map(|audience| audience.value.clone());
    let keys = cloud.public_keys.iter().filter_map(|key| key.value.parse().ok()).collect();
    url.zip(audience).map(|(url, audience)| (url, audience, keys))
}

/// As the files write it.
fn written(places: &Places) -> Result<Option<Service>, Failure> {
    // A required policy that isn't there stops the ordinary way; its address stands in the same files.
    let file = places.system.join("requirements.toml");
    let system = match ringfence::machine().read_trusted(&file) {
        Ok(Some(bytes)) => Document::parse(&bytes, Origin::file(&file, Layer::SystemRequirements)),
        Ok(None) => return Ok(None),
        Err(_) => {
            return Err(Failure::new(format!("{} can't be trusted or read", file.display()))
                .hint("`ringfence config check` says what is wrong with it"));
        }
    };
    let system = system.map_err(|problem| Failure::new(problem.to_string()))?.table;
    let user = places.home.as_path().join("config.toml");
    let user = ringfence::machine().read(&user).ok().flatten().and_then(|bytes| {
        Document::parse(&bytes, Origin::file(&user, Layer::User)).ok().map(|document| document.table)
    });
    let text = |key: &str| {
        let of = |table: &Table| at(table, &["cloud", key]).and_then(Node::as_str).map(str::to_owned);
        of(&system).or_else(|| user.as_ref().and_then(of))
    };
    let keys = at(&system, &["cloud", "public_keys"]).and_then(Node::as_list).unwrap_or(&[]);
    let keys = keys.iter().filter_map(|key| key.as_str()?.parse().ok()).collect();
    Ok(text("url").zip(text("audience")).map(|(url, audience)| (url, audience, keys)))
}

fn unset() -> Failure {
    Failure::new("no policy service is set")
        .hint("an administrator sets `url`, `audience` and `public_keys` under `[cloud]` in `requirements.toml`")
}

#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    #[serde(flatten)]
    status: fleet::Status,
}

fn show(as_json: bool) -> Result<ExitCode, Failure> {
    let client = client(None)?.ok_or_else(unset)?;
    let status = client.status(fleet::now());
    if as_json {
        return json::print(&Shown { schema: "ringfence.dev/v1/policy-status", status });
    }
    let escape = ringfence_model::text::escape;
    let mut lines = vec![format!("service   {} for `{}`", escape(&status.url), escape(&status.audience))];
    match &status.in_force {
        Some(policy) => {
            lines.push(format!("in force  version {} until {}", policy.version, policy.expires_at));
            lines.push(format!("signed    {} by {}", policy.issued_at, policy.key));
            lines.push(format!("checked   {}", policy.checked_at));
        }
        None => lines.push("in force  nothing".to_owned()),
    }
    lines.extend(
        status.highest_seen.map(|version| format!("highest   version {version} was seen; lower ones are refused")),
    );
    if let Some(attempt) = &status.last_attempt {
        let result = attempt.trouble.as_deref().map_or_else(|| "well".to_owned(), escape);
        lines.push(format!("asked     {}: {result}", attempt.at));
    }
    lines.extend(status.troubles.iter().map(|trouble| format!("not used  {}", escape(trouble))));
    json::text_out(&lines.join("\n"));
    Ok(ExitCode::SUCCESS)
}

fn refresh(ca: Option<&Path>) -> Result<ExitCode, Failure> {
    let client = client(ca)?.ok_or_else(unset)?;
    let refreshed = client.refresh(fleet::now()).map_err(|trouble| {
        let failure = failed(&trouble);
        trouble.notice().hint.map_or(failure.clone(), |hint| failure.hint(hint))
    })?;
    let word = if refreshed.changed { "now in force" } else { "still in force" };
    let policy = &refreshed.policy;
    json::text_out(&format!("version {} is {word}, until {}", policy.version(), policy.expires_at()));
    Ok(ExitCode::SUCCESS)
}
