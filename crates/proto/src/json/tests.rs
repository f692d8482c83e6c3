use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> JsonError {
    Object::parse(text.as_bytes()).expect_err(text)
}

#[test]
fn sc_030_duplicate_members_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u0061":1,"a":2}"#,
        r#"{"alg":"ES256","b":{"c":[{"d":1,"d":1}]}}"#,
        r#"{"cnf":{"jkt":"x","j\u006bt":"y"}}"#,
        r#"{"jwk":{"kty":"EC","kty":"EC"}}"#,
        r#"{"":1,"":2}"#,
        r#"{"é":1,"\u00e9":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
    ] {
        assert_eq!(refused(text), JsonError::DuplicateMember, "{text}");
    }
}

#[test]
fn sc_032_depth_is_bounded() {
    let nested = |depth: usize, open: &str, close: &str| {
        format!(
            "{{\"a\":{}1{}}}",
            open.repeat(depth - 1),
            close.repeat(depth - 1)
        )
    };
    assert!(Object::parse(nested(MAX_DEPTH, "[", "]").as_bytes()).is_ok());
    assert!(Object::parse(nested(MAX_DEPTH, "{\"b\":", "}").as_bytes()).is_ok());
    for depth in [MAX_DEPTH + 1, 3_000, 100_000] {
        assert_eq!(refused(&nested(depth, "[", "]")), JsonError::TooDeep);
        assert_eq!(refused(&nested(depth, "{\"b\":", "}")), JsonError::TooDeep);
        assert_eq!(
            refused(&format!("{{\"a\":{}", "[".repeat(depth))),
            JsonError::TooDeep
        );
    }
}

