use proptest::prelude::*;

use super::{Dictionary, Item, List, StructuredError};

fn item(text: &str) -> Result<String, StructuredError> {
    Item::parse(text.as_bytes()).map(|item| item.to_string())
}

fn list(text: &str) -> Result<String, StructuredError> {
    List::parse(&[text.as_bytes()], 1024).map(|list| list.to_string())
}

fn dictionary(text: &str) -> Result<String, StructuredError> {
    Dictionary::parse(&[text.as_bytes()], 1024).map(|dictionary| dictionary.to_string())
}

/// Each rule of RFC 9651 sections 4.2.3 to 4.2.10 that a text can break.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn items_that_break_the_grammar_are_refused() {
    let twelve = "123456789012";
    for text in [
        "",
        " ",
        "\t1",
        "1\t",
        "1 2",
        "1,2",
        "é",
        "\u{7f}",
        // Numbers.
        "-",
        "--1",
        "+1",
        "- 1",
        "1.",
        ".1",
        "1.2345",
        "1..2",
        "1.2.3",
        "1e3",
        "0x1",
        "1_0",
        "1234567890123456",
        "-1234567890123456",
        &format!("{twelve}3.1"),
        // Strings.
        "\"",
        "\"a",
        "a\"",
        "\"\\a\"",
        "\"\\\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "\"é\"",
        "'a'",
        "\"a\"b",
        // Tokens.
        "/a",
        "!a",
        "a,b",
        "a(b",
        "a\"b",
        "a b",
        // Byte sequences: the alphabet, padding and unused bits.
        ":",
        ":a",
        ":aGVsbG8",
        ":aGVsbG8:",
        ":aGVsbG9=:",
        ":aGVs_G8=:",
        ":aGVs bG8=:",
        ":=:",
        ":a===:",
        ":aGVsbG8=:x",
        ":YQ=:",
        // Booleans.
        "?",
        "?2",
        "?T",
        "?10",
        "? 1",
        // Dates.
        "@",
        "@1.0",
        "@-",
        "@x",
        "@\"1\"",
        // Display strings.
        "%",
        "%\"",
        "%\"%\"",
        "%\"%0\"",
        "%\"%C3%BC\"",
        "%\"%ff\"",
        "%\"é\"",
        "%'a'",
        "%\"%c3\"",
        // Parameters.
        "1;",
        "1; ",
        "1;A",
        "1;a=",
        "1;=1",
        "1;a =1",
        "1;a= 1",
        "1 ;a",
        "1;a;",
        "1;1",
        "1;a=(1)",
    ] {
        assert!(item(text).is_err(), "{text:?} is taken");
    }
}

