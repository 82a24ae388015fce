//! A value of a property list: XML or binary, as macOS writes managed preferences.

#[cfg(any(target_os = "macos", feature = "foreign-sources", test))]
use super::PreferenceError;

/// The text of a key at the top of a property list; none if it isn't there.
#[cfg(any(target_os = "macos", feature = "foreign-sources", test))]
pub fn read_plist(bytes: &[u8], key: &str) -> Result<Option<String>, PreferenceError> {
    let malformed = |why: String| PreferenceError::Malformed { expected: "a property list", why };
    if bytes.len() > crate::document::MAX_BYTES * 2 {
        return Err(malformed("it is too large".into()));
    }
    let value = plist::Value::from_reader(std::io::Cursor::new(bytes)).map_err(|error| malformed(error.to_string()))?;
    let table = value.as_dictionary().ok_or_else(|| malformed("its top isn't a dictionary".into()))?;
    match table.get(key) {
        None => Ok(None),
        Some(value) => match value.as_string() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(PreferenceError::NotText(key.to_owned())),
        },
    }
}

/// Not built in: this system has no property lists.
#[cfg(not(any(target_os = "macos", feature = "foreign-sources", test)))]
pub fn read_plist(_bytes: &[u8], _key: &str) -> Result<Option<String>, super::PreferenceError> {
    Err(super::PreferenceError::Malformed { expected: "readable here", why: "property lists are read on macOS".into() })
}
