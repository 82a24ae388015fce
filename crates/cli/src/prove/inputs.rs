//! What the two halves of `prove` tell each other: where the canaries are.

use crate::out::Failure;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where the canaries are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// A directory outside every writable root.
    pub outside: PathBuf,
    /// A writable root made for the proof.
    pub root: PathBuf,
    /// Port of a TCP listener outside, on every address.
    pub port: u16,
    /// An address of the host other than loopback, if there is one.
    pub address: Option<IpAddr>,
    /// A stream socket outside.
    pub socket: PathBuf,
    /// A datagram socket outside.
    pub datagram: PathBuf,
    /// Name of an abstract socket outside.
    pub abstract_name: String,
    /// A process outside.
    pub victim: i32,
    /// Address of a readable byte in it.
    pub victim_byte: usize,
    /// Number of its shared memory.
    pub victim_memory: i32,
    /// What must not be seen inside.
    pub secret: String,
    /// A path that settings deny to read, if there is one.
    pub denied: Option<PathBuf>,
}

impl Inputs {
    /// As arguments.
    #[must_use]
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![
            "outside".into(),
            self.outside.clone().into(),
            "root".into(),
            self.root.clone().into(),
            "port".into(),
            self.port.to_string().into(),
            "socket".into(),
            self.socket.clone().into(),
            "datagram".into(),
            self.datagram.clone().into(),
            "abstract".into(),
            self.abstract_name.clone().into(),
            "victim".into(),
            self.victim.to_string().into(),
            "byte".into(),
            self.victim_byte.to_string().into(),
            "memory".into(),
            self.victim_memory.to_string().into(),
            "secret".into(),
            self.secret.clone().into(),
        ];
        if let Some(address) = self.address {
            args.extend(["address".into(), address.to_string().into()]);
        }
        if let Some(denied) = &self.denied {
            args.extend(["denied".into(), denied.clone().into()]);
        }
        args
    }

    /// From arguments.
    pub fn from_args<'a>(mut words: impl Iterator<Item = &'a OsString>) -> Result<Self, Failure> {
        let mut inputs = Self {
            outside: PathBuf::new(),
            root: PathBuf::new(),
            port: 0,
            address: None,
            socket: PathBuf::new(),
            datagram: PathBuf::new(),
            abstract_name: String::new(),
            victim: 0,
            victim_byte: 0,
            victim_memory: 0,
            secret: String::new(),
            denied: None,
        };
        let wrong = || Failure::new("`__attack` is for `ringfence prove` only");
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            let text = value.to_str();
            match key.to_str() {
                Some("outside") => inputs.outside = value.into(),
                Some("root") => inputs.root = value.into(),
                Some("port") => inputs.port = text.and_then(|text| text.parse().ok()).ok_or_else(wrong)?,
                Some("address") => inputs.address = text.and_then(|text| text.parse().ok()),
                Some("socket") => inputs.socket = value.into(),
                Some("datagram") => inputs.datagram = value.into(),
                Some("abstract") => inputs.abstract_name = text.unwrap_or_default().to_owned(),
                Some("victim") => inputs.victim = text.and_then(|text| text.parse().ok()).ok_or_else(wrong)?,
                Some("byte") => inputs.victim_byte = text.and_then(|text| text.parse().ok()).ok_or_else(wrong)?,
                Some("memory") => {
                    inputs.victim_memory = text.and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
                }
                Some("secret") => inputs.secret = text.unwrap_or_default().to_owned(),
                Some("denied") => inputs.denied = Some(value.into()),
                _ => return Err(wrong()),
            }
        }
        Ok(inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let inputs = Inputs {
            outside: "/a b".into(),
            root: "/r".into(),
            port: 7,
            address: Some(IpAddr::from([10, 0, 0, 1])),
            socket: "/s".into(),
            datagram: "/d".into(),
            abstract_name: "x".into(),
            victim: 4,
            victim_byte: 5,
            victim_memory: 6,
            secret: "t".into(),
            denied: Some("/k".into()),
        };
        assert_eq!(Inputs::from_args(inputs.to_args().iter()), Ok(inputs));
    }
}
