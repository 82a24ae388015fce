//! Text as the operating system has it: bytes that are usually, but not always, UTF-8.
//!
//! Arguments, names and environment values keep their exact bytes from the request to `execve`; a value that is not
//! UTF-8 serialises as `{"hex": "…"}` so that nothing is lost on the way through JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::ffi::{OsStr, OsString};
use std::fmt;

/// An argument, file name or environment value, byte for byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OsText(OsString);

impl OsText {
    /// Wraps `text` without looking at it.
    pub fn new(text: impl Into<OsString>) -> Self {
        Self(text.into())
    }

    /// The text as the operating system takes it.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.to_str()
    }

    /// The encoded bytes: on Unix exactly the operating system's.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_encoded_bytes()
    }

    /// A form that is safe to print: control, bidirectional and invisible characters are escaped.
    #[must_use]
    pub fn display(&self) -> String {
        crate::text::escape_bytes(self.as_bytes())
    }

    /// Takes the operating system's string out.
    #[must_use]
    pub fn into_os_string(self) -> OsString {
        self.0
    }
}

impl<T: Into<OsString>> From<T> for OsText {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl AsRef<OsStr> for OsText {
    fn as_ref(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Debug for OsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for OsText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) => s.serialize_str(text),
            None => Hex { hex: to_hex(self.as_bytes()) }.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for OsText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Wire::deserialize(d)? {
            Wire::Text(text) => Ok(Self(text.into())),
            Wire::Hex(Hex { hex }) => {
                let bytes = from_hex(&hex).ok_or_else(|| D::Error::custom("not a hexadecimal byte string"))?;
                from_bytes(bytes).map(Self).ok_or_else(|| D::Error::custom("not text of this operating system"))
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Hex {
    hex: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Hex(Hex),
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

#[cfg(unix)]
fn from_bytes(bytes: Vec<u8>) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    Some(OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn json_keeps_every_byte(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = OsText(from_bytes(bytes).expect("unix takes any bytes"));
            let json = serde_json::to_string(&text).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<OsText>(&json).expect("parses"), text);
        }
    }
}
