//! Who may change a file of Windows, read off its security descriptor in text form (SDDL). Pure: it is tried on every
//! system with descriptors as Windows writes them.

/// What is judged: the nearer to the file, the less others may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file that constrains.
    File,
    /// The directory that has it: who may add a file here may put one in its place.
    Directory,
    /// A directory further up: others may add to it, as Windows lets them, but not remove or rename what is there.
    Above,
}

impl Place {
    /// The rights that only an administrator may have.
    const fn forbidden(self) -> u32 {
        const GENERIC_ALL: u32 = 0x1000_0000;
        const GENERIC_WRITE: u32 = 0x4000_0000;
        const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
        const DELETE: u32 = 0x0001_0000;
        const WRITE_DAC: u32 = 0x0004_0000;
        const WRITE_OWNER: u32 = 0x0008_0000;
        const DELETE_CHILD: u32 = 0x40;
        /// Data and data at the end; of a directory: files and directories in it.
        const WRITE_AND_APPEND: u32 = 0x2 | 0x4;
        /// Extended attributes, attributes.
        const ATTRIBUTES: u32 = 0x10 | 0x100;
        let always = GENERIC_ALL | GENERIC_WRITE | MAXIMUM_ALLOWED | DELETE | WRITE_DAC | WRITE_OWNER | DELETE_CHILD;
        match self {
            Self::File => always | WRITE_AND_APPEND | ATTRIBUTES,
            Self::Directory => always | WRITE_AND_APPEND,
            Self::Above => always,
        }
    }
}

/// Who may own and write what constrains: the system, administrators, and the installer of Windows itself.
const ADMINISTRATORS: [&str; 5] =
    ["SY", "S-1-5-18", "BA", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"];

/// Rights as SDDL abbreviates them: files, generic ones, and those of every kind of object.
const RIGHTS: [(&str, u32); 22] = [
    ("FA", 0x001F_01FF),
    ("FR", 0x0012_0089),
    ("FW", 0x0012_0116),
    ("FX", 0x0012_00A0),
    ("GA", 0x1000_0000),
    ("GR", 0x8000_0000),
    ("GW", 0x4000_0000),
    ("GX", 0x2000_0000),
    ("RC", 0x0002_0000),
    ("SD", 0x0001_0000),
    ("WD", 0x0004_0000),
    ("WO", 0x0008_0000),
    ("CC", 0x1),
    ("DC", 0x2),
    ("LC", 0x4),
    ("SW", 0x8),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
    ("NX", 0),
];

/// Whether nobody but an administrator may change what the descriptor belongs to; the error says who may.
///
/// Entries that deny are not counted in anybody's favour, and what isn't understood is an error: the answer errs on the
/// safe side only.
pub fn judge(descriptor: &str, place: Place) -> Result<(), String> {
    let malformed = || format!("its access list can't be read: {descriptor:?}");
    let owner = part(descriptor, "O:").ok_or_else(malformed)?;
    if !ADMINISTRATORS.contains(&owner) {
        return Err(format!("it belongs to {}, not to the system or to administrators", named(owner)));
    }
    let list = part(descriptor, "D:").ok_or("it has no access list: everybody may change it")?;
    let entries = list.find('(').map_or("", |at| &list[at..]);
    let flags = &list[..list.len() - entries.len()];
    if flags.contains("NO_ACCESS_CONTROL") {
        return Err("it has no access list: everybody may change it".into());
    }
    let mut rest = entries;
    while !rest.is_empty() {
        let (entry, after) = entry(rest).ok_or_else(malformed)?;
        rest = after;
        let fields: Vec<&str> = entry.splitn(7, ';').collect();
        let [kind, inheritance, rights, _, _, trustee, ..] = fields.as_slice() else { return Err(malformed()) };
        // Entries of a label, of auditing and those that deny give nobody anything.
        if matches!(*kind, "D" | "XD" | "OD" | "AU" | "AL" | "ML" | "SP" | "RA" | "TL") {
            continue;
        }
        if !matches!(*kind, "A" | "XA" | "OA" | "ZA") {
            return Err(malformed());
        }
        // Only for what will be made below: it doesn't hold here.
        if pairs(inheritance).any(|flag| flag == "IO") {
            continue;
        }
        let rights = mask(rights).ok_or_else(malformed)?;
        // `OW` and `S-1-3-4` are the owner, who was judged.
        let trusted = ADMINISTRATORS.contains(trustee) || matches!(*trustee, "OW" | "S-1-3-4");
        if !trusted && rights & place.forbidden() != 0 {
            return Err(format!("{} may change it (rights {rights:#x})", named(trustee)));
        }
    }
    Ok(())
}

/// The text of a part of a descriptor up to the next one: `O:BAG:SYD:PAI(…)S:(…)`.
fn part<'d>(descriptor: &'d str, name: &str) -> Option<&'d str> {
    let mut depth = 0_usize;
    let mut start = None;
    for (at, byte) in descriptor.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            b'O' | b'G' | b'D' | b'S' if depth == 0 && descriptor.as_bytes().get(at + 1) == Some(&b':') => {
                match start {
                    Some(start) => return descriptor.get(start..at),
                    None if descriptor[at..].starts_with(name) => start = Some(at + 2),
                    None => {}
                }
            }
            _ => {}
        }
    }
    (depth == 0).then_some(())?;
    descriptor.get(start?..)
}

/// The first entry in brackets, and what follows it. Conditions have brackets of their own.
fn entry(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return if at == 0 { None } else { Some((text.get(1..at)?, text.get(at + 1..)?)) };
        }
    }
    None
}

