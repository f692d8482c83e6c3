use super::{DistinguishedName, DistinguishedNameError as Error};

fn name(text: &str) -> DistinguishedName {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// One relative name for each pair, in DER's order; values as `UTF8String`.
fn of_der(parts: &[(&str, u8, &[u8])]) -> Option<DistinguishedName> {
    let relative = parts.iter().map(|(kind, tag, contents)| {
        let mut element = vec![*tag, u8::try_from(contents.len()).unwrap()];
        element.extend_from_slice(contents);
        vec![((*kind).to_owned(), element)]
    });
    DistinguishedName::from_relative(relative.collect())
}

const CN: &str = "2.5.4.3";
const O: &str = "2.5.4.10";

#[test]
fn sc_165_a_name_hidden_in_a_value_is_not_the_name() {
    // One CN whose text looks like two relative names.
    let hidden = of_der(&[(CN, 0x0c, b"b,CN=a")]).unwrap();
    assert!(!hidden.matches(&name("CN=b,CN=a")));
    assert!(!hidden.matches(&name("CN=a")));
    assert_eq!(hidden.to_string(), "CN=b\\,CN\\=a");
    assert!(hidden.matches(&name("CN=b\\,CN\\=a")));
    // Two CNs are not one of them.
    let two = of_der(&[(CN, 0x0c, b"b"), (CN, 0x0c, b"a")]).unwrap();
    for other in ["CN=a", "CN=b", "CN=b,CN=a", "CN=a+CN=b"] {
        assert!(!two.matches(&name(other)), "{other}");
    }
    assert!(two.matches(&name("CN=a,CN=b")));
    assert_eq!(two.to_string(), "CN=a,CN=b");
}

#[test]
fn sc_165_control_characters_match_nothing() {
    let nul = of_der(&[(CN, 0x0c, b"victim\0.attacker")]).unwrap();
    assert!(!nul.matches(&name("CN=victim")));
    assert!(!nul.matches(&name("CN=victim.attacker")));
    assert!(!nul.matches(&nul), "not even itself");
    assert_eq!(nul.to_string(), "CN=victim\\00.attacker");
    assert_eq!(
        "CN=victim\\00".parse::<DistinguishedName>(),
        Err(Error::Control)
    );
    assert_eq!(
        "CN=vic\ntim".parse::<DistinguishedName>(),
        Err(Error::Control)
    );
}

#[test]
fn sc_165_text_is_the_same_in_every_string_type_and_letter_beyond_ascii_is_exact() {
    let registered = name("CN=Lu\\C4\\8Di\\C4\\87");
    assert!(registered.matches(&of_der(&[(CN, 0x0c, "Lučić".as_bytes())]).unwrap()));
    let utf16: Vec<u8> = "Lučić".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(registered.matches(&of_der(&[(CN, 0x1e, &utf16)]).unwrap()));
    let utf32: Vec<u8> = "Lučić"
        .chars()
        .flat_map(|c| u32::from(c).to_be_bytes())
        .collect();
    assert!(registered.matches(&of_der(&[(CN, 0x1c, &utf32)]).unwrap()));
    for other in ["Lucic", "Luc\u{30c}ic\u{301}", "LUČIĆ", "Lučić\u{200b}"] {
        let other = of_der(&[(CN, 0x0c, other.as_bytes())]).unwrap();
        assert!(!registered.matches(&other), "{other}");
    }
    // ASCII: PrintableString and UTF8String, letter case and runs of spaces.
    let printable = of_der(&[(O, 0x13, b"Example  INC"), (CN, 0x13, b" batch ")]).unwrap();
    assert!(printable.matches(&name("CN=Batch,O=Example Inc")));
    assert!(!printable.matches(&name("CN=Batch,O=ExampleInc")));
}

#[test]
fn values_that_break_their_type_are_no_name() {
    assert!(of_der(&[(CN, 0x0c, b"\xff")]).is_none());
    assert!(of_der(&[(CN, 0x13, b"\xc4\x8d")]).is_none());
    assert!(of_der(&[(CN, 0x1e, b"\x00a\x00")]).is_none());
    assert!(of_der(&[(CN, 0x1e, b"\xd8\x00")]).is_none());
    assert!(of_der(&[(CN, 0x1c, b"\x00\x11\x00\x00")]).is_none());
}

#[test]
fn malformed_text_is_refused_with_its_reason() {
    for (text, error) in [
        ("", Error::Empty),
        ("CN=", Error::Empty),
        ("CN=a,", Error::Unescaped),
        ("CN=a,O=", Error::Empty),
        ("CN=a, O=b", Error::Type(" O".to_owned())),
        ("CN= a", Error::Unescaped),
        ("CN=a ", Error::Unescaped),
        ("CN=a ,O=b", Error::Unescaped),
        ("CN=a;O=b", Error::Unescaped),
        ("CN=\"a\"", Error::Unescaped),
        ("a", Error::Unescaped),
        ("X=a", Error::Type("X".to_owned())),
        ("1.2.03=#0401AA", Error::Type("1.2.03".to_owned())),
        ("1.2.3=text", Error::Hex),
        ("CN=#0c0", Error::Hex),
        ("CN=#0c02aa", Error::Hex),
        ("CN=#zz", Error::Hex),
        ("CN=a\\", Error::Escape),
        ("CN=a\\q", Error::Escape),
        ("CN=a\\4", Error::Escape),
        ("CN=\\FF", Error::Utf8),
    ] {
        assert_eq!(text.parse::<DistinguishedName>(), Err(error), "{text}");
    }
    let long = format!("CN={}", "a".repeat(4096));
    assert_eq!(long.parse::<DistinguishedName>(), Err(Error::Length));
}

/// RFC 4514 section 4 prints these.
#[test]
fn the_examples_of_rfc_4514_read_and_write() {
    for text in [
        "UID=jsmith,DC=example,DC=net",
        "OU=Sales+CN=J.  Smith,DC=example,DC=net",
        "CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net",
        "CN=Before\\0dAfter,DC=example,DC=net",
        "1.3.6.1.4.1.1466.0=#04024869",
        "CN=Lu\\C4\\8Di\\C4\\87",
    ] {
        match text.parse::<DistinguishedName>() {
            Ok(name) => {
                let written = name.to_string();
                assert!(name.matches(&written.parse().unwrap()), "{text}: {written}");
            }
            // A carriage return is legal in the RFC and nowhere here.
            Err(error) => assert_eq!((text.contains("0d"), error), (true, Error::Control)),
        }
    }
}

#[test]
fn order_and_sets_count_as_rfc_5280_has_them() {
    assert!(name("CN=a+O=b").matches(&name("O=b+CN=a")));
    assert!(!name("CN=a,O=b").matches(&name("O=b,CN=a")));
    assert!(!name("CN=a+O=b").matches(&name("CN=a,O=b")));
    assert!(!name("CN=a").matches(&name("OU=a")));
    assert!(name("2.5.4.3=a").matches(&name("CN=a")));
    assert!(name("CN=#0c0161").matches(&name("CN=a")));
    let empty = DistinguishedName::from_relative(Vec::new()).unwrap();
    assert!(empty.is_empty());
    assert!(!empty.matches(&empty));
}
