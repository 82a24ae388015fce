use super::*;
use proptest::prelude::*;

fn pattern(text: &str) -> DomainPattern {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn each_form_means_what_the_reference_says() {
    let exact = pattern("Example.COM.");
    assert!(exact.matches_name("example.com", 443) && exact.matches_name("example.com", 80));
    assert!(!exact.matches_name("example.com", 22) && !exact.matches_name("www.example.com", 443));
    let below = pattern("*.example.com");
    assert!(below.matches_name("a.b.example.com", 443) && !below.matches_name("example.com", 443));
    assert!(!below.matches_name("evilexample.com", 443) && !below.matches_name(".example.com", 443));
    let at = pattern("**.example.com:*");
    assert!(at.matches_name("example.com", 25) && at.matches_name("a.example.com", 25));
    assert!(!at.matches_name("example.com.evil.com", 25));
    let all = pattern("*:8443");
    assert!(all.matches_name("x", 8443) && all.matches_address("::1".parse().unwrap(), 8443));
    assert!(!all.matches_name("x", 443) && all.is_everything());
    let address = pattern("[::ffff:127.0.0.1]:8080");
    assert!(address.matches_address("127.0.0.1".parse().unwrap(), 8080));
    assert!(!address.matches_name("127.0.0.1", 8080));
    assert_eq!(pattern("::1"), pattern("[::1]"));
}

#[test]
fn px_03_what_could_be_read_in_two_ways_is_an_error() {
    use DomainFault as F;
    let label = "a".repeat(64);
    let name = format!("{}com", "abcdefg.".repeat(32));
    for (text, reason) in [
        ("", F::Empty),
        (".", F::Empty),
        (":80", F::Empty),
        ("*.", F::Empty),
        ("https://example.com", F::Scheme),
        ("example.com/x", F::Path),
        ("example.com#x", F::Path),
        ("user@example.com", F::UserInfo),
        ("bücher.example", F::NotAscii),
        ("127。0。0。1", F::NotAscii),
        ("exam ple.com", F::Character(' ')),
        ("example.com\0", F::Character('\0')),
        ("%65xample.com", F::Character('%')),
        ("a\\b.com", F::Character('\\')),
        ("example.com..", F::EmptyLabel),
        ("a..b", F::EmptyLabel),
        (".example.com", F::EmptyLabel),
        (label.as_str(), F::LongLabel),
        (name.as_str(), F::LongName),
        ("-a.com", F::Hyphen),
        ("a*.com", F::Star),
        ("*.*.com", F::Star),
        ("***.com", F::Star),
        ("**", F::Star),
        ("127.1", F::LooksLikeAddress),
        ("2130706433", F::LooksLikeAddress),
        ("0x7f.1", F::LooksLikeAddress),
        ("0177.0.0.1", F::LooksLikeAddress),
        ("127.0.0.1.", F::LooksLikeAddress),
        ("*.0.0.1", F::LooksLikeAddress),
        ("example.0x", F::LooksLikeAddress),
        ("[::1", F::Brackets),
        ("[::1%lo]", F::Brackets),
        ("[::1]80", F::Brackets),
        ("[example.com]", F::Brackets),
        ("example.com:", F::Port),
        ("example.com:0", F::Port),
        ("example.com:080", F::Port),
        ("example.com:65536", F::Port),
        ("example.com:+80", F::Port),
        ("example.com:80:80", F::Port),
    ] {
        assert_eq!(text.parse::<DomainPattern>().unwrap_err().reason(), &reason, "{text:?}");
    }
    assert_eq!(
        "a b".parse::<DomainPattern>().unwrap_err().to_string(),
        "`a b` is no domain pattern: ` ` can't be part of a host name"
    );
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_read_prints_as_itself(text in ".{0,80}") {
        if let Ok(read) = text.parse::<DomainPattern>() {
            prop_assert_eq!(read.to_string().parse::<DomainPattern>(), Ok(read));
        }
    }

    #[test]
    fn printing_then_reading_is_the_identity(
        front in "(\\*\\.|\\*\\*\\.|)", name in "[a-z][a-z0-9_]{0,9}(\\.[a-z][a-z0-9]{0,9}){0,3}",
        port in "(|:\\*|:[1-9][0-9]{0,3})",
    ) {
        let text = format!("{front}{name}{port}");
        prop_assert_eq!(pattern(&text).to_string(), text);
    }

    #[test]
    fn a_wildcard_only_crosses_at_a_dot(name in "[a-z]{1,8}", before in "[a-z]{1,8}") {
        let below = pattern(&format!("*.{name}.test"));
        let glued = format!("{before}{name}.test");
        prop_assert!(!below.matches_name(&glued, 443));
        let dotted = format!("{before}.{name}.test");
        prop_assert!(below.matches_name(&dotted, 443));
    }
}
