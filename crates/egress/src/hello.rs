//! The server name in the first bytes of a TLS connection, without taking part in it.
//!
//! Only what decides is read: records of type handshake, one client hello, its `server_name` extension (RFC 6066). A
//! hello that isn't well-formed to that point is an error; bytes that don't begin like TLS are not TLS.

use crate::host::Host;

/// Longest hello that is waited for.
pub const MAX_HELLO: usize = 64 * 1024;

/// What the first bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// Not TLS.
    Other,
    /// TLS; more bytes are needed.
    Partial,
    /// A whole client hello, with the name it asks for.
    Whole(Option<Host>),
}

/// A hello that can't be read, or a name in it that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the TLS hello can't be read")]
pub struct BadHello;

/// Reads the first bytes of a connection.
///
/// # Errors
/// When it begins like TLS and then isn't well-formed.
pub fn read(bytes: &[u8]) -> Result<Hello, BadHello> {
    match bytes {
        [] => return Ok(Hello::Partial),
        [0x16] => return Ok(Hello::Partial),
        [0x16, 3, ..] => {}
        _ => return Ok(Hello::Other),
    }
    let (message, all) = handshake(bytes)?;
    let Some(length) = length_of(&message) else { return incomplete(all) };
    if message.first() != Some(&1) || length > MAX_HELLO {
        return Err(BadHello);
    }
    match message.get(4..4 + length) {
        Some(body) => server_name(body).map(Hello::Whole),
        None => incomplete(all),
    }
}

fn incomplete(all: bool) -> Result<Hello, BadHello> {
    // `all`: the records end with the bytes, so that more may follow. Otherwise something else followed the fragment.
    if all { Ok(Hello::Partial) } else { Err(BadHello) }
}

/// The length of a message, once it is there.
fn length_of(message: &[u8]) -> Option<usize> {
    let [_, a, b, c] = *message.first_chunk::<4>()?;
    Some(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
}

/// Joins the fragments in the records, until there is a whole message: what comes behind it says nothing of it. The flag
/// says that nothing but handshake records was met.
fn handshake(mut bytes: &[u8]) -> Result<(Vec<u8>, bool), BadHello> {
    let mut message: Vec<u8> = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<5>() {
        if length_of(&message).is_some_and(|length| message.len() - 4 >= length) {
            break;
        }
        let [kind, major, _, high, low] = *header;
        if kind != 0x16 || major != 3 {
            return Ok((message, false));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > 16 * 1024 {
            return Err(BadHello);
        }
        let Some((fragment, rest)) = rest.split_at_checked(length) else {
            message.extend_from_slice(rest);
            return Ok((message, true));
        };
        message.extend_from_slice(fragment);
        bytes = rest;
    }
    Ok((message, true))
}

/// Walks a client hello to its extensions.
fn server_name(body: &[u8]) -> Result<Option<Host>, BadHello> {
    let rest = body.get(34..).ok_or(BadHello)?; // version and random
    let (_, rest) = vector8(rest)?; // session
    let (_, rest) = vector16(rest)?; // cipher suites
    let (_, rest) = vector8(rest)?; // compression
    if rest.is_empty() {
        return Ok(None);
    }
    let (mut extensions, rest) = vector16(rest)?;
    if !rest.is_empty() {
        return Err(BadHello);
    }
    let mut found = None;
    while let Some((kind, rest)) = extensions.split_first_chunk::<2>() {
        let (value, rest) = vector16(rest)?;
        extensions = rest;
        if *kind == [0, 0] {
            if found.is_some() {
                return Err(BadHello);
            }
            found = Some(one_name(value)?);
        }
    }
    if extensions.is_empty() { Ok(found) } else { Err(BadHello) }
}

fn one_name(value: &[u8]) -> Result<Host, BadHello> {
    let (list, rest) = vector16(value)?;
    let (&kind, entry) = list.split_first().ok_or(BadHello)?;
    let (name, more) = vector16(entry)?;
    if kind != 0 || !rest.is_empty() || !more.is_empty() {
        return Err(BadHello);
    }
    Host::parse(name).map_err(|_| BadHello)
}

fn vector8(bytes: &[u8]) -> Result<(&[u8], &[u8]), BadHello> {
    let (&length, rest) = bytes.split_first().ok_or(BadHello)?;
    rest.split_at_checked(usize::from(length)).ok_or(BadHello)
}

fn vector16(bytes: &[u8]) -> Result<(&[u8], &[u8]), BadHello> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(BadHello)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(BadHello)
}

/// The first bytes of a real client.
#[cfg(test)]
pub(crate) fn tests_hello(name: &'static str) -> Vec<u8> {
    let config =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name.try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use super::tests_hello as hello_of;

    #[test]
    fn px_05_the_name_of_a_real_hello_is_read_in_whatever_pieces_it_comes() {
        let bytes = hello_of("Example.com");
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Ok(Hello::Partial), "{length}");
        }
        assert_eq!(read(&bytes), Ok(Hello::Whole(Some(Host::parse(b"example.com").unwrap()))));
        assert_eq!(read(&hello_of("127.0.0.1")), Ok(Hello::Whole(None)));
        // The same message cut into records of one byte each.
        let mut cut = Vec::new();
        for byte in &bytes[5..] {
            cut.extend_from_slice(&[0x16, 3, 1, 0, 1, *byte]);
        }
        assert_eq!(read(&cut), read(&bytes));
        // What comes behind a whole hello changes nothing, broken or not: it isn't there yet in other pieces.
        for behind in [&[0x17, 3, 3, 0, 1, 0][..], &[0x16, 3, 3, 0xef, 0x17], &[0x16, 3, 3, 0, 0], b"GET / HTTP/1.1"] {
            assert_eq!(read(&[&bytes, behind].concat()), read(&bytes), "{behind:?}");
        }
        assert_eq!(read(b"SSH-2.0-x\r\n"), Ok(Hello::Other));
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Ok(Hello::Other));
    }

    #[test]
    fn px_05_a_name_that_is_none_and_a_broken_hello_are_errors() {
        let bytes = hello_of("example.com");
        let at = bytes.windows(11).position(|window| window == b"example.com").unwrap();
        let mut nul = bytes.clone();
        nul[at + 3] = 0;
        assert_eq!(read(&nul), Err(BadHello));
        let mut length = bytes.clone();
        length[at - 1] = 200;
        assert_eq!(read(&length), Err(BadHello));
        assert_eq!(read(&[0x16, 3, 1, 0, 4, 2, 0, 0, 0]), Err(BadHello));
        assert_eq!(read(&[0x16, 3, 1, 0, 0]), Err(BadHello));
        let mut cut_off = bytes[..20].to_vec();
        cut_off[3..5].copy_from_slice(&15u16.to_be_bytes());
        cut_off.extend_from_slice(&[0x17, 3, 3, 0, 1, 0]);
        assert_eq!(read(&cut_off), Err(BadHello));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            bytes.splice(0..0, [0x16, 3, 1]);
            let _ = read(&bytes);
        }
    }
}