fn pairs(text: &str) -> impl Iterator<Item = &str> {
    (0..text.len().div_ceil(2)).map(|pair| text.get(pair * 2..(pair * 2 + 2).min(text.len())).unwrap_or(""))
}

/// Rights as a number: `0x1200a9`, a decimal or octal one, or abbreviations put together.
fn mask(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(digits, 16).ok();
    }
    if text.starts_with('0') && text.len() > 1 {
        return u32::from_str_radix(text, 8).ok();
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return text.parse().ok();
    }
    pairs(text)
        .try_fold(0, |mask, name| RIGHTS.iter().find(|(known, _)| *known == name).map(|(_, rights)| mask | rights))
}

/// A trustee in words.
fn named(trustee: &str) -> String {
    let name = match trustee {
        "WD" | "S-1-1-0" => "everybody",
        "AU" | "S-1-5-11" => "every authenticated user",
        "BU" | "S-1-5-32-545" => "every user",
        "CO" | "S-1-3-0" => "whoever creates it",
        "IU" | "S-1-5-4" => "every interactive user",
        "" => "nobody named",
        other => return format!("`{}`", ringfence_model::text::escape(other)),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Place, judge};

    /// As `icacls /save` and `Get-Acl` show them on an installation of Windows 11.
    const DRIVE: &str = "O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464G:SYD:PAI(A;;LC;;;AU)\
         (A;OICIIO;SDGXGWGR;;;AU)(A;;FA;;;SY)(A;OICIIO;GA;;;SY)(A;OICIIO;GA;;;BA)(A;;FA;;;BA)(A;OICI;0x1200a9;;;BU)";
    const PROGRAM_DATA: &str = "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)\
         (A;CI;DCLCRPCR;;;BU)";
    const FILE: &str = "O:BAG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1200a9;;;BU)";

    #[test]
    fn an_installation_as_it_comes_passes() {
        assert_eq!(judge(DRIVE, Place::Above), Ok(()));
        assert_eq!(judge(PROGRAM_DATA, Place::Above), Ok(()));
        for place in [Place::File, Place::Directory, Place::Above] {
            assert_eq!(judge(FILE, place), Ok(()), "{place:?}");
        }
        let labelled = format!("{FILE}S:AI(ML;;NW;;;HI)(AU;SAFA;FA;;;WD)");
        assert_eq!(judge(&labelled, Place::File), Ok(()));
    }

    #[test]
    fn cf_02_a_directory_that_users_may_add_to_is_no_place_for_requirements() {
        let why = judge(PROGRAM_DATA, Place::Directory).expect_err("users may add files there");
        assert!(why.starts_with("every user may change it"), "{why}");
        assert!(judge(DRIVE, Place::Directory).is_err());
    }

    #[test]
    fn cf_02_each_right_to_change_is_seen_however_it_is_spelled() {
        let with = |rights: &str, who: &str| format!("O:BAG:SYD:(A;;FA;;;BA)(A;;{rights};;;{who})");
        for rights in
            ["FA", "FW", "GA", "GW", "WD", "WO", "SD", "DC", "LC", "0x2", "0x40000000", "2", "0200000", "FRDC"]
        {
            for who in ["BU", "WD", "AU", "S-1-5-21-1-2-3-1001", "CO", "AN"] {
                assert!(judge(&with(rights, who), Place::File).is_err(), "{rights} for {who}");
            }
            assert_eq!(judge(&with(rights, "SY"), Place::File), Ok(()), "{rights}");
        }
        for rights in ["FR", "FX", "GR", "GX", "RC", "0x1200a9", "FRFX"] {
            assert_eq!(judge(&with(rights, "BU"), Place::File), Ok(()), "{rights}");
        }
        assert_eq!(judge(&with("LC", "BU"), Place::Above), Ok(()), "adding beside what is there");
        assert!(judge(&with("DT", "BU"), Place::Above).is_err(), "removing what is there");
    }

    #[test]
    fn cf_02_another_owner_or_no_list_is_refused() {
        for owner in ["BU", "S-1-5-21-1-2-3-1001", "LA", "CO"] {
            let why = judge(&format!("O:{owner}G:SYD:PAI(A;;FA;;;BA)"), Place::Above).expect_err("refused");
            assert!(why.contains("belongs to"), "{why}");
        }
        for none in ["O:BAG:SY", "O:BAG:SYD:NO_ACCESS_CONTROL", "O:BAD:PAINO_ACCESS_CONTROL"] {
            assert!(judge(none, Place::File).expect_err("refused").contains("everybody"), "{none}");
        }
        assert_eq!(judge("O:BAD:P", Place::File), Ok(()), "an empty list lets nobody in");
    }

    #[test]
    fn a_denial_takes_nothing_back_and_inherit_only_gives_nothing() {
        assert!(judge("O:BAD:(D;;FA;;;BU)(A;;FA;;;BU)", Place::File).is_err());
        assert_eq!(judge("O:BAD:(A;OICIIO;GA;;;BU)(A;;FA;;;BA)", Place::Directory), Ok(()));
        assert!(judge("O:BAD:(XA;;FA;;;WD;(@User.ext==\"a(b)\"))", Place::File).is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for odd in [
            "",
            "x",
            "D:(A;;FA;;;BA)",
            "O:BAD:(A;;FA;;;BA",
            "O:BAD:(A;;QQ;;;BU)",
            "O:BAD:(QQ;;FA;;;BA)",
            "O:BAD:(A)",
            "O:BAD:)(",
            "O:BAD:(A;;F;;;BU)",
            "O:BAD:()",
        ] {
            assert!(judge(odd, Place::File).is_err(), "{odd}");
        }
    }
}