#[test]
fn items_are_written_canonically() {
    for (text, canonical) in [
        ("1", "1"),
        (" 1 ", "1"),
        ("-0", "0"),
        ("007", "7"),
        ("-999999999999999", "-999999999999999"),
        ("1.5", "1.5"),
        ("1.50", "1.5"),
        ("-0.0", "0.0"),
        ("-0.1", "-0.1"),
        ("1.0", "1.0"),
        ("00012.340", "12.34"),
        ("123456789012.125", "123456789012.125"),
        ("\"\"", "\"\""),
        (r#""a\"b\\c""#, r#""a\"b\\c""#),
        ("\" ~\"", "\" ~\""),
        ("a", "a"),
        ("*a:b/c!", "*a:b/c!"),
        ("A_%", "A_%"),
        ("::", "::"),
        (":aGVsbG8=:", ":aGVsbG8=:"),
        (":+/8=:", ":+/8=:"),
        ("?0", "?0"),
        ("?1", "?1"),
        ("@-5", "@-5"),
        ("@1659578233", "@1659578233"),
        ("%\"f%c3%bc%22%25\"", "%\"f%c3%bc%22%25\""),
        ("1;a", "1;a"),
        ("1;a=?1", "1;a"),
        ("1;a=?0", "1;a=?0"),
        ("1;   a;b=2", "1;a;b=2"),
        // The last of a repeated parameter counts, in the place of the first.
        ("1;a=1;b;a=2", "1;a=2;b"),
        ("1;*a.b-c_d=:YQ==:", "1;*a.b-c_d=:YQ==:"),
    ] {
        assert_eq!(item(text).as_deref(), Ok(canonical), "{text:?}");
    }
}

/// RFC 9651 sections 4.2.1 and 4.2.2.
#[test]
fn lists_and_dictionaries_that_break_the_grammar_are_refused() {
    for text in [
        ",",
        "1,",
        "1, ",
        ",1",
        "1,,2",
        "1 2",
        "(",
        "(1",
        "(1 2",
        ")",
        "(1,2)",
        "(1\t2)",
        "(1)2",
        "((1))",
        "(\"a\"\"b\")",
        "(1;)",
        "1,\t",
        "\t1",
        "(1) ;a",
    ] {
        assert!(list(text).is_err(), "{text:?} is taken");
    }
    for text in [
        ",",
        "a,",
        "a=1, ",
        ",a",
        "a=1,,b=2",
        "a=",
        "=1",
        "A=1",
        "1=1",
        "a =1",
        "a= 1",
        "a=1 b=2",
        "a;b=",
        "a=(1",
        "a=1;b=(2)",
        "a=1,\t",
        "-a=1",
        "é=1",
        "a=é",
        "a.=\"",
    ] {
        assert!(dictionary(text).is_err(), "{text:?} is taken");
    }
}

#[test]
fn lists_and_dictionaries_are_written_canonically() {
    for (text, canonical) in [
        ("", ""),
        ("  ", ""),
        ("1", "1"),
        ("1,2", "1, 2"),
        ("1 \t ,\t  2 ", "1, 2"),
        ("1\t", "1"),
        ("()", "()"),
        ("(  1   2  );a , (3;x)", "(1 2);a, (3;x)"),
        ("a;b=1, \"c\"", "a;b=1, \"c\""),
    ] {
        assert_eq!(list(text).as_deref(), Ok(canonical), "{text:?}");
    }
    for (text, canonical) in [
        ("", ""),
        ("a", "a"),
        ("a=?1", "a"),
        ("a=?0", "a=?0"),
        ("a;x=1,b=2", "a;x=1, b=2"),
        ("a=?1;x", "a;x"),
        ("a=(1  2);y , b", "a=(1 2);y, b"),
        ("a=1,b=2,a=3", "a=3, b=2"),
    ] {
        assert_eq!(dictionary(text).as_deref(), Ok(canonical), "{text:?}");
    }
}

#[test]
fn repetition_shows_and_counts_are_bounded() {
    let parse = |text: &str, most| Dictionary::parse(&[text.as_bytes()], most);
    assert!(parse("a=1, b=2, a=1", 3).unwrap().is_repeated());
    assert!(!parse("a=1, b=2", 2).unwrap().is_repeated());
    assert_eq!(parse("a=1, b=2", 1), Err(StructuredError::TooMany));
    assert_eq!(List::parse(&[b"1, 2"], 1), Err(StructuredError::TooMany));
    assert!(Item::parse(b"1;a;b;a").unwrap().parameters.is_repeated());
    assert!(!Item::parse(b"1;a;b").unwrap().parameters.is_repeated());
}

#[test]
fn lines_are_one_value() {
    let dictionary = Dictionary::parse(&[b"a=1", b" b=2 "], 8).unwrap();
    assert_eq!(dictionary.to_string(), "a=1, b=2");
    assert!(Dictionary::parse(&[b"a=1", b""], 8).is_err());
    assert!(Dictionary::parse(&[], 8).unwrap().is_empty());
    // A string is not continued on another line.
    let split = Dictionary::parse(&[b"a=\"x", b"y\""], 8).unwrap();
    assert_eq!(split.to_string(), "a=\"x, y\"");
}

proptest! {
    #[test]
    fn what_is_read_is_written_so_that_it_reads_the_same(text in "[a-c*=;,()\" 0-9.?:@%-]{0,24}") {
        if let Ok(first) = Dictionary::parse(&[text.as_bytes()], 64) {
            let written = first.to_string();
            let second = Dictionary::parse(&[written.as_bytes()], 64).unwrap();
            prop_assert_eq!(second.to_string(), written);
        }
        if let Ok(first) = List::parse(&[text.as_bytes()], 64) {
            let written = first.to_string();
            prop_assert_eq!(List::parse(&[written.as_bytes()], 64).unwrap().to_string(), written);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Item::parse(&bytes);
        let _ = List::parse(&[&bytes], 64);
        let _ = Dictionary::parse(&[&bytes], 64);
    }
}