#[test]
fn sc_032_members_and_values_are_bounded() {
    let object = |members: usize| {
        let members: Vec<String> = (0..members).map(|n| format!("\"m{n}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(
        Object::parse(object(MAX_MEMBERS).as_bytes()).unwrap().len(),
        MAX_MEMBERS
    );
    for members in [MAX_MEMBERS + 1, 100_000] {
        assert_eq!(refused(&object(members)), JsonError::TooManyMembers);
    }

    // The outermost object and the array are values too.
    let array = |elements: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(elements - 1));
    assert!(Object::parse(array(MAX_VALUES - 2).as_bytes()).is_ok());
    for elements in [MAX_VALUES - 1, 100_000] {
        assert_eq!(refused(&array(elements)), JsonError::TooManyValues);
    }
    let objects = format!("{{\"a\":[{}{{}}]}}", "{},".repeat(MAX_VALUES));
    assert_eq!(refused(&objects), JsonError::TooManyValues);
}

#[test]
fn sc_032_a_number_of_a_million_digits() {
    let text = format!("{{\"exp\":{}}}", "9".repeat(1_000_000));
    assert_eq!(refused(&text), JsonError::Syntax);
    let text = format!("{{\"exp\":0.{}}}", "9".repeat(1_000_000));
    assert_eq!(
        Object::parse(text.as_bytes()).unwrap().unsigned("exp"),
        Err(WrongType {
            member: "exp".into(),
            expected: "a non-negative integer"
        })
    );
}

#[test]
fn sc_034_numbers_never_saturate() {
    for text in [
        r#"{"exp":1e400}"#,
        r#"{"exp":-1e400}"#,
        r#"{"exp":NaN}"#,
        r#"{"exp":Infinity}"#,
        r#"{"exp":01}"#,
        r#"{"exp":+1}"#,
        r#"{"exp":0x10}"#,
        r#"{"exp":1.}"#,
    ] {
        assert_eq!(refused(text), JsonError::Syntax, "{text}");
    }
    for (text, value) in [
        ("0", Value::Unsigned(0)),
        ("9223372036854775808", Value::Unsigned(1 << 63)),
        ("18446744073709551615", Value::Unsigned(u64::MAX)),
        (
            "18446744073709551616",
            Value::Float(18_446_744_073_709_551_616.0),
        ),
        ("-1", Value::Signed(-1)),
        ("-9223372036854775808", Value::Signed(i64::MIN)),
        ("-0", Value::Float(-0.0)),
        ("1.0", Value::Float(1.0)),
        ("1e3", Value::Float(1000.0)),
    ] {
        let text = format!("{{\"exp\":{text}}}");
        let object = Object::parse(text.as_bytes()).unwrap();
        assert_eq!(object.get("exp"), Some(&value), "{text}");
        let unsigned = object.unsigned("exp");
        assert_eq!(unsigned.ok().flatten(), value.as_unsigned(), "{text}");
    }
}

#[test]
fn sc_033_a_wrong_type_is_not_an_absent_member() {
    let object =
        Object::parse(br#"{"s":"9999","n":1,"b":true,"z":null,"o":{},"a":["x"],"m":["x",1]}"#)
            .unwrap();
    for name in ["n", "b", "z", "o", "a", "m"] {
        assert!(object.string(name).is_err(), "{name}");
    }
    for name in ["s", "b", "z", "o", "a", "m"] {
        assert!(object.unsigned(name).is_err(), "{name}");
    }
    for name in ["s", "n", "z", "o", "a", "m"] {
        assert!(object.boolean(name).is_err(), "{name}");
    }
    for name in ["s", "n", "b", "z", "a", "m"] {
        assert!(object.object(name).is_err(), "{name}");
    }
    for name in ["s", "n", "b", "z", "o"] {
        assert!(object.array(name).is_err(), "{name}");
    }
    for name in ["n", "b", "z", "o", "m"] {
        assert!(object.strings(name).is_err(), "{name}");
    }
    assert_eq!(
        object.unsigned("s").unwrap_err().to_string(),
        "`s` is not a non-negative integer"
    );

    assert_eq!(object.string("absent"), Ok(None));
    assert_eq!(object.unsigned("absent"), Ok(None));
    assert_eq!(object.strings("absent"), Ok(None));
    assert_eq!(object.string("s"), Ok(Some("9999")));
    assert_eq!(object.unsigned("n"), Ok(Some(1)));
    assert_eq!(object.boolean("b"), Ok(Some(true)));
    assert_eq!(object.object("o"), Ok(Some(&Object::default())));
    assert_eq!(object.strings("s"), Ok(Some(vec!["9999"])));
    assert_eq!(object.strings("a"), Ok(Some(vec!["x"])));
    assert_eq!(object.array("a").unwrap().map(<[_]>::len), Some(1));
}

#[test]
fn refuses_what_is_not_one_object() {
    for text in ["[]", "[{}]", "1", "\"a\"", "null", "true"] {
        assert_eq!(refused(text), JsonError::NotAnObject, "{text}");
    }
    for text in [
        "",
        " ",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{},",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}//",
        "{/**/}",
        "\u{feff}{}",
        "{1:2}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\\ud800\"}",
        "{\"\\ud800\":1}",
        "{\"a\":tru}",
        "{}\0",
    ] {
        assert_eq!(refused(text), JsonError::Syntax, "{text}");
    }
    for bytes in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"\xc0\xaf\":1}",
        b"\xef\xbb\xbf{}",
    ] {
        assert_eq!(Object::parse(bytes), Err(JsonError::Syntax));
    }
}

#[test]
fn borrows_text_without_escapes() {
    let object = Object::parse(br#"{"plain":"text","esc\u0061ped":"te\u0078t"}"#).unwrap();
    let Some(Value::String(Cow::Borrowed("text"))) = object.get("plain") else {
        panic!("text without escapes is copied");
    };
    let Some(Value::String(Cow::Owned(text))) = object.get("escaped") else {
        panic!("escapes are not resolved");
    };
    assert_eq!(text, "text");
    let names: Vec<_> = object.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["plain", "escaped"]);
}

#[test]
fn quoting_keeps_a_text_one_string() {
    for text in ["", "a\"b\\c", "\u{0}\u{1f}\n\r\t", "é😀", "</script>"] {
        let document = format!("{{\"t\":{}}}", quote(text));
        let object = Object::parse(document.as_bytes()).unwrap();
        assert_eq!(object.string("t"), Ok(Some(text)));
    }
}

/// Writes every character of `name` as an escape.
fn escaped(name: &str) -> String {
    name.encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect()
}

proptest! {
    #[test]
    fn a_duplicate_is_found_wherever_it_hides(
        name in ".{0,6}",
        others in proptest::collection::hash_set("[a-z]{7,9}", 0..20),
        at in any::<prop::sample::Index>(),
        depth in 0..MAX_DEPTH - 1,
        escape in any::<bool>(),
    ) {
        let again = if escape { format!("\"{}\"", escaped(&name)) } else { quote(&name) };
        let mut members: Vec<String> = others.iter().map(|other| format!("\"{other}\":{{}}")).collect();
        members.push(format!("{}:1", quote(&name)));
        let once = format!("{{{}}}", members.join(","));
        members.insert(at.index(members.len()), format!("{again}:2"));
        let twice = format!("{{{}}}", members.join(","));

        let wrap = |inner: &str| format!("{}{inner}{}", "{\"w\":".repeat(depth), "}".repeat(depth));
        let (once, twice) = (wrap(&once), wrap(&twice));
        prop_assert!(Object::parse(once.as_bytes()).is_ok());
        prop_assert_eq!(Object::parse(twice.as_bytes()), Err(JsonError::DuplicateMember));
    }

    /// A lenient reader agrees with whatever this one accepts.
    #[test]
    fn never_accepts_what_a_general_parser_refuses(text in r#"[{}\[\]":,a0-9\\eu. -]{0,40}"#) {
        if Object::parse(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Object::parse(&bytes);
    }
}
