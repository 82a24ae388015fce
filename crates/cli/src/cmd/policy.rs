//! `ringfence policy`: keys, signatures and a small server for bundles of requirements.

use crate::args::policy::{PolicyArgs, PolicyCommand, ServeArgs, SignArgs};
use crate::out::{Failure, json};
use ringfence_config::bundle::{self, Bundle, PublicKey, UnixTime};
use ringfence_config::inspect::{FileKind, check_bytes};
use ringfence_fleet::{Draft, SecretKey, Server, TlsFiles, Token, sign, write_atomically};
use ringfence_model::text;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs one of its subcommands.
pub fn main(args: &PolicyArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        PolicyCommand::Keygen { file } => keygen(file),
        PolicyCommand::Sign(args) => sign_one(args),
        PolicyCommand::Verify { bundle, key, audience } => verify(bundle, key, audience),
        PolicyCommand::Serve(args) => serve(args),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::from_error(error)
}

fn keygen(file: &Path) -> Result<ExitCode, Failure> {
    let key = SecretKey::generate().map_err(|error| failed(&error))?;
    key.write(file).map_err(|error| failed(&error))?;
    let public = key.public().ok_or_else(|| Failure::new("this key would be unusable; make another"))?;
    json::text_out(&public.to_string());
    Ok(ExitCode::SUCCESS)
}

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        Failure::new(format!("can't read {}", text::escape_bytes(file.as_os_str().as_encoded_bytes())))
            .cause(error.to_string())
    })
}

fn sign_one(args: &SignArgs) -> Result<ExitCode, Failure> {
    let key = SecretKey::read(&args.key).map_err(|error| failed(&error))?;
    let requirements =
        String::from_utf8(read(&args.requirements)?).map_err(|_| Failure::new("the requirements aren't UTF-8"))?;
    let previous = match std::fs::read(&args.output) {
        Ok(bytes) => Some(Bundle::parse(&bytes).map_err(|error| failed(&error))?),
        Err(_) => None,
    };
    let version = args.set_version.unwrap_or_else(|| previous.as_ref().map_or(1, |bundle| bundle.version + 1));
    let draft = Draft {
        requirements,
        audience: args.audience.clone(),
        version,
        issued_at: now(),
        lifetime: args.days.saturating_mul(86_400),
    };
    let check = |text: &str| {
        let checked = check_bytes(&args.requirements, text.as_bytes(), FileKind::Requirements);
        match checked.problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(()),
        }
    };
    let bundle = sign(draft, &key, previous.as_ref(), check).map_err(|error| failed(&error))?;
    let bytes = serde_json::to_vec_pretty(&bundle).map_err(|error| failed(&error))?;
    write_atomically(&args.output, &bytes).map_err(|error| failed(&error))?;
    eprintln!("ringfence: signed version {version} for `{}`", text::escape(&args.audience));
    Ok(ExitCode::SUCCESS)
}

fn verify(file: &Path, keys: &[String], audience: &str) -> Result<ExitCode, Failure> {
    let keys: Vec<PublicKey> = keys
        .iter()
        .map(|key| key.parse().map_err(|error| Failure::new(format!("`{}`: {error}", text::escape(key)))))
        .collect::<Result<_, _>>()?;
    let verified = bundle::verify(&read(file)?, &keys, audience, now(), None).map_err(|error| {
        let failure = failed(&error).status(1);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    json::text_out(&format!(
        "good: version {} for `{}`, issued {}, until {}, signed by {}",
        verified.version(),
        text::escape(verified.audience()),
        verified.issued_at(),
        verified.expires_at(),
        verified.key()
    ));
    Ok(ExitCode::SUCCESS)
}

fn serve(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let tokens = Token::read_all(&args.tokens).map_err(|error| failed(&error))?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.clone(), key: key.clone() }),
        _ => None,
    };
    let log = |answered: ringfence_fleet::Answered| eprintln!("{} {}", answered.status, answered.why);
    let server =
        Server::bind(args.listen, args.bundle.clone(), &tokens, tls.as_ref(), log).map_err(|error| failed(&error))?;
    eprintln!("ringfence: serving {} on {}", args.bundle.display(), server.address());
    server.run(None).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}
