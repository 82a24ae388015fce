//! The managed network of `ringfence sandbox`: the proxy beside the command, if the wish has one.

use crate::out::Failure;
use crate::start::Ready;
use ringfence_model::{Confinement, Denial, Voucher};
use ringfence_sandbox::StartError;

#[cfg(feature = "proxy")]
pub use ringfence::network::Managed;

/// Nothing, in a build without the proxy.
#[cfg(not(feature = "proxy"))]
pub enum Managed {}

/// Starts the proxy and completes the wish with what programs need to find it.
#[cfg(feature = "proxy")]
pub fn start(ready: &Ready, wish: &mut Confinement, ignore_user: bool) -> Result<Option<Managed>, Failure> {
    use ringfence::network::{Network, rules_of};
    use ringfence_model::confinement::NetworkWish;
    if !matches!(wish.network.value, NetworkWish::Proxy { .. }) {
        return Ok(None);
    }
    let state = ready.start.ringfence_home.as_path().join("state");
    let network = Network {
        sandbox: "sandbox".to_owned(),
        settings: &ready.resolved.settings,
        rules: &rules_of(&ready.start, &ready.resolved, ignore_user),
        granted: Vec::new(),
        asker: None,
        can_escalate: false,
        events: None,
        private: std::fs::create_dir_all(&state).ok().map(|()| state),
    };
    let managed = Managed::start(&wish.network.value, network).map_err(|error| {
        let failure = Failure::from_error(&error);
        match error.origin() {
            Some(origin) => failure.origin(origin.clone()),
            None => failure,
        }
    })?;
    if let Some(managed) = &managed {
        managed.complete(wish);
    }
    Ok(managed)
}

/// The wish of a sandbox that shares the machine's network: the proxy listens on the machine's loopback.
#[cfg(feature = "proxy")]
pub fn share(network: Option<&mut Managed>, own: &Confinement) -> Result<Confinement, Failure> {
    let mut wish = own.clone();
    if let Some(network) = network {
        network.listen_on_host(&mut wish.network.value).map_err(|error| Failure::from_error(&error))?;
        network.complete(&mut wish);
    }
    Ok(wish)
}

/// Nothing to share.
#[cfg(not(feature = "proxy"))]
pub fn share(_: Option<&mut Managed>, own: &Confinement) -> Result<Confinement, Failure> {
    Ok(own.clone())
}

/// What the command's connections begin with where the proxy listens on the machine's loopback.
#[cfg(feature = "proxy")]
pub fn voucher(network: Option<&Managed>) -> Option<Voucher> {
    network.map(|network| network.voucher().clone())
}

/// Nothing to begin with.
#[cfg(not(feature = "proxy"))]
pub fn voucher(_: Option<&Managed>) -> Option<Voucher> {
    None
}

/// A run that needs the proxy is refused in a build without it.
#[cfg(not(feature = "proxy"))]
pub fn start(_: &Ready, wish: &mut Confinement, _: bool) -> Result<Option<Managed>, Failure> {
    use ringfence_model::confinement::NetworkWish;
    match wish.network.value {
        NetworkWish::Proxy { .. } => Err(Failure::new("network goes only through the proxy, and this build has none")
            .origin(wish.network.origin.clone())),
        NetworkWish::Off | NetworkWish::On => Ok(None),
    }
}

/// Serves the listeners that were made inside.
#[cfg(feature = "proxy")]
pub fn serve(network: Option<&Managed>, running: &mut ringfence_sandbox::Running<'_>) -> Result<(), StartError> {
    let Some(network) = network else { return Ok(()) };
    network.serve(running.inlets()).map_err(|error| {
        running.kill();
        StartError::Supervisor { what: "serve the proxy's listeners".to_owned(), cause: std::io::Error::other(error) }
    })
}

/// Nothing to serve.
#[cfg(not(feature = "proxy"))]
pub fn serve(_: Option<&Managed>, _: &mut ringfence_sandbox::Running<'_>) -> Result<(), StartError> {
    Ok(())
}

/// Ends the proxy and says what it refused.
pub fn finish(network: Option<Managed>) -> Vec<Denial> {
    #[cfg(feature = "proxy")]
    return network.map(|network| network.finish()).unwrap_or_default();
    #[cfg(not(feature = "proxy"))]
    match network {
        None => Vec::new(),
        Some(never) => match never {},
    }
}
