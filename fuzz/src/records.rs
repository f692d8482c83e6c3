//! Events, subjects of signals, and opaque artefacts.

use keybound_proto::{
    event::{Event, MAX_AUDIENCES, MAX_LONG_TEXT, MAX_SHORT_TEXT},
    json::Object,
    signal::Subject,
    token::artefact as opaque,
};

/// An event that was taken in is written and read as the same event, within its bounds.
pub(crate) fn event(input: &[u8]) -> bool {
    let Ok(event) = Event::from_json(input) else {
        return false;
    };
    assert!(event.node.len() <= MAX_SHORT_TEXT);
    assert!(
        event
            .path
            .as_ref()
            .is_none_or(|path| path.len() <= MAX_LONG_TEXT)
    );
    assert!(event.audience.len() <= MAX_AUDIENCES);
    let line = event.to_json_line();
    assert!(!line.contains('\n'), "an event takes more than one line");
    assert_eq!(Event::from_json(line.as_bytes()).as_ref(), Ok(&event));
    true
}

/// The `sub_id` of a signal (RFC 9493).
pub(crate) fn subject(input: &[u8]) -> bool {
    let Ok(object) = Object::parse(input) else {
        return false;
    };
    let Ok(subject) = Subject::from_object(&object) else {
        return false;
    };
    let text = subject.to_json().to_string();
    let again = Object::parse(text.as_bytes()).expect("our own form is readable");
    assert_eq!(Subject::from_object(&again), Ok(subject));
    true
}

/// An artefact with one changed character is none.
pub(crate) fn artefact(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    if opaque::parse(text).is_err() {
        return false;
    }
    let mut changed = text.to_owned();
    let last = changed.pop().expect("an artefact is not empty");
    changed.push(if last == 'a' { 'b' } else { 'a' });
    assert!(
        opaque::parse(&changed).is_err(),
        "the checksum is not checked"
    );
    true
}
