//! Two small encodings that credentials come in.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648), padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        let [a, b, c] = group.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for position in 0..4 {
            let letter = (bits >> (18 - 6 * position)) & 63;
            let is_padding = position > chunk.len();
            out.push(if is_padding {
                '='
            } else {
                ALPHABET.get(letter as usize).map_or('=', |byte| char::from(*byte))
            });
        }
    }
    out
}

/// Undoes percent-encoding; what isn't an escape stays.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%')
            .then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = match escape {
            Some(decoded) => {
                out.push(decoded);
                after.get(2..).unwrap_or_default()
            }
            None => {
                out.push(byte);
                after
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
        assert_eq!(percent_decode("a%20b%zz%4"), b"a b%zz%4");
    }
}
